//! PyTorch's tests of gradient clipping (`test/test_nn.py`), with its gradients: 1 ..= 100, and ten of a thousandth.

use super::support::{ascending, refused};
use gatewise::{Error, NonFinite, Norm, Tensors, clip_grad_norm, clip_grad_value};

const NORMS: [Norm; 3] = [Norm::L1, Norm::L2, Norm::Inf];

/// A weight and a bias.
fn grads(weight: Vec<f32>, bias: Vec<f32>) -> Tensors {
    let mut grads = Tensors::default();
    grads.add("weight", &[weight.len()], weight).unwrap();
    grads.add("bias", &[bias.len()], bias).unwrap();
    grads
}

fn flat(grads: &Tensors) -> Vec<f64> {
    grads.iter().flat_map(|tensor| tensor.data()).map(|&value| f64::from(value)).collect()
}

/// From its definition.
fn norm_of(grads: &Tensors, norm: Norm) -> f64 {
    let magnitudes = flat(grads).into_iter().map(f64::abs);
    match norm {
        Norm::L1 => magnitudes.sum(),
        Norm::L2 => magnitudes.map(|value| value * value).sum::<f64>().sqrt(),
        Norm::Inf => magnitudes.fold(0.0, f64::max),
    }
}

/// The quotient of all gradients after and before is one number, which is answered.
#[track_caller]
fn common_scale(before: &Tensors, after: &Tensors) -> f64 {
    let scales: Vec<f64> =
        flat(before).iter().zip(flat(after)).map(|(before, after)| after / before).collect();
    for scale in &scales {
        assert!((scale - scales[0]).abs() <= 2e-7 * scales[0], "{scale} and {}", scales[0]);
    }
    scales[0]
}

/// The norm before is answered; the norm after is the limit; all gradients are scaled alike; small ones are not touched.
#[test]
fn test_clip_grad_norm() {
    let large = grads(ascending(1.0, 100), vec![1.0 / 1000.0; 10]);
    for norm in NORMS {
        let mut clipped = large.clone();
        let before = norm_of(&large, norm);
        let answered = clip_grad_norm(&mut [&mut clipped], 2.0, norm, NonFinite::Error).unwrap();
        assert!((answered - before).abs() <= 1e-12 * before, "{norm:?}: {answered}, {before}");
        let after = norm_of(&clipped, norm);
        assert!((after - 2.0).abs() <= 2e-6 && after <= 2.0 + 2e-7, "{norm:?}: {after}");
        let scale = common_scale(&large, &clipped);
        assert!(scale > 0.0 && scale < 1.0);

        let small = grads(vec![1.0 / 500.0; 100], vec![1.0 / 500.0; 10]);
        let mut untouched = small.clone();
        let answered = clip_grad_norm(&mut [&mut untouched], 2.0, norm, NonFinite::Error).unwrap();
        assert!(answered <= 2.0);
        assert_eq!(untouched, small, "{norm:?}");
    }
}

#[test]
fn test_clip_grad_value() {
    let before = grads(ascending(-50.0, 100), vec![1.0, f32::NAN, -0.0, 2.5, -2.5, 3.0, f32::INFINITY]);
    let mut clipped = before.clone();
    clip_grad_value(&mut [&mut clipped], 2.5).unwrap();
    for (before, after) in flat(&before).into_iter().zip(flat(&clipped)) {
        assert!(before.is_nan() == after.is_nan());
        assert!(before.is_nan() || after == before.clamp(-2.5, 2.5), "{before} became {after}");
    }
    let mut empty = Tensors::default();
    clip_grad_value(&mut [&mut empty], 2.5).unwrap();
    clip_grad_value(&mut [], 2.5).unwrap();
}

/// Refused by default with the gradients as they were; on request the factor is NaN or 0, as PyTorch's.
#[test]
fn test_clip_grad_norm_error_if_nonfinite() {
    let bits = |grads: &Tensors| flat(grads).into_iter().map(f64::to_bits).collect::<Vec<_>>();
    for norm in NORMS {
        for bad in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
            let mut weight = vec![0.5; 10];
            weight[3] = bad;
            let before = grads(weight, vec![1.0; 3]);
            let mut kept = before.clone();
            let error = clip_grad_norm(&mut [&mut kept], 1.0, norm, NonFinite::Error).unwrap_err();
            assert!(matches!(error, Error::NonFiniteNorm { norm } if !norm.is_finite()));
            let number = if bad.is_nan() { "NaN" } else { "inf" };
            let words =
                format!("the total norm of the gradients is non-finite ({number}), so it cannot be clipped");
            refused(clip_grad_norm(&mut [&mut kept], 1.0, norm, NonFinite::Error), &words);
            assert_eq!(bits(&kept), bits(&before));

            let answered = clip_grad_norm(&mut [&mut kept], 1.0, norm, NonFinite::AsPyTorch).unwrap();
            assert!(!answered.is_finite());
            for (i, value) in flat(&kept).into_iter().enumerate() {
                // Of an infinite norm the factor is 0, and 0 * inf is NaN.
                let expect_nan = bad.is_nan() || i == 3;
                assert_eq!(value.is_nan(), expect_nan, "{norm:?} {bad} [{i}]");
                assert!(expect_nan || value == 0.0);
            }
        }
    }
}
