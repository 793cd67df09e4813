//! Peers side by side: the same case, the same numbers, taking turns.

pub mod chart;
pub mod cpp;
pub mod outputs;
pub mod peer;
pub mod publish;
pub mod recorded;
pub mod results;
pub mod round;
pub mod shapes;
pub mod systems;
pub mod table;

use serde::{Deserialize, Serialize};

/// What one system did on one case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The case, as `--shape` takes it.
    pub shape: String,
    /// Which users the case stands for.
    pub group: String,
    /// Who.
    pub system: String,
    /// Its version and variant.
    pub version: String,
    /// Where the figure is from.
    pub origin: Origin,
    /// It should have been measured and was not: it is absent, or it failed.
    pub is_missing: bool,
    /// Microseconds a call; none if there is no figure.
    pub median_us: Option<f64>,
    /// Fastest and slowest repetition.
    pub range_us: Option<(f64, f64)>,
    /// Its time over Gatewise's, pair by pair, the median: above 1 Gatewise is faster.
    pub ratio: Option<f64>,
    /// Why there is no figure, or what to know of it.
    pub note: String,
}

/// Where a figure is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Measured in this run.
    Measured,
    /// Taken from the recorded table, scaled by the FMA peaks where computing bounds the case.
    Recorded,
    /// The system does not do this.
    Unsupported,
    /// The system is not installed.
    Absent,
    /// It failed, or computed something else.
    Failed,
}
