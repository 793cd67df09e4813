//! What a training forward leaves for backward, and what backward leaves in its place.

use crate::spec::shape::{Dims, expect_len, resize};
use crate::spec::{Config, Error, State, View};
use gatewise_kernels::{AlignedBuf, OuterScratch};

/// One layer's record, time-major.
#[derive(Clone, Debug, Default)]
pub(super) struct LayerTape {
    /// h_0 .. h_T, [T + 1, B, H].
    pub(super) h: Vec<f32>,
    /// c_0 .. c_T likewise; empty where there is no c.
    pub(super) c: Vec<f32>,
    /// [T, B, saved * H]: what forward saved; after backward the gradients of the pre-activations.
    pub(super) gates: Vec<f32>,
}

impl LayerTape {
    /// h_1 .. h_T
    pub(super) fn outputs(&self, dims: &Dims) -> &[f32] {
        &self.h[dims.state()..]
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
    pub(super) is_recorded: bool,
    /// The input, time-major.
    pub(super) x: Vec<f32>,
    pub(super) layers: Vec<LayerTape>,
    /// The outputs as [B, T, H], for a network that is batch_first.
    batch_first_output: Vec<f32>,
    /// dL/dx, time-major; then in the network's layout.
    pub(super) grad_input: Vec<f32>,
    pub(super) grad_h_0: Vec<f32>,
    pub(super) grad_c_0: Vec<f32>,
    pub(super) has_grad_input: bool,
    pub(super) scratch: AlignedBuf,
    /// Gradients of the outputs of the layer at hand, and of the one below it.
    pub(super) between: [Vec<f32>; 2],
    pub(super) room: GradientRoom,
}

/// What the weight gradients of a time chunk need.
#[derive(Clone, Debug, Default)]
pub(super) struct GradientRoom {
    /// Where the rows of the chunk start in gates, input and h.
    pub(super) gate_rows: Vec<usize>,
    pub(super) input_rows: Vec<usize>,
    pub(super) h_rows: Vec<usize>,
    pub(super) outer: OuterScratch,
}

/// The gradient that comes into a network from what stands on it. What is left out counts as zero.
#[derive(Clone, Copy, Debug)]
pub struct Upstream<'a> {
    /// dL/d output, in the layout of the output.
    pub output: Option<View<'a>>,
    /// dL/dh_n, [num_layers, batch, hidden_size].
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
    /// Makes room for a pass; what was recorded before is gone.
    pub(super) fn begin(&mut self, config: &Config, dims: Dims) -> Result<(), Error> {
        self.is_recorded = false;
        self.has_grad_input = false;
        (self.dims, self.batch_first) = (None, config.batch_first);
        let what = "the tape";
        resize(what, &mut self.x, dims.input(config.input_size))?;
        self.layers.resize_with(dims.layers, LayerTape::default);
        let has_c = config.cell.has_cell_state();
        for layer in &mut self.layers {
            resize(what, &mut layer.h, dims.state() + dims.outputs())?;
            resize(what, &mut layer.c, if has_c { dims.state() + dims.outputs() } else { 0 })?;
            resize(what, &mut layer.gates, dims.gates())?;
        }
        let outputs = if config.batch_first { dims.outputs() } else { 0 };
        resize(what, &mut self.batch_first_output, outputs)?;
        resize(what, &mut self.grad_h_0, dims.states())?;
        resize(what, &mut self.grad_c_0, if has_c { dims.states() } else { 0 })?;
        self.dims = Some(dims);
        Ok(())
    }

    /// Keeps the input: backward multiplies it with the gradients of the gates.
    pub(super) fn set_input(&mut self, x: View<'_>) {
        if self.batch_first {
            let [_, steps, width] = x.shape();
            swap_time_and_batch(x.data(), &mut self.x, steps, width);
        } else {
            self.x.copy_from_slice(x.data());
        }
    }

    pub(super) fn finish_forward(&mut self, config: &Config) {
        self.is_recorded = true;
        if let (true, Some(dims), Some(top)) = (config.batch_first, self.dims, self.layers.last()) {
            let time_major = top.outputs(&dims);
            swap_time_and_batch(time_major, &mut self.batch_first_output, dims.batch, dims.hidden);
        }
    }

