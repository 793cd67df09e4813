//! Truncated back-propagation through time over a stream that comes in pieces.

mod backward;
mod block;
mod carried;
mod forward;

use crate::nets::Network;
use crate::run::Gradients;
use crate::spec::shape::{expect, product};
use crate::spec::{Error, Input, State};
pub(crate) use backward::WatchParts;
use block::{Block, Pending};
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
///
/// # Examples
/// ```
/// use gatewise::{Gru, TruncatedBptt, Truncation, View};
///
/// let gru = Gru::new(1, 2)?;
/// let mut bptt = TruncatedBptt::new(&gru, Truncation { k1: 2, k2: 4 }, gru.zero_state(1)?)?;
/// bptt.push(View::new(&[0.5; 6], [6, 1, 1])?)?;
/// let mut windows = Vec::new();
/// while bptt.forward(&gru)? {
///     windows.push(bptt.window());
/// }
/// assert_eq!(windows, [0..2, 0..4, 2..6]);
/// # Ok::<(), gatewise::Error>(())
/// ```
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
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Gru, TruncatedBptt, Truncation};
    ///
    /// let gru = Gru::new(1, 2)?;
    /// let start = |k1, k2| TruncatedBptt::new(&gru, Truncation { k1, k2 }, gru.zero_state(1)?);
    /// assert_eq!(start(2, 1).unwrap_err().to_string(), "k2 must be at least k1: got 1 with k1 = 2");
    /// assert_eq!(start(2, 4)?.pending(), 0);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
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
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Gru, TruncatedBptt, Truncation, View};
    ///
    /// let gru = Gru::builder(1, 8).num_layers(2).dropout(0.5).build()?;
    /// let run = |seed| {
    ///     let bptt = TruncatedBptt::new(&gru, Truncation { k1: 4, k2: 4 }, gru.zero_state(1)?)?;
    ///     let mut bptt = bptt.dropout_seed(seed);
    ///     bptt.push(View::new(&[0.5; 4], [4, 1, 1])?)?;
    ///     bptt.forward(&gru)?;
    ///     Ok::<_, gatewise::Error>(bptt.output().data().to_vec())
    /// };
    /// assert_eq!(run(1)?, run(1)?);
    /// assert_ne!(run(1)?, run(2)?);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
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
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Gru, TruncatedBptt, Truncation, View};
    ///
    /// let gru = Gru::new(1, 2)?;
    /// let mut bptt = TruncatedBptt::new(&gru, Truncation { k1: 4, k2: 4 }, gru.zero_state(1)?)?;
    /// bptt.push(View::new(&[0.5; 3], [3, 1, 1])?)?;
    /// assert!(bptt.push(View::new(&[0.5; 6], [3, 1, 2])?).is_err()); // two features
    /// assert_eq!(bptt.pending(), 3);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
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
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Gru, TruncatedBptt, Truncation, View};
    ///
    /// let gru = Gru::new(1, 2)?;
    /// let mut bptt = TruncatedBptt::new(&gru, Truncation { k1: 4, k2: 4 }, gru.zero_state(1)?)?;
    /// bptt.push(View::new(&[0.5; 7], [7, 1, 1])?)?;
    /// assert!(bptt.forward(&gru)? && bptt.pending() == 3);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn pending(&self) -> usize {
        self.pending.steps
    }

    fn shape(&self, steps: usize, width: usize) -> [usize; 3] {
        if self.batch_first { [self.batch, steps, width] } else { [steps, self.batch, width] }
    }

    /// The steps of the stream that the window at hand consists of, the new ones last.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Gru, TruncatedBptt, Truncation, View};
    ///
    /// let gru = Gru::new(1, 2)?;
    /// let mut bptt = TruncatedBptt::new(&gru, Truncation { k1: 2, k2: 3 }, gru.zero_state(1)?)?;
    /// bptt.push(View::new(&[0.5; 4], [4, 1, 1])?)?;
    /// assert!(bptt.forward(&gru)? && bptt.forward(&gru)?);
    /// assert_eq!(bptt.window(), 1..4); // three steps, the last two of them new
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn window(&self) -> Range<u64> {
        let first = self.blocks.front().map_or(self.position, |block| block.position);
        first..self.position
    }

    /// Steps that were run forward so far, each as often as it was.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Gru, TruncatedBptt, Truncation, View};
    ///
    /// let mut gru = Gru::new(1, 2)?;
    /// let mut bptt = TruncatedBptt::new(&gru, Truncation { k1: 2, k2: 4 }, gru.zero_state(1)?)?;
    /// bptt.push(View::new(&[0.5; 6], [6, 1, 1])?)?;
    /// assert!(bptt.forward(&gru)? && bptt.forward(&gru)?);
    /// assert_eq!(bptt.forward_steps(), 4); // each once
    /// gru.params_mut().fill(0.1);
    /// assert!(bptt.forward(&gru)?);
    /// assert_eq!(bptt.forward_steps(), 4 + 4); // two new ones, and two that the window shares with the last one
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn forward_steps(&self) -> u64 {
        self.forward_steps
    }
}
