//! What the options mean: each is compared with the same thing done by hand without it.

use tests::oracle::{
    Cell, LayerGrads, LayerRun, LayerTrace, Shape, Stack, StackRun, StackShape, Upstream, Weights, backward,
    forward,
};
use tests::rng::Rng;

const STEPS: usize = 5;
const BATCH: usize = 4;
const INPUT: usize = 2;
const HIDDEN: usize = 3;

/// All four cells, without and with a projection.
pub(super) fn shapes() -> Vec<Shape> {
    let of = |cell, proj| Shape { cell, input: INPUT, hidden: HIDDEN, proj };
    Cell::ALL.into_iter().flat_map(|cell| [of(cell, None), of(cell, Some(2))]).collect()
}

/// Weights, a run with initial and reset states, and gradients from above.
pub(super) fn draw(shape: &Shape, rng: &mut Rng) -> (Weights, LayerRun, Upstream) {
    let weights = Weights::filled(shape, true, || rng.uniform(-1.0, 1.0));
    let mut values = |len: usize| Some(rng.vec(len, -1.0, 1.0));
    let run = LayerRun {
        steps: STEPS,
        batch: BATCH,
        x: values(STEPS * BATCH * shape.input).unwrap_or_default(),
        h0: values(BATCH * shape.state()),
        c0: values(BATCH * shape.c_state()),
        reset_h: values(BATCH * shape.state()),
        reset_c: values(BATCH * shape.c_state()),
        ..LayerRun::default()
    };
    let upstream = Upstream {
        out: values(STEPS * BATCH * shape.state()),
        h_n: values(BATCH * shape.state()),
        c_n: values(BATCH * shape.c_state()),
    };
    (weights, run, upstream)
}

/// Row `b`, steps `order`, of a `[T, B, width]` array, as a `[order.len(), 1, width]` array.
fn pick(array: &[f64], b: usize, order: &[usize]) -> Vec<f64> {
    let width = array.len() / (STEPS * BATCH);
    order.iter().flat_map(|t| &array[(t * BATCH + b) * width..][..width]).copied().collect()
}

/// Row `b` of a `[B, width]` array.
fn row(array: &[f64], b: usize) -> Vec<f64> {
    let width = array.len() / BATCH;
    array[b * width..][..width].to_vec()
}

/// Row `b` of a run, alone, with its steps in this order, over the whole length.
fn alone(run: &LayerRun, b: usize, order: &[usize]) -> LayerRun {
    LayerRun {
        steps: order.len(),
        batch: 1,
        x: pick(&run.x, b, order),
        h0: run.h0.as_ref().map(|h| row(h, b)),
        c0: run.c0.as_ref().map(|c| row(c, b)),
        ..LayerRun::default()
    }
}

fn upstream_alone(upstream: &Upstream, b: usize, order: &[usize]) -> Upstream {
    Upstream {
        out: upstream.out.as_ref().map(|d| pick(d, b, order)),
        h_n: upstream.h_n.as_ref().map(|d| row(d, b)),
        c_n: upstream.c_n.as_ref().map(|d| row(d, b)),
    }
}

fn both(shape: &Shape, weights: &Weights, run: &LayerRun, upstream: &Upstream) -> (LayerTrace, LayerGrads) {
    let trace = forward(shape, weights, run);
    let grads = backward(shape, weights, run, &trace, upstream);
    (trace, grads)
}

/// Equal to about 1e-13, relative to the expected value or absolute below 1.
pub(super) fn assert_close(a: &[f64], b: &[f64], what: &str) {
    assert_eq!(a.len(), b.len(), "{what}");
    for (k, (a, b)) in a.iter().zip(b).enumerate() {
        assert!((a - b).abs() <= 1e-13 * b.abs().max(1.0), "{what}: element {k} is {a:e}, expected {b:e}");
    }
}

