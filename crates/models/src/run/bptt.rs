//! Back-propagation through time.
//!
//! Layer by layer from the top, and in each layer time chunk by time chunk from the end: the recurrence leaves the gradients
//! of the pre-activations, da for W_ih x + b_ih and da' for W_hh h + b_hh (they differ in the GRU only), and the rest
//! follows from them while they are hot:
//!
//! ```text
//! dW_ih += sum_t da_t x_t^T       dW_hh += sum_t da'_t h_{t-1}^T       db_ih += sum_t da_t       db_hh += sum_t da'_t
//! dx_t = W_ih^T da_t
//! ```
//! Each sum is one chain that starts from what the caller's buffer holds and runs t descending, b ascending.

use super::layer::first_parameter;
use super::tape::{GradientRoom, LayerTape, Tape, Upstream, incoming};
use super::{Layer, Stack, in_pool, steps_and_batch, strides};
use crate::spec::shape::{Dims, expect, resize};
use crate::spec::{Error, Tensors};
use gatewise_kernels::plan::BackwardPlan;
use gatewise_kernels::{Backward, Cell, Matrix, MatrixMut, OuterProducts, Seq, SeqMut};

impl Stack {
    /// Consumes the tape's record, adds to `grads`, and leaves dL/dx and dL/d(h_0, c_0) on the tape.
    pub(crate) fn backward(
        &self,
        params: &Tensors,
        tape: &mut Tape,
        upstream: Upstream<'_>,
        grads: &mut Tensors,
    ) -> Result<(), Error> {
        let config = &self.config;
        let dims = tape.dims()?;
        let is_ours = dims == Dims::new(config, dims.steps, dims.batch)?
            && tape.x.len() == dims.input(config.input_size)
            && tape.layers.iter().all(|layer| layer.c.is_empty() != config.cell.has_cell_state());
        if !is_ours && dims.batch > 0 {
            let (arg, expected) = ("tape", "one that this network recorded");
            return Err(Error::Config { arg, expected, got: "another network's".to_string() });
        }
        params.check_alike(grads)?;
        if let Some(output) = upstream.output {
            let (steps, batch) = steps_and_batch(config, "grad_output", output.shape(), dims.hidden)?;
            expect("grad_output", "sequence length", steps, dims.steps)?;
            expect("grad_output", "batch size", batch, dims.batch)?;
        }
        incoming("grad_h_n", upstream.h_n, &mut tape.grad_h_0, false)?;
        incoming("grad_c_n", upstream.c_n, &mut tape.grad_c_0, false)?;
        let below_top = if dims.layers > 1 { dims.outputs() } else { 0 };
        for buffer in &mut tape.between {
            resize("the tape", buffer, below_top)?;
        }
        let grad_input = if upstream.input_grad { dims.input(config.input_size) } else { 0 };
        resize("the tape", &mut tape.grad_input, grad_input)?;

        incoming("grad_h_n", upstream.h_n, &mut tape.grad_h_0, true)?;
        incoming("grad_c_n", upstream.c_n, &mut tape.grad_c_0, true)?;
        tape.has_grad_input = upstream.input_grad;
        let threads = rayon::current_num_threads();
        let shards = |layer| BackwardPlan::new(self.sizes(layer, &dims), threads).shards;
        let most = self.layers.iter().map(shards).max().unwrap_or(1);
        in_pool(most, || self.back_through_layers(&dims, threads, tape, upstream, grads))?;
        tape.finish_backward(config.input_size);
        Ok(())
    }

    fn back_through_layers(
        &self,
        dims: &Dims,
        threads: usize,
        tape: &mut Tape,
        upstream: Upstream<'_>,
        grads: &mut Tensors,
    ) -> Result<(), Error> {
        let Tape { x, layers, grad_input, grad_h_0, grad_c_0, between, room, .. } = tape;
        for (i, layer) in self.layers.iter().enumerate().rev() {
            let (below, from_here) = layers.split_at_mut(i);
            let [dy, below_dy] = between;
            let dy = if i + 1 == dims.layers {
                let (step, row) = strides(&self.config, dims.steps, dims.batch, dims.hidden);
                upstream.output.map(|output| Seq { data: output.data(), offset: 0, step, row })
            } else {
                Some(Seq::time_major(dy, dims.batch, dims.hidden))
            };
            let (x, dx) = match below.last() {
                Some(below) => (below.outputs(dims), &mut below_dy[..]),
                None => (&x[..], &mut grad_input[..]),
            };
            let of_layer = i * dims.state()..(i + 1) * dims.state();
            let has_c = self.config.cell.has_cell_state();
            LayerJob {
                stack: self,
                layer,
                dims,
                x,
                dx: (i > 0 || upstream.input_grad).then_some(dx),
                dy,
                dh: &mut grad_h_0[of_layer.clone()],
                dc: has_c.then(|| &mut grad_c_0[of_layer]),
                record: &mut from_here[0],
                grads,
                first: first_parameter(&self.config, i),
                room,
            }
            .run(BackwardPlan::new(self.sizes(layer, dims), threads))?;
            between.swap(0, 1);
        }
        Ok(())
    }
}

