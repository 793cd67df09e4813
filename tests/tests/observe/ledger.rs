//! The clip ledger and the detector of spikes.

use gatewise::{
    ClipLedger, Error, GradientFlow, Lstm, NonFinite, Norm, Place, SpikeDetector, Tensors, clip_grad_norm,
};
use proptest::prelude::*;
use tests::bounds::same_slices;
use tests::rng::Rng;
use tests::setup::cases;

fn gradients(seed: u64, scale: f64) -> Tensors {
    let mut grads = Lstm::new(2, 3).unwrap().params().zeros_like();
    let mut rng = Rng::new(seed);
    for value in grads.iter_mut().flat_map(|tensor| tensor.data_mut()) {
        *value = (scale * rng.uniform(-1.0, 1.0)) as f32;
    }
    grads
}

fn same(a: &Tensors, b: &Tensors) -> Result<(), String> {
    a.iter().zip(b.iter()).try_for_each(|(a, b)| same_slices(a.name(), a.data(), b.data()))
}

proptest! {
    #![proptest_config(cases(256))]

    /// The ledger clips as `clip_grad_norm` does, enters what it did, and clips scaled gradients alike.
    #[test]
    fn as_without_a_ledger(seed in any::<u64>(), exponent in -20..20_i32, max_exponent in -4..4_i32) {
        let (scale, max_norm) = (2.0_f64.powi(exponent), 2.0_f64.powi(max_exponent));
        for norm in [Norm::L1, Norm::L2, Norm::Inf] {
            let (mut a, mut b) = (gradients(seed, scale), gradients(seed, scale));
            let mut ledger = ClipLedger::new(norm, NonFinite::Error, 10);
            let clipped = ledger.clip("g", &mut [&mut a], max_norm, None).unwrap();
            let total = clip_grad_norm(&mut [&mut b], max_norm, norm, NonFinite::Error).unwrap();
            prop_assert!(same(&a, &b).is_ok());
            prop_assert_eq!(clipped.norm, total);
            prop_assert_eq!(clipped.is_clipped, total + 1e-6 > max_norm);
            prop_assert!(clipped.scale <= 1.0 && !clipped.is_skipped && clipped.non_finite.is_none());
            let entry = ledger.group("g").unwrap().entries[0];
            prop_assert_eq!((entry.norm, entry.max_norm, entry.scale), (total, max_norm, clipped.scale));

            // Gradients and limit 8 times as large: the factor is the same but for the 1e-6 beside the norm.
            let mut c = gradients(seed, 8.0 * scale);
            let scaled = ledger.clip("g", &mut [&mut c], 8.0 * max_norm, None).unwrap();
            let of = |norm: f64| 2e-6 / (norm + 1e-6) + f64::EPSILON * 8.0;
            prop_assert!((scaled.scale / clipped.scale - 1.0).abs() <= of(total), "{} {}", scaled.scale, clipped.scale);
        }
    }
}

#[test]
fn groups_windows_and_percentiles() {
    let mut ledger = ClipLedger::new(Norm::Inf, NonFinite::Skip, 11);
    let mut grads = gradients(1, 1.0);
    for update in 0..31 {
        grads.fill(update as f32);
        ledger.clip("a", &mut [&mut grads], 24.5, None).unwrap();
        if update % 2 == 0 {
            grads.fill(1.0);
            ledger.clip("b", &mut [&mut grads], 1.0, None).unwrap();
        }
    }
    let names: Vec<&str> = ledger.groups().iter().map(|group| &group.name[..]).collect();
    assert_eq!(names, ["a", "b"]);
    let group = ledger.group("a").unwrap();
    assert_eq!((group.updates, group.clipped, group.skipped, group.entries.len()), (31, 6, 0, 11));
    assert_eq!(group.share_clipped(), 6.0 / 31.0);
    // The last eleven norms are 20 .. 30.
    let quartiles = [0.0, 0.25, 0.5, 1.0].map(|q| group.percentile(q));
    assert_eq!(quartiles, [Some(20.0), Some(22.5), Some(25.0), Some(30.0)]);
    assert_eq!(group.suggested_threshold(), Some(29.0));
    assert_eq!((group.percentile(1.1), group.percentile(f64::NAN)), (None, None));
    assert_eq!(ledger.group("c"), None);
    // A norm of just max_norm is scaled by the 1e-6 beside it, as PyTorch does.
    assert_eq!(ledger.group("b").unwrap().updates, 16);
}

/// A window as long as a training without end takes no room without end.
#[test]
fn windows_have_an_end() {
    let mut ledger = ClipLedger::new(Norm::L2, NonFinite::Error, usize::MAX);
    let mut grads = gradients(1, 1.0);
    for _ in 0..ClipLedger::LONGEST_WINDOW + 2 {
        ledger.clip("a", &mut [&mut grads], 1.0, None).unwrap();
    }
    let group = ledger.group("a").unwrap();
    assert_eq!(group.updates, ClipLedger::LONGEST_WINDOW as u64 + 2);
    assert_eq!((group.entries.len(), group.entries[0].update), (ClipLedger::LONGEST_WINDOW, 2));
    let mut spikes = SpikeDetector::new(usize::MAX, 6.0);
    assert!((0..10).all(|_| spikes.push(1.0).is_none()));
    assert!(spikes.push(2.0).is_some());
}

