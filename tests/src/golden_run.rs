//! A case made by PyTorch, run by Gatewise: forward, backward and clipping, each value held against PyTorch's in f64.

use crate::golden::{Case, Tensor};
use crate::oracle;
use gatewise::{
    Any, Cell, Input, Kernels, Network, NonFinite, Norm, State, Tensors, Upstream, View, clip_grad_norm,
    clip_grad_value,
};

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
}

impl Outcome {
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
    outcome.map_err(|error| format!("{}: {error}", case.name))
}

const NORMS: [(&str, Norm); 3] = [("l1", Norm::L1), ("l2", Norm::L2), ("inf", Norm::Inf)];

fn network(case: &Case, cell: oracle::Cell, kernels: Kernels) -> Result<Outcome, String> {
    let mut network = build(case, cell, kernels)?;
    let fail = |error: gatewise::Error| error.to_string();
    load(case, &mut network.params_mut())?;
    let f32s = |name: &str| case.tensors.get(name).map(|tensor| tensor.f32().to_vec());
    let mut state = network.zero_state(case.batch).map_err(fail)?;
    set_state(&mut state, f32s("h0"), f32s("c0"))?;

    let [first, second] = if case.batch_first { [case.batch, case.steps] } else { [case.steps, case.batch] };
    let x = f32s("x").ok_or("no x")?;
    let mut input = Input::from(View::new(&x, [first, second, case.input]).map_err(fail)?);
    input.lengths = case.lengths.as_deref();
    let state = case.initial_state.then_some(&state);
    let (y, end) = network.forward(input, state).map_err(fail)?;
    let mut tape = network.forward_train(input, state).map_err(fail)?;

    let mut outcome = Outcome::default();
    if tape.output().data() != y.data() {
        outcome.failures.push("out of training and of inference differ".to_string());
    }
    let own = |key: &str| case.max_abs_f32_f64.get(key).copied().unwrap_or(0.0);
    for (key, got) in [("out", y.data()), ("h_n", end.h()), ("c_n", end.c())] {
        if let Some(expected) = case.tensors.get(&format!("f64.{key}")) {
            outcome.compare(key, got, &expected.f64(), own(key), 1.0);
        }
    }

    let width = network.config().output_size();
    let (dy, h_n, c_n) = (f32s("R_out"), f32s("R_h"), f32s("R_c"));
    let dy = dy.as_ref().map(|dy| View::new(dy, [first, second, width])).transpose().map_err(fail)?;
    let upstream = Upstream { output: dy, h_n: h_n.as_deref(), c_n: c_n.as_deref(), ..Upstream::default() };
    let mut grads = network.params().zeros_like();
    network.backward(&mut tape, upstream, &mut grads).map_err(fail)?;
    let grad_input = tape.grad_input().ok_or("no grad_input")?;
    for (key, got, own_key) in [
        ("grad.x", grad_input.data(), "grad.x"),
        ("grad.h0", tape.grad_h_0(), "grad.w"),
        ("grad.c0", tape.grad_c_0(), "grad.w"),
    ] {
        if let Some(expected) = case.tensors.get(&format!("f64.{key}")) {
            outcome.compare(key, got, &expected.f64(), own(own_key), 2.0);
        }
    }
    compare_all(case, "f64.grad.w", &grads, &mut outcome);
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
        let from = case.tensors.get(&name).ok_or(format!("no {name}"))?;
        if from.shape != tensor.shape() {
            return Err(format!("{name} is {:?}, expected {:?}", from.shape, tensor.shape()));
        }
        tensor.data_mut().copy_from_slice(from.f32());
    }
    Ok(())
}

fn set_state(state: &mut State, h: Option<Vec<f32>>, c: Option<Vec<f32>>) -> Result<(), String> {
    set("h0", h, state.h_mut())?;
    set("c0", c, state.c_mut())
}

fn set(name: &str, from: Option<Vec<f32>>, to: &mut [f32]) -> Result<(), String> {
    match from {
        Some(from) if from.len() != to.len() => {
            Err(format!("{name} has {} values, expected {}", from.len(), to.len()))
        }
        Some(from) => {
            to.copy_from_slice(&from);
            Ok(())
        }
        None => Ok(()),
    }
}

