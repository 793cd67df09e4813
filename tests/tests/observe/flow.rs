//! The flow of gradients: the oracle's norms, and no bit of the pass changed by whoever looks.

use gatewise::{Any, Gradients, Kernels, Memory, Network, Observer, StepClip, Tape, Upstream, View};
use proptest::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::sync::LazyLock;
use tests::bounds::{same_bits, same_slices};
use tests::oracle::{StackGrads, StackTrace};
use tests::problem::{Arrays, Problem};
use tests::setup::{Setup, cases, setups};

static POOLS: LazyLock<Vec<ThreadPool>> = LazyLock::new(|| {
    (1..=3).map(|threads| ThreadPoolBuilder::new().num_threads(threads).build().unwrap()).collect()
});

/// Forward and backward, with an observer or without; all that backward leaves.
pub(crate) fn pass(
    problem: &Problem,
    network: &Network<Any>,
    memory: Memory,
    clip: Option<StepClip>,
    observer: Option<&mut Observer>,
) -> Arrays<f32> {
    let x = problem.layout(&problem.x, problem.setup.input);
    let width = problem.setup.output();
    let dy = problem.dy.as_ref().map(|dy| problem.layout(dy, width));
    let upstream = Upstream {
        output: dy.as_ref().map(|dy| View::new(dy, problem.shape(width)).unwrap()),
        h_n: problem.dh_n.as_deref(),
        c_n: problem.dc_n.as_deref(),
        clip,
        ..Upstream::default()
    };
    let mut tape = Tape::with_memory(memory);
    let reset = problem.reset_state(network);
    let input = problem.input_with(&x, reset.as_ref());
    network.forward_train_into(input, problem.state(network).as_ref(), &mut tape).unwrap();
    let mut grads = network.params().zeros_like();
    match observer {
        Some(observer) => observer.backward(network, &mut tape, upstream, &mut grads).unwrap(),
        None => network.backward(&mut tape, upstream, &mut grads).unwrap(),
    }
    let mut list = vec![
        ("out".to_string(), tape.output().data().to_vec()),
        ("x".to_string(), tape.grad_input().unwrap().data().to_vec()),
        ("h_0".to_string(), tape.grad_h_0().to_vec()),
        ("c_0".to_string(), tape.grad_c_0().to_vec()),
        ("reset_h".to_string(), tape.gradients().grad_reset_h().to_vec()),
        ("reset_c".to_string(), tape.gradients().grad_reset_c().to_vec()),
    ];
    list.extend(grads.iter().map(|grad| (grad.name().to_string(), grad.data().to_vec())));
    Arrays { list }
}

/// The L2 norm of each step of an array [T, ..].
fn norms(values: &[f64], steps: usize) -> Vec<f64> {
    let width = values.len() / steps;
    let of = |step: usize| &values[step * width..(step + 1) * width];
    (0..steps).map(|step| of(step).iter().map(|value| value * value).sum::<f64>().sqrt()).collect()
}

/// How far a norm may be from the oracle's, as `tests::bounds` has it for gradients: each element of dL/dh is a sum whose terms come
/// to no more than the largest dL/dh, dL/dc or dL/da of the pass, times K terms; the norm of n elements is off by sqrt(n) of that.
///
/// ```text
/// | |got| - |expected| | <= sqrt(n) 8 ceil(log2 K) eps max(|dh|, |dc|, |da|)
/// ```
fn allowed(problem: &Problem, grads: &StackGrads, width: usize) -> f64 {
    let setup = &problem.setup;
    let depth: usize = (0..setup.layers).map(|layer| setup.layer_input(layer) + setup.hidden).sum();
    let terms = ((depth * setup.steps) as f64).log2().ceil().max(1.0);
    let largest = grads.layers.iter().flat_map(|layer| layer.h.iter().chain(&layer.c).chain(&layer.xa));
    let largest = largest.fold(0.0_f64, |most, value| most.max(value.abs()));
    ((setup.batch * width) as f64).sqrt() * 8.0 * terms * f64::from(f32::EPSILON) * largest.max(1e-30)
}

fn close(what: &str, got: &[f64], expected: &[f64], allowed: f64) -> Result<(), TestCaseError> {
    prop_assert_eq!(got.len(), expected.len(), "{}", what);
    for (t, (got, expected)) in got.iter().zip(expected).enumerate() {
        prop_assert!(
            (got - expected).abs() <= allowed,
            "{what}[{t}]: {got:e}, not {expected:e}, within {allowed:e}"
        );
    }
    Ok(())
}

