//! Tapes that are kept, several alive at once, and what a pass adds to.

use super::case::{Case, Options, all_options, bits, kernels};
use gatewise::{Error, Gradients, Tape, Upstream, View};

/// `backward_keep` gives the bits of `backward`, as often as one likes, into storage used before for other sizes, and leaves the
/// tape to `backward`.
#[test]
fn a_kept_tape_gives_the_same_bits_any_number_of_times() {
    let mut gradients = Gradients::default();
    for kernels in kernels() {
        for (seed, options) in (0..).zip(all_options()) {
            let case = Case::new(options, kernels, seed);
            let mut tape = case.tape();
            let output = tape.output().data().to_vec();
            let mut all = Vec::new();
            for _ in 0..3 {
                let mut grads = case.grads();
                case.network.backward_keep(&tape, case.upstream(), &mut gradients, &mut grads).unwrap();
                all.push(bits(&grads, &gradients));
            }
            let mut grads = case.grads();
            case.network.backward(&mut tape, case.upstream(), &mut grads).unwrap();
            let consumed = bits(&grads, tape.gradients());
            assert!(all.iter().all(|kept| *kept == consumed), "{options:?}");
            assert_eq!(tape.output().data(), output, "{options:?}");
        }
    }
}

/// Another upstream gradient in between leaves no trace.
#[test]
fn kept_passes_know_nothing_of_each_other() {
    let case = Case::new(Options { layers: 2, bidirectional: true, ..Options::default() }, kernels()[0], 1);
    let tape = case.tape();
    let pass = |upstream: Upstream<'_>, gradients: &mut Gradients| {
        let mut grads = case.grads();
        case.network.backward_keep(&tape, upstream, gradients, &mut grads).unwrap();
        bits(&grads, gradients)
    };
    let gradients = &mut Gradients::default();
    let first = pass(case.upstream(), gradients);
    let other = pass(Upstream { output: None, input_grad: false, ..case.upstream() }, gradients);
    assert_ne!(first[..other.len()], other);
    assert!(gradients.grad_input().is_none());
    assert_eq!(pass(case.upstream(), gradients), first);
}

#[test]
fn two_tapes_are_alive_at_once() {
    for kernels in kernels() {
        let options = Options { layers: 2, dropout: 0.5, ragged: true, resets: true, ..Options::default() };
        let cases = [Case::new(options, kernels, 1), Case::new(Options { steps: 6, ..options }, kernels, 2)];
        let back = |case: &Case, tape: &mut Tape| {
            let mut grads = case.grads();
            case.network.backward(tape, case.upstream(), &mut grads).unwrap();
            bits(&grads, tape.gradients())
        };
        let alone: Vec<_> = cases.iter().map(|case| back(case, &mut case.tape())).collect();
        let mut tapes: Vec<_> = cases.iter().map(Case::tape).collect();
        for i in [1, 0] {
            assert_eq!(back(&cases[i], &mut tapes[i]), alone[i]);
        }
    }
}

#[test]
fn a_missing_upstream_gradient_is_zeros() {
    for kernels in kernels() {
        for options in all_options() {
            let case = Case::new(options, kernels, 3);
            let tape = case.tape();
            let whole = case.upstream();
            let pass = |upstream: Upstream<'_>| {
                let (mut grads, mut gradients) = (case.grads(), Gradients::default());
                case.network.backward_keep(&tape, upstream, &mut gradients, &mut grads).unwrap();
                bits(&grads, &gradients)
            };
            let zeros = vec![0.0; case.dy.len()];
            let output = whole.output.map(|output| View::new(&zeros, output.shape()).unwrap());
            let (h, c) = (vec![0.0; case.dh_n.len()], vec![0.0; case.dc_n.len()]);
            for (without, with_zeros) in [
                (Upstream { output: None, ..whole }, Upstream { output, ..whole }),
                (Upstream { h_n: None, ..whole }, Upstream { h_n: Some(&h), ..whole }),
                (Upstream { c_n: None, ..whole }, Upstream { c_n: Some(&c), ..whole }),
                (
                    Upstream::default(),
                    Upstream { output, h_n: Some(&h), c_n: Some(&c), ..Upstream::default() },
                ),
            ] {
                assert_eq!(pass(without), pass(with_zeros), "{options:?}");
            }
        }
    }
}

/// A second pass adds to what the first one left, and dL/dx and dL/dh_0 are set, not added to.
#[test]
fn gradients_of_parameters_accumulate() {
    let case = Case::new(Options { layers: 2, ..Options::default() }, kernels()[0], 4);
    let tape = case.tape();
    let (mut once, mut twice) = (case.network.params().zeros_like(), case.network.params().zeros_like());
    let (mut first, mut second) = (Gradients::default(), Gradients::default());
    case.network.backward_keep(&tape, case.upstream(), &mut first, &mut once).unwrap();
    for _ in 0..2 {
        case.network.backward_keep(&tape, case.upstream(), &mut second, &mut twice).unwrap();
    }
    assert_eq!(first.grad_input(), second.grad_input());
    assert_eq!(first.grad_h_0(), second.grad_h_0());
    for (once, twice) in once.iter().zip(twice.iter()) {
        for (a, b) in once.data().iter().zip(twice.data()) {
            // Sums of some 40 terms, each rounded.
            assert!(
                (2.0 * a - b).abs() <= 40.0 * f32::EPSILON * b.abs().max(1.0),
                "{}: {a} {b}",
                once.name()
            );
        }
    }
}

#[test]
fn a_consumed_tape_is_refused_and_nothing_is_written() {
    let case = Case::new(Options::default(), kernels()[0], 5);
    let mut tape = case.tape();
    let mut kept = Gradients::default();
    case.network.backward_keep(&tape, case.upstream(), &mut kept, &mut case.grads()).unwrap();
    case.network.backward(&mut tape, case.upstream(), &mut case.grads()).unwrap();
    let before = bits(&case.grads(), &kept);
    let mut grads = case.grads();
    let refused = case.network.backward_keep(&tape, case.upstream(), &mut kept, &mut grads);
    assert_eq!(refused, Err(Error::TapeConsumed));
    assert_eq!(bits(&grads, &kept), before);
    let of_other_size = Upstream::output(View::new(&[0.0; 5], [1, 1, 5]).unwrap());
    let refused = case.network.backward_keep(&case.tape(), of_other_size, &mut kept, &mut grads);
    let (arg, dim) = ("grad_output", "sequence length");
    assert_eq!(refused, Err(Error::Shape { arg, dim, expected: 11, got: 1 }));
    assert_eq!(bits(&grads, &kept), before);
}
