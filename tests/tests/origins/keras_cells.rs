//! Keras' tests of `RNN` around a cell of its own and of stacked cells (`rnn_test.py`, `stacked_rnn_cells_test.py`). The cell there is
//! h' = W x + R h with ones for weights; on inputs that are not negative that is a relu cell without biases, and all results are
//! whole numbers.

use super::support::{all_kernels, ascending, kernels, set, view};
use gatewise::{Any, Cell, Kernels, Lstm, Network, State};

/// Both directions; the second is Keras' `go_backwards`.
fn layer(input: usize, units: usize, kernels: Kernels) -> Network<Any> {
    let network = Network::with_cell(Cell::RnnRelu, input, units).bias(false).batch_first(true);
    let mut network = network.bidirectional(true).kernels(kernels).build().unwrap();
    for name in ["weight_ih_l0", "weight_hh_l0", "weight_ih_l0_reverse", "weight_hh_l0_reverse"] {
        set(&mut network, name, |_| 1.0);
    }
    network
}

/// The forward half of outputs [B, T, 2 * units].
fn forward_half(y: &[f32], units: usize) -> Vec<f32> {
    y.chunks(2 * units).flat_map(|step| step[..units].to_vec()).collect()
}

fn forward_state(state: &State) -> &[f32] {
    &state.h()[..state.h().len() / 2]
}

#[test]
fn test_forward_pass_single_state() {
    for kernels in all_kernels() {
        let network = layer(3, 2, kernels);
        let (y, end) = network.forward(view(&[1.0; 6], [1, 2, 3]), None).unwrap();
        assert_eq!(forward_half(y.data(), 2), [3.0, 3.0, 9.0, 9.0]);
        assert_eq!(forward_state(&end), [9.0, 9.0]);
    }
}

#[test]
fn test_passing_initial_state_single_state() {
    for kernels in all_kernels() {
        let network = layer(2, 2, kernels);
        let mut state = network.zero_state(2).unwrap();
        state.h_mut().fill(1.0);
        let (_, end) = network.forward(view(&[1.0; 12], [2, 3, 2]), Some(&state)).unwrap();
        assert_eq!(forward_state(&end), [22.0; 4]);
    }
}

#[test]
fn test_statefulness_single_state() {
    for kernels in all_kernels() {
        let network = layer(3, 2, kernels);
        let (_, first) = network.forward(view(&[1.0; 6], [1, 2, 3]), None).unwrap();
        let (_, second) = network.forward(view(&[1.0; 6], [1, 2, 3]), Some(&first)).unwrap();
        assert_eq!(forward_state(&second), [45.0, 45.0]);
    }
}

#[test]
fn test_go_backwards() {
    for kernels in all_kernels() {
        let network = layer(4, 2, kernels);
        let sequence = ascending(0.0, 24);
        let (_, first) = network.forward(view(&sequence, [2, 3, 4]), None).unwrap();
        assert_eq!(first.h()[4..], [202.0, 202.0, 538.0, 538.0]);
        let (_, second) = network.forward(view(&sequence, [2, 3, 4]), Some(&first)).unwrap();
        assert_eq!(forward_state(&second), [954.0, 954.0, 3978.0, 3978.0]);
    }
}

/// Shapes of outputs and states.
#[test]
fn test_compute_output_shape_single_state() {
    for cell in Cell::ALL {
        let network = Network::with_cell(cell, 5, 8).batch_first(true).build().unwrap();
        let (y, end) = network.forward(view(&[1.0; 60], [3, 4, 5]), None).unwrap();
        assert_eq!((y.shape(), end.shape()), ([3, 4, 8], [1, 3, 8]));
    }
}

/// Cells of 3 and 2 units, one on the other.
#[test]
fn test_correctness_single_state_stack() {
    for kernels in all_kernels() {
        let (below, above) = (layer(4, 3, kernels), layer(3, 2, kernels));
        let (y, state_1) = below.forward(view(&ascending(0.0, 24), [2, 3, 4]), None).unwrap();
        assert_eq!(forward_state(&state_1), [158.0, 158.0, 158.0, 782.0, 782.0, 782.0]);
        let (y, state_2) = above.forward(view(&forward_half(y.data(), 3), [2, 3, 3]), None).unwrap();
        let expected = [18.0, 18.0, 156.0, 156.0, 786.0, 786.0, 162.0, 162.0, 1020.0, 1020.0, 4386.0, 4386.0];
        assert_eq!(forward_half(y.data(), 2), expected);
        assert_eq!(forward_state(&state_2), [786.0, 786.0, 4386.0, 4386.0]);
    }
}

/// The name is Keras'.
#[test]
fn test_statefullness_single_state_stack() {
    for kernels in all_kernels() {
        let (below, above) = (layer(4, 3, kernels), layer(3, 2, kernels));
        let sequence = ascending(0.0, 24);
        let mut states = [below.zero_state(2).unwrap(), above.zero_state(2).unwrap()];
        for _ in 0..2 {
            let (y, state_1) = below.forward(view(&sequence, [2, 3, 4]), Some(&states[0])).unwrap();
            let y = forward_half(y.data(), 3);
            let (_, state_2) = above.forward(view(&y, [2, 3, 3]), Some(&states[1])).unwrap();
            states = [state_1, state_2];
        }
        assert_eq!(forward_state(&states[1]), [34092.0, 34092.0, 173_196.0, 173_196.0]);
    }
}

#[test]
fn test_return_state_stacked_lstm_cell() {
    let network = Lstm::builder(5, 10).num_layers(2).batch_first(true).kernels(kernels()).build().unwrap();
    let (y, end) = network.forward(view(&[0.0; 30], [2, 3, 5]), None).unwrap();
    assert_eq!((y.shape(), end.shape()), ([2, 3, 10], [2, 2, 10]));
    assert_eq!((end.h().len(), end.c().len()), (40, 40));
    let last: Vec<f32> = y.data().chunks(30).flat_map(|row| row[20..].to_vec()).collect();
    assert_eq!(last, end.h()[20..], "the output is h of the last layer");
}
