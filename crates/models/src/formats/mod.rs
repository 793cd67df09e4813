//! Weights in and out.

mod weights;
mod whole;

pub use weights::{WeightFile, save_weights, save_weights_with};
