//! What the gates of a network did in one pass, by their roles.

use crate::nets::Network;
use crate::run::{Steps, Tape};
use crate::spec::{Config, Error};
use gatewise_kernels::{Activation, Cell};

/// What a gate is for. Texts name gates by their roles, equations by letters.
///
/// # Examples
/// ```
/// use gatewise::{GateReport, GateRole, Lstm, View};
///
/// let lstm = Lstm::new(1, 4)?;
/// let tape = lstm.forward_train(View::new(&[0.5; 10], [10, 1, 1])?, None)?;
/// let roles: Vec<_> = GateReport::new(&lstm, &tape)?.tracks[0].gates.iter().map(|gate| gate.role).collect();
/// assert_eq!(roles, [GateRole::Input, GateRole::Forget, GateRole::Cell, GateRole::Output]);
/// # Ok::<(), gatewise::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum GateRole {
    /// i of an LSTM: how much of the candidate is written to c. Some texts call it the LSTM's update gate.
    Input,
    /// f of an LSTM: how much of c is kept.
    Forget,
    /// The candidate: g of an LSTM, n of a GRU.
    Cell,
    /// o of an LSTM: how much of c is shown.
    Output,
    /// r of a GRU, the reset gate: how much of the past the candidate sees.
    Relevance,
    /// z of a GRU: how much of h is kept, for h' = z h + (1 - z) n. Some texts have it the other way round.
    Update,
    /// h of a vanilla network, which has no gates.
    State,
}

impl GateRole {
    /// The word: `input`, `forget`, `cell`, `output`, `relevance`, `update`, `state`.
    ///
    /// # Examples
    /// ```
    /// use gatewise::GateRole;
    ///
    /// assert_eq!([GateRole::Relevance, GateRole::Update].map(GateRole::name), ["relevance", "update"]);
    /// ```
    pub fn name(self) -> &'static str {
        match self {
            GateRole::Input => "input",
            GateRole::Forget => "forget",
            GateRole::Cell => "cell",
            GateRole::Output => "output",
            GateRole::Relevance => "relevance",
            GateRole::Update => "update",
            GateRole::State => "state",
        }
    }

    /// The roles of a cell, in the order in which it saves their values.
    fn of(cell: Cell) -> &'static [GateRole] {
        match cell {
            Cell::RnnTanh | Cell::RnnRelu => &[GateRole::State],
            Cell::Lstm => &[GateRole::Input, GateRole::Forget, GateRole::Cell, GateRole::Output],
            Cell::Gru => &[GateRole::Relevance, GateRole::Update, GateRole::Cell],
        }
    }
}

/// What one gate of a layer in a direction did, over all valid steps and rows.
///
/// A value is saturated where its slope is nearly gone: of an activation that ends at both sides, in the outer tenth of its range at a
/// side if it goes from 0 (a sigmoid below 0.1 or above 0.9), in the outer twentieth if it goes from minus (a tanh below -0.9 or above
/// 0.9); of a relu, at 0. Activations without an end are never saturated. A unit is dead that is saturated on one and the same side
/// throughout.
///
/// # Examples
/// A forget gate that a large bias holds open:
/// ```
/// use gatewise::{GateReport, GateRole, Lstm, View};
///
/// let mut lstm = Lstm::builder(1, 4).seed(1).build()?;
/// lstm.params_mut().get_mut("bias_ih_l0").expect("it has biases").data_mut()[4..8].fill(20.0); // i f g o
/// let tape = lstm.forward_train(View::new(&[0.5; 10], [10, 1, 1])?, None)?;
/// let report = GateReport::new(&lstm, &tape)?;
/// let forget = report.gate(0, 0, GateRole::Forget).expect("an LSTM has one");
/// assert!(forget.mean > 0.99 && forget.saturated == [0.0, 1.0]);
/// assert_eq!((forget.dead.len(), forget.unit_means.len(), forget.range), (4, 4, [0.0, 1.0]));
/// # Ok::<(), gatewise::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Gate {
    /// What it is for.
    pub role: GateRole,
    /// The mean of all values; NaN if there is none.
    #[cfg_attr(feature = "serde", serde(with = "super::numbers"))]
    pub mean: f64,
    /// Share of the values that are saturated on the low side, and on the high side.
    #[cfg_attr(feature = "serde", serde(with = "super::numbers"))]
    pub saturated: [f64; 2],
    /// A value at most the first is saturated low, one at least the second high; `None` where the activation has no such end.
    pub ends: [Option<f64>; 2],
    /// Units that are dead, in ascending order.
    pub dead: Vec<usize>,
    /// The mean of each unit.
    #[cfg_attr(feature = "serde", serde(with = "super::numbers"))]
    pub unit_means: Vec<f64>,
    /// How many values fall in each of equal parts of `range`. Values that are not finite are in none.
    pub histogram: Vec<u64>,
    /// The activation's range, or that of the values where it has no end.
    #[cfg_attr(feature = "serde", serde(with = "super::numbers"))]
    pub range: [f64; 2],
}

