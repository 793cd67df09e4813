//! What a file of ours says of itself besides its tensors: a text in the metadata of the safetensors file.
//!
//! ```text
//! --hidden 256          a setting, as on the command line
//! abc true              anything else that is one line
//! characters            the alphabet, to the end
//! ```

use crate::corpus::Alphabet;
use crate::model::Model;
use crate::settings::Settings;
use gatewise::{Tensors, WeightFile, save_weights_with};
use std::error::Error;
use std::path::Path;

const KEY: &str = "folk_music";

/// The settings that make a model what it is, whatever it was trained with.
pub(crate) const OF_MODEL: [&str; 4] = ["cell", "hidden", "layers", "embedding"];

/// Such a text, read.
pub(crate) struct Card {
    pub(crate) settings: Settings,
    pub(crate) alphabet: Alphabet,
    entries: Vec<(String, String)>,
}

/// A file's text: settings, the alphabet, and what else there is to say.
pub(crate) fn write(
    settings: &[(&'static str, String)],
    alphabet: &Alphabet,
    entries: &[(&str, String)],
) -> String {
    let settings = settings.iter().map(|(name, value)| format!("--{name} {value}\n"));
    let entries = entries.iter().map(|(name, value)| format!("{name} {value}\n"));
    let lines: String = settings.chain(entries).collect();
    let characters: String = alphabet.characters.iter().collect();
    format!("{lines}abc {}\ncharacters\n{characters}", alphabet.is_abc)
}

/// Writes lists of tensors and a text to a file.
pub(crate) fn save(path: &Path, lists: &[(&str, &Tensors)], text: &str) -> Result<(), gatewise::Error> {
    save_weights_with(path, lists, (KEY, text))
}

/// Writes a model, with what else there is to say of it.
pub(crate) fn save_model(
    path: &Path,
    model: &Model,
    settings: &Settings,
    alphabet: &Alphabet,
    entries: &[(&str, String)],
) -> Result<(), gatewise::Error> {
    let settings = settings.list().into_iter().filter(|(name, _)| OF_MODEL.contains(name));
    save(path, &model.lists(), &write(&settings.collect::<Vec<_>>(), alphabet, entries))
}

/// Reads a model. The text that it learned is not needed.
pub(crate) fn load_model(path: &Path) -> Result<(Model, Card), Box<dyn Error>> {
    let file = WeightFile::read(path)?;
    let card = Card::read(&file, path)?;
    let mut model = Model::new(&card.settings, card.alphabet.characters.len())?;
    model.load(&file).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok((model, card))
}

impl Card {
    /// The text of a file.
    pub(crate) fn read(file: &WeightFile, path: &Path) -> Result<Card, String> {
        let text = file.metadata(KEY);
        let card = text.as_deref().and_then(Card::parse);
        card.ok_or_else(|| format!("{}: not written by folk_music", path.display()))
    }

    fn parse(text: &str) -> Option<Card> {
        let (lines, characters) = text.split_once("\ncharacters\n")?;
        let lines: Option<Vec<(&str, &str)>> = lines.lines().map(|line| line.split_once(' ')).collect();
        let lines = lines?;
        let settings = lines.iter().filter_map(|(name, value)| Some((name.strip_prefix("--")?, *value)));
        let settings = Settings::from_list(settings)?;
        let entries = lines.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let mut card =
            Card { settings, alphabet: Alphabet { characters: Vec::new(), is_abc: false }, entries };
        card.alphabet.is_abc = card.number("abc")?;
        card.alphabet.characters = characters.chars().collect();
        // Numbers are looked up by halving, which wants the order that they were written in.
        card.alphabet.characters.is_sorted_by(|a, b| a < b).then_some(card)
    }

    /// The line of that name.
    pub(crate) fn line(&self, name: &str) -> Option<&str> {
        self.entries.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The same, read as a number or the like.
    pub(crate) fn number<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.line(name)?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let settings = Settings::from_list([("hidden", "5")].into_iter()).unwrap();
        let alphabet = Alphabet { characters: "\n |가".chars().collect(), is_abc: true };
        let text = write(&settings.list(), &alphabet, &[("adam", "7".to_string())]);
        let card = Card::parse(&text).unwrap();
        assert_eq!((card.settings, card.alphabet), (settings, alphabet));
        assert_eq!(Card::parse(&text).unwrap().number("adam"), Some(7));
        assert!(Card::parse("--hidden 5\ncharacters\nab").is_none(), "it does not say what the text is");
        assert!(Card::parse("--hidden five\nabc true\ncharacters\nab").is_none());
        assert!(Card::parse("--hidden 5\nabc true\ncharacters\nba").is_none(), "out of order");
        assert!(Card::parse("").is_none());
    }
}
