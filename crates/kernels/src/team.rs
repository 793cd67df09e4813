//! The only hand-off between threads that is ours: a team runs the steps of a sequence together, each member a slice of the
//! hidden units, and waits for the others between steps.
//!
//! The caller leads. Whoever else comes helps from the step on that the leader says; until then the leader runs that slice as well,
//! so nobody waits for a thread that is busy elsewhere. Once a slice is given away its member is waited for: a bounded time on the
//! processor, then by yielding it. A helper that is late so often that other programs must be using its core is sent away, and
//! the leader runs its slice again.
//!
//! What a member wrote in a step the others see in the next one: each stores its count of steps done with release order, and reads
//! those of the others with acquire order before it goes on.

use super::sync::{AtomicUsize, Ordering, is_panicking, pause};

/// Members that a team has at most.
pub(crate) const MOST: usize = 8;

/// Nobody has come for the slice.
const ABSENT: usize = 0;
/// A helper is there, and waits to be told its first step.
const READY: usize = 1;
/// The sequence is over; who comes now goes away again.
const CLOSED: usize = usize::MAX;
/// A helper's first step stands as the step plus this.
const FIRST: usize = 2;

/// Steps in which a helper may keep the leader waiting until it yields the processor: a lost time slice takes as long as hundreds of
/// steps.
const LATE: u32 = 2;

/// A member's counters, on cache lines of their own (two, for some CPUs fetch them in pairs).
#[repr(align(128))]
struct Member {
    /// [`ABSENT`], [`READY`], its first step plus [`FIRST`], or [`CLOSED`].
    start: AtomicUsize,
    /// Steps that it has done.
    done: AtomicUsize,
    /// The step from which on it takes no part any more.
    leave: AtomicUsize,
}

/// The counters of a team; member 0 leads.
pub(crate) struct Team {
    members: [Member; MOST],
    count: usize,
}

/// Steps done by a member that panicked: nobody waits for it any more.
const BROKEN: usize = usize::MAX;

struct OnPanic<'a>(&'a AtomicUsize);

impl Drop for OnPanic<'_> {
    fn drop(&mut self) {
        if is_panicking() {
            self.0.store(BROKEN, Ordering::Release);
        }
    }
}

impl Team {
    /// A team of `count` members, at most [`MOST`].
    pub(crate) fn new(count: usize) -> Team {
        let member = |_| Member {
            start: AtomicUsize::new(ABSENT),
            done: AtomicUsize::new(0),
            leave: AtomicUsize::new(usize::MAX),
        };
        Team { members: std::array::from_fn(member), count: count.clamp(1, MOST) }
    }

    /// Runs `steps` steps as member 0: `run(step, slice)` for its own slice and for each one that no helper has taken.
    pub(crate) fn lead(&self, steps: usize, run: impl Fn(usize, usize)) {
        // Who takes part, how often it was late, and its last step but one once it is sent away.
        let (mut helps, mut late, mut leave) = ([false; MOST], [0; MOST], [usize::MAX; MOST]);
        let close = Close(self);
        let done = &self.members[0].done;
        let _guard = OnPanic(done);
        for step in 0..steps {
            for (slice, helps) in helps.iter_mut().enumerate().take(self.count).skip(1) {
                let member = &self.members[slice];
                *helps &= step < leave[slice];
                if !*helps && member.start.load(Ordering::Acquire) == READY {
                    member.start.store(step + FIRST, Ordering::Release);
                    *helps = true;
                }
                // It may be in this step already, so it goes before the next one, which it begins when this one is done here.
                if *helps && late[slice] == LATE && leave[slice] == usize::MAX {
                    leave[slice] = step + 1;
                    member.leave.store(step + 1, Ordering::Release);
                }
            }
            for slice in 0..self.count {
                if !helps[slice] {
                    run(step, slice);
                }
            }
            done.store(step + 1, Ordering::Release);
            for slice in 1..self.count {
                if helps[slice] {
                    let (_, was_late) = self.wait_for(slice, step + 1);
                    late[slice] = (late[slice] + u32::from(was_late)).min(LATE);
                }
            }
        }
        drop(close);
    }

    /// Runs the slice of a helper, 1 or above, from the step on that the leader gives it, if it comes in time.
    pub(crate) fn help(&self, slice: usize, steps: usize, run: impl Fn(usize)) {
        let Member { start, done, leave } = &self.members[slice];
        if start.compare_exchange(ABSENT, READY, Ordering::AcqRel, Ordering::Acquire).is_err() {
            return;
        }
        let _guard = OnPanic(done);
        let mut spins = 0;
        let first = loop {
            match start.load(Ordering::Acquire) {
                READY => {
                    pause(&mut spins);
                }
                CLOSED => return,
                first => break first - FIRST,
            }
        };
        for step in first..steps {
            // Steps before its first one the leader has waited for.
            if step > first {
                if self.wait_for(0, step).0 == BROKEN || leave.load(Ordering::Acquire) <= step {
                    return;
                }
                for other in (1..self.count).filter(|&other| other != slice) {
                    // Whether it ran the step before.
                    let Member { start, leave, .. } = &self.members[other];
                    let has_begun = (FIRST..step + FIRST).contains(&start.load(Ordering::Acquire));
                    if has_begun && step <= leave.load(Ordering::Acquire) {
                        self.wait_for(other, step);
                    }
                }
            }
            run(step);
            done.store(step + 1, Ordering::Release);
        }
    }

    /// Waits until a member has done so many steps; how many it has done then, and whether the processor was given away meanwhile.
    fn wait_for(&self, slice: usize, steps: usize) -> (usize, bool) {
        let (mut spins, mut was_late) = (0, false);
        loop {
            let done = self.members[slice].done.load(Ordering::Acquire);
            if done >= steps {
                return (done, was_late);
            }
            was_late |= pause(&mut spins);
        }
    }
}

/// Sends those who come now away once the leader is through, or has panicked.
struct Close<'a>(&'a Team);

impl Drop for Close<'_> {
    fn drop(&mut self) {
        for member in &self.0.members[1..self.0.count] {
            // Who takes part goes on to its own end.
            let close = |start| (start <= READY).then_some(CLOSED);
            let _ = member.start.fetch_update(Ordering::AcqRel, Ordering::Acquire, close);
        }
    }
}
