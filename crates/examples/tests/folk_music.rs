//! `folk_music` as its users meet it: a process with arguments, files, standard output and exit codes.

mod common;
#[cfg(unix)]
#[path = "folk_music/signals.rs"]
mod signals;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A network and streams that are trained in no time.
const SMALL: &str = "--hidden 8 --embedding 4 --batch 2 --seq 10 --steps 60 --validate-every 20 --sample 60";

/// An empty folder of this test's own.
fn folder(name: &str) -> PathBuf {
    common::folder("folk_music", name)
}

/// A text to learn, small and not all the same.
fn corpus(folder: &Path) -> String {
    let path = folder.join("corpus.txt");
    let lines = (0..400).map(|i| format!("{} and {} is {}\n", i % 7, i % 5, i % 7 + i % 5));
    std::fs::write(&path, lines.collect::<String>()).unwrap();
    path.display().to_string()
}

fn command(words: &str, more: &[&str]) -> Command {
    let mut command = Command::new(common::program("folk_music"));
    command.args(words.split_whitespace()).args(more).args(["--threads", "1"]);
    command
}

fn run(words: &str, more: &[&str]) -> Output {
    command(words, more).output().unwrap()
}

/// Runs and expects success; answers standard output.
fn succeeds(words: &str, more: &[&str]) -> String {
    common::success(run(words, more), words)
}

/// Runs and expects one line on standard error that holds all of `holds`, and the exit code.
fn fails(code: i32, words: &str, more: &[&str], holds: &[&str]) {
    common::failure(run(words, more), "folk_music", words, code, holds);
}

fn bytes(folder: &Path, name: &str) -> Vec<u8> {
    std::fs::read(folder.join(name)).unwrap()
}

fn last_line(text: &str) -> &str {
    text.lines().last().unwrap_or_default()
}

#[test]
fn trains_and_leaves_model_picture_and_text() {
    let out = folder("trains");
    let (dir, corpus) = (out.display().to_string(), corpus(&out));
    let text = succeeds(SMALL, &["--out", &dir, "--corpus", &corpus]);
    let (name, number) = last_line(&text).split_once(' ').unwrap();
    assert_eq!(name, "val_nats_per_char");
    assert!((0.1..5.0).contains(&number.parse::<f64>().unwrap()), "{text}");
    assert!(text.contains("update 60/60  loss "), "{text}");
    assert!(bytes(&out, "loss.svg").starts_with(b"<svg"));
    assert!(!bytes(&out, "sample.txt").is_empty() && !out.join("tune.abc").exists());

    // The same again is the same to the last bit, with more threads too: the last --threads counts.
    let model = bytes(&out, "model.safetensors");
    let checkpoint = bytes(&out, "checkpoint.safetensors");
    let mut again = command(SMALL, &["--out", &dir, "--corpus", &corpus]);
    assert!(again.args(["--threads", "2"]).output().unwrap().status.success());
    assert_eq!(bytes(&out, "model.safetensors"), model);

    // The same text as another system would have saved it: a byte order mark, and two characters that end a line.
    let elsewhere = out.join("elsewhere.txt");
    let text = std::fs::read_to_string(&corpus).unwrap().replace('\n', "\r\n");
    std::fs::write(&elsewhere, format!("\u{feff}{text}")).unwrap();
    succeeds(SMALL, &["--out", &dir, "--corpus", elsewhere.to_str().unwrap()]);
    assert!(bytes(&out, "checkpoint.safetensors") == checkpoint);

    // Each option that changes the run changes the model.
    for other in ["--cell gru", "--cell rnn", "--layers 2", "--seed 2", "--lr 0.01", "--clip 0.1"]
        .into_iter()
        .chain(["--schedule cosine", "--warmup 10", "--batch 3", "--seq 9", "--embedding 5", "--hidden 9"])
    {
        succeeds(&format!("{SMALL} {other}"), &["--out", &dir, "--corpus", &corpus]);
        assert_ne!(bytes(&out, "model.safetensors"), model, "{other}");
    }
}

