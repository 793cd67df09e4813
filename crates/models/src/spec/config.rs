//! The options of a network, under PyTorch's names.

use super::Error;
use gatewise_kernels::{Activations, Cell, CellSpec};

/// The activation of a vanilla RNN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Nonlinearity {
    /// h' = tanh(..)
    #[default]
    Tanh,
    /// h' = max(.., 0)
    Relu,
}

/// The options of a network.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Config {
    /// The cell.
    pub cell: Cell,
    /// Features of one time step's input; may be 0.
    pub input_size: usize,
    /// Features of c, and of h unless it is projected.
    pub hidden_size: usize,
    /// Features that h is projected to; 0 for none.
    pub proj_size: usize,
    /// The activations of the cell.
    pub activations: Activations,
    /// For a GRU: whether the reset gate scales W_hn h + b_hn, as in PyTorch, and not h before the product.
    pub linear_before_reset: bool,
    /// Layers, each reading the outputs of the one below.
    pub num_layers: usize,
    /// Whether there are bias_ih and bias_hh.
    pub bias: bool,
    /// Sequences are [batch, time, feature] instead of [time, batch, feature].
    pub batch_first: bool,
    /// Each layer runs in both directions of time.
    pub bidirectional: bool,
    /// Share of the outputs of each layer but the last that is set to zero in training.
    pub dropout: f32,
}

impl Config {
    pub(crate) fn new(cell: Cell, input_size: usize, hidden_size: usize) -> Config {
        Config {
            cell,
            input_size,
            hidden_size,
            proj_size: 0,
            activations: Activations::of(cell),
            linear_before_reset: true,
            num_layers: 1,
            bias: true,
            batch_first: false,
            bidirectional: false,
            dropout: 0.0,
        }
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        for (arg, value) in [("hidden_size", self.hidden_size), ("num_layers", self.num_layers)] {
            if value == 0 {
                return Err(Error::Config { arg, expected: "greater than zero", got: value.to_string() });
            }
        }
        if self.proj_size > 0 && self.proj_size >= self.hidden_size {
            let (arg, expected) = ("proj_size", "smaller than hidden_size");
            return Err(Error::Config { arg, expected, got: self.proj_size.to_string() });
        }
        self.check_activations()?;
        if !self.linear_before_reset {
            let (arg, got) = ("linear_before_reset", "false".to_string());
            if self.cell != Cell::Gru {
                return Err(Error::Config { arg, expected: "left on for a cell that is no GRU", got });
            }
            if self.proj_size > 0 {
                let expected = "left on with a projection, for the reset gate cannot scale a projected h";
                return Err(Error::Config { arg, expected, got });
            }
        }
        if !(0.0..=1.0).contains(&self.dropout) {
            let expected = "a number in range [0, 1]";
            return Err(Error::Config { arg: "dropout", expected, got: self.dropout.to_string() });
        }
        Ok(())
    }

    /// 1, or 2 for a bidirectional network.
    pub fn directions(&self) -> usize {
        1 + usize::from(self.bidirectional)
    }

    /// Those that the cell has are as they have to be, and the others as they were.
    fn check_activations(&self) -> Result<(), Error> {
        let Activations { gate, candidate, output } = self.activations;
        let plain = Activations::of(self.cell);
        let has_gates = self.cell.gates() > 1;
        for (arg, activation, plain, exists) in [
            ("gate_activation", gate, plain.gate, has_gates),
            ("activation", candidate, plain.candidate, true),
            ("output_activation", output, plain.output, self.cell == Cell::Lstm),
        ] {
            let expected = if !exists && activation != plain {
                "left out for a cell that has none"
            } else if !activation.is_valid() {
                "one with finite parameters whose slope follows from its value"
            } else {
                continue;
            };
            return Err(Error::Config { arg, expected, got: format!("{activation:?}") });
        }
        Ok(())
    }

    /// The cell with its options.
    pub fn spec(&self) -> CellSpec {
        CellSpec {
            cell: self.cell,
            proj_size: Some(self.proj_size).filter(|&size| size > 0),
            activations: self.activations,
            linear_before_reset: self.linear_before_reset,
        }
    }

    /// Features of h: proj_size, or hidden_size without a projection.
    pub fn state_size(&self) -> usize {
        self.spec().state_size(self.hidden_size)
    }

    /// Features of the output: those of h for each direction, the forward one first.
    pub fn output_size(&self) -> usize {
        self.state_size().saturating_mul(self.directions())
    }

    /// Features of the input of a layer.
    pub(crate) fn layer_input(&self, layer: usize) -> usize {
        if layer == 0 { self.input_size } else { self.output_size() }
    }

    /// Parameters of one layer in one direction.
    pub(crate) fn parameters_a_direction(&self) -> usize {
        (if self.bias { 4 } else { 2 }) + usize::from(self.proj_size > 0)
    }
}
