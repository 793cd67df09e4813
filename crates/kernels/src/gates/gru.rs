//! The gated recurrent unit in PyTorch's form, gates in its order r z n: the reset gate scales (W_hn h + b_hn).
//!
//! ```text
//! forward    r, z = sigmoid(xa + ha)         n = tanh(fma(r, ha_n, xa_n))
//!            h' = fma(z, h - n, n)
//! backward   dz = dh * (h - n)               dn = dh * (1 - z)         direct = dh * z
//!            da_n = dn * (1 - n^2)           dr = da_n * ha_n
//!            da = d * s * (1 - s) for r z    d ha_n = da_n * r
//! ```
//! Saved: r z n ha_n. Their places take da_r da_z da_n, and the gradient of ha_n.

use super::{Backward, CellBody, Forward, Gradients, Updated};
use crate::math::{sigmoid::sigmoid, tanh::tanh};
use crate::simd::Vector;

/// Gated recurrent unit, reset after the product.
pub(crate) struct Gru;

impl CellBody<3, 4> for Gru {
    const CELL_STATE: bool = false;
    const DIRECT: bool = true;
    const HA_RUNS: &'static [(usize, usize)] = &[(0, 2), (3, 1)];

    #[inline(always)]
    fn forward<V: Vector>(token: V::Token, step: Forward<V, 3>) -> Updated<V, 4> {
        let Forward { xa, ha, h_prev, c_prev } = step;
        let r = sigmoid(token, xa[0].add(ha[0]));
        let z = sigmoid(token, xa[1].add(ha[1]));
        let n = tanh(token, r.mul_add(ha[2], xa[2]));
        Updated { h: z.mul_add(h_prev.sub(n), n), c: c_prev, saved: [r, z, n, ha[2]] }
    }

    #[inline(always)]
    fn backward<V: Vector>(token: V::Token, step: Backward<V, 4>) -> Gradients<V, 4> {
        let [r, z, n, ha_n] = step.saved;
        let Backward { dh, dc, h_prev, .. } = step;
        let one = V::splat(token, 1.0);
        let da_n = dh.mul(one.sub(z)).mul(one.sub(n.mul(n)));
        let da_z = dh.mul(h_prev.sub(n)).mul(z.mul(one.sub(z)));
        let da_r = da_n.mul(ha_n).mul(r.mul(one.sub(r)));
        Gradients { gates: [da_r, da_z, da_n, da_n.mul(r)], direct: dh.mul(z), dc, dc_prev: dc }
    }
}