/// The pictures are there, and looking on changes nothing.
#[test]
fn observes_on_request() {
    let out = folder("observes");
    let (dir, corpus) = (out.display().to_string(), corpus(&out));
    const PICTURES: [&str; 4] = ["flow.svg", "influence.svg", "gates.svg", "norms.svg"];
    for cell in ["rnn", "lstm", "gru"] {
        let words = format!("{SMALL} --cell {cell} --layers 2");
        succeeds(&words, &["--out", &dir, "--corpus", &corpus]);
        assert!(PICTURES.iter().all(|name| !out.join(name).exists()), "{cell}");
        let model = bytes(&out, "model.safetensors");
        succeeds(&words, &["--out", &dir, "--corpus", &corpus, "--observe"]);
        assert_eq!(bytes(&out, "model.safetensors"), model, "{cell}");
        for name in PICTURES {
            assert!(bytes(&out, name).starts_with(b"<svg"), "{cell}: {name}");
            std::fs::remove_file(out.join(name)).unwrap();
        }
    }
    // A window of one step, and a run that had nothing left to do, have less to show.
    let words = SMALL.replace("--seq 10", "--seq 1");
    succeeds(&words, &["--out", &dir, "--corpus", &corpus, "--observe"]);
    assert!(out.join("flow.svg").exists() && !out.join("influence.svg").exists());
    std::fs::remove_file(out.join("norms.svg")).unwrap();
    succeeds("--resume --observe --sample 60", &["--out", &dir, "--corpus", &corpus]);
    assert!(out.join("gates.svg").exists() && !out.join("norms.svg").exists());
    fails(2, "--sample-only --observe", &[], &["--observe", "--sample-only"]);
}

#[test]
fn the_tunes_give_a_tune() {
    let out = folder("tunes");
    let dir = out.display().to_string();
    succeeds(&SMALL.replace("--steps 60", "--steps 4"), &["--out", &dir]);
    let tune = String::from_utf8(bytes(&out, "tune.abc")).unwrap();
    assert!(tune.starts_with("X:1\nT:"), "{tune}");
    let text = succeeds("--sample-only --check --tunes 3 --sample 80", &["--out", &dir]);
    assert!(text.contains(" of 3 tunes are well-formed"), "{text}");
    assert_eq!(String::from_utf8(bytes(&out, "tune.abc")).unwrap().matches("X:").count(), 3);
    // A tune that is cut off at once has its opening all the same, a bar line in it or not.
    let prime = "X:1\nT:Mine\nM:C|\nL:1/8\nK:D";
    succeeds("--sample-only --sample 3", &["--out", &dir, "--prime", prime]);
    assert_eq!(bytes(&out, "tune.abc"), format!("{prime}\n").as_bytes());
}

#[test]
fn samples_without_training() {
    let out = folder("samples");
    let (dir, corpus) = (out.display().to_string(), corpus(&out));
    succeeds(SMALL, &["--out", &dir, "--corpus", &corpus]);
    let model = bytes(&out, "model.safetensors");
    let sample = |more: &[&str]| {
        succeeds("--sample-only --sample 60", &[&["--out", &dir], more].concat());
        String::from_utf8(bytes(&out, "sample.txt")).unwrap()
    };
    let first = sample(&[]);
    assert_eq!(sample(&[]), first);
    assert_ne!(sample(&["--seed", "2"]), first);
    assert_ne!(sample(&["--temperature", "3"]), first);
    assert!(sample(&["--prime", "3 and 4"]).starts_with("3 and 4"));
    assert_eq!(bytes(&out, "model.safetensors"), model);
    let out = ["--out", dir.as_str()];
    fails(1, "--sample-only --prime Ünd", &out, &["--prime", "'Ü'"]);
    fails(1, "--sample-only --hidden 9", &out, &["model.safetensors", "--hidden 8", "not 9"]);
    fails(1, "--sample-only --check", &out, &["--check", "not ABC"]);
}

#[test]
fn stops_early_and_keeps_the_best() {
    let out = folder("patience");
    let (dir, corpus) = (out.display().to_string(), corpus(&out));
    // A rate at which no validation after the first few is the best for long.
    let words = SMALL.replace("--steps 60 --validate-every 20", "--steps 5000 --validate-every 2");
    let text = succeeds(&words, &["--out", &dir, "--corpus", &corpus, "--patience", "3", "--lr", "0.3"]);
    assert!(!text.contains("update 5000/5000"), "it did not stop: {text}");
    assert!(text.contains("stopped early, after update "), "{text}");
    assert!(text.contains(": 3 validations without a better one"), "{text}");
    // The number is that of the model in the file: a run that ends at the best update says the same.
    let best: f64 = last_line(&text).split_once(' ').unwrap().1.parse().unwrap();
    assert!(best.is_finite());
}

