//! The loops over time, units and rows that all cells share, forward and backward: the only pointer walk of the gates.
//!
//! Each step is one pass over the tiles of (rows x panels); a panel is one vector of hidden units with all its gates. A
//! tile's products end in registers and its cell update follows at once, so nothing stands between W_hh h and h' in memory.
//!
//! Backward is the mirror. At the boundary between steps u-1 and u a tile computes what of dL/dh_{u-1} comes from step u,
//! adds the upstream gradient, and turns it into the gate gradients of step u-1 at once.

use super::args::{BackwardTask, ForwardTask, Schedule, Strided};
use super::{Backward, CellBody, Forward};
use crate::gemm::micro::{Tile, TileBody, accumulate, walk};
use crate::simd::Vector;
use std::marker::PhantomData;

/// The hidden size: a constant where the kernel is made for one size, the argument's where `H` is 0.
#[inline(always)]
fn hidden_size<const H: usize>(argument: usize) -> usize {
    if H == 0 { argument } else { H }
}

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
    fn before(&self, t: usize, row: usize, reset: Strided, initial: Strided, steps: Strided) -> *const f32 {
        if self.is_reset(t, row) {
            reset.at(0, row)
        } else if t == 0 || (!self.active.is_null() && row >= self.active(t - 1)) {
            initial.at(0, row)
        } else {
            steps.at(t - 1, row)
        }
    }
}

/// One time step forward, for [`walk`].
struct ForwardStep<
    'a,
    V,
    C,
    const G: usize,
    const S: usize,
    const U: usize,
    const H: usize,
    const FUSED: bool,
> {
    task: &'a ForwardTask,
    t: usize,
    cell: PhantomData<(V, C)>,
}

/// Runs steps `begin .. end` of a forward task. `FUSED` multiplies the input in the kernel, as a second set of chains;
/// otherwise `xa` holds the projected input.
///
/// # Safety
/// The task was checked (`dispatch`), and its weights are packed for `V`'s lanes and this cell.
#[inline(always)]
#[allow(clippy::extra_unused_type_parameters, reason = "the generated entries name every parameter of a row")]
pub(crate) unsafe fn forward<
    V: Vector,
    C: CellBody<G, S>,
    const G: usize,
    const S: usize,
    const R: usize,
    const P: usize,
    const U: usize,
    const H: usize,
    const FUSED: bool,
>(
    token: V::Token,
    task: &ForwardTask,
) {
    let panels = hidden_size::<H>(task.hidden).div_ceil(V::LANES);
    for t in task.begin..task.end {
        let step = ForwardStep::<V, C, G, S, U, H, FUSED> { task, t, cell: PhantomData };
        // SAFETY: the task's arguments cover all its rows and panels at step t.
        unsafe { walk::<V, _, G, R, P>(token, &step, task.schedule.active(t), panels) };
    }
}

impl<
    V: Vector,
    C: CellBody<G, S>,
    const G: usize,
    const S: usize,
    const U: usize,
    const H: usize,
    const FUSED: bool,
> TileBody<V> for ForwardStep<'_, V, C, G, S, U, H, FUSED>
{
    #[inline(always)]
    unsafe fn tile<const R: usize, const P: usize>(&self, token: V::Token, row: usize, panel: usize) {
        let (task, t) = (self.task, self.t);
        let h = hidden_size::<H>(task.hidden);
        let zero = V::splat(token, 0.0);
        // SAFETY: rows and panels lie within the task, whose arguments were checked for all of them; packed weights and
        // biases are padded to whole vectors.
        unsafe {
            let mut h_prev = [std::ptr::null(); R];
            for r in 0..R {
                h_prev[r] = task.schedule.before(t, row + r, task.reset_h, task.h_0, task.y);
            }
            let mut xa = [[[zero; G]; P]; R];
            if FUSED {
                let mut x = [std::ptr::null(); R];
                for r in 0..R {
                    x[r] = task.x.at(t, row + r).cast_const();
                }
                let width = task.input * G * V::LANES;
                xa = bias::<V, R, P, G>(token, task.b_ih.add(panel * G * V::LANES));
                xa = accumulate::<V, R, P, G, U>(
                    token,
                    xa,
                    x,
                    1,
                    task.w_ih.add(panel * width),
                    width,
                    task.input,
                );
            }
            let width = h * G * V::LANES;
            let mut ha = bias::<V, R, P, G>(token, task.b_hh.add(panel * G * V::LANES));
            ha = accumulate::<V, R, P, G, U>(token, ha, h_prev, 1, task.w_hh.add(panel * width), width, h);
            for r in 0..R {
                for p in 0..P {
                    if !FUSED {
                        let panels = h.div_ceil(V::LANES);
                        let at = ((t - task.begin) * task.schedule.rows + row + r) * panels + panel + p;
                        xa[r][p] = vectors::<V, G>(token, task.xa.add(at * G * V::LANES));
                    }
                    self.update(token, row + r, panel + p, h_prev[r], xa[r][p], ha[r][p]);
                }
            }
        }
    }
}

