//! Norms: in f64, in one fixed order, so that they depend on nothing but the values.

/// Partial sums that run side by side: as many as keep the adders of a core busy.
const LANES: usize = 8;

/// The sum of squares. f64 holds the square of any f32, so it is not finite only if a value is not.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_counts_once() {
        for len in [0, 1, 15, 16, 17, 100] {
            let values: Vec<f32> = (1..=len).map(|i| i as f32).collect();
            let expected: u32 = (1..=len).map(|i| i * i).sum();
            assert_eq!(sum_of_squares(&values), f64::from(expected));
        }
        assert!(sum_of_squares(&[f32::MAX; 40]).is_finite());
        assert!(sum_of_squares(&[f32::MIN_POSITIVE; 1]) > 0.0);
        assert!(!sum_of_squares(&[1.0, f32::INFINITY]).is_finite());
    }
}
