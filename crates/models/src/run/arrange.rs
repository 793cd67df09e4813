//! The rows of a batch in the order that the kernels want: the longest first, so that those that take part in a step are always
//! the first ones. What goes in is gathered into that order, what comes out is scattered back.

use super::direction::{Grid, first_time, time};
use super::memory::bytes_of_all;
use crate::spec::shape::{Dims, expect, reserve};
use crate::spec::{Error, Input, State};
use rayon::prelude::*;
use std::ops::Range;

/// Floats that are worth moving by several threads: 128 KiB take some 5 us to move, a handover in the pool 1 us.
const WORTH_THREADS: usize = 1 << 15;

/// Which rows are where, how long they are, and which of them start anew when.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arrangement {
    /// The row of the batch that stands at each place; empty where they stand as they came.
    order: Vec<usize>,
    /// Valid steps of the row at each place; empty where all rows are full.
    lengths: Vec<usize>,
    /// Rows that take part in each step, for each direction; empty likewise.
    active: [Vec<usize>; 2],
    /// [time, place], for each direction; empty where no row starts anew.
    resets: [Vec<bool>; 2],
    /// Rows of the state that rows start anew from, 1 or all; `None` is zeros.
    reset_rows: Option<usize>,
}

impl Arrangement {
    /// Checks lengths and resets; nothing is changed if they do not fit.
    pub(crate) fn check(input: &Input<'_>, dims: &Dims) -> Result<(), Error> {
        if let Some(lengths) = input.lengths {
            expect("lengths", "batch size", lengths.len(), dims.batch)?;
            if let Some(&got) = lengths.iter().find(|&&length| length > dims.steps) {
                let (arg, dim) = ("lengths", "sequence length");
                return Err(Error::Shape { arg, dim, expected: dims.steps, got });
            }
        }
        if let Some(resets) = input.resets {
            expect("resets", "length", resets.len(), dims.steps * dims.batch)?;
        }
        if let Some(rows) = input.dropout.rows {
            expect("dropout.rows", "batch size", rows.len(), dims.batch)?;
        }
        Ok(())
    }

    /// Arranges the rows of a checked input, in the room of an earlier arrangement.
    ///
    /// # Errors
    /// [`Error::SizeOverflow`] if the room cannot be had.
    pub(crate) fn set(&mut self, input: &Input<'_>, dims: &Dims) -> Result<(), Error> {
        self.order.clear();
        self.lengths.clear();
        self.active.iter_mut().for_each(Vec::clear);
        self.resets.iter_mut().for_each(Vec::clear);
        self.reset_rows = input.reset_state.map(State::batch);
        if let Some(lengths) = input.lengths {
            for (list, len) in [(&mut self.order, dims.batch), (&mut self.lengths, dims.batch)] {
                reserve("lengths", list, len)?;
            }
            for list in &mut self.active {
                reserve("lengths", list, dims.steps)?;
            }
            self.order.extend(0..dims.batch);
            self.order.sort_unstable_by_key(|&row| (std::cmp::Reverse(lengths[row]), row));
            self.lengths.extend(self.order.iter().map(|&row| lengths[row]));
            let rows_at = |t: usize| self.lengths.partition_point(|&length| length > t);
            self.active[0].extend((0..dims.steps).map(rows_at));
            let [forward, reverse] = &mut self.active;
            reverse.extend(forward.iter().rev());
            if self.order.is_sorted() {
                self.order.clear();
            }
        }
        if let Some(resets) = input.resets {
            let [forward, reverse] = &mut self.resets;
            for resets in [&mut *forward, &mut *reverse] {
                reserve("resets", resets, dims.steps * dims.batch)?;
            }
            for t in 0..dims.steps {
                let at = |place| t * dims.batch + self.order.get(place).copied().unwrap_or(place);
                forward.extend((0..dims.batch).map(|place| resets[at(place)]));
            }
            for step in forward.chunks_exact(dims.batch.max(1)).rev() {
                reverse.extend_from_slice(step);
            }
        }
        Ok(())
    }

    /// Whether rows stand elsewhere than they came.
    pub(crate) fn is_permuted(&self) -> bool {
        !self.order.is_empty()
    }

    /// Whether some rows may be shorter than others.
    pub(crate) fn is_ragged(&self) -> bool {
        !self.lengths.is_empty()
    }

    /// The row of the batch at a place.
    pub(crate) fn row(&self, place: usize) -> usize {
        self.order.get(place).copied().unwrap_or(place)
    }

    /// Valid steps of the row at a place.
    pub(crate) fn length(&self, place: usize, dims: &Dims) -> usize {
        self.lengths.get(place).copied().unwrap_or(dims.steps)
    }

    /// Rows that take part in each of a direction's steps; `None` is all in all.
    pub(crate) fn active(&self, direction: usize) -> Option<&[usize]> {
        self.is_ragged().then_some(&self.active[direction][..])
    }

