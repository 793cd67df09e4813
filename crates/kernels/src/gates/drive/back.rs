//! The way back through time. At each boundary between steps one pass over tiles takes the gradient from the later step to the
//! earlier one.

use super::{Gates, load, project, store};
use crate::gates::checked::BackwardTask;
use crate::gates::{Backward, CellBody};
use crate::gemm::micro::{Operands, Tile, accumulate, zeros};
use crate::gemm::sums::{PanelBody, walk_panels};
use crate::gemm::tiles::{At, Corner, Products};
use crate::math::flush::flushed;
use crate::simd::{Arithmetic, Vector, group::Group};
use std::marker::PhantomData;

/// The boundary between steps u-1 and u, for [`walk_panels`].
pub(super) struct Boundary<'a, V, C, const NR: usize> {
    pub(super) task: &'a BackwardTask,
    u: usize,
    /// Rows below it took part in step u (if u belongs to this task): their gradient comes from there.
    from: usize,
    /// Rows below it took part in step u-1 (likewise): their gradient goes there.
    pub(super) to: usize,
    cell: C,
    vector: PhantomData<V>,
}

/// Passes the boundaries of a backward task, last one first.
///
/// # Safety
/// The task was checked (`tasks`), and its weights are packed for `V`'s lanes and this cell.
#[inline(always)]
pub(crate) unsafe fn backward<
    V: Vector,
    C: CellBody<G, S>,
    const G: usize,
    const S: usize,
    const MR: usize,
    const NR: usize,
>(
    token: V::Token,
    task: &BackwardTask,
    cell: C,
) {
    debug_assert_eq!(C::hidden(task.hidden), task.hidden, "a kernel of another hidden size");
    let (last, first) = task.boundaries;
    for u in (first..=last).rev() {
        let body = Gates::<_, G, S>(Boundary::<V, C, NR>::new(task, u, cell));
        // SAFETY: the task's arguments cover all its rows and panels at steps u and u-1.
        unsafe {
            if C::OPTIONS && !task.w_hr.is_null() {
                project::backward::<V, C, G, S, MR, NR>(token, &body);
            } else {
                walk_panels::<V, _, 1, 1, MR, NR>(token, &body, body.0.rows(), task.panels);
            }
        }
    }
}

impl<'a, V, C, const NR: usize> Boundary<'a, V, C, NR> {
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

impl<V: Vector, C: CellBody<G, S>, const G: usize, const S: usize, const NR: usize> Products<V, 1, 1>
    for Gates<Boundary<'_, V, C, NR>, G, S>
{
    #[inline(always)]
    fn goes_back(&self) -> bool {
        self.0.u % 2 == 1
    }

    #[inline(always)]
    unsafe fn products<const M: usize, const W: usize, const K: usize>(
        &self,
        token: V::Token,
        _: usize,
        corner: Corner,
    ) -> Tile<V, M, W, K> {
        let Boundary { task, u, from, .. } = self.0;
        let h = C::hidden(task.hidden);
        let mut acc = zeros(token);
        if corner.row >= from {
            return acc;
        }
        let mut gate = 0;
        for &(slot, gates) in C::HA_RUNS {
            let a = task.gates.rows_at(u, corner.row, slot * h);
            let k = (gate * h, gates * h);
            // SAFETY: rows and vectors lie within the task, whose arguments were checked for all of them; packed weights are
            // padded to whole strips. A row from `from` on has its place in `gates` too; what is computed from it is not used.
            acc = unsafe {
                let operands = Operands::packed::<V, NR>(a, task.w_hh, corner, G * h, k);
                accumulate::<V, M, W, K, NR, 1>(token, acc, operands)
            };
            gate += gates;
        }
        acc
    }
}

impl<V: Vector, C: CellBody<G, S>, const G: usize, const S: usize, const NR: usize> PanelBody<V, 1, 1>
    for Gates<Boundary<'_, V, C, NR>, G, S>
{
    const AT_ONCE: usize = if C::OPTIONS { 1 } else { 2 };

    /// Passes the gradient of vectors of units over the boundary.
    #[inline(always)]
    unsafe fn finish_panels<const N: usize>(
        &self,
        token: V::Token,
        at: [At; N],
        [[mut gradients]]: [[Group<V, N>; 1]; 1],
    ) {
        // SAFETY: rows and panels lie within the task.
        unsafe {
            for n in 0..N {
                let left = C::hidden(self.0.task.hidden) - at[n].panel * V::LANES;
                gradients.0[n] = self.passed(token, at[n], left, gradients.0[n]);
            }
            self.step_back(token, at, gradients);
        }
    }
}

impl<V: Vector, C: CellBody<G, S>, const G: usize, const S: usize, const NR: usize>
    Gates<Boundary<'_, V, C, NR>, G, S>
{
    /// Passes the gradient of `left` features of h of one row, from a panel on, over the boundary: to the steps before the task,
    /// as `dh` takes it, where the row took no part in step u-1; else the result, with what comes from upstream, is dL/dh_{u-1}.
    ///
    /// # Safety
    /// The row lies within the task, and so do the features.
    #[inline(always)]
    pub(super) unsafe fn passed(&self, token: V::Token, at: At, left: usize, chain: V) -> V {
        let Boundary { task, u, from, to, .. } = self.0;
        let (row, unit) = (at.row, at.panel * V::LANES);
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
            let dh = flushed(token, upstream.add(carry));
            if !task.dh_steps.is_absent() {
                store(dh, task.dh_steps.at(t, row).add(unit), left);
            }
            dh
        }
    }

