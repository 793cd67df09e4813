//! Effective memory: what it is of a list, and of networks whose influence is a power that is known.

use gatewise::{Activation, Cell, LagProbe, Network, Probes, Rnn, TrackInfluence, View};

fn memory(h: &[f64], c: &[f64], fraction: f64) -> Option<usize> {
    TrackInfluence { h: h.to_vec(), c: c.to_vec(), ..TrackInfluence::default() }.memory(fraction)
}

#[test]
fn the_first_lag_below_a_fraction_of_lag_0() {
    const INF: f64 = f64::INFINITY;
    assert_eq!(memory(&[4.0, 2.0, 1.0, 0.5], &[], 0.3), Some(2));
    assert_eq!(memory(&[4.0, 2.0, 1.0, 0.5], &[], 0.25), Some(3)); // below, not at
    assert_eq!(memory(&[4.0, 2.0, 1.0, 0.5], &[], 0.1), None);
    assert_eq!(memory(&[4.0, 2.0], &[], 1.1), Some(0));
    // What rises again was below once.
    assert_eq!(memory(&[1.0, 0.01, 5.0, 0.001], &[], 0.1), Some(1));
    // c is what counts, where there is one, against its own beginning.
    assert_eq!(memory(&[1.0, 0.0, 0.0], &[0.5, 0.2, 0.01], 0.1), Some(2));
    // What is not finite is not below; without a finite beginning there is nothing to hold against.
    assert_eq!(memory(&[1.0, f64::NAN, INF, 0.0], &[], 0.5), Some(3));
    assert_eq!(memory(&[INF, 1.0], &[], 0.5), None);
    assert_eq!(memory(&[f64::NAN, 1.0], &[], 0.5), None);
    assert_eq!(memory(&[0.0, 0.0], &[], 0.5), None);
    assert_eq!(memory(&[], &[], 0.5), None);
}

/// The smallest k with factor^k < fraction, where the factor is below 1.
fn power(factor: f64, fraction: f64) -> usize {
    (fraction.ln() / factor.ln()).floor() as usize + 1
}

const STEPS: usize = 120;
const FRACTIONS: [f64; 4] = [0.9, 0.5, 0.1, 0.01];

fn measured<K>(network: &Network<K>) -> TrackInfluence {
    let tape = network.forward_train(View::new(&[0.3; STEPS], [STEPS, 1, 1]).unwrap(), None).unwrap();
    let mut probe = LagProbe::new(network, STEPS - 1, Probes::Units, 0).unwrap();
    probe.measure(network, &tape).unwrap().tracks[0].clone()
}

/// h_t = a R h_{t-1} + .. with a rotation R: each step back multiplies the influence by a, whatever the input.
#[test]
fn a_linear_network_remembers_as_its_matrix_says() {
    for factor in [0.5_f64, 0.8, 0.97, 1.0, 1.1] {
        let mut rnn = Rnn::builder(1, 2).activation(Activation::Identity).seed(1).build().unwrap();
        let (sin, cos) = 0.7_f64.sin_cos();
        let turned = [cos, -sin, sin, cos].map(|value| (factor * value) as f32);
        rnn.params_mut().get_mut("weight_hh_l0").unwrap().data_mut().copy_from_slice(&turned);
        let track = measured(&rnn);
        // Gradients below 2^-100 are stored as zeros.
        let above = |(lag, _): &(usize, &f64)| factor.powi(*lag as i32) > 2.0_f64.powi(-90);
        for (lag, influence) in track.h.iter().enumerate().take_while(above) {
            // Each step rounds the two entries of a matrix, two products and a sum.
            let allowed = 4.0 * (lag + 1) as f64 * f64::from(f32::EPSILON);
            assert!((influence / factor.powi(lag as i32) - 1.0).abs() < allowed, "{factor}, lag {lag}");
        }
        for fraction in FRACTIONS {
            let expected = (factor < 1.0).then(|| power(factor, fraction)).filter(|lag| *lag < STEPS);
            assert_eq!(track.memory(fraction), expected, "{factor}, {fraction}");
        }
    }
}

/// Gates that know nothing but their biases: f of an LSTM and z of a GRU are one number, and all that leads from state to state.
#[test]
fn a_gate_remembers_as_its_bias_says() {
    for (cell, gate) in [(Cell::Lstm, 1), (Cell::Gru, 1)] {
        for bias in [0.0_f32, 1.0, 3.0] {
            let hidden = 3;
            let mut network = Network::with_cell(cell, 1, hidden).seed(1).build().unwrap();
            let mut params = network.params_mut();
            params.fill(0.0);
            params.get_mut("bias_ih_l0").unwrap().data_mut()[gate * hidden..][..hidden].fill(bias);
            drop(params);
            let keep = 1.0 / (1.0 + (-f64::from(bias)).exp());
            let track = measured(&network);
            for fraction in FRACTIONS {
                // 1/2 to the first is a half and not below, and that is a matter of the last bit.
                if bias != 0.0 || fraction != 0.5 {
                    let expected = Some(power(keep, fraction)).filter(|lag| *lag < STEPS);
                    assert_eq!(track.memory(fraction), expected, "{cell:?}, bias {bias}, {fraction}");
                }
            }
        }
    }
}
