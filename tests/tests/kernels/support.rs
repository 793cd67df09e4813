//! What the suites share: the number of cases, the kernels to run, equality of bits, bounds as formulas.

use gatewise_kernels::{Isa, Kernels};
use proptest::test_runner::Config;
use std::sync::OnceLock;

/// Spacing of floats at 1: 2^-23.
pub(super) const EPS: f64 = f32::EPSILON as f64;

/// What stands in memory that nobody may write.
pub(super) const UNTOUCHED: f32 = -7.25e8;

/// 512 cases, or as many as `PROPTEST_CASES` says. A failure prints its smallest case, which becomes a test with a name;
/// no file keeps it.
pub(super) fn config() -> Config {
    let default = Config::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { default.cases } else { 512 };
    Config { cases, failure_persistence: None, ..default }
}

/// The kernels of each instruction set of this machine.
pub(super) fn available() -> Vec<Kernels> {
    Kernels::available().expect("the environment names an instruction set")
}

/// Those with a fused multiply-add, which promise each other's bits.
pub(super) fn fused() -> Vec<Kernels> {
    available().into_iter().filter(|kernels| kernels.isa() != Isa::Portable).collect()
}

/// Runs a job in a rayon pool of that many threads, 1 to 4.
pub(super) fn on_threads<R: Send>(threads: usize, job: impl FnOnce() -> R + Send) -> R {
    static POOLS: OnceLock<Vec<rayon::ThreadPool>> = OnceLock::new();
    let pools = POOLS.get_or_init(|| {
        let pool = |n| rayon::ThreadPoolBuilder::new().num_threads(n).build();
        (1..=4).map(|n| pool(n).expect("a few threads can be had")).collect()
    });
    pools[threads - 1].install(job)
}

/// The same float: the same bits, or both NaN.
pub(super) fn same(a: f32, b: f32) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
}

/// Panics at the first element whose bits differ.
#[track_caller]
pub(super) fn assert_bits(what: &str, got: &[f32], expected: &[f32]) {
    assert_eq!(got.len(), expected.len(), "{what}: lengths");
    if let Some(i) = (0..got.len()).find(|&i| !same(got[i], expected[i])) {
        let (got, expected) = (got[i], expected[i]);
        panic!(
            "{what}[{i}]: {got:e} ({:#x}), expected {expected:e} ({:#x})",
            got.to_bits(),
            expected.to_bits()
        );
    }
}

/// `4 ceil(log2(n)) eps`: the bound on a recurrent forward pass, `n` the length of its sums times the steps. The error is
/// absolute below 1 and relative above.
pub(super) fn sequence_bound(sums: usize, steps: usize) -> f64 {
    4.0 * ((sums.max(2) * steps.max(1)) as f64).log2().ceil() * EPS
}
