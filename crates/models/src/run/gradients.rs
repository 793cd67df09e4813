//! The backward pass of one layer in one direction, time chunk by time chunk from its end: the recurrence leaves the gradients of
//! the pre-activations, da for W_ih x + b_ih and da' for W_hh h + b_hh (they differ in the GRU only), and the rest follows from
//! them while they are hot:
//!
//! ```text
//! dW_ih += sum_t da_t x_t^T       dW_hh += sum_t da'_t h_{t-1}^T       db_ih += sum_t da_t       db_hh += sum_t da'_t
//! dx_t  += W_ih^T da_t
//! ```
//! Each sum is one chain that starts from what the caller's buffer holds and runs t descending, b ascending, over valid steps.

use super::Stack;
use super::arrange::Arrangement;
use super::direction::{Grid, time};
use super::tape::Track;
use super::upstream::RowLists;
use crate::spec::shape::Dims;
use crate::spec::{Error, Tensors};
use gatewise_kernels::plan::BackwardPlan;
use gatewise_kernels::{Backward, Cell, Matrix, MatrixMut, OuterProducts, PackedCell, Seq};

/// The work, and where everything stands.
pub(super) struct DirectionJob<'a> {
    pub(super) stack: &'a Stack,
    pub(super) packed: &'a PackedCell,
    pub(super) dims: &'a Dims,
    pub(super) rows: &'a Arrangement,
    pub(super) direction: usize,
    /// The layer's input, time-major.
    pub(super) x: &'a [f32],
    /// Its features.
    pub(super) input: usize,
    /// Out: its gradient, if wanted. The first direction sets it, the second one adds to it.
    pub(super) dx: Option<&'a mut [f32]>,
    pub(super) dy: Option<Seq<'a>>,
    /// In: dL/dh_n; out: dL/dh_0.
    pub(super) dh: &'a mut [f32],
    pub(super) dc: Option<&'a mut [f32]>,
    /// The layer's outputs and what stands behind them.
    pub(super) y: &'a [f32],
    pub(super) track: &'a Track,
    /// In: what forward saved; out: the gradients of the pre-activations in its place.
    pub(super) gates: &'a mut [f32],
    /// The gradients of all parameters, and where those of this layer and direction begin.
    pub(super) grads: &'a mut Tensors,
    pub(super) first: usize,
    pub(super) lists: &'a mut RowLists,
}

