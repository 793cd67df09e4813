//! SIMD kernels for recurrent networks on the CPU: a packed matmul, and the fused gate updates of RNN, LSTM and GRU, forward
//! and backward, each for a whole chunk of time.
//!
//! Most users want the crate `gatewise`, which builds models on these kernels; this crate is for those who build their own.
//!
//! # The floors
//! A floor names only floors above it in this table.
//!
//! | floor | what it is |
//! |---|---|
//! | `isa`, `cache`, `error`, `aligned` | instruction sets and the ceiling, cache sizes, errors, buffers |
//! | `simd` | the traits `Arithmetic` and `Vector` and their three bodies; capability tokens |
//! | `math` | exp and the activations over `Vector` |
//! | `gates::{rnn, lstm, gru}`, `gemm::{block, micro, single, tiles}` | the arithmetic of each cell on registers; the matmul as data, the one inner loop, register tiles |
//! | `gates::{args, checked, drive}`, `gemm::pack` | arguments, the loops over time and tiles, packing |
//! | `rows`, `options`, `gates::generated` | the registry: thin instantiations by `cargo xtask codegen`; which cell takes which |
//! | `sync`, `team` | the one hand-off between threads that is ours |
//! | `plan`, `weights`, `tasks`, `kernels`, `dispatch`, `products` | decisions, packed weights, argument checks, [`Kernels`] and what it runs |
//!
//! `math` and the cells know no pointer; `generated` holds no arithmetic. `unsafe` is allowed in `simd::{avx2_fma, avx512}`,
//! `aligned`, `gates::drive`, `gemm::{micro, pack, single, tiles}`, `gates::generated`, `dispatch` and `products`.
//!
//! # What is promised
//! One chain of fused multiply-adds per sum, k ascending, starting from the bias (or from what the caller's buffer holds):
//! no result depends on the tile, the thread count, the batch around a row, or whether AVX2+FMA or AVX-512 ran it. The
//! portable kernels round twice per multiply-add, so they agree with the others within the stated error only.

mod aligned;
mod cache;
mod dispatch;
mod error;
mod gates;
mod gemm;
mod isa;
mod kernels;
mod math;
mod options;
pub mod plan;
mod products;
mod rows;
mod simd;
mod sync;
mod tasks;
mod team;
mod weights;

pub use aligned::AlignedBuf;
pub use cache::Caches;
pub use error::Error;
pub use gates::args::{Backward, Forward, Seq, SeqMut, Step};
pub use gemm::{Matrix, MatrixMut, OuterProducts, OuterScratch, PackedB};
pub use isa::{CEILING_VARIABLE, Isa};
pub use kernels::Kernels;
pub use math::activation::{Activation, Activations};
pub use options::{CellSpec, Operand, RecurrentRun};
pub use rows::{Cell, Form, Pass, Row};
pub use weights::{PackedCell, Weights};

/// All kernels of an instruction set, as the generator wrote them.
pub fn registry(isa: Isa) -> &'static [Row] {
    gates::generated::registry::rows(isa)
}
