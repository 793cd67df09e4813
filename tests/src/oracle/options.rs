//! Cells with options: any activations, and the GRU whose reset gate comes before the product.
//!
//! Every function stands here with its derivative by its argument, as a textbook has it.

use super::linalg::affine;
use super::{Cell, CellGrads, CellStep, Shape, Weights, sigmoid};

/// A function of one number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Activation {
    /// `1 / (1 + exp(-x))`
    Sigmoid,
    /// `tanh(x)`
    Tanh,
    /// `max(x, 0)`
    Relu,
    /// `x`
    Identity,
    /// `alpha x + beta`
    Affine(f64, f64),
    /// `x` above 0, `alpha x` below.
    LeakyRelu(f64),
    /// `x` above alpha, else 0.
    ThresholdedRelu(f64),
    /// `alpha tanh(beta x)`
    ScaledTanh(f64, f64),
    /// `alpha x + beta` between 0 and 1.
    HardSigmoid(f64, f64),
    /// `x` above 0, `alpha (exp(x) - 1)` below.
    Elu(f64),
    /// `x / (1 + |x|)`
    Softsign,
    /// `ln(1 + exp(x))`
    Softplus,
}

impl Activation {
    /// The value at `x`.
    pub fn value(self, x: f64) -> f64 {
        match self {
            Activation::Sigmoid => sigmoid(x),
            Activation::Tanh => x.tanh(),
            Activation::Relu => x.max(0.0),
            Activation::Identity => x,
            Activation::Affine(alpha, beta) => alpha * x + beta,
            Activation::LeakyRelu(alpha) => x * if x > 0.0 { 1.0 } else { alpha },
            Activation::ThresholdedRelu(alpha) => x * if x > alpha { 1.0 } else { 0.0 },
            Activation::ScaledTanh(alpha, beta) => alpha * (beta * x).tanh(),
            Activation::HardSigmoid(alpha, beta) => (alpha * x + beta).clamp(0.0, 1.0),
            Activation::Elu(alpha) => {
                if x > 0.0 {
                    x
                } else {
                    alpha * x.exp_m1()
                }
            }
            Activation::Softsign => x / (1.0 + x.abs()),
            Activation::Softplus => x.max(0.0) + (-x.abs()).exp().ln_1p(),
        }
    }

    /// The derivative at `x`.
    pub fn slope(self, x: f64) -> f64 {
        match self {
            Activation::Sigmoid => sigmoid(x) * sigmoid(-x),
            Activation::Tanh => 1.0 - x.tanh().powi(2),
            Activation::Relu => {
                if x > 0.0 {
                    1.0
                } else {
                    0.0
                }
            }
            Activation::Identity => 1.0,
            Activation::Affine(alpha, _) => alpha,
            Activation::LeakyRelu(alpha) => {
                if x > 0.0 {
                    1.0
                } else {
                    alpha
                }
            }
            Activation::ThresholdedRelu(alpha) => {
                if x > alpha {
                    1.0
                } else {
                    0.0
                }
            }
            Activation::ScaledTanh(alpha, beta) => alpha * beta * (1.0 - (beta * x).tanh().powi(2)),
            Activation::HardSigmoid(alpha, beta) => {
                if (0.0..=1.0).contains(&(alpha * x + beta)) {
                    alpha
                } else {
                    0.0
                }
            }
            Activation::Elu(alpha) => {
                if x > 0.0 {
                    1.0
                } else {
                    alpha * x.exp()
                }
            }
            Activation::Softsign => (1.0 + x.abs()).powi(-2),
            Activation::Softplus => sigmoid(x),
        }
    }

    /// Where the derivative jumps.
    pub fn kinks(self) -> Vec<f64> {
        match self {
            Activation::Relu | Activation::LeakyRelu(_) | Activation::Elu(_) => vec![0.0],
            Activation::ThresholdedRelu(alpha) => vec![alpha],
            Activation::HardSigmoid(alpha, beta) => vec![-beta / alpha, (1.0 - beta) / alpha],
            _ => vec![],
        }
    }
}

