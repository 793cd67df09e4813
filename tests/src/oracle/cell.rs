//! The cells: one step of one row from its pre-activations, forward and backward.
//!
//! Every cell splits its pre-activations in an x part and an h part (`g` is the gate):
//!
//! ```text
//! xa[g] = b_ih[g] + W_ih[g] x          ha[g] = b_hh[g] + W_hh[g] h
//! ```

/// The recurrent cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cell {
    /// Vanilla RNN with tanh.
    RnnTanh,
    /// Vanilla RNN with relu.
    RnnRelu,
    /// LSTM, gates `i f g o`.
    Lstm,
    /// GRU in PyTorch's form, gates `r z n`.
    Gru,
}

/// What one step of one row computes.
#[derive(Debug, Clone, PartialEq)]
pub struct CellStep {
    /// Gates after their activation, `[G*H]`; for an RNN the new state itself.
    pub gates: Vec<f64>,
    /// New cell state `[H]`: the LSTM's `c'`, the GRU's `u`, empty for an RNN.
    pub c: Vec<f64>,
    /// New hidden state before any projection, `[H]`.
    pub u: Vec<f64>,
}

/// What the backward of one step of one row computes.
#[derive(Debug, Clone, PartialEq)]
pub struct CellGrads {
    /// `dL/dxa`, `[G*H]`.
    pub xa: Vec<f64>,
    /// `dL/dha`, `[G*H]`.
    pub ha: Vec<f64>,
    /// `dL/dc'` over all paths, also the one through `u`; empty for an RNN.
    pub c: Vec<f64>,
    /// `dL/dc` of the state before the step; empty for an RNN.
    pub c_prev: Vec<f64>,
}

/// `1 / (1 + exp(-x))`.
pub fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

impl Cell {
    /// All cells.
    pub const ALL: [Cell; 4] = [Cell::RnnTanh, Cell::RnnRelu, Cell::Lstm, Cell::Gru];

    /// Number of gates `G`.
    pub fn gates(self) -> usize {
        match self {
            Cell::RnnTanh | Cell::RnnRelu => 1,
            Cell::Lstm => 4,
            Cell::Gru => 3,
        }
    }

    /// One step of one row. `c` is the cell state before the step: the LSTM's `c`, the GRU's unprojected state
    /// (its `h`, where there is no projection), anything for an RNN.
    pub fn step(self, xa: &[f64], ha: &[f64], c: &[f64]) -> CellStep {
        let hidden = xa.len() / self.gates();
        let mut new = CellStep { gates: vec![0.0; xa.len()], c: vec![], u: vec![0.0; hidden] };
        for j in 0..hidden {
            // Index of unit j in gate number g.
            let at = |g: usize| g * hidden + j;
            match self {
                // u = tanh(xa + ha)   or   relu(xa + ha)
                Cell::RnnTanh => new.u[j] = (xa[j] + ha[j]).tanh(),
                Cell::RnnRelu => new.u[j] = relu(xa[j] + ha[j]),
                // i, f, o = sigmoid(xa + ha)     g = tanh(xa + ha)
                // c' = f c + i g                 u = o tanh(c')
                Cell::Lstm => {
                    let i = sigmoid(xa[at(0)] + ha[at(0)]);
                    let f = sigmoid(xa[at(1)] + ha[at(1)]);
                    let g = (xa[at(2)] + ha[at(2)]).tanh();
                    let o = sigmoid(xa[at(3)] + ha[at(3)]);
                    let c_new = f * c[j] + i * g;
                    for (gate, value) in [i, f, g, o].into_iter().enumerate() {
                        new.gates[at(gate)] = value;
                    }
                    new.c.push(c_new);
                    new.u[j] = o * c_new.tanh();
                }
                // r, z = sigmoid(xa + ha)        n = tanh(xa_n + r ha_n)
                // u = (1 - z) n + z c
                Cell::Gru => {
                    let r = sigmoid(xa[at(0)] + ha[at(0)]);
                    let z = sigmoid(xa[at(1)] + ha[at(1)]);
                    let n = (xa[at(2)] + r * ha[at(2)]).tanh();
                    let u = (1.0 - z) * n + z * c[j];
                    for (gate, value) in [r, z, n].into_iter().enumerate() {
                        new.gates[at(gate)] = value;
                    }
                    new.c.push(u);
                    new.u[j] = u;
                }
            }
        }
        if self.gates() == 1 {
            new.gates.clone_from(&new.u);
        }
        new
    }