impl<
    V: Vector,
    C: CellBody<G, S>,
    const G: usize,
    const S: usize,
    const U: usize,
    const H: usize,
    const FUSED: bool,
> ForwardStep<'_, V, C, G, S, U, H, FUSED>
{
    /// The cell update of one vector of units of one row.
    ///
    /// # Safety
    /// As [`TileBody::tile`].
    #[inline(always)]
    unsafe fn update(
        &self,
        token: V::Token,
        row: usize,
        panel: usize,
        h_prev: *const f32,
        xa: [V; G],
        ha: [V; G],
    ) {
        let (task, t) = (self.task, self.t);
        let h = hidden_size::<H>(task.hidden);
        let unit = panel * V::LANES;
        let left = h - unit;
        let zero = V::splat(token, 0.0);
        // SAFETY: as `tile`; unit < h, and only `left` floats from there are touched.
        unsafe {
            let mut step = Forward { xa, ha, h_prev: zero, c_prev: zero };
            if C::DIRECT {
                step.h_prev = load(token, h_prev.add(unit), left);
            }
            if C::CELL_STATE {
                let c_prev = task.schedule.before(t, row, task.reset_c, task.c_0, task.c);
                step.c_prev = load(token, c_prev.add(unit), left);
            }
            let new = C::forward(token, step);
            store(new.h, task.y.at(t, row).add(unit), left);
            if C::CELL_STATE {
                store(new.c, task.c.at(t, row).add(unit), left);
            }
            if !task.gates.is_absent() {
                for s in 0..S {
                    store(new.saved[s], task.gates.at(t, row).add(s * h + unit), left);
                }
            }
        }
    }
}

/// `G` vectors in a row.
///
/// # Safety
/// `from` is readable for all of them.
#[inline(always)]
unsafe fn vectors<V: Vector, const G: usize>(token: V::Token, from: *const f32) -> [V; G] {
    let mut all = [V::splat(token, 0.0); G];
    for g in 0..G {
        // SAFETY: the caller's promise.
        all[g] = V::load(token, unsafe { &*from.add(g * V::LANES).cast() });
    }
    all
}

/// A tile of which each row is the bias.
///
/// # Safety
/// `from` is readable for `P * G` vectors.
#[inline(always)]
unsafe fn bias<V: Vector, const R: usize, const P: usize, const G: usize>(
    token: V::Token,
    from: *const f32,
) -> Tile<V, R, P, G> {
    let mut tile = [[[V::splat(token, 0.0); G]; P]; R];
    for p in 0..P {
        // SAFETY: the caller's promise.
        let b = unsafe { vectors::<V, G>(token, from.add(p * G * V::LANES)) };
        for r in 0..R {
            tile[r][p] = b;
        }
    }
    tile
}

/// The boundary between steps u-1 and u, for [`walk`].
struct Boundary<'a, V, C, const G: usize, const S: usize, const U: usize, const H: usize> {
    task: &'a BackwardTask,
    u: usize,
    /// Rows below it took part in step u (if u belongs to this task): their gradient comes from there.
    from: usize,
    /// Rows below it took part in step u-1 (likewise): their gradient goes there.
    to: usize,
    cell: PhantomData<(V, C)>,
}

/// Runs steps `begin .. end` of a backward task, last step first.
///
/// # Safety
/// The task was checked (`dispatch`), and its weights are packed for `V`'s lanes and this cell.
#[inline(always)]
pub(crate) unsafe fn backward<
    V: Vector,
    C: CellBody<G, S>,
    const G: usize,
    const S: usize,
    const R: usize,
    const P: usize,
    const U: usize,
    const H: usize,
>(
    token: V::Token,
    task: &BackwardTask,
) {
    let panels = hidden_size::<H>(task.hidden).div_ceil(V::LANES);
    for u in (task.begin..=task.end).rev() {
        let from = if u == task.end { 0 } else { task.schedule.active(u) };
        let to = if u == task.begin { 0 } else { task.schedule.active(u - 1) };
        let boundary = Boundary::<V, C, G, S, U, H> { task, u, from, to, cell: PhantomData };
        // SAFETY: the task's arguments cover all its rows and panels at steps u and u-1.
        unsafe { walk::<V, _, 1, R, P>(token, &boundary, if from > to { from } else { to }, panels) };
    }
}

