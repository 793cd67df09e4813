//! Rules of the generated kernels: they hold no arithmetic of their own, and are called what the registry calls them.

use super::code::{Source, has_word};

const FOLDER: &str = "crates/kernels/src/gates/generated/";
const REGISTRY: &str = "crates/kernels/src/gates/generated/registry.rs";

/// A generated function is one call.
pub(super) fn arithmetic(sources: &[Source], findings: &mut Vec<String>) {
    for source in sources.iter().filter(|source| source.path.starts_with(FOLDER)) {
        for (line, code) in source.code_lines() {
            let has_operator =
                [" + ", " - ", " * ", " / ", " % "].iter().any(|operator| code.contains(operator));
            let words = ["if", "for", "while", "loop", "mul_add", "add", "mul", "sub", "div"];
            let has_word = words.iter().any(|word| has_word(code, word));
            if has_operator || has_word || code.contains("_mm") {
                findings.push(source.at(line, "arithmetic in generated code"));
            }
        }
    }
}

/// Every row has an id of its own, and its function is the one that the id names.
pub(super) fn names(sources: &[Source], findings: &mut Vec<String>) {
    let Some(registry) = sources.iter().find(|source| source.path == REGISTRY) else { return };
    let mut seen: Vec<&str> = Vec::new();
    let (mut id, mut hidden) = ("", "");
    for (i, line) in registry.text.lines().enumerate() {
        let line = line.trim().trim_end_matches(',');
        if let Some(text) = line.strip_prefix("id: ") {
            id = text.trim_matches('"');
            if seen.contains(&id) {
                findings.push(registry.at(i + 1, &format!("{id} is there twice")));
            }
            seen.push(id);
        } else if let Some(text) = line.strip_prefix("hidden: ") {
            hidden = text;
        } else if let Some(text) = line.strip_prefix("entry: Entry::") {
            let path = text.split(['(', ')']).nth(1).unwrap_or("");
            if let Err(wrong) = row(id, hidden, path, sources) {
                findings.push(registry.at(i + 1, &wrong));
            }
        }
    }
}

/// Whether `f32-lstm-fwd-h128-avx512` is for that size and runs `avx512::lstm_fwd_h128`, and whether that function says so.
fn row(id: &str, hidden: &str, path: &str, sources: &[Source]) -> Result<(), String> {
    let parts = id.strip_prefix("f32-").and_then(|rest| rest.rsplit_once('-'));
    let (name, isa) = parts.ok_or(format!("{id}: expected f32-<name>-<isa>"))?;
    let function = name.replace('-', "_");
    if path != format!("{isa}::{function}") {
        return Err(format!("{id} runs {path}: expected {isa}::{function}"));
    }
    let size = name.rsplit_once("-h").map_or("", |(_, size)| size);
    let is_size = match size.parse::<usize>() {
        Ok(size) => hidden == format!("Some({size})"),
        Err(_) => hidden == "None",
    };
    if !is_size {
        return Err(format!("{id} is for {hidden}"));
    }
    let file = format!("{FOLDER}{isa}.rs");
    let source = sources.iter().find(|source| source.path == file).ok_or(format!("{file}: no such file"))?;
    let (doc, head) = (format!("/// `{id}`"), format!("unsafe fn {function}("));
    // The documentation stands above its function, and above no other.
    let after = source.text.split_once(&doc).map_or("", |(_, after)| after);
    let next = after.find(" fn ").map_or("", |at| &after[at - "unsafe".len()..]);
    if next.starts_with(&head) { Ok(()) } else { Err(format!("{file}: no {function} under {id}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FUNCTION: &str = "/// `f32-lstm-fwd-h8-avx512`.\n/// # Safety\npub(crate) unsafe fn lstm_fwd_h8(task: &T) {\n    unsafe { g(task) }\n}\n";
    const ROW: &str = "    Row {\n        id: \"f32-lstm-fwd-h8-avx512\",\n        hidden: Some(8),\n        entry: Entry::Forward(avx512::lstm_fwd_h8),\n    },\n";

    fn found(registry: &str, functions: &str) -> usize {
        let file = format!("{FOLDER}avx512.rs");
        let mut all = Vec::new();
        names(&[Source::new(REGISTRY, registry), Source::new(&file, functions)], &mut all);
        all.len()
    }

    #[test]
    fn ids_agree_with_their_functions() {
        assert_eq!(found(ROW, FUNCTION), 0);
        assert_eq!(found(&ROW.replace("::lstm_fwd_h8", "::lstm_fwd_h16"), FUNCTION), 1);
        assert_eq!(found(&ROW.replace("Some(8)", "None"), FUNCTION), 1);
        assert_eq!(found(ROW, &FUNCTION.replace("fn lstm_fwd_h8", "fn lstm_fwd_h16")), 1);
        assert_eq!(found(&ROW.repeat(2), FUNCTION), 1);
    }

    #[test]
    fn generated_code_is_calls() {
        let file = format!("{FOLDER}avx512.rs");
        let mut all = Vec::new();
        arithmetic(&[Source::new(&file, FUNCTION)], &mut all);
        assert_eq!(all, [""; 0]);
        arithmetic(
            &[Source::new(&file, "fn f(a: f32) -> f32 {\n    a * 2.0\n}\nfn g() { for i in 0..3 {} }\n")],
            &mut all,
        );
        assert_eq!(all.len(), 2);
    }
}
