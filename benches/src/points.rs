//! What is timed of the kernels: every row of the registry for PyTorch's cells, specialised ones beside those for any size.

use gatewise::Cell;
use gatewise_kernels::{Error, Form, Isa, Kernels, Pass, Row, registry};

/// The hidden sizes of a plain run.
const PLAIN: [usize; 3] = [16, 64, 256];

/// Input features: more than the planner fuses into the recurrence, and so few that the recurrence is what is timed.
pub const INPUT: usize = 8;

/// One kernel at one shape.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    /// The kernel.
    pub row: &'static Row,
    /// The handle that chooses it.
    pub kernels: Kernels,
    /// Its cell.
    pub cell: Cell,
    /// H
    pub hidden: usize,
}

impl Point {
    /// T
    pub fn steps(&self) -> usize {
        if self.row.pass == Pass::Step { 1 } else { 20 }
    }

    /// B; forward as few rows as the planner projects the input for.
    pub fn batch(&self) -> usize {
        match self.row.pass {
            Pass::Step => 1,
            Pass::Backward => 32,
            _ => 8,
        }
    }

    /// Registry name, the size it is timed at, and the shape: `f32-lstm-fwd-hn-avx512/lstm-fwd-h128/B32-T20-I8`.
    pub fn id(&self) -> String {
        let pass = match self.row.pass {
            Pass::Step => "step",
            Pass::Backward => "bwd",
            _ => "fwd",
        };
        let (cell, hidden) = (self.cell.name(), self.hidden);
        format!("{}/{cell}-{pass}-h{hidden}/B{}-T{}-I{INPUT}", self.row.id, self.batch(), self.steps())
    }
}

/// Whether everything is walked: `GATEWISE_BENCH=all`, or a filter that may name anything.
pub fn is_all() -> bool {
    let arguments: Vec<String> = std::env::args().collect();
    let is_filter = |pair: &[String]| !pair[1].starts_with('-') && !pair[0].starts_with("--");
    std::env::var("GATEWISE_BENCH").is_ok_and(|value| value == "all") || arguments.windows(2).any(is_filter)
}

/// The kernels of PyTorch's cells on every instruction set of this machine, each at the sizes that there are kernels for; in a
/// plain run at three of them.
///
/// # Errors
/// [`Error::UnknownIsa`] if the ceiling names no instruction set.
pub fn points(all: bool) -> Result<Vec<Point>, Error> {
    let mut sizes: Vec<usize> = Isa::ALL
        .into_iter()
        .flat_map(registry)
        .filter_map(|row| row.hidden)
        .filter(|h| all || PLAIN.contains(h))
        .collect();
    sizes.sort_unstable();
    sizes.dedup();
    let mut points = Vec::new();
    for kernels in Kernels::available()? {
        for row in registry(kernels.isa()).iter().filter(|row| row.form == Form::Plain) {
            let Some(cell) = row.cell else { continue };
            for &hidden in &sizes {
                if row.hidden.is_none_or(|own| own == hidden) {
                    let kernels = if row.hidden.is_none() { kernels.any_size() } else { kernels };
                    points.push(Point { row, kernels, cell, hidden });
                }
            }
        }
    }
    Ok(points)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_name_registry_rows() {
        for all in [false, true] {
            let points = points(all).unwrap();
            let mut ids: Vec<String> = points.iter().map(Point::id).collect();
            ids.sort();
            let count = ids.len();
            ids.dedup();
            assert_eq!(ids.len(), count);
            assert!(points.iter().all(|point| point.id().starts_with(point.row.id)));
        }
    }

    #[test]
    fn everything_is_walked() {
        let points = points(true).unwrap();
        let is_plain = |row: &&Row| row.cell.is_some() && row.form == Form::Plain;
        for kernels in Kernels::available().unwrap() {
            for row in registry(kernels.isa()).iter().filter(is_plain) {
                assert!(points.iter().any(|point| point.row.id == row.id), "{}", row.id);
            }
        }
        assert!(points.iter().any(|point| point.id().contains("lstm-fwd-h128")));
    }
}
