//! The promises about bits: how a pass is cut, shared out, laid out or dispatched changes none of them.

use super::cells::{cells, options, sizes, ways};
use super::problem::{Options, Problem, Sizes, row_of_state, row_of_steps};
use super::run::{Forwarded, Input, Way, forward, pack, steps};
use super::run_back::{Backwarded, backward};
use super::support::{assert_bits, available, config, fused, on_threads};
use gatewise_kernels::{Cell, Kernels};
use proptest::prelude::*;
use rayon::prelude::*;
use std::sync::atomic::{AtomicBool, Ordering};

/// Multiply-adds of a case; each is run a dozen times.
const WORK: usize = 1 << 16;

/// Everything that both runs kept.
#[track_caller]
fn assert_same_forward(what: &str, got: &Forwarded, expected: &Forwarded) {
    assert_bits(&format!("{what}: y"), &got.y, &expected.y);
    for (name, got, expected) in [("c", &got.c, &expected.c), ("gates", &got.gates, &expected.gates)] {
        if !got.is_empty() && !expected.is_empty() {
            assert_bits(&format!("{what}: {name}"), got, expected);
        }
    }
    assert_bits(&format!("{what}: h_n"), &got.h_n, &expected.h_n);
    assert_bits(&format!("{what}: c_n"), &got.c_n, &expected.c_n);
}

#[track_caller]
fn assert_same_backward(what: &str, got: &Backwarded, expected: &Backwarded) {
    assert_bits(&format!("{what}: d gates"), &got.d_gates, &expected.d_gates);
    assert_bits(&format!("{what}: dh"), &got.dh, &expected.dh);
    assert_bits(&format!("{what}: dc"), &got.dc, &expected.dc);
    if !got.dh_steps.is_empty() && !expected.dh_steps.is_empty() {
        assert_bits(&format!("{what}: dh of each step"), &got.dh_steps, &expected.dh_steps);
        assert_bits(&format!("{what}: dc of each step"), &got.dc_steps, &expected.dc_steps);
    }
}

/// Both passes.
fn both(kernels: Kernels, problem: &Problem, way: &Way, cuts: &[usize]) -> (Forwarded, Backwarded) {
    let packed = pack(kernels, problem);
    let run = forward(kernels, &packed, problem, &Way { keep: true, ..*way });
    let back = backward(kernels, &packed, problem, &run, way, cuts);
    (run, back)
}

