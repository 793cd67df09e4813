//! Truncated back-propagation through time over a stream that comes in pieces.

mod backward;
mod block;
mod carried;

use crate::nets::Network;
use crate::run::{Gradients, Tape};
use crate::spec::shape::{expect, product};
use crate::spec::{Error, Input, State, View};
pub(crate) use backward::WatchParts;
use block::{Block, Part, Pending};
use std::collections::VecDeque;
use std::ops::Range;

/// How far truncated back-propagation through time looks, in steps: BPTT(h; h') of Williams and Peng ("An efficient
/// gradient-based algorithm for on-line training of recurrent network trajectories", 1990), with h' = k1 and h = k2.
///
/// At every step e that is a multiple of k1 there is one gradient. With s = max(0, e - k2), it is
///
/// ```text
/// d/dp  sum of the losses of steps e - k1 .. e        from h_s, c_s, constants, through steps s .. e, all with the present p
/// ```
/// where p are the parameters, and h_s, c_s the state that the window before left before step s. Each step's loss counts once. With
/// k1 = k2 windows stand side by side; with k2 > k1 each one begins before the one before it has ended. Nothing is approximated
/// beyond the cut at s: between two changes of the parameters, the steps that windows share are run forward once; after a change they
/// are run again, for a gradient that mixed old activations with new weights would be that of no function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Truncation {
    /// Steps from one window's end to the next one's; at least 1.
    pub k1: usize,
    /// Steps that a gradient goes back from a window's end; at least k1.
    pub k2: usize,
}

/// Trains a network on a stream by truncated back-propagation through time: [`push`](TruncatedBptt::push) what has come,
/// [`forward`](TruncatedBptt::forward) while there are windows, and [`backward`](TruncatedBptt::backward) for each of them.
///
/// Sequences are in the network's layout. The state is carried from window to window; no gradient leaves a window.
///
/// # Examples
/// ```
/// use gatewise::{Gru, Optimizer, Sgd, TruncatedBptt, Truncation, Upstream, View, mse};
///
/// let mut gru = Gru::new(1, 4)?;
/// let mut sgd = Sgd::new(0.1);
/// let mut bptt = TruncatedBptt::new(&gru, Truncation { k1: 5, k2: 8 }, gru.zero_state(1)?)?;
/// for piece in [[0.5; 7], [0.25; 7], [0.0; 7]] {
///     bptt.push(View::new(&piece, [7, 1, 1])?)?; // as long as it happens to be
///     while bptt.forward(&gru)? {
///         let (target, mut dy) = ([0.1; 5 * 4], [0.0; 5 * 4]);
///         mse(bptt.output().data(), &target, &mut dy)?; // the five new steps
///         let mut grads = gru.params().zeros_like();
///         let upstream = Upstream::output(View::new(&dy, [5, 1, 4])?);
///         bptt.backward(&gru, upstream, &mut grads)?;
///         sgd.step(&mut [&mut gru.params_mut()], &[&grads])?;
///     }
/// }
/// assert_eq!(bptt.pending(), 1); // 21 steps came, four windows of five are done
/// # Ok::<(), gatewise::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct TruncatedBptt {
    truncation: Truncation,
    batch_first: bool,
    batch: usize,
    input: usize,
    dropout_seed: u64,
    pending: Pending,
    /// The steps that the next gradient may reach, oldest first; a window begins and ends between two of them.
    blocks: VecDeque<Block>,
    /// Blocks whose memory waits for its next use.
    spare: Vec<Block>,
    /// Steps run since the start of the stream, and since the state was last detached.
    position: u64,
    since_detached: usize,
    forward_steps: u64,
    /// Steps of the window at hand that are new.
    new_steps: usize,
    state: State,
    /// What resets lead to, if it is given, for one row or all.
    reset_state: Option<State>,
    output: Vec<f32>,
    width: usize,
    dy: Vec<f32>,
    dh: Vec<f32>,
    dc: Vec<f32>,
    gradients: Gradients,
    grad_input: Vec<f32>,
    has_grad_input: bool,
    /// Shaped as the reset state; empty before a backward.
    grad_reset_h: Vec<f32>,
    grad_reset_c: Vec<f32>,
}

