//! Every cell kernel against the f64 oracle: forward, single steps, and backward.
//!
//! Bounds are formulas: a single step within 16 eps, a sequence within `4 ceil(log2(n T)) eps` (n = I + H, the length of
//! its sums), both absolute below 1 and relative above; a gradient within twice that times the largest magnitude of its
//! array. Every element is compared; no norm stands in for them.

use super::memory::Place;
use super::problem::{Options, Problem, Sizes, Solution};
use super::run::{Forwarded, Input, Way, forward, pack, steps};
use super::run_back::{Backwarded, backward};
use super::sequence::Layout;
use super::support::{EPS, UNTOUCHED, available, config, same, sequence_bound};
use gatewise_kernels::{Cell, Form, Kernels, Pass, registry};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// Multiply-adds of a random case.
const WORK: usize = 1 << 18;

/// Each element within `bound * max(scale, |expected|)` where its row ran, and untouched elsewhere.
#[track_caller]
fn assert_close(what: &str, problem: &Problem, got: &[f32], expected: &[f64], bound: f64, scale: f64) {
    assert_eq!(got.len(), expected.len(), "{what}: lengths");
    let lines = problem.sizes.steps * problem.sizes.batch;
    let width = got.len() / lines.max(1);
    for i in 0..got.len() {
        let (t, b) = (i / width / problem.sizes.batch, i / width % problem.sizes.batch);
        if !problem.runs(t, b) {
            assert!(same(got[i], UNTOUCHED), "{what}[{t}, {b}, {}] was written, but did not run", i % width);
            continue;
        }
        let error = (f64::from(got[i]) - expected[i]).abs();
        let most = bound * expected[i].abs().max(scale);
        let (got, expected) = (got[i], expected[i]);
        assert!(
            error <= most,
            "{what}[{t}, {b}, {}]: {got:e}, expected {expected:e}: off by {error:e} > {most:e}",
            i % width
        );
    }
}

/// The same for a [B, H] array, all of whose rows count.
#[track_caller]
fn assert_state(what: &str, got: &[f32], expected: &[f64], bound: f64, scale: f64) {
    assert_eq!(got.len(), expected.len(), "{what}: lengths");
    for i in 0..got.len() {
        let error = (f64::from(got[i]) - expected[i]).abs();
        let most = bound * expected[i].abs().max(scale);
        let (got, expected) = (got[i], expected[i]);
        assert!(error <= most, "{what}[{i}]: {got:e}, expected {expected:e}: off by {error:e} > {most:e}");
    }
}

fn assert_forward(problem: &Problem, got: &Forwarded, expected: &Solution, bound: f64) {
    assert_close("y", problem, &got.y, &expected.y, bound, 1.0);
    if !got.c.is_empty() {
        assert_close("c", problem, &got.c, &expected.c, bound, 1.0);
    }
    if !got.gates.is_empty() {
        assert_close("gates", problem, &got.gates, &expected.gates, bound, 1.0);
    }
    assert_state("h_n", &got.h_n, &expected.h_n, bound, 1.0);
    assert_state("c_n", &got.c_n, &expected.c_n, bound, 1.0);
}

fn assert_backward(problem: &Problem, got: &Backwarded, expected: &Solution, bound: f64) {
    // Below the smallest normal float the spacing no longer shrinks with the value: a rounding error is as large there.
    let smallest = f64::from(f32::MIN_POSITIVE);
    let largest = |array: &[f64]| array.iter().fold(smallest, |most, x| most.max(x.abs()));
    let bound = 2.0 * bound;
    let (dh, dc) = (largest(&expected.dh_steps), largest(&expected.dc_steps));
    // A gate's gradient is dL/dh or dL/dc times a slope such as 1 - h^2, whose error does not shrink with it where h is near 1.
    let gates = &expected.d_gates;
    assert_close("d gates", problem, &got.d_gates, gates, bound, largest(gates).max(dh).max(dc));
    // What leaves the first step is one more gradient of the same chain: what cancels in it was as large as in the others.
    assert_state("dh", &got.dh, &expected.dh, bound, dh.max(largest(&expected.dh)));
    assert_state("dc", &got.dc, &expected.dc, bound, dc.max(largest(&expected.dc)));
    if !got.dh_steps.is_empty() {
        let (dh, dc) = (&expected.dh_steps, &expected.dc_steps);
        assert_close("dh of each step", problem, &got.dh_steps, dh, bound, largest(dh));
        assert_close("dc of each step", problem, &got.dc_steps, dc, bound, largest(dc));
    }
}

/// Whether the slope of a relu may differ from the oracle's for reasons of rounding alone.
fn slope_is_open(problem: &Problem, expected: &Solution, bound: f64) -> bool {
    problem.cell == Cell::RnnRelu && expected.nearest_to_zero <= bound
}

