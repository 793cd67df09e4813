//! A stretch of a direction's steps, run forward: the whole sequence, a segment of it, or a segment once more.

use super::arrange::Arrangement;
use super::direction::{Grid, time};
use super::upstream::SegmentRoom;
use super::{Layer, Stack};
use crate::spec::Error;
use crate::spec::shape::Dims;
use gatewise_kernels::plan::{ForwardPlan, Projection};
use gatewise_kernels::{Forward, PackedCell, SeqMut};
use std::ops::Range;

/// The steps, and what runs over them.
#[derive(Clone)]
pub(super) struct Stretch<'a> {
    pub(super) stack: &'a Stack,
    pub(super) layer: &'a Layer,
    pub(super) packed: &'a PackedCell,
    /// The sizes of the whole pass.
    pub(super) dims: &'a Dims,
    pub(super) rows: &'a Arrangement,
    pub(super) direction: usize,
    /// The direction's steps.
    pub(super) steps: Range<usize>,
    /// The layer's input over the whole time, time-major.
    pub(super) x: &'a [f32],
    /// h before the first of the steps.
    pub(super) h_0: &'a [f32],
    /// c likewise; `None` is where `c` has its first step, for a c that is kept in place, and where there is none.
    pub(super) c_0: Option<&'a [f32]>,
    /// h and c that resets lead to, [B, R] and [B, H]; `None` is zeros.
    pub(super) reset_h: Option<&'a [f32]>,
    pub(super) reset_c: Option<&'a [f32]>,
}

impl Stretch<'_> {
    /// The sizes of the stretch alone.
    pub(super) fn part(&self) -> Dims {
        self.dims.with_steps(self.steps.len())
    }

    /// Runs the steps; the arrays to write hold these steps only, unless their walk says otherwise. The plan is one for at least as
    /// many steps.
    pub(super) fn run(
        &self,
        plan: &ForwardPlan,
        y: SeqMut<'_>,
        c: Option<SeqMut<'_>>,
        gates: Option<SeqMut<'_>>,
        scratch: &mut [f32],
    ) -> Result<(), Error> {
        let Stretch { dims, direction, rows, .. } = *self;
        let first = self.steps.start;
        let count = rows.rows_of(direction, &self.steps, dims);
        let resets = rows.resets_of(direction, &self.steps, dims);
        let x = Grid::time_major(dims, self.layer.input).read_from(self.x, dims, direction, first);
        let args = Forward {
            steps: self.steps.len(),
            batch: count,
            x,
            h_0: Some(&self.h_0[..count * dims.features]),
            c_0: self.c_0.map(|c_0| &c_0[..count * dims.hidden]),
            y,
            c,
            gates,
            active: rows.active_of(direction, &self.steps),
            resets,
            reset_h: self.reset_h.filter(|_| resets.is_some()).map(|h| &h[..count * dims.features]),
            reset_c: self.reset_c.filter(|_| resets.is_some()).map(|c| &c[..count * dims.hidden]),
            scratch,
        };
        Ok(self.stack.kernels.forward(self.packed, plan, args)?)
    }

    /// The plan for the steps.
    pub(super) fn plan(&self) -> ForwardPlan {
        self.stack.plan(self.layer, &self.part(), rayon::current_num_threads())
    }
}

/// Steps whose input a plan projects at a time.
pub(super) fn projected_steps(plan: &ForwardPlan) -> usize {
    match plan.projection {
        Projection::Fused => usize::MAX,
        Projection::Chunked { chunk } => chunk,
    }
}

/// Runs a segment of a direction once more, into room of its own; `all` is the whole direction.
pub(super) fn run_again(
    all: &Stretch<'_>,
    steps: Range<usize>,
    y: &[f32],
    c_0: Option<&[f32]>,
    room: &mut SegmentRoom,
    scratch: &mut [f32],
) -> Result<(), Error> {
    let Stretch { dims, direction, .. } = *all;
    let SegmentRoom { y: again_y, c, gates, h_0 } = room;
    let h_0 = &mut h_0[..dims.state()];
    h_before_step(steps.start, direction, y, all.h_0, all.rows, dims, h_0);
    let again = Stretch { steps, h_0, c_0, ..*all };
    let part = again.part();
    let (states, cells) = (Grid::time_major(&part, dims.features), Grid::time_major(&part, dims.hidden));
    again.run(
        &again.plan(),
        states.write(again_y, &part, direction),
        c_0.is_some().then(|| cells.write(c, &part, direction)),
        Some(Grid::time_major(&part, dims.saved * dims.hidden).write(gates, &part, direction)),
        scratch,
    )
}

/// h before a direction's step, rows in their places: what the step before left, or h_0 for a row that did not take part in it.
pub(super) fn h_before_step(
    step: usize,
    direction: usize,
    y: &[f32],
    h_0: &[f32],
    rows: &Arrangement,
    dims: &Dims,
    to: &mut [f32],
) {
    to.copy_from_slice(h_0);
    let Some(before) = step.checked_sub(1) else { return };
    let sides = Grid::sides(dims, direction);
    for place in 0..rows.active_at(direction, before, dims) {
        let from = sides.at(time(dims, direction, before), place);
        to[place * dims.features..][..dims.features].copy_from_slice(&y[from..][..dims.features]);
    }
}

/// Puts c before a run of a direction's steps where its first step is to leave its own: what the step before left, or c_0, for all
/// rows that take part in any of the run, for there is where a row that joins later finds its c too. `c` is [T, B, H], time-major.
pub(super) fn put_c_before(
    steps: &Range<usize>,
    direction: usize,
    c: &mut [f32],
    c_0: &[f32],
    rows: &Arrangement,
    dims: &Dims,
) {
    let (grid, width) = (Grid::time_major(dims, dims.hidden), dims.hidden);
    let [to, from] = [steps.start, steps.start - 1].map(|step| grid.at(time(dims, direction, step), 0));
    let all = rows.rows_of(direction, steps, dims);
    let went_on = width * rows.active_at(direction, steps.start - 1, dims).min(all);
    c.copy_within(from..from + went_on, to);
    c[to + went_on..to + width * all].copy_from_slice(&c_0[went_on..width * all]);
}
