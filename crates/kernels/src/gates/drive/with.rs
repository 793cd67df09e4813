//! The passes of cells with options: activations that come with the task, and a projection of the state.
//!
//! Projected, h_t = W_hr u_t follows in a second pass over tiles once the first one has made all of u_t; u_t stands behind the
//! saved values. Backward the first pass makes dL/dh_{u-1}, which stays in `dh`, and the second one W_hr^T times it:
//!
//! ```text
//! forward    h[p]  = sum_j W_hr[p,j] u[j]        one FMA chain from 0, j ascending
//! backward   du[j] = sum_p W_hr[p,j] dh[p]       one FMA chain from 0, p ascending
//! ```

use super::back::{Backwards, Boundary};
use super::{ForwardStep, Gates, store};
use crate::gates::checked::{BackwardTask, ForwardTask};
use crate::gates::{CellBody, FusedForward};
use crate::gemm::micro::{Operands, Tile, accumulate};
use crate::gemm::tiles::{TileBody, walk};
use crate::math::activation::Activations;
use crate::simd::Vector;
use std::marker::PhantomData;

/// Runs steps `begin .. end` of a forward task.
///
/// # Safety
/// As [`forward`](super::forward); the task's activations are there.
#[inline(always)]
pub(crate) unsafe fn forward<
    V: Vector,
    C: FusedForward<G, S> + From<Activations>,
    const G: usize,
    const S: usize,
    const MR: usize,
    const NR: usize,
    const U: usize,
    const SETS: usize,
>(
    token: V::Token,
    task: &ForwardTask,
) {
    // SAFETY: the caller's promise.
    let cell = C::from(unsafe { *task.activations });
    for t in task.begin..task.end {
        let rows = task.schedule.active(t);
        let gates = Gates::<_, S>(ForwardStep::<V, C, NR, U, 0> { task, t, cell, vector: PhantomData });
        // SAFETY: the task's arguments cover all its rows and panels at step t.
        unsafe { walk::<V, _, G, SETS, MR, NR>(token, &gates, rows, task.hidden.div_ceil(V::LANES)) };
        if !task.w_hr.is_null() {
            let project = Project::<V, S, NR, U> { task, t, vector: PhantomData };
            // SAFETY: likewise, for the features of h.
            unsafe { walk::<V, _, 1, 1, MR, NR>(token, &project, rows, task.state.div_ceil(V::LANES)) };
        }
    }
}

/// The second pass of a step whose state is projected, for [`walk`].
struct Project<'a, V, const S: usize, const NR: usize, const U: usize> {
    task: &'a ForwardTask,
    t: usize,
    vector: PhantomData<V>,
}

impl<V: Vector, const S: usize, const NR: usize, const U: usize> TileBody<V, 1, 1>
    for Project<'_, V, S, NR, U>
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
        let acc = [[[V::splat(token, 0.0); K]; W]; M];
        let (task, h) = (self.task, self.task.hidden);
        let mut a = [std::ptr::null(); M];
        for r in 0..M {
            a[r] = task.gates.at(self.t, row + r).wrapping_add(S * h).cast_const();
        }
        let strip = h * NR * V::LANES;
        // SAFETY: rows and vectors lie within the task, whose arguments were checked for all of them; packed weights are
        // padded to whole strips.
        unsafe {
            let b = task.w_hr.add(vector / NR * strip + vector % NR * V::LANES);
            accumulate::<V, M, W, K, NR, U>(token, acc, Operands { a, a_step: 1, b, strip, depth: h })
        }
    }

    #[inline(always)]
    unsafe fn finish(&self, _: V::Token, row: usize, panel: usize, [[h]]: [[V; 1]; 1]) {
        let unit = panel * V::LANES;
        // SAFETY: row and panel lie within the task; only the features of h from `unit` on are touched.
        unsafe { store(h, self.task.y.at(self.t, row).add(unit), self.task.state - unit) };
    }
}