fn bound_of(problem: &Problem) -> f64 {
    let Sizes { steps, input, hidden, .. } = problem.sizes;
    sequence_bound(input + hidden, steps)
}

pub(super) fn cells() -> impl Strategy<Value = Cell> {
    prop::sample::select(Cell::ALL.to_vec())
}

pub(super) fn options() -> impl Strategy<Value = Options> {
    (any::<[bool; 5]>(), 0..3_u8).prop_map(|([bias, state, resets, reset_state, dy], rows)| Options {
        bias,
        state,
        resets,
        reset_state,
        dy,
        rows,
    })
}

/// Sizes of at most that many multiply-adds for a cell of four gates: long with few units, or wide with few steps.
pub(super) fn sizes(work: usize) -> impl Strategy<Value = Sizes> {
    let hidden = prop_oneof![
        6 => 1..40_usize,
        2 => prop::sample::select(vec![47_usize, 48, 63, 64, 65, 80, 96, 97]),
        1 => prop::sample::select(vec![127_usize, 128, 129, 160]),
    ];
    let input = prop_oneof![1 => Just(0_usize), 6 => 1..20_usize, 1 => 20..80_usize];
    let steps = prop_oneof![2 => Just(1_usize), 6 => 2..20_usize, 1 => 20..512_usize];
    // Few rows, or several bands of tiles.
    let batch = prop_oneof![6 => 1..14_usize, 1 => 14..130_usize];
    (steps, batch, input, hidden).prop_map(move |(mut steps, mut batch, input, hidden)| {
        let per_step = 4 * hidden * (input + hidden);
        while steps * batch * per_step > work && (steps, batch) != (1, 1) {
            if batch > 1 && batch * 20 > steps { batch -= 1 } else { steps -= 1 }
        }
        Sizes { steps, batch, input, hidden }
    })
}

pub(super) fn ways() -> impl Strategy<Value = Way> {
    let layout = prop::sample::select(Layout::ALL.to_vec());
    let input = prop_oneof![
        Just(Input::Fused),
        Just(Input::FusedSingle),
        (1..9_usize).prop_map(Input::Projected),
        any::<bool>().prop_map(|single| Input::Rows { single })
    ];
    (layout, input, 1..5_usize, 1..5_usize, any::<[bool; 4]>()).prop_map(
        |(layout, input, shards, slices, [keep, c_0_in_c, observe, more_flags])| Way {
            place: Place::Heap,
            layout,
            input,
            // Either the rows are shared out, or the units.
            shards: if slices > 1 { 1 } else { shards },
            slices,
            keep,
            c_0_in_c,
            observe,
            more_flags,
        },
    )
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn forward_is_within_the_bound(
        cell in cells(), sizes in sizes(WORK), options in options(), way in ways(), seed in any::<u64>(),
    ) {
        let problem = Problem::draw(cell, sizes, options, seed);
        let expected = problem.solve();
        for kernels in available() {
            let got = forward(kernels, &pack(kernels, &problem), &problem, &way);
            assert_forward(&problem, &got, &expected, bound_of(&problem));
        }
    }

    #[test]
    fn backward_is_within_the_bound(
        cell in cells(), sizes in sizes(WORK / 2), options in options(), way in ways(), seed in any::<u64>(),
    ) {
        let problem = Problem::draw(cell, sizes, options, seed);
        let expected = problem.solve();
        let bound = bound_of(&problem);
        prop_assume!(!slope_is_open(&problem, &expected, bound));
        let way = Way { keep: true, ..way };
        for kernels in available() {
            let packed = pack(kernels, &problem);
            let run = forward(kernels, &packed, &problem, &way);
            let got = backward(kernels, &packed, &problem, &run, &way, &[]);
            assert_backward(&problem, &got, &expected, bound);
        }
    }

    #[test]
    fn single_steps_are_within_the_bound(
        cell in cells(), sizes in sizes(WORK / 4), options in options(), shards in 1..5_usize, seed in any::<u64>(),
    ) {
        let problem = Problem::draw(cell, sizes, Options { rows: 0, ..options }, seed);
        let expected = problem.solve();
        for kernels in available() {
            let way = Way { shards, ..Way::default() };
            let got = steps(kernels, &pack(kernels, &problem), &problem, &way);
            assert_forward(&problem, &got, &expected, bound_of(&problem));
        }
    }
}

/// One row, and the batch sizes around every height of a tile.
fn batches(kernels: &[Kernels]) -> BTreeSet<usize> {
    let heights = kernels.iter().flat_map(|kernels| registry(kernels.isa())).map(|row| row.tile.0);
    heights.flat_map(|height| [1, height.max(2) - 1, height, height + 1]).collect()
}

