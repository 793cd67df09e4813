//! The gradients of the states inside a sequence, and the flush rule.

use tests::oracle::{Cell, LayerRun, Shape, Upstream, Weights, backward, flush, forward};
use tests::rng::Rng;

use super::meaning::{assert_close, draw, shapes};

/// Steps and rows of `draw`.
const STEPS: usize = 5;
const BATCH: usize = 4;

/// Step `t` of a `[T, B, width]` array.
fn at(array: &[f64], t: usize) -> Vec<f64> {
    let width = array.len() / STEPS;
    array[t * width..][..width].to_vec()
}

/// Only the steps `from..` of a run, from this state.
fn tail(shape: &Shape, run: &LayerRun, from: usize, h: &[f64], c: &[f64]) -> LayerRun {
    LayerRun {
        steps: STEPS - from,
        batch: BATCH,
        x: run.x[from * BATCH * shape.input..].to_vec(),
        h0: Some(h.to_vec()),
        c0: Some(c.to_vec()),
        ..LayerRun::default()
    }
}

/// `sum(out * d_out) + sum(h_n * d_h) + sum(c_n * d_c)` of steps `from..`, from this state.
fn loss(
    shape: &Shape,
    weights: &Weights,
    run: &LayerRun,
    up: &Upstream,
    from: usize,
    h: &[f64],
    c: &[f64],
) -> f64 {
    let trace = forward(shape, weights, &tail(shape, run, from, h, c));
    let dot = |a: &[f64], d: &[f64]| a.iter().zip(d).map(|(a, d)| a * d).sum::<f64>();
    let out = up.out.as_deref().unwrap_or_default();
    let (d_h, d_c) = (up.h_n.as_deref().unwrap_or_default(), up.c_n.as_deref().unwrap_or_default());
    dot(&trace.out, &out[from * BATCH * shape.state()..]) + dot(&trace.h_n, d_h) + dot(&trace.c_n, d_c)
}

/// `dL/dh[t]` and `dL/dc[t]` are total: changing the state after step `t` by hand, and with it the output of that
/// step, changes the loss by them.
#[test]
fn gradients_of_states_are_total() {
    let mut rng = Rng::new(21);
    let eps = 1e-6;
    for shape in shapes() {
        let (weights, run, up) = draw(&shape, &mut rng);
        let trace = forward(&shape, &weights, &run);
        let grads = backward(&shape, &weights, &run, &trace, &up);
        let d_out = up.out.clone().unwrap_or_default();
        for t in 0..STEPS {
            let (h, c) = (at(&trace.out, t), at(&trace.c, t));
            // The loss as a function of the state after step t, whose h is also the output of that step.
            let total = |h: &[f64], c: &[f64]| {
                let own: f64 = h.iter().zip(at(&d_out, t)).map(|(h, d)| h * d).sum();
                own + loss(&shape, &weights, &run, &up, t + 1, h, c)
            };
            // h[t] as a function of c[t]: o tanh(c) for the LSTM, c itself for the GRU, then the projection.
            let h_of = |c: &[f64]| -> Vec<f64> {
                let gates = at(&trace.gates, t);
                let u: Vec<f64> = (0..c.len())
                    .map(|k| match shape.cell {
                        Cell::Lstm => gates[k / 3 * 12 + 9 + k % 3] * c[k].tanh(),
                        _ => c[k],
                    })
                    .collect();
                let Some(w_hr) = &weights.w_hr else { return u };
                let dot = |w: &[f64], u: &[f64]| w.iter().zip(u).map(|(w, u)| w * u).sum::<f64>();
                u.chunks(3).flat_map(|u| w_hr.chunks(3).map(move |w| dot(w, u))).collect()
            };
            let moved = |values: &[f64], k: usize, by: f64| {
                let mut values = values.to_vec();
                values[k] += by;
                values
            };
            for k in 0..h.len() {
                let numeric = total(&moved(&h, k, eps), &c) - total(&moved(&h, k, -eps), &c);
                let analytic = at(&grads.h, t)[k];
                let label = format!("{shape:?} h[{t}][{k}]");
                assert!((numeric / (2.0 * eps) - analytic).abs() <= 1e-8, "{label}: {analytic}");
            }
            for k in 0..c.len() {
                let (up, down) = (moved(&c, k, eps), moved(&c, k, -eps));
                let numeric = total(&h_of(&up), &up) - total(&h_of(&down), &down);
                let analytic = at(&grads.c, t)[k];
                let label = format!("{shape:?} c[{t}][{k}]");
                assert!((numeric / (2.0 * eps) - analytic).abs() <= 1e-8, "{label}: {analytic}");
            }
        }
    }
}

