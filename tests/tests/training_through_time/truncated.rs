//! Truncated back-propagation through time, against windows that the oracle unrolls one by one.

use super::case::{Case, HIDDEN, INPUT, Options, assert_close, f64s, kernels, oracle_of};
use gatewise::{
    Cell, Config, Error, Gradients, Input, Network, NonFinite, Norm, Optimizer, Sgd, State, Tensors,
    TruncatedBptt, Truncation, Upstream, View, clip_grad_norm,
};
use tests::oracle::{StackRun, Upstream as OracleUpstream};

const CUTS: [(usize, usize); 7] = [(1, 1), (4, 4), (3, 9), (3, 7), (4, 5), (5, 14), (1, 6)];

pub(super) fn case(cell: Cell, batch_first: bool, resets: bool, seed: u64) -> Case {
    case_with(Options { cell, batch_first, resets, ..Options::default() }, seed)
}

pub(super) fn case_with(options: Options, seed: u64) -> Case {
    Case::new(Options { steps: 23, batch: 2, layers: 2, ..options }, kernels()[0], seed)
}

fn config(case: &Case) -> &Config {
    case.network.config()
}

/// Steps `begin .. end` of a sequence in the case's layout, `width` floats a vector.
pub(super) fn steps_of(case: &Case, data: &[f32], width: usize, begin: usize, end: usize) -> Vec<f32> {
    let (steps, batch) = (case.options.steps, case.options.batch);
    if config(case).batch_first {
        (0..batch)
            .flat_map(|b| data[(b * steps + begin) * width..(b * steps + end) * width].to_vec())
            .collect()
    } else {
        data[begin * batch * width..end * batch * width].to_vec()
    }
}

fn shape(case: &Case, steps: usize, width: usize) -> [usize; 3] {
    let batch = case.options.batch;
    if config(case).batch_first { [batch, steps, width] } else { [steps, batch, width] }
}

pub(super) fn push(case: &Case, bptt: &mut TruncatedBptt, begin: usize, end: usize) {
    let x = steps_of(case, &case.x, INPUT, begin, end);
    let mut input = Input::from(View::new(&x, shape(case, end - begin, INPUT)).unwrap());
    let batch = case.options.batch;
    input.resets = (!case.resets.is_empty()).then(|| &case.resets[begin * batch..end * batch]);
    bptt.push(input).unwrap();
}

/// A window as it should be: its steps, and how many of them are new.
fn windows(steps: usize, Truncation { k1, k2 }: Truncation) -> Vec<(usize, usize, usize)> {
    let ends = (1..=steps / k1).map(|i| i * k1);
    let mut all: Vec<_> = ends.map(|end| (end.saturating_sub(k2), end, k1)).collect();
    let (end, rest) = (steps / k1 * k1, steps % k1);
    if rest > 0 {
        all.push(((end + k1).saturating_sub(k2), steps, rest));
    }
    all
}

/// What one window gave: outputs of its new steps, gradients of parameters and input.
#[derive(Debug, PartialEq)]
struct Outcome {
    window: std::ops::Range<u64>,
    output: Vec<f32>,
    grads: Tensors,
    grad_input: Vec<f32>,
    grad_reset: [Vec<f32>; 2],
}

/// What a learned reset state becomes after a window.
fn learned(state: &State, [h, c]: &[Vec<f32>; 2]) -> State {
    let mut state = state.clone();
    state.h_mut().iter_mut().zip(h).for_each(|(to, grad)| *to -= 0.1 * grad);
    state.c_mut().iter_mut().zip(c).for_each(|(to, grad)| *to -= 0.1 * grad);
    state
}

