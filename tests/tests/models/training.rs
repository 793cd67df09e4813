//! Training end to end: C++ PyTorch's `EndToEndLSTM`, `EndToEndGRU`, `EndToEndRNNRelu`, `EndToEndRNNTanh`, with each optimizer.

use super::optimizers::with;
use gatewise::{
    Adam, AdamW, Any, Cell, DropoutKey, Input, Kernels, Linear, LinearRoom, Network, NonFinite, Norm,
    Optimizer, RmsProp, Sgd, State, Tape, Upstream, View, clip_grad_norm, cross_entropy, mse,
};
use tests::rng::Rng;

const STEPS: usize = 8;
const BATCH: usize = 16;

/// A network with a linear head on every output, that learns which of the two inputs of a step was larger so far: a task for a
/// state.
struct Model {
    network: Network<Any>,
    head: Linear,
    tape: Tape,
    room: LinearRoom,
}

impl Model {
    fn new(cell: Cell, dropout: f32, bidirectional: bool, kernels: Kernels) -> Model {
        let network =
            Network::with_cell(cell, 2, 12).num_layers(2).dropout(dropout).bidirectional(bidirectional);
        let network = network.seed(7).kernels(kernels).build().unwrap();
        let head = Linear::with_kernels(network.config().output_size(), 2, 8, kernels).unwrap();
        Model { network, head, tape: Tape::default(), room: LinearRoom::default() }
    }

    /// One update; the loss before it.
    fn update(&mut self, optimizer: &mut dyn Optimizer, seed: u64) -> f64 {
        let (x, targets) = batch(seed);
        let input = Input::from(View::new(&x, [STEPS, BATCH, 2]).unwrap());
        let input = input.dropout(DropoutKey { seed, ..DropoutKey::default() });
        self.network.forward_train_into(input, None, &mut self.tape).unwrap();
        let width = self.network.config().output_size();
        let (mut logits, mut d_logits) = (vec![0.0; STEPS * BATCH * 2], vec![0.0; STEPS * BATCH * 2]);
        let rows = STEPS * BATCH;
        self.head.forward(rows, self.tape.output().data(), &mut logits).unwrap();
        let loss = cross_entropy(self.network.kernels(), &logits, 2, &targets, &mut d_logits).unwrap();
        let (mut grads, mut head_grads) =
            (self.network.params().zeros_like(), self.head.params().zeros_like());
        let mut dy = vec![0.0; rows * width];
        let output = self.tape.output().data();
        self.head.backward(rows, output, &d_logits, Some(&mut dy), &mut head_grads, &mut self.room).unwrap();
        let upstream = Upstream::output(View::new(&dy, [STEPS, BATCH, width]).unwrap());
        self.network.backward(&mut self.tape, upstream, &mut grads).unwrap();
        clip_grad_norm(&mut [&mut grads, &mut head_grads], 1.0, Norm::L2, NonFinite::Error).unwrap();
        let mut lists = [&mut *self.network.params_mut(), &mut *self.head.params_mut()];
        optimizer.step(&mut lists, &[&grads, &head_grads]).unwrap();
        loss
    }

    /// The mean loss of the first and of the last ten of that many updates.
    fn train(&mut self, optimizer: &mut dyn Optimizer, updates: u64) -> (f64, f64) {
        let losses: Vec<f64> = (0..updates).map(|seed| self.update(optimizer, seed)).collect();
        let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
        (mean(&losses[..10]), mean(&losses[losses.len() - 10..]))
    }
}

/// Inputs, and for each step whether the first input's sum so far is above the second's.
fn batch(seed: u64) -> (Vec<f32>, Vec<usize>) {
    let x: Vec<f32> =
        Rng::new(seed).vec(STEPS * BATCH * 2, -1.0, 1.0).into_iter().map(|value| value as f32).collect();
    let target = |t: usize, row: usize| {
        let sums = (0..=t)
            .fold((0.0, 0.0), |(a, b), t| (a + x[(t * BATCH + row) * 2], b + x[(t * BATCH + row) * 2 + 1]));
        usize::from(sums.0 > sums.1)
    };
    let targets =
        (0..STEPS).flat_map(|t| (0..BATCH).map(move |row| (t, row))).map(|(t, row)| target(t, row)).collect();
    (x, targets)
}

