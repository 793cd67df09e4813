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
use model::Model;
use options::Options;
use run::{Outcome, Run};
use std::error::Error;
use std::process::ExitCode;
use stop::Stop;

fn main() -> ExitCode {
    let mut options = match Options::read() {
        Ok(options) => options,
        Err(Unusable::Help(text)) => {
            print!("{text}");
            return ExitCode::SUCCESS;
        }
        Err(Unusable::Usage(line)) => {
            eprintln!("folk_music: {line}");
            return ExitCode::from(2);
        }
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(options.threads).build();
    let done = match pool {
        Ok(pool) => pool.install(|| work(&mut options).map_err(|error| error.to_string())),
        Err(error) => Err(error.to_string()),
    };
    done.unwrap_or_else(|error| {
        eprintln!("folk_music: {error}");
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
    introduce(&run, &corpus);
    if run.train(&corpus, &streams, options, &Stop::listen()?)? == Outcome::Interrupted {
        println!("stopped after update {}; to go on: {}", run.updates(), how_to_resume(options));
        return Ok(ExitCode::from(stop::INTERRUPTED));
    }
    files::write(&options.file("loss.svg"), &plot::draw(&run.curves, &run.settings)?)?;
    if options.observe {
        let (observed, clipping) = run.observe(&streams.0)?;
        for (name, picture) in plot::observed(&observed, &clipping, &run.settings)? {
            files::write(&options.file(name), &picture)?;
        }
    }
    // The best model on validation need not be the last one.
    let (model, _) = card::load_model(&options.file("model.safetensors"))?;
    write_tunes(&model, &corpus.alphabet, options)?;
    println!("model.safetensors and loss.svg are there too");
    let (best, _) = run.curves.best().ok_or("there was no validation")?;
    println!("val_nats_per_char {best:.4}");
    Ok(ExitCode::SUCCESS)
}

/// Says what will be trained.
fn introduce(run: &Run, corpus: &Corpus) {
    println!(
        "{} characters, {} distinct; {} {}x{} with {} parameters on {}, {} thread(s)",
        corpus.text.len(),
        corpus.alphabet.characters.len(),
        run.settings.cell.name(),
        run.settings.layers,
        run.settings.hidden,
        run.model.num_parameters(),
        run.model.network.kernels().isa(),
        rayon::current_num_threads()
    );
    if run.updates() > 0 {
        println!("{} updates are done already", run.updates());
    }
}

/// The command that goes on from the checkpoint.
fn how_to_resume(options: &Options) -> String {
    let corpus = options.corpus.as_ref().map(|path| format!(" --corpus {}", path.display()));
    format!(
        "cargo run --release --example folk_music -- --resume --out {}{}",
        options.out.display(),
        corpus.unwrap_or_default()
    )
}

/// Draws tunes, shows them, and writes them to their file.
fn write_tunes(model: &Model, alphabet: &Alphabet, options: &Options) -> Result<(), Box<dyn Error>> {
    let tunes = tune::compose(model, alphabet, options)?;
    let name = options.file(if alphabet.is_abc { "tune.abc" } else { "sample.txt" });
    let text = tunes.texts.join("\n");
    files::write(&name, &text)?;
    if !options.check {
        println!("\n{text}\n");
    }
    for (number, problem) in &tunes.problems {
        println!("tune {number} is not well-formed: {problem}");
    }
    if options.check {
        let well = tunes.texts.len() - tunes.problems.len();
        println!("{well} of {} tunes are well-formed", tunes.texts.len());
    } else if tunes.rejected > 0 {
        println!("drawn again because not well-formed: {}", tunes.rejected);
    }
    println!("{} is written", name.display());
    Ok(())
}