/// Runs the stream in pieces, and changes the parameters, the reset state among them, after each window, if asked to.
fn train(
    case: &mut Case,
    truncation: Truncation,
    pieces: &[usize],
    mut sgd: Option<Sgd>,
) -> (Vec<Outcome>, u64) {
    let mut bptt = TruncatedBptt::new(&case.network, truncation, case.state.clone()).unwrap();
    bptt.set_reset_state(case.reset_state.clone()).unwrap();
    let mut outcomes = Vec::new();
    let (mut begin, mut done) = (0, 0);
    for &piece in pieces.iter().chain(&[usize::MAX]) {
        let end = begin + piece.min(case.options.steps - begin);
        if end > begin {
            push(case, &mut bptt, begin, end);
        }
        begin = end;
        let is_last = piece == usize::MAX;
        while bptt.forward(&case.network).unwrap() || (is_last && bptt.finish(&case.network).unwrap()) {
            let shape = bptt.output().shape();
            let steps = if config(case).batch_first { shape[1] } else { shape[0] };
            let dy = steps_of(case, &case.dy, HIDDEN, done, done + steps);
            done += steps;
            let mut grads = case.network.params().zeros_like();
            let upstream = Upstream::output(View::new(&dy, shape).unwrap());
            bptt.backward(&case.network, upstream, &mut grads).unwrap();
            outcomes.push(Outcome {
                window: bptt.window(),
                output: bptt.output().data().to_vec(),
                grads: grads.clone(),
                grad_input: bptt.grad_input().unwrap().data().to_vec(),
                grad_reset: [bptt.grad_reset_h(), bptt.grad_reset_c()].map(<[f32]>::to_vec),
            });
            if let Some(sgd) = &mut sgd {
                if let Some(state) = &mut case.reset_state {
                    *state = learned(state, &outcomes[outcomes.len() - 1].grad_reset);
                    bptt.set_reset_state(Some(state.clone())).unwrap();
                }
                clip_grad_norm(&mut [&mut grads], 1.0, Norm::L2, NonFinite::Error).unwrap();
                sgd.step(&mut [&mut case.network.params_mut()], &[&grads]).unwrap();
            }
        }
    }
    assert_eq!(done, case.options.steps);
    (outcomes, bptt.forward_steps())
}

/// [B, T, W] to [T, B, W], if it is that.
fn time_major(data: &[f32], steps: usize, batch: usize, batch_first: bool) -> Vec<f64> {
    let width = data.len() / (steps * batch);
    let at = |t: usize, b: usize| if batch_first { b * steps + t } else { t * batch + b };
    let vectors = (0..steps).flat_map(|t| (0..batch).map(move |b| (t, b)));
    vectors.flat_map(|(t, b)| f64s(&data[at(t, b) * width..][..width])).collect()
}

/// A state of one row for each row of a batch.
fn all_rows(state: &State, batch: usize) -> State {
    let rows: Vec<usize> = (0..batch).map(|row| if state.batch() == 1 { 0 } else { row }).collect();
    state.gather(&rows).unwrap()
}

/// The sum over the rows of a state, whose layers are all [batch, `HIDDEN`].
fn sum_of_rows(grad: &[f64], batch: usize) -> Vec<f64> {
    let sum = |of_layer: &[f64]| -> Vec<f64> {
        (0..HIDDEN).map(|unit| of_layer.iter().skip(unit).step_by(HIDDEN).sum()).collect()
    };
    grad.chunks(batch * HIDDEN).flat_map(sum).collect()
}

