//! The gated recurrent unit, gates in PyTorch's order r z n.
//!
//! PyTorch's form, ONNX's `linear_before_reset`: the reset gate scales (W_hn h + b_hn).
//!
//! ```text
//! forward    r, z = sigmoid(xa + ha)         n = tanh(fma(r, ha_n, xa_n))
//!            h' = fma(z, h - n, n)
//! backward   dz = dh * (h - n)               dn = dh * (1 - z)         direct = dh * z
//!            da_n = dn * (1 - n^2)           dr = da_n * ha_n
//!            da = d * s * (1 - s) for r z    d ha_n = da_n * r
//! ```
//! Saved: r z n ha_n. Their places take da_r da_z da_n, and the gradient of ha_n.
//!
//! The form of the first paper, where the reset gate scales h before the product, so that a step has two passes of products:
//!
//! ```text
//! forward    first     r, z = sigmoid(xa + ha)             m = r * h
//!            second    n = tanh(xa_n + W_hn m + b_hn)      h' = fma(z, h - n, n)
//! backward   first     dz, dn, da_z, da_n as above         direct = dh * z
//!            second    dm = W_hn^T da_n                    da_r = dm * h * r * (1 - r)      direct = fma(dm, r, direct)
//! ```
//! Saved: r z n m. The places of r z n take da_r da_z da_n; m stays, for the gradient of W_hn.
//!
//! With options, other activations stand in the places of sigmoid and tanh, and their slopes in those of s * (1 - s) and 1 - n^2;
//! what they are applied to may be clipped.

use super::{Backward, CellBody, Forward, FusedForward, Gradients, Updated};
use crate::math::{activation::Activations, sigmoid::sigmoid, tanh::tanh};
use crate::simd::Arithmetic;

/// Gated recurrent unit, reset after the product.
#[derive(Clone, Copy, Default)]
pub(crate) struct Gru;

/// The same with activations of one's own.
#[derive(Clone, Copy)]
pub(crate) struct GruWith(Activations);

/// Gated recurrent unit, reset before the product, with activations of one's own.
#[derive(Clone, Copy)]
pub(crate) struct GruResetBefore(Activations);

impl From<Activations> for GruWith {
    fn from(activations: Activations) -> Self {
        GruWith(activations)
    }
}

impl From<Activations> for GruResetBefore {
    fn from(activations: Activations) -> Self {
        GruResetBefore(activations)
    }
}

impl FusedForward<3, 4> for Gru {
    const FIRST: usize = 2;

    #[inline(always)]
    fn gate<V: Arithmetic>(self, token: V::Token, _: usize, sum: V) -> V {
        sigmoid(token, sum)
    }

    #[inline(always)]
    fn update<V: Arithmetic>(self, token: V::Token, [r, z, _]: [V; 3], step: Forward<V, 3>) -> Updated<V, 4> {
        let Forward { xa, ha, h_prev, .. } = step;
        let n = tanh(token, r.mul_add(ha[2], xa[2]));
        let h = z.mul_add(h_prev.sub(n), n);
        Updated { h, c: h, saved: [r, z, n, ha[2]] }
    }
}

impl CellBody<3, 4> for Gru {
    const CELL_STATE: bool = false;
    const DIRECT: bool = true;
    const HA_RUNS: &'static [(usize, usize)] = &[(0, 2), (3, 1)];

    #[inline(always)]
    fn backward<V: Arithmetic>(self, token: V::Token, step: Backward<V, 4>) -> Gradients<V, 4> {
        let [r, z, n, ha_n] = step.saved;
        let Backward { dh, dc, h_prev, .. } = step;
        let one = V::splat(token, 1.0);
        let da_n = dh.mul(one.sub(z)).mul(one.sub(n.mul(n)));
        let da_z = dh.mul(h_prev.sub(n)).mul(z.mul(one.sub(z)));
        let da_r = da_n.mul(ha_n).mul(r.mul(one.sub(r)));
        Gradients { gates: [da_r, da_z, da_n, da_n.mul(r)], direct: dh.mul(z), dc, dc_prev: dc }
    }
}

