//! The oracle against every case made by PyTorch: values, gradients, clipping.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use tests::golden::{Case, load, load_torch_golden};
use tests::oracle::{Norm, clip_grad_norm, clip_grad_value};

/// Allowed difference, relative to the expected value, and absolute below 1; 4e-15 was seen.
const TOLERANCE: f64 = 1e-13;
const NORMS: [(&str, Norm); 3] = [("l1", Norm::L1), ("l2", Norm::L2), ("inf", Norm::Inf)];

fn cases() -> Vec<Case> {
    load_torch_golden().unwrap_or_else(|error| panic!("{error}"))
}

/// Everything that a case's `f64.*` tensors hold, computed by the oracle; `out` and `grad.x` time-major.
fn compute(case: &Case) -> BTreeMap<String, Vec<f64>> {
    let stack = case.stack().unwrap_or_else(|| panic!("{}: kind {} is no network", case.name, case.kind));
    let (run, upstream) = (case.stack_run(), case.upstream());
    let trace = stack.forward(&run);
    let grads = stack.backward(&run, &trace, &upstream);
    let dot = |a: &[f64], r: &Option<Vec<f64>>| -> f64 {
        r.as_ref().map_or(0.0, |r| a.iter().zip(r).map(|(a, r)| a * r).sum())
    };
    let loss =
        dot(&trace.out, &upstream.out) + dot(&trace.h_n, &upstream.h_n) + dot(&trace.c_n, &upstream.c_n);
    let mut all = BTreeMap::from([
        ("f64.out".to_string(), trace.out),
        ("f64.h_n".to_string(), trace.h_n),
        ("f64.c_n".to_string(), trace.c_n),
        ("f64.loss".to_string(), vec![loss]),
        ("f64.grad.x".to_string(), grads.x.clone()),
        ("f64.grad.h0".to_string(), grads.h0.clone()),
        ("f64.grad.c0".to_string(), grads.c0.clone()),
    ]);
    let named: Vec<(String, Vec<f64>)> = grads
        .tensors(&stack.shape)
        .into_iter()
        .map(|(name, grad)| (case.parameter(&name), grad.to_vec()))
        .collect();
    for (name, grad) in &named {
        all.insert(format!("f64.grad.w.{name}"), grad.clone());
    }

    let mut clip = |key: &str, change: &mut dyn FnMut(&mut [&mut [f64]])| {
        let mut clipped = named.clone();
        change(&mut clipped.iter_mut().map(|(_, grad)| grad.as_mut_slice()).collect::<Vec<_>>());
        for (name, grad) in clipped {
            all.insert(format!("f64.clip.{key}.{name}"), grad);
        }
    };
    let mut totals = vec![];
    for ((key, norm), max_norm) in NORMS.into_iter().zip(case.f64("clip.max_norm")) {
        clip(key, &mut |grads| totals.push(clip_grad_norm(grads, max_norm, norm)));
    }
    let limit = case.f64("clip.value")[0];
    clip("value", &mut |grads| clip_grad_value(grads, limit));
    all.insert("f64.clip.total_norm".to_string(), totals);
    all
}

/// What a case's file must hold, by what the index says; nothing may be missing and nothing be left unread.
fn expected_names(case: &Case) -> BTreeSet<String> {
    let of = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
    let has_c = case.kind.starts_with("lstm");
    let mut names = of(&["f64.h_n", "f64.loss", "f64.grad.x", "f64.clip.total_norm"]);
    names.extend(of(if case.is_cell { &[] } else { &["f64.out"] }));
    names.extend(of(if has_c { &["f64.c_n"] } else { &[] }));
    names.extend(of(if case.initial_state { &["f64.grad.h0"] } else { &[] }));
    names.extend(of(if case.initial_state && has_c { &["f64.grad.c0"] } else { &[] }));
    let stack = case.stack().unwrap_or_else(|| panic!("{}: kind {} is no network", case.name, case.kind));
    for (index, (name, _)) in stack.tensors().into_iter().enumerate() {
        let name = case.parameter(&name);
        names.push(format!("f64.grad.w.{name}"));
        if case.full_clip || index == 1 {
            names.extend(["l1", "l2", "inf", "value"].map(|key| format!("f64.clip.{key}.{name}")));
        }
    }
    names.into_iter().collect()
}

#[test]
fn the_oracle_reproduces_every_network() {
    let mut compared = 0;
    let mut worst = (0.0, String::new());
    for case in cases().into_iter().filter(|case| case.kind != "clip") {
        let name = &case.name;
        assert_eq!(case.bias, case.tensors.keys().any(|key| key.starts_with("w.bias")), "{name}: bias");
        assert_eq!(case.initial_state, case.tensors.contains_key("h0"), "{name}: initial_state");
        assert_eq!(case.packed, case.lengths.is_some(), "{name}: packed");
        if let Some(lengths) = &case.lengths {
            let lengths: Vec<i64> = lengths.iter().map(|&len| len as i64).collect();
            assert_eq!(case.tensor("lengths").i64(), lengths, "{name}: lengths");
        }
        let in_file = case.tensors.keys().filter(|key| key.starts_with("f64.")).cloned();
        assert_eq!(in_file.collect::<BTreeSet<_>>(), expected_names(&case), "{name}: tensors of the file");

        let computed = compute(&case);
        for key in expected_names(&case) {
            let expected = match key.as_str() {
                "f64.out" | "f64.grad.x" => case.time_major(&key),
                _ => case.f64(&key),
            };
            let own = &computed[&key];
            assert_eq!(own.len(), expected.len(), "{name}: size of {key}");
            for (k, (own, expected)) in own.iter().zip(&expected).enumerate() {
                let error = (own - expected).abs() / expected.abs().max(1.0);
                assert!(error <= TOLERANCE, "{name}: {key}[{k}] is {own:e}, PyTorch has {expected:e}");
                if error > worst.0 {
                    worst = (error, format!("{name} {key}"));
                }
                compared += 1;
            }
        }
    }
    println!("{compared} elements compared, largest error {:.2e} in {}", worst.0, worst.1);
    assert!(compared > 0, "no case holds a network");
}

