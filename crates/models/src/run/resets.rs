//! Resets that lead to a state that is given, on the way back: the gradient that a step which starts anew hands on is not that of the
//! step before, but that of the given state. The kernels let no gradient pass a reset, so the steps are run from reset to reset, each
//! piece with the given state as its h_0 and c_0.

use super::direction::{Grid, time};
use super::gradients::{DirectionJob, Segment};
use super::stretch::h_before_step;
use crate::spec::Error;
use gatewise_kernels::plan::BackwardPlan;

/// The state that resets of a layer in a direction lead to, and its gradient.
pub(super) struct Resets<'a> {
    /// [B, R], rows in their places.
    pub(super) h: &'a [f32],
    /// [B, H], likewise; empty where there is no c.
    pub(super) c: &'a [f32],
    /// Out: the gradients, added up over steps and, where all rows share one state, over rows; rows are the caller's.
    pub(super) dh: &'a mut [f32],
    pub(super) dc: &'a mut [f32],
}

impl DirectionJob<'_> {
    /// The recurrence over the direction's steps `begin .. end`.
    pub(super) fn piece_by_piece(
        &mut self,
        segment: &mut Segment<'_>,
        begin: usize,
        mut end: usize,
        plan: &BackwardPlan,
    ) -> Result<(), Error> {
        let (dims, d, rows) = (self.dims, self.direction, self.rows);
        if self.resets.is_none() {
            return self.recurrence(segment, begin, end, plan, false);
        }
        let is_reset = |step: &usize| rows.reset_at(d, *step, dims).next().is_some();
        while end > begin {
            let reset = (begin..end).rev().find(is_reset);
            let start = reset.unwrap_or(begin);
            self.set_before(segment, start);
            self.recurrence(segment, start, end, plan, reset.is_some())?;
            if reset.is_some() {
                self.hand_over(start);
            }
            end = start;
        }
        Ok(())
    }

    /// h and c as they are before a step, those of rows that start anew as given.
    fn set_before(&mut self, segment: &Segment<'_>, start: usize) {
        let (dims, d, rows) = (self.dims, self.direction, self.rows);
        let h_0 = &self.y[dims.sides() + d * dims.state()..][..dims.state()];
        h_before_step(start, d, self.y, h_0, rows, dims, self.before_h);
        self.before_c.copy_from_slice(segment.c_0);
        let (h, c) = (dims.features, dims.cell_width());
        if start > segment.steps.start {
            let t = segment.local(dims, d, time(dims, d, start - 1));
            for place in 0..rows.active_at(d, start - 1, dims) {
                let from = Grid::time_major(dims, c).at(t, place);
                self.before_c[place * c..][..c].copy_from_slice(&segment.c[from..][..c]);
            }
        }
        let Some(resets) = &self.resets else { return };
        for place in rows.reset_at(d, start, dims) {
            let (of_h, of_c) = (place * h..(place + 1) * h, place * c..(place + 1) * c);
            self.before_h[of_h.clone()].copy_from_slice(&resets.h[of_h]);
            self.before_c[of_c.clone()].copy_from_slice(&resets.c[of_c]);
        }
    }

    /// Hands the gradients that come out of a step over to the state that its resets lead to.
    fn hand_over(&mut self, step: usize) {
        let (dims, rows) = (self.dims, self.rows);
        let Some(resets) = &mut self.resets else { return };
        let no_c = &mut [][..];
        let dc = self.dc.as_deref_mut().unwrap_or(no_c);
        for place in rows.reset_at(self.direction, step, dims) {
            let row = rows.reset_row(place);
            for (from, to, width) in [
                (&mut *self.dh, &mut *resets.dh, dims.features),
                (&mut *dc, &mut *resets.dc, dims.cell_width()),
            ] {
                let from = &mut from[place * width..][..width];
                for (to, from) in to[row * width..][..width].iter_mut().zip(from) {
                    *to += std::mem::take(from);
                }
            }
        }
    }
}
