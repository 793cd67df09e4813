//! Weights in and out.

mod weights;

pub use weights::{WeightFile, save_weights};
