//! What a network remembers between two calls: a plain value.

use super::shape::{Dims, expect, expect_len, reserve, resize, zeros};
use super::{Config, Error};
use std::ops::Range;
use std::sync::Arc;

/// The state of a network for a batch: h, and c for an LSTM or a projected GRU. Nothing else is carried from call to call.
///
/// Both are [num_layers * directions, batch, hidden_size], h of a network with a projection [.., proj_size], the forward direction of a
/// layer before its reverse one. Where layers have [sizes of their own](crate::Builder::hidden_sizes) they are the arrays [batch,
/// hidden_size] of each layer and direction, one behind the other: [`h_range`](State::h_range) says where. Clone it to branch or to go
/// back, save its slices to resume.
///
/// # Examples
/// ```
/// use gatewise::Lstm;
///
/// let lstm = Lstm::builder(2, 3).num_layers(2).build()?;
/// let mut state = lstm.zero_state(4)?; // four rows
/// assert_eq!((state.shape(), state.c().len()), ([2, 4, 3], 2 * 4 * 3));
/// if let Some(range) = state.h_range(1, 0) {
///     state.h_mut()[range].fill(0.5); // all rows of the upper layer
/// }
/// let beams = state.gather(&[0, 0, 3])?; // a batch of three
/// assert_eq!(beams.h()[3 * 3..], [0.5; 3 * 3]);
/// # Ok::<(), gatewise::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct State {
    batch: usize,
    shape: Arc<StateShape>,
    h: Vec<f32>,
    /// Empty where the cell has no c.
    c: Vec<f32>,
    /// Where a step writes the new h before it takes the old one's place.
    spare: Vec<f32>,
    /// Where a step of a layer passes its gates on, if its cell does that.
    gates: Vec<f32>,
}

/// What the states of a network have in common. The network and the states that it made share one, so that each step of a stream
/// sees at a glance whether a state fits.
#[derive(Debug, PartialEq)]
pub(crate) struct StateShape {
    directions: usize,
    has_c: bool,
    /// Features of h and of c of each layer, of c even where there is none.
    sizes: Vec<[usize; 2]>,
}

impl StateShape {
    pub(crate) fn new(config: &Config) -> StateShape {
        let sizes_of = |layer| [config.state_size_of(layer), config.hidden_size_of(layer)];
        StateShape {
            directions: config.directions(),
            has_c: config.spec().has_cell_state(),
            sizes: (0..config.num_layers).map(sizes_of).collect(),
        }
    }

    /// Whether each layer and direction has a c.
    pub(crate) fn has_c(&self) -> bool {
        self.has_c
    }
}

impl PartialEq for State {
    fn eq(&self, other: &State) -> bool {
        let sizes = |s: &State| (s.batch, s.shape.directions);
        sizes(self) == sizes(other)
            && self.shape.sizes == other.shape.sizes
            && self.h == other.h
            && self.c == other.c
    }
}

impl State {
    /// The state of all zeros, from which a sequence starts where no other is given.
    pub(crate) fn zero(shape: &Arc<StateShape>, config: &Config, batch: usize) -> Result<State, Error> {
        let dims = Dims::new(config, 1, batch)?;
        Ok(State {
            batch,
            shape: shape.clone(),
            h: zeros("h_0", dims.states())?,
            c: zeros("c_0", dims.cell_states())?,
            spare: zeros("h_0", dims.states())?,
            gates: Vec::new(),
        })
    }

    /// Rows of the batch.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(gatewise::Gru::new(2, 3)?.zero_state(4)?.batch(), 4);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Layers times directions.
    fn parts(&self) -> usize {
        self.shape.sizes.len() * self.shape.directions
    }

