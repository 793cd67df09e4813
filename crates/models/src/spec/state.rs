//! What a network remembers between two calls: a plain value.

use super::shape::{Dims, expect, expect_len, resize, zeros};
use super::{Config, Error};

/// The state of a network for a batch: h, and c for an LSTM. Nothing else is carried from call to call.
///
/// Both are [num_layers * directions, batch, hidden_size], the forward direction of a layer before its reverse one. Clone it to branch or to go back, save its slices to resume.
#[derive(Clone, Debug)]
pub struct State {
    /// Layers times directions.
    layers: usize,
    batch: usize,
    hidden: usize,
    h: Vec<f32>,
    /// Empty where the cell has no c.
    c: Vec<f32>,
    /// Where a step writes the new h before it takes the old one's place.
    spare: Vec<f32>,
}

impl PartialEq for State {
    fn eq(&self, other: &State) -> bool {
        let sizes = |s: &State| (s.layers, s.batch, s.hidden);
        sizes(self) == sizes(other) && self.h == other.h && self.c == other.c
    }
}

impl State {
    /// The state of all zeros, from which a sequence starts where no other is given.
    pub(crate) fn zero(config: &Config, batch: usize) -> Result<State, Error> {
        let states = Dims::new(config, 1, batch)?.states();
        let c = if config.cell.has_cell_state() { states } else { 0 };
        Ok(State {
            layers: config.num_layers * config.directions(),
            batch,
            hidden: config.hidden_size,
            h: zeros("h_0", states)?,
            c: zeros("c_0", c)?,
            spare: zeros("h_0", states)?,
        })
    }

    /// Rows of the batch.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// [num_layers * directions, batch, hidden_size]
    pub fn shape(&self) -> [usize; 3] {
        [self.layers, self.batch, self.hidden]
    }

    /// h, [num_layers * directions, batch, hidden_size].
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
        let gather = |from: &[f32]| {
            let mut to = Vec::with_capacity(if from.is_empty() { 0 } else { self.layers * rows.len() });
            for layer in from.chunks_exact((self.batch * self.hidden).max(1)) {
                for row in rows {
                    to.extend_from_slice(&layer[row * self.hidden..][..self.hidden]);
                }
            }
            to
        };
        let (h, c) = (gather(&self.h), gather(&self.c));
        Ok(State { batch: rows.len(), spare: vec![0.0; h.len()], h, c, ..*self })
    }

    /// Checks that this is a state of such a network for such a batch.
    pub(crate) fn check(&self, config: &Config, batch: usize) -> Result<(), Error> {
        expect("h_0", "batch size", self.batch, batch)?;
        expect("h_0", "hidden_size", self.hidden, config.hidden_size)?;
        expect("h_0", "num_layers * directions", self.layers, config.num_layers * config.directions())?;
        let c = if config.cell.has_cell_state() { self.h.len() } else { 0 };
        expect_len("c_0", self.c.len(), c)
    }

    /// Checks that another state has the sizes of this one.
    pub(crate) fn check_alike(&self, other: &State) -> Result<(), Error> {
        expect("h_0", "batch size", other.batch, self.batch)?;
        expect("h_0", "hidden_size", other.hidden, self.hidden)?;
        expect("h_0", "num_layers * directions", other.layers, self.layers)?;
        expect_len("c_0", other.c.len(), self.c.len())
    }

    /// Makes this the state for such a batch, whatever it was; its values are not defined then.
    pub(crate) fn reshape(&mut self, dims: &Dims, has_c: bool) -> Result<(), Error> {
        resize("h_n", &mut self.h, dims.states())?;
        resize("h_n", &mut self.spare, dims.states())?;
        resize("c_n", &mut self.c, if has_c { dims.states() } else { 0 })?;
        (self.layers, self.batch, self.hidden) = (dims.layers * dims.directions, dims.batch, dims.hidden);
        Ok(())
    }

    /// The parts that a step works on: h as it is, h as it will be, and c in place.
    pub(crate) fn parts(&mut self) -> (&[f32], &mut [f32], &mut [f32]) {
        (&self.h, &mut self.spare, &mut self.c)
    }

    /// Makes what a step wrote the state.
    pub(crate) fn advance(&mut self) {
        std::mem::swap(&mut self.h, &mut self.spare);
    }
}
