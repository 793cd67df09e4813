//! What kernels made for one hidden size gain over the one for any size: the table `gains.txt`.

use crate::spawn;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

/// A kernel other than a step kernel is worth its code if three quarters of its ratios are above that.
const WORTH_IT: f64 = 1.03;

/// From this hidden size on, where products take most of the time, a kernel says why if three quarters of them are above that.
const LARGE: usize = 128;
const FAST: f64 = 1.10;

const HEADER: &str = "\
# What kernels made for one hidden size gain: the time of the kernel for any size over theirs, 15 pairs of times on one thread.
# Written by `cargo xtask codegen --measure`, but for the last column.
";

/// The figures of a kernel, and why it is so fast, if it has to say so.
#[derive(Clone, Debug, PartialEq)]
struct Gain {
    batch: usize,
    steps: usize,
    median: f64,
    quartile: f64,
    why: String,
}

/// All that was measured.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Gains {
    /// By instruction set, the processor that its kernels ran on.
    processors: BTreeMap<String, String>,
    /// By id.
    kernels: BTreeMap<String, Gain>,
}

impl Gains {
    /// Reads the table, or what the program `gains` prints, which is one without reasons.
    pub(super) fn parse(text: &str) -> Result<Gains, String> {
        let mut all = Gains::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let is_read = match line.split_once(": ") {
                Some((isa, processor)) if !isa.contains(' ') => {
                    all.processors.insert(isa.to_string(), processor.trim().to_string());
                    true
                }
                _ => Gain::parse(line).map(|(id, gain)| all.kernels.insert(id, gain)).is_some(),
            };
            if !is_read {
                return Err(format!(
                    "{line:?}: expected a kernel's id, B, T, median, lower quartile, and why"
                ));
            }
        }
        Ok(all)
    }

    /// The table, sorted by id.
    pub(super) fn text(&self) -> String {
        let mut text = HEADER.to_string();
        for (isa, processor) in &self.processors {
            writeln!(text, "{isa}: {processor}").unwrap();
        }
        writeln!(text, "# {:<32} {:>2} {:>2} {:>6} quartile  why", "id", "B", "T", "median").unwrap();
        for (id, Gain { batch, steps, median, quartile, why }) in &self.kernels {
            let line = format!("{id:<34} {batch:>2} {steps:>2} {median:>6.2} {quartile:>8.2}  {why}");
            writeln!(text, "{}", line.trim_end()).unwrap();
        }
        text
    }

    /// Measures the kernels that this machine can run. The figures of others stay, and all reasons.
    pub(super) fn measure(&mut self, root: &Path) -> Result<(), String> {
        self.replace(Gains::parse(&spawn::output(root, "gains")?)?);
        Ok(())
    }

    fn replace(&mut self, new: Gains) {
        self.processors.extend(new.processors);
        for (id, gain) in new.kernels {
            let why = self.kernels.remove(&id).map_or(String::new(), |old| old.why);
            self.kernels.insert(id, Gain { why, ..gain });
        }
    }

    /// Forgets kernels that are no longer made.
    pub(super) fn retain(&mut self, ids: &[String]) {
        self.kernels.retain(|id, _| ids.contains(id));
    }

    /// Whether a kernel is made: every step kernel is, and so is one that was not measured.
    pub(super) fn keeps(&self, id: &str) -> bool {
        id.contains("-step-") || self.kernels.get(id).is_none_or(|gain| gain.quartile > WORTH_IT)
    }

    /// How many of these have no figures.
    pub(super) fn missing(&self, ids: &[String]) -> usize {
        ids.iter().filter(|id| !self.kernels.contains_key(*id)).count()
    }

    /// What is wrong with kernels that should say why they are so fast and do not.
    pub(super) fn unexplained(&self) -> Vec<String> {
        let is_unexplained = |(id, gain): &(&String, &Gain)| {
            hidden(id) >= LARGE && gain.quartile > FAST && gain.why.is_empty()
        };
        let message = |(id, gain): (&String, &Gain)| {
            format!("{id} is {:.2} times as fast as the kernel for any size: say why", gain.median)
        };
        self.kernels.iter().filter(is_unexplained).map(message).collect()
    }
}

