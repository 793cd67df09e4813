//! How far the training of a cell is: a bar on a terminal, plain lines elsewhere.

use examples::print::say;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;

/// Plain lines of a training.
const LINES: usize = 10;
const TEMPLATE: &str = "{prefix:8} {bar:30} {pos}/{len}  {msg}  {eta} left";

/// Shows updates as they come.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    cell: &'static str,
    updates: usize,
    /// The mean loss of the latest updates.
    loss: f64,
}

impl Progress {
    pub(crate) fn new(cell: &'static str, updates: usize) -> Progress {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template(TEMPLATE).expect("the template is well-formed");
            ProgressBar::new(updates as u64).with_style(style).with_prefix(cell)
        });
        Progress { bar, cell, updates, loss: 0.0 }
    }

    /// Takes an update: how many are done, its loss, the norm of its gradient, the share that was clipped so far.
    ///
    /// # Errors
    /// One line if standard output is closed.
    pub(crate) fn update(
        &mut self,
        done: usize,
        loss: f64,
        norm: f64,
        share_clipped: f64,
    ) -> Result<(), String> {
        self.loss += (loss - self.loss) / done.min(20) as f64;
        let is_line = done.is_multiple_of((self.updates / LINES).max(1)) || done == self.updates;
        if self.bar.is_none() && !is_line {
            return Ok(());
        }
        let text = format!("loss {:.4}  |g| {norm:.2e}  clipped {:.0}%", self.loss, 100.0 * share_clipped);
        match &self.bar {
            Some(bar) => {
                bar.set_position(done as u64);
                bar.set_message(text);
            }
            None => say(format!("{:8} update {done}/{}  {text}", self.cell, self.updates))?,
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
