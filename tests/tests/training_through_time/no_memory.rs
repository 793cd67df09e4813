//! Memory that cannot be had: an error, and nothing half-written.

use super::case::bits;
use super::memory::{most_bytes, with_failing_allocation};
use gatewise::{
    Error, Gradients, Gru, Input, Linear, LinearRoom, Lstm, Memory, Tape, Tensors, Upstream, View, Workspace,
};

/// Backward may run in a larger pool than forward did, and plans for it.
#[test]
fn a_cut_pass_goes_back_in_a_larger_pool() {
    let (steps, batch, size) = (16, 32, 256);
    let lstm = Lstm::builder(size, size).seed(5).build().unwrap();
    let x: Vec<f32> = (0..steps * batch * size).map(|i| (i % 17) as f32 / 17.0 - 0.5).collect();
    let input = View::new(&x, [steps, batch, size]).unwrap();
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let (one, two) = (pool(1), pool(2));
    let record = |tape: &mut Tape| one.install(|| lstm.forward_train_into(input, None, tape));
    let needed = match record(&mut Tape::with_memory(Memory::Budget(0))) {
        Err(Error::MemoryBudget { needed, .. }) => needed,
        other => panic!("{other:?}"),
    };
    let back = |pool: &rayon::ThreadPool| {
        let mut tape = Tape::with_memory(Memory::Budget(needed));
        record(&mut tape).unwrap();
        assert!(tape.segment_len().is_some());
        let mut grads = lstm.params().zeros_like();
        pool.install(|| lstm.backward(&mut tape, Upstream::output(input), &mut grads)).unwrap();
        bits(&grads, tape.gradients())
    };
    assert_eq!(back(&two), back(&one));
}

/// The lower layer needs more room than the upper one, which has added its gradients by then.
#[test]
fn a_backward_without_memory_leaves_gradients_and_tape_as_they_were() {
    let lstm = Lstm::builder(40, 5).num_layers(2).seed(3).build().unwrap();
    let (x, dy) = ([0.25; 7 * 2 * 40], [0.5; 7 * 2 * 5]);
    let upstream = Upstream::output(View::new(&dy, [7, 2, 5]).unwrap());
    let mut expected = lstm.params().zeros_like();
    expected.fill(0.125);
    let before = expected.clone();
    let mut failures = 0;
    loop {
        let mut tape = lstm.forward_train(View::new(&x, [7, 2, 40]).unwrap(), None).unwrap();
        let mut grads = before.clone();
        let result = with_failing_allocation(failures + 1, || lstm.backward(&mut tape, upstream, &mut grads));
        if result.is_ok() {
            expected = grads;
            break;
        }
        assert!(matches!(result, Err(Error::SizeOverflow { .. })), "{failures}: {result:?}");
        assert_eq!(grads, before, "{failures}");
        lstm.backward(&mut tape, upstream, &mut grads).unwrap();
        assert_ne!(grads, before, "{failures}");
        failures += 1;
    }
    assert!(failures >= 8, "{failures}");
    assert_ne!(expected, before);

    // The same for a tape that is kept.
    let tape = lstm.forward_train(View::new(&x, [7, 2, 40]).unwrap(), None).unwrap();
    for failure in 1.. {
        let (mut grads, mut gradients) = (before.clone(), Gradients::default());
        let mut back = |grads: &mut Tensors| lstm.backward_keep(&tape, upstream, &mut gradients, grads);
        let result = with_failing_allocation(failure, || back(&mut grads));
        if result.is_ok() {
            assert_eq!(grads, expected);
            assert!(failure > 8, "{failure}");
            break;
        }
        assert!(matches!(result, Err(Error::SizeOverflow { .. })), "{failure}: {result:?}");
        assert_eq!(grads, before, "{failure}");
        back(&mut grads).unwrap();
        assert_eq!(grads, expected, "{failure}");
    }
}

