//! A case made by PyTorch, run by Gatewise: forward, backward and clipping, each value held against PyTorch's in f64.

use crate::golden::{Case, Tensor};
use crate::oracle;
use gatewise::{
    Any, Cell, Input, Kernels, Network, NonFinite, Norm, State, Tensors, Upstream, View, clip_grad_norm,
    clip_grad_value,
};
use std::collections::BTreeSet;

/// Allowed difference of an output: relative and absolute parts, as `torch.testing.assert_close` for f32. Gradients have twice that.
const RTOL: f64 = 1.3e-6;
/// See [`RTOL`].
const ATOL: f64 = 1e-5;
/// Where PyTorch's own f32 result is further from its f64 result than that, this many times its difference.
const OWN: f64 = 4.0;

/// What came of a case.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Outcome {
    /// One line for each array that is too far off.
    pub failures: Vec<String>,
    /// The largest difference, relative to the expected value, absolute below 1.
    pub max_rel: f64,
    /// Values compared.
    pub compared: usize,
    /// Arrays that were asked for, those among them that the case has.
    seen: BTreeSet<String>,
}

impl Outcome {
    /// What PyTorch has under that name, if the case has it.
    fn expected(&mut self, case: &Case, name: &str) -> Result<Option<Vec<f64>>, String> {
        self.seen.insert(name.to_string());
        floats(case, name)
    }

    /// Nothing that PyTorch computed in f64 may be left out: not a misspelt name, nor an array of a parameter that is not there. The
    /// loss follows from the outputs.
    fn leaves_nothing_out(&mut self, case: &Case) {
        for name in case.tensors.keys() {
            let is_f64 = name.split('.').take(2).any(|part| part == "f64") && !name.ends_with("f64.loss");
            if is_f64 && !self.seen.contains(name) {
                self.failures.push(format!("{name} is of no use here: nothing to compare it with"));
            }
        }
        if self.compared == 0 {
            self.failures.push("nothing to compare in its file".to_string());
        }
        if !self.failures.is_empty() {
            let unknown = case.unknown_options().into_iter();
            self.failures.extend(unknown.map(|key| format!("`{key}` in the index is not known")));
        }
    }

    /// Holds an array against PyTorch's; `own` is how far PyTorch's f32 result is off, `factor` 2 for gradients.
    fn compare(&mut self, what: &str, got: &[f32], expected: &[f64], own: f64, factor: f64) {
        if got.len() != expected.len() {
            self.failures.push(format!("{what}: {} values, expected {}", got.len(), expected.len()));
            return;
        }
        let mut worst: Option<(usize, f64)> = None;
        for (i, (&got, &expected)) in got.iter().zip(expected).enumerate() {
            let got = f64::from(got);
            self.compared += 1;
            if got == expected || (got.is_nan() && expected.is_nan()) {
                continue;
            }
            let error = (got - expected).abs();
            self.max_rel = self.max_rel.max(error / expected.abs().max(1.0));
            let allowed = (factor * (ATOL + RTOL * expected.abs())).max(OWN * own);
            // Not `error > allowed`, for a NaN is beyond any bound.
            if !matches!(error.partial_cmp(&allowed), Some(order) if order.is_le())
                && worst.is_none_or(|(_, worst)| error > worst)
            {
                worst = Some((i, error));
            }
        }
        if let Some((i, error)) = worst {
            let (got, expected) = (got[i], expected[i]);
            self.failures.push(format!("{what}[{i}] is {got:e}, PyTorch has {expected:e}: {error:.1e} off"));
        }
    }
}

/// Runs a case on the given kernels.
///
/// # Errors
/// One line if the case cannot be run at all.
pub fn run(case: &Case, kernels: Kernels) -> Result<Outcome, String> {
    let outcome = match case.cell() {
        Some(cell) => network(case, cell, kernels),
        None if case.kind == "clip" => clip_special(case),
        None => Err(format!("kind {:?} is not known", case.kind)),
    };
    let mut outcome = outcome.map_err(|error| format!("{}: {error}", case.name))?;
    outcome.leaves_nothing_out(case);
    Ok(outcome)
}

const NORMS: [(&str, Norm); 3] = [("l1", Norm::L1), ("l2", Norm::L2), ("inf", Norm::Inf)];

/// The elements of an f32 tensor, if the case has it.
fn f32s<'a>(case: &'a Case, name: &str) -> Result<Option<&'a [f32]>, String> {
    let tensor = case.tensors.get(name).map(Tensor::as_f32).transpose();
    tensor.map_err(|error| format!("{name} {error}"))
}

/// The elements of a tensor of floats, if the case has it.
fn floats(case: &Case, name: &str) -> Result<Option<Vec<f64>>, String> {
    let tensor = case.tensors.get(name).map(Tensor::as_f64).transpose();
    tensor.map_err(|error| format!("{name} {error}"))
}

