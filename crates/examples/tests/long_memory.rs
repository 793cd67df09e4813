//! `long_memory` as its users meet it: a process with arguments, files, standard output and exit codes.

mod common;

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Networks that are trained in no time.
const SMALL: &str = "--length 12 --hidden 8 --batch 4 --steps 6";
const CELLS: [&str; 4] = ["rnn_tanh", "rnn_relu", "lstm", "gru"];

fn folder(name: &str) -> PathBuf {
    common::folder("long_memory", name)
}

fn run(words: &str, out: &Path) -> Output {
    let mut command = Command::new(common::program("long_memory"));
    command.args(words.split_whitespace()).arg("--out").arg(out).args(["--threads", "1"]).output().unwrap()
}

fn succeeds(words: &str, out: &Path) -> String {
    common::success(run(words, out), words)
}

fn fails(code: i32, words: &str, out: &Path, holds: &[&str]) {
    common::failure(run(words, out), "long_memory", words, code, holds);
}

fn json(folder: &Path, name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join(name)).unwrap()).unwrap()
}

/// The names of a folder's files, in order; each is whole.
fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    for name in &names {
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        match name.rsplit('.').next() {
            Some("svg") => {
                assert!(text.starts_with("<svg") && text.trim_end().ends_with("</svg>"), "{name}");
                assert!(!text.contains("\"NaN") && !text.contains("\"inf"), "{name}");
            }
            Some("json") => drop(json(folder, name)),
            _ => panic!("{name} is there"),
        }
    }
    names
}

#[test]
fn every_task_and_cell_leaves_pictures_and_data() {
    for (task, steps) in [("adding", 12), ("copy", 32), ("sinusoid", 12), ("reber", 11)] {
        let out = folder(task);
        let text = succeeds(&format!("{SMALL} --task {task} --cell all"), &out);
        let mut expected = vec!["loss.svg".to_string(), "memory.svg".to_string(), "summary.json".to_string()];
        for cell in CELLS {
            expected.push(format!("{cell}.json"));
            expected.extend(["flow", "gates", "lags", "norms"].map(|name| format!("{cell}-{name}.svg")));
            let report = json(&out, &format!("{cell}.json"));
            assert_eq!(report["setting"]["task"], task);
            assert_eq!(report["setting"]["cell"], cell);
            assert_eq!(report["train_loss"].as_array().unwrap().len(), 6);
            assert_eq!(report["clipping"]["updates"], 6);
            let percentiles = report["norms"]["percentiles"].as_array().unwrap();
            assert_eq!(percentiles.len(), 5);
            let norms = report["clipping"]["entries"].as_array().unwrap().iter().map(|entry| &entry["norm"]);
            let largest = norms.map(|norm| norm.as_f64().unwrap()).fold(0.0, f64::max);
            assert_eq!(percentiles[4], serde_json::json!([1.0, largest]));
            assert_eq!(report["norms"]["suggested_threshold"], percentiles[2][1]);
            // Six updates are too few for a spike.
            assert_eq!(report["spikes"], serde_json::json!({ "train_loss": [], "norm": [] }));
            let exponents = report["lyapunov"]["tracks"][0]["exponents"].as_array().unwrap();
            assert_eq!((exponents.len(), &report["lyapunov"]["steps"]), (4, &steps.into()));
            assert!(exponents[0].as_f64().unwrap() < 1.0, "{exponents:?}");
            assert_eq!(report["flow"]["tracks"][0]["h"].as_array().unwrap().len(), steps);
            assert_eq!(report["influence"]["tracks"][0]["h"].as_array().unwrap().len(), steps);
            let rows = report["lag_history"]["rows"].as_array().unwrap();
            assert_eq!((&rows[0]["step"], &rows.last().unwrap()["step"]), (&0.into(), &6.into()));
            let line = text.lines().find(|line| line.starts_with(&format!("{cell:<10} ")));
            assert!(line.is_some_and(|line| line.contains('%')), "{cell}: {text}");
        }
        expected.sort();
        assert_eq!(files(&out), expected, "{task}");
        let unit = if ["adding", "sinusoid"].contains(&task) { "mean squared error" } else { "nats" };
        let picture = std::fs::read_to_string(out.join("loss.svg")).unwrap();
        assert!(picture.contains(&format!("loss ({unit})")), "{task}");

        let summary = json(&out, "summary.json");
        let lines = summary.as_array().unwrap();
        let cells: Vec<&str> = lines.iter().map(|line| line["cell"].as_str().unwrap()).collect();
        assert_eq!(cells, CELLS);
        for (line, cell) in lines.iter().zip(CELLS) {
            let last = json(&out, &format!("{cell}.json"))["test_loss"].as_array().unwrap().last().unwrap()
                [1]
            .clone();
            assert_eq!(line["final_loss"], last);
            assert!(line["final_loss"].as_f64().unwrap() > 0.0 && line["baseline"].as_f64().unwrap() > 0.0);
            assert!((0.0..=1.0).contains(&line["share_clipped"].as_f64().unwrap()));
        }
    }
}

