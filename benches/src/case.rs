//! One thing to measure: a network, a pass over it, and how it is to be run. The command line of `measure`, of every peer, and
//! of `compare`.

use clap::{Args, ValueEnum};
use gatewise::Cell;

/// What is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Pass {
    /// One time step a call through the streaming API, the state carried.
    Step,
    /// A whole sequence, inference, weights packed before.
    Forward,
    /// Forward and backward to weights, input and initial state; packing of the changed weights inside; no optimizer.
    Train,
}

/// The cells by their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum CellName {
    /// Vanilla network with tanh
    RnnTanh,
    /// Vanilla network with relu
    RnnRelu,
    /// Long short-term memory
    Lstm,
    /// Gated recurrent unit, reset after the product
    Gru,
}

impl CellName {
    /// The cell.
    pub fn cell(self) -> Cell {
        match self {
            CellName::RnnTanh => Cell::RnnTanh,
            CellName::RnnRelu => Cell::RnnRelu,
            CellName::Lstm => Cell::Lstm,
            CellName::Gru => Cell::Gru,
        }
    }
}

/// Which rows of the batch are how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Lengths {
    /// All rows as long as the sequence
    Full,
    /// Uniform in 1..T from a fixed seed
    Ragged,
}

/// A case.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Case {
    /// Recurrent cell
    #[arg(long, value_enum)]
    pub cell: CellName,
    /// What is timed
    #[arg(long, value_enum)]
    pub pass: Pass,
    /// Features of the input (I)
    #[arg(long)]
    pub input: usize,
    /// Features of the hidden state (H)
    #[arg(long)]
    pub hidden: usize,
    /// Rows of the batch (B)
    #[arg(long, default_value_t = 1)]
    pub batch: usize,
    /// Time steps (T); a step takes one
    #[arg(long, default_value_t = 1)]
    pub seq: usize,
    /// Recurrent layers
    #[arg(long, default_value_t = 1)]
    pub layers: usize,
    /// Both directions
    #[arg(long)]
    pub bidirectional: bool,
    /// Size of the projected state
    #[arg(long)]
    pub proj: Option<usize>,
    /// Rows of equal or of different lengths
    #[arg(long, value_enum, default_value_t = Lengths::Full)]
    pub lengths: Lengths,
    /// Threads, each on a core of its own
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
}

impl Case {
    /// Steps of one call.
    pub fn steps(&self) -> usize {
        if self.pass == Pass::Step { 1 } else { self.seq }
    }

    /// Features of the input of a layer.
    pub fn layer_input(&self, layer: usize) -> usize {
        if layer == 0 { self.input } else { self.hidden }
    }

    /// Floating-point operations of one call: 2 G H (I + H) B T for each layer, three times that in training.
    pub fn flops(&self) -> f64 {
        let of_layer = |layer| {
            2.0 * (self.cell.cell().gates() * self.hidden) as f64
                * (self.layer_input(layer) + self.hidden) as f64
                * (self.batch * self.steps()) as f64
        };
        let passes = if self.pass == Pass::Train { 3.0 } else { 1.0 };
        passes * (0..self.layers).map(of_layer).sum::<f64>()
    }

    /// Whether the sizes can be measured, and whether the networks have what is asked for.
    ///
    /// # Errors
    /// One line that names the option.
    pub fn check(&self) -> Result<(), String> {
        let sizes = [
            ("hidden", self.hidden),
            ("batch", self.batch),
            ("seq", self.seq),
            ("layers", self.layers),
            ("threads", self.threads),
        ];
        for (option, size) in sizes {
            if size == 0 {
                return Err(format!("--{option} 0: expected 1 at least"));
            }
        }
        let limit = 1 << 31;
        let width = self.cell.cell().gates().saturating_mul(self.hidden);
        for (what, floats) in [
            ("the weights", width.saturating_mul(self.input.max(self.hidden)).saturating_mul(self.layers)),
            ("the sequence", self.input.max(width).saturating_mul(self.batch).saturating_mul(self.seq)),
        ] {
            if floats > limit {
                return Err(format!(
                    "{what} of these sizes would take {floats} floats: expected {limit} at most"
                ));
            }
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        if self.threads > cores {
            return Err(format!("--threads {}: this machine has {cores} cores", self.threads));
        }
        for (option, is_asked) in [
            ("--bidirectional", self.bidirectional),
            ("--proj", self.proj.is_some()),
            ("--lengths ragged", self.lengths == Lengths::Ragged),
        ] {
            if is_asked {
                return Err(format!("{option} is not supported yet"));
            }
        }
        Ok(())
    }
}
