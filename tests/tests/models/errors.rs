//! Every way in which a call of a network can be wrong: the variant, the exact words, and that nothing was written.

use gatewise::{
    Any, Cell, DropoutKey, Error, Input, Kernels, Lstm, Network, Rnn, State, Tape, Tensors, Upstream, View,
    Workspace,
};
use std::fmt::Debug;
use tests::bounds::same_bits;
use tests::setup::Setup;

/// The error of a call that must be refused, held to its words.
#[track_caller]
pub(super) fn refused<T: Debug>(result: Result<T, Error>, words: &str) -> Error {
    let error = result.expect_err(words);
    assert_eq!(error.to_string(), words);
    error
}

/// I = 10, H = 20, two layers, T = 4, B = 3; a state and an output full of a pattern.
struct Bench {
    network: Network<Any>,
    x: Vec<f32>,
}

impl Bench {
    fn new(cell: Cell) -> Bench {
        let network = Network::with_cell(cell, 10, 20).num_layers(2).build().unwrap();
        Bench { network, x: vec![0.25; 4 * 3 * 11] }
    }

    /// The input with that shape.
    fn input(&self, shape: [usize; 3]) -> Input<'_> {
        Input::from(View::new(&self.x[..shape.iter().product()], shape).unwrap())
    }

    fn state(&self, batch: usize) -> State {
        let mut state = self.network.zero_state(batch).unwrap();
        state.h_mut().fill(7.5);
        state.c_mut().fill(-7.5);
        state
    }

    /// All forward passes refuse, with these words, and leave state, output and tape as they were.
    #[track_caller]
    fn all_refuse(&self, input: Input<'_>, state: &State, words: &str) -> Error {
        refused(self.network.forward(input, Some(state)), words);
        let (mut written, mut y) = (state.clone(), vec![7.5; 4 * 3 * 20]);
        refused(self.network.forward_into(input, &mut written, &mut y, &mut Workspace::default()), words);
        assert_eq!(&written, state, "the state stays");
        assert!(y.iter().all(|&value| value == 7.5), "the output stays");

        // A tape that holds a pass still holds it afterwards.
        let mut tape = self.network.forward_train(self.input([4, 3, 10]), None).unwrap();
        let output = tape.output().data().to_vec();
        let error = refused(self.network.forward_train_into(input, Some(state), &mut tape), words);
        assert_eq!(tape.output().data(), output, "the tape stays");
        let mut grads = self.network.params().zeros_like();
        self.network
            .backward(&mut tape, Upstream::default(), &mut grads)
            .expect("the tape is still recorded");
        refused(self.network.forward_train(input, Some(state)), words);
        error
    }
}

/// PyTorch's `test_rnn_args_check`: wrong input size, hidden batch, hidden size, layers times directions, h and c separately; the
/// bad size is 7, as there.
#[test]
fn sizes_of_input_and_state() {
    for cell in Cell::ALL {
        let bench = Bench::new(cell);
        let good = bench.state(3);
        bench.network.forward(bench.input([4, 3, 10]), Some(&good)).unwrap();

        let words = "input has inconsistent input_size: got 11, expected 10";
        let error = bench.all_refuse(bench.input([4, 3, 11]), &good, words);
        assert_eq!(error, Error::Shape { arg: "input", dim: "input_size", expected: 10, got: 11 });
        let words = "input has inconsistent input_size: got 7, expected 10";
        bench.all_refuse(bench.input([4, 3, 7]), &good, words);

        let words = "h_0 has inconsistent batch size: got 7, expected 3";
        bench.all_refuse(bench.input([4, 3, 10]), &bench.state(7), words);
        let of = |hidden: usize, layers: usize| {
            let network = Network::with_cell(cell, 10, hidden).num_layers(layers).build().unwrap();
            network.zero_state(3).unwrap()
        };
        let words = "h_0 has inconsistent hidden_size: got 7, expected 20";
        bench.all_refuse(bench.input([4, 3, 10]), &of(7, 2), words);
        let words = "h_0 has inconsistent num_layers * directions: got 7, expected 2";
        bench.all_refuse(bench.input([4, 3, 10]), &of(20, 7), words);
    }
    let (lstm, rnn) = (Bench::new(Cell::Lstm), Bench::new(Cell::RnnTanh));
    let words = "c_0 has inconsistent length: got 0, expected 120";
    lstm.all_refuse(lstm.input([4, 3, 10]), &rnn.state(3), words);
    let words = "c_0 has inconsistent length: got 120, expected 0";
    rnn.all_refuse(rnn.input([4, 3, 10]), &lstm.state(3), words);
}

