//! `cargo xtask codegen`: writes `crates/kernels/src/gates/generated`, or checks that it is fresh.

mod bytes;
mod emit;
mod plan;
mod spec;

use std::path::{Path, PathBuf};

/// Kernels that the list in `spec` may make: code grows with them, and so does the time to build it. What users add is
/// their own affair.
const BUDGET: usize = 300;

/// Their code, in KiB.
const MOST_CODE: usize = 4096;

/// What the command line asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// Compare, do not write.
    pub(crate) check: bool,
    /// Print what was generated and how much of the budget it takes.
    pub(crate) sizes: bool,
    /// Hidden sizes to add to the user's own.
    pub(crate) add: Vec<usize>,
    /// Hidden sizes to take out of them.
    pub(crate) remove: Vec<usize>,
}

/// Runs the command from the root of the workspace.
pub(crate) fn run(root: &Path, options: &Options) -> Result<(), String> {
    let mut own = own_sizes(root)?;
    for &size in &options.add {
        if !(1..=4096).contains(&size) {
            return Err(format!("--hidden {size}: expected a hidden size of 1 to 4096"));
        }
        if spec::HIDDEN_SIZES.contains(&size) || own.contains(&size) {
            return Err(format!("--hidden {size}: there are kernels of that size already"));
        }
        own.push(size);
    }
    for size in &options.remove {
        let at = own.iter().position(|own| own == size);
        own.remove(at.ok_or(format!("--remove {size}: not one of the sizes that were added: {own:?}"))?);
    }
    own.sort_unstable();
    let mut sizes = [&spec::HIDDEN_SIZES[..], &own].concat();
    sizes.sort_unstable();
    let files = emit::files(&sizes);
    if options.sizes {
        println!("{} kernels, hidden sizes {sizes:?}", count(&files));
        println!("{} of them from the list, of at most {BUDGET}", count(&emit::files(&spec::HIDDEN_SIZES)));
    }
    if !options.add.is_empty() || !options.remove.is_empty() {
        let (text, path): (String, _) =
            (own.iter().map(|size| format!("{size}\n")).collect(), sizes_file(root));
        ensure(&path, &text, options.check)?;
        if own.is_empty() {
            std::fs::remove_file(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        }
    }
    for (name, text) in files {
        ensure(&folder(root).join(name), &text, options.check)?;
    }
    if options.sizes
        && let Some((generated, apart)) = bytes::of_kernels(root)?
    {
        let [all, generated, apart] = [generated + apart, generated, apart].map(|bytes| bytes / 1024);
        println!(
            "{all} KiB of code, of at most {MOST_CODE}: {generated} in the kernels, {apart} that they share"
        );
    }
    Ok(())
}

fn count(files: &[(String, String)]) -> usize {
    files.iter().map(|(_, text)| text.matches("    Row {").count()).sum()
}

fn folder(root: &Path) -> PathBuf {
    root.join("crates/kernels/src/gates/generated")
}

fn sizes_file(root: &Path) -> PathBuf {
    root.join("xtask/src/codegen/sizes.txt")
}

/// The hidden sizes that users added, one a line.
fn own_sizes(root: &Path) -> Result<Vec<usize>, String> {
    let path = sizes_file(root);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(format!("{}: {error}", path.display())),
    };
    let parse =
        |line: &str| line.trim().parse().map_err(|_| format!("{}: {line:?} is no size", path.display()));
    text.lines().filter(|line| !line.trim().is_empty()).map(parse).collect()
}

/// Writes the file unless it holds that text already; with `check`, only says so.
fn ensure(path: &Path, text: &str, check: bool) -> Result<(), String> {
    if std::fs::read_to_string(path).is_ok_and(|old| old.replace("\r\n", "\n") == text) {
        return Ok(());
    }
    if check {
        return Err(format!("{} is not fresh: run `cargo xtask codegen`", path.display()));
    }
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_stays_within_its_budget() {
        assert!(count(&emit::files(&spec::HIDDEN_SIZES)) <= BUDGET);
    }

    #[test]
    fn generated_code_is_fresh() {
        let root = crate::workspace_root();
        run(&root, &Options { check: true, ..Default::default() }).unwrap();
    }
}