/// How a cell differs from PyTorch's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// Of `i f o` and `r z`.
    pub gate: Activation,
    /// Of `g`, `n` and the state of an RNN.
    pub candidate: Activation,
    /// Of the LSTM's `c'` on its way into `u`.
    pub output: Activation,
    /// GRU: `n = f(xa_n + b_hn + W_hn (r h))`.
    pub reset_before: bool,
    /// Largest magnitude of the argument of `gate` and `candidate`; infinity for none.
    pub clip: f64,
    /// Largest magnitude of the LSTM's `c'`; infinity for none.
    pub cell_clip: f64,
}

/// 1 within the limit, 0 beyond: the derivative of `x.clamp(-limit, limit)`.
fn inside(x: f64, limit: f64) -> f64 {
    if x.abs() < limit { 1.0 } else { 0.0 }
}

impl Options {
    fn of_gate(&self, cell: Cell, gate: usize) -> Activation {
        match (cell, gate) {
            (Cell::RnnTanh | Cell::RnnRelu, _) | (Cell::Lstm | Cell::Gru, 2) => self.candidate,
            _ => self.gate,
        }
    }

    /// What the activation of a gate's unit `j` is applied to, before it is clipped.
    fn argument(&self, cell: Cell, xa: &[f64], ha: &[f64], r: f64, gate: usize, at: usize) -> f64 {
        let scales = cell == Cell::Gru && gate == 2 && !self.reset_before;
        xa[at] + ha[at] * if scales { r } else { 1.0 }
    }

    /// The value of a gate's activation.
    fn value(&self, cell: Cell, gate: usize, x: f64) -> f64 {
        self.of_gate(cell, gate).value(x.clamp(-self.clip, self.clip))
    }

    /// Its derivative by x.
    fn slope(&self, cell: Cell, gate: usize, x: f64) -> f64 {
        self.of_gate(cell, gate).slope(x.clamp(-self.clip, self.clip)) * inside(x, self.clip)
    }

    /// How near anything in one step of one row comes to where a derivative jumps: an activation's argument, or what is clipped.
    pub fn distance_to_jump(
        &self,
        cell: Cell,
        step: &CellStep,
        (xa, ha): (&[f64], &[f64]),
        c_in: &[f64],
    ) -> f64 {
        let from = |x: f64, jumps: Vec<f64>| {
            jumps.into_iter().map(|jump| (x - jump).abs()).fold(f64::INFINITY, f64::min)
        };
        let hidden = step.u.len();
        let mut nearest = f64::INFINITY;
        for (at, gate) in (0..xa.len()).map(|at| (at, at / hidden)) {
            let x = self.argument(cell, xa, ha, step.gates[at % hidden], gate, at);
            let kinks = from(x, self.of_gate(cell, gate).kinks());
            nearest = nearest.min(kinks).min((x.abs() - self.clip).abs());
        }
        if cell == Cell::Lstm {
            for (j, (&c, c_in)) in step.c.iter().zip(c_in).enumerate() {
                let gate = |g: usize| step.gates[g * hidden + j];
                let sum = gate(1) * c_in + gate(0) * gate(2);
                nearest = nearest.min(from(c, self.output.kinks())).min((sum.abs() - self.cell_clip).abs());
            }
        }
        nearest
    }

    /// One step of one row; as [`Cell::step`].
    pub(super) fn step(&self, cell: Cell, xa: &[f64], ha: &[f64], c: &[f64]) -> CellStep {
        let hidden = xa.len() / cell.gates();
        let mut new = CellStep { gates: vec![0.0; xa.len()], c: vec![], u: vec![0.0; hidden] };
        for j in 0..hidden {
            let mut gates = vec![];
            for gate in 0..cell.gates() {
                let r = gates.first().copied().unwrap_or(0.0);
                let x = self.argument(cell, xa, ha, r, gate, gate * hidden + j);
                gates.push(self.value(cell, gate, x));
                new.gates[gate * hidden + j] = gates[gate];
            }
            match gates[..] {
                [h] => new.u[j] = h,
                [_, z, n] => {
                    new.u[j] = (1.0 - z) * n + z * c[j];
                    new.c.push(new.u[j]);
                }
                _ => {
                    let c = gates[1] * c[j] + gates[0] * gates[2];
                    new.c.push(c.clamp(-self.cell_clip, self.cell_clip));
                    new.u[j] = gates[3] * self.output.value(new.c[j]);
                }
            }
        }
        new
    }

