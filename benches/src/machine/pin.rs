//! Threads that stay on their cores.

/// Keeps the current thread on one of the cores that the process may run on: the n-th, counted around. Where the system refuses
/// or offers no way, the thread stays free, and a line on the standard error says so.
#[cfg(target_os = "linux")]
pub fn pin_current_thread(n: usize) {
    let cores = allowed_cores();
    let Some(&core) = cores.get(n % cores.len().max(1)) else {
        return eprintln!("thread {n} stays free: the system does not say which cores there are");
    };
    // SAFETY: an all-zero cpu_set_t is an empty set; `core` was found in such a set, so it lies within its size; the kernel only
    // reads the set.
    let status = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(core, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set)
    };
    if status != 0 {
        eprintln!("thread {n} stays free: core {core}: {}", std::io::Error::last_os_error());
    }
}

/// Keeps the current thread on one core: not on this system.
#[cfg(not(target_os = "linux"))]
pub fn pin_current_thread(_: usize) {}

/// The cores that the process may run on, ascending; empty if the system does not say. Its first answer stands: a thread that is
/// pinned already, and those it starts, would be told of one core only.
#[cfg(target_os = "linux")]
fn allowed_cores() -> &'static [usize] {
    static CORES: std::sync::OnceLock<Vec<usize>> = std::sync::OnceLock::new();
    CORES.get_or_init(|| {
        // The main thread is the process's own and is never pinned.
        let process = libc::pid_t::try_from(std::process::id()).unwrap_or(0);
        // SAFETY: an all-zero cpu_set_t is an empty set, and the kernel writes no more than the size it is told.
        let (status, set) = unsafe {
            let mut set: libc::cpu_set_t = std::mem::zeroed();
            (libc::sched_getaffinity(process, size_of::<libc::cpu_set_t>(), &mut set), set)
        };
        // SAFETY: CPU_ISSET checks nothing; `core` is held below the size of the set.
        let is_set = |core: &usize| unsafe { libc::CPU_ISSET(*core, &set) };
        if status == 0 { (0..8 * size_of::<libc::cpu_set_t>()).filter(is_set).collect() } else { Vec::new() }
    })
}

/// A pool of threads, each pinned to a core of its own.
///
/// # Errors
/// If the threads cannot be started.
pub fn pool(threads: usize) -> Result<rayon::ThreadPool, rayon::ThreadPoolBuildError> {
    rayon::ThreadPoolBuilder::new().num_threads(threads).start_handler(pin_current_thread).build()
}
