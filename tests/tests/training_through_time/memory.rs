//! Tapes that keep to a memory budget: the same bits, and no byte more.

use super::case::{Case, Options, all_options, bits, kernels};
use gatewise::{Cell, Error, Gradients, Memory, Network, Optimizer, Sgd, Tape, Upstream, View, mse};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell as Counter;

/// Counts the bytes that each thread holds, and the most it ever held.
struct Counting;

thread_local! {
    /// Which allocation from here on fails; 0 is none.
    static FAILS: Counter<usize> = const { Counter::new(0) };
    static HELD: Counter<isize> = const { Counter::new(0) };
    static MOST: Counter<isize> = const { Counter::new(0) };
}

fn count(bytes: isize) {
    // A thread that is going down has no counters any more.
    let _ = HELD.try_with(|held| {
        held.set(held.get() + bytes);
        let _ = MOST.try_with(|most| most.set(most.get().max(held.get())));
    });
}

/// Whether this allocation is the one that fails.
fn fails() -> bool {
    let fails = FAILS.try_with(|fails| {
        let left = fails.get();
        fails.set(left.saturating_sub(1));
        left == 1
    });
    fails.unwrap_or(false)
}

/// Runs a job whose allocation of that number, from 1, fails on this thread.
pub(super) fn with_failing_allocation<R>(number: usize, job: impl FnOnce() -> R) -> R {
    FAILS.set(number);
    let result = job();
    FAILS.set(0);
    result
}

// SAFETY: hands every call to the system's allocator as it is, or says that there is no memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if fails() {
            return std::ptr::null_mut();
        }
        count(layout.size().cast_signed());
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        count(-layout.size().cast_signed());
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// The most bytes that a job held on this thread beyond those before it.
pub(super) fn most_bytes<R>(job: impl FnOnce() -> R) -> (R, usize) {
    let before = HELD.get();
    MOST.set(before);
    let result = job();
    (result, (MOST.get() - before).cast_unsigned())
}

fn record(case: &Case, tape: &mut Tape) -> Result<(), Error> {
    case.network.forward_train_into(case.input(), Some(&case.state), tape)
}

/// The least budget that the case's pass fits in, as the error says it.
fn least(case: &Case) -> usize {
    match record(case, &mut Tape::with_memory(Memory::Budget(0))) {
        Err(Error::MemoryBudget { needed, got: 0 }) => needed,
        other => panic!("{other:?}"),
    }
}

/// Everything that a pass gives, as bits: outputs, final state, gradients.
fn all_bits(case: &Case, tape: &mut Tape) -> Vec<Vec<u32>> {
    record(case, tape).unwrap();
    let mut state = case.state.clone();
    tape.final_state(&mut state).unwrap();
    let to_bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect();
    let mut all = vec![to_bits(tape.output().data()), to_bits(state.h()), to_bits(state.c())];
    let mut gradients = Gradients::default();
    for _ in 0..2 {
        let mut grads = case.grads();
        case.network.backward_keep(tape, case.upstream(), &mut gradients, &mut grads).unwrap();
        all.push(bits(&grads, &gradients));
    }
    let mut grads = case.grads();
    case.network.backward(tape, case.upstream(), &mut grads).unwrap();
    all.push(bits(&grads, tape.gradients()));
    all
}

/// Every option, and every length of segments that a budget leads to.
#[test]
fn a_budget_changes_no_bit() {
    for kernels in kernels() {
        for (seed, options) in (0..).zip(all_options()) {
            let case = Case::new(Options { steps: 37, ..options }, kernels, seed);
            let mut full = Tape::default();
            let expected = all_bits(&case, &mut full);
            let (least, most) = (least(&case), full.peak_bytes());
            let mut lengths = Vec::new();
            for budget in (least..most).step_by(((most - least) / 8).max(1)) {
                let mut tape = Tape::with_memory(Memory::Budget(budget));
                assert_eq!(all_bits(&case, &mut tape), expected, "{options:?} in {budget} bytes");
                assert!(tape.peak_bytes() <= budget, "{options:?}: {} in {budget}", tape.peak_bytes());
                lengths.push(tape.segment_len());
            }
            assert!(lengths.first().is_some_and(Option::is_some), "{options:?} {least} {most}");
            lengths.dedup();
            assert!(lengths.is_sorted_by_key(|len| len.unwrap_or(usize::MAX)), "{lengths:?}");
        }
    }
}

/// A budget as large as the full tape leaves nothing to run twice.
#[test]
fn a_large_budget_is_a_full_tape() {
    let case = Case::new(Options { steps: 64, ..Options::default() }, kernels()[0], 1);
    let mut tape = Tape::with_memory(Memory::Budget(1 << 20));
    record(&case, &mut tape).unwrap();
    assert_eq!(tape.segment_len(), None);
}

