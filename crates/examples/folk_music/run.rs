//! The training: updates, validations, the best model, checkpoints.

use crate::checkpoint;
use crate::corpus::{Corpus, Streams};
use crate::model::Model;
use crate::options::Options;
use crate::progress::{Progress, Update};
use crate::settings::Settings;
use crate::stop::Stop;
use crate::trainer::{Observed, Trainer, Window};
use gatewise::{Adam, ClipGroup, ClipLedger, NonFinite, Norm, Optimizer, Place};
use std::error::Error;

/// Losses over the updates.
#[derive(Default)]
pub(crate) struct Curves {
    /// Of each update's window.
    pub(crate) train: Vec<f32>,
    /// (updates done, loss).
    pub(crate) validation: Vec<(usize, f64)>,
}

/// A training on its way: all that the next update depends on, and what is to be shown in the end.
pub(crate) struct Run {
    pub(crate) settings: Settings,
    pub(crate) model: Model,
    pub(crate) adam: Adam,
    pub(crate) trainer: Trainer,
    pub(crate) curves: Curves,
    /// What clipping did since the program began.
    ledger: ClipLedger,
}

/// The name of the only group of parameters in the ledger.
const ALL: &str = "all";

/// How a training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    /// Validation got no better any more.
    Stalled,
    Interrupted,
}

/// The validation with the lowest loss, the first of equals.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Best {
    /// Updates done.
    pub(crate) update: usize,
    pub(crate) loss: f64,
    /// Validations after it.
    pub(crate) since: usize,
}

impl Curves {
    /// The best validation.
    pub(crate) fn best(&self) -> Option<Best> {
        let validations = self.validation.iter().enumerate();
        let (place, &(update, loss)) = validations.min_by(|(_, a), (_, b)| a.1.total_cmp(&b.1))?;
        Some(Best { update, loss, since: self.validation.len() - 1 - place })
    }
}

impl Run {
    /// A new one.
    pub(crate) fn new(settings: &Settings, characters: usize) -> Result<Run, gatewise::Error> {
        let model = Model::new(settings, characters)?;
        let (adam, trainer) = (Adam::new(settings.lr), Trainer::new(&model));
        let ledger = ClipLedger::new(Norm::L2, NonFinite::Error, settings.steps);
        Ok(Run { settings: settings.clone(), model, adam, trainer, curves: Curves::default(), ledger })
    }

    /// Updates done.
    pub(crate) fn updates(&self) -> usize {
        self.curves.train.len()
    }

    /// Trains until all updates are done, validation gets no better any more, or a signal asks it to stop. The best model and the
    /// latest checkpoint are in their files then.
    pub(crate) fn train(
        &mut self,
        corpus: &Corpus,
        (train, validation): &(Streams, Streams),
        options: &Options,
        stop: &Stop,
    ) -> Result<Outcome, Box<dyn Error>> {
        let Settings { steps, batch, seq, validate_every, clip, .. } = self.settings;
        let mut progress = Progress::new(self.updates(), steps, batch * seq);
        while self.updates() < steps && !self.has_stalled() {
            if stop.is_asked() {
                progress.finish();
                checkpoint::save(self, corpus, options)?;
                return Ok(Outcome::Interrupted);
            }
            let (loss, norm) = self.update(train)?;
            let done = self.updates();
            if done.is_multiple_of(validate_every) {
                self.validate(corpus, validation, options)?;
            }
            let validation = self.curves.validation.last().map(|&(_, loss)| loss);
            progress.update(&Update { done, loss, norm, is_clipped: norm > clip, validation })?;
        }
        progress.finish();
        if self.curves.validation.last().is_none_or(|&(done, _)| done < self.updates()) {
            self.validate(corpus, validation, options)?;
        }
        Ok(match self.updates() < steps {
            // Asked in the last update or its validation: that is saved, and what would follow is not wanted.
            _ if stop.is_asked() => Outcome::Interrupted,
            true => Outcome::Stalled,
            false => Outcome::Done,
        })
    }

