//! The networks that users build: [`Rnn`], [`Lstm`], [`Gru`], one type with a marker for the cell.

mod builder;
mod gru;
mod inside;
mod lstm;
mod network;
mod rnn;
mod stream;
mod tokens;

pub use builder::Builder;
pub use gru::{Gru, GruKind};
pub use lstm::{Lstm, LstmKind};
pub use network::{Any, Network};
pub use rnn::{Rnn, RnnKind};
