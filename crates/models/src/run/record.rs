//! Forward, recorded for training.

use super::direction::Grid;
use super::tape::{LayerTape, Record, Tape};
use super::{Stack, dropout, in_pool};
use crate::spec::shape::Dims;
use crate::spec::{Error, Input, State};
use gatewise_kernels::Forward;

impl Stack {
    /// A whole sequence, recorded on the tape for backward.
    pub(crate) fn forward_train(
        &self,
        input: Input<'_>,
        state: Option<&State>,
        tape: &mut Tape,
    ) -> Result<(), Error> {
        let config = &self.config;
        let dims = self.check_forward(&input, state)?;
        let mut packed = self.layers.iter().flat_map(|layer| &layer.directions);
        if !packed.all(|packed| packed.is_ready_for_training()) {
            let (arg, expected) = ("training", "left on when the network is built, to train it");
            return Err(Error::Config { arg, expected, got: "false".to_string() });
        }
        let threads = rayon::current_num_threads();
        let shards = self.reserve(&dims, threads, &mut tape.scratch)?;
        tape.begin(config, dims, &input)?;
        in_pool(shards, || self.record_layers(&dims, threads, &input, state, tape))?;
        tape.finish_forward(config);
        Ok(())
    }

    fn record_layers(
        &self,
        dims: &Dims,
        threads: usize,
        input: &Input<'_>,
        state: Option<&State>,
        tape: &mut Tape,
    ) -> Result<(), Error> {
        let Tape { record: Record { x, layers, rows, .. }, gates, scratch, .. } = tape;
        let has_c = self.config.cell.has_cell_state();
        for (i, layer) in self.layers.iter().enumerate() {
            let (below, from_here) = layers.split_at_mut(i);
            let LayerTape { y, tracks, dropped } = &mut from_here[0];
            let x = below.last().map_or(&x[..], |below| below.passed_on(dims));
            let (outputs, states) = y.split_at_mut(dims.outputs());
            for (d, (packed, track)) in layer.directions.iter().zip(tracks).enumerate() {
                let of_state = dims.state_at(i, d);
                let gates = &mut gates[i * dims.directions + d];
                let h_0 = &mut states[dims.state_at(0, d)];
                let (c, c_0) = track.c.split_at_mut(if has_c { dims.cells() } else { 0 });
                match state {
                    Some(state) => {
                        rows.gather(&state.h()[of_state.clone()], h_0, dims.hidden);
                        if has_c {
                            rows.gather(&state.c()[of_state], c_0, dims.hidden);
                        }
                    }
                    None => {
                        h_0.fill(0.0);
                        c_0.fill(0.0);
                    }
                }
                let unit_grid = Grid::time_major(dims, dims.hidden);
                let args = Forward {
                    steps: dims.steps,
                    batch: dims.batch,
                    x: Grid::time_major(dims, layer.input).read(x, dims, d),
                    h_0: Some(h_0),
                    c_0: has_c.then_some(&*c_0),
                    y: Grid::outputs(dims, d).write(outputs, dims, d),
                    c: has_c.then(|| unit_grid.write(c, dims, d)),
                    gates: Some(Grid::time_major(dims, dims.saved * dims.hidden).write(gates, dims, d)),
                    active: rows.active(d),
                    resets: rows.resets(d),
                    reset_h: None,
                    reset_c: None,
                    scratch,
                };
                self.kernels.forward(packed, &self.plan(layer, dims, threads), args)?;
            }
            rows.clear_padding(outputs, dims, dims.output_size());
            if !dropped.is_empty() {
                dropped.copy_from_slice(outputs);
                dropout::apply(dropped, self.config.dropout, input.dropout, i, dims, rows);
            }
        }
        Ok(())
    }
}
