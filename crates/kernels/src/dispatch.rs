//! What [`Kernels`] runs; with `products`, the only caller of generated functions.
//!
//! Every call below is sound for two reasons. The CPU has the kernel's instructions: a `Kernels` is made only for an
//! instruction set that was detected, and takes rows of that set or of one that it includes. And the task covers valid memory:
//! it is made from slices by `tasks` and `gates::checked`, `gemm` or `weights`, which check every stride against them first.

use crate::error::Error;
use crate::gates::args::{Backward, Forward, Step};
use crate::gates::checked::{BackwardTask, ForwardTask, SingleTask};
use crate::gates::table::TableRows;
use crate::kernels::Kernels;
use crate::plan::{BackwardPlan, ForwardPlan, Projection, Sizes, balanced_part, part};
use crate::rows::{Entry, Row};
use crate::tasks::{backward_task, forward_task, projection_task, single_step_task, step_task};
use crate::team::Team;
use crate::weights::PackedCell;
use rayon::prelude::*;

/// Lets the tasks of one call go to other threads: plain bundles of sizes and addresses, which own nothing.
pub(crate) struct Shared<T: Copy>(pub(crate) T);
// SAFETY: the addresses lead into arguments that the call borrows until all its tasks are done. Tasks that run at the same time
// write disjoint rows, which the argument checks made sure of (`Strided::write`, `MatrixMut::check`), or, the members of a team,
// disjoint units of the same rows (`PackedCell::slice`), and `Team` has each step of all of them end before the next begins.
unsafe impl<T: Copy> Send for Shared<T> {}
// SAFETY: as above; shared, a task is only read.
unsafe impl<T: Copy> Sync for Shared<T> {}

impl<T: Copy> Shared<T> {
    pub(crate) fn get(&self) -> &T {
        &self.0
    }
}

/// Runs a job for each of `parts`, on the threads of the current rayon pool if there is more than one part.
pub(crate) fn each_part(parts: usize, job: impl Fn(usize) + Send + Sync) {
    if parts <= 1 {
        job(0);
    } else {
        (0..parts).into_par_iter().for_each(job);
    }
}

/// Where each part of a sequence begins and ends whose inputs are projected at once: the whole, if they are not projected beforehand.
fn chunks(steps: usize, projection: Projection) -> impl Iterator<Item = (usize, usize)> {
    let chunk = match projection {
        Projection::Fused => steps,
        Projection::Chunked { chunk } => chunk,
    };
    (0..steps).step_by(chunk.max(1)).map(move |begin| (begin, steps.min(begin.saturating_add(chunk))))
}

/// Runs the steps of a team of `slices` members: `run(step, slice)`, on as many threads of the current rayon pool as are free.
fn run_team(slices: usize, steps: usize, run: &(dyn Fn(usize, usize) + Sync)) {
    let team = Team::new(slices);
    rayon::join(|| team.lead(steps, run), || help(&team, 1, slices, steps, run));
}

/// Helps with a slice, and lets other threads help with those after it. Allocates nothing, as a `join` does.
fn help(team: &Team, slice: usize, slices: usize, steps: usize, run: &(dyn Fn(usize, usize) + Sync)) {
    let own = || team.help(slice, steps, |step| run(step, slice));
    if slice + 1 < slices {
        rayon::join(own, || help(team, slice + 1, slices, steps, run));
    } else {
        own();
    }
}

