//! Whether the state map of a layer pulls together or tears apart: its finite-time Lyapunov exponents.

use crate::nets::Network;
use crate::run::{Carried, Gradients, Tape, Upstream, Watch, WatchRoom, Watched};
use crate::spec::shape::{Dims, product};
use crate::spec::{DropoutKey, Error, Input, Philox, State, View};

/// Finite-time Lyapunov exponents of each layer's state map in each direction.
///
/// # Examples
/// ```
/// use gatewise::{Lstm, View, lyapunov_exponents};
///
/// let lstm = Lstm::builder(1, 4).num_layers(2).seed(1).build()?;
/// let x = [0.5; 50];
/// let lyapunov = lyapunov_exponents(&lstm, View::new(&x, [25, 2, 1])?, None, 3, 1)?;
/// assert_eq!((lyapunov.steps, lyapunov.tracks.len()), (25, 2)); // a track for each layer
/// # Ok::<(), gatewise::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Lyapunov {
    /// T, the steps that they were taken over.
    pub steps: usize,
    /// One for each layer and direction, layers from the bottom, in each the forward direction first.
    pub tracks: Vec<TrackLyapunov>,
}

/// The exponents of one layer in one direction.
///
/// # Examples
/// ```
/// use gatewise::{Lstm, View, lyapunov_exponents};
///
/// let lstm = Lstm::builder(1, 4).num_layers(2).seed(1).build()?;
/// let x = [0.5; 50];
/// let lyapunov = lyapunov_exponents(&lstm, View::new(&x, [25, 2, 1])?, None, 3, 1)?;
/// let track = &lyapunov.tracks[1];
/// assert_eq!((track.layer, track.exponents.len(), track.rows.len()), (1, 3, 2)); // three of each of two rows
/// assert!((track.exponents[0] - (track.rows[0][0] + track.rows[1][0]) / 2.0).abs() < 1e-9);
/// # Ok::<(), gatewise::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TrackLyapunov {
    /// The layer, counted from 0.
    pub layer: usize,
    /// 0 forward, 1 reverse.
    pub direction: usize,
    /// The mean over the rows of each exponent, largest first.
    #[cfg_attr(feature = "serde", serde(with = "super::numbers"))]
    pub exponents: Vec<f64>,
    /// The exponents of each row, as they came: largest first as soon as T is large.
    #[cfg_attr(feature = "serde", serde(with = "super::numbers"))]
    pub rows: Vec<Vec<f64>>,
}