    /// The sizes of the recorded pass.
    pub(super) fn dims(&self) -> Result<Dims, Error> {
        self.dims.filter(|_| self.is_recorded).ok_or(Error::TapeConsumed)
    }

    /// Brings dL/dx into the network's layout.
    pub(super) fn finish_backward(&mut self, input: usize) {
        self.is_recorded = false;
        if let (true, true, Some(dims)) = (self.batch_first, self.has_grad_input, self.dims) {
            let room = &mut self.between[0];
            room.clear();
            room.extend_from_slice(&self.grad_input);
            swap_time_and_batch(room, &mut self.grad_input, dims.batch, input);
        }
    }

    fn shape(&self, width: usize) -> [usize; 3] {
        let Some(dims) = self.dims else { return [0, 0, width] };
        if self.batch_first { [dims.batch, dims.steps, width] } else { [dims.steps, dims.batch, width] }
    }

    /// The outputs of the last layer. Empty before the first pass.
    pub fn output(&self) -> View<'_> {
        let data = match (self.dims, self.layers.last()) {
            (Some(_), Some(_)) if self.batch_first => &self.batch_first_output[..],
            (Some(dims), Some(top)) => top.outputs(&dims),
            _ => &[],
        };
        let width = self.dims.map_or(0, |dims| dims.hidden);
        View::new(data, self.shape(width)).expect("the tape's buffers have its sizes")
    }

    /// Copies h_n and c_n into a state, whatever it held: truncated BPTT carries it into the next window. Allocates only if the
    /// state has to grow.
    ///
    /// # Errors
    /// [`Error::TapeConsumed`] if nothing was recorded yet.
    pub fn final_state(&self, state: &mut State) -> Result<(), Error> {
        let dims = self.dims.ok_or(Error::TapeConsumed)?;
        let has_c = self.layers.iter().any(|layer| !layer.c.is_empty());
        state.reshape(&dims, has_c)?;
        for (i, layer) in self.layers.iter().enumerate() {
            let (of_layer, last) = (i * dims.state(), dims.outputs());
            state.h_mut()[of_layer..][..dims.state()].copy_from_slice(&layer.h[last..]);
            if has_c {
                state.c_mut()[of_layer..][..dims.state()].copy_from_slice(&layer.c[last..]);
            }
        }
        Ok(())
    }

    /// dL/dx, in the layout of the input, as the last `backward` left it; `None` if it was not asked for.
    pub fn grad_input(&self) -> Option<View<'_>> {
        let rows = self.dims.map_or(0, |dims| dims.steps * dims.batch);
        let width = self.grad_input.len().checked_div(rows).unwrap_or(0);
        let view = || View::new(&self.grad_input, self.shape(width));
        self.has_grad_input.then(view)?.ok()
    }

    /// dL/dh_0, [num_layers, batch, hidden_size], as the last `backward` left it.
    pub fn grad_h_0(&self) -> &[f32] {
        &self.grad_h_0
    }

    /// dL/dc_0 likewise; empty for a cell without c.
    pub fn grad_c_0(&self) -> &[f32] {
        &self.grad_c_0
    }
}

/// Checks the gradients that come in, and lays them where backward starts.
pub(super) fn incoming(
    arg: &'static str,
    from: Option<&[f32]>,
    to: &mut [f32],
    write: bool,
) -> Result<(), Error> {
    if let Some(from) = from {
        expect_len(arg, from.len(), to.len())?;
    }
    match from {
        Some(from) if write => to.copy_from_slice(from),
        None if write => to.fill(0.0),
        _ => {}
    }
    Ok(())
}

/// [outer, inner, width] to [inner, outer, width].
fn swap_time_and_batch(from: &[f32], to: &mut [f32], inner: usize, width: usize) {
    if from.is_empty() {
        return;
    }
    let outer = from.len() / (inner * width);
    for (i, row) in from.chunks_exact(width).enumerate() {
        let (o, i) = (i / inner, i % inner);
        to[(i * outer + o) * width..][..width].copy_from_slice(row);
    }
}
