//! What PyTorch's tests expect to be refused (`test/test_nn.py`, `test/cpp/api/rnn.cpp`, `torch/nn/modules/rnn.py`), in its words, and
//! with nothing written.

use super::support::{refused, refused_by_all, view};
use gatewise::{Any, Cell, Error, Network, Nonlinearity, Rnn, State};
use tests::setup::Setup;

const INPUT: usize = 3;
const HIDDEN: usize = 5;
const LAYERS: usize = 2;
const BATCH: usize = 4;
const STEPS: usize = 6;
/// The wrong size, as there: 7 is a prime.
const BAD: usize = 7;

fn network(cell: Cell, hidden: usize, layers: usize, bidirectional: bool) -> Network<Any> {
    Network::with_cell(cell, INPUT, hidden).num_layers(layers).bidirectional(bidirectional).build().unwrap()
}

/// A state whose values tell whether it was written.
fn state_of(network: &Network<Any>, batch: usize) -> State {
    let mut state = network.zero_state(batch).unwrap();
    state.h_mut().fill(7.5);
    state.c_mut().fill(-7.5);
    state
}

/// Wrong input batch, hidden batch, input size, hidden size, and layers times directions. h and c are one value here, of one size; a c
/// that is wrong alone is one that should not be there, or is missing.
#[test]
fn test_rnn_args_check() {
    let x = vec![0.25; STEPS * BAD * BAD];
    let input =
        |batch: usize, features: usize| view(&x[..STEPS * batch * features], [STEPS, batch, features]);
    for cell in Cell::ALL {
        for bidirectional in [false, true] {
            let of = |hidden: usize, layers: usize| network(cell, hidden, layers, bidirectional);
            let good = of(HIDDEN, LAYERS);
            let state = state_of(&good, BATCH);
            good.forward(input(BATCH, INPUT), Some(&state)).unwrap();
            let words = "h_0 has inconsistent batch size: got 4, expected 7";
            refused_by_all(&good, input(BAD, INPUT), &state, words);
            let words = "h_0 has inconsistent batch size: got 7, expected 4";
            refused_by_all(&good, input(BATCH, INPUT), &state_of(&good, BAD), words);
            let words = "input has inconsistent input_size: got 7, expected 3";
            refused_by_all(&good, input(BATCH, BAD), &state, words);
            let words = "h_0 has inconsistent hidden_size: got 7, expected 5";
            refused_by_all(&good, input(BATCH, INPUT), &state_of(&of(BAD, LAYERS), BATCH), words);
            let directions = 1 + usize::from(bidirectional);
            let words = format!(
                "h_0 has inconsistent num_layers * directions: got {}, expected {}",
                BAD * directions,
                LAYERS * directions
            );
            refused_by_all(&good, input(BATCH, INPUT), &state_of(&of(HIDDEN, BAD), BATCH), &words);
        }
    }
    let (lstm, gru) = (network(Cell::Lstm, HIDDEN, 1, false), network(Cell::Gru, HIDDEN, 1, false));
    let words = "c_0 has inconsistent length: got 0, expected 20";
    refused_by_all(&lstm, input(BATCH, INPUT), &state_of(&gru, BATCH), words);
    let words = "c_0 has inconsistent length: got 20, expected 0";
    refused_by_all(&gru, input(BATCH, INPUT), &state_of(&lstm, BATCH), words);
}

/// One step of a cell with I = 10, H = 20, B = 3 refuses, and leaves state and output.
#[track_caller]
fn step_refuses(cell: Cell, x: &[f32], state: &State, words: &str) {
    let one = Network::with_cell(cell, 10, 20).build().unwrap();
    let (mut written, mut y) = (state.clone(), [7.5; 60]);
    let y_len = (state.batch() * 20).min(60);
    refused(one.step(x, &mut written, &mut y[..y_len]), words);
    assert_eq!(&written, state);
    assert_eq!(y, [7.5; 60]);
}

/// A batch, hidden size or input size of 1 is not stretched.
#[test]
fn test_RNN_cell_no_broadcasting() {
    for cell in Cell::ALL {
        let state = |hidden: usize, batch: usize| {
            state_of(&Network::with_cell(cell, 10, hidden).build().unwrap(), batch)
        };
        let x = [0.25; 30];
        step_refuses(cell, &x, &state(20, 1), "input has inconsistent length: got 30, expected 10");
        step_refuses(cell, &x, &state(1, 3), "h_0 has inconsistent hidden_size: got 1, expected 20");
        step_refuses(cell, &x[..3], &state(20, 3), "input has inconsistent length: got 3, expected 30");
        step_refuses(cell, &x[..10], &state(20, 3), "input has inconsistent length: got 10, expected 30");
    }
}

