//! Random configurations of networks: what a property test draws.
//!
//! To try a new option everywhere: a field of [`Setup`] with its usual value in `Default`, a line in [`setups`] that draws it, a
//! line in `Problem::builder` and one in `Problem::stack_run` (`problem.rs`) that hand it to the network and to the oracle.

use crate::oracle::Merge;
use crate::problem::Problem;
use gatewise::Cell;
use proptest::prelude::*;
use proptest::sample::select;
use std::ops::Range;

/// All options of a network and of one pass. The numbers themselves (weights, inputs, lengths) come from `seed`.
#[derive(Debug, Clone, PartialEq)]
pub struct Setup {
    /// The cell.
    pub cell: Cell,
    /// `I`, may be 0.
    pub input: usize,
    /// `H`.
    pub hidden: usize,
    /// Number of layers.
    pub layers: usize,
    /// By how much less than `hidden` each layer is than the one above it, the last one having `hidden`; 0 is all of one size.
    pub taper: usize,
    /// `P`, smaller than every layer's `H`; 0 is no projection.
    pub proj: usize,
    /// A GRU's reset gate before the product, in a network without a projection.
    pub reset_before: bool,
    /// Both directions.
    pub bidirectional: bool,
    /// How the directions become one output, if there are two.
    pub merge: Merge,
    /// Biases.
    pub bias: bool,
    /// Layout of sequences.
    pub batch_first: bool,
    /// `T`.
    pub steps: usize,
    /// `B`, may be 0.
    pub batch: usize,
    /// Rows of different lengths, 0 and `T` among them.
    pub ragged: bool,
    /// Some rows start anew here and there.
    pub resets: bool,
    /// From what.
    pub reset_to: ResetTo,
    /// A given initial state; else it is left out.
    pub initial_state: bool,
    /// Dropout between layers.
    pub dropout: f32,
    /// Which upstream gradients are given: of the outputs, of h_n, of c_n.
    pub upstream: [bool; 3],
    /// Everything else.
    pub seed: u64,
}

/// What rows start anew from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResetTo {
    /// Zeros.
    Zeros,
    /// One given state for all rows.
    Shared,
    /// A given state for each row.
    Each,
}

impl Default for Setup {
    /// A small LSTM, three rows, five steps, all upstream gradients.
    fn default() -> Setup {
        Setup {
            cell: Cell::Lstm,
            input: 3,
            hidden: 9,
            layers: 1,
            taper: 0,
            proj: 0,
            reset_before: false,
            bidirectional: false,
            merge: Merge::Concat,
            bias: true,
            batch_first: false,
            steps: 5,
            batch: 3,
            ragged: false,
            resets: false,
            reset_to: ResetTo::Zeros,
            initial_state: true,
            dropout: 0.0,
            upstream: [true; 3],
            seed: 1,
        }
    }
}

impl Setup {
    /// `D`.
    pub fn directions(&self) -> usize {
        1 + usize::from(self.bidirectional)
    }

    /// How the directions become one output.
    pub fn merge(&self) -> Merge {
        if self.bidirectional { self.merge } else { Merge::Concat }
    }

    /// `H` of a layer.
    pub fn hidden_of(&self, layer: usize) -> usize {
        self.hidden + self.taper * (self.layers - 1 - layer)
    }

    /// `H` of each layer.
    pub fn hidden_sizes(&self) -> Vec<usize> {
        (0..self.layers).map(|layer| self.hidden_of(layer)).collect()
    }

    /// Features of h of a layer: `P`, or `H` without a projection.
    pub fn state_of(&self, layer: usize) -> usize {
        if self.proj > 0 { self.proj } else { self.hidden_of(layer) }
    }

    /// Whether there is a c: an LSTM's, or what a GRU has before its projection.
    pub fn has_c(&self) -> bool {
        self.cell == Cell::Lstm || (self.cell == Cell::Gru && self.proj > 0)
    }

    /// Features of h of all layers and directions.
    pub fn states(&self) -> usize {
        self.directions() * (0..self.layers).map(|layer| self.state_of(layer)).sum::<usize>()
    }

    /// Features of c of all layers and directions, if there is one.
    pub fn cells(&self) -> usize {
        self.directions() * self.hidden_sizes().iter().sum::<usize>()
    }

    /// Where h of a layer and direction, number `index` of all, stands in a state of `batch` rows.
    pub fn state_at(&self, index: usize, batch: usize) -> Range<usize> {
        self.place(index, batch, Setup::state_of)
    }

    /// Where c stands, likewise.
    pub fn cell_at(&self, index: usize, batch: usize) -> Range<usize> {
        self.place(index, batch, Setup::hidden_of)
    }

    fn place(&self, index: usize, batch: usize, width: fn(&Setup, usize) -> usize) -> Range<usize> {
        let width = |index: usize| width(self, index / self.directions());
        let begin = batch * (0..index).map(width).sum::<usize>();
        begin..begin + batch * width(index)
    }

    /// Rows of the state that resets lead to; `None` is zeros.
    pub fn reset_rows(&self) -> Option<usize> {
        match self.reset_to {
            ResetTo::Zeros => None,
            ResetTo::Shared => Some(1),
            ResetTo::Each => Some(self.batch),
        }
    }

    /// Features of an output.
    pub fn output(&self) -> usize {
        self.output_of(self.layers - 1)
    }

    /// Features of a layer's output.
    pub fn output_of(&self, layer: usize) -> usize {
        let copies = if self.merge() == Merge::Concat { self.directions() } else { 1 };
        copies * self.state_of(layer)
    }

