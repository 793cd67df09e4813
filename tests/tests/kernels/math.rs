//! exp, sigmoid and tanh over a sample of all floats: error in ULP, range, oddness, limits, NaN, and equal bits.
//! `cargo xtask ulp` does the same over all 2^32 of them.

use super::support::{assert_bits, available, fused};
use gatewise_kernels::{Error, Isa, Kernels};

/// From one sampled bit pattern to the next: odd, so that all low bits are met.
const STRIDE: usize = 2039;

type Map = fn(&Kernels, &[f32], &mut [f32]) -> Result<(), Error>;

/// What the module of a function states: its largest error with fused multiply-add, and without.
struct Function {
    name: &'static str,
    map: Map,
    exact: fn(f64) -> f64,
    ulp: (f64, f64),
}

const EXP: Function = Function { name: "exp", map: Kernels::exp, exact: f64::exp, ulp: (0.92, 0.94) };
const SIGMOID: Function = Function {
    name: "sigmoid",
    map: Kernels::sigmoid,
    exact: |x| 1.0 / (1.0 + (-x).exp()),
    ulp: (1.67, 1.75),
};
const TANH: Function = Function { name: "tanh", map: Kernels::tanh, exact: f64::tanh, ulp: (1.77, 1.72) };

impl Function {
    fn apply(&self, kernels: Kernels, x: &[f32]) -> Vec<f32> {
        let mut y = vec![f32::NAN; x.len()];
        (self.map)(&kernels, x, &mut y).expect("equal lengths");
        y
    }
}

/// A sample of all bit patterns, and what lies around every place where something happens.
fn sample() -> Vec<f32> {
    let mut x: Vec<f32> = (0..=u32::MAX).step_by(STRIDE).map(f32::from_bits).collect();
    let places: [f32; 25] = [
        0.0,
        1e-45,
        1e-38,
        1e-20,
        1e-7,
        3e-4,
        0.1733,
        0.3466,
        0.5,
        1.0,
        9.011,
        9.25,
        17.33,
        20.0,
        87.336_54,
        87.4,
        88.0,
        88.73,
        103.3,
        103.98,
        104.0,
        1e3,
        1e30,
        f32::MAX,
        f32::INFINITY,
    ];
    for place in places {
        for sign in [1.0, -1.0] {
            let near: f32 = sign * place;
            let near = near.to_bits();
            x.extend((0..2001_u32).map(|i| f32::from_bits(near.wrapping_add(i).wrapping_sub(1000))));
        }
    }
    x
}

/// Spacing of floats in the binade of the exact value.
fn ulp(exact: f64) -> f64 {
    let exponent = exact.abs().max(f64::from(f32::MIN_POSITIVE)).log2().floor() as i32;
    // log2 may round up to the next whole number just below a power of two.
    let exponent = if 2.0_f64.powi(exponent) > exact.abs() { exponent - 1 } else { exponent };
    2.0_f64.powi(exponent.clamp(-126, 127) - 23)
}

#[test]
fn errors_are_within_the_stated_bounds() {
    let x = sample();
    for function in [EXP, SIGMOID, TANH] {
        for kernels in available() {
            let bound = if kernels.isa() == Isa::Portable { function.ulp.1 } else { function.ulp.0 };
            let y = function.apply(kernels, &x);
            for (&x, &y) in x.iter().zip(&y) {
                let exact = (function.exact)(f64::from(x));
                let what = format!("{} of {x:e} ({:#x}) on {}", function.name, x.to_bits(), kernels.isa());
                if exact.is_nan() {
                    assert!(y.is_nan(), "{what} is {y:e}");
                } else if function.name == "sigmoid" && exact < f64::from(f32::MIN_POSITIVE) {
                    assert_eq!(y.to_bits(), 0, "{what} is {y:e}");
                } else if exact > f64::from(f32::MAX) {
                    // Beyond the largest float: it or infinity, as within the bound.
                    let over = (exact - f64::from(f32::MAX)) / ulp(f64::from(f32::MAX));
                    assert!(y == f32::INFINITY || (y == f32::MAX && over <= bound), "{what} is {y:e}");
                } else {
                    let error = (f64::from(y) - exact).abs() / ulp(exact);
                    assert!(error <= bound, "{what} is {y:e}: {error} ULP, {bound} are stated");
                }
            }
        }
    }
}