    /// Rows that take part in one of a direction's steps.
    pub(crate) fn active_at(&self, direction: usize, step: usize, dims: &Dims) -> usize {
        self.active(direction).map_or(dims.batch, |active| active[step])
    }

    /// Rows that a kernel has to be shown of some of a direction's steps: those that take part in any of them.
    pub(crate) fn rows_of(&self, direction: usize, steps: &Range<usize>, dims: &Dims) -> usize {
        match self.active_of(direction, steps) {
            Some(active) => active.iter().copied().max().unwrap_or(0),
            None => dims.batch,
        }
    }

    /// Where a run of a direction's steps from `begin` on ends that a kernel is to be shown at once. A kernel projects the input of all
    /// rows that it is shown, `chunk` steps at a time, so time is cut where a chunk has other rows than the one before.
    pub(crate) fn run_end(&self, direction: usize, begin: usize, chunk: usize, dims: &Dims) -> usize {
        if !self.is_ragged() {
            return dims.steps;
        }
        let chunk = |begin: usize| begin..begin.saturating_add(chunk.max(1)).min(dims.steps);
        let rows = |steps: Range<usize>| self.rows_of(direction, &steps, dims);
        let mut end = chunk(begin).end;
        while end < dims.steps && rows(chunk(end)) == rows(chunk(begin)) {
            end = chunk(end).end;
        }
        end
    }

    /// [step, place]: rows that start anew, for a direction.
    pub(crate) fn resets(&self, direction: usize) -> Option<&[bool]> {
        Some(&self.resets[direction][..]).filter(|resets| !resets.is_empty())
    }

    /// Likewise for some of its steps.
    pub(crate) fn resets_of(&self, direction: usize, steps: &Range<usize>, dims: &Dims) -> Option<&[bool]> {
        self.resets(direction).map(|resets| &resets[steps.start * dims.batch..steps.end * dims.batch])
    }

    /// Rows that take part in some of a direction's steps.
    pub(crate) fn active_of(&self, direction: usize, steps: &Range<usize>) -> Option<&[usize]> {
        self.active(direction).map(|active| &active[steps.clone()])
    }

    /// Rows of the state that rows start anew from; `None` is zeros.
    pub(crate) fn reset_rows(&self) -> Option<usize> {
        self.reset_rows
    }

    /// The row of that state that belongs to a place.
    pub(crate) fn reset_row(&self, place: usize) -> usize {
        if self.reset_rows == Some(1) { 0 } else { self.row(place) }
    }

    /// Places that start anew before one of a direction's steps and take part in it.
    pub(crate) fn reset_at(&self, direction: usize, step: usize, dims: &Dims) -> impl Iterator<Item = usize> {
        let flags = self.resets(direction).map_or(&[][..], |resets| &resets[step * dims.batch..]);
        let active = self.active_at(direction, step, dims);
        flags.iter().take(active).enumerate().filter(|(_, is_reset)| **is_reset).map(|(place, _)| place)
    }

    /// `width` floats of the row of a reset state that belongs to each place.
    pub(crate) fn gather_reset(&self, from: &[f32], to: &mut [f32], width: usize) {
        for (place, to) in to.chunks_exact_mut(width.max(1)).enumerate() {
            to.copy_from_slice(&from[self.reset_row(place) * width..][..width]);
        }
    }

    /// Bytes that the lists take.
    pub(crate) fn bytes(&self) -> usize {
        let indices = [&self.order, &self.lengths].into_iter().chain(&self.active);
        bytes_of_all(indices) + bytes_of_all(&self.resets)
    }

    /// `width` floats of each row of `from` to the row's place.
    pub(crate) fn gather(&self, from: &[f32], to: &mut [f32], width: usize) {
        for (place, to) in to.chunks_exact_mut(width.max(1)).enumerate() {
            to.copy_from_slice(&from[self.row(place) * width..][..width]);
        }
    }

    /// `width` floats of each place of `from` to its row.
    pub(crate) fn scatter(&self, from: &[f32], to: &mut [f32], width: usize) {
        for (place, from) in from.chunks_exact(width.max(1)).enumerate() {
            to[self.row(place) * width..][..width].copy_from_slice(from);
        }
    }

    /// A sequence in a network's layout to time-major, each row to its place; steps beyond a row's length are left out.
    pub(crate) fn gather_sequence(
        &self,
        (from, to): (&[f32], &mut [f32]),
        dims: &Dims,
        width: usize,
        batch_first: bool,
        threads: usize,
    ) {
        let grid = Grid::layout(dims, width, batch_first);
        self.gather_steps((from, grid), to, dims, width, (0, 0..dims.steps), threads);
    }

    /// The way back; the steps beyond a row's length become zeros.
    pub(crate) fn scatter_sequence(
        &self,
        (from, to): (&[f32], &mut [f32]),
        dims: &Dims,
        width: usize,
        batch_first: bool,
        threads: usize,
    ) {
        let grid = Grid::layout(dims, width, batch_first);
        self.scatter_steps(from, (to, grid), dims, width, (0, 0..dims.steps), threads);
    }

