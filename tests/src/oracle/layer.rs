//! One layer in one direction over a sequence, forward and backward, row by row.
//!
//! ```text
//! at a reset         h, c = reset state (zeros)
//! every step         xa = b_ih + W_ih x[t]      ha = b_hh + W_hh h      (cell) -> gates, c, u
//!                    h = u        or with a projection    h = W_hr u
//!                    out[t] = h
//! ```
//!
//! A row of length `len` runs over `t = 0..len`, in reverse over `t = len-1..=0`, so the reverse direction starts
//! at the row's own last valid step. Outputs at or past `len` are 0; the final state is the row's own after its
//! last step, the initial state if `len` is 0. A reset at `t` takes place before step `t` in the direction of
//! travel; one at or past `len` means nothing.

use super::linalg::{add, add_outer, affine, transposed};
use super::{CellStep, Options, Shape, Weights};

/// What a layer runs on. `Default` is empty: fill in `steps`, `batch` and `x`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LayerRun {
    /// `T`.
    pub steps: usize,
    /// `B`.
    pub batch: usize,
    /// Input `[T, B, I]`; what stands past a row's length is not read.
    pub x: Vec<f64>,
    /// Initial state `[B, R]`, missing = zeros.
    pub h0: Option<Vec<f64>>,
    /// Initial cell state `[B, H]`, missing = zeros; nothing for a cell without `c`.
    pub c0: Option<Vec<f64>>,
    /// Run from each row's last valid step to its first.
    pub reverse: bool,
    /// Valid steps of each row `[B]`, any order, 0 allowed, missing = all of `T`.
    pub lengths: Option<Vec<usize>>,
    /// `[T, B]`: where set, the row's state is replaced before the step; the gradient stops there.
    pub resets: Option<Vec<bool>>,
    /// `[B, R]`: what `h` is replaced by at a reset, missing = zeros.
    pub reset_h: Option<Vec<f64>>,
    /// `[B, H]`: what `c` is replaced by at a reset, missing = zeros.
    pub reset_c: Option<Vec<f64>>,
    /// The flush rule: computed `h` and `c`, and in the backward their total gradients, become a zero of the same
    /// sign where their magnitude is below this. The gradient passes a flushed value as if it had not been. The
    /// gradients of `h0` and `c0` are not total: they are one part of those of a step before, if there is one.
    pub flush_below: Option<f64>,
    /// How the cell differs from PyTorch's.
    pub options: Option<Options>,
}

/// All that the forward computed. Steps that were not run hold zeros.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerTrace {
    /// Outputs `[T, B, R]`, which are the states `h` after each step.
    pub out: Vec<f64>,
    /// Final state `[B, R]`.
    pub h_n: Vec<f64>,
    /// Final cell state `[B, H]`.
    pub c_n: Vec<f64>,
    /// Cell states after each step `[T, B, H]`; empty without `c`.
    pub c: Vec<f64>,
    /// The state that entered each step, after any reset, `[T, B, R]`.
    pub h_in: Vec<f64>,
    /// The cell state that entered each step, after any reset, `[T, B, H]`.
    pub c_in: Vec<f64>,
    /// `xa`, `[T, B, G*H]`.
    pub xa: Vec<f64>,
    /// `ha`, `[T, B, G*H]`.
    pub ha: Vec<f64>,
    /// Gates after their activation `[T, B, G*H]`.
    pub gates: Vec<f64>,
    /// States before the projection `[T, B, H]`.
    pub u: Vec<f64>,
}

/// The gradients that come from above, missing = zeros.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Upstream {
    /// `[T, B, R]`; what stands past a row's length is not read.
    pub out: Option<Vec<f64>>,
    /// `[B, R]`.
    pub h_n: Option<Vec<f64>>,
    /// `[B, H]`.
    pub c_n: Option<Vec<f64>>,
}

