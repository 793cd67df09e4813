//! Four lanes over `wide`, whose bits depend on no build flag: a multiply-add is written as two roundings.

use super::{Arithmetic, Job, Sealed, Vector};
use wide::f32x4;

/// What the portable vector is made from: nothing has to be proven.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Portable;

/// Four f32 lanes.
#[derive(Clone, Copy)]
pub(crate) struct F32x4(f32x4);

const SIGN: f32x4 = f32x4::new([-0.0; 4]);

impl Sealed for F32x4 {}

impl Arithmetic for F32x4 {
    type Token = Portable;

    #[inline(always)]
    fn splat(_: Portable, x: f32) -> Self {
        F32x4(f32x4::splat(x))
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        F32x4(self.0 + other.0)
    }
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        F32x4(self.0 - other.0)
    }
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        F32x4(self.0 * other.0)
    }
    #[inline(always)]
    fn div(self, other: Self) -> Self {
        F32x4(self.0 / other.0)
    }
    #[inline(always)]
    fn mul_add(self, b: Self, c: Self) -> Self {
        F32x4(self.0 * b.0 + c.0)
    }
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        F32x4(self.0.simd_lt(other.0).bitselect(self.0, other.0))
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        F32x4(self.0.simd_gt(other.0).bitselect(self.0, other.0))
    }
    #[inline(always)]
    fn abs(self) -> Self {
        F32x4(self.0 & !SIGN)
    }
    #[inline(always)]
    fn copysign(self, sign: Self) -> Self {
        F32x4((self.0 & !SIGN) | (sign.0 & SIGN))
    }
    #[inline(always)]
    fn select_lt(self, other: Self, then: Self, otherwise: Self) -> Self {
        F32x4(self.0.simd_lt(other.0).bitselect(then.0, otherwise.0))
    }
    #[inline(always)]
    fn exp2_of_magic(self) -> Self {
        let lanes = self.0.to_array();
        let mut powers = [0.0; 4];
        for i in 0..4 {
            powers[i] = f32::from_bits((lanes[i].to_bits() << 23).wrapping_add(1.0_f32.to_bits()));
        }
        F32x4(f32x4::new(powers))
    }
}

impl Vector for F32x4 {
    type Lanes = [f32; 4];
    const LANES: usize = 4;

    #[inline(always)]
    fn load(_: Portable, from: &[f32; 4]) -> Self {
        F32x4(f32x4::new(*from))
    }
    #[inline(always)]
    fn load_first(_: Portable, from: &[f32]) -> Self {
        let mut lanes = [0.0; 4];
        for i in 0..4 {
            if i < from.len() {
                lanes[i] = from[i];
            }
        }
        F32x4(f32x4::new(lanes))
    }
    #[inline(always)]
    fn store(self, to: &mut [f32; 4]) {
        *to = self.0.to_array();
    }
    #[inline(always)]
    fn store_first(self, to: &mut [f32]) {
        let lanes = self.0.to_array();
        for i in 0..4 {
            if i < to.len() {
                to[i] = lanes[i];
            }
        }
    }
    /// Rust has no portable way to ask.
    #[inline(always)]
    fn fetch(_: Portable, _: *const f32) {}
    type Sums = [f64; 8];

    #[inline(always)]
    fn no_sums(_: Portable) -> [f64; 8] {
        [0.0; 8]
    }
    #[inline(always)]
    fn add_squares(_: Portable, mut sums: [f64; 8], values: &[f32]) -> [f64; 8] {
        for i in 0..8 {
            if i < values.len() {
                sums[i] += f64::from(values[i]) * f64::from(values[i]);
            }
        }
        sums
    }
    #[inline(always)]
    fn total([mut sums, others]: [[f64; 8]; 2]) -> f64 {
        for i in 0..8 {
            sums[i] += others[i];
        }
        for half in [4, 2, 1] {
            for i in 0..half {
                sums[i] += sums[i + half];
            }
        }
        sums[0]
    }
    type SumsF32 = [f32; 8];

    #[inline(always)]
    fn squares_f32(_: Portable, values: &[f32]) -> [f32; 8] {
        let mut squares = [0.0; 8];
        for i in 0..8 {
            if i < values.len() {
                squares[i] = values[i] * values[i];
            }
        }
        squares
    }
    #[inline(always)]
    fn add_f32(mut a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
        for i in 0..8 {
            a[i] += b[i];
        }
        a
    }
    #[inline(always)]
    fn totals_f32(sums: [[[f32; 8]; 2]; 4]) -> [f32; 4] {
        let mut totals = [0.0; 4];
        for n in 0..4 {
            let [mut row, others] = sums[n];
            for i in 0..8 {
                row[i] += others[i];
            }
            for half in [4, 2, 1] {
                for i in 0..half {
                    row[i] += row[i + half];
                }
            }
            totals[n] = row[0];
        }
        totals
    }
    #[inline(always)]
    fn apart<J: Job<Self>>(token: Portable, job: &J) {
        run_apart(token, job);
    }
}

#[inline(never)]
fn run_apart<J: Job<F32x4>>(token: Portable, job: &J) {
    job.run(token);
}
