//! Random configurations against the f64 oracle: outputs, final states, all gradients, on every instruction set.

use gatewise::{Cell, Kernels};
use proptest::prelude::*;
use tests::oracle::{FLUSH_BELOW, Merge, StackRun};
use tests::problem::Problem;
use tests::setup::{ResetTo, Setup, cases, setups};

/// Runs one configuration on all instruction sets; nothing where a relu stands on its kink.
fn check(setup: &Setup) -> Result<(), TestCaseError> {
    let problem = setup.problem();
    let expected = problem.expected();
    prop_assume!(!expected.is_near_kink);
    for kernels in Kernels::available().unwrap() {
        let network = problem.network(kernels);
        let got = problem.train(&network);
        prop_assert!(got.list.len() == expected.arrays.list.len());
        let within = expected.compare(&got);
        prop_assert!(within.is_ok(), "{}: {}", kernels.isa(), within.unwrap_err());
        if setup.dropout == 0.0 {
            let within = expected.compare(&problem.infer(&network));
            prop_assert!(within.is_ok(), "{} inference: {}", kernels.isa(), within.unwrap_err());
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(512))]

    /// Any configuration, all options in any company.
    #[test]
    fn any_configuration(setup in setups(1 << 18)) {
        check(&setup)?;
    }
}

/// Gradients of a product of directions whose outputs are small: its factors' errors do not shrink with them.
#[test]
fn a_product_of_small_outputs() {
    let setup = Setup {
        cell: Cell::RnnRelu,
        input: 33,
        hidden: 1,
        layers: 3,
        bidirectional: true,
        merge: Merge::Product,
        steps: 13,
        batch: 4,
        resets: true,
        initial_state: false,
        seed: 14_059_208_973_418_851_047,
        ..Setup::default()
    };
    check(&setup).unwrap();
}

/// Every option by itself and every pair of options, for every cell, on one set of sizes.
#[test]
fn every_option_alone_and_in_pairs() {
    type Set = fn(&mut Setup);
    let options: [(&str, Set); 17] = [
        ("layers", |s| s.layers = 3),
        ("bidirectional", |s| s.bidirectional = true),
        ("no bias", |s| s.bias = false),
        ("batch_first", |s| s.batch_first = true),
        ("ragged", |s| s.ragged = true),
        ("resets", |s| s.resets = true),
        ("no initial state", |s| s.initial_state = false),
        ("dropout", |s| (s.dropout, s.layers) = (0.5, s.layers.max(2))),
        ("no input", |s| s.input = 0),
        ("a size per layer", |s| (s.taper, s.layers) = (3, s.layers.max(2))),
        ("resets to one state", |s| (s.resets, s.reset_to) = (true, ResetTo::Shared)),
        ("resets to each row's state", |s| (s.resets, s.reset_to) = (true, ResetTo::Each)),
        ("sum", |s| (s.merge, s.bidirectional) = (Merge::Sum, true)),
        ("mean", |s| (s.merge, s.bidirectional) = (Merge::Mean, true)),
        ("product", |s| (s.merge, s.bidirectional) = (Merge::Product, true)),
        ("projection", |s| (s.proj, s.reset_before) = (7, false)),
        ("reset before the product", |s| s.reset_before = s.cell == Cell::Gru && s.proj == 0),
    ];
    for cell in Cell::ALL {
        for (i, (first, set_first)) in options.iter().enumerate() {
            for (second, set_second) in &options[i..] {
                let mut setup = Setup { cell, hidden: 17, input: 5, steps: 6, batch: 4, ..Setup::default() };
                set_first(&mut setup);
                set_second(&mut setup);
                // A relu on its kink is another seed's turn.
                let passed = (0..3).any(|seed| {
                    setup.seed = seed;
                    match check(&setup) {
                        Ok(()) => true,
                        Err(TestCaseError::Reject(_)) => false,
                        Err(error) => panic!("{cell:?} with {first} and {second}: {error}"),
                    }
                });
                assert!(passed, "{cell:?} with {first} and {second}: no seed away from the kink");
            }
        }
    }
}

/// Rows of many lengths that start anew here and there, over more steps than a chunk of time: lengths and resets at once, which take
/// another way through time than either alone.
#[test]
fn ragged_rows_that_start_anew() {
    for cell in Cell::ALL {
        for reset_to in [ResetTo::Zeros, ResetTo::Shared, ResetTo::Each] {
            for (layers, bidirectional, proj) in [(1, false, 0), (2, true, 0), (2, true, 5)] {
                let setup = Setup {
                    cell,
                    input: 5,
                    hidden: 17,
                    layers,
                    bidirectional,
                    proj,
                    steps: 61,
                    batch: 13,
                    ragged: true,
                    resets: true,
                    reset_to,
                    ..Setup::default()
                };
                let checked = (0..8).find_map(|seed| match check(&Setup { seed, ..setup.clone() }) {
                    Err(TestCaseError::Reject(_)) => None,
                    checked => Some(checked),
                });
                // Of so many sums of relus one always stands near the kink.
                match checked {
                    Some(checked) => checked.unwrap_or_else(|error| panic!("{setup:?}: {error}")),
                    None => assert_eq!(cell, Cell::RnnRelu),
                }
            }
        }
    }
}

