//! Empty batches, empty rows, empty inputs, and tapes used again.

use gatewise::{Cell, Kernels, Tape, Upstream, View};
use tests::bounds::same_bits;
use tests::problem::Problem;
use tests::setup::Setup;

/// Sets gate `gate` of `bias_ih` of every layer and direction.
pub(super) fn set_bias(problem: &mut Problem, gate: usize, value: f64) {
    let gates = problem.setup.cell.gates();
    for weights in &mut problem.stack.weights {
        let bias = weights.b_ih.as_mut().expect("a network with biases");
        let hidden = bias.len() / gates;
        bias[gate * hidden..][..hidden].fill(value);
    }
}

fn options() -> Vec<Setup> {
    let mut all = Vec::new();
    for cell in Cell::ALL {
        for (layers, bidirectional, batch_first) in [(1, false, false), (2, true, true), (3, false, true)] {
            for proj in [0, 4] {
                all.push(Setup { cell, layers, bidirectional, batch_first, proj, ..Setup::default() });
            }
        }
    }
    all
}

/// PyTorch's `test_RNN_input_size_zero`: a batch of no rows has empty outputs, and its gradients are zeros.
#[test]
fn a_batch_of_no_rows() {
    for setup in options() {
        for ragged in [false, true] {
            let problem = Setup { batch: 0, ragged, resets: ragged, ..setup.clone() }.problem();
            for kernels in Kernels::available().unwrap() {
                let network = problem.network(kernels);
                let inferred = problem.infer(&network);
                assert!(inferred.list.iter().all(|(_, data)| data.is_empty()), "{setup:?}");
                let trained = problem.train(&network);
                for (name, data) in &trained.list {
                    assert!(data.iter().all(|value| value.to_bits() == 0), "{setup:?}: {name}");
                }
                if setup.bidirectional {
                    continue;
                }
                network.step(&[], &mut network.zero_state(0).unwrap(), &mut []).unwrap();
            }
        }
    }
}

/// The gradient of an input of no rows was once [T, 0, 0].
#[test]
fn the_gradient_of_an_input_of_no_rows_has_its_features() {
    let network = gatewise::Gru::new(3, 4).unwrap();
    let mut tape = network.forward_train(View::new(&[], [5, 0, 3]).unwrap(), None).unwrap();
    network.backward(&mut tape, Upstream::default(), &mut network.params().zeros_like()).unwrap();
    assert_eq!(tape.grad_input().unwrap().shape(), [5, 0, 3]);
}

/// ONNX Runtime's `TestLSTMSequenceLengthAllZeros`: outputs are zeros, the final state is the initial one, its gradient is that of
/// the final state, and nothing else has a gradient.
#[test]
fn rows_that_are_all_empty() {
    for setup in options() {
        let mut problem = Setup { ragged: true, ..setup.clone() }.problem();
        problem.lengths = Some(vec![0; setup.batch]);
        problem.x.fill(f32::NAN);
        for kernels in Kernels::available().unwrap() {
            let network = problem.network(kernels);
            for got in [problem.train(&network), problem.infer(&network)] {
                assert!(got.get("out").iter().all(|value| value.to_bits() == 0), "{setup:?}");
                assert_eq!(got.get("h_n"), problem.h_0.as_deref().unwrap(), "{setup:?}");
                assert_eq!(got.get("c_n"), problem.c_0.as_deref().unwrap_or(&[]), "{setup:?}");
            }
            let got = problem.train(&network);
            assert_eq!(got.get("grad h_0"), problem.dh_n.as_deref().unwrap(), "{setup:?}");
            assert_eq!(got.get("grad c_0"), problem.dc_n.as_deref().unwrap_or(&[]), "{setup:?}");
            for (name, data) in got.list.iter().filter(|(name, _)| name == "grad x" || name.contains("_l")) {
                assert!(data.iter().all(|value| value.to_bits() == 0), "{setup:?}: {name}");
            }
        }
    }
}

/// No input features: the biases and the state alone drive the network.
#[test]
fn an_input_of_no_features() {
    for setup in options() {
        let problem = Setup { input: 0, ..setup.clone() }.problem();
        let expected = problem.expected();
        for kernels in Kernels::available().unwrap() {
            let network = problem.network(kernels);
            assert_eq!(network.params().get("weight_ih_l0").unwrap().shape()[1], 0);
            if !expected.is_near_kink {
                expected
                    .compare(&problem.train(&network))
                    .unwrap_or_else(|error| panic!("{setup:?}: {error}"));
            }
            if !setup.bidirectional {
                let mut state = problem.state(&network).unwrap();
                network.step(&[], &mut state, &mut vec![0.0; setup.batch * setup.output()]).unwrap();
            }
        }
    }
}

/// One tape after another pass's, larger, smaller, of another cell: the same bits as on a fresh one.
#[test]
fn a_tape_that_is_used_again() {
    let kernels = Kernels::auto().unwrap();
    let mut tape = Tape::default();
    for (i, setup) in options().into_iter().chain(options().into_iter().rev()).enumerate() {
        let setup = Setup { steps: 1 + i * 7 % 12, batch: i * 5 % 7, ragged: i % 3 == 0, ..setup };
        let problem = setup.problem();
        let network = problem.network(kernels);
        let fresh = problem.train(&network);
        same_bits(&fresh, &problem.train_on(&network, &mut tape))
            .unwrap_or_else(|error| panic!("{setup:?}: {error}"));
    }
}

