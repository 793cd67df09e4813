//! PyTorch's tests of RNN, LSTM, GRU and their cells (`test/test_nn.py`, `torch/testing/_internal/common_modules.py`). Where it compares
//! two of its own implementations (CPU and GPU), here every instruction set is compared with the f64 oracle.

use super::support::{agrees_with_the_oracle, all_kernels, kernels, view};
use gatewise::{Any, Cell, Gradients, Network, Tape, Upstream, View, WeightFile, save_weights};
use tests::bounds::same_bits;
use tests::setup::Setup;

/// Six steps of a cell one by one, each with the state of the one before; the same six with gradients against the oracle.
#[track_caller]
fn six_steps(cell: Cell) {
    for bias in [true, false] {
        let setup = Setup { cell, bias, input: 10, hidden: 20, steps: 6, batch: 3, ..Setup::default() };
        agrees_with_the_oracle(&setup);
        let problem = setup.problem();
        for kernels in all_kernels() {
            let network = problem.network(kernels);
            let (whole, mut state) = (problem.infer(&network), problem.state(&network).unwrap());
            for t in 0..6 {
                let mut h = [f32::NAN; 60];
                network.step(&problem.x[t * 30..][..30], &mut state, &mut h).unwrap();
                assert_eq!(h, whole.get("out")[t * 60..][..60], "step {t}");
                assert_eq!(h, state.h());
            }
            assert_eq!(state.c(), whole.get("c_n"));
        }
    }
}

#[test]
fn test_RNN_cell() {
    six_steps(Cell::RnnTanh);
    six_steps(Cell::RnnRelu);
    six_steps(Cell::Gru);
}

#[test]
fn test_LSTM_cell() {
    six_steps(Cell::Lstm);
}

/// Explicit zeros and the state left out are the same bits, forward and back.
#[test]
fn test_rnn_initial_hidden_state() {
    for cell in Cell::ALL {
        for bidirectional in [false, true] {
            let setup = Setup { cell, bidirectional, layers: 2, hidden: 20, input: 10, ..Setup::default() };
            let omitted = Setup { initial_state: false, ..setup.clone() }.problem();
            let mut zeros = omitted.clone();
            let states = omitted.setup.layers * omitted.setup.directions() * omitted.setup.batch * 20;
            zeros.h_0 = Some(vec![0.0; states]);
            zeros.c_0 = cell.has_cell_state().then(|| vec![0.0; states]);
            for kernels in all_kernels() {
                let network = omitted.network(kernels);
                same_bits(&zeros.train(&network), &omitted.train(&network)).unwrap();
                same_bits(&zeros.infer(&network), &omitted.infer(&network)).unwrap();
            }
        }
    }
}

/// A batch of no rows: outputs [T, 0, H], backward works, gradients of parameters are zeros.
#[test]
fn test_RNN_input_size_zero() {
    for cell in Cell::ALL {
        for bidirectional in [false, true] {
            let network = Network::with_cell(cell, 10, 20).num_layers(2).bidirectional(bidirectional);
            let network = network.build().unwrap();
            let (y, end) = network.forward(view(&[], [5, 0, 10]), None).unwrap();
            let directions = 1 + usize::from(bidirectional);
            assert_eq!(y.shape(), [5, 0, 20 * directions]);
            assert_eq!(end.shape(), [2 * directions, 0, 20]);
            let mut tape = network.forward_train(view(&[], [5, 0, 10]), None).unwrap();
            let mut grads = network.params().zeros_like();
            let upstream = Upstream::output(view(&[], [5, 0, 20 * directions]));
            network.backward(&mut tape, upstream, &mut grads).unwrap();
            assert_eq!(tape.grad_input().unwrap().shape(), [5, 0, 10]);
            assert_eq!(grads, network.params().zeros_like());
        }
    }
}

/// Every combination of options, all outputs and gradients; PyTorch's sizes: input 10, hidden 6, 2 layers, 7 steps, 6 rows. The oracle
/// stands for the other device. (The options "contiguous" and "lengths as a tensor" have no counterpart.)
#[track_caller]
fn all_options(dropout: f32) {
    for cell in Cell::ALL {
        for bits in 0..32_u64 {
            let [bias, bidirectional, batch_first, ragged, initial_state] =
                [0, 1, 2, 3, 4].map(|bit| bits >> bit & 1 == 1);
            let sizes =
                Setup { cell, input: 10, hidden: 6, layers: 2, steps: 7, batch: 6, ..Setup::default() };
            let setup = Setup { bias, bidirectional, batch_first, ragged, initial_state, ..sizes };
            agrees_with_the_oracle(&Setup { dropout, seed: 100 + bits, ..setup });
        }
    }
}

