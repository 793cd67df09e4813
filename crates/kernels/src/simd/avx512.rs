//! Sixteen lanes of AVX-512, with native masks for tails.
//!
//! Soundness of every block below: a value of [`F32x16`], or the token that makes one, exists only where the
//! caller of [`Avx512::assume`] vouched for the CPU's features, so the intrinsics' instructions exist.

use super::avx2_fma::{Avx2Fma, F32x8};
use super::{Arithmetic, Job, Sealed, Vector};
use core::arch::x86_64::*;

/// Proof that the running CPU has AVX-512 F, VL, BW and DQ, and so AVX2 and FMA.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx512(());

impl Avx512 {
    /// The proof, on the caller's word: `dispatch` detects the features and calls only the entries that have them.
    ///
    /// # Safety
    /// The running CPU has AVX-512 F, VL, BW and DQ, AVX2 and FMA.
    #[inline(always)]
    pub(crate) const unsafe fn assume() -> Avx512 {
        Avx512(())
    }

    /// Every CPU with AVX-512 has AVX2 and FMA too.
    #[inline(always)]
    fn avx2_fma(self) -> Avx2Fma {
        // SAFETY: the proof of AVX-512, whose detection asks for AVX2 and FMA as well.
        unsafe { Avx2Fma::assume() }
    }
}

/// Sixteen f32 lanes.
#[derive(Clone, Copy)]
pub(crate) struct F32x16(__m512);

impl Sealed for F32x16 {}

/// The mask of the first `n` lanes, all of them from sixteen on.
#[inline(always)]
fn first(n: usize) -> __mmask16 {
    if n < 16 { (1 << n) - 1 } else { !0 }
}

impl Arithmetic for F32x16 {
    type Token = Avx512;

    #[inline(always)]
    fn splat(_: Avx512, x: f32) -> Self {
        // SAFETY: the token proves AVX-512.
        F32x16(unsafe { _mm512_set1_ps(x) })
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: a value proves AVX-512.
        F32x16(unsafe { _mm512_add_ps(self.0, other.0) })
    }
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        // SAFETY: a value proves AVX-512.
        F32x16(unsafe { _mm512_sub_ps(self.0, other.0) })
    }
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        // SAFETY: a value proves AVX-512.
        F32x16(unsafe { _mm512_mul_ps(self.0, other.0) })
    }
    #[inline(always)]
    fn div(self, other: Self) -> Self {
        // SAFETY: a value proves AVX-512.
        F32x16(unsafe { _mm512_div_ps(self.0, other.0) })
    }
    #[inline(always)]
    fn mul_add(self, b: Self, c: Self) -> Self {
        // SAFETY: a value proves AVX-512.
        F32x16(unsafe { _mm512_fmadd_ps(self.0, b.0, c.0) })
    }
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        // SAFETY: a value proves AVX-512.
        F32x16(unsafe { _mm512_min_ps(self.0, other.0) })
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        // SAFETY: a value proves AVX-512.
        F32x16(unsafe { _mm512_max_ps(self.0, other.0) })
    }
    #[inline(always)]
    fn abs(self) -> Self {
        // SAFETY: a value proves AVX-512.
        F32x16(unsafe { _mm512_andnot_ps(_mm512_set1_ps(-0.0), self.0) })
    }
    #[inline(always)]
    fn copysign(self, sign: Self) -> Self {
        // SAFETY: a value proves AVX-512.
        F32x16(unsafe {
            let mask = _mm512_set1_ps(-0.0);
            _mm512_or_ps(_mm512_andnot_ps(mask, self.0), _mm512_and_ps(mask, sign.0))
        })
    }
    #[inline(always)]
    fn select_lt(self, other: Self, then: Self, otherwise: Self) -> Self {
        // SAFETY: a value proves AVX-512.
        F32x16(unsafe {
            _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_NLT_UQ>(self.0, other.0), then.0, otherwise.0)
        })
    }
    #[inline(always)]
    fn exp2_of_magic(self) -> Self {
        // SAFETY: a value proves AVX-512.
        F32x16(unsafe {
            let exponent = _mm512_slli_epi32::<23>(_mm512_castps_si512(self.0));
            _mm512_castsi512_ps(_mm512_add_epi32(exponent, _mm512_castps_si512(_mm512_set1_ps(1.0))))
        })
    }
}