    /// Turns the gradients of h_{u-1} (of what the cell made, before any projection) into those of step u-1's gates.
    ///
    /// # Safety
    /// Rows and panels lie within the task.
    #[inline(always)]
    pub(super) unsafe fn step_back<const N: usize>(&self, token: V::Token, at: [At; N], dh: Group<V, N>) {
        let Boundary { task, u, from, to, cell, .. } = self.0;
        let h = C::hidden(task.hidden);
        let zero = Group::splat(token, 0.0);
        let in_c = C::DIRECT && C::OPTIONS && !task.w_hr.is_null();
        let keeps_c = C::CELL_STATE || in_c;
        let mut step = Backward { saved: [zero; S], dh, dc: zero, h_prev: zero, c_prev: zero, c: zero };
        let mut any = false;
        for n in 0..N {
            let At { row, panel } = at[n];
            let (unit, left) = (panel * V::LANES, h - panel * V::LANES);
            let dc_at = task.dc.at(0, row).wrapping_add(unit);
            // SAFETY: the task's arguments were checked for all its rows and units.
            unsafe {
                if keeps_c && !(row < from && task.schedule.is_reset(u, row)) {
                    step.dc.0[n] = load(token, dc_at, left);
                }
                if row >= to {
                    if keeps_c {
                        store(step.dc.0[n], dc_at, left);
                    }
                    continue;
                }
                any = true;
                let t = u - 1;
                for s in 0..S {
                    step.saved[s].0[n] = load(token, task.gates.at(t, row).add(s * h + unit), left);
                }
                if C::DIRECT {
                    let state = if in_c { &task.c } else { &task.h };
                    let h_prev = task.schedule.before(t, row, state);
                    step.h_prev.0[n] = load(token, h_prev.add(unit), left);
                }
                if C::CELL_STATE {
                    let c_prev = task.schedule.before(t, row, &task.c);
                    step.c_prev.0[n] = load(token, c_prev.add(unit), left);
                    step.c.0[n] = load(token, task.c.steps.at(t, row).add(unit), left);
                }
            }
        }
        if !any {
            return;
        }
        if in_c {
            step.dh = flushed(token, dh.add(step.dc));
        }
        let (dh, t) = (step.dh, u - 1);
        let new = cell.backward(token, step);
        for n in 0..N {
            let At { row, panel } = at[n];
            if row >= to {
                continue;
            }
            let (unit, left) = (panel * V::LANES, h - panel * V::LANES);
            let dh_at = task.dh.at(0, row).wrapping_add(unit);
            let dc_at = task.dc.at(0, row).wrapping_add(unit);
            // SAFETY: as above.
            unsafe {
                if keeps_c && !task.dc_steps.is_absent() {
                    let dc = if in_c { dh.0[n] } else { new.dc.0[n] };
                    store(dc, task.dc_steps.at(t, row).add(unit), left);
                }
                for s in 0..S {
                    store(new.gates[s].0[n], task.gates.at(t, row).add(s * h + unit), left);
                }
                if C::DIRECT {
                    store(new.direct.0[n], if in_c { dc_at } else { dh_at }, left);
                }
                if C::CELL_STATE {
                    store(new.dc_prev.0[n], dc_at, left);
                }
            }
        }
    }
}
