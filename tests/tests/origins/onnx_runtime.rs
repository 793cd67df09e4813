//! ONNX Runtime's tests of its CPU LSTM (`onnxruntime/test/providers/cpu/rnn/deep_cpu_lstm_op_test.cc`), with their weights, inputs and
//! published results.

use super::onnx_node::{Direction, Node, Weights};
use super::support::{all_kernels, close};
use gatewise::{Activation, Cell};

/// H = 2, I = 2, gates i o f c.
const W: [f32; 16] = [
    -0.494659, 0.0453352, -0.487793, 0.417264, -0.0175329, 0.489074, -0.446013, 0.414029, -0.0091708,
    -0.255364, -0.106952, -0.266717, -0.0888852, -0.428709, -0.283349, 0.208792,
];
const R: [f32; 16] = [
    0.146626, -0.0620289, -0.0815302, 0.100482, -0.219535, -0.306635, -0.28515, -0.314112, -0.228172,
    0.405972, 0.31576, 0.281487, -0.394864, 0.42111, -0.386624, -0.390225,
];
const W_B: [f32; 8] = [0.381619, 0.0323954, -0.14449, 0.420804, -0.258721, 0.45056, -0.250755, 0.0967895];

/// The node of these tests; both directions have the same weights.
fn node(direction: Direction, batch: usize, x: &[f32]) -> Node {
    let weights = Weights { w: W.to_vec(), r: R.to_vec(), b: [W_B, [0.0; 8]].concat() };
    let directions = if direction == Direction::Bidirectional { 2 } else { 1 };
    let scales = vec![0.0; directions];
    Node {
        direction,
        x: x.to_vec(),
        weights: vec![weights; directions],
        ..Node::constant(Cell::Lstm, [2, batch, 2, 2], &scales, 0.0)
    }
}

/// Y, Y_h and Y_c are those that were published, which have six to eight digits, and those of the equations.
#[track_caller]
fn check(node: &Node, y: &[f64], y_h: &[f64], y_c: &[f64]) {
    node.check();
    for kernels in all_kernels() {
        let got = node.run(kernels);
        for ((name, got), published) in ["Y", "Y_h", "Y_c"].into_iter().zip(&got).zip([y, y_h, y_c]) {
            close(name, got, published, 1e-6);
        }
    }
}

const X: [f32; 4] = [-0.455351, -0.276391, -0.185934, -0.269585];

#[test]
fn TestLSTMForwardHiddenState() {
    let node = Node { initial_h: Some(vec![0.34, 0.72]), ..node(Direction::Forward, 1, &X) };
    let y = [0.01797521, -0.07104912, -0.03174796, -0.0152949];
    check(&node, &y, &y[2..], &[-0.07285583, -0.02545788]);
}

#[test]
fn TestLSTMForwardCellState() {
    let (initial_h, initial_c) = (Some(vec![0.34, 0.72]), Some(vec![0.63, 0.21]));
    let node = Node { initial_h, initial_c, ..node(Direction::Forward, 1, &X) };
    let y = [0.12797015, 0.0097284, 0.02716939, 0.01842997];
    check(&node, &y, &y[2..], &[0.06408449, 0.03139432]);
}

/// `TestLSTMBackward_gpu`, which is `TestLSTMBackward` without peepholes.
#[test]
fn TestLSTMBackward_gpu() {
    let y = [-0.033075746, 0.074455738, -0.031248707, 0.027853041];
    check(&node(Direction::Reverse, 1, &X), &y, &y[..2], &[-0.076699793, 0.11975205]);
}

/// Gates tanh, candidate sigmoid: not the LSTM's own activations.
fn swapped(direction: Direction, batch: usize, x: &[f32]) -> Node {
    let activations = [Activation::Tanh, Activation::Sigmoid, Activation::Tanh];
    Node { activations, ..node(direction, batch, x) }
}

#[test]
fn TestLSTMActivation() {
    let y = [-0.0660155, 0.0351227, -0.04236888, 0.0177365];
    check(&swapped(Direction::Forward, 1, &X), &y, &y[2..], &[0.1624992, 0.04672481]);
}

/// A larger batch after a small one; published to five digits.
#[test]
fn TestLSTMBatchReallocation() {
    TestLSTMActivation();
    let x = [
        -0.455351, -0.476391, -0.555351, -0.376391, -0.655351, -0.276391, -0.185934, -0.869585, -0.285934,
        -0.769585, -0.385934, -0.669585,
    ];
    let node = swapped(Direction::Forward, 3, &x);
    node.check();
    let y = [
        -0.090715, 0.011908, -0.083193, 0.037192, -0.073643, 0.068889, -0.10545, -0.01573, -0.10621,
        -0.0056667, -0.10559, 0.015734,
    ];
    let y_c = [0.21381, -0.096022, 0.23038, -0.0239, 0.24572, 0.051626];
    for kernels in all_kernels() {
        let got = node.run(kernels);
        close("Y", &got[0], &y, 1e-5);
        close("Y_h", &got[1], &y[6..], 1e-5);
        close("Y_c", &got[2], &y_c, 1e-5);
    }
}

