//! How far an f32 result may be from the oracle's: formulas of eps, of the lengths of the sums and of what is summed.
//!
//! ```text
//! K      = steps * (sum over layers of layer_input + hidden)
//! output error   <= 4 ceil(log2 K) eps max(1, |value|)
//! gradient error <= 8 ceil(log2 K) eps scale
//! ```
//! `scale` is what the terms of the gradient's sum come to if none cancels another: for a parameter of a layer the sum over steps
//! and rows of the largest |da|, times the largest |input| of the layer if that is above 1; for dx the largest |da| of the first
//! layer, for dh_0 and dc_0 the largest of the row's first step; never less than the array's own largest element. Where a layer has
//! only one or two features, their terms may cancel all at once and leave their errors: the scale is at least a quarter of the
//! largest gradient from above then. Where two directions are multiplied, the gradient of one is what enters the layer from above
//! times the output of the other, whose error is that of a 1 however small it is: what enters counts as |da| then.
//!
//! A value at the limit below which h, c, dL/dh and dL/dc are stored as zeros may fall to either side of it in f32, and counts in
//! full in an array whose other numbers are as small. So the oracle runs with half and with twice the limit too, and to what an array
//! is allowed comes the most by which it differs in one of its elements: nothing, but where values between the two are all there is.

use crate::oracle::{Cell, FLUSH_BELOW, Merge, StackGrads, StackRun, StackTrace};
use crate::problem::{Arrays, Problem};

/// The oracle's arrays, and how far off each may be.
#[derive(Debug, Clone)]
pub struct Expected {
    /// Names and order as [`Problem::train`] has them.
    pub arrays: Arrays<f64>,
    /// For each array: the allowed error of its elements, relative to `scale` (gradients), or to max(1, |value|) (outputs).
    scales: Vec<Option<f64>>,
    forward: f64,
    /// For each array: what a value at the limit of the flush rule may change.
    flushing: Vec<f64>,
    /// Whether a relu stands so near its kink that f32 and f64 may take different sides.
    pub is_near_kink: bool,
}

/// The largest magnitude; 0 of nothing.
pub fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |most, value| value.abs().max(most))
}

impl Problem {
    /// Runs the oracle.
    pub fn expected(&self) -> Expected {
        let kept = self.solved(FLUSH_BELOW / 2.0);
        let is_open = |x: &f64| *x != 0.0 && x.abs() < 2.0 * FLUSH_BELOW;
        let values = kept.0.layers.iter().flat_map(|trace| [&trace.out, &trace.c]);
        let values = values.chain(kept.1.layers.iter().flat_map(|grads| [&grads.h, &grads.c]));
        if !values.flatten().any(is_open) {
            return self.bounded(kept);
        }
        let mut expected = self.bounded(self.solved(FLUSH_BELOW));
        let kept = self.bounded(kept).arrays.list;
        let flushed = self.bounded(self.solved(2.0 * FLUSH_BELOW)).arrays.list;
        let apart = |(i, (_, kept)): (usize, &(String, Vec<f64>))| {
            let pairs = kept.iter().zip(&flushed[i].1);
            pairs.fold(0.0, |most: f64, (kept, flushed)| most.max((kept - flushed).abs()))
        };
        expected.flushing = kept.iter().enumerate().map(apart).collect();
        expected
    }

    fn solved(&self, flush_below: f64) -> (StackTrace, StackGrads) {
        let run = StackRun { flush_below: Some(flush_below), ..self.stack_run() };
        let trace = self.stack.forward(&run);
        let grads = self.stack.backward(&run, &trace, &self.upstream());
        (trace, grads)
    }

