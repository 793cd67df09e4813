//! The logistic function, 1 / (1 + e^-x).
//!
//! x = n ln 2 + r, and with s = 2^n and e = e^-r - 1, small and accurate, sigmoid(x) = s / (s + 1 + e): s + 1 is all
//! but exact, so the whole error is one rounding of the denominator, one of the quotient and that of e. Both signs of
//! x take the same way.
//!
//! At most 1.67 ULP over all 2^32 inputs with fused multiply-add, 1.75 ULP without; above 1.5 for fewer than 2000 of
//! them. 0 <= sigmoid <= 1, sigmoid(0) = 1/2, NaN stays NaN, the limits are exact, sigmoid(x) + sigmoid(-x) is within
//! 1.5 * 2^-24 of 1, and no float has a larger result than the next one. Where the exact value is below 2^-126 the
//! result is +0; it is never subnormal.

use super::exp::{LOG2_E, NEG_LN_2_HIGH, NEG_LN_2_LOW, add_beyond_linear};
use crate::simd::{Arithmetic, ROUND_MAGIC};

/// From here on the result is 1: any bound above 17.33, where 1 - sigmoid is 2^-25, and below the 88 where n leaves
/// the exponents. Below -87.336_54 no bound is needed, see [`SMALLEST`].
const LARGEST: f32 = 20.0;
/// The lowest x whose sigmoid is at least 2^-126. There it is 2^-126 (1 + 4e-6), further above than any rounding
/// error. What is computed for a lower x is not used: 2^n soon leaves the exponents.
const SMALLEST: f32 = -87.336_54;

/// 1 / (1 + e^-x)
#[inline(always)]
pub(crate) fn sigmoid<V: Arithmetic>(token: V::Token, x: V) -> V {
    let magic = V::splat(token, ROUND_MAGIC);
    let one = V::splat(token, 1.0);
    // Constant first, so that NaN passes.
    let y = V::splat(token, LARGEST).min(x);

    let t = y.mul_add(V::splat(token, LOG2_E), magic);
    let n = t.sub(magic);
    let r = n.mul_add(V::splat(token, NEG_LN_2_HIGH), y);
    let r = n.mul_add(V::splat(token, NEG_LN_2_LOW), r);
    let s = t.exp2_of_magic();

    // s + 1 drops s from 2^-24 down and 1 from 2^24 up: up to 1 ULP of the result. What was dropped goes into e.
    let s1 = s.add(one);
    let dropped = s.sub(s1.sub(one));
    let e = add_beyond_linear(token, r, -1.0, dropped.sub(r));
    x.select_lt(V::splat(token, SMALLEST), V::splat(token, 0.0), s.div(s1.add(e)))
}
