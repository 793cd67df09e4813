//! NaN, infinities and subnormal numbers through the cells.

use super::cells::{cells, options, sizes, ways};
use super::problem::{Options, Problem, Sizes, row_of_state, row_of_steps};
use super::run::{Way, forward, pack, steps};
use super::run_back::backward;
use super::support::{assert_bits, available, config};
use gatewise_kernels::Cell;
use proptest::prelude::*;

proptest! {
    #![proptest_config(config())]

    /// A NaN in the input of one row makes that row NaN from there on, and changes no bit of the others.
    #[test]
    fn nan_stays_in_its_row(
        cell in cells(), sizes in sizes(1 << 16), options in options(), way in ways(), seed in any::<u64>(),
        row in any::<prop::sample::Index>(), step in any::<prop::sample::Index>(),
    ) {
        let Sizes { steps, batch, input, hidden } = sizes;
        let (bad, from) = (row.index(batch), step.index(steps));
        let clean = Problem::draw(cell, sizes, Options { resets: false, ..options }, seed);
        let mut dirty = clean.clone();
        dirty.x[(from * batch + bad) * input..][..input].fill(f32::NAN);
        let way = Way { keep: true, ..way };
        for kernels in available() {
            let packed = pack(kernels, &clean);
            let runs = [&clean, &dirty].map(|problem| {
                let run = forward(kernels, &packed, problem, &way);
                let back = backward(kernels, &packed, problem, &run, &way, &[]);
                (run, back)
            });
            for b in (0..batch).filter(|&b| b != bad) {
                let [(run, back), (other, other_back)] = &runs;
                let row = |data: &[f32], width: usize| row_of_steps(data, batch, b, width);
                assert_bits("y", &row(&other.y, hidden), &row(&run.y, hidden));
                let saved = cell.saved() * hidden;
                assert_bits("d gates", &row(&other_back.d_gates, saved), &row(&back.d_gates, saved));
                assert_bits("dh", &row_of_state(&other_back.dh, b, hidden), &row_of_state(&back.dh, b, hidden));
            }
            if input > 0 {
                for t in (from..steps).filter(|&t| clean.runs(from, bad) && clean.runs(t, bad)) {
                    let y = &runs[1].0.y[(t * batch + bad) * hidden..][..hidden];
                    prop_assert!(y.iter().all(|y| y.is_nan()), "step {t}: {y:?}");
                }
            }
        }
    }
}

/// One row, one step, no weights: the pre-activation of each gate is its bias, the state is given.
fn biased(cell: Cell, hidden: usize, bias: &[f32], h: f32, c: f32) -> Problem {
    let sizes = Sizes { steps: 1, batch: 1, input: 0, hidden };
    let options = Options { bias: true, state: true, ..Options::default() };
    let mut problem = Problem::draw(cell, sizes, options, 1);
    problem.w_hh.fill(0.0);
    problem.b_ih = Some(bias.iter().flat_map(|&b| vec![b; hidden]).collect());
    problem.b_hh = Some(vec![0.0; bias.len() * hidden]);
    problem.h_0 = Some(vec![h; hidden]);
    problem.c_0 = cell.has_cell_state().then(|| vec![c; hidden]);
    problem
}

/// What each gate of a unit saved, and its c and h.
fn saved(problem: &Problem) -> Vec<Vec<f32>> {
    let hidden = problem.sizes.hidden;
    let run = |kernels| {
        let run = forward(kernels, &pack(kernels, problem), problem, &Way::default());
        let stepped = steps(kernels, &pack(kernels, problem), problem, &Way::default());
        assert_bits("y", &stepped.y, &run.y);
        let unit = |array: &[f32]| -> Vec<f32> {
            array
                .chunks(hidden)
                .map(|slot| {
                    assert!(slot.iter().all(|x| x.to_bits() == slot[0].to_bits()));
                    slot[0]
                })
                .collect()
        };
        [unit(&run.gates), unit(&run.c), unit(&run.y)].concat()
    };
    available().into_iter().map(run).collect()
}

#[test]
fn infinities_saturate_exactly() {
    let inf = f32::INFINITY;
    for hidden in [1, 3, 4, 7, 8, 9, 16, 17] {
        for large in [inf, 1e30, 200.0] {
            for gates in saved(&biased(Cell::Lstm, hidden, &[large, -large, large, -large], 0.5, 3.0)) {
                // i = 1, f = 0, g = 1, o = 0; c' = 0 c + 1, h' = 0
                assert_bits("LSTM", &gates, &[1.0, 0.0, 1.0, 0.0, 1.0, 0.0]);
            }
            for gates in saved(&biased(Cell::Lstm, hidden, &[-large, large, -large, large], 0.5, 300.0)) {
                // i = 0, f = 1, g = -1, o = 1; c' = c, h' = tanh 300
                assert_bits("LSTM", &gates, &[0.0, 1.0, -1.0, 1.0, 300.0, 1.0]);
            }
            for gates in saved(&biased(Cell::Gru, hidden, &[large, -large, -large], 0.5, 0.0)) {
                // r = 1, z = 0, n = -1, ha_n = 0; h' = n
                assert_bits("GRU", &gates, &[1.0, 0.0, -1.0, 0.0, -1.0]);
            }
            for gates in saved(&biased(Cell::Gru, hidden, &[-large, large, large], 0.5, 0.0)) {
                // r = 0, z = 1, n = 1, ha_n = 0; h' = h
                assert_bits("GRU", &gates, &[0.0, 1.0, 1.0, 0.0, 0.5]);
            }
            for sign in [1.0, -1.0] {
                for gates in saved(&biased(Cell::RnnTanh, hidden, &[sign * large], 0.5, 0.0)) {
                    assert_bits("tanh", &gates, &[sign, sign]);
                }
                let relu = if sign > 0.0 { large } else { 0.0 };
                for gates in saved(&biased(Cell::RnnRelu, hidden, &[sign * large], 0.5, 0.0)) {
                    assert_bits("relu", &gates, &[relu, relu]);
                }
            }
        }
    }
}

