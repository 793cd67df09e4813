//! A handful of f32 lanes: what can be computed with them, [`Arithmetic`], and what makes a register of them, [`Vector`]. Neither
//! names a concept of one instruction set, so a new one is one file beside `avx2_fma.rs`.
//!
//! Every method and every generic body above it is `#[inline(always)]` and carries no `target_feature`; only the
//! generated kernel entry does. A body uses plain `for` loops over constant bounds: a closure, an iterator adapter or
//! `array::map` is a separate function without the entry's features, and one missed inline turns each intrinsic into a
//! call with spilled registers.

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2_fma;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512;
pub(crate) mod group;
pub(crate) mod portable;

/// 1.5 * 2^23: adding it to a float of magnitude below 2^22 rounds that float to the nearest integer (ties to even),
/// and leaves the integer in the low bits of the sum.
pub(crate) const ROUND_MAGIC: f32 = 12_582_912.0;

mod sealed {
    pub(crate) trait Sealed {}
}
pub(crate) use sealed::Sealed;

/// Lanes of f32 to compute with, as many as there may be.
///
/// A value can be made only from a [`Token`](Arithmetic::Token), the proof that the CPU has the instructions, so the whole trait is
/// safe: `math` and the gate bodies over it need no `unsafe`. Each lane is computed alone: a lane's bits depend on that
/// lane's inputs only.
pub(crate) trait Arithmetic: Copy + Sealed + 'static {
    /// Proof that the running CPU has the instructions.
    type Token: Copy;

    /// All lanes `x`.
    fn splat(token: Self::Token, x: f32) -> Self;
    /// `self + other`
    fn add(self, other: Self) -> Self;
    /// `self - other`
    fn sub(self, other: Self) -> Self;
    /// `self * other`
    fn mul(self, other: Self) -> Self;
    /// `self / other`, correctly rounded.
    fn div(self, other: Self) -> Self;
    /// `self * b + c`: one rounding, or two on an instruction set without fused multiply-add.
    fn mul_add(self, b: Self, c: Self) -> Self;
    /// `self < other ? self : other`: the second operand where either is NaN.
    fn min(self, other: Self) -> Self;
    /// `self > other ? self : other`: the second operand where either is NaN.
    fn max(self, other: Self) -> Self;
    /// Clears the sign bit.
    fn abs(self) -> Self;
    /// The magnitude of `self` with the sign bit of `sign`.
    fn copysign(self, sign: Self) -> Self;
    /// Lane by lane `self < other ? then : otherwise`; `otherwise` where either is NaN.
    fn select_lt(self, other: Self, then: Self, otherwise: Self) -> Self;
    /// 2^n for a lane that holds `ROUND_MAGIC + n` with an integer n of -126..=127.
    fn exp2_of_magic(self) -> Self;
}

/// One register, and the memory it comes from, which is named by references.
pub(crate) trait Vector: Arithmetic {
    /// `[f32; LANES]`: what a whole vector occupies in memory. No alignment beyond that of f32 is needed.
    type Lanes: 'static;
    /// Number of lanes.
    const LANES: usize;

    /// All lanes from memory.
    fn load(token: Self::Token, from: &Self::Lanes) -> Self;
    /// The first `from.len()` lanes (at most [`LANES`](Vector::LANES)) from memory, +0 in the others.
    fn load_first(token: Self::Token, from: &[f32]) -> Self;
    /// All lanes to memory.
    fn store(self, to: &mut Self::Lanes);
    /// The first `to.len()` lanes (at most [`LANES`](Vector::LANES)) to memory.
    fn store_first(self, to: &mut [f32]);
    /// As [`store_first`](Vector::store_first), for what is read again at once. A masked store hands nothing on to a load that
    /// follows it, which waits for the cache, 12 cycles more on an Intel of 2023: smaller vectors without masks do.
    #[inline(always)]
    fn store_in_parts(self, to: &mut [f32]) {
        self.store_first(to);
    }

    /// Asks for the cache line at that place, to be in the L2 cache when it is needed. The place need not be readable, nor exist.
    fn fetch(token: Self::Token, place: *const f32);

    /// Eight sums in f64.
    type Sums: Copy;
    /// Sums of nothing.
    fn no_sums(token: Self::Token) -> Self::Sums;
    /// Adds the square of each of at most eight values to the sum of its place. f64 holds the square of any f32, so each sum is
    /// rounded once.
    fn add_squares(token: Self::Token, sums: Self::Sums, values: &[f32]) -> Self::Sums;
    /// All sixteen sums, added by halves: 0 to 8, 1 to 9 .. 7 to 15, and so on.
    fn total(sums: [Self::Sums; 2]) -> f64;

    /// Eight sums in f32.
    type SumsF32: Copy;
    /// The squares of at most eight values, zeros after the last. A square is rounded before it is added to anything, whether or not
    /// there is a fused multiply-add.
    fn squares_f32(token: Self::Token, values: &[f32]) -> Self::SumsF32;
    /// `a + b`
    fn add_f32(a: Self::SumsF32, b: Self::SumsF32) -> Self::SumsF32;
    /// Sixteen sums of each of four rows, added by halves as in [`total`](Vector::total).
    fn totals_f32(sums: [[Self::SumsF32; 2]; 4]) -> [f32; 4];

    /// Runs a job in a function of its own that has the instruction set's features. What the job keeps in registers, the
    /// constants of its polynomials above all, is then not kept there over the caller's loops.
    fn apart<J: Job<Self>>(token: Self::Token, job: &J);
}

/// Something to run [`apart`](Vector::apart).
pub(crate) trait Job<V: Vector> {
    /// Runs it.
    fn run(&self, token: V::Token);
}
