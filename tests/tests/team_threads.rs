//! The hand-off between threads of `gatewise-kernels` over real threads: what the model checker has no word for, panics above all.

mod sync {
    pub(crate) use std::sync::atomic::{AtomicUsize, Ordering};
    pub(crate) use std::thread::panicking as is_panicking;

    pub(crate) fn pause(_: &mut u32) -> bool {
        std::thread::yield_now();
        true
    }
}

#[path = "../../crates/kernels/src/team.rs"]
mod team;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use team::Team;

const STEPS: usize = 1000;

#[test]
fn a_helper_that_panics_stops_nobody() {
    let (team, led) = (Team::new(3), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let panics = || catch_unwind(AssertUnwindSafe(|| team.help(1, STEPS, |_| panic!("on purpose"))));
        let panics = scope.spawn(panics);
        scope.spawn(|| team.help(2, STEPS, |_| {}));
        team.lead(STEPS, |step, slice| {
            // As long as nobody has taken it, there is time for the helper to come.
            if slice == 1 && step + 1 < STEPS {
                std::thread::yield_now();
            }
            led.fetch_add(usize::from(slice == 0), Ordering::Relaxed);
        });
        let _ = panics.join();
    });
    assert_eq!(led.into_inner(), STEPS);
}

#[test]
fn helpers_go_home_when_the_leader_panics() {
    let (team, helped) = (Team::new(2), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            team.help(1, STEPS, |_| {
                helped.fetch_add(1, Ordering::Relaxed);
            });
        });
        let lead = || team.lead(STEPS, |step, _| assert!(step < STEPS / 2, "on purpose"));
        assert!(catch_unwind(AssertUnwindSafe(lead)).is_err());
    });
    // The threads have ended, or the scope would not have.
    assert!(helped.into_inner() <= STEPS / 2 + 1);
}

#[test]
fn a_slice_that_nobody_takes_is_run_by_the_leader() {
    let (team, own, others) = (Team::new(4), AtomicUsize::new(0), AtomicUsize::new(0));
    team.lead(STEPS, |_, slice| {
        let count = if slice == 0 { &own } else { &others };
        count.fetch_add(1, Ordering::Relaxed);
    });
    // Who comes now goes away at once.
    team.help(2, STEPS, |_| unreachable!("the sequence is over"));
    assert_eq!((own.into_inner(), others.into_inner()), (STEPS, 3 * STEPS));
}
