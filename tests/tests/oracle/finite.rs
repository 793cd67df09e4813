//! Central finite differences.

use tests::rng::Rng;

/// Half the distance of the two points.
const EPS: f64 = 1e-6;
/// Allowed difference relative to the numeric derivative, and absolute.
const RTOL: f64 = 1e-6;
const ATOL: f64 = 1e-9;

/// Something with outputs, variables and the gradient of `sum(outputs * r)` by every variable.
pub(super) trait Problem {
    /// All outputs in one list.
    fn outputs(&self) -> Vec<f64>;
    /// Every variable, with a name for the report.
    fn variables(&mut self) -> Vec<(String, &mut [f64])>;
    /// The gradients, named and ordered as the variables.
    fn gradients(&self, r: &[f64]) -> Vec<(String, Vec<f64>)>;
}

/// Compares every gradient element with its central difference; returns how many elements there were.
pub(super) fn check(problem: &mut impl Problem, rng: &mut Rng, label: &str) -> usize {
    let r = rng.vec(problem.outputs().len(), -1.0, 1.0);
    let gradients = problem.gradients(&r);
    let names: Vec<String> = problem.variables().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, gradients.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>(), "{label}");

    let mut elements = 0;
    for (index, (name, gradient)) in gradients.iter().enumerate() {
        assert_eq!(
            gradient.len(),
            problem.variables()[index].1.len(),
            "{label}: size of the gradient of {name}"
        );
        for (k, &analytic) in gradient.iter().enumerate() {
            let value = problem.variables()[index].1[k];
            problem.variables()[index].1[k] = value + EPS;
            let above = problem.outputs();
            problem.variables()[index].1[k] = value - EPS;
            let below = problem.outputs();
            problem.variables()[index].1[k] = value;

            // The loss is a sum, so its difference is taken term by term: that loses fewer digits.
            let difference: f64 = r.iter().zip(above.iter().zip(&below)).map(|(r, (a, b))| r * (a - b)).sum();
            let numeric = difference / ((value + EPS) - (value - EPS));
            let allowed = ATOL + RTOL * numeric.abs();
            assert!(
                (analytic - numeric).abs() <= allowed,
                "{label}: gradient of {name}[{k}] is {analytic:e}, the central difference {numeric:e}"
            );
            elements += 1;
        }
    }
    elements
}
