//! The input of a problem as rows of a table.

use super::memory::Memory;
use super::problem::{Problem, Sizes};
use super::run::{Input, Way};
use gatewise_kernels::{Kernels, PackedCell, ProjectedRows, TableRows};

/// Numbers that stand between those of the steps.
const GAP: usize = 2;

/// Its vectors in another order, projected, and where each of them stands there.
#[derive(Debug)]
pub(super) struct Picked {
    table: ProjectedRows,
    /// Numbers that no row of the table has where no row of the batch takes part.
    rows: Memory<usize>,
    step: usize,
}

impl Picked {
    /// `None` if the way is another one.
    pub(super) fn new(kernels: Kernels, packed: &PackedCell, problem: &Problem, way: &Way) -> Option<Picked> {
        let Input::Rows { .. } = way.input else { return None };
        let Sizes { steps, batch, input, .. } = problem.sizes;
        let vectors = (0..steps * batch).rev();
        let table: Vec<f32> =
            vectors.clone().flat_map(|at| &problem.x[at * input..][..input]).copied().collect();
        let step = batch + GAP;
        let mut rows = vec![usize::MAX; (steps * step).saturating_sub(GAP)];
        for (t, b) in (0..steps).flat_map(|t| (0..batch).map(move |b| (t, b))) {
            if problem.runs(t, b) {
                rows[t * step + b] = steps * batch - 1 - (t * batch + b);
            }
        }
        let table = way.place.put(&table);
        let table = kernels.project_rows(packed, vectors.len(), &table, way.threads());
        Some(Picked { table: table.expect("the table fits"), rows: way.place.put(&rows), step })
    }

    /// From a step on.
    pub(super) fn from(&self, t: usize) -> TableRows<'_> {
        TableRows { table: &self.table, rows: &self.rows[t * self.step..], step: self.step }
    }
}
