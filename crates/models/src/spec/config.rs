//! The options of a network, under PyTorch's names.

use super::Error;
use gatewise_kernels::Cell;

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
    /// Features of h (and c).
    pub hidden_size: usize,
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

    /// Features of the output: hidden_size for each direction, the forward one first.
    pub fn output_size(&self) -> usize {
        self.hidden_size.saturating_mul(self.directions())
    }

    /// Features of the input of a layer.
    pub(crate) fn layer_input(&self, layer: usize) -> usize {
        if layer == 0 { self.input_size } else { self.output_size() }
    }

    /// Parameters of one layer in one direction.
    pub(crate) fn parameters_a_direction(&self) -> usize {
        if self.bias { 4 } else { 2 }
    }
}