/// PyTorch's `test_lstmcell_backward_only_one_output_grad`: a missing upstream gradient counts as zero.
#[test]
fn a_missing_upstream_gradient_is_zero() {
    for cell in Cell::ALL {
        for mask in 0..8_u32 {
            let upstream = [0, 1, 2].map(|bit| mask >> bit & 1 == 1);
            let setup = Setup { cell, layers: 2, upstream, seed: 5, ..Setup::default() };
            let given = setup.problem();
            let mut zeros = given.clone();
            let full = Setup { upstream: [true; 3], ..setup }.problem();
            let or_zeros = |some: &Option<Vec<f32>>, like: &Option<Vec<f32>>| {
                some.clone().or_else(|| like.as_ref().map(|like| vec![0.0; like.len()]))
            };
            zeros.dy = or_zeros(&given.dy, &full.dy);
            zeros.dh_n = or_zeros(&given.dh_n, &full.dh_n);
            zeros.dc_n = or_zeros(&given.dc_n, &full.dc_n);
            let network = given.network(Kernels::auto().unwrap());
            let (given, zeros) = (given.train(&network), zeros.train(&network));
            for ((name, a), (_, b)) in given.list.iter().zip(&zeros.list) {
                // Values, not bits: x + 0 makes a -0 a +0.
                assert_eq!(a, b, "{cell:?} {upstream:?}: {name}");
            }
        }
    }
}

/// PyTorch's `test_RNN_cell`, `test_LSTM_cell`: six steps of a cell, then backward, bias on and off.
#[test]
fn six_steps_of_a_cell() {
    for cell in Cell::ALL {
        for bias in [true, false] {
            let setup = Setup { cell, bias, input: 10, hidden: 20, steps: 6, batch: 3, ..Setup::default() };
            check(&setup).unwrap_or_else(|error| panic!("{cell:?} bias {bias}: {error}"));
        }
    }
}

/// A long sequence: the longest chain of states that the golden files have, and twice that.
#[test]
fn a_long_sequence() {
    for cell in [Cell::RnnTanh, Cell::Lstm, Cell::Gru] {
        let setup = Setup { cell, input: 3, hidden: 8, steps: 400, batch: 2, ..Setup::default() };
        check(&setup).unwrap_or_else(|error| panic!("{cell:?}: {error}"));
    }
}

/// A gradient that has decayed to the limit below which dL/dh of a step is stored as zero when it leaves the first step: dL/dh_0 is
/// only a part of that of a step before, and stays as it is.
#[test]
fn a_gradient_of_h_0_below_the_flush_limit() {
    let setup = Setup {
        cell: Cell::RnnRelu,
        input: 4,
        hidden: 15,
        layers: 2,
        proj: 14,
        bias: false,
        steps: 40,
        batch: 1,
        dropout: 1.0,
        initial_state: false,
        seed: 14_232_354_682_829_060_655,
        ..Setup::default()
    };
    check(&setup).unwrap();
}

/// All gradients at the limit of the flush rule, and one of them on it: f32 may store it as zero where f64 does not, or the other way
/// round. Here it comes to that, and what follows from it does not count as an error.
#[test]
fn a_gradient_on_the_flush_limit() {
    let mut apart = 0.0_f64;
    for seed in 0..40 {
        let setup = Setup {
            cell: Cell::RnnTanh,
            hidden: 5,
            batch: 1,
            upstream: [false, true, false],
            seed,
            ..Setup::default()
        };
        let mut problem = setup.problem();
        // dL/dh of the first step grows with dL/dh_n, and so does its first element until it is the limit.
        let first = |problem: &Problem| {
            let run = StackRun { flush_below: None, ..problem.stack_run() };
            let trace = problem.stack.forward(&run);
            problem.stack.backward(&run, &trace, &problem.upstream()).layers[0].h[0]
        };
        let factor = FLUSH_BELOW / first(&problem).abs();
        let dh_n = problem.dh_n.as_mut().unwrap();
        dh_n.iter_mut().for_each(|value| *value = (f64::from(*value) * factor) as f32);
        let expected = problem.expected();
        for kernels in Kernels::available().unwrap() {
            let got = problem.train(&problem.network(kernels));
            let within = expected.compare(&got);
            assert!(within.is_ok(), "seed {seed} on {}: {}", kernels.isa(), within.unwrap_err());
            let both = got.get("grad h_0").iter().zip(expected.arrays.get("grad h_0"));
            apart = both.fold(apart, |most, (got, expected)| most.max((f64::from(*got) - expected).abs()));
        }
    }
    assert!(apart > FLUSH_BELOW / 100.0, "no gradient came to stand on the other side: {apart:e}");
}

/// In dL/dh of the first step the gradient from above and that of the second one all but cancel: their errors stay.
#[test]
fn a_gradient_of_h_0_that_cancels() {
    let usual = Setup { cell: Cell::Gru, input: 5, hidden: 1, batch: 2, ..Setup::default() };
    for (seed, steps) in [(151_820, 6), (162_927, 4), (191_296, 2)] {
        check(&Setup { seed, steps, ..usual.clone() }).unwrap();
    }
}
