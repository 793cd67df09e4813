//! Sizes and weights of one layer in one direction.

use super::Cell;

/// Sizes of one layer in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// The cell.
    pub cell: Cell,
    /// Input size `I`.
    pub input: usize,
    /// Hidden size `H`.
    pub hidden: usize,
    /// Projection size `P`, where the state is projected: `h = W_hr u`.
    pub proj: Option<usize>,
}

impl Shape {
    /// Size `R` of the state `h` and of the output: `P`, or `H` without a projection.
    pub fn state(&self) -> usize {
        self.proj.unwrap_or(self.hidden)
    }

    /// Rows of `w_ih` and `w_hh`: `G * H`.
    pub fn gate_rows(&self) -> usize {
        self.cell.gates() * self.hidden
    }

    /// Size of the state `c`: `H` for an LSTM and for a GRU with a projection, else 0.
    pub fn c_state(&self) -> usize {
        match self.cell {
            Cell::Lstm => self.hidden,
            Cell::Gru if self.proj.is_some() => self.hidden,
            _ => 0,
        }
    }
}

/// The weights of one layer in one direction, or their gradients.
#[derive(Debug, Clone, PartialEq)]
pub struct Weights {
    /// `[G*H, I]`.
    pub w_ih: Vec<f64>,
    /// `[G*H, R]`.
    pub w_hh: Vec<f64>,
    /// `[G*H]`, missing = zeros.
    pub b_ih: Option<Vec<f64>>,
    /// `[G*H]`, missing = zeros.
    pub b_hh: Option<Vec<f64>>,
    /// `[P, H]`, exactly where the shape has a projection.
    pub w_hr: Option<Vec<f64>>,
}

impl Weights {
    /// Weights whose elements come from `next`, in the order of the fields; both biases or none.
    pub fn filled(shape: &Shape, bias: bool, mut next: impl FnMut() -> f64) -> Self {
        let mut fill = |len: usize| (0..len).map(|_| next()).collect::<Vec<f64>>();
        let rows = shape.gate_rows();
        Weights {
            w_ih: fill(rows * shape.input),
            w_hh: fill(rows * shape.state()),
            b_ih: bias.then(|| fill(rows)),
            b_hh: bias.then(|| fill(rows)),
            w_hr: shape.proj.map(|proj| fill(proj * shape.hidden)),
        }
    }

    /// Zeros with the sizes and the optional tensors of these weights.
    pub fn zeros_like(&self) -> Self {
        let mut zeros = self.clone();
        for (_, tensor) in zeros.tensors_mut() {
            tensor.fill(0.0);
        }
        zeros
    }

    /// The tensors that exist, with PyTorch's names, in the order of PyTorch's `parameters()`.
    pub fn tensors(&self) -> Vec<(&'static str, &[f64])> {
        let all = [
            ("weight_ih", Some(&self.w_ih)),
            ("weight_hh", Some(&self.w_hh)),
            ("bias_ih", self.b_ih.as_ref()),
            ("bias_hh", self.b_hh.as_ref()),
            ("weight_hr", self.w_hr.as_ref()),
        ];
        all.into_iter().filter_map(|(name, tensor)| Some((name, tensor?.as_slice()))).collect()
    }

    /// The same as [`Weights::tensors`], to be changed.
    pub fn tensors_mut(&mut self) -> Vec<(&'static str, &mut [f64])> {
        let all = [
            ("weight_ih", Some(&mut self.w_ih)),
            ("weight_hh", Some(&mut self.w_hh)),
            ("bias_ih", self.b_ih.as_mut()),
            ("bias_hh", self.b_hh.as_mut()),
            ("weight_hr", self.w_hr.as_mut()),
        ];
        all.into_iter().filter_map(|(name, tensor)| Some((name, tensor?.as_mut_slice()))).collect()
    }

    /// Panics unless every tensor has the length that `shape` asks for.
    pub fn check(&self, shape: &Shape) {
        let rows = shape.gate_rows();
        assert_eq!(self.w_ih.len(), rows * shape.input, "w_ih is [G*H, I]");
        assert_eq!(self.w_hh.len(), rows * shape.state(), "w_hh is [G*H, R]");
        for bias in [&self.b_ih, &self.b_hh].into_iter().flatten() {
            assert_eq!(bias.len(), rows, "a bias is [G*H]");
        }
        let projection = self.w_hr.as_ref().map(Vec::len);
        assert_eq!(projection, shape.proj.map(|proj| proj * shape.hidden), "w_hr is [P, H]");
    }
}
