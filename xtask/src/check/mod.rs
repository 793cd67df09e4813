//! `cargo xtask check`: what the house promises about its structure, held by grep. A rule is one function from the tracked
//! files to what is wrong with them.

mod code;
mod files;
mod floors;
mod kernels;

use code::{Source, has_word, words_at};
use std::path::Path;
use std::process::Command;

/// Where `unsafe` may stand, a file or a folder, and what for.
const UNSAFE: &[(&str, &str)] = &[
    ("crates/kernels/src/simd/avx2_fma.rs", "intrinsics"),
    ("crates/kernels/src/simd/avx512.rs", "intrinsics"),
    ("crates/kernels/src/aligned.rs", "allocation"),
    ("crates/kernels/src/gates/drive.rs", "the walk over checked pointers"),
    ("crates/kernels/src/gates/drive/", "the same for cells with options"),
    ("crates/kernels/src/gates/generated/", "functions with target features"),
    ("crates/kernels/src/gemm/micro.rs", "the inner loop"),
    ("crates/kernels/src/gemm/sums.rs", "the sums of a block of register tiles"),
    ("crates/kernels/src/gemm/tiles.rs", "the walk over register tiles"),
    ("crates/kernels/src/gemm/single.rs", "the walk over the tiles of single rows"),
    ("crates/kernels/src/gemm/pack.rs", "packing"),
    ("crates/kernels/src/dispatch.rs", "the calls of generated functions"),
    ("crates/kernels/src/maps.rs", "those on whole slices"),
    ("crates/kernels/src/products.rs", "the calls of the matmul"),
    ("benches/src/allocations.rs", "an allocator that counts"),
    ("benches/src/machine/", "instructions to be timed, pinned threads"),
    ("benches/peers/src/gemm.rs", "a library's own interface"),
    ("benches/peers/src/matrixmultiply.rs", "a library's own interface"),
    ("tests/", "guard pages, an allocator that counts"),
];

/// Folders of the kernels that know no pointer.
const POINTERLESS: [&str; 5] = [
    "crates/kernels/src/math/",
    "crates/kernels/src/gates/mod.rs",
    "crates/kernels/src/gates/rnn.rs",
    "crates/kernels/src/gates/lstm.rs",
    "crates/kernels/src/gates/gru.rs",
];

/// The most lines of a file that is written by hand.
const MOST_LINES: usize = 400;

/// Runs all rules on the files that git tracks.
pub(crate) fn run(root: &Path) -> Result<(), String> {
    let sources = tracked(root)?;
    let findings = findings(&sources);
    findings.iter().for_each(|finding| crate::say!("{finding}"));
    if findings.is_empty() {
        crate::say!("check: {} files, nothing found", sources.len());
        Ok(())
    } else {
        Err(format!("check: {} finding(s) in {} files", findings.len(), sources.len()))
    }
}

fn findings(sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    unsafe_code(sources, &mut findings);
    floors::CRATES.iter().for_each(|folder| floors::check(sources, folder, &mut findings));
    pointers(sources, &mut findings);
    kernels::arithmetic(sources, &mut findings);
    kernels::names(sources, &mut findings);
    lines(sources, &mut findings);
    allows(sources, &mut findings);
    files::machine(sources, &mut findings);
    files::links(sources, &mut findings);
    findings
}