#[test]
fn test_LSTM_cell_forward_input_size() {
    let state = state_of(&Network::with_cell(Cell::Lstm, 11, 20).build().unwrap(), 3);
    step_refuses(Cell::Lstm, &[0.25; 33], &state, "input has inconsistent length: got 33, expected 30");
}

/// h and c cannot be of different hidden sizes here; both wrong are refused as h.
#[test]
fn test_LSTM_cell_forward_hidden_size() {
    let state = state_of(&Network::with_cell(Cell::Lstm, 10, 21).build().unwrap(), 3);
    step_refuses(Cell::Lstm, &[0.25; 30], &state, "h_0 has inconsistent hidden_size: got 21, expected 20");
}

/// PyTorch's cells accept H = 0, its networks do not; here nothing does.
#[test]
fn test_RNN_cell_forward_zero_hidden_size() {
    for cell in Cell::ALL {
        let words = "hidden_size must be greater than zero: got 0";
        refused(Network::with_cell(cell, 10, 0).build(), words);
    }
}

#[test]
fn test_error_RNN_seq_len_zero() {
    for cell in Cell::ALL {
        for bidirectional in [false, true] {
            let network = network(cell, 16, 1, bidirectional);
            let words = "Expected sequence length to be larger than 0 in RNN";
            let state = state_of(&network, 10);
            refused_by_all(&network, view(&[], [0, 10, INPUT]), &state, words);
            assert_eq!(network.forward(view(&[], [0, 10, INPUT]), None), Err(Error::EmptySequence));
        }
    }
}

/// C++: no hidden units, no layers.
#[test]
fn CheckErrorInfos() {
    for cell in Cell::ALL {
        let build =
            |hidden: usize, layers: usize| Network::with_cell(cell, 1, hidden).num_layers(layers).build();
        refused(build(0, 1), "hidden_size must be greater than zero: got 0");
        refused(build(1, 0), "num_layers must be greater than zero: got 0");
    }
}

/// The checks of `torch/nn/modules/rnn.py` on dropout: a number in [0, 1]; with one layer PyTorch warns that it has no effect, and here
/// it has none.
#[test]
fn constructor_checks_of_dropout() {
    for cell in Cell::ALL {
        for (rate, got) in [(-0.1, "-0.1"), (1.1, "1.1"), (f32::NAN, "NaN"), (f32::INFINITY, "inf")] {
            let build = Network::with_cell(cell, 3, 4).num_layers(2).dropout(rate).build();
            refused(build, &format!("dropout must be a number in range [0, 1]: got {got}"));
        }
        let one = Setup { cell, dropout: 0.5, ..Setup::default() }.problem();
        let none = Setup { dropout: 0.0, ..one.setup.clone() }.problem();
        let kernels = super::support::kernels();
        assert_eq!(one.train(&one.network(kernels)), none.train(&none.network(kernels)));
    }
}

/// An input has three axes, or two without a batch; a view of another number of floats is no view.
#[test]
fn constructor_checks_of_rank() {
    let network = network(Cell::Gru, 4, 1, false);
    let words = "a view's data has inconsistent length: got 5, expected 6";
    refused(network.unbatched(&[0.5; 5], [2, 3]), words);
    let words = "input has inconsistent input_size: got 2, expected 3";
    refused(network.forward(network.unbatched(&[0.5; 6], [3, 2]).unwrap(), None), words);
}

/// tanh unless told otherwise; another word is no value of the type.
#[test]
fn test_RNN_nonlinearity() {
    assert_eq!(Nonlinearity::default(), Nonlinearity::Tanh);
    let default = Rnn::new(1, 10).unwrap();
    assert_eq!(default.config().cell, Cell::RnnTanh);
    let build = |nonlinearity| Rnn::builder(1, 10).nonlinearity(nonlinearity).build().unwrap().into_any();
    for (nonlinearity, cell) in [(Nonlinearity::Tanh, Cell::RnnTanh), (Nonlinearity::Relu, Cell::RnnRelu)] {
        let (network, x) = (build(nonlinearity), [0.75, -3.0, 2.5]);
        assert_eq!(network.config().cell, cell);
        let (y, _) = network.forward(view(&x, [3, 1, 1]), None).unwrap();
        // The first step, from its definition.
        let param = |name: &str, unit: usize| f64::from(network.params().get(name).unwrap().data()[unit]);
        for (unit, &got) in y.data()[..10].iter().enumerate() {
            let sum =
                0.75 * param("weight_ih_l0", unit) + param("bias_ih_l0", unit) + param("bias_hh_l0", unit);
            let expected = if cell == Cell::RnnTanh { sum.tanh() } else { sum.max(0.0) };
            assert!((f64::from(got) - expected).abs() < 1e-6, "{nonlinearity:?} {unit}: {got}, {expected}");
        }
        let is_clipped = y.data().iter().all(|&h| h >= 0.0);
        assert_eq!(is_clipped, nonlinearity == Nonlinearity::Relu);
    }
}
