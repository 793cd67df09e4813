//! The loops of the ceilings, in the instructions of each set: multiply-adds on registers, reads, and two chains.

use gatewise_kernels::Isa;

/// Chains side by side: more than hide the latency of a multiply-add (4 cycles, 2 a cycle), and few enough to stay, with the
/// operands, in the sixteen registers of the smaller sets.
const CHAINS: usize = 12;

/// Floating-point operations of [`multiply_adds`].
pub(super) fn flops(isa: Isa, rounds: usize) -> f64 {
    (2 * lanes(isa) * CHAINS * rounds) as f64
}

fn lanes(isa: Isa) -> usize {
    match isa {
        Isa::Portable => 4,
        Isa::Avx2Fma => 8,
        Isa::Avx512 => 16,
    }
}

/// Calls the body of an instruction set.
macro_rules! dispatch {
    ($isa:expr, $function:ident($($argument:expr),*)) => {
        match $isa {
            Isa::Portable => portable::$function($($argument),*),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `assert_available` saw the CPU's features.
            Isa::Avx2Fma => unsafe { avx2_fma::$function($($argument),*) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Isa::Avx512 => unsafe { avx512::$function($($argument),*) },
            #[cfg(not(target_arch = "x86_64"))]
            _ => unreachable!("not available"),
        }
    };
}

fn assert_available(isa: Isa) {
    assert!(isa.is_available(), "this CPU does not have {isa}");
}

/// `rounds` multiply-adds on each of [`CHAINS`] registers.
pub(super) fn multiply_adds(isa: Isa, rounds: usize) -> f32 {
    assert_available(isa);
    dispatch!(isa, multiply_adds(rounds))
}

/// `rounds` multiply-adds, each on the result of the one before.
pub(super) fn chain(isa: Isa, rounds: usize) -> f32 {
    assert_available(isa);
    dispatch!(isa, chain(rounds))
}

/// `rounds` times: a multiply-add, its result stored, its first lane loaded into all lanes for the next.
pub(super) fn store_and_broadcast(isa: Isa, rounds: usize) -> f32 {
    assert_available(isa);
    dispatch!(isa, store_and_broadcast(rounds))
}

/// Reads a buffer as often as asked.
pub(super) fn read(isa: Isa, buffer: &[f32], times: usize) -> f32 {
    assert_available(isa);
    dispatch!(isa, read(buffer, times))
}

/// The four loops over a vector type, in functions that have its features.
macro_rules! bodies {
    ($vector:ty, $lanes:literal, $splat:ident, $fma:ident, $add:ident, $load:ident, $store:ident $(, $feature:literal)?) => {
        use std::hint::black_box;

        $(#[target_feature(enable = $feature)])?
        pub(super) fn multiply_adds(rounds: usize) -> f32 {
            let (a, b) = ($splat(black_box(0.5)), $splat(black_box(0.25)));
            let mut acc = [b; super::CHAINS];
            for _ in 0..rounds {
                for x in &mut acc {
                    *x = $fma(*x, a, b);
                }
            }
            sum(acc)
        }

        $(#[target_feature(enable = $feature)])?
        pub(super) fn chain(rounds: usize) -> f32 {
            let (a, b) = ($splat(black_box(0.5)), $splat(black_box(0.25)));
            let mut x = b;
            for _ in 0..rounds {
                x = $fma(x, a, b);
            }
            sum([x])
        }

        $(#[target_feature(enable = $feature)])?
        pub(super) fn store_and_broadcast(rounds: usize) -> f32 {
            let (a, b) = ($splat(black_box(0.5)), $splat(black_box(0.25)));
            let mut lanes = [0.0_f32; $lanes];
            for _ in 0..rounds {
                let first = black_box(&lanes)[0];
                $store(&mut lanes, $fma($splat(first), a, b));
            }
            lanes[0]
        }

        $(#[target_feature(enable = $feature)])?
        pub(super) fn read(buffer: &[f32], times: usize) -> f32 {
            let mut acc = [$splat(0.0); 8];
            for _ in 0..times {
                for block in black_box(buffer).chunks_exact(8 * $lanes) {
                    for (x, lanes) in acc.iter_mut().zip(block.chunks_exact($lanes)) {
                        *x = $add(*x, $load(lanes));
                    }
                }
            }
            sum(acc)
        }

        $(#[target_feature(enable = $feature)])?
        fn sum<const N: usize>(all: [$vector; N]) -> f32 {
            let mut lanes = [0.0; $lanes];
            let mut total = 0.0;
            for x in all {
                $store(&mut lanes, x);
                total += lanes.iter().sum::<f32>();
            }
            total
        }
    };
}

mod portable {
    use wide::f32x4;

    fn splat(x: f32) -> f32x4 {
        f32x4::splat(x)
    }
    fn multiply_add(x: f32x4, a: f32x4, b: f32x4) -> f32x4 {
        x * a + b
    }
    fn add(a: f32x4, b: f32x4) -> f32x4 {
        a + b
    }
    fn load(lanes: &[f32]) -> f32x4 {
        f32x4::new([lanes[0], lanes[1], lanes[2], lanes[3]])
    }
    fn store(lanes: &mut [f32; 4], x: f32x4) {
        *lanes = x.to_array();
    }

    bodies!(f32x4, 4, splat, multiply_add, add, load, store);
}

#[cfg(target_arch = "x86_64")]
mod avx2_fma {
    use std::arch::x86_64::*;

    #[target_feature(enable = "avx2,fma")]
    fn load(lanes: &[f32]) -> __m256 {
        assert_eq!(lanes.len(), 8);
        // SAFETY: eight floats, seen above.
        unsafe { _mm256_loadu_ps(lanes.as_ptr()) }
    }
    #[target_feature(enable = "avx2,fma")]
    fn store(lanes: &mut [f32; 8], x: __m256) {
        // SAFETY: eight floats, by type.
        unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), x) }
    }

    bodies!(__m256, 8, _mm256_set1_ps, _mm256_fmadd_ps, _mm256_add_ps, load, store, "avx2,fma");
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use std::arch::x86_64::*;

    #[target_feature(enable = "avx512f")]
    fn load(lanes: &[f32]) -> __m512 {
        assert_eq!(lanes.len(), 16);
        // SAFETY: sixteen floats, seen above.
        unsafe { _mm512_loadu_ps(lanes.as_ptr()) }
    }
    #[target_feature(enable = "avx512f")]
    fn store(lanes: &mut [f32; 16], x: __m512) {
        // SAFETY: sixteen floats, by type.
        unsafe { _mm512_storeu_ps(lanes.as_mut_ptr(), x) }
    }

    bodies!(__m512, 16, _mm512_set1_ps, _mm512_fmadd_ps, _mm512_add_ps, load, store, "avx512f");
}
