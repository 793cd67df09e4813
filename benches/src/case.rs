//! One thing to measure: a network, a pass over it, and how it is to be run. The command line of `measure`, of every peer, and
//! of `compare`.

use clap::{Args, ValueEnum};
use gatewise::{Cell, Philox};

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
    /// Uniform in 1..=T from a fixed seed
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
    /// Features that the state is projected to (P), fewer than H [default: no projection]
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

    /// 1, or 2 where each layer runs both ways.
    pub fn directions(&self) -> usize {
        1 + usize::from(self.bidirectional)
    }

    /// Features of h: P, or H without a projection.
    pub fn state(&self) -> usize {
        self.proj.unwrap_or(self.hidden)
    }

    /// Features of the output: those of h for each direction.
    pub fn output(&self) -> usize {
        self.directions() * self.state()
    }

    /// Weights of the projection of one layer and direction: P H, or none.
    pub fn projection(&self) -> usize {
        self.proj.map_or(0, |proj| proj * self.hidden)
    }

    /// Features of the input of a layer.
    pub fn layer_input(&self, layer: usize) -> usize {
        if layer == 0 { self.input } else { self.output() }
    }

    /// Valid steps of each row; `None` if all rows are as long as the sequence.
    pub fn row_lengths(&self) -> Option<Vec<usize>> {
        let mut random = Philox::new(2026, 2000);
        let steps = self.steps();
        let mut length = || 1 + ((random.uniform() * steps as f32) as usize).min(steps - 1);
        (self.lengths == Lengths::Ragged).then(|| (0..self.batch).map(|_| length()).collect())
    }

    /// Valid steps of all rows together: B T if they are all as long as the sequence.
    pub fn row_steps(&self) -> usize {
        self.row_lengths().map_or(self.batch * self.steps(), |lengths| lengths.iter().sum())
    }

    /// Steps of the longest row.
    pub fn longest(&self) -> usize {
        self.row_lengths().and_then(|lengths| lengths.into_iter().max()).unwrap_or(self.steps())
    }

    /// Floating-point operations of one call: 2 G H (I + P) + 2 H P for each layer, direction and valid step of a row, or
    /// 2 G H (I + H) without a projection; three times that in training.
    pub fn flops(&self) -> f64 {
        let width = self.cell.cell().gates() * self.hidden;
        let of_layer = |layer| {
            let weights = width * (self.layer_input(layer) + self.state()) + self.projection();
            2.0 * (weights * self.directions()) as f64 * self.row_steps() as f64
        };
        let passes = if self.pass == Pass::Train { 3.0 } else { 1.0 };
        passes * (0..self.layers).map(of_layer).sum::<f64>()
    }

    /// Bytes that the case takes, roughly and at least: weights as they are and packed, and the sequences of all layers.
    fn bytes(&self) -> f64 {
        let [cell, hidden, layers] = [self.cell.cell().gates(), self.hidden, self.layers].map(|n| n as f64);
        let (gates, saved) = (cell * hidden, self.cell.cell().saved() as f64 * hidden);
        let (directions, state) = (self.directions() as f64, self.state() as f64);
        let output = directions * state;
        let projection = self.proj.map_or(0.0, |proj| proj as f64 * hidden);
        let inputs = self.input as f64 + (layers - 1.0) * output;
        let weights = directions * (gates * (inputs + layers * state) + layers * projection);
        let rows = self.batch as f64 * self.steps() as f64;
        let floats = match self.pass {
            Pass::Step | Pass::Forward => 3.0 * weights + rows * (self.input as f64 + 2.0 * output),
            Pass::Train => {
                5.0 * weights
                    + rows * (self.input as f64 + output + layers * directions * (saved + hidden + state))
            }
        };
        4.0 * floats
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
        match self.proj {
            Some(0) => return Err("--proj 0: expected 1 at least".to_string()),
            Some(proj) if proj >= self.hidden => {
                return Err(format!("--proj {proj}: expected less than --hidden {}", self.hidden));
            }
            _ => {}
        }
        if self.bytes() > available_memory() {
            let [takes, has] = [self.bytes(), available_memory()].map(|bytes| bytes / 1e9);
            return Err(format!(
                "these sizes take {takes:.1e} GB at least: this machine has {has:.1} GB to give"
            ));
        }
        if self.layers > MOST_LAYERS {
            return Err(format!("--layers {}: expected {MOST_LAYERS} at most", self.layers));
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        if self.threads > cores {
            return Err(format!("--threads {}: this machine has {cores} cores", self.threads));
        }
        if self.pass == Pass::Step && (self.bidirectional || self.lengths == Lengths::Ragged) {
            let option = if self.bidirectional { "--bidirectional" } else { "--lengths ragged" };
            return Err(format!("--pass step {option}: a single step has one direction and one length"));
        }
        Ok(())
    }
}

/// Layers that a case may have: networks that people use have a handful, and thousands of small ones take minutes to make and to run
/// once without taking much memory.
const MOST_LAYERS: usize = 1024;

/// Bytes of memory that the system would give; where it does not say, 8 GB.
fn available_memory() -> f64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse::<f64>().ok());
    kib.map_or(8e9, |kib| kib * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::shapes;

    #[test]
    fn impossible_sizes_are_one_line() {
        let check = |text: &str| shapes::parse(text, 1).unwrap().check();
        assert_eq!(check("lstm forward H=8 T=4"), Ok(()));
        assert_eq!(check("lstm forward H=8 I=0"), Ok(()));
        for text in ["lstm forward H=0", "gru train H=8 B=0", "gru train H=8 T=0", "gru step H=8 L=0"] {
            assert!(check(text).unwrap_err().contains("expected 1 at least"), "{text}");
        }
        assert_eq!(check("gru step H=8 L=1024"), Ok(()));
        assert!(check("gru step H=8 L=1025").unwrap_err().contains("--layers 1025: expected 1024 at most"));
        for text in [
            "lstm forward H=1000000000",
            "lstm forward H=8 T=18446744073709551615 B=18446744073709551615",
            "lstm train H=18446744073709551615 I=18446744073709551615 L=18446744073709551615",
        ] {
            assert!(check(text).unwrap_err().contains("GB"), "{text}");
        }
        assert!(check("lstm step H=8 dir=2").is_err());
    }

    #[test]
    fn ragged_rows_count_their_own_steps() {
        let full = shapes::parse("lstm forward H=8 B=16 T=10", 1).unwrap();
        let ragged = Case { lengths: Lengths::Ragged, ..full.clone() };
        let lengths = ragged.row_lengths().unwrap();
        assert!(lengths.len() == 16 && lengths.iter().all(|n| (1..=10).contains(n)));
        assert_eq!(full.flops(), 2.0 * 32.0 * 16.0 * 160.0);
        assert_eq!(ragged.flops() / full.flops(), lengths.iter().sum::<usize>() as f64 / 160.0);
        let both = Case { bidirectional: true, layers: 2, ..full };
        assert_eq!(both.flops(), 2.0 * 2.0 * 32.0 * ((8.0 + 8.0) + (16.0 + 8.0)) * 160.0);
        let projected = Case { proj: Some(3), ..both };
        assert_eq!(projected.output(), 6);
        let weights = 32.0 * ((8.0 + 3.0) + (6.0 + 3.0)) + 2.0 * 8.0 * 3.0;
        assert_eq!(projected.flops(), 2.0 * 2.0 * weights * 160.0);
    }
}
