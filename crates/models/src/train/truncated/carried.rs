//! What a stream carries from window to window: its state, and what resets lead to.

use super::TruncatedBptt;
use crate::spec::{Error, State};

impl TruncatedBptt {
    /// The state after the last step that was run: what the next step starts from.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Gru, TruncatedBptt, Truncation, View};
    ///
    /// let (gru, x) = (Gru::new(1, 2)?, View::new(&[0.5; 4], [4, 1, 1])?);
    /// let mut bptt = TruncatedBptt::new(&gru, Truncation { k1: 4, k2: 4 }, gru.zero_state(1)?)?;
    /// bptt.push(x)?;
    /// bptt.forward(&gru)?;
    /// assert_eq!(*bptt.state(), gru.forward(x, None)?.1);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Makes the state a constant: no gradient of a later step passes it. The next window begins here.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Gru, TruncatedBptt, Truncation, View};
    ///
    /// let gru = Gru::new(1, 2)?;
    /// let mut bptt = TruncatedBptt::new(&gru, Truncation { k1: 2, k2: 4 }, gru.zero_state(1)?)?;
    /// bptt.push(View::new(&[0.5; 4], [4, 1, 1])?)?;
    /// bptt.forward(&gru)?;
    /// bptt.detach();
    /// bptt.forward(&gru)?;
    /// assert_eq!(bptt.window(), 2..4); // and not 0..4
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn detach(&mut self) {
        self.spare.extend(self.blocks.drain(..));
        (self.since_detached, self.new_steps) = (0, 0);
        self.output.clear();
        self.forget_gradients();
    }

    /// There was no backward of the window at hand.
    pub(super) fn forget_gradients(&mut self) {
        self.has_grad_input = false;
        self.grad_reset_h.clear();
        self.grad_reset_c.clear();
    }

    /// Goes on from another state, detached.
    ///
    /// # Errors
    /// [`Error::Shape`] if it is not shaped as the present one.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Gru, TruncatedBptt, Truncation};
    ///
    /// let gru = Gru::new(1, 2)?;
    /// let mut bptt = TruncatedBptt::new(&gru, Truncation { k1: 2, k2: 4 }, gru.zero_state(1)?)?;
    /// let mut state = gru.zero_state(1)?;
    /// state.h_mut().fill(0.5);
    /// bptt.set_state(state)?;
    /// assert_eq!(bptt.state().h(), [0.5; 2]);
    /// assert!(bptt.set_state(gru.zero_state(2)?).is_err());
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn set_state(&mut self, state: State) -> Result<(), Error> {
        self.state.check_alike(&state)?;
        self.state = state;
        self.detach();
        Ok(())
    }

    /// Sets what resets lead to: a state of one row for all rows, or one for each; `None` is zeros. It counts as a parameter, like those
    /// of the network: every window takes the present one, and after a change the steps behind a reset that windows share are run
    /// again. Its gradient is [`grad_reset_h`](TruncatedBptt::grad_reset_h).
    ///
    /// # Errors
    /// [`Error::Shape`] if it is no state of the network for the batch or for one row.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Gru, Input, TruncatedBptt, Truncation, View};
    ///
    /// let (gru, x) = (Gru::new(1, 2)?, View::new(&[0.5], [1, 1, 1])?);
    /// let mut start = gru.zero_state(1)?;
    /// start.h_mut().fill(0.5);
    /// let mut bptt = TruncatedBptt::new(&gru, Truncation { k1: 1, k2: 1 }, gru.zero_state(1)?)?;
    /// bptt.set_reset_state(Some(start.clone()))?;
    /// bptt.push(Input::from(x).resets(&[true]))?;
    /// bptt.forward(&gru)?;
    /// assert_eq!(bptt.output(), gru.forward(x, Some(&start))?.0.view());
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn set_reset_state(&mut self, state: Option<State>) -> Result<(), Error> {
        if let Some(state) = &state {
            self.state.check_alike_reset(state)?;
        }
        if self.reset_state != state {
            for block in self.blocks.iter_mut().filter(|block| !block.resets.is_empty()) {
                block.stamp = None;
            }
            self.reset_state = state;
        }
        Ok(())
    }
}