/// A row in a batch with lengths, in both directions, is that row alone with its steps in order of travel; what
/// stands past its length is not read and comes out as zero; a row of length 0 passes state and gradient through.
#[test]
fn a_row_with_a_length_is_that_row_alone() {
    let mut rng = Rng::new(11);
    for shape in shapes() {
        for reverse in [false, true] {
            let (weights, mut run, mut upstream) = draw(&shape, &mut rng);
            let lengths = [3, 0, STEPS, 1];
            for t in 0..STEPS {
                for b in (0..BATCH).filter(|&b| t >= lengths[b]) {
                    let at = t * BATCH + b;
                    run.x[at * INPUT..][..INPUT].fill(f64::NAN);
                    let width = shape.state();
                    upstream.out.iter_mut().for_each(|d| d[at * width..][..width].fill(f64::NAN));
                }
            }
            run.lengths = Some(lengths.to_vec());
            run.reverse = reverse;
            let (trace, grads) = both(&shape, &weights, &run, &upstream);

            let mut summed = weights.zeros_like();
            for b in 0..BATCH {
                let mut order: Vec<usize> = (0..lengths[b]).collect();
                let rest: Vec<usize> = (lengths[b]..STEPS).collect();
                if reverse {
                    order.reverse();
                }
                let one = alone(&run, b, &order);
                let (own, own_grads) = both(&shape, &weights, &one, &upstream_alone(&upstream, b, &order));
                let label = format!("{shape:?} reverse {reverse} row {b}");
                assert_eq!(pick(&trace.out, b, &order), own.out, "{label}");
                assert_eq!(row(&trace.h_n, b), own.h_n, "{label}");
                assert_eq!(row(&trace.c_n, b), own.c_n, "{label}");
                assert_eq!(pick(&trace.gates, b, &order), own.gates, "{label}");
                assert_eq!(pick(&grads.x, b, &order), own_grads.x, "{label}");
                assert_eq!(pick(&grads.h, b, &order), own_grads.h, "{label}");
                assert_eq!(pick(&grads.c, b, &order), own_grads.c, "{label}");
                assert_eq!(row(&grads.h0, b), own_grads.h0, "{label}");
                assert_eq!(row(&grads.c0, b), own_grads.c0, "{label}");
                let (f, g) = (&trace, &grads);
                let kept = [&f.out, &f.c, &f.h_in, &f.c_in, &f.xa, &f.ha, &f.gates, &f.u];
                for past in kept.into_iter().chain([&g.x, &g.h, &g.c, &g.xa, &g.ha]) {
                    assert!(pick(past, b, &rest).iter().all(|&value| value == 0.0), "{label}");
                }
                if lengths[b] == 0 {
                    assert_eq!(Some(row(&trace.h_n, b)), run.h0.as_ref().map(|h| row(h, b)), "{label}");
                    assert_eq!(Some(row(&grads.h0, b)), upstream.h_n.as_ref().map(|d| row(d, b)), "{label}");
                    assert_eq!(Some(row(&grads.c0, b)), upstream.c_n.as_ref().map(|d| row(d, b)), "{label}");
                }
                for ((_, sum), (_, own)) in summed.tensors_mut().into_iter().zip(own_grads.weights.tensors())
                {
                    sum.iter_mut().zip(own).for_each(|(sum, own)| *sum += own);
                }
            }
            for ((name, grad), (_, sum)) in grads.weights.tensors().into_iter().zip(summed.tensors()) {
                assert_close(grad, sum, &format!("{shape:?} reverse {reverse} {name}"));
            }
        }
    }
}

