//! The numbers of a configuration; what a network makes of them, and what the f64 oracle does.

use crate::oracle::{self, Stack, StackRun, StackShape};
use crate::philox;
use crate::rng::Rng;
use crate::setup::Setup;
use gatewise::{Any, Builder, Cell, DropoutKey, Input, Kernels, Merge, Network, State, Tape, Upstream, View};

/// A configuration with all its numbers. Sequences are time-major here, whatever the network's layout.
#[derive(Debug, Clone)]
pub struct Problem {
    /// The configuration.
    pub setup: Setup,
    /// `[T, B, I]`
    pub x: Vec<f32>,
    /// `[B]`
    pub lengths: Option<Vec<usize>>,
    /// `[T, B]`
    pub resets: Option<Vec<bool>>,
    /// What rows start anew from, h and c, laid out as h_0 and c_0, of one row or of all.
    pub reset_state: Option<[Vec<f32>; 2]>,
    /// `[L * D, B, R]`
    pub h_0: Option<Vec<f32>>,
    /// `[L * D, B, H]`, where there is a c.
    pub c_0: Option<Vec<f32>>,
    /// Upstream gradient, `[T, B, D * R]`.
    pub dy: Option<Vec<f32>>,
    /// Upstream gradient, `[L * D, B, R]`.
    pub dh_n: Option<Vec<f32>>,
    /// Upstream gradient, `[L * D, B, H]`, where there is a c.
    pub dc_n: Option<Vec<f32>>,
    /// The parameters; every number is an f32.
    pub stack: Stack,
    /// The numbers of the rows, for dropout.
    pub rows: Vec<u32>,
    /// The number of the first step, for dropout.
    pub first_step: u32,
}

/// Named arrays in a fixed order: outputs, states and all gradients.
#[derive(Debug, Clone, PartialEq)]
pub struct Arrays<T> {
    /// `out`, `h_n`, `c_n`, `grad x`, `grad h_0`, `grad c_0`, `grad reset_h`, `grad reset_c`, then `grad NAME` of every parameter. Sequences are time-major.
    pub list: Vec<(String, Vec<T>)>,
}

impl<T> Arrays<T> {
    /// The array of that name.
    pub fn get(&self, name: &str) -> &[T] {
        let found = self.list.iter().find(|(of, _)| of == name);
        &found.unwrap_or_else(|| panic!("no array {name}")).1
    }
}

impl Problem {
    /// Draws the numbers of a configuration.
    pub fn new(setup: &Setup) -> Problem {
        let rng = &mut Rng::new(setup.seed);
        let Setup { input, steps, batch, .. } = *setup;
        let (states, cells) = (batch * setup.states(), batch * setup.cells());
        let has_c = setup.has_c();
        let mut draw = |len: usize, bound: f64| -> Vec<f32> {
            rng.vec(len, -bound, bound).into_iter().map(|value| value as f32).collect()
        };
        let x = draw(steps * batch * input, 1.5);
        let (h_0, c_0) = (draw(states, 1.0), draw(cells, 1.0));
        let (dy, dh_n) = (draw(steps * batch * setup.output(), 1.0), draw(states, 1.0));
        let dc_n = draw(cells, 1.0);
        let [wants_y, wants_h, wants_c] = setup.upstream;
        let of_rows = |rng: &mut Rng| match rng.below(4) {
            0 => 0,
            1 => steps,
            _ => rng.below(steps + 1),
        };
        let lengths = setup.ragged.then(|| (0..batch).map(|_| of_rows(rng)).collect());
        let resets = setup.resets.then(|| (0..steps * batch).map(|_| rng.chance(0.2)).collect());
        let reset_state = setup.reset_rows().map(|rows| {
            let mut state = |len| rng.vec(len, -1.0, 1.0).into_iter().map(|x| x as f32).collect();
            [state(rows * setup.states()), state(if has_c { rows * setup.cells() } else { 0 })]
        });
        Problem {
            x,
            lengths,
            resets,
            reset_state,
            h_0: setup.initial_state.then_some(h_0),
            c_0: (setup.initial_state && has_c).then_some(c_0),
            dy: wants_y.then_some(dy),
            dh_n: wants_h.then_some(dh_n),
            dc_n: (wants_c && has_c).then_some(dc_n),
            stack: draw_stack(setup, rng),
            rows: (0..batch as u32).collect(),
            first_step: 0,
            setup: setup.clone(),
        }
    }

