//! What the tests of the project stand on: the f64 oracle, the PyTorch files, random configurations, a random number generator.

pub mod bounds;
pub mod golden;
pub mod golden_run;
pub mod oracle;
pub mod philox;
pub mod problem;
pub mod rng;
mod rows;
pub mod setup;

/// The Rust in the pages is compiled and run as documentation tests.
#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../../README.md")]
    struct Readme;
    #[doc = include_str!("../../crates/models/README.md")]
    struct OfTheCrate;
    #[doc = include_str!("../../docs/from-pytorch.md")]
    struct FromPyTorch;
    #[doc = include_str!("../../docs/long-term-dependencies.md")]
    struct LongTermDependencies;
    #[doc = include_str!("../../docs/ko/long-term-dependencies.md")]
    struct LongTermDependenciesInKorean;
}
