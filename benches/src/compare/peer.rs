//! A system to compare with: a process that prepares its work and then does it as often as it is told.
//!
//! It is started with a peer's name (unless the program is one peer only), `--problem FILE`, `--out FILE` and the options of
//! [`Case`], or of [`Matmul`] and no others. The numbers are in FILE; beside it, where the case does not train, lies
//! its network with the ending `.onnx`. It writes the outputs of one call to `--out` and prints one JSON line,
//! `{"ready": true, "version": .., "note": ..}`; or `{"ready": false, "why": ..}`, with `"absent": true` if something that it
//! needs is not installed. Then it makes as many calls as each line of its input says and answers the microseconds of one call
//! on a line. Its standard error goes to a file beside `--out` that ends in `.log`.
//!
//! One that is compiled for the work may be so in several ways: each is tried for some milliseconds, and the fastest takes part.
//!
//! A program in `GATEWISE_PEER_<NAME>` takes the options of `measure` instead and answers `measure`'s JSON line: it is started
//! anew for each repetition.

use super::cpp::{Built, Source};
use super::shapes::Work;
use crate::case::Case;
use crate::matmul::Matmul;
use crate::report::Report;
use serde::Deserialize;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// A peer that has not answered for so long hangs: compiling a graph and a slow round take seconds.
const PATIENCE: Duration = Duration::from_secs(300);

/// What libraries read their number of threads from; they are told in their own ways too, where they have some.
const THREAD_VARIABLES: [&str; 4] =
    ["RAYON_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "MATMUL_NUM_THREADS"];

/// A system and how it is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// Its name in tables.
    pub name: String,
    /// What it takes part in.
    pub speciality: Speciality,
    /// How it is started.
    pub program: Program,
    /// How long it may take to answer a line.
    pub patience: Duration,
}

/// What a system does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speciality {
    /// Recurrent networks.
    Networks,
    /// Products of matrices.
    Matmuls,
    /// Both.
    Both,
}

/// How a system is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// Program and first arguments of one that keeps to the protocol.
    Served(Vec<String>),
    /// One that keeps to the protocol and is compiled first.
    Compiled(Source),
    /// One that speaks `measure`'s language.
    Measure(String),
    /// It is not installed, and why.
    Absent(String),
}

impl Spec {
    /// A system.
    pub fn new(name: &str, speciality: Speciality, program: Program) -> Spec {
        Spec { name: name.to_string(), speciality, program, patience: PATIENCE }
    }

