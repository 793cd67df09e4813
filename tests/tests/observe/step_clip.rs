//! Limits on dL/dh of each step: against the oracle's steps with the same limit, and what must hold whatever the gradients are.

use super::flow::pass;
use gatewise::{
    Activation, Cell, Kernels, Memory, Observer, Rnn, StepClip, TruncatedBptt, Truncation, Upstream, View,
};
use proptest::prelude::*;
use tests::bounds::{largest, same_bits, same_slices};
use tests::oracle::{LayerRun, Upstream as OracleUpstream, backward, forward};
use tests::problem::Problem;
use tests::setup::{Setup, cases, setups};

/// The limit, in f64.
fn limited(clip: StepClip, dh: &[f64]) -> Vec<f64> {
    match clip {
        StepClip::Value(limit) => {
            dh.iter().map(|value| value.clamp(-f64::from(limit), f64::from(limit))).collect()
        }
        StepClip::Norm(limit) => {
            let norm = dh.iter().map(|value| value * value).sum::<f64>().sqrt();
            let factor = if norm > f64::from(limit) { f64::from(limit) / norm } else { 1.0 };
            dh.iter().map(|value| value * factor).collect()
        }
    }
}

/// One layer in one direction, step by step: the gradients of its parameters in PyTorch's order, and of the first h.
fn by_steps(problem: &Problem, clip: StepClip) -> (Vec<Vec<f64>>, Vec<f64>) {
    let trace = problem.stack.forward(&problem.stack_run());
    let (shape, weights) = (problem.stack.shape.layer(0), &problem.stack.weights[0]);
    let (run, layer, upstream) = (&trace.runs[0], &trace.layers[0], problem.upstream());
    let hidden = shape.hidden;
    let mut sums: Vec<Vec<f64>> = weights.tensors().iter().map(|(_, t)| vec![0.0; t.len()]).collect();
    let mut first = vec![0.0; run.batch * hidden];
    let row = |values: &Option<Vec<f64>>, at: usize| {
        values.as_ref().map_or(vec![0.0; hidden], |values| values[at * hidden..][..hidden].to_vec())
    };
    for b in 0..run.batch {
        let has_c = problem.setup.cell == Cell::Lstm;
        let (mut dh, mut dc) = (row(&upstream.h_n, b), if has_c { row(&upstream.c_n, b) } else { vec![] });
        for t in run.order(b).into_iter().rev() {
            let at = t * run.batch + b;
            dh.iter_mut().zip(row(&upstream.out, at)).for_each(|(dh, dy)| *dh += dy);
            let of = |values: &[f64], width: usize| values[at * width..][..width].to_vec();
            let step = LayerRun {
                steps: 1,
                batch: 1,
                x: of(&run.x, shape.input),
                h0: Some(of(&layer.h_in, hidden)),
                c0: has_c.then(|| of(&layer.c_in, hidden)),
                ..LayerRun::default()
            };
            let c_n = has_c.then(|| dc.clone());
            let from_above =
                OracleUpstream { h_n: Some(limited(clip, &dh)), c_n, ..OracleUpstream::default() };
            let grads = backward(&shape, weights, &step, &forward(&shape, weights, &step), &from_above);
            for (sum, (_, grad)) in sums.iter_mut().zip(grads.weights.tensors()) {
                sum.iter_mut().zip(grad).for_each(|(sum, grad)| *sum += grad);
            }
            dh = grads.h0;
            dc = if has_c { grads.c0 } else { vec![] };
        }
        first[b * hidden..][..hidden].copy_from_slice(&dh);
    }
    (sums, first)
}