impl TruncatedBptt {
    /// Starts a stream from a state, whose batch is the stream's.
    ///
    /// # Errors
    /// [`Error::Config`] if k1 is 0 or k2 below it, or the network is bidirectional: a stream has no end for the reverse direction to
    /// start from. [`Error::Shape`] if the state is none of the network's.
    pub fn new<K>(
        network: &Network<K>,
        truncation: Truncation,
        state: State,
    ) -> Result<TruncatedBptt, Error> {
        let Truncation { k1, k2 } = truncation;
        if k1 == 0 {
            return Err(Error::Config { arg: "k1", expected: "greater than zero", got: k1.to_string() });
        }
        if k2 < k1 {
            let got = format!("{k2} with k1 = {k1}");
            return Err(Error::Config { arg: "k2", expected: "at least k1", got });
        }
        let config = network.config();
        if config.bidirectional {
            let expected = "off for a stream: the reverse direction starts at the end";
            return Err(Error::Config { arg: "bidirectional", expected, got: "true".to_string() });
        }
        state.check(config, state.batch())?;
        Ok(TruncatedBptt {
            truncation,
            batch_first: config.batch_first,
            batch: state.batch(),
            input: config.input_size,
            dropout_seed: 0,
            pending: Pending::default(),
            blocks: VecDeque::new(),
            spare: Vec::new(),
            position: 0,
            since_detached: 0,
            forward_steps: 0,
            new_steps: 0,
            state,
            reset_state: None,
            output: Vec::new(),
            width: config.output_size(),
            dy: Vec::new(),
            dh: Vec::new(),
            dc: Vec::new(),
            gradients: Gradients::default(),
            grad_input: Vec::new(),
            has_grad_input: false,
            grad_reset_h: Vec::new(),
            grad_reset_c: Vec::new(),
        })
    }

    /// Seed of the dropout between layers; 0 if not called. The numbers of the steps in the stream make the masks differ.
    #[must_use]
    pub fn dropout_seed(self, seed: u64) -> TruncatedBptt {
        TruncatedBptt { dropout_seed: seed, ..self }
    }

