//! What happened within the cells of a pass: every h, c and gate value, in the caller's layout.

use super::direction::Grid;
use super::layer_tape::LayerTape;
use super::stretch::{Stretch, run_again};
use super::tape::Tape;
use super::upstream::SegmentRoom;
use super::{Stack, dropout};
use crate::spec::shape::{Dims, resize, zeros};
use crate::spec::{Error, Input, Sequence, State, View};
use gatewise_kernels::{AlignedBuf, Cell};
use std::ops::Range;

/// All h, c and gate values of a forward pass, for each layer and direction. Made by [`Network::trace`](crate::Network::trace) and
/// [`Network::forward_trace`](crate::Network::forward_trace).
///
/// Each array is [time, batch, hidden_size] in the network's layout, h of a network with a projection [.., proj_size]; zeros beyond
/// a row's length. Gates are named as in PyTorch's
/// equations: i f g o of an LSTM, r z n of a GRU, after their activation; a vanilla network has none beside its h.
///
/// # Examples
/// From a training pass, before its backward:
/// ```
/// use gatewise::{Gru, View};
///
/// let gru = Gru::new(2, 4)?;
/// let tape = gru.forward_train(View::new(&[0.5; 3 * 2], [3, 1, 2])?, None)?; // three steps of one row
/// let trace = gru.trace(&tape)?;
/// assert_eq!(trace.gate_names(), ["r", "z", "n"]);
/// assert_eq!(trace.gate("z", 0, 0).map(|z| z.shape()), Some([3, 1, 4]));
/// assert_eq!(trace.h(0, 0), Some(tape.output()));
/// # Ok::<(), gatewise::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    gates: &'static [&'static str],
    directions: usize,
    tracks: Vec<TrackTrace>,
}

/// The values of a layer in a direction.
#[derive(Clone, Debug, PartialEq)]
struct TrackTrace {
    h: Sequence,
    c: Option<Sequence>,
    gates: Vec<Sequence>,
}

/// The names of a cell's gates, in the order in which their values are saved.
fn gate_names(cell: Cell) -> &'static [&'static str] {
    match cell {
        Cell::RnnTanh | Cell::RnnRelu => &[],
        Cell::Lstm => &["i", "f", "g", "o"],
        Cell::Gru => &["r", "z", "n"],
    }
}

impl Trace {
    /// The names of the gates, in the order of their rows in the weights.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Lstm, Rnn, View};
    ///
    /// let x = View::new(&[0.5; 2], [2, 1, 1])?; // two steps of one row
    /// assert_eq!(Lstm::new(1, 3)?.forward_trace(x, None)?.2.gate_names(), ["i", "f", "g", "o"]);
    /// assert!(Rnn::new(1, 3)?.forward_trace(x, None)?.2.gate_names().is_empty());
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn gate_names(&self) -> &[&str] {
        self.gates
    }

    fn track(&self, layer: usize, direction: usize) -> Option<&TrackTrace> {
        let place = layer.checked_mul(self.directions)?.checked_add(direction)?;
        self.tracks.get(place).filter(|_| direction < self.directions)
    }

