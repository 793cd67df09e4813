//! What must hold whatever the numbers are.

use super::edges::set_bias;
use gatewise::{Any, Cell, Kernels, Network};
use proptest::prelude::*;
use std::ops::Range;
use tests::bounds::{same_bits, same_slices};
use tests::oracle::{Merge, Stack, StackShape};
use tests::problem::{Arrays, Problem};
use tests::setup::{ResetTo, Setup, cases, setups};

fn kernels() -> Kernels {
    Kernels::auto().unwrap()
}

/// The problem of one layer of another's, in one direction or both (`parts` are their numbers among all), as a network of its own, on
/// that layer's input.
fn one_layer(problem: &Problem, parts: Range<usize>, x: Vec<f32>) -> Problem {
    let (mut one, whole) = (problem.clone(), &problem.setup);
    let (layer, bidirectional) = (parts.start / whole.directions(), parts.len() == 2);
    let (input, hidden) = (whole.layer_input(layer), whole.hidden_of(layer));
    one.setup = Setup { input, hidden, taper: 0, layers: 1, bidirectional, dropout: 0.0, ..whole.clone() };
    let shape = StackShape { input, hidden: vec![hidden], bidirectional, ..problem.stack.shape.clone() };
    one.stack = Stack { shape, weights: problem.stack.weights[parts.clone()].to_vec() };
    one.x = x;
    let (h, c) = places(whole, &parts, whole.batch);
    let own =
        |data: &Option<Vec<f32>>, at: &Range<usize>| data.as_ref().map(|data| data[at.clone()].to_vec());
    (one.h_0, one.c_0) = (own(&problem.h_0, &h), own(&problem.c_0, &c));
    (one.dh_n, one.dc_n) = (own(&problem.dh_n, &h), own(&problem.dc_n, &c));
    let (h_at, c_at) = places(whole, &parts, whole.reset_rows().unwrap_or(0));
    let own_reset = |data: &[f32], at: &Range<usize>| data.get(at.clone()).unwrap_or(&[]).to_vec();
    one.reset_state = problem.reset_state.as_ref().map(|[h, c]| [own_reset(h, &h_at), own_reset(c, &c_at)]);
    one
}

/// Where h and c of a layer's directions stand in a state of that many rows.
fn places(setup: &Setup, parts: &Range<usize>, batch: usize) -> (Range<usize>, Range<usize>) {
    let (first, last) = (parts.start, parts.end - 1);
    let h = setup.state_at(first, batch).start..setup.state_at(last, batch).end;
    (h, setup.cell_at(first, batch).start..setup.cell_at(last, batch).end)
}

/// Each row's valid steps in reverse; the rest stays where it is.
fn reversed(problem: &Problem, data: &[f32], width: usize) -> Vec<f32> {
    let Setup { steps, batch, .. } = problem.setup;
    let mut to = data.to_vec();
    for row in 0..batch {
        let length = problem.lengths.as_ref().map_or(steps, |lengths| lengths[row]);
        for t in 0..length {
            let from = ((length - 1 - t) * batch + row) * width;
            to[(t * batch + row) * width..][..width].copy_from_slice(&data[from..][..width]);
        }
    }
    to
}

/// Columns `start ..` of vectors of `total` floats.
fn columns(data: &[f32], total: usize, start: usize, width: usize) -> Vec<f32> {
    data.chunks_exact(total).flat_map(|vector| &vector[start..start + width]).copied().collect()
}

fn passed(what: &str, checked: Result<(), String>) -> Result<(), TestCaseError> {
    checked.map_err(|error| TestCaseError::fail(format!("{what}: {error}")))
}

