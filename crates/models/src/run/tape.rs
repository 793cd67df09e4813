//! What a training forward leaves for backward, and what backward leaves in its place.

use super::arrange::Arrangement;
use super::direction::{Grid, last_time};
use crate::spec::shape::{Dims, resize};
use crate::spec::{Config, DropoutKey, Error, Input, State, View};
use gatewise_kernels::{AlignedBuf, OuterScratch};

/// One layer's record, time-major, rows in their places.
#[derive(Clone, Debug, Default)]
pub(super) struct LayerTape {
    /// [T, B, D * H]: h of all steps. Behind them, so that weight gradients find every h_{t-1} in one array, [D, B, H]: h_0, and
    /// [H] zeros: h before a step that starts anew.
    pub(super) y: Vec<f32>,
    /// One for each direction.
    pub(super) tracks: Vec<Track>,
    /// The outputs after dropout; empty without.
    pub(super) dropped: Vec<f32>,
}

/// What a layer records for one direction alone.
#[derive(Clone, Debug, Default)]
pub(super) struct Track {
    /// [T, B, H]: c of all steps, and behind them [B, H]: c_0; empty where there is no c.
    pub(super) c: Vec<f32>,
    /// [T, B, saved * H]: what forward saved; after backward the gradients of the pre-activations.
    pub(super) gates: Vec<f32>,
}

impl LayerTape {
    /// The outputs.
    pub(super) fn outputs(&self, dims: &Dims) -> &[f32] {
        &self.y[..dims.outputs()]
    }

    /// What the next layer reads.
    pub(super) fn passed_on(&self, dims: &Dims) -> &[f32] {
        if self.dropped.is_empty() { self.outputs(dims) } else { &self.dropped }
    }
}

/// A recorded forward pass. Its buffers are kept and reused from one pass to the next.
///
/// Made empty by [`Tape::default`], filled by `forward_train_into`, consumed by `backward`, which leaves the gradients of the
/// input and of the initial state here.
#[derive(Clone, Debug, Default)]
pub struct Tape {
    dims: Option<Dims>,
    batch_first: bool,
    /// Whether `layers` holds a forward pass that backward has not consumed.
    is_recorded: bool,
    pub(super) rows: Arrangement,
    pub(super) dropout: OwnedKey,
    /// The input, time-major, rows in their places.
    pub(super) x: Vec<f32>,
    pub(super) layers: Vec<LayerTape>,
    /// The outputs as the caller sees them, where `layers` holds them otherwise.
    output: Vec<f32>,
    pub(super) grad_input: Vec<f32>,
    pub(super) grad_h_0: Vec<f32>,
    pub(super) grad_c_0: Vec<f32>,
    pub(super) has_grad_input: bool,
    pub(super) scratch: AlignedBuf,
    pub(super) room: BackwardRoom,
}

/// The key that dropout was applied with.
#[derive(Clone, Debug, Default)]
pub(super) struct OwnedKey {
    seed: u64,
    first_step: u32,
    /// Empty where the caller numbered no rows.
    rows: Vec<u32>,
}

impl OwnedKey {
    fn set(&mut self, key: DropoutKey<'_>) {
        (self.seed, self.first_step) = (key.seed, key.first_step);
        self.rows.clear();
        self.rows.extend_from_slice(key.rows.unwrap_or(&[]));
    }

    pub(super) fn key(&self) -> DropoutKey<'_> {
        let rows = Some(&self.rows[..]).filter(|rows| !rows.is_empty());
        DropoutKey { seed: self.seed, first_step: self.first_step, rows }
    }
}

/// What backward works with; it grows as needed.
#[derive(Clone, Debug, Default)]
pub(super) struct BackwardRoom {
    /// Gradients of the outputs of the layer at hand, and of the one below it, time-major, rows in their places.
    pub(super) between: [Vec<f32>; 2],
    /// dL/dh and dL/dc on their way from step to step, rows in their places.
    pub(super) dh: Vec<f32>,
    pub(super) dc: Vec<f32>,
    pub(super) lists: RowLists,
}

/// Where the rows that a time chunk adds to the weight gradients start in gates, input and h.
#[derive(Clone, Debug, Default)]
pub(super) struct RowLists {
    pub(super) gates: Vec<usize>,
    pub(super) input: Vec<usize>,
    pub(super) h: Vec<usize>,
    pub(super) outer: OuterScratch,
}

/// The gradient that comes into a network from what stands on it. What is left out counts as zero.
#[derive(Clone, Copy, Debug)]
pub struct Upstream<'a> {
    /// dL/d output, in the layout of the output. What stands beyond a row's length is not read.
    pub output: Option<View<'a>>,
    /// dL/dh_n, [num_layers * directions, batch, hidden_size].
    pub h_n: Option<&'a [f32]>,
    /// dL/dc_n, likewise.
    pub c_n: Option<&'a [f32]>,
    /// Whether dL/dx is wanted.
    pub input_grad: bool,
}

impl Default for Upstream<'_> {
    fn default() -> Self {
        Upstream { output: None, h_n: None, c_n: None, input_grad: true }
    }
}

