//! What goes into a network whose input is numbers.

use super::shape::{expect_len, product};
use super::{Error, Input, State, View};

/// A sequence batch of numbers, each of which stands for a row of a [`ProjectedTable`](crate::ProjectedTable): characters, words,
/// anything that is counted. What is special about its rows is as in [`Input`].
///
/// # Examples
/// ```
/// use gatewise::{Embedding, Gru, Tokens};
///
/// let (letters, gru) = (Embedding::new(26, 4, 0)?, Gru::new(4, 8)?);
/// let table = gru.project_embedding(&letters)?;
/// let ids = [7, 0, 4, 1, 11, 2]; // three steps of two rows
/// let (y, h_n) = gru.forward_tokens(&table, Tokens::new(&ids, [3, 2])?.lengths(&[3, 2]), None)?;
/// assert_eq!(y.shape(), [3, 2, 8]);
/// assert_eq!(h_n.h()[8..], y.data()[3 * 8..4 * 8]); // row 1 after its two steps
/// # Ok::<(), gatewise::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Tokens<'a> {
    ids: &'a [usize],
    /// The options of the rows, and a view of no features whose axes are those of the numbers.
    input: Input<'a>,
}

impl<'a> Tokens<'a> {
    /// Numbers under a shape: [time, batch], or [batch, time] for a network that is `batch_first`.
    ///
    /// # Errors
    /// [`Error::Shape`] if there are not as many numbers as the shape says, [`Error::SizeOverflow`] if these cannot be counted.
    ///
    /// # Examples
    /// ```
    /// use gatewise::Tokens;
    ///
    /// let error = Tokens::new(&[7, 0, 4], [2, 2]).unwrap_err();
    /// assert_eq!(error.to_string(), "tokens has inconsistent length: got 3, expected 4");
    /// ```
    pub fn new(ids: &'a [usize], [first, second]: [usize; 2]) -> Result<Tokens<'a>, Error> {
        expect_len("tokens", ids.len(), product("tokens", &[first, second])?)?;
        Ok(Tokens { ids, input: Input::from(View::new(&[], [first, second, 0])?) })
    }

    /// With valid steps for each row, as [`Input::lengths`]; any number may stand beyond them.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Embedding, Gru, Tokens};
    ///
    /// let (letters, gru) = (Embedding::new(26, 4, 0)?, Gru::new(4, 8)?);
    /// let padded = Tokens::new(&[7, 0, 4, usize::MAX], [2, 2])?.lengths(&[2, 1]); // two steps of two rows
    /// let (y, _) = gru.forward_tokens(&gru.project_embedding(&letters)?, padded, None)?;
    /// assert_eq!(y.data()[3 * 8..], [0.0; 8]);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn lengths(self, lengths: &'a [usize]) -> Tokens<'a> {
        Tokens { input: self.input.lengths(lengths), ..self }
    }

    /// With resets, [time, batch], as [`Input::resets`].
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Embedding, Gru, Tokens};
    ///
    /// let (letters, gru) = (Embedding::new(26, 4, 0)?, Gru::new(4, 2)?);
    /// let twice = Tokens::new(&[7, 4, 7, 4], [4, 1])?.resets(&[false, false, true, false]);
    /// let (y, _) = gru.forward_tokens(&gru.project_embedding(&letters)?, twice, None)?;
    /// assert_eq!(y.data()[..4], y.data()[4..]);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn resets(self, resets: &'a [bool]) -> Tokens<'a> {
        Tokens { input: self.input.resets(resets), ..self }
    }

    /// With the state that resets lead to, as [`Input::reset_state`].
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Embedding, Gru, Tokens};
    ///
    /// let (letters, gru) = (Embedding::new(26, 4, 0)?, Gru::new(4, 2)?);
    /// let (table, mut start) = (gru.project_embedding(&letters)?, gru.zero_state(1)?);
    /// start.h_mut().fill(0.5);
    /// let tokens = Tokens::new(&[7], [1, 1])?;
    /// let (anew, _) = gru.forward_tokens(&table, tokens.resets(&[true]).reset_state(&start), None)?;
    /// assert_eq!(anew, gru.forward_tokens(&table, tokens, Some(&start))?.0);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn reset_state(self, reset_state: &'a State) -> Tokens<'a> {
        Tokens { input: self.input.reset_state(reset_state), ..self }
    }

    /// The numbers, in the network's layout.
    pub(crate) fn ids(&self) -> &'a [usize] {
        self.ids
    }

    /// An input of no features that is otherwise alike.
    pub(crate) fn input(&self) -> Input<'a> {
        self.input
    }
}
