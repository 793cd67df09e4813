//! Forward: whole sequences and single steps for inference, and sequences recorded for training.

use super::tape::{LayerTape, Tape};
use super::{Layer, Stack, in_pool, steps_and_batch, strides};
use crate::spec::shape::{Dims, expect_len, product, resize};
use crate::spec::{Error, State, View};
use gatewise_kernels::plan::{ForwardPlan, Sizes};
use gatewise_kernels::{AlignedBuf, Caches, Forward, Seq, SeqMut, Step};

/// Room for what stands between layers during a forward pass: it grows as needed and is kept from call to call.
#[derive(Clone, Debug, Default)]
pub struct Workspace {
    /// The outputs of a layer that is not the last, for the next one: used in turn.
    between: [Vec<f32>; 2],
    scratch: AlignedBuf,
}

impl Stack {
    pub(super) fn sizes(&self, layer: &Layer, dims: &Dims) -> Sizes {
        let (cell, hidden) = (self.config.cell, dims.hidden);
        Sizes { cell, steps: dims.steps, batch: dims.batch, input: layer.input, hidden }
    }

    pub(super) fn plan(&self, layer: &Layer, dims: &Dims, threads: usize) -> ForwardPlan {
        let (sizes, lanes) = (self.sizes(layer, dims), layer.packed.lanes());
        let plan = ForwardPlan::new(sizes, lanes, Caches::detect(), threads);
        self.projection_chunk.map_or(plan, |chunk| plan.with_chunk(sizes, lanes, chunk))
    }

    /// Room for the scratch of every layer; answers the largest number of shards that a layer's rows are cut into.
    fn reserve(&self, dims: &Dims, threads: usize, scratch: &mut AlignedBuf) -> Result<usize, Error> {
        let mut shards = 1;
        for layer in &self.layers {
            let plan = self.plan(layer, dims, threads);
            scratch.reserve(plan.scratch())?;
            shards = shards.max(plan.shards);
        }
        Ok(shards)
    }

    /// A whole sequence for inference. `state` goes in as h_0, c_0 and comes out as h_n, c_n.
    pub(crate) fn forward_into(
        &self,
        x: View<'_>,
        state: &mut State,
        y: &mut [f32],
        room: &mut Workspace,
    ) -> Result<(), Error> {
        let config = &self.config;
        let (steps, batch) = steps_and_batch(config, "input", x.shape(), config.input_size)?;
        let dims = Dims::new(config, steps, batch)?;
        state.check(config, batch)?;
        expect_len("output", y.len(), dims.outputs())?;
        let threads = rayon::current_num_threads();
        let shards = self.reserve(&dims, threads, &mut room.scratch)?;
        for buffer in &mut room.between {
            resize("output", buffer, if dims.layers > 1 { dims.outputs() } else { 0 })?;
        }
        in_pool(shards, || self.run_layers(&dims, threads, x, state, y, room))?;
        state.advance();
        Ok(())
    }

    fn run_layers(
        &self,
        dims: &Dims,
        threads: usize,
        x: View<'_>,
        state: &mut State,
        y: &mut [f32],
        room: &mut Workspace,
    ) -> Result<(), Error> {
        let Workspace { between: [below, above], scratch } = room;
        let (h_0, h_n, c) = state.parts();
        for (i, layer) in self.layers.iter().enumerate() {
            let is_last = i + 1 == dims.layers;
            let of_layer = i * dims.state()..(i + 1) * dims.state();
            let x = match i {
                0 => {
                    let (step, row) = strides(&self.config, dims.steps, dims.batch, layer.input);
                    Seq { data: x.data(), offset: 0, step, row }
                }
                _ => Seq::time_major(below, dims.batch, dims.hidden),
            };
            let (step, row) = match is_last {
                true => strides(&self.config, dims.steps, dims.batch, dims.hidden),
                false => (dims.state().cast_signed(), dims.hidden),
            };
            let out = if is_last { &mut *y } else { &mut above[..] };
            let has_c = self.config.cell.has_cell_state();
            let args = Forward {
                steps: dims.steps,
                batch: dims.batch,
                x,
                h_0: Some(&h_0[of_layer.clone()]),
                c_0: None,
                y: SeqMut { data: out, offset: 0, step, row },
                c: has_c.then(|| SeqMut::in_place(&mut c[of_layer.clone()], dims.hidden)),
                gates: None,
                active: None,
                resets: None,
                reset_h: None,
                reset_c: None,
                scratch,
            };
            self.kernels.forward(&layer.packed, &self.plan(layer, dims, threads), args)?;
            let out = if is_last { &*y } else { &above[..] };
            let last = (dims.steps - 1) * step.unsigned_abs();
            for (b, h_n) in h_n[of_layer].chunks_exact_mut(dims.hidden).enumerate() {
                h_n.copy_from_slice(&out[last + b * row..][..dims.hidden]);
            }
            std::mem::swap(below, above);
        }
        Ok(())
    }