#[test]
fn baselines_are_those_of_the_literature() {
    let out = folder("baselines");
    for (task, baseline) in [
        ("adding", 1.0 / 6.0),
        ("copy", 10.0 * 8.0_f64.ln() / 32.0),
        ("sinusoid", 0.5),
        ("reber", 2.0_f64.ln()),
    ] {
        succeeds(&format!("{SMALL} --task {task} --cell gru"), &out);
        let got = json(&out, "summary.json")[0]["baseline"].as_f64().unwrap();
        assert!((got - baseline).abs() < 1e-12, "{task}: {got}");
    }
}

/// A short problem is learned, and the summary says so.
#[test]
fn a_cell_learns() {
    let out = folder("learns");
    let words = "--task reber --length 9 --hidden 16 --steps 300 --cell gru";
    let text = succeeds(words, &out);
    assert!(text.contains("remembers"), "{text}");
    assert!(json(&out, "summary.json")[0]["final_loss"].as_f64().unwrap() < 0.08, "{text}");
}

#[test]
fn options_change_the_run_and_nothing_else_does() {
    let out = folder("options");
    let losses = |words: &str| {
        succeeds(&format!("{SMALL} --cell lstm {words}"), &out);
        json(&out, "lstm.json")["train_loss"].clone()
    };
    let first = losses("");
    assert_eq!(losses("--threads 2"), first);
    for other in ["--seed 2", "--lr 0.1", "--clip 0.01", "--optimizer sgd", "--init orthogonal"]
        .into_iter()
        .chain(["--recurrent-scale 2", "--forget-bias 0", "--hidden 9", "--batch 5"])
    {
        assert_ne!(losses(other), first, "{other}");
    }
}

/// A vanilla network whose state grows by half at each step overflows; clipped, no update is large. Both are results.
#[test]
fn a_divergence_is_told_in_words() {
    let out = folder("diverges");
    let words =
        "--cell rnn_relu --length 100 --hidden 8 --batch 4 --steps 40 --optimizer sgd --recurrent-scale 1.5";
    let text = succeeds(&format!("{words} --clip 0"), &out);
    let said = text.lines().find(|line| line.starts_with("rnn_relu diverged at update ")).unwrap();
    assert!(said.contains("the first value that is not finite is in "), "{said}");
    assert!(text.lines().any(|line| line.starts_with("rnn_relu ") && line.ends_with("diverged")), "{text}");
    let line = &json(&out, "summary.json")[0];
    assert!(line["final_loss"].is_null() && line["diverged"]["update"].as_u64().unwrap() >= 1, "{line}");
    assert!(said.ends_with(line["diverged"]["what"].as_str().unwrap()));
    files(&out);

    succeeds(&format!("{words} --clip 1"), &out);
    let line = &json(&out, "summary.json")[0];
    assert!(line["diverged"].is_null() && line["final_loss"].as_f64().is_some(), "{line}");
    assert!(line["share_clipped"].as_f64().unwrap() > 0.5, "{line}");
}

