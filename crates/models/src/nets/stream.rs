//! One time step at a time: audio, control, anything whose next input is not there yet.

use super::Network;
use crate::spec::{Error, State};

impl<K> Network<K> {
    /// Runs one time step of every row: `input` is [batch, input_size], `output` is h of the last layer, [batch, hidden_size], or
    /// [batch, proj_size].
    /// The batch is the state's. Allocates nothing (a cell that is projected, or whose reset gate comes first, makes room in the
    /// state in its first step); the same bits as the same steps within a whole sequence.
    ///
    /// # Errors
    /// [`Error::Shape`] if input, state and output do not fit, [`Error::Config`] if the network is bidirectional; nothing is written
    /// then.
    ///
    /// # Examples
    /// ```
    /// use gatewise::Gru;
    ///
    /// let gru = Gru::builder(1, 4).num_layers(2).build()?;
    /// let (mut state, mut h) = (gru.zero_state(1)?, [0.0; 4]);
    /// for sample in [0.1, 0.4, -0.2] {
    ///     gru.step(&[sample], &mut state, &mut h)?;
    /// }
    /// assert_eq!(h, state.h()[4..]); // the upper layer's
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn step(&self, input: &[f32], state: &mut State, output: &mut [f32]) -> Result<(), Error> {
        self.stack.step(input, state, output)
    }
}
