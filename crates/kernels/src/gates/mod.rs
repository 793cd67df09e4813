//! The fused gate updates: one file per cell holds its arithmetic, forward and backward, on registers; [`drive`] holds
//! the loops over time, units and rows that all cells share; `generated` holds nothing but instantiations of them.
//!
//! The cell files know no pointer, no stride and no instruction set.

pub(crate) mod args;
pub(crate) mod checked;
pub(crate) mod drive;
pub(crate) mod generated;
pub(crate) mod gru;
pub(crate) mod lstm;
pub(crate) mod rnn;
pub(crate) mod strided;
pub(crate) mod table;

use crate::math::flush::flushed;
use crate::simd::Arithmetic;

/// One vector of hidden units of one row, after the matmuls: what a cell's forward update reads.
pub(crate) struct Forward<V, const G: usize> {
    /// `xa`: bias_ih + W_ih x, by gate.
    pub(crate) xa: [V; G],
    /// `ha`: bias_hh + W_hh h, by gate.
    pub(crate) ha: [V; G],
    /// h_{t-1} of these units (before the projection, if there is one); +0 where the cell does not read it.
    pub(crate) h_prev: V,
    /// c_{t-1} of these units; +0 where the cell has none.
    pub(crate) c_prev: V,
}

/// What a cell's forward update makes.
pub(crate) struct Updated<V, const S: usize> {
    /// h_t, before the projection, if there is one.
    pub(crate) h: V,
    /// c_t, or h_t again where the cell has none.
    pub(crate) c: V,
    /// What the backward update needs of this step.
    pub(crate) saved: [V; S],
}

impl<V: Arithmetic, const S: usize> Updated<V, S> {
    /// What is stored of it: states that have vanished are zeros.
    #[inline(always)]
    pub(crate) fn flushed(self, token: V::Token) -> Self {
        Updated { h: flushed(token, self.h), c: flushed(token, self.c), ..self }
    }
}

/// One vector of hidden units of one row: what a cell's backward update reads.
pub(crate) struct Backward<V, const S: usize> {
    /// What the forward update saved.
    pub(crate) saved: [V; S],
    /// dL/dh_t, all of it; of h_t before the projection, if there is one.
    pub(crate) dh: V,
    /// dL/dc_t as it came from step t+1 and from the final state.
    pub(crate) dc: V,
    /// h_{t-1}, c_{t-1}, c_t; +0 where the cell does not read them.
    pub(crate) h_prev: V,
    /// See `h_prev`.
    pub(crate) c_prev: V,
    /// See `h_prev`.
    pub(crate) c: V,
}

/// What a cell's backward update makes.
pub(crate) struct Gradients<V, const S: usize> {
    /// The gradients of the pre-activations, in the places of `saved`: `xa` of gate g in slot g, `ha` where
    /// [`CellBody::HA_RUNS`] says.
    pub(crate) gates: [V; S],
    /// The part of dL/dh_{t-1} that does not go through W_hh.
    pub(crate) direct: V,
    /// dL/dc_t, all of it; anything where the cell has none.
    pub(crate) dc: V,
    /// dL/dc_{t-1}
    pub(crate) dc_prev: V,
}

/// A recurrent cell: `G` gates, `S` saved values per unit and step.
pub(crate) trait CellBody<const G: usize, const S: usize>: Copy {
    /// There is a cell state c.
    const CELL_STATE: bool;
    /// h_{t-1} enters the update of its own unit directly, and dL/dh_{t-1} has a direct term. Where the state is projected, what
    /// enters and has it is the state before the projection, kept as c.
    const DIRECT: bool;
    /// Activations come with the task, and so may a projection of the state.
    const OPTIONS: bool = false;
    /// Where the gradients of `ha` stand among the slots, gate by gate, as runs of neighbours: (first slot, gates).
    const HA_RUNS: &'static [(usize, usize)];

    /// H, of which the task says that it is `hidden`: a constant where it is known.
    #[inline(always)]
    fn hidden(hidden: usize) -> usize {
        hidden
    }

    /// One step back.
    fn backward<V: Arithmetic>(self, token: V::Token, step: Backward<V, S>) -> Gradients<V, S>;
}

/// A cell of `H` units. With a constant for H, the places of slots and rows cost no registers: AVX2+FMA has few.
#[derive(Clone, Copy)]
pub(crate) struct Fixed<C, const H: usize>(pub(crate) C);

impl<C: CellBody<G, S>, const H: usize, const G: usize, const S: usize> CellBody<G, S> for Fixed<C, H> {
    const CELL_STATE: bool = C::CELL_STATE;
    const DIRECT: bool = C::DIRECT;
    const OPTIONS: bool = C::OPTIONS;
    const HA_RUNS: &'static [(usize, usize)] = C::HA_RUNS;

    #[inline(always)]
    fn hidden(_: usize) -> usize {
        H
    }

    #[inline(always)]
    fn backward<V: Arithmetic>(self, token: V::Token, step: Backward<V, S>) -> Gradients<V, S> {
        self.0.backward(token, step)
    }
}

/// A cell whose whole update follows from one pass of products.
pub(crate) trait FusedForward<const G: usize, const S: usize>: CellBody<G, S> {
    /// How many gates, from the first one on, wait for nothing but their own sums, while more waits for them.
    const FIRST: usize = 0;

    /// One of these, from the sum of its x part and its h part.
    #[inline(always)]
    fn gate<V: Arithmetic>(self, _: V::Token, _: usize, sum: V) -> V {
        sum
    }

    /// What follows from them. Of `xa` and `ha` only the other gates' are read.
    fn update<V: Arithmetic>(self, token: V::Token, gates: [V; G], step: Forward<V, G>) -> Updated<V, S>;

    /// One step forward.
    #[inline(always)]
    fn forward<V: Arithmetic>(self, token: V::Token, step: Forward<V, G>) -> Updated<V, S> {
        let mut gates = step.ha;
        for g in 0..Self::FIRST {
            gates[g] = self.gate(token, g, step.xa[g].add(step.ha[g]));
        }
        self.update(token, gates, step)
    }
}