fn against_oracle(problem: &Problem, trace: &StackTrace, observer: &Observer) -> Result<(), TestCaseError> {
    let setup = &problem.setup;
    let grads = problem.stack.backward(&problem.stack_run(), trace, &problem.upstream());
    let flow = observer.flow();
    prop_assert_eq!(flow.tracks.len(), setup.layers * setup.directions());
    prop_assert_eq!(flow.steps(), setup.steps);
    let bound = allowed(problem, &grads, setup.hidden);
    for (place, (track, expected)) in flow.tracks.iter().zip(&grads.layers).enumerate() {
        prop_assert_eq!(place, track.layer * setup.directions() + track.direction);
        close("dL/dh", &track.h, &norms(&expected.h, setup.steps), bound)?;
        // The oracle keeps a c for every GRU; here one with a projection has it.
        if setup.has_c() {
            close("dL/dc", &track.c, &norms(&expected.c, setup.steps), bound)?;
        } else {
            prop_assert!(track.c.is_empty());
        }
    }
    close("dL/dx", &flow.x, &norms(&grads.x, setup.steps), bound * setup.input.max(1) as f64)?;
    prop_assert_eq!(&flow.non_finite, &None);
    Ok(())
}

/// Whatever the configuration: the oracle's norms, the bits of a pass that nobody looks at, whole and in segments, and the same norms
/// from any number of threads.
fn check(setup: &Setup) -> Result<(), TestCaseError> {
    let problem = setup.problem();
    let trace = problem.stack.forward(&problem.stack_run());
    prop_assume!(!problem.expected().is_near_kink);
    for kernels in Kernels::available().unwrap() {
        let network = problem.network(kernels);
        let plain = pass(&problem, &network, Memory::Full, None, None);
        let mut first: Option<gatewise::GradientFlow> = None;
        for pool in POOLS.iter() {
            let mut observer = Observer::new(&network);
            let seen = pool.install(|| pass(&problem, &network, Memory::Full, None, Some(&mut observer)));
            let same = same_bits(&plain, &seen);
            prop_assert!(same.is_ok(), "on {}: {same:?}", kernels.isa());
            against_oracle(&problem, &trace, &observer)?;
            match &first {
                None => first = Some(observer.flow().clone()),
                Some(first) => prop_assert_eq!(first, observer.flow()),
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(96))]

    #[test]
    fn any_configuration(setup in setups(1 << 15)) {
        check(&setup)?;
    }
}

/// Passes that are worth more than one thread.
#[test]
fn passes_that_are_shared_out() {
    for cell in gatewise::Cell::ALL {
        let options = Setup { bidirectional: true, ragged: true, layers: 2, ..Setup::default() };
        let setup = Setup { cell, hidden: 48, input: 8, steps: 40, batch: 7, ..options };
        // A relu on its kink is another seed's turn.
        let passed = (0..4).any(|seed| match check(&Setup { seed, ..setup.clone() }) {
            Ok(()) => true,
            Err(TestCaseError::Reject(_)) => false,
            Err(error) => panic!("{cell:?}: {error}"),
        });
        assert!(passed, "{cell:?}");
    }
}

/// A tape cut into segments shows the same flow; so does one that is kept.
#[test]
fn tapes_in_segments_and_tapes_that_are_kept() {
    let setup = Setup { hidden: 12, steps: 40, batch: 3, layers: 2, ragged: true, ..Setup::default() };
    let problem = setup.problem();
    let network = problem.network(Kernels::auto().unwrap());
    let (mut whole, mut cut, mut kept) =
        (Observer::new(&network), Observer::new(&network), Observer::new(&network));
    let expected = pass(&problem, &network, Memory::Full, None, Some(&mut whole));
    // The least that it fits in.
    let x = problem.layout(&problem.x, setup.input);
    let least = |memory| {
        let mut tape = Tape::with_memory(memory);
        network.forward_train_into(problem.input(&x), problem.state(&network).as_ref(), &mut tape)
    };
    let Err(gatewise::Error::MemoryBudget { needed, .. }) = least(Memory::Budget(1)) else { panic!() };
    let got = pass(&problem, &network, Memory::Budget(needed), None, Some(&mut cut));
    same_bits(&expected, &got).unwrap();
    assert_eq!(whole.flow(), cut.flow());

    let mut tape = network.forward_train(problem.input(&x), problem.state(&network).as_ref()).unwrap();
    let width = setup.output();
    let dy = View::new(problem.dy.as_ref().unwrap(), problem.shape(width)).unwrap();
    let (h_n, c_n) = (problem.dh_n.as_deref(), problem.dc_n.as_deref());
    let upstream = Upstream { h_n, c_n, ..Upstream::output(dy) };
    let (mut gradients, mut grads) = (Gradients::default(), network.params().zeros_like());
    kept.backward_keep(&network, &tape, upstream, &mut gradients, &mut grads).unwrap();
    assert_eq!(whole.flow(), kept.flow());
    same_slices("dx", gradients.grad_input().unwrap().data(), &got.list[1].1).unwrap();
    // It is all still there.
    kept.backward(&network, &mut tape, upstream, &mut grads).unwrap();
    assert_eq!(whole.flow(), kept.flow());
}
