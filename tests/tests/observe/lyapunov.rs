//! Lyapunov exponents against eigenvalues and determinants.

use super::jacobian::{frobenius, log_det_and_inverse, recorded, step_jacobians};
use gatewise::{Activation, Cell, Kernels, Rnn, View, lyapunov_exponents};
use tests::rng::Rng;
use tests::setup::Setup;

/// A linear network h' = W h + x with that W.
fn linear(w: &[f64], n: usize, activation: Option<Activation>, bias: f32) -> Rnn {
    let mut builder = Rnn::builder(1, n).kernels(Kernels::auto().unwrap());
    builder = match activation {
        Some(activation) => builder.activation(activation),
        None => builder.nonlinearity(gatewise::Nonlinearity::Relu),
    };
    let mut rnn = builder.build().unwrap();
    let mut params = rnn.params_mut();
    params.fill(0.0);
    for (to, from) in params.get_mut("weight_hh_l0").unwrap().data_mut().iter_mut().zip(w) {
        *to = *from as f32;
    }
    params.get_mut("bias_ih_l0").unwrap().data_mut().fill(bias);
    drop(params);
    rnn
}

/// An orthogonal matrix, rows orthonormalised one after another.
fn orthogonal(n: usize, rng: &mut Rng) -> Vec<Vec<f64>> {
    let mut rows: Vec<Vec<f64>> = Vec::new();
    while rows.len() < n {
        let mut row = rng.vec(n, -1.0, 1.0);
        for _ in 0..2 {
            for other in &rows {
                let dot: f64 = row.iter().zip(other).map(|(a, b)| a * b).sum();
                row.iter_mut().zip(other).for_each(|(a, b)| *a -= dot * b);
            }
        }
        let norm = row.iter().map(|value| value * value).sum::<f64>().sqrt();
        rows.push(row.iter().map(|value| value / norm).collect());
    }
    rows
}

/// W = Q diag(lambda) Q^T, identity activation: the exponents are the logarithms of |lambda|, up to what the random basis is off from
/// Q at the start, which T steps divide by T: minors of a random orthogonal matrix of this size are not below e^-10.
#[test]
fn a_symmetric_linear_map_has_its_eigenvalues() {
    let lambda = [1.25_f64, -0.8, 0.5, 0.3, -0.1];
    let (n, steps) = (lambda.len(), 300);
    let mut rng = Rng::new(4);
    let q = orthogonal(n, &mut rng);
    let mut w = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..n {
            w[i * n + j] = (0..n).map(|k| q[k][i] * lambda[k] * q[k][j]).sum();
        }
    }
    let rnn = linear(&w, n, Some(Activation::Identity), 0.0);
    let x = vec![0.0; steps * 2];
    let input = View::new(&x, [steps, 2, 1]).unwrap();
    let lyapunov = lyapunov_exponents(&rnn, input, None, n, 7).unwrap();
    assert_eq!((lyapunov.steps, lyapunov.tracks.len()), (steps, 1));
    let track = &lyapunov.tracks[0];
    for (got, lambda) in track.exponents.iter().zip(lambda) {
        assert!((got - lambda.abs().ln()).abs() <= 10.0 / steps as f64, "{got} for {lambda}");
    }
    assert!(track.exponents[0] > 0.0 && track.exponents[1] < 0.0);
    // The sum is that of ln |det W| to rounding: n sums of n terms a step, in the worst condition.
    let det: f64 = lambda.iter().map(|lambda| lambda.abs().ln()).sum();
    let allowed = (n * n) as f64 * 4.0 * f64::from(f32::EPSILON) * 1.25 / 0.1;
    for row in &track.rows {
        let sum: f64 = row.iter().sum();
        assert!((sum - det).abs() <= allowed, "{sum} for {det}");
    }
    // The leading exponents do not need the others.
    let two = lyapunov_exponents(&rnn, input, None, 2, 7).unwrap();
    for (got, lambda) in two.tracks[0].exponents.iter().zip(lambda) {
        assert!((got - lambda.abs().ln()).abs() <= 10.0 / steps as f64, "{got} for {lambda}");
    }
}

/// A triangular W of no negative element, and a positive input: relu is the identity, and the eigenvalues are on the diagonal.
#[test]
fn a_relu_that_never_cuts() {
    let w = [0.95, 0.0, 0.0, 0.4, 0.6, 0.0, 0.2, 0.7, 0.35];
    let rnn = linear(&w, 3, None, 0.1);
    let x = vec![0.5; 400];
    let lyapunov = lyapunov_exponents(&rnn, View::new(&x, [400, 1, 1]).unwrap(), None, 3, 1).unwrap();
    for (got, lambda) in lyapunov.tracks[0].exponents.iter().zip([0.95_f64, 0.6, 0.35]) {
        assert!((got - lambda.ln()).abs() <= 10.0 / 400.0, "{got} for {lambda}");
    }
}

/// The sum of all exponents is the mean of ln |det J_t|, whatever the cell, for every layer and direction. A relative error e of J in
/// f32 moves ln |det J| by n |J| |J^-1| e at most.
#[test]
fn their_sum_is_that_of_the_determinants() {
    for cell in [Cell::RnnTanh, Cell::Gru, Cell::Lstm] {
        let options = Setup { layers: 2, bidirectional: true, batch_first: true, ..Setup::default() };
        let setup = Setup { cell, hidden: 3, input: 2, steps: 10, batch: 2, ..options };
        let mut problem = setup.problem();
        // Weights that leave the Jacobians well conditioned.
        for weights in &mut problem.stack.weights {
            for (name, values) in weights.tensors_mut() {
                if name == "weight_hh" {
                    let n = setup.hidden;
                    values.iter_mut().enumerate().for_each(|(at, value)| {
                        *value = 0.2 * *value + if at / n % n == at % n { 0.8 } else { 0.0 };
                        *value = f64::from(*value as f32);
                    });
                }
            }
        }
        let (network, _, trace) = recorded(&problem);
        let x = problem.layout(&problem.x, setup.input);
        let features = if cell == Cell::Lstm { 6 } else { 3 };
        let state = problem.state(&network);
        let lyapunov = lyapunov_exponents(&network, problem.input(&x), state.as_ref(), features, 2).unwrap();
        for (place, track) in lyapunov.tracks.iter().enumerate() {
            for (b, row) in track.rows.iter().enumerate() {
                let (mut expected, mut allowed) = (0.0, 0.0);
                for jacobian in step_jacobians(&problem, &trace, place, b) {
                    let (log, inverse) = log_det_and_inverse(&jacobian);
                    expected += log / setup.steps as f64;
                    let condition = frobenius(&jacobian) * frobenius(&inverse);
                    let terms = 8.0 * ((features * setup.steps) as f64).log2().ceil();
                    allowed +=
                        features as f64 * condition * terms * f64::from(f32::EPSILON) / setup.steps as f64;
                }
                let sum: f64 = row.iter().sum();
                assert!(allowed < 0.1, "{cell:?}: a bound of {allowed} proves nothing");
                assert!(
                    (sum - expected).abs() <= allowed,
                    "{cell:?} {place}: {sum}, not {expected}, within {allowed}"
                );
            }
        }
    }
}