/// Runs steps `begin .. end` of a backward task, last step first.
///
/// # Safety
/// As [`backward`](super::backward); the task's activations are there.
#[inline(always)]
pub(crate) unsafe fn backward<
    V: Vector,
    C: CellBody<G, S> + From<Activations>,
    const G: usize,
    const S: usize,
    const MR: usize,
    const NR: usize,
    const U: usize,
>(
    token: V::Token,
    task: &BackwardTask,
) {
    let panels = task.hidden.div_ceil(V::LANES);
    // SAFETY: the caller's promise.
    let cell = C::from(unsafe { *task.activations });
    for u in (task.begin..=task.end).rev() {
        let body = Backwards::<_, G, S>(Boundary::<V, C, NR, U, 0>::new(task, u, cell));
        let rows = body.0.rows();
        // SAFETY: the task's arguments cover all its rows and panels at steps u and u-1, and all features of h.
        unsafe {
            if task.w_hr.is_null() {
                walk::<V, _, 1, 1, MR, NR>(token, &body, rows, panels);
            } else {
                let state_panels = task.state.div_ceil(V::LANES);
                walk::<V, _, 1, 1, MR, NR>(token, &StateGradient(&body), rows, state_panels);
                walk::<V, _, 1, 1, MR, NR>(token, &Unproject(&body), rows, panels);
            }
        }
    }
}

/// The first pass back over a boundary where the state is projected: the gradient of h.
struct StateGradient<'a, B>(&'a B);

impl<V: Vector, C: CellBody<G, S>, const G: usize, const S: usize, const NR: usize, const U: usize>
    TileBody<V, 1, 1> for StateGradient<'_, Backwards<Boundary<'_, V, C, NR, U, 0>, G, S>>
{
    const STORES: bool = false;

    #[inline(always)]
    unsafe fn products<const M: usize, const W: usize, const K: usize>(
        &self,
        token: V::Token,
        set: usize,
        row: usize,
        vector: usize,
    ) -> Tile<V, M, W, K> {
        // SAFETY: the caller's promise; the packed W_hh has a column for each feature of h.
        unsafe { self.0.products::<M, W, K>(token, set, row, vector) }
    }

    #[inline(always)]
    unsafe fn finish(&self, token: V::Token, row: usize, panel: usize, [[chain]]: [[V; 1]; 1]) {
        let Boundary { task, to, .. } = self.0.0;
        let unit = panel * V::LANES;
        let left = task.state - unit;
        // SAFETY: row and panel lie within the task; only the features of h from `unit` on are touched.
        unsafe {
            let dh = self.0.passed(token, row, unit, left, chain);
            if row < to {
                store(dh, task.dh.at(0, row).add(unit), left);
            }
        }
    }
}

/// The second pass: the gradient of u, and of the gates.
struct Unproject<'a, B>(&'a B);

impl<V: Vector, C: CellBody<G, S>, const G: usize, const S: usize, const NR: usize, const U: usize>
    TileBody<V, 1, 1> for Unproject<'_, Backwards<Boundary<'_, V, C, NR, U, 0>, G, S>>
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
        let acc = [[[V::splat(token, 0.0); K]; W]; M];
        let Boundary { task, to, .. } = self.0.0;
        if row >= to {
            return acc;
        }
        let mut a = [std::ptr::null(); M];
        for r in 0..M {
            a[r] = task.dh.at(0, row + r).cast_const();
        }
        let strip = task.state * NR * V::LANES;
        // SAFETY: rows and vectors lie within the task, whose arguments were checked for all of them; packed weights are
        // padded to whole strips. A row from `to` on has its place in `dh` too; what is computed from it is not used.
        unsafe {
            let b = task.w_hr.add(vector / NR * strip + vector % NR * V::LANES);
            accumulate::<V, M, W, K, NR, U>(
                token,
                acc,
                Operands { a, a_step: 1, b, strip, depth: task.state },
            )
        }
    }

    #[inline(always)]
    unsafe fn finish(&self, token: V::Token, row: usize, panel: usize, [[du]]: [[V; 1]; 1]) {
        let unit = panel * V::LANES;
        // SAFETY: row and panel lie within the task.
        unsafe { self.0.step_back(token, row, unit, self.0.0.task.hidden - unit, du) };
    }
}
