//! How far back a state still matters: the size of dh_T / dh_{T-k}, by backward passes from probes at the last step.

use super::check_made_for;
use super::influence::{LagInfluence, TrackInfluence};
use super::squares::sum_of_squares;
use crate::nets::Network;
use crate::run::{Gradients, Seen, SeenStep, Tape, Upstream, Watch, WatchRoom, Watched};
use crate::spec::shape::{Dims, reserve, resize};
use crate::spec::{Config, Error, Philox};
use gatewise_kernels::Kernels;
use std::ops::Range;

/// What the last step's gradient is set to, one backward pass each.
///
/// # Examples
/// ```
/// use gatewise::{LagProbe, Probes, Rnn, View};
///
/// let rnn = Rnn::builder(1, 8).seed(1).build()?;
/// let tape = rnn.forward_train(View::new(&[0.5; 20], [20, 1, 1])?, None)?;
/// let measure = |probes| Ok::<f64, gatewise::Error>(LagProbe::new(&rnn, 3, probes, 1)?.measure(&rnn, &tape)?.tracks[0].h[3]);
/// let (exact, sampled) = (measure(Probes::Units)?, measure(Probes::Random(100))?);
/// assert!((sampled / exact - 1.0).abs() < 0.3);
/// # Ok::<(), gatewise::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Probes {
    /// That many vectors of random signs for each row: the expectation of |J^T v|^2 is the square of the Frobenius norm, and the mean
    /// over n probes and B rows is off by some 1 / sqrt(n B) of it.
    Random(usize),
    /// Each unit of h in turn: exact up to rounding, as many passes as h has features.
    Units,
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
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Gru, LagProbe, Probes};
    ///
    /// let gru = Gru::new(1, 4)?;
    /// assert!(LagProbe::new(&gru, 10, Probes::Units, 0).is_ok());
    /// assert!(LagProbe::new(&gru, 10, Probes::Random(0), 0).is_err());
    /// # Ok::<(), gatewise::Error>(())
    /// ```
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
        let watch = LagWatch::new(network.kernels(), max_lag);
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
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Gru, LagProbe, Probes, View};
    ///
    /// let gru = Gru::builder(1, 4).seed(1).build()?;
    /// let mut probe = LagProbe::new(&gru, 10, Probes::Units, 0)?;
    /// let tape = gru.forward_train(View::new(&[0.5; 20], [20, 1, 1])?, None)?;
    /// let influence = probe.measure(&gru, &tape)?;
    /// assert!(influence.tracks[0].h[10] < influence.tracks[0].h[1]); // it fades
    /// let short = gru.forward_train(View::new(&[0.5; 10], [10, 1, 1])?, None)?;
    /// assert!(probe.measure(&gru, &short).is_err()); // no step lies 10 before the last one
    /// # Ok::<(), gatewise::Error>(())
    /// ```
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
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Gru, LagProbe, Probes, View};
    ///
    /// let gru = Gru::builder(1, 4).seed(1).build()?;
    /// let mut probe = LagProbe::new(&gru, 5, Probes::Units, 0)?;
    /// assert!(probe.influence().tracks.is_empty());
    /// let tape = gru.forward_train(View::new(&[0.5; 20], [20, 1, 1])?, None)?;
    /// let measured = probe.measure(&gru, &tape)?.clone();
    /// assert_eq!(probe.influence(), &measured);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn influence(&self) -> &LagInfluence {
        &self.watch.influence
    }
}

/// Sums squares by lag.
#[derive(Clone, Debug)]
struct LagWatch {
    kernels: Kernels,
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
    fn new(kernels: Kernels, max_lag: usize) -> LagWatch {
        let (influence, last) = (LagInfluence::default(), Vec::new());
        LagWatch { kernels, influence, max_lag, is_joined: false, dims: None, last, track: None }
    }

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
                sums.h[lag] += sum_of_squares(self.kernels, &dh[row * dims.features..][..dims.features]);
                if dims.has_c {
                    sums.c[lag] += sum_of_squares(self.kernels, &dc[row * dims.hidden..][..dims.hidden]);
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
                self.influence.x[last - time] += sum_of_squares(self.kernels, &dx[at * width..][..width]);
            }
        }
    }
}