#[test]
fn usage_that_is_wrong_is_one_line_and_code_2() {
    fails(2, "--hidden 0", &[], &["--hidden", "0"]);
    fails(2, "--cell qrnn", &[], &["--cell", "qrnn", "rnn, lstm, gru"]);
    fails(2, "--lr -1", &[], &["--lr"]);
    fails(2, "--lr nan", &[], &["--lr", "above 0"]);
    fails(2, "--dropout 1 --layers 2", &[], &["--dropout", "below 1"]);
    fails(2, "--dropout 0.5", &[], &["--dropout", "--layers"]);
    fails(2, "--tune 3", &[], &["--tune"]);
    fails(2, "--resume --sample-only", &[], &["--resume", "--sample-only"]);
    fails(2, "--prime=", &[], &["--prime"]);
    fails(2, "--threads 1025", &[], &["--threads", "1025"]);
    fails(2, "--layers 1025", &[], &["--layers", "1025", "1024"]);
    let help = succeeds("--help", &[]);
    assert!(help.contains("--resume") && help.contains("Exit codes"), "{help}");
    assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
}

/// What is wrong with data is found before anything is written.
#[test]
fn data_that_is_wrong_is_one_line_and_code_1() {
    let out = folder("errors");
    let made = out.join("made");
    let more = ["--out", &made.display().to_string()];
    let text = |name: &str, bytes: &[u8]| {
        let path = out.join(name);
        std::fs::write(&path, bytes).unwrap();
        path.display().to_string()
    };
    let refused = |corpus: &str, holds: &[&str]| {
        fails(1, SMALL, &[&more[..], &["--corpus", corpus]].concat(), holds);
        assert!(!made.exists(), "{corpus}: a folder was made");
    };
    refused("no-such-file.txt", &["no-such-file.txt", "No such file"]);
    refused(&out.display().to_string(), &[&out.display().to_string()]);
    refused(&text("empty.txt", b""), &["empty.txt", "empty"]);
    refused(&text("short.txt", b"too short"), &["short.txt", "9 characters"]);
    refused(&text("latin.txt", b"caf\xe9 and more"), &["latin.txt", "UTF-8", "3"]);

    // A folder that cannot be: a file stands in its place.
    let file = text("file", b"a file");
    let corpus = corpus(&out);
    fails(1, SMALL, &["--corpus", &corpus, "--out", &format!("{file}/below")], &["file/below"]);
    assert_eq!(bytes(&out, "file"), b"a file");

    // A loss that is no number any more: the files of the run before stay.
    succeeds(SMALL, &[&more[..], &["--corpus", &corpus]].concat());
    let (model, checkpoint) = (bytes(&made, "model.safetensors"), bytes(&made, "checkpoint.safetensors"));
    fails(
        1,
        SMALL,
        &[&more[..], &["--corpus", &corpus, "--lr", "1e38"]].concat(),
        &["update ", "the first value that is not finite is in ", "lower --lr"],
    );
    assert_eq!(bytes(&made, "model.safetensors"), model);
    assert_eq!(bytes(&made, "checkpoint.safetensors"), checkpoint);
    // The same if validation meets it first.
    fails(
        1,
        &SMALL.replace("--steps 60", "--steps 1"),
        &[&more[..], &["--corpus", &corpus, "--lr", "1e38"]].concat(),
        &["update 1: the validation loss is ", "the first value that is not finite is in ", "lower --lr"],
    );
    assert_eq!(bytes(&made, "model.safetensors"), model);
}

/// Standard output that nobody reads, or that has no room: an error in one line, no panic.
#[cfg(target_os = "linux")]
#[test]
fn standard_output_may_be_closed() {
    let out = folder("closed");
    let (dir, corpus) = (out.display().to_string(), corpus(&out));
    let mut child = command(SMALL, &["--out", &dir, "--corpus", &corpus]);
    let mut child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    common::failure(output, "folk_music", "a closed pipe", 1, &["standard output", "Broken pipe"]);
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    for words in ["--help", SMALL] {
        let output = command(words, &["--out", &dir, "--corpus", &corpus]).stdout(full()).output().unwrap();
        common::failure(output, "folk_music", words, 1, &["standard output", "No space left on device"]);
    }
    // What is wrong with a command line has its exit code, heard or not.
    assert_eq!(command("--hidden 0", &[]).stderr(full()).status().unwrap().code(), Some(2));
}

