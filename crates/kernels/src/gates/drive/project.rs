//! The second pass over tiles that a projected state takes in each step.
//!
//! h_t = W_hr u_t follows once the first pass has made all of u_t, which stands behind the saved values. Backward the first pass
//! makes dL/dh_{u-1}, which stays in `dh`, and the second one W_hr^T times it:
//!
//! ```text
//! forward    h[p]  = sum_j W_hr[p,j] u[j]        one FMA chain from 0, j ascending
//! backward   du[j] = sum_p W_hr[p,j] dh[p]       one FMA chain from 0, p ascending
//! ```

use super::Gates;
use super::back::Boundary;
use super::store;
use crate::gates::CellBody;
use crate::gates::checked::ForwardTask;
use crate::gemm::micro::{Operands, Tile, accumulate, zeros};
use crate::gemm::sums::{PanelBody, walk_panels};
use crate::gemm::tiles::{At, Corner, Products};
use crate::math::flush::flushed;
use crate::simd::{Vector, group::Group};
use std::marker::PhantomData;

/// The second pass of step `t`, of `rows` rows.
///
/// # Safety
/// As [`forward`](super::forward); u_t is there, and the task has a projection.
#[inline(always)]
pub(super) unsafe fn forward<V: Vector, const S: usize, const MR: usize, const NR: usize>(
    token: V::Token,
    task: &ForwardTask,
    t: usize,
    rows: usize,
) {
    let project = Project::<V, S, NR> { task, t, vector: PhantomData };
    // SAFETY: the task's arguments cover all features of h.
    unsafe { walk_panels::<V, _, 1, 1, MR, NR>(token, &project, rows, (0, task.state.div_ceil(V::LANES))) };
}

/// The second pass of a step, for [`walk_panels`].
struct Project<'a, V, const S: usize, const NR: usize> {
    task: &'a ForwardTask,
    t: usize,
    vector: PhantomData<V>,
}

impl<V: Vector, const S: usize, const NR: usize> Products<V, 1, 1> for Project<'_, V, S, NR> {
    #[inline(always)]
    unsafe fn products<const M: usize, const W: usize, const K: usize>(
        &self,
        token: V::Token,
        _: usize,
        corner: Corner,
    ) -> Tile<V, M, W, K> {
        let (task, h) = (self.task, self.task.hidden);
        let a = task.gates.rows_at(self.t, corner.row, S * h);
        // SAFETY: rows and vectors lie within the task, whose arguments were checked for all of them; packed weights are
        // padded to whole strips.
        unsafe {
            let operands = Operands::packed::<V, NR>(a, task.w_hr, corner, h, (0, h));
            accumulate::<V, M, W, K, NR, 1>(token, zeros(token), operands)
        }
    }
}

impl<V: Vector, const S: usize, const NR: usize> PanelBody<V, 1, 1> for Project<'_, V, S, NR> {
    const AT_ONCE: usize = 1;

    #[inline(always)]
    unsafe fn finish_panels<const N: usize>(
        &self,
        token: V::Token,
        at: [At; N],
        [[h]]: [[Group<V, N>; 1]; 1],
    ) {
        for n in 0..N {
            let unit = at[n].panel * V::LANES;
            // SAFETY: row and panel lie within the task; only the features of h from `unit` on are touched.
            unsafe {
                let h = flushed(token, h.0[n]);
                store(h, self.task.h.steps.at(self.t, at[n].row).add(unit), self.task.state - unit);
            }
        }
    }
}

/// Both passes back over a boundary.
///
/// # Safety
/// As [`backward`](super::backward); the task has a projection.
#[inline(always)]
pub(super) unsafe fn backward<
    V: Vector,
    C: CellBody<G, S>,
    const G: usize,
    const S: usize,
    const MR: usize,
    const NR: usize,