impl<'a> Upstream<'a> {
    /// The gradient of the outputs alone.
    pub fn output(output: View<'a>) -> Upstream<'a> {
        Upstream { output: Some(output), ..Upstream::default() }
    }
}

impl Tape {
    /// Makes room for a pass and keeps its input; what was recorded before is gone.
    pub(super) fn begin(&mut self, config: &Config, dims: Dims, input: &Input<'_>) -> Result<(), Error> {
        self.is_recorded = false;
        self.has_grad_input = false;
        (self.dims, self.batch_first) = (None, config.batch_first);
        let what = "the tape";
        resize(what, &mut self.x, dims.input(config.input_size))?;
        self.layers.resize_with(dims.layers, LayerTape::default);
        let has_c = config.cell.has_cell_state();
        for (i, layer) in self.layers.iter_mut().enumerate() {
            let states = dims.directions * dims.state() + dims.hidden;
            resize(what, &mut layer.y, dims.outputs() + states)?;
            layer.y[dims.outputs() + states - dims.hidden..].fill(0.0);
            let is_dropped = config.dropout > 0.0 && i + 1 < dims.layers;
            resize(what, &mut layer.dropped, if is_dropped { dims.outputs() } else { 0 })?;
            layer.tracks.resize_with(dims.directions, Track::default);
            for track in &mut layer.tracks {
                resize(what, &mut track.c, if has_c { dims.cells() + dims.state() } else { 0 })?;
                resize(what, &mut track.gates, dims.gates())?;
            }
        }
        resize(what, &mut self.grad_h_0, dims.states())?;
        resize(what, &mut self.grad_c_0, if has_c { dims.states() } else { 0 })?;
        self.rows.set(input, &dims);
        let is_moved = config.batch_first || self.rows.is_permuted();
        resize(what, &mut self.output, if is_moved { dims.outputs() } else { 0 })?;
        self.dropout.set(input.dropout);
        let (x, width) = (input.sequence.data(), config.input_size);
        self.rows.gather_sequence(x, &mut self.x, &dims, width, config.batch_first);
        // Beyond a row's length nothing is read, but a product of what is not there may not be NaN either.
        self.rows.clear_padding(&mut self.x, &dims, width);
        self.dims = Some(dims);
        Ok(())
    }

    pub(super) fn finish_forward(&mut self, config: &Config) {
        self.is_recorded = true;
        if let (false, Some(dims), Some(top)) = (self.output.is_empty(), self.dims, self.layers.last()) {
            let (from, to) = (top.outputs(&dims), &mut self.output);
            self.rows.scatter_sequence(from, to, &dims, dims.output_size(), config.batch_first);
        }
    }

    /// The sizes of the recorded pass.
    pub(super) fn dims(&self) -> Result<Dims, Error> {
        self.dims.filter(|_| self.is_recorded).ok_or(Error::TapeConsumed)
    }

    /// The record is used up.
    pub(super) fn consume(&mut self) {
        self.is_recorded = false;
    }

    fn shape(&self, width: usize) -> [usize; 3] {
        let Some(dims) = self.dims else { return [0, 0, width] };
        if self.batch_first { [dims.batch, dims.steps, width] } else { [dims.steps, dims.batch, width] }
    }

    /// The outputs of the last layer. Empty before the first pass.
    pub fn output(&self) -> View<'_> {
        let data = match (self.dims, self.layers.last()) {
            (Some(_), _) if !self.output.is_empty() => &self.output[..],
            (Some(dims), Some(top)) => top.outputs(&dims),
            _ => &[],
        };
        let width = self.dims.map_or(0, |dims| dims.output_size());
        View::new(data, self.shape(width)).expect("the tape's buffers have its sizes")
    }

    /// Copies h_n and c_n into a state, whatever it held: truncated BPTT carries it into the next window. Allocates only if the
    /// state has to grow.
    ///
    /// # Errors
    /// [`Error::TapeConsumed`] if nothing was recorded yet.
    pub fn final_state(&self, state: &mut State) -> Result<(), Error> {
        let dims = self.dims.ok_or(Error::TapeConsumed)?;
        let has_c = self.layers.iter().flat_map(|layer| &layer.tracks).any(|track| !track.c.is_empty());
        state.reshape(&dims, has_c)?;
        for (i, layer) in self.layers.iter().enumerate() {
            for (d, track) in layer.tracks.iter().enumerate() {
                let (of_state, width) = (dims.state_at(i, d), dims.hidden);
                for place in 0..dims.batch {
                    let last = last_time(self.rows.length(place, &dims), d);
                    let to = of_state.start + self.rows.row(place) * width;
                    let h = match last {
                        Some(t) => Grid::outputs(&dims, d).at(t, place),
                        None => dims.outputs() + dims.state_at(0, d).start + place * width,
                    };
                    state.h_mut()[to..][..width].copy_from_slice(&layer.y[h..][..width]);
                    if has_c {
                        let c = match last {
                            Some(t) => Grid::time_major(&dims, width).at(t, place),
                            None => dims.cells() + place * width,
                        };
                        state.c_mut()[to..][..width].copy_from_slice(&track.c[c..][..width]);
                    }
                }
            }
        }
        Ok(())
    }

    /// dL/dx, in the layout of the input, as the last `backward` left it; `None` if it was not asked for. Zeros beyond a row's
    /// length.
    pub fn grad_input(&self) -> Option<View<'_>> {
        let rows = self.dims.map_or(0, |dims| dims.steps * dims.batch);
        let width = self.grad_input.len().checked_div(rows).unwrap_or(0);
        let view = || View::new(&self.grad_input, self.shape(width));
        self.has_grad_input.then(view)?.ok()
    }

    /// dL/dh_0, [num_layers * directions, batch, hidden_size], as the last `backward` left it.
    pub fn grad_h_0(&self) -> &[f32] {
        &self.grad_h_0
    }

    /// dL/dc_0 likewise; empty for a cell without c.
    pub fn grad_c_0(&self) -> &[f32] {
        &self.grad_c_0
    }
}
