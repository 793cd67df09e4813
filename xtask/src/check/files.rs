//! Rules of all files: nothing that holds on one machine only, and no link that leads nowhere.

use super::code::Source;

/// First folders of paths that are somebody's own.
const MACHINE_FOLDERS: [&str; 9] = ["home", "Users", "root", "work", "workspace", "tmp", "mnt", "opt", "srv"];

/// What a setting of a package registry is made of.
const REGISTRY_SETTINGS: [&str; 5] = ["sparse+", "replace-with", "[registries", "index-url", "extra-index"];

/// Where Cargo.lock says that crates are from.
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// No absolute path of a machine, no registry but the public one.
pub(super) fn machine(sources: &[Source], findings: &mut Vec<String>) {
    // The rule and its tests name what they look for.
    for source in sources.iter().filter(|source| source.path != "xtask/src/check/files.rs") {
        for (i, line) in source.text.lines().enumerate() {
            if let Some(path) = machine_path(line) {
                findings.push(source.at(i + 1, &format!("{path}: a path of one machine")));
            }
            let is_foreign = line.starts_with("source = \"registry+") && !line.contains(CRATES_IO);
            if is_foreign || REGISTRY_SETTINGS.iter().any(|setting| line.contains(setting)) {
                findings.push(source.at(i + 1, "a registry of one's own"));
            }
        }
    }
}

/// The first absolute path in a line that lies in one of [`MACHINE_FOLDERS`].
fn machine_path(line: &str) -> Option<&str> {
    line.match_indices('/').find_map(|(at, _)| {
        let before = line[..at].chars().next_back();
        let is_start = before.is_none_or(|c| c.is_whitespace() || "\"'`(=<:,".contains(c));
        let rest = &line[at + 1..];
        let folder = rest.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or("");
        let is_path = rest[folder.len()..].starts_with('/') && MACHINE_FOLDERS.contains(&folder);
        let end = line[at..].find(|c: char| c.is_whitespace() || "\"'`)>".contains(c));
        (is_start && is_path).then(|| &line[at..at + end.unwrap_or(line.len() - at)])
    })
}

/// The local links of the Markdown files, and the paths that they name in backticks, lead to something.
pub(super) fn links(sources: &[Source], findings: &mut Vec<String>) {
    let exists = |path: &str| {
        let path = path.trim_end_matches('/');
        let is_within =
            |file: &str| file.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        sources.iter().any(|source| is_within(&source.path))
    };
    let is_folder =
        |name: &str| sources.iter().any(|s| s.path.split_once('/').is_some_and(|(top, _)| top == name));
    for source in sources.iter().filter(|source| source.path.ends_with(".md")) {
        let folder = source.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for (i, line) in source.text.lines().enumerate() {
            for link in line.split("](").skip(1).filter_map(|rest| rest.split([')', '#', ' ']).next()) {
                let is_local = !link.is_empty() && !link.contains(':');
                if is_local && !exists(&join(folder, link)) {
                    findings.push(source.at(i + 1, &format!("{link}: there is no such file")));
                }
            }
            for path in line.split('`').skip(1).step_by(2) {
                let is_path =
                    path.split_once('/').is_some_and(|(top, rest)| is_folder(top) && !rest.is_empty());
                let is_plain = path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-".contains(&b));
                if is_path && is_plain && !exists(path) {
                    findings.push(source.at(i + 1, &format!("{path}: there is no such file")));
                }
            }
        }
    }
}

/// A path as seen from a folder.
fn join(folder: &str, link: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in link.split('/') {
        match part {
            "." | "" => {}
            ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(rule: fn(&[Source], &mut Vec<String>), path: &str, text: &str) -> Vec<String> {
        let mut all = Vec::new();
        rule(
            &[Source::new("docs/table.md", ""), Source::new("src/lib.rs", ""), Source::new(path, text)],
            &mut all,
        );
        all
    }

    #[test]
    fn files_hold_on_any_machine() {
        let found = |text: &str| found(machine, "a.toml", text);
        assert_eq!(found("x = \"/home/me/x\"\n"), ["a.toml:1: /home/me/x: a path of one machine"]);
        assert_eq!(found("[source.x]\nreplace-with = \"y\"\n").len(), 1);
        assert_eq!(found("source = \"registry+https://mirror.example/index\"\n").len(), 1);
        assert_eq!(found(&format!("source = \"{CRATES_IO}\"\n")), [""; 0]);
        assert_eq!(found("a/home/b https://example.com/home/x /proc/cpuinfo\n"), [""; 0]);
    }

    #[test]
    fn links_lead_somewhere() {
        let found = |text: &str| found(links, "docs/page.md", text);
        assert_eq!(
            found("[a](table.md#x) [b](../src/lib.rs) [c](https://x.y/z) `src/lib.rs` `target/x`\n"),
            [""; 0]
        );
        assert_eq!(found("[a](docs/table.md)\n"), ["docs/page.md:1: docs/table.md: there is no such file"]);
        assert_eq!(found("`src/main.rs`\n").len(), 1);
    }
}
