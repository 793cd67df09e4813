//! The small layers around a recurrent network, and the losses. `N` is any number of rows.

use super::linalg::{add, add_outer, affine, transposed};

/// Gradients of [`linear`].
#[derive(Debug, Clone, PartialEq)]
pub struct LinearGrads {
    /// `[N, inputs]`.
    pub x: Vec<f64>,
    /// `[outputs, inputs]`.
    pub w: Vec<f64>,
    /// `[outputs]`, of the bias if there is one.
    pub b: Vec<f64>,
}

/// `y[n] = W x[n] + b`, with `x` `[N, inputs]`, `w` `[outputs, inputs]`, `b` `[outputs]` (missing = zeros).
pub fn linear(inputs: usize, outputs: usize, x: &[f64], w: &[f64], b: Option<&[f64]>) -> Vec<f64> {
    x.chunks_exact(inputs).flat_map(|row| affine(outputs, w, b, row)).collect()
}

/// `dx[n] = W^T dy[n]`, `dW = sum_n dy[n] x[n]^T`, `db = sum_n dy[n]`.
pub fn linear_backward(inputs: usize, outputs: usize, x: &[f64], w: &[f64], dy: &[f64]) -> LinearGrads {
    let mut grads = LinearGrads { x: vec![], w: vec![0.0; w.len()], b: vec![0.0; outputs] };
    for (x, dy) in x.chunks_exact(inputs).zip(dy.chunks_exact(outputs)) {
        grads.x.extend(transposed(inputs, w, dy));
        add_outer(&mut grads.w, dy, x);
        add(&mut grads.b, dy);
    }
    grads
}

/// `y[n] = table[ids[n]]`, with `table` `[rows, width]`.
pub fn embedding(width: usize, table: &[f64], ids: &[usize]) -> Vec<f64> {
    ids.iter().flat_map(|&id| &table[id * width..][..width]).copied().collect()
}

/// `dtable[ids[n]] += dy[n]`, for a table of `rows` rows.
pub fn embedding_backward(rows: usize, width: usize, ids: &[usize], dy: &[f64]) -> Vec<f64> {
    let mut table = vec![0.0; rows * width];
    for (n, &id) in ids.iter().enumerate() {
        add(&mut table[id * width..][..width], &dy[n * width..][..width]);
    }
    table
}

/// `p[k] = exp(x[k] - max) / sum_j exp(x[j] - max)`.
pub fn softmax(x: &[f64]) -> Vec<f64> {
    let max = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let exps: Vec<f64> = x.iter().map(|x| (x - max).exp()).collect();
    let sum: f64 = exps.iter().sum();
    exps.iter().map(|e| e / sum).collect()
}

/// Softmax cross-entropy, the mean over the rows whose target is not `ignore`; returns loss and `dL/dlogits`.
///
/// ```text
/// loss = mean_n ( max + log sum_k exp(x[n,k] - max) - x[n,target] )
/// dx[n,k] = (softmax(x[n])[k] - [k = target]) / rows that count
/// ```
///
/// As in PyTorch the loss is NaN and the gradient zero where no row counts.
pub fn cross_entropy(
    classes: usize,
    logits: &[f64],
    targets: &[i64],
    ignore: Option<i64>,
) -> (f64, Vec<f64>) {
    assert_eq!(logits.len(), targets.len() * classes, "logits are [N, classes]");
    let counted = targets.iter().filter(|&&target| Some(target) != ignore).count() as f64;
    let (mut loss, mut grad) = (0.0, vec![0.0; logits.len()]);
    for (n, &target) in targets.iter().enumerate() {
        if Some(target) == ignore {
            continue;
        }
        let target = usize::try_from(target).expect("a target is a class or the ignored index");
        let row = &logits[n * classes..][..classes];
        let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = row.iter().map(|x| (x - max).exp()).sum();
        loss += max + sum.ln() - row[target];
        for (k, p) in softmax(row).into_iter().enumerate() {
            let hit = if k == target { 1.0 } else { 0.0 };
            grad[n * classes + k] = (p - hit) / counted;
        }
    }
    (loss / counted, grad)
}

/// `loss = mean (y - target)^2`, `dy = 2 (y - target) / count`; returns loss and gradient.
pub fn mse(y: &[f64], target: &[f64]) -> (f64, Vec<f64>) {
    assert_eq!(y.len(), target.len(), "one target per value");
    let count = y.len() as f64;
    let loss = y.iter().zip(target).map(|(y, t)| (y - t) * (y - t)).sum::<f64>() / count;
    (loss, y.iter().zip(target).map(|(y, t)| 2.0 * (y - t) / count).collect())
}
