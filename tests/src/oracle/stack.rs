//! Several layers, in one or both directions, as PyTorch stacks them.
//!
//! ```text
//! input of layer 0      x
//! output of a layer     its forward output f, or per step concat(f, b) with its backward output b, or another merge of f and b
//! input of layer l+1    output of layer l, times the dropout mask l if there are masks
//! ```

use super::layer::{self, LayerGrads, LayerRun, LayerTrace, Upstream};
use super::{Cell, Options, Shape, Weights};

/// What becomes of the two directions' outputs at each step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Merge {
    /// Both, one behind the other.
    #[default]
    Concat,
    /// `f + b`
    Sum,
    /// `(f + b) / 2`
    Mean,
    /// `f b`
    Product,
}

/// Sizes of a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackShape {
    /// The cell.
    pub cell: Cell,
    /// Input size `I` of the first layer.
    pub input: usize,
    /// Hidden size `H` of each layer.
    pub hidden: Vec<usize>,
    /// Projection size `P`, of all layers.
    pub proj: Option<usize>,
    /// Whether every layer also runs in reverse.
    pub bidirectional: bool,
    /// How both directions become one output.
    pub merge: Merge,
}

/// A stack: its sizes and the weights, index = layer * directions + direction.
#[derive(Debug, Clone, PartialEq)]
pub struct Stack {
    /// The sizes.
    pub shape: StackShape,
    /// Weights of each layer and direction.
    pub weights: Vec<Weights>,
}

/// What a stack runs on. `Default` is empty: fill in `steps`, `batch` and `x`.
///
/// States are `[layers * directions, B, ..]`, or where layers differ in size one `[B, ..]` of each behind the other; for the rest see
/// [`LayerRun`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StackRun {
    /// `T`.
    pub steps: usize,
    /// `B`.
    pub batch: usize,
    /// Input `[T, B, I]`.
    pub x: Vec<f64>,
    /// Initial states.
    pub h0: Option<Vec<f64>>,
    /// Initial cell states.
    pub c0: Option<Vec<f64>>,
    /// Valid steps of each row `[B]`.
    pub lengths: Option<Vec<usize>>,
    /// `[T, B]`: where set, the row's states of all layers and directions are replaced before the step.
    pub resets: Option<Vec<bool>>,
    /// The states at a reset, laid out as `h0`.
    pub reset_h: Option<Vec<f64>>,
    /// The cell states at a reset, laid out as `c0`.
    pub reset_c: Option<Vec<f64>>,
    /// The flush rule.
    pub flush_below: Option<f64>,
    /// What the output of each layer but the last is multiplied by: `layers - 1` masks `[T, B, outputs of the layer]`.
    pub dropout: Option<Vec<Vec<f64>>>,
    /// How the cells differ from PyTorch's.
    pub options: Option<Options>,
}

/// All that the forward of a stack computed.
#[derive(Debug, Clone, PartialEq)]
pub struct StackTrace {
    /// Outputs of the last layer `[T, B, directions * R]`, or `[T, B, R]` of merged directions.
    pub out: Vec<f64>,
    /// Final states.
    pub h_n: Vec<f64>,
    /// Final cell states.
    pub c_n: Vec<f64>,
    /// What each layer and direction ran on; `x` is the layer's input after dropout.
    pub runs: Vec<LayerRun>,
    /// What each layer and direction computed.
    pub layers: Vec<LayerTrace>,
}

/// All gradients of a stack.
#[derive(Debug, Clone, PartialEq)]
pub struct StackGrads {
    /// Of the weights, index = layer * directions + direction.
    pub weights: Vec<Weights>,
    /// `[T, B, I]`.
    pub x: Vec<f64>,
    /// Of the initial states.
    pub h0: Vec<f64>,
    /// Of the initial cell states.
    pub c0: Vec<f64>,
    /// Of the reset states.
    pub reset_h: Vec<f64>,
    /// Of the reset cell states.
    pub reset_c: Vec<f64>,
    /// Everything of each layer and direction.
    pub layers: Vec<LayerGrads>,
}

impl StackShape {
    /// Layers of one size in one direction.
    pub fn new(cell: Cell, input: usize, hidden: usize, layers: usize) -> StackShape {
        let hidden = vec![hidden; layers];
        StackShape { cell, input, hidden, proj: None, bidirectional: false, merge: Merge::Concat }
    }

    /// Number of layers.
    pub fn layers(&self) -> usize {
        self.hidden.len()
    }

    /// 1, or 2 if bidirectional.
    pub fn directions(&self) -> usize {
        if self.bidirectional { 2 } else { 1 }
    }

