//! The options of initial parameters: orthogonal and identity recurrent matrices, their scale, the forget gate's bias.

use gatewise::{Any, Builder, Cell, Error, Gru, Init, Lstm, Network, Philox, Recurrent, Tensors};

const HIDDEN: usize = 24;

/// Two layers in both directions: every array of weights that a network has.
fn builder(cell: Cell) -> Builder<Any> {
    Network::with_cell(cell, 5, HIDDEN).num_layers(2).bidirectional(true).seed(9)
}

fn built(cell: Cell, init: Init) -> Tensors {
    builder(cell).init(init).build().unwrap().params().clone()
}

/// The arrays whose names start like this.
fn named<'a>(params: &'a Tensors, prefix: &str) -> Vec<&'a [f32]> {
    let arrays = params.iter().filter(|tensor| tensor.name().starts_with(prefix));
    let arrays: Vec<&[f32]> = arrays.map(|tensor| tensor.data()).collect();
    assert!(!arrays.is_empty(), "{prefix}");
    arrays
}

/// The blocks of all gates of all recurrent matrices, each [rows, columns].
fn blocks(params: &Tensors, cell: Cell, columns: usize) -> Vec<&[f32]> {
    let blocks = named(params, "weight_hh").into_iter();
    let blocks: Vec<&[f32]> = blocks.flat_map(|array| array.chunks(HIDDEN * columns)).collect();
    assert_eq!(blocks.len() % cell.gates(), 0);
    blocks
}

/// |W^T W - I|, its largest element.
fn distance_from_orthogonal(block: &[f32], columns: usize) -> f64 {
    let mut largest = 0.0_f64;
    for i in 0..columns {
        for j in 0..columns {
            let products =
                block.chunks(columns).map(|row| f64::from(row[i]) * f64::from(row[j])).sum::<f64>();
            largest = largest.max((products - f64::from(u8::from(i == j))).abs());
        }
    }
    largest
}

/// What is not asked for changes no bit: each array is uniform in +-1/sqrt(hidden_size) from a stream of its own.
#[test]
fn the_default_is_pytorchs() {
    let bound = (1.0 / (HIDDEN as f64).sqrt()) as f32;
    for cell in Cell::ALL {
        let params = built(cell, Init::default());
        for (stream, tensor) in (0..).zip(params.iter()) {
            let mut random = Philox::new(9, stream);
            let is_next = |&weight: &f32| weight == bound * (2.0 * random.uniform() - 1.0);
            assert!(tensor.data().iter().all(is_next), "{cell:?}: {}", tensor.name());
        }
        assert_eq!(&params, builder(cell).build().unwrap().params());
    }
}

/// Columns of norm 1 whose elements are rounded to f32, each with a relative error of 2^-24: two products of them differ from the
/// exact ones by 2 * 2^-24 at most, since sum |w_i w_j| <= 1.
#[test]
fn orthogonal_matrices_are_orthogonal() {
    let bound = 2.1 * f64::from(f32::EPSILON) / 2.0;
    let init = Init { recurrent: Recurrent::Orthogonal, ..Init::default() };
    for cell in Cell::ALL {
        let params = built(cell, init);
        let blocks = blocks(&params, cell, HIDDEN);
        for (i, block) in blocks.iter().enumerate() {
            let distance = distance_from_orthogonal(block, HIDDEN);
            assert!(distance <= bound, "{cell:?}: {distance}");
            assert!(!blocks[..i].contains(block), "{cell:?}: two blocks are the same");
        }
        let plain = built(cell, Init::default());
        for prefix in ["weight_ih", "bias_ih", "bias_hh"] {
            assert_eq!(named(&params, prefix), named(&plain, prefix), "{cell:?}");
        }
        assert_eq!(params, built(cell, init), "{cell:?}: another result from the same seed");
        assert_ne!(&params, builder(cell).seed(10).init(init).build().unwrap().params());
    }
    // With a projection the blocks are tall, and their columns orthonormal.
    let lstm = Lstm::builder(3, HIDDEN).proj_size(7).init(init).build().unwrap();
    for block in blocks(lstm.params(), Cell::Lstm, 7) {
        assert!(distance_from_orthogonal(block, 7) <= bound);
    }
    // A 1 x 1 orthogonal matrix is 1 or -1.
    let single = Lstm::builder(3, 1).init(init).build().unwrap();
    assert!(single.params().get("weight_hh_l0").unwrap().data().iter().all(|weight| weight.abs() == 1.0));
}

