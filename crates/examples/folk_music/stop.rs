//! Ctrl-C, and SIGTERM as systems send it that end what runs on them: the first signal asks the run to stop after the update at hand,
//! the second one ends the program at once.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// The exit code of a program that SIGINT ended.
const INTERRUPTED: u8 = 130;
/// The exit code of a program that SIGTERM ended.
#[cfg(unix)]
const TERMINATED: u8 = 143;
/// No exit code: no signal has come.
const NOT_ASKED: u8 = 0;

/// Whether the run has been asked to stop.
#[derive(Clone)]
pub(crate) struct Stop(Arc<AtomicU8>);

impl Stop {
    /// Listens from now on. SIGHUP is left alone: `nohup` has it ignored, and a handler would undo that.
    pub(crate) fn listen() -> Result<Stop, Box<dyn Error>> {
        let stop = Stop(Arc::new(AtomicU8::new(NOT_ASKED)));
        let interrupted = stop.clone();
        ctrlc::set_handler(move || interrupted.ask(INTERRUPTED))?;
        #[cfg(unix)]
        {
            let (terminated, sigterm) = (stop.clone(), signal_hook::consts::SIGTERM);
            let mut signals = signal_hook::iterator::Signals::new([sigterm])?;
            std::thread::spawn(move || signals.forever().for_each(|_| terminated.ask(TERMINATED)));
        }
        Ok(stop)
    }

    fn ask(&self, code: u8) {
        if self.0.swap(code, Ordering::Relaxed) != NOT_ASKED {
            std::process::exit(code.into());
        }
    }

    /// From now on the first signal ends the program: there is nothing left to save.
    pub(crate) fn end_at_once(&self) {
        self.0.store(INTERRUPTED, Ordering::Relaxed);
    }

    pub(crate) fn is_asked(&self) -> bool {
        self.code() != NOT_ASKED
    }

    /// The exit code of a program that the latest signal ended.
    pub(crate) fn code(&self) -> u8 {
        self.0.load(Ordering::Relaxed)
    }
}