    /// Sizes of one direction of layer number `layer`.
    pub fn layer(&self, layer: usize) -> Shape {
        let input = if layer == 0 { self.input } else { self.output(layer - 1) };
        Shape { cell: self.cell, input, hidden: self.hidden[layer], proj: self.proj }
    }

    /// Features of the output of layer number `layer`.
    pub fn output(&self, layer: usize) -> usize {
        let state = self.proj.unwrap_or(self.hidden[layer]);
        if self.merge == Merge::Concat { self.directions() * state } else { state }
    }

    /// PyTorch's name of tensor `tensor` (`weight_ih`, ..) of the weights at `index`: `weight_ih_l0_reverse`.
    pub fn name(&self, index: usize, tensor: &str) -> String {
        let (layer, direction) = (index / self.directions(), index % self.directions());
        format!("{tensor}_l{layer}{}", if direction == 1 { "_reverse" } else { "" })
    }
}

/// The part of layer and direction number `index` of a state that has `width` features in each of them.
fn part(array: &Option<Vec<f64>>, index: usize, batch: usize, widths: &[usize]) -> Option<Vec<f64>> {
    array.as_ref().map(|array| {
        assert_eq!(
            array.len(),
            batch * widths.iter().sum::<usize>(),
            "a state is [layers * directions, B, ..]"
        );
        let before: usize = widths[..index].iter().sum();
        array[batch * before..][..batch * widths[index]].to_vec()
    })
}

/// The outputs `f` and `b` of two directions as one, `[T, B, R]`.
fn merged(merge: Merge, f: &[f64], b: &[f64]) -> Vec<f64> {
    let pairs = f.iter().zip(b);
    pairs
        .map(|(f, b)| match merge {
            Merge::Concat => panic!("outputs one behind the other are not merged"),
            Merge::Sum => f + b,
            Merge::Mean => (f + b) / 2.0,
            Merge::Product => f * b,
        })
        .collect()
}

/// The gradient of one direction's outputs from that of the merged ones; `other` are the other direction's outputs.
fn of_direction(merge: Merge, d: &[f64], other: &[f64]) -> Vec<f64> {
    let by = |other: f64| match merge {
        Merge::Concat | Merge::Sum => 1.0,
        Merge::Mean => 0.5,
        Merge::Product => other,
    };
    d.iter().zip(other).map(|(d, &other)| d * by(other)).collect()
}

/// Columns `start..start + width` of an array with rows of `total`.
fn columns(array: &[f64], total: usize, start: usize, width: usize) -> Vec<f64> {
    array.chunks_exact(total).flat_map(|row| &row[start..start + width]).copied().collect()
}

/// `a * b` element by element.
fn product(a: &[f64], b: &[f64]) -> Vec<f64> {
    assert_eq!(a.len(), b.len(), "a mask is [T, B, outputs of the layer]");
    a.iter().zip(b).map(|(a, b)| a * b).collect()
}

impl Stack {
    /// A stack whose weights come from `next`, in the order of PyTorch's `parameters()`.
    pub fn filled(shape: StackShape, bias: bool, mut next: impl FnMut() -> f64) -> Self {
        let directions = shape.directions();
        let weights = (0..shape.layers() * directions)
            .map(|index| Weights::filled(&shape.layer(index / directions), bias, &mut next))
            .collect();
        Stack { shape, weights }
    }

    /// All tensors with PyTorch's names, in the order of PyTorch's `parameters()`.
    pub fn tensors(&self) -> Vec<(String, &[f64])> {
        named(&self.shape, &self.weights)
    }

    /// The same as [`Stack::tensors`], to be changed.
    pub fn tensors_mut(&mut self) -> Vec<(String, &mut [f64])> {
        let shape = &self.shape;
        let all = self.weights.iter_mut().enumerate();
        all.flat_map(|(index, weights)| {
            weights.tensors_mut().into_iter().map(move |(name, tensor)| (shape.name(index, name), tensor))
        })
        .collect()
    }

    /// Features of h and of c of each layer and direction.
    fn widths(&self) -> (Vec<usize>, Vec<usize>) {
        let of = |index: usize| self.shape.layer(index / self.shape.directions());
        (0..self.shape.layers() * self.shape.directions()).map(|i| (of(i).state(), of(i).c_state())).unzip()
    }

