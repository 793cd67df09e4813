//! What a network is, before anything runs: its options, its sizes, its parameters and their initial values, and what can be
//! wrong with them.

mod config;
mod error;
pub(crate) mod init;
mod input;
mod params;
mod place;
mod random;
pub(crate) mod shape;
mod state;
mod tokens;
mod view;

pub use config::{Config, Merge, Nonlinearity};
pub use error::Error;
pub use init::{Init, Recurrent};
pub use input::{DropoutKey, Input};
pub(crate) use params::Pack;
pub use params::{ParamsMut, Tensor, Tensors};
pub use place::Place;
pub use random::Philox;
pub(crate) use random::philox_at;
pub use state::State;
pub(crate) use state::StateShape;
pub use tokens::Tokens;
pub use view::{Sequence, View};