/// Both directions of one row and of three.
#[test]
fn TestLSTMOutputWrite() {
    let y =
        [-0.06601551, 0.03512269, -0.05520744, 0.03879774, -0.04236888, 0.01773649, -0.05332068, 0.00207076];
    let y_h = [-0.04236888, 0.01773649, -0.05520744, 0.03879774];
    let y_c = [0.1624992, 0.04672481, 0.22009919, 0.08087098];
    check(&swapped(Direction::Bidirectional, 1, &X), &y, &y_h, &y_c);
    let x = [
        -0.455351, -0.776391, -0.355351, -0.576391, -0.255351, -0.376391, -0.185934, -0.169585, -0.285934,
        -0.469585, -0.385934, -0.669585,
    ];
    let y = [
        -0.1269719,
        -0.01049645,
        -0.09596697,
        -0.00592083,
        -0.06777587,
        -0.00001902,
        -0.12206709,
        -0.0051103,
        -0.08422903,
        -0.00768428,
        -0.05224226,
        -0.0042149,
        -0.02778835,
        0.00775075,
        -0.06541093,
        -0.00667958,
        -0.09953593,
        -0.00899231,
        -0.04350187,
        0.01127771,
        -0.07949658,
        -0.00425178,
        -0.10883409,
        -0.00926061,
    ];
    let y_h = [
        -0.02778835,
        0.00775075,
        -0.06541093,
        -0.00667958,
        -0.09953593,
        -0.00899231,
        -0.12206709,
        -0.0051103,
        -0.08422903,
        -0.00768428,
        -0.05224226,
        -0.0042149,
    ];
    let y_c = [
        0.14675268,
        0.01759163,
        0.19898503,
        -0.01828078,
        0.24029977,
        -0.02784352,
        0.26577898,
        -0.01694398,
        0.22469461,
        -0.02200207,
        0.18284359,
        -0.01078442,
    ];
    check(&swapped(Direction::Bidirectional, 3, &x), &y, &y_h, &y_c);
}

/// One row of two steps beside one of none.
#[test]
fn TestLSTMSequenceLengthPartialZeros() {
    let x = [-0.455351, -0.776391, 0.0, 0.0, -0.185934, -0.169585, 0.0, 0.0];
    let sequence_lens = Some(vec![2, 0]);
    let node = Node { sequence_lens, ..swapped(Direction::Bidirectional, 2, &x) };
    let y = [
        -0.1269719,
        -0.01049645,
        0.0,
        0.0,
        -0.12206709,
        -0.0051103,
        0.0,
        0.0,
        -0.02778835,
        0.00775075,
        0.0,
        0.0,
        -0.04350187,
        0.01127771,
        0.0,
        0.0,
    ];
    let y_h = [-0.02778835, 0.00775075, 0.0, 0.0, -0.12206709, -0.0051103, 0.0, 0.0];
    let y_c = [0.14675268, 0.01759163, 0.0, 0.0, 0.26577898, -0.01694398, 0.0, 0.0];
    check(&node, &y, &y_h, &y_c);
}

/// Outputs are zeros, and the final state is the initial one.
#[test]
fn TestLSTMSequenceLengthAllZeros() {
    let x = [-0.455351, -0.776391, -0.355351, -0.576391, -0.185934, -0.169585, -0.285934, -0.469585];
    let node = Node { sequence_lens: Some(vec![0, 0]), ..node(Direction::Bidirectional, 2, &x) };
    check(&node, &[0.0; 16], &[0.0; 8], &[0.0; 8]);
}

/// As [`check`], but for one value of Y: the reverse direction's first step of row 0, unit 0. What was published there is the value of
/// [`TestLSTMOutputWrite`], whose activations are others; it is 6e-5 off, which ONNX Runtime's own tolerance lets pass.
#[track_caller]
fn check_but_one(node: &Node, y: &[f64], y_h: &[f64], y_c: &[f64], carried_over: usize) {
    let mut y = y.to_vec();
    assert_eq!(std::mem::replace(&mut y[carried_over], -0.0435632), -0.04350187);
    check(node, &y, y_h, y_c);
}

