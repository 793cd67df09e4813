//! Networks with options against the oracle, and against themselves bit by bit.

use super::case::{Case, DROPOUT_SEED, distance_to_jump, single};
use gatewise::{
    Activation, Activations, Any, Cell, DropoutKey, Input, Kernels, Network, State, Upstream, View,
};
use proptest::prelude::*;
use tests::bounds::largest;
use tests::oracle::{self, Stack, StackGrads, StackRun, StackTrace};
use tests::rng::Rng;

/// Half a unit in the last place of 1.
const EPS: f64 = 1.0 / (1 << 24) as f64;

pub(super) fn narrow(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&x| x as f32).collect()
}

/// The largest value that enters any sum of the forward pass, at least 1.
fn scale(stack: &Stack, run: &StackRun, trace: &StackTrace) -> f64 {
    let layers = trace.layers.iter().flat_map(|l| [&l.xa, &l.ha, &l.gates, &l.c, &l.u, &l.out, &l.h_in]);
    let weights = stack.weights.iter().flat_map(|w| w.tensors()).map(|(_, values)| largest(values));
    // A layer's input after dropout is larger than the outputs it came from.
    let inputs = trace.runs.iter().map(|run| &run.x);
    layers.chain(inputs).chain([&run.x]).map(|v| largest(v)).chain(weights).fold(1.0, f64::max)
}

/// The largest gradient of the backward pass, at least 1.
fn scale_of(grads: &StackGrads) -> f64 {
    let layers = grads.layers.iter().flat_map(|l| [&l.xa, &l.ha, &l.h, &l.c, &l.x]);
    layers.map(|v| largest(v)).fold(1.0, f64::max)
}

/// Each value within `allowed` of the oracle's.
fn close(what: &str, got: &[f32], expected: &[f64], allowed: f64) -> Result<(), TestCaseError> {
    prop_assert_eq!(got.len(), expected.len(), "length of {}", what);
    for (i, (&got, &expected)) in got.iter().zip(expected).enumerate() {
        let error = (f64::from(got) - expected).abs();
        prop_assert!(
            error <= allowed,
            "{what}[{i}] is {got:e}, expected {expected:e}: {error:.1e} off, {allowed:.1e} allowed"
        );
    }
    Ok(())
}

pub(super) fn fill(network: &mut Network<Any>, stack: &Stack) {
    let mut params = network.params_mut();
    assert_eq!(params.len(), stack.tensors().len());
    for (name, values) in stack.tensors() {
        params.get_mut(&name).expect("PyTorch's name").data_mut().copy_from_slice(&narrow(values));
    }
}

pub(super) fn initial(network: &Network<Any>, run: &StackRun) -> State {
    let zeros = || network.zero_state(run.batch).unwrap();
    given(network, [&run.h0, &run.c0], run.batch).unwrap_or_else(zeros)
}

/// A state, if it is given.
fn given(network: &Network<Any>, [h, c]: [&Option<Vec<f64>>; 2], batch: usize) -> Option<State> {
    let mut state = network.zero_state(batch).unwrap();
    state.h_mut().copy_from_slice(&narrow(h.as_ref()?));
    state.c_mut().copy_from_slice(&narrow(c.as_ref()?));
    Some(state)
}

