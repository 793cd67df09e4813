//! The way back through time. At each boundary between steps one pass over tiles takes the gradient from the later step to the
//! earlier one.

use super::{hidden_size, load, store};
use crate::gates::checked::BackwardTask;
use crate::gates::{Backward, CellBody};
use crate::gemm::micro::{Operands, Tile, accumulate};
use crate::gemm::tiles::{TileBody, walk};
use crate::simd::Vector;
use std::marker::PhantomData;

/// The boundary between steps u-1 and u, for [`walk`].
pub(super) struct Boundary<'a, V, C, const NR: usize, const U: usize, const H: usize> {
    pub(super) task: &'a BackwardTask,
    u: usize,
    /// Rows below it took part in step u (if u belongs to this task): their gradient comes from there.
    from: usize,
    /// Rows below it took part in step u-1 (likewise): their gradient goes there.
    pub(super) to: usize,
    cell: C,
    vector: PhantomData<V>,
}

/// Runs steps `begin .. end` of a backward task, last step first.
///
/// # Safety
/// The task was checked (`dispatch`), and its weights are packed for `V`'s lanes and this cell.
#[inline(always)]
pub(crate) unsafe fn backward<
    V: Vector,
    C: CellBody<G, S> + Default,
    const G: usize,
    const S: usize,
    const MR: usize,
    const NR: usize,
    const U: usize,
    const H: usize,
>(
    token: V::Token,
    task: &BackwardTask,
) {
    let panels = hidden_size::<H>(task.hidden).div_ceil(V::LANES);
    for u in (task.begin..=task.end).rev() {
        let body = Backwards::<_, G, S>(Boundary::<V, C, NR, U, H>::new(task, u, C::default()));
        // SAFETY: the task's arguments cover all its rows and panels at steps u and u-1.
        unsafe { walk::<V, _, 1, 1, MR, NR>(token, &body, body.0.rows(), panels) };
    }
}

impl<'a, V, C, const NR: usize, const U: usize, const H: usize> Boundary<'a, V, C, NR, U, H> {
    #[inline(always)]
    pub(super) fn new(task: &'a BackwardTask, u: usize, cell: C) -> Self {
        let from = if u == task.end { 0 } else { task.schedule.active(u) };
        let to = if u == task.begin { 0 } else { task.schedule.active(u - 1) };
        Boundary { task, u, from, to, cell, vector: PhantomData }
    }

    /// Rows that took part in either step.
    #[inline(always)]
    pub(super) fn rows(&self) -> usize {
        if self.from > self.to { self.from } else { self.to }
    }
}

/// A body whose cell has `G` gates and saves `S` values: names the parameters that the trait alone would leave open.
pub(super) struct Backwards<T, const G: usize, const S: usize>(pub(super) T);

impl<
    V: Vector,
    C: CellBody<G, S>,
    const G: usize,
    const S: usize,
    const NR: usize,
    const U: usize,
    const H: usize,
> TileBody<V, 1, 1> for Backwards<Boundary<'_, V, C, NR, U, H>, G, S>
{
    const STORES: bool = false;

    #[inline(always)]
    unsafe fn products<const M: usize, const W: usize, const K: usize>(
        &self,
        token: V::Token,
        _: usize,
        row: usize,
        vector: usize,
    ) -> Tile<V, M, W, K> {
        let Boundary { task, u, from, .. } = self.0;
        let h = hidden_size::<H>(task.hidden);
        let mut acc = [[[V::splat(token, 0.0); K]; W]; M];
        if row >= from {
            return acc;
        }
        let strip = G * h * NR * V::LANES;
        let mut gate = 0;
        for &(slot, gates) in C::HA_RUNS {
            let mut a = [std::ptr::null(); M];
            for r in 0..M {
                a[r] = task.gates.at(u, row + r).wrapping_add(slot * h).cast_const();
            }
            // SAFETY: rows and vectors lie within the task, whose arguments were checked for all of them; packed weights are
            // padded to whole strips. A row from `from` on has its place in `gates` too; what is computed from it is not used.
            acc = unsafe {
                let b = task.w_hh.add(vector / NR * strip + (vector % NR + gate * h * NR) * V::LANES);
                let operands = Operands { a, a_step: 1, b, strip, depth: gates * h };
                accumulate::<V, M, W, K, NR, U>(token, acc, operands)
            };
            gate += gates;
        }
        acc
    }

    /// Passes the gradient of one vector of units of one row over the boundary.
    #[inline(always)]
    unsafe fn finish(&self, token: V::Token, row: usize, panel: usize, [[chain]]: [[V; 1]; 1]) {
        let unit = panel * V::LANES;
        let left = hidden_size::<H>(self.0.task.hidden) - unit;
        // SAFETY: row and panel lie within the task; `left` floats from the unit on are units of the cell.
        unsafe {
            let dh = self.passed(token, row, unit, left, chain);
            self.step_back(token, row, unit, left, dh);
        }
    }
}

