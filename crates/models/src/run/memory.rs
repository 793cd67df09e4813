//! How much memory a tape may take. A pass that does not fit is cut into segments of time: forward leaves the outputs and the
//! state before each segment, and backward runs a segment's forward once more to have its gates and c.
//!
//! The floats that grow with T, for each layer and direction: whole, T B (R + saved H), and T B H for c; cut into segments of n
//! steps, T B R, and ceil(T / n) B H + n B (R + saved H + H) for all layers together.

use super::upstream::RowLists;
use super::{Stack, in_pool, merge};
use crate::spec::Error;
use crate::spec::shape::{Dims, reserve};
use gatewise_kernels::AlignedBuf;
use gatewise_kernels::plan::BackwardPlan;
use std::iter::successors;
use std::ops::Range;

/// How much memory a tape may take for a pass and its backward.
///
/// # Examples
/// ```
/// use gatewise::{Gru, Memory, Tape, Upstream, View};
///
/// let gru = Gru::new(1, 16)?;
/// let x = vec![0.5; 2_000]; // 2000 steps of one row
/// let mut tape = Tape::with_memory(Memory::Budget(400_000));
/// gru.forward_train_into(View::new(&x, [2_000, 1, 1])?, None, &mut tape)?;
/// let (dy, mut grads) = (vec![1.0; 2_000 * 16], gru.params().zeros_like());
/// gru.backward(&mut tape, Upstream::output(View::new(&dy, [2_000, 1, 16])?), &mut grads)?;
/// assert!(tape.peak_bytes() <= 400_000);
/// # Ok::<(), gatewise::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Memory {
    /// Whatever it takes to run nothing twice.
    #[default]
    Full,
    /// At most so many bytes. If a pass needs more, it is cut into segments of time, as long as the budget allows, and backward runs
    /// the forward of each segment once more. All results have the same bits as with [`Memory::Full`].
    Budget(usize),
}

/// How the steps of a direction are cut into segments, from its first step on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct Segments {
    pub(super) steps: usize,
    /// Steps of a segment; the last one may be shorter.
    pub(super) len: usize,
}

impl Segments {
    /// One segment, all of whose values stay in memory.
    pub(super) fn whole(steps: usize) -> Segments {
        Segments { steps, len: steps }
    }

    pub(super) fn is_whole(&self) -> bool {
        self.len >= self.steps
    }

    pub(super) fn count(&self) -> usize {
        self.steps.div_ceil(self.len.max(1))
    }

    /// A segment's steps of a direction.
    pub(super) fn range(&self, segment: usize) -> Range<usize> {
        let begin = segment * self.len;
        begin..(begin + self.len).min(self.steps)
    }
}

/// What decides how much a pass takes, beside the sizes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extras {
    /// Rows or axes stand elsewhere on the tape than where the caller has them.
    pub(super) is_moved: bool,
    pub(super) is_ragged: bool,
    pub(super) has_resets: bool,
    /// Rows of the state that resets lead to, if one is given.
    pub(super) reset_rows: Option<usize>,
    pub(super) threads: usize,
}

/// For the lists of layers and tracks themselves.
const OVERHEAD: usize = 2048;
const OVERHEAD_A_LAYER: usize = 256;

impl Stack {
    /// The segments of a pass that keeps within a limit: one, if that fits, else as long as possible.
    pub(super) fn segments(&self, memory: Memory, dims: &Dims, extras: Extras) -> Result<Segments, Error> {
        let whole = Segments::whole(dims.steps);
        let Memory::Budget(budget) = memory else { return Ok(whole) };
        if self.footprint(dims, whole, extras) <= budget {
            return Ok(whole);
        }
        // A segment of T steps would be run twice and stand beside nothing, so the longest is half of that. Only lengths that give
        // another number of segments matter; of very many, one in 256 is tried, so that the search ends.
        let root = dims.steps.isqrt();
        let counts = successors(Some(2), |count| Some(count + 1 + count / 256));
        let short = successors(Some(root), |len| len.checked_sub(1 + len / 256));
        let lengths = counts.take_while(|&count| count <= root + 1).map(|count| dims.steps.div_ceil(count));
        let lengths = lengths.chain(short.take_while(|&len| len > 0));
        let mut needed = usize::MAX;
        for len in lengths.filter(|&len| len < dims.steps) {
            let segments = Segments { steps: dims.steps, len };
            let bytes = self.footprint(dims, segments, extras);
            if bytes <= budget {
                return Ok(segments);
            }
            needed = needed.min(bytes);
        }
        needed = needed.min(self.footprint(dims, whole, extras));
        Err(Error::MemoryBudget { needed, got: budget })
    }

