//! The hand-off between threads of `gatewise-kernels`, in every order in which its loads and stores can happen, by the model
//! checker `loom`: the same source file, over loom's atomics.

mod sync {
    pub(crate) use loom::sync::atomic::{AtomicUsize, Ordering};
    pub(crate) use std::thread::panicking as is_panicking;

    /// In a model a thread that waits lets the others run, and has no patience: who keeps it waiting is late.
    pub(crate) fn pause(_: &mut u32) -> bool {
        loom::thread::yield_now();
        true
    }
}

#[path = "../../crates/kernels/src/team.rs"]
mod team;

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use team::Team;

/// A slice's values of each step: written by one member, read by all in the step after.
struct Steps(Vec<Vec<UnsafeCell<usize>>>);

// SAFETY: what the test is about; loom reports two accesses at the same time.
unsafe impl Sync for Steps {}
// SAFETY: likewise.
unsafe impl Send for Steps {}

impl Steps {
    fn new(steps: usize, slices: usize) -> Steps {
        let step = || (0..slices).map(|_| UnsafeCell::new(0)).collect();
        Steps((0..steps).map(|_| step()).collect())
    }

    /// One more than the sum of what all slices left in the step before, as a recurrence would have it.
    fn run(&self, step: usize, slice: usize) {
        let before: usize = match step {
            0 => 0,
            // SAFETY: what the test is about.
            _ => self.0[step - 1].iter().map(|cell| cell.with(|value| unsafe { *value })).sum(),
        };
        // SAFETY: likewise.
        self.0[step][slice].with_mut(|value| unsafe { *value = before + 1 });
    }
}

/// A team of `slices` over `steps`, each helper a thread that may come at any time or never in time.
fn model(steps: usize, slices: usize, preemptions: usize) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    // Waiting loops take many turns.
    builder.max_branches = 100_000;
    builder.check(move || {
        let (team, all) = (Arc::new(Team::new(slices)), Arc::new(Steps::new(steps, slices)));
        let helpers: Vec<_> = (1..slices)
            .map(|slice| {
                let (team, all) = (team.clone(), all.clone());
                loom::thread::spawn(move || team.help(slice, steps, |step| all.run(step, slice)))
            })
            .collect();
        team.lead(steps, |step, slice| all.run(step, slice));
        // The leader may go on at once: all of the last step is there.
        let mut expected = 0;
        for step in &all.0 {
            expected = expected * slices + 1;
            for cell in step {
                // SAFETY: what the test is about.
                assert_eq!(cell.with(|value| unsafe { *value }), expected);
            }
        }
        helpers.into_iter().for_each(|helper| helper.join().unwrap());
    });
}

#[test]
fn two_members_hand_over_each_step() {
    // Long enough that a helper which is late twice is sent away.
    model(5, 2, 2);
}

#[test]
fn three_members_wait_for_each_other() {
    model(2, 3, 1);
}