impl DirectionJob<'_> {
    pub(super) fn run(mut self, plan: BackwardPlan) -> Result<(), Error> {
        if let (0, true, Some(dx)) = (self.direction, self.rows.is_ragged(), &mut self.dx) {
            dx.fill(0.0);
        }
        let mut end = self.dims.steps;
        while end > 0 {
            let begin = end.saturating_sub(plan.chunk);
            self.recurrence(begin, end, plan.shards)?;
            self.input_gradient(begin, end, plan.shards)?;
            self.list_rows(begin, end);
            self.weight_gradients(plan.shards)?;
            end = begin;
        }
        Ok(())
    }

    /// The recurrence over the direction's steps `begin .. end`.
    fn recurrence(&mut self, begin: usize, end: usize, shards: usize) -> Result<(), Error> {
        let (dims, d) = (self.dims, self.direction);
        let has_c = self.dc.is_some();
        let (c, c_0) = self.track.c.split_at(if has_c { dims.cells() } else { 0 });
        let (y, states) = self.y.split_at(dims.outputs());
        let args = Backward {
            begin,
            end,
            batch: dims.batch,
            dy: self.dy,
            gates: Grid::time_major(dims, dims.saved * dims.hidden).write(self.gates, dims, d),
            y: Grid::outputs(dims, d).read(y, dims, d),
            h_0: Some(&states[dims.state_at(0, d)]),
            c: has_c.then(|| Grid::time_major(dims, dims.hidden).read(c, dims, d)),
            c_0: has_c.then_some(c_0),
            dh: self.dh,
            dc: self.dc.as_deref_mut(),
            dh_steps: None,
            dc_steps: None,
            active: self.rows.active(d),
            resets: self.rows.resets(d),
            reset_h: None,
            reset_c: None,
        };
        Ok(self.stack.kernels.backward(self.packed, dims.steps, shards, args)?)
    }

    /// dx of these steps: one matmul where all rows take part, else one a step.
    fn input_gradient(&mut self, begin: usize, end: usize, shards: usize) -> Result<(), Error> {
        let (dims, d, input) = (self.dims, self.direction, self.input);
        let (Some(dx), Some(w_ih)) = (&mut self.dx, self.packed.w_ih_transposed()) else {
            return Ok(());
        };
        let width = dims.saved * dims.hidden;
        let beta = if d == 0 { 0.0 } else { 1.0 };
        let kernels = &self.stack.kernels;
        let mut product = |t: usize, rows: usize| {
            let (gates, dx) = (&self.gates[t * dims.batch * width..], &mut dx[t * dims.batch * input..]);
            let (gates, dx) = (Matrix::row_major(gates, width), MatrixMut::row_major(dx, input));
            kernels.matmul_packed(rows, gates, w_ih, beta, dx, shards)
        };
        if self.rows.is_ragged() {
            for s in begin..end {
                product(time(dims, d, s), self.rows.active_at(d, s, dims))?;
            }
            return Ok(());
        }
        let first = time(dims, d, begin).min(time(dims, d, end - 1));
        Ok(product(first, (end - begin) * dims.batch)?)
    }

    /// Lists the rows of these steps, last step first.
    fn list_rows(&mut self, begin: usize, end: usize) {
        let (dims, d) = (self.dims, self.direction);
        let gates = Grid::time_major(dims, dims.saved * dims.hidden);
        let (input, outputs) = (Grid::time_major(dims, self.input), Grid::outputs(dims, d));
        let h_0 = dims.outputs() + dims.state_at(0, d).start;
        let zeros = dims.outputs() + dims.directions * dims.state();
        let resets = self.rows.resets(d);
        let RowLists { gates: gate_rows, input: input_rows, h: h_rows, .. } = &mut *self.lists;
        for list in [&mut *gate_rows, &mut *input_rows, &mut *h_rows] {
            list.clear();
        }
        for s in (begin..end).rev() {
            let t = time(dims, d, s);
            let before = if s == 0 { 0 } else { self.rows.active_at(d, s - 1, dims) };
            for b in 0..self.rows.active_at(d, s, dims) {
                gate_rows.push(gates.at(t, b));
                input_rows.push(input.at(t, b));
                h_rows.push(if resets.is_some_and(|resets| resets[s * dims.batch + b]) {
                    zeros
                } else if b < before {
                    outputs.at(time(dims, d, s - 1), b)
                } else {
                    h_0 + b * dims.hidden
                });
            }
        }
    }

    /// What the listed rows add to the gradients of weights and biases.
    fn weight_gradients(&mut self, shards: usize) -> Result<(), Error> {
        let hidden = self.dims.hidden;
        let (cell, kernels) = (self.stack.config.cell, &self.stack.kernels);
        let RowLists { gates: gate_rows, input: input_rows, h: h_rows, outer } = &mut *self.lists;
        let gates = &self.gates[..];
        let d_ih = OuterProducts {
            m: cell.gates() * hidden,
            n: self.input,
            a: gates,
            a_rows: gate_rows,
            b: self.x,
            b_rows: input_rows,
            c: self.grads.at_mut(self.first),
        };
        kernels.add_outer_products(d_ih, outer, shards)?;
        if self.stack.config.bias {
            kernels.sum_rows(gates, gate_rows, self.grads.at_mut(self.first + 2))?;
        }
        for run in recurrent_runs(cell) {
            let of_run = run.gate * hidden..(run.gate + run.gates) * hidden;
            let gates = gates.get(run.slot * hidden..).unwrap_or(&[]);
            let d_hh = OuterProducts {
                m: of_run.len(),
                n: hidden,
                a: gates,
                a_rows: gate_rows,
                b: self.y,
                b_rows: h_rows,
                c: &mut self.grads.at_mut(self.first + 1)[of_run.start * hidden..of_run.end * hidden],
            };
            kernels.add_outer_products(d_hh, outer, shards)?;
            if self.stack.config.bias {
                kernels.sum_rows(gates, gate_rows, &mut self.grads.at_mut(self.first + 3)[of_run])?;
            }
        }
        Ok(())
    }
}

/// Gates whose da' stand side by side on the tape.
#[derive(Clone, Copy)]
struct Run {
    gate: usize,
    slot: usize,
    gates: usize,
}

/// The runs of a cell: one, or for the GRU, whose da'_n stands apart, two.
fn recurrent_runs(cell: Cell) -> impl Iterator<Item = Run> {
    let slots = cell.recurrent_slots();
    let starts = |gate: &usize| *gate == 0 || slots[*gate] != slots[*gate - 1] + 1;
    (0..slots.len()).filter(starts).map(move |gate| {
        let gates = (gate + 1..slots.len()).take_while(|next| !starts(next)).count() + 1;
        Run { gate, slot: slots[gate], gates }
    })
}
