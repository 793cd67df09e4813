//! The vanilla (Elman) recurrent network.
//!
//! ```text
//! forward    h  = f(xa + ha)                       f = tanh or relu
//! backward   da = dh * f'                          tanh: f' = 1 - h^2     relu: f' = 1 where h > 0, else 0
//! ```
//! Saved: h.

use super::{Backward, CellBody, Forward, Gradients, Updated};
use crate::math::tanh::tanh;
use crate::simd::Vector;

/// h = tanh(xa + ha)
pub(crate) struct RnnTanh;

/// h = max(xa + ha, 0)
pub(crate) struct RnnRelu;

impl CellBody<1, 1> for RnnTanh {
    const CELL_STATE: bool = false;
    const DIRECT: bool = false;
    const HA_RUNS: &'static [(usize, usize)] = &[(0, 1)];

    #[inline(always)]
    fn forward<V: Vector>(token: V::Token, step: Forward<V, 1>) -> Updated<V, 1> {
        let h = tanh(token, step.xa[0].add(step.ha[0]));
        Updated { h, c: step.c_prev, saved: [h] }
    }

    #[inline(always)]
    fn backward<V: Vector>(token: V::Token, step: Backward<V, 1>) -> Gradients<V, 1> {
        let h = step.saved[0];
        let slope = V::splat(token, 1.0).sub(h.mul(h));
        Gradients { gates: [step.dh.mul(slope)], direct: step.dc, dc: step.dc, dc_prev: step.dc }
    }
}

impl CellBody<1, 1> for RnnRelu {
    const CELL_STATE: bool = false;
    const DIRECT: bool = false;
    const HA_RUNS: &'static [(usize, usize)] = &[(0, 1)];

    #[inline(always)]
    fn forward<V: Vector>(token: V::Token, step: Forward<V, 1>) -> Updated<V, 1> {
        // The constant comes first: max returns its second operand where either is NaN, and NaN must stay.
        let h = V::splat(token, 0.0).max(step.xa[0].add(step.ha[0]));
        Updated { h, c: step.c_prev, saved: [h] }
    }

    #[inline(always)]
    fn backward<V: Vector>(token: V::Token, step: Backward<V, 1>) -> Gradients<V, 1> {
        let h = step.saved[0];
        let zero = V::splat(token, 0.0);
        // h * 0 is zero where the unit was off, and NaN where h is NaN.
        let da = zero.select_lt(h, step.dh, h.mul(zero));
        Gradients { gates: [da], direct: step.dc, dc: step.dc, dc_prev: step.dc }
    }
}