/// PyTorch's `test_RNN_cell_no_broadcasting`: a batch, hidden size or input size of 1 is not stretched.
#[test]
fn nothing_is_broadcast() {
    for cell in Cell::ALL {
        let bench = Bench::new(cell);
        let words = "h_0 has inconsistent batch size: got 1, expected 3";
        bench.all_refuse(bench.input([4, 3, 10]), &bench.state(1), words);
        let words = "input has inconsistent input_size: got 1, expected 10";
        bench.all_refuse(bench.input([4, 3, 1]), &bench.state(3), words);
        let one = Network::with_cell(cell, 10, 1).num_layers(2).build().unwrap();
        let words = "h_0 has inconsistent hidden_size: got 1, expected 20";
        bench.all_refuse(bench.input([4, 3, 10]), &one.zero_state(3).unwrap(), words);
    }
}

/// PyTorch's `test_error_RNN_seq_len_zero`.
#[test]
fn a_sequence_of_no_steps() {
    for cell in Cell::ALL {
        let bench = Bench::new(cell);
        let words = "Expected sequence length to be larger than 0 in RNN";
        let error = bench.all_refuse(bench.input([0, 3, 10]), &bench.state(3), words);
        assert_eq!(error, Error::EmptySequence);
    }
}

/// Lengths: one for each row, none longer than the sequence. Resets: one for each step and row. Numbers of rows for dropout: one for
/// each row.
#[test]
fn what_is_special_about_rows() {
    let bench = Bench::new(Cell::Gru);
    let (input, state) = (bench.input([4, 3, 10]), bench.state(3));
    let words = "lengths has inconsistent batch size: got 2, expected 3";
    bench.all_refuse(input.lengths(&[4, 4]), &state, words);
    let words = "lengths has inconsistent sequence length: got 5, expected 4";
    let error = bench.all_refuse(input.lengths(&[4, 5, 0]), &state, words);
    assert_eq!(error, Error::Shape { arg: "lengths", dim: "sequence length", expected: 4, got: 5 });
    let words = "resets has inconsistent length: got 11, expected 12";
    bench.all_refuse(input.resets(&[false; 11]), &state, words);
    let words = "dropout.rows has inconsistent batch size: got 4, expected 3";
    bench.all_refuse(
        input.dropout(DropoutKey { rows: Some(&[0; 4]), ..DropoutKey::default() }),
        &state,
        words,
    );
}

/// What resets lead to: a state of this network, for this batch or one row.
#[test]
fn a_state_that_resets_lead_to() {
    for cell in Cell::ALL {
        let bench = Bench::new(cell);
        let (input, state) = (bench.input([4, 3, 10]).resets(&[true; 12]), bench.state(3));
        bench.network.forward(input.reset_state(&bench.state(1)), Some(&state)).unwrap();
        bench.network.forward(input.reset_state(&bench.state(3)), Some(&state)).unwrap();
        let words = "reset_h has inconsistent batch size: got 2, expected 3";
        bench.all_refuse(input.reset_state(&bench.state(2)), &state, words);
        let of = |hidden: usize, layers: usize| {
            let network = Network::with_cell(cell, 10, hidden).num_layers(layers).build().unwrap();
            network.zero_state(1).unwrap()
        };
        let words = "reset_h has inconsistent hidden_size: got 7, expected 20";
        bench.all_refuse(input.reset_state(&of(7, 2)), &state, words);
        let words = "reset_h has inconsistent num_layers * directions: got 7, expected 2";
        bench.all_refuse(input.reset_state(&of(20, 7)), &state, words);
    }
    let (lstm, rnn) = (Bench::new(Cell::Lstm), Bench::new(Cell::RnnTanh));
    let words = "reset_c has inconsistent length: got 0, expected 40";
    lstm.all_refuse(lstm.input([4, 3, 10]).reset_state(&rnn.state(1)), &lstm.state(3), words);
}

