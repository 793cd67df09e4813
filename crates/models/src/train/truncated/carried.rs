//! What a stream carries from window to window: its state, and what resets lead to.

use super::TruncatedBptt;
use crate::spec::{Error, State};

impl TruncatedBptt {
    /// The state after the last step that was run: what the next step starts from.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Makes the state a constant: no gradient of a later step passes it. The next window begins here.
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
