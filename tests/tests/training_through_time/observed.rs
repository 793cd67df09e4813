//! Windows of a stream that are looked at: the oracle's norms, those of one tape over the window, and no bit of training changed.

use super::case::{Case, HIDDEN, INPUT, Options, f64s, oracle_of};
use super::truncated::{case, case_with, push, steps_of};
use gatewise::{
    Cell, Error, GradientFlow, Gru, Input, Observer, Optimizer, Sgd, State, StepClip, TruncatedBptt,
    Truncation, Upstream, View,
};
use std::ops::Range;
use tests::oracle::{StackRun, Upstream as OracleUpstream};

const CUTS: [(usize, usize); 5] = [(4, 4), (3, 9), (3, 7), (5, 14), (1, 6)];

/// A window: its steps, how many of them are new, and all that its backward left.
struct Window {
    steps: Range<usize>,
    new: usize,
    bits: Vec<u32>,
    flow: Option<GradientFlow>,
}

/// Trains on the whole stream; an observer looks on, if asked to.
fn train(
    case: &mut Case,
    truncation: Truncation,
    lr: f64,
    clip: Option<StepClip>,
    looks: bool,
) -> Vec<Window> {
    let mut observer = looks.then(|| Observer::new(&case.network));
    let mut bptt = TruncatedBptt::new(&case.network, truncation, case.state.clone()).unwrap();
    bptt.set_reset_state(case.reset_state.clone()).unwrap();
    let (mut sgd, mut windows, mut done) = (Sgd::new(lr), Vec::new(), 0);
    push(case, &mut bptt, 0, case.options.steps);
    while bptt.forward(&case.network).unwrap() || bptt.finish(&case.network).unwrap() {
        let shape = bptt.output().shape();
        let new = if case.options.batch_first { shape[1] } else { shape[0] };
        let dy = steps_of(case, &case.dy, HIDDEN, done, done + new);
        done += new;
        let upstream = Upstream { clip, ..Upstream::output(View::new(&dy, shape).unwrap()) };
        let mut grads = case.network.params().zeros_like();
        match &mut observer {
            None => bptt.backward(&case.network, upstream, &mut grads).unwrap(),
            Some(observer) => {
                observer.backward_truncated(&mut bptt, &case.network, upstream, &mut grads).unwrap();
            }
        }
        let all = grads.iter().flat_map(|grad| grad.data()).chain(bptt.grad_input().unwrap().data());
        let all = all.chain(bptt.grad_reset_h()).chain(bptt.grad_reset_c()).chain(bptt.output().data());
        let steps = bptt.window().start as usize..bptt.window().end as usize;
        windows.push(Window {
            new,
            steps,
            bits: all.map(|value| value.to_bits()).collect(),
            flow: observer.as_ref().map(|observer| observer.flow().clone()),
        });
        sgd.step(&mut [&mut case.network.params_mut()], &[&grads]).unwrap();
    }
    windows
}

fn options(cell: Cell) -> [Options; 3] {
    let one = Options { cell, ..Options::default() };
    [one, Options { batch_first: true, resets: true, ..one }, Options { resets: true, reset_rows: 1, ..one }]
}

/// Whoever looks, and whatever is cut, no bit of any window is another one, though the parameters change after each.
#[test]
fn looking_changes_no_bit() {
    for (seed, cell) in (0..).zip([Cell::RnnTanh, Cell::Lstm, Cell::Gru]) {
        for (k1, k2) in CUTS {
            for (options, clip) in options(cell).into_iter().zip([None, None, Some(StepClip::Norm(0.5))]) {
                let run =
                    |looks| train(&mut case_with(options, seed), Truncation { k1, k2 }, 0.2, clip, looks);
                let (seen, alone) = (run(true), run(false));
                assert_eq!(seen.len(), alone.len());
                for (seen, alone) in seen.iter().zip(&alone) {
                    assert_eq!(seen.bits, alone.bits, "{options:?} k1 {k1} k2 {k2} at {}", alone.steps.end);
                    let flow = seen.flow.as_ref().unwrap();
                    assert_eq!((flow.steps(), flow.x.len()), (seen.steps.len(), seen.steps.len()));
                    assert_eq!(flow.non_finite, None);
                }
            }
        }
    }
}

/// Steps of the case by themselves: their input and resets, and the gradient of the outputs of the last of them.
struct Alone {
    x: Vec<f32>,
    resets: Vec<bool>,
    dy: Vec<f32>,
    shape: [[usize; 3]; 2],
}