/// C++ PyTorch's `CheckErrorInfos`, and the checks of the constructor in `torch/nn/modules/rnn.py`.
#[test]
fn options_that_make_no_sense() {
    for cell in Cell::ALL {
        let build = |hidden: usize, layers: usize, dropout: f32| {
            Network::with_cell(cell, 3, hidden).num_layers(layers).dropout(dropout).build()
        };
        let error = refused(build(0, 1, 0.0), "hidden_size must be greater than zero: got 0");
        assert!(matches!(error, Error::Config { arg: "hidden_size", .. }));
        refused(build(4, 0, 0.0), "num_layers must be greater than zero: got 0");
        refused(build(4, 2, 1.5), "dropout must be a number in range [0, 1]: got 1.5");
        refused(build(4, 2, -0.5), "dropout must be a number in range [0, 1]: got -0.5");
        refused(build(4, 2, f32::NAN), "dropout must be a number in range [0, 1]: got NaN");
        assert!(build(4, 2, 1.0).is_ok() && build(4, 2, 0.0).is_ok());
    }
    refused(Rnn::new(3, 0), "hidden_size must be greater than zero: got 0");
}

/// Sizes whose product does not fit in memory, or for which there is no memory.
#[test]
fn sizes_that_do_not_fit() {
    let words = "the size of a parameter does not fit in memory";
    let error = refused(Lstm::new(1, usize::MAX), words);
    assert_eq!(error, Error::SizeOverflow { what: "a parameter" });
    refused(Lstm::new(usize::MAX, 1), words);
    refused(Lstm::builder(1, usize::MAX / 2 + 1).bidirectional(true).build(), words);

    let network = Lstm::new(2, 8).unwrap();
    let words = "the size of the tape does not fit in memory";
    refused(network.zero_state(usize::MAX), words);
    refused(network.explain(usize::MAX, 1, 1), words);
    refused(network.kernel_id(1, usize::MAX, 1), words);
    assert!(
        matches!(network.zero_state(1 << 54), Err(Error::SizeOverflow { .. })),
        "more than any machine has"
    );
    refused(View::new(&[], [usize::MAX, 2, 1]), "the size of a view does not fit in memory");
    // A size of 0 makes any view an empty one, of which there may be a million.
    assert!(View::new(&[], [usize::MAX, usize::MAX, 0]).is_ok());
}

/// An output or state that does not fit; a reverse direction has no single steps.
#[test]
fn outputs_and_single_steps() {
    for cell in Cell::ALL {
        let Bench { network, x } = Bench::new(cell);
        let mut state = network.zero_state(3).unwrap();
        state.h_mut().fill(7.5);
        let before = state.clone();
        let mut y = vec![7.5; 4 * 3 * 20 + 1];
        let input = View::new(&x[..120], [4, 3, 10]).unwrap();
        let words = "output has inconsistent length: got 241, expected 240";
        refused(network.forward_into(input, &mut state, &mut y, &mut Workspace::default()), words);
        let words = "output has inconsistent length: got 59, expected 60";
        refused(network.step(&x[..30], &mut state, &mut y[..59]), words);
        let words = "input has inconsistent length: got 31, expected 30";
        refused(network.step(&x[..31], &mut state, &mut y[..60]), words);
        assert_eq!(state, before);

        let other = Network::with_cell(cell, 10, 20).num_layers(3).build().unwrap();
        let words = "h_0 has inconsistent num_layers * directions: got 3, expected 2";
        let mut foreign = other.zero_state(3).unwrap();
        refused(network.step(&x[..30], &mut foreign, &mut y[..60]), words);
        assert_eq!(foreign, other.zero_state(3).unwrap());

        let both = Network::with_cell(cell, 10, 20).bidirectional(true).build().unwrap();
        let mut two_ways = both.zero_state(3).unwrap();
        let error = both.step(&x[..30], &mut two_ways, &mut y[..60]).unwrap_err();
        assert!(matches!(error, Error::Config { arg: "bidirectional", .. }), "{error}");
        assert!(y.iter().all(|&value| value == 7.5), "the output stays");
    }
}