#[test]
fn test_RNN_cpu_vs_cudnn_no_dropout() {
    all_options(0.0);
}

/// There with all values dropped, the one mask that two devices share; here the oracle has the same masks for any rate.
#[test]
fn test_RNN_cpu_vs_cudnn_with_dropout() {
    for dropout in [0.276, 0.731, 1.0] {
        all_options(dropout);
    }
}

/// Rows of any lengths together are each row alone, by bits: outputs, states and the gradients of inputs and states; those of
/// parameters are the sum of those of the rows alone.
#[test]
fn test_variable_sequence() {
    let sets: [&[usize]; 5] = [&[7], &[5, 5, 5], &[7, 6, 4, 2, 1], &[1, 7, 3], &[2, 1, 1, 7, 7, 4, 6]];
    for cell in Cell::ALL {
        for (seed, lengths) in (0_u64..).zip(sets) {
            for initial_state in [false, true] {
                let sizes = Setup { cell, steps: 7, batch: lengths.len(), layers: 2, ..Setup::default() };
                let setup = Setup { bidirectional: seed % 2 == 0, initial_state, seed, ..sizes };
                let mut problem = setup.problem();
                problem.lengths = Some(lengths.to_vec());
                let network = problem.network(kernels());
                let together = problem.train(&network);
                let mut sums = together.clone();
                sums.list.iter_mut().for_each(|(_, values)| values.fill(0.0));
                for (row, &length) in lengths.iter().enumerate() {
                    let mut padded = problem.pick_rows(&[row]);
                    padded.lengths = None;
                    let alone = padded.pick_steps(0, length);
                    let got = alone.train(&network);
                    let expected = problem.of_rows(&together, &[row]);
                    for (name, expected) in &expected.list {
                        let got = got.get(name);
                        assert_eq!(&expected[..got.len()], got, "{cell:?} {lengths:?} row {row}: {name}");
                        assert!(expected[got.len()..].iter().all(|&value| value == 0.0), "{name}");
                    }
                    for (name, sum) in &mut sums.list {
                        if name.contains("_l") {
                            sum.iter_mut().zip(got.get(name)).for_each(|(sum, got)| *sum += got);
                        }
                    }
                }
                for (name, sum) in sums.list.iter().filter(|(name, _)| name.contains("_l")) {
                    super::support::close(name, together.get(name), sum, 1e-5);
                }
            }
        }
    }
}

/// First derivatives, with biases and without, H = 4; second ones are out of scope. The oracle's gradients are held to central
/// differences by its own tests.
#[track_caller]
fn gradients_of(cell: Cell) {
    for bias in [true, false] {
        agrees_with_the_oracle(&Setup { cell, bias, input: 4, hidden: 4, steps: 3, ..Setup::default() });
    }
}

#[test]
fn test_LSTM_grad_and_gradgrad() {
    gradients_of(Cell::Lstm);
}

#[test]
fn test_GRU_grad_and_gradgrad() {
    gradients_of(Cell::Gru);
}

/// One step with a gradient of h alone, or of c alone: the other counts as zero.
#[test]
fn test_lstmcell_backward_only_one_output_grad() {
    let sizes = Setup { input: 2, hidden: 3, steps: 1, batch: 1, ..Setup::default() };
    for upstream in [[false, true, false], [false, false, true]] {
        agrees_with_the_oracle(&Setup { upstream, ..sizes.clone() });
        let problem = Setup { upstream, ..sizes.clone() }.problem();
        let got = problem.train(&problem.network(kernels()));
        assert!(got.get("grad x").iter().any(|&grad| grad != 0.0));
    }
}

/// Five backward passes over one tape give equal gradients.
#[test]
fn test_rnn_retain_variables() {
    for cell in Cell::ALL {
        let sizes = Setup { cell, input: 10, hidden: 20, layers: 2, steps: 6, ..Setup::default() };
        let problem = Setup { batch: 5, ..sizes }.problem();
        let network = problem.network(kernels());
        let tape = network.forward_train(problem.input(&problem.x), None).unwrap();
        let dy = view(problem.dy.as_deref().unwrap(), [6, 5, 20]);
        let passes: Vec<_> = (0..5)
            .map(|_| {
                let (mut grads, mut gradients) = (network.params().zeros_like(), Gradients::default());
                network.backward_keep(&tape, Upstream::output(dy), &mut gradients, &mut grads).unwrap();
                let dx = gradients.grad_input().unwrap().data().to_vec();
                (grads, dx, gradients.grad_h_0().to_vec())
            })
            .collect();
        assert!(passes[0].0.iter().all(|grad| grad.data().iter().any(|&value| value != 0.0)));
        assert!(passes.iter().all(|pass| *pass == passes[0]));
    }
}

