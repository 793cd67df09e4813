//! A system to compare with: a process that prepares a case and then runs it as often as it is told.
//!
//! It is started with a peer's name (unless the program is one peer only), `--problem FILE`, `--out FILE` and the options of
//! [`Case`]. It writes its outputs of one call to FILE and prints one JSON line,
//! `{"ready": true, "system": .., "version": .., "note": ..}`, or `"ready": false` and `"why"`. Then it runs as many calls as
//! each line of its input says and answers the microseconds of one call on a line.
//!
//! A program in `GATEWISE_PEER_<NAME>` takes the options of `measure` instead and answers `measure`'s JSON line: it is started
//! anew for each repetition.

use crate::case::{Case, Lengths};
use crate::report::Report;
use serde::Deserialize;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// How a peer is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// Its name in tables.
    pub name: String,
    /// Program and first arguments; empty if it is not installed.
    pub command: Vec<String>,
    /// It speaks `measure`'s language instead of the one above.
    pub is_measure: bool,
    /// Why it is not installed, for the table.
    pub absent: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Hello {
    ready: bool,
    version: String,
    note: String,
    why: String,
}

/// A peer that is ready.
#[derive(Debug)]
pub struct Peer {
    /// Version and variant.
    pub version: String,
    /// What to know of it.
    pub note: String,
    how: How,
}

#[derive(Debug)]
enum How {
    Served { child: Child, to: ChildStdin, from: BufReader<ChildStdout> },
    Measure { command: Vec<String>, case: Vec<String> },
}

/// What came of starting a peer.
#[derive(Debug)]
pub enum Started {
    /// It runs, and its outputs are in the file.
    Ready(Peer),
    /// It does not do this case.
    Unsupported(String),
}

/// The options of a case.
pub fn arguments(case: &Case) -> Vec<String> {
    let mut all = Vec::new();
    let mut option = |name: &str, value: String| all.extend([format!("--{name}"), value]);
    option("cell", case.cell.cell().name().to_string());
    option("pass", format!("{:?}", case.pass).to_lowercase());
    option("input", case.input.to_string());
    option("hidden", case.hidden.to_string());
    option("batch", case.batch.to_string());
    option("seq", case.seq.to_string());
    option("layers", case.layers.to_string());
    option("threads", case.threads.to_string());
    if case.bidirectional {
        all.push("--bidirectional".to_string());
    }
    if case.lengths == Lengths::Ragged {
        all.extend(["--lengths", "ragged"].map(String::from));
    }
    all
}

/// Starts a peer on a case.
///
/// # Errors
/// One line: it cannot be started, it failed, or it does not keep to the protocol.
pub fn start(spec: &Spec, case: &Case, problem: &Path, out: &Path) -> Result<Started, String> {
    let (program, first) = spec.command.split_first().ok_or(spec.absent.clone())?;
    let case = arguments(case);
    let mut command = Command::new(program);
    command.args(first).arg("--out").arg(out).args(&case);
    if spec.is_measure {
        let report = measure(command.args(["--reps", "1"]))?;
        let how = How::Measure { command: spec.command.clone(), case };
        let version = report.isa;
        return Ok(Started::Ready(Peer { version, note: String::new(), how }));
    }
    command.arg("--problem").arg(problem).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("{program}: {error}"))?;
    let (Some(to), Some(from)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(format!("{program}: no pipes"));
    };
    let mut from = BufReader::new(from);
    // Libraries print what they like; the first line that is the JSON object counts.
    let hello: Hello = loop {
        let line = read_line(&mut from)?;
        match serde_json::from_str(&line) {
            Ok(hello) => break hello,
            Err(_) => continue,
        }
    };
    if !hello.ready {
        drop(to);
        child.wait().map_err(|error| error.to_string())?;
        return Ok(Started::Unsupported(hello.why));
    }
    let how = How::Served { child, to, from };
    Ok(Started::Ready(Peer { version: hello.version, note: hello.note, how }))
}

fn read_line(from: &mut BufReader<ChildStdout>) -> Result<String, String> {
    let mut line = String::new();
    match from.read_line(&mut line) {
        Ok(0) => Err("it ended before it answered".to_string()),
        Ok(_) => Ok(line),
        Err(error) => Err(error.to_string()),
    }
}

/// Runs a program that speaks `measure`'s language.
fn measure(command: &mut Command) -> Result<Report, String> {
    let program = PathBuf::from(command.get_program());
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| format!("{}: {error}", program.display()))?;
    if !output.status.success() {
        return Err(format!("{}: {}", program.display(), output.status));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().last().unwrap_or("");
    serde_json::from_str(line).map_err(|error| format!("{}: its last line: {error}", program.display()))
}

impl Peer {
    /// Microseconds of one call over that many calls; a program that speaks `measure`'s language chooses its own number.
    ///
    /// # Errors
    /// One line if it failed.
    pub fn run(&mut self, calls: usize) -> Result<f64, String> {
        match &mut self.how {
            How::Served { to, from, .. } => {
                writeln!(to, "{calls}").and_then(|()| to.flush()).map_err(|error| error.to_string())?;
                let line = read_line(from)?;
                line.trim().parse().map_err(|_| format!("it answered {line:?}, expected microseconds"))
            }
            How::Measure { command, case } => {
                let mut program = Command::new(&command[0]);
                program.args(&command[1..]).args(case).args(["--reps", "1"]);
                Ok(measure(&mut program)?.median_us)
            }
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if let How::Served { child, .. } = &mut self.how {
            // It holds nothing that would be lost; it may have ended already.
            child.kill().ok();
            child.wait().ok();
        }
    }
}