fn against_the_oracle(seed: u64) -> Result<(), TestCaseError> {
    let mut rng = Rng::new(seed);
    let case = Case::draw(&mut rng);
    let stack = case.stack(&mut rng);
    let run = case.run(&stack.shape, &mut rng);
    let trace = stack.forward(&run);
    let margin = 1e-4;
    let mut layers = trace.runs.iter().zip(&trace.layers);
    // Where a derivative jumps, or the value with it, the nearest float may stand on the other side.
    prop_assume!(layers.all(|(run, layer)| distance_to_jump(stack.shape.cell, run, layer) > margin));
    let mut values = |len: usize| -> Vec<f64> { (0..len).map(|_| single(rng.uniform(-1.0, 1.0))).collect() };
    let upstream = oracle::Upstream {
        out: Some(values(trace.out.len())),
        h_n: Some(values(trace.h_n.len())),
        c_n: Some(values(trace.c_n.len())),
    };
    let expected = stack.backward(&run, &trace, &upstream);
    // Terms of the longest sums, and how often a rounding error is passed on.
    let terms = case.input + 2 * stack.shape.hidden[0] * stack.shape.cell.gates() + 8;
    let passes = case.steps * case.layers;
    let scale = scale(&stack, &run, &trace);
    // Identities and products of directions can grow out of what an f32 holds.
    prop_assume!(scale < 1e9);
    let forward = EPS * scale * scale * (terms * passes) as f64;
    let rows = case.steps * case.batch;
    let backward = EPS * scale * scale * scale_of(&expected) * ((terms + rows) * passes) as f64;
    for kernels in Kernels::available().unwrap() {
        let mut network = case.build(kernels);
        fill(&mut network, &stack);
        let state = initial(&network, &run);
        let x = case.in_layout(&narrow(&run.x), case.input);
        let x = View::new(&x, case.sequence_shape(case.input)).unwrap();
        let mut input = Input::from(x).dropout(DropoutKey { seed: DROPOUT_SEED, ..DropoutKey::default() });
        (input.lengths, input.resets) = (case.lengths.as_deref(), case.resets.as_deref());
        let reset = given(&network, [&run.reset_h, &run.reset_c], case.batch);
        input.reset_state = reset.as_ref();
        let (y, end) = network.forward(input, Some(&state)).unwrap();
        let mut tape = network.forward_train(input, Some(&state)).unwrap();
        let mut recorded = network.zero_state(case.batch).unwrap();
        tape.final_state(&mut recorded).unwrap();
        // Inference knows no dropout.
        if case.dropout == 0.0 {
            prop_assert_eq!(bits(y.data()), bits(tape.output().data()));
            prop_assert_eq!(&end, &recorded);
        }
        let width = network.config().output_size();
        close("out", &case.time_major(tape.output().data(), width), &trace.out, forward)?;
        close("h_n", recorded.h(), &trace.h_n, forward)?;
        close("c_n", recorded.c(), &trace.c_n, forward)?;

        let [dy, dh, dc] =
            [&upstream.out, &upstream.h_n, &upstream.c_n].map(|v| narrow(v.as_deref().unwrap()));
        let dy = case.in_layout(&dy, width);
        let dy = View::new(&dy, y.shape()).unwrap();
        let up = Upstream { output: Some(dy), h_n: Some(&dh), c_n: Some(&dc), ..Upstream::default() };
        let mut grads = network.params().zeros_like();
        network.backward(&mut tape, up, &mut grads).unwrap();
        let dx = case.time_major(tape.grad_input().unwrap().data(), case.input);
        close("grad.x", &dx, &expected.x, backward)?;
        close("grad.h0", tape.grad_h_0(), &expected.h0, backward)?;
        close("grad.c0", tape.grad_c_0(), &expected.c0, backward)?;
        if case.resets_to_state {
            let gradients = tape.gradients();
            close("grad.reset_h", gradients.grad_reset_h(), &expected.reset_h, backward)?;
            close("grad.reset_c", gradients.grad_reset_c(), &expected.reset_c, backward)?;
        }
        for (name, values) in expected.tensors(&stack.shape) {
            close(&name, grads.get(&name).unwrap().data(), values, backward)?;
        }
    }
    Ok(())
}

/// Step by step, each row alone, and with other chunks of time: the same bits.
fn against_itself(seed: u64) -> Result<(), TestCaseError> {
    let mut rng = Rng::new(seed);
    let plain = Case { bidirectional: false, lengths: None, resets: None, ..Case::draw(&mut rng) };
    let case = Case { batch_first: false, ..plain };
    let stack = case.stack(&mut rng);
    let run = case.run(&stack.shape, &mut rng);
    let x = narrow(&run.x);
    for kernels in Kernels::available().unwrap() {
        let mut network = case.build(kernels);
        fill(&mut network, &stack);
        let mut state = initial(&network, &run);
        let view = View::new(&x, [case.steps, case.batch, case.input]).unwrap();
        let (y, end) = network.forward(view, Some(&state)).unwrap();

        let last = case.batch - 1;
        let alone: Vec<f32> = (0..case.steps)
            .flat_map(|t| &x[(t * case.batch + last) * case.input..][..case.input])
            .copied()
            .collect();
        let view = View::new(&alone, [case.steps, 1, case.input]).unwrap();
        let (alone, _) = network.forward(view, Some(&state.gather(&[last]).unwrap())).unwrap();
        let width = network.config().output_size();
        for t in 0..case.steps {
            let inside = &y.data()[(t * case.batch + last) * width..][..width];
            prop_assert_eq!(bits(inside), bits(&alone.data()[t * width..][..width]));
        }

        let mut out = vec![0.0; case.batch * width];
        for t in 0..case.steps {
            let size = case.batch * case.input;
            network.step(&x[t * size..][..size], &mut state, &mut out).unwrap();
            prop_assert_eq!(bits(&out), bits(&y.data()[t * out.len()..][..out.len()]));
        }
        prop_assert_eq!((bits(state.h()), bits(state.c())), (bits(end.h()), bits(end.c())));
    }
    Ok(())
}

