//! A training on its way, in a file: parameters, optimizer, the state of the streams, the losses so far.
//!
//! Random numbers are counted from the seed and the number of the update, and so is the place in the streams: there is nothing else
//! to save of them.

use crate::card::{self, Card};
use crate::corpus::Corpus;
use crate::model::Model;
use crate::options::Options;
use crate::run::{Best, Run};
use gatewise::{Optimizer, OptimizerState, State, Tensors, WeightFile};
use std::error::Error;
use std::path::Path;

const NAME: &str = "checkpoint.safetensors";
const MODEL: &str = "model.safetensors";
/// The line of a model's card that says which validation it had: `updates done:loss`.
const BEST: &str = "best";

fn pair(update: usize, loss: f64) -> String {
    format!("{update}:{loss}")
}

/// Writes the model that has just been the best on validation.
pub(crate) fn save_best(
    run: &Run,
    best: &Best,
    corpus: &Corpus,
    options: &Options,
) -> Result<(), gatewise::Error> {
    let entries = [(BEST, pair(best.update, best.loss))];
    card::save_model(&options.file(MODEL), &run.model, &run.settings, &corpus.alphabet, &entries)
}

/// Reads the model of that validation. The file may have been taken away, or come from another run.
pub(crate) fn load_best(best: &Best, options: &Options) -> Result<(Model, Card), Box<dyn Error>> {
    let path = options.file(MODEL);
    let (model, card) = card::load_model(&path)?;
    match card.line(BEST) == Some(&pair(best.update, best.loss)) {
        true => Ok((model, card)),
        false => Err(foreign(&path, best).into()),
    }
}

fn foreign(path: &Path, best: &Best) -> String {
    format!("{}: it is not this run's best model, that of update {}", path.display(), best.update)
}

/// Writes the checkpoint, in place of the one before.
pub(crate) fn save(run: &Run, corpus: &Corpus, options: &Options) -> Result<(), Box<dyn Error>> {
    let adam = run.adam.state();
    let mut rest = Tensors::default();
    rest.add("train_loss", &[run.updates()], run.curves.train.clone())?;
    if let Some(state) = &run.trainer.state {
        rest.add("h", &[state.h().len()], state.h().to_vec())?;
        rest.add("c", &[state.c().len()], state.c().to_vec())?;
    }
    let validation = run.curves.validation.iter().map(|&(done, loss)| pair(done, loss) + " ");
    let entries = [
        ("adam", adam.steps.to_string()),
        ("validation", validation.collect()),
        ("text", corpus.fingerprint.to_string()),
    ];
    let text = card::write(&run.settings.list(), &corpus.alphabet, &entries);
    let mut lists = run.model.lists().to_vec();
    lists.extend([("adam.", &adam.tensors), ("run.", &rest)]);
    card::save(&options.file(NAME), &lists, &text)?;
    Ok(())
}

/// Goes on from the checkpoint in the folder; the options take its settings.
pub(crate) fn resume(options: &mut Options, corpus: &Corpus) -> Result<Run, Box<dyn Error>> {
    let path = options.file(NAME);
    let name = path.display();
    let file = WeightFile::read(&path)?;
    let card = Card::read(&file, &path)?;
    options.adopt(card.settings.clone(), |setting| !["steps", "patience"].contains(&setting), &path)?;
    if card.line("adam").is_none() {
        return Err(format!("{name}: it is a model, not a checkpoint").into());
    }
    let (theirs, ours) = (&card.alphabet.characters, &corpus.alphabet.characters);
    if theirs != ours {
        let (theirs, ours) = (theirs.len(), ours.len());
        let what = format!("it knows other characters ({theirs}) than the text has ({ours})");
        return Err(format!("{name}: {what}; give the same --corpus").into());
    }
    if card.number("text") != Some(corpus.fingerprint) {
        return Err(format!("{name}: it comes from another text; give the same --corpus").into());
    }
    let mut run = Run::new(&options.settings, ours.len())?;
    fill(&mut run, &file, &card).map_err(|problem| format!("{name}: {problem}"))?;
    if let Some(best) = run.curves.best() {
        check_best(&best, &run, options)?;
    }
    Ok(run)
}

/// Sees before an hour of training that the best model so far is there. One that is newer than the checkpoint is what a power cut between
/// the two files leaves: the run will make it again.
fn check_best(best: &Best, run: &Run, options: &Options) -> Result<(), Box<dyn Error>> {
    let path = options.file(MODEL);
    let card = Card::read(&WeightFile::read(&path)?, &path)?;
    let line = card.line(BEST).and_then(|line| line.split_once(':')).ok_or_else(|| foreign(&path, best))?;
    match line.0.parse::<usize>().is_ok_and(|update| update > run.updates()) {
        true => Ok(()),
        false => load_best(best, options).map(|_| ()),
    }
}

fn fill(run: &mut Run, file: &WeightFile, card: &Card) -> Result<(), Box<dyn Error>> {
    run.model.load(file)?;
    let steps = card.number("adam").ok_or("the number of steps is missing")?;
    run.adam.set_state(&OptimizerState { steps, tensors: file.take("adam.")? })?;

    let rest = file.take("run.")?;
    let get = |name: &str| rest.get(name).map(|tensor| tensor.data());
    run.curves.train = get("train_loss").ok_or("run.train_loss is missing")?.to_vec();
    let validation = card.line("validation").ok_or("the validation losses are missing")?;
    for pair in validation.split_whitespace() {
        let pair = pair.split_once(':').and_then(|(done, x)| Some((done.parse().ok()?, x.parse().ok()?)));
        run.curves.validation.push(pair.ok_or("a validation loss is no number")?);
    }
    if let (Some(h), Some(c)) = (get("h"), get("c")) {
        let mut state: State = run.model.network.zero_state(run.settings.batch)?;
        if (h.len(), c.len()) != (state.h().len(), state.c().len()) {
            return Err("the state of the streams has another size".into());
        }
        state.h_mut().copy_from_slice(h);
        state.c_mut().copy_from_slice(c);
        run.trainer.state = Some(state);
    }
    Ok(())
}
