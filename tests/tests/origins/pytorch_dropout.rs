//! PyTorch's tests of dropout between layers (`test/test_nn.py`). A relu network with ones for weights puts out whole multiples of one
//! number, by which kept values can be counted.

use super::support::{all_kernels, kernels, set, view};
use gatewise::{Any, Cell, DropoutKey, Input, Kernels, Network};

const UNITS: usize = 200;

/// Two layers, all weights 1, no biases: each unit of the first puts out 10 on an input of ten ones.
fn network(dropout: f32, kernels: Kernels) -> Network<Any> {
    let network = Network::with_cell(Cell::RnnRelu, 10, UNITS).num_layers(2).bias(false).dropout(dropout);
    let mut network = network.kernels(kernels).build().unwrap();
    for name in ["weight_ih_l0", "weight_hh_l0", "weight_ih_l1", "weight_hh_l1"] {
        set(&mut network, name, |_| 1.0);
    }
    network
}

fn train(network: &Network<Any>, seed: u64) -> Vec<f32> {
    let input = Input::from(view(&[1.0; 10], [1, 1, 10]));
    let input = input.dropout(DropoutKey { seed, ..DropoutKey::default() });
    network.forward_train(input, None).unwrap().output().data().to_vec()
}

fn infer(network: &Network<Any>) -> Vec<f32> {
    network.forward(view(&[1.0; 10], [1, 1, 10]), None).unwrap().0.into_data()
}

/// Between layers only: all units of the second layer see the same kept values, each grown by 1 / (1 - p), and the share is right.
#[test]
fn test_RNN_dropout() {
    for kernels in all_kernels() {
        for p in [0.0_f32, 0.276, 0.731, 1.0] {
            let network = network(p, kernels);
            assert_eq!(infer(&network), [10.0 * UNITS as f32; UNITS]);
            let mut kept = 0.0;
            for seed in 0..20 {
                let y = train(&network, seed);
                assert!(y.iter().all(|&value| value == y[0]), "every unit sees the same");
                // Kept values times 10 / (1 - p): a sum of floats of one size.
                let count =
                    if p < 1.0 { f64::from(y[0]) * (1.0 - f64::from(p)) / 10.0 } else { f64::from(y[0]) };
                assert!((count - count.round()).abs() < 1e-3, "{p}: {count} values");
                kept += count.round();
            }
            let n = 20.0 * UNITS as f64;
            let (share, rate) = (kept / n, 1.0 - f64::from(p));
            let allowed = 5.0 * (rate * (1.0 - rate) / n).sqrt();
            assert!((share - rate).abs() <= allowed, "{p}: {share} kept");
        }
    }
}

/// Training draws by its key, evaluation draws nothing, and the rate is an option that a clone keeps.
#[test]
fn test_RNN_dropout_state() {
    for p in [0.0_f32, 0.1234] {
        let network = network(p, kernels());
        let other = network.clone();
        assert_eq!(other.config().dropout.to_bits(), p.to_bits());
        assert_eq!(infer(&network), infer(&network));
        assert_eq!(infer(&network), infer(&other));
        assert_eq!(train(&network, 5), train(&network, 5), "the same key is the same mask");
        assert_eq!(train(&network, 5), train(&other, 5));
        let all: Vec<f32> = (0..20).map(|seed| train(&network, seed)[0]).collect();
        assert_eq!(all.iter().all(|&value| value == all[0]), p == 0.0, "other keys are other masks");
    }
}

/// The rate of a network is fixed when it is built; one with another rate takes over the parameters.
#[test]
fn test_RNN_change_dropout() {
    let none = network(0.0, kernels());
    let before = train(&none, 1);
    for p in [0.5, 0.0, 1.0] {
        let mut other = Network::with_cell(Cell::RnnRelu, 10, UNITS)
            .num_layers(2)
            .bias(false)
            .dropout(p)
            .build()
            .unwrap();
        for (to, from) in other.params_mut().iter_mut().zip(none.params().iter()) {
            assert_eq!(to.name(), from.name());
            to.data_mut().copy_from_slice(from.data());
        }
        let after = train(&other, 1);
        match p {
            0.0 => assert_eq!(after, before),
            1.0 => assert_eq!(after, [0.0; UNITS]),
            _ => assert!(after[0] != before[0] && after[0] > 0.0),
        }
        assert_eq!(infer(&other), before);
    }
}
