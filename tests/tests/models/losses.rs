//! Losses, linear layer and embedding against the oracle's.

use gatewise::{Embedding, IGNORE, Isa, Kernels, Linear, LinearRoom, cross_entropy, mse};
use proptest::prelude::*;
use rayon::ThreadPoolBuilder;
use tests::oracle;
use tests::problem::widened;
use tests::rng::Rng;
use tests::setup::cases;

const EPS: f64 = f32::EPSILON as f64;

fn draw(rng: &mut Rng, len: usize, bound: f64) -> Vec<f32> {
    rng.vec(len, -bound, bound).into_iter().map(|value| value as f32).collect()
}

/// The first element that is further off than `bound(k)`, in words.
fn within(
    what: &str,
    got: &[f32],
    expected: &[f64],
    bound: impl Fn(usize) -> f64,
) -> Result<(), TestCaseError> {
    prop_assert_eq!(got.len(), expected.len(), "{}", what);
    for (k, (got, expected)) in got.iter().zip(expected).enumerate() {
        let error = (f64::from(*got) - expected).abs();
        prop_assert!(
            error <= bound(k),
            "{what}[{k}]: {got:e}, expected {expected:e}, {error:e} > {:e}",
            bound(k)
        );
    }
    Ok(())
}

fn magnitudes(values: &[f32]) -> Vec<f64> {
    values.iter().map(|value| f64::from(value.abs())).collect()
}

proptest! {
    #![proptest_config(cases(256))]

    /// Each element within (depth + 2) eps of the sum of magnitudes; a row alone and any number of threads have the same bits.
    #[test]
    fn a_linear_layer(rows in 0..20_usize, inputs in 1..40_usize, outputs in 1..40_usize, seed in any::<u64>()) {
        let rng = &mut Rng::new(seed);
        let (x, dy) = (draw(rng, rows * inputs, 1.0), draw(rng, rows * outputs, 1.0));
        for kernels in Kernels::available().unwrap() {
            let linear = Linear::with_kernels(inputs, outputs, seed, kernels).unwrap();
            let (w, b) = (linear.params().get("weight").unwrap().data(), linear.params().get("bias").unwrap().data());
            let mut y = vec![f32::NAN; rows * outputs];
            linear.forward(rows, &x, &mut y).unwrap();
            let (wide_w, wide_x) = (widened(w), widened(&x));
            let expected = oracle::linear(inputs, outputs, &wide_x, &wide_w, Some(&widened(b)));
            let scale = oracle::linear(inputs, outputs, &magnitudes(&x), &magnitudes(w), Some(&magnitudes(b)));
            within("y", &y, &expected, |k| (inputs + 2) as f64 * EPS * scale[k])?;
            for row in 0..rows {
                let mut alone = vec![0.0; outputs];
                linear.forward(1, &x[row * inputs..][..inputs], &mut alone).unwrap();
                prop_assert_eq!(&alone, &y[row * outputs..][..outputs]);
            }

            let (mut grads, mut dx) = (linear.params().zeros_like(), vec![f32::NAN; rows * inputs]);
            linear.backward(rows, &x, &dy, Some(&mut dx), &mut grads, &mut LinearRoom::default()).unwrap();
            let expected = oracle::linear_backward(inputs, outputs, &wide_x, &wide_w, &widened(&dy));
            let scale = oracle::linear_backward(inputs, outputs, &magnitudes(&x), &magnitudes(w), &magnitudes(&dy));
            within("dx", &dx, &expected.x, |k| (outputs + 2) as f64 * EPS * scale.x[k])?;
            within("dW", grads.get("weight").unwrap().data(), &expected.w, |k| (rows + 2) as f64 * EPS * scale.w[k])?;
            within("db", grads.get("bias").unwrap().data(), &expected.b, |k| (rows + 2) as f64 * EPS * scale.b[k])?;
        }
    }

    /// Copies and sums: exactly what the oracle has, if the sums are of a few f32 only.
    #[test]
    fn an_embedding(count in 1..12_usize, width in 0..9_usize, ids in prop::collection::vec(any::<prop::sample::Index>(), 0..20), seed in any::<u64>()) {
        let embedding = Embedding::new(count, width, seed).unwrap();
        let ids: Vec<usize> = ids.iter().map(|id| id.index(count)).collect();
        let mut y = vec![f32::NAN; ids.len() * width];
        embedding.forward(&ids, &mut y).unwrap();
        let table = widened(embedding.params().get("weight").unwrap().data());
        prop_assert_eq!(widened(&y), oracle::embedding(width, &table, &ids));
        let dy = draw(&mut Rng::new(seed), y.len(), 1.0);
        let mut grads = embedding.params().zeros_like();
        embedding.backward(&ids, &dy, &mut grads).unwrap();
        let expected = oracle::embedding_backward(count, width, &ids, &widened(&dy));
        let scale = oracle::embedding_backward(count, width, &ids, &magnitudes(&dy));
        within("dtable", grads.get("weight").unwrap().data(), &expected, |k| ids.len() as f64 * EPS * scale[k])?;
    }

    /// The loss within the error of one exponential and logarithm of each row; gradients within (classes + 8) eps / rows.
    #[test]
    fn cross_entropy_of_any_rows(rows in 1..12_usize, classes in 1..150_usize, range in 0.1..60.0_f64, seed in any::<u64>()) {
        let rng = &mut Rng::new(seed);
        let logits = draw(rng, rows * classes, range);
        let targets: Vec<usize> = (0..rows).map(|row| if row > 0 && rng.chance(0.2) { IGNORE } else { rng.below(classes) }).collect();
        let wide: Vec<i64> = targets.iter().map(|&target| if target == IGNORE { -100 } else { target as i64 }).collect();
        let (expected, d_expected) = oracle::cross_entropy(classes, &widened(&logits), &wide, Some(-100));
        let mut same: Option<Vec<f32>> = None;
        for kernels in Kernels::available().unwrap() {
            let mut grad = vec![f32::NAN; logits.len()];
            let loss = cross_entropy(kernels, &logits, classes, &targets, &mut grad).unwrap();
            // x - max is rounded to half an ULP of the range, e^x has two ULP of its own.
            let allowed = 4.0 * EPS * (1.0 + range);
            prop_assert!((loss - expected).abs() <= allowed * (1.0 + expected), "{loss}, expected {expected}");
            within("d logits", &grad, &d_expected, |_| 2.0 * allowed)?;
            if kernels.isa() != Isa::Portable {
                prop_assert_eq!(same.get_or_insert(grad.clone()), &grad);
            }
        }
    }

    /// Mean squared error: differences rounded once, squares summed in f64.
    #[test]
    fn mean_squared_error(len in 1..300_usize, seed in any::<u64>()) {
        let rng = &mut Rng::new(seed);
        let (y, target) = (draw(rng, len, 3.0), draw(rng, len, 3.0));
        let (expected, d_expected) = oracle::mse(&widened(&y), &widened(&target));
        let mut grad = vec![f32::NAN; len];
        let loss = mse(&y, &target, &mut grad).unwrap();
        prop_assert!((loss - expected).abs() <= 2.0 * EPS * expected, "{loss}, expected {expected}");
        within("dy", &grad, &d_expected, |k| 2.0 * EPS * d_expected[k].abs())?;
    }
}

