//! A network with options, its input, and the same in the oracle.

use gatewise::{
    Any, Cell, DropoutKey, Gradients, Input, Kernels, Merge, Network, State, Tape, Tensors, Upstream, View,
};
use tests::oracle;
use tests::rng::Rng;

/// What a case is made of. `Default`: a small LSTM of one layer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Options {
    pub(super) cell: Cell,
    pub(super) steps: usize,
    pub(super) batch: usize,
    pub(super) layers: usize,
    pub(super) bidirectional: bool,
    pub(super) merge: Merge,
    /// By how much a layer is wider than the one above it.
    pub(super) taper: usize,
    pub(super) batch_first: bool,
    pub(super) dropout: f32,
    pub(super) ragged: bool,
    pub(super) resets: bool,
    /// Rows of the state that resets lead to; 0 is zeros.
    pub(super) reset_rows: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            cell: Cell::Lstm,
            steps: 11,
            batch: 3,
            layers: 1,
            bidirectional: false,
            merge: Merge::Concat,
            taper: 0,
            batch_first: false,
            dropout: 0.0,
            ragged: false,
            resets: false,
            reset_rows: 0,
        }
    }
}

impl Options {
    /// H of each layer; that of the last is [`HIDDEN`].
    pub(super) fn hidden_sizes(&self) -> Vec<usize> {
        (0..self.layers).map(|layer| HIDDEN + self.taper * (self.layers - 1 - layer)).collect()
    }
}

/// Each option alone, and all of them together, for each cell.
pub(super) fn all_options() -> Vec<Options> {
    let one = Options::default();
    let mut all = Vec::new();
    for cell in [Cell::RnnTanh, Cell::RnnRelu, Cell::Lstm, Cell::Gru] {
        let one = Options { cell, ..one };
        let many = Options { cell, layers: 3, dropout: 0.4, ragged: true, resets: true, ..one };
        all.extend([
            one,
            Options { layers: 2, ..one },
            Options { bidirectional: true, ..one },
            Options { batch_first: true, ..one },
            Options { ragged: true, ..one },
            Options { resets: true, ..one },
            Options { resets: true, reset_rows: 1, ..one },
            Options { reset_rows: one.batch, ..many },
            Options { reset_rows: 1, bidirectional: true, merge: Merge::Product, taper: 1, ..many },
            Options { layers: 2, dropout: 0.5, ..one },
            Options { bidirectional: true, layers: 2, ..one },
            Options { layers: 3, taper: 2, ..one },
            many,
            Options { bidirectional: true, batch_first: true, ..many },
            Options { bidirectional: true, merge: Merge::Sum, ..many },
            Options { bidirectional: true, merge: Merge::Mean, taper: 3, ..one },
            Options { bidirectional: true, merge: Merge::Product, taper: 1, batch_first: true, ..many },
        ]);
    }
    all
}

pub(super) const INPUT: usize = 3;
pub(super) const HIDDEN: usize = 5;

/// A network and everything that a pass over it needs.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) options: Options,
    pub(super) network: Network<Any>,
    pub(super) x: Vec<f32>,
    pub(super) state: State,
    pub(super) lengths: Vec<usize>,
    pub(super) resets: Vec<bool>,
    pub(super) reset_state: Option<State>,
    pub(super) dy: Vec<f32>,
    pub(super) dh_n: Vec<f32>,
    pub(super) dc_n: Vec<f32>,
}

fn floats(rng: &mut Rng, len: usize) -> Vec<f32> {
    rng.vec(len, -1.0, 1.0).into_iter().map(|x| x as f32).collect()
}

impl Case {
    pub(super) fn new(options: Options, kernels: Kernels, seed: u64) -> Case {
        let mut rng = Rng::new(seed);
        let Options { cell, steps, batch, .. } = options;
        let network = Network::with_cell(cell, INPUT, HIDDEN)
            .hidden_sizes(&options.hidden_sizes())
            .merge(options.merge)
            .bidirectional(options.bidirectional)
            .batch_first(options.batch_first)
            .dropout(options.dropout)
            .kernels(kernels)
            .seed(seed)
            .build()
            .unwrap();
        let mut state = network.zero_state(batch).unwrap();
        let (h, c) = (state.h().len(), state.c().len());
        state.h_mut().copy_from_slice(&floats(&mut rng, h));
        state.c_mut().copy_from_slice(&floats(&mut rng, c));
        let (dh_n, dc_n) = (floats(&mut rng, h), floats(&mut rng, c));
        let mut reset_state = network.zero_state(options.reset_rows).unwrap();
        let (h, c) = (reset_state.h().len(), reset_state.c().len());
        reset_state.h_mut().copy_from_slice(&floats(&mut rng, h));
        reset_state.c_mut().copy_from_slice(&floats(&mut rng, c));
        let width = network.config().output_size();
        let lengths: Vec<usize> = (0..batch).map(|b| if b == 1 { 0 } else { 1 + rng.below(steps) }).collect();
        Case {
            options,
            x: floats(&mut rng, steps * batch * INPUT),
            dy: floats(&mut rng, steps * batch * width),
            lengths: if options.ragged { lengths } else { vec![] },
            resets: if options.resets {
                (0..steps * batch).map(|_| rng.chance(0.2)).collect()
            } else {
                vec![]
            },
            reset_state: (options.reset_rows > 0).then_some(reset_state),
            network,
            state,
            dh_n,
            dc_n,
        }
    }

