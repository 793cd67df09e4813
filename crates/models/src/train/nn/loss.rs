//! Losses, each with its gradient: the mean over what counts, as PyTorch's.

use crate::spec::Error;
use crate::spec::shape::{expect_len, product};
use gatewise_kernels::Kernels;

/// The target of a row that does not count, PyTorch's `ignore_index`.
///
/// # Examples
/// ```
/// use gatewise::{IGNORE, Kernels, cross_entropy};
///
/// let (kernels, mut grad) = (Kernels::auto()?, [0.0; 2 * 2]);
/// let loss = cross_entropy(kernels, &[3.0, 1.0, 9.0, 9.0], 2, &[0, IGNORE], &mut grad)?;
/// assert_eq!(loss, cross_entropy(kernels, &[3.0, 1.0], 2, &[0], &mut [0.0; 2])?);
/// assert_eq!(grad[2..], [0.0; 2]);
/// # Ok::<(), gatewise::Error>(())
/// ```
pub const IGNORE: usize = usize::MAX;

/// Softmax cross-entropy of `logits`, [rows, classes], against one class per row, in nats: `torch.nn.CrossEntropyLoss`. The
/// gradient goes to `grad_logits`, [rows, classes].
///
/// ```text
/// loss    = mean over rows of   log sum_k exp(x_k) - x_target
/// dL/dx_k = (exp(x_k) / sum_j exp(x_j) - [k = target]) / rows
/// ```
/// Rows whose target is [`IGNORE`] do not count, and their gradient is zero; where no row counts the loss is NaN.
/// Each row's largest logit is taken off first; the loss is summed in f64.
///
/// # Errors
/// [`Error::Index`] if a target is no class, [`Error::Shape`] if an argument has another size, [`Error::SizeOverflow`] if the
/// sizes cannot be counted. Nothing is written then.
///
/// # Examples
/// ```
/// use gatewise::{Kernels, cross_entropy};
///
/// let (logits, mut grad) = ([1.0, 1.0, 1.0, 1.0], [0.0; 4]); // one row of four classes, all alike
/// let loss = cross_entropy(Kernels::auto()?, &logits, 4, &[2], &mut grad)?;
/// assert!((loss - 4_f64.ln()).abs() < 1e-6);
/// assert!((grad[0] - 0.25).abs() < 1e-6 && (grad[2] + 0.75).abs() < 1e-6);
/// # Ok::<(), gatewise::Error>(())
/// ```
pub fn cross_entropy(
    kernels: Kernels,
    logits: &[f32],
    classes: usize,
    targets: &[usize],
    grad_logits: &mut [f32],
) -> Result<f64, Error> {
    let expected = product("logits", &[targets.len(), classes])?;
    expect_len("logits", logits.len(), expected)?;
    expect_len("grad_logits", grad_logits.len(), expected)?;
    if let Some(&index) = targets.iter().find(|&&target| target >= classes && target != IGNORE) {
        return Err(Error::Index { arg: "targets", index, len: classes });
    }
    let count = targets.iter().filter(|&&target| target != IGNORE).count() as f64;
    let mut loss = 0.0;
    let rows = logits.chunks_exact(classes.max(1)).zip(grad_logits.chunks_exact_mut(classes.max(1)));
    for ((logits, grad), &target) in rows.zip(targets) {
        if target == IGNORE {
            grad.fill(0.0);
            continue;
        }
        // A NaN among the logits makes everything NaN below, whatever is taken for the largest.
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut shifted = [0.0; 64];
        for (logits, grad) in logits.chunks(64).zip(grad.chunks_mut(64)) {
            let shifted = &mut shifted[..logits.len()];
            for (s, x) in shifted.iter_mut().zip(logits) {
                *s = x - largest;
            }
            kernels.exp(shifted, grad)?;
        }
        let sum: f64 = grad.iter().map(|&e| f64::from(e)).sum();
        loss += sum.ln() + f64::from(largest) - f64::from(logits[target]);
        let scale = (1.0 / (sum * count)) as f32;
        grad.iter_mut().for_each(|e| *e *= scale);
        grad[target] -= (1.0 / count) as f32;
    }
    Ok(loss / count)
}

/// Mean squared error and its gradient: `torch.nn.MSELoss`.
///
/// ```text
/// loss = mean (y - target)^2          dL/dy = 2 (y - target) / count
/// ```
///
/// # Errors
/// [`Error::Shape`] if the three differ in length. Nothing is written then.
///
/// # Examples
/// ```
/// let mut dy = [0.0; 2];
/// assert_eq!(gatewise::mse(&[1.0, 5.0], &[1.0, 2.0], &mut dy)?, 4.5);
/// assert_eq!(dy, [0.0, 3.0]);
/// # Ok::<(), gatewise::Error>(())
/// ```
pub fn mse(output: &[f32], target: &[f32], grad_output: &mut [f32]) -> Result<f64, Error> {
    expect_len("target", target.len(), output.len())?;
    expect_len("grad_output", grad_output.len(), output.len())?;
    let count = output.len() as f64;
    let scale = (2.0 / count) as f32;
    let mut loss = 0.0;
    for ((y, target), grad) in output.iter().zip(target).zip(grad_output) {
        let difference = y - target;
        loss += f64::from(difference) * f64::from(difference);
        *grad = scale * difference;
    }
    Ok(loss / count)
}
