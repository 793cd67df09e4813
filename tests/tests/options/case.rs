//! A random network with options, for Gatewise and for the oracle.

use gatewise::{Activation, Activations, Any, Cell, Kernels, Merge, Network};
use tests::oracle::{self, CellStep, LayerRun, LayerTrace, Shape, Stack, StackRun, StackShape};
use tests::philox::dropout;
use tests::rng::Rng;

/// What the masks of dropout are drawn from.
pub(super) const DROPOUT_SEED: u64 = 11;

/// Every activation, with parameters that no default has.
pub(super) const ACTIVATIONS: [Activation; 13] = [
    Activation::Sigmoid,
    Activation::Tanh,
    Activation::Relu,
    Activation::Identity,
    Activation::Affine { alpha: 0.7, beta: -0.1 },
    Activation::LeakyRelu { alpha: 0.1 },
    Activation::ThresholdedRelu { alpha: 0.3 },
    Activation::ScaledTanh { alpha: 1.3, beta: 0.6 },
    Activation::HARD_SIGMOID,
    Activation::HARD_SIGMOID_RELU6,
    Activation::Elu { alpha: 0.8 },
    Activation::Softsign,
    Activation::Softplus,
];

/// The ways in which two directions become one, and the oracle's names for them.
const MERGES: [(Merge, oracle::Merge); 4] = [
    (Merge::Concat, oracle::Merge::Concat),
    (Merge::Sum, oracle::Merge::Sum),
    (Merge::Mean, oracle::Merge::Mean),
    (Merge::Product, oracle::Merge::Product),
];

/// The oracle's name for it.
pub(super) fn named(activation: Activation) -> oracle::Activation {
    use oracle::Activation as O;
    let wide = f64::from;
    match activation {
        Activation::Sigmoid => O::Sigmoid,
        Activation::Tanh => O::Tanh,
        Activation::Relu => O::Relu,
        Activation::Identity => O::Identity,
        Activation::Affine { alpha, beta } => O::Affine(wide(alpha), wide(beta)),
        Activation::LeakyRelu { alpha } => O::LeakyRelu(wide(alpha)),
        Activation::ThresholdedRelu { alpha } => O::ThresholdedRelu(wide(alpha)),
        Activation::ScaledTanh { alpha, beta } => O::ScaledTanh(wide(alpha), wide(beta)),
        Activation::HardSigmoid { alpha, beta } => O::HardSigmoid(wide(alpha), wide(beta)),
        Activation::Elu { alpha } => O::Elu(wide(alpha)),
        Activation::Softsign => O::Softsign,
        Activation::Softplus => O::Softplus,
    }
}

/// Sizes and options.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) cell: Cell,
    pub(super) activations: Activations,
    pub(super) linear_before_reset: bool,
    pub(super) proj: Option<usize>,
    pub(super) layers: usize,
    pub(super) taper: usize,
    pub(super) bidirectional: bool,
    pub(super) merge: Merge,
    pub(super) bias: bool,
    pub(super) batch_first: bool,
    /// Between layers, in training.
    pub(super) dropout: f32,
    pub(super) initial_state: bool,
    pub(super) lengths: Option<Vec<usize>>,
    pub(super) resets: Option<Vec<bool>>,
    /// Whether resets lead to a given state of each row.
    pub(super) resets_to_state: bool,
    pub(super) steps: usize,
    pub(super) batch: usize,
    pub(super) input: usize,
    pub(super) hidden: usize,
}

