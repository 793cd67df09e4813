//! Streams whose resets lead to a state that is given or learned; `truncated.rs` holds its gradients against the oracle.

use super::case::{HIDDEN, INPUT, Options};
use super::truncated::{case, case_with, push, steps_of};
use gatewise::{Cell, Error, Input, Network, TruncatedBptt, Truncation, Upstream, View};

/// A state that resets lead to comes with a piece, or between two windows; windows that share a reset run it again after a change, and a
/// window that it has changed under has no backward.
#[test]
fn a_reset_state_is_a_parameter_of_the_stream() {
    let options = Options { cell: Cell::Lstm, resets: true, reset_rows: 1, ..Options::default() };
    let mut case = case_with(options, 10);
    case.resets.fill(false);
    // Between steps 4 and 5 of a stream whose windows are 4 steps of 8.
    case.resets[5 * 2] = true;
    let truncation = Truncation { k1: 4, k2: 8 };
    let mut bptt = TruncatedBptt::new(&case.network, truncation, case.state.clone()).unwrap();
    let x = steps_of(&case, &case.x, INPUT, 0, 8);
    let piece = Input::from(View::new(&x, [8, 2, INPUT]).unwrap()).resets(&case.resets[..16]);
    let reset = case.reset_state.clone().unwrap();
    bptt.push(piece.reset_state(&reset)).unwrap();
    push(&case, &mut bptt, 8, 12);
    let mut grads = case.network.params().zeros_like();
    let dy = steps_of(&case, &case.dy, HIDDEN, 0, 4);
    let upstream = Upstream::output(View::new(&dy, [4, 2, HIDDEN]).unwrap());
    assert!(bptt.forward(&case.network).unwrap());
    bptt.backward(&case.network, upstream, &mut grads).unwrap();
    assert!(bptt.grad_reset_h().iter().all(|grad| *grad == 0.0), "no reset in this window");
    assert!(bptt.forward(&case.network).unwrap());
    assert!(bptt.grad_reset_h().is_empty(), "no backward of this window yet");
    let steps = bptt.forward_steps();

    let mut other = reset.clone();
    other.h_mut().fill(0.75);
    let (mut changed, before) = (bptt.clone(), grads.clone());
    changed.set_reset_state(Some(other.clone())).unwrap();
    assert_eq!(changed.backward(&case.network, upstream, &mut grads), Err(Error::TapeConsumed));
    assert_eq!(grads, before);

    // The same value is no change.
    bptt.set_reset_state(Some(reset)).unwrap();
    bptt.backward(&case.network, upstream, &mut grads).unwrap();
    assert!(bptt.grad_reset_h().iter().chain(bptt.grad_reset_c()).any(|grad| *grad != 0.0));

    bptt.set_reset_state(Some(other.clone())).unwrap();
    assert!(bptt.forward(&case.network).unwrap());
    assert_eq!(bptt.forward_steps(), steps + 8, "steps 4 .. 8 ran again, and 8 .. 12");
    let whole = Input::from(View::new(&case.x[..12 * 2 * INPUT], [12, 2, INPUT]).unwrap());
    let whole = whole.resets(&case.resets[..24]).reset_state(&other);
    let (y, end) = case.network.forward(whole, Some(&case.state)).unwrap();
    assert_eq!((bptt.output().data(), bptt.state()), (&y.data()[8 * 2 * HIDDEN..], &end));
}

#[test]
fn a_reset_state_of_another_shape_is_refused() {
    let case = case(Cell::Lstm, false, true, 11);
    let mut bptt =
        TruncatedBptt::new(&case.network, Truncation { k1: 4, k2: 4 }, case.state.clone()).unwrap();
    let of = |cell: Cell, hidden: usize, layers: usize, batch: usize| {
        let network = Network::with_cell(cell, INPUT, hidden).num_layers(layers).build().unwrap();
        network.zero_state(batch).unwrap()
    };
    let one = View::new(&[0.0; 2 * INPUT], [1, 2, INPUT]).unwrap();
    for (state, words) in [
        (of(Cell::Lstm, HIDDEN, 2, 3), "reset_h has inconsistent batch size: got 3, expected 2"),
        (of(Cell::Lstm, 7, 2, 1), "reset_h has inconsistent hidden_size: got 7, expected 5"),
        (of(Cell::Lstm, HIDDEN, 7, 1), "reset_h has inconsistent num_layers * directions: got 7, expected 2"),
        (of(Cell::Gru, HIDDEN, 2, 1), "reset_c has inconsistent length: got 0, expected 10"),
    ] {
        assert_eq!(bptt.set_reset_state(Some(state.clone())).unwrap_err().to_string(), words);
        let refused = bptt.push(Input::from(one).reset_state(&state));
        assert_eq!(refused.unwrap_err().to_string(), words);
    }
    assert_eq!(bptt.pending(), 0);
}
