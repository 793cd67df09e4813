//! The calls of one kernel: what `cargo bench` times of each row of the registry, and `cargo xtask codegen --measure` of those made
//! for one hidden size.

use crate::points::{INPUT, Point};
use gatewise_kernels::plan::{BackwardPlan, ForwardPlan, Projection, Sizes};
use gatewise_kernels::{
    AlignedBuf, Backward, Caches, Error, Forward, PackedCell, Pass, Row, Seq, SeqMut, Step, Weights,
};
use std::hint::black_box;
use std::mem::swap;
use std::time::{Duration, Instant};

/// Numbers that neither saturate a gate nor vanish.
pub fn numbers(len: usize) -> Vec<f32> {
    (0..len).map(|i| ((i * 37 % 101) as f32 - 50.0) / 400.0).collect()
}

/// A point with its arrays, ready to be called over and over. All arrays start on cache lines: where they came to stand does not
/// decide between two kernels.
#[derive(Debug)]
pub struct Calls {
    point: Point,
    packed: PackedCell,
    plan: ForwardPlan,
    x: Vec<f32>,
    h: AlignedBuf,
    c: AlignedBuf,
    y: AlignedBuf,
    c_steps: AlignedBuf,
    saved: AlignedBuf,
    gates: AlignedBuf,
    scratch: AlignedBuf,
}

impl Calls {
    /// Packs weights and makes room; before a way back, the way forward is run.
    ///
    /// # Errors
    /// The kernels' own.
    pub fn new(point: Point) -> Result<Calls, Error> {
        let Point { kernels, cell, hidden, .. } = point;
        let (w_ih, w_hh) = (numbers(cell.gates() * hidden * INPUT), numbers(cell.gates() * hidden * hidden));
        let weights = Weights { w_ih: &w_ih, w_hh: &w_hh, ..Weights::default() };
        let mut packed = kernels.pack_cell(cell, INPUT, hidden, weights)?;
        let (sizes, lanes) = (sizes(&point), packed.lanes());
        let mut plan = ForwardPlan::new(sizes, lanes, Caches::detect(), 1);
        if point.row.pass == Pass::Forward {
            // Small networks are planned without a projection; this kernel is measured at every size all the same.
            let chunk = sizes.steps;
            let projection = Projection::Chunked { chunk };
            plan = ForwardPlan { projection, single_row: false, ..plan }.with_chunk(sizes, lanes, chunk);
        }
        let (state, rows) = (point.batch() * hidden, point.batch() * point.steps());
        let is_back = point.row.pass == Pass::Backward;
        if is_back {
            packed.prepare_training(weights)?;
        }
        let saved = if is_back { rows * hidden * cell.saved() } else { 0 };
        let has_c = usize::from(cell.has_cell_state());
        let mut calls = Calls {
            point,
            packed,
            plan,
            x: numbers(rows * INPUT),
            h: AlignedBuf::zeroed(state)?,
            c: AlignedBuf::zeroed(has_c * state)?,
            y: AlignedBuf::zeroed(rows * hidden)?,
            c_steps: AlignedBuf::zeroed(has_c * rows * hidden)?,
            saved: AlignedBuf::zeroed(saved)?,
            gates: AlignedBuf::zeroed(saved)?,
            scratch: AlignedBuf::zeroed(plan.scratch())?,
        };
        if is_back {
            calls.forward()?;
        }
        Ok(calls)
    }

    /// The kernel that runs.
    pub fn row(&self) -> &'static Row {
        match self.point.row.pass {
            Pass::Backward => self.packed.backward_row(),
            _ => self.packed.forward_row(&self.plan),
        }
    }

    /// What so many calls take.
    ///
    /// # Errors
    /// The kernels' own.
    pub fn time(&mut self, calls: usize) -> Result<Duration, Error> {
        match self.point.row.pass {
            Pass::Step => timed(calls, || self.step()),
            Pass::Backward => (0..calls).map(|_| self.backward()).sum(),
            _ => timed(calls, || self.forward()),
        }
    }

    /// As a stream does: from the state that the last step left.
    fn step(&mut self) -> Result<(), Error> {
        let (batch, h_0, h_1, c) = (self.point.batch(), &self.h[..], &mut self.y[..], &mut self.c[..]);
        let step = Step { batch, x: black_box(&self.x), h_0, h_1, c };
        self.point.kernels.step(&self.packed, step, 1)?;
        swap(&mut self.h, &mut self.y);
        Ok(())
    }

    fn forward(&mut self) -> Result<(), Error> {
        let Point { kernels, cell, hidden, .. } = self.point;
        let (steps, batch, has_c) = (self.point.steps(), self.point.batch(), cell.has_cell_state());
        let is_saved = !self.saved.is_empty();
        let saved = SeqMut::time_major(&mut self.saved, batch, cell.saved() * hidden);
        let args = Forward {
            steps,
            batch,
            x: Seq::time_major(black_box(&self.x), batch, INPUT),
            h_0: None,
            c_0: None,
            y: SeqMut::time_major(&mut self.y, batch, hidden),
            c: has_c.then_some(SeqMut::time_major(&mut self.c_steps, batch, hidden)),
            gates: is_saved.then_some(saved),
            active: None,
            resets: None,
            reset_h: None,
            reset_c: None,
            scratch: &mut self.scratch,
        };
        kernels.forward(&self.packed, &self.plan, args)
    }

    /// The time of one call. The gradients take the place of what forward saved, so that is put back before, untimed.
    fn backward(&mut self) -> Result<Duration, Error> {
        let Point { kernels, cell, hidden, .. } = self.point;
        let (steps, batch, has_c) = (self.point.steps(), self.point.batch(), cell.has_cell_state());
        self.gates.copy_from_slice(&self.saved);
        self.h.fill(0.0);
        self.c.fill(0.0);
        let args = Backward {
            begin: 0,
            end: steps,
            batch,
            dy: Some(Seq::time_major(&self.y, batch, hidden)),
            gates: SeqMut::time_major(&mut self.gates, batch, cell.saved() * hidden),
            y: Seq::time_major(&self.y, batch, hidden),
            h_0: None,
            c: has_c.then_some(Seq::time_major(&self.c_steps, batch, hidden)),
            c_0: None,
            dh: &mut self.h,
            dc: has_c.then_some(&mut self.c[..]),
            dh_steps: None,
            dc_steps: None,
            active: None,
            resets: None,
            reset_h: None,
            reset_c: None,
        };
        let plan = BackwardPlan::new(sizes(&self.point), 1);
        let start = Instant::now();
        kernels.backward(&self.packed, steps, &plan, args)?;
        Ok(start.elapsed())
    }
}

fn sizes(point: &Point) -> Sizes {
    Sizes { cell: point.cell, steps: point.steps(), batch: point.batch(), input: INPUT, hidden: point.hidden }
}

fn timed(calls: usize, mut call: impl FnMut() -> Result<(), Error>) -> Result<Duration, Error> {
    let start = Instant::now();
    for _ in 0..calls {
        call()?;
    }
    Ok(start.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::points::points;

    /// A point names the kernel that is timed.
    #[test]
    fn every_point_runs_its_own_kernel() {
        for point in points(false).unwrap() {
            let mut calls = Calls::new(point).unwrap();
            assert_eq!(calls.row().id, point.row.id);
            assert!(calls.time(2).unwrap() > Duration::ZERO, "{}", point.id());
        }
    }
}
