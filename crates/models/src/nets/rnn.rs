//! The vanilla (Elman) network.

use super::{Builder, Network};
use crate::spec::{Error, Nonlinearity};
use gatewise_kernels::Cell;

/// Marks the vanilla network.
#[derive(Clone, Copy, Debug)]
pub enum RnnKind {}

/// A vanilla (Elman) network, `torch.nn.RNN`:
///
/// ```text
/// h_t = tanh(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh)            or relu(..)
/// ```
///
/// # Examples
/// ```
/// use gatewise::{Nonlinearity, Rnn, View};
///
/// let rnn = Rnn::builder(3, 8).nonlinearity(Nonlinearity::Relu).build()?;
/// let x = vec![0.1; 5 * 2 * 3];
/// let (y, h_n) = rnn.forward(View::new(&x, [5, 2, 3])?, None)?; // five steps of two rows
/// assert_eq!((y.shape(), h_n.shape()), ([5, 2, 8], [1, 2, 8]));
/// # Ok::<(), gatewise::Error>(())
/// ```
pub type Rnn = Network<RnnKind>;

impl Rnn {
    /// Starts from the sizes of x and h; everything else has PyTorch's default.
    pub fn builder(input_size: usize, hidden_size: usize) -> Builder<RnnKind> {
        Builder::new(Cell::RnnTanh, input_size, hidden_size)
    }

    /// A network of one layer with all defaults.
    ///
    /// # Errors
    /// As [`Builder::build`].
    pub fn new(input_size: usize, hidden_size: usize) -> Result<Rnn, Error> {
        Rnn::builder(input_size, hidden_size).build()
    }
}

impl Builder<RnnKind> {
    /// The activation; tanh if not called.
    pub fn nonlinearity(self, nonlinearity: Nonlinearity) -> Builder<RnnKind> {
        self.cell(match nonlinearity {
            Nonlinearity::Tanh => Cell::RnnTanh,
            Nonlinearity::Relu => Cell::RnnRelu,
        })
    }
}
