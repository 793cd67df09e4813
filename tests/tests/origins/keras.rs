//! Keras' tests of its layers (`keras/src/layers/rnn/{simple_rnn,lstm,gru,bidirectional}_test.py`), with their inputs and published
//! results. All weights there are constants: kernel 0.01, recurrent kernel 0.02, bias 0.03, but the LSTM's forget bias of 1.
//!
//! `go_backwards` is the reverse direction of a bidirectional network; what Keras puts out without `return_sequences` is h_n.

use super::support::{all_kernels, ascending, close, kernels, refused, set, view};
use gatewise::Cell::{self, Gru, Lstm, RnnTanh};
use gatewise::{Any, Input, Kernels, Merge, Network, State, WeightFile, save_weights};

/// Keras' default tolerance.
const KERAS: f64 = 1e-6;
/// What Keras asks of its LSTM and GRU.
const GATED: f64 = 1e-5;

/// Constants of one direction.
#[derive(Clone, Copy)]
struct Constants {
    kernel: f32,
    recurrent: f32,
    bias: f32,
    unit_forget_bias: bool,
}

const USUAL: Constants = Constants { kernel: 0.01, recurrent: 0.02, bias: 0.03, unit_forget_bias: true };

/// A layer of that many units in both directions; a Keras layer has one bias, but the GRU, which has two.
fn layer_of(
    cell: Cell,
    input: usize,
    units: usize,
    constants: [Constants; 2],
    kernels: Kernels,
) -> Network<Any> {
    let network = Network::with_cell(cell, input, units).batch_first(true).bidirectional(true);
    let mut network = network.kernels(kernels).build().unwrap();
    for (suffix, of) in ["", "_reverse"].into_iter().zip(constants) {
        set(&mut network, &format!("weight_ih_l0{suffix}"), |_| of.kernel);
        set(&mut network, &format!("weight_hh_l0{suffix}"), |_| of.recurrent);
        let forget = units..2 * units;
        let is_forget = |i: usize| cell == Lstm && of.unit_forget_bias && forget.contains(&i);
        set(&mut network, &format!("bias_ih_l0{suffix}"), |i| if is_forget(i) { 1.0 } else { of.bias });
        set(&mut network, &format!("bias_hh_l0{suffix}"), |_| if cell == Gru { of.bias } else { 0.0 });
    }
    network
}

fn layer(cell: Cell, input: usize, units: usize, kernels: Kernels) -> Network<Any> {
    layer_of(cell, input, units, [USUAL; 2], kernels)
}

/// h_n of a direction, [B, units].
fn output(state: &State, direction: usize) -> &[f32] {
    let of_direction = state.h().len() / 2;
    &state.h()[direction * of_direction..][..of_direction]
}

/// One number for each row, repeated for each unit.
fn rows(values: &[f64], units: usize) -> Vec<f64> {
    values.iter().flat_map(|&value| vec![value; units]).collect()
}

/// h_n of both directions on Keras' input that counts from 0.
#[track_caller]
fn check(
    network: &Network<Any>,
    shape: [usize; 3],
    state: Option<&State>,
    expected: [&[f64]; 2],
    tolerance: f64,
) {
    let sequence = ascending(0.0, shape.iter().product());
    let (_, end) = network.forward(view(&sequence, shape), state).unwrap();
    close("forward", output(&end, 0), expected[0], tolerance);
    close("go_backwards", output(&end, 1), expected[1], tolerance);
}

#[test]
fn simple_rnn_test_correctness() {
    for kernels in all_kernels() {
        let network = layer(RnnTanh, 4, 4, kernels);
        let (forward, backward) = (rows(&[0.405432, 0.73605347], 4), rows(&[0.11144729, 0.5528889], 4));
        check(&network, [2, 3, 4], None, [&forward, &backward], KERAS);
    }
}

