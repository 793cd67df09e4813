//! What the numbers of a run depend on besides its text. A checkpoint holds all of it.

use clap::{Args, Parser, ValueEnum};
use examples::command_line::{layers, positive, size};
use gatewise::{Cell, Decay, Schedule};

/// The options that a run may not change on its way, but for `steps` and `patience`.
#[derive(Clone, Debug, PartialEq, Args)]
#[command(next_help_heading = "Model and training")]
pub(crate) struct Settings {
    /// Recurrent cell
    #[arg(long, value_enum, default_value_t = CellName::Lstm)]
    pub(crate) cell: CellName,
    /// Features of the hidden state
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = size())]
    pub(crate) hidden: usize,
    /// Recurrent layers
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = layers())]
    pub(crate) layers: usize,
    /// Features of a character's embedding
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = size())]
    pub(crate) embedding: usize,
    /// Share of values dropped between layers, two at least
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    pub(crate) dropout: f32,
    /// Steps of a training window (T)
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = size())]
    pub(crate) seq: usize,
    /// Streams side by side (B)
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = size())]
    pub(crate) batch: usize,
    /// Updates
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub(crate) steps: usize,
    /// Learning rate of Adam
    #[arg(long, value_name = "RATE", default_value_t = 1e-3, value_parser = positive)]
    pub(crate) lr: f64,
    /// constant; step: half every 500 updates; cosine: to 0
    #[arg(long, value_name = "KIND", value_enum, default_value_t = ScheduleName::Constant, hide_possible_values = true)]
    pub(crate) schedule: ScheduleName,
    /// Updates over which the learning rate first grows
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) warmup: usize,
    /// Largest norm of the gradient
    #[arg(long, value_name = "NORM", default_value_t = 1.0, value_parser = positive)]
    pub(crate) clip: f64,
    /// Updates between validations; each saves a checkpoint
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = size())]
    pub(crate) validate_every: usize,
    /// Validations without a better one before it stops; 0: never
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) patience: usize,
    /// Seed of parameters, dropout and tunes
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
}

/// The settings as a command line of their own.
#[derive(Parser)]
struct Alone {
    #[command(flatten)]
    settings: Settings,
}

impl Settings {
    /// Names, as on the command line, and values.
    pub(crate) fn list(&self) -> Vec<(&'static str, String)> {
        vec![
            ("cell", self.cell.name().to_string()),
            ("hidden", self.hidden.to_string()),
            ("layers", self.layers.to_string()),
            ("embedding", self.embedding.to_string()),
            ("dropout", self.dropout.to_string()),
            ("seq", self.seq.to_string()),
            ("batch", self.batch.to_string()),
            ("steps", self.steps.to_string()),
            ("lr", self.lr.to_string()),
            ("schedule", self.schedule.name().to_string()),
            ("warmup", self.warmup.to_string()),
            ("clip", self.clip.to_string()),
            ("validate-every", self.validate_every.to_string()),
            ("patience", self.patience.to_string()),
            ("seed", self.seed.to_string()),
        ]
    }

    /// The settings of such a list. What it lacks has its default.
    pub(crate) fn from_list<'a>(list: impl Iterator<Item = (&'a str, &'a str)>) -> Option<Settings> {
        let words = list.flat_map(|(name, value)| [format!("--{name}"), value.to_string()]);
        let words = std::iter::once("settings".to_string()).chain(words);
        Alone::try_parse_from(words).ok().map(|alone| alone.settings)
    }

    /// The learning rate of an update, counted from 0.
    pub(crate) fn learning_rate(&self, update: usize) -> f64 {
        let rest = self.steps.saturating_sub(self.warmup).max(1) as u64;
        let decay = match self.schedule {
            ScheduleName::Constant => Decay::Constant,
            ScheduleName::Step => Decay::Step { every: 500, gamma: 0.5 },
            ScheduleName::Cosine => Decay::Cosine { updates: rest, end: 0.0 },
        };
        self.lr * Schedule { warmup: self.warmup as u64, decay }.factor(update as u64)
    }
}

/// The cells by their short names; the vanilla network's activation is tanh.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CellName {
    Rnn,
    Lstm,
    Gru,
}

impl CellName {
    /// The cell.
    pub(crate) fn cell(self) -> Cell {
        match self {
            CellName::Rnn => Cell::RnnTanh,
            CellName::Lstm => Cell::Lstm,
            CellName::Gru => Cell::Gru,
        }
    }

    /// The name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            CellName::Rnn => "rnn",
            CellName::Lstm => "lstm",
            CellName::Gru => "gru",
        }
    }
}

/// How the learning rate falls: not at all, to one half every 500 updates, or along half a cosine wave to 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ScheduleName {
    Constant,
    Step,
    Cosine,
}

impl ScheduleName {
    fn name(self) -> &'static str {
        match self {
            ScheduleName::Constant => "constant",
            ScheduleName::Step => "step",
            ScheduleName::Cosine => "cosine",
        }
    }
}

fn share(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(number) if (0.0..1.0).contains(&number) => Ok(number),
        _ => Err("expected a number from 0 to below 1".to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_survive_a_checkpoint() {
        let words = "x --cell gru --hidden 7 --layers 2 --embedding 3 --dropout 0.3 --seq 5 --batch 4 --steps 9 --lr 0.0123 \
                     --schedule cosine --warmup 3 --clip 0.7 --validate-every 4 --patience 2 --seed 11";
        let settings = Alone::try_parse_from(words.split_whitespace()).unwrap().settings;
        let list = settings.list();
        let read = Settings::from_list(list.iter().map(|(name, value)| (*name, value.as_str())));
        assert_eq!(read, Some(settings.clone()));
        assert_ne!(Settings::from_list([].into_iter()), Some(settings));
        assert_eq!(Settings::from_list([("cell", "qrnn")].into_iter()), None);
    }

    #[test]
    fn learning_rates_of_the_command_line() {
        let rate = |words: &str, update| {
            let settings = Alone::try_parse_from(words.split_whitespace()).unwrap().settings;
            settings.learning_rate(update)
        };
        assert_eq!(rate("x --lr 0.5", 999), 0.5);
        assert_eq!(rate("x --lr 0.5 --schedule step", 499), 0.5);
        assert_eq!(rate("x --lr 0.5 --schedule step --warmup 4", 504), 0.25);
        assert_eq!(rate("x --lr 0.5 --schedule step --warmup 4", 1), 0.25);
        assert_eq!(rate("x --lr 0.5 --schedule cosine --steps 100", 0), 0.5);
        assert!((rate("x --lr 0.5 --schedule cosine --steps 110 --warmup 10", 60) - 0.25).abs() < 1e-12);
    }
}