    /// Some of a direction's steps of a sequence of all rows, as they came, to [steps, B, width] in the direction's order, each row
    /// to its place; rows that take no part in a step are left out. Steps are shared out to `threads` of the current rayon pool.
    pub(crate) fn gather_steps(
        &self,
        (from, grid): (&[f32], Grid),
        to: &mut [f32],
        dims: &Dims,
        width: usize,
        (direction, steps): (usize, Range<usize>),
        threads: usize,
    ) {
        let len = dims.batch * width;
        each_part(&mut to[..steps.len() * len], len, threads, |i, to| {
            let step = steps.start + i;
            let t = time(dims, direction, step);
            let to = &mut to[..self.active_at(direction, step, dims) * width];
            if !self.is_permuted() && grid.row == width {
                to.copy_from_slice(&from[grid.at(t, 0)..][..to.len()]);
                return;
            }
            for (place, to) in to.chunks_exact_mut(width).enumerate() {
                to.copy_from_slice(&from[grid.at(t, self.row(place))..][..width]);
            }
        });
    }

    /// The way back; rows that take no part in a step become zeros. Threads take steps where those stand one after the other.
    pub(crate) fn scatter_steps(
        &self,
        from: &[f32],
        (to, grid): (&mut [f32], Grid),
        dims: &Dims,
        width: usize,
        (direction, steps): (usize, Range<usize>),
        threads: usize,
    ) {
        let len = dims.batch * width;
        // From where the step's first vector stands on.
        let put = |step: usize, to: &mut [f32]| {
            let taking_part = self.active_at(direction, step, dims);
            let from = &from[(step - steps.start) * len..][..len];
            for (place, from) in from.chunks_exact(width).enumerate() {
                let to = &mut to[grid.at(0, self.row(place))..][..width];
                if place < taking_part { to.copy_from_slice(from) } else { to.fill(0.0) }
            }
        };
        let first = first_time(dims, direction, &steps);
        if len == 0 {
            return;
        }
        if grid.row < grid.step {
            let to = &mut to[first * grid.step..][..steps.len() * grid.step];
            each_part(to, grid.step, threads, |i, to| put(time(dims, direction, first + i), to));
        } else {
            for step in steps.clone() {
                put(step, &mut to[time(dims, direction, step) * grid.step..]);
            }
        }
    }

    /// Sets the steps beyond each row's length to zero, time-major, rows in their places.
    pub(crate) fn clear_padding(&self, data: &mut [f32], dims: &Dims, width: usize) {
        if !self.is_ragged() {
            return;
        }
        for t in 0..dims.steps {
            let active = self.active_at(0, t, dims);
            data[(t * dims.batch + active) * width..(t + 1) * dims.batch * width].fill(0.0);
        }
    }
}

/// Does something with each part of `len` floats, and shares the parts out to threads of the current rayon pool if there is much of
/// it.
fn each_part(data: &mut [f32], len: usize, threads: usize, job: impl Fn(usize, &mut [f32]) + Sync) {
    let len = len.max(1);
    if threads > 1 && data.len() >= WORTH_THREADS {
        let at_once = (data.len() / len).div_ceil(threads).max(1);
        data.par_chunks_mut(len).with_min_len(at_once).enumerate().for_each(|(i, part)| job(i, part));
    } else {
        data.chunks_mut(len).enumerate().for_each(|(i, part)| job(i, part));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Config, View};
    use gatewise_kernels::Cell;

    #[test]
    fn the_longest_rows_come_first_and_go_back() {
        let dims = Dims::new(&Config::new(Cell::Gru, 1, 1), 3, 4).unwrap();
        let x: Vec<f32> = (0..12).map(|i| i as f32).collect();
        let lengths = [1, 3, 0, 3];
        let input = Input::from(View::new(&x, [3, 4, 1]).unwrap()).lengths(&lengths);
        let mut arrangement = Arrangement::default();
        arrangement.set(&input, &dims).unwrap();
        assert_eq!(arrangement.order, [1, 3, 0, 2]);
        assert_eq!(arrangement.active, [vec![3, 2, 2], vec![2, 2, 3]]);
        let (mut there, mut back) = (vec![-1.0; 12], vec![-1.0; 12]);
        arrangement.gather_sequence((&x, &mut there), &dims, 1, false, 1);
        assert_eq!(there, [1.0, 3.0, 0.0, -1.0, 5.0, 7.0, -1.0, -1.0, 9.0, 11.0, -1.0, -1.0]);
        arrangement.scatter_sequence((&there, &mut back), &dims, 1, false, 1);
        assert_eq!(back, [0.0, 1.0, 0.0, 3.0, 0.0, 5.0, 0.0, 7.0, 0.0, 9.0, 0.0, 11.0]);
    }
}
