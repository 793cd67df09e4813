//! The command line.

use clap::{Parser, ValueEnum};
use gatewise::Cell;
use std::path::PathBuf;

/// Train a character model on folk tunes in ABC notation, and write a new tune.
#[derive(Clone, Debug, Parser)]
#[command(name = "folk_music")]
pub(crate) struct Options {
    /// Recurrent cell
    #[arg(long, value_enum, default_value_t = CellName::Lstm)]
    pub(crate) cell: CellName,
    /// Features of the hidden state
    #[arg(long, default_value_t = 256, value_parser = size())]
    pub(crate) hidden: usize,
    /// Recurrent layers
    #[arg(long, default_value_t = 1, value_parser = size())]
    pub(crate) layers: usize,
    /// Features of a character's embedding
    #[arg(long, default_value_t = 64, value_parser = size())]
    pub(crate) embedding: usize,
    /// Steps of a training window (T)
    #[arg(long, default_value_t = 100, value_parser = size())]
    pub(crate) seq: usize,
    /// Streams side by side (B)
    #[arg(long, default_value_t = 32, value_parser = size())]
    pub(crate) batch: usize,
    /// Updates
    #[arg(long, default_value_t = 1000)]
    pub(crate) steps: usize,
    /// Learning rate of Adam
    #[arg(long, default_value_t = 1e-3, value_parser = positive)]
    pub(crate) lr: f64,
    /// Largest norm of the gradient
    #[arg(long, default_value_t = 1.0, value_parser = positive)]
    pub(crate) clip: f64,
    /// Seed of the initial parameters and of the tune
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Threads; 0 is one per core
    #[arg(long, default_value_t = 0)]
    pub(crate) threads: usize,
    /// Text to learn [default: the Irish tunes beside this example]
    #[arg(long, value_name = "FILE")]
    pub(crate) corpus: Option<PathBuf>,
    /// Folder for the model, the picture and the tune
    #[arg(long, value_name = "DIR", default_value = "target/folk_music")]
    pub(crate) out: PathBuf,
    /// Characters of the tune at most
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub(crate) sample: usize,
    /// How freely the tune is drawn: towards 0 always the likeliest character, 1 as the model believes
    #[arg(long, default_value_t = 0.7, value_parser = positive)]
    pub(crate) temperature: f64,
}

/// The cells by their short names; the vanilla network's activation is tanh.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CellName {
    /// Vanilla network with tanh
    Rnn,
    /// Long short-term memory
    Lstm,
    /// Gated recurrent unit
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

/// A number of things of which there must be one at least.
fn size() -> impl clap::builder::TypedValueParser<Value = usize> {
    use clap::builder::TypedValueParser;
    clap::value_parser!(u64).range(1..=1 << 24).map(|size| size as usize)
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number > 0.0 && number.is_finite() => Ok(number),
        _ => Err("expected a number above 0".to_string()),
    }
}
