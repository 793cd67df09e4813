//! Trains a character model on folk tunes in ABC notation and writes a new tune.
//!
//! ```sh
//! cargo run --release --example folk_music
//! cargo run --release --example folk_music -- --help
//! ```

mod corpus;
mod model;
mod options;
mod plot;
mod progress;
mod tune;

use clap::Parser;
use corpus::Corpus;
use gatewise::{Adam, NonFinite, Norm, Optimizer, clip_grad_norm};
use model::{Model, Trainer};
use options::Options;
use plot::Curves;
use progress::{Progress, Update};
use std::error::Error;
use std::process::ExitCode;

/// Updates between two validations.
const VALIDATE_EVERY: usize = 200;

fn main() -> ExitCode {
    let options = Options::parse();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(options.threads).build();
    let done = match pool {
        Ok(pool) => pool.install(|| run(&options).map_err(|error| error.to_string())),
        Err(error) => Err(error.to_string()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("folk_music: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let corpus = Corpus::read(options.corpus.as_deref())?;
    let (train, validation) = corpus.split(options.batch, options.seq)?;
    std::fs::create_dir_all(&options.out).map_err(|e| format!("{}: {e}", options.out.display()))?;

    let mut model = Model::new(options, corpus.characters.len())?;
    println!(
        "{} characters, {} distinct; {} {}x{} with {} parameters on {}, {} thread(s)",
        corpus.text.len(),
        corpus.characters.len(),
        options.cell.name(),
        options.layers,
        options.hidden,
        model.num_parameters(),
        model.network.kernels().isa(),
        rayon::current_num_threads()
    );

    let mut adam = Adam::new(options.lr);
    let mut trainer = Trainer::new(&model);
    let mut progress = Progress::new(options.steps, options.batch * options.seq);
    let mut curves = Curves::default();
    let windows = train.windows(options.seq);
    for step in 0..options.steps {
        // Truncated BPTT: the state goes on from window to window of the streams, and starts anew with each pass.
        let window = step % windows;
        let loss = trainer.forward_backward(&model, &train, window, options.seq)?;
        let norm = clip_grad_norm(&mut trainer.grads(), options.clip, Norm::L2, NonFinite::Error)
            .map_err(|error| format!("update {}: {error}; try a lower --lr", step + 1))?;
        model.update(|params| adam.step(params, &trainer.shared_grads()))?;
        curves.train.push(loss);
        let done = step + 1;
        if done % VALIDATE_EVERY == 0 || done == options.steps {
            curves.validation.push((done, model.validate(&validation, options.seq)?));
        }
        let validation = curves.validation.last().map(|&(_, loss)| loss);
        progress.update(&Update { done, loss, norm, is_clipped: norm > options.clip, validation });
    }
    progress.finish();
    let result = match curves.validation.last() {
        Some(&(_, loss)) => loss,
        None => model.validate(&validation, options.seq)?,
    };

    let file = |name: &str| options.out.join(name);
    model.save(&file("model.safetensors"))?;
    plot::draw(&file("loss.svg"), &curves, options)?;
    let tune = tune::compose(&model, &corpus, options)?;
    std::fs::write(file("tune.abc"), &tune).map_err(|e| format!("{}: {e}", file("tune.abc").display()))?;
    println!("\n{tune}\n");
    println!("model.safetensors, loss.svg and tune.abc are in {}", options.out.display());
    println!("val_nats_per_char {result:.4}");
    Ok(())
}
