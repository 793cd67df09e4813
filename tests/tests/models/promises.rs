//! The promises about bits: company, chunks, steps, kernels and instruction sets change none. (Threads: `threads.rs`.)

use gatewise::{Cell, Isa, Kernels, State};
use proptest::prelude::*;
use std::ops::Range;
use tests::bounds::{same_bits, same_slices};
use tests::oracle::Merge;
use tests::problem::{Arrays, Problem};
use tests::rng::Rng;
use tests::setup::{ResetTo, Setup, cases, setups};

type Checked = Result<(), String>;

/// On every instruction set, and on its kernels for any size.
fn all_kernels() -> impl Iterator<Item = Kernels> {
    Kernels::available().unwrap().into_iter().flat_map(|kernels| [kernels, kernels.any_size()])
}

fn passed(checked: Checked, kernels: Kernels) -> Result<(), TestCaseError> {
    checked.map_err(|error| TestCaseError::fail(format!("{}: {error}", kernels.isa())))
}

/// A row alone, and all rows in another order, get the bits that they had, backward too.
fn company(problem: &Problem, kernels: Kernels, rng: &mut Rng) -> Checked {
    let (network, batch) = (problem.network(kernels), problem.setup.batch);
    let together = problem.train(&network);
    let mut order: Vec<usize> = (0..batch).collect();
    for i in (1..batch).rev() {
        order.swap(i, rng.below(i + 1));
    }
    let alone = rng.below(batch);
    for rows in [&order[..], &order[..batch.div_ceil(2)], &[alone]] {
        let some = problem.pick_rows(rows);
        let (some, got) = (some.of_rows(&some.train(&network), &(0..rows.len()).collect::<Vec<_>>()), rows);
        same_bits(&problem.of_rows(&together, got), &some)
            .map_err(|error| format!("rows {rows:?}: {error}"))?;
    }
    Ok(())
}

/// A row of a padded batch gets the bits of the row alone and without its padding, which may hold anything.
fn padding(problem: &Problem, kernels: Kernels) -> Checked {
    let network = problem.network(kernels);
    let Setup { steps, batch, input, .. } = problem.setup;
    let lengths = problem.lengths.clone().ok_or("no lengths")?;
    let clean = problem.train(&network);
    let mut dirty = problem.clone();
    for (at, x) in dirty.x.chunks_exact_mut(input.max(1)).enumerate() {
        if at / batch >= lengths[at % batch] {
            x.fill(f32::NAN);
        }
    }
    for (at, dy) in dirty.dy.iter_mut().flat_map(|dy| dy.chunks_exact_mut(problem.setup.output())).enumerate()
    {
        if at / batch >= lengths[at % batch] {
            dy.fill(f32::NAN);
        }
    }
    same_bits(&clean, &dirty.train(&network)).map_err(|error| format!("NaN in the padding: {error}"))?;
    let dirty = dirty.infer(&network);
    if problem.setup.dropout == 0.0 {
        same_bits(&dirty, &clean).map_err(|error| format!("NaN in the padding, inference: {error}"))?;
    }
    for row in 0..batch {
        let padded = problem.of_rows(&clean, &[row]);
        let (name, length) = (format!("row {row}"), lengths[row]);
        let widths = [("out", problem.setup.output()), ("grad x", input)];
        for (array, width) in widths {
            let rest = &padded.get(array)[length * width..steps * width];
            if rest.iter().any(|value| value.to_bits() != 0) {
                return Err(format!("{name}: {array} is not zero in the padding"));
            }
        }
        if length > 0 {
            let mut alone = problem.pick_rows(&[row]);
            alone.lengths = None;
            let alone = alone.pick_steps(0, length);
            let alone = alone.of_rows(&alone.train(&network), &[0]);
            for (array, data) in &alone.list {
                let padded = &padded.get(array)[..data.len()];
                same_slices(array, padded, data).map_err(|error| format!("{name} alone: {error}"))?;
            }
        }
    }
    Ok(())
}