/// Also with a forget bias like the others, and without biases.
#[test]
fn lstm_test_correctness() {
    let no_forget_bias = Constants { unit_forget_bias: false, ..USUAL };
    let no_bias = Constants { bias: 0.0, ..no_forget_bias };
    for kernels in all_kernels() {
        let shape = [3, 6, 4];
        let forward = rows(&[0.6288687, 0.86899155, 0.9460773], 3);
        let backward = rows(&[0.35622165, 0.74789524, 0.8872726], 3);
        check(&layer(Lstm, 4, 3, kernels), shape, None, [&forward, &backward], GATED);
        for (constants, forward) in [
            (no_forget_bias, [0.57019705, 0.8661914, 0.9459622]),
            (no_bias, [0.54986924, 0.86226785, 0.9443936]),
        ] {
            let network = layer_of(Lstm, 4, 3, [constants; 2], kernels);
            let (_, end) = network.forward(view(&ascending(0.0, 72), shape), None).unwrap();
            close("forward", output(&end, 0), &rows(&forward, 3), GATED);
        }
    }
}

/// `reset_after=True`, also without biases; `reset_after=False`.
#[test]
fn gru_test_correctness() {
    for kernels in all_kernels() {
        let shape = [3, 6, 4];
        let forward = rows(&[0.5217289, 0.6371659, 0.39384964], 3);
        let backward = rows(&[0.24406259, 0.611516, 0.3928808], 3);
        check(&layer(Gru, 4, 3, kernels), shape, None, [&forward, &backward], GATED);
        let network = layer_of(Gru, 4, 3, [Constants { bias: 0.0, ..USUAL }; 2], kernels);
        let (_, end) = network.forward(view(&ascending(0.0, 72), shape), None).unwrap();
        close("no bias", output(&end, 0), &rows(&[0.49988455, 0.64701194, 0.4103359], 3), GATED);

        // reset_after=False, which has one bias.
        let network = Network::with_cell(Gru, 4, 3).batch_first(true).linear_before_reset(false);
        let mut network = network.kernels(kernels).build().unwrap();
        for (name, value) in
            [("weight_ih_l0", 0.01), ("weight_hh_l0", 0.02), ("bias_ih_l0", 0.03), ("bias_hh_l0", 0.0)]
        {
            set(&mut network, name, |_| value);
        }
        let (_, end) = network.forward(view(&ascending(0.0, 72), shape), None).unwrap();
        close("reset before", end.h(), &rows(&[0.51447755, 0.6426879, 0.40208298], 3), GATED);
    }
}

/// The state goes from call to call by hand; zeros are Keras' `reset_state`.
#[test]
fn test_statefulness() {
    for kernels in all_kernels() {
        for (cell, expected, tolerance) in [
            (RnnTanh, [0.40559256, 0.7361247], KERAS),
            (Lstm, [0.3124785, 0.6863672], GATED),
            (Gru, [0.29542392, 0.5885018], GATED),
        ] {
            let network = layer(cell, 4, 4, kernels);
            let sequence = ascending(0.0, 24);
            let mut state = network.zero_state(2).unwrap();
            for _ in 0..2 {
                let (_, first) = network.forward(view(&sequence, [2, 3, 4]), Some(&state)).unwrap();
                let (_, second) = network.forward(view(&sequence, [2, 3, 4]), Some(&first)).unwrap();
                close("the second call", output(&second, 0), &rows(&expected, 4), tolerance);
                state = second;
                state.fill_zero();
            }
        }
    }
}

/// `bidirectional_test.py`: each direction goes on from its own state.
#[test]
fn bidirectional_test_statefulness() {
    for kernels in all_kernels() {
        let network = layer(Lstm, 3, 2, kernels);
        let (_, first) = network.forward(view(&ascending(0.0, 24), [2, 4, 3]), None).unwrap();
        let (forward, backward) = (rows(&[0.26234663, 0.6137073], 2), rows(&[0.16959146, 0.5381646], 2));
        check(&network, [2, 4, 3], Some(&first), [&forward, &backward], KERAS);
    }
}