#[test]
fn fused_instruction_sets_have_the_same_bits() {
    let x = sample();
    for function in [EXP, SIGMOID, TANH] {
        let mut all = fused().into_iter().map(|kernels| function.apply(kernels, &x));
        if let Some(first) = all.next() {
            all.for_each(|other| assert_bits(function.name, &other, &first));
        }
    }
}

#[test]
fn ranges_and_symmetries_are_exact() {
    let x: Vec<f32> = sample().into_iter().filter(|x| !x.is_nan()).collect();
    let negated: Vec<f32> = x.iter().map(|x| -x).collect();
    for kernels in available() {
        assert!(EXP.apply(kernels, &x).iter().all(|&y| y >= 0.0));
        let (s, s_negated) = (SIGMOID.apply(kernels, &x), SIGMOID.apply(kernels, &negated));
        assert!(s.iter().all(|y| (0.0..=1.0).contains(y)));
        for (s, t) in s.iter().zip(&s_negated) {
            let sum = f64::from(*s) + f64::from(*t);
            assert!((sum - 1.0).abs() <= 1.5 * 2.0_f64.powi(-24), "{s:e} + {t:e}");
        }
        let (t, t_negated) = (TANH.apply(kernels, &x), TANH.apply(kernels, &negated));
        assert!(t.iter().all(|y| y.abs() <= 1.0));
        let mirrored: Vec<f32> = t_negated.iter().map(|y| -y).collect();
        assert_bits("tanh(-x) = -tanh(x)", &mirrored, &t);
    }
}

/// No float has a smaller exp or sigmoid than the one before it; tanh goes back by one unit at most.
#[test]
fn neighbours_keep_their_order() {
    let mut all: Vec<f32> = sample().into_iter().filter(|x| x.is_finite()).collect();
    all.sort_by(f32::total_cmp);
    all.dedup();
    for kernels in available() {
        for (function, back) in [(EXP, 0), (SIGMOID, 0), (TANH, 1)] {
            let y = function.apply(kernels, &all);
            for i in 1..y.len() {
                let lowest = if back == 0 { y[i - 1] } else { y[i - 1].next_down() };
                assert!(y[i] >= lowest, "{} of {:e} and {:e}", function.name, all[i - 1], all[i]);
            }
        }
    }
}

#[test]
fn special_values_are_exact() {
    let (inf, nan) = (f32::INFINITY, f32::NAN);
    let x = [0.0, -0.0, inf, -inf, 1000.0, -1000.0, nan, -nan, f32::from_bits(0x7f80_0001), 1e-45, -1e-45];
    for kernels in available() {
        let exp = EXP.apply(kernels, &x);
        assert_bits("exp", &exp, &[1.0, 1.0, inf, 0.0, inf, 0.0, nan, nan, nan, 1.0, 1.0]);
        let sigmoid = SIGMOID.apply(kernels, &x);
        assert_bits("sigmoid", &sigmoid, &[0.5, 0.5, 1.0, 0.0, 1.0, 0.0, nan, nan, nan, 0.5, 0.5]);
        let tanh = TANH.apply(kernels, &x);
        assert_bits("tanh", &tanh, &[0.0, -0.0, 1.0, -1.0, 1.0, -1.0, nan, nan, nan, 1e-45, -1e-45]);
    }
}

/// A value does not know its place: slices of any length, one function of each element.
#[test]
fn any_length_gives_the_same_bits() {
    let x: Vec<f32> = sample().into_iter().step_by(501).take(40).collect();
    for kernels in available() {
        for function in [EXP, SIGMOID, TANH] {
            let whole = function.apply(kernels, &x);
            for from in 0..x.len() {
                for to in from..=x.len() {
                    assert_bits(function.name, &function.apply(kernels, &x[from..to]), &whole[from..to]);
                }
            }
        }
    }
}