    /// The network, built but with parameters of its own.
    pub fn builder(&self) -> Builder<Any> {
        let setup = &self.setup;
        let builder = Network::with_cell(setup.cell, setup.input, setup.hidden);
        let builder = match setup.taper {
            0 => builder.num_layers(setup.layers),
            _ => builder.hidden_sizes(&setup.hidden_sizes()),
        };
        let merge = match setup.merge() {
            oracle::Merge::Concat => Merge::Concat,
            oracle::Merge::Sum => Merge::Sum,
            oracle::Merge::Mean => Merge::Mean,
            oracle::Merge::Product => Merge::Product,
        };
        builder
            .merge(merge)
            .proj_size(setup.proj)
            .linear_before_reset(!setup.reset_before)
            .bias(setup.bias)
            .batch_first(setup.batch_first)
            .bidirectional(setup.bidirectional)
            .dropout(setup.dropout)
    }

    /// The network with the parameters of the problem.
    pub fn network(&self, kernels: Kernels) -> Network<Any> {
        let mut network = self.builder().kernels(kernels).build().expect("a configuration that makes sense");
        self.load(&mut network);
        network
    }

    /// Sets a network's parameters.
    pub fn load(&self, network: &mut Network<Any>) {
        let mut params = network.params_mut();
        assert_eq!(params.len(), self.stack.tensors().len(), "as many parameters as the oracle has");
        for (name, values) in self.stack.tensors() {
            let tensor = params.get_mut(&name).unwrap_or_else(|| panic!("no parameter {name}"));
            assert_eq!(tensor.data().len(), values.len(), "{name}");
            for (to, value) in tensor.data_mut().iter_mut().zip(values) {
                *to = *value as f32;
            }
        }
    }

    /// A sequence in the network's layout, from time-major.
    pub fn layout(&self, time_major: &[f32], width: usize) -> Vec<f32> {
        self.swapped(time_major, width, self.setup.steps, self.setup.batch)
    }

    /// A sequence from the network's layout, time-major.
    pub fn time_major(&self, laid_out: &[f32], width: usize) -> Vec<f32> {
        self.swapped(laid_out, width, self.setup.batch, self.setup.steps)
    }

    fn swapped(&self, data: &[f32], width: usize, outer: usize, inner: usize) -> Vec<f32> {
        if !self.setup.batch_first {
            return data.to_vec();
        }
        let vectors = (0..inner).flat_map(|i| (0..outer).map(move |o| o * inner + i));
        vectors.flat_map(|at| &data[at * width..][..width]).copied().collect()
    }

    /// The shape of a sequence in the network's layout.
    pub fn shape(&self, width: usize) -> [usize; 3] {
        let Setup { steps, batch, batch_first, .. } = self.setup;
        if batch_first { [batch, steps, width] } else { [steps, batch, width] }
    }

    /// What rows start anew from, if it is given.
    pub fn reset_state<K>(&self, network: &Network<K>) -> Option<State> {
        let [h, c] = self.reset_state.as_ref()?;
        let mut state = network.zero_state(self.setup.reset_rows()?).unwrap();
        state.h_mut().copy_from_slice(h);
        state.c_mut().copy_from_slice(c);
        Some(state)
    }

