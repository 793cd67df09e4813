//! What training needs besides the network: layers at its ends, losses, clipping, optimizers.

mod clip;
mod nn;
mod optim;
mod truncated;

pub use clip::{NonFinite, Norm, clip_grad_norm, clip_grad_value};
pub use nn::{Embedding, IGNORE, Linear, LinearRoom, cross_entropy, mse};
pub use optim::{Adam, AdamW, Optimizer, RmsProp, Sgd};
pub use truncated::{TruncatedBptt, Truncation};
