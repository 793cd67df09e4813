//! The naive f64 oracle: recurrent networks written as their equations, forward and backward.
//!
//! It is the yardstick for everything else, so it imports nothing (no crate of the project, no other crate),
//! takes no shortcut and treats one batch row at a time. Finite differences check its gradients, files made by
//! PyTorch check its reading of the equations (`tests/tests/oracle.rs`).
//!
//! Letters: `T` time steps, `B` batch rows, `I` input size, `H` hidden size, `P` projection size, `G` gates of
//! the cell, `R` size of the state `h` (`P` with a projection, else `H`). All arrays are flat and row-major:
//!
//! | array | shape |
//! |---|---|
//! | `x`, `out` | `[T, B, I]`, `[T, B, R]`, always time-major |
//! | `h0`, `h_n` and `c0`, `c_n` of a layer | `[B, R]` and `[B, H]` |
//! | the same of a stack | `[layers * directions, B, ..]`, index = layer * directions + direction; where layers differ in size one `[B, ..]` behind the other |
//! | `w_ih`, `w_hh`, `w_hr` | `[G*H, I]`, `[G*H, R]`, `[P, H]` |
//! | `b_ih`, `b_hh` | `[G*H]`, missing = zeros |
//!
//! Gate order is PyTorch's: `i f g o` for the LSTM, `r z n` for the GRU.
//!
//! Which cells have a `c`: the LSTM; and the GRU with a projection, whose update `z * h` needs a state of size
//! `H`, so its unprojected state is kept as `c`. For all other cells every `c` array is empty.

mod cell;
mod clip;
mod layer;
mod linalg;
mod nn;
mod optim;
mod options;
mod stack;
mod weights;

pub use cell::{Cell, CellGrads, CellStep, sigmoid};
pub use clip::{Norm, clip_grad_norm, clip_grad_value, total_norm};
pub use layer::{FLUSH_BELOW, LayerGrads, LayerRun, LayerTrace, Upstream, backward, flush, forward};
pub use nn::{
    LinearGrads, cross_entropy, embedding, embedding_backward, linear, linear_backward, mse, softmax,
};
pub use optim::{Adam, AdamW, RmsProp, Sgd};
pub use options::{Activation, Options};
pub use stack::{Merge, Stack, StackGrads, StackRun, StackShape, StackTrace};
pub use weights::{Shape, Weights};
