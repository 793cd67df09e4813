//! Passes whose input is rows of a table: the input part of each row of the table is computed once, and no step multiplies it
//! again.
//!
//! ```text
//! P[v,g,j]  = b_ih[g,j] + sum_k W_ih[g,j,k] E[v,k]        one chain as in any pass, k ascending, starting from the bias
//! xa[g,j]   = P[v,g,j]                                    where x is row v of E
//! ```
//! The chain of a row is stored and resumed with nothing left to add, so that no bit of a result differs.

use crate::aligned::AlignedBuf;
use crate::error::Error;
use crate::gates::args::{Forward, Step};
use crate::gates::table::{ProjectedRows, TableRows};
use crate::kernels::Kernels;
use crate::plan::{ForwardPlan, Projection};
use crate::tasks::{single_row_task, step_task, table_tasks};
use crate::weights::PackedCell;

impl Kernels {
    /// Computes the input part of each of the `rows` rows of a table, [rows, input_size], on as many threads of the current rayon
    /// pool as `threads` says. It is that of the weights as they are: after [`repack`](PackedCell::repack) another one is needed.
    ///
    /// # Errors
    /// [`Error::Shape`] if the table is not as long as the sizes say, [`Error::SizeOverflow`] if the room cannot be had,
    /// [`Error::IsaUnavailable`] if the weights were packed for another instruction set.
    ///
    /// # Examples
    /// See [`forward_rows`](Kernels::forward_rows).
    pub fn project_rows(
        &self,
        weights: &PackedCell,
        rows: usize,
        table: &[f32],
        threads: usize,
    ) -> Result<ProjectedRows, Error> {
        self.check_isa(weights)?;
        let overflow = Error::SizeOverflow { what: "table" };
        let expected = rows.checked_mul(weights.input).ok_or(overflow.clone())?;
        if table.len() != expected {
            return Err(Error::Shape { arg: "table", dim: "length", expected, got: table.len() });
        }
        let width = weights.b_ih.len();
        let len = rows.checked_mul(width).ok_or(overflow.clone())?;
        let mut data = AlignedBuf::zeroed(len).map_err(|_| overflow)?;
        for task in table_tasks(weights, rows, table, &mut data) {
            self.run_matmul(weights.rows.matmul, task, threads);
        }
        Ok(ProjectedRows { data, rows, width, isa: weights.isa })
    }

    /// As [`forward`](Kernels::forward), but the input is rows of a table: the same bits as with the features of these rows. The
    /// plan is one for an input of no features, and so is `x` of the arguments. Allocates nothing.
    ///
    /// # Errors
    /// As [`forward`](Kernels::forward), and [`Error::Shape`] if a row is not in the table, or the table was projected by weights
    /// of another size.
    ///
    /// # Examples
    /// h_t = max(2 x_t + h_{t-1}, 0) where each x_t is one of two rows of a table:
    /// ```
    /// use gatewise_kernels::plan::{ForwardPlan, Sizes};
    /// use gatewise_kernels::{Caches, Cell, Forward, Kernels, Seq, SeqMut, TableRows, Weights};
    ///
    /// let (kernels, cell) = (Kernels::auto()?, Cell::RnnRelu);
    /// let weights = Weights { w_ih: &[2.0], w_hh: &[1.0], ..Weights::default() };
    /// let packed = kernels.pack_cell(cell, 1, 1, weights)?;
    /// let table = kernels.project_rows(&packed, 2, &[1.0, 10.0], 1)?;
    ///
    /// let plan = ForwardPlan::new(Sizes { cell, steps: 3, batch: 1, input: 0, hidden: 1 }, packed.lanes(), Caches::detect(), 1);
    /// let mut y = [0.0; 3];
    /// let pass = Forward {
    ///     steps: 3,
    ///     batch: 1,
    ///     x: Seq::time_major(&[], 1, 0),
    ///     h_0: None,
    ///     c_0: None,
    ///     y: SeqMut::time_major(&mut y, 1, 1),
    ///     c: None,
    ///     gates: None,
    ///     active: None,
    ///     resets: None,
    ///     reset_h: None,
    ///     reset_c: None,
    ///     scratch: &mut [],
    /// };
    /// kernels.forward_rows(&packed, &plan, TableRows { table: &table, rows: &[1, 0, 1], step: 1 }, pass)?;
    /// assert_eq!(y, [20.0, 22.0, 42.0]);
    /// # Ok::<(), gatewise_kernels::Error>(())
    /// ```
    pub fn forward_rows(
        &self,
        weights: &PackedCell,
        plan: &ForwardPlan,
        rows: TableRows<'_>,
        args: Forward<'_>,
    ) -> Result<(), Error> {
        // Nothing is left to project, whatever the plan is for.
        let plan = ForwardPlan { projection: Projection::Fused, ..*plan };
        self.forward_from(weights, &plan, Some(rows), args)
    }

    /// As [`step`](Kernels::step), but the input is a row of a table for each row of the batch, `rows`; `x` of the arguments has no
    /// features. Allocates nothing.
    ///
    /// # Errors
    /// As [`step`](Kernels::step), and [`Error::Shape`] if a row is not in the table, or the table was projected by weights of
    /// another size.
    ///
    /// # Examples
    /// ```
    /// use gatewise_kernels::{Cell, Kernels, Step, TableRows, Weights};
    ///
    /// let (kernels, mut h) = (Kernels::auto()?, [0.0; 2]);
    /// let weights = Weights { w_ih: &[2.0], w_hh: &[1.0], ..Weights::default() };
    /// let packed = kernels.pack_cell(Cell::RnnRelu, 1, 1, weights)?;
    /// let table = kernels.project_rows(&packed, 2, &[1.0, 10.0], 1)?;
    /// let args = Step { batch: 2, x: &[], h_0: &[3.0, 4.0], h_1: &mut h, c: &mut [] };
    /// kernels.step_rows(&packed, TableRows { table: &table, rows: &[1, 0], step: 2 }, args, 1)?;
    /// assert_eq!(h, [20.0 + 3.0, 2.0 + 4.0]);
    /// # Ok::<(), gatewise_kernels::Error>(())
    /// ```
    pub fn step_rows(
        &self,
        weights: &PackedCell,
        rows: TableRows<'_>,
        mut args: Step<'_>,
        threads: usize,
    ) -> Result<(), Error> {
        self.check_isa(weights)?;
        if args.batch == 1 {
            let task = || single_row_task(weights, rows, &mut args);
            if let Some(done) = self.run_single_step(weights, task) {
                return done;
            }
        }
        let task = step_task(weights, Some(rows), &mut args)?;
        self.run_step(weights, task, threads);
        Ok(())
    }
}
