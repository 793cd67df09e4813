//! What training needs besides the network: layers at its ends, losses, clipping, optimizers and their learning rates; and what
//! shows how it goes: the flow of gradients, the reach of memory, gates, clipping.

mod clip;
mod kept;
mod nn;
mod observe;
mod optim;
mod schedule;
mod truncated;

pub use clip::{NonFinite, Norm, clip_grad_norm, clip_grad_value};
pub use kept::OptimizerState;
pub use nn::{Embedding, IGNORE, Linear, LinearRoom, cross_entropy, mse};
#[cfg(feature = "serde")]
pub use observe::numbers;
#[cfg(feature = "plot")]
pub use observe::plot;
pub use observe::{
    ClipEntry, ClipGroup, ClipLedger, Clipped, Gate, GateReport, GateRole, GradientFlow, LagHistory,
    LagInfluence, LagProbe, LagRow, Lyapunov, Observer, Probes, Spike, SpikeDetector, TensorBias, TrackFlow,
    TrackGates, TrackInfluence, TrackLyapunov, TruncationBias, lyapunov_exponents, truncation_bias,
};
pub use optim::{Adam, AdamW, Optimizer, RmsProp, Sgd};
pub use schedule::{Decay, Schedule};
pub use truncated::{TruncatedBptt, Truncation};
