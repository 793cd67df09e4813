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
