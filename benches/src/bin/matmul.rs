//! Gatewise's side of a product of matrices, for `compare`.

use benches::matmul::{Matmul, MatmulRunner};
use benches::problem::save_tensors;
use benches::{machine, serve};
use clap::Parser;
use gatewise::Kernels;
use std::path::PathBuf;
use std::process::ExitCode;

/// Multiply two matrices as often as the standard input says.
#[derive(Parser)]
#[command(name = "matmul")]
struct Options {
    #[command(flatten)]
    matmul: Matmul,
    /// Pack B in every call instead of once before
    #[arg(long)]
    packing: bool,
    /// Write C, as safetensors
    #[arg(long)]
    out: PathBuf,
    /// The operands, for peers that do not make them themselves
    #[arg(long, hide = true)]
    problem: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("matmul: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), String> {
    let matmul = &options.matmul;
    matmul.check()?;
    let kernels = Kernels::auto().map_err(|error| error.to_string())?;
    let pool = machine::pool(matmul.threads).map_err(|error| error.to_string())?;
    let runner = MatmulRunner::new(matmul, kernels, !options.packing);
    let mut runner = runner.map_err(|error| error.to_string())?;
    pool.install(|| {
        let c = runner.call().map_err(|error| error.to_string())?;
        save_tensors(&options.out, &[("y", vec![matmul.m, matmul.n], c)])?;
        let packing = if options.packing { "B packed in the call" } else { "B packed before" };
        serve::ready("gatewise", env!("CARGO_PKG_VERSION"), &format!("{}, {packing}", kernels.isa()))?;
        serve::serve(|| {
            runner.call().expect("the product was computed before");
        })
    })
}
