//! Back-propagation through time: layer by layer from the top, and in each layer direction by direction.

use super::direction::Grid;
use super::gradients::{DirectionJob, Saved};
use super::layer::first_parameter;
use super::layer_tape::LayerTape;
use super::resets::Resets;
use super::tape::{Record, Tape};
use super::upstream::{BackwardRoom, Gradients, Upstream};
use super::watch::{WatchRoom, Watched, begin_watch};
use super::{Stack, dropout, merge, steps_and_batch};
use crate::spec::shape::{Dims, expect, expect_len, resize, resize_list};
use crate::spec::{Config, Error, Tensors};
use gatewise_kernels::plan::BackwardPlan;

/// Where the gate values that backward turns into gradients are.
enum Gates<'a> {
    /// On the tape, to be overwritten.
    InPlace(&'a mut [Vec<f32>]),
    /// On the tape, to be kept: the gradients go to storage of their own. None where time is cut into segments.
    Kept(&'a [Vec<f32>]),
}

impl Stack {
    /// Consumes the tape's record, adds to `grads`, and leaves dL/dx and dL/d(h_0, c_0) on the tape.
    pub(crate) fn backward(
        &self,
        params: &Tensors,
        tape: &mut Tape,
        upstream: Upstream<'_>,
        grads: &mut Tensors,
        watched: Option<Watched<'_>>,
    ) -> Result<(), Error> {
        let dims = self.check_backward(params, &tape.record, &upstream, Some(&*grads))?;
        let rows = self.begin_backward(&dims, &tape.record, &upstream, &mut tape.gradients)?;
        let watched = begin_watch(watched, &dims.widest(&self.config), rows)?;
        tape.consume();
        let Tape { record, gates, gradients, .. } = tape;
        self.back(&dims, record, Gates::InPlace(gates), upstream, gradients, Some(grads), watched)
    }

    /// Adds to `grads`, if there are any, and leaves dL/dx and dL/d(h_0, c_0) in `gradients`; the tape stays as it is.
    pub(crate) fn backward_keep(
        &self,
        params: &Tensors,
        tape: &Tape,
        upstream: Upstream<'_>,
        gradients: &mut Gradients,
        grads: Option<&mut Tensors>,
        watched: Option<Watched<'_>>,
    ) -> Result<(), Error> {
        let dims = self.check_backward(params, &tape.record, &upstream, grads.as_deref())?;
        resize_list("the gradients", &mut gradients.gates, tape.gates.len())?;
        for (to, from) in gradients.gates.iter_mut().zip(&tape.gates) {
            resize("the gradients", to, from.len())?;
        }
        let rows = self.begin_backward(&dims, &tape.record, &upstream, gradients)?;
        let watched = begin_watch(watched, &dims.widest(&self.config), rows)?;
        self.back(&dims, &tape.record, Gates::Kept(&tape.gates), upstream, gradients, grads, watched)
    }

    /// Makes room for everything that a pass works with, for the pool it runs in: once gradients are added to, no allocation may
    /// fail. Answers the most rows of a time chunk.
    fn begin_backward(
        &self,
        dims: &Dims,
        record: &Record,
        upstream: &Upstream<'_>,
        gradients: &mut Gradients,
    ) -> Result<usize, Error> {
        let (segments, threads) = (record.segments, rayon::current_num_threads());
        gradients.forget();
        if !segments.is_whole() {
            let part = dims.with_steps(segments.len);
            gradients.room.scratch.reserve(self.forward_scratch(&part, threads))?;
        }
        let (rows, m, n) = self.longest_sum(dims, segments, threads);
        let lists = &mut gradients.room.lists;
        self.kernels.reserve_outer(&mut lists.outer, rows, m, n)?;
        lists.reserve(rows)?;
        let (is_moved, reset_rows) = (is_moved(&self.config, record), record.rows.reset_rows());
        gradients.begin(&self.config, dims, segments, rows, is_moved, reset_rows, upstream.input_grad)?;
        Ok(rows)
    }

    /// The sizes of a backward pass, if all its arguments fit.
    fn check_backward(
        &self,
        params: &Tensors,
        record: &Record,
        upstream: &Upstream<'_>,
        grads: Option<&Tensors>,
    ) -> Result<Dims, Error> {
        let config = &self.config;
        let dims = record.dims()?;
        self.check_record(record, &dims)?;
        grads.map_or(Ok(()), |grads| params.check_alike(grads))?;
        upstream.clip.map_or(Ok(()), |clip| clip.check())?;
        if let Some(output) = upstream.output {
            let shape = output.shape();
            let (steps, batch) = steps_and_batch(config, "grad_output", shape, dims.output)?;
            expect("grad_output", "sequence length", steps, dims.steps)?;
            expect("grad_output", "batch size", batch, dims.batch)?;
        }
        for (arg, grad, expected) in
            [("grad_h_n", upstream.h_n, dims.states()), ("grad_c_n", upstream.c_n, dims.cell_states())]
        {
            expect_len(arg, grad.map_or(expected, <[f32]>::len), expected)?;
        }
        Ok(dims)
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "the record, where its gates are, what goes in and out, who looks"
    )]
    fn back(
        &self,
        dims: &Dims,
        record: &Record,
        gates: Gates<'_>,
        upstream: Upstream<'_>,
        out: &mut Gradients,
        grads: Option<&mut Tensors>,
        watched: Option<Watched<'_>>,
    ) -> Result<(), Error> {
        let config = &self.config;
        let threads = rayon::current_num_threads();
        self.in_pool_of(dims, threads, || {
            self.back_through_layers(dims, threads, record, gates, upstream, out, grads, watched)
        })?;
        if is_moved(config, record) && upstream.input_grad {
            let Gradients { room, input, .. } = out;
            let from = &mut room.between[0][..input.len()];
            from.copy_from_slice(input);
            record.rows.scatter_sequence((from, input), dims, config.input_size, config.batch_first, 1);
        }
        Ok(())
    }

    /// Whether this network, or a clone of it, recorded the tape, with the parameters that it has now.
    pub(super) fn check_record(&self, record: &Record, dims: &Dims) -> Result<(), Error> {
        let config = &self.config;
        let new = Dims::new(config, dims.steps, dims.batch)?;
        let mut layers = record.layers.iter().enumerate();
        let is_ours = *dims == new && layers.all(|(i, layer)| layer.dims == new.of(config, i));
        let (arg, mut expected, mut got) = ("tape", "one that this network recorded", "another network's");
        if is_ours && record.stamp == self.stamp {
            return Ok(());
        }
        if is_ours {
            (expected, got) = ("recorded with the present parameters", "recorded with others");
        }
        Err(Error::Config { arg, expected, got: got.to_string() })
    }

    #[allow(clippy::too_many_arguments, reason = "the record, where its gates are, and what goes in and out")]
    fn back_through_layers(
        &self,
        dims: &Dims,
        threads: usize,
        record: &Record,
        mut gates: Gates<'_>,
        upstream: Upstream<'_>,
        out: &mut Gradients,
        mut grads: Option<&mut Tensors>,
        mut watched: Option<Watched<'_>>,
    ) -> Result<(), Error> {
        let Record { x, layers, rows, dropout, segments, .. } = record;
        let Gradients { input: grad_input, h_0: grad_h_0, c_0: grad_c_0, gates: kept, room, .. } = out;
        let (grad_reset_h, grad_reset_c) = (&mut out.reset_h, &mut out.reset_c);
        let BackwardRoom { between, dh, dc, dh_steps, of_side, lists, segment, dropped, scratch, .. } = room;
        let (before_h, before_c) = (&mut room.before_h, &mut room.before_c);
        let config = &self.config;
        let are_joined = watched.as_ref().is_none_or(|watched| watched.watch.joins_layers());
        // The gradient of the outputs stands where the caller has it, unless rows have to move first.
        if let (true, Some(output)) = (rows.is_permuted(), upstream.output) {
            let (from, to) = (output.data(), &mut between[0]);
            rows.gather_sequence((from, to), dims, dims.output, config.batch_first, threads);
        }
        for (i, layer) in self.layers.iter().enumerate().rev() {
            let (below, own) = (layers[..i].last(), &layers[i]);
            let LayerTape { dims, y, tracks, .. } = own;
            if let (false, Some(below), false) = (segments.is_whole(), below, dropped.is_empty()) {
                let dropped = &mut dropped[..below.dims.outputs()];
                dropped.copy_from_slice(below.outputs());
                dropout::apply(dropped, dropout.rate, dropout.key(), i - 1, &below.dims, rows);
            }
            let is_top = i + 1 == dims.layers;
            let [dy, below_dy] = &mut *between;
            let (dy, dy_grid) = match upstream.output {
                Some(output) if is_top && !rows.is_permuted() => {
                    let grid = Grid::layout(dims, dims.output, config.batch_first);
                    (Some(output.data()), grid)
                }
                None if is_top => (None, Grid::time_major(dims, 0)),
                _ => (Some(&dy[..dims.outputs()]), Grid::time_major(dims, dims.output)),
            };
            let dy = dy.filter(|_| are_joined);
            let (x, dx) = match below {
                Some(below) => (below.passed_on(dropped), &mut below_dy[..below.dims.outputs()]),
                None => (&x[..], &mut grad_input[..]),
            };
            let wants_dx = are_joined && (i > 0 || upstream.input_grad);
            for (d, (packed, track)) in layer.directions.iter().zip(tracks).enumerate() {
                let (of_h, of_c) = (dims.state_at(d), dims.cell_state_at(d));
                let (dh, dc) = (&mut dh[..dims.state()], &mut dc[..dims.cell_state()]);
                let place = i * dims.directions + d;
                let saved = match &mut gates {
                    _ if !segments.is_whole() => {
                        Saved::Cut { layer, segments: *segments, room: &mut *segment, scratch }
                    }
                    Gates::InPlace(gates) => Saved::Whole(&mut gates[place]),
                    Gates::Kept(gates) => {
                        kept[place].copy_from_slice(&gates[place]);
                        Saved::Whole(&mut kept[place])
                    }
                };
                for (from, of_state, width, to) in [
                    (upstream.h_n, &of_h, dims.features, &mut *dh),
                    (upstream.c_n, &of_c, dims.hidden, &mut *dc),
                ] {
                    match from {
                        Some(from) => rows.gather(&from[of_state.clone()], to, width),
                        None => to.fill(0.0),
                    }
                }
                let (watch, room) = match &mut watched {
                    Some(Watched { watch, room }) => (Some(&mut **watch), Some(&mut **room)),
                    None => (None, None),
                };
                let (seen_dh, seen_dc) = match room {
                    Some(WatchRoom { dh, dc }) => (&mut dh[..], &mut dc[..]),
                    None => (&mut [][..], &mut [][..]),
                };
                let dy = match dy {
                    Some(dy) if dims.is_merged() && merge::changes_gradient(config.merge) => {
                        let sides = &y[..dims.sides()];
                        merge::backward(config.merge, sides, (dy, dy_grid), d, of_side, dims, rows);
                        Some((&of_side[..], Grid::time_major(dims, dims.features)))
                    }
                    dy => dy.map(|dy| (dy, dy_grid.part(dims, d))),
                };
                let resets = own.reset_h(d, rows).zip(rows.reset_rows()).map(|(h, count)| {
                    let of = dims.with_batch(count);
                    Resets {
                        h,
                        c: &track.reset_c,
                        dh: &mut grad_reset_h[of.state_at(d)],
                        dc: &mut grad_reset_c[of.cell_state_at(d)],
                    }
                });
                DirectionJob {
                    stack: self,
                    packed,
                    dims,
                    rows,
                    direction: d,
                    x,
                    dx: wants_dx.then_some(&mut *dx),
                    dy,
                    dh,
                    resets,
                    before_h: &mut before_h[..dims.state()],
                    before_c: &mut before_c[..dims.cell_state()],
                    dc: dims.has_c.then_some(&mut *dc),
                    dh_steps: if dh_steps.is_empty() { seen_dh } else { dh_steps },
                    dc_steps: seen_dc,
                    chunk: 0..0,
                    clip: upstream.clip,
                    watch,
                    layer: i,
                    y,
                    track,
                    grads: grads.as_deref_mut(),
                    first: first_parameter(config, i, d),
                    lists,
                }
                .run(BackwardPlan::new(self.sizes(layer, dims), threads), saved)?;
                rows.scatter(dh, &mut grad_h_0[of_h], dims.features);
                rows.scatter(dc, &mut grad_c_0[of_c], dims.hidden);
            }
            if let (Some(below), true) = (below, dropout.rate > 0.0) {
                dropout::apply(dx, dropout.rate, dropout.key(), i - 1, &below.dims, rows);
            }
            between.swap(0, 1);
        }
        Ok(())
    }
}

/// Whether rows or axes stand elsewhere on the tape than where the caller has them.
fn is_moved(config: &Config, record: &Record) -> bool {
    config.batch_first || record.rows.is_permuted()
}
