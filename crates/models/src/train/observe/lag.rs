//! How far back a state still matters: the size of dh_T / dh_{T-k}, by backward passes from probes at the last step.

use super::check_made_for;
use super::squares::sum_of_squares;
use crate::nets::Network;
use crate::run::{Gradients, Seen, SeenStep, Tape, Upstream, Watch, WatchRoom, Watched};
use crate::spec::shape::{Dims, reserve, resize};
use crate::spec::{Config, Error, Philox};
use std::ops::Range;

/// What the last step's gradient is set to, one backward pass each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Probes {
    /// That many vectors of random signs for each row: the expectation of |J^T v|^2 is the square of the Frobenius norm, and the mean
    /// over n probes and B rows is off by some 1 / sqrt(n B) of it.
    Random(usize),
    /// Each unit of h in turn: exact up to rounding, as many passes as h has features.
    Units,
}

/// How much a state, and an input, `k` steps before the last one matters for the last h. With the Jacobian J of h_T with respect to
/// what stood k steps before, and R the features of h, each value is the root mean square over the rows of the batch of
///
/// ```text
/// |J|_F / sqrt(R)        |J|_F^2 = sum of the squares of J's elements
/// ```
/// so that h of lag 0 is 1. A vanishing map has values that fall by a factor a step, an exploding one values that grow. The gradients
/// themselves are f32: what falls below their range is 0, what grows beyond it infinite.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LagInfluence {
    /// One for each layer and direction, layers from the bottom, in each the forward direction first. Each by itself: J goes through
    /// the states of that layer in that direction.
    pub tracks: Vec<TrackInfluence>,
    /// Of the network's input `k` steps before the last on h of the last layer's forward direction, through everything between.
    pub x: Vec<f64>,
}

/// The influence in one layer in one direction; index k is lag k.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TrackInfluence {
    /// The layer, counted from 0.
    pub layer: usize,
    /// 0 forward, 1 reverse. The last step of the reverse direction is the first one in time.
    pub direction: usize,
    /// Of h_{T-k} on h_T.
    pub h: Vec<f64>,
    /// Of c_{T-k} on h_T, also by way of h_{T-k}; empty for a cell without c.
    pub c: Vec<f64>,
}

impl TrackInfluence {
    /// What carries the memory: c, or h in a cell without c.
    pub fn state(&self) -> &[f64] {
        if self.c.is_empty() { &self.h } else { &self.c }
    }

    /// The effective memory in steps: the smallest lag at which the influence of [`state`](TrackInfluence::state) is below that
    /// fraction of its influence at lag 0. `None` if it is not within the lags that were looked at, or lag 0 is not finite.
    ///
    /// # Examples
    /// ```
    /// use gatewise::TrackInfluence;
    ///
    /// let track = TrackInfluence { h: vec![1.0, 0.5, 0.25, 0.125], ..TrackInfluence::default() };
    /// assert_eq!(track.memory(0.3), Some(2));
    /// assert_eq!(track.memory(0.1), None);
    /// ```
    pub fn memory(&self, fraction: f64) -> Option<usize> {
        let first = self.state().first().filter(|first| first.is_finite())?;
        self.state().iter().position(|value| *value < fraction * first)
    }
}

impl LagInfluence {
    /// The influence in a layer in a direction; `None` if there is none.
    pub fn track(&self, layer: usize, direction: usize) -> Option<&TrackInfluence> {
        self.tracks.iter().find(|track| (track.layer, track.direction) == (layer, direction))
    }
}

/// Measures [`LagInfluence`] of one network's passes; keeps its room from one time to the next.
///
/// # Examples
/// ```
/// use gatewise::{LagProbe, Lstm, Probes, View};
///
/// let lstm = Lstm::builder(1, 8).seed(1).build()?;
/// let mut probe = LagProbe::new(&lstm, 30, Probes::Random(4), 1)?;
/// let tape = lstm.forward_train(View::new(&[0.5; 40], [40, 1, 1])?, None)?;
/// let influence = probe.measure(&lstm, &tape)?;
/// assert_eq!(influence.tracks[0].h.len(), 31); // lags 0 to 30
/// assert_eq!(influence.tracks[0].h[0], 1.0);
/// let steps = influence.tracks[0].memory(0.1);
/// # assert!(steps.is_some());
/// # Ok::<(), gatewise::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct LagProbe {
    config: Config,
    probes: Probes,
    seed: u64,
    watch: LagWatch,
    room: WatchRoom,
    gradients: Gradients,
    vectors: Vec<f32>,
}

