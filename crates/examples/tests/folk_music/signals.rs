//! Signals in the middle of a run.

use super::{SMALL, bytes, command, common, corpus, folder, last_line, succeeds};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// Ctrl-C in the middle, then --resume: all files are, to the byte, those of a run without a break.
#[test]
fn a_resumed_run_ends_as_if_it_had_not_been_interrupted() {
    ends_as_if_without_a_break("INT", 130, ["it's broken", "whole"]);
}

/// The same of SIGTERM, as a batch system or a shutdown sends it.
#[test]
fn a_resumed_run_ends_as_if_it_had_not_been_terminated() {
    ends_as_if_without_a_break("TERM", 143, ["terminated", "not terminated"]);
}

/// `nohup` has SIGHUP ignored: a terminal that is closed ends nothing.
#[test]
fn a_run_outlives_its_terminal_under_nohup() {
    let out = folder("nohup");
    let (dir, corpus) = (out.display().to_string(), corpus(&out));
    let words = SMALL.replace("--steps 60", "--steps 1000000000000000");
    let mut child = Command::new("nohup")
        .arg(common::program("folk_music"))
        .args(words.split_whitespace())
        .args(["--out", &dir, "--corpus", &corpus])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = in_its_midst(&mut child);
    send("HUP", &child);
    assert!(lines.any(|line| line.starts_with("update 200/")), "it ended with its terminal");
    send("TERM", &child);
    assert!(lines.last().unwrap().starts_with("stopped after update "));
    assert_eq!(child.wait().unwrap().code(), Some(143));
}

/// Waits until a run is under way; the lines that it says from then on.
fn in_its_midst(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.starts_with("update 50/")), "it never came to update 50");
    lines
}

fn send(signal: &str, child: &Child) {
    let sent = Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status().unwrap();
    assert!(sent.success(), "SIG{signal}");
}

/// Sends a signal in the middle of a run, goes on, and compares the files with those of a run without a break.
fn ends_as_if_without_a_break(signal: &str, code: i32, folders: [&str; 2]) {
    let [broken, whole] = folders.map(folder);
    let corpus = corpus(&whole);
    let words = "--hidden 8 --embedding 4 --batch 2 --seq 10 --validate-every 30 --sample 60 --layers 2 --dropout 0.3 \
                 --warmup 40 --schedule step --lr 0.01 --seed 5";
    let dir = broken.display().to_string();
    let more = ["--out", dir.as_str(), "--corpus", &corpus];
    let mut child = command(&format!("{words} --steps 1000000000000000"), &more)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = in_its_midst(&mut child);
    send(signal, &child);
    let last = lines.last().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(code), "{last}");
    let (at, how) =
        last.strip_prefix("stopped after update ").unwrap().split_once("; to go on: cargo run ").unwrap();
    let (at, how) = (at.parse::<usize>().unwrap(), how.split_once(" -- ").unwrap().1);

    // What it says works as it stands, but for the number of updates, which has changed.
    let pasted = format!("{} {how} --steps {}", common::program("folk_music").display(), at + 7);
    common::success(Command::new("sh").args(["-c", &pasted]).output().unwrap(), &pasted);
    let dir = whole.display().to_string();
    let text = succeeds(&format!("{words} --steps {}", at + 7), &["--out", &dir, "--corpus", &corpus]);
    assert!(last_line(&text).starts_with("val_nats_per_char "));
    for name in ["model.safetensors", "checkpoint.safetensors", "loss.svg", "sample.txt"] {
        assert!(bytes(&broken, name) == bytes(&whole, name), "{name} differs after a break at {at}");
    }
    // No setting need be repeated.
    let resumed = succeeds("--resume --sample 60", &more);
    assert_eq!(last_line(&resumed), last_line(&text));
}
