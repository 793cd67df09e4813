//! The vanilla (Elman) network.

use super::{Builder, Network};
use crate::spec::{Error, Nonlinearity};
use gatewise_kernels::Cell;

/// Marks the vanilla network.
///
/// # Examples
/// ```
/// use gatewise::{Builder, Rnn, RnnKind};
///
/// fn small(builder: Builder<RnnKind>) -> Builder<RnnKind> {
///     builder.bias(false)
/// }
/// assert_eq!(small(Rnn::builder(2, 3)).build()?.params().len(), 2);
/// # Ok::<(), gatewise::Error>(())
/// ```
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
    ///
    /// # Examples
    /// ```
    /// let rnn = gatewise::Rnn::builder(2, 3).num_layers(2).build()?;
    /// assert_eq!(rnn.params().get("weight_ih_l1").unwrap().shape(), [3, 3]);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn builder(input_size: usize, hidden_size: usize) -> Builder<RnnKind> {
        Builder::new(Cell::RnnTanh, input_size, hidden_size)
    }

    /// A network of one layer with all defaults.
    ///
    /// # Errors
    /// As [`Builder::build`].
    ///
    /// # Examples
    /// ```
    /// assert_eq!(gatewise::Rnn::new(2, 3)?.params().get("weight_ih_l0").unwrap().shape(), [3, 2]);
    /// assert!(gatewise::Rnn::new(2, 0).is_err());
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn new(input_size: usize, hidden_size: usize) -> Result<Rnn, Error> {
        Rnn::builder(input_size, hidden_size).build()
    }
}

impl Builder<RnnKind> {
    /// The activation; tanh if not called.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Cell, Nonlinearity, Rnn};
    ///
    /// let rnn = Rnn::builder(2, 3).nonlinearity(Nonlinearity::Relu).build()?;
    /// assert_eq!(rnn.config().cell, Cell::RnnRelu);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn nonlinearity(self, nonlinearity: Nonlinearity) -> Builder<RnnKind> {
        self.cell(match nonlinearity {
            Nonlinearity::Tanh => Cell::RnnTanh,
            Nonlinearity::Relu => Cell::RnnRelu,
        })
    }
}