impl Kernels {
    /// Runs a forward pass, its rows shared out to threads of the current rayon pool as the plan says. Allocates nothing.
    ///
    /// # Errors
    /// [`Error::Shape`] if an argument does not hold its elements, [`Error::IsaUnavailable`] if the weights were packed for another
    /// instruction set; nothing is written then.
    ///
    /// # Examples
    /// h_t = max(x_t + h_{t-1} / 2, 0) from h_0 = 0:
    /// ```
    /// use gatewise_kernels::plan::{ForwardPlan, Sizes};
    /// use gatewise_kernels::{Caches, Cell, Forward, Kernels, Seq, SeqMut, Weights};
    ///
    /// let (kernels, cell) = (Kernels::auto()?, Cell::RnnRelu);
    /// let weights = Weights { w_ih: &[1.0], w_hh: &[0.5], ..Weights::default() };
    /// let packed = kernels.pack_cell(cell, 1, 1, weights)?;
    /// let sizes = Sizes { cell, steps: 3, batch: 1, input: 1, hidden: 1 };
    /// let plan = ForwardPlan::new(sizes, packed.lanes(), Caches::detect(), 1);
    /// let (mut y, mut scratch) = ([0.0; 3], vec![0.0; plan.scratch()]);
    /// let (x, y_1) = (Seq::time_major(&[1.0, 0.0, 2.0], 1, 1), SeqMut::time_major(&mut y, 1, 1));
    /// let (h_0, c_0, c, gates, active, resets, reset_h, reset_c) = (None, None, None, None, None, None, None, None);
    /// let scratch = &mut scratch[..];
    /// let pass = Forward { steps: 3, batch: 1, x, h_0, c_0, y: y_1, c, gates, active, resets, reset_h, reset_c, scratch };
    /// kernels.forward(&packed, &plan, pass)?;
    /// assert_eq!(y, [1.0, 0.5, 2.25]);
    /// # Ok::<(), gatewise_kernels::Error>(())
    /// ```
    pub fn forward(&self, weights: &PackedCell, plan: &ForwardPlan, args: Forward<'_>) -> Result<(), Error> {
        self.forward_from(weights, plan, None, args)
    }

    /// As [`forward`](Kernels::forward), from rows of a table if there are some.
    pub(crate) fn forward_from(
        &self,
        weights: &PackedCell,
        plan: &ForwardPlan,
        rows: Option<TableRows<'_>>,
        mut args: Forward<'_>,
    ) -> Result<(), Error> {
        self.check_isa(weights)?;
        let task = forward_task(weights, plan, rows, &mut args)?;
        if args.batch == 0 || weights.hidden == 0 {
            return Ok(());
        }
        let scratch = args.scratch.as_mut_ptr();
        let (batch, steps, active) = (args.batch, args.steps, args.active);
        let shards = plan.shards.clamp(1, batch.max(1));
        let projection = weights.projection(plan);
        // Like shards, single rows are a wish: a kernel for them finds no second row in a projection.
        let single_row = plan.single_row && (batch == 1 || projection == Projection::Fused);
        let row = weights.forward_row(&ForwardPlan { single_row, ..*plan });
        // SAFETY: see the module's note, on which those who call it rely.
        let kernel = |task: &ForwardTask| unsafe {
            match row.entry {
                Entry::Forward(kernel) => kernel(task),
                Entry::Single(kernel) => task.single_rows(|row| kernel(row)),
                _ => wrong_entry(row),
            }
        };
        let Entry::Matmul(project) = weights.rows.matmul.entry else { wrong_entry(weights.rows.matmul) };
        let shared = Shared((task, scratch));
        let slices = weights.team(plan.slices);
        if slices > 1 && shards == 1 {
            // Within the pool from here on: it is entered once, and not for each chunk.
            rayon::scope(|_| {
                for (begin, end) in chunks(steps, projection) {
                    let (task, xa) = shared.get();
                    if projection != Projection::Fused {
                        let input = projection_task(weights, task, (begin, end), *xa);
                        self.run_matmul(weights.rows.matmul, input, slices);
                    }
                    run_team(slices, end - begin, &|step, slice| {
                        let (task, xa) = *shared.get();
                        let t = begin + step;
                        let xa = xa.wrapping_add(step * batch * weights.xa_row());
                        let panels = weights.slice(weights.spec.gates(), slices, slice);
                        // The members write disjoint units, and read what was written in steps before (`team`).
                        kernel(&ForwardTask { begin: t, end: t + 1, panels, xa, ..task });
                    });
                }
            });
            return Ok(());
        }
        each_part(shards, |i| {
            let (task, scratch) = *shared.get();
            let (first, last) = balanced_part(batch, active, shards, i);
            let task = task.shard(first, last - first);
            let Projection::Chunked { chunk } = projection else {
                return kernel(&task);
            };
            if first == last {
                return;
            }
            let xa = scratch.wrapping_add(first * chunk * weights.xa_row());
            for (begin, end) in chunks(steps, projection) {
                for block in projection_task(weights, &task, (begin, end), xa).blocks() {
                    // SAFETY: see the module's note; the scratch has room for a chunk of all rows (`tasks`).
                    unsafe { project(&block) };
                }
                kernel(&ForwardTask { begin, end, xa, ..task });
            }
        });
        Ok(())
    }

