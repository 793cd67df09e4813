//! The passes of the GRU whose reset gate comes before the product: W_hn multiplies m = r * h, which stands among the saved
//! values, so that each step takes a second pass over tiles. The weights of r and z are packed together, those of n behind them.

use super::Gates;
use super::back::Boundary;
use super::table::start_input;
use super::{load, store};
use crate::gates::checked::{BackwardTask, ForwardTask};
use crate::gates::gru::GruResetBefore;
use crate::gemm::micro::{Operands, Tile, accumulate, start_from, zeros};
use crate::gemm::sums::{PanelBody, walk_panels};
use crate::gemm::tiles::{At, Corner, Products};
use crate::math::flush::flushed;
use crate::simd::{Vector, group::Group};
use std::marker::PhantomData;

/// Places of the saved values.
const R_SLOT: usize = 0;
const Z_SLOT: usize = 1;
const N_SLOT: usize = 2;
const M_SLOT: usize = 3;

/// One pass of a step forward, for [`walk_panels`]: with G = 2 the first one, with G = 1 the second one.
struct Pass<'a, V, const G: usize, const NR: usize> {
    task: &'a ForwardTask,
    t: usize,
    cell: GruResetBefore,
    vector: PhantomData<V>,
}

/// Runs steps `begin .. end` of a forward task, the input multiplied here.
///
/// # Safety
/// As [`forward`](super::forward).
#[inline(always)]
pub(crate) unsafe fn forward<V: Vector, const MR: usize, const NR: usize>(
    token: V::Token,
    task: &ForwardTask,
    cell: GruResetBefore,
) {
    for t in task.begin..task.end {
        let rows = task.schedule.active(t);
        let gates = Pass::<V, 2, NR> { task, t, cell, vector: PhantomData };
        let state = Pass::<V, 1, NR> { task, t, cell, vector: PhantomData };
        // SAFETY: the task's arguments cover all its rows and panels at step t.
        unsafe {
            walk_panels::<V, _, 2, 2, MR, NR>(token, &gates, rows, task.panels);
            walk_panels::<V, _, 1, 2, MR, NR>(token, &state, rows, task.panels);
        }
    }
}

impl<V: Vector, const G: usize, const NR: usize> Pass<'_, V, G, NR> {
    /// Where the packed weights of the pass begin, of which each gate has `depth` for a unit.
    #[inline(always)]
    fn skip(&self, depth: usize) -> usize {
        let strips = (2 * self.task.hidden.div_ceil(V::LANES)).div_ceil(NR);
        if G == 2 { 0 } else { strips * NR * V::LANES * depth }
    }

    /// First pass: r, z and m.
    ///
    /// # Safety
    /// Row and panel lie within the task.
    #[inline(always)]
    unsafe fn gates(&self, token: V::Token, at: At, xa: [V; 2], ha: [V; 2]) {
        let Pass { task, t, cell, .. } = *self;
        let (unit, left) = (at.panel * V::LANES, task.hidden - at.panel * V::LANES);
        // SAFETY: the task's arguments were checked for all its rows; only `left` floats from the unit on are touched.
        unsafe {
            let h_prev = load(token, task.schedule.before(t, at.row, &task.h).add(unit), left);
            let [r, z, m] = cell.gates(token, xa, ha, h_prev);
            let saved = task.gates.at(t, at.row).add(unit);
            store(r, saved.add(R_SLOT * task.hidden), left);
            store(z, saved.add(Z_SLOT * task.hidden), left);
            store(m, saved.add(M_SLOT * task.hidden), left);
        }
    }

    /// Second pass: n and h'.
    ///
    /// # Safety
    /// Row and panel lie within the task.
    #[inline(always)]
    unsafe fn state(&self, token: V::Token, at: At, xa_n: V, ha_n: V) {
        let Pass { task, t, cell, .. } = *self;
        let (unit, left) = (at.panel * V::LANES, task.hidden - at.panel * V::LANES);
        // SAFETY: the task's arguments were checked for all its rows; only `left` floats from the unit on are touched.
        unsafe {
            let h_prev = load(token, task.schedule.before(t, at.row, &task.h).add(unit), left);
            let saved = task.gates.at(t, at.row).add(unit);
            let z = load(token, saved.add(Z_SLOT * task.hidden), left);
            let [n, h] = cell.state(token, xa_n, ha_n, z, h_prev);
            store(n, saved.add(N_SLOT * task.hidden), left);
            store(flushed(token, h), task.h.steps.at(t, at.row).add(unit), left);
        }
    }
}