/// A sequence step by step, and in two pieces with the state carried over, forward and (the gradient of the state carried back)
/// backward, has the bits of the whole.
fn pieces(problem: &Problem, kernels: Kernels, rng: &mut Rng) -> Checked {
    let network = problem.network(kernels);
    let Setup { steps, batch, input, layers, .. } = problem.setup;
    let width = problem.setup.output();
    let whole = problem.infer(&network);

    let mut state = problem.state(&network).unwrap_or(network.zero_state(batch).unwrap());
    let mut out = vec![0.0; steps * batch * width];
    let reset = problem.reset_state(&network);
    for t in 0..steps {
        for row in (0..batch).filter(|row| problem.resets.as_ref().is_some_and(|all| all[t * batch + row])) {
            for layer in 0..layers {
                let reset_row = if problem.setup.reset_to == ResetTo::Each { row } else { 0 };
                // What the row has of that part of the reset state, or zeros.
                let given = |part: Option<Range<usize>>, of: fn(&State) -> &[f32], width: usize| match &reset
                {
                    Some(reset) => of(reset)[part.unwrap().start + reset_row * width..][..width].to_vec(),
                    None => vec![0.0; width],
                };
                let (h, c) = (state.h_range(layer, 0).unwrap(), state.c_range(layer, 0));
                let width = h.len() / batch;
                let anew = given(reset.as_ref().and_then(|reset| reset.h_range(layer, 0)), State::h, width);
                state.h_mut()[h.start + row * width..][..width].copy_from_slice(&anew);
                if let Some(c) = c {
                    let width = c.len() / batch;
                    let anew =
                        given(reset.as_ref().and_then(|reset| reset.c_range(layer, 0)), State::c, width);
                    state.c_mut()[c.start + row * width..][..width].copy_from_slice(&anew);
                }
            }
        }
        let x = &problem.x[t * batch * input..][..batch * input];
        network.step(x, &mut state, &mut out[t * batch * width..][..batch * width]).unwrap();
    }
    let by_step = [("out", out), ("h_n", state.h().to_vec()), ("c_n", state.c().to_vec())];
    let by_step = Arrays { list: by_step.map(|(name, data)| (name.to_string(), data)).to_vec() };
    same_bits(&whole, &by_step).map_err(|error| format!("step by step: {error}"))?;

    if steps < 2 {
        return Ok(());
    }
    let split = 1 + rng.below(steps - 1);
    let (mut first, mut second) = (problem.pick_steps(0, split), problem.pick_steps(split, steps));
    (first.dh_n, first.dc_n) = (None, None);
    let carried = first.train(&network);
    second.h_0 = Some(carried.get("h_n").to_vec());
    second.c_0 = Some(carried.get("c_n").to_vec()).filter(|c| !c.is_empty());
    let late = second.train(&network);
    first.dh_n = Some(late.get("grad h_0").to_vec());
    first.dc_n = Some(late.get("grad c_0").to_vec()).filter(|c| !c.is_empty());
    let early = first.train(&network);

    let whole = problem.train(&network);
    for array in ["out", "grad x"] {
        let joined = [early.get(array), late.get(array)].concat();
        same_slices(array, whole.get(array), &joined)
            .map_err(|error| format!("split at {split}: {error}"))?;
    }
    for (array, part) in [("h_n", &late), ("c_n", &late), ("grad h_0", &early), ("grad c_0", &early)] {
        same_slices(array, whole.get(array), part.get(array))
            .map_err(|error| format!("split at {split}: {error}"))?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(64))]

    /// See [`company`].
    #[test]
    fn rows_alone_in_any_order_and_in_any_company(setup in setups(1 << 17)) {
        prop_assume!(setup.batch > 0);
        for kernels in all_kernels() {
            passed(company(&setup.problem(), kernels, &mut Rng::new(setup.seed)), kernels)?;
        }
    }

    /// See [`padding`]. PyTorch's `test_variable_sequence`; ONNX Runtime's `TestLSTMShorterSeqInMiddle`, `TestLSTMZeroSeqInMiddle`.
    #[test]
    fn padded_rows_are_as_if_alone(setup in setups(1 << 17)) {
        let setup = Setup { ragged: true, ..setup };
        for kernels in all_kernels() {
            passed(padding(&setup.problem(), kernels), kernels)?;
        }
    }

    /// See [`pieces`]. Keras' `test_statefulness`.
    #[test]
    fn whole_in_pieces_and_step_by_step(setup in setups(1 << 17)) {
        let setup = Setup { ragged: false, bidirectional: false, batch_first: false, ..setup };
        for kernels in all_kernels() {
            passed(pieces(&setup.problem(), kernels, &mut Rng::new(setup.seed)), kernels)?;
        }
    }

    /// Kernels made for one hidden size and those for any; all instruction sets with a fused multiply-add.
    #[test]
    fn kernels_agree(setup in setups(1 << 17)) {
        let problem = setup.problem();
        let mut of_fma: Option<Arrays<f32>> = None;
        for kernels in Kernels::available().unwrap() {
            let special = problem.train(&problem.network(kernels));
            let any_size = problem.train(&problem.network(kernels.any_size()));
            passed(same_bits(&special, &any_size), kernels)?;
            if kernels.isa() != Isa::Portable {
                let first = of_fma.get_or_insert(special);
                passed(same_bits(first, &any_size), kernels)?;
            }
        }
    }

    /// Training and inference compute the same outputs; a tape or a workspace that was used before, and how many steps of input
    /// are projected at a time, change nothing.
    #[test]
    fn training_is_inference_and_room_does_not_matter(setup in setups(1 << 17), before in setups(1 << 15)) {
        let (problem, before) = (Setup { dropout: 0.0, ..setup }.problem(), before.problem());
        for kernels in all_kernels() {
            let network = problem.network(kernels);
            let trained = problem.train(&network);
            passed(same_bits(&problem.infer(&network), &trained), kernels)?;

            let mut tape = gatewise::Tape::default();
            before.train_on(&before.network(kernels), &mut tape);
            passed(same_bits(&trained, &problem.train_on(&network, &mut tape)), kernels)?;

            let mut workspace = gatewise::Workspace::default();
            for problem in [&before, &problem] {
                let network = problem.network(kernels);
                let mut state = problem.state(&network).unwrap_or(network.zero_state(problem.setup.batch).unwrap());
                let width = problem.setup.output();
                let (x, mut y) = (problem.layout(&problem.x, problem.setup.input), vec![f32::NAN; problem.shape(width).iter().product()]);
                let reset = problem.reset_state(&network);
                network.forward_into(problem.input_with(&x, reset.as_ref()), &mut state, &mut y, &mut workspace).unwrap();
                let of = problem.infer(&network);
                passed(same_slices("out", of.get("out"), &problem.time_major(&y, width)), kernels)?;
                passed(same_slices("h_n", of.get("h_n"), state.h()), kernels)?;
                passed(same_slices("c_n", of.get("c_n"), state.c()), kernels)?;
            }

            for chunk in [1, 3] {
                let mut other = problem.builder().kernels(kernels).projection_chunk(Some(chunk)).build().unwrap();
                problem.load(&mut other);
                passed(same_bits(&trained, &problem.train(&other)), kernels)?;
                passed(same_bits(&problem.infer(&other), &trained), kernels)?;
            }
        }
    }
}

