//! How a pass is run: pure functions from sizes, caches and threads to a plan, which prints itself. Every such decision of
//! the library is made here, and none of them changes a bit of any result.

use crate::cache::Caches;
use crate::rows::Cell;
use crate::team::MOST;
use std::fmt;

/// Below that many floating-point operations a pass is not worth a second thread: entering a pool costs some 16 us, the time
/// of about 1.5 million operations on one core.
const WORTH_A_THREAD: usize = 4_000_000;
/// Below that many floating-point operations a step is not worth a second member of a team: a hand-off takes some 0.2 us, in which
/// one core does about 10,000.
const WORTH_A_MEMBER: usize = 40_000;
/// Up to so many rows a step takes about as long as reading its weights: sharing out the units pays, sharing out the rows does not.
const TEAM_ROWS: usize = 8;
/// Rows that an input projection should have at least, so that its weights, read once per chunk, are used often enough.
const PROJECTION_ROWS: usize = 192;
/// Inputs so narrow that multiplying them in the recurrent kernel costs less than writing and reading the projection.
const NARROW_INPUT: usize = 4;
/// From so many rows on, weights that stay in the L2 cache are read often enough in one step: the projection need not be written.
const FUSED_ROWS: usize = 16;
/// Quarters of the L1 cache that weights may fill to stay there beside all else: then it need not be written for any number of rows.
/// Single rows of 8 to 32 units take 0.75 to 0.93 of the time, more rows 0.86 to 1.04.
const FUSED_L1_QUARTERS: usize = 3;
/// L1 caches that W_hh may fill for a single row to take the kernel of its size where the input is projected. With more to read, the
/// kernel for any rows is as fast, and reads to and fro.
const SINGLE_ROW_L1: usize = 2;
/// Rows of a weight gradient's matmul: the depth of two of its blocks.
const GRADIENT_ROWS: usize = 512;

/// The sizes of one pass of one layer in one direction.
///
/// # Examples
/// ```
/// use gatewise_kernels::{Cell, plan::Sizes};
///
/// let sizes = Sizes { cell: Cell::Lstm, steps: 100, batch: 4, input: 64, hidden: 128 };
/// assert_eq!(Sizes { steps: 200, ..sizes }.flops(), 2 * sizes.flops());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// The cell.
    pub cell: Cell,
    /// T, time steps.
    pub steps: usize,
    /// B, rows of the batch.
    pub batch: usize,
    /// I, features of the input.
    pub input: usize,
    /// H, hidden units.
    pub hidden: usize,
}

impl Sizes {
    /// Multiplications and additions of a forward pass, as far as they can be counted.
    ///
    /// # Examples
    /// ```
    /// use gatewise_kernels::{Cell, plan::Sizes};
    ///
    /// let sizes = Sizes { cell: Cell::Gru, steps: 5, batch: 4, input: 3, hidden: 2 };
    /// assert_eq!(sizes.flops(), 2 * (3 * 2) * (3 + 2) * 5 * 4);
    /// ```
    pub fn flops(&self) -> usize {
        let width = self.cell.gates().saturating_mul(self.hidden);
        let weights = width.saturating_mul(self.input.saturating_add(self.hidden));
        weights.saturating_mul(2).saturating_mul(self.steps).saturating_mul(self.batch)
    }

    /// Contiguous ranges of rows, one a thread: at most `threads`, and one only if the pass is not worth more.
    pub(crate) fn shards(&self, threads: usize) -> usize {
        if self.flops() < WORTH_A_THREAD { 1 } else { threads.clamp(1, self.batch.max(1)) }
    }

    /// Slices of the units that a team runs step by step; 1 where sharing out the rows is better, or nothing is.
    fn slices(&self, threads: usize) -> usize {
        let step = Sizes { input: 0, steps: 1, ..*self }.flops();
        let is_worth_it = self.flops() >= WORTH_A_THREAD && self.steps > 1 && self.batch <= TEAM_ROWS;
        if is_worth_it { (step / WORTH_A_MEMBER).clamp(1, threads.clamp(1, MOST)) } else { 1 }
    }
}