impl<V: Vector, const G: usize, const NR: usize> Products<V, G, 2> for Pass<'_, V, G, NR> {
    #[inline(always)]
    unsafe fn products<const M: usize, const W: usize, const K: usize>(
        &self,
        token: V::Token,
        set: usize,
        corner: Corner,
    ) -> Tile<V, M, W, K> {
        let Pass { task, t, .. } = *self;
        let Corner { row, vector, .. } = corner;
        let (w, depth) = if set == 0 { (task.w_hh, task.hidden) } else { (task.w_ih, task.input) };
        let mut a = [std::ptr::null(); M];
        for r in 0..M {
            a[r] = if set == 1 {
                task.x.at(t, row + r).cast_const()
            } else if G == 2 {
                task.schedule.before(t, row + r, &task.h)
            } else {
                task.gates.at(t, row + r).wrapping_add(M_SLOT * task.hidden).cast_const()
            };
        }
        // SAFETY: the task's arguments were checked for all its rows and vectors; packed weights and biases are padded to whole
        // strips.
        unsafe {
            let at = self.skip(1) + vector * V::LANES;
            let start = match set {
                0 => start_from(token, task.b_hh.add(at)),
                _ => start_input(token, task, (t, row), at),
            };
            let w = w.add(self.skip(depth));
            let operands = Operands::packed::<V, NR>(a, w, corner, depth, (0, depth));
            accumulate::<V, M, W, K, NR, 1>(token, start, operands)
        }
    }
}

impl<V: Vector, const G: usize, const NR: usize> PanelBody<V, G, 2> for Pass<'_, V, G, NR> {
    const AT_ONCE: usize = 1;

    #[inline(always)]
    unsafe fn finish_panels<const N: usize>(
        &self,
        token: V::Token,
        at: [At; N],
        [ha, xa]: [[Group<V, N>; G]; 2],
    ) {
        for n in 0..N {
            // SAFETY: rows and panels lie within the task.
            unsafe {
                if G == 2 {
                    let (xa, ha) = ([xa[0].0[n], xa[G - 1].0[n]], [ha[0].0[n], ha[G - 1].0[n]]);
                    self.gates(token, at[n], xa, ha);
                } else {
                    self.state(token, at[n], xa[0].0[n], ha[0].0[n]);
                }
            }
        }
    }
}

/// Runs steps `begin .. end` of a backward task, last step first.
///
/// # Safety
/// As [`backward`](super::backward).
#[inline(always)]
pub(crate) unsafe fn backward<V: Vector, const MR: usize, const NR: usize>(
    token: V::Token,
    task: &BackwardTask,
    cell: GruResetBefore,
) {
    for u in (task.begin..=task.end).rev() {
        let first = Gates::<_, 3, 4>(Boundary::<V, GruResetBefore, NR>::new(task, u, cell));
        // SAFETY: the task's arguments cover all its rows and panels at steps u and u-1.
        unsafe { walk_panels::<V, _, 1, 1, MR, NR>(token, &first, first.0.rows(), task.panels) };
        if u > task.begin {
            let second = ResetGradient::<V, NR> { task, t: u - 1, cell, vector: PhantomData };
            // SAFETY: likewise, at step u-1.
            unsafe { walk_panels::<V, _, 1, 1, MR, NR>(token, &second, first.0.to, task.panels) };
        }
    }
}

/// The second pass of a step back: dm = W_hn^T da_n, and what follows from it.
struct ResetGradient<'a, V, const NR: usize> {
    task: &'a BackwardTask,
    t: usize,
    cell: GruResetBefore,
    vector: PhantomData<V>,
}

impl<V: Vector, const NR: usize> Products<V, 1, 1> for ResetGradient<'_, V, NR> {
    #[inline(always)]
    unsafe fn products<const M: usize, const W: usize, const K: usize>(
        &self,
        token: V::Token,
        _: usize,
        corner: Corner,
    ) -> Tile<V, M, W, K> {
        let (task, h) = (self.task, self.task.hidden);
        let a = task.gates.rows_at(self.t, corner.row, N_SLOT * h);
        // SAFETY: rows and vectors lie within the task, whose arguments were checked for all of them; packed weights are
        // padded to whole strips. k runs over the units of all three gates, n's last.
        unsafe {
            let operands = Operands::packed::<V, NR>(a, task.w_hh, corner, 3 * h, (N_SLOT * h, h));
            accumulate::<V, M, W, K, NR, 1>(token, zeros(token), operands)
        }
    }
}

impl<V: Vector, const NR: usize> PanelBody<V, 1, 1> for ResetGradient<'_, V, NR> {
    const AT_ONCE: usize = 1;

    #[inline(always)]
    unsafe fn finish_panels<const N: usize>(
        &self,
        token: V::Token,
        at: [At; N],
        [[dm]]: [[Group<V, N>; 1]; 1],
    ) {
        let (task, t, h) = (self.task, self.t, self.task.hidden);
        for n in 0..N {
            let At { row, panel } = at[n];
            let (unit, left) = (panel * V::LANES, h - panel * V::LANES);
            // SAFETY: row and panel lie within the task; only `left` floats from the unit on are touched.
            unsafe {
                let h_prev = load(token, task.schedule.before(t, row, &task.h).add(unit), left);
                let r_at = task.gates.at(t, row).add(R_SLOT * h + unit);
                let dh_at = task.dh.at(0, row).add(unit);
                let (r, direct) = (load(token, r_at, left), load(token, dh_at, left));
                let [da_r, direct] = self.cell.reset(token, dm.0[n], r, h_prev, direct);
                store(da_r, r_at, left);
                store(direct, dh_at, left);
            }
        }
    }
}
