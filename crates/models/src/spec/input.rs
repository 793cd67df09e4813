//! What goes into a network: a sequence, and what is special about its rows.

use super::{State, View};

/// The input of a network. A [`View`] alone is one: all rows as long as the sequence, no resets.
///
/// # Examples
/// ```
/// use gatewise::{Gru, Input, View};
///
/// let x = View::new(&[0.5; 3 * 2], [3, 2, 1])?; // three steps of two rows
/// let input = Input { lengths: Some(&[1, 3]), resets: Some(&[false; 3 * 2]), ..Input::from(x) };
/// let (y, _) = Gru::new(1, 4)?.forward(input, None)?;
/// assert_eq!(y.data()[2 * 4..3 * 4], [0.0; 4]); // row 0 at step 1: beyond its length
/// assert_ne!(y.data()[3 * 4..4 * 4], [0.0; 4]); // row 1
/// # Ok::<(), gatewise::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The sequences of all rows.
    pub sequence: View<'a>,
    /// Valid steps of each row, `[batch]`, in any order; 0 is allowed. What stands in the sequence beyond them is not read; the
    /// outputs there are zeros. `None`: all rows are valid throughout.
    pub lengths: Option<&'a [usize]>,
    /// [time, batch], also for a network that is batch_first: where set, the row's state is replaced before the step, in every
    /// layer, as at the start of an episode. No gradient passes. In a reverse direction the step before is the next one in time.
    pub resets: Option<&'a [bool]>,
    /// What it is replaced by: a state for this batch, or for a batch of one, which all rows share. `None` is zeros. The gradient of
    /// the loss with respect to it is [`Gradients::grad_reset_h`](crate::Gradients::grad_reset_h), so that it can be learned.
    pub reset_state: Option<&'a State>,
    /// Randomness of the dropout between layers; it matters in training only.
    pub dropout: DropoutKey<'a>,
}

/// What chooses the values that dropout sets to zero: the same key always chooses the same ones.
///
/// # Examples
/// A sequence in two pieces loses what it would lose as a whole:
/// ```
/// use gatewise::{DropoutKey, Gru, Input, View};
///
/// let gru = Gru::builder(1, 8).num_layers(2).dropout(0.5).build()?;
/// let (x, mut state) = ([0.5; 6], gru.zero_state(1)?);
/// let run = |x: &[f32], first_step, state: &_| {
///     let key = DropoutKey { seed: 1, first_step, ..DropoutKey::default() };
///     gru.forward_train(Input::from(View::new(x, [x.len(), 1, 1])?).dropout(key), Some(state))
/// };
/// let (whole, begin) = (run(&x, 0, &state)?, run(&x[..4], 0, &state)?);
/// begin.final_state(&mut state)?;
/// assert_eq!(run(&x[4..], 4, &state)?.output().data(), &whole.output().data()[4 * 8..]);
/// # Ok::<(), gatewise::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct DropoutKey<'a> {
    /// Change it with every update.
    pub seed: u64,
    /// The number of the sequence's first step, for a sequence that is trained in pieces.
    pub first_step: u32,
    /// A number for each row, for rows that move between batches; `None` is 0, 1, 2, ..
    pub rows: Option<&'a [u32]>,
}

impl<'a> From<View<'a>> for Input<'a> {
    fn from(sequence: View<'a>) -> Input<'a> {
        Input { sequence, lengths: None, resets: None, reset_state: None, dropout: DropoutKey::default() }
    }
}

impl<'a> Input<'a> {
    /// With valid steps for each row, `[batch]`, in any order, 0 among them.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Gru, Input, View};
    ///
    /// let gru = Gru::new(1, 2)?;
    /// let input = Input::from(View::new(&[0.5; 3 * 2], [3, 2, 1])?).lengths(&[1, 3]); // three steps of two rows
    /// let (y, h_n) = gru.forward(input, None)?;
    /// assert_eq!(y.data()[4..6], [0.0, 0.0]); // row 0 at step 1: beyond its length
    /// assert_eq!(h_n.h()[..2], y.data()[..2]); // its own last step
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn lengths(self, lengths: &'a [usize]) -> Input<'a> {
        Input { lengths: Some(lengths), ..self }
    }

    /// With resets, [time, batch].
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Gru, Input, View};
    ///
    /// let gru = Gru::new(1, 2)?;
    /// let x = View::new(&[0.5; 4], [4, 1, 1])?; // four steps of one row
    /// let (y, _) = gru.forward(Input::from(x).resets(&[false, false, true, false]), None)?;
    /// assert_eq!(y.data()[..4], y.data()[4..]); // the third step starts from zeros, as the first did
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn resets(self, resets: &'a [bool]) -> Input<'a> {
        Input { resets: Some(resets), ..self }
    }

    /// With the state that resets lead to.
    ///
    /// # Examples
    /// A start of episodes that is learned, two in a row:
    /// ```
    /// use gatewise::{Gru, Input, Upstream, View};
    ///
    /// let gru = Gru::new(2, 3)?;
    /// let mut start = gru.zero_state(1)?; // one for all rows
    /// let resets = [true, false, true, false]; // four steps of one row
    /// let input = Input::from(View::new(&[0.5; 4 * 2], [4, 1, 2])?).resets(&resets).reset_state(&start);
    /// let mut tape = gru.forward_train(input, None)?;
    /// let (mut grads, dy) = (gru.params().zeros_like(), [1.0; 4 * 3]);
    /// gru.backward(&mut tape, Upstream::output(View::new(&dy, [4, 1, 3])?), &mut grads)?;
    /// for (h, dh) in start.h_mut().iter_mut().zip(tape.gradients().grad_reset_h()) {
    ///     *h -= 0.1 * dh; // the sum over both episodes
    /// }
    /// # assert!(start.h().iter().all(|&h| h != 0.0));
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn reset_state(self, reset_state: &'a State) -> Input<'a> {
        Input { reset_state: Some(reset_state), ..self }
    }

    /// With a key for dropout.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{DropoutKey, Input, View};
    ///
    /// let key = DropoutKey { seed: 3, ..DropoutKey::default() };
    /// let input = Input::from(View::new(&[0.5; 4], [4, 1, 1])?).dropout(key);
    /// assert_eq!(input.dropout.seed, 3);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn dropout(self, dropout: DropoutKey<'a>) -> Input<'a> {
        Input { dropout, ..self }
    }
}
