//! What the measuring programs share: cases, their numbers, timing, the machine's ceilings and the floor
//! made of them, and the comparison with other systems.

pub mod allocations;
pub mod case;
pub mod compare;
pub mod floor;
pub mod machine;
pub mod matmul;
pub mod onnx;
pub mod output;
pub mod points;
pub mod problem;
pub mod report;
pub mod runner;
pub mod serve;
pub mod timing;