    /// Features of a layer's input.
    pub fn layer_input(&self, layer: usize) -> usize {
        if layer == 0 { self.input } else { self.output_of(layer - 1) }
    }

    /// Multiply-adds of a forward pass.
    pub fn work(&self) -> usize {
        let of_row = |layer: usize| self.hidden_of(layer) * (self.layer_input(layer) + self.state_of(layer));
        let of_rows = (0..self.layers).map(of_row).sum::<usize>();
        self.steps * self.batch * self.directions() * self.cell.gates() * of_rows
    }

    /// With fewer steps, then rows, until the work is no more than that.
    fn within(mut self, work: usize) -> Setup {
        while self.work() > work && self.steps > 1 {
            self.steps = self.steps.div_ceil(2);
        }
        while self.work() > work && self.batch > 1 {
            self.batch = self.batch.div_ceil(2);
        }
        self
    }

    /// The numbers.
    pub fn problem(&self) -> Problem {
        Problem::new(self)
    }
}

/// Sizes at, below and above the lanes and tiles of the kernels, and some others.
const HIDDEN: [usize; 24] =
    [1, 2, 3, 5, 7, 8, 9, 12, 15, 16, 17, 20, 23, 24, 25, 31, 32, 33, 40, 47, 48, 63, 64, 65];
const INPUT: [usize; 12] = [0, 1, 2, 3, 4, 5, 7, 8, 9, 17, 33, 65];
const BATCH: [usize; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13];
const RESETS: [ResetTo; 4] = [ResetTo::Zeros, ResetTo::Zeros, ResetTo::Shared, ResetTo::Each];
const STEPS: [usize; 10] = [1, 2, 3, 4, 5, 8, 13, 21, 40, 97];

/// Any configuration of at most that many multiply-adds a forward pass, each option alone and with others.
pub fn setups(work: usize) -> impl Strategy<Value = Setup> {
    let sizes =
        (select(&HIDDEN[..]), select(&INPUT[..]), select(&BATCH[..]), select(&STEPS[..]), 1..=3_usize);
    let flags = proptest::array::uniform6(any::<bool>());
    let dropout = prop_oneof![3 => Just(0.0_f32), 1 => Just(0.25), 1 => Just(0.6), 1 => Just(1.0)];
    let upstream = prop_oneof![3 => Just([true; 3]), 2 => any::<[bool; 3]>()];
    let layout = (select(vec![0, 0, 0, 1, 3, 8]), merges(), select(&RESETS[..]));
    let options = (prop_oneof![2 => Just(0), 1 => 1..65_usize], any::<bool>());
    (select(&Cell::ALL[..]), sizes, flags, dropout, upstream, (layout, options), any::<u64>()).prop_map(
        move |(cell, (hidden, input, batch, steps, layers), flags, dropout, upstream, others, seed)| {
            let [bidirectional, bias, batch_first, ragged, resets, initial_state] = flags;
            let ((taper, merge, reset_to), (proj, reset_before)) = others;
            let proj = if hidden > 1 && proj > 0 { 1 + proj % (hidden - 1) } else { 0 };
            let reset_before = reset_before && cell == Cell::Gru && proj == 0;
            let sizes = Setup { cell, input, hidden, taper, proj, layers, steps, batch, ..Setup::default() };
            let sizes = Setup { reset_before, ..sizes };
            let options = Setup { bidirectional, bias, batch_first, ragged, resets, initial_state, ..sizes };
            Setup { merge, reset_to, dropout, upstream, seed, ..options }.within(work)
        },
    )
}

/// Half of the time side by side.
fn merges() -> impl Strategy<Value = Merge> {
    let merged = select(vec![Merge::Sum, Merge::Mean, Merge::Product]);
    prop_oneof![Just(Merge::Concat), merged]
}

/// Configurations that are worth several threads: at least four million multiply-adds a layer.
pub fn large_setups() -> impl Strategy<Value = Setup> {
    let sizes = (select(vec![64, 72, 96, 128]), select(vec![0, 4, 40]), 2..12_usize, 1..=2_usize);
    let flags = proptest::array::uniform6(any::<bool>());
    let layout = (select(vec![0, 16]), merges(), select(&RESETS[..]));
    (select(&Cell::ALL[..]), sizes, flags, layout, any::<u64>()).prop_map(
        |(cell, (hidden, input, batch, layers), flags, (taper, merge, reset_to), seed)| {
            let [bidirectional, bias, batch_first, ragged, resets, initial_state] = flags;
            let row = batch * cell.gates() * hidden * (hidden + input);
            let steps = 4_000_000_usize.div_ceil(row);
            let sizes = Setup {
                cell,
                input,
                hidden,
                taper,
                layers,
                steps,
                batch,
                merge,
                reset_to,
                ..Setup::default()
            };
            Setup { bidirectional, bias, batch_first, ragged, resets, initial_state, seed, ..sizes }
        },
    )
}

/// The usual options of a property test: `usual` cases, or as many times more as `PROPTEST_CASES` is more than 512. Failures
/// become tests with a name instead of files of seeds.
pub fn cases(usual: u32) -> ProptestConfig {
    let all = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse::<u32>().ok());
    let cases = all.map_or(usual, |all| (u64::from(all) * u64::from(usual) / 512).max(1) as u32);
    ProptestConfig {
        cases,
        failure_persistence: None,
        max_global_rejects: 65_536,
        ..ProptestConfig::default()
    }
}