/// The files that git tracks and that are there. What is no text counts as empty.
fn tracked(root: &Path) -> Result<Vec<Source>, String> {
    let output = Command::new("git").arg("-C").arg(root).args(["ls-files", "-z"]).output();
    let output = output.map_err(|error| format!("git ls-files: {error}"))?;
    if !output.status.success() {
        return Err(format!("git ls-files: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    let names = String::from_utf8(output.stdout).map_err(|error| format!("git ls-files: {error}"))?;
    let read = |name: &str| {
        let bytes = std::fs::read(root.join(name)).ok()?;
        Some(Source::new(name, &String::from_utf8(bytes).unwrap_or_default()))
    };
    Ok(names.split_terminator('\0').filter_map(read).collect())
}

/// `unsafe` stands only where [`UNSAFE`] says; the type of an unsafe function is no code that runs.
fn unsafe_code(sources: &[Source], findings: &mut Vec<String>) {
    for source in sources {
        let is_allowed = UNSAFE.iter().any(|(place, _)| source.path.starts_with(place));
        for (line, code) in source.code_lines().filter(|_| !is_allowed) {
            let is_type = |at: usize| code[at..].starts_with("unsafe fn(");
            if words_at(code, "unsafe").any(|at| !is_type(at)) {
                findings.push(source.at(line, "unsafe in a file that is not to have any"));
            }
        }
    }
    let models = "crates/models/src/lib.rs";
    let forbids = |source: &&Source| source.path == models && source.code.contains("#![forbid(unsafe_code)]");
    if sources.iter().find(forbids).is_none() {
        findings.push(format!("{models}: there is no #![forbid(unsafe_code)]"));
    }
}

/// Arithmetic on registers knows no pointer.
fn pointers(sources: &[Source], findings: &mut Vec<String>) {
    for source in sources.iter().filter(|s| POINTERLESS.iter().any(|place| s.path.starts_with(place))) {
        for (line, code) in source.code_lines() {
            let is_pointer = ["*const ", "*mut ", "ptr::"].iter().any(|sign| code.contains(sign));
            if is_pointer || has_word(code, "as_ptr") || has_word(code, "as_mut_ptr") {
                findings.push(source.at(line, "a pointer in a file that is to know none"));
            }
        }
    }
}

/// Files stay short enough to be read.
fn lines(sources: &[Source], findings: &mut Vec<String>) {
    for source in sources.iter().filter(|s| s.is_rust() && !s.path.contains("/generated/")) {
        let lines = source.text.lines().count();
        if lines > MOST_LINES {
            findings.push(source.at(lines, &format!("{lines} lines: expected {MOST_LINES} at most")));
        }
    }
}

/// Every exception from a lint says why.
fn allows(sources: &[Source], findings: &mut Vec<String>) {
    for source in sources {
        for at in words_at(&source.code, "allow").chain(words_at(&source.code, "expect")) {
            let open = source.code[..at].rfind("#[").max(source.code[..at].rfind("#!["));
            let is_attribute = open.is_some_and(|open| !source.code[open..at].contains(']'));
            let attribute = source.code[at..].split(']').next().unwrap_or("");
            if is_attribute && !has_word(attribute, "reason") {
                let line = source.code[..at].matches('\n').count() + 1;
                findings.push(source.at(line, "an allow without a reason"));
            }
        }
        let mut previous = "";
        for (i, line) in source.text.lines().enumerate().filter(|_| source.path.ends_with("Cargo.toml")) {
            let is_allow = line.contains("\"allow\"");
            if is_allow && !previous.trim_start().starts_with('#') && !line.contains('#') {
                findings.push(source.at(i + 1, "an allow without a reason: a comment above it"));
            }
            previous = line;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(rule: fn(&[Source], &mut Vec<String>), path: &str, text: &str) -> Vec<String> {
        let forbids = Source::new("crates/models/src/lib.rs", "#![forbid(unsafe_code)]\n");
        let mut all = Vec::new();
        rule(&[forbids, Source::new(path, text)], &mut all);
        all
    }

    #[test]
    fn unsafe_stands_where_it_may() {
        let text = "fn f() {\n    // unsafe\n    unsafe { g() }\n}\ntype F = unsafe fn(usize);\n";
        assert_eq!(found(unsafe_code, "crates/kernels/src/dispatch.rs", text), [""; 0]);
        let findings = found(unsafe_code, "crates/kernels/src/plan.rs", text);
        assert_eq!(findings, ["crates/kernels/src/plan.rs:3: unsafe in a file that is not to have any"]);
        let mut all = Vec::new();
        unsafe_code(&[], &mut all);
        assert_eq!(all.len(), 1, "the models have to forbid it");
    }

    #[test]
    fn math_knows_no_pointer() {
        let text = "fn f(x: &[f32]) { x.as_ptr(); }\nfn g(x: *const f32) {}\nfn h(a: f32) { a * b }\n";
        assert_eq!(found(pointers, "crates/kernels/src/math/exp.rs", text).len(), 2);
        assert_eq!(found(pointers, "crates/kernels/src/gemm/pack.rs", text), [""; 0]);
    }

    #[test]
    fn files_stay_short() {
        let text = "fn f() {}\n".repeat(MOST_LINES + 1);
        assert_eq!(found(lines, "a.rs", &text).len(), 1);
        assert_eq!(found(lines, "a.rs", &text[10..]), [""; 0]);
        assert_eq!(found(lines, "src/generated/a.rs", &text), [""; 0]);
    }

    #[test]
    fn allows_have_reasons() {
        assert_eq!(found(allows, "a.rs", "#[allow(dead_code)]\nfn f() {}").len(), 1);
        assert_eq!(found(allows, "a.rs", "#[cfg_attr(x, allow(dead_code))]").len(), 1);
        assert_eq!(
            found(allows, "a.rs", "#[allow(\n    dead_code,\n    reason = \"why\"\n)]\nx.expect(\"y\");"),
            [""; 0]
        );
        assert_eq!(found(allows, "Cargo.toml", "a = \"allow\"\n").len(), 1);
        assert_eq!(found(allows, "Cargo.toml", "# Why.\na = \"allow\"\n"), [""; 0]);
    }
}
