//! Ctrl-C: the first one asks the run to stop after the update at hand, the second one ends the program at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The exit code of a program that SIGINT ended.
pub(crate) const INTERRUPTED: u8 = 130;

/// Whether the run has been asked to stop.
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Listens from now on.
    pub(crate) fn listen() -> Result<Stop, ctrlc::Error> {
        let asked = Arc::new(AtomicBool::new(false));
        let stop = Stop(Arc::clone(&asked));
        ctrlc::set_handler(move || {
            if asked.swap(true, Ordering::Relaxed) {
                std::process::exit(INTERRUPTED.into());
            }
        })?;
        Ok(stop)
    }

    /// From now on the first Ctrl-C ends the program: there is nothing left to save.
    pub(crate) fn end_at_once(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