/// A state that counts from 0, in both directions.
#[test]
fn test_pass_initial_state() {
    for kernels in all_kernels() {
        let rnn = [[0.33621645; 4], [0.6262637; 4]].concat();
        let rnn_back = [[0.07344437; 4], [0.43043602; 4]].concat();
        let lstm = [0.20574439, 0.3558822, 0.64930826, 0.66276];
        let lstm_back = [0.13281618, 0.2790356, 0.5839337, 0.5992567];
        let gru = [0.23774096, 0.33508456, 0.83659905, 1.0227708];
        let gru_back = [0.13486053, 0.23261218, 0.78257304, 0.9691353];
        for (cell, units, expected, tolerance) in [
            (RnnTanh, 4, [&rnn[..], &rnn_back], KERAS),
            (Lstm, 2, [&lstm, &lstm_back], GATED),
            (Gru, 2, [&gru, &gru_back], GATED),
        ] {
            let network = layer(cell, 3, units, kernels);
            let mut state = network.zero_state(2).unwrap();
            let counting = [ascending(0.0, 2 * units), ascending(0.0, 2 * units)].concat();
            state.h_mut().copy_from_slice(&counting);
            let cells = state.c().len();
            state.c_mut().copy_from_slice(&counting[..cells]);
            check(&network, [2, 4, 3], Some(&state), expected, tolerance);
        }
    }
}

/// `bidirectional_test.py`: h and c of both directions, all different.
#[test]
fn bidirectional_test_pass_initial_state() {
    for kernels in all_kernels() {
        let network = layer(Lstm, 3, 2, kernels);
        let mut state = network.zero_state(2).unwrap();
        let times = |factor: f32| ascending(0.0, 4).into_iter().map(move |value| value * factor);
        state.h_mut().copy_from_slice(&times(1.0).chain(times(3.0)).collect::<Vec<_>>());
        state.c_mut().copy_from_slice(&times(2.0).chain(times(4.0)).collect::<Vec<_>>());
        let forward = [0.20794602, 0.4577124, 0.6682636, 0.6711909];
        let backward = [0.14046375, 0.48191673, 0.60943645, 0.60950446];
        check(&network, [2, 4, 3], Some(&state), [&forward, &backward], KERAS);
    }
}

/// A mask that ends rows early is `lengths`; outputs beyond are zeros (`zero_output_for_mask`). Keras' mask at the start, run
/// backwards, is the same on the reversed sequence.
#[test]
fn lstm_test_masking() {
    for kernels in all_kernels() {
        let network = layer(Lstm, 3, 2, kernels);
        let sequence = ascending(0.0, 24);
        let input = Input::from(view(&sequence, [2, 4, 3]));
        let (y, end) = network.forward(input.lengths(&[3, 2]), None).unwrap();
        close("h_n", output(&end, 0), &rows(&[0.11755939, 0.28556206], 2), GATED);
        let forward: Vec<f32> = y.data().chunks(4).flat_map(|step| step[..2].to_vec()).collect();
        let steps = [0.01588910, 0.05552048, 0.11755939, 0.0, 0.14185596, 0.28556206, 0.0, 0.0];
        close("y", &forward, &rows(&steps, 2), GATED);

        let of_row = |row: usize| sequence[row * 12..][..12].chunks(3).rev().flatten().copied();
        let reversed: Vec<f32> = of_row(0).chain(of_row(1)).collect();
        let input = Input::from(view(&reversed, [2, 4, 3]));
        let (_, end) = network.forward(input.lengths(&[3, 2]), None).unwrap();
        close("backwards", output(&end, 0), &rows(&[0.15341201, 0.3844719], 2), GATED);
    }
}

