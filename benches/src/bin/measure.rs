//! `cargo xtask measure`: one case, and one JSON line of figures.

use benches::allocations::{self, Counting};
use benches::case::Case;
use benches::floor::{self, Ceilings};
use benches::machine;
use benches::problem::save_tensors;
use benches::report::Report;
use benches::runner::Runner;
use benches::say;
use benches::serve;
use benches::timing;
use clap::{Parser, ValueEnum};
use gatewise::{Isa, Kernels};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How long a repetition takes at least.
const LEAST: Duration = Duration::from_millis(100);

/// Time one network, one pass, one shape; the last line is one JSON object.
#[derive(Parser)]
#[command(name = "measure")]
struct Options {
    #[command(flatten)]
    case: Case,
    /// Instruction set [default: the best one up to GATEWISE_MAX_ISA]
    #[arg(long)]
    isa: Option<String>,
    /// Kernels made for the hidden size where there are some, or those for any size
    #[arg(long, value_enum, default_value_t = KernelChoice::Auto)]
    kernel: KernelChoice,
    /// Steps that the input is projected at a time
    #[arg(long, default_value = "auto")]
    chunk: Chunk,
    /// Repetitions of at least 100 ms
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u16).range(1..))]
    reps: u16,
    /// Write the outputs, as safetensors
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print the terms of the floor and the plan
    #[arg(long)]
    explain: bool,
    /// Run calls as the standard input says, for `compare`
    #[arg(long, hide = true)]
    serve: bool,
    /// Numbers of the case, for peers that do not make them themselves
    #[arg(long, hide = true)]
    problem: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum KernelChoice {
    Auto,
    AnySize,
}

/// `auto`, or a number of steps.
#[derive(Clone, Copy, Debug)]
struct Chunk(Option<usize>);

impl std::str::FromStr for Chunk {
    type Err = String;
    fn from_str(text: &str) -> Result<Chunk, String> {
        match text.parse() {
            _ if text == "auto" => Ok(Chunk(None)),
            Ok(steps) if steps > 0 => Ok(Chunk(Some(steps))),
            _ => Err("expected auto or a number of steps".to_string()),
        }
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("measure: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), String> {
    let case = &options.case;
    case.check()?;
    let kernels = kernels(options)?;
    let pool = machine::pool(case.threads).map_err(|error| error.to_string())?;
    let mut runner = Runner::new(case, kernels, options.chunk.0).map_err(|error| error.to_string())?;
    if let Some(path) = &options.out {
        let outputs = pool.install(|| runner.outputs()).map_err(|error| error.to_string())?;
        let arrays: Vec<_> =
            outputs.iter().map(|(name, values)| (&name[..], vec![values.len()], &values[..])).collect();
        save_tensors(path, &arrays)?;
    }
    if options.serve {
        serve::ready("gatewise", env!("CARGO_PKG_VERSION"), kernels.isa().name())?;
        return pool.install(|| serve::serve(|| runner.call().expect("the case was run before")));
    }
    let ceilings = Ceilings::measure(kernels, case.threads);
    let terms = floor::terms(case, &ceilings);

    let (times, allocations) = pool.install(|| {
        let mut call = || runner.call().expect("the case was run before");
        let times = timing::measure(usize::from(options.reps), LEAST, &mut call);
        let before = allocations::count();
        (0..8).for_each(|_| call());
        (times, (allocations::count() - before) as f64 / 8.0)
    });

    if options.explain {
        say!("floor, an estimate from ceilings measured in this run:");
        for term in &terms {
            say!("  {:<32} {:>12.3} us  {}", term.name, term.us, term.from);
        }
        say!("plan:");
        let plan = runner.explain().map_err(|error| error.to_string())?;
        plan.iter().for_each(|line| say!("  {line}"));
    }
    let floor_us = terms.iter().map(|term| term.us).sum();
    let mut report = Report::new("gatewise", case, &times).against(ceilings.fma_peak, floor_us);
    report.isa = kernels.isa().to_string();
    report.kernel = runner.kernel().map_err(|error| error.to_string())?.to_string();
    report.allocations = Some(allocations);
    say!("{}", report.line());
    Ok(())
}

fn kernels(options: &Options) -> Result<Kernels, String> {
    let kernels = match &options.isa {
        None => Kernels::auto(),
        Some(name) => {
            let isa =
                Isa::from_name(name).ok_or(format!("--isa {name}: expected portable, avx2_fma or avx512"))?;
            Kernels::with_isa(isa)
        }
    };
    let kernels = kernels.map_err(|error| error.to_string())?;
    Ok(if options.kernel == KernelChoice::AnySize { kernels.any_size() } else { kernels })
}