    /// Runs one time step of a cell that does not [need gates](crate::CellSpec::needs_gates), on `threads` threads of the current rayon pool where that is worth it. The same bits as
    /// [`forward`](Kernels::forward) over one step, in less time for small sizes. Allocates nothing.
    ///
    /// # Errors
    /// [`Error::Shape`] if an argument is not as long as the sizes say, [`Error::IsaUnavailable`] if the weights were packed for another
    /// instruction set; nothing is written then.
    ///
    /// # Examples
    /// ```
    /// use gatewise_kernels::{Cell, Kernels, Step, Weights};
    ///
    /// let (kernels, mut h) = (Kernels::auto()?, [0.0]);
    /// let weights = Weights { w_ih: &[1.0], w_hh: &[0.5], ..Weights::default() };
    /// let packed = kernels.pack_cell(Cell::RnnRelu, 1, 1, weights)?;
    /// kernels.step(&packed, Step { batch: 1, x: &[1.0], h_0: &[4.0], h_1: &mut h, c: &mut [] }, 1)?;
    /// assert_eq!(h, [1.0 + 0.5 * 4.0]);
    /// # Ok::<(), gatewise_kernels::Error>(())
    /// ```
    pub fn step(&self, weights: &PackedCell, mut args: Step<'_>, threads: usize) -> Result<(), Error> {
        self.check_isa(weights)?;
        if args.batch == 1 {
            let task = || single_step_task(weights, &mut args);
            if let Some(done) = self.run_single_step(weights, task) {
                return done;
            }
        }
        let task = step_task(weights, None, &mut args)?;
        self.run_step(weights, task, threads);
        Ok(())
    }

    /// Runs a checked step, its rows shared out.
    pub(crate) fn run_step(&self, weights: &PackedCell, task: ForwardTask, threads: usize) {
        if weights.hidden == 0 {
            return;
        }
        let (cell, batch, input, hidden) = (weights.cell(), task.schedule.rows, task.input, weights.hidden);
        let row = if batch == 1 { weights.rows.step_single } else { weights.rows.step };
        let Entry::Forward(kernel) = row.entry else { wrong_entry(row) };
        let shards = match threads {
            1 => 1,
            _ => Sizes { cell, steps: 1, batch, input, hidden }.shards(threads),
        };
        if shards == 1 {
            // SAFETY: see the module's note.
            unsafe { kernel(&task) };
            return;
        }
        let task = Shared(task);
        each_part(shards, |i| {
            let (begin, end) = part(batch, shards, i);
            // SAFETY: see the module's note.
            unsafe { kernel(&task.get().shard(begin, end - begin)) };
        });
    }

    /// Runs a checked step of a single row, if there is a kernel for that.
    #[inline]
    pub(crate) fn run_single_step(
        &self,
        weights: &PackedCell,
        task: impl FnOnce() -> Result<SingleTask, Error>,
    ) -> Option<Result<(), Error>> {
        let Entry::Single(kernel) = weights.rows.step_single.entry else { return None };
        // SAFETY: see the module's note.
        Some(task().map(|task| unsafe { kernel(&task) }))
    }

    pub(crate) fn check_isa(&self, weights: &PackedCell) -> Result<(), Error> {
        if weights.isa == self.isa() { Ok(()) } else { Err(Error::IsaUnavailable { isa: weights.isa }) }
    }

