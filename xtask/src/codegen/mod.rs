//! `cargo xtask codegen`: writes `crates/kernels/src/gates/generated`, or checks that it is fresh.

mod bytes;
mod emit;
mod gains;
mod plan;
mod spec;

use gains::Gains;
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
    /// Time the kernels made for one hidden size against the one for any, where this machine can run them.
    pub(crate) measure: bool,
    /// Hidden sizes to add to the user's own.
    pub(crate) add: Vec<usize>,
    /// Hidden sizes to take out of them.
    pub(crate) remove: Vec<usize>,
}

/// Runs the command from the root of the workspace.
pub(crate) fn run(root: &Path, options: &Options) -> Result<(), String> {
    let sizes = sizes(root, options)?;
    let mut gains = read_gains(root)?;
    let measured = if options.measure {
        // What was not worth its code before is made again, to be measured.
        write(root, &emit::files(&sizes, &Gains::default()), options.check)?;
        gains.measure(root)
    } else {
        Ok(())
    };
    let specialised = emit::specialised(&sizes);
    gains.retain(&specialised);
    let files = emit::files(&sizes, &gains);
    write(root, &files, options.check)?;
    measured?;
    let table = gains_file(root);
    ensure(&table, &gains.text(), options.check)?;
    for message in gains.unexplained() {
        let message = format!("{}: {message}", table.display());
        if options.check {
            return Err(message);
        }
        crate::say!("{message}");
    }
    if options.sizes {
        crate::say!("{} kernels, hidden sizes {sizes:?}", count(&files));
        let listed = count(&emit::files(&spec::HIDDEN_SIZES, &gains));
        crate::say!("{listed} of them from the list, of at most {BUDGET}");
        crate::say!("{} of those for one hidden size not measured", gains.missing(&specialised));
        if let Some((generated, apart)) = bytes::of_kernels(root)? {
            let [all, generated, apart] = [generated + apart, generated, apart].map(|bytes| bytes / 1024);
            crate::say!(
                "{all} KiB of code, of at most {MOST_CODE}: {generated} in the kernels, {apart} that they share"
            );
        }
    }
    Ok(())
}

/// All hidden sizes with kernels of their own: the list's and the user's, which the options may change.
fn sizes(root: &Path, options: &Options) -> Result<Vec<usize>, String> {
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
    if !options.add.is_empty() || !options.remove.is_empty() {
        let (text, path): (String, _) =
            (own.iter().map(|size| format!("{size}\n")).collect(), sizes_file(root));
        ensure(&path, &text, options.check)?;
        if own.is_empty() {
            std::fs::remove_file(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        }
    }
    let mut all = [&spec::HIDDEN_SIZES[..], &own].concat();
    all.sort_unstable();
    Ok(all)
}

/// Writes the generated files, or checks that they are fresh.
fn write(root: &Path, files: &[(String, String)], check: bool) -> Result<(), String> {
    files.iter().try_for_each(|(name, text)| ensure(&folder(root).join(name), text, check))
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

fn gains_file(root: &Path) -> PathBuf {
    root.join("xtask/src/codegen/gains.txt")
}

/// The text of a file; none if there is none.
fn read(path: &Path) -> Result<String, String> {
    match std::fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        text => text.map_err(|error| format!("{}: {error}", path.display())),
    }
}

fn read_gains(root: &Path) -> Result<Gains, String> {
    let path = gains_file(root);
    Gains::parse(&read(&path)?).map_err(|error| format!("{}: {error}", path.display()))
}

/// The hidden sizes that users added, one a line.
fn own_sizes(root: &Path) -> Result<Vec<usize>, String> {
    let path = sizes_file(root);
    let text = read(&path)?;
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
        let gains = read_gains(&crate::workspace_root()).unwrap();
        assert!(count(&emit::files(&spec::HIDDEN_SIZES, &gains)) <= BUDGET);
    }

    #[test]
    fn generated_code_is_fresh() {
        let root = crate::workspace_root();
        run(&root, &Options { check: true, ..Default::default() }).unwrap();
    }
}
