//! Forward, recorded for training.

use super::direction::Grid;
use super::layer_tape::LayerTape;
use super::stretch::{Stretch, h_before_step, projected_steps, put_c_before};
use super::tape::{Record, Tape};
use super::upstream::{BackwardRoom, SegmentRoom};
use super::{Stack, dropout, merge};
use crate::spec::shape::Dims;
use crate::spec::{Error, Input, State};
use gatewise_kernels::SeqMut;

impl Stack {
    /// A whole sequence, recorded on the tape for backward.
    pub(crate) fn forward_train(
        &self,
        input: Input<'_>,
        state: Option<&State>,
        tape: &mut Tape,
    ) -> Result<(), Error> {
        self.check_forward(&input, self.config.input_size, state)?;
        let mut packed = self.layers.iter().flat_map(|layer| &layer.directions);
        if !packed.all(|packed| packed.is_ready_for_training()) {
            let (arg, expected) = ("training", "left on when the network is built, to train it");
            return Err(Error::Config { arg, expected, got: "false".to_string() });
        }
        self.record(input, state, tape, self.config.dropout)
    }

    /// A whole sequence, recorded with that share of dropout between layers.
    pub(super) fn record(
        &self,
        input: Input<'_>,
        state: Option<&State>,
        tape: &mut Tape,
        rate: f32,
    ) -> Result<(), Error> {
        let dims = self.check_forward(&input, self.config.input_size, state)?;
        let threads = rayon::current_num_threads();
        tape.begin(self, dims, &input, rate)?;
        let starts = [state, input.reset_state];
        self.in_pool_of(&dims, threads, || self.record_layers(&dims, starts, tape))?;
        tape.finish_forward(&self.config);
        Ok(())
    }

    /// `reset`: the state that resets lead to, if one is given.
    fn record_layers(
        &self,
        dims: &Dims,
        [state, reset]: [Option<&State>; 2],
        tape: &mut Tape,
    ) -> Result<(), Error> {
        let Tape { record: Record { x, layers, rows, segments, dropout: key, .. }, gates, gradients, .. } =
            tape;
        let BackwardRoom { scratch, segment, dropped: passed_on, before_h, .. } = &mut gradients.room;
        let SegmentRoom { h_0: h_before, gates: passed, .. } = segment;
        let has_c = dims.has_c;
        for (i, layer) in self.layers.iter().enumerate() {
            let (below, from_here) = layers.split_at_mut(i);
            let LayerTape { dims, y, merged, tracks, dropped } = &mut from_here[0];
            let dims = &*dims;
            let h_before = &mut h_before[..if segments.is_whole() { 0 } else { dims.state() }];
            let x = below.last().map_or(&x[..], |below| below.passed_on(passed_on));
            let (sides, states) = y.split_at_mut(dims.sides());
            let (states, resets) = states.split_at_mut(dims.directions * dims.state());
            for (d, (packed, track)) in layer.directions.iter().zip(tracks).enumerate() {
                let h_0 = &mut states[d * dims.state()..][..dims.state()];
                // c_0 stands behind the steps' c, or first.
                let first = if segments.is_whole() { dims.cells() } else { 0 };
                let c_0 = &mut track.c[first..][..dims.cell_state()];
                match state {
                    Some(state) => {
                        rows.gather(&state.h()[dims.state_at(d)], h_0, dims.features);
                        rows.gather(&state.c()[dims.cell_state_at(d)], c_0, dims.hidden);
                    }
                    None => {
                        h_0.fill(0.0);
                        c_0.fill(0.0);
                    }
                }
                if let Some(reset) = reset {
                    let of = dims.with_batch(reset.batch());
                    let to = &mut resets[d * dims.state()..][..dims.state()];
                    rows.gather_reset(&reset.h()[of.state_at(d)], to, dims.features);
                    rows.gather_reset(&reset.c()[of.cell_state_at(d)], &mut track.reset_c, dims.hidden);
                }
                let (stack, direction) = (self, d);
                let all = Stretch {
                    stack,
                    layer,
                    packed,
                    dims,
                    rows,
                    direction,
                    steps: 0..dims.steps,
                    x,
                    h_0,
                    c_0: None,
                    reset_h: reset.map(|_| &resets[d * dims.state()..][..dims.state()]),
                    reset_c: Some(&track.reset_c[..]).filter(|c| !c.is_empty()),
                };
                let y_grid = Grid::sides(dims, d);
                if segments.is_whole() {
                    let gates = &mut gates[i * dims.directions + d];
                    let (c, c_0) = track.c.split_at_mut(first);
                    let c_grid = Grid::time_major(dims, dims.hidden);
                    let gates_grid = Grid::time_major(dims, dims.saved * dims.hidden);
                    let (plan, mut begin) = (all.plan(), 0);
                    while begin < dims.steps {
                        let steps = begin..rows.run_end(d, begin, projected_steps(&plan), dims);
                        let mut run = Stretch { steps, c_0: has_c.then_some(&*c_0), ..all.clone() };
                        if begin > 0 {
                            h_before_step(begin, d, sides, h_0, rows, dims, &mut before_h[..dims.state()]);
                            run.h_0 = &before_h[..dims.state()];
                        }
                        if begin > 0 && has_c {
                            put_c_before(&run.steps, d, c, c_0, rows, dims);
                            run.c_0 = None;
                        }
                        run.run(
                            &plan,
                            y_grid.write_from(sides, dims, d, begin),
                            has_c.then(|| c_grid.write_from(c, dims, d, begin)),
                            Some(gates_grid.write_from(gates, dims, d, begin)),
                            scratch,
                        )?;
                        begin = run.steps.end;
                    }
                    continue;
                }
                for segment in 0..segments.count() {
                    let steps = segments.range(segment);
                    h_before_step(steps.start, d, sides, h_0, rows, dims, h_before);
                    let width = dims.cell_state();
                    let c = &mut track.c[segment * width..];
                    let c = has_c.then(|| {
                        c.copy_within(..width, width);
                        SeqMut::in_place(&mut c[width..][..width], dims.hidden)
                    });
                    let y = y_grid.write_from(sides, dims, d, steps.start);
                    let gates = self.config.spec().needs_gates();
                    let gates = gates.then(|| SeqMut::in_place(passed, dims.saved * dims.hidden));
                    let part = Stretch { steps, h_0: h_before, ..all };
                    part.run(&part.plan(), y, c, gates, scratch)?;
                }
            }
            rows.clear_padding(sides, dims, dims.side_by_side());
            if dims.is_merged() {
                rows.clear_padding(merged, dims, dims.output);
                let grid = Grid::time_major(dims, dims.output);
                merge::forward(self.config.merge, sides, merged, grid, dims, rows);
            }
            let is_dropped = key.rate > 0.0 && i + 1 < dims.layers;
            if is_dropped {
                let dropped = if segments.is_whole() { dropped } else { &mut *passed_on };
                let dropped = &mut dropped[..dims.outputs()];
                dropped.copy_from_slice(if dims.is_merged() { merged } else { sides });
                dropout::apply(dropped, key.rate, key.key(), i, dims, rows);
            }
        }
        Ok(())
    }
}