/// Masked steps between valid ones are left out of the sequence: the state passes over them, forward and backward.
#[test]
fn test_masking() {
    let mask = [[true, true, false, true], [true, false, false, true]];
    let gru = [[0.19393763, 0.30818558], [0.11669192, 0.28380975]];
    let rnn = [[0.32951632, 0.61799484], [0.07376196, 0.43645123]];
    for kernels in all_kernels() {
        for (cell, units, expected) in [(Gru, 2, gru), (RnnTanh, 4, rnn)] {
            let network = layer(cell, 3, units, kernels);
            let sequence = ascending(0.0, 24);
            let mut packed = vec![f32::NAN; 24];
            let mut lengths = [0; 2];
            for row in 0..2 {
                for step in (0..4).filter(|&step| mask[row][step]) {
                    let (to, from) = ((row * 4 + lengths[row]) * 3, (row * 4 + step) * 3);
                    packed[to..to + 3].copy_from_slice(&sequence[from..from + 3]);
                    lengths[row] += 1;
                }
            }
            let input = Input::from(view(&packed, [2, 4, 3]));
            let (_, end) = network.forward(input.lengths(&lengths), None).unwrap();
            for (direction, expected) in expected.iter().enumerate() {
                close("h_n", output(&end, direction), &rows(expected, units), GATED);
            }
        }
    }
}

/// `bidirectional_test.py`: the directions side by side, also with constants of their own; the merges of two are those of Keras.
#[test]
fn bidirectional_test_correctness() {
    for kernels in all_kernels() {
        let (forward, backward) = (rows(&[0.39687276, 0.7237238], 2), rows(&[0.10004295, 0.53391594], 2));
        check(&layer(RnnTanh, 4, 2, kernels), [2, 3, 4], None, [&forward, &backward], KERAS);

        let other = Constants { kernel: 0.03, recurrent: 0.02, bias: 0.01, ..USUAL };
        let network = layer_of(RnnTanh, 4, 2, [USUAL, other], kernels);
        let (_, end) = network.forward(view(&ascending(0.0, 24), [2, 3, 4]), None).unwrap();
        let product: Vec<f32> = output(&end, 0).iter().zip(output(&end, 1)).map(|(a, b)| a * b).collect();
        let mean: Vec<f32> = {
            let (_, end) =
                layer(RnnTanh, 4, 2, kernels).forward(view(&ascending(0.0, 24), [2, 3, 4]), None).unwrap();
            output(&end, 0).iter().zip(output(&end, 1)).map(|(a, b)| (a + b) / 2.0).collect()
        };
        close("ave", &mean, &rows(&[0.24845785, 0.6288199], 2), KERAS);
        close("mul", &product, &rows(&[0.08374989, 0.6740834], 2), KERAS);

        let plain = layer(Gru, 4, 2, kernels);
        let mut network = Network::with_cell(Gru, 4, 2)
            .batch_first(true)
            .bidirectional(true)
            .merge(Merge::Sum)
            .kernels(kernels)
            .build()
            .unwrap();
        for (to, from) in network.params_mut().iter_mut().zip(plain.params().iter()) {
            to.data_mut().copy_from_slice(from.data());
        }
        let (y, _) = network.forward(view(&ascending(0.0, 24), [2, 3, 4]), None).unwrap();
        let expected = [0.20937867, 0.34462988, 0.40290534, 0.59829646, 0.6734641, 0.6479671];
        close("sum", y.data(), &rows(&expected, 2), KERAS);
    }
}

/// A layer of Keras that puts out its last step alone merges what each direction put out last; of one step, that is the network's merge.
#[test]
fn bidirectional_merges_of_one_step() {
    for kernels in all_kernels() {
        let one = Constants { kernel: 0.03, recurrent: 0.02, bias: 0.01, ..USUAL };
        let plain = layer_of(RnnTanh, 4, 2, [USUAL, one], kernels);
        let x = ascending(0.0, 8);
        let (y, _) = plain.forward(view(&x, [2, 1, 4]), None).unwrap();
        for (merge, of) in [
            (Merge::Sum, (|f, r| f + r) as fn(f32, f32) -> f32),
            (Merge::Mean, |f, r| (f + r) / 2.0),
            (Merge::Product, |f, r| f * r),
        ] {
            let builder = Network::with_cell(RnnTanh, 4, 2).batch_first(true).bidirectional(true);
            let mut network = builder.merge(merge).kernels(kernels).build().unwrap();
            for (to, from) in network.params_mut().iter_mut().zip(plain.params().iter()) {
                to.data_mut().copy_from_slice(from.data());
            }
            let (merged, _) = network.forward(view(&x, [2, 1, 4]), None).unwrap();
            let expected: Vec<f32> =
                y.data().chunks(4).flat_map(|y| [of(y[0], y[2]), of(y[1], y[3])]).collect();
            assert_eq!(merged.data(), expected, "{merge:?}");
        }
    }
}

