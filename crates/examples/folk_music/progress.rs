//! How far the training is: a bar on a terminal, plain lines elsewhere.

use examples::print::say;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::Instant;

/// Updates between two plain lines.
const LINE_EVERY: usize = 50;
const TEMPLATE: &str = "{bar:30} {pos}/{len}  {msg}  {eta} left";

/// What one update tells.
pub(crate) struct Update {
    /// Updates so far.
    pub(crate) done: usize,
    /// Loss of this window before its update.
    pub(crate) loss: f64,
    /// Norm of the gradient before clipping.
    pub(crate) norm: f64,
    pub(crate) is_clipped: bool,
    /// Loss of the last validation.
    pub(crate) validation: Option<f64>,
}

/// Shows updates as they come.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    /// Updates done before.
    first: usize,
    /// Updates in all.
    updates: usize,
    characters: usize,
    clipped: usize,
    /// The mean loss of the latest updates: one window's own is too restless to read.
    loss: f64,
    start: Instant,
}

impl Progress {
    /// For the updates `first .. updates`, of so many characters each.
    pub(crate) fn new(first: usize, updates: usize, characters: usize) -> Progress {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template(TEMPLATE).expect("the template is well-formed");
            ProgressBar::new(updates as u64).with_style(style).with_position(first as u64)
        });
        Progress { bar, first, updates, characters, clipped: 0, loss: 0.0, start: Instant::now() }
    }

    /// Takes one update.
    ///
    /// # Errors
    /// One line if standard output is closed.
    pub(crate) fn update(&mut self, update: &Update) -> Result<(), String> {
        self.clipped += usize::from(update.is_clipped);
        let here = update.done - self.first;
        let weight = 1.0 / here.min(20) as f64;
        self.loss += weight * (update.loss - self.loss);
        let seconds = self.start.elapsed().as_secs_f64();
        let text = format!(
            "loss {:.3}  val {}  |g| {:.2}  clipped {:.0}%  {:.0} char/s",
            self.loss,
            update.validation.map_or("-".to_string(), |loss| format!("{loss:.3}")),
            update.norm,
            100.0 * self.clipped as f64 / here as f64,
            (here * self.characters) as f64 / seconds
        );
        match &self.bar {
            Some(bar) => {
                bar.set_position(update.done as u64);
                bar.set_message(text);
            }
            None if update.done.is_multiple_of(LINE_EVERY) || update.done == self.updates => {
                let left = seconds / here as f64 * (self.updates - update.done) as f64;
                say(format!("update {}/{}  {text}  {} left", update.done, self.updates, span(left)))?;
            }
            None => {}
        }
        Ok(())
    }

    /// Leaves the bar as it stands.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.abandon();
        }
    }
}

/// Seconds as people say them: `43s`, `2m 05s`, `3h 20m`.
fn span(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m {seconds:02}s"),
        (hours, minutes, _) => format!("{hours}h {minutes:02}m"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_short() {
        for (seconds, text) in [(0.4, "0s"), (59.6, "1m 00s"), (125.0, "2m 05s"), (12_053.0, "3h 20m")] {
            assert_eq!(span(seconds), text);
        }
    }
}
