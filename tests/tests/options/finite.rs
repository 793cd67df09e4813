//! The oracle's gradients of cells with options against central differences.

#[path = "../oracle/finite.rs"]
mod differences;

use super::case::{ACTIVATIONS, Case, distance_to_jump, named};
use differences::{Problem, check};
use tests::oracle::{Stack, StackRun, Upstream};
use tests::rng::Rng;

struct StackProblem {
    stack: Stack,
    run: StackRun,
}

impl Problem for StackProblem {
    fn outputs(&self) -> Vec<f64> {
        let trace = self.stack.forward(&self.run);
        [trace.out, trace.h_n, trace.c_n].concat()
    }

    fn variables(&mut self) -> Vec<(String, &mut [f64])> {
        let run = &mut self.run;
        let (reset_h, reset_c) = (run.reset_h.as_mut(), run.reset_c.as_mut());
        let states = [
            ("x", Some(&mut run.x)),
            ("h0", run.h0.as_mut()),
            ("c0", run.c0.as_mut()),
            ("reset_h", reset_h),
            ("reset_c", reset_c),
        ];
        let states =
            states.into_iter().filter_map(|(name, state)| Some((name.to_string(), state?.as_mut_slice())));
        self.stack.tensors_mut().into_iter().chain(states).collect()
    }

    fn gradients(&self, r: &[f64]) -> Vec<(String, Vec<f64>)> {
        let trace = self.stack.forward(&self.run);
        let (r_out, rest) = r.split_at(trace.out.len());
        let (r_h, r_c) = rest.split_at(trace.h_n.len());
        let upstream =
            Upstream { out: Some(r_out.to_vec()), h_n: Some(r_h.to_vec()), c_n: Some(r_c.to_vec()) };
        let grads = self.stack.backward(&self.run, &trace, &upstream);
        let mut all: Vec<(String, Vec<f64>)> =
            grads.tensors(&self.stack.shape).into_iter().map(|(name, grad)| (name, grad.to_vec())).collect();
        all.push(("x".to_string(), grads.x.clone()));
        if self.run.h0.is_some() {
            all.push(("h0".to_string(), grads.h0.clone()));
            all.push(("c0".to_string(), grads.c0.clone()));
        }
        if self.run.reset_h.is_some() {
            all.push(("reset_h".to_string(), grads.reset_h.clone()));
            all.push(("reset_c".to_string(), grads.reset_c.clone()));
        }
        all
    }
}

#[test]
fn slopes_are_derivatives() {
    for activation in ACTIVATIONS.map(named) {
        for x in (-40..=40).map(|i| 0.1 * f64::from(i) + 0.013) {
            let numeric = (activation.value(x + 1e-6) - activation.value(x - 1e-6)) / 2e-6;
            let slope = activation.slope(x);
            assert!((slope - numeric).abs() < 1e-8, "{activation:?} at {x}: {slope}, {numeric}");
        }
    }
}

#[test]
fn gradients_are_central_differences() {
    let mut rng = Rng::new(4242);
    let (mut checked, mut elements) = (0, 0);
    while checked < 150 {
        let mut case = Case::draw(&mut rng);
        (case.hidden, case.proj) = (3, case.proj.map(|_| 2));
        (case.batch, case.input) = (2, case.input % 3);
        case.lengths = case.lengths.map(|_| vec![case.steps, case.steps / 2]);
        case.resets = case.resets.map(|_| (0..case.steps * 2).map(|_| rng.chance(0.3)).collect());
        let stack = case.stack(&mut rng);
        let run = case.run(&stack.shape, &mut rng);
        let trace = stack.forward(&run);
        let mut layers = trace.runs.iter().zip(&trace.layers);
        if layers.any(|(run, layer)| distance_to_jump(stack.shape.cell, run, layer) < 1e-3) {
            continue;
        }
        elements += check(&mut StackProblem { stack, run }, &mut rng, &format!("{case:?}"));
        checked += 1;
    }
    assert!(elements > 10_000, "only {elements} elements were compared");
}
