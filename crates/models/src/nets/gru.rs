//! The gated recurrent unit network.

use super::{Builder, Network};
use crate::spec::Error;
use gatewise_kernels::Cell;

/// Marks the gated recurrent unit network.
///
/// # Examples
/// ```
/// use gatewise::{Gru, GruKind, Network};
///
/// fn size<K>(network: &Network<K>) -> usize {
///     network.params().num_elements()
/// }
/// let gru: Network<GruKind> = Gru::new(1, 1)?;
/// assert_eq!(size(&gru), 3 * 4);
/// # Ok::<(), gatewise::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub enum GruKind {}

/// A network of gated recurrent units, `torch.nn.GRU`:
///
/// ```text
/// r, z = sigmoid(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh)        reset (relevance), update gate
/// n    = tanh(W_in x_t + b_in + r * (W_hn h_{t-1} + b_hn))
/// h_t  = (1 - z) * n + z * h_{t-1}
/// ```
/// The gates' rows stand in the weights in the order r z n.
///
/// # Examples
/// ```
/// use gatewise::Gru;
///
/// let gru = Gru::new(1, 32)?;
/// let (mut state, mut h) = (gru.zero_state(1)?, [0.0; 32]);
/// for x in [0.1, 0.2, 0.3] {
///     gru.step(&[x], &mut state, &mut h)?; // one time step; allocates nothing
/// }
/// assert_eq!(state.h(), h);
/// # Ok::<(), gatewise::Error>(())
/// ```
pub type Gru = Network<GruKind>;

impl Gru {
    /// Starts from the sizes of x and h; everything else has PyTorch's default.
    ///
    /// # Examples
    /// ```
    /// let gru = gatewise::Gru::builder(2, 3).num_layers(2).build()?;
    /// assert_eq!(gru.params().get("weight_ih_l1").unwrap().shape(), [3 * 3, 3]);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn builder(input_size: usize, hidden_size: usize) -> Builder<GruKind> {
        Builder::new(Cell::Gru, input_size, hidden_size)
    }

    /// A network of one layer with all defaults.
    ///
    /// # Errors
    /// As [`Builder::build`].
    ///
    /// # Examples
    /// ```
    /// assert_eq!(gatewise::Gru::new(2, 3)?.params().get("weight_ih_l0").unwrap().shape(), [3 * 3, 2]);
    /// assert!(gatewise::Gru::new(2, 0).is_err());
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn new(input_size: usize, hidden_size: usize) -> Result<Gru, Error> {
        Gru::builder(input_size, hidden_size).build()
    }
}
