//! L2 norms of rows, added up in f32 where that is as good as f64.

use super::map::squares_of_rows;
use crate::simd::Vector;

/// Rows that are added up at once.
const ROWS: usize = 4;

/// Up to so many values a row is added up in f32. Each of sixteen sums is then rounded at most 64 times, the total 4 times more,
/// and a square once: what a norm is off by is at most half of 69 * 2^-24 of it, 2^-18.8, and in the mean far less.
const WIDEST_IN_F32: usize = 1024;

/// Totals below this are taken in f64. A square that is lost or subnormal in f32 (below 2^-126) counts for nothing beside them; and
/// next to rows that are far above it there are none, which take the processor a hundred cycles each.
const LEAST_IN_F32: f32 = 1.0 / (1_u64 << 60) as f32;

/// `to[i]` = the L2 norm of row i of `from`, [rows, width], which has as many rows as `to` has elements.
///
/// In either width of sum the k-th square belongs to the k % 16-th of sixteen sums, which are added by halves, and which of the two
/// it is depends on the row only, so the bits depend on the row's values only.
#[inline(always)]
pub(super) fn norms<V: Vector>(token: V::Token, from: &[f32], to: &mut [f64]) {
    let width = from.len() / to.len();
    let (groups, last) = to.as_chunks_mut::<ROWS>();
    let Some((first, rest)) = from.split_at_checked(groups.len() * ROWS * width) else { return };
    norms_of_groups::<V, ROWS>(token, first, width, groups);
    norms_of_groups::<V, 1>(token, rest, width, last.as_chunks_mut().0);
}

/// Of `N` rows at once.
#[inline(always)]
fn norms_of_groups<V: Vector, const N: usize>(
    token: V::Token,
    from: &[f32],
    width: usize,
    groups: &mut [[f64; N]],
) {
    let (mut from, mut i) = (from, 0);
    // Rows follow one another in time: where one is in range, so are most likely the next.
    let mut is_near = width <= WIDEST_IN_F32;
    while i < groups.len() {
        while is_near && i < groups.len() {
            let Some((rows, rest)) = from.split_at_checked(N * width) else { return };
            let totals = in_f32::<V, N>(token, rows, width);
            for n in 0..N {
                is_near &= is_in_range(totals[n]);
                groups[i][n] = f64::from(totals[n].sqrt());
            }
            if !is_near {
                break;
            }
            (from, i) = (rest, i + 1);
        }
        if i < groups.len() {
            let Some((rows, rest)) = from.split_at_checked(N * width) else { return };
            let wide = squares_of_rows::<V, N>(token, rows, width);
            let (mut totals, mut may_be_near) = ([0.0; ROWS], false);
            for n in 0..N {
                // Half: the total in f32 is off by far less.
                may_be_near |= wide[n] >= 0.5 * f64::from(LEAST_IN_F32);
            }
            if width <= WIDEST_IN_F32 && may_be_near {
                totals = in_f32::<V, N>(token, rows, width);
            }
            for n in 0..N {
                let is_in_range = is_in_range(totals[n]);
                groups[i][n] = if is_in_range { f64::from(totals[n].sqrt()) } else { wide[n].sqrt() };
                is_near |= is_in_range;
            }
            (from, i) = (rest, i + 1);
        }
    }
}

/// Nothing infinite is, nor NaN.
#[inline(always)]
fn is_in_range(total: f32) -> bool {
    total >= LEAST_IN_F32 && total.is_finite()
}

/// The sums of squares of `N` rows, at most [`ROWS`]; zeros after them.
#[inline(always)]
fn in_f32<V: Vector, const N: usize>(token: V::Token, from: &[f32], width: usize) -> [f32; ROWS] {
    let mut rows = [(&[] as &[[f32; 16]], &[] as &[f32]); N];
    let mut from = from;
    for n in 0..N {
        let Some((row, rest)) = from.split_at_checked(width) else { return [0.0; ROWS] };
        (rows[n], from) = (row.as_chunks(), rest);
    }
    let mut sums = [[V::squares_f32(token, &[]); 2]; ROWS];
    for n in 0..N {
        sums[n] = match rows[n].0.first() {
            Some(values) => squares::<V>(token, values),
            None => squares::<V>(token, rows[n].1),
        };
    }
    for k in 1..width / 16 {
        for n in 0..N {
            if let Some(values) = rows[n].0.get(k) {
                sums[n] = add::<V>(sums[n], squares::<V>(token, values));
            }
        }
    }
    for n in 0..N {
        if width > 16 && !rows[n].1.is_empty() {
            sums[n] = add::<V>(sums[n], squares::<V>(token, rows[n].1));
        }
    }
    V::totals_f32(sums)
}

/// Of at most sixteen values.
#[inline(always)]
fn squares<V: Vector>(token: V::Token, values: &[f32]) -> [V::SumsF32; 2] {
    let (low, high) = values.split_at_checked(8).unwrap_or((values, &[]));
    [V::squares_f32(token, low), V::squares_f32(token, high)]
}

#[inline(always)]
fn add<V: Vector>(a: [V::SumsF32; 2], b: [V::SumsF32; 2]) -> [V::SumsF32; 2] {
    [V::add_f32(a[0], b[0]), V::add_f32(a[1], b[1])]
}
