//! What can be wrong with a call. Nothing has been written when one of these is returned.

use super::Place;

/// Why a call was refused. Where PyTorch has words for it, the message uses them.
///
/// # Examples
/// ```
/// use gatewise::{Error, View};
///
/// let error = View::new(&[0.5; 5], [3, 1, 2]).unwrap_err();
/// assert_eq!(error, Error::Shape { arg: "a view's data", dim: "length", expected: 6, got: 5 });
/// assert_eq!(error.to_string(), "a view's data has inconsistent length: got 5, expected 6");
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// An option of a network, layer or optimizer that makes no sense.
    Config {
        /// The option.
        arg: &'static str,
        /// What was expected of it.
        expected: &'static str,
        /// What came.
        got: String,
    },
    /// An argument's size does not fit the others.
    Shape {
        /// The argument.
        arg: &'static str,
        /// Which of its sizes.
        dim: &'static str,
        /// The size that was needed.
        expected: usize,
        /// The size that came.
        got: usize,
    },
    /// A sequence of no time steps.
    EmptySequence,
    /// A product of sizes that does not fit in memory.
    SizeOverflow {
        /// What would have had that size.
        what: &'static str,
    },
    /// An index that is not below the number of things it chooses from.
    Index {
        /// The argument.
        arg: &'static str,
        /// The index.
        index: usize,
        /// How many there are.
        len: usize,
    },
    /// A token that is not in the table which it picks from.
    Token {
        /// The token.
        token: usize,
        /// Its step.
        step: usize,
        /// Its row of the batch.
        row: usize,
        /// How many there are: tokens are smaller.
        vocabulary: usize,
    },
    /// `backward` on a tape that holds no forward pass: it was consumed, or never recorded.
    TapeConsumed,
    /// A memory budget that a pass does not fit in, however its time is cut.
    MemoryBudget {
        /// The least bytes that it fits in.
        needed: usize,
        /// The budget.
        got: usize,
    },
    /// Gradients whose norm is infinite or not a number; they are as they were.
    NonFiniteNorm {
        /// The norm.
        norm: f64,
    },
    /// Likewise, and where the first value stood that was not finite.
    NonFinite {
        /// The norm.
        norm: f64,
        /// Where it began.
        place: Place,
    },
    /// Two lists of tensors that should be alike are not.
    TensorMismatch {
        /// The first tensor that differs in name or shape, or is missing from one of the two.
        name: String,
    },
    /// A weight file that cannot be read or written, or does not hold what the model needs.
    WeightFile {
        /// The tensor or the file that is wrong.
        what: String,
        /// What is wrong with it.
        problem: String,
    },
    /// No instruction set has this name.
    UnknownIsa {
        /// The name as given.
        name: String,
    },
    /// Kernels of an instruction set that this CPU lacks.
    IsaUnavailable {
        /// Its name.
        isa: gatewise_kernels::Isa,
    },
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Error::Config { arg, expected, got } => write!(f, "{arg} must be {expected}: got {got}"),
            Error::Shape { arg, dim, expected, got } => {
                write!(f, "{arg} has inconsistent {dim}: got {got}, expected {expected}")
            }
            Error::EmptySequence => write!(f, "Expected sequence length to be larger than 0 in RNN"),
            Error::SizeOverflow { what } => write!(f, "the size of {what} does not fit in memory"),
            Error::Index { arg, index, len } => {
                write!(f, "{arg}: index {index} is out of range, there are {len}")
            }
            Error::Token { token, step, row, vocabulary } => {
                write!(
                    f,
                    "tokens: token {token} of row {row} at step {step} is out of range, the vocabulary has {vocabulary}"
                )
            }
            Error::TapeConsumed => {
                write!(f, "the tape holds no forward pass: record one with forward_train before backward")
            }
            Error::MemoryBudget { needed, got } => {
                write!(
                    f,
                    "a memory budget of {got} bytes is too small for this pass: it needs {needed} bytes at least"
                )
            }
            Error::NonFiniteNorm { norm } => {
                write!(f, "the total norm of the gradients is non-finite ({norm}), so it cannot be clipped")
            }
            Error::NonFinite { norm, place } => {
                write!(
                    f,
                    "the total norm of the gradients is non-finite ({norm}): the first value that is not finite is in {place}"
                )
            }
            Error::TensorMismatch { name } => write!(f, "the lists of tensors differ at {name}"),
            Error::WeightFile { what, problem } => write!(f, "{what}: {problem}"),
            Error::UnknownIsa { name } => gatewise_kernels::Error::UnknownIsa { name: name.clone() }.fmt(f),
            Error::IsaUnavailable { isa } => gatewise_kernels::Error::IsaUnavailable { isa: *isa }.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

impl From<gatewise_kernels::Error> for Error {
    fn from(error: gatewise_kernels::Error) -> Error {
        match error {
            gatewise_kernels::Error::UnknownIsa { name } => Error::UnknownIsa { name },
            gatewise_kernels::Error::IsaUnavailable { isa } => Error::IsaUnavailable { isa },
            gatewise_kernels::Error::Shape { arg, dim, expected, got } => {
                Error::Shape { arg, dim, expected, got }
            }
            gatewise_kernels::Error::SizeOverflow { what } => Error::SizeOverflow { what },
            other => unreachable!("an error of the kernels that has no counterpart: {other}"),
        }
    }
}
