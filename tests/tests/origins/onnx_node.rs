//! The recurrent operators of ONNX (`RNN`, `LSTM`, `GRU` of opset 14), computed twice: from the equations of their specification, in
//! f64, and with a network here that has the same weights in PyTorch's order.

use super::support::{all_kernels, close};
use gatewise::{Activation, Cell, Input, Kernels, Network, View};
use tests::rng::Rng;

/// Directions of time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Direction {
    Forward,
    Reverse,
    Bidirectional,
}

/// The weights of one direction as the operators have them: gates i o f c (LSTM), z r h (GRU).
#[derive(Debug, Clone)]
pub(super) struct Weights {
    /// [G*H, I]
    pub(super) w: Vec<f32>,
    /// [G*H, H]
    pub(super) r: Vec<f32>,
    /// [2*G*H]: W_B, then R_B.
    pub(super) b: Vec<f32>,
}

/// A node with its inputs.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) cell: Cell,
    pub(super) steps: usize,
    pub(super) batch: usize,
    pub(super) input: usize,
    pub(super) hidden: usize,
    pub(super) direction: Direction,
    /// 0: [T, B, I] and [T, D, B, H]; 1: [B, T, I] and [B, T, D, H].
    pub(super) layout: usize,
    pub(super) x: Vec<f32>,
    pub(super) weights: Vec<Weights>,
    pub(super) sequence_lens: Option<Vec<usize>>,
    /// Of a GRU; 0 is the operator's default.
    pub(super) linear_before_reset: bool,
    /// f g h of an LSTM: of the gates, the candidate and the output; sigmoid or tanh.
    pub(super) activations: [Activation; 3],
    /// Largest magnitude of what the activations f and g are applied to.
    pub(super) clip: Option<f32>,
    /// [D, B, H]; layout 0 only.
    pub(super) initial_h: Option<Vec<f32>>,
    pub(super) initial_c: Option<Vec<f32>>,
}

/// `Y`, `Y_h`, `Y_c` (empty without c).
pub(super) type Outputs<T> = [Vec<T>; 3];

impl Node {
    /// A node whose input counts from 1, with the same number everywhere in W and R (one for each direction) and in W_B.
    pub(super) fn constant(
        cell: Cell,
        [steps, batch, input, hidden]: [usize; 4],
        scales: &[f32],
        bias: f32,
    ) -> Node {
        let rows = cell.gates() * hidden;
        let weights = scales.iter().map(|&scale| Weights {
            w: vec![scale; rows * input],
            r: vec![scale; rows * hidden],
            b: [vec![bias; rows], vec![0.0; rows]].concat(),
        });
        let direction = if scales.len() == 2 { Direction::Bidirectional } else { Direction::Forward };
        let x = super::support::ascending(1.0, steps * batch * input);
        Node {
            cell,
            steps,
            batch,
            input,
            hidden,
            direction,
            layout: 0,
            x,
            weights: weights.collect(),
            sequence_lens: None,
            linear_before_reset: false,
            activations: [Activation::Sigmoid, Activation::Tanh, Activation::Tanh],
            clip: None,
            initial_h: None,
            initial_c: None,
        }
    }

    /// The same node with normal random weights and biases, which tell gates and units apart, and an input that does not saturate them.
    pub(super) fn random(&self, seed: u64) -> Node {
        let mut node = self.clone();
        let rng = &mut Rng::new(seed);
        let mut draw = |values: &mut Vec<f32>, bound: f64| {
            values.iter_mut().for_each(|value| *value = rng.uniform(-bound, bound) as f32);
        };
        draw(&mut node.x, 1.5);
        for Weights { w, r, b } in &mut node.weights {
            draw(w, 1.0);
            draw(r, 1.0);
            draw(b, 1.0);
        }
        node
    }

    fn is_reverse(&self, d: usize) -> bool {
        self.direction == Direction::Reverse || d == 1
    }

    /// Where the vector of a step, direction and row of Y stands; for one direction that of X.
    fn at(&self, t: usize, d: usize, b: usize, directions: usize) -> usize {
        match self.layout {
            0 => (t * directions + d) * self.batch + b,
            _ => (b * self.steps + t) * directions + d,
        }
    }

    /// Where the vector of a direction and row of Y_h stands.
    fn state_at(&self, d: usize, b: usize) -> usize {
        if self.layout == 0 { d * self.batch + b } else { b * self.weights.len() + d }
    }

