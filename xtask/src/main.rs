//! The workspace's own commands: `cargo xtask help`.

/// As `println!`, to an output that may be closed before everything is said, as by `| head`.
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write;
        let _ = writeln!(std::io::stdout(), $($text)*);
    }};
}
pub(crate) use say;

mod asm;
mod check;
mod codegen;
mod spawn;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const HELP: &str = "\
cargo xtask COMMAND

  codegen               write the generated kernels
    --check             only check that they are fresh
    --hidden N          add kernels for hidden size N
    --remove N          take them out again
    --sizes             print how many kernels there are
    --measure           time those made for one hidden size against those for any
  check                 hold the promises about structure: where unsafe stands, floors, sizes of files
  asm                   hold the assembly of every kernel: no calls, panics or spills in its loops
  measure               time one network, pass and shape: `measure --help`
  ceiling               what this machine can do: peaks, bandwidths, latencies
  compare               time Gatewise and its peers in turns: `compare --help`
  ulp                   errors of exp, sigmoid and tanh over all 2^32 inputs
  subnormal             what subnormal numbers cost
  observer              what it costs to look at a backward pass
  tokens                what it saves to project a table of vectors once
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(code) => code,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<ExitCode, String> {
    let (command, rest) = match arguments.split_first() {
        Some((command, rest)) => (&command[..], rest),
        None => ("help", arguments),
    };
    let root = workspace_root();
    match command {
        program if spawn::is_program(program) => return spawn::run(&root, program, rest),
        "codegen" => codegen::run(&root, &codegen_options(rest)?)?,
        "check" if rest.is_empty() => check::run(&root)?,
        "check" => return Err(format!("check: unknown option {:?}", rest[0])),
        "asm" => asm::run(&root, rest)?,
        "help" | "--help" | "-h" => say!("{}", HELP.trim_end()),
        other => return Err(format!("unknown command {other:?}; see `cargo xtask help`")),
    }
    Ok(ExitCode::SUCCESS)
}

fn codegen_options(arguments: &[String]) -> Result<codegen::Options, String> {
    let mut options = codegen::Options::default();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let mut size = || {
            let value = arguments.next().ok_or(format!("{argument} needs a hidden size"))?;
            value.parse::<usize>().map_err(|_| format!("{argument} {value}: expected a hidden size"))
        };
        match argument.as_str() {
            "--check" => options.check = true,
            "--sizes" => options.sizes = true,
            "--measure" => options.measure = true,
            "--hidden" => options.add.push(size()?),
            "--remove" => options.remove.push(size()?),
            other => return Err(format!("codegen: unknown option {other:?}")),
        }
    }
    if options.check && options.measure {
        return Err("codegen: --check writes nothing, --measure does".to_string());
    }
    Ok(options)
}

/// The root of the workspace: the folder above this package.
fn workspace_root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_path_buf()
}
