//! What a measurement answers: one JSON object on one line.

use crate::case::Case;
use crate::timing::Times;
use serde::{Deserialize, Serialize};

/// The figures of one system on one case. A peer that cannot know a figure leaves it out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[allow(non_snake_case, reason = "the names are those of the sizes everywhere else")]
#[serde(default)]
pub struct Report {
    /// Who.
    pub system: String,
    /// Cell.
    pub cell: String,
    /// step, forward or train.
    pub pass: String,
    /// Batch rows.
    pub B: usize,
    /// Time steps.
    pub T: usize,
    /// Input size.
    pub I: usize,
    /// Hidden size.
    pub H: usize,
    /// Size of the projected state, if there is a projection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub P: Option<usize>,
    /// Layers.
    pub layers: usize,
    /// Directions.
    pub dir: usize,
    /// full or ragged.
    pub lengths: String,
    /// Threads.
    pub threads: usize,
    /// Instruction set.
    pub isa: String,
    /// Registry name of the kernel of the first layer.
    pub kernel: String,
    /// Microseconds a call.
    pub median_us: f64,
    /// Likewise, the shortest repetition.
    pub min_us: f64,
    /// Likewise, the longest.
    pub max_us: f64,
    /// Repetitions.
    pub reps: usize,
    /// From the median.
    pub gflops: f64,
    /// FMA peak of the same threads and instruction set, same run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ceiling_gflops: Option<f64>,
    /// gflops / ceiling_gflops
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of_ceiling: Option<f64>,
    /// The least time by the model in `floor`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floor_us: Option<f64>,
    /// floor_us / median_us
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of_floor: Option<f64>,
    /// Bytes of the weights as they are stored, without packed copies.
    pub bytes_weights: usize,
    /// Heap allocations a call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allocations: Option<f64>,
}

impl Report {
    /// The figures of a case.
    pub fn new(system: &str, case: &Case, times: &Times) -> Report {
        let median_us = times.median();
        let rows = case.cell.cell().gates() * case.hidden;
        let floats = |layer| rows * (case.layer_input(layer) + case.state() + 2) + case.projection();
        Report {
            system: system.to_string(),
            cell: case.cell.cell().name().to_string(),
            pass: format!("{:?}", case.pass).to_lowercase(),
            B: case.batch,
            T: case.steps(),
            I: case.input,
            H: case.hidden,
            P: case.proj,
            layers: case.layers,
            dir: case.directions(),
            lengths: format!("{:?}", case.lengths).to_lowercase(),
            threads: case.threads,
            median_us,
            min_us: times.min(),
            max_us: times.max(),
            reps: times.all.len(),
            gflops: case.flops() / median_us / 1e3,
            bytes_weights: 4 * case.directions() * (0..case.layers).map(floats).sum::<usize>(),
            ..Report::default()
        }
    }

    /// Adds the ceilings.
    pub fn against(self, ceiling_gflops: f64, floor_us: f64) -> Report {
        Report {
            ceiling_gflops: Some(ceiling_gflops),
            of_ceiling: Some(self.gflops / ceiling_gflops),
            floor_us: Some(floor_us),
            of_floor: Some(floor_us / self.median_us),
            ..self
        }
    }

    /// The line.
    pub fn line(&self) -> String {
        serde_json::to_string(self).expect("numbers and names only")
    }
}
