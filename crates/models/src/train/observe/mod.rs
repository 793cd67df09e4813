//! What shows how training goes: how gradients fade or explode on their way back through time, how far a network remembers, what
//! its gates do, what clipping cuts.

mod flow;
mod observer;
mod squares;

pub use flow::{GradientFlow, TrackFlow};
pub use observer::Observer;
