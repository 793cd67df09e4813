//! The gradient of a window: block by block from its end.

use super::TruncatedBptt;
use super::block::Part;
use crate::nets::Network;
use crate::run::{StepClip, Tape, Upstream, Watched};
use crate::spec::shape::{expect, expect_len};
use crate::spec::{Error, Tensors, View};
use std::ops::Range;

/// Somebody who looks at the passes over the parts of a window, the last part first.
pub(crate) trait WatchParts {
    /// Before the pass over the part that begins at step `first` of a window of so many steps.
    fn part(&mut self, first: usize, window: usize) -> Watched<'_>;
}

impl TruncatedBptt {
    /// Adds the gradient of the window at hand to `grads`. `upstream` has the gradients of the new steps' outputs, in the shape of
    /// [`output`](TruncatedBptt::output), and of the state after them.
    ///
    /// The tapes of the steps that the next window will not reach are consumed, so each window has one backward.
    ///
    /// # Errors
    /// [`Error::TapeConsumed`] if there is no window, it had its backward, or the parameters have changed since its forward; else as
    /// [`Network::backward`]. Nothing is written then.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Error, Gru, TruncatedBptt, Truncation, Upstream, View};
    ///
    /// let gru = Gru::new(1, 2)?;
    /// let mut bptt = TruncatedBptt::new(&gru, Truncation { k1: 4, k2: 4 }, gru.zero_state(1)?)?;
    /// bptt.push(View::new(&[0.5; 4], [4, 1, 1])?)?;
    /// bptt.forward(&gru)?;
    /// let (dy, mut grads) = ([1.0; 4 * 2], gru.params().zeros_like());
    /// let upstream = Upstream::output(View::new(&dy, [4, 1, 2])?);
    /// bptt.backward(&gru, upstream, &mut grads)?;
    /// assert!(grads.get("bias_ih_l0").unwrap().data().iter().any(|&db| db != 0.0));
    /// assert_eq!(bptt.backward(&gru, upstream, &mut grads), Err(Error::TapeConsumed));
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn backward<K>(
        &mut self,
        network: &Network<K>,
        upstream: Upstream<'_>,
        grads: &mut Tensors,
    ) -> Result<(), Error> {
        self.backward_watched(network, upstream, grads, None)
    }

    /// As [`backward`](TruncatedBptt::backward), with somebody who looks at the passes over the parts.
    pub(crate) fn backward_watched<K>(
        &mut self,
        network: &Network<K>,
        upstream: Upstream<'_>,
        grads: &mut Tensors,
        mut watch: Option<&mut dyn WatchParts>,
    ) -> Result<(), Error> {
        if self.new_steps == 0 || self.blocks.iter().any(|block| block.stamp != Some(network.stamp())) {
            return Err(Error::TapeConsumed);
        }
        network.params().check_alike(grads)?;
        let (batch, width, k1, k2) = (self.batch, self.width, self.truncation.k1, self.truncation.k2);
        if let Some(output) = upstream.output {
            let expected = self.shape(self.new_steps, width);
            let dims = if self.batch_first {
                ["batch size", "sequence length", "hidden_size"]
            } else {
                ["sequence length", "batch size", "hidden_size"]
            };
            for ((dim, got), expected) in dims.into_iter().zip(output.shape()).zip(expected) {
                expect("grad_output", dim, got, expected)?;
            }
        }
        expect_len(
            "grad_h_n",
            upstream.h_n.map_or(self.state.h().len(), <[f32]>::len),
            self.state.h().len(),
        )?;
        expect_len(
            "grad_c_n",
            upstream.c_n.map_or(self.state.c().len(), <[f32]>::len),
            self.state.c().len(),
        )?;
        upstream.clip.map_or(Ok(()), StepClip::check)?;
        let window: usize = self.blocks.iter().map(|block| block.steps).sum();
        self.grad_input.resize(if upstream.input_grad { window * batch * self.input } else { 0 }, 0.0);
        self.has_grad_input = upstream.input_grad;
        let of_reset = self.reset_state.as_ref().map_or([0; 2], |state| [state.h().len(), state.c().len()]);
        for (grad, len) in [&mut self.grad_reset_h, &mut self.grad_reset_c].into_iter().zip(of_reset) {
            grad.clear();
            grad.resize(len, 0.0);
        }
        let mut end = window;
        for (i, block) in self.blocks.iter_mut().enumerate().rev() {
            let range = end - block.steps..end;
            let (input_grad, clip) = (upstream.input_grad, upstream.clip);
            let mut part = Upstream { input_grad, clip, ..Upstream::default() };
            let first_new = window - self.new_steps;
            if let (Some(dy), true) = (upstream.output, range.start >= first_new) {
                let range = range.start - first_new..range.end - first_new;
                self.dy.resize(block.steps * batch * width, 0.0);
                Part { steps: self.new_steps, range, batch, width }.take(
                    dy.data(),
                    &mut self.dy,
                    self.batch_first,
                );
                let [a, b] = if self.batch_first { [batch, block.steps] } else { [block.steps, batch] };
                part.output = Some(View::new(&self.dy, [a, b, width])?);
            }
            if end == window {
                (part.h_n, part.c_n) = (upstream.h_n, upstream.c_n);
            } else {
                part.h_n = Some(&self.dh);
                part.c_n = Some(&self.dc).filter(|dc| !dc.is_empty()).map(|dc| &dc[..]);
            }
            let watched = watch.as_deref_mut().map(|watch| watch.part(range.start, window));
            // The next window reaches the last k2 - k1 steps of this one.
            let gradients = if range.start + k2 < window + k1 {
                network.backward_watched(&mut block.tape, part, grads, watched)?;
                block.stamp = None;
                block.tape.gradients()
            } else {
                let (tape, gradients) = (&block.tape, &mut self.gradients);
                network.backward_keep_watched(tape, part, gradients, Some(&mut *grads), watched)?;
                &self.gradients
            };
            if let Some(dx) = gradients.grad_input() {
                let part = Part { steps: window, range: range.clone(), batch, width: self.input };
                part.put(dx.data(), &mut self.grad_input, self.batch_first);
            }
            // Empty where no row of the block starts anew.
            let of_block = [gradients.grad_reset_h(), gradients.grad_reset_c()];
            for (sum, grad) in [&mut self.grad_reset_h, &mut self.grad_reset_c].into_iter().zip(of_block) {
                sum.iter_mut().zip(grad).for_each(|(sum, grad)| *sum += grad);
            }
            if i > 0 {
                self.dh.clear();
                self.dh.extend_from_slice(gradients.grad_h_0());
                self.dc.clear();
                self.dc.extend_from_slice(gradients.grad_c_0());
            }
            end = range.start;
        }
        Ok(())
    }

