//! Learning rates that change from update to update.

use crate::spec::Error;
use std::f64::consts::PI;

/// A factor of the learning rate for each update, counted from 0: first a warm-up, then a decay that counts from its end.
///
/// ```text
/// update < warmup    (update + 1) / warmup
/// otherwise          decay(update - warmup)
/// ```
///
/// # Examples
/// ```
/// use gatewise::{Adam, Decay, Schedule};
///
/// let schedule = Schedule { warmup: 10, decay: Decay::Cosine { updates: 90, end: 0.1 } };
/// let mut adam = Adam::new(1e-3);
/// for update in 0..100 {
///     adam.lr = 1e-3 * schedule.factor(update);
///     // .. adam.step(..)
/// }
/// assert_eq!((schedule.factor(4), schedule.factor(10)), (0.5, 1.0));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Schedule {
    /// Updates over which the rate grows to its full value; 0 is none.
    pub warmup: u64,
    /// What comes after.
    pub decay: Decay,
}

/// How the factor falls. u is the update, counted from the end of the warm-up.
///
/// # Examples
/// ```
/// use gatewise::{Decay, Schedule};
///
/// let step = Schedule { warmup: 0, decay: Decay::Step { every: 10, gamma: 0.5 } };
/// assert_eq!([0, 9, 10, 25].map(|update| step.factor(update)), [1.0, 1.0, 0.5, 0.25]);
/// let cosine = Schedule { warmup: 0, decay: Decay::Cosine { updates: 10, end: 0.5 } };
/// assert_eq!((cosine.factor(0), cosine.factor(10)), (1.0, 0.5));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Decay {
    /// 1.
    #[default]
    Constant,
    /// gamma^floor(u / every), `torch.optim.lr_scheduler.StepLR`.
    Step {
        /// Updates between two steps, at least 1.
        every: u64,
        /// What a step multiplies by.
        gamma: f64,
    },
    /// end + (1 - end) (1 + cos(pi u / updates)) / 2 until u = `updates`, and `end` from there on: one half wave of
    /// `torch.optim.lr_scheduler.CosineAnnealingLR`.
    Cosine {
        /// Updates that the fall takes, at least 1.
        updates: u64,
        /// The last factor, `eta_min / lr` in PyTorch.
        end: f64,
    },
}

impl Schedule {
    /// Checks the numbers.
    ///
    /// # Errors
    /// [`Error::Config`] names one that makes no sense: a step or a fall of no updates, or a factor that is negative or not finite.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Decay, Schedule};
    ///
    /// assert!(Schedule { warmup: 5, decay: Decay::Step { every: 10, gamma: 0.5 } }.check().is_ok());
    /// assert!(Schedule { warmup: 5, decay: Decay::Step { every: 0, gamma: 0.5 } }.check().is_err());
    /// ```
    pub fn check(&self) -> Result<(), Error> {
        let (arg, updates, factor) = match self.decay {
            Decay::Constant => return Ok(()),
            Decay::Step { every, gamma } => ("Decay::Step", every, gamma),
            Decay::Cosine { updates, end } => ("Decay::Cosine", updates, end),
        };
        if updates == 0 {
            return Err(Error::Config { arg, expected: "over one update at least", got: "0".to_string() });
        }
        if !factor.is_finite() || factor < 0.0 {
            let expected = "with a finite factor that is not negative";
            return Err(Error::Config { arg, expected, got: factor.to_string() });
        }
        Ok(())
    }

    /// The factor of an update; multiply the learning rate by it. A step or fall of no updates counts as one of one update.
    ///
    /// # Examples
    /// ```
    /// let schedule = gatewise::Schedule { warmup: 4, ..gatewise::Schedule::default() };
    /// assert_eq!([0, 1, 3, 100].map(|update| schedule.factor(update)), [0.25, 0.5, 1.0, 1.0]);
    /// ```
    pub fn factor(&self, update: u64) -> f64 {
        if update < self.warmup {
            return (update + 1) as f64 / self.warmup as f64;
        }
        let u = update - self.warmup;
        match self.decay {
            Decay::Constant => 1.0,
            Decay::Step { every, gamma } => gamma.powf((u / every.max(1)) as f64),
            Decay::Cosine { updates, end } if u < updates => {
                end + (1.0 - end) * (1.0 + (PI * u as f64 / updates as f64).cos()) / 2.0
            }
            Decay::Cosine { end, .. } => end,
        }
    }
}
