//! The passes of the GRU whose reset gate comes before the product: W_hn multiplies m = r * h, which stands among the saved
//! values, so that each step takes a second pass over tiles. The weights of r and z are packed together, those of n behind them.

use super::back::{Backwards, Boundary};
use super::{load, store, vectors};
use crate::gates::checked::{BackwardTask, ForwardTask};
use crate::gates::gru::GruResetBefore;
use crate::gemm::micro::{Operands, Tile, accumulate};
use crate::gemm::tiles::{TileBody, walk};
use crate::simd::Vector;
use std::marker::PhantomData;

/// Places of the saved values.
const R_SLOT: usize = 0;
const Z_SLOT: usize = 1;
const N_SLOT: usize = 2;
const M_SLOT: usize = 3;

/// One pass of a step forward, for [`walk`]: with G = 2 the first one, with G = 1 the second one.
struct Pass<'a, V, const G: usize, const NR: usize, const U: usize> {
    task: &'a ForwardTask,
    t: usize,
    cell: GruResetBefore,
    vector: PhantomData<V>,
}

/// Runs steps `begin .. end` of a forward task, the input multiplied here.
///
/// # Safety
/// As [`forward`](super::forward); the task's activations are there.
#[inline(always)]
pub(crate) unsafe fn forward<V: Vector, const MR: usize, const NR: usize, const U: usize>(
    token: V::Token,
    task: &ForwardTask,
) {
    let panels = task.hidden.div_ceil(V::LANES);
    // SAFETY: the caller's promise.
    let cell = GruResetBefore::from(unsafe { *task.activations });
    for t in task.begin..task.end {
        let rows = task.schedule.active(t);
        let gates = Pass::<V, 2, NR, U> { task, t, cell, vector: PhantomData };
        let state = Pass::<V, 1, NR, U> { task, t, cell, vector: PhantomData };
        // SAFETY: the task's arguments cover all its rows and panels at step t.
        unsafe {
            walk::<V, _, 2, 2, MR, NR>(token, &gates, rows, panels);
            walk::<V, _, 1, 2, MR, NR>(token, &state, rows, panels);
        }
    }
}

impl<V: Vector, const G: usize, const NR: usize, const U: usize> Pass<'_, V, G, NR, U> {
    /// Where the packed weights of the pass begin, of which each gate has `depth` for a unit.
    #[inline(always)]
    fn skip(&self, depth: usize) -> usize {
        let strips = (2 * self.task.hidden.div_ceil(V::LANES)).div_ceil(NR);
        if G == 2 { 0 } else { strips * NR * V::LANES * depth }
    }

    /// The products of a tile.
    ///
    /// # Safety
    /// Rows and vectors lie within the task.
    #[inline(always)]
    unsafe fn chains<const M: usize, const W: usize, const K: usize>(
        &self,
        token: V::Token,
        set: usize,
        row: usize,
        vector: usize,
    ) -> Tile<V, M, W, K> {
        let Pass { task, t, .. } = *self;
        let (w, bias, depth) =
            if set == 0 { (task.w_hh, task.b_hh, task.hidden) } else { (task.w_ih, task.b_ih, task.input) };
        let mut a = [std::ptr::null(); M];
        for r in 0..M {
            a[r] = if set == 1 {
                task.x.at(t, row + r).cast_const()
            } else if G == 2 {
                task.schedule.before(t, row + r, task.reset_h, task.h_0, task.y)
            } else {
                task.gates.at(t, row + r).wrapping_add(M_SLOT * task.hidden).cast_const()
            };
        }
        let strip = depth * NR * V::LANES;
        // SAFETY: the task's arguments were checked for all its rows and vectors; packed weights and biases are padded to whole
        // strips.
        unsafe {
            let mut acc = [[[V::splat(token, 0.0); K]; W]; M];
            for w in 0..W {
                let start = vectors::<V, K>(token, bias.add(self.skip(1) + (vector + w * K) * V::LANES));
                for r in 0..M {
                    acc[r][w] = start;
                }
            }
            let b = w.add(self.skip(depth) + vector / NR * strip + vector % NR * V::LANES);
            accumulate::<V, M, W, K, NR, U>(token, acc, Operands { a, a_step: 1, b, strip, depth })
        }
    }

    /// `left` units of h before the step, from `unit` on.
    ///
    /// # Safety
    /// Row and units lie within the task.
    #[inline(always)]
    unsafe fn h_prev(&self, token: V::Token, row: usize, unit: usize, left: usize) -> V {
        let task = self.task;
        // SAFETY: the task's arguments were checked for all its rows.
        unsafe {
            let h_prev = task.schedule.before(self.t, row, task.reset_h, task.h_0, task.y);
            load(token, h_prev.add(unit), left)
        }
    }
}

impl<V: Vector, const NR: usize, const U: usize> TileBody<V, 2, 2> for Pass<'_, V, 2, NR, U> {
    const STORES: bool = false;

    #[inline(always)]
    unsafe fn products<const M: usize, const W: usize, const K: usize>(
        &self,
        token: V::Token,
        set: usize,
        row: usize,
        vector: usize,
    ) -> Tile<V, M, W, K> {
        // SAFETY: the caller's promise.
        unsafe { self.chains::<M, W, K>(token, set, row, vector) }
    }

    #[inline(always)]
    unsafe fn finish(&self, token: V::Token, row: usize, panel: usize, [ha, xa]: [[V; 2]; 2]) {
        let Pass { task, t, cell, .. } = *self;
        let unit = panel * V::LANES;
        let left = task.hidden - unit;
        // SAFETY: row and panel lie within the task; only `left` floats from the unit on are touched.
        unsafe {
            let h_prev = self.h_prev(token, row, unit, left);
            let [r, z, m] = cell.gates(token, xa, ha, h_prev);
            let saved = task.gates.at(t, row).add(unit);
            store(r, saved.add(R_SLOT * task.hidden), left);
            store(z, saved.add(Z_SLOT * task.hidden), left);
            store(m, saved.add(M_SLOT * task.hidden), left);
        }
    }
}

