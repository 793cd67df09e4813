//! What the examples share: files that are whole, command lines whose errors are one line, output that may be
//! closed, charts.

pub mod chart;
pub mod command_line;
pub mod files;
pub mod print;