/// The gates of one layer in one direction.
///
/// # Examples
/// ```
/// use gatewise::{GateReport, Gru, View};
///
/// let gru = Gru::builder(1, 4).num_layers(2).seed(1).build()?;
/// let tape = gru.forward_train(View::new(&[0.5; 10], [10, 1, 1])?, None)?;
/// let report = GateReport::new(&gru, &tape)?;
/// let top = &report.tracks[1];
/// assert_eq!((top.layer, top.direction, top.gates.len()), (1, 0, 3));
/// let update = &top.gates[1].unit_means; // r z n
/// assert!((top.memory[0] * (1.0 - update[0]) - 1.0).abs() < 1e-9);
/// # Ok::<(), gatewise::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TrackGates {
    /// The layer, counted from 0.
    pub layer: usize,
    /// 0 forward, 1 reverse.
    pub direction: usize,
    /// The gates, in the order of their rows in the weights; the state of a vanilla network.
    pub gates: Vec<Gate>,
    /// 1 / (1 - m) for each unit, where m is the mean of its forget gate (LSTM) or update gate (GRU): the steps after which a leaky
    /// average with that factor has fallen to 1 / e, about. Infinite where m is 1; empty for a vanilla network.
    #[cfg_attr(feature = "serde", serde(with = "super::numbers"))]
    pub memory: Vec<f64>,
}

/// The gates of all layers in one pass. Made from a tape that backward has not consumed; a tape in segments is run once more.
///
/// # Examples
/// ```
/// use gatewise::{GateReport, GateRole, Gru, View};
///
/// let gru = Gru::builder(1, 8).seed(1).build()?;
/// let tape = gru.forward_train(View::new(&[0.5; 40], [40, 1, 1])?, None)?;
/// let report = GateReport::new(&gru, &tape)?;
/// let update = report.gate(0, 0, GateRole::Update).expect("a GRU has one");
/// assert!((0.0..=1.0).contains(&update.mean));
/// assert_eq!(update.histogram.iter().sum::<u64>(), 40 * 8);
/// assert_eq!(report.tracks[0].memory.len(), 8);
/// # Ok::<(), gatewise::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct GateReport {
    /// One for each layer and direction, layers from the bottom, in each the forward direction first.
    pub tracks: Vec<TrackGates>,
}

/// Parts of a histogram.
const BINS: usize = 20;

impl GateReport {
    /// Looks at the gates of a recorded pass.
    ///
    /// # Errors
    /// [`Error::TapeConsumed`] if the tape holds no forward pass; [`Error::Config`] if it is another network's.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Error, GateReport, Gru, Upstream, View};
    ///
    /// let gru = Gru::builder(1, 4).seed(1).build()?;
    /// let mut tape = gru.forward_train(View::new(&[0.5; 10], [10, 1, 1])?, None)?;
    /// assert_eq!(GateReport::new(&gru, &tape)?.tracks.len(), 1);
    /// let mut grads = gru.params().zeros_like();
    /// gru.backward(&mut tape, Upstream::default(), &mut grads)?;
    /// assert_eq!(GateReport::new(&gru, &tape), Err(Error::TapeConsumed)); // gradients stand where the gates were
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn new<K>(network: &Network<K>, tape: &Tape) -> Result<GateReport, Error> {
        let config = network.config();
        let (dims, active) = tape.sizes()?;
        let roles = GateRole::of(config.cell);
        let mut sums: Vec<Vec<Sums>> = Vec::new();
        for track in 0..dims.layers * dims.directions {
            let hidden = config.hidden_size_of(track / dims.directions);
            sums.push(roles.iter().map(|role| Sums::new(Ends::of(config, *role), hidden)).collect());
        }
        // The slots of a vanilla network hold its h, and u behind it if that is projected.
        let each = |layer: usize, steps: &Steps<'_>, see: &mut dyn FnMut(usize, usize, f32)| {
            let hidden = config.hidden_size_of(layer);
            let width = dims.saved * hidden;
            for (i, t) in steps.times.clone().enumerate() {
                for row in 0..active(t) {
                    let values = &steps.gates[(i * dims.batch + row) * width..][..roles.len() * hidden];
                    for (at, value) in values.iter().enumerate() {
                        see(at / hidden, at % hidden, *value);
                    }
                }
            }
        };
        network.visit(tape, &mut |layer, d, steps| {
            let gates = &mut sums[layer * dims.directions + d];
            each(layer, &steps, &mut |gate, unit, value| gates[gate].add(unit, value));
            Ok(())
        })?;
        network.visit(tape, &mut |layer, d, steps| {
            let gates = &mut sums[layer * dims.directions + d];
            each(layer, &steps, &mut |gate, _, value| gates[gate].count(value));
            Ok(())
        })?;
        let tracks = sums.into_iter().enumerate().map(|(place, sums)| {
            let gates: Vec<Gate> = sums.into_iter().zip(roles).map(|(sums, role)| sums.gate(*role)).collect();
            let keeps = |gate: &&Gate| matches!(gate.role, GateRole::Forget | GateRole::Update);
            let keeper = gates.iter().find(keeps).map_or(&[][..], |gate| &gate.unit_means);
            let memory = keeper.iter().map(|mean| 1.0 / (1.0 - mean)).collect();
            TrackGates { layer: place / dims.directions, direction: place % dims.directions, gates, memory }
        });
        Ok(GateReport { tracks: tracks.collect() })
    }

    /// A gate of a layer in a direction; `None` if there is none.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{GateReport, GateRole, Rnn, View};
    ///
    /// let rnn = Rnn::new(1, 4)?;
    /// let tape = rnn.forward_train(View::new(&[0.5; 10], [10, 1, 1])?, None)?;
    /// let report = GateReport::new(&rnn, &tape)?;
    /// assert!(report.gate(0, 0, GateRole::State).is_some());
    /// assert!(report.gate(0, 0, GateRole::Forget).is_none()); // a vanilla network has no gates
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn gate(&self, layer: usize, direction: usize, role: GateRole) -> Option<&Gate> {
        let track = self.tracks.iter().find(|track| (track.layer, track.direction) == (layer, direction))?;
        track.gates.iter().find(|gate| gate.role == role)
    }
}

