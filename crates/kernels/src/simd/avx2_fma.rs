//! Eight lanes of AVX2 with FMA.
//!
//! Soundness of every block below: a value of [`F32x8`], or the token that makes one, exists only where the
//! caller of [`Avx2Fma::assume`] vouched for the CPU's features, so the intrinsics' instructions exist.

use super::{Arithmetic, Job, Sealed, Vector};
use core::arch::x86_64::*;

/// Proof that the running CPU has AVX2 and FMA.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx2Fma(());

impl Avx2Fma {
    /// The proof, on the caller's word: `dispatch` detects the features and calls only the entries that have them.
    ///
    /// # Safety
    /// The running CPU has AVX2 and FMA.
    #[inline(always)]
    pub(crate) const unsafe fn assume() -> Avx2Fma {
        Avx2Fma(())
    }
}

/// Eight f32 lanes.
#[derive(Clone, Copy)]
pub(crate) struct F32x8(__m256);

impl Sealed for F32x8 {}

impl F32x8 {
    /// Half of a vector of AVX-512, which proves AVX2 and FMA too.
    #[inline(always)]
    pub(super) fn from_half(half: __m256) -> F32x8 {
        F32x8(half)
    }
}

/// Eight set lanes, then eight clear ones: the mask of the first `n` lanes starts at `8 - n`.
static FIRST: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

/// The mask of the first `n` lanes, all of them from eight on.
#[inline(always)]
fn first(_: Avx2Fma, n: usize) -> __m256i {
    let skip = 8 - if n < 8 { n } else { 8 };
    // SAFETY: the token proves AVX2; `skip <= 8`, so the eight integers from there lie in the sixteen of FIRST.
    unsafe { _mm256_loadu_si256(FIRST.as_ptr().add(skip).cast()) }
}

impl Arithmetic for F32x8 {
    type Token = Avx2Fma;

    #[inline(always)]
    fn splat(_: Avx2Fma, x: f32) -> Self {
        // SAFETY: the token proves AVX2.
        F32x8(unsafe { _mm256_set1_ps(x) })
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: a value proves AVX2.
        F32x8(unsafe { _mm256_add_ps(self.0, other.0) })
    }
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        // SAFETY: a value proves AVX2.
        F32x8(unsafe { _mm256_sub_ps(self.0, other.0) })
    }
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        // SAFETY: a value proves AVX2.
        F32x8(unsafe { _mm256_mul_ps(self.0, other.0) })
    }
    #[inline(always)]
    fn div(self, other: Self) -> Self {
        // SAFETY: a value proves AVX2.
        F32x8(unsafe { _mm256_div_ps(self.0, other.0) })
    }
    #[inline(always)]
    fn mul_add(self, b: Self, c: Self) -> Self {
        // SAFETY: a value proves FMA.
        F32x8(unsafe { _mm256_fmadd_ps(self.0, b.0, c.0) })
    }
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        // SAFETY: a value proves AVX2.
        F32x8(unsafe { _mm256_min_ps(self.0, other.0) })
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        // SAFETY: a value proves AVX2.
        F32x8(unsafe { _mm256_max_ps(self.0, other.0) })
    }
    #[inline(always)]
    fn abs(self) -> Self {
        // SAFETY: a value proves AVX2.
        F32x8(unsafe { _mm256_andnot_ps(_mm256_set1_ps(-0.0), self.0) })
    }
    #[inline(always)]
    fn copysign(self, sign: Self) -> Self {
        // SAFETY: a value proves AVX2.
        F32x8(unsafe {
            let mask = _mm256_set1_ps(-0.0);
            _mm256_or_ps(_mm256_andnot_ps(mask, self.0), _mm256_and_ps(mask, sign.0))
        })
    }
    #[inline(always)]
    fn select_lt(self, other: Self, then: Self, otherwise: Self) -> Self {
        // SAFETY: a value proves AVX2.
        F32x8(unsafe { _mm256_blendv_ps(otherwise.0, then.0, _mm256_cmp_ps::<_CMP_LT_OQ>(self.0, other.0)) })
    }
    #[inline(always)]
    fn exp2_of_magic(self) -> Self {
        // SAFETY: a value proves AVX2.
        F32x8(unsafe {
            let exponent = _mm256_slli_epi32::<23>(_mm256_castps_si256(self.0));
            _mm256_castsi256_ps(_mm256_add_epi32(exponent, _mm256_castps_si256(_mm256_set1_ps(1.0))))
        })
    }
}

impl Vector for F32x8 {
    type Lanes = [f32; 8];
    const LANES: usize = 8;