>(
    token: V::Token,
    body: &Gates<Boundary<'_, V, C, NR>, G, S>,
) {
    let (task, rows) = (body.0.task, body.0.rows());
    // SAFETY: the task's arguments cover all its rows and panels, and all features of h.
    unsafe {
        walk_panels::<V, _, 1, 1, MR, NR>(
            token,
            &StateGradient(body),
            rows,
            (0, task.state.div_ceil(V::LANES)),
        );
        walk_panels::<V, _, 1, 1, MR, NR>(token, &Unproject(body), rows, task.panels);
    }
}

/// The first pass back over a boundary: the gradient of h.
struct StateGradient<'a, B>(&'a B);

impl<V: Vector, C: CellBody<G, S>, const G: usize, const S: usize, const NR: usize> Products<V, 1, 1>
    for StateGradient<'_, Gates<Boundary<'_, V, C, NR>, G, S>>
{
    #[inline(always)]
    unsafe fn products<const M: usize, const W: usize, const K: usize>(
        &self,
        token: V::Token,
        set: usize,
        corner: Corner,
    ) -> Tile<V, M, W, K> {
        // SAFETY: the caller's promise; the packed W_hh has a column for each feature of h.
        unsafe { self.0.products::<M, W, K>(token, set, corner) }
    }
}

impl<V: Vector, C: CellBody<G, S>, const G: usize, const S: usize, const NR: usize> PanelBody<V, 1, 1>
    for StateGradient<'_, Gates<Boundary<'_, V, C, NR>, G, S>>
{
    const AT_ONCE: usize = 1;

    #[inline(always)]
    unsafe fn finish_panels<const N: usize>(
        &self,
        token: V::Token,
        at: [At; N],
        [[chain]]: [[Group<V, N>; 1]; 1],
    ) {
        let Boundary { task, to, .. } = self.0.0;
        for n in 0..N {
            let unit = at[n].panel * V::LANES;
            let left = task.state - unit;
            // SAFETY: row and panel lie within the task; only the features of h from `unit` on are touched.
            unsafe {
                let dh = self.0.passed(token, at[n], left, chain.0[n]);
                if at[n].row < to {
                    store(dh, task.dh.at(0, at[n].row).add(unit), left);
                }
            }
        }
    }
}

/// The second pass: the gradient of u, and of the gates.
struct Unproject<'a, B>(&'a B);

impl<V: Vector, C: CellBody<G, S>, const G: usize, const S: usize, const NR: usize> Products<V, 1, 1>
    for Unproject<'_, Gates<Boundary<'_, V, C, NR>, G, S>>
{
    #[inline(always)]
    unsafe fn products<const M: usize, const W: usize, const K: usize>(
        &self,
        token: V::Token,
        _: usize,
        corner: Corner,
    ) -> Tile<V, M, W, K> {
        let Boundary { task, to, .. } = self.0.0;
        if corner.row >= to {
            return zeros(token);
        }
        let a = task.dh.rows_at(0, corner.row, 0);
        // SAFETY: rows and vectors lie within the task, whose arguments were checked for all of them; packed weights are
        // padded to whole strips. A row from `to` on has its place in `dh` too; what is computed from it is not used.
        unsafe {
            let operands = Operands::packed::<V, NR>(a, task.w_hr, corner, task.state, (0, task.state));
            accumulate::<V, M, W, K, NR, 1>(token, zeros(token), operands)
        }
    }
}

impl<V: Vector, C: CellBody<G, S>, const G: usize, const S: usize, const NR: usize> PanelBody<V, 1, 1>
    for Unproject<'_, Gates<Boundary<'_, V, C, NR>, G, S>>
{
    const AT_ONCE: usize = 1;

    #[inline(always)]
    unsafe fn finish_panels<const N: usize>(
        &self,
        token: V::Token,
        at: [At; N],
        [[du]]: [[Group<V, N>; 1]; 1],
    ) {
        // SAFETY: rows and panels lie within the task.
        unsafe { self.0.step_back(token, at, du) };
    }
}
