//! The command line.

use crate::run::TEST_ROWS;
use crate::tasks::{Task, TaskName};
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, ValueEnum};
use examples::command_line::{Unusable, not_negative, positive, size, threads};
use gatewise::{Cell, Init, Recurrent};
use std::path::PathBuf;

/// What the program is asked to do.
#[derive(Clone, Debug, Parser)]
#[command(name = "long_memory", about = ABOUT, after_help = FILES)]
#[command(args_override_self = true, allow_negative_numbers = true)]
pub(crate) struct Options {
    /// adding, copy, sinusoid, reber: see below
    #[arg(long, value_enum, default_value_t = TaskName::Adding, hide_possible_values = true)]
    task: TaskName,
    /// How far apart what belongs together is (T)
    #[arg(long, value_name = "T", default_value_t = 100, value_parser = size())]
    length: usize,
    /// rnn_tanh, rnn_relu, lstm, gru, or all in turn
    #[arg(long, value_enum, default_value_t = CellName::All, hide_possible_values = true)]
    cell: CellName,
    /// Features of the hidden state
    #[arg(long, value_name = "H", default_value_t = 64, value_parser = size())]
    pub(crate) hidden: usize,

    /// Largest norm of the gradient; 0: no clipping
    #[arg(long, value_name = "C", default_value_t = 1.0, value_parser = not_negative)]
    clip: f64,
    /// Updates
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = size())]
    pub(crate) steps: usize,
    /// Rows of an update, all of them new
    #[arg(long, value_name = "B", default_value_t = 64, value_parser = size())]
    pub(crate) batch: usize,
    /// Learning rate [default: 0.005; rnn_relu 0.002, rnn_tanh 0.001]
    #[arg(long, value_name = "RATE", value_parser = positive)]
    lr: Option<f64>,
    /// Optimizer
    #[arg(long, value_enum, default_value_t = OptimizerName::Adam)]
    pub(crate) optimizer: OptimizerName,
    /// Seed of parameters and rows
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub(crate) seed: u64,

    /// uniform, orthogonal, or identity, as rnn_relu has it
    #[arg(
        long,
        value_enum,
        value_name = "KIND",
        hide_possible_values = true,
        help_heading = "Initial parameters"
    )]
    init: Option<InitName>,
    /// What the recurrent matrices are multiplied by
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = scale, help_heading = "Initial parameters")]
    recurrent_scale: f32,
    /// Bias of an LSTM's forget gates
    #[arg(long, value_name = "BIAS", default_value_t = 1.0, value_parser = finite, help_heading = "Initial parameters")]
    forget_bias: f32,

    /// Folder of all files
    #[arg(long, value_name = "DIR", default_value = "target/long_memory")]
    pub(crate) out: PathBuf,
    /// Threads; 0 is one per core
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = threads())]
    pub(crate) threads: usize,
}

const ABOUT: &str = "\
Train recurrent networks to answer from what they read long before, and see whether the gradient
reaches back that far: the limit of the vanilla RNN, and what clipping and gates do about it.";

const FILES: &str = "\
Tasks: adding (the sum of two marked numbers), copy (ten symbols, said again after T steps),
sinusoid (a wave to be continued unseen), reber (the embedded Reber grammar; its loss is that of
the one symbol that has to be remembered).
Into --out go summary.json and, for each cell, one JSON and four pictures (flow, lags, gates,
norms); with several cells also loss.svg and memory.svg, which compare them.
Exit codes: 0 done, a divergence is a result too; 1 something went wrong; 2 wrong usage.";

/// The cells, and all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum CellName {
    RnnTanh,
    RnnRelu,
    Lstm,
    Gru,
    All,
}

/// Where recurrent matrices start from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum InitName {
    Uniform,
    Orthogonal,
    Identity,
}

/// What turns gradients into updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OptimizerName {
    Adam,
    Sgd,
}

impl OptimizerName {
    /// The name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            OptimizerName::Adam => "adam",
            OptimizerName::Sgd => "sgd",
        }
    }
}

impl Options {
    /// Reads the command line.
    pub(crate) fn read() -> Result<Options, Unusable> {
        Ok(Options::try_parse()?.check()?)
    }

    fn check(self) -> Result<Options, clap::Error> {
        let shortest = self.task.shortest();
        if self.length < shortest {
            let text = format!(
                "--length {} is too short for --task {}: expected {shortest} at least",
                self.length,
                self.task.name()
            );
            return Err(Options::command().error(ErrorKind::ValueValidation, text));
        }
        let bytes = self.least_bytes();
        if Vec::<u8>::new().try_reserve_exact(bytes).is_err() {
            let text = format!(
                "--length {}, --batch {} and --hidden {} take {:.0e} bytes at least, more memory than there is",
                self.length, self.batch, self.hidden, bytes as f64
            );
            return Err(Options::command().error(ErrorKind::ValueValidation, text));
        }
        Ok(self)
    }

    /// What a run surely takes: input, h, gates and gradient of each step and row, and the recurrent weights as they are and packed for
    /// either pass.
    fn least_bytes(&self) -> usize {
        let (task, rows) = (self.task(), self.batch.max(TEST_ROWS));
        let of_steps = task.steps().saturating_mul(rows).saturating_mul(task.features() + 3 * self.hidden);
        let of_weights = self.hidden.saturating_mul(self.hidden).saturating_mul(3);
        of_steps.saturating_add(of_weights).saturating_mul(size_of::<f32>())
    }

    /// The problem.
    pub(crate) fn task(&self) -> Task {
        Task { name: self.task, length: self.length }
    }

    /// The cells to train.
    pub(crate) fn cells(&self) -> Vec<Cell> {
        match self.cell {
            CellName::RnnTanh => vec![Cell::RnnTanh],
            CellName::RnnRelu => vec![Cell::RnnRelu],
            CellName::Lstm => vec![Cell::Lstm],
            CellName::Gru => vec![Cell::Gru],
            CellName::All => Cell::ALL.to_vec(),
        }
    }

    /// The learning rate of a cell. A rate that suits gates throws a network without them about.
    pub(crate) fn lr(&self, cell: Cell) -> f64 {
        self.lr.unwrap_or(match cell {
            Cell::RnnTanh => 1e-3,
            Cell::RnnRelu => 2e-3,
            Cell::Lstm | Cell::Gru => 5e-3,
        })
    }

    /// The largest norm that a gradient may have, if there is one.
    pub(crate) fn max_norm(&self) -> Option<f64> {
        (self.clip > 0.0).then_some(self.clip)
    }

    /// How the parameters of a cell start.
    pub(crate) fn init(&self, cell: Cell) -> Init {
        let recurrent = match self.init {
            Some(InitName::Uniform) => Recurrent::Uniform,
            Some(InitName::Orthogonal) => Recurrent::Orthogonal,
            Some(InitName::Identity) => Recurrent::Identity,
            None if cell == Cell::RnnRelu => Recurrent::Identity,
            None => Recurrent::Uniform,
        };
        Init {
            recurrent,
            recurrent_scale: self.recurrent_scale,
            forget_bias: (cell == Cell::Lstm).then_some(self.forget_bias),
        }
    }
}

fn scale(text: &str) -> Result<f32, String> {
    finite(text)
        .ok()
        .filter(|number| *number >= 0.0)
        .ok_or("expected a number that is 0 or above".to_string())
}

fn finite(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(number) if number.is_finite() => Ok(number),
        _ => Err("expected a finite number".to_string()),
    }
}