/// Every cell, both limits, with lengths and resets; within the bound of a gradient without a limit:
///
/// ```text
/// |got - expected| <= 8 ceil(log2 K) eps T B max(1, largest)        K = T (I + H)
/// ```
#[test]
fn the_oracles_steps_with_the_same_limit() {
    for cell in [Cell::RnnTanh, Cell::Lstm, Cell::Gru] {
        for clip in [StepClip::Norm(0.3), StepClip::Value(0.1)] {
            let setup =
                Setup { cell, hidden: 9, input: 4, steps: 12, batch: 3, ragged: true, ..Setup::default() };
            let problem = setup.problem();
            let (expected, first) = by_steps(&problem, clip);
            let terms = ((setup.steps * (setup.input + setup.hidden)) as f64).log2().ceil();
            let bound = 8.0 * terms * f64::from(f32::EPSILON) * (setup.steps * setup.batch) as f64;
            for kernels in Kernels::available().unwrap() {
                let network = problem.network(kernels);
                let free = pass(&problem, &network, Memory::Full, None, None);
                let got = pass(&problem, &network, Memory::Full, Some(clip), None);
                assert!(same_bits(&free, &got).is_err(), "{cell:?}: the limit limits nothing");
                let parameters = got.list.iter().filter(|(name, _)| name.contains("_l0"));
                let mut pairs: Vec<_> = parameters.zip(&expected).collect();
                assert_eq!(pairs.len(), expected.len());
                pairs.push((&got.list[2], &first));
                for ((name, got), expected) in pairs {
                    let allowed = bound * largest(expected).max(1.0);
                    for (got, expected) in got.iter().zip(expected) {
                        let error = (f64::from(*got) - expected).abs();
                        assert!(error <= allowed, "{cell:?} {clip:?} {name}: {got}, not {expected}");
                    }
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(cases(64))]

    /// Steps one at a time, and a limit that nothing reaches: the bits of a pass without.
    #[test]
    fn what_is_within_the_limit_keeps_its_bits(setup in setups(1 << 14)) {
        let problem = setup.problem();
        for kernels in Kernels::available().unwrap() {
            let network = problem.network(kernels);
            let free = pass(&problem, &network, Memory::Full, None, None);
            for clip in [StepClip::Norm(f32::MAX), StepClip::Value(f32::INFINITY)] {
                let got = pass(&problem, &network, Memory::Full, Some(clip), None);
                let same = same_bits(&free, &got);
                prop_assert!(same.is_ok(), "{clip:?} on {}: {same:?}", kernels.isa());
            }
        }
    }

    /// No row's dL/dh is longer than the limit, to one rounding of each element: of a batch of one row the observer sees it.
    #[test]
    fn no_step_is_above_the_limit(setup in setups(1 << 12), limit in 0.0..2.0_f32) {
        let problem = Setup { batch: 1, ..setup }.problem();
        let network = problem.network(Kernels::auto().unwrap());
        for clip in [StepClip::Norm(limit), StepClip::Value(limit)] {
            let mut observer = Observer::new(&network);
            pass(&problem, &network, Memory::Full, Some(clip), Some(&mut observer));
            let flow = observer.flow();
            let values = flow.tracks.iter().flat_map(|track| track.h.iter().map(|h| (track.layer, h)));
            for (layer, h) in values {
                let most = match clip {
                    StepClip::Norm(limit) => f64::from(limit),
                    StepClip::Value(limit) => f64::from(limit) * (problem.setup.state_of(layer) as f64).sqrt(),
                };
                prop_assert!(*h <= most * (1.0 + f64::from(f32::EPSILON)) + 1e-40, "{h:e} above {most:e}");
            }
        }
    }
}

/// A stream of one window has the bits of the whole sequence, limit and all, and refuses a limit that is none.
#[test]
fn streams_have_the_limit_too() {
    let gru = gatewise::Gru::builder(2, 5).seed(4).build().unwrap();
    let x: Vec<f32> = (0..24).map(|i| (i as f32).sin()).collect();
    let (x, dy) = (View::new(&x, [12, 1, 2]).unwrap(), [1.0; 60]);
    let upstream = Upstream::output(View::new(&dy, [12, 1, 5]).unwrap());
    let gradients = |clip: Option<StepClip>| {
        let (mut whole, mut windows) = (gru.params().zeros_like(), gru.params().zeros_like());
        let upstream = Upstream { clip, ..upstream };
        gru.backward(&mut gru.forward_train(x, None).unwrap(), upstream, &mut whole).unwrap();
        let truncation = Truncation { k1: 12, k2: 12 };
        let mut bptt = TruncatedBptt::new(&gru, truncation, gru.zero_state(1).unwrap()).unwrap();
        bptt.push(x).unwrap();
        assert!(bptt.forward(&gru).unwrap());
        let bad = Upstream { clip: Some(StepClip::Norm(-1.0)), ..upstream };
        assert!(bptt.backward(&gru, bad, &mut windows).is_err());
        bptt.backward(&gru, upstream, &mut windows).unwrap();
        for (a, b) in whole.iter().zip(windows.iter()) {
            same_slices(a.name(), a.data(), b.data()).unwrap();
        }
        whole.get("weight_hh_l0").unwrap().data().to_vec()
    };
    assert_ne!(gradients(None), gradients(Some(StepClip::Norm(0.5))));
}

/// h' = 1.5 h: without a limit the gradient grows by half a step; with one it stays.
#[test]
fn an_exploding_gradient_is_held() {
    let mut rnn = Rnn::builder(1, 2).activation(Activation::Identity).build().unwrap();
    let mut params = rnn.params_mut();
    params.fill(0.0);
    params.get_mut("weight_hh_l0").unwrap().data_mut().copy_from_slice(&[1.5, 0.0, 0.0, 1.5]);
    drop(params);
    let h = |clip: Option<StepClip>| {
        let mut tape = rnn.forward_train(View::new(&[0.0; 100], [100, 1, 1]).unwrap(), None).unwrap();
        let mut observer = Observer::new(&rnn);
        let upstream = Upstream { h_n: Some(&[3.0, 4.0]), clip, ..Upstream::default() };
        observer.backward(&rnn, &mut tape, upstream, &mut rnn.params().zeros_like()).unwrap();
        // The direction stays.
        let of_first = tape.grad_h_0();
        assert!((of_first[1] / of_first[0] - 4.0 / 3.0).abs() < 1e-4);
        observer.flow().tracks[0].h.clone()
    };
    let free = h(None);
    assert!((free[0].ln() - (5.0 * 1.5_f64.powi(99)).ln()).abs() < 1e-3);
    assert!(h(Some(StepClip::Norm(1.0))).iter().all(|h| (h - 1.0).abs() < 1e-6));
}