#[test]
fn checkpoints_that_do_not_fit_are_refused_and_left_alone() {
    let out = folder("foreign");
    let (dir, corpus) = (out.display().to_string(), corpus(&out));
    let more = ["--out", dir.as_str(), "--corpus", &corpus];
    fails(1, "--resume", &more, &["checkpoint.safetensors", "No such file"]);
    fails(1, "--sample-only", &more, &["model.safetensors", "No such file"]);
    succeeds(SMALL, &more);
    let good = bytes(&out, "checkpoint.safetensors");
    let refused = |words: &str, more: &[&str], holds: &[&str]| {
        let before = bytes(&out, "checkpoint.safetensors");
        fails(1, words, more, &[&["checkpoint.safetensors"], holds].concat());
        assert!(bytes(&out, "checkpoint.safetensors") == before, "{holds:?}: it was overwritten");
    };

    // Other sizes, another cell, another text, other characters.
    refused("--resume --hidden 9", &more, &["--hidden 8", "not 9"]);
    refused("--resume --cell gru", &more, &["--cell lstm", "not gru"]);
    let other = out.join("other.txt");
    let reversed: String = std::fs::read_to_string(&corpus).unwrap().chars().rev().collect();
    std::fs::write(&other, &reversed).unwrap();
    let others = ["--out", dir.as_str(), "--corpus", other.to_str().unwrap()];
    refused("--resume", &others, &["another text", "--corpus"]);
    std::fs::write(&other, reversed + "Ü").unwrap();
    refused("--resume", &others, &["other characters", "--corpus"]);

    // The best model so far is another run's, or gone.
    let (path, model) = (out.join("model.safetensors"), bytes(&out, "model.safetensors"));
    let elsewhere = folder("foreign-other");
    succeeds(&format!("{SMALL} --seed 2"), &["--out", elsewhere.to_str().unwrap(), "--corpus", &corpus]);
    std::fs::copy(elsewhere.join("model.safetensors"), &path).unwrap();
    fails(1, "--resume --steps 70", &more, &["model.safetensors", "not this run's best model"]);
    std::fs::remove_file(&path).unwrap();
    fails(1, "--resume --steps 70", &more, &["model.safetensors", "No such file"]);
    std::fs::write(&path, &model).unwrap();

    // Truncated anywhere, no such file at all, and one of another program.
    let path = out.join("checkpoint.safetensors");
    for length in [0, 7, 100, good.len() / 2, good.len() - 1] {
        std::fs::write(&path, &good[..length]).unwrap();
        refused("--resume", &more, &[]);
    }
    std::fs::write(&path, &model).unwrap();
    refused("--resume", &more, &["a model, not a checkpoint"]);
    std::fs::write(&path, b"not a checkpoint at all, and longer than a header").unwrap();
    refused("--resume", &more, &[]);
    let header = br#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}  "#;
    let foreign = [&(header.len() as u64).to_le_bytes()[..], header, &[0; 4]].concat();
    std::fs::write(&path, foreign).unwrap();
    refused("--resume", &more, &["not written by folk_music"]);
    std::fs::write(out.join("model.safetensors"), &good[..good.len() - 1]).unwrap();
    fails(1, "--sample-only", &more, &["model.safetensors"]);
}

/// A disk without room: an error that names the file, and what stood there stays.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_named_and_nothing_is_lost() {
    let out = folder("full");
    let (dir, corpus) = (out.display().to_string(), corpus(&out));
    let more = ["--out", dir.as_str(), "--corpus", &corpus];
    succeeds(SMALL, &more);
    let model = bytes(&out, "model.safetensors");
    // The place where the new model grows is a device that is always full.
    std::os::unix::fs::symlink("/dev/full", out.join("model.safetensors.part")).unwrap();
    fails(1, SMALL, &more, &["model.safetensors", "No space left on device"]);
    assert_eq!(bytes(&out, "model.safetensors"), model);
}
