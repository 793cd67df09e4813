//! An allocator that counts the calls of watched threads, and tests that take turns with it.

use rayon::{ThreadPool, ThreadPoolBuilder};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell as Flag;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The system's allocator, counting the calls of watched threads.
struct Counting;

static CALLS: AtomicUsize = AtomicUsize::new(0);
/// The number of the test whose turn it is.
static TURN: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// The test that this thread works for, as its own thread or one of its pool's; 0 is none. Calls of the test harness, and of an
    /// earlier test's threads on their way out, do not count.
    static WORKS_FOR: Flag<usize> = const { Flag::new(0) };
}

fn count() {
    let works_for = WORKS_FOR.try_with(Flag::get).unwrap_or(0);
    if works_for != 0 && works_for == TURN.load(Ordering::Relaxed) {
        CALLS.fetch_add(1, Ordering::Relaxed);
    }
}

/// From here on the calls of this thread count for the test whose turn it is.
fn watch() {
    WORKS_FOR.set(TURN.load(Ordering::Relaxed));
}

// SAFETY: every call goes to the system's allocator unchanged; counting allocates nothing, for the flag needs no destructor and
// the counter is an atomic.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as above; `memory` came from `System`.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above; `memory` came from `System`.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A test's turn: one at a time, for they share the counter. What its thread does afterwards does not count.
pub(crate) struct Turn {
    _lock: MutexGuard<'static, ()>,
}

pub(crate) fn alone() -> Turn {
    static LOCK: Mutex<()> = Mutex::new(());
    let turn = Turn { _lock: LOCK.lock().unwrap_or_else(PoisonError::into_inner) };
    TURN.fetch_add(1, Ordering::Relaxed);
    watch();
    turn
}

impl Drop for Turn {
    fn drop(&mut self) {
        WORKS_FOR.set(0);
    }
}

/// Allocations during a job.
pub(crate) fn allocations(job: impl FnOnce()) -> usize {
    let before = CALLS.load(Ordering::Relaxed);
    job();
    CALLS.load(Ordering::Relaxed) - before
}

/// A pool whose threads are watched, and all there.
pub(crate) fn pool(threads: usize) -> ThreadPool {
    let pool = ThreadPoolBuilder::new().num_threads(threads).start_handler(|_| watch()).build().unwrap();
    pool.broadcast(|_| ());
    pool
}
