//! What shows how training goes: how gradients fade or explode on their way back through time, how far a network remembers, what
//! its gates do, what clipping cuts.

mod bias;
mod flow;
mod gates;
mod influence;
mod lag;
mod ledger;
mod lyapunov;
#[cfg(feature = "serde")]
pub mod numbers;
mod observer;
#[cfg(feature = "plot")]
pub mod plot;
mod spikes;
mod squares;

pub use bias::{TensorBias, TruncationBias, truncation_bias};
pub use flow::{GradientFlow, TrackFlow};
pub use gates::{Gate, GateReport, GateRole, TrackGates};
pub use influence::{LagHistory, LagInfluence, LagRow, TrackInfluence};
pub use lag::{LagProbe, Probes};
pub use ledger::{ClipEntry, ClipGroup, ClipLedger, Clipped};
pub use lyapunov::{Lyapunov, TrackLyapunov, lyapunov_exponents};
pub use observer::Observer;
pub use spikes::{Spike, SpikeDetector};

use crate::spec::{Config, Error};

/// Refuses what was made for networks with other options.
fn check_made_for(arg: &'static str, made_for: &Config, config: &Config) -> Result<(), Error> {
    if made_for == config {
        return Ok(());
    }
    let expected = "made for a network with the options of this one";
    let got = format!("one for {}, while this is {}", in_words(made_for), in_words(config));
    Err(Error::Config { arg, expected, got })
}

/// A network in a few words.
fn in_words(config: &Config) -> String {
    let Config { cell, input_size, num_layers, .. } = *config;
    let sizes: Vec<String> = (0..num_layers).map(|layer| config.hidden_size_of(layer).to_string()).collect();
    let hidden_size = if config.hidden_sizes.is_empty() { &sizes[..1] } else { &sizes[..] }.join("-");
    let directions = config.directions();
    format!("{} {input_size}-{hidden_size} (layers {num_layers}, directions {directions})", cell.name())
}