/// h and c, and dL/dh and dL/dc on their way back, are a zero of the same sign from 2^-100 down, and bit for bit what they are
/// above: an identity passes them on, and an open forget gate keeps them.
#[test]
fn states_and_gradients_that_have_vanished_are_zeros() {
    let least = 2.0_f32.powi(-100);
    let below = f32::from_bits(least.to_bits() - 1);
    let sizes = [least, 1.5 * least, below, f32::MIN_POSITIVE, f32::from_bits(1), f32::from_bits(0x7f_ffff)];
    let values: Vec<f32> = sizes.iter().flat_map(|&x| [x, -x]).collect();
    let flushed: Vec<f32> =
        values.iter().map(|&x| if x.abs() < least { 0.0_f32.copysign(x) } else { x }).collect();
    let hidden = values.len();
    for (cell, keeps) in [(Cell::RnnTanh, true), (Cell::RnnRelu, false)] {
        let sizes = Sizes { steps: 1, batch: 1, input: hidden, hidden };
        let mut problem = Problem::draw(cell, sizes, Options { dy: true, ..Options::default() }, 1);
        problem
            .w_ih
            .iter_mut()
            .enumerate()
            .for_each(|(i, w)| *w = f32::from(u8::from(i % (hidden + 1) == 0)));
        problem.x.clone_from(&values);
        problem.dh.fill(0.0);
        problem.dy = Some(values.clone());
        let expected: Vec<f32> = flushed.iter().map(|&x| if keeps || x > 0.0 { x } else { 0.0 }).collect();
        for kernels in available() {
            let packed = pack(kernels, &problem);
            let way = Way { keep: true, observe: true, ..Way::default() };
            let run = forward(kernels, &packed, &problem, &way);
            let got: Vec<f32> = run.y.iter().map(|y| if keeps { *y } else { y + 0.0 }).collect();
            assert_bits("y", &got, &expected);
            let back = backward(kernels, &packed, &problem, &run, &way, &[]);
            // dy + 0, the gradient from beyond: a negative zero becomes a positive one on the way.
            for (got, expected) in back.dh_steps.iter().zip(&flushed) {
                assert_eq!(got, expected);
            }
        }
    }
    let mut problem = biased(Cell::Lstm, hidden, &[-200.0, 200.0, 0.0, 200.0], 0.0, 0.0);
    problem.c_0 = Some(values.clone());
    for kernels in available() {
        let run = forward(kernels, &pack(kernels, &problem), &problem, &Way::default());
        assert_bits("c", &run.c, &flushed);
        assert_bits("y", &run.y, &flushed);
    }
}

/// What leaves the first step of a part is not yet all of a gradient, and stays as it is, however small: a pass back that is cut
/// between any steps has the bits of the whole.
#[test]
fn gradients_that_have_vanished_pass_over_a_cut_as_they_are() {
    for cell in Cell::ALL {
        let sizes = Sizes { steps: 8, batch: 3, input: 2, hidden: 11 };
        let mut problem = Problem::draw(cell, sizes, Options { bias: true, ..Options::default() }, 3);
        // Gradients from above that are all at the limit.
        let least = 2.0_f32.powi(-100);
        problem.dh.fill(0.0);
        problem.dc.fill(0.0);
        problem.dy = Some((0..8 * 3 * 11).map(|i| least * (i % 7) as f32 / 4.0).collect());
        for kernels in available() {
            let packed = pack(kernels, &problem);
            let way = Way { keep: true, observe: true, ..Way::default() };
            let run = forward(kernels, &packed, &problem, &way);
            let whole = backward(kernels, &packed, &problem, &run, &way, &[]);
            let cuts: Vec<usize> = (1..sizes.steps).collect();
            let parts = backward(kernels, &packed, &problem, &run, &way, &cuts);
            assert_bits("dh of each step", &parts.dh_steps, &whole.dh_steps);
            assert_bits("d gates", &parts.d_gates, &whole.d_gates);
            assert_bits("dh", &parts.dh, &whole.dh);
            assert_bits("dc", &parts.dc, &whole.dc);
            let leaving = || whole.dh.iter().chain(&whole.dc);
            assert!(leaving().any(|d| *d != 0.0 && d.abs() < least), "{}: all is flushed", cell.name());
        }
    }
}

/// Weights of subnormal magnitude leave states that have vanished, as they do in the oracle.
#[test]
fn subnormal_weights_agree_with_the_oracle() {
    for cell in Cell::ALL {
        let sizes = Sizes { steps: 3, batch: 2, input: 5, hidden: 11 };
        let mut problem =
            Problem::draw(cell, sizes, Options { bias: true, dy: true, ..Options::default() }, 5);
        let arrays = [&mut problem.w_ih, &mut problem.w_hh];
        arrays
            .into_iter()
            .chain(&mut problem.b_ih)
            .chain(&mut problem.b_hh)
            .flatten()
            .for_each(|w| *w *= 1e-39);
        let expected = problem.solve();
        for kernels in available() {
            let run = forward(kernels, &pack(kernels, &problem), &problem, &Way::default());
            for (y, expected) in run.y.iter().zip(&expected.y) {
                // Each of about twenty roundings is half the spacing of subnormal numbers.
                let bound = 10.0 * 2.0_f64.powi(-149) + 1e-6 * expected.abs();
                assert!(
                    (f64::from(*y) - expected).abs() <= bound,
                    "{}: {y:e}, expected {expected:e}",
                    cell.name()
                );
            }
        }
    }
}