proptest! {
    #![proptest_config(cases(64))]

    /// PyTorch's `BidirectionalGRUReverseForward` and `BidirectionalLSTMReverseForward`, Keras' `test_go_backwards`: the reverse
    /// direction is the forward one on reversed input, each row from its own last step, backward too.
    #[test]
    fn the_reverse_direction_is_forward_on_reversed_input(setup in setups(1 << 17)) {
        let problem = Setup { layers: 1, bidirectional: true, merge: Merge::Concat, resets: false, ..setup }.problem();
        let (hidden, width) = (problem.setup.state_of(0), problem.setup.output());
        let both = problem.train(&problem.network(kernels()));
        let x = reversed(&problem, &problem.x, problem.setup.input);
        let mut one = one_layer(&problem, 1..2, x);
        one.dy = problem.dy.as_ref().map(|dy| reversed(&problem, &columns(dy, width, hidden, hidden), hidden));
        let one_way = one.train(&one.network(kernels()));
        let out = reversed(&problem, one_way.get("out"), hidden);
        passed("out", same_slices("out", &columns(both.get("out"), width, hidden, hidden), &out))?;
        let (h, c) = places(&problem.setup, &(1..2), problem.setup.batch);
        for (array, at) in [("h_n", &h), ("grad h_0", &h), ("c_n", &c), ("grad c_0", &c)] {
            if !one_way.get(array).is_empty() {
                passed(array, same_slices(array, &both.get(array)[at.clone()], one_way.get(array)))?;
            }
        }
    }

    /// A network of several layers is networks of one layer, one on the other: outputs, states, all gradients.
    #[test]
    fn a_stack_is_its_layers_composed(setup in setups(1 << 17)) {
        let problem = Setup { dropout: 0.0, ..setup }.problem();
        let Setup { layers, batch, .. } = problem.setup;
        let directions = problem.setup.directions();
        let parts = |layer: usize| layer * directions..(layer + 1) * directions;
        let whole = problem.train(&problem.network(kernels()));
        let mut ones: Vec<Problem> = Vec::new();
        let mut x = problem.x.clone();
        for layer in 0..layers {
            let one = one_layer(&problem, parts(layer), x);
            x = one.infer(&one.network(kernels())).get("out").to_vec();
            ones.push(one);
        }
        passed("out", same_slices("out", whole.get("out"), &x))?;
        let mut dy = problem.dy.clone();
        for (layer, one) in ones.iter_mut().enumerate().rev() {
            one.dy = dy;
            let got = one.train(&one.network(kernels()));
            let (h, c) = places(&problem.setup, &parts(layer), batch);
            let (of_h, of_c) = places(&problem.setup, &parts(layer), problem.setup.reset_rows().unwrap_or(0));
            for (array, at) in [
                ("h_n", &h),
                ("c_n", &c),
                ("grad h_0", &h),
                ("grad c_0", &c),
                ("grad reset_h", &of_h),
                ("grad reset_c", &of_c),
            ] {
                if !got.get(array).is_empty() {
                    passed(array, same_slices(array, &whole.get(array)[at.clone()], got.get(array)))?;
                }
            }
            for (name, data) in got.list.iter().filter(|(name, _)| name.contains("_l0")) {
                let of_whole = name.replace("_l0", &format!("_l{layer}"));
                passed(name, same_slices(&of_whole, whole.get(&of_whole), data))?;
            }
            dy = Some(got.get("grad x").to_vec());
        }
        passed("grad x", same_slices("grad x", whole.get("grad x"), &dy.unwrap()))?;
    }

    /// PyTorch's `test_rnn_initial_hidden_state`: explicit zeros are the state left out.
    #[test]
    fn zeros_are_the_state_left_out(setup in setups(1 << 16)) {
        let omitted = Setup { initial_state: false, ..setup.clone() }.problem();
        let mut zeros = Setup { initial_state: true, ..setup }.problem();
        for state in [&mut zeros.h_0, &mut zeros.c_0].into_iter().flatten() {
            state.fill(0.0);
        }
        let network = omitted.network(kernels());
        zeros.stack = omitted.stack.clone();
        (zeros.lengths, zeros.resets) = (omitted.lengths.clone(), omitted.resets.clone());
        passed("train", same_bits(&omitted.train(&network), &zeros.train(&network)))?;
        passed("infer", same_bits(&omitted.infer(&network), &zeros.infer(&network)))?;
    }

    /// A row that starts anew before its first step starts from the given state, which then has the gradient of an initial state, bit
    /// for bit; what it would have started from has none.
    #[test]
    fn a_reset_before_the_first_step_is_an_initial_state(setup in setups(1 << 16)) {
        let mut each = Setup { reset_to: ResetTo::Each, bidirectional: false, ..setup }.problem();
        let Setup { steps, batch, .. } = each.setup;
        each.resets = Some((0..steps * batch).map(|at| at < batch).collect());
        let mut initial = each.clone();
        (initial.resets, initial.reset_state, initial.setup.reset_to) = (None, None, ResetTo::Zeros);
        let [h, c] = each.reset_state.clone().unwrap();
        (initial.h_0, initial.c_0) = (Some(h), Some(c).filter(|c| !c.is_empty()));
        let network = each.network(kernels());
        let (anew, first) = (each.train(&network), initial.train(&network));
        for array in ["out", "grad x"] {
            passed(array, same_slices(array, anew.get(array), first.get(array)))?;
        }
        let rows_with_steps = |row: usize| each.lengths.as_ref().is_none_or(|lengths| lengths[row] > 0);
        let rows: Vec<usize> = (0..batch).filter(|row| rows_with_steps(*row)).collect();
        let (of_anew, of_first) = (each.of_rows(&anew, &rows), each.of_rows(&first, &rows));
        for array in ["h_n", "c_n"] {
            passed(array, same_slices(array, of_anew.get(array), of_first.get(array)))?;
        }
        for (reset, state) in [("grad reset_h", "grad h_0"), ("grad reset_c", "grad c_0")] {
            passed(reset, same_slices(reset, of_anew.get(reset), of_first.get(state)))?;
            prop_assert!(of_anew.get(state).iter().all(|grad| *grad == 0.0), "{state}");
        }
    }

    /// The layout of the sequences is a matter of layout alone.
    #[test]
    fn batch_first_is_a_transposition(setup in setups(1 << 16)) {
        let mut problem = setup.problem();
        problem.setup.batch_first = false;
        let time_major = problem.train(&problem.network(kernels()));
        problem.setup.batch_first = true;
        passed("train", same_bits(&time_major, &problem.train(&problem.network(kernels()))))?;
    }

    /// Twice the upstream gradient is twice every gradient, bit for bit; that of a sum is the sum, within rounding.
    #[test]
    fn backward_is_linear_in_its_upstream(setup in setups(1 << 16), seed in any::<u64>()) {
        let one = Setup { upstream: [true; 3], ..setup.clone() }.problem();
        let other = Setup { upstream: [true; 3], seed, ..setup }.problem();
        let with = |combine: &dyn Fn(f32, f32) -> f32| {
            let mut problem = one.clone();
            let lists = [(&mut problem.dy, &other.dy), (&mut problem.dh_n, &other.dh_n), (&mut problem.dc_n, &other.dc_n)];
            for (to, from) in lists {
                for (to, from) in to.iter_mut().flatten().zip(from.iter().flatten()) {
                    *to = combine(*to, *from);
                }
            }
            problem
        };
        let network = one.network(kernels());
        let run = |combine: &dyn Fn(f32, f32) -> f32| with(combine).train(&network);
        let (a, b, twice, sum) = (run(&|a, _| a), run(&|_, b| b), run(&|a, _| 2.0 * a), run(&|a, b| a + b));
        let tolerance = 8.0 * 12.0 * f32::EPSILON * (1.0 + (one.setup.steps * one.setup.batch) as f32);
        for (i, (name, a)) in a.list.iter().enumerate().filter(|(_, (name, _))| name.starts_with("grad")) {
            let (b, twice, sum) = (&b.list[i].1, &twice.list[i].1, &sum.list[i].1);
            let largest = a.iter().chain(b).fold(1.0_f32, |most, value| most.max(value.abs()));
            for k in 0..a.len() {
                // Below the normal numbers a doubled value has a bit more.
                let exact = 2.0 * a[k] == twice[k] || a[k].abs() < 1e-30;
                prop_assert!(exact, "{name}[{k}]: {:e}, doubled upstream {:e}", a[k], twice[k]);
                let error = (a[k] + b[k] - sum[k]).abs();
                prop_assert!(error <= tolerance * largest, "{name}[{k}]: {error:e} off");
            }
        }
    }

    /// Whatever the weights: outputs of tanh cells, LSTM and GRU stay within -1 ..= 1 (the sum of two directions within twice that),
    /// and are no NaN.
    #[test]
    fn outputs_stay_within_one(setup in setups(1 << 16), scale in 1.0..1000.0_f64) {
        let cell = if setup.cell == Cell::RnnRelu { Cell::RnnTanh } else { setup.cell };
        // A projection is any product.
        let mut problem = Setup { cell, proj: 0, ..setup }.problem();
        for (_, values) in problem.stack.tensors_mut() {
            values.iter_mut().for_each(|value| *value = f64::from((*value * scale) as f32));
        }
        for kernels in Kernels::available().unwrap() {
            let got = problem.infer(&problem.network(kernels));
            let of_outputs = if problem.setup.merge() == Merge::Sum { 2.0 } else { 1.0 };
            for (array, most) in [("out", of_outputs), ("h_n", 1.0)] {
                for value in got.get(array) {
                    prop_assert!(value.abs() <= most, "{array}: {value} on {}", kernels.isa());
                }
            }
        }
    }

    /// A NaN in one row's input stays in that row: in outputs, states, and the gradients of inputs and states.
    #[test]
    fn a_nan_stays_in_its_row(setup in setups(1 << 16), place in any::<prop::sample::Index>()) {
        prop_assume!(setup.batch > 1 && setup.input > 0);
        let clean = setup.problem();
        let mut dirty = clean.clone();
        let at = place.index(clean.x.len());
        dirty.x[at] = f32::NAN;
        let Setup { steps, batch, input, .. } = clean.setup;
        let (t, row) = (at / input / batch, at / input % batch);
        let others: Vec<usize> = (0..batch).filter(|&other| other != row).collect();
        for kernels in Kernels::available().unwrap() {
            let network = clean.network(kernels);
            let (was, is) = (clean.train(&network), dirty.train(&network));
            passed("others", same_bits(&clean.of_rows(&was, &others), &clean.of_rows(&is, &others)))?;
            let length = clean.lengths.as_ref().map_or(steps, |lengths| lengths[row]);
            if t < length && clean.setup.dropout == 0.0 {
                let out = clean.of_rows(&is, &[row]);
                let width = clean.setup.output();
                let vector = &out.get("out")[t * width..][..width];
                prop_assert!(vector.iter().all(|value| value.is_nan()), "{vector:?} on {}", kernels.isa());
            }
        }
    }

    /// GRU with z = 1 keeps h: h' = fma(1, h - n, n), which rounds twice. With a projection it keeps what stands before that, c.
    #[test]
    fn a_gru_whose_update_gate_is_one_keeps_h(setup in setups(1 << 16)) {
        let gru = Setup { cell: Cell::Gru, bias: true, initial_state: true, resets: false, ..setup };
        let reset_before = gru.reset_before && gru.proj == 0;
        let mut problem = Setup { reset_before, ..gru }.problem();
        set_bias(&mut problem, 1, 200.0);
        let (array, was) = if problem.setup.proj > 0 { ("c_n", &problem.c_0) } else { ("h_n", &problem.h_0) };
        // |h - n| <= 2: half an ULP of it, and half an ULP of h, each step.
        let allowed = 1.5 * f32::EPSILON * problem.setup.steps as f32;
        for kernels in Kernels::available().unwrap() {
            let got = problem.infer(&problem.network(kernels));
            for (h, h_0) in got.get(array).iter().zip(was.as_ref().unwrap()) {
                prop_assert!((h - h_0).abs() <= allowed, "{h}, was {h_0}, on {}", kernels.isa());
            }
        }
    }

    /// LSTM with f = 1 and i = 0 keeps c, bit for bit, however long.
    #[test]
    fn an_lstm_that_forgets_nothing_and_takes_nothing_in_keeps_c(setup in setups(1 << 16)) {
        let lstm = Setup { cell: Cell::Lstm, reset_before: false, bias: true, initial_state: true, resets: false, ..setup };
        let mut problem = lstm.problem();
        set_bias(&mut problem, 0, -200.0);
        set_bias(&mut problem, 1, 200.0);
        for kernels in Kernels::available().unwrap() {
            let got = problem.infer(&problem.network(kernels));
            passed("c", same_slices("c", got.get("c_n"), problem.c_0.as_ref().unwrap()))?;
        }
    }
}

