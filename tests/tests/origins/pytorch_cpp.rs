//! PyTorch's C++ tests (`test/cpp/api/rnn.cpp`). `CheckErrorInfos` is in `pytorch_args.rs`.

use super::support::{all_kernels, close, kernels, set, view};
use gatewise::Cell::{self, Gru, Lstm, RnnRelu, RnnTanh};
use gatewise::{
    Adam, Any, DropoutKey, Input, Linear, LinearRoom, Network, Optimizer, PackedSequence, State, Tape,
    Upstream, mse,
};
use tests::rng::Rng;

fn random(seed: u64, len: usize) -> Vec<f32> {
    Rng::new(seed).vec(len, -1.5, 1.5).into_iter().map(|value| value as f32).collect()
}

/// LSTM(128, 64), three layers, dropout 0.2, x [10, 16, 128]; a second pass from the final state ends elsewhere.
#[test]
fn CheckOutputSizes() {
    let network = Network::with_cell(Lstm, 128, 64).num_layers(3).dropout(0.2).build().unwrap();
    let x = random(1, 10 * 16 * 128);
    let pass = |state: Option<&State>, seed: u64| {
        let input = Input::from(view(&x, [10, 16, 128]));
        let input = input.dropout(DropoutKey { seed, ..DropoutKey::default() });
        let tape = network.forward_train(input, state).unwrap();
        assert_eq!(tape.output().shape(), [10, 16, 64]);
        let mut end = network.zero_state(0).unwrap();
        tape.final_state(&mut end).unwrap();
        assert_eq!(end.shape(), [3, 16, 64]);
        assert_eq!((end.h().len(), end.c().len()), (3 * 16 * 64, 3 * 16 * 64));
        assert!(end.h().iter().chain(end.c()).any(|&value| value != 0.0));
        end
    };
    let first = pass(None, 1);
    let next = pass(Some(&first), 2);
    let difference: f32 = first.h().iter().zip(next.h()).map(|(a, b)| (a - b).abs()).sum();
    assert!(difference > 1e-3);
}

/// LSTM(2, 2), every parameter i / size, x (24 - i) / 24: the four decimals that are published.
#[test]
fn CheckOutputValuesMatchPyTorch() {
    let y_out = [
        0.4391, 0.5402, 0.4330, 0.5324, 0.4261, 0.5239, 0.4183, 0.5147, 0.6822, 0.8064, 0.6726, 0.7968,
        0.6620, 0.7860, 0.6501, 0.7741, 0.7889, 0.9003, 0.7769, 0.8905, 0.7635, 0.8794, 0.7484, 0.8666,
    ];
    let h_out = [0.7889, 0.9003, 0.7769, 0.8905, 0.7635, 0.8794, 0.7484, 0.8666];
    let c_out = [1.1647, 1.6106, 1.1425, 1.5726, 1.1187, 1.5329, 1.0931, 1.4911];
    for kernels in all_kernels() {
        let mut network = Network::with_cell(Lstm, 2, 2).kernels(kernels).build().unwrap();
        for (name, size) in [("weight_ih_l0", 16), ("weight_hh_l0", 16), ("bias_ih_l0", 8), ("bias_hh_l0", 8)]
        {
            set(&mut network, name, |i| i as f32 / size as f32);
        }
        let x: Vec<f32> = (0..24).map(|i| (24 - i) as f32 / 24.0).collect();
        let (y, end) = network.forward(view(&x, [3, 4, 2]), None).unwrap();
        assert_eq!((y.shape(), end.shape()), ([3, 4, 2], [1, 4, 2]));
        // Half of the last decimal.
        close("y", y.data(), &y_out, 5.1e-5);
        close("h", end.h(), &h_out, 5.1e-5);
        close("c", end.c(), &c_out, 5.1e-5);
    }
}

