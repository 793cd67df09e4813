//! Inference over whole sequences.

use super::arrange::Arrangement;
use super::direction::{Grid, last_time, time};
use super::stretch::projected_steps;
use super::{Layer, Source, Stack, in_pool, merge, steps_and_batch};
use crate::spec::shape::{Dims, expect_len, resize, resize_list};
use crate::spec::{Error, Input, State};
use gatewise_kernels::plan::{ForwardPlan, Projection, Sizes};
use gatewise_kernels::{AlignedBuf, Caches, Forward, Seq, SeqMut};

/// Room for what stands between layers during a forward pass: it grows as needed and is kept from call to call.
///
/// # Examples
/// ```
/// use gatewise::{Gru, View, Workspace};
///
/// let (gru, x) = (Gru::builder(2, 3).num_layers(2).build()?, View::new(&[0.5; 4 * 2], [4, 1, 2])?);
/// let (mut workspace, mut y) = (Workspace::default(), [0.0; 4 * 3]); // four steps of one row
/// for _ in 0..2 {
///     gru.forward_into(x, &mut gru.zero_state(1)?, &mut y, &mut workspace)?; // the second time nothing grows
///     assert_eq!(gru.forward(x, None)?.0.data(), y);
/// }
/// # Ok::<(), gatewise::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Workspace {
    /// Some steps of the input with its rows in their places, if these are not where they came.
    x: Vec<f32>,
    /// Some steps of the output, likewise.
    y: Vec<f32>,
    /// The outputs of a layer, for the next one: used in turn.
    between: [Vec<f32>; 2],
    /// h of both directions of the layer at hand, side by side, where they are merged into one.
    sides: Vec<f32>,
    /// The state of the layer and direction at hand, rows in their places.
    h: Vec<f32>,
    c: Vec<f32>,
    /// The state that resets lead to, likewise, where one is given.
    reset_h: Vec<f32>,
    reset_c: Vec<f32>,
    /// Its gates, in one place for all steps, if its cell passes something on there.
    gates: Vec<f32>,
    /// The tokens of the direction at hand in its order, rows in their places.
    tokens: Vec<usize>,
    scratch: AlignedBuf,
    rows: Arrangement,
}

/// Floats that are moved to their rows' places at a time: few enough to be in the L2 cache when the kernel meets them, and enough
/// for the kernel to be worth its call.
const MOVED: usize = 1 << 15;
/// As many times more for each thread, where there are several: those that wait while rows are moved fall asleep.
const MOVED_FOR_A_THREAD: usize = 4;

/// Steps of so many: whole chunks of the projection.
fn moved_steps(plan: &ForwardPlan, dims: &Dims, input: usize) -> usize {
    let moved = if plan.shards > 1 { MOVED * MOVED_FOR_A_THREAD * plan.shards } else { MOVED };
    let steps = moved.div_ceil((dims.batch * input.max(dims.features)).max(1));
    let chunk = match plan.projection {
        Projection::Fused => 1,
        Projection::Chunked { chunk } => chunk.max(1),
    };
    steps.checked_next_multiple_of(chunk).unwrap_or(dims.steps).min(dims.steps)
}

impl Stack {
    pub(super) fn sizes(&self, layer: &Layer, dims: &Dims) -> Sizes {
        let (cell, hidden) = (self.config.cell, layer.directions[0].hidden_size());
        Sizes { cell, steps: dims.steps, batch: dims.batch, input: layer.input, hidden }
    }

    pub(super) fn plan(&self, layer: &Layer, dims: &Dims, threads: usize) -> ForwardPlan {
        self.plan_of(layer, layer.input, dims, threads)
    }

    /// The plan of a layer of whose input so many features are multiplied.
    fn plan_of(&self, layer: &Layer, input: usize, dims: &Dims, threads: usize) -> ForwardPlan {
        let (sizes, lanes) = (Sizes { input, ..self.sizes(layer, dims) }, layer.directions[0].lanes());
        let plan = ForwardPlan::new(sizes, lanes, Caches::detect(), threads);
        self.projection_chunk.map_or(plan, |chunk| plan.with_chunk(sizes, lanes, chunk))
    }

    /// Room for the scratch of every layer, of whose inputs so many features are multiplied; answers the largest number of threads
    /// that a layer is shared out to.
    fn reserve(
        &self,
        inputs: impl Fn(usize) -> usize,
        dims: &Dims,
        threads: usize,
        scratch: &mut AlignedBuf,
    ) -> Result<usize, Error> {
        let mut most = 1;
        for (i, layer) in self.layers.iter().enumerate() {
            let plan = self.plan_of(layer, inputs(i), dims, threads);
            scratch.reserve(plan.scratch())?;
            most = most.max(plan.shards).max(plan.slices);
        }
        Ok(most)
    }

