//! Other systems doing the work that Gatewise is measured on: `peers NAME --problem FILE --out FILE` and the options of a case,
//! as the module `compare::peer` of `benches` describes. The numbers of a case come from the same seeds as Gatewise's.

mod burn;
mod candle;
mod gemm;
mod matrixmultiply;
mod rten;
mod tract;

use benches::case::{Case, Lengths};
use benches::matmul::Matmul;
use benches::problem::{Problem, save_tensors};
use benches::{machine, serve};
use clap::{Args, Parser, Subcommand};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[derive(Parser)]
#[command(name = "peers")]
struct Options {
    #[command(subcommand)]
    peer: Peer,
}

#[derive(Subcommand)]
enum Peer {
    /// burn-nn on the flex backend, autodiff for training
    Burn(Network),
    /// candle-nn
    Candle(Network),
    /// tract, inference from an ONNX file
    Tract(Network),
    /// rten, inference from an ONNX file
    Rten(Network),
    /// The matmul of gemm
    Gemm(Product),
    /// The matmul of matrixmultiply
    Matrixmultiply(Product),
}

#[derive(Args)]
struct Network {
    #[command(flatten)]
    case: Case,
    #[command(flatten)]
    files: Files,
}

#[derive(Args)]
struct Product {
    #[command(flatten)]
    matmul: Matmul,
    #[command(flatten)]
    files: Files,
}

#[derive(Args)]
struct Files {
    /// The numbers as safetensors; the network in ONNX lies beside it
    #[arg(long)]
    problem: PathBuf,
    /// Write the outputs, as safetensors
    #[arg(long)]
    out: PathBuf,
}

/// A system that has done the work once.
struct Ready {
    /// The package whose version counts.
    package: &'static str,
    /// The variant.
    note: &'static str,
    /// What it computed, by name: y in [T, B, H], and gradients in PyTorch's layouts.
    outputs: Vec<(String, Vec<f32>)>,
    /// Does it again.
    call: Box<dyn FnMut() -> Result<()>>,
}

/// The system does not do this.
#[derive(Debug)]
struct Unsupported(&'static str);

impl std::fmt::Display for Unsupported {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for Unsupported {}

fn main() -> ExitCode {
    match run(Options::parse().peer) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("peers: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(peer: Peer) -> Result<()> {
    if let Peer::Burn(network) | Peer::Candle(network) | Peer::Tract(network) | Peer::Rten(network) = &peer {
        network.case.check()?;
        if network.case.lengths == Lengths::Ragged {
            return Ok(serve::refuse("rows of different lengths are not compared")?);
        }
        if network.case.proj.is_some() {
            return Ok(serve::refuse("projected states are not compared")?);
        }
    }
    match peer {
        Peer::Burn(network) => in_pool(&network, |case, _| burn::prepare(case, &Problem::new(case))),
        Peer::Candle(network) => in_pool(&network, |case, _| candle::prepare(case, &Problem::new(case))),
        Peer::Tract(network) => {
            in_pool(&network, |case, onnx| tract::prepare(case, &Problem::new(case), onnx))
        }
        Peer::Rten(network) => {
            let onnx = network.files.problem.with_extension("onnx");
            rten::in_its_pool(network.case.threads, || {
                serve(&network.files.out, rten::prepare(&network.case, &Problem::new(&network.case), &onnx))
            })
        }
        Peer::Gemm(product) => {
            let pool = machine::pool(product.matmul.threads)?;
            Ok(pool.install(|| {
                serve(&product.files.out, gemm::prepare(&product.matmul)).map_err(|e| e.to_string())
            })?)
        }
        Peer::Matrixmultiply(product) => serve(&product.files.out, matrixmultiply::prepare(&product.matmul)),
    }
}

/// Prepares and serves within a pool of pinned threads: a system that asks rayon for threads finds these.
fn in_pool(network: &Network, prepare: impl FnOnce(&Case, &Path) -> Result<Ready> + Send) -> Result<()> {
    let onnx = network.files.problem.with_extension("onnx");
    let pool = machine::pool(network.case.threads)?;
    let served = pool.install(|| {
        let ready = prepare(&network.case, &onnx);
        serve(&network.files.out, ready).map_err(|error| error.to_string())
    });
    Ok(served?)
}

fn serve(out: &Path, ready: Result<Ready>) -> Result<()> {
    let Ready { package, note, outputs, mut call } = match ready {
        Ok(ready) => ready,
        Err(error) => match error.downcast_ref::<Unsupported>() {
            Some(Unsupported(why)) => return Ok(serve::refuse(why)?),
            None => return Err(error),
        },
    };
    let arrays: Vec<_> =
        outputs.iter().map(|(name, values)| (&name[..], vec![values.len()], &values[..])).collect();
    save_tensors(out, &arrays)?;
    serve::ready(package, version(package), note)?;
    Ok(serve::serve(|| call().expect("the same call was made before"))?)
}

/// The version of a package that this was built with.
fn version(package: &str) -> &'static str {
    let name = format!("name = \"{package}\"");
    let mut lines = include_str!("../Cargo.lock").lines().skip_while(|line| *line != name);
    let version = lines.nth(1).and_then(|line| line.strip_prefix("version = \""));
    version.map_or("", |version| version.trim_end_matches('"'))
}

/// A weight, by PyTorch's name.
fn weight<'a>(problem: &'a Problem, name: &str) -> &'a [f32] {
    let (.., values) =
        problem.weights.iter().find(|(other, ..)| other == name).expect("a name of the problem");
    values
}

/// The endings of the names of a layer's directions.
fn directions(case: &Case) -> &'static [&'static str] {
    if case.bidirectional { &["", "_reverse"] } else { &[""] }
}

/// [a, b, c] to [b, a, c]: time first to batch first, and back.
fn swapped(values: &[f32], [a, b]: [usize; 2]) -> Vec<f32> {
    let c = values.len() / (a * b).max(1);
    let mut all = Vec::with_capacity(values.len());
    for j in 0..b {
        for i in 0..a {
            all.extend(&values[(i * b + j) * c..][..c]);
        }
    }
    all
}
