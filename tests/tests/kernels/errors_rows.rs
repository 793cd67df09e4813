//! Every wrong argument of passes over rows of a table is an error that names it, and nothing is written then.

use super::errors::named;
use super::problem::{Options, Problem, Sizes};
use super::run::{ForwardMemory, Way, pack};
use super::support::{assert_bits, available};
use gatewise_kernels::plan::{ForwardPlan, Projection};
use gatewise_kernels::{Cell, Error, Forward, Kernels, PackedCell, ProjectedRows, Seq, Step, TableRows};

const SIZES: Sizes = Sizes { steps: 3, batch: 2, input: 2, hidden: 5 };
/// Rows of the table.
const ROWS: usize = 4;
const PLAN: ForwardPlan =
    ForwardPlan { projection: Projection::Fused, shards: 1, slices: 1, shard_scratch: 0, single_row: false };

/// All rows of the batch take part in the first step, and one in the second.
fn problem() -> Problem {
    let options = Options { state: true, rows: 1, ..Options::default() };
    let mut problem = Problem::draw(Cell::Lstm, SIZES, options, 1);
    problem.rows = super::problem::Rows::First(vec![2, 1]);
    problem
}

fn project(kernels: Kernels, packed: &PackedCell) -> ProjectedRows {
    kernels.project_rows(packed, ROWS, &[0.5; ROWS * 2], 1).expect("the table fits")
}

/// Both passes refuse, and leave all outputs as they were.
#[track_caller]
fn both_refuse(kernels: Kernels, packed: &PackedCell, rows: TableRows<'_>) -> [Error; 2] {
    let problem = problem();
    let mut memory = ForwardMemory::new(&problem, &Way::default(), 0);
    let before = memory.outputs();
    let args = Forward { x: Seq::time_major(&[], 2, 0), ..memory.args() };
    let of_forward = kernels.forward_rows(packed, &PLAN, rows, args).unwrap_err();
    assert_bits("outputs", &memory.outputs(), &before);

    let (mut h_1, mut c) = ([7.0; 10], [8.0; 10]);
    let args = Step { batch: 2, x: &[], h_0: &[0.5; 10], h_1: &mut h_1, c: &mut c };
    let of_step = kernels.step_rows(packed, rows, args, 1).unwrap_err();
    assert_eq!((h_1, c), ([7.0; 10], [8.0; 10]));
    [of_forward, of_step]
}

#[test]
fn rows_that_are_not_there() {
    for kernels in available() {
        let packed = pack(kernels, &problem());
        let table = &project(kernels, &packed);
        for (rows, step) in [
            (&[0, 1][..1], 1),
            (&[0, ROWS, 0, 0, 0, 0], 2),
            (&[0, usize::MAX, 0, 0, 0, 0], 2),
            (&[ROWS, 0, 0, 0, 0, 0], 2),
        ] {
            let errors = both_refuse(kernels, &packed, TableRows { table, rows, step });
            assert_eq!(errors.map(|error| named(Err(error))), ["rows"; 2], "{rows:?}");
        }
        let words = "rows has inconsistent row: got 4, expected 3";
        let [error, _] = both_refuse(kernels, &packed, TableRows { table, rows: &[4; 6], step: 2 });
        assert_eq!(error.to_string(), words);

        // Enough for a step, but not for a sequence; what belongs to no row of the batch is not looked at.
        let mut memory = ForwardMemory::new(&problem(), &Way::default(), 0);
        for (rows, step, is_fine) in [
            (&[0; 5][..], 2, false),
            (&[0; 6], usize::MAX, false),
            (&[0; 6], 3, false),
            (&[0, 1, 2, usize::MAX, usize::MAX, usize::MAX], 2, true),
            (&[0, 1, usize::MAX, 2, usize::MAX, usize::MAX, usize::MAX, usize::MAX], 3, true),
            (&[3, 1], 0, true),
        ] {
            let args = Forward { x: Seq::time_major(&[], 2, 0), ..memory.args() };
            let done = kernels.forward_rows(&packed, &PLAN, TableRows { table, rows, step }, args);
            assert_eq!(done.is_ok(), is_fine, "{rows:?}");
            if !is_fine {
                assert_eq!(named(done), "rows");
            }
        }
    }
}

/// A table that weights of other sizes, or for other kernels, were multiplied with.
#[test]
fn tables_of_others() {
    let wider = Problem::draw(Cell::Lstm, Sizes { hidden: 70, ..SIZES }, Options::default(), 1);
    for kernels in available() {
        let packed = pack(kernels, &problem());
        let table = &project(kernels, &pack(kernels, &wider));
        let errors = both_refuse(kernels, &packed, TableRows { table, rows: &[0; 6], step: 2 });
        assert_eq!(errors.map(|error| named(Err(error))), ["table"; 2]);
        for other in available().into_iter().filter(|other| other.isa() != kernels.isa()) {
            let refused = Error::IsaUnavailable { isa: other.isa() };
            let table = &project(other, &pack(other, &problem()));
            let errors = both_refuse(kernels, &packed, TableRows { table, rows: &[0; 6], step: 2 });
            assert_eq!(errors, [refused.clone(), refused]);
            let made = other.project_rows(&packed, 1, &[0.5; 2], 1);
            assert_eq!(made.unwrap_err(), Error::IsaUnavailable { isa: kernels.isa() });
        }
    }
}

/// What a table is made of, and what a step of its rows is given beside them.
#[test]
fn features() {
    for kernels in available() {
        let packed = pack(kernels, &problem());
        for (rows, len) in [(1, 1), (1, 3), (3, 2), (0, 1), (usize::MAX, 2)] {
            let made = kernels.project_rows(&packed, rows, &[0.5; 3][..len], 1);
            assert_eq!(named(made.map(drop)), "table", "{rows} rows of {len} floats");
        }
        let table = &project(kernels, &packed);
        let (mut h_1, mut c) = ([7.0; 10], [8.0; 10]);
        let args = Step { batch: 2, x: &[0.5; 4], h_0: &[0.5; 10], h_1: &mut h_1, c: &mut c };
        let rows = TableRows { table, rows: &[0, 1], step: 2 };
        assert_eq!(named(kernels.step_rows(&packed, rows, args, 1)), "input");
        assert_eq!((h_1, c), ([7.0; 10], [8.0; 10]));
    }
}