/// Backward: nothing recorded, recorded by another network, gradients or upstream gradients that do not fit. The gradients and the
/// tape stay as they were: backward works afterwards as if nothing had been tried.
#[test]
fn backward_refuses() {
    for cell in Cell::ALL {
        let setup = Setup { cell, layers: 2, hidden: 20, input: 10, steps: 4, ..Setup::default() };
        let problem = setup.problem();
        let network = problem.network(Kernels::auto().unwrap());
        let mut grads = network.params().zeros_like();
        grads.fill(7.5);
        let before = grads.clone();

        let words = "the tape holds no forward pass: record one with forward_train before backward";
        let error = refused(network.backward(&mut Tape::default(), Upstream::default(), &mut grads), words);
        assert_eq!(error, Error::TapeConsumed);
        let mut state = network.zero_state(3).unwrap();
        refused(Tape::default().final_state(&mut state), words);

        let mut tape =
            network.forward_train(problem.input(&problem.x), problem.state(&network).as_ref()).unwrap();
        let wrong = vec![0.5; 5 * 4 * 21];
        let view = |shape: [usize; 3]| View::new(&wrong[..shape.iter().product()], shape).unwrap();
        let h_n = |len: usize| Upstream { h_n: Some(&wrong[..len]), ..Upstream::default() };
        let c_n = |len: usize| Upstream { c_n: Some(&wrong[..len]), ..Upstream::default() };
        let cells = if cell.has_cell_state() { 120 } else { 0 };
        let c_words = format!("grad_c_n has inconsistent length: got 7, expected {cells}");
        for (upstream, words) in [
            (
                Upstream::output(view([4, 3, 21])),
                "grad_output has inconsistent hidden_size: got 21, expected 20",
            ),
            (
                Upstream::output(view([5, 3, 20])),
                "grad_output has inconsistent sequence length: got 5, expected 4",
            ),
            (
                Upstream::output(view([4, 4, 20])),
                "grad_output has inconsistent batch size: got 4, expected 3",
            ),
            (h_n(119), "grad_h_n has inconsistent length: got 119, expected 120"),
            (c_n(7), &c_words),
        ] {
            let error = refused(network.backward(&mut tape, upstream, &mut grads), words);
            assert!(matches!(error, Error::Shape { .. }));
        }

        let other = Network::with_cell(cell, 10, 21).num_layers(2).build().unwrap();
        let mut foreign = other.params().zeros_like();
        let words = "the lists of tensors differ at weight_ih_l0";
        refused(network.backward(&mut tape, Upstream::default(), &mut foreign), words);
        refused(network.backward(&mut tape, Upstream::default(), &mut Tensors::default()), words);
        let words = "tape must be one that this network recorded: got another network's";
        refused(other.backward(&mut tape, Upstream::default(), &mut foreign), words);
        assert!(foreign.iter().all(|grad| grad.data().iter().all(|&value| value == 0.0)));
        assert_eq!(grads, before, "the gradients stay");

        // All refused: now it works, with the bits of a first try, and the tape is used up.
        let dy = View::new(problem.dy.as_ref().unwrap(), [4, 3, 20]).unwrap();
        let upstream =
            Upstream { h_n: problem.dh_n.as_deref(), c_n: problem.dc_n.as_deref(), ..Upstream::output(dy) };
        let mut grads = network.params().zeros_like();
        network.backward(&mut tape, upstream, &mut grads).unwrap();
        let mut got = problem.train(&network);
        got.list.retain(|(name, _)| name.contains("_l"));
        let list = grads.iter().map(|grad| (format!("grad {}", grad.name()), grad.data().to_vec())).collect();
        same_bits(&got, &tests::problem::Arrays { list }).unwrap();
        let words = "the tape holds no forward pass: record one with forward_train before backward";
        let after = grads.clone();
        refused(network.backward(&mut tape, upstream, &mut grads), words);
        assert_eq!(grads, after);
    }
}

/// A network built for inference alone.
#[test]
fn training_that_was_left_out() {
    let network = Lstm::builder(2, 8).training(false).build().unwrap();
    let x = [0.5; 2 * 3];
    let words = "training must be left on when the network is built, to train it: got false";
    let error = refused(network.forward_train(View::new(&x, [3, 1, 2]).unwrap(), None), words);
    assert!(matches!(error, Error::Config { arg: "training", .. }));
    assert!(network.forward(View::new(&x, [3, 1, 2]).unwrap(), None).is_ok());
}
