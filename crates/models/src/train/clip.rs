//! Gradient clipping: the cure for gradients that explode through time.

use crate::spec::{Error, Tensors};

/// Which norm of the gradients, all of them taken as one long vector.
///
/// # Examples
/// ```
/// use gatewise::{NonFinite, Norm, Tensors, clip_grad_norm};
///
/// let mut grads = Tensors::default();
/// grads.add("g", &[2], vec![3.0, -4.0])?;
/// for (norm, expected) in [(Norm::L1, 7.0), (Norm::L2, 5.0), (Norm::Inf, 4.0)] {
///     assert_eq!(clip_grad_norm(&mut [&mut grads], f64::MAX, norm, NonFinite::Error)?, expected);
/// }
/// # Ok::<(), gatewise::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Norm {
    /// Sum of magnitudes.
    L1,
    /// Root of the sum of squares.
    #[default]
    L2,
    /// Largest magnitude.
    Inf,
}

/// What to do about gradients whose norm is infinite or not a number.
///
/// # Examples
/// ```
/// use gatewise::{NonFinite, Norm, Tensors, clip_grad_norm};
///
/// let mut grads = Tensors::default();
/// grads.add("g", &[2], vec![3.0, f32::INFINITY])?;
/// let mut clip = |non_finite| clip_grad_norm(&mut [&mut grads], 1.0, Norm::L2, non_finite);
/// assert!(clip(NonFinite::Error).is_err());
/// assert_eq!(clip(NonFinite::Skip)?, f64::INFINITY);
/// assert_eq!(grads.get("g").unwrap().data(), [3.0, f32::INFINITY]); // as they were
/// # Ok::<(), gatewise::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum NonFinite {
    /// Refuse, and leave the gradients as they are.
    #[default]
    Error,
    /// Multiply by whatever factor comes out, as `torch.nn.utils.clip_grad_norm_` does by default.
    AsPyTorch,
    /// Leave the gradients as they are and answer the norm: the caller sees that it is not finite and leaves the update out.
    Skip,
}

/// Scales all gradients by min(1, max_norm / (norm + 1e-6)), so that their norm is `max_norm` at most; answers the norm before.
///
/// The factor is that of `torch.nn.utils.clip_grad_norm_`. The norm is taken in f64, element after element, so neither huge nor
/// tiny gradients leave its range, and it does not depend on how anything is split.
///
/// # Errors
/// [`Error::NonFiniteNorm`] if the norm is not finite and `non_finite` says so; [`Error::Config`] if `max_norm` is negative or
/// NaN. The gradients are as they were then.
///
/// # Examples
/// ```
/// use gatewise::{Lstm, NonFinite, Norm, clip_grad_norm};
///
/// let mut grads = Lstm::new(2, 4)?.params().zeros_like();
/// grads.fill(3.0);
/// let norm = clip_grad_norm(&mut [&mut grads], 1.0, Norm::L2, NonFinite::Error)?;
/// assert!(norm > 1.0);
/// # Ok::<(), gatewise::Error>(())
/// ```
pub fn clip_grad_norm(
    grads: &mut [&mut Tensors],
    max_norm: f64,
    norm: Norm,
    non_finite: NonFinite,
) -> Result<f64, Error> {
    if max_norm.is_nan() || max_norm < 0.0 {
        let expected = "a number that is not negative";
        return Err(Error::Config { arg: "max_norm", expected, got: max_norm.to_string() });
    }
    let total = total_norm(grads, norm);
    if non_finite == NonFinite::Error && !total.is_finite() {
        return Err(Error::NonFiniteNorm { norm: total });
    }
    if non_finite == NonFinite::Skip && !total.is_finite() {
        return Ok(total);
    }
    let factor = max_norm / (total + 1e-6);
    // A NaN is not below 1, and must not pass for a factor of 1 either.
    if factor < 1.0 || factor.is_nan() {
        let factor = factor as f32;
        for tensor in grads.iter_mut().flat_map(|grads| grads.iter_mut()) {
            tensor.data_mut().iter_mut().for_each(|value| *value *= factor);
        }
    }
    Ok(total)
}

fn total_norm(grads: &[&mut Tensors], norm: Norm) -> f64 {
    let all = grads.iter().flat_map(|grads| grads.iter()).flat_map(|tensor| tensor.data());
    let all = all.map(|&value| f64::from(value).abs());
    match norm {
        Norm::L1 => all.sum(),
        Norm::L2 => all.map(|value| value * value).sum::<f64>().sqrt(),
        // f64::max would drop a NaN.
        Norm::Inf => all.fold(0.0, |most, value| if value > most || value.is_nan() { value } else { most }),
    }
}

/// Limits every element to -limit ..= limit, as `torch.nn.utils.clip_grad_value_`. A NaN stays.
///
/// # Errors
/// [`Error::Config`] if `limit` is negative or NaN. The gradients are as they were then.
///
/// # Examples
/// ```
/// let mut grads = gatewise::Gru::new(2, 4)?.params().zeros_like();
/// grads.fill(-3.0);
/// gatewise::clip_grad_value(&mut [&mut grads], 0.5)?;
/// assert!(grads.iter().all(|grad| grad.data().iter().all(|&value| value == -0.5)));
/// # Ok::<(), gatewise::Error>(())
/// ```
pub fn clip_grad_value(grads: &mut [&mut Tensors], limit: f32) -> Result<(), Error> {
    if limit.is_nan() || limit < 0.0 {
        let expected = "a number that is not negative";
        return Err(Error::Config { arg: "limit", expected, got: limit.to_string() });
    }
    for tensor in grads.iter_mut().flat_map(|grads| grads.iter_mut()) {
        tensor.data_mut().iter_mut().for_each(|value| *value = value.clamp(-limit, limit));
    }
    Ok(())
}
