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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
}

impl Config {
    pub(crate) fn new(cell: Cell, input_size: usize, hidden_size: usize) -> Config {
        Config { cell, input_size, hidden_size, num_layers: 1, bias: true, batch_first: false }
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        for (arg, value) in [("hidden_size", self.hidden_size), ("num_layers", self.num_layers)] {
            if value == 0 {
                return Err(Error::Config { arg, expected: "greater than zero", got: value.to_string() });
            }
        }
        Ok(())
    }

    /// Features of the input of a layer.
    pub(crate) fn layer_input(&self, layer: usize) -> usize {
        if layer == 0 { self.input_size } else { self.hidden_size }
    }
}
