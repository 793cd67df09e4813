//! A sequence's arguments as a pointer and strides, once checked. The pointer is made and moved here, and followed nowhere.

use super::args::{Seq, SeqMut};
use crate::error::Error;

/// [`Seq`] or [`SeqMut`] without its slice: a checked walk over (t, row). A null pointer stands for an absent argument.
#[derive(Clone, Copy)]
pub(crate) struct Strided {
    ptr: *mut f32,
    step: isize,
    row: usize,
}

impl Strided {
    pub(crate) const ABSENT: Strided = Strided { ptr: std::ptr::null_mut(), step: 0, row: 0 };

    /// Rows that all steps share.
    pub(crate) fn rows(data: &[f32], row: usize) -> Strided {
        Strided { ptr: data.as_ptr().cast_mut(), step: 0, row }
    }

    /// Likewise, writable.
    pub(crate) fn rows_mut(data: &mut [f32], row: usize) -> Strided {
        Strided { ptr: data.as_mut_ptr(), step: 0, row }
    }

    #[inline(always)]
    pub(crate) fn is_absent(&self) -> bool {
        self.ptr.is_null()
    }

    /// Where the row of step `t` starts. Only the places that [`Strided::checked`] saw may be accessed.
    #[inline(always)]
    pub(crate) fn at(&self, t: usize, row: usize) -> *mut f32 {
        self.ptr.wrapping_offset(t.cast_signed() * self.step).wrapping_add(row * self.row)
    }

    /// Where `M` rows from `row` on start in step `t`, `skip` floats in.
    #[inline(always)]
    pub(crate) fn rows_at<const M: usize>(&self, t: usize, row: usize, skip: usize) -> [*const f32; M] {
        let mut rows = [std::ptr::null(); M];
        for r in 0..M {
            rows[r] = self.at(t, row + r).wrapping_add(skip).cast_const();
        }
        rows
    }

    /// From one step to the next.
    pub(crate) fn step(&self) -> isize {
        self.step
    }

    /// From one row to the next.
    pub(crate) fn row_stride(&self) -> usize {
        self.row
    }

    /// The walk that starts at `row`.
    pub(super) fn starting_at(self, row: usize) -> Strided {
        Strided { ptr: if self.is_absent() { self.ptr } else { self.at(0, row) }, ..self }
    }

    /// The walk whose first step counts as step `begin`.
    pub(crate) fn counted_from(self, begin: usize) -> Strided {
        let skipped = begin.cast_signed().wrapping_mul(self.step);
        Strided {
            ptr: if self.is_absent() { self.ptr } else { self.ptr.wrapping_offset(skipped.wrapping_neg()) },
            ..self
        }
    }

    /// A pointer walk over `data`, if each of `steps` x `batch` rows of `width` floats lies within it.
    fn checked(
        arg: &'static str,
        (ptr, len): (*mut f32, usize),
        (offset, step, row): (usize, isize, usize),
        (steps, batch, width): (usize, usize, usize),
    ) -> Result<Strided, Error> {
        let overflow = || Error::SizeOverflow { what: arg };
        if steps == 0 || batch == 0 || width == 0 {
            return Ok(Strided { ptr, step: 0, row: 0 });
        }
        let reach = step.unsigned_abs().checked_mul(steps - 1).ok_or_else(overflow)?;
        let forward = if step < 0 { 0 } else { reach };
        let last = row
            .checked_mul(batch - 1)
            .and_then(|x| x.checked_add(width))
            .and_then(|x| x.checked_add(offset))
            .and_then(|x| x.checked_add(forward))
            .ok_or_else(overflow)?;
        if last > len {
            return Err(Error::Shape { arg, dim: "length", expected: last, got: len });
        }
        if step < 0 && reach > offset {
            return Err(Error::Shape { arg, dim: "offset", expected: reach, got: offset });
        }
        Ok(Strided { ptr: ptr.wrapping_add(offset), step, row })
    }

    /// A checked read-only walk.
    pub(crate) fn read(
        arg: &'static str,
        seq: &Seq<'_>,
        steps: usize,
        batch: usize,
        width: usize,
    ) -> Result<Strided, Error> {
        let memory = (seq.data.as_ptr().cast_mut(), seq.data.len());
        Strided::checked(arg, memory, (seq.offset, seq.step, seq.row), (steps, batch, width))
    }

    /// [`write`](Strided::write) of an array that other steps are read from: each step has its own place.
    pub(crate) fn write_steps(
        arg: &'static str,
        seq: &mut SeqMut<'_>,
        steps: usize,
        batch: usize,
        width: usize,
    ) -> Result<Strided, Error> {
        let walk = Strided::write(arg, seq, steps, batch, width)?;
        if seq.step == 0 && steps > 1 && batch > 0 && width > 0 {
            return Err(Error::Shape { arg, dim: "step", expected: width, got: 0 });
        }
        Ok(walk)
    }

    /// A checked writable walk. Its rows may not overlap, for different rows are written by different threads; a step of 0
    /// is one place per row that all steps share.
    pub(crate) fn write(
        arg: &'static str,
        seq: &mut SeqMut<'_>,
        steps: usize,
        batch: usize,
        width: usize,
    ) -> Result<Strided, Error> {
        let memory = (seq.data.as_mut_ptr(), seq.data.len());
        let walk = Strided::checked(arg, memory, (seq.offset, seq.step, seq.row), (steps, batch, width))?;
        if steps == 0 || batch == 0 || width == 0 {
            return Ok(walk);
        }
        let step = seq.step.unsigned_abs();
        let one_step = step == 0 || steps <= 1;
        let rows_apart = batch <= 1 || seq.row >= width;
        // Time-major: a step spans all rows. Batch-major: a row spans all steps. The products were checked above.
        let time_major = rows_apart && (one_step || step >= seq.row * (batch - 1) + width);
        let batch_major = !one_step && step >= width && (batch <= 1 || seq.row >= step * (steps - 1) + width);
        if !time_major && !batch_major {
            // As far apart as rows of one step are in time-major order, steps are too near.
            if rows_apart {
                let expected = seq.row * (batch - 1) + width;
                return Err(Error::Shape { arg, dim: "step", expected, got: step });
            }
            return Err(Error::Shape { arg, dim: "row stride", expected: width, got: seq.row });
        }
        Ok(walk)
    }
}
