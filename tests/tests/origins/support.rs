//! What the tests of all origins need.

use gatewise::{Any, Error, Input, Kernels, Network, State, Tape, View, Workspace};
use std::fmt::Debug;
use tests::setup::Setup;

/// The kernels of every instruction set here.
pub(super) fn all_kernels() -> Vec<Kernels> {
    Kernels::available().unwrap()
}

/// The kernels that are used if none are named.
pub(super) fn kernels() -> Kernels {
    Kernels::auto().unwrap()
}

/// The error of a call that must be refused, held to its words.
#[track_caller]
pub(super) fn refused<T: Debug>(result: Result<T, Error>, words: &str) -> Error {
    let error = result.expect_err(words);
    assert_eq!(error.to_string(), words);
    error
}

/// Every whole-sequence call refuses, with these words, and writes nothing into state, output or tape.
#[track_caller]
pub(super) fn refused_by_all<'a>(
    network: &Network<Any>,
    input: impl Into<Input<'a>>,
    state: &State,
    words: &str,
) {
    let input = input.into();
    refused(network.forward(input, Some(state)), words);
    let (mut written, mut y) = (state.clone(), vec![7.5; 1000]);
    refused(network.forward_into(input, &mut written, &mut y, &mut Workspace::default()), words);
    assert_eq!(&written, state, "the state stays");
    assert!(y.iter().all(|&value| value == 7.5), "the output stays");
    let mut tape = Tape::default();
    refused(network.forward_train_into(input, Some(state), &mut tape), words);
    assert!(network.trace(&tape).is_err(), "the tape stays empty");
}

/// `len` numbers from `first` on, each 1 more than the one before.
pub(super) fn ascending(first: f32, len: usize) -> Vec<f32> {
    (0..len).map(|i| first + i as f32).collect()
}

/// Sets every float of a parameter, from its place in it.
pub(super) fn set(network: &mut Network<Any>, name: &str, value: impl Fn(usize) -> f32) {
    let mut params = network.params_mut();
    let tensor = params.get_mut(name).unwrap_or_else(|| panic!("no parameter {name}"));
    for (i, to) in tensor.data_mut().iter_mut().enumerate() {
        *to = value(i);
    }
}

/// |got - expected| <= tolerance (1 + |expected|), element by element.
#[track_caller]
pub(super) fn close<T: Copy + Into<f64>>(what: &str, got: &[f32], expected: &[T], tolerance: f64) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for (i, (&got, &expected)) in got.iter().zip(expected).enumerate() {
        let (got, expected) = (f64::from(got), expected.into());
        let allowed = tolerance * (1.0 + expected.abs());
        let is_close = (got - expected).abs() <= allowed;
        assert!(is_close, "{what}[{i}] is {got}, expected {expected} within {allowed:e}");
    }
}

/// Runs a configuration forward and back on every instruction set against the oracle.
#[track_caller]
pub(super) fn agrees_with_the_oracle(setup: &Setup) {
    // A relu near its kink may go either way: the next seed that keeps away from it.
    let problems = (0..20).map(|more| Setup { seed: setup.seed + more, ..setup.clone() }.problem());
    let mut checked = problems.map(|problem| (problem.expected(), problem));
    let found = checked.find(|(expected, _)| !expected.is_near_kink);
    let (expected, problem) = found.expect("a seed away from the kink");
    for kernels in all_kernels() {
        let network = problem.network(kernels);
        // Inference drops nothing.
        let inferred = (problem.setup.dropout == 0.0).then(|| problem.infer(&network));
        for got in [problem.train(&network)].into_iter().chain(inferred) {
            if let Err(error) = expected.compare(&got) {
                panic!("{setup:?} on {}: {error}", kernels.isa());
            }
        }
    }
}

/// A sequence of that shape, from its data.
pub(super) fn view(data: &[f32], shape: [usize; 3]) -> View<'_> {
    View::new(data, shape).unwrap()
}
