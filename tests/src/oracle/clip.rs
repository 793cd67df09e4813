//! Gradient clipping as PyTorch does it.

/// Which norm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Norm {
    /// Sum of magnitudes.
    L1,
    /// Root of the sum of squares.
    L2,
    /// Largest magnitude.
    Inf,
}

impl Norm {
    fn of(self, values: impl Iterator<Item = f64>) -> f64 {
        match self {
            Norm::L1 => values.map(f64::abs).sum(),
            Norm::L2 => values.map(|value| value * value).sum::<f64>().sqrt(),
            // A NaN stays a NaN, which f64::max would drop.
            Norm::Inf => values.map(f64::abs).fold(0.0, |a, b| if a.is_nan() || a > b { a } else { b }),
        }
    }
}

/// The norm of all gradients: the norm of the norms of the tensors.
pub fn total_norm(grads: &[&[f64]], norm: Norm) -> f64 {
    norm.of(grads.iter().map(|grad| norm.of(grad.iter().copied())))
}

/// Multiplies all gradients by `min(1, max_norm / (total_norm + 1e-6))`; returns the norm before.
///
/// What is not finite goes its way, as in PyTorch with `error_if_nonfinite=False`.
pub fn clip_grad_norm(grads: &mut [&mut [f64]], max_norm: f64, norm: Norm) -> f64 {
    let total = total_norm(&grads.iter().map(|grad| &**grad).collect::<Vec<_>>(), norm);
    let factor = max_norm / (total + 1e-6);
    // A NaN stays a NaN, which f64::min would drop.
    let factor = if factor > 1.0 { 1.0 } else { factor };
    grads.iter_mut().flat_map(|grad| grad.iter_mut()).for_each(|value| *value *= factor);
    total
}

/// Limits every element to `-limit ..= limit`; a NaN stays.
pub fn clip_grad_value(grads: &mut [&mut [f64]], limit: f64) {
    grads.iter_mut().flat_map(|grad| grad.iter_mut()).for_each(|value| *value = value.clamp(-limit, limit));
}
