//! The adding problem (Hochreiter and Schmidhuber, 1997): of T numbers two are marked, one in each half; what is their sum?

use super::{Batch, Target, below};
use gatewise::Philox;

/// Always saying 1 errs by the variance of a sum of two uniform numbers.
pub(super) const BASELINE: f64 = 1.0 / 6.0;

/// A step is (number in 0 .. 1, marker 0 or 1); the sum is asked for at the last one.
pub(super) fn draw(length: usize, rows: usize, random: &mut Philox) -> Batch {
    let mut input = vec![0.0; length * rows * 2];
    let mut sums = Vec::with_capacity(rows);
    for row in 0..rows {
        for t in 0..length {
            input[(t * rows + row) * 2] = random.uniform();
        }
        let half = length / 2;
        let mut sum = 0.0;
        for t in [below(half, random), half + below(length - half, random)] {
            input[(t * rows + row) * 2 + 1] = 1.0;
            sum += input[(t * rows + row) * 2];
        }
        sums.push(sum);
    }
    Batch { input, target: Target::Values(sums) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_is_the_sum_of_the_marked_numbers() {
        for length in [2, 3, 10, 101] {
            let (rows, mut random) = (50, Philox::new(3, length as u64));
            let Batch { input, target } = draw(length, rows, &mut random);
            let Target::Values(sums) = target else { panic!("sums are values") };
            for row in 0..rows {
                let steps: Vec<&[f32]> = input.chunks(2).skip(row).step_by(rows).collect();
                let marked: Vec<usize> = (0..length).filter(|&t| steps[t][1] == 1.0).collect();
                assert_eq!(marked.len(), 2);
                assert!(marked[0] < length / 2 && marked[1] >= length / 2, "{marked:?} of {length}");
                assert_eq!(sums[row], steps[marked[0]][0] + steps[marked[1]][0]);
                assert!(steps.iter().all(|x| (0.0..1.0).contains(&x[0]) && (x[1] == 0.0 || x[1] == 1.0)));
            }
        }
    }

    #[test]
    fn the_baseline_is_that_of_saying_one() {
        let Target::Values(sums) = draw(10, 100_000, &mut Philox::new(1, 1)).target else { panic!() };
        let loss = sums.iter().map(|sum| f64::from(sum - 1.0).powi(2)).sum::<f64>() / sums.len() as f64;
        // The square has a deviation of sqrt(7/180): five of the mean's.
        assert!((loss - BASELINE).abs() < 5.0 * (7.0 / 180.0 / 1e5_f64).sqrt(), "{loss}");
    }
}