impl LagProbe {
    /// For lags 0 to `max_lag`. `seed` chooses the random probes; the same seed, the same probes.
    ///
    /// # Errors
    /// [`Error::Config`] if there is not one probe.
    pub fn new<K>(
        network: &Network<K>,
        max_lag: usize,
        probes: Probes,
        seed: u64,
    ) -> Result<LagProbe, Error> {
        if probes == Probes::Random(0) {
            return Err(Error::Config { arg: "probes", expected: "greater than zero", got: "0".to_string() });
        }
        let config = network.config().clone();
        let watch = LagWatch { max_lag, ..LagWatch::default() };
        let (room, gradients, vectors) = (WatchRoom::default(), Gradients::default(), Vec::new());
        Ok(LagProbe { config, probes, seed, watch, room, gradients, vectors })
    }

    /// Measures the pass that a tape holds, and leaves it as it is. For each probe there are two backward passes without the gradients
    /// of parameters, one for the states and one for the input. Rows end where they end: lags are counted from each row's own last
    /// step.
    ///
    /// # Errors
    /// [`Error::Config`] if the probe was made for a network with other options, if a row has no step `max_lag` before its last one, or
    /// if there is no row; [`Error::TapeConsumed`] if the tape holds no forward pass.
    pub fn measure<K>(&mut self, network: &Network<K>, tape: &Tape) -> Result<&LagInfluence, Error> {
        check_made_for("probe", &self.config, network.config())?;
        let (dims, active) = tape.sizes()?;
        let (max_lag, batch) = (self.watch.max_lag, dims.batch);
        if batch == 0 {
            return Err(Error::Config { arg: "batch", expected: "greater than zero", got: "0".to_string() });
        }
        let shortest = (0..dims.steps).take_while(|&t| active(t) == batch).count();
        if max_lag >= shortest {
            let got = format!("{max_lag}, where the shortest row has {shortest} steps");
            return Err(Error::Config { arg: "max_lag", expected: "less than the steps of every row", got });
        }
        resize("the probe", &mut self.vectors, dims.states())?;
        self.watch.start(&dims)?;
        let (count, divisor) = match self.probes {
            Probes::Random(count) => (count, count as f64),
            Probes::Units => (dims.widest(&self.config).features, 1.0),
        };
        for probe in 0..count {
            for is_joined in [false, true] {
                self.fill(&dims, probe, is_joined);
                self.watch.is_joined = is_joined;
                let upstream =
                    Upstream { h_n: Some(&self.vectors), input_grad: is_joined, ..Upstream::default() };
                let watched = Watched { watch: &mut self.watch, room: &mut self.room };
                network.backward_keep_watched(tape, upstream, &mut self.gradients, None, Some(watched))?;
            }
        }
        let config = &self.config;
        self.watch.finish(|layer| divisor * (batch * dims.of(config, layer).features) as f64);
        Ok(&self.watch.influence)
    }

    /// The probe of each row in every layer and direction; for the input in the last layer's forward direction alone.
    fn fill(&mut self, dims: &Dims, probe: usize, is_joined: bool) {
        let Probes::Random(_) = self.probes else {
            self.vectors.fill(0.0);
            for (layer, d) in (0..dims.layers).flat_map(|layer| (0..dims.directions).map(move |d| (layer, d)))
            {
                let dims = dims.of(&self.config, layer);
                let units = self.vectors[dims.state_at(d)].iter_mut().skip(probe);
                units
                    .step_by(dims.features)
                    .take(if probe < dims.features { dims.batch } else { 0 })
                    .for_each(|unit| *unit = 1.0);
            }
            return self.keep_top(dims, is_joined);
        };
        let mut random = Philox::new(self.seed, probe as u64);
        for signs in self.vectors.chunks_mut(32) {
            let bits = random.next_u32();
            for (i, value) in signs.iter_mut().enumerate() {
                *value = if bits >> i & 1 == 1 { 1.0 } else { -1.0 };
            }
        }
        self.keep_top(dims, is_joined);
    }

    fn keep_top(&mut self, dims: &Dims, is_joined: bool) {
        if is_joined {
            let top = dims.state_at(0);
            self.vectors[..top.start].fill(0.0);
            self.vectors[top.end..].fill(0.0);
        }
    }