/// Clipping of zero, huge, tiny, infinite and NaN gradients, as PyTorch does it in f64.
#[test]
fn the_oracle_clips_as_pytorch_does() {
    let same = |own: f64, expected: f64| {
        own == expected
            || own.is_nan() && expected.is_nan()
            || (own - expected).abs() <= 1e-14 * expected.abs()
    };
    let (mut compared, mut total_compared) = (BTreeSet::new(), 0);
    for case in cases().into_iter().filter(|case| case.kind == "clip") {
        let number =
            |key: &str| case.entry[key].as_f64().unwrap_or_else(|| panic!("{}: no {key}", case.name));
        let (max_norm, limit) = (number("max_norm"), number("clip_value"));
        let names: BTreeSet<&str> = case.tensors.keys().filter_map(|key| key.split('.').next()).collect();
        for name in names {
            let of = |n: usize| case.tensors.get(&format!("{name}.grad{n}")).map(|grad| grad.f64());
            let grads: Vec<Vec<f64>> = (0..).map_while(of).collect();
            let check = |key: &str, own: &[f64]| {
                let expected = case.f64(key);
                assert_eq!(own.len(), expected.len(), "{}: size of {key}", case.name);
                for (own, expected) in own.iter().zip(expected) {
                    assert!(
                        same(*own, expected),
                        "{}: {key} is {own:e}, PyTorch has {expected:e}",
                        case.name
                    );
                }
                key.to_string()
            };
            let clip = |change: &mut dyn FnMut(&mut [&mut [f64]])| {
                let mut grads = grads.clone();
                change(&mut grads.iter_mut().map(Vec::as_mut_slice).collect::<Vec<_>>());
                grads
            };
            for (key, norm) in NORMS {
                let mut total = 0.0;
                let clipped = clip(&mut |grads| total = clip_grad_norm(grads, max_norm, norm));
                compared.insert(check(&format!("{name}.f64.{key}.total_norm"), &[total]));
                for (n, grad) in clipped.iter().enumerate() {
                    compared.insert(check(&format!("{name}.f64.{key}.clipped{n}"), grad));
                }
                let entries = case.entry["cases"].as_array().cloned().unwrap_or_default();
                let this =
                    |e: &&serde_json::Value| e["case"] == name && e["dtype"] == "f64" && e["norm"] == key;
                let raises = entries.iter().find(this).and_then(|e| e["error_if_nonfinite_raises"].as_bool());
                assert_eq!(raises, Some(!total.is_finite()), "{name} {key}");
            }
            for (n, grad) in clip(&mut |grads| clip_grad_value(grads, limit)).iter().enumerate() {
                compared.insert(check(&format!("{name}.f64.value.clipped{n}"), grad));
            }
        }
        let in_file: BTreeSet<String> =
            case.tensors.keys().filter(|key| key.contains(".f64.")).cloned().collect();
        assert_eq!(in_file, compared, "{}: a tensor was not compared", case.name);
        total_compared += compared.len();
        compared.clear();
    }
    assert!(total_compared > 0, "no case is about clipping");
}

/// Index and files must match, and nothing unreadable passes.
#[test]
fn the_loader_refuses_a_broken_folder() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("golden-broken");
    let index = folder.join("index.json");
    fs::create_dir_all(&folder).unwrap();
    for file in ["a.safetensors", "b.safetensors", "index.json"] {
        let _ = fs::remove_file(folder.join(file));
    }
    let error = || load(&folder).unwrap_err();
    assert!(error().contains("index.json"));
    fs::write(&index, "{").unwrap();
    assert!(error().contains("index.json"));
    fs::write(&index, r#"{"configs": [{"name": "a", "kind": "gru"}]}"#).unwrap();
    assert!(error().contains("a.safetensors"));
    let empty = [2_u64.to_le_bytes().as_slice(), b"{}"].concat();
    fs::write(folder.join("a.safetensors"), &empty).unwrap();
    assert_eq!(load(&folder).unwrap().len(), 1);
    fs::write(folder.join("b.safetensors"), &empty).unwrap();
    assert!(error().contains("b.safetensors: not in the index"));
    fs::remove_file(folder.join("b.safetensors")).unwrap();
    fs::write(folder.join("a.safetensors"), &empty[..9]).unwrap();
    assert!(error().contains("a.safetensors"));
}