/// A reset at step `t` cuts the row: the steps before it know nothing of those after it, and those start from the
/// reset state, or from zeros, and send their gradient there.
#[test]
fn a_reset_cuts_the_row() {
    let mut rng = Rng::new(12);
    for shape in shapes() {
        for reverse in [false, true] {
            for to_state in [false, true] {
                let (weights, mut run, upstream) = draw(&shape, &mut rng);
                if !to_state {
                    (run.reset_h, run.reset_c) = (None, None);
                }
                // Row b is reset before the step that is number cut[b] in order of travel; row 3 never.
                let cut = [2, 0, STEPS - 1, STEPS];
                let order: Vec<usize> =
                    if reverse { (0..STEPS).rev().collect() } else { (0..STEPS).collect() };
                let mut resets = vec![false; STEPS * BATCH];
                for b in (0..BATCH).filter(|&b| cut[b] < STEPS) {
                    resets[order[cut[b]] * BATCH + b] = true;
                }
                (run.resets, run.reverse) = (Some(resets), reverse);
                let (trace, grads) = both(&shape, &weights, &run, &upstream);

                for b in 0..BATCH {
                    let label = format!("{shape:?} reverse {reverse} to state {to_state} row {b}");
                    let (before, after) = order.split_at(cut[b]);
                    let first = alone(&run, b, before);
                    let mut first_upstream = upstream_alone(&upstream, b, before);
                    if !after.is_empty() {
                        // The final state of the row is that of the second part.
                        (first_upstream.h_n, first_upstream.c_n) = (None, None);
                    }
                    let (one, one_grads) = both(&shape, &weights, &first, &first_upstream);
                    assert_eq!(pick(&trace.out, b, before), one.out, "{label}");
                    assert_eq!(pick(&grads.x, b, before), one_grads.x, "{label}");
                    assert_eq!(row(&grads.h0, b), one_grads.h0, "{label}");
                    assert_eq!(row(&grads.c0, b), one_grads.c0, "{label}");
                    if after.is_empty() {
                        assert_eq!(row(&trace.h_n, b), one.h_n, "{label}");
                        assert!(row(&grads.reset_h, b).iter().all(|&d| d == 0.0), "{label}");
                        continue;
                    }
                    let mut second = alone(&run, b, after);
                    second.h0 = run.reset_h.as_ref().map(|h| row(h, b));
                    second.c0 = run.reset_c.as_ref().map(|c| row(c, b));
                    let second_upstream = upstream_alone(&upstream, b, after);
                    let (two, two_grads) = both(&shape, &weights, &second, &second_upstream);
                    assert_eq!(pick(&trace.out, b, after), two.out, "{label}");
                    assert_eq!(row(&trace.h_n, b), two.h_n, "{label}");
                    assert_eq!(row(&trace.c_n, b), two.c_n, "{label}");
                    assert_eq!(pick(&grads.x, b, after), two_grads.x, "{label}");
                    assert_eq!(row(&grads.reset_h, b), two_grads.h0, "{label}");
                    assert_eq!(row(&grads.reset_c, b), two_grads.c0, "{label}");
                }
            }
        }
    }
}