    /// The input around a sequence that [`layout`](Problem::layout) made, and what rows start anew from.
    pub fn input_with<'a>(&'a self, x: &'a [f32], reset_state: Option<&'a State>) -> Input<'a> {
        Input { reset_state, ..self.input(x) }
    }

    /// The input around a sequence that [`layout`](Problem::layout) made.
    pub fn input<'a>(&'a self, x: &'a [f32]) -> Input<'a> {
        let mut input = Input::from(View::new(x, self.shape(self.setup.input)).unwrap());
        input.lengths = self.lengths.as_deref();
        input.resets = self.resets.as_deref();
        let (seed, first_step) = (self.setup.seed, self.first_step);
        input.dropout(DropoutKey { seed, first_step, rows: Some(&self.rows) })
    }

    /// The initial state, if one is given.
    pub fn state<K>(&self, network: &Network<K>) -> Option<State> {
        let h_0 = self.h_0.as_ref()?;
        let mut state = network.zero_state(self.setup.batch).unwrap();
        state.h_mut().copy_from_slice(h_0);
        state.c_mut().copy_from_slice(self.c_0.as_deref().unwrap_or(&[]));
        Some(state)
    }

    /// Inference: `out`, `h_n`, `c_n`.
    pub fn infer<K>(&self, network: &Network<K>) -> Arrays<f32> {
        let x = self.layout(&self.x, self.setup.input);
        let reset = self.reset_state(network);
        let (y, end) =
            network.forward(self.input_with(&x, reset.as_ref()), self.state(network).as_ref()).unwrap();
        assert_eq!(y.shape(), self.shape(self.setup.output()), "the shape of the output");
        let out = self.time_major(y.data(), self.setup.output());
        let list = [("out", out), ("h_n", end.h().to_vec()), ("c_n", end.c().to_vec())];
        Arrays { list: list.map(|(name, data)| (name.to_string(), data)).to_vec() }
    }

    /// A training pass, forward and backward.
    pub fn train<K>(&self, network: &Network<K>) -> Arrays<f32> {
        self.train_on(network, &mut Tape::default())
    }

    /// The same on a tape that may have been used before.
    pub fn train_on<K>(&self, network: &Network<K>, tape: &mut Tape) -> Arrays<f32> {
        let x = self.layout(&self.x, self.setup.input);
        let reset = self.reset_state(network);
        let input = self.input_with(&x, reset.as_ref());
        network.forward_train_into(input, self.state(network).as_ref(), tape).unwrap();
        let width = self.setup.output();
        assert_eq!(tape.output().shape(), self.shape(width), "the shape of the output");
        let out = self.time_major(tape.output().data(), width);
        let mut end = network.zero_state(0).unwrap();
        tape.final_state(&mut end).unwrap();

        let dy = self.dy.as_ref().map(|dy| self.layout(dy, width));
        let output = dy.as_ref().map(|dy| View::new(dy, self.shape(width)).unwrap());
        let upstream =
            Upstream { output, h_n: self.dh_n.as_deref(), c_n: self.dc_n.as_deref(), ..Upstream::default() };
        let mut grads = network.params().zeros_like();
        network.backward(tape, upstream, &mut grads).unwrap();
        let dx = tape.grad_input().expect("the gradient of the input was asked for");
        assert_eq!(dx.shape(), self.shape(self.setup.input), "the shape of the input's gradient");
        let dx = self.time_major(dx.data(), self.setup.input);
        let list = [
            ("out", out),
            ("h_n", end.h().to_vec()),
            ("c_n", end.c().to_vec()),
            ("grad x", dx),
            ("grad h_0", tape.grad_h_0().to_vec()),
            ("grad c_0", tape.grad_c_0().to_vec()),
            ("grad reset_h", tape.gradients().grad_reset_h().to_vec()),
            ("grad reset_c", tape.gradients().grad_reset_c().to_vec()),
        ];
        let mut list = list.map(|(name, data)| (name.to_string(), data)).to_vec();
        list.extend(grads.iter().map(|grad| (format!("grad {}", grad.name()), grad.data().to_vec())));
        Arrays { list }
    }

    /// What the oracle runs on.
    pub fn stack_run(&self) -> StackRun {
        let wide = |data: &Option<Vec<f32>>| data.as_ref().map(|data| widened(data));
        let Setup { steps, batch, layers, .. } = self.setup;
        let masks = (0..layers - 1).map(|layer| {
            let at = (0..steps).flat_map(|t| (0..batch).map(move |b| (t, b)));
            at.flat_map(|(t, b)| (0..self.setup.output_of(layer)).map(move |unit| (t, b, unit)))
                .map(|(t, b, unit)| {
                    let (seed, step) = (self.setup.seed, self.first_step + t as u32);
                    f64::from(philox::dropout(seed, self.setup.dropout, layer, step, self.rows[b], unit))
                })
                .collect::<Vec<f64>>()
        });
        let reset = self.reset_state.as_ref().map(|state| self.of_all_rows(state));
        StackRun {
            steps,
            batch,
            x: widened(&self.x),
            h0: wide(&self.h_0),
            c0: wide(&self.c_0),
            lengths: self.lengths.clone(),
            resets: self.resets.clone(),
            reset_h: reset.as_ref().map(|[h, _]| widened(h)),
            reset_c: reset.as_ref().map(|[_, c]| widened(c)),
            dropout: (self.setup.dropout > 0.0).then(|| masks.collect()),
            options: self.setup.reset_before.then_some(RESET_BEFORE),
            flush_below: Some(oracle::FLUSH_BELOW),
        }
    }

    /// The upstream gradients for the oracle.
    pub fn upstream(&self) -> oracle::Upstream {
        let wide = |data: &Option<Vec<f32>>| data.as_ref().map(|data| widened(data));
        oracle::Upstream { out: wide(&self.dy), h_n: wide(&self.dh_n), c_n: wide(&self.dc_n) }
    }
}