/// The `count` leading finite-time Lyapunov exponents of each layer, along the trajectory that an input drives the network through.
///
/// The state s is h, or (h, c) in a cell with c, and J_t its Jacobian ds_t / ds_{t-1} at step t. From an orthonormal random basis Q_T
/// (of `seed`) of `count` vectors, with the factors Q R of a QR decomposition, at each step back through time
///
/// ```text
/// Q_{t-1} R_t = J_t^T Q_t              exponent_i = (1 / T) sum_t ln |R_t[i, i]|
/// ```
/// so the exponents are growth rates a step, in nats: the gradient of something at the end grows or fades like exp(exponent_1 k) on its
/// way k steps back. Below 0 it vanishes, above 0 it explodes. With `count` equal to the features of s their sum is the mean
/// of ln |det J_t|, whatever the basis. For finite T the random basis is felt: an exponent is off by a term of the order of 1 / T.
///
/// J^T Q is computed in f32, the decomposition in f64: directions that shrink below some 1e-7 of the leading one within a single step
/// are not resolved, their exponents come out too large. Where J_t has no inverse, they are minus infinity or noise below -15.
///
/// The cost is that of a training pass over `count` times as many rows, with single steps in the backward pass: for looking now and
/// then. The layers are looked at one by one, each along its own input; a stack's own exponents are those of its layers, for its
/// Jacobian is block-triangular.
///
/// # Errors
/// [`Error::Config`] if `count` is 0 or above the features of s in any layer, if the input has lengths or resets, if it has no row, or the network was
/// built without training; else as [`Network::forward_train`].
///
/// # Examples
/// ```
/// use gatewise::{Rnn, View, lyapunov_exponents};
///
/// let rnn = Rnn::builder(1, 8).seed(1).build()?;
/// let x = [0.5; 50];
/// let lyapunov = lyapunov_exponents(&rnn, View::new(&x, [50, 1, 1])?, None, 3, 1)?;
/// assert!(lyapunov.tracks[0].exponents[0] < 0.0); // PyTorch's initial weights make a map that forgets
/// # Ok::<(), gatewise::Error>(())
/// ```
pub fn lyapunov_exponents<'a, K>(
    network: &Network<K>,
    input: impl Into<Input<'a>>,
    state: Option<&State>,
    count: usize,
    seed: u64,
) -> Result<Lyapunov, Error> {
    let (input, config) = (input.into(), network.config());
    let [first, second, width] = input.sequence.shape();
    let (steps, batch) = if config.batch_first { (second, first) } else { (first, second) };
    let dims = Dims::new(config, steps, batch)?;
    let features = |layer| dims.of(config, layer).features + dims.of(config, layer).cell_width();
    let features = (0..dims.layers).map(features).min().unwrap_or(0);
    let wrong = |arg, expected, got: String| Err(Error::Config { arg, expected, got });
    if count == 0 || count > features {
        return wrong("count", "from 1 to the features of the state", format!("{count} of {features}"));
    }
    if input.lengths.is_some() || input.resets.is_some() {
        return wrong("input", "without lengths and resets", "some".to_string());
    }
    if batch == 0 {
        return wrong("batch", "greater than zero", "0".to_string());
    }
    // Each row `count` times, each copy with a vector of its own.
    product("the exponents", &[steps, batch, width, count])?;
    let mut x = Vec::new();
    if config.batch_first {
        let rows = input.sequence.data().chunks_exact((steps * width).max(1));
        rows.for_each(|row| (0..count).for_each(|_| x.extend_from_slice(row)));
    } else {
        let rows = input.sequence.data().chunks_exact(width.max(1));
        rows.for_each(|row| (0..count).for_each(|_| x.extend_from_slice(row)));
    }
    let copies = Dims::new(config, steps, batch * count)?;
    let shape = copies.shape(width, config.batch_first);
    state.map_or(Ok(()), |state| state.check(config, batch))?;
    let start = state.map(|state| state.gather(&rows_of(batch, count))).transpose()?;
    let mut tape = Tape::default();
    // All copies of a row drop what the row drops.
    let numbers: Vec<u32> = match input.dropout.rows {
        Some(rows) => rows.iter().flat_map(|&row| (0..count).map(move |_| row)).collect(),
        None => (0..batch as u32).flat_map(|row| (0..count).map(move |_| row)).collect(),
    };
    let mut repeated = Input::from(View::new(&x, shape)?);
    repeated.dropout = DropoutKey { rows: Some(&numbers), ..input.dropout };
    network.forward_train_into(repeated, start.as_ref(), &mut tape)?;

    let mut watch = QrWatch::new(&dims, count, seed);
    let (mut room, mut gradients) = (WatchRoom::default(), Gradients::default());
    let watched = Watched { watch: &mut watch, room: &mut room };
    let upstream = Upstream { input_grad: false, ..Upstream::default() };
    network.backward_keep_watched(&tape, upstream, &mut gradients, None, Some(watched))?;
    let (mut h_0, mut c_0) = (gradients.grad_h_0().to_vec(), gradients.grad_c_0().to_vec());
    for track in 0..dims.layers * dims.directions {
        let (dims, d) = (copies.of(config, track / dims.directions), track % dims.directions);
        watch.renormalize(track, &dims, &mut h_0[dims.state_at(d)], &mut c_0[dims.cell_state_at(d)]);
    }
    Ok(watch.finish(steps))
}

/// The rows of a batch, each that many times.
fn rows_of(batch: usize, count: usize) -> Vec<usize> {
    (0..batch * count).map(|row| row / count).collect()
}

/// Decomposes J^T Q after each step back, and goes on with Q.
#[derive(Clone, Debug)]
struct QrWatch {
    dims: Dims,
    count: usize,
    seed: u64,
    /// For each track, [B, count]: sums of logarithms.
    logs: Vec<Vec<f64>>,
    basis: Vec<f64>,
}

impl QrWatch {
    fn new(dims: &Dims, count: usize, seed: u64) -> QrWatch {
        let tracks = dims.layers * dims.directions;
        let logs = vec![vec![0.0; dims.batch * count]; tracks];
        QrWatch { dims: *dims, count, seed, logs, basis: Vec::new() }
    }

