//! Whole slices: an activation of each element, sums of rows, and of their squares. Slices only, no pointers.

use super::{exp::exp, norms::norms, sigmoid::sigmoid, tanh::tanh};
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

/// `to[i]` = the sum of squares of row i of `from`, [rows, width], which has as many rows as `to` has elements.
///
/// The k-th value belongs to the k % 16-th of sixteen sums, which are added by halves: the bits depend on the values only. With
/// `root`, the square root of each, for which f32 may be enough: see [`norms`].
#[inline(always)]
pub(crate) fn sum_squares<V: Vector>(token: V::Token, from: &[f32], to: &mut [f64], root: bool) {
    if to.is_empty() {
        return;
    }
    if root {
        return norms::<V>(token, from, to);
    }
    let width = from.len() / to.len();
    let (pairs, last) = to.as_chunks_mut::<2>();
    let mut from = from;
    for i in 0..pairs.len() {
        let Some((rows, rest)) = from.split_at_checked(2 * width) else { return };
        pairs[i] = squares_of_rows::<V, 2>(token, rows, width);
        from = rest;
    }
    for i in 0..last.len() {
        [last[i]] = squares_of_rows::<V, 1>(token, from, width);
    }
}

/// Of `N` rows at once: while a sum waits for its last addition, others are added to.
#[inline(always)]
pub(super) fn squares_of_rows<V: Vector, const N: usize>(
    token: V::Token,
    from: &[f32],
    width: usize,
) -> [f64; N] {
    let mut rows = [(&[] as &[[f32; 16]], &[] as &[f32]); N];
    let mut from = from;
    for n in 0..N {
        let Some((row, rest)) = from.split_at_checked(width) else { return [0.0; N] };
        (rows[n], from) = (row.as_chunks(), rest);
    }
    let mut sums = [[V::no_sums(token); 2]; N];
    for k in 0..width / 16 {
        for n in 0..N {
            if let Some(values) = rows[n].0.get(k) {
                sums[n] = add_squares::<V>(token, sums[n], values);
            }
        }
    }
    let mut totals = [0.0; N];
    for n in 0..N {
        let rest = rows[n].1;
        if !rest.is_empty() {
            sums[n] = add_squares::<V>(token, sums[n], rest);
        }
        totals[n] = V::total(sums[n]);
    }
    totals
}

/// Of at most sixteen values. Two chains of sums, so that one is added to while the other's addition is under way.
#[inline(always)]
fn add_squares<V: Vector>(token: V::Token, sums: [V::Sums; 2], values: &[f32]) -> [V::Sums; 2] {
    match values.split_at_checked(8) {
        Some((low, high)) => [V::add_squares(token, sums[0], low), V::add_squares(token, sums[1], high)],
        None => [V::add_squares(token, sums[0], values), sums[1]],
    }
}
