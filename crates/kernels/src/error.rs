//! What can be wrong with a call into the kernels.

/// Why a kernel call was refused. Nothing has been written when one is returned.
///
/// # Examples
/// ```
/// use gatewise_kernels::{Error, Kernels};
///
/// let error = Kernels::auto()?.exp(&[0.0, 1.0], &mut [0.0]).unwrap_err();
/// assert_eq!(error, Error::Shape { arg: "out", dim: "length", expected: 2, got: 1 });
/// assert_eq!(error.to_string(), "out has inconsistent length: got 1, expected 2");
/// # Ok::<(), gatewise_kernels::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// No instruction set has this name.
    UnknownIsa {
        /// The name as given.
        name: String,
    },
    /// The running CPU lacks this instruction set.
    IsaUnavailable {
        /// The instruction set asked for.
        isa: crate::isa::Isa,
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
    /// A size, or a product of sizes, does not fit in memory.
    SizeOverflow {
        /// The argument.
        what: &'static str,
    },
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Error::UnknownIsa { name } => write!(
                f,
                "unknown instruction set {name:?} in {}: expected portable, avx2_fma or avx512",
                crate::isa::CEILING_VARIABLE
            ),
            Error::IsaUnavailable { isa } => write!(f, "this CPU does not have the instruction set {isa}"),
            Error::Shape { arg, dim, expected, got } => {
                write!(f, "{arg} has inconsistent {dim}: got {got}, expected {expected}")
            }
            Error::SizeOverflow { what } => write!(f, "the size of {what} does not fit in memory"),
        }
    }
}

impl std::error::Error for Error {}