/// Over many seeds each element is as often above as below 0: the signs of Q are not those of one factorisation.
#[test]
fn orthogonal_matrices_prefer_no_sign() {
    let init = Init { recurrent: Recurrent::Orthogonal, ..Init::default() };
    let mut above = [0; 9];
    const SEEDS: u64 = 400;
    for seed in 0..SEEDS {
        let rnn = Network::with_cell(Cell::RnnTanh, 1, 3).seed(seed).init(init).build().unwrap();
        let weights = rnn.params().get("weight_hh_l0").unwrap().data().to_vec();
        above.iter_mut().zip(weights).for_each(|(n, weight)| *n += u64::from(weight > 0.0));
    }
    // Five deviations of a fair coin.
    let allowed = 5.0 * (SEEDS as f64 / 4.0).sqrt();
    for n in above {
        assert!((n as f64 - SEEDS as f64 / 2.0).abs() <= allowed, "{above:?} of {SEEDS}");
    }
}

#[test]
fn identity_matrices_have_no_biases() {
    let init = Init { recurrent: Recurrent::Identity, recurrent_scale: 0.5, ..Init::default() };
    for cell in Cell::ALL {
        let params = built(cell, init);
        for block in blocks(&params, cell, HIDDEN) {
            let expected = |i: usize| if i.is_multiple_of(HIDDEN + 1) { 0.5 } else { 0.0 };
            assert!(block.iter().enumerate().all(|(i, &weight)| weight == expected(i)), "{cell:?}");
        }
        assert!(named(&params, "bias").concat().iter().all(|&bias| bias == 0.0));
        assert_eq!(named(&params, "weight_ih"), named(&built(cell, Init::default()), "weight_ih"));
    }
    // Tall blocks: the columns' ones stand at the top.
    let lstm = Lstm::builder(3, HIDDEN).proj_size(7).init(init).build().unwrap();
    for block in blocks(lstm.params(), Cell::Lstm, 7) {
        let ones: Vec<usize> = (0..block.len()).filter(|&i| block[i] != 0.0).collect();
        assert_eq!(ones, (0..7).map(|i| 8 * i).collect::<Vec<_>>());
    }
}

#[test]
fn the_scale_is_that_of_recurrent_matrices_alone() {
    for cell in Cell::ALL {
        let (plain, scaled) =
            (built(cell, Init::default()), built(cell, Init { recurrent_scale: 3.0, ..Init::default() }));
        for (a, b) in plain.iter().zip(scaled.iter()) {
            let factor = if a.name().starts_with("weight_hh") { 3.0 } else { 1.0 };
            assert!(a.data().iter().zip(b.data()).all(|(a, b)| factor * a == *b), "{}", a.name());
        }
    }
}

/// PyTorch's two biases are summed: one holds the value and the other zeros, in the forget gate's rows alone.
#[test]
fn the_bias_of_the_forget_gate() {
    for (recurrent, is_identity) in [(Recurrent::Uniform, false), (Recurrent::Identity, true)] {
        let plain = built(Cell::Lstm, Init { recurrent, ..Init::default() });
        let params = built(Cell::Lstm, Init { recurrent, forget_bias: Some(1.5), ..Init::default() });
        for (prefix, value) in [("bias_ih", 1.5), ("bias_hh", 0.0)] {
            for (got, before) in named(&params, prefix).into_iter().zip(named(&plain, prefix)) {
                assert_eq!(got[HIDDEN..2 * HIDDEN], [value; HIDDEN]);
                assert_eq!(got[..HIDDEN], before[..HIDDEN]);
                assert_eq!(got[2 * HIDDEN..], before[2 * HIDDEN..]);
                assert_eq!(got[0] == 0.0, is_identity);
            }
        }
        assert_eq!(named(&params, "weight"), named(&plain, "weight"));
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let refused =
        |builder: Builder<Any>, init: Init, name: &str, words: &str| match builder.init(init).build() {
            Err(Error::Config { arg, expected, .. }) => {
                assert_eq!(arg, name);
                assert!(expected.contains(words), "{expected}");
            }
            other => panic!("{init:?}: {other:?}"),
        };
    for recurrent_scale in [-1.0, f32::NAN, f32::INFINITY] {
        let init = Init { recurrent_scale, ..Init::default() };
        refused(builder(Cell::Gru), init, "recurrent_scale", "not negative");
    }
    let init = |bias| Init { forget_bias: Some(bias), ..Init::default() };
    for cell in [Cell::RnnTanh, Cell::RnnRelu, Cell::Gru] {
        refused(builder(cell), init(1.0), "forget_bias", "no LSTM");
    }
    refused(builder(Cell::Lstm).bias(false), init(1.0), "forget_bias", "without biases");
    refused(builder(Cell::Lstm), init(f32::NAN), "forget_bias", "finite");
    // A network without biases may still be an orthogonal or an identity one.
    for recurrent in [Recurrent::Orthogonal, Recurrent::Identity] {
        let init = Init { recurrent, ..Init::default() };
        assert!(Gru::builder(2, 4).bias(false).init(init).build().is_ok());
    }
}