/// How the input gets into the recurrence.
///
/// # Examples
/// ```
/// use gatewise_kernels::plan::{ForwardPlan, Projection, Sizes};
/// use gatewise_kernels::{Caches, Cell};
///
/// let wide = Sizes { cell: Cell::Lstm, steps: 100, batch: 4, input: 64, hidden: 128 };
/// let plan = |sizes| ForwardPlan::new(sizes, 16, Caches::ASSUMED, 1).projection;
/// assert_eq!(plan(Sizes { input: 1, ..wide }), Projection::Fused);
/// assert_eq!(plan(wide), Projection::Chunked { chunk: 48 }); // 192 rows at a time
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Projection {
    /// The recurrent kernel multiplies it, as a second set of chains.
    Fused,
    /// One matmul for `chunk` steps at a time, read by the recurrent kernel while hot.
    Chunked {
        /// Steps of a chunk.
        chunk: usize,
    },
}

/// A forward pass: each shard of rows runs through the whole sequence on its own.
///
/// # Examples
/// ```
/// use gatewise_kernels::plan::{ForwardPlan, Sizes};
/// use gatewise_kernels::{Caches, Cell};
///
/// let sizes = Sizes { cell: Cell::Gru, steps: 1, batch: 1, input: 8, hidden: 16 };
/// let plan = ForwardPlan::new(sizes, 8, Caches::ASSUMED, 4);
/// assert!(plan.single_row && (plan.shards, plan.slices) == (1, 1));
/// assert_eq!(plan.to_string(), "input fused into the recurrent kernel, 1 shard(s) of rows, 1 slice(s) of units, 0 KiB of scratch");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForwardPlan {
    /// How the input is projected.
    pub projection: Projection,
    /// Ranges of rows, one a thread; 1 where a team shares out the units instead.
    pub shards: usize,
    /// Slices of the hidden units, one a thread, that run each step together. Cells that take two passes over their units in a step
    /// run them on one.
    pub slices: usize,
    /// Floats of scratch memory for one shard.
    pub shard_scratch: usize,
    /// Take the kernel made for single rows of this hidden size, if there is one: where the batch is one row, or nothing is projected.
    pub single_row: bool,
}

impl ForwardPlan {
    /// Plans a pass for packed weights of `lanes` lanes.
    ///
    /// # Examples
    /// ```
    /// use gatewise_kernels::plan::{ForwardPlan, Sizes};
    /// use gatewise_kernels::{Caches, Cell};
    ///
    /// let sizes = Sizes { cell: Cell::Lstm, steps: 100, batch: 64, input: 64, hidden: 128 };
    /// let shards = |threads| ForwardPlan::new(sizes, 8, Caches::ASSUMED, threads).shards;
    /// assert_eq!((shards(1), shards(8)), (1, 8));
    /// ```
    pub fn new(sizes: Sizes, lanes: usize, caches: Caches, threads: usize) -> ForwardPlan {
        let Sizes { cell, steps, batch, input, hidden } = sizes;
        let slices = sizes.slices(threads);
        let shards = if slices > 1 { 1 } else { sizes.shards(threads) };
        let single_row = batch == 1 && slices == 1;
        let rows = batch.div_ceil(shards).max(1);
        let row_len = row_len(cell, hidden, lanes);
        let bytes = |features: usize| features.saturating_mul(row_len).saturating_mul(4);
        let (all, recurrent) = (bytes(input.saturating_add(hidden)), bytes(hidden));
        let is_hot = all <= caches.l1 / 4 * FUSED_L1_QUARTERS || (rows >= FUSED_ROWS && all <= caches.l2 / 2);
        if steps <= 1 || input <= NARROW_INPUT || is_hot {
            let projection = Projection::Fused;
            return ForwardPlan { projection, shards, slices, shard_scratch: 0, single_row };
        }
        let fits_l2 = caches.l2 / 2 / (rows.saturating_mul(row_len).saturating_mul(4)).max(1);
        let chunk = fits_l2.max(PROJECTION_ROWS.div_ceil(rows));
        let projection = Projection::Chunked { chunk };
        let single_row = single_row && recurrent <= SINGLE_ROW_L1 * caches.l1;
        let plan = ForwardPlan { projection, shards, slices, shard_scratch: 0, single_row };
        plan.with_chunk(sizes, lanes, chunk)
    }