/// What the allocator sees is what the tape reports, and within the budget.
#[test]
fn the_peak_is_measured() {
    for cell in [Cell::RnnTanh, Cell::Lstm, Cell::Gru] {
        for (layers, bidirectional, ragged) in [(1, false, false), (2, true, false), (2, true, true)] {
            let options =
                Options { cell, steps: 3000, batch: 2, layers, bidirectional, ragged, ..Options::default() };
            let case = Case::new(
                Options { dropout: if layers > 1 { 0.3 } else { 0.0 }, ..options },
                kernels()[0],
                2,
            );
            let least = least(&case);
            for budget in [least, least + least / 4, usize::MAX] {
                let mut grads = case.grads();
                let mut tape = Tape::with_memory(Memory::Budget(budget));
                let ((), most) = most_bytes(|| {
                    record(&case, &mut tape).unwrap();
                    case.network.backward(&mut tape, case.upstream(), &mut grads).unwrap();
                });
                let reported = tape.peak_bytes();
                let what = format!("{options:?}: budget {budget}, {most} held, {reported} reported");
                assert!(most <= budget, "{what}");
                // A buffer that grows stands beside its smaller self for a moment.
                assert!(most.abs_diff(reported) <= 16_384, "{what}");
                let is_tight = budget == usize::MAX || most + budget / 8 + 4096 > budget;
                assert!(is_tight, "{what}");
            }
        }
    }
}

/// A second pass of other sizes on the same tape keeps within the budget too.
#[test]
fn a_tape_is_used_again_within_its_budget() {
    let cases = [500, 90, 500]
        .map(|steps| Case::new(Options { steps, layers: 2, ..Options::default() }, kernels()[0], 3));
    let budget = least(&cases[0]) * 11 / 10;
    let mut tape = Tape::with_memory(Memory::Budget(budget));
    let ((), most) = most_bytes(|| {
        for case in &cases {
            record(case, &mut tape).unwrap();
            let mut grads = case.network.params().zeros_like();
            case.network.backward(&mut tape, case.upstream(), &mut grads).unwrap();
            assert!(tape.peak_bytes() <= budget);
        }
    });
    let of_grads = 4 * cases[0].network.params().num_elements() + 4096;
    assert!(most <= budget + of_grads, "{most} held, budget {budget}");
}

#[test]
fn an_impossible_budget_is_refused_with_the_least_that_works() {
    let case = Case::new(Options { steps: 200, layers: 2, ..Options::default() }, kernels()[0], 4);
    let least = least(&case);
    let mut tape = Tape::with_memory(Memory::Budget(least));
    record(&case, &mut tape).unwrap();
    let longer = Case::new(Options { steps: 400, layers: 2, ..Options::default() }, kernels()[0], 4);
    let error = record(&longer, &mut tape).unwrap_err();
    let Error::MemoryBudget { needed, got } = error else { panic!("{error:?}") };
    assert_eq!(got, least);
    let message = format!(
        "a memory budget of {least} bytes is too small for this pass: it needs {needed} bytes at least"
    );
    assert_eq!(error.to_string(), message);
    assert!(record(&longer, &mut Tape::with_memory(Memory::Budget(needed - 1))).is_err());
    record(&longer, &mut Tape::with_memory(Memory::Budget(needed))).unwrap();
    // The pass before is still there.
    case.network.backward(&mut tape, case.upstream(), &mut case.grads()).unwrap();
}

/// 100 000 steps within 5 MB, where the full tape takes 20: the gradients have the same bits, and the loss goes down.
#[test]
fn a_hundred_thousand_steps_train_in_five_megabytes() {
    const STEPS: usize = 100_000;
    const BUDGET: usize = 5_000_000;
    let mut network = Network::with_cell(Cell::Lstm, 1, 8).seed(5).build().unwrap();
    // The output is to be what came two steps before.
    let x: Vec<f32> = (0..STEPS).map(|t| (t as f32 * 0.7).sin()).collect();
    let target: Vec<f32> = (0..STEPS * 8).map(|i| 0.5 * ((i / 8) as f32 * 0.7 - 1.4).sin()).collect();
    let input = View::new(&x, [STEPS, 1, 1]).unwrap();
    let mut tape = Tape::with_memory(Memory::Budget(BUDGET));
    let (mut dy, mut losses, mut sgd) = (vec![0.0; target.len()], Vec::new(), Sgd::new(0.5));
    let ((), most) = most_bytes(|| {
        for _ in 0..3 {
            network.forward_train_into(input, None, &mut tape).unwrap();
            losses.push(mse(tape.output().data(), &target, &mut dy).unwrap());
            let upstream = Upstream::output(View::new(&dy, [STEPS, 1, 8]).unwrap());
            let mut grads = network.params().zeros_like();
            network.backward(&mut tape, upstream, &mut grads).unwrap();
            if losses.len() == 1 {
                let mut full = network.forward_train(input, None).unwrap();
                let mut of_full = network.params().zeros_like();
                network.backward(&mut full, upstream, &mut of_full).unwrap();
                assert!(full.peak_bytes() > 4 * BUDGET, "{}", full.peak_bytes());
                assert_eq!(bits(&grads, tape.gradients()), bits(&of_full, full.gradients()));
                drop(full);
                MOST.set(HELD.get());
            }
            sgd.step(&mut [&mut network.params_mut()], &[&grads]).unwrap();
        }
    });
    assert!(tape.segment_len().is_some_and(|len| len < STEPS));
    assert!(tape.peak_bytes() <= BUDGET && most <= BUDGET + 16_384, "{} {most}", tape.peak_bytes());
    assert!(losses.is_sorted_by(|a, b| a > b), "{losses:?}");
}