/// Holds every array that the file has under a prefix against the one of ours.
fn compare_all(case: &Case, prefix: &str, got: &Tensors, outcome: &mut Outcome) {
    let own = case.max_abs_f32_f64.get("grad.w").copied().unwrap_or(0.0);
    for tensor in got.iter() {
        let name = format!("{prefix}.{}", case.parameter(tensor.name()));
        if let Some(expected) = case.tensors.get(&name) {
            outcome.compare(&name, tensor.data(), &expected.f64(), own, 2.0);
        }
    }
}

/// Clips the gradients in each way that the file has.
fn clipping(case: &Case, grads: &Tensors, outcome: &mut Outcome) -> Result<(), String> {
    let Some(max_norms) = case.tensors.get("clip.max_norm").map(Tensor::f64) else { return Ok(()) };
    let mut norms = Vec::new();
    for ((key, norm), max_norm) in NORMS.into_iter().zip(max_norms) {
        let mut clipped = grads.clone();
        let total = clip_grad_norm(&mut [&mut clipped], max_norm, norm, NonFinite::AsPyTorch);
        norms.push(total.map_err(|error| error.to_string())? as f32);
        compare_all(case, &format!("f64.clip.{key}"), &clipped, outcome);
    }
    let expected = case.f64("f64.clip.total_norm");
    // A norm grows with the number of gradients, and its error with it.
    let own = expected
        .iter()
        .zip(case.f64("f32.clip.total_norm"))
        .fold(0.0_f64, |most, (a, b)| most.max((a - b).abs()));
    outcome.compare("clip.total_norm", &norms, &expected, own, 2.0);
    let mut clipped = grads.clone();
    clip_grad_value(&mut [&mut clipped], case.f64("clip.value")[0] as f32)
        .map_err(|error| error.to_string())?;
    compare_all(case, "f64.clip.value", &clipped, outcome);
    Ok(())
}

/// Zero, huge, tiny, infinite and NaN gradients.
fn clip_special(case: &Case) -> Result<Outcome, String> {
    let mut outcome = Outcome::default();
    let number = |key: &str| case.entry[key].as_f64().ok_or(format!("no {key}"));
    let (max_norm, limit) = (number("max_norm")?, number("clip_value")?);
    let mut names: Vec<&str> = case.tensors.keys().filter_map(|key| key.split('.').next()).collect();
    names.dedup();
    for name in names {
        let mut grads = Tensors::default();
        for n in 0.. {
            let Some(grad) = case.tensors.get(&format!("{name}.grad{n}")) else { break };
            let values: Vec<f32> = grad.f64().into_iter().map(|x| x as f32).collect();
            grads.add(&format!("grad{n}"), &grad.shape, values).map_err(|error| error.to_string())?;
        }
        let check = |outcome: &mut Outcome, key: &str, clipped: &Tensors, total: Option<f64>| {
            for (n, tensor) in clipped.iter().enumerate() {
                let what = format!("{name}.f64.{key}.clipped{n}");
                outcome.compare(&what, tensor.data(), &case.f64(&what), 0.0, 2.0);
            }
            if let Some(total) = total {
                let what = format!("{name}.f64.{key}.total_norm");
                let expected = case.f64(&what);
                // In units of the expected norm: it may be far from 1.
                let unit = if expected[0].is_normal() { expected[0] } else { 1.0 };
                let (got, expected) = ([(total / unit) as f32], [expected[0] / unit]);
                outcome.compare(&what, &got, &expected, 0.0, 2.0);
            }
        };
        for (key, norm) in NORMS {
            let mut clipped = grads.clone();
            let total = clip_grad_norm(&mut [&mut clipped], max_norm, norm, NonFinite::AsPyTorch);
            let total = total.map_err(|error| error.to_string())?;
            check(&mut outcome, key, &clipped, Some(total));
            let mut kept = grads.clone();
            let refused = clip_grad_norm(&mut [&mut kept], max_norm, norm, NonFinite::Error).is_err();
            if refused == total.is_finite() {
                outcome.failures.push(format!("{name} {key}: refused {refused}, norm {total}"));
            }
        }
        let mut clipped = grads.clone();
        clip_grad_value(&mut [&mut clipped], limit as f32).map_err(|error| error.to_string())?;
        check(&mut outcome, "value", &clipped, None);
    }
    Ok(outcome)
}