impl<V: Vector, C: CellBody<G, S>, const G: usize, const S: usize, const U: usize, const H: usize> TileBody<V>
    for Boundary<'_, V, C, G, S, U, H>
{
    #[inline(always)]
    unsafe fn tile<const R: usize, const P: usize>(&self, token: V::Token, row: usize, panel: usize) {
        let task = self.task;
        let h = hidden_size::<H>(task.hidden);
        let mut chain: Tile<V, R, P, 1> = [[[V::splat(token, 0.0); 1]; P]; R];
        // SAFETY: rows and panels lie within the task, whose arguments were checked for all of them; packed weights are
        // padded to whole vectors. A row beyond `from` has its place in `gates` too; what is computed from it is not used.
        unsafe {
            if row < self.from {
                let panel_len = G * h * V::LANES;
                for g in 0..G {
                    let mut gates = [std::ptr::null(); R];
                    for r in 0..R {
                        gates[r] = task.gates.at(self.u, row + r).add(C::HA_SLOT[g] * h).cast_const();
                    }
                    let w = task.w_hh.add(panel * panel_len + g * h * V::LANES);
                    chain = accumulate::<V, R, P, 1, U>(token, chain, gates, 1, w, panel_len, h);
                }
            }
            for r in 0..R {
                for p in 0..P {
                    self.update(token, row + r, panel + p, chain[r][p][0]);
                }
            }
        }
    }
}

impl<V: Vector, C: CellBody<G, S>, const G: usize, const S: usize, const U: usize, const H: usize>
    Boundary<'_, V, C, G, S, U, H>
{
    /// Passes the gradient of one vector of units of one row over the boundary.
    ///
    /// # Safety
    /// As [`TileBody::tile`].
    #[inline(always)]
    unsafe fn update(&self, token: V::Token, row: usize, panel: usize, chain: V) {
        let (task, u) = (self.task, self.u);
        let h = hidden_size::<H>(task.hidden);
        let unit = panel * V::LANES;
        let left = h - unit;
        let zero = V::splat(token, 0.0);
        // SAFETY: as `tile`; unit < h, and only `left` floats from there are touched.
        unsafe {
            let dh_at = task.dh.at(0, row).add(unit);
            let dc_at = task.dc.at(0, row).wrapping_add(unit);
            let stopped = row < self.from && task.schedule.is_reset(u, row);
            // What comes over the boundary: from step u, or, for a row whose last step this is, from beyond the sequence,
            // as `dh` held it. `dh` holds the direct term from step u on.
            let mut carry = zero;
            if !stopped {
                carry = if row >= self.from {
                    load(token, dh_at, left)
                } else if C::DIRECT {
                    load::<V>(token, dh_at, left).add(chain)
                } else {
                    chain
                };
            }
            let mut dc = zero;
            if C::CELL_STATE && !stopped {
                dc = load(token, dc_at, left);
            }
            if row >= self.to {
                store(carry, dh_at, left);
                if C::CELL_STATE {
                    store(dc, dc_at, left);
                }
                return;
            }
            let t = u - 1;
            let upstream =
                if task.dy.is_absent() { zero } else { load(token, task.dy.at(t, row).add(unit), left) };
            let mut step = Backward {
                saved: [zero; S],
                dh: upstream.add(carry),
                dc,
                h_prev: zero,
                c_prev: zero,
                c: zero,
            };
            for s in 0..S {
                step.saved[s] = load(token, task.gates.at(t, row).add(s * h + unit), left);
            }
            if C::DIRECT {
                let at = task.schedule.before(t, row, task.reset_h, task.h_0, task.y);
                step.h_prev = load(token, at.add(unit), left);
            }
            if C::CELL_STATE {
                let at = task.schedule.before(t, row, task.reset_c, task.c_0, task.c);
                step.c_prev = load(token, at.add(unit), left);
                step.c = load(token, task.c.at(t, row).add(unit), left);
            }
            if !task.dh_steps.is_absent() {
                store(step.dh, task.dh_steps.at(t, row).add(unit), left);
            }
            let new = C::backward(token, step);
            if C::CELL_STATE && !task.dc_steps.is_absent() {
                store(new.dc, task.dc_steps.at(t, row).add(unit), left);
            }
            for s in 0..S {
                store(new.gates[s], task.gates.at(t, row).add(s * h + unit), left);
            }
            if C::DIRECT {
                store(new.direct, dh_at, left);
            }
            if C::CELL_STATE {
                store(new.dc_prev, dc_at, left);
            }
        }
    }
}