/// Every cell learns, on every instruction set.
#[test]
fn every_cell_learns() {
    for cell in Cell::ALL {
        for kernels in Kernels::available().unwrap() {
            let mut model = Model::new(cell, 0.0, false, kernels);
            let (first, last) = model.train(&mut Adam::new(0.02), 120);
            assert!(first > 0.4 && last < 0.5 * first, "{cell:?} on {}: {first} to {last}", kernels.isa());
        }
    }
}

/// In both directions, and with dropout.
#[test]
fn learning_in_both_directions_with_dropout() {
    for cell in [Cell::Lstm, Cell::Gru] {
        let mut model = Model::new(cell, 0.2, true, Kernels::auto().unwrap());
        let (first, last) = model.train(&mut Adam::new(0.02), 120);
        assert!(last < 0.6 * first, "{cell:?}: {first} to {last}");
    }
}

/// With every optimizer.
#[test]
fn every_optimizer_learns() {
    let all: [(&str, Box<dyn Optimizer>); 5] = [
        ("Sgd", Box::new(with(Sgd::new(0.2), |o| o.momentum = 0.9))),
        (
            "Sgd, Nesterov",
            Box::new(with(Sgd::new(0.2), |o| {
                o.momentum = 0.9;
                o.nesterov = true
            })),
        ),
        ("Adam", Box::new(Adam::new(0.02))),
        ("AdamW", Box::new(AdamW::new(0.02))),
        ("RmsProp", Box::new(RmsProp::new(0.01))),
    ];
    for (name, mut optimizer) in all {
        let mut model = Model::new(Cell::Gru, 0.0, false, Kernels::auto().unwrap());
        let (first, last) = model.train(&mut *optimizer, 150);
        assert!(last < 0.6 * first, "{name}: {first} to {last}");
    }
}

/// Two runs of the same training are the same bits, parameters and all.
#[test]
fn training_twice_is_the_same_bits() {
    for kernels in Kernels::available().unwrap() {
        let run = || {
            let mut model = Model::new(Cell::Lstm, 0.3, true, kernels);
            let losses = model.train(&mut Adam::new(0.02), 15);
            (losses, model.network.params().clone(), model.head.params().clone())
        };
        assert_eq!(run(), run());
    }
}

/// Truncated BPTT with the state carried from window to window, by `final_state`: the state is that of the whole, and learning a
/// wave from its last value works.
#[test]
fn windows_with_a_carried_state() {
    for cell in Cell::ALL {
        let mut network = Network::with_cell(cell, 1, 10).seed(3).build().unwrap();
        let wave: Vec<f32> = (0..=200).map(|t| 0.5 + 0.4 * (t as f32 * 0.3).sin()).collect();
        let (mut tape, mut adam, mut grads) =
            (Tape::default(), Adam::new(0.01), network.params().zeros_like());
        let (mut first, mut last) = (0.0, 0.0);
        for epoch in 0..40 {
            let mut state: State = network.zero_state(1).unwrap();
            let mut loss = 0.0;
            for window in 0..10 {
                let x = &wave[window * 20..][..20];
                network
                    .forward_train_into(View::new(x, [20, 1, 1]).unwrap(), Some(&state), &mut tape)
                    .unwrap();
                tape.final_state(&mut state).unwrap();
                // The sum of all units tells the next value.
                let y: Vec<f32> = tape.output().data().chunks(10).map(|h| h.iter().sum()).collect();
                let mut d_sum = [0.0; 20];
                loss += mse(&y, &wave[window * 20 + 1..][..20], &mut d_sum).unwrap();
                let dy: Vec<f32> = d_sum.iter().flat_map(|&d| [d; 10]).collect();
                grads.fill(0.0);
                let upstream = Upstream::output(View::new(&dy, [20, 1, 10]).unwrap());
                network.backward(&mut tape, upstream, &mut grads).unwrap();
                adam.step(&mut [&mut network.params_mut()], &[&grads]).unwrap();
            }
            (first, last) = (if epoch == 0 { loss } else { first }, loss);
        }
        assert!(last < 0.1 * first, "{cell:?}: {first} to {last}");

        let mut state = network.zero_state(1).unwrap();
        for window in wave[..200].chunks(20) {
            network
                .forward_train_into(View::new(window, [20, 1, 1]).unwrap(), Some(&state), &mut tape)
                .unwrap();
            tape.final_state(&mut state).unwrap();
        }
        let (_, whole) = network.forward(View::new(&wave[..200], [200, 1, 1]).unwrap(), None).unwrap();
        assert_eq!(state, whole);
    }
}