impl Gain {
    /// Reads a line: the kernel's id, its figures, and the rest, if there is one.
    fn parse(line: &str) -> Option<(String, Gain)> {
        let mut rest = line;
        let mut word = || {
            let (word, after) = rest.trim_start().split_once(' ').unwrap_or((rest.trim_start(), ""));
            rest = after;
            word
        };
        let id = word().to_string();
        let (batch, steps) = (word().parse().ok()?, word().parse().ok()?);
        let (median, quartile) = (word().parse().ok()?, word().parse().ok()?);
        Some((id, Gain { batch, steps, median, quartile, why: rest.trim().to_string() }))
    }
}

/// The hidden size in the id of a kernel made for one, `f32-gru-step-h128-avx512`.
fn hidden(id: &str) -> usize {
    id.split("-h").nth(1).and_then(|rest| rest.split('-').next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "avx2_fma: AMD EPYC\navx512: some other\n\
                         f32-gru-step-h128-avx2_fma 1 1 1.15 1.12 sums stay in registers\n\
                         f32-gru-step-h128-avx512 1 1 1.15 1.12\n\
                         f32-gru-step-h64-avx512 1 1 1.20 1.15\n";

    #[test]
    fn what_is_written_is_read_again() {
        let gains = Gains::parse(TABLE).unwrap();
        assert_eq!(gains.kernels.len(), 3);
        assert_eq!(gains.kernels["f32-gru-step-h128-avx2_fma"].why, "sums stay in registers");
        assert_eq!(Gains::parse(&gains.text()).unwrap(), gains);
        for wrong in ["f32-gru-step-h64-avx512 1 1 1.20", "f32-gru-step-h64-avx512 1 1 x 1.0 why: so", ""] {
            assert!(Gains::parse(&format!("{wrong}\n")).unwrap_err().contains(wrong));
        }
    }

    #[test]
    fn new_figures_leave_reasons_and_other_instruction_sets() {
        let mut gains = Gains::parse(TABLE).unwrap();
        let new = "avx2_fma: new\nf32-gru-step-h128-avx2_fma 1 1 1.30 1.25\nf32-gru-step-h8-avx2_fma 1 1 2.00 1.90\n";
        gains.replace(Gains::parse(new).unwrap());
        let text = gains.text();
        assert!(text.contains("avx2_fma: new\navx512: some other\n"), "{text}");
        assert!(text.contains("1.30     1.25  sums stay in registers\n"), "{text}");
        assert!(text.contains("1.20     1.15\n") && text.contains("2.00     1.90\n"), "{text}");
        gains.retain(&["f32-gru-step-h8-avx2_fma".to_string()]);
        assert_eq!(gains.kernels.len(), 1);
        assert_eq!(
            gains.missing(&["f32-gru-step-h8-avx2_fma", "f32-gru-step-h8-avx512"].map(String::from)),
            1
        );
    }

    #[test]
    fn kernels_that_gain_too_little_are_not_made() {
        let table = "f32-gru-step-h8-avx512 1 1 0.90 0.80\nf32-gru-bwd-h16-avx512 32 20 1.10 1.03\n\
                     f32-gru-bwd-h20-avx512 32 20 1.05 1.04\n";
        let gains = Gains::parse(table).unwrap();
        let of_size = |size: &str| gains.keeps(&format!("f32-gru-bwd-{size}-avx512"));
        assert_eq!(["h16", "h20", "h24"].map(of_size), [false, true, true]);
        assert!(gains.keeps("f32-gru-step-h8-avx512"));
        let made = |gains: &Gains| {
            let files = super::super::emit::files(&[16, 20], gains);
            files.iter().any(|(_, text)| text.contains("f32-gru-bwd-h16-avx512"))
        };
        assert!(made(&Gains::default()) && !made(&gains));
    }

    #[test]
    fn fast_kernels_of_large_sizes_say_why() {
        let [message] = &Gains::parse(TABLE).unwrap().unexplained()[..] else {
            panic!("one gives no reason")
        };
        assert!(message.starts_with("f32-gru-step-h128-avx512 "), "{message}");
        assert_eq!(hidden("f32-rnn_tanh-step-h1024-avx2_fma"), 1024);
    }
}