impl Vector for F32x16 {
    type Lanes = [f32; 16];
    const LANES: usize = 16;

    #[inline(always)]
    fn load(_: Avx512, from: &[f32; 16]) -> Self {
        // SAFETY: the token proves AVX-512; the reference is readable for sixteen floats; the load is unaligned.
        F32x16(unsafe { _mm512_loadu_ps(from.as_ptr()) })
    }
    #[inline(always)]
    fn load_first(_: Avx512, from: &[f32]) -> Self {
        if from.len() >= 16 {
            // SAFETY: the token proves AVX-512; the slice is readable for sixteen floats; the load is unaligned.
            return F32x16(unsafe { _mm512_loadu_ps(from.as_ptr()) });
        }
        // SAFETY: the token proves AVX-512; lanes from `from.len()` on are masked off and not accessed.
        F32x16(unsafe { _mm512_maskz_loadu_ps(first(from.len()), from.as_ptr()) })
    }
    #[inline(always)]
    fn store(self, to: &mut [f32; 16]) {
        // SAFETY: a value proves AVX-512; the reference is writable for sixteen floats; the store is unaligned.
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), self.0) }
    }
    #[inline(always)]
    fn store_first(self, to: &mut [f32]) {
        if to.len() >= 16 {
            // SAFETY: a value proves AVX-512; the slice is writable for sixteen floats; the store is unaligned.
            return unsafe { _mm512_storeu_ps(to.as_mut_ptr(), self.0) };
        }
        // SAFETY: a value proves AVX-512; lanes from `to.len()` on are masked off and not accessed.
        unsafe { _mm512_mask_storeu_ps(to.as_mut_ptr(), first(to.len()), self.0) }
    }
    #[inline(always)]
    fn store_in_parts(self, to: &mut [f32]) {
        // SAFETY: a value proves AVX-512.
        let [low, high] = unsafe { [_mm512_castps512_ps256(self.0), _mm512_extractf32x8_ps::<1>(self.0)] };
        match to.split_first_chunk_mut() {
            None => F32x8::from_half(low).store_first(to),
            Some((eight, rest)) => {
                F32x8::from_half(low).store(eight);
                F32x8::from_half(high).store_first(rest);
            }
        }
    }
    #[inline(always)]
    fn fetch(_: Avx512, place: *const f32) {
        // SAFETY: a hint, which faults nowhere.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(place.cast()) }
    }
    /// As AVX2 adds them: a Zen 4 widens sixteen floats in two thirds of the time if it takes four at once, not eight.
    type Sums = <F32x8 as Vector>::Sums;

    #[inline(always)]
    fn no_sums(token: Avx512) -> Self::Sums {
        F32x8::no_sums(token.avx2_fma())
    }
    #[inline(always)]
    fn add_squares(token: Avx512, sums: Self::Sums, values: &[f32]) -> Self::Sums {
        F32x8::add_squares(token.avx2_fma(), sums, values)
    }
    #[inline(always)]
    fn total(sums: [Self::Sums; 2]) -> f64 {
        F32x8::total(sums)
    }
    type SumsF32 = <F32x8 as Vector>::SumsF32;

    #[inline(always)]
    fn squares_f32(token: Avx512, values: &[f32]) -> Self::SumsF32 {
        F32x8::squares_f32(token.avx2_fma(), values)
    }
    #[inline(always)]
    fn add_f32(a: Self::SumsF32, b: Self::SumsF32) -> Self::SumsF32 {
        F32x8::add_f32(a, b)
    }
    #[inline(always)]
    fn totals_f32(sums: [[Self::SumsF32; 2]; 4]) -> [f32; 4] {
        F32x8::totals_f32(sums)
    }
    #[inline(always)]
    fn apart<J: Job<Self>>(token: Avx512, job: &J) {
        // SAFETY: the token proves AVX-512.
        unsafe { run_apart(token, job) }
    }
}

#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
#[inline(never)]
fn run_apart<J: Job<F32x16>>(token: Avx512, job: &J) {
    job.run(token);
}
