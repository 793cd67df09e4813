//! The backward pass of one layer in one direction, time chunk by time chunk from its end: the recurrence leaves the gradients of
//! the pre-activations, da for W_ih x + b_ih and da' for W_hh h + b_hh (they differ in the GRU only), and the rest follows from
//! them while they are hot:
//!
//! ```text
//! dW_ih += sum_t da_t x_t^T       dW_hh += sum_t da'_t h_{t-1}^T       db_ih += sum_t da_t       db_hh += sum_t da'_t
//! dx_t  += W_ih^T da_t            dW_hr += sum_t dh_t u_t^T
//! ```
//! Each sum is one chain that starts from what the caller's buffer holds and runs t descending, b ascending, over valid steps.

use super::arrange::Arrangement;
use super::direction::{Grid, first_time, time};
use super::layer_tape::{Track, reset_at};
use super::memory::Segments;
use super::resets::Resets;
use super::stretch::{Stretch, run_again};
use super::upstream::{RowLists, SegmentRoom};
use super::watch::{Carried, Seen, StepClip, Watch};
use super::{Layer, Stack};
use crate::spec::shape::Dims;
use crate::spec::{Error, Tensors};
use gatewise_kernels::plan::BackwardPlan;
use gatewise_kernels::{Backward, Matrix, MatrixMut, Operand, OuterProducts, PackedCell};
use std::ops::Range;

/// The work, and where everything stands.
pub(super) struct DirectionJob<'a> {
    pub(super) stack: &'a Stack,
    pub(super) packed: &'a PackedCell,
    pub(super) dims: &'a Dims,
    pub(super) rows: &'a Arrangement,
    pub(super) direction: usize,
    /// The layer's input, time-major.
    pub(super) x: &'a [f32],
    /// Out: its gradient, if wanted. The first direction sets it, the second one adds to it.
    pub(super) dx: Option<&'a mut [f32]>,
    /// dL/dy and the way through it.
    pub(super) dy: Option<(&'a [f32], Grid)>,
    /// In: dL/dh_n; out: dL/dh_0.
    pub(super) dh: &'a mut [f32],
    pub(super) dc: Option<&'a mut [f32]>,
    /// The state that resets lead to, if one is given.
    pub(super) resets: Option<Resets<'a>>,
    /// Room for h and c before a step, [B, R] and [B, H].
    pub(super) before_h: &'a mut [f32],
    pub(super) before_c: &'a mut [f32],
    /// Room for dL/dh of the steps of a time chunk, [steps, B, R], time-major, where h is projected or somebody looks; else empty.
    pub(super) dh_steps: &'a mut [f32],
    /// Likewise for dL/dc, [steps, B, H], where somebody looks.
    pub(super) dc_steps: &'a mut [f32],
    /// The direction's steps of the time chunk at hand.
    pub(super) chunk: Range<usize>,
    /// The limit on each step's dL/dh.
    pub(super) clip: Option<StepClip>,
    pub(super) watch: Option<&'a mut (dyn Watch + 'static)>,
    pub(super) layer: usize,
    /// The layer's outputs and what stands behind them.
    pub(super) y: &'a [f32],
    pub(super) track: &'a Track,
    /// The gradients of all parameters, if wanted, and where those of this layer and direction begin.
    pub(super) grads: Option<&'a mut Tensors>,
    pub(super) first: usize,
    pub(super) lists: &'a mut RowLists,
}

/// Where the values that forward saved of a direction come from.
pub(super) enum Saved<'a> {
    /// They are all there, and the gradients of the pre-activations take their place.
    Whole(&'a mut [f32]),
    /// A segment at a time is run once more.
    Cut { layer: &'a Layer, segments: Segments, room: &'a mut SegmentRoom, scratch: &'a mut [f32] },
}

/// A segment of a direction's steps and what forward left of it, time-major, these steps only.
pub(super) struct Segment<'a> {
    pub(super) steps: Range<usize>,
    /// In: what forward saved; out: the gradients of the pre-activations in its place.
    gates: &'a mut [f32],
    pub(super) c: &'a [f32],
    /// h and c before the first step.
    h_0: &'a [f32],
    pub(super) c_0: &'a [f32],
}