#[test]
fn policies_for_norms_that_are_not_finite() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let poisoned = || {
            let mut grads = gradients(2, 1.0);
            grads.get_mut("weight_hh_l0").unwrap().data_mut()[7] = bad;
            grads
        };
        // Error: named, nothing changed, nothing entered.
        let mut ledger = ClipLedger::new(Norm::L2, NonFinite::Error, 10);
        let mut grads = poisoned();
        let error = ledger.clip("g", &mut [&mut grads], 1.0, None).unwrap_err();
        let Error::NonFinite { place, .. } = &error else { panic!("{error}") };
        assert_eq!(place.to_string(), "the gradient of weight_hh_l0");
        assert!(
            error
                .to_string()
                .ends_with("the first value that is not finite is in the gradient of weight_hh_l0")
        );
        same(&grads, &poisoned()).unwrap();
        assert!(ledger.groups().is_empty());
        // Where a backward pass saw it first, that is named.
        let place = Place { tensor: "dL/dh".into(), layer: Some(1), direction: Some(1), step: Some(17) };
        let flow = GradientFlow { non_finite: Some(place.clone()), ..GradientFlow::default() };
        let error = ledger.clip("g", &mut [&mut grads], 1.0, Some(&flow)).unwrap_err();
        assert!(error.to_string().ends_with("is in dL/dh of layer 1, reverse, at step 17"), "{error}");

        // Skip: told, nothing changed, entered as left out; also without a ledger.
        let mut ledger = ClipLedger::new(Norm::L2, NonFinite::Skip, 10);
        let clipped = ledger.clip("g", &mut [&mut grads], 1.0, Some(&flow)).unwrap();
        assert!(clipped.is_skipped && !clipped.is_clipped && clipped.scale == 1.0);
        assert_eq!(clipped.non_finite, Some(place));
        same(&grads, &poisoned()).unwrap();
        assert_eq!((ledger.groups()[0].updates, ledger.groups()[0].skipped), (1, 1));
        assert_eq!(ledger.groups()[0].percentile(0.5), None);
        let norm = clip_grad_norm(&mut [&mut grads], 1.0, Norm::L2, NonFinite::Skip).unwrap();
        assert!(!norm.is_finite());
        same(&grads, &poisoned()).unwrap();

        // As PyTorch: multiplied by what comes out.
        let mut ledger = ClipLedger::new(Norm::L2, NonFinite::AsPyTorch, 10);
        let clipped = ledger.clip("g", &mut [&mut grads], 1.0, None).unwrap();
        assert!(clipped.is_clipped && !clipped.is_skipped);
        let mut expected = poisoned();
        clip_grad_norm(&mut [&mut expected], 1.0, Norm::L2, NonFinite::AsPyTorch).unwrap();
        same(&grads, &expected).unwrap();
    }
}

/// Noise from a normal distribution has few values beyond six deviations; a jump is found at once, however often others came before.
#[test]
fn spikes() {
    let mut rng = Rng::new(8);
    let mut noise = || (0..12).map(|_| rng.uniform(-0.5, 0.5)).sum::<f64>();
    let mut detector = SpikeDetector::new(64, 6.0);
    for index in 0..2000_u64 {
        let jump = index >= 500 && index % 100 == 0;
        let value = 10.0 + noise() + if jump { 50.0 } else { 0.0 };
        let spike = detector.push(value);
        assert_eq!(spike.is_some(), jump, "{index}: {spike:?}");
        if let Some(spike) = spike {
            assert_eq!((spike.index, spike.value), (index, value));
            assert!((20.0..120.0).contains(&spike.z), "50 deviations or so: {}", spike.z);
        }
    }
    // z is exact where median and MAD are: 0 .. 8 have 4 and 2.
    let mut detector = SpikeDetector::new(9, 3.0);
    assert!((0..9).all(|value| detector.push(f64::from(value)).is_none()));
    let spike = detector.push(14.0).unwrap();
    assert!((spike.z - 0.674_489_750_196_081_7 * 10.0 / 2.0).abs() < 1e-12);
    // What is not finite is one from the start, and leaves the window alone; a fall is none.
    let mut detector = SpikeDetector::new(9, 3.0);
    assert_eq!(detector.push(f64::NAN).unwrap().z, f64::INFINITY);
    assert!((0..9).all(|value| detector.push(f64::from(value)).is_none()));
    assert!(detector.push(f64::INFINITY).is_some());
    assert!(detector.push(-1000.0).is_none());
    // A constant series: a thousandth of it counts as its deviation.
    let mut detector = SpikeDetector::new(9, 3.0);
    assert!((0..20).all(|_| detector.push(5.0).is_none()));
    assert!(detector.push(5.02).is_none() && detector.push(5.1).is_some());
}