impl Case {
    /// Draws a case; each option is there half of the time, alone and beside every other.
    pub(super) fn draw(rng: &mut Rng) -> Case {
        let cell = Cell::ALL[rng.below(4)];
        let plain = Activations::of(cell);
        let mut one_of = |exists: bool, plain| {
            if exists && rng.chance(0.5) { ACTIVATIONS[rng.below(ACTIVATIONS.len())] } else { plain }
        };
        let activations = Activations {
            gate: one_of(cell.gates() > 1, plain.gate),
            candidate: one_of(true, plain.candidate),
            output: one_of(cell == Cell::Lstm, plain.output),
            ..plain
        };
        // Small enough to be met often.
        let mut limit = |exists: bool, largest| {
            (exists && rng.chance(0.3)).then(|| single(rng.uniform(0.1, largest)) as f32)
        };
        let activations =
            Activations { clip: limit(true, 1.2), cell_clip: limit(cell == Cell::Lstm, 0.5), ..activations };
        let hidden = 1 + rng.below(21);
        let linear_before_reset = cell != Cell::Gru || rng.chance(0.5);
        let proj = (hidden > 1 && linear_before_reset && rng.chance(0.5)).then(|| 1 + rng.below(hidden - 1));
        let (steps, batch) = (1 + rng.below(5), 1 + rng.below(9));
        Case {
            cell,
            activations,
            linear_before_reset,
            proj,
            layers: 1 + rng.below(2),
            taper: if rng.chance(0.3) { 1 + rng.below(9) } else { 0 },
            bidirectional: rng.chance(0.3),
            merge: MERGES[rng.below(MERGES.len())].0,
            bias: rng.chance(0.7),
            batch_first: rng.chance(0.4),
            dropout: if rng.chance(0.4) { 0.3 } else { 0.0 },
            initial_state: rng.chance(0.5),
            lengths: rng.chance(0.5).then(|| (0..batch).map(|_| rng.below(steps + 1)).collect()),
            resets: rng.chance(0.4).then(|| (0..steps * batch).map(|_| rng.chance(0.3)).collect()),
            resets_to_state: rng.chance(0.5),
            steps,
            batch,
            input: rng.below(7),
            hidden,
        }
    }

    /// H of each layer; that of the last is `hidden`.
    fn hidden_sizes(&self) -> Vec<usize> {
        (0..self.layers).map(|layer| self.hidden + self.taper * (self.layers - 1 - layer)).collect()
    }

    /// The network.
    pub(super) fn build(&self, kernels: Kernels) -> Network<Any> {
        let mut builder = Network::with_cell(self.cell, self.input, self.hidden);
        if let Some(limit) = self.activations.clip {
            builder = builder.pre_activation_clip(limit);
        }
        if let Some(limit) = self.activations.cell_clip {
            builder = builder.cell_clip(limit);
        }
        builder
            .hidden_sizes(&self.hidden_sizes())
            .bias(self.bias)
            .batch_first(self.batch_first)
            .dropout(self.dropout)
            .bidirectional(self.bidirectional)
            .merge(if self.bidirectional { self.merge } else { Merge::Concat })
            .proj_size(self.proj.unwrap_or(0))
            .gate_activation(self.activations.gate)
            .activation(self.activations.candidate)
            .output_activation(self.activations.output)
            .linear_before_reset(self.linear_before_reset)
            .kernels(kernels)
            .build()
            .expect("a case that makes sense")
    }

    /// The shape of a sequence in the network's layout.
    pub(super) fn sequence_shape(&self, width: usize) -> [usize; 3] {
        let Case { steps, batch, batch_first, .. } = *self;
        if batch_first { [batch, steps, width] } else { [steps, batch, width] }
    }

    /// A time-major sequence in the network's layout.
    pub(super) fn in_layout(&self, data: &[f32], width: usize) -> Vec<f32> {
        self.swapped(data, width, [self.steps, self.batch])
    }

    /// The way back.
    pub(super) fn time_major(&self, data: &[f32], width: usize) -> Vec<f32> {
        self.swapped(data, width, [self.batch, self.steps])
    }

    /// [outer, inner, width] as [inner, outer, width], if the network takes the batch first.
    fn swapped(&self, data: &[f32], width: usize, [outer, inner]: [usize; 2]) -> Vec<f32> {
        if !self.batch_first {
            return data.to_vec();
        }
        let vectors = (0..inner).flat_map(|i| (0..outer).map(move |o| o * inner + i));
        vectors.flat_map(|at| &data[at * width..][..width]).copied().collect()
    }

