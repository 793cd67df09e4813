//! What the tests of the project stand on: the f64 oracle, the PyTorch files, a random number generator.

pub mod golden;
pub mod golden_run;
pub mod oracle;
pub mod rng;
