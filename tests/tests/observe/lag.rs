//! Lag influence against products of explicit Jacobians, and what the probes must do whatever the numbers are.

use super::jacobian::{Matrix, frobenius, identity, recorded, step_jacobians, times};
use gatewise::{Cell, LagProbe, Probes};
use tests::oracle::Upstream;
use tests::problem::Problem;
use tests::setup::Setup;

/// Root mean squares over the rows of |dh_T / dh_{T-k}|_F / sqrt(H), and of |dh_T / dc_{T-k}|_F / sqrt(H), where a c passes on to h of
/// its own step, too.
fn expected(problem: &Problem, track: usize, max_lag: usize) -> (Vec<f64>, Vec<f64>) {
    let (_, _, trace) = recorded(problem);
    let (batch, hidden) = (problem.setup.batch, problem.setup.hidden);
    let mut sums = vec![(0.0, 0.0); max_lag + 1];
    for b in 0..batch {
        let jacobians = step_jacobians(problem, &trace, track, b);
        let order = trace.runs[track].order(b);
        // Rows of h_T alone: d h_T / d (h, c) after step T - k.
        let mut product: Matrix = identity(jacobians[0].len())[..hidden].to_vec();
        for (lag, sum) in sums.iter_mut().enumerate() {
            let step = jacobians.len() - 1 - lag;
            let of_h: Matrix = product.iter().map(|row| row[..hidden].to_vec()).collect();
            sum.0 += frobenius(&of_h).powi(2);
            if problem.setup.cell == Cell::Lstm {
                // h_t = o tanh(c_t): all of dL/dc_t has the way through h_t in it.
                let layer = &trace.layers[track];
                let at = order[step] * batch + b;
                let total: Matrix = product
                    .iter()
                    .map(|row| {
                        let through = |j: usize| {
                            let o = layer.gates[at * 4 * hidden + 3 * hidden + j];
                            let tanh_c = layer.c[at * hidden + j].tanh();
                            row[hidden + j] + row[j] * o * (1.0 - tanh_c * tanh_c)
                        };
                        (0..hidden).map(through).collect()
                    })
                    .collect();
                sum.1 += frobenius(&total).powi(2);
            }
            product = times(&product, &jacobians[step]);
        }
    }
    let divisor = (batch * hidden) as f64;
    sums.iter().map(|(h, c)| ((h / divisor).sqrt(), (c / divisor).sqrt())).unzip()
}

/// The gradient of a unit at the end is a sum of products of k Jacobians; each adds the rounding of its sums of H terms, relative to the
/// largest influence there is:
///
/// ```text
/// |got - expected| <= sqrt(H) 8 ceil(log2(H T)) eps max(1, largest)
/// ```
fn compare(what: &str, got: &[f64], expected: &[f64], problem: &Problem) {
    let (hidden, steps) = (problem.setup.hidden as f64, problem.setup.steps as f64);
    let largest = expected.iter().fold(1.0_f64, |most, value| most.max(*value));
    let allowed = hidden.sqrt() * 8.0 * (hidden * steps).log2().ceil() * f64::from(f32::EPSILON) * largest;
    assert_eq!(got.len(), expected.len(), "{what}");
    for (lag, (got, expected)) in got.iter().zip(expected).enumerate() {
        assert!((got - expected).abs() <= allowed, "{what}, lag {lag}: {got:e}, not {expected:e}");
    }
}

#[test]
fn unit_probes_are_products_of_jacobians() {
    for cell in Cell::ALL {
        for (bidirectional, layers, ragged) in [(false, 1, false), (true, 2, true)] {
            let options = Setup { bidirectional, layers, ragged, batch_first: ragged, ..Setup::default() };
            let setup = Setup { cell, hidden: 5, input: 3, steps: 14, batch: 3, seed: 11, ..options };
            let mut problem = setup.problem();
            // Rows as long as the lags, and longer; in an order that is not the tape's.
            problem.lengths = ragged.then(|| vec![10, 14, 12]);
            let (network, tape, _) = recorded(&problem);
            let mut probe = LagProbe::new(&network, 9, Probes::Units, 0).unwrap();
            let influence = probe.measure(&network, &tape).unwrap();
            for (track, got) in influence.tracks.iter().enumerate() {
                let (h, c) = expected(&problem, track, 9);
                let what = format!("{cell:?}, track {track}");
                compare(&format!("{what}, h"), &got.h, &h, &problem);
                assert_eq!(got.h[0], 1.0);
                if cell == Cell::Lstm {
                    compare(&format!("{what}, c"), &got.c, &c, &problem);
                } else {
                    assert!(got.c.is_empty());
                }
            }
        }
    }
}

