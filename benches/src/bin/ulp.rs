//! `cargo xtask ulp`: exp, sigmoid and tanh of every f32 against f64, on every instruction set of this machine.
//!
//! The error of a result is |result - exact| / ulp(exact), where ulp(exact) is the spacing of floats in the binade of the exact
//! value. Where an exact sigmoid is below 2^-126 the result has to be +0, and NaN has to stay NaN; where an exact exp is above
//! the largest float, infinity counts as the next float after it.

use benches::say;
use gatewise_kernels::{Error, Isa, Kernels};
use rayon::prelude::*;
use std::process::ExitCode;

/// Inputs that are computed at a time.
const BLOCK: usize = 1 << 14;
const BLOCKS: usize = (1 << 32) / BLOCK;

type Map = fn(&Kernels, &[f32], &mut [f32]) -> Result<(), Error>;

struct Function {
    name: &'static str,
    map: Map,
    exact: fn(f64) -> f64,
    /// Exact values below it are +0.
    smallest: f64,
    /// What every result lies in.
    range: (f32, f32),
}

const FUNCTIONS: [Function; 3] = [
    Function { name: "exp", map: Kernels::exp, exact: f64::exp, smallest: 0.0, range: (0.0, f32::INFINITY) },
    Function {
        name: "sigmoid",
        map: Kernels::sigmoid,
        exact: |x| 1.0 / (1.0 + (-x).exp()),
        smallest: f32::MIN_POSITIVE as f64,
        range: (0.0, 1.0),
    },
    Function { name: "tanh", map: Kernels::tanh, exact: f64::tanh, smallest: 0.0, range: (-1.0, 1.0) },
];

/// What is known of a function on one instruction set after some inputs.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    largest: f64,
    /// Its input and result.
    worst: (f32, f32),
    above_1: u64,
    above_1_5: u64,
    /// NaN lost or made, outside of the range, or not +0 where it has to be.
    wrong: u64,
    /// Other bits than the first instruction set with fused multiply-add.
    other_bits: u64,
}

impl Seen {
    fn join(self, other: Seen) -> Seen {
        let larger = if other.largest > self.largest { other } else { self };
        Seen {
            above_1: self.above_1 + other.above_1,
            above_1_5: self.above_1_5 + other.above_1_5,
            wrong: self.wrong + other.wrong,
            other_bits: self.other_bits + other.other_bits,
            ..larger
        }
    }

    fn look(&mut self, function: &Function, x: f32, y: f32, exact: f64) {
        if exact.is_nan() || y.is_nan() {
            self.wrong += u64::from(exact.is_nan() != y.is_nan());
            return;
        }
        let (low, high) = function.range;
        if y < low || y > high {
            self.wrong += 1;
        }
        if exact.abs() < function.smallest {
            self.wrong += u64::from(y.to_bits() != 0);
            return;
        }
        let error = if x.is_infinite() || exact == f64::from(y) {
            // A limit, which has to be exact; or a value that is.
            self.wrong += u64::from(exact != f64::from(y));
            0.0
        } else {
            // 2^128 is the next float after the largest.
            let y = if y.is_infinite() { 2.0_f64.powi(128) } else { f64::from(y) };
            let exact = exact.min(2.0_f64.powi(128));
            (y - exact).abs() / ulp(exact)
        };
        self.above_1 += u64::from(error > 1.0);
        self.above_1_5 += u64::from(error > 1.5);
        if error > self.largest {
            (self.largest, self.worst) = (error, (x, y));
        }
    }
}

/// The spacing of floats in the binade of `exact`.
fn ulp(exact: f64) -> f64 {
    let exponent = (exact.to_bits() >> 52 & 0x7ff).clamp(1023 - 126, 1023 + 127);
    f64::from_bits((exponent - 23) << 52)
}

/// All 2^32 inputs of a function, on all instruction sets at once, so that each exact value is computed once.
fn sweep(function: &Function, all: &[Kernels]) -> Vec<Seen> {
    let none = || vec![Seen::default(); all.len()];
    let join = |a: Vec<Seen>, b: Vec<Seen>| a.into_iter().zip(b).map(|(a, b)| a.join(b)).collect();
    (0..BLOCKS).into_par_iter().map(|block| look_at(function, all, block)).reduce(none, join)
}

fn look_at(function: &Function, all: &[Kernels], block: usize) -> Vec<Seen> {
    let first = block * BLOCK;
    let x: Vec<f32> = (first..first + BLOCK).map(|bits| f32::from_bits(bits as u32)).collect();
    let exact: Vec<f64> = x.iter().map(|&x| (function.exact)(f64::from(x))).collect();
    let mut fused: Option<Vec<f32>> = None;
    let mut each = Vec::with_capacity(all.len());
    for kernels in all {
        let mut y = vec![0.0; BLOCK];
        (function.map)(kernels, &x, &mut y).expect("slices of equal length");
        let mut seen = Seen::default();
        for i in 0..BLOCK {
            seen.look(function, x[i], y[i], exact[i]);
        }
        if kernels.isa() != Isa::Portable {
            let first = fused.get_or_insert_with(|| y.clone());
            let differ = |(a, b): &(&f32, &f32)| a.to_bits() != b.to_bits() && !(a.is_nan() && b.is_nan());
            seen.other_bits = first.iter().zip(&y).filter(differ).count() as u64;
        }
        each.push(seen);
    }
    each
}

fn main() -> ExitCode {
    let all = match Kernels::available() {
        Ok(all) => all,
        Err(error) => {
            eprintln!("ulp: {error}");
            return ExitCode::FAILURE;
        }
    };
    say!(
        "| function | instruction set | largest error, ULP | at x | result | inputs above 1 ULP | above 1.5 ULP | wrong |"
    );
    say!("|---|---|---|---|---|---|---|---|");
    let mut wrong = false;
    for function in &FUNCTIONS {
        for (kernels, seen) in all.iter().zip(sweep(function, &all)) {
            let (x, y) = seen.worst;
            say!(
                "| {} | {} | {:.4} | {x:e} ({:#010x}) | {y:e} | {} | {} | {} |",
                function.name,
                kernels.isa(),
                seen.largest,
                x.to_bits(),
                seen.above_1,
                seen.above_1_5,
                seen.wrong + seen.other_bits,
            );
            wrong |= seen.wrong + seen.other_bits > 0;
        }
    }
    if wrong { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