    /// The backward of [`Cell::step`]. `du` is the gradient of `u`; `dc` that of `c'` from later steps (zeros for
    /// an RNN); `flush_c` is applied to the total gradient of `c'` before it is used.
    pub fn step_backward(
        self,
        step: &CellStep,
        ha: &[f64],
        c: &[f64],
        du: &[f64],
        dc: &[f64],
        flush_c: impl Fn(f64) -> f64,
    ) -> CellGrads {
        let hidden = du.len();
        let mut back =
            CellGrads { xa: vec![0.0; ha.len()], ha: vec![0.0; ha.len()], c: vec![], c_prev: vec![] };
        for j in 0..hidden {
            let at = |g: usize| g * hidden + j;
            let gate = |g: usize| step.gates[at(g)];
            match self {
                // d(xa) = du (1 - u^2)   or   du where u > 0
                Cell::RnnTanh => back.xa[j] = du[j] * (1.0 - step.u[j] * step.u[j]),
                Cell::RnnRelu => back.xa[j] = if step.u[j] <= 0.0 { 0.0 } else { du[j] },
                // dc' = dc + du o (1 - tanh(c')^2)          dc_prev = dc' f
                // di = dc' g    df = dc' c    dg = dc' i    do = du tanh(c')
                // d(xa) = di i(1-i), df f(1-f), dg (1 - g^2), do o(1-o)
                Cell::Lstm => {
                    let (i, f, g, o) = (gate(0), gate(1), gate(2), gate(3));
                    let tanh_c = step.c[j].tanh();
                    let dc_new = flush_c(dc[j] + du[j] * o * (1.0 - tanh_c * tanh_c));
                    back.xa[at(0)] = dc_new * g * i * (1.0 - i);
                    back.xa[at(1)] = dc_new * c[j] * f * (1.0 - f);
                    back.xa[at(2)] = dc_new * i * (1.0 - g * g);
                    back.xa[at(3)] = du[j] * tanh_c * o * (1.0 - o);
                    back.c.push(dc_new);
                    back.c_prev.push(dc_new * f);
                }
                // dc' = dc + du                             dc_prev = dc' z
                // dz = dc' (c - n)    dn = dc' (1 - z)      d(xa_n) = dn (1 - n^2)
                // d(ha_n) = d(xa_n) r         dr = d(xa_n) ha_n
                // d(xa) = dr r(1-r), dz z(1-z), d(xa_n)
                Cell::Gru => {
                    let (r, z, n) = (gate(0), gate(1), gate(2));
                    let dc_new = flush_c(dc[j] + du[j]);
                    let dxa_n = dc_new * (1.0 - z) * (1.0 - n * n);
                    back.xa[at(0)] = dxa_n * ha[at(2)] * r * (1.0 - r);
                    back.xa[at(1)] = dc_new * (c[j] - n) * z * (1.0 - z);
                    back.xa[at(2)] = dxa_n;
                    back.c.push(dc_new);
                    back.c_prev.push(dc_new * z);
                }
            }
        }
        // The parts are added before the activation, so d(ha) = d(xa), but for the GRU's n gate.
        back.ha.clone_from(&back.xa);
        if self == Cell::Gru {
            for j in 0..hidden {
                back.ha[2 * hidden + j] *= step.gates[j];
            }
        }
        back
    }
}

/// `max(x, 0)` that keeps a NaN.
fn relu(x: f64) -> f64 {
    if x < 0.0 { 0.0 } else { x }
}