    /// Takes the vectors of all rows apart and leaves orthonormal ones.
    fn renormalize(&mut self, track: usize, dims: &Dims, dh: &mut [f32], dc: &mut [f32]) {
        self.each_row(track, dims, dh, dc, |basis, width, logs| {
            for (i, log) in logs.iter_mut().enumerate() {
                *log += orthonormalize(basis, width, i).ln();
            }
        });
    }

    /// An orthonormal random basis for all rows.
    fn start(&mut self, track: usize, dims: &Dims, dh: &mut [f32], dc: &mut [f32]) {
        let mut random = Philox::new(self.seed, track as u64);
        self.each_row(track, dims, dh, dc, |basis, width, logs| {
            basis.iter_mut().for_each(|value| *value = f64::from(random.normal()));
            for i in 0..logs.len() {
                orthonormalize(basis, width, i);
            }
        });
    }

    fn each_row(
        &mut self,
        track: usize,
        dims: &Dims,
        dh: &mut [f32],
        dc: &mut [f32],
        mut job: impl FnMut(&mut [f64], usize, &mut [f64]),
    ) {
        let (h, c) = (dims.features, dims.cell_width());
        let (width, count) = (h + c, self.count);
        self.basis.resize(count * width, 0.0);
        for row in 0..self.dims.batch {
            let first = row * count;
            for (i, vector) in self.basis.chunks_exact_mut(width).enumerate() {
                let from = dh[(first + i) * h..][..h].iter().chain(&dc[(first + i) * c..][..c]);
                vector.iter_mut().zip(from).for_each(|(to, from)| *to = f64::from(*from));
            }
            job(&mut self.basis, width, &mut self.logs[track][first..][..count]);
            for (i, vector) in self.basis.chunks_exact(width).enumerate() {
                let to = dh[(first + i) * h..][..h].iter_mut().chain(&mut dc[(first + i) * c..][..c]);
                to.zip(vector).for_each(|(to, from)| *to = *from as f32);
            }
        }
    }

    fn finish(self, steps: usize) -> Lyapunov {
        let (batch, count, directions) = (self.dims.batch, self.count, self.dims.directions);
        let tracks = self.logs.iter().enumerate().map(|(place, logs)| {
            let of_row = |row: &[f64]| row.iter().map(|log| log / steps as f64).collect::<Vec<f64>>();
            let rows: Vec<Vec<f64>> = logs.chunks_exact(count).map(of_row).collect();
            let mean = |i: usize| rows.iter().map(|row| row[i]).sum::<f64>() / batch as f64;
            let mut exponents: Vec<f64> = (0..count).map(mean).collect();
            exponents.sort_unstable_by(|a, b| b.total_cmp(a));
            TrackLyapunov { layer: place / directions, direction: place % directions, exponents, rows }
        });
        Lyapunov { steps, tracks: tracks.collect() }
    }
}

/// Makes vector `i` orthogonal to those before it, twice for the sake of rounding, and its length 1; answers the length before. A vector
/// of no length stays zero.
fn orthonormalize(basis: &mut [f64], width: usize, i: usize) -> f64 {
    let (before, rest) = basis.split_at_mut(i * width);
    let vector = &mut rest[..width];
    for _ in 0..2 {
        for other in before.chunks_exact(width) {
            let dot: f64 = vector.iter().zip(other).map(|(a, b)| a * b).sum();
            vector.iter_mut().zip(other).for_each(|(a, b)| *a -= dot * b);
        }
    }
    let length = vector.iter().map(|value| value * value).sum::<f64>().sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|value| *value /= length);
    }
    length
}

impl Watch for QrWatch {
    fn begin(&mut self, _dims: &Dims) -> Result<(), Error> {
        Ok(())
    }

    fn wants_steps(&self) -> bool {
        false
    }

    fn is_stepwise(&self) -> bool {
        true
    }

    fn joins_layers(&self) -> bool {
        false
    }

    fn carried(&mut self, step: Carried<'_>) {
        let Carried { dims, layer, direction, step, dh, dc } = step;
        let track = layer * self.dims.directions + direction;
        if step + 1 == self.dims.steps {
            self.start(track, dims, dh, dc);
        } else {
            self.renormalize(track, dims, dh, dc);
        }
    }
}
