//! The layers at the ends of a recurrent network, and losses.

mod embedding;
mod linear;
mod loss;

pub use embedding::Embedding;
pub use linear::{Linear, LinearRoom};
pub use loss::{IGNORE, cross_entropy, mse};
