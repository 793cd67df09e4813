//! States and gradients that have all but vanished.
//!
//! Ordinary weights can drive h, c and their gradients below 2^-126, where some CPUs compute every multiply-add in microcode, a
//! hundred times as slowly. So a magnitude below 2^-100 is stored as a zero of the same sign, on every instruction set. That is far
//! below the rounding error of anything it is added to, and far enough from 2^-126 that a product with an ordinary weight stays
//! out of that range.
//!
//! What a pass back hands over to the steps before it stays as it is: it is not yet all of their gradient, and the bits do not depend
//! on where a sequence is cut.

use crate::simd::Arithmetic;

/// 2^-100
const SMALLEST: f32 = f32::from_bits((127 - 100) << 23);

/// x, or a zero of its sign where |x| < 2^-100. NaN stays.
#[inline(always)]
pub(crate) fn flushed<V: Arithmetic>(token: V::Token, x: V) -> V {
    let zero = V::splat(token, 0.0).copysign(x);
    x.abs().select_lt(V::splat(token, SMALLEST), zero, x)
}