    /// What dropout multiplies the outputs of each layer but the last by, if there is any. Rows and steps have their natural numbers.
    fn masks(&self, shape: &StackShape) -> Option<Vec<Vec<f64>>> {
        let mask = |layer: usize| {
            let vectors =
                (0..self.steps).flat_map(|t| (0..self.batch).map(move |row| (t as u32, row as u32)));
            let units = vectors.flat_map(|(t, row)| (0..shape.output(layer)).map(move |unit| (t, row, unit)));
            let of = |(t, row, unit)| f64::from(dropout(DROPOUT_SEED, self.dropout, layer, t, row, unit));
            units.map(of).collect()
        };
        (self.dropout > 0.0).then(|| (0..self.layers - 1).map(mask).collect())
    }

    /// The same for the oracle, its weights floats of 32 bits.
    pub(super) fn stack(&self, rng: &mut Rng) -> Stack {
        let cell = match self.cell {
            Cell::RnnTanh => oracle::Cell::RnnTanh,
            Cell::RnnRelu => oracle::Cell::RnnRelu,
            Cell::Lstm => oracle::Cell::Lstm,
            Cell::Gru => oracle::Cell::Gru,
        };
        let Case { input, proj, bidirectional, .. } = *self;
        let merge = MERGES.into_iter().find(|(of, _)| *of == self.merge).expect("all are listed").1;
        let shape = StackShape { cell, input, hidden: self.hidden_sizes(), proj, bidirectional, merge };
        Stack::filled(shape, self.bias, || single(rng.uniform(-0.5, 0.5)))
    }

    /// What the oracle runs on.
    pub(super) fn run(&self, shape: &StackShape, rng: &mut Rng) -> StackRun {
        let mut values =
            |len: usize| -> Vec<f64> { (0..len).map(|_| single(rng.uniform(-1.0, 1.0))).collect() };
        let states = |width: fn(&Shape) -> usize| -> usize {
            let of_layers = (0..self.layers).map(|layer| width(&shape.layer(layer))).sum::<usize>();
            shape.directions() * self.batch * of_layers
        };
        StackRun {
            steps: self.steps,
            batch: self.batch,
            x: values(self.steps * self.batch * self.input),
            h0: self.initial_state.then(|| values(states(Shape::state))),
            c0: self.initial_state.then(|| values(states(Shape::c_state))),
            lengths: self.lengths.clone(),
            resets: self.resets.clone(),
            reset_h: self.resets_to_state.then(|| values(states(Shape::state))),
            reset_c: self.resets_to_state.then(|| values(states(Shape::c_state))),
            options: Some(self.options()),
            dropout: self.masks(shape),
            flush_below: Some(oracle::FLUSH_BELOW),
        }
    }

    pub(super) fn options(&self) -> oracle::Options {
        let Activations { gate, candidate, output, clip, cell_clip } = self.activations;
        let limit = |clip: Option<f32>| clip.map_or(f64::INFINITY, f64::from);
        oracle::Options {
            gate: named(gate),
            candidate: named(candidate),
            output: named(output),
            reset_before: !self.linear_before_reset,
            clip: limit(clip),
            cell_clip: limit(cell_clip),
        }
    }
}

/// The nearest float of 32 bits.
pub(super) fn single(x: f64) -> f64 {
    f64::from(x as f32)
}

/// How near anything in one layer comes to where a derivative jumps.
pub(super) fn distance_to_jump(cell: oracle::Cell, run: &LayerRun, trace: &LayerTrace) -> f64 {
    let options = run.options.expect("a run with options");
    let cells = (run.steps * run.batch).max(1);
    let row = |array: &[f64], at: usize| array[at * (array.len() / cells)..][..array.len() / cells].to_vec();
    let mut nearest = f64::INFINITY;
    for b in 0..run.batch {
        for t in run.order(b) {
            let at = t * run.batch + b;
            let step = CellStep { gates: row(&trace.gates, at), c: row(&trace.c, at), u: row(&trace.u, at) };
            let sums = (&row(&trace.xa, at)[..], &row(&trace.ha, at)[..]);
            nearest = nearest.min(options.distance_to_jump(cell, &step, sums, &row(&trace.c_in, at)));
        }
    }
    nearest
}