/// All gradients of one layer. Steps that were not run hold zeros.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerGrads {
    /// Of the weights; a missing bias has no gradient.
    pub weights: Weights,
    /// `[T, B, I]`.
    pub x: Vec<f64>,
    /// `[B, R]`.
    pub h0: Vec<f64>,
    /// `[B, H]`.
    pub c0: Vec<f64>,
    /// `[B, R]`: summed over the row's resets.
    pub reset_h: Vec<f64>,
    /// `[B, H]`: summed over the row's resets.
    pub reset_c: Vec<f64>,
    /// Total `dL/dh[t]`, over all paths, `[T, B, R]`.
    pub h: Vec<f64>,
    /// Total `dL/dc[t]`, over all paths, also through `h[t]`, `[T, B, H]`; empty without `c`.
    pub c: Vec<f64>,
    /// `dL/dxa`, `[T, B, G*H]`.
    pub xa: Vec<f64>,
    /// `dL/dha`, `[T, B, G*H]`.
    pub ha: Vec<f64>,
}

/// What the kernels flush: h, c and their gradients below this, 2^-100.
pub const FLUSH_BELOW: f64 = 1.0 / (1_u128 << 100) as f64;

/// The flush rule: a zero of the same sign where `|value| < below`.
pub fn flush(value: f64, below: Option<f64>) -> f64 {
    match below {
        Some(below) if value.abs() < below => 0.0_f64.copysign(value),
        _ => value,
    }
}

impl LayerRun {
    /// The steps of row `b` in the order in which they are run.
    pub fn order(&self, b: usize) -> Vec<usize> {
        let len = self.lengths.as_ref().map_or(self.steps, |lengths| lengths[b]);
        if self.reverse { (0..len).rev().collect() } else { (0..len).collect() }
    }

    fn is_reset(&self, t: usize, b: usize) -> bool {
        self.resets.as_ref().is_some_and(|resets| resets[t * self.batch + b])
    }

    fn check(&self, shape: &Shape) {
        let (steps, batch) = (self.steps, self.batch);
        assert_eq!(self.x.len(), steps * batch * shape.input, "x is [T, B, I]");
        for h in [&self.h0, &self.reset_h].into_iter().flatten() {
            assert_eq!(h.len(), batch * shape.state(), "h0 and reset_h are [B, R]");
        }
        for c in [&self.c0, &self.reset_c].into_iter().flatten() {
            assert_eq!(c.len(), batch * shape.c_state(), "c0 and reset_c are [B, H], empty without c");
        }
        if let Some(lengths) = &self.lengths {
            assert_eq!(lengths.len(), batch, "lengths is [B]");
            assert!(lengths.iter().all(|&len| len <= steps), "no length exceeds T");
        }
        if let Some(resets) = &self.resets {
            assert_eq!(resets.len(), steps * batch, "resets is [T, B]");
        }
    }
}

/// Row number `row` of an array with rows of `width`; zeros if the array is missing.
fn row_or_zeros(array: &Option<Vec<f64>>, row: usize, width: usize) -> Vec<f64> {
    array.as_ref().map_or(vec![0.0; width], |array| row_of(array, row, width).to_vec())
}

fn row_of(array: &[f64], row: usize, width: usize) -> &[f64] {
    &array[row * width..][..width]
}

fn row_mut(array: &mut [f64], row: usize, width: usize) -> &mut [f64] {
    &mut array[row * width..][..width]
}