/// A tensor of f32 as a view, if the case has it; axes of size 1 may be missing, as those of an unbatched input are.
fn view<'a>(case: &'a Case, name: &str, shape: [usize; 3]) -> Result<Option<View<'a>>, String> {
    let Some(data) = f32s(case, name)? else { return Ok(None) };
    let axes = |shape: &[usize]| shape.iter().copied().filter(|&size| size != 1).collect::<Vec<_>>();
    let got = &case.tensors[name].shape;
    if axes(got) != axes(&shape) {
        return Err(format!("{name} is {got:?}, expected {shape:?}"));
    }
    View::new(data, shape).map(Some).map_err(|error| format!("{name}: {error}"))
}

fn network(case: &Case, cell: oracle::Cell, kernels: Kernels) -> Result<Outcome, String> {
    let mut network = build(case, cell, kernels)?;
    let fail = |error: gatewise::Error| error.to_string();
    load(case, &mut network.params_mut())?;
    let [first, second] = if case.batch_first { [case.batch, case.steps] } else { [case.steps, case.batch] };
    let mut input = Input::from(view(case, "x", [first, second, case.input])?.ok_or("no x")?);
    input.lengths = case.lengths.as_deref();
    let mut state = network.zero_state(case.batch).map_err(fail)?;
    set_state(case, &mut state)?;
    let state = case.initial_state.then_some(&state);
    let (y, end) = network.forward(input, state).map_err(fail)?;
    let mut tape = network.forward_train(input, state).map_err(fail)?;

    let mut outcome = Outcome::default();
    if tape.output().data() != y.data() {
        outcome.failures.push("out of training and of inference differ".to_string());
    }
    let own = |key: &str| case.max_abs_f32_f64.get(key).copied().unwrap_or(0.0);
    for (key, got) in [("out", y.data()), ("h_n", end.h()), ("c_n", end.c())] {
        if let Some(expected) = outcome.expected(case, &format!("f64.{key}"))? {
            outcome.compare(key, got, &expected, own(key), 1.0);
        }
    }

    let width = network.config().output_size();
    let output = view(case, "R_out", [first, second, width])?;
    let (h_n, c_n) = (f32s(case, "R_h")?, f32s(case, "R_c")?);
    let mut grads = network.params().zeros_like();
    network
        .backward(&mut tape, Upstream { output, h_n, c_n, ..Upstream::default() }, &mut grads)
        .map_err(fail)?;
    let grad_input = tape.grad_input().ok_or("no grad_input")?;
    for (key, got, own_key) in [
        ("grad.x", grad_input.data(), "grad.x"),
        ("grad.h0", tape.grad_h_0(), "grad.w"),
        ("grad.c0", tape.grad_c_0(), "grad.w"),
    ] {
        if let Some(expected) = outcome.expected(case, &format!("f64.{key}"))? {
            outcome.compare(key, got, &expected, own(own_key), 2.0);
        }
    }
    compare_all(case, "f64.grad.w", &grads, &mut outcome)?;
    clipping(case, &grads, &mut outcome)?;
    Ok(outcome)
}

fn build(case: &Case, cell: oracle::Cell, kernels: Kernels) -> Result<Network<Any>, String> {
    let cell = match cell {
        oracle::Cell::RnnTanh => Cell::RnnTanh,
        oracle::Cell::RnnRelu => Cell::RnnRelu,
        oracle::Cell::Lstm => Cell::Lstm,
        oracle::Cell::Gru => Cell::Gru,
    };
    Network::with_cell(cell, case.input, case.hidden)
        .num_layers(case.layers)
        .bias(case.bias)
        .batch_first(case.batch_first)
        .bidirectional(case.bidirectional)
        .proj_size(case.proj.unwrap_or(0))
        .kernels(kernels)
        .build()
        .map_err(|error| error.to_string())
}

/// Copies the case's weights into the parameters, by name.
fn load(case: &Case, params: &mut Tensors) -> Result<(), String> {
    for tensor in params.iter_mut() {
        let name = format!("w.{}", case.parameter(tensor.name()));
        let from = f32s(case, &name)?.ok_or(format!("no {name}"))?;
        let shape = &case.tensors[&name].shape;
        if shape != tensor.shape() {
            return Err(format!("{name} is {shape:?}, expected {:?}", tensor.shape()));
        }
        tensor.data_mut().copy_from_slice(from);
    }
    Ok(())
}

/// Sets the initial state, of which a network has h or h and c.
fn set_state(case: &Case, state: &mut State) -> Result<(), String> {
    for (name, to) in [("h0", 0), ("c0", 1)] {
        let to = if to == 0 { state.h_mut() } else { state.c_mut() };
        match f32s(case, name)? {
            Some(from) if from.len() != to.len() => {
                return Err(format!("{name} has {} values, expected {}", from.len(), to.len()));
            }
            Some(from) => to.copy_from_slice(from),
            None if case.initial_state && !to.is_empty() => {
                return Err(format!("an initial state, but no {name}"));
            }
            None => {}
        }
    }
    Ok(())
}

