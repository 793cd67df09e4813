//! A case as an ONNX file, for the systems that read their networks from one. Of protobuf only what such a file needs is
//! written: numbers and length-delimited fields.
//!
//! A sequence has input `x` `[T, B, I]` and output `y`; the state starts from zero. A step has `x` `[1, B, I]` and for each
//! layer `h_0_lK` (and `c_0_lK`) in, `h_n_lK` (and `c_n_lK`) out, all `[1, B, H]`; the last layer's `h_n_lK` is its output.

use crate::case::{Case, Pass};
use crate::problem::Problem;
use gatewise::Cell;
use std::path::Path;

/// The version of the file's format, and of the operators in it.
const IR_VERSION: u64 = 8;
const OPERATORS: u64 = 17;

/// Types of elements.
const FLOAT: u64 = 1;
const INT64: u64 = 7;

/// Types of attributes.
const INTEGER: u64 = 2;
const TEXT: u64 = 3;
const INTEGERS: u64 = 7;
const TEXTS: u64 = 8;

/// Writes the network of a case that does not train.
///
/// # Errors
/// One line that names the file.
pub fn save(case: &Case, problem: &Problem, path: &Path) -> Result<(), String> {
    let model = Message::default()
        .number(1, IR_VERSION)
        .text(2, "gatewise")
        .message(7, &graph(case, problem))
        .message(8, &Message::default().text(1, "").number(2, OPERATORS));
    std::fs::write(path, model.0).map_err(|error| format!("{}: {error}", path.display()))
}

/// Fields of a graph.
const NODE: u64 = 1;
const CONSTANT: u64 = 5;
const INPUT: u64 = 11;
const OUTPUT: u64 = 12;

fn graph(case: &Case, problem: &Problem) -> Message {
    let is_step = case.pass == Pass::Step;
    let state = [case.directions(), case.batch, case.hidden];
    let graph = Message::default().text(2, "case");
    let mut graph = graph.message(INPUT, &value("x", &[case.steps(), case.batch, case.input]));
    let mut x = "x".to_string();
    for layer in 0..case.layers {
        let name = |what: &str| format!("{what}_l{layer}");
        for array in weights(case, problem, layer) {
            graph = graph.message(CONSTANT, &array);
        }
        let mut inputs = vec![x, name("W"), name("R"), name("B")];
        let mut outputs = vec![name("Y")];
        if is_step {
            // An empty name leaves out what stands there: the lengths of rows, the outputs of all steps.
            (inputs, outputs) = ([inputs, vec![String::new()]].concat(), vec![String::new()]);
            for what in if case.cell.cell().has_cell_state() { &["h", "c"][..] } else { &["h"] } {
                let (before, after) = (name(&format!("{what}_0")), name(&format!("{what}_n")));
                graph = graph.message(INPUT, &value(&before, &state)).message(OUTPUT, &value(&after, &state));
                inputs.push(before);
                outputs.push(after);
            }
        }
        graph = graph.message(NODE, &recurrent_node(case, &inputs, &outputs));
        x = if is_step { name("h_n") } else { name("Y") };
        if !is_step {
            // [T, directions, B, H] to [T, B, directions * H]
            let perm = integers("perm", &[0, 2, 1, 3]);
            let swap = node("Transpose", &[x], &[name("swapped")]).message(ATTRIBUTE, &perm);
            let y = if layer + 1 == case.layers { "y".to_string() } else { name("y") };
            let join = node("Reshape", &[name("swapped"), name("shape")], std::slice::from_ref(&y));
            let shape: Vec<u8> = [0, 0, -1].iter().flat_map(|x: &i64| x.to_le_bytes()).collect();
            graph = graph.message(CONSTANT, &array(&name("shape"), INT64, &[3], &shape));
            graph = graph.message(NODE, &swap).message(NODE, &join);
            x = y;
        }
    }
    if !is_step {
        let y = [case.seq, case.batch, case.output()];
        graph = graph.message(OUTPUT, &value("y", &y));
    }
    graph
}

/// Field of a node.
const ATTRIBUTE: u64 = 5;

fn node(operator: &str, inputs: &[String], outputs: &[String]) -> Message {
    let node = inputs.iter().fold(Message::default(), |node, input| node.text(1, input));
    outputs.iter().fold(node, |node, output| node.text(2, output)).text(4, operator)
}