impl FusedForward<3, 4> for GruWith {
    const FIRST: usize = 2;

    #[inline(always)]
    fn gate<V: Arithmetic>(self, token: V::Token, _: usize, sum: V) -> V {
        self.0.apply(self.0.gate, token, sum)
    }

    #[inline(always)]
    fn update<V: Arithmetic>(self, token: V::Token, [r, z, _]: [V; 3], step: Forward<V, 3>) -> Updated<V, 4> {
        let Forward { xa, ha, h_prev, .. } = step;
        let n = self.0.apply(self.0.candidate, token, r.mul_add(ha[2], xa[2]));
        let h = z.mul_add(h_prev.sub(n), n);
        Updated { h, c: h, saved: [r, z, n, ha[2]] }
    }
}

impl CellBody<3, 4> for GruWith {
    const CELL_STATE: bool = false;
    const DIRECT: bool = true;
    const OPTIONS: bool = true;
    const HA_RUNS: &'static [(usize, usize)] = &[(0, 2), (3, 1)];

    #[inline(always)]
    fn backward<V: Arithmetic>(self, token: V::Token, step: Backward<V, 4>) -> Gradients<V, 4> {
        let [r, z, n, ha_n] = step.saved;
        let Backward { dh, dc, h_prev, .. } = step;
        let Activations { gate, candidate, .. } = self.0;
        let one = V::splat(token, 1.0);
        let da_n = dh.mul(one.sub(z)).mul(self.0.slope(candidate, token, n));
        let da_z = dh.mul(h_prev.sub(n)).mul(self.0.slope(gate, token, z));
        let da_r = da_n.mul(ha_n).mul(self.0.slope(gate, token, r));
        Gradients { gates: [da_r, da_z, da_n, da_n.mul(r)], direct: dh.mul(z), dc, dc_prev: dc }
    }
}

impl GruResetBefore {
    /// First pass forward: r, z and m from the sums of both gates.
    #[inline(always)]
    pub(crate) fn gates<V: Arithmetic>(self, token: V::Token, xa: [V; 2], ha: [V; 2], h_prev: V) -> [V; 3] {
        let mut gates = xa;
        for g in 0..2 {
            gates[g] = self.0.apply(self.0.gate, token, xa[g].add(ha[g]));
        }
        [gates[0], gates[1], gates[0].mul(h_prev)]
    }

    /// Second pass forward: n and h'.
    #[inline(always)]
    pub(crate) fn state<V: Arithmetic>(self, token: V::Token, xa_n: V, ha_n: V, z: V, h_prev: V) -> [V; 2] {
        let n = self.0.apply(self.0.candidate, token, xa_n.add(ha_n));
        [n, z.mul_add(h_prev.sub(n), n)]
    }

    /// Second pass backward: da_r and the direct term.
    #[inline(always)]
    pub(crate) fn reset<V: Arithmetic>(self, token: V::Token, dm: V, r: V, h_prev: V, direct: V) -> [V; 2] {
        [dm.mul(h_prev).mul(self.0.slope(self.0.gate, token, r)), dm.mul_add(r, direct)]
    }
}

/// First pass backward.
impl CellBody<3, 4> for GruResetBefore {
    const CELL_STATE: bool = false;
    const DIRECT: bool = true;
    const HA_RUNS: &'static [(usize, usize)] = &[(0, 2)];

    #[inline(always)]
    fn backward<V: Arithmetic>(self, token: V::Token, step: Backward<V, 4>) -> Gradients<V, 4> {
        let [r, z, n, m] = step.saved;
        let Backward { dh, dc, h_prev, .. } = step;
        let Activations { gate, candidate, .. } = self.0;
        let da_n = dh.mul(V::splat(token, 1.0).sub(z)).mul(self.0.slope(candidate, token, n));
        let da_z = dh.mul(h_prev.sub(n)).mul(self.0.slope(gate, token, z));
        Gradients { gates: [r, da_z, da_n, m], direct: dh.mul(z), dc, dc_prev: dc }
    }
}
