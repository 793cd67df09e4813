//! Norms: in one fixed order, so that they depend on nothing but the values.

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

/// From so many values on it pays to square them in f32.
pub(super) const FEW: usize = 128;
/// Values whose squares are added up in f32: 16 by each of the lanes.
const BLOCK: usize = 256;
const NARROW_LANES: usize = BLOCK / 16;

/// The sum of squares of a step, for one of about that size: a share of 2^-18 of the sum may be missing or too much.
///
/// Squares in f32 take a third of the time, but have half of f32's range. So values are multiplied by a power of two that brings those
/// of the step before near 1, and where the sum says that this step is of another size, its squares are taken in f64.
pub(super) fn sum_of_squares_near(values: &[f32], before: f64) -> f64 {
    if values.len() < FEW {
        return sum_of_squares(values);
    }
    // Half of the exponent of the mean square: that of the values.
    let mean = before / values.len() as f64;
    let size = if mean > 0.0 && mean.is_finite() { exponent(mean) / 2 } else { 0 };
    let (sum, scale) = if size.abs() <= 30 {
        (narrow::<false>(values, 1.0), 1.0)
    } else {
        let scale = power_of_two(size);
        (narrow::<true>(values, (1.0 / scale) as f32), scale)
    };
    // Below, squares that are lost might matter; above, one may be infinite.
    if (1e-24..=1e30).contains(&sum) { sum * scale * scale } else { sum_of_squares(values) }
}

/// The exponent of a positive number.
fn exponent(value: f64) -> i32 {
    (value.to_bits() >> 52) as i32 - 1023
}

/// 2^n for an n that an f32 may have as its exponent.
fn power_of_two(n: i32) -> f64 {
    f64::from_bits(((n.clamp(-126, 126) + 1023) as u64) << 52)
}

/// The sum of the squares in f32, block by block.
fn narrow<const SCALED: bool>(values: &[f32], scale: f32) -> f64 {
    let mut sum = 0.0;
    for block in values.chunks(BLOCK) {
        let lanes = narrow_lanes::<SCALED>(block, scale);
        let mut sums = [0.0_f64; 4];
        for lane in 0..4 {
            sums[lane] = f64::from((lanes[lane] + lanes[lane + 8]) + (lanes[lane + 4] + lanes[lane + 12]));
        }
        sum += (sums[0] + sums[2]) + (sums[1] + sums[3]);
    }
    sum
}

/// A function of its own: seen together with what becomes of the lanes, the compiler keeps them in other registers than it adds in.
#[inline(never)]
fn narrow_lanes<const SCALED: bool>(values: &[f32], scale: f32) -> [f32; NARROW_LANES] {
    let mut sums = [0.0_f32; NARROW_LANES];
    let (whole, rest) = values.as_chunks::<NARROW_LANES>();
    for chunk in whole {
        for lane in 0..NARROW_LANES {
            let value = if SCALED { chunk[lane] * scale } else { chunk[lane] };
            sums[lane] += value * value;
        }
    }
    for (sum, &value) in sums.iter_mut().zip(rest) {
        let value = if SCALED { value * scale } else { value };
        *sum += value * value;
    }
    sums
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