/// A shorter row between two others; each row's reverse direction starts at its own last step.
#[test]
fn TestLSTMShorterSeqInMiddle() {
    let x = [
        -0.455351, -0.776391, 0.0, 0.0, 0.348763, 0.678345, -0.185934, -0.169585, 0.0, 0.0, 0.078053,
        0.163457,
    ];
    let node = Node { sequence_lens: Some(vec![2, 1, 2]), ..node(Direction::Bidirectional, 3, &x) };
    #[rustfmt::skip]
    let y = [
        0.02907280, 0.01765226, -0.06724346, 0.02957184, -0.15355367, 0.04701351,
        0.01841230, 0.04093486, -0.06724346, 0.02957184, -0.17994503, 0.07397783,
        -0.02912546, 0.04120104, 0.0, 0.0, -0.12768818, 0.07457943,
        -0.04350187, 0.03531464, 0.0, 0.0, -0.08877515, 0.03413615,
    ];
    #[rustfmt::skip]
    let y_h = [
        -0.0291254, 0.04120104, -0.06724346, 0.02957184, -0.12768818, 0.07457943,
        0.01841230, 0.04093486, -0.06724346, 0.02957184, -0.17994503, 0.07397783,
    ];
    #[rustfmt::skip]
    let y_c = [
        -0.06609819, 0.06838701, -0.14596788, 0.04902556, -0.26768601, 0.12119407,
        0.04934450, 0.07126625, -0.14596788, 0.04902556, -0.34139895, 0.11673255,
    ];
    check_but_one(&node, &y, &y_h, &y_c, 18);
}

/// A row of no steps and one of one step between two others.
#[test]
fn TestLSTMZeroSeqInMiddle() {
    let x = [
        -0.455351, -0.776391, 0.0, 0.0, 0.348763, 0.678345, 0.877836, 0.543859, -0.185934, -0.169585, 0.0,
        0.0, 0.078053, 0.163457, 0.846098, 0.987531,
    ];
    let node = Node { sequence_lens: Some(vec![2, 0, 1, 2]), ..node(Direction::Bidirectional, 4, &x) };
    #[rustfmt::skip]
    let y = [
        0.02907280, 0.01765226, 0.0, 0.0, -0.15355367, 0.04701351, -0.12951779, -0.00989562,
        0.01841230, 0.04093486, 0.0, 0.0, -0.15355367, 0.04701351, -0.17956293, 0.01607513,
        -0.02912546, 0.04120104, 0.0, 0.0, 0.0, 0.0, -0.22162350, 0.03132058,
        -0.04350187, 0.03531464, 0.0, 0.0, 0.0, 0.0, -0.17885581, 0.01959856,
    ];
    #[rustfmt::skip]
    let y_h = [
        -0.02912546, 0.04120104, 0.0, 0.0, -0.15355367, 0.04701351, -0.22162350, 0.03132058,
        0.01841230, 0.04093486, 0.0, 0.0, -0.15355367, 0.04701351, -0.17956293, 0.01607513,
    ];
    #[rustfmt::skip]
    let y_c = [
        -0.06609819, 0.06838701, 0.0, 0.0, -0.2894889, 0.07438067, -0.39655977, 0.05050645,
        0.04934450, 0.07126625, 0.0, 0.0, -0.28948891, 0.07438067, -0.34931409, 0.02799958,
    ];
    check_but_one(&node, &y, &y_h, &y_c, 24);
}

/// The attribute `clip`, which acts on the sums before f and g and not on c: results of version 1.32 with the first rows of the
/// weights above, four steps of one row.
#[test]
fn clip_of_every_operator() {
    let x = [-0.455351, -0.276391, -0.185934, -0.269585, 0.655351, 0.376391, -0.655351, -0.869585];
    let cases: [(Cell, bool, [f64; 8]); 4] = [
        (
            Cell::RnnTanh,
            false,
            [
                0.29131258,
                0.13829255,
                0.29131258,
                0.00074970722,
                0.11664164,
                -0.15269756,
                0.29131258,
                -0.035613596,
            ],
        ),
        (
            Cell::Lstm,
            false,
            [
                -0.022719754,
                0.051022112,
                -0.032024913,
                0.052959386,
                -0.090998635,
                0.025030628,
                0.015704961,
                0.050479889,
            ],
        ),
        (
            Cell::Gru,
            false,
            [
                -0.077416211,
                0.13553609,
                -0.10743,
                0.21223527,
                -0.19727583,
                0.25220925,
                -0.093200214,
                0.27146131,
            ],
        ),
        (
            Cell::Gru,
            true,
            [
                -0.077416211,
                0.13553609,
                -0.11082259,
                0.21223527,
                -0.19903323,
                0.25085309,
                -0.10071379,
                0.27077276,
            ],
        ),
    ];
    for (cell, linear_before_reset, y) in cases {
        let rows = 2 * cell.gates();
        let weights = Weights {
            w: W[..2 * rows].to_vec(),
            r: R[..2 * rows].to_vec(),
            b: [&W_B[..rows], &vec![0.0; rows]].concat(),
        };
        let node = Node {
            x: x.to_vec(),
            weights: vec![weights],
            clip: Some(0.3),
            linear_before_reset,
            ..Node::constant(cell, [4, 1, 2, 2], &[0.0], 0.0)
        };
        node.check();
        for kernels in all_kernels() {
            close("Y", &node.run(kernels)[0], &y, 1e-6);
        }
    }
}
