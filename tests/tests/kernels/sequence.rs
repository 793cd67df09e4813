//! Sequences in the memory of a test, laid out one way or another.

use super::memory::Memory;
use super::run::Way;
use super::support::{UNTOUCHED, same};
use gatewise_kernels::{Seq, SeqMut};

/// How a sequence stands in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// `[T, B, width]`
    TimeMajor,
    /// `[B, T, width]`
    BatchMajor,
    /// The last step first: a negative step.
    Backwards,
    /// `[B, T, width]`, the last step first.
    BatchMajorBackwards,
    /// `[T, B, width]` with floats left out before, between rows and between steps.
    Gaps,
}

impl Layout {
    pub(super) const ALL: [Layout; 5] =
        [Layout::TimeMajor, Layout::BatchMajor, Layout::Backwards, Layout::BatchMajorBackwards, Layout::Gaps];

    fn strides(self, steps: usize, batch: usize, width: usize) -> Strides {
        let (offset, step, row) = match self {
            Layout::TimeMajor => (0, (batch * width).cast_signed(), width),
            Layout::BatchMajor => (0, width.cast_signed(), steps * width),
            Layout::Backwards => {
                (steps.saturating_sub(1) * batch * width, -(batch * width).cast_signed(), width)
            }
            Layout::BatchMajorBackwards => {
                (steps.saturating_sub(1) * width, -width.cast_signed(), steps * width)
            }
            Layout::Gaps => (2, (batch * (width + 3) + 5).cast_signed(), width + 3),
        };
        Strides { offset, step, row, steps, batch, width }
    }
}

#[derive(Clone, Copy, Debug)]
struct Strides {
    offset: usize,
    step: isize,
    row: usize,
    steps: usize,
    batch: usize,
    width: usize,
}

impl Strides {
    /// Where row `b` of step `t` starts.
    fn at(&self, t: usize, b: usize) -> usize {
        self.offset.wrapping_add_signed(t.cast_signed() * self.step) + b * self.row
    }

    /// Floats up to the last element.
    fn len(&self) -> usize {
        if self.steps * self.batch * self.width == 0 {
            return 0;
        }
        let last = self.at(0, self.batch - 1).max(self.at(self.steps - 1, self.batch - 1));
        last + self.width
    }
}

/// A sequence in memory; what is no element holds [`UNTOUCHED`].
#[derive(Debug)]
pub(super) struct Sequence {
    strides: Strides,
    pub(super) memory: Memory<f32>,
}

impl Sequence {
    pub(super) fn new(
        way: &Way,
        (steps, batch, width): (usize, usize, usize),
        data: Option<&[f32]>,
    ) -> Sequence {
        let strides = way.layout.strides(steps, batch, width);
        let mut floats = vec![UNTOUCHED; strides.len()];
        if let Some(data) = data.filter(|data| !data.is_empty()) {
            for t in 0..steps {
                for b in 0..batch {
                    floats[strides.at(t, b)..][..width]
                        .copy_from_slice(&data[(t * batch + b) * width..][..width]);
                }
            }
        }
        Sequence { strides, memory: way.place.put(&floats) }
    }

    /// One place per row that all steps share.
    pub(super) fn in_place(way: &Way, (batch, width): (usize, usize), data: &[f32]) -> Sequence {
        let strides = Strides { offset: 0, step: 0, row: width, steps: 1, batch, width };
        Sequence { strides, memory: way.place.put(data) }
    }

    pub(super) fn seq(&self) -> Seq<'_> {
        let Strides { offset, step, row, .. } = self.strides;
        Seq { data: &self.memory, offset, step, row }
    }

    /// From a step on, to write.
    pub(super) fn seq_mut_from(&mut self, begin: usize) -> SeqMut<'_> {
        let Strides { offset, step, row, .. } = self.strides;
        let offset = offset.wrapping_add_signed(step * begin.cast_signed());
        SeqMut { data: &mut self.memory, offset, step, row }
    }

    pub(super) fn seq_mut(&mut self) -> SeqMut<'_> {
        self.seq_mut_from(0)
    }

    /// `[T, B, width]`, after a look at the floats between.
    pub(super) fn plain(&self) -> Vec<f32> {
        let Strides { steps, batch, width, .. } = self.strides;
        let mut element = vec![false; self.memory.len()];
        let mut all = Vec::with_capacity(steps * batch * width);
        if self.memory.is_empty() {
            return all;
        }
        for t in 0..steps {
            for b in 0..batch {
                let at = self.strides.at(t, b);
                element[at..][..width].fill(true);
                all.extend_from_slice(&self.memory[at..][..width]);
            }
        }
        let touched = (0..element.len()).find(|&i| !element[i] && !same(self.memory[i], UNTOUCHED));
        assert_eq!(touched, None, "a float between the elements of a sequence was written");
        all
    }
}
