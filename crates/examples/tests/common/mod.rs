//! Programs as their users meet them: processes with arguments, files, standard output and exit codes.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;

/// The program of that name, built as the tests are. Cargo builds no plain example for the tests of its package.
pub(crate) fn program(name: &'static str) -> PathBuf {
    static BUILT: Mutex<Vec<&str>> = Mutex::new(Vec::new());
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let (profile, folder) = if cfg!(debug_assertions) { ("dev", "debug") } else { ("release", "release") };
    let mut built_ones = BUILT.lock().unwrap();
    if !built_ones.contains(&name) {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo)
            .args(["build", "--quiet", "--workspace", "--example", name, "--profile", profile])
            .arg("--target-dir")
            .arg(target)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()
            .unwrap();
        assert!(built.success(), "the example does not build");
        built_ones.push(name);
    }
    target.join(folder).join("examples").join(name)
}

/// An empty folder of this test's own.
pub(crate) fn folder(program: &str, name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{program}-{name}"));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Standard output of a run that has to succeed.
pub(crate) fn success(output: Output, words: &str) -> String {
    assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Expects one line on standard error that begins with the program's name and holds all of `holds`, and the exit code.
pub(crate) fn failure(output: Output, program: &str, words: &str, code: i32, holds: &[&str]) {
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{words}: {error}");
    assert_eq!(error.lines().count(), 1, "{words}: {error}");
    assert!(error.starts_with(&format!("{program}: ")), "{error}");
    for hold in holds {
        assert!(error.contains(hold), "{words}: {error:?} does not name {hold:?}");
    }
}