    /// The sizes of a forward pass over that many features, if all its arguments fit.
    pub(super) fn check_forward(
        &self,
        input: &Input<'_>,
        features: usize,
        state: Option<&State>,
    ) -> Result<Dims, Error> {
        let shape = input.sequence.shape();
        let (steps, batch) = steps_and_batch(&self.config, "input", shape, features)?;
        let dims = Dims::new(&self.config, steps, batch)?;
        if let Some(state) = state {
            state.check(&self.config, batch)?;
        }
        if let Some(state) = input.reset_state {
            state.check_reset(&self.config, batch)?;
        }
        Arrangement::check(input, &dims)?;
        Ok(dims)
    }

    /// A whole sequence for inference. `state` goes in as h_0, c_0 and comes out as h_n, c_n.
    pub(crate) fn forward_into(
        &self,
        source: Source<'_>,
        state: &mut State,
        y: &mut [f32],
        room: &mut Workspace,
    ) -> Result<(), Error> {
        let dims = self.check_source(&source, state)?;
        expect_len("output", y.len(), dims.outputs())?;
        let (threads, input) = (rayon::current_num_threads(), &source.input);
        let inputs = |layer| source.features(self, layer);
        let shards = self.reserve(inputs, &dims, threads, &mut room.scratch)?;
        let is_ragged = input.lengths.is_some();
        let is_direct = dims.layers == 1 && !(is_ragged && dims.is_merged());
        let widest = dims.widest(&self.config);
        for buffer in &mut room.between {
            resize("output", buffer, if is_direct { 0 } else { widest.outputs() })?;
        }
        resize("output", &mut room.sides, if dims.is_merged() { widest.sides() } else { 0 })?;
        let ends = [0, dims.layers - 1].map(|layer| {
            let (input, dims) = (inputs(layer), dims.of(&self.config, layer));
            let steps = moved_steps(&self.plan_of(&self.layers[layer], input, &dims, threads), &dims, input);
            dims.with_steps(if is_ragged { steps } else { 0 })
        });
        resize("input", &mut room.x, ends[0].sequence(inputs(0)))?;
        resize("output", &mut room.y, ends[1].sequence(ends[1].features))?;
        resize("h_0", &mut room.h, widest.state())?;
        resize("c_0", &mut room.c, widest.cell_state())?;
        let of_reset = if input.reset_state.is_some() { widest } else { widest.with_batch(0) };
        resize("reset_h", &mut room.reset_h, of_reset.state())?;
        resize("reset_c", &mut room.reset_c, of_reset.cell_state())?;
        let gates =
            if self.config.spec().needs_gates() { dims.batch * widest.hidden * dims.saved } else { 0 };
        resize("the gates", &mut room.gates, gates)?;
        let tokens = source.picked.map_or(0, |_| dims.sequence(1));
        resize_list("tokens", &mut room.tokens, tokens)?;
        room.rows.set(input, &dims)?;
        in_pool(shards, || self.run_layers(&dims, threads, &source, state, y, room))?;
        state.advance();
        Ok(())
    }