/// `bidirectional_test.py`: the shape of the output in each mode.
#[test]
fn test_output_shape() {
    let x = [101.0, 202.0, 303.0, 404.0];
    for (merge, features) in [(Merge::Concat, 4), (Merge::Mean, 2), (Merge::Product, 2), (Merge::Sum, 2)] {
        let builder = Network::with_cell(Lstm, 2, 2).batch_first(true).bidirectional(true);
        let network = builder.merge(merge).build().unwrap();
        let (y, end) = network.forward(view(&x, [1, 2, 2]), None).unwrap();
        assert_eq!((y.shape(), end.shape()), ([1, 2, features], [2, 1, 2]));
    }
}

/// `bidirectional_test.py`: h and c of both directions come back.
#[test]
fn test_return_state() {
    for kernels in all_kernels() {
        let network = layer(Lstm, 3, 2, kernels);
        let (forward, backward) = (rows(&[0.1990008, 0.52335435], 2), rows(&[0.12659755, 0.44717982], 2));
        check(&network, [2, 4, 3], None, [&forward, &backward], KERAS);
        let (_, end) = network.forward(view(&ascending(0.0, 24), [2, 4, 3]), None).unwrap();
        close("c", end.c(), &rows(&[0.35567185, 1.0492687, 0.2501858, 0.941473], 2), KERAS);
    }
}

/// One network takes any number of steps and rows.
#[test]
fn test_dynamic_shapes() {
    for cell in Cell::ALL {
        let network = layer(cell, 3, 8, kernels());
        for (batch, steps) in [(1, 1), (3, 4), (2, 9), (7, 1)] {
            let sequence = vec![0.5; batch * steps * 3];
            let (y, end) = network.forward(view(&sequence, [batch, steps, 3]), None).unwrap();
            assert_eq!((y.shape(), end.shape()), ([batch, steps, 16], [2, batch, 8]));
        }
    }
}

/// A layer that was written to a file and read again puts out the same bits.
#[test]
fn test_serialization() {
    let folder = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("origins");
    std::fs::create_dir_all(&folder).unwrap();
    for cell in Cell::ALL {
        let file = folder.join(format!("keras-{}.safetensors", cell.name()));
        let mut network = layer(cell, 4, 3, kernels());
        set(&mut network, "weight_hh_l0", |i| i as f32 * 0.01);
        save_weights(&file, &[("rnn.", network.params())]).unwrap();
        let mut other = layer(cell, 4, 3, kernels());
        WeightFile::read(&file).unwrap().load("rnn.", &mut other.params_mut()).unwrap();
        assert_eq!(other.params(), network.params());
        let sequence = ascending(-30.0, 72);
        let run = |network: &Network<Any>| network.forward(view(&sequence, [3, 6, 4]), None).unwrap();
        assert_eq!(run(&other), run(&network));
    }
}

#[test]
fn test_stateful_batch_size_mismatch_raises() {
    for cell in Cell::ALL {
        let network = layer(cell, 3, 2, kernels());
        let sequence = vec![0.25; 3 * 5 * 3];
        let words = "h_0 has inconsistent batch size: got 4, expected 3";
        let state = network.zero_state(4).unwrap();
        refused(network.forward(view(&sequence, [3, 5, 3]), Some(&state)), words);
    }
}