    /// The shape of h: [num_layers * directions, batch, hidden_size], or [.., proj_size]; the last axis is the last layer's where layers
    /// differ.
    ///
    /// # Examples
    /// ```
    /// let gru = gatewise::Gru::builder(2, 3).num_layers(2).bidirectional(true).build()?;
    /// assert_eq!(gru.zero_state(5)?.shape(), [2 * 2, 5, 3]);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn shape(&self) -> [usize; 3] {
        [self.parts(), self.batch, self.shape.sizes.last().map_or(0, |[features, _]| *features)]
    }

    /// Where h of a layer in a direction (0 forward, 1 reverse), [batch, hidden_size], stands in [`h`](State::h), and in the gradients
    /// of h_0 and h_n; `None` if there is no such layer or direction.
    ///
    /// # Examples
    /// ```
    /// let state = gatewise::Lstm::builder(2, 3).num_layers(2).build()?.zero_state(4)?;
    /// assert_eq!(state.h_range(1, 0), Some(4 * 3..2 * 4 * 3));
    /// assert_eq!((state.h_range(2, 0), state.h_range(1, 1)), (None, None));
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn h_range(&self, layer: usize, direction: usize) -> Option<Range<usize>> {
        self.range(layer, direction, 0)
    }

    /// Likewise of c in [`c`](State::c); `None` for a cell without c, too.
    ///
    /// # Examples
    /// ```
    /// let lstm = gatewise::Lstm::builder(2, 8).num_layers(2).proj_size(3).build()?;
    /// let state = lstm.zero_state(1)?;
    /// assert_eq!((state.h_range(1, 0), state.c_range(1, 0)), (Some(3..6), Some(8..16)));
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn c_range(&self, layer: usize, direction: usize) -> Option<Range<usize>> {
        self.range(layer, direction, 1).filter(|_| self.shape.has_c)
    }

    fn range(&self, layer: usize, direction: usize, of: usize) -> Option<Range<usize>> {
        let len = self.batch * self.shape.sizes.get(layer).filter(|_| direction < self.shape.directions)?[of];
        let below: usize = self.shape.sizes[..layer].iter().map(|sizes| sizes[of]).sum();
        let begin = self.shape.directions * self.batch * below + direction * len;
        Some(begin..begin + len)
    }

    /// h, [num_layers * directions, batch, hidden_size], or [.., proj_size].
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Gru, View};
    ///
    /// let (y, h_n) = Gru::new(1, 3)?.forward(View::new(&[0.5], [1, 1, 1])?, None)?; // one step of one row
    /// assert_eq!(h_n.h(), y.data());
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn h(&self) -> &[f32] {
        &self.h
    }

    /// [`h`](State::h), to change.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Gru, View};
    ///
    /// let (gru, x) = (Gru::new(1, 3)?, View::new(&[0.5], [1, 1, 1])?);
    /// let mut state = gru.zero_state(1)?;
    /// state.h_mut().fill(1.0);
    /// assert_ne!(gru.forward(x, Some(&state))?, gru.forward(x, None)?);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn h_mut(&mut self) -> &mut [f32] {
        &mut self.h
    }

    /// c, [num_layers * directions, batch, hidden_size]; empty for a cell without c.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(gatewise::Lstm::new(2, 3)?.zero_state(4)?.c().len(), 4 * 3);
    /// assert!(gatewise::Gru::new(2, 3)?.zero_state(4)?.c().is_empty());
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn c(&self) -> &[f32] {
        &self.c
    }

    /// [`c`](State::c), to change; empty for a cell without c.
    ///
    /// # Examples
    /// ```
    /// let mut state = gatewise::Lstm::new(2, 3)?.zero_state(1)?;
    /// state.c_mut()[1] = 0.5;
    /// assert_eq!(state.c(), [0.0, 0.5, 0.0]);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn c_mut(&mut self) -> &mut [f32] {
        &mut self.c
    }

    /// Sets everything to zero.
    ///
    /// # Examples
    /// ```
    /// let lstm = gatewise::Lstm::new(2, 3)?;
    /// let mut state = lstm.zero_state(1)?;
    /// state.h_mut().fill(1.0);
    /// state.c_mut().fill(1.0);
    /// state.fill_zero();
    /// assert_eq!(state, lstm.zero_state(1)?);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn fill_zero(&mut self) {
        self.h.fill(0.0);
        self.c.fill(0.0);
    }

    /// The state of the batch that consists of the given rows of this one, in their order.
    ///
    /// # Errors
    /// [`Error::Index`] if there is no such row.
    ///
    /// # Examples
    /// ```
    /// let mut state = gatewise::Gru::new(2, 1)?.zero_state(3)?;
    /// state.h_mut().copy_from_slice(&[0.0, 1.0, 2.0]); // one unit of three rows
    /// assert_eq!(state.gather(&[2, 0, 2])?.h(), [2.0, 0.0, 2.0]);
    /// assert!(state.gather(&[3]).is_err());
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn gather(&self, rows: &[usize]) -> Result<State, Error> {
        if let Some(&index) = rows.iter().find(|&&row| row >= self.batch) {
            return Err(Error::Index { arg: "rows", index, len: self.batch });
        }
        let gather = |from: &[f32], of: usize| {
            let mut to = Vec::with_capacity(from.len() / self.batch.max(1) * rows.len());
            let mut rest = from;
            for width in self
                .shape
                .sizes
                .iter()
                .flat_map(|sizes| std::iter::repeat_n(sizes[of], self.shape.directions))
            {
                let (part, behind) = rest.split_at(rest.len().min(self.batch * width));
                for row in rows.iter().filter(|_| !part.is_empty()) {
                    to.extend_from_slice(&part[row * width..][..width]);
                }
                rest = behind;
            }
            to
        };
        let (h, c) = (gather(&self.h, 0), gather(&self.c, 1));
        let spare = vec![0.0; h.len()];
        Ok(State { batch: rows.len(), shape: self.shape.clone(), h, c, spare, gates: Vec::new() })
    }

    /// Checks that this is a state of such a network for such a batch.
    pub(crate) fn check(&self, config: &Config, batch: usize) -> Result<(), Error> {
        self.check_as(["h_0", "c_0"], config, batch)
    }

    /// [`check`](State::check) in little time for a state that this network made. `shape`: that of its states.
    pub(crate) fn check_made(&self, shape: &Arc<StateShape>, config: &Config) -> Result<(), Error> {
        if Arc::ptr_eq(&self.shape, shape) { Ok(()) } else { self.check(config, self.batch) }
    }

    /// Checks that resets of such a batch can lead to this state.
    pub(crate) fn check_reset(&self, config: &Config, batch: usize) -> Result<(), Error> {
        self.check_as(["reset_h", "reset_c"], config, if self.batch == 1 { 1 } else { batch })
    }

    fn check_as(&self, [h, c]: [&'static str; 2], config: &Config, batch: usize) -> Result<(), Error> {
        expect(h, "batch size", self.batch, batch)?;
        let dim = if config.proj_size > 0 { "proj_size" } else { "hidden_size" };
        for (layer, [features, _]) in self.shape.sizes.iter().enumerate().take(config.num_layers) {
            expect(h, dim, *features, config.state_size_of(layer))?;
        }
        expect(h, "num_layers * directions", self.parts(), config.num_layers * config.directions())?;
        for (layer, [_, hidden]) in self.shape.sizes.iter().enumerate() {
            expect(c, "hidden_size", *hidden, config.hidden_size_of(layer))?;
        }
        let has_c = config.spec().has_cell_state();
        expect_len(c, self.c.len(), if has_c { self.cell_states() } else { 0 })
    }

    /// Floats of c, if there is one.
    fn cell_states(&self) -> usize {
        self.shape.directions * self.batch * self.shape.sizes.iter().map(|[_, hidden]| hidden).sum::<usize>()
    }

    /// Checks that another state has the sizes of this one.
    pub(crate) fn check_alike(&self, other: &State) -> Result<(), Error> {
        self.check_alike_as(["h_0", "c_0"], other, self.batch)
    }

    /// Checks that resets of a batch with this state can lead to another one.
    pub(crate) fn check_alike_reset(&self, other: &State) -> Result<(), Error> {
        self.check_alike_as(["reset_h", "reset_c"], other, if other.batch == 1 { 1 } else { self.batch })
    }

    fn check_alike_as(&self, [h, c]: [&'static str; 2], other: &State, batch: usize) -> Result<(), Error> {
        expect(h, "batch size", other.batch, batch)?;
        for ([features, hidden], [got, got_hidden]) in self.shape.sizes.iter().zip(&other.shape.sizes) {
            expect(h, if features == hidden { "hidden_size" } else { "proj_size" }, *got, *features)?;
            expect(c, "hidden_size", *got_hidden, *hidden)?;
        }
        expect(h, "num_layers * directions", other.parts(), self.parts())?;
        expect_len(c, other.c.len(), if self.shape.has_c { other.cell_states() } else { 0 })
    }

    /// Makes this the state of a pass, whatever it was; its values are not defined then. `sizes`: features of each layer's h and c.
    pub(crate) fn reshape(
        &mut self,
        dims: &Dims,
        sizes: impl Iterator<Item = [usize; 2]> + Clone,
    ) -> Result<(), Error> {
        resize("h_n", &mut self.h, dims.states())?;
        resize("h_n", &mut self.spare, dims.states())?;
        resize("c_n", &mut self.c, dims.cell_states())?;
        let (directions, has_c) = (dims.directions, dims.has_c);
        let is_alike = (self.shape.directions, self.shape.has_c) == (directions, has_c);
        if !is_alike || !sizes.clone().eq(self.shape.sizes.iter().copied()) {
            let mut all = Vec::new();
            reserve("h_n", &mut all, dims.layers)?;
            all.extend(sizes);
            self.shape = Arc::new(StateShape { directions, has_c, sizes: all });
        }
        self.batch = dims.batch;
        Ok(())
    }

    /// Makes room for the gates of a step; allocates the first time only.
    pub(crate) fn reserve_gates(&mut self, dims: &Dims) -> Result<(), Error> {
        resize("the gates", &mut self.gates, dims.batch * dims.hidden * dims.saved)
    }

    /// The parts that a pass works on: h as it is, h as it will be, c in place, and room for the gates of a step.
    pub(crate) fn split(&mut self) -> (&[f32], &mut [f32], &mut [f32], &mut [f32]) {
        (&self.h, &mut self.spare, &mut self.c, &mut self.gates)
    }

    /// Makes what a step wrote the state.
    pub(crate) fn advance(&mut self) {
        std::mem::swap(&mut self.h, &mut self.spare);
    }
}