/// With `h = W_hr u`, `W_hh h = (W_hh W_hr) u`: a projected cell is the plain cell with the product as its
/// `w_hh`, and its outputs are that cell's outputs, projected.
#[test]
fn a_projection_is_a_factor_of_w_hh() {
    let mut rng = Rng::new(13);
    for cell in Cell::ALL {
        let plain = Shape { cell, input: INPUT, hidden: HIDDEN, proj: None };
        let projected = Shape { proj: Some(2), ..plain };
        let (weights, mut run, _) = draw(&projected, &mut rng);
        // States of the plain cell; h0 of the projected one is its projection.
        let u0 = rng.vec(BATCH * HIDDEN, -1.0, 1.0);
        let w_hr = weights.w_hr.clone().unwrap_or_default();
        let project = |u: &[f64]| -> Vec<f64> {
            let dot = |row: &[f64], u: &[f64]| row.iter().zip(u).map(|(w, u)| w * u).sum::<f64>();
            u.chunks(HIDDEN).flat_map(|u| w_hr.chunks(HIDDEN).map(move |row| dot(row, u))).collect()
        };
        let mut merged = Weights { w_hr: None, ..weights.clone() };
        merged.w_hh = weights
            .w_hh
            .chunks(2)
            .flat_map(|row| {
                (0..HIDDEN).map(|j| row[0] * w_hr[j] + row[1] * w_hr[HIDDEN + j]).collect::<Vec<_>>()
            })
            .collect();

        run.h0 = Some(project(&u0));
        (run.reset_h, run.reset_c) = (None, None);
        let mut plain_run = LayerRun { h0: Some(u0.clone()), ..run.clone() };
        match cell {
            // The projected GRU's c is its unprojected state; the plain one has no c.
            Cell::Gru => (run.c0, plain_run.c0) = (Some(u0), None),
            _ => plain_run.c0.clone_from(&run.c0),
        }
        let (a, b) = (forward(&projected, &weights, &run), forward(&plain, &merged, &plain_run));
        assert_close(&a.out, &project(&b.out), &format!("{cell:?} out"));
        assert_close(&a.h_n, &project(&b.h_n), &format!("{cell:?} h_n"));
        assert_close(&a.u, &b.out, &format!("{cell:?} u"));
        assert_close(&a.c_n, if cell == Cell::Gru { &b.h_n } else { &b.c_n }, &format!("{cell:?} c_n"));
    }
}

/// A missing bias, initial state, reset state or gradient is one of zeros, to the bit.
#[test]
fn what_is_missing_is_zero() {
    let mut rng = Rng::new(14);
    for shape in shapes() {
        let (mut weights, mut run, mut upstream) = draw(&shape, &mut rng);
        run.resets = Some((0..STEPS * BATCH).map(|k| k % 7 == 3).collect());
        let zero = |array: &mut Option<Vec<f64>>| array.iter_mut().for_each(|array| array.fill(0.0));
        let (b_ih, b_hh) = (&mut weights.b_ih, &mut weights.b_hh);
        for array in [b_ih, b_hh, &mut run.h0, &mut run.c0, &mut run.reset_h, &mut run.reset_c] {
            zero(array);
        }
        zero(&mut upstream.h_n);
        zero(&mut upstream.c_n);
        let zeros = both(&shape, &weights, &run, &upstream);

        let weights = Weights { b_ih: None, b_hh: None, ..weights };
        let run = LayerRun { h0: None, c0: None, reset_h: None, reset_c: None, ..run };
        let upstream = Upstream { out: upstream.out, ..Upstream::default() };
        let mut missing = both(&shape, &weights, &run, &upstream);
        assert_eq!((&missing.1.weights.b_ih, &missing.1.weights.b_hh), (&None, &None));
        missing.1.weights.b_ih.clone_from(&zeros.1.weights.b_ih);
        missing.1.weights.b_hh.clone_from(&zeros.1.weights.b_hh);
        assert_eq!(zeros, missing, "{shape:?}");
    }
}

