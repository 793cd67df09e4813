//! The loops over time, units and rows that all cells share, forward and backward: the only pointer walk of the gates.
//!
//! Each step is one pass over the tiles of (rows x panels); a panel is one vector of hidden units with all its gates. A
//! tile's products end in registers and its cell update follows at once, so nothing stands between W_hh h and h' in memory.
//!
//! Backward is the mirror. At the boundary between steps u-1 and u a tile computes what of dL/dh_{u-1} comes from step u,
//! adds the upstream gradient, and turns it into the gate gradients of step u-1 at once.
//!
//! A projected state ([`project`]), and a reset gate that comes first ([`reset_before`]), take a second pass over tiles in each
//! step. Kernels for single rows of one hidden size have a loop of their own ([`single`]).

mod back;
mod project;
pub(crate) mod reset_before;
pub(crate) mod single;

pub(crate) use back::backward;

use super::checked::{Carried, ForwardTask, Schedule};
use super::{Forward, FusedForward};
use crate::gemm::micro::{Operands, Tile, accumulate, start_from};
use crate::gemm::tiles::{At, Corner, TileBody, walk};
use crate::simd::{Arithmetic, Vector, group::Group};
use std::marker::PhantomData;

/// Loads the vector that starts at `from`, of which `left` floats exist.
///
/// # Safety
/// `from` is readable for `min(left, LANES)` floats.
#[inline(always)]
unsafe fn load<V: Vector>(token: V::Token, from: *const f32, left: usize) -> V {
    // SAFETY: the caller's promise.
    unsafe {
        if left >= V::LANES {
            V::load(token, &*from.cast())
        } else {
            V::load_first(token, std::slice::from_raw_parts(from, left))
        }
    }
}

/// Stores the vector that starts at `to`, of which `left` floats exist.
///
/// # Safety
/// `to` is writable for `min(left, LANES)` floats.
#[inline(always)]
unsafe fn store<V: Vector>(x: V, to: *mut f32, left: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        if left >= V::LANES {
            x.store(&mut *to.cast());
        } else {
            x.store_first(std::slice::from_raw_parts_mut(to, left));
        }
    }
}

impl Schedule {
    /// How many of the task's rows take part in step `t`.
    #[inline(always)]
    fn active(&self, t: usize) -> usize {
        if self.active.is_null() {
            return self.rows;
        }
        // SAFETY: `checked` saw one count for each step.
        let active = unsafe { *self.active.add(t) };
        active.saturating_sub(self.first_row).min(self.rows)
    }

    /// Whether the row's state is replaced before step `t`.
    #[inline(always)]
    fn is_reset(&self, t: usize, row: usize) -> bool {
        // SAFETY: `checked` saw one flag for each step and row of the batch.
        !self.resets.is_null() && unsafe { *self.resets.add(t * self.batch + self.first_row + row) }
    }

    /// Of the three places where a row's state before step `t` may stand: replaced, initial, or left by step t-1.
    #[inline(always)]
    fn before(&self, t: usize, row: usize, state: &Carried) -> *const f32 {
        if self.is_reset(t, row) {
            state.reset.at(0, row)
        } else if t == 0 || (!self.active.is_null() && row >= self.active(t - 1)) {
            state.initial.at(0, row)
        } else {
            state.steps.at(t - 1, row)
        }
    }
}

/// One time step forward, for [`walk`].
struct ForwardStep<'a, V, C, const NR: usize, const U: usize> {
    task: &'a ForwardTask,
    t: usize,
    cell: C,
    vector: PhantomData<V>,
}

/// Runs steps `begin .. end` of a forward task. With `SETS` 2 the kernel multiplies the input itself, as a second set of
/// chains; with 1, `xa` holds the projected input.
///
/// # Safety
/// The task was checked (`dispatch`), and its weights are packed for `V`'s lanes, strips of `NR` vectors and this cell.
#[inline(always)]
pub(crate) unsafe fn forward<
    V: Vector,
    C: FusedForward<G, S>,
    const G: usize,
    const S: usize,
    const MR: usize,
    const NR: usize,
    const U: usize,
    const SETS: usize,
>(
    token: V::Token,
    task: &ForwardTask,
    cell: C,
) {
    for t in task.begin..task.end {
        let rows = task.schedule.active(t);
        let gates = Gates::<_, S>(ForwardStep::<V, C, NR, U> { task, t, cell, vector: PhantomData });
        // SAFETY: the task's arguments cover all its rows and panels at step t, and all features of h.
        unsafe {
            walk::<V, _, G, SETS, MR, NR>(token, &gates, rows, task.panels);
            if C::OPTIONS && !task.w_hr.is_null() {
                project::forward::<V, S, MR, NR>(token, task, t, rows);
            }
        }
    }
}