impl<V: Vector, const NR: usize, const U: usize> TileBody<V, 1, 2> for Pass<'_, V, 1, NR, U> {
    const STORES: bool = false;

    #[inline(always)]
    unsafe fn products<const M: usize, const W: usize, const K: usize>(
        &self,
        token: V::Token,
        set: usize,
        row: usize,
        vector: usize,
    ) -> Tile<V, M, W, K> {
        // SAFETY: the caller's promise.
        unsafe { self.chains::<M, W, K>(token, set, row, vector) }
    }

    #[inline(always)]
    unsafe fn finish(&self, token: V::Token, row: usize, panel: usize, [[ha_n], [xa_n]]: [[V; 1]; 2]) {
        let Pass { task, t, cell, .. } = *self;
        let unit = panel * V::LANES;
        let left = task.hidden - unit;
        // SAFETY: row and panel lie within the task; only `left` floats from the unit on are touched.
        unsafe {
            let h_prev = self.h_prev(token, row, unit, left);
            let saved = task.gates.at(t, row).add(unit);
            let z = load(token, saved.add(Z_SLOT * task.hidden), left);
            let [n, h] = cell.state(token, xa_n, ha_n, z, h_prev);
            store(n, saved.add(N_SLOT * task.hidden), left);
            store(h, task.y.at(t, row).add(unit), left);
        }
    }
}

/// Runs steps `begin .. end` of a backward task, last step first.
///
/// # Safety
/// As [`backward`](super::backward); the task's activations are there.
#[inline(always)]
pub(crate) unsafe fn backward<V: Vector, const MR: usize, const NR: usize, const U: usize>(
    token: V::Token,
    task: &BackwardTask,
) {
    let panels = task.hidden.div_ceil(V::LANES);
    // SAFETY: the caller's promise.
    let cell = GruResetBefore::from(unsafe { *task.activations });
    for u in (task.begin..=task.end).rev() {
        let first = Backwards::<_, 3, 4>(Boundary::<V, GruResetBefore, NR, U, 0>::new(task, u, cell));
        // SAFETY: the task's arguments cover all its rows and panels at steps u and u-1.
        unsafe { walk::<V, _, 1, 1, MR, NR>(token, &first, first.0.rows(), panels) };
        if u > task.begin {
            let second = ResetGradient::<V, NR, U> { task, t: u - 1, cell, vector: PhantomData };
            // SAFETY: likewise, at step u-1.
            unsafe { walk::<V, _, 1, 1, MR, NR>(token, &second, first.0.to, panels) };
        }
    }
}

/// The second pass of a step back: dm = W_hn^T da_n, and what follows from it.
struct ResetGradient<'a, V, const NR: usize, const U: usize> {
    task: &'a BackwardTask,
    t: usize,
    cell: GruResetBefore,
    vector: PhantomData<V>,
}

impl<V: Vector, const NR: usize, const U: usize> TileBody<V, 1, 1> for ResetGradient<'_, V, NR, U> {
    const STORES: bool = false;

    #[inline(always)]
    unsafe fn products<const M: usize, const W: usize, const K: usize>(
        &self,
        token: V::Token,
        _: usize,
        row: usize,
        vector: usize,
    ) -> Tile<V, M, W, K> {
        let (task, h) = (self.task, self.task.hidden);
        let acc = [[[V::splat(token, 0.0); K]; W]; M];
        let mut a = [std::ptr::null(); M];
        for r in 0..M {
            a[r] = task.gates.at(self.t, row + r).wrapping_add(N_SLOT * h).cast_const();
        }
        // k runs over the units of all three gates, n's last.
        let strip = 3 * h * NR * V::LANES;
        // SAFETY: rows and vectors lie within the task, whose arguments were checked for all of them; packed weights are
        // padded to whole strips.
        unsafe {
            let b = task.w_hh.add(vector / NR * strip + (vector % NR + N_SLOT * h * NR) * V::LANES);
            accumulate::<V, M, W, K, NR, U>(token, acc, Operands { a, a_step: 1, b, strip, depth: h })
        }
    }

    #[inline(always)]
    unsafe fn finish(&self, token: V::Token, row: usize, panel: usize, [[dm]]: [[V; 1]; 1]) {
        let (task, t, h) = (self.task, self.t, self.task.hidden);
        let unit = panel * V::LANES;
        let left = h - unit;
        // SAFETY: row and panel lie within the task; only `left` floats from the unit on are touched.
        unsafe {
            let h_prev = task.schedule.before(t, row, task.reset_h, task.h_0, task.y);
            let h_prev = load(token, h_prev.add(unit), left);
            let r_at = task.gates.at(t, row).add(R_SLOT * h + unit);
            let dh_at = task.dh.at(0, row).add(unit);
            let (r, direct) = (load(token, r_at, left), load(token, dh_at, left));
            let [da_r, direct] = self.cell.reset(token, dm, r, h_prev, direct);
            store(da_r, r_at, left);
            store(direct, dh_at, left);
        }
    }
}
