//! The windows of a stream, one after the other: what is run, and what comes out.

use super::block::{Block, Part};
use super::{TruncatedBptt, Truncation};
use crate::nets::Network;
use crate::run::Tape;
use crate::spec::shape::expect;
use crate::spec::{Error, State, View};
use std::ops::Range;

impl TruncatedBptt {
    /// Runs the next k1 steps, if as many have come, and says whether.
    ///
    /// # Errors
    /// As [`Network::forward_train`]; the stream is then where it was.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Gru, TruncatedBptt, Truncation, View};
    ///
    /// let gru = Gru::new(1, 2)?;
    /// let mut bptt = TruncatedBptt::new(&gru, Truncation { k1: 4, k2: 4 }, gru.zero_state(1)?)?;
    /// bptt.push(View::new(&[0.5; 3], [3, 1, 1])?)?;
    /// assert!(!bptt.forward(&gru)?);
    /// bptt.push(View::new(&[0.5; 3], [3, 1, 1])?)?;
    /// assert!(bptt.forward(&gru)? && !bptt.forward(&gru)?);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
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
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Gru, TruncatedBptt, Truncation, View};
    ///
    /// let gru = Gru::new(1, 2)?;
    /// let mut bptt = TruncatedBptt::new(&gru, Truncation { k1: 4, k2: 4 }, gru.zero_state(1)?)?;
    /// bptt.push(View::new(&[0.5; 3], [3, 1, 1])?)?;
    /// assert!(bptt.finish(&gru)? && !bptt.finish(&gru)?);
    /// assert_eq!(bptt.output().shape(), [3, 1, 2]);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
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
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Gru, TruncatedBptt, Truncation, View};
    ///
    /// let (gru, x) = (Gru::new(1, 2)?, View::new(&[0.5; 4], [4, 1, 1])?);
    /// let mut bptt = TruncatedBptt::new(&gru, Truncation { k1: 4, k2: 4 }, gru.zero_state(1)?)?;
    /// bptt.push(x)?;
    /// bptt.forward(&gru)?;
    /// assert_eq!(bptt.output(), gru.forward(x, None)?.0.view());
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn output(&self) -> View<'_> {
        let shape = self.shape(self.new_steps, self.width);
        View::new(&self.output, shape).expect("the outputs were gathered for this shape")
    }
}
