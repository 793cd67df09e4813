//! The project's own copy of the cases that PyTorch computed, on every instruction set of this machine: forward, backward and
//! clipping. `cargo run --release -p tests --bin golden -- DIR` does the same for any folder.

use gatewise::{Error, Kernels, NonFinite, Norm, Tensors, clip_grad_norm};
use std::collections::BTreeMap;
use tests::golden::{Case, load_torch_golden};
use tests::golden_run;

mod golden {
    mod program;
}

fn cases() -> Vec<Case> {
    load_torch_golden().expect("the cases lie in tests/data/torch-golden")
}

/// Every case of every kind passes on every instruction set; the folder holds all kinds.
#[test]
fn all_cases_on_all_instruction_sets() {
    let available = Kernels::available().unwrap();
    let (mut failures, mut passed) = (Vec::new(), BTreeMap::new());
    for case in &cases() {
        for kernels in &available {
            match golden_run::run(case, *kernels) {
                Ok(outcome) => {
                    failures.extend(
                        outcome.failures.iter().map(|f| format!("{} {}: {f}", case.name, kernels.isa())),
                    );
                    assert!(outcome.compared > 0, "{}: nothing was compared", case.name);
                }
                Err(error) => failures.push(format!("{error} ({})", kernels.isa())),
            }
        }
        *passed.entry(case.kind.clone()).or_insert(0) += 1;
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
    let counts: Vec<(&str, i32)> = passed.iter().map(|(kind, count)| (kind.as_str(), *count)).collect();
    let expected =
        [("clip", 1), ("gru", 21), ("lstm", 20), ("lstm_proj", 18), ("rnn_relu", 18), ("rnn_tanh", 23)];
    assert_eq!(counts, expected, "cases of each kind in the folder");
}

/// The gradients of a special case, as they are in the file.
fn gradients(case: &Case, name: &str) -> Tensors {
    let mut grads = Tensors::default();
    for n in 0..2 {
        let tensor = case.tensor(&format!("{name}.grad{n}"));
        grads.add(&format!("grad{n}"), &tensor.shape, tensor.f32().to_vec()).unwrap();
    }
    grads
}

fn norm_of(grads: &Tensors) -> f64 {
    let all = grads.iter().flat_map(|tensor| tensor.data());
    all.map(|&value| f64::from(value) * f64::from(value)).sum::<f64>().sqrt()
}

fn special() -> Case {
    cases().into_iter().find(|case| case.kind == "clip").expect("the folder holds clip-special")
}

/// PyTorch's f32 norm of gradients near 1e25 overflows, and it sets every gradient to 0: a step is lost. Here they are clipped
/// like any others.
#[test]
fn huge_gradients_are_clipped_and_not_lost() {
    let case = special();
    let max_norm = case.entry["max_norm"].as_f64().unwrap();
    assert_eq!(case.f64("huge_f32.f32.l2.total_norm"), [f64::INFINITY]);
    assert!(case.f64("huge_f32.f32.l2.clipped0").iter().all(|&value| value == 0.0));

    let mut grads = gradients(&case, "huge_f32");
    let total = clip_grad_norm(&mut [&mut grads], max_norm, Norm::L2, NonFinite::Error).unwrap();
    let expected = case.f64("huge_f32.f64.l2.total_norm")[0];
    assert!((total / expected - 1.0).abs() < 1e-12, "{total:e}, expected {expected:e}");
    // The factor is rounded to f32 once, and each product once.
    let after = norm_of(&grads);
    assert!(
        (after / max_norm - 1.0).abs() <= 2.0 * f64::from(f32::EPSILON),
        "{after} after clipping to {max_norm}"
    );
    for n in 0..2 {
        let clipped = case.f64(&format!("huge_f32.f64.l2.clipped{n}"));
        for (got, expected) in grads.get(&format!("grad{n}")).unwrap().data().iter().zip(clipped) {
            let error = (f64::from(*got) - expected).abs();
            assert!(error <= 2.0 * f64::from(f32::EPSILON) * expected.abs(), "{got}, expected {expected}");
        }
    }
}

/// PyTorch's f32 norm of gradients near 1e-30 underflows to 0; here it is reported as what it is, and nothing is clipped.
#[test]
fn tiny_gradients_have_a_norm() {
    let case = special();
    assert_eq!(case.f64("tiny.f32.l2.total_norm"), [0.0]);
    let mut grads = gradients(&case, "tiny");
    let before = grads.clone();
    let total = clip_grad_norm(&mut [&mut grads], 1.5, Norm::L2, NonFinite::Error).unwrap();
    let expected = case.f64("tiny.f64.l2.total_norm")[0];
    assert!((total / expected - 1.0).abs() < 1e-12, "{total:e}, expected {expected:e}");
    assert_eq!(grads, before);
}

/// One infinite or NaN gradient: PyTorch turns it into NaN and all others into 0 or NaN. By default that is an error here, and
/// every gradient stays; on request it is done as PyTorch does.
#[test]
fn non_finite_gradients_are_refused_or_treated_as_pytorch_does() {
    let case = special();
    for name in ["inf", "nan"] {
        for (key, norm) in [("l1", Norm::L1), ("l2", Norm::L2), ("inf", Norm::Inf)] {
            let mut grads = gradients(&case, name);
            let bits = |grads: &Tensors| -> Vec<u32> {
                grads.iter().flat_map(|tensor| tensor.data()).map(|value| value.to_bits()).collect()
            };
            let before = bits(&grads);
            match clip_grad_norm(&mut [&mut grads], 1.5, norm, NonFinite::Error) {
                Err(Error::NonFiniteNorm { norm }) => assert!(!norm.is_finite()),
                other => panic!("{name} {key}: {other:?}"),
            }
            assert_eq!(bits(&grads), before, "{name} {key}: refused gradients stay");

            let total = clip_grad_norm(&mut [&mut grads], 1.5, norm, NonFinite::AsPyTorch).unwrap();
            let expected = case.f64(&format!("{name}.f32.{key}.total_norm"))[0];
            assert!(total == expected || (total.is_nan() && expected.is_nan()), "{name} {key}: norm {total}");
            for n in 0..2 {
                let clipped = case.tensor(&format!("{name}.f32.{key}.clipped{n}"));
                for (got, expected) in
                    grads.get(&format!("grad{n}")).unwrap().data().iter().zip(clipped.f32())
                {
                    let same = got.to_bits() == expected.to_bits() || (got.is_nan() && expected.is_nan());
                    assert!(same, "{name} {key}: {got}, PyTorch has {expected}");
                }
            }
        }
    }
}