impl<
    V: Vector,
    C: CellBody<G, S>,
    const G: usize,
    const S: usize,
    const NR: usize,
    const U: usize,
    const H: usize,
> Backwards<Boundary<'_, V, C, NR, U, H>, G, S>
{
    /// Passes the gradient of `left` features of h of one row, from `unit` on, over the boundary: to the steps before the task,
    /// as `dh` takes it, where the row took no part in step u-1; else the result, with what comes from upstream, is dL/dh_{u-1}.
    ///
    /// # Safety
    /// The row lies within the task, and so do the features.
    #[inline(always)]
    pub(super) unsafe fn passed(&self, token: V::Token, row: usize, unit: usize, left: usize, chain: V) -> V {
        let Boundary { task, u, from, to, .. } = self.0;
        let zero = V::splat(token, 0.0);
        let projected = C::OPTIONS && !task.w_hr.is_null();
        // SAFETY: the task's arguments were checked for all its rows; only `left` floats from the unit on are touched.
        unsafe {
            let dh_at = task.dh.at(0, row).add(unit);
            let stopped = row < from && task.schedule.is_reset(u, row);
            // What comes over the boundary: from step u, or, for a row whose last step this is, from beyond the sequence,
            // as `dh` held it. `dh` holds the direct term from step u on.
            let mut carry = zero;
            if !stopped {
                carry = if row >= from {
                    load(token, dh_at, left)
                } else if C::DIRECT && !projected {
                    load::<V>(token, dh_at, left).add(chain)
                } else {
                    chain
                };
            }
            if row >= to {
                store(carry, dh_at, left);
                return carry;
            }
            let t = u - 1;
            let upstream =
                if task.dy.is_absent() { zero } else { load(token, task.dy.at(t, row).add(unit), left) };
            let dh = upstream.add(carry);
            if !task.dh_steps.is_absent() {
                store(dh, task.dh_steps.at(t, row).add(unit), left);
            }
            dh
        }
    }

    /// Turns the gradient of h_{u-1} (of what the cell made, before any projection) into those of step u-1's gates.
    ///
    /// # Safety
    /// The row lies within the task; `left` units from `unit` on are units of the cell.
    #[inline(always)]
    pub(super) unsafe fn step_back(&self, token: V::Token, row: usize, unit: usize, left: usize, dh: V) {
        let Boundary { task, u, from, to, cell, .. } = self.0;
        let h = hidden_size::<H>(task.hidden);
        let zero = V::splat(token, 0.0);
        let in_c = C::DIRECT && C::OPTIONS && !task.w_hr.is_null();
        let keeps_c = C::CELL_STATE || in_c;
        // SAFETY: the task's arguments were checked for all its rows and units.
        unsafe {
            let dh_at = task.dh.at(0, row).wrapping_add(unit);
            let dc_at = task.dc.at(0, row).wrapping_add(unit);
            let mut dc = zero;
            if keeps_c && !(row < from && task.schedule.is_reset(u, row)) {
                dc = load(token, dc_at, left);
            }
            if row >= to {
                if keeps_c {
                    store(dc, dc_at, left);
                }
                return;
            }
            let t = u - 1;
            let dh = if in_c { dh.add(dc) } else { dh };
            let mut step = Backward { saved: [zero; S], dh, dc, h_prev: zero, c_prev: zero, c: zero };
            for s in 0..S {
                step.saved[s] = load(token, task.gates.at(t, row).add(s * h + unit), left);
            }
            if C::DIRECT {
                let at = if in_c {
                    task.schedule.before(t, row, task.reset_c, task.c_0, task.c)
                } else {
                    task.schedule.before(t, row, task.reset_h, task.h_0, task.y)
                };
                step.h_prev = load(token, at.add(unit), left);
            }
            if C::CELL_STATE {
                let at = task.schedule.before(t, row, task.reset_c, task.c_0, task.c);
                step.c_prev = load(token, at.add(unit), left);
                step.c = load(token, task.c.at(t, row).add(unit), left);
            }
            let new = cell.backward(token, step);
            if keeps_c && !task.dc_steps.is_absent() {
                store(if in_c { dh } else { new.dc }, task.dc_steps.at(t, row).add(unit), left);
            }
            for s in 0..S {
                store(new.gates[s], task.gates.at(t, row).add(s * h + unit), left);
            }
            if C::DIRECT {
                store(new.direct, if in_c { dc_at } else { dh_at }, left);
            }
            if C::CELL_STATE {
                store(new.dc_prev, dc_at, left);
            }
        }
    }
}
