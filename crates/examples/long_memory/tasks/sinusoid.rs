//! A wave of any period and phase is seen for the first half of the time, and is to be continued without being seen.

use super::{Batch, Target};
use gatewise::Philox;
use std::f64::consts::TAU;

/// Saying 0 errs by the mean square of a wave.
pub(super) const BASELINE: f64 = 0.5;

/// Steps that are seen.
pub(super) fn seen(length: usize) -> usize {
    length / 2
}

/// Periods are 10 to 20 steps long.
pub(super) fn draw(length: usize, rows: usize, random: &mut Philox) -> Batch {
    let mut input = vec![0.0; length * rows];
    let mut values = vec![0.0; (length - seen(length)) * rows];
    for row in 0..rows {
        let period = 10.0 + 10.0 * f64::from(random.uniform());
        let phase = f64::from(random.uniform());
        for t in 0..length {
            let x = (TAU * (t as f64 / period + phase)).sin() as f32;
            match t.checked_sub(seen(length)) {
                None => input[t * rows + row] = x,
                Some(after) => values[after * rows + row] = x,
            }
        }
    }
    Batch { input, target: Target::Values(values) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A wave satisfies x_{t+1} = 2 cos(2 pi / period) x_t - x_{t-1}, over the seam between what is seen and what is not, too.
    #[test]
    fn what_is_asked_for_continues_what_is_seen() {
        let (length, rows) = (41, 30);
        let Batch { input, target } = draw(length, rows, &mut Philox::new(1, 1));
        let Target::Values(values) = target else { panic!("a wave has values") };
        assert!(input[seen(length) * rows..].iter().all(|&x| x == 0.0));
        for row in 0..rows {
            let wave: Vec<f64> = input[..seen(length) * rows]
                .iter()
                .chain(&values)
                .skip(row)
                .step_by(rows)
                .map(|&x| f64::from(x))
                .collect();
            assert_eq!(wave.len(), length);
            let sums =
                |f: fn(f64, f64) -> f64| -> f64 { wave.windows(3).map(|x| f(x[0] + x[2], x[1])).sum() };
            let cosine = sums(|outer, middle| outer * middle) / sums(|_, middle| middle * middle) / 2.0;
            let period = TAU / cosine.acos();
            assert!((9.99..20.01).contains(&period), "{period}");
            for x in wave.windows(3) {
                assert!((x[0] + x[2] - 2.0 * cosine * x[1]).abs() < 1e-5, "{x:?}");
            }
        }
    }
}