    /// Whether too many validations have brought nothing.
    fn has_stalled(&self) -> bool {
        let patience = self.settings.patience;
        patience > 0 && self.curves.best().is_some_and(|best| best.since >= patience)
    }

    /// One update; answers its loss and the norm of its gradient.
    fn update(&mut self, streams: &Streams) -> Result<(f64, f64), Box<dyn Error>> {
        let Settings { seq, seed, clip, .. } = self.settings;
        let update = self.updates();
        let window = Window { streams, update, seq, seed };
        let loss = self.trainer.forward_backward(&self.model, window)?;
        if !loss.is_finite() {
            return Err(self.failure(window, format!("the loss is {loss}"))?.into());
        }
        let norm = match self.ledger.clip(ALL, &mut self.trainer.grads(), clip, None) {
            Err(gatewise::Error::NonFinite { norm, .. }) => {
                return Err(self.failure(window, format!("the norm of the gradient is {norm}"))?.into());
            }
            clipped => clipped?.norm,
        };
        self.adam.lr = self.settings.learning_rate(update);
        self.model.update(|params| self.adam.step(params, &self.trainer.shared_grads()))?;
        self.curves.train.push(loss as f32);
        Ok((loss, norm))
    }

    /// What to say of a window that has no update, and where it began.
    fn failure(&mut self, window: Window<'_>, what: String) -> Result<String, gatewise::Error> {
        let place = self.trainer.find_non_finite(&self.model, window)?;
        Ok(explain(window.update + 1, &what, place))
    }

    /// What to say of a validation whose loss is not finite, and where in its text that began.
    fn validation_failure(&mut self, streams: &Streams, loss: f64) -> Result<String, gatewise::Error> {
        let Settings { seq, seed, .. } = self.settings;
        let seq = seq.min(streams.length - 1);
        let mut place = None;
        for update in 0..streams.windows(seq) {
            place = self.trainer.look_for_non_finite(&self.model, Window { streams, update, seq, seed })?;
            if place.is_some() {
                break;
            }
        }
        Ok(explain(self.updates(), &format!("the validation loss is {loss}"), place))
    }

    /// What the network does in the next window, and what clipping did.
    pub(crate) fn observe(&mut self, streams: &Streams) -> Result<(Observed, ClipGroup), gatewise::Error> {
        let Settings { seq, seed, .. } = self.settings;
        let window = Window { streams, update: self.updates(), seq, seed };
        let observed = self.trainer.observe(&self.model, window)?;
        Ok((observed, self.ledger.group(ALL).cloned().unwrap_or_default()))
    }

    /// Validates, keeps the model if it is the best so far, and saves a checkpoint.
    fn validate(
        &mut self,
        corpus: &Corpus,
        streams: &Streams,
        options: &Options,
    ) -> Result<(), Box<dyn Error>> {
        let (loss, update) = (self.model.validate(streams, self.settings.seq)?, self.updates());
        if !loss.is_finite() {
            return Err(self.validation_failure(streams, loss)?.into());
        }
        self.curves.validation.push((update, loss));
        if let Some(best) = self.curves.best().filter(|best| best.since == 0) {
            checkpoint::save_best(self, &best, corpus, options)?;
        }
        checkpoint::save(self, corpus, options)
    }
}

fn explain(update: usize, what: &str, place: Option<Place>) -> String {
    let place = place.map(|place| format!("; the first value that is not finite is in {place}"));
    format!("update {update}: {what}{}; try a lower --lr", place.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equals_is_the_best() {
        let mut curves = Curves::default();
        assert_eq!(curves.best(), None);
        curves.validation = vec![(1, 3.0), (2, 1.0), (3, 1.0), (4, 2.0)];
        assert_eq!(curves.best(), Some(Best { update: 2, loss: 1.0, since: 2 }));
    }
}
