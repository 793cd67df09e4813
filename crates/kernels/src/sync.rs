//! What `team` needs of the standard library; the model checker of the tests puts its own in this place.

pub(crate) use std::sync::atomic::{AtomicUsize, Ordering};
pub(crate) use std::thread::panicking as is_panicking;

/// Turns of a waiting loop before it gives the processor away: some tens of microseconds.
const SPINS: u32 = 1 << 12;

/// One turn of a loop that waits for another thread; whether it gave the processor away.
pub(crate) fn pause(spins: &mut u32) -> bool {
    let is_over = *spins >= SPINS;
    if is_over {
        std::thread::yield_now();
    } else {
        *spins += 1;
        std::hint::spin_loop();
    }
    is_over
}