/// Inference moves rows of different lengths to their places some steps at a time, training all of them at once: sequences of several
/// such parts have the same bits, on one thread and on two, whose shares of the rows differ.
#[test]
fn rows_that_are_moved_in_parts_have_the_bits_of_training() {
    let base = Setup { input: 5, hidden: 72, ragged: true, steps: 61, batch: 23, ..Setup::default() };
    let cells = [Cell::Lstm, Cell::Gru, Cell::RnnTanh];
    let pools = [1, 2].map(|threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap());
    for (seed, cell) in (1..).zip(cells.into_iter().cycle().take(12)) {
        let [layers, bidirectional, batch_first] = [1 + seed / 3 % 2, seed % 2, seed / 2 % 2];
        let (bidirectional, batch_first) = (bidirectional == 1, batch_first == 1);
        let merge = if seed > 9 { Merge::Sum } else { Merge::Concat };
        let resets = seed % 5 == 0;
        let setup = Setup { cell, layers, bidirectional, batch_first, merge, resets, ..base.clone() };
        let problem = Setup { reset_to: ResetTo::Each, seed: seed as u64, ..setup }.problem();
        for kernels in Kernels::available().unwrap() {
            let network = problem.network(kernels);
            let trained = problem.train(&network);
            for pool in &pools {
                let inferred = pool.install(|| problem.infer(&network));
                same_bits(&inferred, &trained).unwrap_or_else(|error| panic!("{:?}: {error}", problem.setup));
                let again = pool.install(|| problem.train(&network));
                same_bits(&again, &trained).unwrap_or_else(|error| panic!("{:?}: {error}", problem.setup));
            }
        }
    }
}
