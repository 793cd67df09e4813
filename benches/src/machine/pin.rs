//! Threads that stay on their cores.

/// Keeps the current thread on one core. Where the system refuses or offers no way, the thread stays free.
#[cfg(target_os = "linux")]
pub fn pin_current_thread(core: usize) {
    // SAFETY: an all-zero cpu_set_t is an empty set; CPU_SET checks nothing, so the core is held below the set's size; the
    // kernel only reads the set.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(core % (8 * size_of::<libc::cpu_set_t>()), &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set);
    }
}

/// Keeps the current thread on one core: not on this system.
#[cfg(not(target_os = "linux"))]
pub fn pin_current_thread(_: usize) {}

/// A pool of threads, each pinned to a core of its own.
///
/// # Errors
/// If the threads cannot be started.
pub fn pool(threads: usize) -> Result<rayon::ThreadPool, rayon::ThreadPoolBuildError> {
    rayon::ThreadPoolBuilder::new().num_threads(threads).start_handler(pin_current_thread).build()
}
