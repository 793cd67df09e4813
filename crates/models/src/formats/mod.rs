//! Weights, and sequences in other layouts, in and out.

mod packed;
mod weights;
mod whole;

pub use packed::PackedSequence;
pub use weights::{WeightFile, save_weights, save_weights_with};