    /// Whether it takes part.
    pub fn does(&self, work: &Work) -> bool {
        match work {
            Work::Network(_) => self.speciality != Speciality::Matmuls,
            Work::Matmul(_) => self.speciality != Speciality::Networks,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Hello {
    ready: bool,
    version: String,
    note: String,
    absent: bool,
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
    Served { child: Child, to: ChildStdin, lines: Receiver<String>, patience: Duration },
    Measure { program: String, arguments: Vec<String>, threads: usize },
}

/// What came of starting a peer.
#[derive(Debug)]
pub enum Started {
    /// It runs, and its outputs are in the file.
    Ready(Peer),
    /// It does not do this.
    Unsupported(String),
    /// It is not installed.
    Absent(String),
}

/// The options of a piece of work.
pub fn arguments(work: &Work) -> Vec<String> {
    let mut all = Vec::new();
    let mut option = |name: &str, value: String| all.extend([format!("--{name}"), value]);
    option("threads", work.threads().to_string());
    match work {
        Work::Network(case) => network_options(case, option),
        Work::Matmul(Matmul { m, n, k, .. }) => {
            [("m", m), ("n", n), ("k", k)]
                .into_iter()
                .for_each(|(name, size)| option(name, size.to_string()));
        }
    }
    if matches!(work, Work::Network(case) if case.bidirectional) {
        all.push("--bidirectional".to_string());
    }
    all
}

fn network_options(case: &Case, mut option: impl FnMut(&str, String)) {
    option("cell", case.cell.cell().name().to_string());
    option("pass", format!("{:?}", case.pass).to_lowercase());
    option("input", case.input.to_string());
    option("hidden", case.hidden.to_string());
    option("batch", case.batch.to_string());
    option("seq", case.seq.to_string());
    option("layers", case.layers.to_string());
    option("lengths", format!("{:?}", case.lengths).to_lowercase());
}

/// Starts a system on a piece of work.
///
/// # Errors
/// One line: it cannot be started, it failed, or it does not keep to the protocol.
pub fn start(spec: &Spec, work: &Work, problem: &Path, out: &Path) -> Result<Started, String> {
    match &spec.program {
        Program::Absent(why) => Ok(Started::Absent(why.clone())),
        Program::Measure(program) => {
            let arguments = arguments(work);
            let mut command = command(program, work.threads());
            let report = measure(command.arg("--out").arg(out).args(&arguments).args(["--reps", "1"]))?;
            let how = How::Measure { program: program.clone(), arguments, threads: work.threads() };
            Ok(Started::Ready(Peer { version: report.isa, note: report.kernel, how }))
        }
        Program::Compiled(source) => {
            let case = match source.library.case(work) {
                Ok(case) => case,
                Err(why) => return Ok(Started::Unsupported(why.to_string())),
            };
            match source.build(case)? {
                Built::NoCompiler(why) => Ok(Started::Absent(why)),
                Built::Programs(programs) => start_fastest(&programs, spec.patience, work, (problem, out)),
            }
        }
        Program::Served(words) => start_served(words, spec.patience, work, (problem, out)),
    }
}

/// Starts the fastest of some programs that do the same; each is tried if there are several.
fn start_fastest(
    programs: &[PathBuf],
    patience: Duration,
    work: &Work,
    files: (&Path, &Path),
) -> Result<Started, String> {
    let start = |program: &Path| start_served(&[program.display().to_string()], patience, work, files);
    if let [only] = programs {
        return start(only);
    }
    let mut fastest: Option<(f64, &Path)> = None;
    for program in programs {
        let Started::Ready(mut peer) = start(program)? else { continue };
        let us = peer.quickest()?;
        if fastest.is_none_or(|(least, _)| us < least) {
            fastest = Some((us, program));
        }
    }
    fastest.map_or(Err("none of its programs is ready".to_string()), |(_, program)| start(program))
}

/// Starts a program that keeps to the protocol; what it complained of last is part of the error.
fn start_served(
    words: &[String],
    patience: Duration,
    work: &Work,
    files: (&Path, &Path),
) -> Result<Started, String> {
    let log = files.1.with_extension("log");
    let started = spawn_served(words, patience, work, files, &log);
    started.map_err(|error| match last_line(&log) {
        Some(line) => format!("{error}: {line}"),
        None => error,
    })
}

fn spawn_served(
    words: &[String],
    patience: Duration,
    work: &Work,
    (problem, out): (&Path, &Path),
    log: &Path,
) -> Result<Started, String> {
    let (program, first) = words.split_first().ok_or("no program")?;
    let log = File::create(log).map_err(|error| format!("{}: {error}", log.display()))?;
    let mut command = command(program, work.threads());
    command.args(first).arg("--problem").arg(problem).arg("--out").arg(out).args(arguments(work));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
    let mut child = command.spawn().map_err(|error| format!("{program}: {error}"))?;
    let (Some(to), Some(from)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(format!("{program}: no pipes"));
    };
    let (sender, lines) = channel();
    // The thread ends with the peer, whose output ends then.
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    let how = How::Served { child, to, lines, patience };
    let mut peer = Peer { version: String::new(), note: String::new(), how };
    // Libraries print what they like; the first line that is the JSON object counts.
    let hello: Hello = loop {
        if let Ok(hello) = serde_json::from_str(&peer.line()?) {
            break hello;
        }
    };
    if hello.ready {
        (peer.version, peer.note) = (hello.version, hello.note);
        Ok(Started::Ready(peer))
    } else if hello.absent {
        Ok(Started::Absent(hello.why))
    } else {
        Ok(Started::Unsupported(hello.why))
    }
}

fn command(program: &str, threads: usize) -> Command {
    let mut command = Command::new(program);
    command.envs(THREAD_VARIABLES.map(|name| (name, threads.to_string())));
    command
}

/// The last line that a peer wrote to its log.
fn last_line(log: &Path) -> Option<String> {
    let text = String::from_utf8_lossy(&std::fs::read(log).ok()?).into_owned();
    text.lines().map(str::trim).rfind(|line| !line.is_empty()).map(str::to_string)
}

/// Runs a program that speaks `measure`'s language.
fn measure(command: &mut Command) -> Result<Report, String> {
    let program = Path::new(command.get_program()).display().to_string();
    let output = command.output().map_err(|error| format!("{program}: {error}"))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        let line = complaint.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("");
        return Err(format!("{program}: {}: {line}", output.status));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().last().unwrap_or("");
    let report: Report =
        serde_json::from_str(line).map_err(|error| format!("{program}: its last line: {error}"))?;
    if report.median_us > 0.0 { Ok(report) } else { Err(format!("{program}: its median_us is no time")) }
}

impl Peer {
    /// Microseconds of one call over that many calls; a program that speaks `measure`'s language chooses its own number.
    ///
    /// # Errors
    /// One line if it failed.
    pub fn run(&mut self, calls: usize) -> Result<f64, String> {
        match &mut self.how {
            How::Served { to, .. } => {
                let sent = writeln!(to, "{calls}").and_then(|()| to.flush());
                sent.map_err(|error| format!("it takes no more calls: {error}"))?;
                let line = self.line()?;
                let us: Option<f64> = line.trim().parse().ok();
                us.filter(|us| *us > 0.0).ok_or(format!("it answered {line:?}, expected microseconds"))
            }
            How::Measure { program, arguments, threads } => {
                Ok(measure(command(program, *threads).args(arguments).args(["--reps", "1"]))?.median_us)
            }
        }
    }

    /// Microseconds of one call in the shortest of five turns of a few milliseconds.
    fn quickest(&mut self) -> Result<f64, String> {
        self.run(1)?;
        let calls = (5e3 / self.run(10)?).ceil() as usize;
        (0..5).try_fold(f64::INFINITY, |least, _| Ok(self.run(calls)?.min(least)))
    }

    fn line(&mut self) -> Result<String, String> {
        let How::Served { child, lines, patience, .. } = &mut self.how else {
            return Err("it has no lines".to_string());
        };
        lines.recv_timeout(*patience).map_err(|error| match error {
            RecvTimeoutError::Timeout => format!("it has not answered for {} s", patience.as_secs()),
            RecvTimeoutError::Disconnected => {
                let status = child.wait().map_or(String::new(), |status| format!(", {status}"));
                format!("it ended before it answered{status}")
            }
        })
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
