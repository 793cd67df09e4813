//! The command line.

use crate::settings::Settings;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches, Parser};
use examples::command_line::{Unusable, positive, size, threads};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// What the program is asked to do.
#[derive(Clone, Debug, Parser)]
#[command(name = "folk_music", about = ABOUT, after_help = FILES)]
#[command(args_override_self = true, allow_negative_numbers = true)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) settings: Settings,
    /// Names of the settings that stood on the command line.
    #[arg(skip)]
    given: Vec<&'static str>,

    /// Text to learn, UTF-8 [default: the Irish tunes beside this example]
    #[arg(long, value_name = "FILE", help_heading = "Files")]
    pub(crate) corpus: Option<PathBuf>,
    /// Folder of all files
    #[arg(long, value_name = "DIR", default_value = "target/folk_music", help_heading = "Files")]
    pub(crate) out: PathBuf,
    /// Go on from the checkpoint in --out; --steps may be raised
    #[arg(long, conflicts_with = "sample_only", help_heading = "Files")]
    pub(crate) resume: bool,
    /// Draw gradient flow, influence, gates and clipping too
    #[arg(long, conflicts_with = "sample_only", help_heading = "Files")]
    pub(crate) observe: bool,

    /// Do not train: write tunes with the model in --out
    #[arg(long, help_heading = "Tunes")]
    pub(crate) sample_only: bool,
    /// What a tune begins with [default: X:1 and T: for ABC, else a new line]
    #[arg(long, value_name = "TEXT", help_heading = "Tunes")]
    pub(crate) prime: Option<String>,
    /// Characters of a tune at most
    #[arg(long, value_name = "N", default_value_t = 1000, help_heading = "Tunes")]
    pub(crate) sample: usize,
    /// How freely to draw: near 0 always the likeliest
    #[arg(long, value_name = "T", default_value_t = 0.7, value_parser = positive, help_heading = "Tunes")]
    pub(crate) temperature: f64,
    /// How many tunes
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = size(), help_heading = "Tunes")]
    pub(crate) tunes: usize,
    /// Draw each tune once and count the well-formed ones
    #[arg(long, help_heading = "Tunes")]
    pub(crate) check: bool,

    /// Threads; 0 is one per core. No result depends on it
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = threads(), help_heading = None)]
    pub(crate) threads: usize,
}

const ABOUT: &str = "\
Train a character model on folk tunes in ABC notation, or on any text, and write a new tune.
Ctrl-C or SIGTERM saves a checkpoint; --resume goes on from it as if there had been no break.";

const FILES: &str = "\
Into --out go model.safetensors (the best on validation), checkpoint.safetensors, loss.svg and
tune.abc (sample.txt if the text is not ABC notation); with --observe flow.svg, influence.svg,
gates.svg and norms.svg too. The last line of standard output is
val_nats_per_char and the validation loss of that model.
Exit codes: 0 done, 1 something went wrong, 2 wrong usage, 130 interrupted and saved, 143 the same
by SIGTERM.

Examples:
  folk_music --cell gru --layers 2 --dropout 0.3 --patience 3
  folk_music --corpus poems.txt --out poems
  folk_music --corpus poems.txt --out poems --resume --steps 2000
  folk_music --out poems --sample-only --prime 'The sea' --temperature 0.9";

impl Options {
    /// Reads the command line.
    pub(crate) fn read() -> Result<Options, Unusable> {
        let matches = Options::command().try_get_matches()?;
        let mut options = Options::from_arg_matches(&matches)?;
        let is_given =
            |name: &str| matches.value_source(&name.replace('-', "_")) == Some(ValueSource::CommandLine);
        let names = options.settings.list().into_iter().map(|(name, _)| name);
        options.given = names.filter(|name| is_given(name)).collect();
        Ok(options.check()?)
    }

    fn check(self) -> Result<Options, clap::Error> {
        let wrong = |text: &str| Err(Options::command().error(ErrorKind::ArgumentConflict, text));
        if self.settings.dropout > 0.0 && self.settings.layers < 2 && !self.resume && !self.sample_only {
            return wrong("--dropout acts between layers: it wants --layers 2 or more");
        }
        if self.prime.as_ref().is_some_and(String::is_empty) {
            return wrong("--prime wants one character at least");
        }
        Ok(self)
    }

    /// Takes the settings of a file in place of those that were not given. Those that were given and are fixed have to agree.
    pub(crate) fn adopt(
        &mut self,
        stored: Settings,
        is_fixed: impl Fn(&str) -> bool,
        file: &Path,
    ) -> Result<(), String> {
        let mut adopted = stored.list();
        for ((name, stored), (_, mine)) in adopted.iter_mut().zip(self.settings.list()) {
            if !self.given.contains(name) || *stored == mine {
                continue;
            }
            if is_fixed(name) {
                return Err(format!("{}: it has --{name} {stored}, not {mine}", file.display()));
            }
            *stored = mine;
        }
        let list = adopted.iter().map(|(name, value)| (*name, value.as_str()));
        self.settings = Settings::from_list(list).expect("settings that were read can be read again");
        Ok(())
    }

    /// A file in the folder for all that is written.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.out.join(name)
    }
}

/// The command that goes on from the checkpoint: all words of the one that began, so that nothing is lost, and `--resume`.
pub(crate) fn how_to_resume(words: impl Iterator<Item = OsString>) -> String {
    let words = words
        .map(|word| word.to_string_lossy().into_owned())
        .filter(|word| word != "--resume")
        .map(|word| format!(" {}", quoted(&word)));
    format!("cargo run --release --example folk_music -- --resume{}", words.collect::<String>())
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_=./,:+@%".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_string(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_to_go_on_can_be_pasted() {
        let words =
            ["--out", "my tunes", "--resume", "--prime", "it's\n", "--steps=9", ""].map(OsString::from);
        assert_eq!(
            how_to_resume(words.into_iter()),
            "cargo run --release --example folk_music -- --resume --out 'my tunes' --prime 'it'\\''s\n' --steps=9 ''"
        );
    }
}
