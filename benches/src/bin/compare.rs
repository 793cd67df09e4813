//! `cargo xtask compare`: Gatewise beside its peers.

use benches::compare::peer::Spec;
use benches::compare::results::Results;
use benches::compare::round::{self, Effort};
use benches::compare::shapes::{self, Shape};
use benches::compare::systems::{self, Places};
use benches::compare::{publish, table};
use benches::{machine, say};
use clap::Parser;
use gatewise::{Isa, Kernels};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Times Gatewise and its peers on the same work, in turns.
#[derive(Parser)]
#[command(name = "compare")]
struct Options {
    /// A dozen cases, five rounds of 20 ms
    #[arg(long)]
    quick: bool,
    /// All cases, nine rounds of 40 ms
    #[arg(long)]
    full: bool,
    /// One case, e.g. "lstm forward B=32 T=100 I=256 H=256" or "matmul m=256 n=256 k=256"; may be given several times
    #[arg(long)]
    shape: Vec<String>,
    /// Only these peers
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    peers: Vec<String>,
    /// Threads, each on a core of its own; several numbers run every case on each
    #[arg(long, value_delimiter = ',', default_value = "1")]
    threads: Vec<usize>,
    /// Seconds that a peer may take to answer before it counts as hung
    #[arg(long, default_value_t = 300)]
    patience: u64,
    /// Write BENCHMARKS.md and its pictures, from this run or, if no cases are asked for, from the last one
    #[arg(long)]
    publish: bool,
    /// The root of the workspace
    #[arg(long, default_value = ".", hide = true)]
    root: PathBuf,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("compare: something is missing: see the lines above with absent, FAILED or an error");
            ExitCode::from(3)
        }
        Err(error) => {
            eprintln!("compare: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Answers whether nothing was missing.
fn run(options: &Options) -> Result<bool, String> {
    let folder = options.root.join("target/compare");
    let file = folder.join("results.json");
    let measures = options.quick || options.full || !options.shape.is_empty() || !options.publish;
    let (results, is_whole) = if measures {
        std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let (results, is_whole) = measure(options, &folder, &file)?;
        publish::draw_charts(&results, &folder)?;
        say!("results.json and pictures are in {}", folder.display());
        (results, is_whole)
    } else {
        (Results::load(&file)?, true)
    };
    if options.publish {
        publish::publish(&results, &options.root)?;
        say!("BENCHMARKS.md is written");
    }
    Ok(is_whole)
}

/// Measures the cases that were asked for. What there is of them is in `file` after each, so that a run that is broken off can be
/// published.
fn measure(options: &Options, folder: &Path, file: &Path) -> Result<(Results, bool), String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let places = Places {
        programs: own.parent().map_or(PathBuf::new(), PathBuf::from),
        root: options.root.clone(),
        variables: std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect(),
    };
    let mut specs: Vec<Spec> = systems::systems(&places, &options.peers);
    specs.iter_mut().for_each(|spec| spec.patience = Duration::from_secs(options.patience));
    let kernels = Kernels::auto().map_err(|error| error.to_string())?;
    // The peak is the machine's, also where Gatewise is held to a smaller instruction set: peers are not.
    let best = Isa::best_up_to(Isa::Avx512);
    let fma_peaks: Vec<(usize, f64)> =
        options.threads.iter().map(|&n| (n, machine::fma_peak(best, n))).collect();
    for (threads, peak) in &fma_peaks {
        say!("FMA peak {peak:.0} GFLOP/s on {threads} thread(s), {best}; Gatewise runs {}", kernels.isa());
    }
    say!("");
    let effort = if options.full {
        Effort { reps: 9, least: Duration::from_millis(40), slow: Duration::from_secs(1) }
    } else {
        Effort { reps: 5, least: Duration::from_millis(20), slow: Duration::from_secs(1) }
    };

    let mut results = Results::here(kernels.isa().name(), &command_line(), &fma_peaks);
    let (shapes, mut is_whole) = shapes(options);
    for shape in &shapes {
        let threads = shape.work.threads();
        let peak = fma_peaks.iter().find(|(n, _)| *n == threads).map(|(_, peak)| *peak);
        let peak = peak.unwrap_or_else(|| machine::fma_peak(best, threads));
        match round::run(shape, &specs, effort, peak, folder) {
            Ok(rows) => {
                say!("{}", table::text(&rows));
                is_whole &= !rows.iter().any(|row| row.is_missing);
                results.cases.push(rows);
                results.save(file)?;
            }
            Err(error) => {
                say!("error: {error}\n");
                is_whole = false;
            }
        }
    }
    Ok((results, is_whole))
}

/// The work that was asked for, and whether all of it could be read; what could not is named.
fn shapes(options: &Options) -> (Vec<Shape>, bool) {
    let (mut all, mut is_whole) = (Vec::new(), true);
    for &threads in &options.threads {
        for text in &options.shape {
            match shapes::work(text, threads) {
                Ok(work) => all.push(Shape { group: "asked for", work }),
                Err(error) => {
                    say!("error: {error}\n");
                    is_whole = false;
                }
            }
        }
        if options.full {
            all.extend(shapes::full(threads));
        } else if options.quick || options.shape.is_empty() {
            all.extend(shapes::quick(threads));
        }
    }
    (all, is_whole)
}

/// What was typed, as one would type it again.
fn command_line() -> String {
    let mut words = vec!["cargo xtask compare".to_string()];
    let mut arguments = std::env::args().skip(1);
    while let Some(word) = arguments.next() {
        if word == "--root" {
            arguments.next();
        } else if word.contains(' ') {
            words.push(format!("{word:?}"));
        } else {
            words.push(word);
        }
    }
    words.join(" ")
}
