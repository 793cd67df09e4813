//! SIMD kernels for recurrent networks on the CPU: a packed matmul, and the fused gate updates of RNN, LSTM and GRU, forward
//! and backward, each for a whole chunk of time.
//!
//! Most users want the crate `gatewise`, which builds models on these kernels; this crate is for those who build their own.
//!
//! # Examples
//! A product of matrices:
//! ```
//! use gatewise_kernels::{Kernels, Matrix, MatrixMut};
//!
//! let kernels = Kernels::auto()?;
//! let (a, b, mut c) = ([1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0], [0.0; 4]); // 2 x 2, rows one behind the other
//! let (x, y) = (Matrix::row_major(&a, 2), Matrix::row_major(&b, 2));
//! kernels.matmul(2, 2, 2, x, y, 0.0, MatrixMut::row_major(&mut c, 2), 1)?;
//! assert_eq!(c, [19.0, 22.0, 43.0, 50.0]);
//! # Ok::<(), gatewise_kernels::Error>(())
//! ```
//! Six steps of two rows through a GRU of 3 features and 4 units: weights are packed once, a plan says how a pass of such sizes runs.
//! ```
//! use gatewise_kernels::plan::{ForwardPlan, Sizes};
//! use gatewise_kernels::{AlignedBuf, Caches, Cell, Forward, Kernels, Seq, SeqMut, Weights};
//!
//! let (steps, batch, input, hidden) = (6, 2, 3, 4);
//! let (w_ih, w_hh) = (vec![0.1; 3 * hidden * input], vec![0.2; 3 * hidden * hidden]);
//! let kernels = Kernels::auto()?;
//! let weights = Weights { w_ih: &w_ih, w_hh: &w_hh, b_ih: None, b_hh: None, w_hr: None };
//! let packed = kernels.pack_cell(Cell::Gru, input, hidden, weights)?;
//!
//! let sizes = Sizes { cell: Cell::Gru, steps, batch, input, hidden };
//! let plan = ForwardPlan::new(sizes, packed.lanes(), Caches::detect(), 1);
//! let mut scratch = AlignedBuf::zeroed(plan.scratch())?;
//! let (x, mut y) = (vec![0.5; steps * batch * input], vec![0.0; steps * batch * hidden]);
//! let pass = Forward {
//!     steps,
//!     batch,
//!     x: Seq::time_major(&x, batch, input),
//!     y: SeqMut::time_major(&mut y, batch, hidden),
//!     h_0: None,
//!     c_0: None,
//!     c: None,
//!     gates: None, // where to leave what backward needs
//!     active: None,
//!     resets: None,
//!     reset_h: None,
//!     reset_c: None,
//!     scratch: &mut scratch,
//! };
//! kernels.forward(&packed, &plan, pass)?;
//! assert!(y.iter().all(|&h| 0.0 < h && h < 1.0));
//! # Ok::<(), gatewise_kernels::Error>(())
//! ```
//!
//! # The floors
//! A floor names only floors above it in this table.
//!
//! | floor | what it is |
//! |---|---|
//! | `isa`, `cache`, `error`, `aligned` | instruction sets and the ceiling, cache sizes, errors, buffers |
//! | `simd` | the traits `Arithmetic` and `Vector` and their three bodies; capability tokens |
//! | `math` | exp, the activations, and zeros for what has vanished, over `Vector` |
//! | `gates::{rnn, lstm, gru}`, `gemm::{block, micro, single, sizes, sums, tiles}` | the arithmetic of each cell on registers; the matmul as data, the one inner loop, register tiles |
//! | `gates::{args, strided, checked, drive, table}`, `gemm::pack` | arguments, the loops over time and tiles, packing |
//! | `rows`, `options`, `gates::generated` | the registry: thin instantiations by `cargo xtask codegen`; which cell takes which |
//! | `sync`, `team` | the one hand-off between threads that is ours |
//! | `plan`, `weights`, `packed`, `tasks`, `kernels`, `dispatch`, `maps`, `products`, `gather` | decisions, packed weights, argument checks, [`Kernels`] and what it runs |
//!
//! `math` and the cells know no pointer; `generated` holds no arithmetic. `unsafe` is allowed in `simd::{avx2_fma, avx512}`,
//! `aligned`, `gates::drive`, `gemm::{micro, pack, single, sums, tiles}`, `gates::generated`, `dispatch`, `maps` and `products`.
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
mod gather;
mod gemm;
mod isa;
mod kernels;
mod maps;
mod math;
mod options;
mod packed;
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
pub use gates::table::{ProjectedRows, TableRows};
pub use gemm::{Matrix, MatrixMut, OuterProducts, OuterScratch, PackedB};
pub use isa::{CEILING_VARIABLE, Isa};
pub use kernels::Kernels;
pub use math::activation::{Activation, Activations};
pub use options::{CellSpec, Operand, RecurrentRun};
pub use rows::{Cell, Form, Pass, Row};
pub use weights::{PackedCell, Weights};

/// All kernels of an instruction set, as the generator wrote them.
///
/// # Examples
/// ```
/// use gatewise_kernels::{Isa, registry};
///
/// assert!(registry(Isa::Portable).iter().any(|row| row.id == "f32-lstm-bwd-hn-portable"));
/// assert!(registry(Isa::Avx512).iter().all(|row| row.isa == Isa::Avx512));
/// ```
pub fn registry(isa: Isa) -> &'static [Row] {
    gates::generated::registry::rows(isa)
}