/// The definition, step by step: each window runs from the state that the one before left there, with the parameters as they are,
/// and its gradient is that of its new steps' losses.
#[test]
fn each_window_is_the_oracle_unrolled() {
    for (seed, cell) in (0..).zip([Cell::RnnTanh, Cell::Lstm, Cell::Gru]) {
        for (k1, k2) in CUTS {
            for (batch_first, resets, reset_rows) in
                [(false, false, 0), (true, true, 0), (false, true, 1), (true, true, 2)]
            {
                let truncation = Truncation { k1, k2 };
                let options = Options { cell, batch_first, resets, reset_rows, ..Options::default() };
                let [mut case, mut shadow] = [(); 2].map(|()| case_with(options, seed));
                let mut sgd = Sgd::new(0.2);
                let (outcomes, _) = train(&mut case, truncation, &[5, 1, 9, 2], Some(Sgd::new(0.2)));
                let (steps, batch) = (case.options.steps, case.options.batch);
                let x = time_major(&case.x, steps, batch, batch_first);
                let dy = time_major(&case.dy, steps, batch, batch_first);
                // The states before each step, as the window before left them.
                let mut states = vec![(f64s(case.state.h()), f64s(case.state.c()))];
                let windows = windows(steps, truncation);
                assert_eq!(outcomes.len(), windows.len());
                for (outcome, (begin, end, new)) in outcomes.iter().zip(windows) {
                    assert_eq!(outcome.window, begin as u64..end as u64);
                    let stack = oracle_of(&shadow.network);
                    let (h_0, c_0) = states[begin].clone();
                    let reset = shadow.reset_state.as_ref().map(|state| all_rows(state, batch));
                    let run = |end: usize| StackRun {
                        steps: end - begin,
                        batch,
                        x: x[begin * batch * INPUT..end * batch * INPUT].to_vec(),
                        h0: Some(h_0.clone()),
                        c0: Some(c_0.clone()),
                        resets: resets.then(|| case.resets[begin * batch..end * batch].to_vec()),
                        reset_h: reset.as_ref().map(|state| f64s(state.h())),
                        reset_c: reset.as_ref().map(|state| f64s(state.c())),
                        ..StackRun::default()
                    };
                    let mut out = vec![0.0; (end - begin) * batch * HIDDEN];
                    let first = (end - new - begin) * batch * HIDDEN;
                    out[first..].copy_from_slice(&dy[(end - new) * batch * HIDDEN..end * batch * HIDDEN]);
                    let trace = stack.forward(&run(end));
                    let upstream = OracleUpstream { out: Some(out), ..OracleUpstream::default() };
                    let grads = stack.backward(&run(end), &trace, &upstream);

                    let what = format!("{cell:?} k1 {k1} k2 {k2} at {end}");
                    let terms = 40 * (end - begin + HIDDEN);
                    let output = time_major(&outcome.output, new, batch, batch_first);
                    let output: Vec<f32> = output.iter().map(|&y| y as f32).collect();
                    assert_close(&format!("{what} output"), &output, &trace.out[first..], terms);
                    for (name, expected) in grads.tensors(&stack.shape) {
                        let got = outcome.grads.get(&name).unwrap().data();
                        assert_close(&format!("{what} {name}"), got, expected, terms);
                    }
                    let dx = time_major(&outcome.grad_input, end - begin, batch, batch_first);
                    let dx: Vec<f32> = dx.iter().map(|&dx| dx as f32).collect();
                    assert_close(&format!("{what} dx"), &dx, &grads.x, terms);
                    let of_reset = [&grads.reset_h, &grads.reset_c].map(|grad| match reset_rows {
                        0 => vec![],
                        1 => sum_of_rows(grad, batch),
                        _ => grad.clone(),
                    });
                    for (got, expected) in outcome.grad_reset.iter().zip(of_reset) {
                        assert_close(&format!("{what} reset state"), got, &expected, batch * terms);
                    }

                    states.truncate(begin + 1);
                    for t in begin + 1..=end {
                        let trace = stack.forward(&run(t));
                        states.push((trace.h_n, trace.c_n));
                    }
                    shadow.reset_state = shadow.reset_state.map(|s| learned(&s, &outcome.grad_reset));
                    let mut grads = outcome.grads.clone();
                    clip_grad_norm(&mut [&mut grads], 1.0, Norm::L2, NonFinite::Error).unwrap();
                    sgd.step(&mut [&mut shadow.network.params_mut()], &[&grads]).unwrap();
                }
            }
        }
    }
}

/// How the stream is cut into pieces changes no bit.
#[test]
fn pieces_do_not_matter() {
    for (k1, k2) in CUTS {
        let run = |pieces: &[usize], sgd: Option<Sgd>| {
            train(&mut case(Cell::Lstm, false, true, 5), Truncation { k1, k2 }, pieces, sgd)
        };
        for sgd in [None, Some(0.1)] {
            let whole = run(&[23], sgd.map(Sgd::new));
            assert_eq!(run(&[1; 23], sgd.map(Sgd::new)), whole);
            assert_eq!(run(&[2, 11, 3, 7], sgd.map(Sgd::new)), whole);
        }
    }
}

/// Without a change of the parameters no step is run twice, and a window has the bits of one tape over all its steps.
#[test]
fn unchanged_parameters_run_each_step_once() {
    for kernels in kernels() {
        for (k1, k2) in CUTS {
            let options = Options { steps: 23, batch: 2, layers: 2, ..Options::default() };
            let truncation = Truncation { k1, k2 };
            let mut case = Case::new(options, kernels, 6);
            let (outcomes, forward_steps) = train(&mut case, truncation, &[23], None);
            assert_eq!(forward_steps, 23);
            let (mut state, mut at) = (case.state.clone(), 0);
            for (outcome, (begin, end, new)) in outcomes.iter().zip(windows(23, truncation)) {
                let x = |begin: usize, end: usize| steps_of(&case, &case.x, INPUT, begin, end);
                if begin > at {
                    let skipped = x(at, begin);
                    let input = View::new(&skipped, shape(&case, begin - at, INPUT)).unwrap();
                    state = case.network.forward(input, Some(&state)).unwrap().1;
                    at = begin;
                }
                let window = x(begin, end);
                let input = View::new(&window, shape(&case, end - begin, INPUT)).unwrap();
                let tape = case.network.forward_train(input, Some(&state)).unwrap();
                let mut dy = vec![0.0; (end - begin) * 2 * HIDDEN];
                let first = (end - new - begin) * 2 * HIDDEN;
                dy[first..].copy_from_slice(&steps_of(&case, &case.dy, HIDDEN, end - new, end));
                let upstream = Upstream::output(View::new(&dy, shape(&case, end - begin, HIDDEN)).unwrap());
                let (mut grads, mut gradients) = (case.network.params().zeros_like(), Gradients::default());
                case.network.backward_keep(&tape, upstream, &mut gradients, &mut grads).unwrap();
                assert_eq!(outcome.output, tape.output().data()[first..], "k1 {k1} k2 {k2} at {end}");
                assert_eq!(outcome.grads, grads, "k1 {k1} k2 {k2} at {end}");
                assert_eq!(outcome.grad_input, gradients.grad_input().unwrap().data());
            }
        }
    }
}

