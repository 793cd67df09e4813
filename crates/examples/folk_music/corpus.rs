//! The text: characters as numbers, in streams side by side.

use std::path::Path;

/// Irish folk tunes; `data/SOURCE.md` says where they are from.
const IRISH: &str = include_str!("data/irish.abc");

/// How every tune in ABC notation begins: its number, and its title.
const OPENING: &str = "X:1\nT:";

/// The characters that a model knows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Alphabet {
    /// All distinct characters, in order: a character's number is its place.
    pub(crate) characters: Vec<char>,
    /// Whether the text is tunes in ABC notation.
    pub(crate) is_abc: bool,
}

/// A text and its alphabet.
pub(crate) struct Corpus {
    pub(crate) alphabet: Alphabet,
    /// The text in numbers.
    pub(crate) text: Vec<usize>,
    /// What tells one text from another (FNV-1a, 64 bits).
    pub(crate) fingerprint: u64,
    name: String,
}

/// A text cut into contiguous streams of equal length, read side by side.
pub(crate) struct Streams {
    /// [length, batch]
    ids: Vec<usize>,
    pub(crate) length: usize,
    pub(crate) batch: usize,
}

impl Alphabet {
    /// The numbers of a text.
    pub(crate) fn encode(&self, text: &str) -> Result<Vec<usize>, String> {
        let number = |c| {
            let found = self.characters.binary_search(&c);
            found.map_err(|_| format!("the model does not know the character {c:?}"))
        };
        text.chars().map(number).collect()
    }

    /// What a text begins with if nothing is asked for.
    pub(crate) fn opening(&self) -> String {
        match self.encode(OPENING) {
            Ok(_) if self.is_abc => OPENING.to_string(),
            _ if self.characters.contains(&'\n') => "\n".to_string(),
            _ => self.characters.iter().take(1).collect(),
        }
    }
}

impl Corpus {
    /// Reads a file, or the tunes beside this example.
    pub(crate) fn read(file: Option<&Path>) -> Result<Corpus, String> {
        let Some(path) = file else { return Corpus::new(IRISH, "the Irish tunes") };
        let name = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|error| format!("{name}: {error}"))?;
        let text = std::str::from_utf8(&bytes)
            .map_err(|error| format!("{name}: not UTF-8: wrong after byte {}", error.valid_up_to()))?;
        Corpus::new(&plain(text), &name)
    }

    fn new(text: &str, name: &str) -> Result<Corpus, String> {
        if text.is_empty() {
            return Err(format!("{name}: the text is empty"));
        }
        let mut characters: Vec<char> = text.chars().collect();
        characters.sort_unstable();
        characters.dedup();
        let alphabet = Alphabet { characters, is_abc: is_abc(text) };
        let fnv = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        let fingerprint = text.bytes().fold(0xcbf2_9ce4_8422_2325, fnv);
        Ok(Corpus { text: alphabet.encode(text)?, alphabet, fingerprint, name: name.to_string() })
    }

    /// The first nine tenths to learn from and the rest to validate with, each as `batch` streams.
    pub(crate) fn split(&self, batch: usize, seq: usize) -> Result<(Streams, Streams), String> {
        let at = self.text.len() * 9 / 10;
        let (train, validation) =
            (Streams::new(&self.text[..at], batch), Streams::new(&self.text[at..], batch));
        if train.windows(seq) == 0 || validation.length < 2 {
            let need = batch * ((seq + 1) * 10 / 9 + 1).max(20);
            return Err(format!(
                "{}: {} characters are too few for {batch} streams of windows of {seq}: expected some {need} at \
                 least, or a smaller --batch and --seq",
                self.name,
                self.text.len(),
            ));
        }
        Ok((train, validation))
    }
}

/// A text as other programs may have saved it: without a byte order mark, lines that end with a line feed alone.
fn plain(text: &str) -> String {
    text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n")
}

/// Whether a text is tunes in ABC notation: after empty lines and comments, which may name a version, comes a tune's number.
fn is_abc(text: &str) -> bool {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('%'));
    lines.next().is_some_and(|line| line.starts_with("X:"))
}

impl Streams {
    fn new(text: &[usize], batch: usize) -> Streams {
        let length = text.len() / batch;
        let ids = (0..length).flat_map(|t| (0..batch).map(move |b| text[b * length + t])).collect();
        Streams { ids, length, batch }
    }

    /// Whole windows of `seq` characters, each of which has a next one.
    pub(crate) fn windows(&self, seq: usize) -> usize {
        self.length.saturating_sub(1) / seq
    }

    /// The characters of steps `begin .. end` of all streams, [steps, batch].
    pub(crate) fn steps(&self, begin: usize, end: usize) -> &[usize] {
        &self.ids[begin * self.batch..end * self.batch]
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The tunes as text, for the tests of the neighbours.
    pub(crate) const TUNES: &str = IRISH;

    #[test]
    fn streams_are_contiguous() {
        let corpus = Corpus::new("abcdefghij", "letters").unwrap();
        let streams = Streams::new(&corpus.text, 3);
        assert_eq!((streams.length, streams.steps(1, 3)), (3, &[1, 4, 7, 2, 5, 8][..]));
        assert_eq!(corpus.alphabet.encode("cab"), Ok(vec![2, 0, 1]));
        assert!(corpus.alphabet.encode("c!").is_err_and(|error| error.contains("'!'")));
        assert_eq!(corpus.alphabet.opening(), "a");
    }

    #[test]
    fn the_irish_corpus_is_whole() {
        let corpus = Corpus::read(None).unwrap();
        assert_eq!((corpus.text.len(), corpus.alphabet.characters.len()), (197_618, 83));
        assert_eq!(corpus.alphabet.opening(), OPENING);
        assert_eq!(corpus.split(32, 100).unwrap().0.windows(100), 55);
        assert!(corpus.split(32, 100_000).is_err());
    }

    #[test]
    fn a_text_may_come_from_elsewhere() {
        assert_eq!(plain("\u{feff}X:1\r\nT:a\r\n\r\nb\rc"), "X:1\nT:a\n\nb\rc");
        for (text, expected) in
            [("X:1\n", true), ("%abc-2.1\n\n% mine\nX:1\n", true), ("a\nX:1\n", false), ("", false)]
        {
            assert_eq!(is_abc(text), expected, "{text:?}");
        }
    }

    #[test]
    fn as_many_characters_as_asked_for_suffice() {
        for (batch, seq) in [(1, 1), (3, 7), (32, 100), (5, 400)] {
            let need = batch * ((seq + 1) * 10 / 9 + 1).max(20);
            let corpus = Corpus::new(&"x".repeat(need), "x").unwrap();
            assert!(corpus.split(batch, seq).is_ok(), "{batch} {seq}");
        }
    }
}