/// Module samples: outputs, states and their shapes, with and without an initial state.
#[test]
fn test_forward() {
    for cell in Cell::ALL {
        for bits in 0..32_u32 {
            let [bias, batch_first, bidirectional, state, deep] =
                [0, 1, 2, 3, 4].map(|bit| bits >> bit & 1 == 1);
            let network = Network::with_cell(cell, 5, 3).num_layers(1 + usize::from(deep));
            let network = network.bias(bias).batch_first(batch_first).bidirectional(bidirectional);
            let network = network.build().unwrap();
            let (shape, directions) = ([4, 2, 5], 1 + usize::from(bidirectional));
            let batch = if batch_first { 4 } else { 2 };
            let initial = state.then(|| network.zero_state(batch).unwrap());
            let (y, end) = network.forward(view(&[0.5; 40], shape), initial.as_ref()).unwrap();
            assert_eq!(y.shape(), [4, 2, 3 * directions]);
            assert_eq!(end.shape(), [(1 + usize::from(deep)) * directions, batch, 3]);
            assert_eq!(end.c().len(), if cell.has_cell_state() { end.h().len() } else { 0 });
            assert_eq!(network.params().len(), (if bias { 4 } else { 2 }) * end.shape()[0]);
        }
    }
}

/// Module samples: gradients in every layout.
#[test]
fn test_grad() {
    for cell in Cell::ALL {
        for (layers, batch_first, bidirectional) in [(1, true, false), (2, false, true), (2, true, true)] {
            let setup =
                Setup { cell, layers, batch_first, bidirectional, input: 5, hidden: 3, ..Setup::default() };
            agrees_with_the_oracle(&setup);
        }
    }
}

/// Module samples: an input [T, I] is a batch of one.
#[test]
fn unbatched_input() {
    for cell in Cell::ALL {
        for batch_first in [false, true] {
            let network = Network::with_cell(cell, 5, 3).batch_first(batch_first).bidirectional(true);
            let network = network.build().unwrap();
            let x: Vec<f32> = (0..20).map(|i| i as f32 * 0.1 - 1.0).collect();
            let unbatched = network.forward(network.unbatched(&x, [4, 5]).unwrap(), None).unwrap();
            let shape = if batch_first { [1, 4, 5] } else { [4, 1, 5] };
            assert_eq!(unbatched, network.forward(view(&x, shape), None).unwrap());
            assert_eq!(unbatched.0.data().len(), 4 * 6);
        }
    }
}

/// Module samples: a network that loads another's weights computes the same bits.
#[test]
fn test_save_load() {
    let folder = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("origins");
    std::fs::create_dir_all(&folder).unwrap();
    for cell in Cell::ALL {
        let problem = Setup { cell, layers: 2, bidirectional: true, ..Setup::default() }.problem();
        let one = problem.network(kernels());
        let file = folder.join(format!("pytorch-{}.safetensors", cell.name()));
        save_weights(&file, &[("", one.params())]).unwrap();
        let mut other: Network<Any> = problem.builder().seed(99).build().unwrap();
        assert_ne!(other.params(), one.params());
        WeightFile::read(&file).unwrap().load("", &mut other.params_mut()).unwrap();
        same_bits(&problem.train(&one), &problem.train(&other)).unwrap();
    }
}

/// Module samples: what they expect to be refused of cells and networks. `pytorch_args.rs` has all of it; here that a refused call leaves
/// a tape as it was.
#[test]
fn test_errors() {
    for cell in Cell::ALL {
        let network = Network::with_cell(cell, 10, 20).build().unwrap();
        let x = [0.25; 4 * 3 * 10];
        let mut tape: Tape = network.forward_train(view(&x, [4, 3, 10]), None).unwrap();
        let before = tape.output().data().to_vec();
        let wrong = View::new(&x[..108], [4, 3, 9]).unwrap();
        let error = network.forward_train_into(wrong, None, &mut tape).unwrap_err();
        assert_eq!(error.to_string(), "input has inconsistent input_size: got 9, expected 10");
        assert_eq!(tape.output().data(), before);
        let (mut grads, dy) = (network.params().zeros_like(), [1.0; 240]);
        network.backward(&mut tape, Upstream::output(view(&dy, [4, 3, 20])), &mut grads).unwrap();
    }
}