/// Where an activation ends, and from where on a value counts as saturated there.
#[derive(Clone, Copy, Debug)]
struct Ends {
    /// The range, where it ends at both sides.
    range: Option<[f64; 2]>,
    /// At most this is saturated low; at least that is saturated high.
    saturated: [f64; 2],
}

impl Ends {
    fn of(config: &Config, role: GateRole) -> Ends {
        let gates = config.activations;
        let activation = match role {
            GateRole::Cell | GateRole::State => gates.candidate,
            _ => gates.gate,
        };
        let none = [f64::NEG_INFINITY, f64::INFINITY];
        let between = |low: f64, high: f64| {
            let margin = if low < 0.0 { 0.05 } else { 0.1 } * (high - low);
            Ends { range: Some([low, high]), saturated: [low + margin, high - margin] }
        };
        match activation {
            Activation::Sigmoid | Activation::HardSigmoid { .. } => between(0.0, 1.0),
            Activation::Tanh | Activation::Softsign => between(-1.0, 1.0),
            Activation::ScaledTanh { alpha, .. } => between(-f64::from(alpha.abs()), f64::from(alpha.abs())),
            Activation::Relu | Activation::ThresholdedRelu { .. } => {
                Ends { range: None, saturated: [0.0, none[1]] }
            }
            Activation::Elu { alpha } => Ends { range: None, saturated: [-0.9 * f64::from(alpha), none[1]] },
            Activation::Softplus => Ends { range: None, saturated: [0.1, none[1]] },
            Activation::Identity | Activation::Affine { .. } | Activation::LeakyRelu { .. } => {
                Ends { range: None, saturated: none }
            }
        }
    }
}

/// What a gate did so far.
struct Sums {
    ends: Ends,
    /// Values of each unit, their sum, and how many are saturated low and high.
    units: Vec<(u64, f64, [u64; 2])>,
    range: [f64; 2],
    histogram: Vec<u64>,
}

impl Sums {
    fn new(ends: Ends, units: usize) -> Sums {
        let range = ends.range.unwrap_or([f64::INFINITY, f64::NEG_INFINITY]);
        Sums { ends, units: vec![(0, 0.0, [0; 2]); units], range, histogram: vec![0; BINS] }
    }

    /// Takes a value in.
    fn add(&mut self, unit: usize, value: f32) {
        let value = f64::from(value);
        let (count, sum, saturated) = &mut self.units[unit];
        let [low, high] = self.ends.saturated;
        *count += 1;
        *sum += value;
        saturated[0] += u64::from(value <= low);
        saturated[1] += u64::from(value >= high);
        if self.ends.range.is_none() && value.is_finite() {
            self.range = [self.range[0].min(value), self.range[1].max(value)];
        }
    }

    /// Counts a value in the histogram, once the range is known.
    fn count(&mut self, value: f32) {
        let [low, high] = self.range;
        let part = (f64::from(value) - low) / (high - low) * BINS as f64;
        if value.is_finite() {
            // All values alike have a range of no width, and a part that is no number: the first bin.
            self.histogram[(part as usize).min(BINS - 1)] += 1;
        }
    }

    fn gate(self, role: GateRole) -> Gate {
        let count: u64 = self.units.iter().map(|(count, ..)| count).sum();
        let total: f64 = self.units.iter().map(|(_, sum, _)| sum).sum();
        let share = |side: usize| {
            let saturated: u64 = self.units.iter().map(|(.., saturated)| saturated[side]).sum();
            saturated as f64 / count as f64
        };
        let is_dead =
            |(count, _, [low, high]): &(u64, f64, [u64; 2])| *count > 0 && (low == count || high == count);
        Gate {
            role,
            mean: total / count as f64,
            saturated: [share(0), share(1)],
            ends: self.ends.saturated.map(|end| end.is_finite().then_some(end)),
            dead: (0..self.units.len()).filter(|&unit| is_dead(&self.units[unit])).collect(),
            unit_means: self.units.iter().map(|(count, sum, _)| sum / *count as f64).collect(),
            histogram: self.histogram,
            range: if self.range[0] <= self.range[1] { self.range } else { [0.0, 0.0] },
        }
    }
}