/// Whichever allocation of a forward pass fails: state and output stay, and the next pass on the same room has the right bits.
#[test]
fn a_forward_without_memory_writes_nothing() {
    let gru = Gru::builder(3, 5).num_layers(2).bidirectional(true).proj_size(2).seed(3).build().unwrap();
    let x = [0.25; 7 * 2 * 3];
    let (lengths, resets) = ([7, 4], [true, false, false, false, false, false, true].repeat(2));
    let start = gru.zero_state(1).unwrap();
    let input = Input::from(View::new(&x, [7, 2, 3]).unwrap()).lengths(&lengths).resets(&resets);
    let input = input.reset_state(&start);
    let mut before = gru.zero_state(2).unwrap();
    before.h_mut().fill(0.5);
    let (expected, end) = gru.forward(input, Some(&before)).unwrap();
    let (mut failures, mut is_done) = (0, [false; 2]);
    while is_done != [true; 2] {
        let (mut state, mut y, mut workspace) = (before.clone(), [7.5; 7 * 2 * 4], Workspace::default());
        let result = with_failing_allocation(failures + 1, || {
            gru.forward_into(input, &mut state, &mut y, &mut workspace)
        });
        is_done[0] = result.is_ok();
        if let Err(error) = result {
            assert!(matches!(error, Error::SizeOverflow { .. }), "{failures}: {error:?}");
            assert_eq!((&state, y), (&before, [7.5; 7 * 2 * 4]), "{failures}");
            gru.forward_into(input, &mut state, &mut y, &mut workspace).unwrap();
        }
        assert_eq!((&y[..], &state), (expected.data(), &end), "{failures}");

        let mut tape = Tape::default();
        let result =
            with_failing_allocation(failures + 1, || gru.forward_train_into(input, Some(&before), &mut tape));
        is_done[1] = result.is_ok();
        if let Err(error) = result {
            assert!(matches!(error, Error::SizeOverflow { .. }), "{failures}: {error:?}");
            let mut grads = gru.params().zeros_like();
            let nothing = gru.backward(&mut tape, Upstream::default(), &mut grads);
            assert_eq!((nothing, grads), (Err(Error::TapeConsumed), gru.params().zeros_like()), "{failures}");
            gru.forward_train_into(input, Some(&before), &mut tape).unwrap();
        }
        assert_eq!(tape.output().data(), expected.data(), "{failures}");
        failures += 1;
    }
    assert!(failures >= 8, "{failures}");
}

#[test]
fn a_linear_backward_without_memory_writes_nothing() {
    let linear = Linear::new(3, 2, 1).unwrap();
    let (x, dy) = ([0.5; 12], [0.25; 8]);
    let mut failures = 0;
    loop {
        let (mut grads, mut dx) = (linear.params().zeros_like(), [7.5; 12]);
        let mut room = LinearRoom::default();
        let result = with_failing_allocation(failures + 1, || {
            linear.backward(4, &x, &dy, Some(&mut dx), &mut grads, &mut room)
        });
        if result.is_ok() {
            assert_ne!(dx, [7.5; 12]);
            break;
        }
        assert!(matches!(result, Err(Error::SizeOverflow { .. })), "{failures}: {result:?}");
        assert_eq!((dx, &grads), ([7.5; 12], &linear.params().zeros_like()), "{failures}");
        failures += 1;
    }
    assert!(failures >= 4, "{failures}");
}

#[test]
fn a_linear_layer_of_no_features_takes_any_number_of_rows_back() {
    let linear = Linear::new(0, 0, 1).unwrap();
    let mut grads = linear.params().zeros_like();
    linear.backward(usize::MAX, &[], &[], Some(&mut []), &mut grads, &mut LinearRoom::default()).unwrap();
}

/// weight_hh is too large; weight_ih, 16 GiB before it, is never asked for.
#[test]
fn a_network_that_cannot_be_takes_no_memory() {
    let (result, bytes) = most_bytes(|| Lstm::new(1, 1 << 30));
    assert!(matches!(result, Err(Error::SizeOverflow { .. })), "{result:?}");
    assert!(bytes < 1 << 16, "{bytes}");
}

/// No budget fits 2^58 steps; with no input, nothing is asked for before that is known.
#[test]
fn the_search_for_segments_ends() {
    let gru = Gru::new(0, 1).unwrap();
    let mut tape = Tape::with_memory(Memory::Budget(1 << 20));
    let result = gru.forward_train_into(View::new(&[], [1 << 58, 1, 0]).unwrap(), None, &mut tape);
    assert!(matches!(result, Err(Error::MemoryBudget { .. })), "{result:?}");
}