/// A GRU as it is, but for the place of its reset gate.
const RESET_BEFORE: oracle::Options = oracle::Options {
    gate: oracle::Activation::Sigmoid,
    candidate: oracle::Activation::Tanh,
    output: oracle::Activation::Tanh,
    reset_before: true,
    clip: f64::INFINITY,
    cell_clip: f64::INFINITY,
};

/// f32 as f64.
pub fn widened(data: &[f32]) -> Vec<f64> {
    data.iter().map(|&value| f64::from(value)).collect()
}

/// Weights that keep all sums near 1: uniform in +-1/sqrt(depth), so that a wrong gate or bias shows in full.
fn draw_stack(setup: &Setup, rng: &mut Rng) -> Stack {
    let cell = match setup.cell {
        Cell::RnnTanh => oracle::Cell::RnnTanh,
        Cell::RnnRelu => oracle::Cell::RnnRelu,
        Cell::Lstm => oracle::Cell::Lstm,
        Cell::Gru => oracle::Cell::Gru,
    };
    let Setup { input, layers, bidirectional, bias, .. } = *setup;
    let (hidden, merge) = (setup.hidden_sizes(), setup.merge());
    let proj = (setup.proj > 0).then_some(setup.proj);
    let shape = StackShape { cell, input, hidden, proj, bidirectional, merge };
    let mut stack = Stack::filled(shape, bias, || 0.0);
    let lens: Vec<usize> = (0..layers).map(|layer| setup.layer_input(layer)).collect();
    for (index, weights) in stack.weights.iter_mut().enumerate() {
        for (name, values) in weights.tensors_mut() {
            let depth = match name {
                "weight_ih" => lens[index / setup.directions()],
                "weight_hh" => setup.state_of(index / setup.directions()),
                "weight_hr" => setup.hidden_of(index / setup.directions()),
                _ => 4,
            };
            let bound = 1.0 / (depth.max(1) as f64).sqrt();
            values.iter_mut().for_each(|value| *value = f64::from(rng.uniform(-bound, bound) as f32));
        }
    }
    stack
}
