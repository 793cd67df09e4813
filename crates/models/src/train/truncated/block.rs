//! The pieces that a stream is kept in: steps that wait, and blocks of steps on a tape of their own.

use crate::nets::Network;
use crate::run::Tape;
use crate::spec::{DropoutKey, Error, Input, State, View};
use std::ops::Range;

/// Steps that have come and were not run yet, time-major.
#[derive(Clone, Debug, Default)]
pub(super) struct Pending {
    pub(super) x: Vec<f32>,
    pub(super) resets: Vec<bool>,
    /// Steps of these that are done with.
    pub(super) done: usize,
    pub(super) steps: usize,
}

/// Neighbouring steps on a tape of their own.
#[derive(Clone, Debug)]
pub(super) struct Block {
    pub(super) steps: usize,
    /// The number of its first step.
    pub(super) position: u64,
    /// In the network's layout.
    pub(super) x: Vec<f32>,
    pub(super) resets: Vec<bool>,
    /// The state before its first step.
    pub(super) start: State,
    pub(super) tape: Tape,
    /// The stamp of the parameters it was recorded with; `None` if it holds no record.
    pub(super) stamp: Option<u64>,
}

impl Block {
    pub(super) fn record<K>(
        &mut self,
        network: &Network<K>,
        batch: usize,
        seed: u64,
        reset_state: Option<&State>,
    ) -> Result<(), Error> {
        let config = network.config();
        let [first, second] = if config.batch_first { [batch, self.steps] } else { [self.steps, batch] };
        let mut input = Input::from(View::new(&self.x, [first, second, config.input_size])?);
        input.resets = (!self.resets.is_empty()).then_some(&self.resets[..]);
        input.reset_state = reset_state.filter(|_| input.resets.is_some());
        // Beyond 2^32 steps the masks come again.
        let first_step = self.position as u32;
        input.dropout = DropoutKey { seed, first_step, rows: None };
        network.forward_train_into(input, Some(&self.start), &mut self.tape)?;
        self.stamp = Some(network.stamp());
        Ok(())
    }
}

/// A range of the steps of a sequence.
pub(super) struct Part {
    pub(super) steps: usize,
    pub(super) range: Range<usize>,
    pub(super) batch: usize,
    pub(super) width: usize,
}

impl Part {
    /// Pairs of where a run of floats stands in the part and in the whole, and how long it is.
    pub(super) fn runs(&self, batch_first: bool) -> impl Iterator<Item = (usize, usize, usize)> {
        let Part { steps, ref range, batch, width } = *self;
        let (runs, len) =
            if batch_first { (batch, range.len() * width) } else { (1, range.len() * batch * width) };
        let first = if batch_first { range.start * width } else { range.start * batch * width };
        (0..runs).map(move |run| (run * len, first + run * steps * width, len))
    }

    /// Copies the part into the whole.
    pub(super) fn put(&self, part: &[f32], whole: &mut [f32], batch_first: bool) {
        for (from, to, len) in self.runs(batch_first) {
            whole[to..][..len].copy_from_slice(&part[from..][..len]);
        }
    }

    /// Copies the part out of the whole.
    pub(super) fn take(&self, whole: &[f32], part: &mut [f32], batch_first: bool) {
        for (to, from, len) in self.runs(batch_first) {
            part[to..][..len].copy_from_slice(&whole[from..][..len]);
        }
    }
}
