//! The program `compare` with small peers that do what they should, or not.
#![cfg(unix)]

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};

/// A folder that goes away with the test, with programs in it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("gatewise-compare-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    /// Writes a program for the shell; answers its path.
    fn program(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}")).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        path.display().to_string()
    }

    fn compare(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_compare"));
        command.arg("--root").arg(&self.0).args(arguments);
        for library in ["PYTHON", "RTNEURAL", "ONEDNN"] {
            command.env_remove(format!("GATEWISE_PEERS_{library}"));
        }
        command.envs(variables.iter().copied()).output().unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// The line of a system.
fn line(output: &Output, system: &str) -> String {
    let text = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<&str> =
        text.lines().filter(|line| line.trim().split(' ').next() == Some(system)).collect();
    assert_eq!(lines.len(), 1, "{system}: one line expected in\n{text}");
    lines[0].to_string()
}

/// Answers Gatewise's own outputs and 2 ms a call.
const GOOD: &str = r#"
while [ $# -gt 0 ]; do case "$1" in --out) out="$2"; esac; shift; done
[ -n "$out" ] && cp "$(dirname "$out")/gatewise.safetensors" "$out"
echo '{"system": "good", "isa": "made up", "median_us": 2000.0}'
"#;
/// Answers the numbers of the case as its outputs: there is no y among them.
const WRONG: &str = r#"
while [ $# -gt 0 ]; do case "$1" in --out) out="$2"; esac; shift; done
[ -n "$out" ] && cp "$(dirname "$out")/problem.safetensors" "$out"
echo '{"median_us": 1.0}'
"#;
const CRASHING: &str = "echo 'first line' >&2; echo 'out of luck' >&2; exit 7";
const SILENT: &str = "exit 0";

#[test]
fn who_fails_is_named_and_the_others_run() {
    let folder = Folder::new("programs");
    let (good, wrong) = (folder.program("good", GOOD), folder.program("wrong", WRONG));
    let (crashing, silent) = (folder.program("crashing", CRASHING), folder.program("silent", SILENT));
    let variables = [
        ("GATEWISE_PEER_GOOD", &good[..]),
        ("GATEWISE_PEER_WRONG", &wrong),
        ("GATEWISE_PEER_CRASHING", &crashing),
        ("GATEWISE_PEER_SILENT", &silent),
        ("GATEWISE_PEER_MISSING", "/nowhere/program"),
        ("GATEWISE_PEERS_PYTHON", "/nowhere/python"),
    ];
    let output = folder.compare(&["--shape", "lstm step I=3 H=5"], &variables);
    assert_eq!(output.status.code(), Some(3), "{output:?}");

    assert!(line(&output, "good").contains("2.00 ms") && line(&output, "good").contains("made up"));
    for (system, why) in [
        ("wrong", "hold no y"),
        ("crashing", "out of luck"),
        ("silent", "its last line"),
        ("missing", "/nowhere/program"),
    ] {
        assert!(line(&output, system).contains("FAILED"), "{}", line(&output, system));
        assert!(line(&output, system).contains(why), "{}", line(&output, system));
    }
    assert!(line(&output, "burn").contains("absent build it"));
    assert!(line(&output, "torch").contains("there is no /nowhere/python"));

    let results = std::fs::read_to_string(folder.0.join("target/compare/results.json")).unwrap();
    assert!(results.contains("\"made up\"") && results.contains("out of luck"));
    assert!(folder.0.join("target/compare/asked-for.svg").exists());
}

/// A peer that keeps to the protocol of the peers in the repository, in place of a Python.
const SERVED: &str = r#"
name="$2"
while [ $# -gt 0 ]; do case "$1" in --out) out="$2"; esac; shift; done
case "$name" in
torch) cp "$(dirname "$out")/gatewise.safetensors" "$out"
       echo 'a library says hello'
       echo '{"ready": true, "version": "9.9", "note": "eager"}'
       while read -r calls; do echo 3000.0; done ;;
torch-no-onednn) echo 'no onednn here' >&2; exit 1 ;;
ort) echo '{"ready": false, "absent": true, "why": "No module named onnxruntime"}' ;;
openvino) echo '{"ready": false, "why": "it does not do this"}' ;;
esac
"#;

#[test]
fn a_served_peer_runs_or_says_why_not() {
    let folder = Folder::new("served");
    let python = folder.program("python", SERVED);
    let names = "torch,torch-no-onednn,ort,openvino,nobody";
    let arguments =
        ["--shape", "gru forward B=2 T=3 I=3 H=5", "--shape", "elman forward H=3", "--peers", names];
    let output = folder.compare(&arguments, &[("GATEWISE_PEERS_PYTHON", &python)]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(line(&output, "torch").contains("3.00 ms") && line(&output, "torch").contains("9.9 eager"));
    assert!(
        line(&output, "torch-no-onednn").contains("FAILED")
            && line(&output, "torch-no-onednn").contains("no onednn here")
    );
    assert!(line(&output, "ort").contains("absent No module named onnxruntime"));
    assert!(line(&output, "openvino").contains("unsupported it does not do this"));
    assert!(line(&output, "nobody").contains("absent no such peer"));
    assert!(line(&output, "error:").contains("elman"));

    // With nobody missing all is well, and the page can be written from what was found.
    let arguments = ["--shape", "gru forward B=2 T=3 I=3 H=5", "--peers", "torch,openvino", "--threads", "1"];
    let output = folder.compare(&arguments, &[("GATEWISE_PEERS_PYTHON", &python)]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let output = folder.compare(&["--publish"], &[]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let page = std::fs::read_to_string(folder.0.join("BENCHMARKS.md")).unwrap();
    assert!(page.contains("torch 9.9") && page.contains("| gru forward B=2 T=3 I=3 H=5 |"), "{page}");
    assert!(
        page.contains("`cargo xtask compare --shape \"gru forward B=2 T=3 I=3 H=5\" --peers torch,openvino")
    );
    assert!(folder.0.join("benches/charts/asked-for.svg").exists());
}

#[test]
fn a_product_of_matrices_stands_beside_itself() {
    let folder = Folder::new("matmul");
    let output = folder.compare(&["--shape", "matmul m=17 n=19 k=23", "--peers", "gemm"], &[]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(line(&output, "gatewise").contains("B packed before"));
    assert!(line(&output, "gatewise-packing").contains("B packed in the call"));
    assert!(line(&output, "gemm").contains("absent"));
}

#[test]
fn a_peer_that_hangs_is_left_behind() {
    let folder = Folder::new("hanging");
    let python = folder.program("python", "exec sleep 600");
    let arguments = ["--shape", "gru step H=5", "--peers", "torch", "--patience", "1"];
    let output = folder.compare(&arguments, &[("GATEWISE_PEERS_PYTHON", &python)]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(line(&output, "torch").contains("FAILED it has not answered for 1 s"));
    assert!(line(&output, "gatewise").contains("1.00x"));
}