/// Runs one layer over a sequence.
pub fn forward(shape: &Shape, weights: &Weights, run: &LayerRun) -> LayerTrace {
    weights.check(shape);
    run.check(shape);
    let (hidden, state, c_state, rows) = (shape.hidden, shape.state(), shape.c_state(), shape.gate_rows());
    let cells = run.steps * run.batch;
    let mut trace = LayerTrace {
        out: vec![0.0; cells * state],
        h_n: vec![0.0; run.batch * state],
        c_n: vec![0.0; run.batch * c_state],
        c: vec![0.0; cells * c_state],
        h_in: vec![0.0; cells * state],
        c_in: vec![0.0; cells * c_state],
        xa: vec![0.0; cells * rows],
        ha: vec![0.0; cells * rows],
        gates: vec![0.0; cells * rows],
        u: vec![0.0; cells * hidden],
    };
    for b in 0..run.batch {
        let mut h = row_or_zeros(&run.h0, b, state);
        let mut c = row_or_zeros(&run.c0, b, c_state);
        for t in run.order(b) {
            let at = t * run.batch + b;
            if run.is_reset(t, b) {
                h = row_or_zeros(&run.reset_h, b, state);
                c = row_or_zeros(&run.reset_c, b, c_state);
            }
            let xa = affine(rows, &weights.w_ih, weights.b_ih.as_deref(), row_of(&run.x, at, shape.input));
            let ha = match &run.options {
                Some(options) if options.reset_before => options.sums_of_reset(shape, weights, &xa, &h),
                _ => affine(rows, &weights.w_hh, weights.b_hh.as_deref(), &h),
            };
            // Without c, a GRU's previous state is h; an RNN does not look.
            let before = if c_state == 0 { &h } else { &c };
            let mut step = match &run.options {
                Some(options) => options.step(shape.cell, &xa, &ha, before),
                None => shape.cell.step(&xa, &ha, before),
            };
            row_mut(&mut trace.h_in, at, state).copy_from_slice(&h);
            row_mut(&mut trace.c_in, at, c_state).copy_from_slice(&c);

            h = match &weights.w_hr {
                Some(w_hr) => affine(state, w_hr, None, &step.u),
                None => step.u.clone(),
            };
            step.c.truncate(c_state);
            c = step.c;
            for value in h.iter_mut().chain(&mut c) {
                *value = flush(*value, run.flush_below);
            }

            row_mut(&mut trace.xa, at, rows).copy_from_slice(&xa);
            row_mut(&mut trace.ha, at, rows).copy_from_slice(&ha);
            row_mut(&mut trace.gates, at, rows).copy_from_slice(&step.gates);
            row_mut(&mut trace.u, at, hidden).copy_from_slice(&step.u);
            row_mut(&mut trace.c, at, c_state).copy_from_slice(&c);
            row_mut(&mut trace.out, at, state).copy_from_slice(&h);
        }
        row_mut(&mut trace.h_n, b, state).copy_from_slice(&h);
        row_mut(&mut trace.c_n, b, c_state).copy_from_slice(&c);
    }
    trace
}

