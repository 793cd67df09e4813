//! The floors of a crate, from the table on its front page: a lower one never names a higher one.

use super::code::{Source, paths};

/// The crates that have floors.
pub(super) const CRATES: [&str; 2] = ["crates/kernels/src", "crates/models/src"];

/// Modules by floor, lowest first.
#[derive(Debug, PartialEq, Eq)]
struct Floors(Vec<(String, usize)>);

impl Floors {
    /// Reads the table under the heading "The floors" of a crate's documentation.
    fn read(front_page: &str) -> Floors {
        let table = front_page.lines().skip_while(|line| !line.starts_with("//! | floor |")).skip(2);
        let mut all = Vec::new();
        for (floor, line) in table.take_while(|line| line.starts_with("//! |")).enumerate() {
            let names = line.split('|').nth(1).unwrap_or("");
            for name in names.split('`').skip(1).step_by(2) {
                all.extend(expand(name).into_iter().map(|module| (module, floor)));
            }
        }
        Floors(all)
    }

    /// The lowest and the highest floor of a path: those of the longest module in the table that it lies in, or else of all
    /// that lie in it.
    fn of(&self, path: &str) -> Option<(usize, usize)> {
        let lies_in = |inner: &str, outer: &str| {
            inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        };
        let around = self.0.iter().filter(|(module, _)| lies_in(path, module));
        if let Some((_, floor)) = around.max_by_key(|(module, _)| module.len()) {
            return Some((*floor, *floor));
        }
        let within = self.0.iter().filter(|(module, _)| lies_in(module, path)).map(|(_, floor)| *floor);
        Some((within.clone().min()?, within.max()?))
    }
}

/// `gates::{rnn, lstm}` is `gates::rnn` and `gates::lstm`.
fn expand(name: &str) -> Vec<String> {
    match name.split_once('{') {
        None => vec![name.to_string()],
        Some((prefix, group)) => {
            group.trim_end_matches('}').split(',').map(|part| format!("{prefix}{}", part.trim())).collect()
        }
    }
}

/// The module of a file, `gates::lstm` of `gates/lstm.rs`.
fn module(file: &str) -> String {
    let path = file.trim_end_matches(".rs");
    path.strip_suffix("/mod").unwrap_or(path).replace('/', "::")
}

/// Checks one crate.
pub(super) fn check(sources: &[Source], folder: &str, findings: &mut Vec<String>) {
    let front = format!("{folder}/lib.rs");
    let Some(front_page) = sources.iter().find(|source| source.path == front) else {
        return findings.push(format!("{front}: there is no such file"));
    };
    let floors = Floors::read(&front_page.text);
    if floors.0.is_empty() {
        return findings.push(front_page.at(1, "there is no table of floors"));
    }
    for source in sources.iter().filter(|source| source.is_rust()) {
        let Some(file) = source.path.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/')) else {
            continue;
        };
        let own = module(file);
        if own == "lib" {
            continue;
        }
        let Some((_, floor)) = floors.of(&own) else {
            findings.push(source.at(1, &format!("{own} is on no floor: {front} lists none for it")));
            continue;
        };
        let absolute =
            paths(&source.code, "crate").into_iter().map(|(line, path)| (line, path[7..].to_string()));
        let relative =
            paths(&source.code, "super").into_iter().map(|(line, path)| (line, resolve(&own, &path)));
        for (line, path) in absolute.chain(relative) {
            match floors.of(&outermost(&floors, &path)) {
                None => findings.push(source.at(line, &format!("{path} is on no floor: name its module"))),
                Some((named, _)) if named > floor => {
                    let what = format!("{own}, on floor {}, names {path}, on floor {}", floor + 1, named + 1);
                    findings.push(source.at(line, &what));
                }
                Some(_) => {}
            }
        }
    }
}

/// `super::x` in `a::b` is `a::x`.
fn resolve(own: &str, path: &str) -> String {
    let (mut module, mut rest) = (own, path);
    while let Some(inner) = rest.strip_prefix("super::") {
        module = module.rsplit_once("::").map_or("", |(outer, _)| outer);
        rest = inner;
    }
    if module.is_empty() { rest.to_string() } else { format!("{module}::{rest}") }
}

/// The part of a path that the table knows something of: an item of `gates` is in `gates`.
fn outermost(floors: &Floors, path: &str) -> String {
    let mut path = path;
    while floors.of(path).is_none() {
        let Some((outer, _)) = path.rsplit_once("::") else { break };
        path = outer;
    }
    path.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRONT: &str = "//! # The floors\n//! | floor | what it is |\n//! |---|---|\n//! | `isa` | low |\n\
                         //! | `gates::{rnn, lstm}` | cells |\n//! | `gates::drive`, `plan` | high |\n";

    fn findings(file: &str, text: &str) -> Vec<String> {
        let sources = [Source::new("c/src/lib.rs", FRONT), Source::new(&format!("c/src/{file}"), text)];
        let mut all = Vec::new();
        check(&sources, "c/src", &mut all);
        all
    }

    #[test]
    fn a_lower_floor_names_no_higher_one() {
        assert_eq!(findings("plan.rs", "use crate::{isa::Isa, gates::lstm::Lstm};"), [""; 0]);
        assert_eq!(findings("gates/lstm.rs", "use super::Update;\n// crate::plan\nuse crate::isa;"), [""; 0]);
        let found = findings("gates/lstm.rs", "\nuse super::{rnn, drive::walk};");
        assert_eq!(
            found,
            ["c/src/gates/lstm.rs:2: gates::lstm, on floor 2, names gates::drive::walk, on floor 3"]
        );
        assert_eq!(findings("isa.rs", "fn f() { crate::plan::g() }").len(), 1);
    }

    #[test]
    fn every_module_has_a_floor() {
        assert_eq!(findings("new.rs", "").len(), 1);
        assert_eq!(findings("plan.rs", "use crate::Item;").len(), 1);
        assert_eq!(findings("gates/mod.rs", "use crate::plan;"), [""; 0]);
    }
}