    /// h_t of a layer in a direction (0 forward, 1 reverse); `None` if there is no such layer or direction.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Gru, View};
    ///
    /// let gru = Gru::builder(1, 3).num_layers(2).build()?;
    /// let (y, _, trace) = gru.forward_trace(View::new(&[0.5; 2], [2, 1, 1])?, None)?; // two steps of one row
    /// assert_eq!(trace.h(1, 0), Some(y.view()));
    /// assert_eq!((trace.h(2, 0), trace.h(0, 1)), (None, None));
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn h(&self, layer: usize, direction: usize) -> Option<View<'_>> {
        Some(self.track(layer, direction)?.h.view())
    }

    /// c_t likewise; `None` for a cell without c, too.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Lstm, View};
    ///
    /// let (_, state, trace) = Lstm::new(1, 3)?.forward_trace(View::new(&[0.5; 2], [2, 1, 1])?, None)?;
    /// assert_eq!(trace.c(0, 0).map(|c| &c.data()[3..]), Some(state.c())); // that of the last step
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn c(&self, layer: usize, direction: usize) -> Option<View<'_>> {
        Some(self.track(layer, direction)?.c.as_ref()?.view())
    }

    /// A gate's values likewise; `None` for a gate that the cell does not have, too.
    ///
    /// # Examples
    /// h_n of a GRU from its gates, for one step from zeros:
    /// ```
    /// use gatewise::{Gru, View};
    ///
    /// let (y, _, trace) = Gru::new(1, 3)?.forward_trace(View::new(&[0.5], [1, 1, 1])?, None)?;
    /// let (z, n) = (trace.gate("z", 0, 0).unwrap(), trace.gate("n", 0, 0).unwrap());
    /// for unit in 0..3 {
    ///     assert!((y.data()[unit] - (1.0 - z.data()[unit]) * n.data()[unit]).abs() < 1e-6);
    /// }
    /// assert_eq!(trace.gate("f", 0, 0), None);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn gate(&self, name: &str, layer: usize, direction: usize) -> Option<View<'_>> {
        let gate = self.gates.iter().position(|gate| *gate == name)?;
        Some(self.track(layer, direction)?.gates.get(gate)?.view())
    }
}

/// Where the values of some steps of a direction are, time-major from the first of their times on, rows in their places.
pub(crate) struct Steps<'a> {
    /// Their times, one after another.
    pub(crate) times: Range<usize>,
    /// What forward saved: [times, B, saved * H].
    pub(crate) gates: &'a [f32],
    /// [times, B, H], where there is a c.
    pub(crate) c: &'a [f32],
}

impl Stack {
    /// Runs a whole sequence for inference and keeps what happened.
    pub(crate) fn forward_trace(
        &self,
        input: Input<'_>,
        state: Option<&State>,
    ) -> Result<(Sequence, State, Trace), Error> {
        let mut tape = Tape::default();
        self.record(input, state, &mut tape, 0.0)?;
        let output = tape.output();
        let output = Sequence::new(output.data().to_vec(), output.shape())?;
        let mut end = self.zero_state(tape.record.dims()?.batch)?;
        tape.final_state(&mut end)?;
        Ok((output, end, self.trace(&tape)?))
    }

    /// What happened in the pass that a tape holds.
    pub(crate) fn trace(&self, tape: &Tape) -> Result<Trace, Error> {
        let record = &tape.record;
        let dims = record.dims()?;
        self.check_record(record, &dims)?;
        let gates = gate_names(self.config.cell);
        let mut trace = Trace { gates, directions: dims.directions, tracks: Vec::new() };
        for layer in &record.layers {
            let dims = &layer.dims;
            for d in 0..dims.directions {
                let mut to = self.empty_track(dims)?;
                to.h = self.scattered(tape, dims, 0..dims.steps, &layer.y, Grid::sides(dims, d), to.h)?;
                trace.tracks.push(to);
            }
        }
        self.visit(tape, &mut |layer, d, steps| {
            let track = &mut trace.tracks[layer * dims.directions + d];
            self.put(tape, &record.layers[layer].dims, steps, track)
        })?;
        Ok(trace)
    }

