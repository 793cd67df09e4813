//! Norms: in one fixed order, so that they depend on nothing but the values.

use gatewise_kernels::Kernels;

/// The sum of squares, in f64, which is not finite only if a value is not.
pub(super) fn sum_of_squares(kernels: Kernels, values: &[f32]) -> f64 {
    let mut sum = [0.0];
    kernels.sum_squares(values, &mut sum).expect("one row");
    sum[0]
}

/// The norm of each of as many rows of equal width as there are norms.
pub(super) fn norms(kernels: Kernels, values: &[f32], norms: &mut [f64]) {
    kernels.norms(values, norms).expect("rows of equal width");
}