    /// Runs a part of a backward pass, its rows or units shared out to threads of the current rayon pool as the plan says. `steps` is
    /// T of the whole sequence. Allocates nothing.
    ///
    /// # Errors
    /// [`Error::Shape`] if an argument does not hold its elements or the weights are not
    /// [ready for training](PackedCell::is_ready_for_training), [`Error::IsaUnavailable`] if the weights were packed for another
    /// instruction set; nothing is written then.
    ///
    /// # Examples
    /// Two steps of h_t = max(x_t + h_{t-1} / 2, 0), whose forward left 1 and 0.5, from dL/dh_2 = 1:
    /// ```
    /// use gatewise_kernels::plan::{BackwardPlan, Sizes};
    /// use gatewise_kernels::{Backward, Cell, Kernels, Seq, SeqMut, Weights};
    ///
    /// let (kernels, cell) = (Kernels::auto()?, Cell::RnnRelu);
    /// let weights = Weights { w_ih: &[1.0], w_hh: &[0.5], ..Weights::default() };
    /// let mut packed = kernels.pack_cell(cell, 1, 1, weights)?;
    /// packed.prepare_training(weights)?;
    /// let plan = BackwardPlan::new(Sizes { cell, steps: 2, batch: 1, input: 1, hidden: 1 }, 1);
    /// let (mut saved, y, mut dh) = ([1.0, 0.5], [1.0, 0.5], [1.0]);
    /// let (gates, y) = (SeqMut::time_major(&mut saved, 1, 1), Seq::time_major(&y, 1, 1));
    /// let (dy, h_0, c, c_0, dc, dh_steps, dc_steps) = (None, None, None, None, None, None, None);
    /// let (begin, end, batch, active, resets, reset_h, reset_c) = (0, 2, 1, None, None, None, None);
    /// let dh_0 = &mut dh[..];
    /// let pass = Backward {
    ///     begin, end, batch, dy, gates, y, h_0, c, c_0, dh: dh_0, dc, dh_steps, dc_steps, active, resets, reset_h, reset_c,
    /// };
    /// kernels.backward(&packed, 2, &plan, pass)?;
    /// assert_eq!((saved, dh), ([0.5, 1.0], [0.25])); // dL/da of both steps, and dL/dh_0
    /// # Ok::<(), gatewise_kernels::Error>(())
    /// ```
    pub fn backward(
        &self,
        weights: &PackedCell,
        steps: usize,
        plan: &BackwardPlan,
        mut args: Backward<'_>,
    ) -> Result<(), Error> {
        self.check_isa(weights)?;
        let task = backward_task(weights, steps, &mut args)?;
        if args.batch == 0 || weights.hidden == 0 {
            return Ok(());
        }
        let row = weights.rows.backward;
        let Entry::Backward(kernel) = row.entry else { wrong_entry(row) };
        let (batch, active) = (args.batch, args.active.map(|active| &active[args.begin..args.end]));
        let shards = plan.shards.clamp(1, batch.max(1));
        let slices = weights.team(plan.slices);
        let task = Shared(task);
        if slices > 1 && shards == 1 {
            let (last, first) = task.get().boundaries;
            run_team(slices, last - first + 1, &|step, slice| {
                let boundaries = (last - step, last - step);
                let panels = weights.slice(1, slices, slice);
                // SAFETY: as in `forward`.
                unsafe { kernel(&BackwardTask { boundaries, panels, ..*task.get() }) };
            });
            return Ok(());
        }
        each_part(shards, |i| {
            let (begin, end) = balanced_part(batch, active, shards, i);
            // SAFETY: see the module's note.
            unsafe { kernel(&task.get().shard(begin, end - begin)) };
        });
        Ok(())
    }
}

/// The generator writes rows whose pass and function agree; a test walks them all.
pub(crate) fn wrong_entry(row: &Row) -> ! {
    panic!("the function of {} is not one of its pass", row.id)
}
