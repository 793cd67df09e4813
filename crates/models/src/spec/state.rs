//! What a network remembers between two calls: a plain value.

use super::shape::{Dims, expect, expect_len, resize, zeros};
use super::{Config, Error};

/// The state of a network for a batch: h, and c for an LSTM or a projected GRU. Nothing else is carried from call to call.
///
/// Both are [num_layers * directions, batch, hidden_size], h of a network with a projection [.., proj_size], the forward direction of a layer before its reverse one. Clone it to branch or to go back, save its slices to resume.
#[derive(Clone, Debug)]
pub struct State {
    /// Layers times directions.
    layers: usize,
    batch: usize,
    /// Features of h and of c.
    features: usize,
    hidden: usize,
    h: Vec<f32>,
    /// Empty where the cell has no c.
    c: Vec<f32>,
    /// Where a step writes the new h before it takes the old one's place.
    spare: Vec<f32>,
    /// Where a step of a layer passes its gates on, if its cell does that.
    gates: Vec<f32>,
}

impl PartialEq for State {
    fn eq(&self, other: &State) -> bool {
        let sizes = |s: &State| (s.layers, s.batch, s.features, s.hidden);
        sizes(self) == sizes(other) && self.h == other.h && self.c == other.c
    }
}

impl State {
    /// The state of all zeros, from which a sequence starts where no other is given.
    pub(crate) fn zero(config: &Config, batch: usize) -> Result<State, Error> {
        let dims = Dims::new(config, 1, batch)?;
        Ok(State {
            layers: config.num_layers * config.directions(),
            batch,
            features: dims.features,
            hidden: config.hidden_size,
            h: zeros("h_0", dims.states())?,
            c: zeros("c_0", dims.cell_states())?,
            spare: zeros("h_0", dims.states())?,
            gates: Vec::new(),
        })
    }

    /// Rows of the batch.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// The shape of h: [num_layers * directions, batch, hidden_size], or [.., proj_size].
    pub fn shape(&self) -> [usize; 3] {
        [self.layers, self.batch, self.features]
    }

    /// h, [num_layers * directions, batch, hidden_size], or [.., proj_size].
    pub fn h(&self) -> &[f32] {
        &self.h
    }

    /// h, to change.
    pub fn h_mut(&mut self) -> &mut [f32] {
        &mut self.h
    }

    /// c, [num_layers * directions, batch, hidden_size]; empty for a cell without c.
    pub fn c(&self) -> &[f32] {
        &self.c
    }

    /// c, to change.
    pub fn c_mut(&mut self) -> &mut [f32] {
        &mut self.c
    }

    /// Sets everything to zero.
    pub fn fill_zero(&mut self) {
        self.h.fill(0.0);
        self.c.fill(0.0);
    }

    /// The state of the batch that consists of the given rows of this one, in their order.
    ///
    /// # Errors
    /// [`Error::Index`] if there is no such row.
    pub fn gather(&self, rows: &[usize]) -> Result<State, Error> {
        if let Some(&index) = rows.iter().find(|&&row| row >= self.batch) {
            return Err(Error::Index { arg: "rows", index, len: self.batch });
        }
        let gather = |from: &[f32], width: usize| {
            let mut to = Vec::with_capacity(if from.is_empty() { 0 } else { self.layers * rows.len() });
            for layer in from.chunks_exact((self.batch * width).max(1)) {
                for row in rows {
                    to.extend_from_slice(&layer[row * width..][..width]);
                }
            }
            to
        };
        let (h, c) = (gather(&self.h, self.features), gather(&self.c, self.hidden));
        Ok(State { batch: rows.len(), spare: vec![0.0; h.len()], gates: Vec::new(), h, c, ..*self })
    }

    /// Checks that this is a state of such a network for such a batch.
    pub(crate) fn check(&self, config: &Config, batch: usize) -> Result<(), Error> {
        expect("h_0", "batch size", self.batch, batch)?;
        let dim = if config.proj_size > 0 { "proj_size" } else { "hidden_size" };
        expect("h_0", dim, self.features, config.state_size())?;
        expect("h_0", "num_layers * directions", self.layers, config.num_layers * config.directions())?;
        expect("c_0", "hidden_size", self.hidden, config.hidden_size)?;
        let layers = if config.spec().has_cell_state() { self.layers } else { 0 };
        expect_len("c_0", self.c.len(), layers * self.batch * self.hidden)
    }

    /// Checks that another state has the sizes of this one.
    pub(crate) fn check_alike(&self, other: &State) -> Result<(), Error> {
        expect("h_0", "batch size", other.batch, self.batch)?;
        expect("h_0", "hidden_size", other.hidden, self.hidden)?;
        expect("h_0", "num_layers * directions", other.layers, self.layers)?;
        expect_len("c_0", other.c.len(), self.c.len())
    }

    /// Makes this the state for such a batch, whatever it was; its values are not defined then.
    pub(crate) fn reshape(&mut self, dims: &Dims) -> Result<(), Error> {
        resize("h_n", &mut self.h, dims.states())?;
        resize("h_n", &mut self.spare, dims.states())?;
        resize("c_n", &mut self.c, dims.cell_states())?;
        (self.layers, self.batch) = (dims.layers * dims.directions, dims.batch);
        (self.features, self.hidden) = (dims.features, dims.hidden);
        Ok(())
    }

    /// Makes room for the gates of a step; allocates the first time only.
    pub(crate) fn reserve_gates(&mut self, dims: &Dims) -> Result<(), Error> {
        resize("the gates", &mut self.gates, dims.batch * dims.hidden * dims.saved)
    }

    /// The parts that a pass works on: h as it is, h as it will be, c in place, and room for the gates of a step.
    pub(crate) fn parts(&mut self) -> (&[f32], &mut [f32], &mut [f32], &mut [f32]) {
        (&self.h, &mut self.spare, &mut self.c, &mut self.gates)
    }

    /// Makes what a step wrote the state.
    pub(crate) fn advance(&mut self) {
        std::mem::swap(&mut self.h, &mut self.spare);
    }
}
