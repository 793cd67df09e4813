//! Back-propagation through time: layer by layer from the top, and in each layer direction by direction.

use super::direction::Grid;
use super::gradients::DirectionJob;
use super::layer::first_parameter;
use super::tape::{BackwardRoom, LayerTape, Tape, Upstream};
use super::{Stack, dropout, in_pool, steps_and_batch};
use crate::spec::shape::{Dims, expect, expect_len, resize};
use crate::spec::{Error, Tensors};
use gatewise_kernels::plan::BackwardPlan;

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
        self.check_tape(tape, &dims)?;
        params.check_alike(grads)?;
        if let Some(output) = upstream.output {
            let shape = output.shape();
            let (steps, batch) = steps_and_batch(config, "grad_output", shape, dims.output_size())?;
            expect("grad_output", "sequence length", steps, dims.steps)?;
            expect("grad_output", "batch size", batch, dims.batch)?;
        }
        for (arg, grad, expected) in [
            ("grad_h_n", upstream.h_n, dims.states()),
            ("grad_c_n", upstream.c_n, if config.cell.has_cell_state() { dims.states() } else { 0 }),
        ] {
            expect_len(arg, grad.map_or(expected, <[f32]>::len), expected)?;
        }
        let what = "the tape";
        let is_moved = tape.rows.is_permuted() || config.batch_first;
        let needs_room = dims.layers > 1 || tape.rows.is_permuted() || config.batch_first;
        let widest = if needs_room { dims.outputs().max(dims.input(config.input_size)) } else { 0 };
        for buffer in &mut tape.room.between {
            resize(what, buffer, widest)?;
        }
        resize(what, &mut tape.room.dh, dims.state())?;
        resize(what, &mut tape.room.dc, dims.state())?;
        let grad_input = if upstream.input_grad { dims.input(config.input_size) } else { 0 };
        resize(what, &mut tape.grad_input, grad_input)?;

        tape.has_grad_input = upstream.input_grad;
        let threads = rayon::current_num_threads();
        let shards = |layer| BackwardPlan::new(self.sizes(layer, &dims), threads).shards;
        let most = self.layers.iter().map(shards).max().unwrap_or(1);
        tape.consume();
        in_pool(most, || self.back_through_layers(&dims, threads, tape, upstream, grads))?;
        if is_moved && upstream.input_grad {
            let Tape { room, grad_input, rows, .. } = tape;
            let from = &mut room.between[0][..grad_input.len()];
            from.copy_from_slice(grad_input);
            rows.scatter_sequence(from, grad_input, &dims, config.input_size, config.batch_first);
        }
        Ok(())
    }

    /// Whether a network like this one recorded the tape.
    fn check_tape(&self, tape: &Tape, dims: &Dims) -> Result<(), Error> {
        let config = &self.config;
        let has_c = config.cell.has_cell_state() && dims.batch > 0;
        let is_ours = *dims == Dims::new(config, dims.steps, dims.batch)?
            && tape.x.len() == dims.input(config.input_size)
            && tape.layers.iter().flat_map(|layer| &layer.tracks).all(|track| track.c.is_empty() != has_c);
        if is_ours {
            return Ok(());
        }
        let (arg, expected) = ("tape", "one that this network recorded");
        Err(Error::Config { arg, expected, got: "another network's".to_string() })
    }

    fn back_through_layers(
        &self,
        dims: &Dims,
        threads: usize,
        tape: &mut Tape,
        upstream: Upstream<'_>,
        grads: &mut Tensors,
    ) -> Result<(), Error> {
        let Tape { x, layers, grad_input, grad_h_0, grad_c_0, room, rows, dropout, .. } = tape;
        let BackwardRoom { between, dh, dc, lists } = room;
        let config = &self.config;
        let has_c = config.cell.has_cell_state();
        // The gradient of the outputs stands where the caller has it, unless rows have to move first.
        if let (true, Some(output)) = (rows.is_permuted(), upstream.output) {
            let (from, to) = (output.data(), &mut between[0]);
            rows.gather_sequence(from, to, dims, dims.output_size(), config.batch_first);
        }
        for (i, layer) in self.layers.iter().enumerate().rev() {
            let (below, from_here) = layers.split_at_mut(i);
            let LayerTape { y, tracks, .. } = &mut from_here[0];
            let is_top = i + 1 == dims.layers;
            let [dy, below_dy] = &mut *between;
            let (dy, dy_grid) = match upstream.output {
                Some(output) if is_top && !rows.is_permuted() => {
                    let grid = Grid::layout(dims, dims.output_size(), config.batch_first);
                    (Some(output.data()), grid)
                }
                None if is_top => (None, Grid::time_major(dims, 0)),
                _ => (Some(&dy[..dims.outputs()]), Grid::time_major(dims, dims.output_size())),
            };
            let (x, dx) = match below.last() {
                Some(below) => (below.passed_on(dims), &mut below_dy[..dims.outputs()]),
                None => (&x[..], &mut grad_input[..]),
            };
            let wants_dx = i > 0 || upstream.input_grad;
            for (d, (packed, track)) in layer.directions.iter().zip(tracks).enumerate() {
                let of_state = dims.state_at(i, d);
                for (from, to) in [(upstream.h_n, &mut *dh), (upstream.c_n, &mut *dc)] {
                    match from {
                        Some(from) if !from.is_empty() => {
                            rows.gather(&from[of_state.clone()], to, dims.hidden);
                        }
                        _ => to.fill(0.0),
                    }
                }
                DirectionJob {
                    stack: self,
                    packed,
                    dims,
                    rows,
                    direction: d,
                    x,
                    input: layer.input,
                    dx: wants_dx.then_some(&mut *dx),
                    dy: dy.map(|dy| dy_grid.part(dims, d).read(dy, dims, d)),
                    dh,
                    dc: has_c.then_some(&mut dc[..]),
                    y,
                    track,
                    grads,
                    first: first_parameter(config, i, d),
                    lists,
                }
                .run(BackwardPlan::new(self.sizes(layer, dims), threads))?;
                rows.scatter(dh, &mut grad_h_0[of_state.clone()], dims.hidden);
                if has_c {
                    rows.scatter(dc, &mut grad_c_0[of_state], dims.hidden);
                }
            }
            if i > 0 && config.dropout > 0.0 {
                dropout::apply(dx, config.dropout, dropout.key(), i - 1, dims, rows);
            }
            between.swap(0, 1);
        }
        Ok(())
    }
}