    /// The same with another number of steps that the input is projected at a time, if it is projected at all.
    ///
    /// # Examples
    /// ```
    /// use gatewise_kernels::plan::{ForwardPlan, Sizes};
    /// use gatewise_kernels::{Caches, Cell};
    ///
    /// let sizes = Sizes { cell: Cell::Lstm, steps: 100, batch: 4, input: 64, hidden: 128 };
    /// let plan = ForwardPlan::new(sizes, 16, Caches::ASSUMED, 1).with_chunk(sizes, 16, 10);
    /// assert_eq!(plan.scratch(), 10 * 4 * (4 * 128)); // the gates' sums of ten steps of four rows
    /// ```
    pub fn with_chunk(self, sizes: Sizes, lanes: usize, chunk: usize) -> ForwardPlan {
        let Projection::Chunked { .. } = self.projection else { return self };
        let chunk = chunk.clamp(1, sizes.steps.max(1));
        let rows = sizes.batch.div_ceil(self.shards.max(1)).max(1);
        let row_len = row_len(sizes.cell, sizes.hidden, lanes);
        let shard_scratch = chunk.saturating_mul(rows).saturating_mul(row_len);
        ForwardPlan { projection: Projection::Chunked { chunk }, shard_scratch, ..self }
    }

    /// Floats of scratch memory for all shards.
    ///
    /// # Examples
    /// ```
    /// use gatewise_kernels::plan::{ForwardPlan, Sizes};
    /// use gatewise_kernels::{Caches, Cell};
    ///
    /// let sizes = Sizes { cell: Cell::Lstm, steps: 100, batch: 4, input: 64, hidden: 128 };
    /// let plan = ForwardPlan::new(sizes, 16, Caches::ASSUMED, 2);
    /// assert!(plan.scratch() > 0 && plan.scratch() == plan.shards * plan.shard_scratch);
    /// ```
    pub fn scratch(&self) -> usize {
        self.shard_scratch.saturating_mul(self.shards)
    }
}

/// A backward pass: time chunks from the last to the first; in each, shards of rows run the recurrence, join, and share out
/// the elements of the weight gradients.
///
/// # Examples
/// ```
/// use gatewise_kernels::{Cell, plan::{BackwardPlan, Sizes}};
///
/// let sizes = Sizes { cell: Cell::Gru, steps: 1000, batch: 8, input: 1, hidden: 4 };
/// let plan = BackwardPlan::new(sizes, 4);
/// assert_eq!((plan.chunk, plan.shards, plan.slices, plan.threads), (64, 1, 1, 1)); // too little work for two threads
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackwardPlan {
    /// Steps of a time chunk.
    pub chunk: usize,
    /// Ranges of rows in the recurrence.
    pub shards: usize,
    /// As in [`ForwardPlan`].
    pub slices: usize,
    /// Threads for the matmuls of the gradients that follow.
    pub threads: usize,
}

impl BackwardPlan {
    /// Plans a pass.
    ///
    /// # Examples
    /// ```
    /// use gatewise_kernels::{Cell, plan::{BackwardPlan, Sizes}};
    ///
    /// let sizes = Sizes { cell: Cell::Lstm, steps: 100, batch: 64, input: 64, hidden: 128 };
    /// assert_eq!((BackwardPlan::new(sizes, 4).shards, BackwardPlan::new(sizes, 4).threads), (4, 4));
    /// ```
    pub fn new(sizes: Sizes, threads: usize) -> BackwardPlan {
        let chunk = GRADIENT_ROWS.div_ceil(sizes.batch.max(1)).clamp(1, sizes.steps.max(1));
        let slices = sizes.slices(threads);
        let shards = if slices > 1 { 1 } else { sizes.shards(threads) };
        let threads = if sizes.flops() < WORTH_A_THREAD { 1 } else { threads.max(1) };
        BackwardPlan { chunk, shards, slices, threads }
    }
}

