//! Optimizers against the oracle's, and what clipping must do whatever the gradients are.

use gatewise::{
    Adam, AdamW, NonFinite, Norm, Optimizer, RmsProp, Sgd, Tensors, clip_grad_norm, clip_grad_value,
};
use proptest::prelude::*;
use tests::oracle;
use tests::problem::widened;
use tests::rng::Rng;
use tests::setup::cases;

const EPS: f64 = f32::EPSILON as f64;

fn draw(rng: &mut Rng, bound: f64) -> Tensors {
    let mut tensors = Tensors::default();
    for (name, len) in [("a", 7), ("b", 1), ("empty", 0), ("c", 12)] {
        let values = rng.vec(len, -bound, bound).into_iter().map(|value| value as f32).collect();
        tensors.add(name, &[len], values).unwrap();
    }
    tensors
}

/// An optimizer with some options set.
pub(super) fn with<O>(mut optimizer: O, set: impl FnOnce(&mut O)) -> O {
    set(&mut optimizer);
    optimizer
}

fn wide(tensors: &Tensors) -> Vec<Vec<f64>> {
    tensors.iter().map(|tensor| widened(tensor.data())).collect()
}

fn bits(tensors: &Tensors) -> Vec<u32> {
    tensors.iter().flat_map(|tensor| tensor.data()).map(|value| value.to_bits()).collect()
}