pub(super) fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| if x.is_nan() { f32::NAN.to_bits() } else { x.to_bits() }).collect()
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        max_global_rejects: 100_000,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_option_is_the_oracles(seed: u64) {
        against_the_oracle(seed)?;
    }

    #[test]
    fn steps_rows_and_sequences_agree_bit_by_bit(seed: u64) {
        against_itself(seed)?;
    }
}

/// `1 * tanh(1 * x)` goes the way of the options and is tanh to the last bit.
#[test]
fn default_activations_have_the_bits_of_the_plain_cell() {
    let same = Activation::ScaledTanh { alpha: 1.0, beta: 1.0 };
    for (cell, seed) in [Cell::RnnTanh, Cell::Lstm, Cell::Gru].into_iter().zip(7..) {
        let mut rng = Rng::new(seed);
        let plain = Case {
            cell,
            activations: Activations::of(cell),
            linear_before_reset: true,
            proj: None,
            batch_first: false,
            lengths: Some(vec![4, 2, 5]),
            resets: Some((0..15).map(|i| i % 4 == 1).collect()),
            steps: 5,
            batch: 3,
            input: 6,
            hidden: 19,
            ..Case::draw(&mut rng)
        };
        let output = if cell == Cell::Lstm { same } else { plain.activations.output };
        let with = Case {
            activations: Activations { candidate: same, output, ..plain.activations },
            ..plain.clone()
        };
        let stack = plain.stack(&mut rng);
        let run = plain.run(&stack.shape, &mut rng);
        let x = narrow(&run.x);
        let mut input = Input::from(View::new(&x, [5, 3, 6]).unwrap());
        (input.lengths, input.resets) = (plain.lengths.as_deref(), plain.resets.as_deref());
        for kernels in Kernels::available().unwrap() {
            let results = [&plain, &with].map(|case| {
                let mut network = case.build(kernels);
                fill(&mut network, &stack);
                let state = initial(&network, &run);
                let mut tape = network.forward_train(input, Some(&state)).unwrap();
                let y = tape.output().data().to_vec();
                let dy: Vec<f32> = y.iter().map(|y| 1.0 - y).collect();
                let up = Upstream::output(View::new(&dy, tape.output().shape()).unwrap());
                let mut grads = network.params().zeros_like();
                network.backward(&mut tape, up, &mut grads).unwrap();
                let grads: Vec<u32> = grads.iter().flat_map(|tensor| bits(tensor.data())).collect();
                (network.kernel_id(5, 3, 1).unwrap(), bits(&y), grads, bits(tape.grad_h_0()))
            });
            assert_ne!(results[0].0, results[1].0);
            assert_eq!((&results[0].1, &results[0].2), (&results[1].1, &results[1].2), "{cell:?}");
            assert_eq!(results[0].3, results[1].3, "{cell:?}");
        }
    }
}

/// A NaN in one row's input is in that row's outputs, whatever the activations, and in no other's.
#[test]
fn nan_stays_nan_and_in_its_row() {
    for activation in super::case::ACTIVATIONS {
        for kernels in Kernels::available().unwrap() {
            let rnn = Network::with_cell(Cell::RnnTanh, 2, 9).activation(activation);
            let lstm = Network::with_cell(Cell::Lstm, 2, 9)
                .gate_activation(activation)
                .activation(activation)
                .output_activation(activation);
            let gru = Network::with_cell(Cell::Gru, 2, 9).gate_activation(activation).activation(activation);
            let before = gru.clone().linear_before_reset(false);
            let projected = lstm.clone().proj_size(4);
            for builder in [rnn, lstm, gru, before, projected] {
                let network = builder.kernels(kernels).seed(5).build().unwrap();
                let width = network.config().output_size();
                let x = [0.5, -0.5, f32::NAN, 0.25, 0.1, 0.2];
                let (y, _) = network.forward(View::new(&x, [1, 3, 2]).unwrap(), None).unwrap();
                for (row, y) in y.data().chunks(width).enumerate() {
                    assert!(y.iter().all(|y| y.is_nan() == (row == 1)), "{activation:?} row {row}: {y:?}");
                }
            }
        }
    }
}