    /// What was measured last; without lags before the first time.
    pub fn influence(&self) -> &LagInfluence {
        &self.watch.influence
    }
}

/// Sums squares by lag.
#[derive(Clone, Debug, Default)]
struct LagWatch {
    influence: LagInfluence,
    max_lag: usize,
    /// Whether the pass is the one for the input.
    is_joined: bool,
    dims: Option<Dims>,
    /// The last step, as a time, of the row at each place, in the direction at hand.
    last: Vec<usize>,
    /// The track at hand.
    track: Option<usize>,
}

impl LagWatch {
    /// Makes room, all sums zero.
    fn start(&mut self, dims: &Dims) -> Result<(), Error> {
        let (what, lags) = ("the probe", self.max_lag + 1);
        let tracks = &mut self.influence.tracks;
        tracks.resize_with(dims.layers * dims.directions, TrackInfluence::default);
        for (place, track) in tracks.iter_mut().enumerate() {
            (track.layer, track.direction) = (place / dims.directions, place % dims.directions);
            for (list, len) in [(&mut track.h, lags), (&mut track.c, if dims.has_c { lags } else { 0 })] {
                list.clear();
                reserve(what, list, len)?;
                list.resize(len, 0.0);
            }
        }
        self.influence.x.clear();
        reserve(what, &mut self.influence.x, lags)?;
        self.influence.x.resize(lags, 0.0);
        self.last.clear();
        reserve(what, &mut self.last, dims.batch)
    }

    /// From sums of squares to norms; what a layer's are divided by is asked for.
    fn finish(&mut self, divisor: impl Fn(usize) -> f64) {
        let LagInfluence { tracks, x } = &mut self.influence;
        let top = tracks.last().map_or(0, |track| track.layer);
        for track in tracks {
            let divisor = divisor(track.layer);
            track.h.iter_mut().chain(&mut track.c).for_each(|value| *value = (*value / divisor).sqrt());
        }
        x.iter_mut().for_each(|value| *value = (*value / divisor(top)).sqrt());
    }
}

impl Watch for LagWatch {
    fn begin(&mut self, dims: &Dims) -> Result<(), Error> {
        (self.dims, self.track) = (Some(*dims), None);
        self.last.clear();
        Ok(())
    }

    fn joins_layers(&self) -> bool {
        self.is_joined
    }

    fn seen(&mut self, chunk: Seen<'_>) {
        let Seen { dims, layer, direction, .. } = chunk;
        let track = layer * dims.directions + direction;
        if self.is_joined && track != (dims.layers - 1) * dims.directions {
            return;
        }
        if self.track != Some(track) {
            self.track = Some(track);
            self.last.clear();
        }
        for SeenStep { time, dh, dc } in chunk.steps() {
            for row in 0..dh.len() / dims.features {
                // Steps come last first, and a row stays from its last step on.
                if row == self.last.len() {
                    self.last.push(time);
                }
                let lag = time.abs_diff(self.last[row]);
                if lag > self.max_lag || self.is_joined {
                    continue;
                }
                let sums = &mut self.influence.tracks[track];
                sums.h[lag] += sum_of_squares(&dh[row * dims.features..][..dims.features]);
                if dims.has_c {
                    sums.c[lag] += sum_of_squares(&dc[row * dims.hidden..][..dims.hidden]);
                }
            }
        }
    }

    fn seen_input(&mut self, times: Range<usize>, dx: &[f32]) {
        let Some(dims) = self.dims else { return };
        let width = dx.len() / (times.len() * dims.batch);
        for (place, last) in self.last.iter().enumerate() {
            let first = last.saturating_sub(self.max_lag).max(times.start);
            for time in first..times.end.min(last + 1) {
                let at = (time - times.start) * dims.batch + place;
                self.influence.x[last - time] += sum_of_squares(&dx[at * width..][..width]);
            }
        }
    }
}

/// Influence by lag and training step: how far a network remembers as it learns.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LagHistory {
    /// In the order in which they were added.
    pub rows: Vec<LagRow>,
}

/// One row of a [`LagHistory`].
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LagRow {
    /// The training step.
    pub step: u64,
    /// Influence by lag, as [`TrackInfluence::state`] or [`LagInfluence::x`].
    pub influence: Vec<f64>,
}

impl LagHistory {
    /// Adds what was measured at a training step.
    pub fn push(&mut self, step: u64, influence: &[f64]) {
        self.rows.push(LagRow { step, influence: influence.to_vec() });
    }
}
