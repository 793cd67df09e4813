//! The walks of one direction through arrays that both share: forward from the first step, reverse from the last. A kernel counts
//! its own steps from 0; where step s of a direction stands in time, only this file says.

use crate::spec::shape::Dims;
use gatewise_kernels::{Seq, SeqMut};
use std::ops::Range;

/// An array of vectors over time and rows: a step's rows `row` apart, steps `step` apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grid {
    pub(crate) step: usize,
    pub(crate) row: usize,
    /// Where in a vector the direction's part begins.
    pub(crate) offset: usize,
}

impl Grid {
    /// Time-major vectors of `width` floats.
    pub(crate) fn time_major(dims: &Dims, width: usize) -> Grid {
        Grid { step: dims.batch * width, row: width, offset: 0 }
    }

    /// h of both directions side by side, time-major: a direction's part.
    pub(crate) fn sides(dims: &Dims, direction: usize) -> Grid {
        Grid { offset: direction * dims.features, ..Grid::time_major(dims, dims.side_by_side()) }
    }

    /// A sequence in a network's layout.
    pub(crate) fn layout(dims: &Dims, width: usize, batch_first: bool) -> Grid {
        if batch_first {
            Grid { step: width, row: dims.steps * width, offset: 0 }
        } else {
            Grid::time_major(dims, width)
        }
    }

    /// Outputs from a direction's part on; merged ones are all of them both directions'.
    pub(crate) fn part(self, dims: &Dims, direction: usize) -> Grid {
        Grid { offset: if dims.is_merged() { 0 } else { direction * dims.features }, ..self }
    }

    /// Where the vector of time t and a row begins.
    pub(crate) fn at(&self, t: usize, row: usize) -> usize {
        t * self.step + row * self.row + self.offset
    }

    fn walk(&self, dims: &Dims, direction: usize, first: usize) -> (usize, isize) {
        let step = self.step.cast_signed();
        let offset = self.offset + time(dims, direction, first) * self.step;
        (offset, if direction == 0 { step } else { -step })
    }

    /// A direction's walk from one of its steps on, to read.
    pub(crate) fn read_from<'a>(
        &self,
        data: &'a [f32],
        dims: &Dims,
        direction: usize,
        first: usize,
    ) -> Seq<'a> {
        let (offset, step) = self.walk(dims, direction, first);
        Seq { data, offset, step, row: self.row }
    }

    /// A direction's walk, to write.
    pub(crate) fn write<'a>(&self, data: &'a mut [f32], dims: &Dims, direction: usize) -> SeqMut<'a> {
        self.write_from(data, dims, direction, 0)
    }

    /// A direction's walk from one of its steps on, to write.
    pub(crate) fn write_from<'a>(
        &self,
        data: &'a mut [f32],
        dims: &Dims,
        direction: usize,
        first: usize,
    ) -> SeqMut<'a> {
        let (offset, step) = self.walk(dims, direction, first);
        SeqMut { data, offset, step, row: self.row }
    }
}

/// The time of a direction's step s.
pub(crate) fn time(dims: &Dims, direction: usize, s: usize) -> usize {
    if direction == 0 { s } else { dims.steps - 1 - s }
}

/// Where a direction's steps begin in time.
pub(crate) fn first_time(dims: &Dims, direction: usize, steps: &Range<usize>) -> usize {
    if direction == 0 { steps.start } else { dims.steps - steps.end }
}

/// The time of the last step in which a row of that length takes part, for a direction; `None` if it has none.
pub(crate) fn last_time(length: usize, direction: usize) -> Option<usize> {
    if direction == 0 { length.checked_sub(1) } else { (length > 0).then_some(0) }
}
