//! Just enough of Rust's text to grep it: what is code, and which words and paths stand in it.

/// A file of the repository.
#[derive(Debug)]
pub(crate) struct Source {
    /// From the root, with `/`.
    pub(crate) path: String,
    /// As it is.
    pub(crate) text: String,
    /// With comments and what stands in quotes blanked out; lines and columns are those of `text`.
    pub(crate) code: String,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Source {
        let code = if path.ends_with(".rs") { code_only(text) } else { String::new() };
        Source { path: path.to_string(), text: text.to_string(), code }
    }

    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// What is wrong at a line, counted from 1.
    pub(crate) fn at(&self, line: usize, what: &str) -> String {
        format!("{}:{line}: {what}", self.path)
    }

    /// The lines of the code, counted from 1.
    pub(crate) fn code_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code.lines().enumerate().map(|(i, line)| (i + 1, line))
    }
}

/// Blanks out comments, strings and characters.
fn code_only(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut i = 0;
    while i < bytes.len() {
        let rest = &bytes[i..];
        let end = if rest.starts_with(b"//") {
            i + rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len())
        } else if rest.starts_with(b"/*") {
            i + comment(rest)
        } else if let Some(hashes) = raw_string(bytes, i) {
            let close = format!("\"{}", "#".repeat(hashes));
            let open = 2 + hashes;
            i + text[i + open..].find(&close).map_or(rest.len(), |at| open + at + close.len())
        } else if rest[0] == b'"' {
            i + quoted(rest, b'"')
        } else if rest[0] == b'\'' && is_character(rest) {
            i + quoted(rest, b'\'')
        } else {
            i += 1;
            continue;
        };
        out[i..end].iter_mut().filter(|b| **b != b'\n').for_each(|b| *b = b' ');
        i = end;
    }
    String::from_utf8(out).expect("only whole characters were blanked out")
}

/// Length of a comment in `/* */`, which may hold others.
fn comment(rest: &[u8]) -> usize {
    let (mut depth, mut i) = (0, 0);
    while i < rest.len() {
        if rest[i..].starts_with(b"/*") {
            (depth, i) = (depth + 1, i + 2);
        } else if rest[i..].starts_with(b"*/") {
            (depth, i) = (depth - 1, i + 2);
            if depth == 0 {
                return i;
            }
        } else {
            i += 1;
        }
    }
    rest.len()
}

/// Whether a raw string begins here, and with how many hashes.
fn raw_string(bytes: &[u8], i: usize) -> Option<usize> {
    let is_word = i > 0 && is_word_byte(bytes[i - 1]) && bytes[i - 1] != b'b';
    if bytes[i] != b'r' || is_word {
        return None;
    }
    let hashes = bytes[i + 1..].iter().take_while(|&&b| b == b'#').count();
    (bytes.get(i + 1 + hashes) == Some(&b'"')).then_some(hashes)
}

/// A character, not a lifetime.
fn is_character(rest: &[u8]) -> bool {
    match rest.get(1) {
        Some(b'\\') => true,
        Some(&first) => {
            let width = match first {
                0..0x80 => 1,
                0x80..0xe0 => 2,
                0xe0..0xf0 => 3,
                _ => 4,
            };
            rest.get(1 + width) == Some(&b'\'')
        }
        None => false,
    }
}

/// Length of a string or character from its opening quote on.
fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut i = 1;
    while i < rest.len() && rest[i] != quote {
        i += if rest[i] == b'\\' { 2 } else { 1 };
    }
    (i + 1).min(rest.len())
}

fn is_word_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_' || b >= 0x80
}

/// Whether `word` stands in `line` as a word of its own.
pub(crate) fn has_word(line: &str, word: &str) -> bool {
    words_at(line, word).next().is_some()
}

/// Where `word` stands in `text` as a word of its own.
pub(crate) fn words_at<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let bytes = text.as_bytes();
    text.match_indices(word).map(|(at, _)| at).filter(move |&at| {
        let before = at > 0 && is_word_byte(bytes[at - 1]);
        let after = bytes.get(at + word.len()).is_some_and(|&b| is_word_byte(b));
        !before && !after
    })
}

/// The paths in a text that begin with a root word (`crate` or `super`), each with the line it stands on: groups in braces
/// are taken apart.
pub(crate) fn paths(code: &str, root: &str) -> Vec<(usize, String)> {
    let mut all = Vec::new();
    for at in words_at(code, root) {
        let rest = &code[at + root.len()..];
        // A path that goes through `super` twice is found once, from its first word.
        if code[..at].trim_end().ends_with("super::") || !rest.starts_with("::") {
            continue;
        }
        let line = code[..at].matches('\n').count() + 1;
        let mut found = Vec::new();
        tree(&rest[2..], root.to_string(), &mut found);
        all.extend(found.into_iter().map(|path| (line, path)));
    }
    all
}

/// The paths of a use tree, each with `prefix` before it; answers how much of the text it took.
fn tree(text: &str, prefix: String, found: &mut Vec<String>) -> usize {
    let trimmed = text.trim_start();
    let start = text.len() - trimmed.len();
    if let Some(group) = trimmed.strip_prefix('{') {
        let mut at = 0;
        while at < group.len() && !group[at..].trim_start().starts_with('}') {
            let taken = tree(&group[at..], prefix.clone(), found);
            at += taken.max(1);
            at += group[at..].find([',', '}']).unwrap_or(group.len() - at);
            at += usize::from(group[at..].starts_with(','));
        }
        let close = group[at..].find('}').map_or(group.len(), |close| at + close + 1);
        return start + 1 + close;
    }
    let word = trimmed.bytes().take_while(|&b| is_word_byte(b)).count();
    let path = format!("{prefix}::{}", &trimmed[..word]);
    if trimmed[word..].starts_with("::") {
        return start + word + 2 + tree(&trimmed[word + 2..], path, found);
    }
    found.push(path);
    start + word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_quotes_are_no_code() {
        let text = "let a = \"unsafe\"; // unsafe\n/* unsafe /* */ unsafe */ b('\\'', 'x', r#\"unsafe\"#);\nfn f<'a>(x: &'a str) {}";
        let code = code_only(text);
        assert!(!has_word(&code, "unsafe"));
        assert_eq!(code.len(), text.len());
        assert!(code.contains("let a =") && code.contains("fn f<'a>(x: &'a str) {}"), "{code}");
        assert!(has_word("unsafe {", "unsafe") && !has_word("unsafe_code", "unsafe"));
    }

    #[test]
    fn use_trees_are_taken_apart() {
        let code = "use crate::a::{b::{c, d}, e};\nlet x = crate::f::g(1);";
        let found: Vec<_> =
            paths(code, "crate").into_iter().map(|(line, path)| format!("{line} {path}")).collect();
        assert_eq!(found, ["1 crate::a::b::c", "1 crate::a::b::d", "1 crate::a::e", "2 crate::f::g"]);
        assert_eq!(paths("use super::super::x;", "super"), [(1, "super::super::x".to_string())]);
    }
}