impl Segment<'_> {
    /// Where a step's time stands within the segment.
    pub(super) fn local(&self, dims: &Dims, direction: usize, t: usize) -> usize {
        t - first_time(dims, direction, &self.steps)
    }
}

impl DirectionJob<'_> {
    pub(super) fn run(mut self, plan: BackwardPlan, saved: Saved<'_>) -> Result<(), Error> {
        let dims = self.dims;
        if let (0, true, Some(dx)) = (self.direction, self.rows.is_ragged(), &mut self.dx) {
            dx.fill(0.0);
        }
        let h_0 = &self.y[dims.sides() + self.direction * dims.state()..][..dims.state()];
        match saved {
            Saved::Whole(gates) => {
                let (c, c_0) = self.track.c.split_at(dims.cells());
                self.segment(plan, Segment { steps: 0..dims.steps, gates, c, h_0, c_0 })
            }
            Saved::Cut { layer, segments, room, scratch } => {
                let all = Stretch {
                    stack: self.stack,
                    layer,
                    packed: self.packed,
                    dims,
                    rows: self.rows,
                    direction: self.direction,
                    steps: 0..dims.steps,
                    x: self.x,
                    h_0,
                    c_0: None,
                    reset_h: self.resets.as_ref().map(|resets| resets.h),
                    reset_c: self.track.reset_c(),
                };
                for k in (0..segments.count()).rev() {
                    let steps = segments.range(k);
                    let c_0 = &self.track.c[k * dims.cell_state()..][..dims.cell_state()];
                    run_again(&all, steps.clone(), self.y, dims.has_c.then_some(c_0), room, scratch)?;
                    let SegmentRoom { c, gates, h_0, .. } = &mut *room;
                    let h_0 = &h_0[..dims.state()];
                    self.segment(plan, Segment { steps, gates, c, h_0, c_0 })?;
                }
                Ok(())
            }
        }
    }

    /// Goes back through a segment, chunk by chunk.
    fn segment(&mut self, plan: BackwardPlan, mut segment: Segment<'_>) -> Result<(), Error> {
        let mut end = segment.steps.end;
        while end > segment.steps.start {
            let begin = end.saturating_sub(plan.chunk).max(segment.steps.start);
            self.chunk = begin..end;
            if self.is_stepwise() {
                for s in (begin..end).rev() {
                    self.change_carried(s);
                    self.piece_by_piece(&mut segment, s, s + 1, &plan)?;
                }
            } else {
                self.piece_by_piece(&mut segment, begin, end, &plan)?;
            }
            self.show();
            self.input_gradient(&segment, begin, end, plan.threads)?;
            self.show_input();
            if self.grads.is_some() {
                self.list_rows(&segment, begin, end);
                self.weight_gradients(segment.gates, plan.threads)?;
            }
            end = begin;
        }
        Ok(())
    }

    /// Whether what is carried from step to step may be changed between any two of them, so that the kernel runs one at a time.
    fn is_stepwise(&self) -> bool {
        self.clip.is_some() || self.watch.as_ref().is_some_and(|watch| watch.is_stepwise())
    }

    /// Completes dL/dh of a step by its upstream part, which the kernel then does not add any more, and has it changed.
    fn change_carried(&mut self, s: usize) {
        let (dims, d) = (self.dims, self.direction);
        let (rows, width) = (self.rows.active_at(d, s, dims), dims.features);
        if let Some((dy, grid)) = self.dy {
            let t = time(dims, d, s);
            for (row, dh) in self.dh.chunks_exact_mut(width).take(rows).enumerate() {
                dh.iter_mut().zip(&dy[grid.at(t, row)..][..width]).for_each(|(dh, dy)| *dh += dy);
            }
        }
        let dh = &mut self.dh[..rows * width];
        if let Some(clip) = self.clip {
            dh.chunks_exact_mut(width).for_each(|row| clip.apply(row));
        }
        if let Some(watch) = &mut self.watch {
            let dc = self.dc.as_deref_mut().map_or(&mut [][..], |dc| &mut dc[..rows * dims.hidden]);
            watch.carried(Carried { dims, layer: self.layer, direction: d, step: s, dh, dc });
        }
    }

    /// Shows dL/dh and dL/dc of the chunk's steps to whoever looks.
    fn show(&mut self) {
        let Some(watch) = self.watch.as_deref_mut().filter(|watch| watch.wants_steps()) else { return };
        watch.seen(Seen {
            dims: self.dims,
            layer: self.layer,
            direction: self.direction,
            steps: self.chunk.clone(),
            rows: self.rows,
            dh: self.dh_steps,
            dc: self.dc_steps,
        });
    }

    /// Shows dL/dx of the chunk's steps, once it is complete.
    fn show_input(&mut self) {
        let dims = self.dims;
        let (Some(watch), Some(dx)) = (&mut self.watch, &self.dx) else { return };
        if self.layer == 0 && self.direction + 1 == dims.directions {
            let first = first_time(dims, self.direction, &self.chunk);
            let (times, width) = (first..first + self.chunk.len(), dims.batch * dims.input);
            watch.seen_input(times.clone(), &dx[times.start * width..times.end * width]);
        }
    }

    /// The recurrence over the direction's steps `begin .. end`; `is_reset`: some rows start anew before the first of them, from a
    /// state that is given, and no row does before another.
    pub(super) fn recurrence(
        &mut self,
        segment: &mut Segment<'_>,
        begin: usize,
        end: usize,
        plan: &BackwardPlan,
        is_reset: bool,
    ) -> Result<(), Error> {
        let (dims, d) = (self.dims, self.direction);
        let (has_c, is_stepwise) = (dims.has_c, self.is_stepwise());
        let Segment { steps, gates, c, h_0, c_0 } = segment;
        let part = dims.with_steps(steps.len());
        // A kernel counts the steps that it is shown from 0, and every array has a place for each of them. Those that begin with a
        // reset have what it leads to as h_0 and c_0, and what the kernel leaves of dL/dh_0 and dL/dc_0 is its gradient.
        let (shown, h_0, c_0) = if is_reset {
            (begin..end, &*self.before_h, &*self.before_c)
        } else {
            (steps.clone(), *h_0, *c_0)
        };
        let (first, local) = (shown.start, shown.start - steps.start);
        let (chunk, of_chunk) = (dims.with_steps(self.chunk.len()), begin - self.chunk.start);
        let args = Backward {
            begin: begin - first,
            end: end - first,
            batch: dims.batch,
            dy: self.dy.filter(|_| !is_stepwise).map(|(dy, grid)| grid.read_from(dy, dims, d, first)),
            gates: Grid::time_major(&part, dims.saved * dims.hidden).write_from(gates, &part, d, local),
            y: Grid::sides(dims, d).read_from(&self.y[..dims.sides()], dims, d, first),
            h_0: Some(h_0),
            c: has_c.then(|| Grid::time_major(&part, dims.hidden).read_from(c, &part, d, local)),
            c_0: has_c.then_some(c_0),
            dh: self.dh,
            dc: self.dc.as_deref_mut(),
            dh_steps: (!self.dh_steps.is_empty()).then(|| {
                Grid::time_major(dims, dims.features).write_from(self.dh_steps, &chunk, d, of_chunk)
            }),
            dc_steps: (!self.dc_steps.is_empty())
                .then(|| Grid::time_major(dims, dims.hidden).write_from(self.dc_steps, &chunk, d, of_chunk)),
            active: self.rows.active_of(d, &shown),
            resets: self.rows.resets_of(d, &shown, dims).filter(|_| self.resets.is_none()),
            reset_h: None,
            reset_c: None,
        };
        Ok(self.stack.kernels.backward(self.packed, shown.len(), plan, args)?)
    }

    /// dx of these steps: one matmul where all rows take part, else one a step.
    fn input_gradient(
        &mut self,
        segment: &Segment<'_>,
        begin: usize,
        end: usize,
        threads: usize,
    ) -> Result<(), Error> {
        let (dims, d, input) = (self.dims, self.direction, self.dims.input);
        let (Some(dx), Some(w_ih)) = (&mut self.dx, self.packed.w_ih_transposed()) else {
            return Ok(());
        };
        let width = dims.saved * dims.hidden;
        let beta = if d == 0 { 0.0 } else { 1.0 };
        let kernels = &self.stack.kernels;
        let mut product = |t: usize, rows: usize| {
            let gates = &segment.gates[segment.local(dims, d, t) * dims.batch * width..];
            let dx = &mut dx[t * dims.batch * input..];
            let (gates, dx) = (Matrix::row_major(gates, width), MatrixMut::row_major(dx, input));
            kernels.matmul_packed(rows, gates, w_ih, beta, dx, threads)
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
    fn list_rows(&mut self, segment: &Segment<'_>, begin: usize, end: usize) {
        let (dims, d) = (self.dims, self.direction);
        let gates = Grid::time_major(dims, dims.saved * dims.hidden);
        let (input, sides) = (Grid::time_major(dims, dims.input), Grid::sides(dims, d));
        let h_0 = dims.sides() + d * dims.state();
        // Those of the row, or zeros that all rows share.
        let (anew, row) = match &self.resets {
            Some(_) => (reset_at(dims) + d * dims.state(), dims.features),
            None => (reset_at(dims), 0),
        };
        let resets = self.rows.resets(d);
        let first = first_time(dims, d, &(begin..end));
        let RowLists { gates: gate_rows, input: input_rows, h: h_rows, dh: dh_rows, .. } = &mut *self.lists;
        for list in [&mut *gate_rows, &mut *input_rows, &mut *h_rows, &mut *dh_rows] {
            list.clear();
        }
        for s in (begin..end).rev() {
            let t = time(dims, d, s);
            let before = if s == 0 { 0 } else { self.rows.active_at(d, s - 1, dims) };
            for b in 0..self.rows.active_at(d, s, dims) {
                gate_rows.push(gates.at(segment.local(dims, d, t), b));
                input_rows.push(input.at(t, b));
                dh_rows.push(((t - first) * dims.batch + b) * dims.features);
                h_rows.push(if resets.is_some_and(|resets| resets[s * dims.batch + b]) {
                    anew + b * row
                } else if b < before {
                    sides.at(time(dims, d, s - 1), b)
                } else {
                    h_0 + b * dims.features
                });
            }
        }
    }

    /// What the listed rows add to the gradients of weights and biases.
    fn weight_gradients(&mut self, gates: &[f32], threads: usize) -> Result<(), Error> {
        let (hidden, features) = (self.dims.hidden, self.dims.features);
        let Some(grads) = self.grads.as_deref_mut() else { return Ok(()) };
        let (config, kernels) = (&self.stack.config, &self.stack.kernels);
        let spec = config.spec();
        let RowLists { gates: gate_rows, input: input_rows, h: h_rows, dh: dh_rows, outer } =
            &mut *self.lists;
        let slot = |slot: usize| gates.get(slot * hidden..).unwrap_or(&[]);
        let d_ih = OuterProducts {
            m: spec.gates() * hidden,
            n: self.dims.input,
            a: gates,
            a_rows: gate_rows,
            b: self.x,
            b_rows: input_rows,
            c: grads.at_mut(self.first),
        };
        kernels.add_outer_products(d_ih, outer, threads)?;
        if config.bias {
            kernels.sum_rows(gates, gate_rows, grads.at_mut(self.first + 2))?;
        }
        for run in spec.recurrent_runs() {
            let of_run = run.gate * hidden..(run.gate + run.gates) * hidden;
            let (b, b_rows) = match run.operand {
                Operand::State => (self.y, &*h_rows),
                Operand::Saved(saved) => (slot(saved), &*gate_rows),
            };
            let d_hh = OuterProducts {
                m: of_run.len(),
                n: features,
                a: slot(run.slot),
                a_rows: gate_rows,
                b,
                b_rows,
                c: &mut grads.at_mut(self.first + 1)[of_run.start * features..of_run.end * features],
            };
            kernels.add_outer_products(d_hh, outer, threads)?;
            if config.bias {
                kernels.sum_rows(slot(run.slot), gate_rows, &mut grads.at_mut(self.first + 3)[of_run])?;
            }
        }
        if let Some(u) = spec.projected_slot() {
            let d_hr = OuterProducts {
                m: features,
                n: hidden,
                a: self.dh_steps,
                a_rows: dh_rows,
                b: slot(u),
                b_rows: gate_rows,
                c: grads.at_mut(self.first + config.parameters_a_direction() - 1),
            };
            kernels.add_outer_products(d_hr, outer, threads)?;
        }
        Ok(())
    }
}
