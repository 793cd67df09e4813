//! Problems whose answer depends on what was read many steps ago.

mod adding;
mod copy;
mod reber;
mod sinusoid;

use clap::ValueEnum;
use gatewise::Philox;
use std::ops::Range;

/// The problems by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TaskName {
    Adding,
    Copy,
    Sinusoid,
    Reber,
}

/// What is asked of a network at the steps that count.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Target {
    /// A value for each row; the loss is the mean squared error.
    Values(Vec<f32>),
    /// A class for each row; the loss is the cross-entropy in nats.
    Classes(Vec<usize>),
}

/// Rows of a problem side by side.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Batch {
    /// [steps, rows, features]
    pub(crate) input: Vec<f32>,
    /// [steps that are learned, rows]
    pub(crate) target: Target,
}

/// A problem of a certain length. Times are counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Task {
    pub(crate) name: TaskName,
    /// T as on the command line.
    pub(crate) length: usize,
}

impl TaskName {
    /// The name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            TaskName::Adding => "adding",
            TaskName::Copy => "copy",
            TaskName::Sinusoid => "sinusoid",
            TaskName::Reber => "reber",
        }
    }

    /// The smallest length that leaves something to remember.
    pub(crate) fn shortest(self) -> usize {
        match self {
            TaskName::Adding => 2,
            TaskName::Copy => 1,
            TaskName::Sinusoid => 4,
            TaskName::Reber => reber::SHORTEST,
        }
    }
}

impl Task {
    /// Steps of a row.
    pub(crate) fn steps(&self) -> usize {
        match self.name {
            TaskName::Adding | TaskName::Sinusoid => self.length,
            TaskName::Copy => self.length + 2 * copy::SYMBOLS,
            // Nothing comes after the last symbol.
            TaskName::Reber => self.length - 1,
        }
    }

    /// Features of a step's input.
    pub(crate) fn features(&self) -> usize {
        match self.name {
            TaskName::Adding => 2,
            TaskName::Copy => copy::FEATURES,
            TaskName::Sinusoid => 1,
            TaskName::Reber => reber::SYMBOLS.len(),
        }
    }

    /// What a network puts out at a step: a value, or a logit for each class.
    pub(crate) fn outputs(&self) -> usize {
        match self.name {
            TaskName::Adding | TaskName::Sinusoid => 1,
            TaskName::Copy => copy::CLASSES,
            TaskName::Reber => reber::SYMBOLS.len(),
        }
    }

    /// The steps whose loss is learned from.
    pub(crate) fn learned(&self) -> Range<usize> {
        match self.name {
            TaskName::Adding => self.length - 1..self.length,
            TaskName::Sinusoid => sinusoid::seen(self.length)..self.length,
            TaskName::Copy | TaskName::Reber => 0..self.steps(),
        }
    }

    /// The steps whose loss is reported: those that tell whether the network remembers.
    pub(crate) fn scored(&self) -> Range<usize> {
        match self.name {
            // The last symbol but one is the second one again; it is said at the step before.
            TaskName::Reber => self.length - 3..self.length - 2,
            _ => self.learned(),
        }
    }

    /// The loss of the best answer that remembers nothing.
    pub(crate) fn baseline(&self) -> f64 {
        match self.name {
            TaskName::Adding => adding::BASELINE,
            TaskName::Sinusoid => sinusoid::BASELINE,
            TaskName::Copy => copy::baseline(self.length),
            TaskName::Reber => std::f64::consts::LN_2,
        }
    }

    /// What the loss is measured in.
    pub(crate) fn unit(&self) -> &'static str {
        match self.name {
            TaskName::Adding | TaskName::Sinusoid => "mean squared error",
            TaskName::Copy | TaskName::Reber => "nats",
        }
    }

    /// Rows from a stream of random numbers.
    pub(crate) fn draw(&self, rows: usize, random: &mut Philox) -> Batch {
        match self.name {
            TaskName::Adding => adding::draw(self.length, rows, random),
            TaskName::Copy => copy::draw(self.length, rows, random),
            TaskName::Sinusoid => sinusoid::draw(self.length, rows, random),
            TaskName::Reber => reber::draw(self.length, rows, random),
        }
    }
}

/// A whole number below `n`, all equally likely.
fn below(n: usize, random: &mut Philox) -> usize {
    (f64::from(random.uniform()) * n as f64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_agree() {
        for name in TaskName::value_variants() {
            for length in [name.shortest(), name.shortest() + 1, 40] {
                let task = Task { name: *name, length };
                let batch = task.draw(3, &mut Philox::new(1, 2));
                assert_eq!(batch.input.len(), task.steps() * 3 * task.features(), "{task:?}");
                let counted = match &batch.target {
                    Target::Values(values) => values.len(),
                    Target::Classes(classes) => {
                        assert!(classes.iter().all(|&class| class < task.outputs()));
                        classes.len()
                    }
                };
                let (learned, scored) = (task.learned(), task.scored());
                assert_eq!(counted, learned.len() * 3, "{task:?}");
                assert!(learned.end <= task.steps() && !learned.is_empty(), "{task:?}");
                assert!(learned.start <= scored.start && scored.end <= learned.end && !scored.is_empty());
                assert_eq!(batch, task.draw(3, &mut Philox::new(1, 2)), "{task:?}: another batch");
                assert_ne!(batch, task.draw(3, &mut Philox::new(2, 2)), "{task:?}: the same batch");
            }
        }
    }
}