    /// Adds steps to the stream, as many as there are: [n, batch, input_size], with their resets if they have some. They are copied. A
    /// state that resets lead to becomes that of the whole stream, as by [`set_reset_state`](TruncatedBptt::set_reset_state); without
    /// one it stays as it is.
    ///
    /// # Errors
    /// [`Error::Shape`] if they do not fit the network and the state; [`Error::Config`] if they have lengths or a dropout key of their
    /// own: rows of a stream have no end, and the stream numbers its steps itself. The stream stays as it was then.
    pub fn push<'a>(&mut self, piece: impl Into<Input<'a>>) -> Result<(), Error> {
        let piece = piece.into();
        let [first, second, width] = piece.sequence.shape();
        let (steps, batch) = if self.batch_first { (second, first) } else { (first, second) };
        expect("input", "input_size", width, self.input)?;
        expect("input", "batch size", batch, self.batch)?;
        if let Some(resets) = piece.resets {
            expect("resets", "length", resets.len(), product("resets", &[steps, batch])?)?;
        }
        let key = piece.dropout;
        if piece.lengths.is_some() || key.rows.is_some() || key.seed != 0 || key.first_step != 0 {
            let (arg, expected) = ("input", "without lengths and dropout key in a stream");
            return Err(Error::Config { arg, expected, got: "some".to_string() });
        }
        if let Some(state) = piece.reset_state {
            self.set_reset_state(Some(state.clone()))?;
        }
        let Pending { x, resets, done, steps: pending } = &mut self.pending;
        if *done > 0 {
            x.drain(..*done * batch * width);
            resets.drain(..*done * batch);
            *done = 0;
        }
        let data = piece.sequence.data();
        if self.batch_first {
            for t in 0..steps {
                for b in 0..batch {
                    x.extend_from_slice(&data[(b * steps + t) * width..][..width]);
                }
            }
        } else {
            x.extend_from_slice(data);
        }
        match piece.resets {
            Some(new) => resets.extend_from_slice(new),
            None => resets.resize(resets.len() + steps * batch, false),
        }
        *pending += steps;
        Ok(())
    }

    /// Steps that were pushed and not run yet.
    pub fn pending(&self) -> usize {
        self.pending.steps
    }

    /// Runs the next k1 steps, if as many have come, and says whether.
    ///
    /// # Errors
    /// As [`Network::forward_train`]; the stream is then where it was.
    pub fn forward<K>(&mut self, network: &Network<K>) -> Result<bool, Error> {
        if self.pending.steps < self.truncation.k1 {
            return Ok(false);
        }
        self.run(network, self.truncation.k1)
    }

    /// Runs what is left at the end of the stream, fewer than k1 steps, and says whether there was something. The window begins where it
    /// would with k1 steps. Steps that are pushed after it start from a detached state.
    ///
    /// # Errors
    /// As [`forward`](TruncatedBptt::forward).
    pub fn finish<K>(&mut self, network: &Network<K>) -> Result<bool, Error> {
        match self.pending.steps.min(self.truncation.k1) {
            0 => Ok(false),
            steps => self.run(network, steps),
        }
    }

    /// Runs the next `steps` steps, and again those before them that the gradient will reach if the parameters have changed.
    fn run<K>(&mut self, network: &Network<K>, steps: usize) -> Result<bool, Error> {
        self.state.check(network.config(), self.batch)?;
        expect("input", "input_size", self.input, network.config().input_size)?;
        let Truncation { k1, k2 } = self.truncation;
        if !self.since_detached.is_multiple_of(k1) {
            self.detach();
        }
        // What the window does not reach any more.
        let mut reach: usize = self.blocks.iter().map(|block| block.steps).sum();
        while reach + k1 > k2 {
            let Some(block) = self.blocks.pop_front() else { break };
            reach -= block.steps;
            self.spare.push(block);
        }
        let old = self.blocks.len();
        // Windows begin and end k2 % k1 steps before, and at, multiples of k1.
        let cut = k1 - k2 % k1;
        self.add_block(0..steps.min(cut));
        if steps > cut {
            self.add_block(cut..steps);
        }
        let mut forward_steps = 0;
        let mut is_stale = false;
        let mut before: Option<State> = None;
        let mut recorded = Ok(());
        for (i, block) in self.blocks.iter_mut().enumerate() {
            is_stale |= block.stamp != Some(network.stamp());
            if is_stale {
                if let Some(state) = before.take() {
                    block.start = state;
                }
                block.stamp = None;
                let mut after = block.start.clone();
                recorded = block
                    .record(network, self.batch, self.dropout_seed, self.reset_state.as_ref())
                    .and_then(|()| block.tape.final_state(&mut after));
                if recorded.is_err() {
                    break;
                }
                forward_steps += block.steps as u64;
                before = Some(after);
            } else if i + 1 == old {
                before = Some(self.state.clone());
            }
        }
        if let Err(error) = recorded {
            self.spare.extend(self.blocks.drain(old..));
            // What was run again may stand before what was not: the next try starts from the front.
            self.blocks.iter_mut().for_each(|block| block.stamp = None);
            return Err(error);
        }
        self.state = before.unwrap_or_else(|| self.state.clone());
        self.forward_steps += forward_steps;
        self.pending.done += steps;
        self.pending.steps -= steps;
        self.position += steps as u64;
        self.since_detached += steps;
        self.new_steps = steps;
        self.forget_gradients();
        self.gather_output(old);
        Ok(true)
    }

    /// Makes a block of pending steps; they stay pending.
    fn add_block(&mut self, range: Range<usize>) {
        let steps = range.len();
        let mut block = self.spare.pop().unwrap_or_else(|| Block {
            steps: 0,
            position: 0,
            x: Vec::new(),
            resets: Vec::new(),
            start: self.state.clone(),
            tape: Tape::default(),
            stamp: None,
        });
        let (width, first) = (self.batch * self.input, self.pending.done + range.start);
        let x = &self.pending.x[first * width..][..steps * width];
        block.x.clear();
        if self.batch_first {
            for b in 0..self.batch {
                for t in 0..steps {
                    block.x.extend_from_slice(&x[(t * self.batch + b) * self.input..][..self.input]);
                }
            }
        } else {
            block.x.extend_from_slice(x);
        }
        let resets = &self.pending.resets[first * self.batch..][..steps * self.batch];
        block.resets.clear();
        // A stream without resets is not slowed down by looking for them.
        if resets.contains(&true) {
            block.resets.extend_from_slice(resets);
        }
        (block.steps, block.position, block.stamp) = (steps, self.position + range.start as u64, None);
        block.start = self.state.clone();
        self.blocks.push_back(block);
    }

    /// Brings the outputs of the new blocks together.
    fn gather_output(&mut self, old: usize) {
        let (steps, batch, width) = (self.new_steps, self.batch, self.width);
        self.output.clear();
        self.output.resize(steps * batch * width, 0.0);
        let mut first = 0;
        for block in self.blocks.range(old..) {
            let part = Part { steps, range: first..first + block.steps, batch, width };
            part.put(block.tape.output().data(), &mut self.output, self.batch_first);
            first += block.steps;
        }
    }

    /// The outputs of the new steps of the window at hand, [k1, batch, hidden_size] in the network's layout.
    pub fn output(&self) -> View<'_> {
        let shape = self.shape(self.new_steps, self.width);
        View::new(&self.output, shape).expect("the outputs were gathered for this shape")
    }

    fn shape(&self, steps: usize, width: usize) -> [usize; 3] {
        if self.batch_first { [self.batch, steps, width] } else { [steps, self.batch, width] }
    }

    /// The steps of the stream that the window at hand consists of, the new ones last.
    pub fn window(&self) -> Range<u64> {
        let first = self.blocks.front().map_or(self.position, |block| block.position);
        first..self.position
    }

    /// Steps that were run forward so far, each as often as it was.
    pub fn forward_steps(&self) -> u64 {
        self.forward_steps
    }
}
