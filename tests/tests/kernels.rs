//! What proves `gatewise-kernels`: every kernel against the f64 oracle or a naive f64 sum, every promise about bits by
//! its bits, guard pages around every argument, and every wrong argument as an error.

mod kernels {
    mod bits;
    mod cells;
    mod errors;
    mod errors_gemm;
    mod errors_rows;
    mod gemm;
    mod guard;
    mod math;
    mod memory;
    mod picked;
    mod problem;
    mod registry;
    mod run;
    mod run_back;
    mod sequence;
    mod special;
    mod sums;
    mod support;
}
