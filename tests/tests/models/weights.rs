//! Weight files: what is written is read, byte for byte; what does not fit, or is no weight file, is an error that names it.

use super::errors::refused;
use gatewise::{Any, Cell, Embedding, Error, Kernels, Linear, Network, Tensors, WeightFile, save_weights};
use std::fs;
use std::path::PathBuf;
use tests::bounds::same_bits;
use tests::setup::Setup;

/// A path in the folder of these tests' leftovers.
fn path(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("models");
    fs::create_dir_all(&folder).unwrap();
    folder.join(name)
}

fn network(cell: Cell, seed: u64) -> Network<Any> {
    Network::with_cell(cell, 3, 8).num_layers(2).bidirectional(true).seed(seed).build().unwrap()
}

/// PyTorch's `test_save_load`, Keras' `test_serialization`: a network that loads another's weights computes the same bits.
#[test]
fn a_network_goes_to_a_file_and_comes_back() {
    for cell in Cell::ALL {
        let file = path(&format!("round-trip-{}.safetensors", cell.name()));
        let problem = Setup { cell, layers: 2, bidirectional: true, hidden: 8, ..Setup::default() }.problem();
        let one = problem.network(Kernels::auto().unwrap());
        save_weights(&file, &[("", one.params())]).unwrap();
        let bytes = fs::read(&file).unwrap();
        let mut other = network(cell, 9);
        assert_ne!(other.params(), one.params());
        let weights = WeightFile::read(&file).unwrap();
        weights.load("", &mut other.params_mut()).unwrap();
        assert_eq!(other.params(), one.params());
        same_bits(&problem.train(&one), &problem.train(&other)).unwrap();
        same_bits(&problem.infer(&one), &problem.infer(&other)).unwrap();

        save_weights(&file, &[("", other.params())]).unwrap();
        assert_eq!(fs::read(&file).unwrap(), bytes, "the same parameters are the same bytes");
        let mut listed: Vec<_> =
            one.params().iter().map(|t| (t.name().to_string(), t.shape().to_vec())).collect();
        listed.sort();
        assert_eq!(weights.list(), listed);
    }
}

/// Every f32 comes back as it was: infinities, subnormals, negative zero, NaN.
#[test]
fn all_kinds_of_numbers() {
    let values = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, f32::MIN_POSITIVE / 2.0, f32::MAX, 1.5];
    let mut list = Tensors::default();
    list.add("w", &[7], values.to_vec()).unwrap();
    list.add("empty", &[0, 3], vec![]).unwrap();
    let file = path("kinds.safetensors");
    save_weights(&file, &[("a.", &list)]).unwrap();
    let mut back = list.zeros_like();
    WeightFile::read(&file).unwrap().load("a.", &mut back).unwrap();
    let bits =
        |list: &Tensors| -> Vec<u32> { list.get("w").unwrap().data().iter().map(|x| x.to_bits()).collect() };
    assert_eq!(bits(&back), bits(&list));
}

/// Several models in a file, each under its prefix.
#[test]
fn several_models_in_a_file() {
    let file = path("several.safetensors");
    let (embedding, rnn, head) =
        (Embedding::new(5, 3, 1).unwrap(), network(Cell::Gru, 2), Linear::new(16, 5, 3).unwrap());
    let lists = [("emb.", embedding.params()), ("rnn.", rnn.params()), ("head.", head.params())];
    save_weights(&file, &lists).unwrap();
    let weights = WeightFile::read(&file).unwrap();
    let (mut e, mut r, mut h) =
        (Embedding::new(5, 3, 7).unwrap(), network(Cell::Gru, 8), Linear::new(16, 5, 9).unwrap());
    weights.load("emb.", e.params_mut()).unwrap();
    weights.load("rnn.", &mut r.params_mut()).unwrap();
    weights.load("head.", &mut h.params_mut()).unwrap();
    assert_eq!((e.params(), r.params(), h.params()), (embedding.params(), rnn.params(), head.params()));

    let twice = [("x.", embedding.params()), ("x.", embedding.params())];
    let before = fs::read(&file).unwrap();
    refused(save_weights(&file, &twice), "x.weight: a tensor of this name is there already");
    assert_eq!(fs::read(&file).unwrap(), before, "the file stays");
}

