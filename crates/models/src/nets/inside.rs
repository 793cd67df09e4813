//! What a [`Network`] tells of itself: how it would run a pass, and what happened within one.

use super::Network;
use crate::run::{Steps, Tape, Trace};
use crate::spec::{Error, Input, Sequence, State};

impl<K> Network<K> {
    /// How a pass of these sizes is run, lines for each layer and direction, forward and, if it can be trained, backward: plan, kernel,
    /// packed weights.
    ///
    /// # Errors
    /// [`Error::SizeOverflow`] if such a pass does not fit in memory.
    ///
    /// # Examples
    /// ```
    /// let lstm = gatewise::Lstm::builder(8, 32).num_layers(2).build()?;
    /// let lines = lstm.explain(100, 16, 1)?; // 100 steps of 16 rows on one thread
    /// assert!(lines.len() == 2 * 2 && lines[0].starts_with("layer 0 forward: input "), "{lines:?}");
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn explain(&self, steps: usize, batch: usize, threads: usize) -> Result<Vec<String>, Error> {
        self.stack.explain(steps, batch, threads)
    }

    /// The registry id of the kernel that runs the first layer in a forward pass of these sizes.
    ///
    /// # Errors
    /// As [`explain`](Network::explain).
    ///
    /// # Examples
    /// ```
    /// let lstm = gatewise::Lstm::new(8, 32)?;
    /// let id = lstm.kernel_id(100, 16, 1)?; // 100 steps of 16 rows on one thread
    /// assert!(id.contains(lstm.kernels().isa().name()), "{id}");
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn kernel_id(&self, steps: usize, batch: usize, threads: usize) -> Result<&'static str, Error> {
        self.stack.kernel_id(steps, batch, threads)
    }

    /// As [`forward`](Network::forward), and everything that happened within the cells, at the price of recording it.
    ///
    /// # Errors
    /// As [`forward`](Network::forward).
    ///
    /// # Examples
    /// How open the forget gates of the second layer were:
    /// ```
    /// use gatewise::{Lstm, View};
    ///
    /// let lstm = Lstm::builder(2, 4).num_layers(2).build()?;
    /// let x = [0.5; 6 * 2];
    /// let (y, _, trace) = lstm.forward_trace(View::new(&x, [6, 1, 2])?, None)?;
    /// let f = trace.gate("f", 1, 0).expect("the second layer has a forget gate");
    /// assert_eq!(f.shape(), [6, 1, 4]);
    /// assert!(f.data().iter().all(|f| (0.0..=1.0).contains(f)));
    /// assert_eq!(trace.h(1, 0), Some(y.view()));
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn forward_trace<'a>(
        &self,
        input: impl Into<Input<'a>>,
        state: Option<&State>,
    ) -> Result<(Sequence, State, Trace), Error> {
        self.stack.forward_trace(input.into(), state)
    }

    /// Everything that happened within the cells in the pass that a tape holds. Where the tape's budget cut time into segments, they
    /// are run once more, and the parameters must be as they were.
    ///
    /// # Errors
    /// [`Error::TapeConsumed`] if the tape holds no forward pass; [`Error::Config`] if it is another network's.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Gru, View};
    ///
    /// let gru = Gru::new(2, 3)?;
    /// let tape = gru.forward_train(View::new(&[0.5; 4 * 2], [4, 1, 2])?, None)?; // four steps of one row
    /// let trace = gru.trace(&tape)?;
    /// assert_eq!(trace.h(0, 0), Some(tape.output()));
    /// assert_eq!(trace.gate("z", 0, 0).map(|z| z.shape()), Some([4, 1, 3]));
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn trace(&self, tape: &Tape) -> Result<Trace, Error> {
        self.stack.trace(tape)
    }

    /// Goes through the gates and c of the pass that a tape holds: layer, direction, steps.
    pub(crate) fn visit(
        &self,
        tape: &Tape,
        see: &mut dyn FnMut(usize, usize, Steps<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.stack.visit(tape, see)
    }
}
