//! Which instruction sets exist, which of them this machine has, and how far the user lets us go.

use crate::error::Error;

/// An instruction set that kernels are generated for, in ascending order of preference.
///
/// # Examples
/// ```
/// use gatewise_kernels::{Isa, Kernels};
///
/// for isa in Isa::ALL {
///     assert_eq!(Kernels::with_isa(isa).is_ok(), isa.is_available());
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Isa {
    /// Runs everywhere; four lanes, no fused multiply-add, so its results differ from the others within the stated error.
    Portable,
    /// x86-64 with AVX2 and FMA: eight lanes.
    Avx2Fma,
    /// x86-64 with AVX-512 F, VL, BW and DQ: sixteen lanes.
    Avx512,
}

impl Isa {
    /// All instruction sets, ascending.
    ///
    /// # Examples
    /// ```
    /// assert!(gatewise_kernels::Isa::ALL.is_sorted());
    /// ```
    pub const ALL: [Isa; 3] = [Isa::Portable, Isa::Avx2Fma, Isa::Avx512];

    /// The name used in kernel ids, in `GATEWISE_MAX_ISA` and on command lines.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(gatewise_kernels::Isa::ALL.map(|isa| isa.name()), ["portable", "avx2_fma", "avx512"]);
    /// ```
    pub const fn name(self) -> &'static str {
        match self {
            Isa::Portable => "portable",
            Isa::Avx2Fma => "avx2_fma",
            Isa::Avx512 => "avx512",
        }
    }

    /// The instruction set of that name.
    ///
    /// # Examples
    /// ```
    /// use gatewise_kernels::Isa;
    ///
    /// assert_eq!(Isa::from_name("avx2_fma"), Some(Isa::Avx2Fma));
    /// assert_eq!(Isa::from_name("sse2"), None);
    /// ```
    pub fn from_name(name: &str) -> Option<Isa> {
        Isa::ALL.into_iter().find(|isa| isa.name() == name)
    }

    /// Whether the running CPU has it.
    ///
    /// # Examples
    /// ```
    /// assert!(gatewise_kernels::Isa::Portable.is_available());
    /// ```
    pub fn is_available(self) -> bool {
        match self {
            Isa::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2Fma => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => {
                Isa::Avx2Fma.is_available()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
            }
            #[cfg(not(target_arch = "x86_64"))]
            Isa::Avx2Fma | Isa::Avx512 => false,
        }
    }

    /// The best instruction set of this machine that is not above `ceiling`.
    ///
    /// # Examples
    /// ```
    /// use gatewise_kernels::Isa;
    ///
    /// assert_eq!(Isa::best_up_to(Isa::Portable), Isa::Portable);
    /// let best = Isa::best_up_to(Isa::Avx512);
    /// assert!(best.is_available() && Isa::ALL.iter().all(|isa| *isa <= best || !isa.is_available()));
    /// ```
    pub fn best_up_to(ceiling: Isa) -> Isa {
        Isa::ALL.into_iter().rev().find(|isa| *isa <= ceiling && isa.is_available()).unwrap_or(Isa::Portable)
    }
}

impl std::fmt::Display for Isa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// The environment variable that caps the instruction set: `portable`, `avx2_fma` or `avx512`.
///
/// # Examples
/// ```
/// use gatewise_kernels::{CEILING_VARIABLE, Error};
///
/// let error = Error::UnknownIsa { name: "sse2".to_string() };
/// assert!(error.to_string().contains(CEILING_VARIABLE));
/// ```
pub const CEILING_VARIABLE: &str = "GATEWISE_MAX_ISA";

/// Reads the ceiling from [`CEILING_VARIABLE`]; unset or empty means no ceiling.
///
/// # Errors
/// [`Error::UnknownIsa`] if the variable names no instruction set.
pub(crate) fn ceiling_from_environment() -> Result<Isa, Error> {
    match std::env::var_os(CEILING_VARIABLE) {
        None => Ok(Isa::Avx512),
        Some(value) if value.is_empty() => Ok(Isa::Avx512),
        Some(value) => {
            let name = value.to_string_lossy();
            Isa::from_name(&name).ok_or_else(|| Error::UnknownIsa { name: name.into_owned() })
        }
    }
}