/// A NaN among the weights reaches every row (of a unit it belongs to), and infinite pre-activations give exact limits.
#[test]
fn infinite_sums_give_exact_limits() {
    for (cell, bias, limits) in
        [(Cell::RnnTanh, f32::INFINITY, [1.0, 1.0]), (Cell::RnnTanh, f32::NEG_INFINITY, [-1.0, -1.0])]
    {
        let mut problem = Setup { cell, hidden: 11, ..Setup::default() }.problem();
        set_bias(&mut problem, 0, f64::from(bias));
        for kernels in Kernels::available().unwrap() {
            let got = problem.infer(&problem.network(kernels));
            assert!(got.get("out").iter().all(|h| limits.contains(h)), "{bias} on {}", kernels.isa());
        }
    }
    // i = f = o = 1, g = 1: c counts the steps.
    let mut problem = Setup { hidden: 11, initial_state: false, ..Setup::default() }.problem();
    for gate in 0..4 {
        set_bias(&mut problem, gate, f64::INFINITY);
    }
    for kernels in Kernels::available().unwrap() {
        let got = problem.infer(&problem.network(kernels));
        assert!(got.get("c_n").iter().all(|c| *c == problem.setup.steps as f32), "{:?}", got.get("c_n"));
    }
    let mut problem = Setup { cell: Cell::Gru, hidden: 11, ..Setup::default() }.problem();
    problem.stack.weights[0].w_hh[3] = f64::NAN;
    let network: Network<Any> = problem.network(kernels());
    let got: Arrays<f32> = problem.infer(&network);
    assert!(got.get("h_n").chunks(11).all(|row| row[0].is_nan()), "a NaN weight is a NaN in every row");
}