    #[inline(always)]
    fn load(_: Avx2Fma, from: &[f32; 8]) -> Self {
        // SAFETY: the token proves AVX2; the reference is readable for eight floats; the load is unaligned.
        F32x8(unsafe { _mm256_loadu_ps(from.as_ptr()) })
    }
    #[inline(always)]
    fn load_first(token: Avx2Fma, from: &[f32]) -> Self {
        if from.len() >= 8 {
            // SAFETY: the token proves AVX2; the slice is readable for eight floats; the load is unaligned.
            return F32x8(unsafe { _mm256_loadu_ps(from.as_ptr()) });
        }
        // SAFETY: the token proves AVX2; lanes from `from.len()` on are masked off and not accessed.
        F32x8(unsafe { _mm256_maskload_ps(from.as_ptr(), first(token, from.len())) })
    }
    #[inline(always)]
    fn store(self, to: &mut [f32; 8]) {
        // SAFETY: a value proves AVX2; the reference is writable for eight floats; the store is unaligned.
        unsafe { _mm256_storeu_ps(to.as_mut_ptr(), self.0) }
    }
    #[inline(always)]
    fn store_first(self, to: &mut [f32]) {
        if to.len() >= 8 {
            // SAFETY: a value proves AVX2; the slice is writable for eight floats; the store is unaligned.
            return unsafe { _mm256_storeu_ps(to.as_mut_ptr(), self.0) };
        }
        // Not a masked store: on AMD that is microcode, an order slower than a few scalar moves.
        let mut lanes = [0.0; 8];
        self.store(&mut lanes);
        for i in 0..7 {
            if i < to.len() {
                to[i] = lanes[i];
            }
        }
    }
    #[inline(always)]
    fn fetch(_: Avx2Fma, place: *const f32) {
        // SAFETY: a hint, which faults nowhere.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(place.cast()) }
    }
    type Sums = (__m256d, __m256d);

    #[inline(always)]
    fn no_sums(_: Avx2Fma) -> Self::Sums {
        // SAFETY: the token proves AVX2.
        unsafe { (_mm256_setzero_pd(), _mm256_setzero_pd()) }
    }
    #[inline(always)]
    fn add_squares(token: Avx2Fma, (a, b): Self::Sums, values: &[f32]) -> Self::Sums {
        // SAFETY: the token proves AVX2; the slice is readable for eight floats where it has as many; the loads are unaligned.
        let [low, high] = unsafe {
            if values.len() >= 8 {
                [_mm_loadu_ps(values.as_ptr()), _mm_loadu_ps(values.as_ptr().add(4))]
            } else {
                let all = F32x8::load_first(token, values).0;
                [_mm256_castps256_ps128(all), _mm256_extractf128_ps::<1>(all)]
            }
        };
        // SAFETY: the token proves AVX2.
        unsafe {
            let (low, high) = (_mm256_cvtps_pd(low), _mm256_cvtps_pd(high));
            (_mm256_fmadd_pd(low, low, a), _mm256_fmadd_pd(high, high, b))
        }
    }
    #[inline(always)]
    fn total([a, b]: [Self::Sums; 2]) -> f64 {
        // SAFETY: a value proves AVX2.
        unsafe {
            let four = _mm256_add_pd(_mm256_add_pd(a.0, b.0), _mm256_add_pd(a.1, b.1));
            let two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd::<1>(four));
            _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)))
        }
    }
    type SumsF32 = F32x8;

    #[inline(always)]
    fn squares_f32(token: Avx2Fma, values: &[f32]) -> F32x8 {
        let values = F32x8::load_first(token, values);
        values.mul(values)
    }
    #[inline(always)]
    fn add_f32(a: F32x8, b: F32x8) -> F32x8 {
        a.add(b)
    }
    #[inline(always)]
    fn totals_f32([a, b, c, d]: [[F32x8; 2]; 4]) -> [f32; 4] {
        let [a, b, c, d] = [a[0].add(a[1]).0, b[0].add(b[1]).0, c[0].add(c[1]).0, d[0].add(d[1]).0];
        // SAFETY: a value proves AVX2.
        unsafe {
            // Four sums of a row in each half: rows a and b, and rows c and d.
            let ab =
                _mm256_add_ps(_mm256_permute2f128_ps::<0x20>(a, b), _mm256_permute2f128_ps::<0x31>(a, b));
            let cd =
                _mm256_add_ps(_mm256_permute2f128_ps::<0x20>(c, d), _mm256_permute2f128_ps::<0x31>(c, d));
            // Two sums of a, two of c; two of b, two of d.
            let two = _mm256_add_ps(_mm256_shuffle_ps::<0x44>(ab, cd), _mm256_shuffle_ps::<0xee>(ab, cd));
            // a, c, and b, d.
            let one = _mm256_add_ps(two, _mm256_shuffle_ps::<0xf5>(two, two));
            let (ac, bd) = (_mm256_castps256_ps128(one), _mm256_extractf128_ps::<1>(one));
            let mut totals = [0.0; 4];
            _mm_storeu_ps(totals.as_mut_ptr(), _mm_blend_ps::<0b1010>(ac, _mm_moveldup_ps(bd)));
            totals
        }
    }
    #[inline(always)]
    fn apart<J: Job<Self>>(token: Avx2Fma, job: &J) {
        // SAFETY: the token proves AVX2.
        unsafe { run_apart(token, job) }
    }
}

#[target_feature(enable = "avx2,fma")]
#[inline(never)]
fn run_apart<J: Job<F32x8>>(token: Avx2Fma, job: &J) {
    job.run(token);
}
