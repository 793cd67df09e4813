//! What a training forward leaves for backward.

use super::Stack;
use super::arrange::Arrangement;
use super::direction::{Grid, last_time};
use super::layer_tape::{LayerTape, reset_at};
use super::memory::Extras;
use super::memory::{Memory, Segments, bytes, bytes_of_all};
use super::upstream::Gradients;
use crate::spec::shape::{Dims, reserve, resize, resize_list};
use crate::spec::{Config, DropoutKey, Error, Input, State, View};

/// A recorded forward pass. Its buffers are kept and reused from one pass to the next.
///
/// Made empty by [`Tape::default`], or with a limit by [`Tape::with_memory`]; filled by `forward_train_into`. `backward` consumes what it holds and leaves the gradients of
/// the input and of the initial state here; `backward_keep` only reads it. Any number of tapes may be alive at once.
///
/// # Examples
/// Two passes alive at once:
/// ```
/// use gatewise::{Gru, Upstream, View};
///
/// let gru = Gru::new(1, 3)?;
/// let (short, long) = (View::new(&[0.5; 2], [2, 1, 1])?, View::new(&[0.5; 4], [4, 1, 1])?);
/// let (mut one, mut two) = (gru.forward_train(short, None)?, gru.forward_train(long, None)?);
/// let (mut grads, dy) = (gru.params().zeros_like(), [1.0; 4 * 3]);
/// gru.backward(&mut two, Upstream::output(View::new(&dy, [4, 1, 3])?), &mut grads)?;
/// gru.backward(&mut one, Upstream::output(View::new(&dy[..2 * 3], [2, 1, 3])?), &mut grads)?; // adds
/// assert_eq!(one.output().data(), &two.output().data()[..2 * 3]);
/// # Ok::<(), gatewise::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Tape {
    pub(super) record: Record,
    /// For each layer and direction, [T, B, saved * H]: what forward saved; `backward` puts the gradients of the pre-activations
    /// in its place. Empty where time is cut into segments.
    pub(super) gates: Vec<Vec<f32>>,
    /// The outputs as the caller sees them, where the record holds them otherwise.
    output: Vec<f32>,
    pub(super) gradients: Gradients,
    memory: Memory,
}

/// What backward reads and does not change.
#[derive(Clone, Debug, Default)]
pub(super) struct Record {
    /// The sizes of the pass and of its last layer.
    dims: Option<Dims>,
    batch_first: bool,
    /// The stamp of the parameters that it was recorded with.
    pub(super) stamp: u64,
    /// Whether this is a forward pass that backward has not consumed.
    is_recorded: bool,
    pub(super) rows: Arrangement,
    pub(super) dropout: OwnedKey,
    pub(super) segments: Segments,
    /// The input, time-major, rows in their places.
    pub(super) x: Vec<f32>,
    pub(super) layers: Vec<LayerTape>,
}

impl Record {
    /// The sizes of the recorded pass.
    pub(super) fn dims(&self) -> Result<Dims, Error> {
        self.dims.filter(|_| self.is_recorded).ok_or(Error::TapeConsumed)
    }

    /// Likewise, also if backward has consumed the pass.
    pub(super) fn last_dims(&self) -> Option<Dims> {
        self.dims
    }
}

/// The key that dropout was applied with.
#[derive(Clone, Debug, Default)]
pub(super) struct OwnedKey {
    /// Share of the values that were dropped.
    pub(super) rate: f32,
    seed: u64,
    first_step: u32,
    /// Empty where the caller numbered no rows.
    rows: Vec<u32>,
}

impl OwnedKey {
    fn set(&mut self, key: DropoutKey<'_>, rate: f32) -> Result<(), Error> {
        self.rate = rate;
        (self.seed, self.first_step) = (key.seed, key.first_step);
        self.rows.clear();
        let rows = key.rows.unwrap_or(&[]);
        reserve("dropout.rows", &mut self.rows, rows.len())?;
        self.rows.extend_from_slice(rows);
        Ok(())
    }

    pub(super) fn key(&self) -> DropoutKey<'_> {
        let rows = Some(&self.rows[..]).filter(|rows| !rows.is_empty());
        DropoutKey { seed: self.seed, first_step: self.first_step, rows }
    }
}

