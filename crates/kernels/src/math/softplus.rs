//! ln(1 + e^x) = max(x, 0) + ln(1 + z) with z = e^-|x| from 0 to 1.
//!
//! ln(1 + z) = 2 artanh s with s = z / (2 + z) from 0 to 1/3, and its series in s^2: what is left out after seven terms is
//! below 2^-29 of the result. NaN stays NaN, the limits are exact.

use super::exp::exp;
use crate::simd::Arithmetic;

/// artanh s = s + s^3 / 3 + s^5 / 5 + ..: the coefficients, the last one first.
const SERIES: [f32; 7] = [1.0 / 15.0, 1.0 / 13.0, 1.0 / 11.0, 1.0 / 9.0, 1.0 / 7.0, 1.0 / 5.0, 1.0 / 3.0];

/// ln(1 + e^x)
#[inline(always)]
pub(crate) fn softplus<V: Arithmetic>(token: V::Token, x: V) -> V {
    let zero = V::splat(token, 0.0);
    let z = exp(token, zero.sub(x.abs()));
    let s = z.div(V::splat(token, 2.0).add(z));
    let q = s.mul(s);
    let mut series = V::splat(token, SERIES[0]);
    for n in 1..SERIES.len() {
        series = series.mul_add(q, V::splat(token, SERIES[n]));
    }
    let twice = s.add(s);
    // The constant comes first, so that NaN passes.
    zero.max(x).add(series.mul(q).mul_add(twice, twice))
}