/// Back-propagation through time of [`forward`], over the whole sequence.
///
/// ```text
/// every step, last first     dh = upstream[t] + dh_carried        du = dh   or   du = W_hr^T dh
///                            (cell) -> dxa, dha, dc_carried
///                            dx[t] = W_ih^T dxa       dh_carried = W_hh^T dha  (+ the GRU's dh z)
///                            dW_ih += dxa x[t]^T      dW_hh += dha h^T      dW_hr += dh u^T
///                            db_ih += dxa             db_hh += dha
/// at a reset                 the carried gradients go to the reset state; 0 is carried on
/// ```
pub fn backward(
    shape: &Shape,
    weights: &Weights,
    run: &LayerRun,
    trace: &LayerTrace,
    upstream: &Upstream,
) -> LayerGrads {
    let (hidden, state, c_state, rows) = (shape.hidden, shape.state(), shape.c_state(), shape.gate_rows());
    let cells = run.steps * run.batch;
    let mut grads = LayerGrads {
        weights: weights.zeros_like(),
        x: vec![0.0; cells * shape.input],
        h0: vec![0.0; run.batch * state],
        c0: vec![0.0; run.batch * c_state],
        reset_h: vec![0.0; run.batch * state],
        reset_c: vec![0.0; run.batch * c_state],
        h: vec![0.0; cells * state],
        c: vec![0.0; cells * c_state],
        xa: vec![0.0; cells * rows],
        ha: vec![0.0; cells * rows],
    };
    let flush = |value: f64| flush(value, run.flush_below);
    for b in 0..run.batch {
        let mut dh = row_or_zeros(&upstream.h_n, b, state);
        let mut dc = row_or_zeros(&upstream.c_n, b, c_state);
        for t in run.order(b).into_iter().rev() {
            let at = t * run.batch + b;
            add(&mut dh, &row_or_zeros(&upstream.out, at, state));
            dh.iter_mut().for_each(|value| *value = flush(*value));
            row_mut(&mut grads.h, at, state).copy_from_slice(&dh);

            let u = row_of(&trace.u, at, hidden);
            let du = match (&weights.w_hr, &mut grads.weights.w_hr) {
                (Some(w_hr), Some(dw_hr)) => {
                    add_outer(dw_hr, &dh, u);
                    transposed(hidden, w_hr, &dh)
                }
                _ => dh.clone(),
            };

            let h_in = row_of(&trace.h_in, at, state);
            let c_in = if c_state == 0 { h_in } else { row_of(&trace.c_in, at, c_state) };
            let dc_later = if c_state == 0 { vec![0.0; hidden] } else { dc };
            let step = CellStep {
                gates: row_of(&trace.gates, at, rows).to_vec(),
                c: row_of(&trace.c, at, c_state).to_vec(),
                u: u.to_vec(),
            };
            let (xa, ha) = (row_of(&trace.xa, at, rows), row_of(&trace.ha, at, rows));
            let mut back = match &run.options {
                Some(options) => {
                    options.step_backward(shape.cell, &step, (xa, ha), c_in, &du, &dc_later, flush)
                }
                None => shape.cell.step_backward(&step, ha, c_in, &du, &dc_later, flush),
            };
            // Where the reset gate comes first, n's weights multiply m = r h: dm = W_hn^T dxa_n.
            let plain = match &run.options {
                Some(options) if options.reset_before => {
                    let r = &step.gates[..hidden];
                    let m: Vec<f64> = r.iter().zip(h_in).map(|(r, h)| r * h).collect();
                    let dm = transposed(hidden, &weights.w_hh[2 * hidden * hidden..], &back.ha[2 * hidden..]);
                    options.reset(&mut back, xa, ha, h_in, &dm);
                    add_outer(&mut grads.weights.w_hh[2 * hidden * hidden..], &back.ha[2 * hidden..], &m);
                    let through_m: Vec<f64> = dm.iter().zip(r).map(|(dm, r)| dm * r).collect();
                    add(&mut back.c_prev, &through_m);
                    2 * hidden
                }
                _ => rows,
            };

            let x = row_of(&run.x, at, shape.input);
            add_outer(&mut grads.weights.w_ih, &back.xa, x);
            add_outer(&mut grads.weights.w_hh[..plain * state], &back.ha[..plain], h_in);
            if let Some(db_ih) = &mut grads.weights.b_ih {
                add(db_ih, &back.xa);
            }
            if let Some(db_hh) = &mut grads.weights.b_hh {
                add(db_hh, &back.ha);
            }
            row_mut(&mut grads.xa, at, rows).copy_from_slice(&back.xa);
            row_mut(&mut grads.ha, at, rows).copy_from_slice(&back.ha);
            let dx = transposed(shape.input, &weights.w_ih, &back.xa);
            row_mut(&mut grads.x, at, shape.input).copy_from_slice(&dx);

            dh = transposed(state, &weights.w_hh[..plain * state], &back.ha[..plain]);
            if c_state == 0 {
                // A GRU without c took its previous state from h; an RNN has nothing here.
                dc = vec![];
                if !back.c_prev.is_empty() {
                    add(&mut dh, &back.c_prev);
                }
            } else {
                row_mut(&mut grads.c, at, c_state).copy_from_slice(&back.c);
                dc = back.c_prev;
            }
            if run.is_reset(t, b) {
                add(row_mut(&mut grads.reset_h, b, state), &dh);
                add(row_mut(&mut grads.reset_c, b, c_state), &dc);
                dh.fill(0.0);
                dc.fill(0.0);
            }
        }
        row_mut(&mut grads.h0, b, state).copy_from_slice(&dh);
        row_mut(&mut grads.c0, b, c_state).copy_from_slice(&dc);
    }
    grads
}