    /// The parts of the window at hand, first one first: their steps in it, and the tape with their pass.
    pub(crate) fn parts(&self) -> impl DoubleEndedIterator<Item = (Range<usize>, &Tape)> + Clone {
        let first = self.window().start;
        self.blocks.iter().map(move |block| {
            let start = (block.position - first) as usize;
            (start..start + block.steps, &block.tape)
        })
    }

    /// The first of the window's steps that are new: the first one that there is an [`output`](TruncatedBptt::output) of.
    pub(crate) fn first_new_step(&self) -> usize {
        (self.position - self.window().start) as usize - self.new_steps
    }

    /// dL/dx of all steps of the [`window`](TruncatedBptt::window), [steps, batch, input_size] in the network's layout, as the last
    /// backward left it; `None` if it was not asked for.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Gru, TruncatedBptt, Truncation, Upstream, View};
    ///
    /// let gru = Gru::new(1, 2)?;
    /// let mut bptt = TruncatedBptt::new(&gru, Truncation { k1: 2, k2: 4 }, gru.zero_state(1)?)?;
    /// bptt.push(View::new(&[0.5; 4], [4, 1, 1])?)?;
    /// assert!(bptt.forward(&gru)? && bptt.forward(&gru)? && bptt.grad_input().is_none());
    /// let upstream = Upstream { h_n: Some(&[1.0; 2]), ..Upstream::default() };
    /// bptt.backward(&gru, upstream, &mut gru.params().zeros_like())?;
    /// assert_eq!(bptt.grad_input().map(|dx| dx.shape()), Some([4, 1, 1])); // all of the window
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn grad_input(&self) -> Option<View<'_>> {
        let steps = self.blocks.iter().map(|block| block.steps).sum();
        let view = || View::new(&self.grad_input, self.shape(steps, self.input)).ok();
        self.has_grad_input.then(view)?
    }

    /// The gradient of the window's losses with respect to the h of the [reset state](TruncatedBptt::set_reset_state), shaped as that,
    /// as the last backward left it: the sum over the resets in the window. Empty before a backward, and if no state was given.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Gru, Input, TruncatedBptt, Truncation, Upstream, View};
    ///
    /// let gru = Gru::new(1, 2)?;
    /// let mut bptt = TruncatedBptt::new(&gru, Truncation { k1: 2, k2: 2 }, gru.zero_state(1)?)?;
    /// bptt.set_reset_state(Some(gru.zero_state(1)?))?;
    /// bptt.push(Input::from(View::new(&[0.5; 2], [2, 1, 1])?).resets(&[false, true]))?;
    /// bptt.forward(&gru)?;
    /// let upstream = Upstream { h_n: Some(&[1.0; 2]), ..Upstream::default() };
    /// bptt.backward(&gru, upstream, &mut gru.params().zeros_like())?;
    /// assert!(bptt.grad_reset_h().len() == 2 && bptt.grad_reset_h().iter().all(|&dh| dh != 0.0));
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn grad_reset_h(&self) -> &[f32] {
        &self.grad_reset_h
    }

    /// Likewise with respect to its c; empty for a cell without c.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Input, Lstm, TruncatedBptt, Truncation, Upstream, View};
    ///
    /// let lstm = Lstm::new(1, 2)?;
    /// let mut bptt = TruncatedBptt::new(&lstm, Truncation { k1: 2, k2: 2 }, lstm.zero_state(1)?)?;
    /// bptt.set_reset_state(Some(lstm.zero_state(1)?))?;
    /// bptt.push(Input::from(View::new(&[0.5; 2], [2, 1, 1])?).resets(&[false, true]))?;
    /// bptt.forward(&lstm)?;
    /// let upstream = Upstream { c_n: Some(&[1.0; 2]), ..Upstream::default() };
    /// bptt.backward(&lstm, upstream, &mut lstm.params().zeros_like())?;
    /// assert!(bptt.grad_reset_c().len() == 2 && bptt.grad_reset_c().iter().all(|&dc| dc > 0.0));
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn grad_reset_c(&self) -> &[f32] {
        &self.grad_reset_c
    }
}
