//! Standard output that may have gone away: a closed pipe or a full disk is an error like any other, not a panic.

use std::fmt::Display;
use std::io::{self, Write};

/// Writes a line to standard output.
///
/// # Errors
/// One line that names standard output.
pub fn say(line: impl Display) -> Result<(), String> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).map_err(|error| format!("standard output: {error}"))
}

/// Says what went wrong, on standard error. That nobody hears it is not what went wrong.
pub fn complain(program: &str, problem: impl Display) {
    let _ = writeln!(io::stderr(), "{program}: {problem}");
}
