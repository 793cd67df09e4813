//! The way forward through time: in each step one pass over tiles, whose sums become the new state at once.

use super::table::start_input;
use super::{Gates, load, project, store};
use crate::gates::checked::ForwardTask;
use crate::gates::{Forward, FusedForward};
use crate::gemm::micro::{Operands, Tile, accumulate, start_from};
use crate::gemm::sums::{BlockSums, Panel};
use crate::gemm::tiles::{At, Corner, Products, TileBody, walk};
use crate::simd::{Arithmetic, Vector, group::Group};
use std::marker::PhantomData;

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
/// The task was checked (`tasks`), and its weights are packed for `V`'s lanes, strips of `NR` vectors and this cell.
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
        let gates = Gates::<_, G, S>(ForwardStep::<V, C, NR, U> { task, t, cell, vector: PhantomData });
        // SAFETY: the task's arguments cover all its rows and panels at step t, and all features of h.
        unsafe {
            walk::<V, _, G, SETS, MR, NR>(token, &gates, rows, task.panels);
            if C::OPTIONS && !task.w_hr.is_null() {
                project::forward::<V, S, MR, NR>(token, task, t, rows);
            }
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
    const SETS: usize,
> Products<V, G, SETS> for Gates<ForwardStep<'_, V, C, NR, U>, G, S>
{
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
        let (w, depth) = if set == 0 { (task.w_hh, state) } else { (task.w_ih, task.input) };
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
            let start = if SETS == 1 || set == 0 {
                start_from(token, task.b_hh.add(vector * V::LANES))
            } else {
                start_input(token, task, (t, row), vector * V::LANES)
            };
            let operands = Operands::packed::<V, NR>(a, w, corner, depth, (0, depth));
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
    const SETS: usize,
> TileBody<V, G, SETS> for Gates<ForwardStep<'_, V, C, NR, U>, G, S>
{
    const FINISHES: bool = true;

    /// The update, in passes over all panels: gate by gate, so that each pass is one short chain of instructions, which a core
    /// overlaps with the next one's as far as it looks ahead; then the rest. In one pass, with the output's tanh behind the gates
    /// that it waits for, an LSTM of 64 units took a twentieth longer with 32 rows.
    #[inline(always)]
    unsafe fn finish(&self, token: V::Token, sums: BlockSums<V, G, SETS>) {
        // Two panels side by side hide more of the latency. Activations as data are much code already.
        let pairs = !C::OPTIONS;
        // SAFETY: the caller's promise.
        unsafe {
            for g in 0..C::FIRST {
                let (mut next, mut left) = (sums.first(), sums.count());
                while pairs && left >= 2 {
                    self.gate::<SETS, 2>(token, sums, g, &mut next);
                    left -= 2;
                }
                while left > 0 {
                    self.gate::<SETS, 1>(token, sums, g, &mut next);
                    left -= 1;
                }
            }
            let (mut next, mut left) = (sums.first(), sums.count());
            while pairs && left >= 2 {
                self.rest::<SETS, 2>(token, sums, &mut next);
                left -= 2;
            }
            while left > 0 {
                self.rest::<SETS, 1>(token, sums, &mut next);
                left -= 1;
            }
        }
    }
}

impl<V: Vector, C: FusedForward<G, S>, const G: usize, const S: usize, const NR: usize, const U: usize>
    Gates<ForwardStep<'_, V, C, NR, U>, G, S>
{
    /// The x part of a gate: the sum of the second set, or of the projection before.
    ///
    /// # Safety
    /// The block has the panel, and its sums are set.
    #[inline(always)]
    unsafe fn xa<const SETS: usize>(
        &self,
        token: V::Token,
        sums: BlockSums<V, G, SETS>,
        panel: Panel,
        g: usize,
    ) -> V {
        let ForwardStep { task, t, .. } = self.0;
        let Panel { index, at: At { row, panel } } = panel;
        // SAFETY: the caller's promise; `xa` holds whole panels of each of the task's rows and steps.
        unsafe {
            if SETS > 1 {
                return sums.get(SETS - 1, index, g);
            }
            let panels = task.hidden.div_ceil(V::LANES);
            let place = ((t - task.begin) * panels + panel) * task.schedule.rows + row;
            V::load(token, &*task.xa.add((place * G + g) * V::LANES).cast())
        }
    }

    /// A gate that waits for nothing but its sum, for the next `N` panels, in the place of its h part.
    ///
    /// # Safety
    /// As [`finish`](TileBody::finish), and there are as many panels.
    #[inline(always)]
    unsafe fn gate<const SETS: usize, const N: usize>(
        &self,
        token: V::Token,
        sums: BlockSums<V, G, SETS>,
        g: usize,
        next: &mut Panel,
    ) {
        let panels = sums.some::<N>(next);
        let mut sum: Group<V, N> = Group::splat(token, 0.0);
        // SAFETY: the caller's promise.
        unsafe {
            for n in 0..N {
                sum.0[n] = self.xa(token, sums, panels[n], g).add(sums.get(0, panels[n].index, g));
            }
            let gate = self.0.cell.gate(token, g, sum);
            for n in 0..N {
                sums.put(0, panels[n].index, g, gate.0[n]);
            }
        }
    }

    /// What follows from the gates, for the next `N` panels.
    ///
    /// # Safety
    /// As [`finish`](TileBody::finish), there are as many panels, and the gates stand in their places.
    #[inline(always)]
    unsafe fn rest<const SETS: usize, const N: usize>(
        &self,
        token: V::Token,
        sums: BlockSums<V, G, SETS>,
        next: &mut Panel,
    ) {
        let ForwardStep { task, t, cell, .. } = self.0;
        let h = task.hidden;
        let projected = C::OPTIONS && !task.w_hr.is_null();
        let zero: Group<V, N> = Group::splat(token, 0.0);
        let panels = sums.some::<N>(next);
        let mut step = Forward { xa: [zero; G], ha: [zero; G], h_prev: zero, c_prev: zero };
        let mut gates = [zero; G];
        for n in 0..N {
            let Panel { index, at: At { row, panel } } = panels[n];
            let (unit, left) = (panel * V::LANES, h - panel * V::LANES);
            // SAFETY: row and panel lie within the task, whose arguments were checked for all of them; unit < h, and only
            // `left` floats from there are touched.
            unsafe {
                for g in 0..G {
                    let gate = if g < C::FIRST { &mut gates[g] } else { &mut step.ha[g] };
                    gate.0[n] = sums.get(0, index, g);
                    if g >= C::FIRST {
                        step.xa[g].0[n] = self.xa(token, sums, panels[n], g);
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
        let new = cell.update(token, gates, step).flushed(token);
        for n in 0..N {
            let At { row, panel } = panels[n].at;
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