/// Holds every array that the file has under a prefix against the one of ours.
fn compare_all(case: &Case, prefix: &str, got: &Tensors, outcome: &mut Outcome) -> Result<(), String> {
    let own = case.max_abs_f32_f64.get("grad.w").copied().unwrap_or(0.0);
    for tensor in got.iter() {
        let name = format!("{prefix}.{}", case.parameter(tensor.name()));
        if let Some(expected) = outcome.expected(case, &name)? {
            outcome.compare(&name, tensor.data(), &expected, own, 2.0);
        }
    }
    Ok(())
}

/// Clips the gradients in each way that the file has.
fn clipping(case: &Case, grads: &Tensors, outcome: &mut Outcome) -> Result<(), String> {
    let fail = |error: gatewise::Error| error.to_string();
    if let Some(max_norms) = floats(case, "clip.max_norm")? {
        let mut norms = Vec::new();
        for ((key, norm), max_norm) in NORMS.into_iter().zip(max_norms) {
            let mut clipped = grads.clone();
            let total = clip_grad_norm(&mut [&mut clipped], max_norm, norm, NonFinite::AsPyTorch);
            norms.push(total.map_err(fail)? as f32);
            compare_all(case, &format!("f64.clip.{key}"), &clipped, outcome)?;
        }
        if let Some(expected) = outcome.expected(case, "f64.clip.total_norm")? {
            // A norm grows with the number of gradients, and its error with it.
            let theirs = floats(case, "f32.clip.total_norm")?.unwrap_or_default();
            let apart = expected.iter().zip(theirs).map(|(a, b)| (a - b).abs());
            outcome.compare("clip.total_norm", &norms, &expected, apart.fold(0.0, f64::max), 2.0);
        }
    }
    if let Some(limit) = floats(case, "clip.value")? {
        let [limit] = limit[..] else {
            return Err(format!("clip.value has {} values, expected 1", limit.len()));
        };
        let mut clipped = grads.clone();
        clip_grad_value(&mut [&mut clipped], limit as f32).map_err(fail)?;
        compare_all(case, "f64.clip.value", &clipped, outcome)?;
    }
    Ok(())
}

/// Zero, huge, tiny, infinite and NaN gradients.
fn clip_special(case: &Case) -> Result<Outcome, String> {
    let mut outcome = Outcome::default();
    let number = |key: &str| case.entry[key].as_f64().ok_or(format!("no number `{key}` in the index"));
    let (max_norm, limit) = (number("max_norm")?, number("clip_value")?);
    let fail = |error: gatewise::Error| error.to_string();
    let names: BTreeSet<&str> = case.tensors.keys().filter_map(|key| key.split('.').next()).collect();
    for name in names {
        let mut grads = Tensors::default();
        for n in 0.. {
            let of = format!("{name}.grad{n}");
            let Some(values) = f32s(case, &of)? else { break };
            grads.add(&format!("grad{n}"), &case.tensors[&of].shape, values.to_vec()).map_err(fail)?;
        }
        for (key, norm) in NORMS {
            let mut clipped = grads.clone();
            let total =
                clip_grad_norm(&mut [&mut clipped], max_norm, norm, NonFinite::AsPyTorch).map_err(fail)?;
            compare_special(case, &format!("{name}.f64.{key}"), &clipped, &mut outcome)?;
            let what = format!("{name}.f64.{key}.total_norm");
            if let Some(expected) = outcome.expected(case, &what)? {
                let [expected] = expected[..] else {
                    return Err(format!("{what} has {} values, expected 1", expected.len()));
                };
                // In units of the expected norm: it may be far from 1.
                let unit = if expected.is_normal() { expected } else { 1.0 };
                outcome.compare(&what, &[(total / unit) as f32], &[expected / unit], 0.0, 2.0);
            }
            let mut kept = grads.clone();
            let refused = clip_grad_norm(&mut [&mut kept], max_norm, norm, NonFinite::Error).is_err();
            if refused == total.is_finite() {
                outcome.failures.push(format!("{name} {key}: refused {refused}, norm {total}"));
            }
        }
        let mut clipped = grads;
        clip_grad_value(&mut [&mut clipped], limit as f32).map_err(fail)?;
        compare_special(case, &format!("{name}.f64.value"), &clipped, &mut outcome)?;
    }
    Ok(outcome)
}

/// Holds clipped gradients against those under that prefix.
fn compare_special(
    case: &Case,
    prefix: &str,
    clipped: &Tensors,
    outcome: &mut Outcome,
) -> Result<(), String> {
    for (n, tensor) in clipped.iter().enumerate() {
        let what = format!("{prefix}.clipped{n}");
        if let Some(expected) = outcome.expected(case, &what)? {
            outcome.compare(&what, tensor.data(), &expected, 0.0, 2.0);
        }
    }
    Ok(())
}