    /// The specification's equations, in f64; outputs beyond a row's length are zeros.
    pub(super) fn expected(&self) -> Outputs<f64> {
        let (hidden, directions) = (self.hidden, self.weights.len());
        let has_c = self.cell == Cell::Lstm;
        let states = directions * self.batch * hidden;
        let mut y = vec![0.0; self.steps * states];
        let (mut y_h, mut y_c) = (vec![0.0; states], vec![0.0; if has_c { states } else { 0 }]);
        for (d, weights) in self.weights.iter().enumerate() {
            for b in 0..self.batch {
                let at = self.state_at(d, b) * hidden;
                let initial = |state: &Option<Vec<f32>>| match state {
                    Some(state) => tests::problem::widened(&state[at..at + hidden]),
                    None => vec![0.0; hidden],
                };
                let (mut h, mut c) = (initial(&self.initial_h), initial(&self.initial_c));
                let length = self.sequence_lens.as_ref().map_or(self.steps, |lens| lens[b]);
                for step in 0..length {
                    let t = if self.is_reverse(d) { length - 1 - step } else { step };
                    let x = &self.x[self.at(t, 0, b, 1) * self.input..][..self.input];
                    (h, c) = self.step(weights, &tests::problem::widened(x), &h, &c);
                    y[self.at(t, d, b, directions) * hidden..][..hidden].copy_from_slice(&h);
                }
                y_h[at..at + hidden].copy_from_slice(&h);
                if has_c {
                    y_c[at..at + hidden].copy_from_slice(&c);
                }
            }
        }
        [y, y_h, y_c]
    }

    /// One step of one row.
    fn step(&self, Weights { w, r, b }: &Weights, x: &[f64], h: &[f64], c: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let (hidden, gates) = (self.hidden, self.cell.gates());
        let row = |weights: &[f32], row: usize, values: &[f64]| -> f64 {
            let weights = &weights[row * values.len()..][..values.len()];
            weights.iter().zip(values).map(|(&weight, value)| f64::from(weight) * value).sum()
        };
        // Rows of gate g, unit j: W x + W_B and R h + R_B.
        let of_x = |g: usize, j: usize| row(w, g * hidden + j, x) + f64::from(b[g * hidden + j]);
        let of_h = |g: usize, j: usize| row(r, g * hidden + j, h) + f64::from(b[(gates + g) * hidden + j]);
        let sigmoid = function(Activation::Sigmoid);
        let clip = |x: f64| self.clip.map_or(x, |clip| x.clamp(-f64::from(clip), f64::from(clip)));
        let sum = |g: usize, j: usize| clip(of_x(g, j) + of_h(g, j));
        let units = 0..hidden;
        match self.cell {
            Cell::RnnTanh => (units.map(|j| sum(0, j).tanh()).collect(), Vec::new()),
            Cell::RnnRelu => (units.map(|j| sum(0, j).max(0.0)).collect(), Vec::new()),
            // i o f c~: C = f . C + i . c~ and H = o . tanh(C)
            Cell::Lstm => {
                let [f, g, h] = self.activations.map(function);
                let c: Vec<f64> =
                    units.clone().map(|j| f(sum(2, j)) * c[j] + f(sum(0, j)) * g(sum(3, j))).collect();
                (units.map(|j| f(sum(1, j)) * h(c[j])).collect(), c)
            }
            // z r h~: H = (1 - z) . h~ + z . H, where
            // h~ = tanh(W x + W_B + r . (R h + R_B)) if linear_before_reset, else tanh(W x + W_B + R (r . h) + R_B)
            Cell::Gru => {
                let gate = |g: usize, j: usize| sigmoid(sum(g, j));
                let reset: Vec<f64> = units.clone().map(|j| gate(1, j)).collect();
                let reset_h: Vec<f64> = reset.iter().zip(h).map(|(r, h)| r * h).collect();
                let candidate = |j: usize| {
                    let bias = f64::from(b[(gates + 2) * hidden + j]);
                    let after = row(r, 2 * hidden + j, &reset_h) + bias;
                    clip(of_x(2, j) + if self.linear_before_reset { reset[j] * of_h(2, j) } else { after })
                };
                let h = units.map(|j| (1.0 - gate(0, j)) * candidate(j).tanh() + gate(0, j) * h[j]);
                (h.collect(), Vec::new())
            }
        }
    }

