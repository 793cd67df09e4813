//! Norms: in one fixed order, so that they depend on nothing but the values.

use std::ops::RangeInclusive;

/// Partial sums that run side by side: as many as keep the adders of a core busy.
const LANES: usize = 8;

/// The sum of squares, in f64. f64 holds the square of any f32, so it is not finite only if a value is not.
#[inline]
pub(super) fn sum_of_squares(values: &[f32]) -> f64 {
    let mut sums = [0.0_f64; LANES];
    let (whole, rest) = values.as_chunks::<LANES>();
    for chunk in whole {
        for lane in 0..LANES {
            let value = f64::from(chunk[lane]);
            sums[lane] += value * value;
        }
    }
    for (sum, &value) in sums.iter_mut().zip(rest) {
        *sum += f64::from(value) * f64::from(value);
    }
    for half in [LANES / 2, LANES / 4, LANES / 8] {
        for lane in 0..half {
            sums[lane] += sums[lane + half];
        }
    }
    sums[0]
}

/// From so many values on it pays to look for a way that takes less time.
const FEW: usize = 32;
/// Values whose squares are added up in f32: 16 by each of 16 lanes.
const BLOCK: usize = 256;
/// Mean squares that are near 1: no value of a usual spread around them has a square that f32 has no room for.
const NEAR_ONE: RangeInclusive<f64> = 1e-18..=1e18;
/// Sums of such squares: below, squares that are lost might matter; above, one may be infinite.
const SAFE: RangeInclusive<f64> = 1e-24..=1e30;

/// The sum of squares of a step, where that of the step before is known: a share of 2^-18 of the sum may be missing or too much.
///
/// Squares in f32 take less than half of the time, but have half of f32's range. Where the step before says that these values are far
/// from 1, they are multiplied by a power of two that brings them near; where the sum says that they are of another size still, they
/// are squared in f64.
#[inline]
pub(super) fn sum_of_squares_near(values: &[f32], before: f64) -> f64 {
    if values.len() < FEW {
        return sum_of_squares(values);
    }
    let count = values.len() as f64;
    if (count * NEAR_ONE.start()..=count * NEAR_ONE.end()).contains(&before) {
        let sum = narrow::<false>(values, 1.0);
        return if is_safe(sum) { sum } else { in_f64(values) };
    }
    far_from_one(values, before)
}

fn is_safe(sum: f64) -> bool {
    SAFE.contains(&sum)
}

/// Apart, so that what is rare does not stand in the way of what is not.
#[inline(never)]
fn in_f64(values: &[f32]) -> f64 {
    sum_of_squares(values)
}

#[inline(never)]
fn far_from_one(values: &[f32], before: f64) -> f64 {
    let mean = before / values.len() as f64;
    // Nothing is known at the first step, or beside zeros; and to find out is not worth it for few values.
    if values.len() < BLOCK || !mean.is_normal() {
        return in_f64(values);
    }
    // Half of the exponent of the mean square: that of the values.
    let size = exponent(mean) / 2;
    let scale = power_of_two(size);
    let sum = narrow::<true>(values, power_of_two(-size) as f32);
    if is_safe(sum) { sum * scale * scale } else { in_f64(values) }
}

/// The exponent of a positive number.
fn exponent(value: f64) -> i32 {
    (value.to_bits() >> 52) as i32 - 1023
}

/// 2^n for an n that an f32 may have as its exponent; the nearest such for another.
fn power_of_two(n: i32) -> f64 {
    f64::from_bits(((n.clamp(-126, 126) + 1023) as u64) << 52)
}

/// The sum of the squares in f32, block by block. Four times four lanes, for that is what the compiler makes registers of.
#[inline]
fn narrow<const SCALED: bool>(values: &[f32], scale: f32) -> f64 {
    let square = |sums: &mut [f32; 4], values: &[f32; 4]| {
        for lane in 0..4 {
            let value = if SCALED { values[lane] * scale } else { values[lane] };
            sums[lane] += value * value;
        }
    };
    let mut sum = 0.0;
    for block in values.chunks(BLOCK) {
        let (fours, rest) = block.as_chunks::<4>();
        let (whole, fours) = fours.as_chunks::<4>();
        let [mut a, mut b, mut c, mut d] = [[0.0_f32; 4]; 4];
        for part in whole {
            square(&mut a, &part[0]);
            square(&mut b, &part[1]);
            square(&mut c, &part[2]);
            square(&mut d, &part[3]);
        }
        fours.iter().for_each(|part| square(&mut a, part));
        for (sum, &value) in b.iter_mut().zip(rest) {
            let value = if SCALED { value * scale } else { value };
            *sum += value * value;
        }
        let mut lanes = [0.0_f32; 4];
        for lane in 0..4 {
            lanes[lane] = (a[lane] + b[lane]) + (c[lane] + d[lane]);
        }
        let [a, b, c, d] = lanes.map(f64::from);
        sum += (a + c) + (b + d);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_counts_once() {
        for len in [0, 1, 15, 16, 17, 100, 128, 300] {
            let values: Vec<f32> = (1..=len).map(|i| i as f32).collect();
            let expected: u32 = (1..=len).map(|i| i * i).sum();
            assert_eq!(sum_of_squares(&values), f64::from(expected));
            let near = sum_of_squares_near(&values, 0.0);
            assert!(
                (near / f64::from(expected).max(1.0) - 1.0).abs() <= 2.0_f64.powi(-18) || len == 0,
                "{near}"
            );
        }
        assert!(sum_of_squares(&[f32::MAX; 40]).is_finite());
        assert!(sum_of_squares(&[f32::MIN_POSITIVE; 1]) > 0.0);
        assert!(!sum_of_squares(&[1.0, f32::INFINITY]).is_finite());
    }

    /// Whatever the sizes of a step and of the one before, from the smallest f32 to the largest.
    #[test]
    fn no_size_is_lost() {
        let exponents = [-149, -140, -126, -100, -63, -62, -31, -30, 0, 29, 32, 62, 64, 100, 127];
        for of_values in exponents {
            let unit = 2.0_f64.powi(of_values) as f32;
            // From 1 to almost 2, signs in turn.
            let value = |i: usize| {
                unit * (1.0 + (i * 37 % 600) as f32 / 600.0) * if i.is_multiple_of(2) { 1.0 } else { -1.0 }
            };
            let values: Vec<f32> = (0..600).map(value).collect();
            let expected = sum_of_squares(&values);
            for of_before in exponents {
                for before in [600.0 * 4.0_f64.powi(of_before), 0.0, f64::INFINITY, f64::NAN] {
                    let got = sum_of_squares_near(&values, before);
                    let off = (got / expected - 1.0).abs();
                    assert!(off <= 2.0_f64.powi(-18), "2^{of_values} after {before:e}: {off:e} off");
                }
            }
        }
    }

    #[test]
    fn what_is_not_finite_stays_so() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for before in [0.0, 1e-60, 1.0, 1e60, f64::NAN] {
                let mut values = [1.0; 300];
                values[299] = bad;
                assert!(!sum_of_squares_near(&values, before).is_finite());
            }
        }
        assert!(sum_of_squares_near(&[f32::MAX; 300], 0.0).is_finite());
        assert_eq!(sum_of_squares_near(&[0.0; 300], 1.0), 0.0);
    }
}
