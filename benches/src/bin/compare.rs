//! `cargo xtask compare`: Gatewise beside its peers.

use benches::compare::peer::Spec;
use benches::compare::round::{self, Effort};
use benches::compare::shapes::{self, Shape};
use benches::compare::{Origin, Row, chart, table};
use benches::machine;
use benches::say;
use clap::Parser;
use gatewise::Kernels;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Where a Python with torch, onnxruntime, openvino, numpy and onnx is.
const PYTHON_VARIABLE: &str = "GATEWISE_PEERS_PYTHON";
/// Programs of one's own: `GATEWISE_PEER_<NAME>`.
const PEER_VARIABLE: &str = "GATEWISE_PEER_";
const RUST_PEERS: [&str; 4] = ["burn", "candle", "tract", "rten"];
const PYTHON_PEERS: [&str; 4] = ["torch", "torch-no-onednn", "ort", "openvino"];

/// Times Gatewise and its peers on the same cases, in turns.
#[derive(Parser)]
#[command(name = "compare")]
struct Options {
    /// A dozen cases, five rounds of 20 ms
    #[arg(long)]
    quick: bool,
    /// All cases, nine rounds of 100 ms
    #[arg(long)]
    full: bool,
    /// One case, e.g. "lstm forward B=32 T=100 I=256 H=256"; may be given several times
    #[arg(long)]
    shape: Vec<String>,
    /// Only these peers
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    peers: Vec<String>,
    /// Threads, each on a core of its own
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// The root of the workspace
    #[arg(long, default_value = ".", hide = true)]
    root: PathBuf,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("compare: something is missing: see the rows marked absent or FAILED");
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
    let shapes = shapes(options)?;
    let specs = specs(options)?;
    let folder = options.root.join("target/compare");
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let kernels = Kernels::auto().map_err(|error| error.to_string())?;
    let fma_peak = machine::fma_peak(kernels.isa(), options.threads);
    say!("FMA peak {fma_peak:.0} GFLOP/s on {} thread(s), {}\n", options.threads, kernels.isa());
    let effort = if options.full {
        Effort { reps: 9, least: Duration::from_millis(100), slow: Duration::from_secs(2) }
    } else {
        Effort { reps: 5, least: Duration::from_millis(20), slow: Duration::from_secs(1) }
    };

    let (mut all, mut is_whole) = (Vec::new(), true);
    for shape in &shapes {
        match round::run(shape, &specs, effort, fma_peak, &folder) {
            Ok(rows) => {
                say!("{}", table::text(&rows));
                let is_missing = |row: &Row| matches!(row.origin, Origin::Absent | Origin::Failed);
                is_whole &= !rows.iter().any(is_missing);
                all.push(rows);
            }
            Err(error) => {
                say!("{error}\n");
                is_whole = false;
            }
        }
    }
    write(&folder, &all)?;
    say!("results.json, table.md and pictures are in {}", folder.display());
    Ok(is_whole)
}

fn shapes(options: &Options) -> Result<Vec<Shape>, String> {
    let mut all = Vec::new();
    for text in &options.shape {
        let case = shapes::parse(text, options.threads)?;
        case.check()?;
        all.push(Shape { group: "asked for", case });
    }
    if options.full {
        all.extend(shapes::full(options.threads));
    } else if options.quick || all.is_empty() {
        all.extend(shapes::quick(options.threads));
    }
    Ok(all)
}

/// Gatewise, and every peer that was not ruled out.
fn specs(options: &Options) -> Result<Vec<Spec>, String> {
    let program = |path: &Path| path.display().to_string();
    let own = std::env::current_exe().map_err(|error| error.to_string())?.with_file_name("measure");
    let served = vec![program(&own), "--serve".to_string()];
    let spec = |name: &str, command: Vec<String>, absent: &str| Spec {
        name: name.to_string(),
        command,
        is_measure: false,
        absent: absent.to_string(),
    };
    let mut all = vec![spec("gatewise", served, "")];

    let rust = options.root.join("benches/peers/target/release/peers");
    for name in RUST_PEERS {
        let command = if rust.exists() { vec![program(&rust), name.to_string()] } else { Vec::new() };
        all.push(spec(name, command, "build it: cargo build --release in benches/peers"));
    }
    let script = options.root.join("benches/peers/python/peers.py");
    let python = std::env::var(PYTHON_VARIABLE).ok().filter(|python| !python.is_empty());
    for name in PYTHON_PEERS {
        let command = python.as_ref().map(|python| vec![python.clone(), program(&script), name.to_string()]);
        let absent = format!("set {PYTHON_VARIABLE} to a Python that has it");
        all.push(spec(name, command.unwrap_or_default(), &absent));
    }
    let mut own_peers: Vec<(String, String)> = std::env::vars()
        .filter_map(|(name, path)| Some((name.strip_prefix(PEER_VARIABLE)?.to_lowercase(), path)))
        .collect();
    own_peers.sort();
    for (name, path) in own_peers {
        all.push(Spec { is_measure: true, ..spec(&name, vec![path], "") });
    }
    for name in &options.peers {
        if !all.iter().any(|spec| spec.name == *name) {
            let known: Vec<_> = all.iter().skip(1).map(|spec| &spec.name[..]).collect();
            return Err(format!("--peers {name}: unknown peer; there are {}", known.join(", ")));
        }
    }
    let is_wanted = |spec: &Spec| {
        spec.name == "gatewise" || options.peers.is_empty() || options.peers.contains(&spec.name)
    };
    Ok(all.into_iter().filter(is_wanted).collect())
}

fn write(folder: &Path, all: &[Vec<Row>]) -> Result<(), String> {
    let file = |name: String, text: String| {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))
    };
    let json = serde_json::to_string_pretty(all).map_err(|error| error.to_string())?;
    file("results.json".to_string(), json)?;
    file("table.md".to_string(), table::markdown(all))?;
    let mut groups: Vec<&str> = all.iter().flatten().map(|row| &row.group[..]).collect();
    groups.dedup();
    groups.sort_unstable();
    groups.dedup();
    for group in groups {
        let of_group = |rows: &&Vec<Row>| rows.first().is_some_and(|row| row.group == group);
        let cases: Vec<&[Row]> = all.iter().filter(of_group).map(|rows| &rows[..]).collect();
        let path = folder.join(format!("{}.svg", group.replace(' ', "-")));
        let title = format!("Gatewise and its peers: {group}");
        chart::draw(&path, &title, &cases).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}