    /// Goes through the gates and c of the pass that a tape holds, layer by layer from the bottom, in each the directions, in each
    /// from the direction's first step on. Segments are run once more.
    pub(crate) fn visit(
        &self,
        tape: &Tape,
        see: &mut dyn FnMut(usize, usize, Steps<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let record = &tape.record;
        let dims = record.dims()?;
        self.check_record(record, &dims)?;
        let (mut room, mut scratch, mut dropped) =
            (SegmentRoom::default(), AlignedBuf::default(), Vec::new());
        let segments = record.segments;
        if !segments.is_whole() {
            let part = dims.widest(&self.config).with_steps(segments.len);
            room.resize(&part)?;
            scratch.reserve(self.forward_scratch(&part, rayon::current_num_threads()))?;
        }
        for (i, layer) in self.layers.iter().enumerate() {
            let tape_of_layer = &record.layers[i];
            let LayerTape { dims, y, tracks, .. } = tape_of_layer;
            let below = i.checked_sub(1).map(|below| &record.layers[below]);
            if let (Some(below), true) = (below, record.dropout.rate > 0.0 && !segments.is_whole()) {
                resize("the trace", &mut dropped, below.dims.outputs())?;
                dropped.copy_from_slice(below.outputs());
                let (rate, key) = (record.dropout.rate, record.dropout.key());
                dropout::apply(&mut dropped, rate, key, i - 1, &below.dims, &record.rows);
            }
            let x = below.map_or(&record.x[..], |below| below.passed_on(&dropped));
            for (d, (packed, track)) in layer.directions.iter().zip(tracks).enumerate() {
                if segments.is_whole() {
                    let gates = &tape.gates[i * dims.directions + d];
                    see(i, d, Steps { times: 0..dims.steps, gates, c: &track.c })?;
                    continue;
                }
                let all = Stretch {
                    stack: self,
                    layer,
                    packed,
                    dims,
                    rows: &record.rows,
                    direction: d,
                    steps: 0..dims.steps,
                    x,
                    h_0: &y[dims.sides() + d * dims.state()..][..dims.state()],
                    c_0: None,
                    reset_h: tape_of_layer.reset_h(d, &record.rows),
                    reset_c: track.reset_c(),
                };
                for k in 0..segments.count() {
                    let steps = segments.range(k);
                    let c = &track.c;
                    let c_0 = (!c.is_empty()).then(|| &c[k * dims.cell_state()..][..dims.cell_state()]);
                    run_again(&all, steps.clone(), y, c_0, &mut room, &mut scratch)?;
                    let times = if d == 0 { steps } else { dims.steps - steps.end..dims.steps - steps.start };
                    see(i, d, Steps { times, gates: &room.gates, c: &room.c })?;
                }
            }
        }
        Ok(())
    }

    fn empty_track(&self, dims: &Dims) -> Result<TrackTrace, Error> {
        let empty = |width| {
            let data = zeros("the trace", dims.sequence(width))?;
            Sequence::new(data, dims.shape(width, self.config.batch_first))
        };
        let gates = gate_names(self.config.cell).iter().map(|_| empty(dims.hidden));
        Ok(TrackTrace {
            h: empty(dims.features)?,
            c: dims.has_c.then(|| empty(dims.hidden)).transpose()?,
            gates: gates.collect::<Result<_, Error>>()?,
        })
    }

    /// Puts the values of some steps where the caller has them.
    fn put(&self, tape: &Tape, dims: &Dims, steps: Steps<'_>, to: &mut TrackTrace) -> Result<(), Error> {
        let Steps { times, gates, c } = steps;
        let grid = Grid::time_major(dims, dims.saved * dims.hidden);
        for (slot, gate) in to.gates.iter_mut().enumerate() {
            let grid = Grid { offset: slot * dims.hidden, ..grid };
            let empty = Sequence::new(Vec::new(), [0, 0, 0])?;
            *gate = self.scattered(tape, dims, times.clone(), gates, grid, std::mem::replace(gate, empty))?;
        }
        if let Some(kept) = to.c.take() {
            to.c = Some(self.scattered(tape, dims, times, c, Grid::time_major(dims, dims.hidden), kept)?);
        }
        Ok(())
    }

    /// Copies vectors whose first one is that of the first of the times to a sequence in the network's layout.
    fn scattered(
        &self,
        tape: &Tape,
        dims: &Dims,
        times: Range<usize>,
        from: &[f32],
        grid: Grid,
        to: Sequence,
    ) -> Result<Sequence, Error> {
        let (shape, mut data) = (to.shape(), to.into_data());
        let width = shape[2];
        let layout = Grid::layout(dims, width, self.config.batch_first);
        let rows = &tape.record.rows;
        for place in 0..dims.batch {
            for t in times.start..times.end.min(rows.length(place, dims)) {
                let to = &mut data[layout.at(t, rows.row(place))..][..width];
                to.copy_from_slice(&from[grid.at(t - times.start, place)..][..width]);
            }
        }
        Sequence::new(data, shape)
    }
}
