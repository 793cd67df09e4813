//! The commands that are programs of the package `benches`: built in release, run with the arguments as they were given.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

/// Their names.
const PROGRAMS: [&str; 7] = ["measure", "ceiling", "compare", "ulp", "subnormal", "observer", "tokens"];

/// How they are built.
const RELEASE: [&str; 4] = ["--quiet", "--release", "--package", "benches"];

/// Whether that command is one of them.
pub(crate) fn is_program(command: &str) -> bool {
    PROGRAMS.contains(&command)
}

/// Builds and runs a program in the folder that the command was given in; answers how it ended.
pub(crate) fn run(root: &Path, program: &str, arguments: &[String]) -> Result<ExitCode, String> {
    // It starts the others.
    if program == "compare" {
        let status = cargo(root, "build").args(RELEASE).arg("--bins").status().map_err(failed)?;
        if !status.success() {
            return Ok(ExitCode::FAILURE);
        }
    }
    let mut cargo = cargo(root, "run");
    cargo.args(RELEASE).args(["--bin", program, "--"]);
    // The only one of them that reads and writes files of the workspace.
    if program == "compare" && !arguments.iter().any(|argument| argument.starts_with("--root")) {
        cargo.arg("--root").arg(root);
    }
    let status = cargo.args(arguments).status().map_err(failed)?;
    // Without a code it was ended from outside; what it had to say is said.
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// Builds and runs a program without arguments; answers what it printed.
pub(crate) fn output(root: &Path, program: &str) -> Result<String, String> {
    let mut cargo = cargo(root, "run");
    cargo.args(RELEASE).args(["--bin", program]).stderr(Stdio::inherit());
    let output = cargo.output().map_err(failed)?;
    if !output.status.success() {
        return Err(format!("{program}: {}", output.status));
    }
    String::from_utf8(output.stdout).map_err(|error| format!("{program}: {error}"))
}

fn failed(error: std::io::Error) -> String {
    format!("cargo: {error}")
}

/// The cargo that runs this, at work on the workspace.
pub(crate) fn cargo(root: &Path, command: &str) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.arg(command).arg("--manifest-path").arg(root.join("Cargo.toml"));
    cargo
}
