//! How far back a state matters, as plain data: by lag, and by lag and training step.

/// How much a state, and an input, `k` steps before the last one matters for the last h. With the Jacobian J of h_T with respect to
/// what stood k steps before, and R the features of h, each value is the root mean square over the rows of the batch of
///
/// ```text
/// |J|_F / sqrt(R)        |J|_F^2 = sum of the squares of J's elements
/// ```
/// so that h of lag 0 is 1. A vanishing map has values that fall by a factor a step, an exploding one values that grow. The gradients
/// themselves are f32: what falls below their range is 0, what grows beyond it infinite.
///
/// # Examples
/// ```
/// use gatewise::{LagProbe, Lstm, Probes, View};
///
/// let lstm = Lstm::builder(1, 4).num_layers(2).seed(1).build()?;
/// let tape = lstm.forward_train(View::new(&[0.5; 20], [20, 1, 1])?, None)?;
/// let influence = LagProbe::new(&lstm, 10, Probes::Random(4), 1)?.measure(&lstm, &tape)?.clone();
/// assert_eq!((influence.tracks.len(), influence.x.len()), (2, 11));
/// # Ok::<(), gatewise::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LagInfluence {
    /// One for each layer and direction, layers from the bottom, in each the forward direction first. Each by itself: J goes through
    /// the states of that layer in that direction.
    pub tracks: Vec<TrackInfluence>,
    /// Of the network's input `k` steps before the last on h of the last layer's forward direction, through everything between.
    #[cfg_attr(feature = "serde", serde(with = "super::numbers"))]
    pub x: Vec<f64>,
}

/// The influence in one layer in one direction; index k is lag k.
///
/// # Examples
/// ```
/// use gatewise::{LagProbe, Lstm, Probes, View};
///
/// let lstm = Lstm::builder(1, 4).bidirectional(true).seed(1).build()?;
/// let tape = lstm.forward_train(View::new(&[0.5; 20], [20, 1, 1])?, None)?;
/// let mut probe = LagProbe::new(&lstm, 10, Probes::Random(4), 1)?;
/// let reverse = &probe.measure(&lstm, &tape)?.tracks[1];
/// assert_eq!((reverse.layer, reverse.direction, reverse.c.len()), (0, 1, 11));
/// # Ok::<(), gatewise::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TrackInfluence {
    /// The layer, counted from 0.
    pub layer: usize,
    /// 0 forward, 1 reverse. The last step of the reverse direction is the first one in time.
    pub direction: usize,
    /// Of h_{T-k} on h_T.
    #[cfg_attr(feature = "serde", serde(with = "super::numbers"))]
    pub h: Vec<f64>,
    /// Of c_{T-k} on h_T, also by way of h_{T-k}; empty for a cell without c.
    #[cfg_attr(feature = "serde", serde(with = "super::numbers"))]
    pub c: Vec<f64>,
}

impl TrackInfluence {
    /// What carries the memory: c, or h in a cell without c.
    ///
    /// # Examples
    /// ```
    /// use gatewise::TrackInfluence;
    ///
    /// let (h, c) = (vec![1.0, 0.5], vec![0.7, 0.6]);
    /// let lstm = TrackInfluence { h, c, ..TrackInfluence::default() };
    /// assert_eq!(lstm.state(), [0.7, 0.6]);
    /// assert_eq!(TrackInfluence { c: vec![], ..lstm }.state(), [1.0, 0.5]); // a cell without c
    /// ```
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
    ///
    /// # Examples
    /// ```
    /// use gatewise::{LagInfluence, TrackInfluence};
    ///
    /// let track = TrackInfluence { layer: 1, h: vec![1.0, 0.5], ..TrackInfluence::default() };
    /// let influence = LagInfluence { tracks: vec![track], x: vec![] };
    /// assert_eq!(influence.track(1, 0).and_then(|track| track.memory(0.6)), Some(1));
    /// assert!(influence.track(0, 0).is_none());
    /// ```
    pub fn track(&self, layer: usize, direction: usize) -> Option<&TrackInfluence> {
        self.tracks.iter().find(|track| (track.layer, track.direction) == (layer, direction))
    }
}

/// Influence by lag and training step: how far a network remembers as it learns.
///
/// # Examples
/// ```
/// use gatewise::LagHistory;
///
/// let mut history = LagHistory::default();
/// history.push(0, &[1.0, 0.1, 0.01]); // by lag, before training
/// history.push(100, &[1.0, 0.8, 0.6]);
/// assert!(history.rows[0].influence[2] < history.rows[1].influence[2]); // it has learnt to look back
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LagHistory {
    /// In the order in which they were added.
    pub rows: Vec<LagRow>,
}

/// One row of a [`LagHistory`].
///
/// # Examples
/// ```
/// use gatewise::{LagHistory, LagRow};
///
/// let rows = vec![LagRow { step: 500, influence: vec![1.0, 0.5] }];
/// let mut history = LagHistory::default();
/// history.push(500, &[1.0, 0.5]);
/// assert_eq!(history, LagHistory { rows });
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LagRow {
    /// The training step.
    pub step: u64,
    /// Influence by lag, as [`TrackInfluence::state`] or [`LagInfluence::x`].
    #[cfg_attr(feature = "serde", serde(with = "super::numbers"))]
    pub influence: Vec<f64>,
}

impl LagHistory {
    /// Adds what was measured at a training step.
    ///
    /// # Examples
    /// ```
    /// let mut history = gatewise::LagHistory::default();
    /// history.push(10, &[1.0, 0.5, 0.25]);
    /// assert_eq!((history.rows[0].step, history.rows[0].influence.len()), (10, 3));
    /// ```
    pub fn push(&mut self, step: u64, influence: &[f64]) {
        self.rows.push(LagRow { step, influence: influence.to_vec() });
    }
}