    /// The same on a network: gates reordered, W_B and R_B as bias_ih and bias_hh. Of a reverse node the network has both directions,
    /// and the second counts.
    pub(super) fn run(&self, kernels: Kernels) -> Outputs<f32> {
        let (hidden, is_single) = (self.hidden, self.direction == Direction::Forward);
        let network = Network::with_cell(self.cell, self.input, hidden)
            .bidirectional(!is_single)
            .batch_first(self.layout == 1)
            .kernels(kernels);
        let network = match self.clip {
            Some(clip) => network.pre_activation_clip(clip),
            None => network,
        };
        let network = match self.cell {
            Cell::Gru => network.linear_before_reset(self.linear_before_reset),
            Cell::Lstm => {
                let [f, g, h] = self.activations;
                network.gate_activation(f).activation(g).output_activation(h)
            }
            _ => network,
        };
        let mut network = network.build().unwrap();
        let suffixes: &[&str] = match self.direction {
            Direction::Forward => &[""],
            Direction::Reverse => &["_reverse"],
            Direction::Bidirectional => &["", "_reverse"],
        };
        for (suffix, weights) in suffixes.iter().zip(&self.weights) {
            let (bias_ih, bias_hh) = weights.b.split_at(self.cell.gates() * hidden);
            let tensors = [
                ("weight_ih", &weights.w[..]),
                ("weight_hh", &weights.r),
                ("bias_ih", bias_ih),
                ("bias_hh", bias_hh),
            ];
            for (name, values) in tensors {
                let mut params = network.params_mut();
                let tensor = params.get_mut(&format!("{name}_l0{suffix}")).unwrap();
                tensor.data_mut().copy_from_slice(&in_our_order(self.cell, values));
            }
        }
        let shape = if self.layout == 0 { [self.steps, self.batch] } else { [self.batch, self.steps] };
        let mut input = Input::from(View::new(&self.x, [shape[0], shape[1], self.input]).unwrap());
        input.lengths = self.sequence_lens.as_deref();
        let mut state = network.zero_state(self.batch).unwrap();
        let of_state = self.batch * hidden;
        let skipped = usize::from(self.direction == Direction::Reverse);
        let (h_0, c_0) = (self.initial_h.as_deref(), self.initial_c.as_deref());
        if let Some(h_0) = h_0 {
            state.h_mut()[skipped * of_state..].copy_from_slice(h_0);
        }
        if let Some(c_0) = c_0 {
            state.c_mut()[skipped * of_state..].copy_from_slice(c_0);
        }
        let (y, end) = network.forward(input, Some(&state)).unwrap();
        self.as_outputs(y.data(), end.h(), end.c(), skipped)
    }

    /// Outputs of a network in the operators' layouts.
    fn as_outputs(&self, y: &[f32], h_n: &[f32], c_n: &[f32], skipped: usize) -> Outputs<f32> {
        let (hidden, directions) = (self.hidden, self.weights.len());
        let ours = skipped + directions;
        let mut outputs = self.expected().map(|values| vec![f32::NAN; values.len()]);
        for d in 0..directions {
            for b in 0..self.batch {
                for t in 0..self.steps {
                    let vector = match self.layout {
                        0 => t * self.batch + b,
                        _ => b * self.steps + t,
                    };
                    let from = (vector * ours + skipped + d) * hidden;
                    let to = self.at(t, d, b, directions) * hidden;
                    outputs[0][to..to + hidden].copy_from_slice(&y[from..from + hidden]);
                }
                let (from, to) = (((skipped + d) * self.batch + b) * hidden, self.state_at(d, b) * hidden);
                for (state, to_state) in [h_n, c_n].into_iter().zip([1, 2]) {
                    if !state.is_empty() {
                        outputs[to_state][to..to + hidden].copy_from_slice(&state[from..from + hidden]);
                    }
                }
            }
        }
        outputs
    }

    /// The network's outputs are the specification's, on every instruction set; ONNX's own tolerance is rtol 1e-3.
    #[track_caller]
    pub(super) fn check(&self) {
        let expected = self.expected();
        for kernels in all_kernels() {
            for (i, got) in self.run(kernels).iter().enumerate() {
                close(["Y", "Y_h", "Y_c"][i], got, &expected[i], 1e-6);
            }
        }
    }
}

/// An activation in f64.
fn function(activation: Activation) -> fn(f64) -> f64 {
    match activation {
        Activation::Sigmoid => |x| 1.0 / (1.0 + (-x).exp()),
        Activation::Tanh => f64::tanh,
        other => panic!("{other:?} is in none of these nodes"),
    }
}

/// Gates from the operators' order to i f g o and r z n.
fn in_our_order(cell: Cell, values: &[f32]) -> Vec<f32> {
    let gates: &[usize] = match cell {
        Cell::Lstm => &[0, 2, 3, 1],
        Cell::Gru => &[1, 0, 2],
        _ => &[0],
    };
    let of_gate = values.len() / gates.len();
    gates.iter().flat_map(|gate| &values[gate * of_gate..][..of_gate]).copied().collect()
}