/// Runs one row of the registry on problems of this hidden size, and answers the ids of the kernels that ran.
fn run_row(kernels: &[Kernels], cell: Cell, pass: Pass, hidden: usize, seed: u64) -> BTreeSet<&'static str> {
    let mut ids = BTreeSet::new();
    let all = if pass == Pass::Step && hidden > 64 { BTreeSet::from([1]) } else { batches(kernels) };
    for batch in all {
        let steps_of_case = if pass == Pass::Step { 1 } else { 3 };
        let input = 1 + (seed as usize * 7 + batch) % 9;
        let options =
            Options { bias: true, state: true, resets: false, reset_state: false, dy: true, rows: 0 };
        let sizes = Sizes { steps: steps_of_case, batch, input, hidden };
        let problem = Problem::draw(cell, sizes, options, seed * 1000 + hidden as u64);
        let expected = problem.solve();
        let bound = if pass == Pass::Step { 16.0 * EPS } else { bound_of(&problem) };
        for &kernels in kernels {
            for kernels in [kernels, kernels.any_size()] {
                let packed = pack(kernels, &problem);
                if pass == Pass::Step {
                    let got = steps(kernels, &packed, &problem, &Way::default());
                    assert_forward(&problem, &got, &expected, bound);
                    ids.insert(got.id);
                    continue;
                }
                let way = Way { input: Input::Projected(2), ..Way::default() };
                let run = forward(kernels, &packed, &problem, &way);
                if pass == Pass::Forward {
                    assert_forward(&problem, &run, &expected, bound);
                    ids.insert(run.id);
                } else if !slope_is_open(&problem, &expected, bound) {
                    let got = backward(kernels, &packed, &problem, &run, &way, &[]);
                    assert_backward(&problem, &got, &expected, bound);
                    ids.insert(got.id);
                }
            }
        }
    }
    ids
}

/// Rows of a pass come in bands of tiles of one height; a band ends where the sums of the cell's block are as many as fit.
#[test]
fn bands_of_tiles_end_at_any_row() {
    let options = Options { bias: true, state: true, dy: true, ..Options::default() };
    for cell in Cell::ALL {
        for (batch, hidden) in
            [17, 18, 19, 24, 25, 36, 59, 60, 61, 66, 121].into_iter().zip([3, 17, 35].into_iter().cycle())
        {
            let problem =
                Problem::draw(cell, Sizes { steps: 2, batch, input: 5, hidden }, options, batch as u64);
            let expected = problem.solve();
            let bound = bound_of(&problem);
            let is_open = slope_is_open(&problem, &expected, bound);
            for kernels in available() {
                let packed = pack(kernels, &problem);
                for input in [Input::Fused, Input::Projected(2)] {
                    let way = Way { input, keep: true, ..Way::default() };
                    let run = forward(kernels, &packed, &problem, &way);
                    assert_forward(&problem, &run, &expected, bound);
                    if !is_open {
                        let got = backward(kernels, &packed, &problem, &run, &way, &[]);
                        assert_backward(&problem, &got, &expected, bound);
                    }
                }
            }
        }
    }
}

/// Walks the registry of PyTorch's cells (`tests/options` has the other forms): each cell's kernel at its size and one unit to each
/// side, at every batch size around the largest tile, on several draws. A row that no problem reached is a failure.
#[test]
fn every_row_of_the_registry_is_within_the_bound() {
    let kernels = available();
    let all = || kernels.iter().flat_map(|kernels| registry(kernels.isa()));
    let rows = || all().filter(|row| row.form == Form::Plain);
    let wanted: BTreeSet<&str> = rows().filter(|row| row.cell.is_some()).map(|row| row.id).collect();
    let mut cases = BTreeSet::new();
    for row in rows() {
        let (Some(cell), pass) = (row.cell, row.pass) else { continue };
        let tile = row.tile.1 * row.lanes;
        let hidden = match row.hidden {
            Some(hidden) => vec![hidden - 1, hidden, hidden + 1],
            None => vec![1, row.lanes - 1, row.lanes, row.lanes + 1, tile - 1, tile, tile + 1, 2 * tile + 3],
        };
        cases.extend(hidden.into_iter().map(|hidden| (cell.name(), pass_order(pass), hidden)));
    }
    let mut ran = BTreeSet::new();
    for (cell, pass, hidden) in cases {
        let cell = Cell::ALL.into_iter().find(|c| c.name() == cell).expect("the name of a cell");
        let pass = [Pass::Step, Pass::Forward, Pass::Backward][pass];
        for seed in 0..if hidden > 256 { 2 } else { 6 } {
            ran.extend(run_row(&kernels, cell, pass, hidden, seed));
        }
    }
    let missed: Vec<_> = wanted.difference(&ran).collect();
    assert!(missed.is_empty(), "no problem reached {missed:?}");
}

fn pass_order(pass: Pass) -> usize {
    match pass {
        Pass::Step => 0,
        Pass::Forward => 1,
        Pass::Backward => 2,
        other => panic!("{other:?} is not a cell's pass"),
    }
}