/// Rows whose target is IGNORE count for nothing; where none counts the loss is NaN and the gradient zero, as in PyTorch.
#[test]
fn nothing_that_counts() {
    let kernels = Kernels::auto().unwrap();
    let mut grad = [7.5; 4];
    let loss = cross_entropy(kernels, &[0.5; 4], 2, &[IGNORE, IGNORE], &mut grad).unwrap();
    assert!(loss.is_nan() && grad == [0.0; 4]);
    assert!(cross_entropy(kernels, &[], 2, &[], &mut []).unwrap().is_nan());
    assert!(mse(&[], &[], &mut []).unwrap().is_nan());
}

/// Logits of any size: the largest is taken off first.
#[test]
fn huge_logits_do_not_overflow() {
    for kernels in Kernels::available().unwrap() {
        let mut grad = [0.0; 3];
        let loss = cross_entropy(kernels, &[1e30, -1e30, 0.0], 3, &[0], &mut grad).unwrap();
        assert_eq!((loss, grad), (0.0, [0.0; 3]));
        let loss = cross_entropy(kernels, &[f32::NAN, 1.0, 2.0], 3, &[1], &mut grad).unwrap();
        assert!(loss.is_nan() && grad.iter().all(|dx| dx.is_nan()));
    }
}

/// A linear layer that is worth several threads: the same bits for 1 to 4, forward and backward.
#[test]
fn a_linear_layer_on_any_number_of_threads() {
    let (rows, inputs, outputs) = (200, 150, 140);
    let rng = &mut Rng::new(4);
    let (x, dy) = (draw(rng, rows * inputs, 1.0), draw(rng, rows * outputs, 1.0));
    let linear = Linear::new(inputs, outputs, 3).unwrap();
    let run = |threads: usize| {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let (mut y, mut dx) = (vec![0.0; rows * outputs], vec![0.0; rows * inputs]);
            let mut grads = linear.params().zeros_like();
            linear.forward(rows, &x, &mut y).unwrap();
            linear.backward(rows, &x, &dy, Some(&mut dx), &mut grads, &mut LinearRoom::default()).unwrap();
            (y, dx, grads)
        })
    };
    let one = run(1);
    for threads in 2..=4 {
        assert_eq!(run(threads), one, "{threads} threads");
    }
}
