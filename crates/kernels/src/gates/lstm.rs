//! The long short-term memory cell, gates in PyTorch's order i f g o.
//!
//! ```text
//! forward    i, f, o = sigmoid(xa + ha)      g = tanh(xa + ha)
//!            c' = fma(f, c, i * g)           h' = o * tanh(c')
//! backward   do = dh * tanh(c')              dc = dc + dh * o * (1 - tanh(c')^2)
//!            di = dc * g    df = dc * c      dg = dc * i      dc_prev = dc * f
//!            da = d * s * (1 - s) for i f o  da = d * (1 - g^2) for g
//! ```
//! Saved: i f g o. tanh(c') is computed again: it costs less than the memory that would hold it.
//!
//! With options, other activations stand in the place of sigmoid, of the tanh of g and of the tanh of c', and their slopes in
//! that of s * (1 - s) and 1 - tanh^2; what the gates' are applied to may be clipped, and so may c'.

use super::{Backward, CellBody, Forward, FusedForward, Gradients, Updated};
use crate::math::{activation::Activations, flush::flushed, sigmoid::sigmoid, tanh::tanh};
use crate::simd::Arithmetic;

/// Long short-term memory.
#[derive(Clone, Copy, Default)]
pub(crate) struct Lstm;

/// Long short-term memory with activations of one's own.
#[derive(Clone, Copy)]
pub(crate) struct LstmWith(Activations);

impl From<Activations> for LstmWith {
    fn from(activations: Activations) -> Self {
        LstmWith(activations)
    }
}

impl FusedForward<4, 4> for Lstm {
    const FIRST: usize = 4;

    #[inline(always)]
    fn gate<V: Arithmetic>(self, token: V::Token, g: usize, sum: V) -> V {
        if g == 2 { tanh(token, sum) } else { sigmoid(token, sum) }
    }

    /// The gates that c' waits for come first, and of them the one that takes longest. Written out: by a loop over a table of that
    /// order, single rows of 20 and 24 units took 1.07 times as long.
    #[inline(always)]
    fn forward<V: Arithmetic>(self, token: V::Token, step: Forward<V, 4>) -> Updated<V, 4> {
        let g = self.gate(token, 2, step.xa[2].add(step.ha[2]));
        let i = self.gate(token, 0, step.xa[0].add(step.ha[0]));
        let f = self.gate(token, 1, step.xa[1].add(step.ha[1]));
        let o = self.gate(token, 3, step.xa[3].add(step.ha[3]));
        self.update(token, [i, f, g, o], step)
    }

    #[inline(always)]
    fn update<V: Arithmetic>(self, token: V::Token, gates: [V; 4], step: Forward<V, 4>) -> Updated<V, 4> {
        let [i, f, g, o] = gates;
        let c = f.mul_add(step.c_prev, i.mul(g));
        Updated { h: o.mul(tanh(token, c)), c, saved: gates }
    }
}

impl CellBody<4, 4> for Lstm {
    const CELL_STATE: bool = true;
    const DIRECT: bool = false;
    const HA_RUNS: &'static [(usize, usize)] = &[(0, 4)];

    #[inline(always)]
    fn backward<V: Arithmetic>(self, token: V::Token, step: Backward<V, 4>) -> Gradients<V, 4> {
        let [i, f, g, o] = step.saved;
        let one = V::splat(token, 1.0);
        let tanh_c = tanh(token, step.c);
        let d_o = step.dh.mul(tanh_c);
        let dc = flushed(token, step.dh.mul(o).mul_add(one.sub(tanh_c.mul(tanh_c)), step.dc));
        let gates = [
            dc.mul(g).mul(i.mul(one.sub(i))),
            dc.mul(step.c_prev).mul(f.mul(one.sub(f))),
            dc.mul(i).mul(one.sub(g.mul(g))),
            d_o.mul(o.mul(one.sub(o))),
        ];
        Gradients { gates, direct: step.dh, dc, dc_prev: dc.mul(f) }
    }
}

impl FusedForward<4, 4> for LstmWith {
    const FIRST: usize = 4;

    #[inline(always)]
    fn gate<V: Arithmetic>(self, token: V::Token, g: usize, sum: V) -> V {
        let activation = if g == 2 { self.0.candidate } else { self.0.gate };
        self.0.apply(activation, token, sum)
    }

    #[inline(always)]
    fn update<V: Arithmetic>(self, token: V::Token, gates: [V; 4], step: Forward<V, 4>) -> Updated<V, 4> {
        let [i, f, g, o] = gates;
        let c = self.0.clip_cell(token, f.mul_add(step.c_prev, i.mul(g)));
        Updated { h: o.mul(self.0.output.apply(token, c)), c, saved: gates }
    }
}

impl CellBody<4, 4> for LstmWith {
    const CELL_STATE: bool = true;
    const DIRECT: bool = false;
    const OPTIONS: bool = true;
    const HA_RUNS: &'static [(usize, usize)] = &[(0, 4)];

    #[inline(always)]
    fn backward<V: Arithmetic>(self, token: V::Token, step: Backward<V, 4>) -> Gradients<V, 4> {
        let Activations { gate, candidate, output, .. } = self.0;
        let [i, f, g, o] = step.saved;
        let squashed = output.apply(token, step.c);
        let d_o = step.dh.mul(squashed);
        let dc = flushed(token, step.dh.mul(o).mul_add(output.slope(token, squashed), step.dc));
        let d_sum = self.0.through_cell_clip(token, step.c, dc);
        let mut gates = [d_sum.mul(g), d_sum.mul(step.c_prev), d_sum.mul(i), d_o];
        for g in 0..4 {
            let activation = if g == 2 { candidate } else { gate };
            gates[g] = gates[g].mul(self.0.slope(activation, token, step.saved[g]));
        }
        Gradients { gates, direct: step.dh, dc, dc_prev: d_sum.mul(f) }
    }
}