impl Alone {
    fn new(case: &Case, steps: Range<usize>, new: usize) -> Alone {
        let (Options { batch, batch_first, .. }, len) = (case.options, steps.len());
        let first = steps.end - new;
        let shape = |width| if batch_first { [batch, len, width] } else { [len, batch, width] };
        let mut whole = case.dy.clone();
        for t in 0..first {
            for b in 0..batch {
                let at = if batch_first { b * case.options.steps + t } else { t * batch + b };
                whole[at * HIDDEN..][..HIDDEN].fill(0.0);
            }
        }
        Alone {
            x: steps_of(case, &case.x, INPUT, steps.start, steps.end),
            resets: if case.resets.is_empty() {
                vec![]
            } else {
                case.resets[steps.start * batch..steps.end * batch].to_vec()
            },
            dy: steps_of(case, &whole, HIDDEN, steps.start, steps.end),
            shape: [shape(INPUT), shape(HIDDEN)],
        }
    }

    fn input<'a>(&'a self, case: &'a Case) -> Input<'a> {
        let mut input = Input::from(View::new(&self.x, self.shape[0]).unwrap());
        input.resets = (!self.resets.is_empty()).then_some(&self.resets[..]);
        input.reset_state = case.reset_state.as_ref().filter(|_| input.resets.is_some());
        input
    }
}

/// The state before a step.
fn state_before(case: &Case, step: usize) -> State {
    if step == 0 {
        return case.state.clone();
    }
    case.network.forward(Alone::new(case, 0..step, 0).input(case), Some(&case.state)).unwrap().1
}

/// A window shows what one tape over all its steps shows, by bits, however it is cut into parts.
#[test]
fn a_window_is_one_tape() {
    for (seed, cell) in (0..).zip([Cell::RnnRelu, Cell::Lstm, Cell::Gru]) {
        for (k1, k2) in CUTS {
            for (options, clip) in options(cell).into_iter().zip([None, Some(StepClip::Value(0.1)), None]) {
                // Parameters that stay as they are: each window begins with a state that is known.
                let mut case = case_with(options, seed);
                for window in train(&mut case, Truncation { k1, k2 }, 0.0, clip, true) {
                    let alone = Alone::new(&case, window.steps.clone(), window.new);
                    let start = state_before(&case, window.steps.start);
                    let mut tape = case.network.forward_train(alone.input(&case), Some(&start)).unwrap();
                    let mut observer = Observer::new(&case.network);
                    let output = View::new(&alone.dy, alone.shape[1]).unwrap();
                    let upstream = Upstream { clip, ..Upstream::output(output) };
                    let mut grads = case.network.params().zeros_like();
                    observer.backward(&case.network, &mut tape, upstream, &mut grads).unwrap();
                    let what = format!("{options:?} k1 {k1} k2 {k2} at {}", window.steps.end);
                    assert_eq!(window.flow.as_ref(), Some(observer.flow()), "{what}");
                }
            }
        }
    }
}

/// [B, T, W] to [T, B, W], if it is that.
fn time_major(case: &Case, data: &[f32], width: usize) -> Vec<f64> {
    let batch = case.options.batch;
    let steps = data.len() / (batch * width);
    let at = |t: usize, b: usize| if case.options.batch_first { b * steps + t } else { t * batch + b };
    let vectors = (0..steps).flat_map(|t| (0..batch).map(move |b| (t, b)));
    vectors.flat_map(|(t, b)| f64s(&data[at(t, b) * width..][..width])).collect()
}

/// The norms are the oracle's. Each element of a gradient is off by no more than what rounding each of `terms` of its chains gives, and
/// a norm of n elements by sqrt(n) of that.
#[test]
fn the_norms_are_the_oracles() {
    let close = |what: &str, got: &[f64], expected: &[f64], terms: usize| {
        let scale = expected.iter().fold(1.0_f64, |most, value| most.max(value.abs()));
        let width = expected.len() / got.len();
        let allowed = f64::from(f32::EPSILON) * terms as f64 * scale * (width as f64).sqrt();
        for (t, (got, expected)) in got.iter().zip(expected.chunks(width)).enumerate() {
            let expected = expected.iter().map(|value| value * value).sum::<f64>().sqrt();
            assert!((got - expected).abs() <= allowed, "{what}[{t}] is {got:e}, expected {expected:e}");
        }
    };
    for (seed, cell) in (0..).zip([Cell::RnnTanh, Cell::Lstm, Cell::Gru]) {
        for (k1, k2) in CUTS {
            for options in options(cell) {
                let mut case = case_with(options, seed);
                let batch = case.options.batch;
                for window in train(&mut case, Truncation { k1, k2 }, 0.0, None, true) {
                    let alone = Alone::new(&case, window.steps.clone(), window.new);
                    let start = state_before(&case, window.steps.start);
                    // A state of one row is that of all.
                    let rows: Vec<usize> = vec![0; batch];
                    let reset = case.reset_state.as_ref().map(|state| state.gather(&rows).unwrap());
                    let run = StackRun {
                        steps: window.steps.len(),
                        batch,
                        x: time_major(&case, &alone.x, INPUT),
                        h0: Some(f64s(start.h())),
                        c0: Some(f64s(start.c())),
                        resets: (!alone.resets.is_empty()).then(|| alone.resets.clone()),
                        reset_h: reset.as_ref().map(|state| f64s(state.h())),
                        reset_c: reset.as_ref().map(|state| f64s(state.c())),
                        ..StackRun::default()
                    };
                    let stack = oracle_of(&case.network);
                    let out = Some(time_major(&case, &alone.dy, HIDDEN));
                    let upstream = OracleUpstream { out, ..OracleUpstream::default() };
                    let grads = stack.backward(&run, &stack.forward(&run), &upstream);

                    let flow = window.flow.unwrap();
                    let what = format!("{options:?} k1 {k1} k2 {k2} at {}", window.steps.end);
                    let terms = 40 * (window.steps.len() + HIDDEN);
                    for (track, expected) in flow.tracks.iter().zip(&grads.layers) {
                        let what = format!("{what} layer {}", track.layer);
                        close(&format!("{what} dL/dh"), &track.h, &expected.h, terms);
                        if cell == Cell::Lstm {
                            close(&format!("{what} dL/dc"), &track.c, &expected.c, terms);
                        }
                    }
                    close(&format!("{what} dL/dx"), &flow.x, &grads.x, terms);
                }
            }
        }
    }
}

