//! Trains a character model on folk tunes in ABC notation and writes a new tune.
//!
//! ```sh
//! cargo run --release --example folk_music
//! cargo run --release --example folk_music -- --help
//! ```

mod abc;
mod card;
mod checkpoint;
mod corpus;
mod model;
mod options;
mod plot;
mod progress;
mod run;
mod settings;
mod stop;
mod trainer;
mod tune;

use corpus::{Alphabet, Corpus};
use examples::command_line::Unusable;
use examples::files;
use examples::print::{complain, say};
use model::Model;
use options::Options;
use run::{Outcome, Run};
use std::error::Error;
use std::process::ExitCode;
use stop::Stop;

fn main() -> ExitCode {
    let mut options = match Options::read() {
        Ok(options) => options,
        Err(Unusable::Help(text)) => return exit(say(text.trim_end()).map(|()| ExitCode::SUCCESS)),
        Err(Unusable::Usage(line)) => {
            complain("folk_music", line);
            return ExitCode::from(2);
        }
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(options.threads).build();
    let done = match pool {
        Ok(pool) => pool.install(|| work(&mut options).map_err(|error| error.to_string())),
        Err(error) => Err(error.to_string()),
    };
    exit(done)
}

fn exit(done: Result<ExitCode, String>) -> ExitCode {
    done.unwrap_or_else(|error| {
        complain("folk_music", error);
        ExitCode::FAILURE
    })
}

fn work(options: &mut Options) -> Result<ExitCode, Box<dyn Error>> {
    if options.sample_only {
        let path = options.file("model.safetensors");
        let (model, card) = card::load_model(&path)?;
        options.adopt(card.settings, |setting| card::OF_MODEL.contains(&setting), &path)?;
        write_tunes(&model, &card.alphabet, options)?;
        return Ok(ExitCode::SUCCESS);
    }

    let corpus = Corpus::read(options.corpus.as_deref())?;
    let mut run = match options.resume {
        true => checkpoint::resume(options, &corpus)?,
        false => Run::new(&options.settings, corpus.alphabet.characters.len())?,
    };
    let streams = corpus.split(run.settings.batch, run.settings.seq)?;
    files::prepare(&options.out)?;
    introduce(&run, &corpus)?;
    let stop = Stop::listen()?;
    match run.train(&corpus, &streams, options, &stop)? {
        Outcome::Interrupted => {
            let how = options::how_to_resume(std::env::args_os().skip(1));
            say(format!("stopped after update {}; to go on: {how}", run.updates()))?;
            return Ok(ExitCode::from(stop.code()));
        }
        Outcome::Stalled => {
            let (done, patience) = (run.updates(), run.settings.patience);
            say(format!("stopped early, after update {done}: {patience} validations without a better one"))?;
        }
        Outcome::Done => {}
    }
    // All that the run needs to go on is in its files.
    stop.end_at_once();
    files::write(&options.file("loss.svg"), &plot::draw(&run.curves, &run.settings)?)?;
    if options.observe {
        let (observed, clipping) = run.observe(&streams.0)?;
        for (name, picture) in plot::observed(&observed, &clipping, &run.settings)? {
            files::write(&options.file(name), &picture)?;
        }
    }
    // The best model on validation need not be the last one.
    let best = run.curves.best().ok_or("there was no validation")?;
    let (model, _) = checkpoint::load_best(&best, options)?;
    write_tunes(&model, &corpus.alphabet, options)?;
    say("model.safetensors and loss.svg are there too")?;
    say(format!("val_nats_per_char {:.4}", best.loss))?;
    Ok(ExitCode::SUCCESS)
}

/// Says what will be trained.
fn introduce(run: &Run, corpus: &Corpus) -> Result<(), String> {
    say(format!(
        "{} characters, {} distinct; {} {}x{} with {} parameters on {}, {} thread(s)",
        corpus.text.len(),
        corpus.alphabet.characters.len(),
        run.settings.cell.name(),
        run.settings.layers,
        run.settings.hidden,
        run.model.num_parameters(),
        run.model.network.kernels().isa(),
        rayon::current_num_threads()
    ))?;
    match run.updates() {
        0 => Ok(()),
        done => say(format!("{done} updates are done already")),
    }
}

/// Draws tunes, shows them, and writes them to their file.
fn write_tunes(model: &Model, alphabet: &Alphabet, options: &Options) -> Result<(), Box<dyn Error>> {
    let tunes = tune::compose(model, alphabet, options)?;
    let name = options.file(if alphabet.is_abc { "tune.abc" } else { "sample.txt" });
    let text = tunes.texts.join("\n");
    files::write(&name, &text)?;
    if !options.check {
        say(format!("\n{text}\n"))?;
    }
    for (number, problem) in &tunes.problems {
        say(format!("tune {number} is not well-formed: {problem}"))?;
    }
    if options.check {
        let well = tunes.texts.len() - tunes.problems.len();
        say(format!("{well} of {} tunes are well-formed", tunes.texts.len()))?;
    } else if tunes.rejected > 0 {
        say(format!("drawn again because not well-formed: {}", tunes.rejected))?;
    }
    say(format!("{} is written", name.display()))?;
    Ok(())
}