    fn shape(&self, width: usize) -> [usize; 3] {
        let Options { steps, batch, batch_first, .. } = self.options;
        if batch_first { [batch, steps, width] } else { [steps, batch, width] }
    }

    pub(super) fn input(&self) -> Input<'_> {
        let mut input = Input::from(View::new(&self.x, self.shape(INPUT)).unwrap());
        input.lengths = (!self.lengths.is_empty()).then_some(&self.lengths[..]);
        input.resets = (!self.resets.is_empty()).then_some(&self.resets[..]);
        input.reset_state = self.reset_state.as_ref();
        input.dropout(DropoutKey { seed: 7, ..DropoutKey::default() })
    }

    pub(super) fn upstream(&self) -> Upstream<'_> {
        let output = View::new(&self.dy, self.shape(self.network.config().output_size())).unwrap();
        Upstream { output: Some(output), h_n: Some(&self.dh_n), c_n: Some(&self.dc_n), ..Upstream::default() }
    }

    pub(super) fn tape(&self) -> Tape {
        self.network.forward_train(self.input(), Some(&self.state)).unwrap()
    }

    /// Gradients of the parameters to add to: not zeros, so that starting anew would show.
    pub(super) fn grads(&self) -> Tensors {
        let mut grads = self.network.params().zeros_like();
        grads.fill(0.25);
        grads
    }
}

/// Everything that a backward pass leaves, as bits.
pub(super) fn bits(grads: &Tensors, gradients: &Gradients) -> Vec<u32> {
    let parameters = grads.iter().flat_map(|tensor| tensor.data());
    let input = gradients.grad_input().map_or(&[][..], |view| view.data());
    let others = input.iter().chain(gradients.grad_h_0()).chain(gradients.grad_c_0());
    let others = others.chain(gradients.grad_reset_h()).chain(gradients.grad_reset_c());
    parameters.chain(others).map(|x| x.to_bits()).collect()
}

/// The same network in the oracle.
pub(super) fn oracle_of(network: &Network<Any>) -> oracle::Stack {
    let config = network.config();
    let cell = match config.cell {
        Cell::RnnTanh => oracle::Cell::RnnTanh,
        Cell::RnnRelu => oracle::Cell::RnnRelu,
        Cell::Lstm => oracle::Cell::Lstm,
        _ => oracle::Cell::Gru,
    };
    let shape = oracle::StackShape {
        cell,
        input: config.input_size,
        hidden: (0..config.num_layers).map(|layer| config.hidden_size_of(layer)).collect(),
        proj: None,
        bidirectional: config.bidirectional,
        merge: match config.merge {
            Merge::Concat => oracle::Merge::Concat,
            Merge::Sum => oracle::Merge::Sum,
            Merge::Mean => oracle::Merge::Mean,
            Merge::Product => oracle::Merge::Product,
        },
    };
    let mut stack = oracle::Stack::filled(shape, config.bias, || 0.0);
    for (name, to) in stack.tensors_mut() {
        to.copy_from_slice(&f64s(network.params().get(&name).unwrap().data()));
    }
    stack
}

pub(super) fn f64s(data: &[f32]) -> Vec<f64> {
    data.iter().map(|&x| f64::from(x)).collect()
}

/// Holds f32 results against the oracle's: off by no more than what rounding each of `terms` of the chains in question gives.
pub(super) fn assert_close(what: &str, got: &[f32], expected: &[f64], terms: usize) {
    assert_eq!(got.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(1.0_f64, |most, x| most.max(x.abs()));
    let allowed = f64::from(f32::EPSILON) * terms as f64 * scale;
    for (i, (&got, expected)) in got.iter().zip(expected).enumerate() {
        let error = (f64::from(got) - expected).abs();
        assert!(
            error <= allowed,
            "{what}[{i}] is {got}, expected {expected}: {error:e} off, allowed {allowed:e}"
        );
    }
}

pub(super) fn kernels() -> Vec<Kernels> {
    Kernels::available().unwrap()
}