    /// One time step of a batch, [B, input_size] to [B, hidden_size]. Allocates nothing.
    pub(crate) fn step(&self, x: &[f32], state: &mut State, out: &mut [f32]) -> Result<(), Error> {
        let config = &self.config;
        let dims = Dims::new(config, 1, state.batch())?;
        state.check(config, dims.batch)?;
        expect_len("input", x.len(), product("input", &[dims.batch, config.input_size])?)?;
        expect_len("output", out.len(), dims.state())?;
        // A single row has nothing to share out.
        let threads = if dims.batch > 1 { rayon::current_num_threads() } else { 1 };
        let has_c = config.cell.has_cell_state();
        let (h_0, h_1, c) = state.parts();
        for (i, layer) in self.layers.iter().enumerate() {
            let begin = i * dims.state();
            let (below, above) = h_1.split_at_mut(begin);
            let step = Step {
                batch: dims.batch,
                x: if i == 0 { x } else { &below[begin - dims.state()..] },
                h_0: &h_0[begin..][..dims.state()],
                h_1: &mut above[..dims.state()],
                c: if has_c { &mut c[begin..][..dims.state()] } else { &mut [] },
            };
            self.kernels.step(&layer.packed, step, threads)?;
        }
        out.copy_from_slice(&h_1[dims.states() - dims.state()..]);
        state.advance();
        Ok(())
    }

    /// A whole sequence, recorded on the tape for backward.
    pub(crate) fn forward_train(
        &self,
        x: View<'_>,
        state: Option<&State>,
        tape: &mut Tape,
    ) -> Result<(), Error> {
        let config = &self.config;
        let (steps, batch) = steps_and_batch(config, "input", x.shape(), config.input_size)?;
        let dims = Dims::new(config, steps, batch)?;
        if let Some(state) = state {
            state.check(config, batch)?;
        }
        if !self.layers.iter().all(|layer| layer.packed.is_ready_for_training()) {
            let (arg, expected) = ("training", "left on when the network is built, to train it");
            return Err(Error::Config { arg, expected, got: "false".to_string() });
        }
        let threads = rayon::current_num_threads();
        let shards = self.reserve(&dims, threads, &mut tape.scratch)?;
        tape.begin(config, dims)?;
        tape.set_input(x);
        in_pool(shards, || self.record_layers(&dims, threads, state, tape))?;
        tape.finish_forward(config);
        Ok(())
    }

    fn record_layers(
        &self,
        dims: &Dims,
        threads: usize,
        state: Option<&State>,
        tape: &mut Tape,
    ) -> Result<(), Error> {
        let Tape { x, layers, scratch, .. } = tape;
        for (i, layer) in self.layers.iter().enumerate() {
            let (below, from_here) = layers.split_at_mut(i);
            let LayerTape { h, c, gates } = &mut from_here[0];
            let of_layer = i * dims.state()..(i + 1) * dims.state();
            let (h_0, h) = h.split_at_mut(dims.state());
            match state {
                Some(state) => h_0.copy_from_slice(&state.h()[of_layer.clone()]),
                None => h_0.fill(0.0),
            }
            let has_c = self.config.cell.has_cell_state();
            let (c_0, c) = c.split_at_mut(if has_c { dims.state() } else { 0 });
            match state {
                Some(state) if has_c => c_0.copy_from_slice(&state.c()[of_layer]),
                _ => c_0.fill(0.0),
            }
            let x = match below.last() {
                Some(below) => below.outputs(dims),
                None => x,
            };
            let args = Forward {
                steps: dims.steps,
                batch: dims.batch,
                x: Seq::time_major(x, dims.batch, layer.input),
                h_0: Some(h_0),
                c_0: has_c.then_some(&*c_0),
                y: SeqMut::time_major(h, dims.batch, dims.hidden),
                c: has_c.then(|| SeqMut::time_major(c, dims.batch, dims.hidden)),
                gates: Some(SeqMut::time_major(gates, dims.batch, dims.saved * dims.hidden)),
                active: None,
                resets: None,
                reset_h: None,
                reset_c: None,
                scratch,
            };
            self.kernels.forward(&layer.packed, &self.plan(layer, dims, threads), args)?;
        }
        Ok(())
    }
}