#[test]
fn flush_keeps_the_sign_and_what_is_large() {
    for value in [0.0_f64, -0.0, 0.3, -0.3, f64::INFINITY] {
        assert_eq!(flush(value, None).to_bits(), value.to_bits());
    }
    assert_eq!(flush(0.1, Some(0.2)).to_bits(), 0.0_f64.to_bits());
    assert_eq!(flush(-0.1, Some(0.2)).to_bits(), (-0.0_f64).to_bits());
    assert_eq!(flush(0.2, Some(0.2)), 0.2);
    assert_eq!(flush(-0.3, Some(0.2)), -0.3);
    assert!(flush(f64::NAN, Some(0.2)).is_nan());
}

/// The flush rule over a sequence is the rule after every single step, forward and backward.
#[test]
fn flush_in_a_sequence_is_flush_after_every_step() {
    let below = Some(0.25);
    let all = |values: &[f64], below| values.iter().map(|&value| flush(value, below)).collect::<Vec<f64>>();
    let mut rng = Rng::new(22);
    let mut flushed = [0; 4];
    for shape in shapes() {
        let (weights, mut run, up) = draw(&shape, &mut rng);
        run.flush_below = below;
        let trace = forward(&shape, &weights, &run);
        let grads = backward(&shape, &weights, &run, &trace, &up);
        let lost = |values: &[f64]| values.iter().filter(|&&value| value == 0.0).count();
        for (count, values) in flushed.iter_mut().zip([&trace.out, &trace.c, &grads.h, &grads.c]) {
            *count += lost(values);
        }
        // One step of the same run from this state, with the flush rule or without.
        let step = |t: usize, h: &[f64], c: &[f64], flush_below: Option<f64>| LayerRun {
            steps: 1,
            batch: BATCH,
            x: at(&run.x, t),
            h0: Some(h.to_vec()),
            c0: Some(c.to_vec()),
            flush_below,
            ..LayerRun::default()
        };
        // Forward: the raw step, then the rule.
        let (mut h, mut c) = (run.h0.clone().unwrap_or_default(), run.c0.clone().unwrap_or_default());
        let mut states = vec![];
        for t in 0..STEPS {
            states.push((h.clone(), c.clone()));
            let raw = forward(&shape, &weights, &step(t, &h, &c, None));
            (h, c) = (all(&raw.h_n, below), all(&raw.c_n, below));
            assert_eq!((at(&trace.out, t), at(&trace.c, t)), (h.clone(), c.clone()), "{shape:?} step {t}");
        }
        assert_eq!((&trace.h_n, &trace.c_n), (&h, &c), "{shape:?}");

        // Backward: dh and dc are flushed once they are complete. A step without the rule gets a dc from above
        // that makes its complete dc the flushed one.
        let (mut dh, mut dc) = (up.h_n.unwrap_or_default(), up.c_n.unwrap_or_default());
        for t in (0..STEPS).rev() {
            let label = format!("{shape:?} step {t}");
            dh = sum(&dh, &at(up.out.as_deref().unwrap_or_default(), t));
            dh = all(&dh, below);
            let mut one = step(t, &states[t].0, &states[t].1, below);
            let own = forward(&shape, &weights, &one);
            one.flush_below = None;
            let above = |dc: &[f64]| Upstream { out: None, h_n: Some(dh.clone()), c_n: Some(dc.to_vec()) };
            let complete = backward(&shape, &weights, &one, &own, &above(&dc)).c;
            let lost: Vec<f64> = complete.iter().map(|&d| flush(d, below) - d).collect();
            let own = backward(&shape, &weights, &one, &own, &above(&sum(&dc, &lost)));
            assert_close(&at(&grads.h, t), &dh, &label);
            assert_close(&at(&grads.c, t), &all(&complete, below), &label);
            assert_close(&at(&grads.xa, t), &own.xa, &label);
            assert_close(&at(&grads.x, t), &own.x, &label);
            (dh, dc) = (own.h0, own.c0);
        }
        // What leaves the sequence is not complete: more may come to it in a step before.
        assert_close(&grads.h0, &dh, &format!("{shape:?} h0"));
        assert_close(&grads.c0, &dc, &format!("{shape:?} c0"));
    }
    assert!(flushed.iter().all(|&count| count > 20), "hardly anything was flushed: {flushed:?}");
}

fn sum(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}
