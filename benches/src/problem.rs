//! The numbers of a case: weights, input and upstream gradient, the same for every system that is measured.

use crate::case::{Case, Pass};
use gatewise::{Philox, Tensors};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::path::Path;

/// Weights uniform in +-1/sqrt(H) under PyTorch's names; input [T, B, I] and upstream gradient [T, B, D * P], D directions,
/// uniform in +-1; P is H without a projection.
#[derive(Clone, Debug)]
pub struct Problem {
    /// Names, shapes and values of the weights.
    pub weights: Vec<(String, Vec<usize>, Vec<f32>)>,
    /// [T, B, I]
    pub x: Vec<f32>,
    /// dL/dy, [T, B, D * P]; empty if the case does not train.
    pub dy: Vec<f32>,
    /// Valid steps of each row, if they differ.
    pub lengths: Option<Vec<usize>>,
}

impl Problem {
    /// The numbers of a case, from fixed seeds.
    pub fn new(case: &Case) -> Problem {
        let rows = case.cell.cell().gates() * case.hidden;
        let bound = 1.0 / (case.hidden as f32).sqrt();
        let mut weights = Vec::new();
        for layer in 0..case.layers {
            for direction in ["", "_reverse"].into_iter().take(case.directions()) {
                let projection = case.proj.map(|proj| ("weight_hr", vec![proj, case.hidden]));
                let plain = [
                    ("weight_ih", vec![rows, case.layer_input(layer)]),
                    ("weight_hh", vec![rows, case.state()]),
                    ("bias_ih", vec![rows]),
                    ("bias_hh", vec![rows]),
                ];
                for (name, shape) in plain.into_iter().chain(projection) {
                    let stream = weights.len() as u64;
                    let values = uniform(stream, shape.iter().product(), bound);
                    weights.push((format!("{name}_l{layer}{direction}"), shape, values));
                }
            }
        }
        let rows = case.steps() * case.batch;
        let dy = if case.pass == Pass::Train { rows * case.output() } else { 0 };
        let (x, dy) = (uniform(1000, rows * case.input, 1.0), uniform(1001, dy, 1.0));
        Problem { weights, x, dy, lengths: case.row_lengths() }
    }

    /// Copies the weights into a network's parameters.
    ///
    /// # Panics
    /// If they are not those of such a network.
    pub fn set(&self, params: &mut Tensors) {
        for (name, _, values) in &self.weights {
            params.get_mut(name).expect("PyTorch's names").data_mut().copy_from_slice(values);
        }
    }

    /// Writes everything as a safetensors file: the weights, `x`, for training `dy`, and `lengths`, `[B]`, where the rows differ.
    ///
    /// # Errors
    /// One line that names the file.
    pub fn save(&self, case: &Case, path: &Path) -> Result<(), String> {
        let mut all: Vec<(&str, Vec<usize>, &[f32])> = self
            .weights
            .iter()
            .map(|(name, shape, values)| (&name[..], shape.clone(), &values[..]))
            .collect();
        all.push(("x", vec![case.steps(), case.batch, case.input], &self.x));
        if !self.dy.is_empty() {
            all.push(("dy", vec![case.steps(), case.batch, case.output()], &self.dy));
        }
        let lengths: Vec<f32> = self.lengths.iter().flatten().map(|&steps| steps as f32).collect();
        if !lengths.is_empty() {
            all.push(("lengths", vec![lengths.len()], &lengths));
        }
        save_tensors(path, &all)
    }
}

/// Values uniform in +-bound, the same ones for the same stream.
pub(crate) fn uniform(stream: u64, len: usize, bound: f32) -> Vec<f32> {
    let mut random = Philox::new(2026, stream);
    (0..len).map(|_| bound * (2.0 * random.uniform() - 1.0)).collect()
}

/// Writes arrays as a safetensors file.
///
/// # Errors
/// One line that names the file.
pub fn save_tensors(path: &Path, arrays: &[(&str, Vec<usize>, &[f32])]) -> Result<(), String> {
    let bytes: Vec<Vec<u8>> =
        arrays.iter().map(|(_, _, values)| values.iter().flat_map(|x| x.to_le_bytes()).collect()).collect();
    let views: Result<Vec<_>, _> = arrays
        .iter()
        .zip(&bytes)
        .map(|((name, shape, _), bytes)| Ok((*name, TensorView::new(Dtype::F32, shape.clone(), bytes)?)))
        .collect();
    let file = views.and_then(|views| safetensors::serialize(views, None));
    let file = file.map_err(|error: safetensors::SafeTensorError| format!("{}: {error}", path.display()))?;
    std::fs::write(path, file).map_err(|error| format!("{}: {error}", path.display()))
}

/// Reads all f32 arrays of a safetensors file, by name.
///
/// # Errors
/// One line that names the file.
pub fn load_tensors(path: &Path) -> Result<Vec<(String, Vec<f32>)>, String> {
    let fail = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let bytes = std::fs::read(path).map_err(|error| fail(&error))?;
    let tensors = SafeTensors::deserialize(&bytes).map_err(|error| fail(&error))?;
    let mut all: Vec<_> = tensors
        .tensors()
        .into_iter()
        .filter(|(_, view)| view.dtype() == Dtype::F32)
        .map(|(name, view)| {
            let values = view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
            (name, values.collect())
        })
        .collect();
    all.sort_by(|a: &(String, Vec<f32>), b| a.0.cmp(&b.0));
    Ok(all)
}