    /// As [`Cell::step_backward`]. Where the reset gate comes first, the gradients of r are missing: see [`Options::reset`].
    #[allow(clippy::too_many_arguments, reason = "a step and what comes in from above")]
    pub(super) fn step_backward(
        &self,
        cell: Cell,
        step: &CellStep,
        (xa, ha): (&[f64], &[f64]),
        c: &[f64],
        du: &[f64],
        dc: &[f64],
        flush_c: impl Fn(f64) -> f64,
    ) -> CellGrads {
        let hidden = du.len();
        let mut back =
            CellGrads { xa: vec![0.0; xa.len()], ha: vec![0.0; xa.len()], c: vec![], c_prev: vec![] };
        for j in 0..hidden {
            let gate = |g: usize| step.gates[g * hidden + j];
            let slope =
                |g: usize| self.slope(cell, g, self.argument(cell, xa, ha, step.gates[j], g, g * hidden + j));
            let mut set = |g: usize, d: f64, by_ha: f64| {
                back.xa[g * hidden + j] = d;
                back.ha[g * hidden + j] = d * by_ha;
            };
            match cell {
                Cell::RnnTanh | Cell::RnnRelu => set(0, du[j] * slope(0), 1.0),
                Cell::Lstm => {
                    let value = self.output.value(step.c[j]);
                    let dc_new = flush_c(dc[j] + du[j] * gate(3) * self.output.slope(step.c[j]));
                    let d_sum = dc_new * inside(step.c[j], self.cell_clip);
                    set(0, d_sum * gate(2) * slope(0), 1.0);
                    set(1, d_sum * c[j] * slope(1), 1.0);
                    set(2, d_sum * gate(0) * slope(2), 1.0);
                    set(3, du[j] * value * slope(3), 1.0);
                    back.c.push(dc_new);
                    back.c_prev.push(d_sum * gate(1));
                }
                Cell::Gru => {
                    let dc_new = flush_c(dc[j] + du[j]);
                    let d_n = dc_new * (1.0 - gate(1)) * slope(2);
                    set(1, dc_new * (c[j] - gate(2)) * slope(1), 1.0);
                    if self.reset_before {
                        set(2, d_n, 1.0);
                    } else {
                        set(2, d_n, gate(0));
                        set(0, d_n * ha[2 * hidden + j] * slope(0), 1.0);
                    }
                    back.c.push(dc_new);
                    back.c_prev.push(dc_new * gate(1));
                }
            }
        }
        back
    }

    /// `ha` where the reset gate comes first: n's part is the product with `r h`.
    pub(super) fn sums_of_reset(&self, shape: &Shape, weights: &Weights, xa: &[f64], h: &[f64]) -> Vec<f64> {
        let hidden = shape.hidden;
        let mut ha = affine(3 * hidden, &weights.w_hh, weights.b_hh.as_deref(), h);
        let scaled: Vec<f64> = (0..hidden).map(|j| self.value(Cell::Gru, 0, xa[j] + ha[j]) * h[j]).collect();
        let b_n = weights.b_hh.as_ref().map(|b| &b[2 * hidden..]);
        let ha_n = affine(hidden, &weights.w_hh[2 * hidden * hidden..], b_n, &scaled);
        ha[2 * hidden..].copy_from_slice(&ha_n);
        ha
    }

    /// The gradients of r where it comes first: `dm` is that of `r h`.
    pub(super) fn reset(&self, back: &mut CellGrads, xa: &[f64], ha: &[f64], h: &[f64], dm: &[f64]) {
        for j in 0..dm.len() {
            back.xa[j] = dm[j] * h[j] * self.slope(Cell::Gru, 0, xa[j] + ha[j]);
            back.ha[j] = back.xa[j];
        }
    }
}
