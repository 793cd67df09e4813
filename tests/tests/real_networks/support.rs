//! The files of a network, and how far a result may be from what they say.

use gatewise::{Tensors, WeightFile};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use tests::golden::{Tensor, read_tensors};

/// Times the original's own f32 error that ours may have.
const OWN: f64 = 4.0;

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("data").join(name)
}

/// The weights of one network whatever their type, by name.
pub(super) fn raw_weights(name: &str) -> BTreeMap<String, Tensor> {
    read_tensors(folder(name).join("weights.safetensors")).unwrap()
}

/// The files of one network.
pub(super) struct Fixture {
    /// What the network is, and what its f32 values are off by.
    pub(super) card: Value,
    /// Its weights.
    pub(super) weights: WeightFile,
    /// Its inputs and expected outputs, and its gradients under `grad.`.
    tensors: BTreeMap<String, Tensor>,
}

impl Fixture {
    /// Reads `tests/data/NAME`.
    pub(super) fn read(name: &str) -> Fixture {
        let folder = folder(name);
        let card = serde_json::from_slice(&std::fs::read(folder.join("card.json")).unwrap()).unwrap();
        let weights = WeightFile::read(folder.join("weights.safetensors")).unwrap();
        let mut tensors = read_tensors(folder.join("io.safetensors")).unwrap();
        let grads = folder.join("grads.safetensors");
        if grads.exists() {
            let grads = read_tensors(grads).unwrap();
            tensors.extend(grads.into_iter().map(|(name, of)| (format!("grad.{name}"), of)));
        }
        Fixture { card, weights, tensors }
    }

    fn tensor(&self, name: &str) -> &Tensor {
        self.tensors.get(name).unwrap_or_else(|| panic!("no tensor {name}"))
    }

    /// An f32 tensor.
    pub(super) fn f32(&self, name: &str) -> &[f32] {
        self.tensor(name).f32()
    }

    /// An f64 tensor, or an f32 one widened.
    pub(super) fn f64(&self, name: &str) -> Vec<f64> {
        self.tensor(name).f64()
    }

    /// Integers.
    pub(super) fn i64(&self, name: &str) -> &[i64] {
        self.tensor(name).i64()
    }

    /// Integers that are not negative.
    pub(super) fn sizes(&self, name: &str) -> Vec<usize> {
        self.i64(name).iter().map(|&id| usize::try_from(id).unwrap()).collect()
    }

    /// What ours may be off by, where the card says what the original is off by.
    pub(super) fn allowed(&self, check: &str) -> f64 {
        OWN * self.card["checks"][check].as_f64().unwrap_or_else(|| panic!("no check {check}"))
    }

    /// The same where the original's two sets of values say it.
    pub(super) fn allowed_by(&self, f32_values: &str, f64_values: &str) -> f64 {
        let pairs = self.f64(f32_values).into_iter().zip(self.f64(f64_values));
        OWN * pairs.fold(0.0, |most: f64, (a, b)| most.max((a - b).abs()))
    }
}

/// Fills parameters from the tensors of the same names.
pub(super) fn fill(params: &mut Tensors, from: &Tensors) {
    for tensor in params.iter_mut() {
        let of = from.get(tensor.name()).unwrap_or_else(|| panic!("no tensor {}", tensor.name()));
        assert_eq!(of.shape(), tensor.shape(), "{}", tensor.name());
        tensor.data_mut().copy_from_slice(of.data());
    }
}

/// Holds values against expected ones, each within `allowed`. A NaN is beyond any bound.
pub(super) fn assert_near<F: Copy + Into<f64>>(what: &str, got: &[F], expected: &[f64], allowed: f64) {
    assert_eq!(got.len(), expected.len(), "values of {what}");
    for (k, (&got, &expected)) in got.iter().zip(expected).enumerate() {
        let got: f64 = got.into();
        let error = (got - expected).abs();
        assert!(error <= allowed, "{what}[{k}] is {got:e}, expected {expected:e}: {error:e} > {allowed:e}");
    }
}

/// What a loss or a gradient of scale 1 may be off by after chains of so many terms.
pub(super) fn rounding(terms: usize) -> f64 {
    8.0 * (terms as f64).log2().ceil() * f64::from(f32::EPSILON)
}

/// Holds sums of `width` elements of a gradient against recorded ones; `rounding` is for scale 1.
pub(super) fn check_sums(what: &str, grad: &[f32], width: usize, expected: &[f64], rounding: f64) {
    let sums: Vec<f64> = grad.chunks(width).map(|row| row.iter().map(|&g| f64::from(g)).sum()).collect();
    let scale = grad.chunks(width).map(|row| magnitudes(row).sum()).fold(0.0, f64::max);
    assert_near(what, &sums, expected, rounding * scale);
}

/// Holds the gradients of a network's parameters against what is recorded of them: the sums over the last axis (of a bias, the
/// elements), and the L1 norm, the L2 norm and the largest magnitude.
pub(super) fn check_gradients(fixture: &Fixture, prefix: &str, grads: &Tensors, rounding: f64) {
    for tensor in grads.iter() {
        let name = format!("{prefix}{}", tensor.name());
        let rows = fixture.f64(&format!("grad.rows.{name}.f64"));
        match tensor.shape() {
            [_, width] => check_sums(&name, tensor.data(), *width, &rows, rounding),
            _ => {
                // A bias sums the same |da| as weight_hh does times |h| <= 1, so that its scale is no less.
                let layer = tensor.name().rsplit('_').next().unwrap();
                let recurrent = grads.get(&format!("weight_hh_{layer}")).unwrap();
                let scale = magnitudes(recurrent.data()).chain(magnitudes(tensor.data())).fold(0.0, f64::max);
                assert_near(&name, tensor.data(), &rows, rounding * scale);
            }
        }
        let of_all = magnitudes(tensor.data());
        let l2 = of_all.clone().map(|g| g * g).sum::<f64>().sqrt();
        let norms = [of_all.clone().sum(), l2, of_all.fold(0.0, f64::max)];
        for (norm, expected) in norms.into_iter().zip(fixture.f64(&format!("grad.norm.{name}.f64"))) {
            assert_near(&format!("norm of {name}"), &[norm], &[expected], rounding * expected);
        }
    }
}

fn magnitudes(data: &[f32]) -> impl Iterator<Item = f64> + Clone {
    data.iter().map(|&g| f64::from(g.abs()))
}
