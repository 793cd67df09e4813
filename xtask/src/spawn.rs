//! The commands that are programs of the package `benches`: built in release, run with the arguments as they were given.

use std::path::Path;
use std::process::{Command, ExitCode};

/// Their names.
const PROGRAMS: [&str; 7] = ["measure", "ceiling", "compare", "ulp", "subnormal", "observer", "tokens"];

/// Whether that command is one of them.
pub(crate) fn is_program(command: &str) -> bool {
    PROGRAMS.contains(&command)
}

/// Builds and runs a program in the folder that the command was given in; answers how it ended.
pub(crate) fn run(root: &Path, program: &str, arguments: &[String]) -> Result<ExitCode, String> {
    let release = ["--quiet", "--release", "--package", "benches"];
    let failed = |error: std::io::Error| format!("cargo: {error}");
    // It starts the others.
    if program == "compare" {
        let status = cargo(root, "build").args(release).arg("--bins").status().map_err(failed)?;
        if !status.success() {
            return Ok(ExitCode::FAILURE);
        }
    }
    let mut cargo = cargo(root, "run");
    cargo.args(release).args(["--bin", program, "--"]);
    // The only one of them that reads and writes files of the workspace.
    if program == "compare" && !arguments.iter().any(|argument| argument.starts_with("--root")) {
        cargo.arg("--root").arg(root);
    }
    let status = cargo.args(arguments).status().map_err(failed)?;
    // Without a code it was ended from outside; what it had to say is said.
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// The cargo that runs this, at work on the workspace.
pub(crate) fn cargo(root: &Path, command: &str) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.arg(command).arg("--manifest-path").arg(root.join("Cargo.toml"));
    cargo
}
