//! Whole slices: an activation of each element, and sums of rows. Slices only, no pointers.

use super::{exp::exp, sigmoid::sigmoid, tanh::tanh};
use crate::simd::{Arithmetic, Vector, group::Group};

/// A function of one vector.
pub(crate) trait Unary {
    fn apply<V: Arithmetic>(token: V::Token, x: V) -> V;
}

/// e^x
pub(crate) struct Exp;
/// 1 / (1 + e^-x)
pub(crate) struct Sigmoid;
/// Hyperbolic tangent.
pub(crate) struct Tanh;

impl Unary for Exp {
    #[inline(always)]
    fn apply<V: Arithmetic>(token: V::Token, x: V) -> V {
        exp(token, x)
    }
}

impl Unary for Sigmoid {
    #[inline(always)]
    fn apply<V: Arithmetic>(token: V::Token, x: V) -> V {
        sigmoid(token, x)
    }
}

impl Unary for Tanh {
    #[inline(always)]
    fn apply<V: Arithmetic>(token: V::Token, x: V) -> V {
        tanh(token, x)
    }
}

/// Vectors that go through a function side by side.
const AT_ONCE: usize = 2;

/// `to[i] = f(from[i])` for the length of the shorter.
#[inline(always)]
pub(crate) fn map<V: Vector, F: Unary>(token: V::Token, from: &[f32], to: &mut [f32]) {
    let (mut from, mut to) = (from, to);
    // Each slice is asked, so that no index into it needs another question.
    while from.len() >= AT_ONCE * V::LANES && to.len() >= AT_ONCE * V::LANES {
        let mut x = Group([V::splat(token, 0.0); AT_ONCE]);
        for n in 0..AT_ONCE {
            x.0[n] = V::load_first(token, &from[n * V::LANES..]);
        }
        let y = F::apply(token, x);
        for n in 0..AT_ONCE {
            y.0[n].store_first(&mut to[n * V::LANES..]);
        }
        (from, to) = (&from[AT_ONCE * V::LANES..], &mut to[AT_ONCE * V::LANES..]);
    }
    let mut i = 0;
    while i < from.len() && i < to.len() {
        F::apply(token, V::load_first(token, &from[i..])).store_first(&mut to[i..]);
        i += V::LANES;
    }
}

/// `to[j] += from[row + j]` for each of `rows` in turn. A row that does not lie within `from` is left out.
#[inline(always)]
pub(crate) fn sum_rows<V: Vector>(token: V::Token, from: &[f32], rows: &[usize], to: &mut [f32]) {
    for r in 0..rows.len() {
        if rows[r] > from.len() || from.len() - rows[r] < to.len() {
            continue;
        }
        let row = &from[rows[r]..];
        let mut j = 0;
        while j < to.len() {
            let sum = V::load_first(token, &to[j..]).add(V::load_first(token, &row[j..]));
            sum.store_first(&mut to[j..]);
            j += V::LANES;
        }
    }
}