    /// The arrays of a run of the oracle, and their bounds.
    fn bounded(&self, (trace, grads): (StackTrace, StackGrads)) -> Expected {
        let setup = &self.setup;
        let projected = |layer| setup.hidden_of(layer) + setup.proj;
        let depth: usize = (0..setup.layers).map(|layer| setup.layer_input(layer) + projected(layer)).sum();
        let forward = 4.0 * ((depth * setup.steps) as f64).log2().ceil().max(1.0) * f64::from(f32::EPSILON);

        let mut list = vec![
            ("out".to_string(), trace.out.clone(), None),
            ("h_n".to_string(), trace.h_n.clone(), None),
            ("c_n".to_string(), trace.c_n.clone(), None),
        ];
        let entering = self.entering(&grads, &self.upstream().out);
        let of_inputs =
            (0..setup.directions()).fold(0.0, |most: f64, d| most.max(largest(&grads.layers[d].xa)));
        let of_inputs = of_inputs.max(entering[0]);
        let of_states = first_steps(&trace, &grads).max(largest(&entering));
        list.push(("grad x".to_string(), grads.x.clone(), Some(of_inputs)));
        list.push(("grad h_0".to_string(), grads.h0.clone(), Some(of_states)));
        list.push(("grad c_0".to_string(), grads.c0.clone(), Some(of_states)));
        // A sum over resets: as those of the parameters.
        let sums = (setup.steps * setup.batch) as f64;
        let of_resets = sum_of_all(&grads).max(sums * largest(&entering));
        let [reset_h, reset_c] = self.of_reset_rows([&grads.reset_h, &grads.reset_c]);
        list.push(("grad reset_h".to_string(), reset_h, Some(of_resets)));
        list.push(("grad reset_c".to_string(), reset_c, Some(of_resets)));
        let count = self.stack.weights[0].tensors().len();
        for (i, (name, values)) in grads.tensors(&self.stack.shape).into_iter().enumerate() {
            let (layer, run) = (&grads.layers[i / count], &trace.runs[i / count]);
            let shape = self.stack.shape.layer(i / count / setup.directions());
            let forward = &trace.layers[i / count];
            // W_hr stands between u and h, all others before the gates.
            let is_hr = name.starts_with("weight_hr");
            let (terms, width) =
                if is_hr { (&layer.h, shape.state()) } else { (&layer.xa, shape.gate_rows()) };
            let reach = largest(&run.x).max(largest(&forward.h_in)).max(largest(&forward.u)).max(1.0);
            let from_above = sums * entering[i / count / setup.directions()];
            let scale = terms.chunks_exact(width).map(largest).sum::<f64>().max(from_above) * reach;
            list.push((format!("grad {name}"), values.to_vec(), Some(scale)));
        }
        let near = |part: (&f64, &f64)| part.0 + part.1 != 0.0 && (part.0 + part.1).abs() < forward;
        let is_relu = self.stack.shape.cell == Cell::RnnRelu;
        let is_near_kink =
            is_relu && trace.layers.iter().any(|layer| layer.xa.iter().zip(&layer.ha).any(near));
        let least = self.least_scale();
        let scale = |values: &[f64], scale: f64| scale.max(largest(values)).max(least);
        let scales = list.iter().map(|(_, values, of)| of.map(|of| scale(values, of))).collect();
        let list: Vec<_> = list.into_iter().map(|(name, values, _)| (name, values)).collect();
        let flushing = vec![0.0; list.len()];
        Expected { arrays: Arrays { list }, scales, forward, flushing, is_near_kink }
    }

    /// What no gradient of layers of one or two features is scaled by less than, else 0.
    fn least_scale(&self) -> f64 {
        let features = (0..self.setup.layers).map(|layer| self.setup.state_of(layer)).min();
        if features.is_none_or(|features| features > 2) {
            return 0.0;
        }
        let given = self.upstream();
        let given = [given.out, given.h_n, given.c_n].into_iter().flatten();
        given.fold(0.0, |most: f64, values| most.max(largest(&values))) / 4.0
    }

