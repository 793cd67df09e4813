//! The loop over time of the kernels for single rows of one hidden size, which multiply the input themselves or find it projected. A
//! step of a small network takes as long as some hundred instructions, so nothing is asked here that is known before: sizes are
//! constants, the row runs through without resets, and pointers move on from step to step.

use super::{Gates, load, store, store_in_parts};
use crate::gates::checked::{ForwardTask, SingleTask};
use crate::gates::{Forward, FusedForward};
use crate::gemm::micro::{Operands, Tile, accumulate, start_from};
use crate::gemm::single::walk_single;
use crate::gemm::sums::PanelBody;
use crate::gemm::tiles::{At, Corner, Products};
use crate::simd::{Arithmetic, Vector, group::Group};
use std::marker::PhantomData;

impl ForwardTask {
    /// Cuts each row's time where it is reset or takes no part, and hands on what is left, row by row.
    ///
    /// # Safety
    /// The task was checked (`tasks`), and has one row if `xa` holds the projected input.
    pub(crate) unsafe fn single_rows(&self, mut run: impl FnMut(&SingleTask)) {
        let schedule = &self.schedule;
        for row in 0..schedule.rows {
            let mut first = self.begin;
            while first < self.end {
                if row >= schedule.active(first) {
                    first += 1;
                    continue;
                }
                // Each step of a table's rows has a start of its own.
                let runs_on = |t| {
                    let goes_on = t < self.end && row < schedule.active(t) && !schedule.is_reset(t, row);
                    goes_on && self.picks.is_none()
                };
                let mut end = first + 1;
                while runs_on(end) {
                    end += 1;
                }
                let (h, c) = (&self.h, &self.c);
                // SAFETY: the row takes part in the step.
                let fused = (self.input, unsafe { self.input_start(first, row) }, 0);
                let projected =
                    (0, self.xa.wrapping_add((first - self.begin) * self.xa_row), self.xa_row.cast_signed());
                let (input, start, start_step) = if self.xa.is_null() { fused } else { projected };
                run(&SingleTask {
                    steps: end - first,
                    input,
                    x: self.x.at(first, row),
                    x_step: self.x.step(),
                    h_0: schedule.before(first, row, h),
                    h: h.steps.at(first, row),
                    h_step: h.steps.step(),
                    c_0: schedule.before(first, row, c),
                    c: c.steps.at(first, row),
                    c_step: c.steps.step(),
                    gates: self.gates.at(first, row),
                    gates_step: self.gates.step(),
                    w_ih: self.w_ih,
                    start,
                    start_step,
                    w_hh: self.w_hh,
                    b_hh: self.b_hh,
                });
                first = end;
            }
        }
    }
}

/// One time step, for [`walk_single`].
struct SingleStep<'a, V, C, const NR: usize, const U: usize, const H: usize> {
    task: &'a SingleTask,
    x: *const f32,
    start: *const f32,
    h_prev: *const f32,
    h: *mut f32,
    c_prev: *const f32,
    c: *mut f32,
    gates: *mut f32,
    cell: C,
    vector: PhantomData<V>,
}

/// Runs a stretch of time of one row of hidden size `H`, `PANELS` panels: tiles of at most `P` panels whose sums never leave the
/// registers.
///
/// # Safety
/// The task was checked (`tasks`), and its weights are packed for `V`'s lanes, strips of `NR` vectors and this cell of `H` units.
#[inline(always)]
pub(crate) unsafe fn forward<
    V: Vector,
    C: FusedForward<G, S>,
    const G: usize,
    const S: usize,
    const P: usize,
    const NR: usize,
    const U: usize,
    const H: usize,
    const PANELS: usize,
>(
    token: V::Token,
    task: &SingleTask,
    cell: C,
) {
    const { assert!(H.div_ceil(V::LANES) == PANELS) };
    let SingleTask { x, start, h_0: h_prev, h, c_0: c_prev, c, gates, .. } = *task;
    let vector = PhantomData;
    let step = SingleStep::<V, C, NR, U, H> { task, x, start, h_prev, h, c_prev, c, gates, cell, vector };
    let mut gates = Gates::<_, G, S>(step);
    for _ in 0..task.steps {
        // SAFETY: the task's arguments cover all its panels at this step.
        unsafe { walk_single::<V, _, G, 2, PANELS, P, NR>(token, &gates) };
        let step = &mut gates.0;
        (step.h_prev, step.c_prev) = (step.h, step.c);
        step.x = step.x.wrapping_offset(task.x_step);
        step.start = step.start.wrapping_offset(task.start_step);
        step.h = step.h.wrapping_offset(task.h_step);
        step.c = step.c.wrapping_offset(task.c_step);
        step.gates = step.gates.wrapping_offset(task.gates_step);
    }
}

impl<
    V: Vector,
    C: FusedForward<G, S>,
    const G: usize,
    const S: usize,
    const NR: usize,
    const U: usize,
    const H: usize,
> Products<V, G, 2> for Gates<SingleStep<'_, V, C, NR, U, H>, G, S>
{
    #[inline(always)]
    unsafe fn products<const M: usize, const W: usize, const K: usize>(
        &self,
        token: V::Token,
        set: usize,
        corner: Corner,
    ) -> Tile<V, M, W, K> {
        let SingleStep { task, x, start, h_prev, .. } = self.0;
        let (w, start, depth, from) = match set {
            0 => (task.w_hh, task.b_hh, H, h_prev),
            _ => (task.w_ih, start, task.input, x),
        };
        // SAFETY: the vectors lie within the cell; packed weights are padded to whole strips, what sums start from to whole vectors.
        unsafe {
            let start = start_from(token, start.add(corner.vector * V::LANES));
            let operands = Operands::packed::<V, NR>([from; M], w, corner, depth, (0, depth));
            accumulate::<V, M, W, K, NR, U>(token, start, operands)
        }
    }
}

impl<
    V: Vector,
    C: FusedForward<G, S>,
    const G: usize,
    const S: usize,
    const NR: usize,
    const U: usize,
    const H: usize,
> PanelBody<V, G, 2> for Gates<SingleStep<'_, V, C, NR, U, H>, G, S>
{
    const AT_ONCE: usize = 2;

    #[inline(always)]
    unsafe fn finish_panels<const N: usize>(
        &self,
        token: V::Token,
        at: [At; N],
        sums: [[Group<V, N>; G]; 2],
    ) {
        let SingleStep { h_prev, h, c_prev, c, gates, cell, .. } = self.0;
        let zero = Group::splat(token, 0.0);
        let mut step = Forward { xa: sums[1], ha: sums[0], h_prev: zero, c_prev: zero };
        for n in 0..N {
            let unit = at[n].panel * V::LANES;
            // SAFETY: the panel lies within the cell, so that unit < H, and only `H - unit` floats from there are touched.
            unsafe {
                if C::DIRECT {
                    step.h_prev.0[n] = load(token, h_prev.add(unit), H - unit);
                }
                if C::CELL_STATE {
                    step.c_prev.0[n] = load(token, c_prev.add(unit), H - unit);
                }
            }
        }
        let new = cell.forward(token, step).flushed(token);
        for n in 0..N {
            let unit = at[n].panel * V::LANES;
            // SAFETY: as above.
            unsafe {
                store_in_parts(new.h.0[n], h.add(unit), H - unit);
                if C::CELL_STATE {
                    store(new.c.0[n], c.add(unit), H - unit);
                }
                if !gates.is_null() {
                    for s in 0..S {
                        store(new.saved[s].0[n], gates.add(s * H + unit), H - unit);
                    }
                }
            }
        }
    }
}