impl Tape {
    /// An empty tape that keeps to a limit.
    ///
    /// # Examples
    /// A sequence that takes 6.6 MB to train, trained in 2:
    /// ```
    /// use gatewise::{Gru, Memory, Tape, Upstream, View};
    ///
    /// let gru = Gru::new(1, 16)?;
    /// let (x, dy) = (vec![0.1; 20_000], vec![1.0; 20_000 * 16]);
    /// let mut tape = Tape::with_memory(Memory::Budget(2_000_000));
    /// gru.forward_train_into(View::new(&x, [20_000, 1, 1])?, None, &mut tape)?;
    /// let mut grads = gru.params().zeros_like();
    /// gru.backward(&mut tape, Upstream::output(View::new(&dy, [20_000, 1, 16])?), &mut grads)?;
    /// assert!(tape.peak_bytes() <= 2_000_000);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn with_memory(memory: Memory) -> Tape {
        Tape { memory, ..Tape::default() }
    }

    /// Bytes that the tape takes, with what `backward` works with: what the passes so far needed at most, for buffers only grow. A
    /// tape with a budget gives them back when a pass of other sizes begins.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Gru, Tape, View};
    ///
    /// let (gru, mut tape) = (Gru::new(1, 16)?, Tape::default());
    /// let mut bytes = Vec::new();
    /// for steps in [10, 1000, 10] {
    ///     gru.forward_train_into(View::new(&vec![0.5; steps], [steps, 1, 1])?, None, &mut tape)?;
    ///     bytes.push(tape.peak_bytes());
    /// }
    /// assert!(bytes[0] < bytes[1] && bytes[1] == bytes[2]); // buffers only grow
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn peak_bytes(&self) -> usize {
        let Record { rows, dropout, x, layers, .. } = &self.record;
        let layer = |layer: &LayerTape| {
            let c = layer.tracks.iter().flat_map(|track| [&track.c, &track.reset_c]);
            bytes_of_all(c.chain([&layer.y, &layer.merged, &layer.dropped])) + bytes(&layer.tracks)
        };
        bytes_of_all(self.gates.iter().chain([x, &self.output]))
            + bytes(&self.gates)
            + bytes(layers)
            + layers.iter().map(layer).sum::<usize>()
            + bytes(&dropout.rows)
            + rows.bytes()
            + self.gradients.bytes()
    }

    /// Time steps that the forward of `backward` runs once more at a time; `None` if nothing is run twice.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Gru, Memory, Tape, View};
    ///
    /// let (gru, x) = (Gru::new(1, 16)?, [0.5; 2000]);
    /// for (memory, is_cut) in [(Memory::Full, false), (Memory::Budget(400_000), true)] {
    ///     let mut tape = Tape::with_memory(memory);
    ///     gru.forward_train_into(View::new(&x, [2000, 1, 1])?, None, &mut tape)?;
    ///     assert_eq!(tape.segment_len().is_some_and(|steps| steps < 2000), is_cut);
    /// }
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn segment_len(&self) -> Option<usize> {
        let Record { dims, segments, .. } = &self.record;
        dims.filter(|_| !segments.is_whole()).map(|_| segments.len)
    }

    /// Makes room for a pass and keeps its input; what was recorded before is gone.
    pub(super) fn begin(
        &mut self,
        stack: &Stack,
        dims: Dims,
        input: &Input<'_>,
        rate: f32,
    ) -> Result<(), Error> {
        let config = &stack.config;
        // As `Arrangement::set` will have it.
        let is_permuted = input.lengths.is_some_and(|lengths| !lengths.is_sorted_by(|a, b| a >= b));
        let is_moved = config.batch_first || is_permuted;
        let threads = rayon::current_num_threads();
        let (is_ragged, has_resets) = (input.lengths.is_some(), input.resets.is_some());
        let reset_rows = input.reset_state.map(State::batch);
        let extras = Extras { is_moved, is_ragged, has_resets, reset_rows, threads };
        let segments = stack.segments(self.memory, &dims, extras)?;
        if self.memory != Memory::Full && (self.record.dims, self.record.segments) != (Some(dims), segments) {
            *self = Tape::with_memory(self.memory);
        }
        let part = dims.with_steps(segments.len);
        self.gradients.room.scratch.reserve(stack.forward_scratch(&part, threads))?;
        self.gradients.reserve_segment(config, &dims, segments)?;
        let is_cut = is_ragged && segments.is_whole();
        let before = if is_cut { dims.widest(config).state() } else { 0 };
        resize("the tape", &mut self.gradients.room.before_h, before)?;
        self.record.stamp = stack.stamp;
        let Record {
            dims: recorded, batch_first, is_recorded, rows, dropout, segments: cut, x, layers, ..
        } = &mut self.record;
        *cut = segments;
        *is_recorded = false;
        (*recorded, *batch_first) = (None, config.batch_first);
        self.gradients.forget();
        let what = "the tape";
        let first = dims.of(config, 0);
        resize(what, x, first.inputs())?;
        resize_list(what, layers, dims.layers)?;
        resize_list(what, &mut self.gates, dims.layers * dims.directions)?;
        for (place, gates) in self.gates.iter_mut().enumerate() {
            let of_layer = dims.of(config, place / dims.directions).gates();
            resize(what, gates, if segments.is_whole() { of_layer } else { 0 })?;
        }
        let states_of_c = if segments.is_whole() { dims.steps } else { segments.count() } + 1;
        for (i, layer) in layers.iter_mut().enumerate() {
            let dims = dims.of(config, i);
            layer.dims = dims;
            let resets = if reset_rows.is_some() { dims.directions * dims.state() } else { dims.features };
            resize(what, &mut layer.y, reset_at(&dims) + resets)?;
            layer.y[reset_at(&dims)..].fill(0.0);
            resize(what, &mut layer.merged, if dims.is_merged() { dims.outputs() } else { 0 })?;
            let is_dropped = segments.is_whole() && rate > 0.0 && i + 1 < dims.layers;
            resize(what, &mut layer.dropped, if is_dropped { dims.outputs() } else { 0 })?;
            resize_list(what, &mut layer.tracks, dims.directions)?;
            for track in &mut layer.tracks {
                resize(what, &mut track.c, states_of_c * dims.cell_state())?;
                resize(what, &mut track.reset_c, if reset_rows.is_some() { dims.cell_state() } else { 0 })?;
            }
        }
        rows.set(input, &dims)?;
        resize(what, &mut self.output, if is_moved { dims.outputs() } else { 0 })?;
        dropout.set(input.dropout, rate)?;
        let (from, width) = (input.sequence.data(), first.input);
        rows.gather_sequence((from, x), &dims, width, config.batch_first, 1);
        // Beyond a row's length nothing is read, but a product of what is not there may not be NaN either.
        rows.clear_padding(x, &dims, width);
        *recorded = Some(dims);
        Ok(())
    }

    pub(super) fn finish_forward(&mut self, config: &Config) {
        let Record { dims, is_recorded, rows, layers, .. } = &mut self.record;
        *is_recorded = true;
        if let (false, Some(dims), Some(top)) = (self.output.is_empty(), dims, layers.last()) {
            let (from, to) = (top.outputs(), &mut self.output);
            rows.scatter_sequence((from, to), dims, dims.output, config.batch_first, 1);
        }
    }

    /// The record is used up.
    pub(super) fn consume(&mut self) {
        self.record.is_recorded = false;
    }

    /// The sizes of the recorded pass, and how many rows take part in a time step.
    pub(crate) fn sizes(&self) -> Result<(Dims, impl Fn(usize) -> usize), Error> {
        let dims = self.record.dims()?;
        let rows = &self.record.rows;
        Ok((dims, move |t| rows.active_at(0, t, &dims)))
    }

    /// The outputs of the last layer. Empty before the first pass.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Gru, Tape, View};
    ///
    /// let (gru, x) = (Gru::new(1, 3)?, View::new(&[0.5; 4], [4, 1, 1])?);
    /// assert_eq!(gru.forward_train(x, None)?.output(), gru.forward(x, None)?.0.view());
    /// assert_eq!(Tape::default().output().shape(), [0, 0, 0]);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn output(&self) -> View<'_> {
        let Record { dims: Some(dims), batch_first, layers, .. } = &self.record else {
            return View::new(&[], [0, 0, 0]).expect("nothing fits nothing");
        };
        let data = match layers.last() {
            Some(top) if self.output.is_empty() => top.outputs(),
            _ => &self.output,
        };
        let shape = dims.shape(dims.output, *batch_first);
        View::new(data, shape).expect("the tape's buffers have its sizes")
    }

    /// Copies h_n and c_n into a state, whatever it held: truncated BPTT carries it into the next window. Allocates only if the
    /// state has to grow.
    ///
    /// # Errors
    /// [`Error::TapeConsumed`] if nothing was recorded yet.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Lstm, Tape, View};
    ///
    /// let (lstm, x) = (Lstm::new(1, 3)?, View::new(&[0.5; 4], [4, 1, 1])?);
    /// let mut state = lstm.zero_state(1)?;
    /// lstm.forward_train(x, None)?.final_state(&mut state)?;
    /// assert_eq!(state, lstm.forward(x, None)?.1);
    /// assert!(Tape::default().final_state(&mut state).is_err());
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn final_state(&self, state: &mut State) -> Result<(), Error> {
        let Record { dims, rows, layers, segments, .. } = &self.record;
        let dims = dims.ok_or(Error::TapeConsumed)?;
        state.reshape(&dims, layers.iter().map(|layer| [layer.dims.features, layer.dims.hidden]))?;
        for layer in layers {
            let dims = &layer.dims;
            for (d, track) in layer.tracks.iter().enumerate() {
                let (h_at, width) = (dims.state_at(d).start, dims.features);
                let (c_at, units) = (dims.cell_state_at(d).start, dims.hidden);
                for place in 0..dims.batch {
                    let last = last_time(rows.length(place, dims), d);
                    let row = rows.row(place);
                    let h = match last {
                        Some(t) => Grid::sides(dims, d).at(t, place),
                        None => dims.sides() + d * dims.state() + place * width,
                    };
                    state.h_mut()[h_at + row * width..][..width].copy_from_slice(&layer.y[h..][..width]);
                    if dims.has_c {
                        let c = match last {
                            _ if !segments.is_whole() => segments.count() * dims.cell_state() + place * units,
                            Some(t) => Grid::time_major(dims, units).at(t, place),
                            None => dims.cells() + place * units,
                        };
                        state.c_mut()[c_at + row * units..][..units].copy_from_slice(&track.c[c..][..units]);
                    }
                }
            }
        }
        Ok(())
    }

    /// The gradients of the input and of the initial state, as the last `backward` left them; empty before.
    ///
    /// # Examples
    /// ```
    /// let tape = gatewise::Tape::default();
    /// assert_eq!((tape.gradients().grad_input(), tape.gradients().grad_h_0()), (None, &[][..])); // no backward yet
    /// ```
    pub fn gradients(&self) -> &Gradients {
        &self.gradients
    }

    /// dL/dx, in the layout of the input, as the last `backward` left it; `None` if it was not asked for. Zeros beyond a row's
    /// length.
    ///
    /// # Examples
    /// How little of the first input is left in the last output:
    /// ```
    /// use gatewise::{Rnn, Upstream, View};
    ///
    /// let rnn = Rnn::builder(1, 1).seed(1).build()?;
    /// let mut tape = rnn.forward_train(View::new(&[0.5; 3], [3, 1, 1])?, None)?;
    /// let last = View::new(&[0.0, 0.0, 1.0], [3, 1, 1])?; // dL/dy
    /// rnn.backward(&mut tape, Upstream::output(last), &mut rnn.params().zeros_like())?;
    /// let dx = tape.grad_input().unwrap();
    /// assert!(dx.shape() == [3, 1, 1] && dx.data()[0].abs() < dx.data()[2].abs());
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn grad_input(&self) -> Option<View<'_>> {
        self.gradients.grad_input()
    }

    /// dL/dh_0, [num_layers * directions, batch, hidden_size], as the last `backward` left it.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Gru, Upstream, View};
    ///
    /// let gru = Gru::new(1, 2)?;
    /// let mut tape = gru.forward_train(View::new(&[0.5; 2 * 3], [2, 3, 1])?, None)?; // two steps of three rows
    /// let upstream = Upstream { h_n: Some(&[1.0; 3 * 2]), ..Upstream::default() };
    /// gru.backward(&mut tape, upstream, &mut gru.params().zeros_like())?;
    /// assert!(tape.grad_h_0().len() == 3 * 2 && tape.grad_h_0().iter().all(|&dh| dh != 0.0));
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn grad_h_0(&self) -> &[f32] {
        self.gradients.grad_h_0()
    }

    /// dL/dc_0 likewise; empty for a cell without c.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Lstm, Upstream, View};
    ///
    /// let lstm = Lstm::new(1, 2)?;
    /// let mut tape = lstm.forward_train(View::new(&[0.5; 2], [2, 1, 1])?, None)?; // two steps of one row
    /// let upstream = Upstream { c_n: Some(&[1.0; 2]), ..Upstream::default() };
    /// lstm.backward(&mut tape, upstream, &mut lstm.params().zeros_like())?;
    /// assert!(tape.grad_c_0().len() == 2 && tape.grad_c_0().iter().all(|&dc| dc > 0.0)); // the forget gates' product
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn grad_c_0(&self) -> &[f32] {
        self.gradients.grad_c_0()
    }
}