proptest! {
    #![proptest_config(config())]

    /// Any layout, projection chunk, number of shards, kept or not.
    #[test]
    fn a_pass_has_the_same_bits_run_any_way(
        cell in cells(), sizes in sizes(WORK), options in options(), way in ways(), seed in any::<u64>(),
    ) {
        let problem = Problem::draw(cell, sizes, options, seed);
        for kernels in available() {
            let (run, back) = both(kernels, &problem, &Way::default(), &[]);
            let (other, other_back) = both(kernels, &problem, &way, &[]);
            assert_same_forward("another way", &other, &run);
            assert_same_backward("another way", &other_back, &back);
            assert_same_forward("not kept", &forward(kernels, &pack(kernels, &problem), &problem, &way), &run);
        }
    }

    #[test]
    fn specialised_kernels_have_the_bits_of_those_for_any_size(
        cell in cells(), hidden in prop::sample::select(vec![8_usize, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128]),
        batch in prop_oneof![Just(1), 2..9_usize], input in 0..9_usize, options in options(), way in ways(),
        seed in any::<u64>(),
    ) {
        let steps_of_case = (WORK / (4 * batch * hidden * (hidden + input))).clamp(1, 5);
        let problem = Problem::draw(cell, Sizes { steps: steps_of_case, batch, input, hidden }, options, seed);
        let single = Way { input: Input::FusedSingle, ..way };
        for kernels in available() {
            for way in [way, single] {
                let (run, back) = both(kernels, &problem, &way, &[]);
                let (any, any_back) = both(kernels.any_size(), &problem, &way, &[]);
                assert_same_forward("any size", &any, &run);
                assert_same_backward("any size", &any_back, &back);
            }
        }
    }

    #[test]
    fn fused_instruction_sets_have_the_same_bits(
        cell in cells(), sizes in sizes(WORK), options in options(), way in ways(), seed in any::<u64>(),
    ) {
        let problem = Problem::draw(cell, sizes, options, seed);
        let mut all = fused().into_iter().map(|kernels| both(kernels, &problem, &way, &[]));
        if let Some((run, back)) = all.next() {
            for (other, other_back) in all {
                assert_same_forward("another instruction set", &other, &run);
                assert_same_backward("another instruction set", &other_back, &back);
            }
        }
    }

    #[test]
    fn a_row_has_the_same_bits_alone(
        cell in cells(), sizes in sizes(WORK), options in options(), way in ways(), seed in any::<u64>(),
        row in any::<prop::sample::Index>(),
    ) {
        let problem = Problem::draw(cell, sizes, options, seed);
        let Sizes { batch, hidden, .. } = sizes;
        let (b, saved) = (row.index(batch), cell.saved() * hidden);
        let alone = problem.row(b);
        for kernels in available() {
            let (run, back) = both(kernels, &problem, &way, &[]);
            let (own, own_back) = both(kernels, &alone, &way, &[]);
            let state = |data: &[f32]| if data.is_empty() { vec![] } else { row_of_state(data, b, hidden) };
            let steps = |data: &[f32], width: usize| row_of_steps(data, batch, b, width);
            let of_batch = Forwarded {
                y: steps(&run.y, hidden),
                c: steps(&run.c, hidden),
                gates: steps(&run.gates, saved),
                h_n: state(&run.h_n),
                c_n: state(&run.c_n),
                id: run.id,
            };
            let of_batch_back = Backwarded {
                d_gates: steps(&back.d_gates, saved),
                dh: state(&back.dh),
                dc: state(&back.dc),
                dh_steps: steps(&back.dh_steps, hidden),
                dc_steps: steps(&back.dc_steps, hidden),
                id: back.id,
            };
            assert_same_forward("alone", &own, &of_batch);
            assert_same_backward("alone", &own_back, &of_batch_back);
        }
    }

    #[test]
    fn a_sequence_has_the_same_bits_in_chunks(
        cell in cells(), sizes in sizes(WORK), options in options(), way in ways(), seed in any::<u64>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let problem = Problem::draw(cell, sizes, Options { state: true, ..options }, seed);
        let cut = cut.index(sizes.steps + 1);
        for kernels in available() {
            let packed = pack(kernels, &problem);
            let whole = forward(kernels, &packed, &problem, &Way::default());
            let c_0 = problem.c_0.clone().unwrap_or_default();
            let first = problem.steps(0, cut, problem.h_0.clone().expect("drawn"), c_0);
            let first = forward(kernels, &packed, &first, &way);
            let second = problem.steps(cut, sizes.steps, first.h_n.clone(), first.c_n.clone());
            let second = forward(kernels, &packed, &second, &way);
            let joined = Forwarded {
                y: [first.y, second.y].concat(),
                c: [first.c, second.c].concat(),
                gates: [first.gates, second.gates].concat(),
                ..second
            };
            assert_same_forward("in chunks", &joined, &whole);
        }
    }

    #[test]
    fn a_sequence_has_the_same_bits_step_by_step(
        cell in cells(), sizes in sizes(WORK), options in options(), way in ways(), seed in any::<u64>(),
    ) {
        let problem = Problem::draw(cell, sizes, Options { rows: 0, ..options }, seed);
        for kernels in available() {
            let packed = pack(kernels, &problem);
            let whole = forward(kernels, &packed, &problem, &way);
            assert_same_forward("step by step", &steps(kernels, &packed, &problem, &way), &whole);
        }
    }

    #[test]
    fn backward_has_the_same_bits_in_time_chunks(
        cell in cells(), sizes in sizes(WORK), options in options(), way in ways(), seed in any::<u64>(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let problem = Problem::draw(cell, sizes, options, seed);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.index(sizes.steps + 1)).collect();
        cuts.sort_unstable();
        for kernels in available() {
            let (_, whole) = both(kernels, &problem, &Way::default(), &[]);
            let (_, chunks) = both(kernels, &problem, &way, &cuts);
            assert_same_backward("in time chunks", &chunks, &whole);
        }
    }
}

/// Teams within the jobs of a pool, and in one whose other thread has something else to do, give the same bits and end.
#[test]
fn a_team_needs_no_free_thread() {
    let options = Options { bias: true, state: true, dy: true, ..Options::default() };
    let problem = Problem::draw(Cell::Gru, Sizes { steps: 60, batch: 2, input: 9, hidden: 70 }, options, 5);
    let way = Way { input: Input::Projected(16), slices: 2, ..Way::default() };
    for kernels in available() {
        let packed = pack(kernels, &problem);
        let alone = forward(kernels, &packed, &problem, &Way { slices: 1, ..way });
        let check = || {
            let run = forward(kernels, &packed, &problem, &way);
            assert_same_forward("a team", &run, &alone);
            let back = backward(kernels, &packed, &problem, &run, &way, &[20]);
            let expected = backward(kernels, &packed, &problem, &run, &Way { slices: 1, ..way }, &[]);
            assert_same_backward("a team", &back, &expected);
        };
        on_threads(2, || (0..6).into_par_iter().for_each(|_| check()));
        let (is_busy, is_over) = (AtomicBool::new(false), AtomicBool::new(false));
        let wait_for = |flag: &AtomicBool| {
            while !flag.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
        };
        on_threads(2, || {
            rayon::scope(|scope| {
                scope.spawn(|_| {
                    is_busy.store(true, Ordering::Relaxed);
                    wait_for(&is_over);
                });
                wait_for(&is_busy);
                check();
                is_over.store(true, Ordering::Relaxed);
            });
        });
    }
}