/// dh_T / dx_{T-k} through all layers: the oracle's backward from each unit of the last h.
#[test]
fn the_influence_of_the_input() {
    let options = Setup { layers: 2, bidirectional: true, ..Setup::default() };
    let setup = Setup { cell: Cell::Gru, hidden: 4, input: 3, steps: 9, batch: 2, ..options };
    let problem = setup.problem();
    let (network, tape, trace) = recorded(&problem);
    let (batch, hidden, input) = (setup.batch, setup.hidden, setup.input);
    let mut sums = vec![0.0; setup.steps];
    for unit in 0..hidden {
        let mut h_n = vec![0.0; 4 * batch * hidden];
        (0..batch).for_each(|b| h_n[(2 * batch + b) * hidden + unit] = 1.0);
        let upstream = Upstream { h_n: Some(h_n), ..Upstream::default() };
        let grads = problem.stack.backward(&problem.stack_run(), &trace, &upstream);
        for (t, x) in grads.x.chunks_exact(batch * input).enumerate() {
            sums[setup.steps - 1 - t] += x.iter().map(|x| x * x).sum::<f64>();
        }
    }
    let expected: Vec<f64> = sums.iter().map(|sum| (sum / (batch * hidden) as f64).sqrt()).collect();
    let mut probe = LagProbe::new(&network, setup.steps - 1, Probes::Units, 0).unwrap();
    compare("x", &probe.measure(&network, &tape).unwrap().x, &expected, &problem);
}

/// The mean over n random probes is off by less than six of its standard deviations, which are sqrt(2 / n) / 2 of the norm at most.
#[test]
fn random_probes_come_near() {
    let setup = Setup { cell: Cell::Lstm, hidden: 6, steps: 12, batch: 2, ..Setup::default() };
    let (network, tape, _) = recorded(&setup.problem());
    let exact =
        LagProbe::new(&network, 11, Probes::Units, 0).unwrap().measure(&network, &tape).unwrap().clone();
    let count = 400;
    let mut random = LagProbe::new(&network, 11, Probes::Random(count), 3).unwrap();
    let got = random.measure(&network, &tape).unwrap().clone();
    let allowed = 3.0 * (2.0 / count as f64).sqrt();
    for (got, exact) in
        [(&got.tracks[0].h, &exact.tracks[0].h), (&got.tracks[0].c, &exact.tracks[0].c), (&got.x, &exact.x)]
    {
        for (got, exact) in got.iter().zip(exact) {
            assert!((got / exact - 1.0).abs() < allowed, "{got:e} of {exact:e}");
        }
    }
    // The same seed, the same numbers; and the room is used again.
    assert_eq!(random.measure(&network, &tape).unwrap(), &got);
    assert_eq!(random.influence(), &got);
}

/// A reset cuts memory off.
#[test]
fn a_reset_cuts_the_influence() {
    let setup = Setup { cell: Cell::Gru, hidden: 7, steps: 12, batch: 2, ..Setup::default() };
    let mut problem = setup.problem();
    problem.resets = Some((0..24).map(|at| at / 2 == 8).collect());
    let (network, tape, _) = recorded(&problem);
    let mut probe = LagProbe::new(&network, 11, Probes::Random(2), 3).unwrap();
    let h = &probe.measure(&network, &tape).unwrap().tracks[0].h;
    assert!(h[3] > 0.0 && h[4..].iter().all(|value| *value == 0.0), "{h:?}");
}
