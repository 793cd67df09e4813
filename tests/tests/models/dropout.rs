//! Dropout between layers: which values it takes, what it multiplies the others by, and what decides that. Its gradients are held
//! against the oracle in `oracle.rs`.

use gatewise::{Cell, DropoutKey, Kernels, Philox};
use tests::bounds::same_bits;
use tests::philox::{dropout, philox};
use tests::problem::{Arrays, Problem};
use tests::setup::Setup;

fn problem(rate: f32) -> Problem {
    Setup { cell: Cell::Gru, layers: 2, hidden: 24, batch: 4, steps: 6, dropout: rate, ..Setup::default() }
        .problem()
}

fn train(problem: &Problem) -> Arrays<f32> {
    problem.train(&problem.network(Kernels::auto().unwrap()))
}

/// The generator of the crate and the one of these tests are the same function.
#[test]
fn philox_twice() {
    let (seed, stream) = (0x0123_4567_89ab_cdef, 0xfeed_0000_0042);
    let mut random = Philox::new(seed, stream);
    for block in 0..5 {
        let expected = philox([block, 0, stream as u32, (stream >> 32) as u32], seed);
        assert_eq!([0; 4].map(|_| random.next_u32()), expected);
    }
}

/// Of PyTorch's `test_RNN_dropout`, with its rates: between layers only, kept values grow by 1/(1 - rate), the share is right.
#[test]
fn shares_and_factors() {
    for rate in [0.0_f32, 0.276, 0.731, 1.0] {
        let n = 40_000;
        let values = (0..n).map(|i| dropout(9, rate, 1, i / 64, 3, (i % 64) as usize));
        let (mut kept, mut sum) = (0, 0.0);
        for value in values {
            assert!(value == 0.0 || value == 1.0 / (1.0 - rate));
            kept += u32::from(value != 0.0);
            sum += f64::from(value);
        }
        let (share, deviation) =
            (f64::from(kept) / f64::from(n), (f64::from(rate) * f64::from(1.0 - rate)).sqrt());
        // Five deviations of a mean of n.
        let allowed = 5.0 * deviation / f64::from(n).sqrt();
        assert!((share - f64::from(1.0 - rate)).abs() <= allowed, "{rate}: {share} kept");
        assert!(rate == 1.0 || (sum / f64::from(n) - 1.0).abs() <= allowed / f64::from(1.0 - rate));
    }
}

/// One layer has no outputs between layers; a rate of 0 is none; with 1 the second layer sees zeros.
#[test]
fn the_ends_of_the_scale() {
    let (mut one, mut none) = (problem(0.5), problem(0.0));
    let single = Setup { layers: 1, ..one.setup.clone() }.problem();
    let without = Setup { dropout: 0.0, ..single.setup.clone() }.problem();
    same_bits(&train(&single), &train(&without)).unwrap();
    assert!(same_bits(&train(&one), &train(&none)).is_err(), "dropout does something");

    one.setup.dropout = 1.0;
    // Upstream of the second layer alone: nothing of it may come through to the first.
    one.dh_n = None;
    // What the second layer makes of zeros: that of weights that do not look at its input.
    let all_dropped = train(&one);
    none.stack.weights[1].w_ih.fill(0.0);
    let blind = train(&none);
    assert_eq!(all_dropped.get("out"), blind.get("out"));
    for array in ["grad x", "grad weight_ih_l0", "grad weight_hh_l0", "grad weight_ih_l1"] {
        assert!(all_dropped.get(array).iter().all(|&value| value == 0.0), "{array}");
    }
    assert!(all_dropped.get("grad weight_hh_l1").iter().any(|&value| value != 0.0));
}

/// PyTorch's `test_RNN_dropout_state`: inference is not touched; the same key chooses the same values, another seed others.
#[test]
fn the_key_decides() {
    let one = problem(0.5);
    let network = one.network(Kernels::auto().unwrap());
    same_bits(&one.infer(&network), &problem(0.0).infer(&network)).unwrap();
    same_bits(&one.train(&network), &one.train(&network)).unwrap();
    let mut other = one.clone();
    other.setup.seed += 1;
    assert!(same_bits(&one.train(&network), &other.train(&network)).is_err(), "another seed");
    let mut later = one.clone();
    later.first_step = 1;
    assert!(same_bits(&one.train(&network), &later.train(&network)).is_err(), "another first step");
    let mut renamed = one.clone();
    renamed.rows = vec![7, 8, 9, 10];
    assert!(same_bits(&one.train(&network), &renamed.train(&network)).is_err(), "other numbers of the rows");

    // Numbers left out are 0, 1, 2, ..
    let key = DropoutKey { seed: one.setup.seed, ..DropoutKey::default() };
    let tape = network.forward_train(one.input(&one.x).dropout(key), one.state(&network).as_ref()).unwrap();
    assert_eq!(tape.output().data(), one.train(&network).get("out"));
}

/// A row keeps its mask when it moves to another place, for its number goes with it; and each row has one of its own.
#[test]
fn a_rows_mask_goes_with_its_number() {
    let mut twins = problem(0.5);
    let Setup { steps, batch, input, .. } = twins.setup;
    for t in 0..steps {
        let first = twins.x[t * batch * input..][..input].to_vec();
        for row in 1..batch {
            twins.x[(t * batch + row) * input..][..input].copy_from_slice(&first);
        }
    }
    twins.h_0 = None;
    let got = train(&twins);
    let row = |arrays: &Arrays<f32>, row: usize| twins.of_rows(arrays, &[row]).get("out").to_vec();
    assert_ne!(row(&got, 0), row(&got, 1), "rows that are alike but for their numbers");
    twins.rows = vec![0, 0, 1, 1];
    let got = train(&twins);
    let of = |place: usize| twins.of_rows(&got, &[place]).get("out").to_vec();
    assert_eq!((of(0), of(2)), (of(1), of(3)));
    assert_ne!(of(0), of(2));
}