    /// For each layer the largest gradient that can enter it from above where it multiplies its two directions, else 0: weights are
    /// within 1, so the sum over the units above bounds it.
    fn entering(&self, grads: &StackGrads, dy: &Option<Vec<f64>>) -> Vec<f64> {
        let setup = &self.setup;
        if setup.merge() != Merge::Product {
            return vec![0.0; setup.layers];
        }
        let of_layer = |layer: usize| match layer + 1 {
            above if above == setup.layers => dy.as_deref().map_or(0.0, largest),
            above => {
                let directions = (0..setup.directions())
                    .map(|d| largest(&grads.layers[above * setup.directions() + d].xa));
                self.stack.shape.layer(above).gate_rows() as f64 * directions.sum::<f64>()
            }
        };
        (0..setup.layers).map(of_layer).collect()
    }
}

/// The sum over all values of |da| or |dc| of the layer and direction where it is largest.
fn sum_of_all(grads: &StackGrads) -> f64 {
    let sum = |values: &[f64]| values.iter().map(|value| value.abs()).sum::<f64>();
    grads.layers.iter().map(|layer| sum(&layer.ha).max(sum(&layer.c))).fold(0.0, f64::max)
}

/// The largest |da| (and |dc|) that a row's first step has.
fn first_steps(trace: &StackTrace, grads: &StackGrads) -> f64 {
    let mut most = 0.0_f64;
    for (run, layer) in trace.runs.iter().zip(&grads.layers) {
        for b in 0..run.batch {
            if let Some(t) = run.order(b).first() {
                let of_row = |values: &[f64]| {
                    let width = values.len() / (run.steps * run.batch);
                    largest(&values[(t * run.batch + b) * width..][..width])
                };
                most = most.max(of_row(&layer.ha)).max(of_row(&layer.c));
            }
        }
    }
    most
}

impl Expected {
    /// The first element of each array that is too far off, in words; with as many arrays as were computed.
    pub fn compare(&self, got: &Arrays<f32>) -> Result<(), String> {
        for (i, (name, got)) in got.list.iter().enumerate() {
            let (of, expected) = &self.arrays.list[i];
            if name != of || got.len() != expected.len() {
                return Err(format!("{name} of {} values, expected {of} of {}", got.len(), expected.len()));
            }
            for (k, (&got, &expected)) in got.iter().zip(expected).enumerate() {
                let allowed = match self.scales[i] {
                    None => self.forward * expected.abs().max(1.0),
                    // Below the smallest normal float the spacing no longer shrinks with the value.
                    Some(scale) => 2.0 * self.forward * scale.max(f64::from(f32::MIN_POSITIVE)),
                };
                let allowed = allowed + self.flushing[i];
                let error = (f64::from(got) - expected).abs();
                // Not `error > allowed`: a NaN is beyond any bound.
                if !matches!(error.partial_cmp(&allowed), Some(order) if order.is_le()) {
                    return Err(format!(
                        "{name}[{k}] is {got:e}, expected {expected:e}: {error:e} > {allowed:e}"
                    ));
                }
            }
        }
        Ok(())
    }
}

/// The first bit that differs between two runs, in words. Any NaN equals any NaN.
pub fn same_bits(one: &Arrays<f32>, other: &Arrays<f32>) -> Result<(), String> {
    for ((name, a), (other_name, b)) in one.list.iter().zip(&other.list) {
        if name != other_name {
            return Err(format!("{name} against {other_name}"));
        }
        same_slices(name, a, b)?;
    }
    Ok(())
}

/// The same for two slices.
pub fn same_slices(name: &str, a: &[f32], b: &[f32]) -> Result<(), String> {
    if a.len() != b.len() {
        return Err(format!("{name}: {} and {} values", a.len(), b.len()));
    }
    for (k, (a, b)) in a.iter().zip(b).enumerate() {
        if a.to_bits() != b.to_bits() && !(a.is_nan() && b.is_nan()) {
            return Err(format!("{name}[{k}]: {a:e} ({:08x}) and {b:e} ({:08x})", a.to_bits(), b.to_bits()));
        }
    }
    Ok(())
}