    /// Bytes that tape and backward take together, dL/dx included; `usize::MAX` if there are more. Each size fits in a `usize`, what
    /// they come to together need not.
    fn footprint(&self, dims: &Dims, segments: Segments, extras: Extras) -> usize {
        let config = &self.config;
        let is_whole = segments.is_whole();
        let wide = |size: usize| size as u128;
        let (tracks, directions) = (wide(dims.layers * dims.directions), wide(dims.directions));
        let input = wide(dims.sequence(config.input_size));
        let widest = dims.widest(config);
        let h = wide(widest.state());
        // The tape: of each layer h of all steps, outputs where they are others, after dropout too, the states before.
        let mut floats = input + u128::from(extras.is_moved) * wide(dims.outputs());
        for layer in 0..dims.layers {
            let dims = dims.of(config, layer);
            let merged = if dims.is_merged() { wide(dims.outputs()) } else { 0 };
            floats += wide(dims.sides()) + merged + directions * wide(dims.state());
            let c = wide(dims.cell_state());
            floats += match extras.reset_rows {
                Some(_) => directions * (wide(dims.state()) + c),
                None => wide(dims.features),
            };
            if is_whole {
                floats += directions * (wide(dims.gates()) + wide(dims.cells()) + c);
                let is_dropped = config.dropout > 0.0 && layer + 1 < dims.layers;
                floats += if is_dropped { wide(dims.outputs()) } else { 0 };
            } else {
                floats += directions * (wide(segments.count()) + 1) * c;
            }
        }
        // What backward carries and leaves.
        floats += input + h + wide(widest.cell_state()) + wide(dims.states()) + wide(dims.cell_states());
        floats += h + wide(widest.cell_state());
        if let Some(rows) = extras.reset_rows {
            let of = dims.with_batch(rows);
            floats += wide(of.states()) + wide(of.cell_states());
        }
        let (rows, m, n) = self.longest_sum(dims, segments, extras.threads);
        let of_h = wide(widest.sequence(widest.features));
        floats += u128::from(config.proj_size > 0) * wide(rows) * wide(widest.features);
        floats += u128::from(merge::changes_gradient(config.merge)) * of_h;
        let needs_room = dims.layers > 1 || extras.is_moved;
        floats += if needs_room { 2 * wide(widest.outputs().max(widest.inputs())) } else { 0 };
        let mut scratch = self.forward_scratch(dims, extras.threads);
        if !is_whole {
            let part = widest.with_steps(segments.len);
            let is_dropped = config.dropout > 0.0 && dims.layers > 1;
            floats += if is_dropped { wide(widest.outputs()) } else { 0 };
            floats += wide(part.gates()) + wide(part.cells()) + wide(part.steps) * h + h;
            scratch = self.forward_scratch(&part, extras.threads);
        }
        floats += wide(scratch) + wide(self.kernels.outer_floats(rows, m, n));
        let (steps, batch) = (wide(dims.steps), wide(dims.batch));
        let indices = 4 * wide(rows) + u128::from(extras.is_ragged) * 2 * (steps + batch) + batch.div_ceil(2);
        let flags = u128::from(extras.has_resets) * 2 * steps * batch;
        let overhead = wide(OVERHEAD) + wide(OVERHEAD_A_LAYER) * tracks;
        let bytes = 4 * floats + wide(size_of::<usize>()) * indices + flags + overhead;
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    /// The most rows that a time chunk of any layer adds to a weight gradient at once, and the axes of the largest gradient.
    pub(super) fn longest_sum(
        &self,
        dims: &Dims,
        segments: Segments,
        threads: usize,
    ) -> (usize, usize, usize) {
        let chunk = |layer| BackwardPlan::new(self.sizes(layer, dims), threads).chunk.min(segments.len);
        let chunk = self.layers.iter().map(chunk).max().unwrap_or(0);
        let widest = dims.widest(&self.config);
        (chunk * dims.batch, self.config.spec().gates() * widest.hidden, widest.input.max(widest.hidden))
    }

    /// Floats that the largest projection of a layer's input takes.
    pub(super) fn forward_scratch(&self, dims: &Dims, threads: usize) -> usize {
        self.layers.iter().map(|layer| self.plan(layer, dims, threads).scratch()).max().unwrap_or(0)
    }

    /// Runs a pass over all layers within the pool where it is worth more than one thread.
    pub(super) fn in_pool_of<R: Send>(
        &self,
        dims: &Dims,
        threads: usize,
        job: impl FnOnce() -> R + Send,
    ) -> R {
        let threads = |layer| BackwardPlan::new(self.sizes(layer, dims), threads).threads;
        in_pool(self.layers.iter().map(threads).max().unwrap_or(1), job)
    }
}

/// Bytes that a buffer holds, used or not.
pub(super) fn bytes<T>(buffer: &Vec<T>) -> usize {
    buffer.capacity() * size_of::<T>()
}

/// Likewise of several buffers.
pub(super) fn bytes_of_all<'a, T: 'a>(buffers: impl IntoIterator<Item = &'a Vec<T>>) -> usize {
    buffers.into_iter().map(bytes).sum()
}

/// Likewise.
pub(super) fn bytes_of_aligned(buffer: &AlignedBuf) -> usize {
    buffer.len() * size_of::<f32>()
}

impl RowLists {
    /// Makes room for so many rows.
    pub(super) fn reserve(&mut self, rows: usize) -> Result<(), Error> {
        for list in [&mut self.gates, &mut self.input, &mut self.h, &mut self.dh] {
            list.clear();
            reserve("the gradients", list, rows)?;
        }
        Ok(())
    }

    pub(super) fn bytes(&self) -> usize {
        bytes_of_all([&self.gates, &self.input, &self.h, &self.dh]) + self.outer.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_cover_all_steps_once() {
        for (steps, len) in [(1, 1), (10, 3), (10, 5), (10, 10), (11, 4)] {
            let segments = Segments { steps, len };
            let all: Vec<usize> = (0..segments.count()).flat_map(|k| segments.range(k)).collect();
            assert_eq!(all, (0..steps).collect::<Vec<_>>());
        }
    }
}