    /// Runs the stack over a sequence.
    pub fn forward(&self, run: &StackRun) -> StackTrace {
        let directions = self.shape.directions();
        let count = self.shape.layers() * directions;
        assert_eq!(self.weights.len(), count, "one set of weights per layer and direction");
        if let Some(masks) = &run.dropout {
            assert_eq!(masks.len() + 1, self.shape.layers(), "one dropout mask between two layers");
        }
        let (h, c) = self.widths();
        let mut trace = StackTrace { out: vec![], h_n: vec![], c_n: vec![], runs: vec![], layers: vec![] };
        let mut input = run.x.clone();
        for layer in 0..self.shape.layers() {
            let shape = self.shape.layer(layer);
            for direction in 0..directions {
                let index = layer * directions + direction;
                let layer_run = LayerRun {
                    steps: run.steps,
                    batch: run.batch,
                    x: input.clone(),
                    h0: part(&run.h0, index, run.batch, &h),
                    c0: part(&run.c0, index, run.batch, &c),
                    reverse: direction == 1,
                    lengths: run.lengths.clone(),
                    resets: run.resets.clone(),
                    reset_h: part(&run.reset_h, index, run.batch, &h),
                    reset_c: part(&run.reset_c, index, run.batch, &c),
                    flush_below: run.flush_below,
                    options: run.options,
                };
                let layer_trace = layer::forward(&shape, &self.weights[index], &layer_run);
                trace.h_n.extend(&layer_trace.h_n);
                trace.c_n.extend(&layer_trace.c_n);
                trace.runs.push(layer_run);
                trace.layers.push(layer_trace);
            }
            let outputs = &trace.layers[layer * directions..];
            input = match outputs {
                [f, b] if self.shape.merge != Merge::Concat => merged(self.shape.merge, &f.out, &b.out),
                _ => concat(outputs.iter().map(|output| output.out.as_slice()), run.steps * run.batch),
            };
            match &run.dropout {
                Some(masks) if layer + 1 < self.shape.layers() => input = product(&input, &masks[layer]),
                _ => {}
            }
        }
        trace.out = input;
        trace
    }

    /// The backward of [`Stack::forward`]; the gradients from above are laid out as `out`, `h_n` and `c_n`.
    pub fn backward(&self, run: &StackRun, trace: &StackTrace, upstream: &Upstream) -> StackGrads {
        let directions = self.shape.directions();
        let (h, c) = self.widths();
        let mut layers: Vec<LayerGrads> = vec![];
        let mut d_out = upstream.out.clone();
        let mut d_input = vec![];
        for layer in (0..self.shape.layers()).rev() {
            let shape = self.shape.layer(layer);
            d_input = vec![0.0; run.steps * run.batch * shape.input];
            for direction in (0..directions).rev() {
                let index = layer * directions + direction;
                let of_out = |d: &Vec<f64>| {
                    if directions == 2 && self.shape.merge != Merge::Concat {
                        let other = layer * 2 + 1 - direction;
                        return of_direction(self.shape.merge, d, &trace.layers[other].out);
                    }
                    columns(d, directions * shape.state(), direction * shape.state(), shape.state())
                };
                let own = Upstream {
                    out: d_out.as_ref().map(of_out),
                    h_n: part(&upstream.h_n, index, run.batch, &h),
                    c_n: part(&upstream.c_n, index, run.batch, &c),
                };
                let (weights, layer_run) = (&self.weights[index], &trace.runs[index]);
                let grads = layer::backward(&shape, weights, layer_run, &trace.layers[index], &own);
                super::linalg::add(&mut d_input, &grads.x);
                layers.insert(0, grads);
            }
            d_out = match &run.dropout {
                Some(masks) if layer > 0 => Some(product(&d_input, &masks[layer - 1])),
                _ => Some(d_input.clone()),
            };
        }
        let all = |field: fn(&LayerGrads) -> &Vec<f64>| layers.iter().flat_map(field).copied().collect();
        StackGrads {
            weights: layers.iter().map(|grads| grads.weights.clone()).collect(),
            x: d_input,
            h0: all(|grads| &grads.h0),
            c0: all(|grads| &grads.c0),
            reset_h: all(|grads| &grads.reset_h),
            reset_c: all(|grads| &grads.reset_c),
            layers,
        }
    }
}

impl StackGrads {
    /// The gradients of all tensors, named and ordered as [`Stack::tensors`].
    pub fn tensors(&self, shape: &StackShape) -> Vec<(String, &[f64])> {
        named(shape, &self.weights)
    }
}

fn named<'a>(shape: &StackShape, weights: &'a [Weights]) -> Vec<(String, &'a [f64])> {
    let all = weights.iter().enumerate();
    all.flat_map(|(index, weights)| {
        weights.tensors().into_iter().map(move |(name, tensor)| (shape.name(index, name), tensor))
    })
    .collect()
}

/// Arrays of `rows` rows, side by side.
fn concat<'a>(arrays: impl Iterator<Item = &'a [f64]> + Clone, rows: usize) -> Vec<f64> {
    (0..rows)
        .flat_map(|row| {
            arrays.clone().flat_map(move |array| {
                let width = array.len() / rows;
                &array[row * width..][..width]
            })
        })
        .copied()
        .collect()
}