fn recurrent_node(case: &Case, inputs: &[String], outputs: &[String]) -> Message {
    let operator = match case.cell.cell() {
        Cell::Lstm => "LSTM",
        Cell::Gru => "GRU",
        Cell::RnnTanh | Cell::RnnRelu => "RNN",
    };
    let direction = if case.bidirectional { "bidirectional" } else { "forward" };
    let node = node(operator, inputs, outputs)
        .message(ATTRIBUTE, &integer("hidden_size", case.hidden as u64))
        .message(ATTRIBUTE, &Message::default().text(1, "direction").text(4, direction).number(20, TEXT));
    match case.cell.cell() {
        // PyTorch's form: the reset gate after the product.
        Cell::Gru => node.message(ATTRIBUTE, &integer("linear_before_reset", 1)),
        Cell::RnnRelu => {
            let names = Message::default().text(1, "activations");
            let names = (0..case.directions()).fold(names, |names, _| names.text(9, "Relu"));
            node.message(ATTRIBUTE, &names.number(20, TEXTS))
        }
        Cell::Lstm | Cell::RnnTanh => node,
    }
}

/// W, R and B of a layer, its directions one after the other.
fn weights(case: &Case, problem: &Problem, layer: usize) -> [Message; 3] {
    let suffixes = &["", "_reverse"][..case.directions()];
    let values = |what: &str, suffix: &str| {
        let name = format!("{what}_l{layer}{suffix}");
        let all = problem.weights.iter().find(|(other, ..)| *other == name);
        gates_in_order(case.cell.cell(), &all.expect("the problem has every weight of its case").2)
    };
    let all = |whats: &[&str]| -> Vec<u8> {
        let parts = suffixes.iter().flat_map(|suffix| whats.iter().map(|what| values(what, suffix)));
        parts.flatten().flat_map(f32::to_le_bytes).collect()
    };
    let (directions, rows) = (case.directions(), case.cell.cell().gates() * case.hidden);
    let name = |what: &str| format!("{what}_l{layer}");
    [
        array(&name("W"), FLOAT, &[directions, rows, case.layer_input(layer)], &all(&["weight_ih"])),
        array(&name("R"), FLOAT, &[directions, rows, case.hidden], &all(&["weight_hh"])),
        array(&name("B"), FLOAT, &[directions, 2 * rows], &all(&["bias_ih", "bias_hh"])),
    ]
}

/// From PyTorch's order of gates, i f g o and r z n, to that of ONNX: i o f g and z r n.
fn gates_in_order(cell: Cell, values: &[f32]) -> Vec<f32> {
    let order = match cell {
        Cell::RnnTanh | Cell::RnnRelu => &[0][..],
        Cell::Lstm => &[0, 3, 1, 2],
        Cell::Gru => &[1, 0, 2],
    };
    let gate = values.len() / order.len();
    order.iter().flat_map(|&at| &values[at * gate..(at + 1) * gate]).copied().collect()
}

fn integer(name: &str, value: u64) -> Message {
    Message::default().text(1, name).number(3, value).number(20, INTEGER)
}

fn integers(name: &str, values: &[u64]) -> Message {
    let attribute = Message::default().text(1, name);
    values.iter().fold(attribute, |attribute, &value| attribute.number(8, value)).number(20, INTEGERS)
}

/// An array with its contents.
fn array(name: &str, kind: u64, shape: &[usize], bytes: &[u8]) -> Message {
    let array = shape.iter().fold(Message::default(), |array, &size| array.number(1, size as u64));
    array.number(2, kind).text(8, name).bytes(9, bytes)
}

/// Name and shape of an input or output of floats.
fn value(name: &str, shape: &[usize]) -> Message {
    let sizes = shape.iter().fold(Message::default(), |sizes, &size| {
        sizes.message(1, &Message::default().number(1, size as u64))
    });
    let tensor = Message::default().number(1, FLOAT).message(2, &sizes);
    Message::default().text(1, name).message(2, &Message::default().message(1, &tensor))
}

/// A protobuf message in the making: its fields as they were given.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn number(mut self, field: u64, value: u64) -> Message {
        self.varint(field << 3);
        self.varint(value);
        self
    }

    fn bytes(mut self, field: u64, bytes: &[u8]) -> Message {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend(bytes);
        self
    }

    fn text(self, field: u64, text: &str) -> Message {
        self.bytes(field, text.as_bytes())
    }

    fn message(self, field: u64, message: &Message) -> Message {
        self.bytes(field, &message.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_take_seven_bits_a_byte() {
        // The example of protobuf's own description of its encoding.
        assert_eq!(Message::default().number(1, 150).0, [0x08, 0x96, 0x01]);
        assert_eq!(Message::default().text(2, "testing").0, *b"\x12\x07testing");
    }

    #[test]
    fn gates_move_as_blocks() {
        let values = [0.0, 0.1, 1.0, 1.1, 2.0, 2.1, 3.0, 3.1];
        assert_eq!(gates_in_order(Cell::Lstm, &values), [0.0, 0.1, 3.0, 3.1, 1.0, 1.1, 2.0, 2.1]);
        assert_eq!(gates_in_order(Cell::Gru, &values[..6]), [1.0, 1.1, 0.0, 0.1, 2.0, 2.1]);
    }
}
