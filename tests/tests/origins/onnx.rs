//! ONNX's node cases of recurrent operators (`onnx/backend/test/case/node/{rnn,lstm,gru}.py`), with their sizes and numbers; each once
//! more with random weights, since equal ones hide the order of the gates.

use super::onnx_node::{Direction, Node};
use gatewise::Cell::{self, Gru, Lstm, RnnTanh};

/// As it is, and with random weights; a GRU also with linear_before_reset, which no case of ONNX has.
#[track_caller]
fn check(node: &Node) {
    for linear_before_reset in [false, true] {
        let node = Node { linear_before_reset, ..node.clone() };
        node.check();
        for seed in 1..4 {
            node.random(seed).check();
        }
    }
}

fn reverse(cell: Cell, hidden: usize) -> Node {
    Node { direction: Direction::Reverse, ..Node::constant(cell, [3, 1, 2, hidden], &[0.1], 0.0) }
}

fn batchwise(cell: Cell, hidden: usize, scale: f32) -> Node {
    Node { layout: 1, ..Node::constant(cell, [1, 3, 2, hidden], &[scale], 0.0) }
}

#[test]
fn test_simple_rnn_defaults() {
    check(&Node::constant(RnnTanh, [1, 3, 2, 4], &[0.1], 0.0));
}

#[test]
fn test_simple_rnn_with_initial_bias() {
    check(&Node::constant(RnnTanh, [1, 3, 3, 5], &[0.1], 0.1));
}

/// Two steps, random weights, both biases; as there, no sequence_lens, and then with them.
#[test]
fn test_rnn_seq_length() {
    let node = Node::constant(RnnTanh, [2, 3, 3, 5], &[0.1], 0.1);
    check(&node);
    for lens in [[2, 1, 0], [1, 2, 2], [0, 0, 0]] {
        check(&Node { sequence_lens: Some(lens.to_vec()), ..node.clone() });
    }
}

#[test]
fn test_simple_rnn_batchwise() {
    check(&batchwise(RnnTanh, 4, 0.5));
}

#[test]
fn test_simple_rnn_reverse() {
    check(&reverse(RnnTanh, 4));
}

#[test]
fn test_simple_rnn_bidirectional() {
    check(&Node::constant(RnnTanh, [3, 1, 2, 4], &[0.5, 2.0], 0.0));
}

#[test]
fn test_lstm_defaults() {
    check(&Node::constant(Lstm, [1, 3, 2, 3], &[0.1], 0.0));
}

#[test]
fn test_lstm_with_initial_bias() {
    check(&Node::constant(Lstm, [1, 3, 3, 4], &[0.1], 0.1));
}

#[test]
fn test_lstm_batchwise() {
    check(&batchwise(Lstm, 7, 0.3));
}

#[test]
fn test_lstm_reverse() {
    check(&reverse(Lstm, 3));
}

#[test]
fn test_lstm_bidirectional() {
    check(&Node::constant(Lstm, [3, 1, 2, 3], &[0.5, 2.0], 0.0));
}

#[test]
fn test_gru_defaults() {
    check(&Node::constant(Gru, [1, 3, 2, 5], &[0.1], 0.0));
}

#[test]
fn test_gru_with_initial_bias() {
    check(&Node::constant(Gru, [1, 3, 3, 3], &[0.1], 0.1));
}

/// Two steps, random weights, both biases; as there, no sequence_lens, and then with them.
#[test]
fn test_gru_seq_length() {
    let node = Node::constant(Gru, [2, 3, 3, 5], &[0.1], 0.1);
    check(&node);
    for lens in [[2, 1, 0], [1, 2, 2], [0, 0, 0]] {
        check(&Node { sequence_lens: Some(lens.to_vec()), ..node.clone() });
    }
}

#[test]
fn test_gru_batchwise() {
    check(&batchwise(Gru, 6, 0.2));
}

#[test]
fn test_gru_reverse() {
    check(&reverse(Gru, 5));
}

#[test]
fn test_gru_bidirectional() {
    check(&Node::constant(Gru, [3, 1, 2, 5], &[0.5, 2.0], 0.0));
}