/// A linear layer and tanh, two layers of 32 units, and a linear layer on the last output; it learns to count the ones in five bits.
/// The loss, averaged over some hundred updates, falls from 1 below 0.01 in 1500 updates, as there.
fn end_to_end(cell: Cell) {
    const STEPS: usize = 5;
    const BATCH: usize = 16;
    const UNITS: usize = 32;
    let mut before = Linear::new(1, UNITS, 1).unwrap();
    let mut network: Network<Any> =
        Network::with_cell(cell, UNITS, UNITS).num_layers(2).seed(2).build().unwrap();
    let mut after = Linear::new(UNITS, 1, 3).unwrap();
    let (mut tape, mut room, mut adam) = (Tape::default(), LinearRoom::default(), Adam::new(1e-2));
    let (mut rng, mut running_loss, mut updates) = (Rng::new(4), 1.0, 0);
    let last = (STEPS - 1) * BATCH * UNITS;
    while running_loss > 1e-2 {
        assert!(updates < 1500, "{cell:?}: the loss is still {running_loss}");
        let bits: Vec<f32> = (0..STEPS * BATCH).map(|_| f32::from(u8::from(rng.chance(0.5)))).collect();
        let labels: Vec<f32> =
            (0..BATCH).map(|row| (0..STEPS).map(|t| bits[t * BATCH + row]).sum()).collect();

        let mut x = vec![0.0; STEPS * BATCH * UNITS];
        before.forward(STEPS * BATCH, &bits, &mut x).unwrap();
        x.iter_mut().for_each(|x| *x = x.tanh());
        network.forward_train_into(view(&x, [STEPS, BATCH, UNITS]), None, &mut tape).unwrap();
        let mut predicted = [0.0; BATCH];
        after.forward(BATCH, &tape.output().data()[last..], &mut predicted).unwrap();
        let mut d_predicted = [0.0; BATCH];
        let loss = mse(&predicted, &labels, &mut d_predicted).unwrap();

        let mut grads = [before.params(), network.params(), after.params()].map(|params| params.zeros_like());
        let [d_before, d_network, d_after] = &mut grads;
        let mut dy = vec![0.0; STEPS * BATCH * UNITS];
        let output = &tape.output().data()[last..];
        after.backward(BATCH, output, &d_predicted, Some(&mut dy[last..]), d_after, &mut room).unwrap();
        network.backward(&mut tape, Upstream::output(view(&dy, [STEPS, BATCH, UNITS])), d_network).unwrap();
        let dx = tape.grad_input().unwrap().data();
        let dx: Vec<f32> = dx.iter().zip(&x).map(|(dx, x)| dx * (1.0 - x * x)).collect();
        before.backward(STEPS * BATCH, &bits, &dx, None, d_before, &mut room).unwrap();
        let mut params = [&mut *before.params_mut(), &mut *network.params_mut(), &mut *after.params_mut()];
        adam.step(&mut params, &[&grads[0], &grads[1], &grads[2]]).unwrap();

        running_loss = 0.99 * running_loss + 0.01 * loss;
        updates += 1;
    }
}

#[test]
fn EndToEndLSTM() {
    end_to_end(Lstm);
}

#[test]
fn EndToEndGRU() {
    end_to_end(Gru);
}

#[test]
fn EndToEndRNNRelu() {
    end_to_end(RnnRelu);
}

#[test]
fn EndToEndRNNTanh() {
    end_to_end(RnnTanh);
}

/// The reverse direction is the forward one of a network with its weights, on the reversed input, by bits.
fn reverse_is_forward_on_reversed_input(cell: Cell) {
    let (steps, batch, input, hidden) = (6, 3, 5, 9);
    let x = random(7, steps * batch * input);
    let reversed = |data: &[f32], width: usize| -> Vec<f32> {
        data.chunks(batch * width).rev().flatten().copied().collect()
    };
    for kernels in all_kernels() {
        let builder = || Network::with_cell(cell, input, hidden).kernels(kernels);
        let both = builder().bidirectional(true).seed(8).build().unwrap();
        let mut one = builder().build().unwrap();
        for tensor in one.params_mut().iter_mut() {
            let from = both.params().get(&format!("{}_reverse", tensor.name())).unwrap();
            tensor.data_mut().copy_from_slice(from.data());
        }
        let (y, end) = both.forward(view(&x, [steps, batch, input]), None).unwrap();
        let (one_y, one_end) = one.forward(view(&reversed(&x, input), [steps, batch, input]), None).unwrap();
        let second: Vec<f32> = y.data().chunks(2 * hidden).flat_map(|y| y[hidden..].to_vec()).collect();
        assert_eq!(second, reversed(one_y.data(), hidden));
        assert_eq!(&end.h()[batch * hidden..], one_end.h());
        assert_eq!(&end.c()[end.c().len() / 2..], one_end.c());
    }
}

#[test]
fn BidirectionalGRUReverseForward() {
    reverse_is_forward_on_reversed_input(Gru);
}

#[test]
fn BidirectionalLSTMReverseForward() {
    reverse_is_forward_on_reversed_input(Lstm);
}

/// A packed sequence that comes in goes through a network, and its outputs out again, packed.
#[test]
fn UsePackedSequenceAsInput() {
    for cell in Cell::ALL {
        let network = Network::with_cell(cell, 2, 4).kernels(kernels()).build().unwrap();
        let data = random(9, 6 * 2);
        let packed = PackedSequence::from_parts(data.clone(), 2, vec![3, 2, 1], None).unwrap();
        let (padded, lengths) = packed.pad(false).unwrap();
        assert_eq!(lengths, [3, 2, 1]);
        let input = Input::from(padded.view()).lengths(&lengths);
        let (y, end) = network.forward(input, None).unwrap();
        let out = PackedSequence::pack(y.view(), &lengths, false).unwrap();
        assert_eq!(out.batch_sizes(), packed.batch_sizes());
        // Row by row, from the packed data itself.
        for (row, places) in [&[0, 3, 5][..], &[1, 4], &[2]].into_iter().enumerate() {
            let (mut state, mut h) = (network.zero_state(1).unwrap(), [0.0; 4]);
            for place in places {
                network.step(&data[place * 2..][..2], &mut state, &mut h).unwrap();
                assert_eq!(out.data()[place * 4..][..4], h);
            }
            assert_eq!(end.h()[row * 4..][..4], h);
        }
    }
}