/// A stack is its layers one after the other: outputs of both directions side by side, times the mask.
#[test]
fn a_stack_is_its_layers_in_a_row() {
    let mut rng = Rng::new(15);
    for cell in Cell::ALL {
        let shape = StackShape { bidirectional: true, ..StackShape::new(cell, 2, 3, 2) };
        let stack = Stack::filled(shape.clone(), true, || rng.uniform(-1.0, 1.0));
        let mask: Vec<f64> = (0..STEPS * BATCH * 6).map(|_| rng.uniform(0.0, 2.0)).collect();
        let resets: Vec<bool> = (0..STEPS * BATCH).map(|_| rng.chance(0.3)).collect();
        let (state, c_state) = (BATCH * shape.layer(0).state(), BATCH * shape.layer(0).c_state());
        let run = StackRun {
            steps: STEPS,
            batch: BATCH,
            x: rng.vec(STEPS * BATCH * 2, -1.0, 1.0),
            h0: Some(rng.vec(4 * state, -1.0, 1.0)),
            c0: Some(rng.vec(4 * c_state, -1.0, 1.0)),
            lengths: Some(vec![3, 5, 0, 4]),
            resets: Some(resets),
            reset_h: Some(rng.vec(4 * state, -1.0, 1.0)),
            reset_c: Some(rng.vec(4 * c_state, -1.0, 1.0)),
            flush_below: Some(1e-3),
            dropout: Some(vec![mask.clone()]),
            options: None,
        };
        let trace = stack.forward(&run);

        let part = |array: &Option<Vec<f64>>, index: usize, len: usize| {
            array.as_ref().map(|array| array[index * len..][..len].to_vec())
        };
        let mut input = run.x.clone();
        for layer in 0..2 {
            let mut out = vec![0.0; STEPS * BATCH * 6];
            for direction in 0..2 {
                let index = layer * 2 + direction;
                let own = LayerRun {
                    steps: STEPS,
                    batch: BATCH,
                    x: input.clone(),
                    h0: part(&run.h0, index, state),
                    c0: part(&run.c0, index, c_state),
                    reverse: direction == 1,
                    lengths: run.lengths.clone(),
                    resets: run.resets.clone(),
                    reset_h: part(&run.reset_h, index, state),
                    reset_c: part(&run.reset_c, index, c_state),
                    flush_below: run.flush_below,
                    options: None,
                };
                let own = forward(&shape.layer(layer), &stack.weights[index], &own);
                assert_eq!(part(&Some(trace.h_n.clone()), index, state), Some(own.h_n), "{cell:?}");
                assert_eq!(part(&Some(trace.c_n.clone()), index, c_state), Some(own.c_n), "{cell:?}");
                for (k, value) in own.out.iter().enumerate() {
                    out[k / 3 * 6 + direction * 3 + k % 3] = *value;
                }
            }
            input = if layer == 0 { out.iter().zip(&mask).map(|(o, m)| o * m).collect() } else { out };
        }
        assert_eq!(trace.out, input, "{cell:?}");
    }
}

/// No row, no step.
#[test]
fn nothing_in_nothing_out() {
    for shape in shapes() {
        let weights = Weights::filled(&shape, true, || 0.5);
        let run = LayerRun { steps: 3, ..LayerRun::default() };
        let (trace, grads) = both(&shape, &weights, &run, &Upstream::default());
        assert!(trace.out.is_empty() && trace.h_n.is_empty() && grads.x.is_empty());
        assert_eq!(grads.weights, weights.zeros_like());

        let h0 = Some(vec![0.25; shape.state()]);
        let run = LayerRun { batch: 1, h0: h0.clone(), ..LayerRun::default() };
        assert_eq!(Some(forward(&shape, &weights, &run).h_n), h0);
    }
}

/// A relu sends no gradient at exactly 0, as in PyTorch, and keeps a NaN.
#[test]
fn relu_at_its_kink() {
    let shape = Shape { cell: Cell::RnnRelu, input: 1, hidden: 2, proj: None };
    let weights = Weights { w_ih: vec![0.0, 1.0], w_hh: vec![0.0; 4], b_ih: None, b_hh: None, w_hr: None };
    let run = |x: f64| LayerRun { steps: 1, batch: 1, x: vec![x], ..LayerRun::default() };
    let upstream = Upstream { out: Some(vec![5.0, 7.0]), ..Upstream::default() };
    let (trace, grads) = both(&shape, &weights, &run(3.0), &upstream);
    assert_eq!((trace.out, grads.xa), (vec![0.0, 3.0], vec![0.0, 7.0]));
    let (trace, grads) = both(&shape, &weights, &run(-3.0), &upstream);
    assert_eq!((trace.out, grads.xa), (vec![0.0, 0.0], vec![0.0, 0.0]));
    assert!(forward(&shape, &weights, &run(f64::NAN)).out[1].is_nan());
}
