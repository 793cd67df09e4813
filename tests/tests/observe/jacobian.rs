//! Explicit Jacobians of one step and their products, in f64, from the oracle's steps.

use gatewise::{Any, Kernels, Network, Tape};
use tests::oracle::{LayerRun, Shape, StackTrace, Upstream, Weights, backward, forward};
use tests::problem::Problem;

/// The state before each step and after the last: rows of a matrix are one step's features.
pub(crate) type Matrix = Vec<Vec<f64>>;

/// A problem's trace by the oracle, and its tape.
pub(crate) fn recorded(problem: &Problem) -> (Network<Any>, Tape, StackTrace) {
    let network = problem.network(Kernels::auto().unwrap());
    let x = problem.layout(&problem.x, problem.setup.input);
    let tape = network.forward_train(problem.input(&x), problem.state(&network).as_ref()).unwrap();
    (network, tape, problem.stack.forward(&problem.stack_run()))
}

/// d(h, c)_s / d(h, c)_{s-1} of row `b` at each of the steps that it takes, in their order, of layer and direction number `track`.
pub(crate) fn step_jacobians(problem: &Problem, trace: &StackTrace, track: usize, b: usize) -> Vec<Matrix> {
    let directions = problem.stack.shape.directions();
    let shape = problem.stack.shape.layer(track / directions);
    let (weights, run, layer) = (&problem.stack.weights[track], &trace.runs[track], &trace.layers[track]);
    let (state, c_state) = (shape.state(), shape.c_state());
    // The oracle keeps a c for the GRU that is its h; the state is h then.
    let c_state = if problem.setup.cell == gatewise::Cell::Lstm { c_state } else { 0 };
    let order = run.order(b);
    order
        .iter()
        .map(|&t| {
            let at = t * run.batch + b;
            let of = |values: &[f64], width: usize| values[at * width..][..width].to_vec();
            let h_0 = of(&layer.h_in, state);
            let c_0 = (c_state > 0).then(|| of(&layer.c_in, c_state));
            one_step(&shape, weights, of(&run.x, shape.input), h_0, c_0, [state, c_state])
        })
        .collect()
}

fn one_step(
    shape: &Shape,
    weights: &Weights,
    x: Vec<f64>,
    h_0: Vec<f64>,
    c_0: Option<Vec<f64>>,
    [state, c_state]: [usize; 2],
) -> Matrix {
    let run = LayerRun { steps: 1, batch: 1, x, h0: Some(h_0), c0: c_0, ..LayerRun::default() };
    let trace = forward(shape, weights, &run);
    (0..state + c_state)
        .map(|i| {
            let unit = |from: usize, len: usize| {
                (0..len).map(|j| if from + j == i { 1.0 } else { 0.0 }).collect::<Vec<f64>>()
            };
            let c_n = (c_state > 0).then(|| unit(state, c_state));
            let upstream = Upstream { h_n: Some(unit(0, state)), c_n, ..Upstream::default() };
            let grads = backward(shape, weights, &run, &trace, &upstream);
            let c0 = if c_state > 0 { &grads.c0[..] } else { &[] };
            [&grads.h0[..], c0].concat()
        })
        .collect()
}

/// A B
pub(crate) fn times(a: &Matrix, b: &Matrix) -> Matrix {
    let column = |j: usize| b.iter().map(move |row| row[j]);
    let entry = |row: &[f64], j: usize| row.iter().zip(column(j)).map(|(a, b)| a * b).sum();
    a.iter().map(|row| (0..b[0].len()).map(|j| entry(row, j)).collect()).collect()
}

/// The identity.
pub(crate) fn identity(n: usize) -> Matrix {
    (0..n).map(|i| (0..n).map(|j| if i == j { 1.0 } else { 0.0 }).collect()).collect()
}

/// ln |det A| and the inverse, by elimination with row exchanges.
pub(crate) fn log_det_and_inverse(a: &Matrix) -> (f64, Matrix) {
    let n = a.len();
    let (mut a, mut inverse, mut log) = (a.clone(), identity(n), 0.0);
    for k in 0..n {
        let pivot = (k..n).max_by(|&i, &j| a[i][k].abs().total_cmp(&a[j][k].abs())).unwrap();
        a.swap(k, pivot);
        inverse.swap(k, pivot);
        let value = a[k][k];
        log += value.abs().ln();
        for row in [&mut a[k], &mut inverse[k]] {
            row.iter_mut().for_each(|entry| *entry /= value);
        }
        for i in (0..n).filter(|&i| i != k) {
            let factor = a[i][k];
            for j in 0..n {
                let (of_a, of_inverse) = (a[k][j], inverse[k][j]);
                a[i][j] -= factor * of_a;
                inverse[i][j] -= factor * of_inverse;
            }
        }
    }
    (log, inverse)
}

/// The Frobenius norm.
pub(crate) fn frobenius(a: &Matrix) -> f64 {
    a.iter().flatten().map(|value| value * value).sum::<f64>().sqrt()
}

#[test]
fn the_inverse_is_one() {
    let a = vec![vec![0.0, 2.0, 1.0], vec![3.0, 1.0, 0.5], vec![1.0, 0.0, 4.0]];
    let (log, inverse) = log_det_and_inverse(&a);
    assert!((log - 24.0_f64.ln()).abs() < 1e-12);
    for (row, expected) in times(&a, &inverse).iter().zip(identity(3)) {
        assert!(row.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12));
    }
}