/// Twenty steps side by side. Each step rounds p about `roundings` times; `reach` is how far p moves in one step at most.
fn side_by_side(
    name: &str,
    optimizer: &mut dyn Optimizer,
    mut step: impl FnMut(&mut [&mut [f64]], &[&[f64]]),
    reach: f64,
) {
    let rng = &mut Rng::new(17);
    let mut params = draw(rng, 1.0);
    let mut expected = wide(&params);
    for t in 1..=20 {
        let grads = draw(rng, 1.0);
        optimizer.step(&mut [&mut params], &[&grads]).unwrap();
        let wide_grads = wide(&grads);
        let mut lists: Vec<&mut [f64]> = expected.iter_mut().map(Vec::as_mut_slice).collect();
        step(&mut lists, &wide_grads.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let bound = f64::from(t) * (EPS + 16.0 * EPS * reach);
        for (tensor, expected) in params.iter().zip(&expected) {
            for (p, expected) in tensor.data().iter().zip(expected) {
                let error = (f64::from(*p) - expected).abs();
                assert!(
                    error <= bound * expected.abs().max(1.0),
                    "{name}, step {t}: {p}, expected {expected}: {error:e} > {bound:e}"
                );
            }
        }
    }
}

#[test]
fn sgd() {
    for (momentum, dampening, weight_decay, nesterov) in [
        (0.0, 0.0, 0.0, false),
        (0.9, 0.0, 0.0, false),
        (0.9, 0.3, 0.1, false),
        (0.9, 0.0, 0.01, true),
        (0.0, 0.0, 0.5, false),
    ] {
        let mut ours = with(Sgd::new(0.1), |o| {
            o.momentum = momentum;
            o.dampening = dampening;
            o.weight_decay = weight_decay;
            o.nesterov = nesterov
        });
        let mut theirs = oracle::Sgd { momentum, dampening, weight_decay, nesterov, ..oracle::Sgd::new(0.1) };
        side_by_side("sgd", &mut ours, |params, grads| theirs.step(params, grads), 1.0);
    }
}

#[test]
fn adam() {
    for (betas, eps, weight_decay) in
        [((0.9, 0.999), 1e-8, 0.0), ((0.5, 0.9), 1e-3, 0.1), ((0.0, 0.0), 1e-8, 0.0)]
    {
        let mut ours = with(Adam::new(0.01), |o| {
            o.betas = betas;
            o.eps = eps;
            o.weight_decay = weight_decay
        });
        let betas = [betas.0, betas.1];
        let mut theirs = oracle::Adam { betas, eps, weight_decay, ..oracle::Adam::new(0.01) };
        // m / sqrt(v) is 1 at first and may grow to 1 / sqrt(1 - beta2); 1 - beta2 in f32 is off by eps / (1 - beta2) / 2.
        side_by_side("adam", &mut ours, |params, grads| theirs.step(params, grads), 1.0);
    }
}

#[test]
fn adam_w() {
    for weight_decay in [0.0, 0.01, 0.5] {
        let mut ours = AdamW { weight_decay, ..AdamW::new(0.01) };
        let mut theirs = oracle::AdamW { weight_decay, ..oracle::AdamW::new(0.01) };
        side_by_side("adam_w", &mut ours, |params, grads| theirs.step(params, grads), 1.0);
    }
}

#[test]
fn rms_prop() {
    for (momentum, centered, weight_decay) in
        [(0.0, false, 0.0), (0.9, false, 0.0), (0.0, true, 0.01), (0.5, true, 0.0)]
    {
        let mut ours = with(RmsProp::new(0.001), |o| {
            o.momentum = momentum;
            o.centered = centered;
            o.weight_decay = weight_decay
        });
        let mut theirs = oracle::RmsProp { momentum, centered, weight_decay, ..oracle::RmsProp::new(0.001) };
        side_by_side("rms_prop", &mut ours, |params, grads| theirs.step(params, grads), 1.0);
    }
}

/// Two lists are one list in two parts.
#[test]
fn lists_are_taken_together() {
    let rng = &mut Rng::new(5);
    let (mut a, mut b) = (draw(rng, 1.0), draw(rng, 1.0));
    let (da, db) = (draw(rng, 1.0), draw(rng, 1.0));
    let (mut a_alone, mut b_alone) = (a.clone(), b.clone());
    let (mut both, mut one, mut other) = (Adam::new(0.1), Adam::new(0.1), Adam::new(0.1));
    for _ in 0..3 {
        both.step(&mut [&mut a, &mut b], &[&da, &db]).unwrap();
        one.step(&mut [&mut a_alone], &[&da]).unwrap();
        other.step(&mut [&mut b_alone], &[&db]).unwrap();
    }
    assert_eq!((a, b), (a_alone, b_alone));
}

const NORMS: [(Norm, oracle::Norm); 3] =
    [(Norm::L1, oracle::Norm::L1), (Norm::L2, oracle::Norm::L2), (Norm::Inf, oracle::Norm::Inf)];

fn norm_of(tensors: &Tensors, norm: oracle::Norm) -> f64 {
    let wide = wide(tensors);
    oracle::total_norm(&wide.iter().map(Vec::as_slice).collect::<Vec<_>>(), norm)
}

proptest! {
    #![proptest_config(cases(256))]

    /// PyTorch's `test_clip_grad_norm`, for gradients of any size: the answer is the norm before; the norm after is `max_norm` at
    /// most; small gradients are not touched; all are scaled alike, so the direction stays; clipping again changes nothing more.
    #[test]
    fn clipping_the_norm(exponent in -30..30_i32, max_exponent in -6..6_i32, seed in any::<u64>()) {
        let before = draw(&mut Rng::new(seed), 10.0_f64.powi(exponent));
        let max_norm = 1.5 * 10.0_f64.powi(max_exponent);
        for (norm, theirs) in NORMS {
            let mut grads = before.clone();
            let total = clip_grad_norm(&mut [&mut grads], max_norm, norm, NonFinite::Error).unwrap();
            let expected = norm_of(&before, theirs);
            prop_assert!((total - expected).abs() <= 1e-13 * expected, "{norm:?}: {total:e}, expected {expected:e}");
            if total + 1e-6 <= max_norm {
                prop_assert_eq!(bits(&grads), bits(&before));
            } else {
                let after = norm_of(&grads, theirs);
                // The factor is rounded to f32, and every product is.
                let most = max_norm * (1.0 + EPS / 2.0).powi(2);
                prop_assert!(after <= most, "{norm:?}: {after:e} after clipping to {max_norm:e}");
                let factor = max_norm / (total + 1e-6);
                for (was, is) in before.iter().zip(grads.iter()) {
                    for (was, is) in was.data().iter().zip(is.data()) {
                        let exact = factor * f64::from(*was);
                        // Of a subnormal product there are no more than its steps.
                        let allowed = EPS * exact.abs() + 1e-45;
                        prop_assert!((f64::from(*is) - exact).abs() <= allowed, "{norm:?}: {is:e}, expected {exact:e}");
                    }
                }
                let mut again = grads.clone();
                clip_grad_norm(&mut [&mut again], max_norm, norm, NonFinite::Error).unwrap();
                for (was, is) in grads.iter().zip(again.iter()) {
                    for (was, is) in was.data().iter().zip(is.data()) {
                        let allowed = 3.0 * EPS * f64::from(was.abs()) + 1e-6 / max_norm * f64::from(was.abs()) + 1e-45;
                        prop_assert!(f64::from((was - is).abs()) <= allowed, "{norm:?}: {was:e}, clipped again {is:e}");
                    }
                }
            }
        }
    }

    /// PyTorch's `test_clip_grad_value`.
    #[test]
    fn clipping_the_values(limit in 0.0..2.0_f32, seed in any::<u64>()) {
        let before = draw(&mut Rng::new(seed), 1.5);
        let mut grads = before.clone();
        clip_grad_value(&mut [&mut grads], limit).unwrap();
        for (was, is) in before.iter().zip(grads.iter()) {
            for (was, is) in was.data().iter().zip(is.data()) {
                prop_assert_eq!(*is, if was.abs() <= limit { *was } else { limit.copysign(*was) });
            }
        }
        let mut again = grads.clone();
        clip_grad_value(&mut [&mut again], limit).unwrap();
        prop_assert_eq!(bits(&again), bits(&grads));
    }
}

/// Several lists are one long vector; a limit of 0 makes everything 0, of infinity nothing.
#[test]
fn clipping_lists_together_and_at_the_limits() {
    let rng = &mut Rng::new(6);
    let (mut a, mut b) = (draw(rng, 3.0), draw(rng, 5.0));
    let total = clip_grad_norm(&mut [&mut a, &mut b], 2.0, Norm::L2, NonFinite::Error).unwrap();
    let after = (norm_of(&a, oracle::Norm::L2).powi(2) + norm_of(&b, oracle::Norm::L2).powi(2)).sqrt();
    assert!(total > 2.0 && (after - 2.0).abs() <= 2.0 * (EPS + 1e-6), "{after}");
    let before = bits(&a);
    clip_grad_norm(&mut [&mut a], f64::INFINITY, Norm::L2, NonFinite::Error).unwrap();
    clip_grad_value(&mut [&mut a], f32::INFINITY).unwrap();
    assert_eq!(bits(&a), before);
    clip_grad_norm(&mut [&mut a], 0.0, Norm::Inf, NonFinite::Error).unwrap();
    assert!(a.iter().all(|tensor| tensor.data().iter().all(|&value| value == 0.0)));
    assert_eq!(clip_grad_norm(&mut [], 1.0, Norm::L1, NonFinite::Error), Ok(0.0));
}