/// A body whose cell saves `S` values: names the parameter that the trait alone would leave open.
struct Gates<T, const S: usize>(T);

impl<
    V: Vector,
    C: FusedForward<G, S>,
    const G: usize,
    const S: usize,
    const NR: usize,
    const U: usize,
    const SETS: usize,
> TileBody<V, G, SETS> for Gates<ForwardStep<'_, V, C, NR, U>, S>
{
    // Activations as data are much code already.
    const AT_ONCE: usize = if C::OPTIONS { 1 } else { 2 };

    #[inline(always)]
    fn goes_back(&self) -> bool {
        self.0.t % 2 == 1
    }

    #[inline(always)]
    unsafe fn products<const M: usize, const W: usize, const K: usize>(
        &self,
        token: V::Token,
        set: usize,
        corner: Corner,
    ) -> Tile<V, M, W, K> {
        let ForwardStep { task, t, .. } = self.0;
        let state = if C::OPTIONS { task.state } else { task.hidden };
        let Corner { row, vector, .. } = corner;
        let (w, bias, depth) =
            if set == 0 { (task.w_hh, task.b_hh, state) } else { (task.w_ih, task.b_ih, task.input) };
        let mut a = [std::ptr::null(); M];
        for r in 0..M {
            a[r] = if set == 0 {
                task.schedule.before(t, row + r, &task.h)
            } else {
                task.x.at(t, row + r).cast_const()
            };
        }
        // SAFETY: rows and vectors lie within the task, whose arguments were checked for all of them; packed weights are
        // padded to whole strips, biases to whole vectors.
        unsafe {
            let start = start_from(token, bias.add(vector * V::LANES));
            let operands = Operands::packed::<V, NR>(a, w, corner, depth, (0, depth));
            accumulate::<V, M, W, K, NR, U>(token, start, operands)
        }
    }

    #[inline(always)]
    unsafe fn finish<const N: usize>(&self, token: V::Token, at: [At; N], sums: [[Group<V, N>; G]; SETS]) {
        let ForwardStep { task, t, cell, .. } = self.0;
        let h = task.hidden;
        let projected = C::OPTIONS && !task.w_hr.is_null();
        let zero = Group::splat(token, 0.0);
        let mut step = Forward { xa: sums[SETS - 1], ha: sums[0], h_prev: zero, c_prev: zero };
        for n in 0..N {
            let At { row, panel } = at[n];
            let (unit, left) = (panel * V::LANES, h - panel * V::LANES);
            // SAFETY: row and panel lie within the task, whose arguments were checked for all of them; unit < h, and only `left`
            // floats from there are touched. `xa` holds whole panels.
            unsafe {
                if SETS == 1 {
                    let panels = h.div_ceil(V::LANES);
                    let place = ((t - task.begin) * panels + panel) * task.schedule.rows + row;
                    for g in 0..G {
                        let from = task.xa.add((place * G + g) * V::LANES);
                        step.xa[g].0[n] = V::load(token, &*from.cast());
                    }
                }
                if C::DIRECT {
                    let state = if projected { &task.c } else { &task.h };
                    let h_prev = task.schedule.before(t, row, state);
                    step.h_prev.0[n] = load(token, h_prev.add(unit), left);
                }
                if C::CELL_STATE {
                    let c_prev = task.schedule.before(t, row, &task.c);
                    step.c_prev.0[n] = load(token, c_prev.add(unit), left);
                }
            }
        }
        let new = cell.forward(token, step).flushed(token);
        for n in 0..N {
            let At { row, panel } = at[n];
            let (unit, left) = (panel * V::LANES, h - panel * V::LANES);
            // SAFETY: as above.
            unsafe {
                let gates = task.gates.at(t, row).wrapping_add(unit);
                let h_at = if projected { gates.add(S * h) } else { task.h.steps.at(t, row).add(unit) };
                store(new.h.0[n], h_at, left);
                if C::CELL_STATE || (C::DIRECT && projected) {
                    store(new.c.0[n], task.c.steps.at(t, row).add(unit), left);
                }
                if !task.gates.is_absent() {
                    for s in 0..S {
                        store(new.saved[s].0[n], gates.add(s * h), left);
                    }
                }
            }
        }
    }
}
