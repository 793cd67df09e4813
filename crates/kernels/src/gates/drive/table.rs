//! Where the chains of the input part start: all from the bias, or those of each row from a row of a table that holds the whole
//! input part, so that nothing is left to multiply.

use crate::gates::checked::ForwardTask;
use crate::gemm::micro::{Tile, start_from, zeros};
use crate::simd::Vector;

impl ForwardTask {
    /// Where the chains of a row start in step `t`.
    ///
    /// # Safety
    /// The row takes part in the step.
    #[inline(always)]
    pub(super) unsafe fn input_start(&self, t: usize, row: usize) -> *const f32 {
        if self.picks.is_none() {
            return self.b_ih;
        }
        // SAFETY: `TableRows::checked` saw a row of the table for each row that takes part.
        let pick = unsafe { *self.picks.rows.add(t * self.picks.step + self.schedule.first_row + row) };
        self.b_ih.wrapping_add(pick * self.picks.width)
    }
}

/// A tile of the input part before its products: the rows from `row` on in step `t`, and the vectors from float `at` on.
///
/// # Safety
/// The rows take part in the step, and the bias and the table's rows have the vectors.
#[inline(always)]
pub(super) unsafe fn start_input<V: Vector, const M: usize, const W: usize, const K: usize>(
    token: V::Token,
    task: &ForwardTask,
    (t, row): (usize, usize),
    at: usize,
) -> Tile<V, M, W, K> {
    if task.picks.is_none() {
        // SAFETY: the caller's promise.
        return unsafe { start_from(token, task.b_ih.add(at)) };
    }
    let mut acc = zeros::<V, M, W, K>(token);
    for r in 0..M {
        // SAFETY: the caller's promise.
        let from = unsafe { task.input_start(t, row + r).add(at) };
        for w in 0..W {
            for k in 0..K {
                // SAFETY: the caller's promise.
                acc[r][w][k] = V::load(token, unsafe { &*from.add((w * K + k) * V::LANES).cast() });
            }
        }
    }
    acc
}
