//! The text: characters as numbers, in streams side by side.

use std::path::Path;

/// Irish folk tunes; `data/SOURCE.md` says where they are from.
const IRISH: &str = include_str!("data/irish.abc");

/// A text and its alphabet.
pub(crate) struct Corpus {
    /// All distinct characters, in order: a character's number is its place.
    pub(crate) characters: Vec<char>,
    /// The text in numbers.
    pub(crate) text: Vec<usize>,
}

/// A text cut into contiguous streams of equal length, read side by side.
pub(crate) struct Streams {
    /// [length, batch]
    ids: Vec<usize>,
    pub(crate) length: usize,
    pub(crate) batch: usize,
}

impl Corpus {
    /// Reads a file, or the tunes beside this example.
    pub(crate) fn read(file: Option<&Path>) -> Result<Corpus, String> {
        match file {
            None => Ok(Corpus::new(IRISH)),
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
                Ok(Corpus::new(&text))
            }
        }
    }

    fn new(text: &str) -> Corpus {
        let mut characters: Vec<char> = text.chars().collect();
        characters.sort_unstable();
        characters.dedup();
        let number = |c| characters.binary_search(&c).expect("the alphabet holds every character");
        let text = text.chars().map(number).collect();
        Corpus { characters, text }
    }

    /// The numbers of a text that is made of the corpus's characters; `None` if it is not.
    pub(crate) fn encode(&self, text: &str) -> Option<Vec<usize>> {
        text.chars().map(|c| self.characters.binary_search(&c).ok()).collect()
    }

    /// The first nine tenths to learn from and the rest to validate with, each as `batch` streams.
    pub(crate) fn split(&self, batch: usize, seq: usize) -> Result<(Streams, Streams), String> {
        let at = self.text.len() * 9 / 10;
        let (train, validation) =
            (Streams::new(&self.text[..at], batch), Streams::new(&self.text[at..], batch));
        if train.windows(seq) == 0 || validation.length < 2 {
            let (have, need) = (self.text.len(), (seq + 1) * batch * 10 / 9);
            return Err(format!(
                "the corpus has {have} characters, too few for {batch} streams of windows of {seq}: expected some \
                 {need} at least"
            ));
        }
        Ok((train, validation))
    }
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
mod tests {
    use super::*;

    #[test]
    fn streams_are_contiguous() {
        let corpus = Corpus::new("abcdefghij");
        let streams = Streams::new(&corpus.text, 3);
        assert_eq!((streams.length, streams.steps(1, 3)), (3, &[1, 4, 7, 2, 5, 8][..]));
        assert_eq!(corpus.encode("cab"), Some(vec![2, 0, 1]));
        assert_eq!(corpus.encode("c!"), None);
    }

    #[test]
    fn the_irish_corpus_is_whole() {
        let corpus = Corpus::read(None).unwrap();
        assert_eq!((corpus.text.len(), corpus.characters.len()), (197_618, 83));
        assert_eq!(corpus.split(32, 100).unwrap().0.windows(100), 55);
        assert!(corpus.split(32, 100_000).is_err());
    }
}
