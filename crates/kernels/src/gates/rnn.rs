//! The vanilla (Elman) recurrent network.
//!
//! ```text
//! forward    h  = f(xa + ha)                       f = tanh or relu
//! backward   da = dh * f'                          tanh: f' = 1 - h^2     relu: f' = 1 where h > 0, else 0
//! ```
//! Saved: h. With options f is any activation, f' its slope, and what f is applied to may be clipped.

use super::{Backward, CellBody, Forward, FusedForward, Gradients, Updated};
use crate::math::{activation::Activations, tanh::tanh};
use crate::simd::Arithmetic;

/// h = tanh(xa + ha)
#[derive(Clone, Copy, Default)]
pub(crate) struct RnnTanh;

/// h = max(xa + ha, 0)
#[derive(Clone, Copy, Default)]
pub(crate) struct RnnRelu;

/// h = f(xa + ha)
#[derive(Clone, Copy)]
pub(crate) struct RnnWith(Activations);

impl From<Activations> for RnnWith {
    fn from(activations: Activations) -> Self {
        RnnWith(activations)
    }
}

impl FusedForward<1, 1> for RnnTanh {
    #[inline(always)]
    fn update<V: Arithmetic>(self, token: V::Token, _: [V; 1], step: Forward<V, 1>) -> Updated<V, 1> {
        let h = tanh(token, step.xa[0].add(step.ha[0]));
        Updated { h, c: h, saved: [h] }
    }
}

impl CellBody<1, 1> for RnnTanh {
    const CELL_STATE: bool = false;
    const DIRECT: bool = false;
    const HA_RUNS: &'static [(usize, usize)] = &[(0, 1)];

    #[inline(always)]
    fn backward<V: Arithmetic>(self, token: V::Token, step: Backward<V, 1>) -> Gradients<V, 1> {
        let h = step.saved[0];
        let slope = V::splat(token, 1.0).sub(h.mul(h));
        Gradients { gates: [step.dh.mul(slope)], direct: step.dc, dc: step.dc, dc_prev: step.dc }
    }
}

impl FusedForward<1, 1> for RnnRelu {
    #[inline(always)]
    fn update<V: Arithmetic>(self, token: V::Token, _: [V; 1], step: Forward<V, 1>) -> Updated<V, 1> {
        // The constant comes first: max returns its second operand where either is NaN, and NaN must stay.
        let h = V::splat(token, 0.0).max(step.xa[0].add(step.ha[0]));
        Updated { h, c: h, saved: [h] }
    }
}

impl CellBody<1, 1> for RnnRelu {
    const CELL_STATE: bool = false;
    const DIRECT: bool = false;
    const HA_RUNS: &'static [(usize, usize)] = &[(0, 1)];

    #[inline(always)]
    fn backward<V: Arithmetic>(self, token: V::Token, step: Backward<V, 1>) -> Gradients<V, 1> {
        let h = step.saved[0];
        let zero = V::splat(token, 0.0);
        // h * 0 is zero where the unit was off, and NaN where h is NaN.
        let da = zero.select_lt(h, step.dh, h.mul(zero));
        Gradients { gates: [da], direct: step.dc, dc: step.dc, dc_prev: step.dc }
    }
}

impl FusedForward<1, 1> for RnnWith {
    #[inline(always)]
    fn update<V: Arithmetic>(self, token: V::Token, _: [V; 1], step: Forward<V, 1>) -> Updated<V, 1> {
        let h = self.0.apply(self.0.candidate, token, step.xa[0].add(step.ha[0]));
        Updated { h, c: h, saved: [h] }
    }
}

impl CellBody<1, 1> for RnnWith {
    const CELL_STATE: bool = false;
    const DIRECT: bool = false;
    const OPTIONS: bool = true;
    const HA_RUNS: &'static [(usize, usize)] = &[(0, 1)];

    #[inline(always)]
    fn backward<V: Arithmetic>(self, token: V::Token, step: Backward<V, 1>) -> Gradients<V, 1> {
        let slope = self.0.slope(self.0.candidate, token, step.saved[0]);
        Gradients { gates: [step.dh.mul(slope)], direct: step.dc, dc: step.dc, dc_prev: step.dc }
    }
}