/// Threads for a matmul of these sizes: at most `threads`, and one only if it is not worth more.
///
/// # Examples
/// ```
/// use gatewise_kernels::plan::matmul_threads;
///
/// assert_eq!((matmul_threads(10, 10, 10, 8), matmul_threads(500, 500, 500, 8)), (1, 8));
/// ```
pub fn matmul_threads(m: usize, n: usize, k: usize, threads: usize) -> usize {
    let flops = m.saturating_mul(n).saturating_mul(k).saturating_mul(2);
    if flops < WORTH_A_THREAD { 1 } else { threads.clamp(1, m.max(1)) }
}

/// Floats of a row's projected input: whole vectors of each gate, as far as they can be counted.
fn row_len(cell: Cell, hidden: usize, lanes: usize) -> usize {
    hidden.checked_next_multiple_of(lanes.max(1)).unwrap_or(usize::MAX).saturating_mul(cell.gates())
}

/// The `index`-th of `parts` nearly equal parts of `0 .. len`, as (begin, end).
///
/// # Panics
/// If `parts` is 0.
///
/// # Examples
/// ```
/// use gatewise_kernels::plan::part;
///
/// assert_eq!([0, 1, 2].map(|index| part(10, 3, index)), [(0, 4), (4, 7), (7, 10)]);
/// ```
pub fn part(len: usize, parts: usize, index: usize) -> (usize, usize) {
    let (size, rest) = (len / parts, len % parts);
    let begin = index * size + index.min(rest);
    (begin, begin + size + usize::from(index < rest))
}

/// The `index`-th of `parts` parts of `0 .. rows`, as (begin, end), that have about as much to do: of the rows, from the first on,
/// `active` take part in each step; `None` is all in all.
pub(crate) fn balanced_part(
    rows: usize,
    active: Option<&[usize]>,
    parts: usize,
    index: usize,
) -> (usize, usize) {
    let Some(active) = active.filter(|_| parts > 1) else { return part(rows, parts, index) };
    let steps_below = |row: usize| active.iter().map(|&active| active.min(row)).sum::<usize>();
    let all = steps_below(rows);
    // The first row below which a share of all steps is run.
    let border = |share: usize| {
        if share == parts {
            return rows;
        }
        let (mut low, mut high) = (0, rows);
        while low < high {
            let middle = low.midpoint(high);
            let is_enough = steps_below(middle).saturating_mul(parts) >= all.saturating_mul(share);
            (low, high) = if is_enough { (low, middle) } else { (middle + 1, high) };
        }
        low
    };
    (border(index), border(index + 1))
}

impl fmt::Display for ForwardPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.projection {
            Projection::Fused => write!(f, "input fused into the recurrent kernel")?,
            Projection::Chunked { chunk } => write!(f, "input projected {chunk} steps at a time")?,
        }
        write!(f, ", {} shard(s) of rows, ", self.shards)?;
        write!(f, "{} slice(s) of units, {} KiB of scratch", self.slices, self.scratch() / 256)
    }
}

impl fmt::Display for BackwardPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} steps a time chunk, {} shard(s) of rows, ", self.chunk, self.shards)?;
        write!(f, "{} slice(s) of units, {} thread(s) for matmuls", self.slices, self.threads)
    }
}

#[cfg(test)]
mod tests {
    use crate::plan::balanced_part;

    #[test]
    fn parts_of_ragged_rows_have_as_many_steps() {
        // Row r runs 100 - r steps.
        let active: Vec<usize> = (0..100).map(|t| 100 - t).collect();
        for parts in 1..7 {
            let mut next = 0;
            for index in 0..parts {
                let (begin, end) = balanced_part(100, Some(&active), parts, index);
                assert_eq!(begin, next);
                next = end;
                let steps: usize = (begin..end).map(|row| 100 - row).sum();
                assert!(
                    parts == 1 || steps.abs_diff(5050 / parts) <= 100,
                    "part {index} of {parts}: {steps}"
                );
            }
            assert_eq!(next, 100);
        }
        // Rows that run no step belong to the last part, as do all rows if none runs any.
        assert_eq!(balanced_part(9, Some(&[2, 2]), 2, 1), (1, 9));
        assert_eq!([0, 1].map(|index| balanced_part(3, Some(&[0]), 2, index)), [(0, 0), (0, 3)]);
        assert_eq!([0, 1].map(|index| balanced_part(3, None, 2, index)), [(0, 2), (2, 3)]);
    }
}
