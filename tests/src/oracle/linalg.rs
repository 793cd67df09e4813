//! The three matrix operations that the oracle needs, as plain loops over row-major slices.

/// `y[m] = b[m] + sum_k w[m,k] x[k]` for `rows` rows; a missing bias is zero.
pub(super) fn affine(rows: usize, w: &[f64], b: Option<&[f64]>, x: &[f64]) -> Vec<f64> {
    let mut y = vec![0.0; rows];
    for m in 0..rows {
        y[m] = b.map_or(0.0, |b| b[m]);
        for k in 0..x.len() {
            y[m] += w[m * x.len() + k] * x[k];
        }
    }
    y
}

/// `sum_m w[m,k] d[m]` for `columns` columns: the gradient that `affine` sends back to its `x`.
pub(super) fn transposed(columns: usize, w: &[f64], d: &[f64]) -> Vec<f64> {
    let mut y = vec![0.0; columns];
    for m in 0..d.len() {
        for k in 0..columns {
            y[k] += w[m * columns + k] * d[m];
        }
    }
    y
}

/// `dw[m,k] += d[m] x[k]`: the gradient that `affine` sends to its `w`.
pub(super) fn add_outer(dw: &mut [f64], d: &[f64], x: &[f64]) {
    for m in 0..d.len() {
        for k in 0..x.len() {
            dw[m * x.len() + k] += d[m] * x[k];
        }
    }
}

/// `a[k] += b[k]`.
pub(super) fn add(a: &mut [f64], b: &[f64]) {
    assert_eq!(a.len(), b.len(), "a sum of slices of unequal length");
    for k in 0..a.len() {
        a[k] += b[k];
    }
}
