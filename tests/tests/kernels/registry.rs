//! The table that dispatch, tests and benches read: its ids, and what they say.

use gatewise_kernels::{Cell, Form, Isa, Pass, Row, registry};
use std::collections::BTreeSet;

/// Kernels that the project may have: each costs code, compile time and a proof.
const BUDGET: usize = 300;

fn all() -> impl Iterator<Item = &'static Row> {
    Isa::ALL.into_iter().flat_map(registry)
}

/// `f32-<cell>-<pass>-h<size>-<isa>`, or `f32-<operation>-<isa>` for what no cell owns.
fn id_of(row: &Row) -> String {
    let pass = match row.pass {
        Pass::Step => "step".to_owned(),
        Pass::Forward => "fwd".to_owned(),
        Pass::Backward => "bwd".to_owned(),
        Pass::Matmul => "matmul".to_owned(),
        Pass::Exp => "exp".to_owned(),
        Pass::Sigmoid => "sigmoid".to_owned(),
        Pass::Tanh => "tanh".to_owned(),
        Pass::SumRows => "sum_rows".to_owned(),
        Pass::SumSquares => "sum_squares".to_owned(),
    };
    match row.cell {
        Some(cell) => {
            let hidden = row.hidden.map_or("n".to_owned(), |hidden| hidden.to_string());
            // With activations of their own, the two vanilla cells are one.
            let cell = match (row.form, cell) {
                (Form::Plain, cell) => cell.name().to_owned(),
                (Form::With, Cell::RnnTanh | Cell::RnnRelu) => "rnn_with".to_owned(),
                (Form::With, cell) => format!("{}_with", cell.name()),
                (Form::ResetBefore, cell) => format!("{}_reset_before", cell.name()),
            };
            format!("f32-{cell}-{pass}-h{hidden}-{}", row.isa)
        }
        None => format!("f32-{pass}-{}", row.isa),
    }
}

#[test]
fn ids_are_unique_and_say_what_the_row_is() {
    let mut ids = BTreeSet::new();
    for row in all() {
        assert_eq!(row.id, id_of(row));
        assert!(ids.insert(row.id), "{} stands there twice", row.id);
    }
}

#[test]
fn rows_belong_to_their_instruction_set() {
    for isa in Isa::ALL {
        for row in registry(isa) {
            let lanes = match isa {
                Isa::Portable => 4,
                Isa::Avx2Fma => 8,
                Isa::Avx512 => 16,
            };
            assert_eq!(row.isa, isa, "{}", row.id);
            assert!(row.lanes.is_power_of_two() && row.lanes <= lanes, "{} has {} lanes", row.id, row.lanes);
            // The weights of a cell are packed once for all its kernels.
            let matmul = registry(isa).iter().find(|row| row.pass == Pass::Matmul).expect("a matmul");
            let packed = matches!(row.pass, Pass::Step | Pass::Forward | Pass::Backward);
            assert!(!packed || (row.lanes, row.nr) == (matmul.lanes, matmul.nr), "{}", row.id);
            assert!(row.tile.0 >= 1 && row.tile.1 >= 1 && row.unroll >= 1, "{}", row.id);
            let cell_pass = matches!(row.pass, Pass::Step | Pass::Forward | Pass::Backward);
            assert_eq!(row.cell.is_some(), cell_pass, "{}", row.id);
            assert!(row.hidden.is_none() || cell_pass, "{}", row.id);
        }
    }
}

/// Whatever the sizes, there is a kernel.
#[test]
fn every_cell_and_pass_has_a_kernel_for_any_size() {
    for isa in Isa::ALL {
        for cell in Cell::ALL {
            for pass in [Pass::Step, Pass::Forward, Pass::Backward] {
                let any = |row: &&Row| {
                    (row.cell, row.form, row.pass, row.hidden) == (Some(cell), Form::Plain, pass, None)
                };
                assert_eq!(registry(isa).iter().filter(any).count(), 1, "{isa} {} {pass:?}", cell.name());
            }
        }
    }
}

/// Step kernels for the same cells and sizes on every instruction set that has any, but that up to eight units take those of AVX2 on
/// AVX-512 too; beside them, and nowhere else, what was measured to gain from a size of its own.
#[test]
fn instruction_sets_agree_on_the_sizes() {
    let key = |row: &Row| (row.cell.map_or("", Cell::name), row.hidden);
    let sized = |isa: Isa| registry(isa).iter().filter(|row| row.hidden.is_some());
    let steps =
        |isa: Isa| -> BTreeSet<_> { sized(isa).filter(|row| row.pass == Pass::Step).map(key).collect() };
    let (avx2, avx512) = (steps(Isa::Avx2Fma), steps(Isa::Avx512));
    assert!(!avx2.is_empty() && sized(Isa::Portable).next().is_none());
    assert_eq!(avx512, avx2.iter().copied().filter(|(_, hidden)| *hidden > Some(8)).collect());
    for row in Isa::ALL.into_iter().flat_map(sized) {
        assert!(steps(row.isa).contains(&key(row)), "{} has no step kernel beside it", row.id);
    }
}

#[test]
fn kernels_stay_within_the_budget() {
    let rows = all().count();
    assert!(rows <= BUDGET, "{rows} kernels, {BUDGET} may be");
}