/// A file of another model: what is missing, of another shape, or too much is named, and no parameter has changed.
#[test]
fn weights_of_another_model() {
    let file = path("foreign.safetensors");
    let lstm = Network::with_cell(Cell::Lstm, 3, 8).build().unwrap();
    save_weights(&file, &[("rnn.", lstm.params())]).unwrap();
    let weights = WeightFile::read(&file).unwrap();
    let check = |prefix: &str, mut other: Network<Any>, what: &str, problem: &str| {
        let before = other.params().clone();
        let error = weights.load(prefix, &mut other.params_mut()).expect_err(problem);
        match &error {
            Error::WeightFile { what: of, .. } => assert_eq!(of, what),
            other => panic!("{other:?}"),
        }
        assert!(error.to_string().contains(problem), "{error}");
        assert_eq!(other.params(), &before, "{problem}: the parameters stay");
    };
    let of = |cell, input, hidden| Network::with_cell(cell, input, hidden);
    check(
        "rnn.",
        of(Cell::Gru, 3, 8).build().unwrap(),
        "rnn.weight_ih_l0",
        "its shape is [32, 3], expected [24, 3]",
    );
    check(
        "rnn.",
        of(Cell::Lstm, 4, 8).build().unwrap(),
        "rnn.weight_ih_l0",
        "its shape is [32, 3], expected [32, 4]",
    );
    check(
        "rnn.",
        of(Cell::Lstm, 3, 8).num_layers(2).build().unwrap(),
        "rnn.weight_ih_l1",
        "rnn.weight_ih_l1",
    );
    check(
        "rnn.",
        of(Cell::Lstm, 3, 8).bias(false).build().unwrap(),
        "rnn.bias_hh_l0",
        "the model has no such parameter",
    );
    check("lstm.", of(Cell::Lstm, 3, 8).build().unwrap(), "lstm.weight_ih_l0", "lstm.weight_ih_l0");
}

/// Doubles are not taken for floats.
#[test]
fn weights_of_another_type() {
    let file = path("f64.safetensors");
    let bytes = vec![0_u8; 8 * 6];
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F64, vec![2, 3], &bytes).unwrap();
    fs::write(&file, safetensors::serialize([("weight", view)], None).unwrap()).unwrap();
    let mut embedding = Embedding::new(2, 3, 1).unwrap();
    let before = embedding.params().clone();
    let weights = WeightFile::read(&file).unwrap();
    refused(weights.load("", embedding.params_mut()), "weight: its dtype is F64, expected F32");
    assert_eq!(embedding.params(), &before);
}

/// Every prefix of a weight file, and one with each byte of its header changed: an error or the same tensors, never a panic.
#[test]
fn files_that_are_cut_or_damaged() {
    let file = path("damaged.safetensors");
    let embedding = Embedding::new(3, 2, 1).unwrap();
    save_weights(&file, &[("", embedding.params())]).unwrap();
    let bytes = fs::read(&file).unwrap();
    for len in 0..bytes.len() {
        fs::write(&file, &bytes[..len]).unwrap();
        let error = WeightFile::read(&file).expect_err("a file that is cut off");
        assert!(error.to_string().starts_with(&file.display().to_string()), "{error}");
    }
    let header = bytes.len() - 3 * 2 * 4;
    for place in 0..header {
        for flip in [1, 0x20, 0x80] {
            let mut damaged = bytes.clone();
            damaged[place] ^= flip;
            fs::write(&file, &damaged).unwrap();
            let mut params = embedding.params().zeros_like();
            if let Ok(weights) = WeightFile::read(&file) {
                match weights.load("", &mut params) {
                    Ok(()) => assert_eq!(&params, embedding.params(), "byte {place}"),
                    Err(_) => assert_eq!(params, embedding.params().zeros_like(), "byte {place}"),
                }
            }
        }
    }
    fs::write(&file, [bytes.as_slice(), &[0; 4]].concat()).unwrap();
    assert!(WeightFile::read(&file).is_err(), "bytes that belong to no tensor");
    fs::write(&file, u64::MAX.to_le_bytes()).unwrap();
    assert!(WeightFile::read(&file).is_err(), "a header longer than any file");
    fs::write(&file, b"not a weight file at all").unwrap();
    assert!(WeightFile::read(&file).is_err());
    let missing = path("no-such-file.safetensors");
    assert!(matches!(WeightFile::read(&missing), Err(Error::WeightFile { .. })));
    let nowhere = path("no-such-folder").join("file.safetensors");
    assert!(matches!(save_weights(nowhere, &[]), Err(Error::WeightFile { .. })));
}
