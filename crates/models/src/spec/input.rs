//! What goes into a network: a sequence, and what is special about its rows.

use super::View;

/// The input of a network. A [`View`] alone is one: all rows as long as the sequence, no resets.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The sequences of all rows.
    pub sequence: View<'a>,
    /// Valid steps of each row, `[batch]`, in any order; 0 is allowed. What stands in the sequence beyond them is not read; the
    /// outputs there are zeros. `None`: all rows are valid throughout.
    pub lengths: Option<&'a [usize]>,
    /// [time, batch], also for a network that is batch_first: where set, the row's state becomes zeros before the step, in every
    /// layer, as at the start of an episode. No gradient passes. In a reverse direction the step before is the next one in time.
    pub resets: Option<&'a [bool]>,
    /// Randomness of the dropout between layers; it matters in training only.
    pub dropout: DropoutKey<'a>,
}

/// What chooses the values that dropout sets to zero: the same key always chooses the same ones.
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
        Input { sequence, lengths: None, resets: None, dropout: DropoutKey::default() }
    }
}

impl<'a> Input<'a> {
    /// With valid steps for each row.
    pub fn lengths(self, lengths: &'a [usize]) -> Input<'a> {
        Input { lengths: Some(lengths), ..self }
    }

    /// With resets.
    pub fn resets(self, resets: &'a [bool]) -> Input<'a> {
        Input { resets: Some(resets), ..self }
    }

    /// With a key for dropout.
    pub fn dropout(self, dropout: DropoutKey<'a>) -> Input<'a> {
        Input { dropout, ..self }
    }
}
