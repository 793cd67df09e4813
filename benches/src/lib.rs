//! What the measuring programs share: cases, their numbers, timing, the machine's ceilings and the floor made of them.

pub mod allocations;
pub mod case;
pub mod floor;
pub mod machine;
pub mod problem;
pub mod report;
pub mod runner;
pub mod timing;