    fn run_layers(
        &self,
        dims: &Dims,
        threads: usize,
        source: &Source<'_>,
        state: &mut State,
        y: &mut [f32],
        room: &mut Workspace,
    ) -> Result<(), Error> {
        let Workspace { x: moved_x, y: moved_y, between, sides, h, c, reset_h, reset_c, gates, .. } = room;
        let (input, tokens) = (&source.input, &mut room.tokens);
        let (scratch, rows, [below, above]) = (&mut room.scratch, &room.rows, between);
        let batch_first = self.config.batch_first;
        let is_permuted = rows.is_permuted();
        if rows.is_ragged() && !is_permuted {
            y.fill(0.0);
        }
        let has_c = dims.has_c;
        let (h_0, h_n, cells, _) = state.split();
        for (i, layer) in self.layers.iter().enumerate() {
            let dims = &dims.of(&self.config, i);
            let (h, c) = (&mut h[..dims.state()], &mut c[..dims.cell_state()]);
            // The last layer writes where the caller wants the outputs, unless the rows have to move first: some steps at a time
            // while they are in the cache, or all of them after the merge of two directions.
            let is_last = i + 1 == dims.layers;
            let (picked, width) = (source.picked.filter(|_| i == 0), source.features(self, i));
            let moves_x = is_permuted && i == 0 && picked.is_none();
            let moves_y = is_permuted && is_last && !dims.is_merged();
            let is_direct = is_last && (!is_permuted || moves_y);
            let (from, from_grid) = match i {
                0 => (input.sequence.data(), Grid::layout(dims, width, batch_first)),
                _ => (&below[..], Grid::time_major(dims, width)),
            };
            let to_grid = match is_direct {
                true => Grid::layout(dims, dims.output, batch_first),
                false => Grid::time_major(dims, dims.output),
            };
            for (d, packed) in layer.directions.iter().enumerate() {
                let (of_h, of_c) = (dims.state_at(d), dims.cell_state_at(d));
                let (plan, mut begin) = (self.plan_of(layer, width, dims, threads), 0);
                let to_grid = if dims.is_merged() { Grid::sides(dims, d) } else { to_grid.part(dims, d) };
                // Where h of a place stands in what this layer has written.
                let h_at = |t: usize, place: usize| {
                    let row = if moves_y { rows.row(place) } else { place };
                    to_grid.at(t, row)..to_grid.at(t, row) + dims.features
                };
                rows.gather(&h_0[of_h.clone()], h, dims.features);
                rows.gather(&cells[of_c.clone()], c, dims.hidden);
                let resets = input.reset_state.map(|state| {
                    let of = dims.with_batch(state.batch());
                    let (h, c) = (&mut reset_h[..dims.state()], &mut reset_c[..dims.cell_state()]);
                    rows.gather_reset(&state.h()[of.state_at(d)], h, dims.features);
                    rows.gather_reset(&state.c()[of.cell_state_at(d)], c, dims.hidden);
                    (&*h, &*c)
                });
                let to = match is_direct {
                    _ if dims.is_merged() => &mut sides[..],
                    true => &mut *y,
                    false => &mut above[..],
                };
                let moved = if moves_x || moves_y { moved_steps(&plan, dims, width) } else { dims.steps };
                if let Some(picked) = picked {
                    rows.gather_tokens(picked.ids, Grid::layout(dims, 1, batch_first), tokens, dims, d);
                }
                while begin < dims.steps {
                    let end = rows.run_end(d, begin, projected_steps(&plan), dims);
                    let steps = begin..end.min(begin.saturating_add(moved));
                    let count = rows.rows_of(d, &steps, dims);
                    if let Some(before) = begin.checked_sub(1) {
                        let t = time(dims, d, before);
                        let went_on = h.chunks_exact_mut(dims.features).take(rows.active_at(d, before, dims));
                        for (place, h) in went_on.enumerate() {
                            h.copy_from_slice(&to[h_at(t, place)]);
                        }
                    }
                    let flags = rows.resets_of(d, &steps, dims);
                    let resets = resets.filter(|_| flags.is_some());
                    let x = if moves_x {
                        rows.gather_steps(
                            (from, from_grid),
                            moved_x,
                            dims,
                            width,
                            (d, steps.clone()),
                            plan.shards,
                        );
                        Seq::time_major(moved_x, dims.batch, width)
                    } else {
                        from_grid.read_from(from, dims, d, begin)
                    };
                    let y = if moves_y {
                        SeqMut::time_major(moved_y, dims.batch, dims.features)
                    } else {
                        to_grid.write_from(to, dims, d, begin)
                    };
                    let args = Forward {
                        steps: steps.len(),
                        batch: count,
                        x,
                        h_0: Some(&h[..count * dims.features]),
                        c_0: None,
                        y,
                        c: has_c.then(|| SeqMut::in_place(c, dims.hidden)),
                        gates: self
                            .config
                            .spec()
                            .needs_gates()
                            .then(|| SeqMut::in_place(gates, dims.hidden * dims.saved)),
                        active: rows.active_of(d, &steps),
                        resets: flags,
                        reset_h: resets.map(|(h, _)| &h[..count * dims.features]),
                        reset_c: resets.filter(|_| has_c).map(|(_, c)| &c[..count * dims.hidden]),
                        scratch,
                    };
                    match picked {
                        None => self.kernels.forward(packed, &plan, args)?,
                        Some(picked) => {
                            let rows = picked.rows(d, &tokens[begin * dims.batch..], dims.batch);
                            self.kernels.forward_rows(packed, &plan, rows, args)?;
                        }
                    }
                    begin = steps.end;
                    if moves_y {
                        rows.scatter_steps(
                            moved_y,
                            (to, to_grid),
                            dims,
                            dims.features,
                            (d, steps),
                            plan.shards,
                        );
                    }
                }
                let to = match is_direct {
                    _ if dims.is_merged() => &sides[..],
                    true => &*y,
                    false => &above[..],
                };
                for (place, h) in h.chunks_exact_mut(dims.features).enumerate() {
                    if let Some(t) = last_time(rows.length(place, dims), d) {
                        h.copy_from_slice(&to[h_at(t, place)]);
                    }
                }
                rows.scatter(h, &mut h_n[of_h], dims.features);
                rows.scatter(c, &mut cells[of_c], dims.hidden);
            }
            if dims.is_merged() {
                let to = if is_direct { &mut *y } else { &mut above[..] };
                merge::forward(self.config.merge, sides, to, to_grid, dims, rows);
            }
            std::mem::swap(below, above);
        }
        if is_permuted && dims.is_merged() {
            rows.scatter_sequence((below, y), dims, dims.output, batch_first, threads);
        }
        Ok(())
    }

    /// The state of all zeros for a batch.
    pub(crate) fn zero_state(&self, batch: usize) -> Result<State, Error> {
        State::zero(&self.state_shape, &self.config, batch)
    }
}