/// Where the first value stands that is not finite: the step is that of the window.
#[test]
fn what_is_not_finite_is_found_in_the_window() {
    let place = |spoil: &dyn Fn(&mut Case), seen: usize| {
        let mut case = case(Cell::Gru, false, false, 3);
        spoil(&mut case);
        let windows = train(&mut case, Truncation { k1: 4, k2: 12 }, 0.0, None, true);
        let place = windows[seen].flow.as_ref().unwrap().non_finite.as_ref();
        (windows[seen].steps.clone(), place.map_or(String::new(), ToString::to_string))
    };
    let batch = 2;
    // Step 13 of the stream comes in the window of steps 4 to 16.
    assert_eq!(
        place(&|case| case.x[13 * batch * INPUT] = f32::NAN, 3),
        (4..16, "input, at step 9".to_string())
    );
    assert_eq!(place(&|case| case.x[13 * batch * INPUT] = f32::NAN, 2), (0..12, String::new()));
    assert_eq!(
        place(&|case| case.dy[13 * batch * HIDDEN] = f32::INFINITY, 3),
        (4..16, "dL/d output, at step 9".to_string())
    );
    assert_eq!(
        place(&|case| case.network.params_mut().iter_mut().next().unwrap().data_mut()[0] = f32::NAN, 0),
        (0..4, "weight_ih_l0".to_string())
    );
}

#[test]
fn what_makes_no_sense_is_refused_and_nothing_is_written() {
    let case = case(Cell::Gru, false, false, 9);
    let truncation = Truncation { k1: 4, k2: 4 };
    let mut bptt = TruncatedBptt::new(&case.network, truncation, case.state.clone()).unwrap();
    let mut grads = case.network.params().zeros_like();
    let mut observer = Observer::new(&case.network);
    let upstream = Upstream::default();
    let nothing = observer.backward_truncated(&mut bptt, &case.network, upstream, &mut grads);
    assert_eq!(nothing, Err(Error::TapeConsumed));
    push(&case, &mut bptt, 0, 8);
    assert!(bptt.forward(&case.network).unwrap());
    let mut other = Observer::new(&Gru::new(INPUT, HIDDEN).unwrap());
    let refused = other.backward_truncated(&mut bptt, &case.network, upstream, &mut grads).unwrap_err();
    assert!(
        refused.to_string().starts_with("observer must be made for a network with the options"),
        "{refused}"
    );
    assert_eq!((observer.flow().steps(), other.flow().steps()), (0, 0));
    assert!(grads.iter().all(|grad| grad.data().iter().all(|value| *value == 0.0)));
    // The window is still there.
    observer.backward_truncated(&mut bptt, &case.network, upstream, &mut grads).unwrap();
    let again = observer.backward_truncated(&mut bptt, &case.network, upstream, &mut grads);
    assert_eq!(again, Err(Error::TapeConsumed));
    assert_eq!(observer.flow().steps(), 4);
    // The same observer then looks at a tape, and at a window again.
    let x = View::new(&case.x, [23, 2, INPUT]).unwrap();
    let mut tape = case.network.forward_train(x, None).unwrap();
    observer.backward(&case.network, &mut tape, upstream, &mut grads).unwrap();
    assert_eq!(observer.flow().steps(), 23);
    assert!(bptt.forward(&case.network).unwrap());
    observer.backward_truncated(&mut bptt, &case.network, upstream, &mut grads).unwrap();
    assert_eq!((observer.flow().steps(), observer.flow().x.len()), (4, 4));
}