/// What clipping is for: without it the first updates of a state that grows by a factor a step throw the network where it does not come
/// back from, with it the same network learns. The losses of these runs lie at twice the baseline and more, and at a fortieth and less;
/// a plain SGD leaves the range of floats.
#[test]
fn clipping_makes_an_exploding_network_learn() {
    let out = folder("clipping");
    let line = |words: &str| {
        succeeds(&format!("--cell rnn_relu --hidden 16 --batch 32 {words}"), &out);
        json(&out, "summary.json")[0].clone()
    };
    for seed in 1..=3 {
        let words = format!("--length 30 --recurrent-scale 1.3 --lr 0.005 --seed {seed}");
        let (wild, clipped) = (line(&format!("{words} --clip 0")), line(&words));
        let loss = |line: &Value| line["final_loss"].as_f64().unwrap_or(f64::INFINITY);
        assert!(loss(&wild) > 1.25 / 6.0 && wild["share_clipped"] == 0.0, "{wild}");
        assert!(loss(&clipped) < 0.25 / 6.0 && clipped["verdict"] == "remembers", "{clipped}");
    }
    let words = "--length 20 --recurrent-scale 1.2 --optimizer sgd --lr 0.02 --steps 4000 --seed 2";
    let (wild, clipped) = (line(&format!("{words} --clip 0")), line(words));
    assert!(wild["diverged"]["update"].as_u64().is_some() && wild["verdict"] == "diverged", "{wild}");
    assert!(clipped["final_loss"].as_f64().unwrap() < 0.7 / 6.0, "{clipped}");
}

/// A loss far above the baseline is that, and not a divergence; and its explosion leaves spikes behind.
#[test]
fn far_off_is_not_diverged() {
    let out = folder("far");
    succeeds(
        "--cell rnn_relu --length 60 --hidden 16 --steps 30 --recurrent-scale 1.1 --clip 0 --seed 3",
        &out,
    );
    let line = &json(&out, "summary.json")[0];
    assert!(line["diverged"].is_null() && line["final_loss"].as_f64().unwrap() > 10.0 / 6.0, "{line}");
    assert_eq!(line["verdict"], "far above the baseline");
    let report = json(&out, "rnn_relu.json");
    assert_eq!(report["clipping"]["entries"][0]["max_norm"], "inf");
    let legend = std::fs::read_to_string(out.join("rnn_relu-norms.svg")).unwrap();
    assert!(!legend.contains("threshold") && !legend.contains("not finite"), "{legend}");
}

#[test]
fn what_is_wrong_is_one_line() {
    let out = folder("errors");
    let made = out.join("made");
    fails(2, "--task adder", &made, &["--task", "adder", "adding, copy, sinusoid, reber"]);
    fails(2, "--cell qrnn", &made, &["--cell", "rnn_tanh, rnn_relu, lstm, gru, all"]);
    fails(2, "--task reber --length 8", &made, &["--length 8", "reber", "9"]);
    fails(2, "--length 1", &made, &["--length 1", "adding", "2"]);
    fails(2, "--length 0", &made, &["--length"]);
    fails(2, "--hidden 0", &made, &["--hidden"]);
    fails(2, "--steps 0", &made, &["--steps"]);
    fails(2, "--clip -1", &made, &["--clip", "0 or above"]);
    fails(2, "--clip nan", &made, &["--clip"]);
    fails(2, "--recurrent-scale -1", &made, &["--recurrent-scale", "0 or above"]);
    fails(2, "--recurrent-scale 1e39", &made, &["--recurrent-scale", "1e39"]);
    fails(2, "--threads 100000", &made, &["--threads", "1024"]);
    let absurd = "--length 16777216 --batch 16777216 --hidden 16777216";
    fails(2, absurd, &made, &["--length 16777216", "--batch 16777216", "--hidden 16777216", "memory"]);
    fails(2, "--lr 0", &made, &["--lr"]);
    fails(2, "--wide", &made, &["--wide"]);
    assert!(!made.exists());

    // A folder that cannot be: a file stands in its place.
    std::fs::write(out.join("file"), "a file").unwrap();
    fails(1, SMALL, &out.join("file/below"), &["file/below"]);
    assert_eq!(std::fs::read(out.join("file")).unwrap(), b"a file");

    let help = succeeds("--help", &out);
    assert!(help.contains("--recurrent-scale") && help.contains("Exit codes"), "{help}");
    assert!(help.contains("loss.svg") && help.contains("memory.svg"), "{help}");
    assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
}

/// A disk without room: an error that names the file, and what stood there stays.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_named_and_nothing_is_lost() {
    let out = folder("full");
    succeeds(&format!("{SMALL} --cell gru"), &out);
    let before = std::fs::read(out.join("summary.json")).unwrap();
    std::os::unix::fs::symlink("/dev/full", out.join("summary.json.part")).unwrap();
    fails(1, &format!("{SMALL} --cell gru"), &out, &["summary.json", "No space left on device"]);
    assert_eq!(std::fs::read(out.join("summary.json")).unwrap(), before);
}
