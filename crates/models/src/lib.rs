//! Recurrent networks on the CPU: vanilla RNN, LSTM and GRU, for inference and for training by back-propagation through time.
//!
//! The words, equations and layouts are PyTorch's; the results are the same bits for any number of threads, for a row alone or
//! in any batch, whole or step by step. States and their gradients below 2^-100 are zeros of the same sign.
//!
//! # Examples
//! Inference over a whole sequence, and step by step:
//! ```
//! use gatewise::{Lstm, View};
//!
//! let lstm = Lstm::new(3, 16)?; // input_size, hidden_size
//! let x = vec![0.25; 10 * 3]; // ten steps of one row
//! let (y, _) = lstm.forward(View::new(&x, [10, 1, 3])?, None)?;
//!
//! let (mut state, mut h) = (lstm.zero_state(1)?, [0.0; 16]);
//! for (x, y) in x.chunks(3).zip(y.data().chunks(16)) {
//!     lstm.step(x, &mut state, &mut h)?;
//!     assert_eq!(h, y);
//! }
//! # Ok::<(), gatewise::Error>(())
//! ```
//! One step of training:
//! ```
//! use gatewise::{Adam, Gru, NonFinite, Norm, Observer, Optimizer, Upstream, View, clip_grad_norm, mse};
//!
//! let mut gru = Gru::builder(1, 8).seed(1).build()?;
//! let (mut adam, mut grads) = (Adam::new(1e-3), gru.params().zeros_like());
//! let (x, target) = ([0.5; 6], [0.1; 6 * 8]);
//!
//! let mut tape = gru.forward_train(View::new(&x, [6, 1, 1])?, None)?;
//! let mut dy = [0.0; 6 * 8];
//! let loss = mse(tape.output().data(), &target, &mut dy)?;
//! gru.backward(&mut tape, Upstream::output(View::new(&dy, [6, 1, 8])?), &mut grads)?;
//! clip_grad_norm(&mut [&mut grads], 1.0, Norm::L2, NonFinite::Error)?;
//! adam.step(&mut [&mut gru.params_mut()], &[&grads])?;
//! # assert!(loss > 0.0);
//! # Ok::<(), gatewise::Error>(())
//! ```
//!
//! # What training does
//! An [`Observer`] looks at backward passes and shows where gradients fade or explode; [`LagProbe`] measures how far back a state
//! matters, [`lyapunov_exponents`] whether the state map pulls together, [`truncation_bias`] what truncation loses; [`GateReport`]
//! shows what gates do, [`ClipLedger`] what clipping does, [`SpikeDetector`] sudden jumps. [`StepClip`] limits the gradient within
//! back-propagation. All of it is plain data.
//!
//! # Features
//! - `serde`: observations can be written in any format of serde's, and read again. JSON has no word for numbers that are not finite:
//!   in formats that people read they are the strings "inf", "-inf" and "nan"; the module `numbers` writes others so.
//! - `plot`: pictures of observations as SVG, in the module `plot`.
//!
//! # The floors
//! A floor names only floors above it in this table.
//!
//! | floor | what it is |
//! |---|---|
//! | `spec` | options, sizes, parameters and their initial values, errors |
//! | `run` | layers over time, forward and back |
//! | `nets` | what users build |
//! | `train`, `formats` | end layers, losses, clipping, optimizers, observations; weight files |

#![forbid(unsafe_code)]

mod formats;
mod nets;
mod run;
mod spec;
mod train;

pub use formats::{PackedSequence, WeightFile, save_weights, save_weights_with};
pub use gatewise_kernels::{Activation, Activations, CEILING_VARIABLE, Cell, Isa, Kernels};
pub use nets::{Any, Builder, Gru, GruKind, Lstm, LstmKind, Network, Rnn, RnnKind};
pub use run::{Gradients, Memory, ProjectedTable, StepClip, Tape, Trace, Upstream, Workspace};
pub use spec::{
    Config, DropoutKey, Error, Init, Input, Merge, Nonlinearity, ParamsMut, Philox, Place, Recurrent,
    Sequence, State, Tensor, Tensors, Tokens, View,
};
#[cfg(feature = "serde")]
pub use train::numbers;
#[cfg(feature = "plot")]
pub use train::plot;
pub use train::{
    Adam, AdamW, ClipEntry, ClipGroup, ClipLedger, Clipped, Decay, Embedding, Gate, GateReport, GateRole,
    GradientFlow, IGNORE, LagHistory, LagInfluence, LagProbe, LagRow, Linear, LinearRoom, Lyapunov,
    NonFinite, Norm, Observer, Optimizer, OptimizerState, Probes, RmsProp, Schedule, Sgd, Spike,
    SpikeDetector, TensorBias, TrackFlow, TrackGates, TrackInfluence, TrackLyapunov, TruncatedBptt,
    Truncation, TruncationBias, clip_grad_norm, clip_grad_value, cross_entropy, lyapunov_exponents, mse,
    truncation_bias,
};