/// In the reverse direction a row joins when the others are under way: within a run of steps that a kernel is shown at once it once
/// found the c of another pass there.
#[test]
fn a_row_that_joins_within_a_run_of_steps_starts_from_its_c_0() {
    for (cell, proj) in [(Cell::Lstm, 0), (Cell::Lstm, 4), (Cell::Gru, 4), (Cell::Gru, 0)] {
        let setup = Setup { cell, proj, bidirectional: true, steps: 21, batch: 5, ..Setup::default() };
        let mut problem = Setup { ragged: true, layers: 2, ..setup }.problem();
        for lengths in [[1, 0, 0, 0, 0], [21, 20, 19, 3, 1], [2, 7, 0, 18, 7], [9, 9, 9, 9, 9]] {
            problem.lengths = Some(lengths.to_vec());
            let expected = problem.expected();
            for kernels in Kernels::available().unwrap() {
                let whole = problem.train(&problem.network(kernels));
                expected.compare(&whole).unwrap_or_else(|error| panic!("{cell:?} {lengths:?}: {error}"));
                for chunk in 1..6 {
                    let mut cut =
                        problem.builder().kernels(kernels).projection_chunk(Some(chunk)).build().unwrap();
                    problem.load(&mut cut);
                    // The c of another pass, to be found where nothing was put.
                    let mut tape = Tape::default();
                    problem.train_on(&cut, &mut tape);
                    same_bits(&whole, &problem.train_on(&cut, &mut tape))
                        .unwrap_or_else(|error| panic!("{cell:?} {lengths:?} by {chunk} steps: {error}"));
                }
            }
        }
    }
}

/// Two tapes of one network at the same time; gradients add up in the caller's buffers, in the order of the calls.
#[test]
fn two_tapes_at_once_and_gradients_that_add_up() {
    let setup = Setup { layers: 2, dropout: 0.0, ..Setup::default() };
    let (one, other) = (setup.problem(), Setup { seed: 2, ..setup.clone() }.problem());
    let network = one.network(Kernels::auto().unwrap());
    let mut grads = network.params().zeros_like();
    let tape_of = |problem: &Problem| {
        network.forward_train(problem.input(&problem.x), problem.state(&network).as_ref()).unwrap()
    };
    let (mut first, mut second) = (tape_of(&one), tape_of(&other));
    for (problem, tape) in [(&other, &mut second), (&one, &mut first)] {
        let dy = View::new(problem.dy.as_ref().unwrap(), problem.shape(setup.output())).unwrap();
        let upstream =
            Upstream { h_n: problem.dh_n.as_deref(), c_n: problem.dc_n.as_deref(), ..Upstream::output(dy) };
        network.backward(tape, upstream, &mut grads).unwrap();
    }
    let alone = [one.train(&network), Problem { stack: one.stack.clone(), ..other }.train(&network)];
    for grad in grads.iter() {
        let name = format!("grad {}", grad.name());
        for (k, sum) in grad.data().iter().enumerate() {
            let parts = alone[0].get(&name)[k] + alone[1].get(&name)[k];
            // The chain of the second pass starts from the first one's sum.
            assert!(
                (sum - parts).abs() <= 64.0 * f32::EPSILON * (1.0 + parts.abs()),
                "{name}[{k}]: {sum}, {parts}"
            );
        }
    }
}

/// The gradient of the input is made only where it is asked for, and changes nothing else.
#[test]
fn the_gradient_of_the_input_may_be_left_out() {
    let problem = Setup { layers: 2, bidirectional: true, ..Setup::default() }.problem();
    let network = problem.network(Kernels::auto().unwrap());
    let dy = View::new(problem.dy.as_ref().unwrap(), problem.shape(problem.setup.output())).unwrap();
    let mut lists = Vec::new();
    for input_grad in [true, false] {
        let mut grads = network.params().zeros_like();
        let mut tape =
            network.forward_train(problem.input(&problem.x), problem.state(&network).as_ref()).unwrap();
        network.backward(&mut tape, Upstream { input_grad, ..Upstream::output(dy) }, &mut grads).unwrap();
        assert_eq!(tape.grad_input().is_some(), input_grad);
        lists.push((grads, tape.grad_h_0().to_vec(), tape.grad_c_0().to_vec()));
    }
    assert_eq!(lists[0], lists[1]);
}

/// A state is a plain value: a clone branches, `gather` picks rows, a saved copy resumes.
#[test]
fn a_state_is_a_plain_value() {
    for cell in Cell::ALL {
        let problem = Setup { cell, layers: 2, hidden: 8, ..Setup::default() }.problem();
        let network = problem.network(Kernels::auto().unwrap());
        let mut state = problem.state(&network).unwrap();
        let (saved, mut out) = (state.clone(), vec![0.0; 3 * 8]);
        network.step(&problem.x[..9], &mut state, &mut out).unwrap();
        assert_ne!(state, saved);
        let mut again = network.zero_state(3).unwrap();
        again.h_mut().copy_from_slice(saved.h());
        again.c_mut().copy_from_slice(saved.c());
        let mut out_again = vec![0.0; 3 * 8];
        network.step(&problem.x[..9], &mut again, &mut out_again).unwrap();
        assert_eq!((&again, &out_again), (&state, &out));

        let picked = state.gather(&[2, 0, 2]).unwrap();
        assert_eq!(picked.shape(), [2, 3, 8]);
        for layer in 0..2 {
            for (place, row) in [2, 0, 2].into_iter().enumerate() {
                let (to, from) = ((layer * 3 + place) * 8, (layer * 3 + row) * 8);
                assert_eq!(picked.h()[to..to + 8], state.h()[from..from + 8]);
            }
        }
        assert_eq!(state.gather(&[]).unwrap().batch(), 0);
        state.fill_zero();
        assert_eq!(state, network.zero_state(3).unwrap());
    }
}