/// The backward pass of one layer.
struct LayerJob<'a> {
    stack: &'a Stack,
    layer: &'a Layer,
    dims: &'a Dims,
    /// The layer's input, time-major.
    x: &'a [f32],
    /// Out: its gradient, if wanted.
    dx: Option<&'a mut [f32]>,
    dy: Option<Seq<'a>>,
    /// In: dL/dh_n; out: dL/dh_0.
    dh: &'a mut [f32],
    dc: Option<&'a mut [f32]>,
    record: &'a mut LayerTape,
    /// The gradients of all parameters, and where those of this layer begin.
    grads: &'a mut Tensors,
    first: usize,
    room: &'a mut GradientRoom,
}

impl LayerJob<'_> {
    fn run(mut self, plan: BackwardPlan) -> Result<(), Error> {
        let mut end = self.dims.steps;
        while end > 0 {
            let begin = end.saturating_sub(plan.chunk);
            self.recurrence(begin, end, plan.shards)?;
            self.input_gradient(begin, end, plan.shards)?;
            self.weight_gradients(begin, end, plan.shards)?;
            end = begin;
        }
        Ok(())
    }

    /// The recurrence over steps `begin .. end`.
    fn recurrence(&mut self, begin: usize, end: usize, shards: usize) -> Result<(), Error> {
        let Dims { steps, batch, hidden, saved, .. } = *self.dims;
        let LayerTape { h, c, gates } = &mut *self.record;
        let (h_0, h) = h.split_at(self.dims.state());
        let (c_0, c) = c.split_at(if self.dc.is_some() { self.dims.state() } else { 0 });
        let args = Backward {
            begin,
            end,
            batch,
            dy: self.dy,
            gates: SeqMut::time_major(gates, batch, saved * hidden),
            y: Seq::time_major(h, batch, hidden),
            h_0: Some(h_0),
            c: self.dc.is_some().then(|| Seq::time_major(c, batch, hidden)),
            c_0: self.dc.is_some().then_some(c_0),
            dh: self.dh,
            dc: self.dc.as_deref_mut(),
            dh_steps: None,
            dc_steps: None,
            active: None,
            resets: None,
            reset_h: None,
            reset_c: None,
        };
        Ok(self.stack.kernels.backward(&self.layer.packed, steps, shards, args)?)
    }

    /// dx of steps `begin .. end`.
    fn input_gradient(&mut self, begin: usize, end: usize, shards: usize) -> Result<(), Error> {
        let Dims { batch, hidden, saved, .. } = *self.dims;
        let (Some(dx), Some(w_ih)) = (&mut self.dx, self.layer.packed.w_ih_transposed()) else {
            return Ok(());
        };
        let width = saved * hidden;
        let gates = &self.record.gates[begin * batch * width..end * batch * width];
        let input = self.layer.input;
        let dx = &mut dx[begin * batch * input..end * batch * input];
        let (gates, dx) = (Matrix::row_major(gates, width), MatrixMut::row_major(dx, input));
        Ok(self.stack.kernels.matmul_packed((end - begin) * batch, gates, w_ih, 0.0, dx, shards)?)
    }

    /// What steps `begin .. end` add to the gradients of weights and biases.
    fn weight_gradients(&mut self, begin: usize, end: usize, shards: usize) -> Result<(), Error> {
        let Dims { batch, hidden, saved, .. } = *self.dims;
        let (cell, kernels) = (self.stack.config.cell, &self.stack.kernels);
        let GradientRoom { gate_rows, input_rows, h_rows, outer } = &mut *self.room;
        let input = self.layer.input;
        for (rows, width) in
            [(&mut *gate_rows, saved * hidden), (&mut *input_rows, input), (&mut *h_rows, hidden)]
        {
            rows.clear();
            for t in (begin..end).rev() {
                rows.extend((0..batch).map(|b| (t * batch + b) * width));
            }
        }
        let gates = &self.record.gates[..];
        let d_ih = OuterProducts {
            m: cell.gates() * hidden,
            n: input,
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
            let gates = &gates[run.slot * hidden..];
            let d_hh = OuterProducts {
                m: of_run.len(),
                n: hidden,
                a: gates,
                a_rows: gate_rows,
                // Slot t of the record holds h_{t-1}.
                b: &self.record.h,
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
