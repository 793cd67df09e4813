//! PyTorch's tests of projections (`test/test_nn.py`, `test/cpp/api/rnn.cpp`): h_t = W_hr u_t.

use super::support::{all_kernels, refused, refused_by_all, view};
use gatewise::{Any, Cell, Network, State};

const INPUT: usize = 3;
const HIDDEN: usize = 5;
const PROJ: usize = 2;
const BATCH: usize = 4;
const STEPS: usize = 6;

fn lstm(hidden: usize, proj: usize, layers: usize) -> Network<Any> {
    let network = Network::with_cell(Cell::Lstm, INPUT, hidden).proj_size(proj).num_layers(layers);
    network.bidirectional(true).build().unwrap()
}

fn state_of(network: &Network<Any>, batch: usize) -> State {
    let mut state = network.zero_state(batch).unwrap();
    state.h_mut().fill(7.5);
    state.c_mut().fill(-7.5);
    state
}

/// Wrong batches, input size, hidden size, proj_size, and layers; 7 is the wrong size, as there. h and c are one value here.
#[test]
fn test_projections_lstm_args_check() {
    let x = vec![0.25; STEPS * 7 * 7];
    let input =
        |batch: usize, features: usize| view(&x[..STEPS * batch * features], [STEPS, batch, features]);
    let network = lstm(HIDDEN, PROJ, 2);
    let state = state_of(&network, BATCH);
    assert_eq!((state.shape(), state.c().len()), ([4, BATCH, PROJ], 4 * BATCH * HIDDEN));
    network.forward(input(BATCH, INPUT), Some(&state)).unwrap();
    let words = "h_0 has inconsistent batch size: got 4, expected 7";
    refused_by_all(&network, input(7, INPUT), &state, words);
    let words = "h_0 has inconsistent batch size: got 7, expected 4";
    refused_by_all(&network, input(BATCH, INPUT), &state_of(&network, 7), words);
    let words = "input has inconsistent input_size: got 7, expected 3";
    refused_by_all(&network, input(BATCH, 7), &state, words);
    let words = "h_0 has inconsistent proj_size: got 1, expected 2";
    refused_by_all(&network, input(BATCH, INPUT), &state_of(&lstm(HIDDEN, 1, 2), BATCH), words);
    let words = "h_0 has inconsistent num_layers * directions: got 14, expected 4";
    refused_by_all(&network, input(BATCH, INPUT), &state_of(&lstm(HIDDEN, PROJ, 7), BATCH), words);
    let other = state_of(&lstm(7, PROJ, 2), BATCH);
    let error = network.forward(input(BATCH, INPUT), Some(&other)).unwrap_err();
    refused_by_all(&network, input(BATCH, INPUT), &other, &error.to_string());
    assert!(error.to_string().starts_with("c_0 has inconsistent"), "{error}");

    for (proj, words) in [
        (5, "proj_size must be smaller than hidden_size: got 5"),
        (7, "proj_size must be smaller than hidden_size: got 7"),
    ] {
        refused(Network::with_cell(Cell::Lstm, INPUT, HIDDEN).proj_size(proj).build(), words);
    }
}

/// PyTorch has projections for the LSTM alone; here the others have them too, with outputs and states of proj_size.
#[test]
fn test_projections_errors_on_gru_and_rnn() {
    for cell in [Cell::RnnTanh, Cell::RnnRelu, Cell::Gru] {
        let network = Network::with_cell(cell, 10, 20).proj_size(10).build().unwrap();
        let (y, end) = network.forward(view(&[0.5; 20], [2, 1, 10]), None).unwrap();
        assert_eq!((y.shape(), end.shape()), ([2, 1, 10], [1, 1, 10]));
        assert_eq!(y.data()[10..], *end.h());
        refused(
            Network::with_cell(cell, 10, 20).proj_size(20).build(),
            "proj_size must be smaller than hidden_size: got 20",
        );
    }
}

/// Explicit zeros are the state left out.
#[test]
fn test_projections_lstm_initial_hidden_state() {
    for kernels in all_kernels() {
        for bidirectional in [false, true] {
            let network = Network::with_cell(Cell::Lstm, 30, 20).proj_size(10).num_layers(2);
            let network = network.bidirectional(bidirectional).kernels(kernels).build().unwrap();
            let x: Vec<f32> = (0..10 * 32 * 30).map(|i| (i as f32 * 0.37).sin()).collect();
            let zeros = network.zero_state(32).unwrap();
            let omitted = network.forward(view(&x, [10, 32, 30]), None).unwrap();
            assert!(omitted.0.data().iter().any(|&value| value != 0.0));
            assert_eq!(network.forward(view(&x, [10, 32, 30]), Some(&zeros)).unwrap(), omitted);
        }
    }
}

/// LSTM(128, 64, proj_size 32), three layers, x [10, 16, 128].
#[test]
fn CheckOutputSizesProj() {
    let network = Network::with_cell(Cell::Lstm, 128, 64).num_layers(3).proj_size(32).build().unwrap();
    let x: Vec<f32> = (0..10 * 16 * 128).map(|i| (i as f32 * 0.37).sin()).collect();
    let (y, first) = network.forward(view(&x, [10, 16, 128]), None).unwrap();
    assert_eq!((y.shape(), first.shape()), ([10, 16, 32], [3, 16, 32]));
    assert_eq!((first.h().len(), first.c().len()), (3 * 16 * 32, 3 * 16 * 64));
    let (_, next) = network.forward(view(&x, [10, 16, 128]), Some(&first)).unwrap();
    let difference: f32 = first.h().iter().zip(next.h()).map(|(a, b)| (a - b).abs()).sum();
    assert!(difference > 1e-3);
}
