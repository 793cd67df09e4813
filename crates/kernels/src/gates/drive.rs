//! The loops over time, units and rows that all cells share, forward and backward: the only pointer walk of the gates.
//!
//! Each step is one pass over the tiles of (rows x panels); a panel is one vector of hidden units with all its gates. The
//! products of a block of tiles end on the stack, and its cell update follows while they are in the L1 cache ([`mod@forward`]).
//!
//! Backward is the mirror. At the boundary between steps u-1 and u a tile computes what of dL/dh_{u-1} comes from step u,
//! adds the upstream gradient, and turns it into the gate gradients of step u-1 at once.
//!
//! A projected state ([`project`]), and a reset gate that comes first ([`reset_before`]), take a second pass over tiles in each
//! step. Kernels for single rows of one hidden size have a loop of their own ([`single`]).

mod back;
mod forward;
mod project;
pub(crate) mod reset_before;
pub(crate) mod single;
mod table;

pub(crate) use back::backward;
pub(crate) use forward::forward;

use super::checked::{Carried, Schedule};
use crate::simd::Vector;

/// A body whose cell has `G` gates and saves `S` values: names the parameters that the trait alone would leave open.
struct Gates<T, const G: usize, const S: usize>(T);

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

/// As [`store`], for what is read again at once.
///
/// # Safety
/// As [`store`].
#[inline(always)]
unsafe fn store_in_parts<V: Vector>(x: V, to: *mut f32, left: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        if left >= V::LANES {
            x.store(&mut *to.cast());
        } else {
            x.store_in_parts(std::slice::from_raw_parts_mut(to, left));
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
        // SAFETY: `checked` saw a flag for each step and row of the batch.
        !self.resets.is_null() && unsafe { *self.resets.add(t * self.flags + self.first_row + row) }
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
