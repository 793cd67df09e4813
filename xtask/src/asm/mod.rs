//! `cargo xtask asm`: reads the assembly of every kernel that has fused multiply-adds and holds it to what makes it fast.
//!
//! - Each k loop multiplies and adds whole vectors of the row's width, calls nothing and stores nothing to the stack. So do the
//!   straight runs of multiply-adds that are left of it where the sizes are constants.
//! - The whole function calls nothing but what runs a tile's end apart (`Vector::apart`): no panic, no `memcpy`.
//!
//! A loop is what lies between a label and a jump back to it. A k loop is one block that broadcasts from memory and multiplies; in
//! the kernels of elementwise functions, which have no k, every innermost loop with multiply-adds counts.

mod function;

use crate::spawn;
use function::Function;
use std::path::{Path, PathBuf};

/// What the registry says of a row, as far as its assembly goes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Row {
    id: String,
    isa: String,
    function: String,
    lanes: usize,
    /// Elementwise: no matmul in it.
    is_map: bool,
    /// The instruction that it adds up with, if it has no k loop.
    adds_with: Option<&'static str>,
}

impl Row {
    /// The register that holds its vectors.
    fn register(&self) -> &'static str {
        // Doubles that squares are added up in are widened from four floats at a time.
        let is_in_halves = self.adds_with == Some("vfmadd");
        if self.lanes == 16 && !is_in_halves { "%zmm" } else { "%ymm" }
    }
}

/// Checks all rows, or prints the instructions of the one that `--show` names.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<(), String> {
    let show = match arguments {
        [] => None,
        [option, id] if option == "--show" => Some(id),
        _ => return Err("asm: expected no option, or --show ID".to_string()),
    };
    let rows = rows(root)?;
    let functions = functions(root)?;
    let find = |row: &Row| functions.iter().find(|function| function.is(&row.isa, &row.function));
    if let Some(id) = show {
        let row = rows.iter().find(|row| row.id == *id).ok_or(format!("asm --show {id}: no such kernel"))?;
        let function = find(row).ok_or(format!("{id}: its function is not in the assembly"))?;
        function.lines.iter().for_each(|line| crate::say!("{line}"));
        return Ok(());
    }
    let (mut failed, mut bytes) = (0, 0);
    for row in &rows {
        let wrong = match find(row) {
            None => vec!["its function is not in the assembly".to_string()],
            Some(function) => {
                bytes += function.instructions.len();
                function.check(row.register(), row.is_map, row.adds_with)
            }
        };
        if !wrong.is_empty() {
            failed += 1;
            crate::say!("{}: {}", row.id, wrong.join("; "));
        }
    }
    let summary = format!("asm: {} kernels, {bytes} instructions, {failed} failed", rows.len());
    if failed == 0 {
        crate::say!("{summary}");
        Ok(())
    } else {
        Err(summary)
    }
}

/// The rows of instruction sets with fused multiply-adds.
fn rows(root: &Path) -> Result<Vec<Row>, String> {
    let path = root.join("crates/kernels/src/gates/generated/registry.rs");
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(parse_rows(&text))
}

fn parse_rows(registry: &str) -> Vec<Row> {
    let rows = registry.split("    Row {").skip(1).filter_map(|row| {
        let field = |name: &str| {
            let line = row.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(": "));
            line.map(|value| value.trim_end_matches(',').trim_matches('"'))
        };
        let entry = field("entry")?.strip_prefix("Entry::")?;
        let (kind, path) = entry.trim_end_matches(')').split_once('(')?;
        let (isa, function) = path.split_once("::")?;
        Some(Row {
            id: field("id")?.to_string(),
            isa: isa.to_string(),
            function: function.to_string(),
            lanes: field("lanes")?.parse().ok()?,
            is_map: kind == "Map",
            adds_with: match kind {
                "SumRows" => Some("vaddps"),
                "SumSquares" => Some("vfmadd"),
                _ => None,
            },
        })
    });
    rows.filter(|row| row.isa != "portable").collect()
}

/// Compiles the kernels to assembly, in a folder of its own so that the other builds stay as they are.
fn functions(root: &Path) -> Result<Vec<Function>, String> {
    let target = root.join("target/asm");
    let mut cargo = spawn::cargo(root, "rustc");
    cargo.args(["--quiet", "--release", "--package", "gatewise-kernels", "--lib"]);
    cargo.arg("--target-dir").arg(&target).args(["--", "--emit", "asm"]);
    let status = cargo.status().map_err(|error| format!("cargo: {error}"))?;
    if !status.success() {
        return Err(format!("cargo rustc: {status}"));
    }
    let mut all = Vec::new();
    for file in newest(&target.join("release/deps"))? {
        let text = std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        all.extend(function::split(&text));
    }
    Ok(all)
}

/// The assembly of the last build: older ones, of other compilers or options, have another hash in their names.
fn newest(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let fail = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_string();
        if let Some(rest) = name.strip_prefix("gatewise_kernels-").filter(|rest| rest.ends_with(".s")) {
            let hash = rest.split('.').next().unwrap_or("").to_string();
            let modified = path.metadata().and_then(|data| data.modified()).map_err(fail)?;
            files.push((modified, hash, path));
        }
    }
    let hash = files.iter().max().map(|(_, hash, _)| hash.clone());
    let hash = hash.ok_or(format!("{}: no assembly there", folder.display()))?;
    Ok(files.into_iter().filter(|file| file.1 == hash).map(|(_, _, path)| path).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_from_the_registry() {
        let text = "    Row {\n        id: \"f32-exp-avx512\",\n        lanes: 16,\n        entry: Entry::Map(avx512::exp),\n    },\n    \
                    Row {\n        id: \"f32-exp-portable\",\n        lanes: 4,\n        entry: Entry::Map(portable::exp),\n    },\n";
        let [row] = &parse_rows(text)[..] else { panic!("one row has multiply-adds") };
        assert_eq!((&row.id[..], &row.isa[..], &row.function[..]), ("f32-exp-avx512", "avx512", "exp"));
        assert!(row.is_map && row.register() == "%zmm");
    }

    #[test]
    fn every_row_of_the_registry_is_read() {
        let root = crate::workspace_root();
        let text =
            std::fs::read_to_string(root.join("crates/kernels/src/gates/generated/registry.rs")).unwrap();
        let all = text.matches("    Row {").count() - text.matches("isa: Isa::Portable").count();
        assert_eq!(rows(&root).unwrap().len(), all);
    }
}