/// With a change after each window, only the steps that the next one shares are run again.
#[test]
fn changed_parameters_run_shared_steps_again() {
    let mut case = case(Cell::Gru, false, false, 7);
    let (outcomes, forward_steps) = train(&mut case, Truncation { k1: 3, k2: 7 }, &[23], Some(Sgd::new(0.1)));
    let all: u64 = outcomes.iter().map(|outcome| outcome.window.end - outcome.window.start).sum();
    assert_eq!(forward_steps, all);
}

/// The state is carried; no gradient passes where it is detached or set.
#[test]
fn the_state_is_carried_or_detached() {
    let case = case(Cell::Lstm, false, false, 8);
    let truncation = Truncation { k1: 4, k2: 12 };
    let mut bptt = TruncatedBptt::new(&case.network, truncation, case.state.clone()).unwrap();
    push(&case, &mut bptt, 0, 12);
    for _ in 0..2 {
        assert!(bptt.forward(&case.network).unwrap());
    }
    let x = steps_of(&case, &case.x, INPUT, 0, 8);
    let input = View::new(&x, [8, 2, INPUT]).unwrap();
    assert_eq!(bptt.state(), &case.network.forward(input, Some(&case.state)).unwrap().1);
    bptt.detach();
    assert!(bptt.forward(&case.network).unwrap());
    assert_eq!(bptt.window(), 8..12);
    bptt.set_state(case.state.clone()).unwrap();
    assert_eq!(bptt.state(), &case.state);
    assert!(!bptt.forward(&case.network).unwrap() && !bptt.finish(&case.network).unwrap());
}

#[test]
fn what_makes_no_sense_is_refused() {
    let case = case(Cell::Gru, false, false, 9);
    let make = |k1, k2| TruncatedBptt::new(&case.network, Truncation { k1, k2 }, case.state.clone());
    assert_eq!(make(0, 4).unwrap_err().to_string(), "k1 must be greater than zero: got 0");
    assert_eq!(make(5, 4).unwrap_err().to_string(), "k2 must be at least k1: got 4 with k1 = 5");
    let both = Network::with_cell(Cell::Gru, INPUT, HIDDEN).bidirectional(true).build().unwrap();
    let state = both.zero_state(2).unwrap();
    assert!(TruncatedBptt::new(&both, Truncation { k1: 1, k2: 1 }, state).is_err());
    let other = Network::with_cell(Cell::Gru, INPUT, HIDDEN).build().unwrap();
    assert!(
        TruncatedBptt::new(&case.network, Truncation { k1: 1, k2: 1 }, other.zero_state(2).unwrap()).is_err()
    );

    let mut bptt = make(4, 4).unwrap();
    let refused = bptt.push(View::new(&[0.0; 2 * 4], [1, 2, 4]).unwrap());
    assert_eq!(refused.unwrap_err().to_string(), "input has inconsistent input_size: got 4, expected 3");
    let one = View::new(&[0.0; 2 * INPUT], [1, 2, INPUT]).unwrap();
    assert!(bptt.push(Input::from(one).lengths(&[1, 1])).is_err());
    assert_eq!(bptt.pending(), 0);
    let mut grads = case.network.params().zeros_like();
    let nothing = bptt.backward(&case.network, Upstream::default(), &mut grads);
    assert_eq!(nothing, Err(Error::TapeConsumed));
    push(&case, &mut bptt, 0, 4);
    assert!(bptt.forward(&case.network).unwrap());
    bptt.backward(&case.network, Upstream::default(), &mut grads).unwrap();
    let again = bptt.backward(&case.network, Upstream::default(), &mut grads);
    assert_eq!(again, Err(Error::TapeConsumed));
}
