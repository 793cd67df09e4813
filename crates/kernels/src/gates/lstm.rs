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

use super::{Backward, CellBody, Forward, Gradients, Updated};
use crate::math::{sigmoid::sigmoid, tanh::tanh};
use crate::simd::Vector;

/// Long short-term memory.
pub(crate) struct Lstm;

impl CellBody<4, 4> for Lstm {
    const CELL_STATE: bool = true;
    const DIRECT: bool = false;
    const HA_RUNS: &'static [(usize, usize)] = &[(0, 4)];

    #[inline(always)]
    fn forward<V: Vector>(token: V::Token, step: Forward<V, 4>) -> Updated<V, 4> {
        let Forward { xa, ha, c_prev, .. } = step;
        let i = sigmoid(token, xa[0].add(ha[0]));
        let f = sigmoid(token, xa[1].add(ha[1]));
        let g = tanh(token, xa[2].add(ha[2]));
        let o = sigmoid(token, xa[3].add(ha[3]));
        let c = f.mul_add(c_prev, i.mul(g));
        Updated { h: o.mul(tanh(token, c)), c, saved: [i, f, g, o] }
    }

    #[inline(always)]
    fn backward<V: Vector>(token: V::Token, step: Backward<V, 4>) -> Gradients<V, 4> {
        let [i, f, g, o] = step.saved;
        let one = V::splat(token, 1.0);
        let tanh_c = tanh(token, step.c);
        let d_o = step.dh.mul(tanh_c);
        let dc = step.dh.mul(o).mul_add(one.sub(tanh_c.mul(tanh_c)), step.dc);
        let gates = [
            dc.mul(g).mul(i.mul(one.sub(i))),
            dc.mul(step.c_prev).mul(f.mul(one.sub(f))),
            dc.mul(i).mul(one.sub(g.mul(g))),
            d_o.mul(o.mul(one.sub(o))),
        ];
        Gradients { gates, direct: step.dh, dc, dc_prev: dc.mul(f) }
    }
}
