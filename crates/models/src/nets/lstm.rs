//! The long short-term memory network.

use super::{Builder, Network};
use crate::spec::Error;
use gatewise_kernels::Cell;

/// Marks the long short-term memory network.
///
/// # Examples
/// ```
/// use gatewise::{Lstm, LstmKind, Network};
///
/// struct Tagger {
///     words: Network<LstmKind>, // the same type as Lstm
/// }
/// let tagger = Tagger { words: Lstm::new(2, 3)? };
/// assert_eq!(tagger.words.config().hidden_size, 3);
/// # Ok::<(), gatewise::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub enum LstmKind {}

/// A long short-term memory network, `torch.nn.LSTM`:
///
/// ```text
/// i, f, o = sigmoid(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh)     input, forget, output gate
/// g       = tanh(..)                                           the same sums of gate g
/// c_t     = f * c_{t-1} + i * g           h_t = o * tanh(c_t)
/// ```
/// The gates' rows stand in the weights in the order i f g o.
///
/// # Examples
/// ```
/// use gatewise::{Lstm, View};
///
/// let lstm = Lstm::builder(4, 16).num_layers(2).seed(1).build()?;
/// let x = vec![0.5; 7 * 3 * 4];
/// let (y, state) = lstm.forward(View::new(&x, [7, 3, 4])?, None)?; // seven steps of three rows
/// assert_eq!((y.shape(), state.h().len(), state.c().len()), ([7, 3, 16], 2 * 3 * 16, 2 * 3 * 16));
/// # Ok::<(), gatewise::Error>(())
/// ```
pub type Lstm = Network<LstmKind>;

impl Lstm {
    /// Starts from the sizes of x and h; everything else has PyTorch's default.
    ///
    /// # Examples
    /// ```
    /// let lstm = gatewise::Lstm::builder(2, 3).num_layers(2).build()?;
    /// assert_eq!(lstm.params().get("weight_ih_l1").unwrap().shape(), [4 * 3, 3]);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn builder(input_size: usize, hidden_size: usize) -> Builder<LstmKind> {
        Builder::new(Cell::Lstm, input_size, hidden_size)
    }

    /// A network of one layer with all defaults.
    ///
    /// # Errors
    /// As [`Builder::build`].
    ///
    /// # Examples
    /// ```
    /// assert_eq!(gatewise::Lstm::new(2, 3)?.params().get("weight_ih_l0").unwrap().shape(), [4 * 3, 2]);
    /// assert!(gatewise::Lstm::new(2, 0).is_err());
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn new(input_size: usize, hidden_size: usize) -> Result<Lstm, Error> {
        Lstm::builder(input_size, hidden_size).build()
    }
}
