//! [`Network`]: parameters by name, and the same parameters packed to run.

use crate::run::{Gradients, Stack, Tape, Upstream, Watched, Workspace};
use crate::spec::shape::product;
use crate::spec::{Config, Error, Input, ParamsMut, Sequence, State, Tensors, View};
use gatewise_kernels::Kernels;
use std::marker::PhantomData;

/// Marks a network whose cell is chosen at run time.
///
/// # Examples
/// ```
/// use gatewise::{Any, Gru, Lstm, Network};
///
/// let networks: [Network<Any>; 2] = [Gru::new(2, 3)?.into_any(), Lstm::new(2, 3)?.into_any()];
/// assert_eq!(networks.map(|network| network.config().cell.gates()), [3, 4]);
/// # Ok::<(), gatewise::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub enum Any {}

/// A recurrent network of one or more layers; `K` marks its cell. Use it as [`Rnn`](crate::Rnn), [`Lstm`](crate::Lstm),
/// [`Gru`](crate::Gru), or as `Network<Any>` ([`with_cell`](Network::with_cell)) where the cell is chosen at run time.
///
/// Sequences are [time, batch, feature], or [batch, time, feature] if built with `batch_first`. Calls that share out work use
/// the rayon pool they are called in; the results are the same bits for any number of threads.
///
/// # Examples
/// One function for all cells:
/// ```
/// use gatewise::{Error, Gru, Lstm, Network, View};
///
/// fn last<K>(network: &Network<K>, x: View<'_>) -> Result<Vec<f32>, Error> {
///     Ok(network.forward(x, None)?.1.h().to_vec())
/// }
/// let x = View::new(&[0.5; 4 * 2], [4, 1, 2])?; // four steps of one row
/// assert_eq!(last(&Gru::new(2, 3)?, x)?.len(), 3);
/// assert_eq!(last(&Lstm::new(2, 5)?, x)?.len(), 5);
/// # Ok::<(), gatewise::Error>(())
/// ```
#[derive(Debug)]
pub struct Network<K> {
    pub(super) stack: Stack,
    params: Tensors,
    kind: PhantomData<K>,
}

impl<K> Clone for Network<K> {
    fn clone(&self) -> Self {
        Network::from_parts(self.stack.clone(), self.params.clone())
    }
}

impl<K> Network<K> {
    pub(super) fn from_parts(stack: Stack, params: Tensors) -> Network<K> {
        Network { stack, params, kind: PhantomData }
    }

    /// The same network with its cell as a run-time matter.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Any, Cell, Lstm, Network};
    ///
    /// let lstm: Network<Any> = Lstm::new(2, 3)?.into_any();
    /// assert_eq!(lstm.config().cell, Cell::Lstm);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn into_any(self) -> Network<Any> {
        Network::from_parts(self.stack, self.params)
    }

    /// The options it was built with.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(gatewise::Lstm::builder(2, 3).num_layers(2).build()?.config().num_layers, 2);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn config(&self) -> &Config {
        &self.stack.config
    }

    /// The kernels it runs on.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Isa, Kernels, Lstm};
    ///
    /// let lstm = Lstm::builder(2, 3).kernels(Kernels::with_isa(Isa::Portable)?).build()?;
    /// assert_eq!(lstm.kernels().isa(), Isa::Portable);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn kernels(&self) -> Kernels {
        self.stack.kernels
    }

    /// The parameters under PyTorch's names: weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0, weight_ih_l1, ..
    ///
    /// # Examples
    /// ```
    /// let lstm = gatewise::Lstm::new(2, 3)?;
    /// assert_eq!(lstm.params().get("weight_hh_l0").unwrap().shape(), [4 * 3, 3]);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn params(&self) -> &Tensors {
        &self.params
    }

    /// The parameters, to change. They are packed for the kernels when the guard goes.
    ///
    /// # Examples
    /// ```
    /// use gatewise::Gru;
    ///
    /// let mut gru = Gru::new(2, 3)?;
    /// if let Some(bias) = gru.params_mut().get_mut("bias_hh_l0") {
    ///     bias.data_mut()[3..6].fill(1.0); // rows of r, z, n: keep more of h
    /// }
    /// assert_eq!(gru.params().get("bias_hh_l0").map(|bias| bias.data()[3]), Some(1.0));
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn params_mut(&mut self) -> ParamsMut<'_> {
        ParamsMut::new(&mut self.stack, &mut self.params)
    }

    /// What changes whenever the parameters may have changed.
    pub(crate) fn stamp(&self) -> u64 {
        self.stack.stamp
    }

    /// The state of all zeros for a batch: h, [num_layers * directions, batch, hidden_size], and c where there is one.
    ///
    /// # Errors
    /// [`Error::SizeOverflow`] if it does not fit in memory.
    ///
    /// # Examples
    /// ```
    /// let state = gatewise::Lstm::builder(2, 3).num_layers(2).build()?.zero_state(4)?;
    /// assert_eq!((state.h(), state.c()), (&[0.0; 2 * 4 * 3][..], &[0.0; 2 * 4 * 3][..]));
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn zero_state(&self, batch: usize) -> Result<State, Error> {
        self.stack.zero_state(batch)
    }

    /// A sequence without a batch axis, [time, feature], as a batch of one in the network's layout. The data of what comes out are
    /// [time, hidden_size] then.
    ///
    /// # Errors
    /// [`Error::Shape`] if there are not as many floats as the shape says.
    ///
    /// # Examples
    /// ```
    /// use gatewise::Gru;
    ///
    /// let gru = Gru::builder(2, 3).batch_first(true).build()?;
    /// let (y, _) = gru.forward(gru.unbatched(&[0.5; 4 * 2], [4, 2])?, None)?;
    /// assert_eq!(y.data().len(), 4 * 3);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn unbatched<'a>(&self, data: &'a [f32], [steps, features]: [usize; 2]) -> Result<View<'a>, Error> {
        let shape = if self.stack.config.batch_first { [1, steps, features] } else { [steps, 1, features] };
        View::new(data, shape)
    }

    /// Runs a whole sequence, [time, batch, input_size] or with batch_first [batch, time, input_size]; answers all outputs of the last
    /// layer, [.., directions * hidden_size] (proj_size with a projection, one direction's where they are merged), and the final state.
    /// `state` is (h_0, c_0); `None` is zeros.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::EmptySequence`] or [`Error::SizeOverflow`] if input and state do not fit the network.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Input, Lstm, View};
    ///
    /// let lstm = Lstm::builder(2, 4).bidirectional(true).build()?;
    /// let x = [0.5; 6 * 3 * 2]; // six steps of three rows
    /// let input = Input::from(View::new(&x, [6, 3, 2])?).lengths(&[6, 0, 4]);
    /// let (y, state) = lstm.forward(input, None)?;
    /// assert_eq!((y.shape(), state.shape()), ([6, 3, 2 * 4], [2, 3, 4]));
    ///
    /// let (_, later) = lstm.forward(View::new(&x, [6, 3, 2])?, Some(&state))?; // goes on from there
    /// assert_ne!(later, state);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn forward<'a>(
        &self,
        input: impl Into<Input<'a>>,
        state: Option<&State>,
    ) -> Result<(Sequence, State), Error> {
        let input = input.into();
        let [first, second, _] = input.sequence.shape();
        let batch = if self.stack.config.batch_first { first } else { second };
        let mut state = match state {
            Some(state) => state.clone(),
            None => self.zero_state(batch)?,
        };
        let shape = [first, second, self.stack.config.output_size()];
        let mut output = crate::spec::shape::zeros("output", product("output", &shape)?)?;
        self.forward_into(input, &mut state, &mut output, &mut Workspace::default())?;
        Ok((Sequence::new(output, shape)?, state))
    }

    /// As [`forward`](Network::forward), into the caller's memory: `state` goes in as (h_0, c_0) and comes out as (h_n, c_n).
    /// Allocates only what the workspace has to grow by.
    ///
    /// # Errors
    /// As [`forward`](Network::forward), and [`Error::Shape`] if `output` does not fit; nothing is written then.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Gru, View, Workspace};
    ///
    /// let gru = Gru::new(2, 3)?;
    /// let (mut state, mut y, mut workspace) = (gru.zero_state(1)?, [0.0; 4 * 3], Workspace::default());
    /// for x in [[0.5; 4 * 2], [0.25; 4 * 2]] {
    ///     gru.forward_into(View::new(&x, [4, 1, 2])?, &mut state, &mut y, &mut workspace)?; // carries the state
    ///     assert_eq!(state.h(), &y[3 * 3..]);
    /// }
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn forward_into<'a>(
        &self,
        input: impl Into<Input<'a>>,
        state: &mut State,
        output: &mut [f32],
        workspace: &mut Workspace,
    ) -> Result<(), Error> {
        self.stack.forward_into(input.into().into(), state, output, workspace)
    }

    /// Runs a whole sequence and records it for [`backward`](Network::backward); the outputs are [`Tape::output`]. Dropout is on.
    ///
    /// # Errors
    /// As [`forward`](Network::forward); [`Error::Config`] if the network was built without training.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Gru, View};
    ///
    /// let gru = Gru::new(2, 3)?;
    /// let tape = gru.forward_train(View::new(&[0.5; 4 * 2], [4, 1, 2])?, None)?;
    /// assert_eq!(tape.output().shape(), [4, 1, 3]);
    /// let mut h_n = gru.zero_state(1)?;
    /// tape.final_state(&mut h_n)?;
    /// assert_eq!(h_n.h(), &tape.output().data()[3 * 3..]);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn forward_train<'a>(
        &self,
        input: impl Into<Input<'a>>,
        state: Option<&State>,
    ) -> Result<Tape, Error> {
        let mut tape = Tape::default();
        self.forward_train_into(input, state, &mut tape)?;
        Ok(tape)
    }

    /// As [`forward_train`](Network::forward_train), onto a tape whose memory is used again.
    ///
    /// # Errors
    /// As [`forward_train`](Network::forward_train), and [`Error::MemoryBudget`] if the tape's budget is too small. The tape keeps what
    /// it held then, or holds nothing if memory ran out on the way.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Gru, Tape, View};
    ///
    /// let (gru, mut tape) = (Gru::new(2, 3)?, Tape::default());
    /// for steps in [4, 2] {
    ///     let x = vec![0.5; steps * 2];
    ///     gru.forward_train_into(View::new(&x, [steps, 1, 2])?, None, &mut tape)?;
    ///     assert_eq!(tape.output().shape(), [steps, 1, 3]);
    /// }
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn forward_train_into<'a>(
        &self,
        input: impl Into<Input<'a>>,
        state: Option<&State>,
        tape: &mut Tape,
    ) -> Result<(), Error> {
        self.stack.forward_train(input.into(), state, tape)
    }

    /// Back-propagation through time. Consumes what the tape recorded, adds the gradients of the parameters to `grads`, and
    /// leaves those of the input and of the initial state on the tape.
    ///
    /// # Errors
    /// [`Error::TapeConsumed`] if the tape holds no forward pass, [`Error::TensorMismatch`] if `grads` are not
    /// [like](Tensors::zeros_like) the parameters, [`Error::Shape`] if an upstream gradient does not fit; [`Error::Config`] if another
    /// network recorded the tape, or the parameters may have changed since. Nothing is written then.
    ///
    /// # Examples
    /// The gradient of the sum of all outputs:
    /// ```
    /// use gatewise::{Rnn, Upstream, View};
    ///
    /// let rnn = Rnn::new(2, 3)?;
    /// let mut tape = rnn.forward_train(View::new(&[0.5; 4 * 2], [4, 1, 2])?, None)?;
    /// let (dy, mut grads) = ([1.0; 4 * 3], rnn.params().zeros_like());
    /// rnn.backward(&mut tape, Upstream::output(View::new(&dy, [4, 1, 3])?), &mut grads)?;
    /// assert!(grads.get("weight_ih_l0").unwrap().data().iter().all(|&dw| dw > 0.0));
    /// assert_eq!(tape.grad_input().unwrap().shape(), [4, 1, 2]);
    /// assert_eq!(tape.grad_h_0().len(), 3);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn backward(
        &self,
        tape: &mut Tape,
        upstream: Upstream<'_>,
        grads: &mut Tensors,
    ) -> Result<(), Error> {
        self.stack.backward(&self.params, tape, upstream, grads, None)
    }

    /// As [`backward`](Network::backward), with somebody who looks, if there is one.
    pub(crate) fn backward_watched(
        &self,
        tape: &mut Tape,
        upstream: Upstream<'_>,
        grads: &mut Tensors,
        watched: Option<Watched<'_>>,
    ) -> Result<(), Error> {
        self.stack.backward(&self.params, tape, upstream, grads, watched)
    }

    /// As [`backward`](Network::backward), but the tape stays as it is: any number of passes may follow, each with the same bits,
    /// from this upstream gradient or another. The gradients of the input and of the initial state go to `gradients`. It takes
    /// the memory of the tape's gates once more.
    ///
    /// # Errors
    /// As [`backward`](Network::backward).
    ///
    /// # Examples
    /// The gradient of each output's sum on its own, from one forward pass:
    /// ```
    /// use gatewise::{Gradients, Gru, Upstream, View};
    ///
    /// let gru = Gru::new(2, 3)?;
    /// let tape = gru.forward_train(View::new(&[0.5; 4 * 2], [4, 1, 2])?, None)?; // four steps of one row
    /// let mut gradients = Gradients::default();
    /// for unit in 0..3 {
    ///     let mut dy = [0.0; 4 * 3];
    ///     dy.iter_mut().skip(unit).step_by(3).for_each(|dy| *dy = 1.0);
    ///     let mut grads = gru.params().zeros_like();
    ///     let upstream = Upstream::output(View::new(&dy, [4, 1, 3])?);
    ///     gru.backward_keep(&tape, upstream, &mut gradients, &mut grads)?;
    ///     assert_eq!(gradients.grad_input().map(|dx| dx.shape()), Some([4, 1, 2]));
    /// }
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn backward_keep(
        &self,
        tape: &Tape,
        upstream: Upstream<'_>,
        gradients: &mut Gradients,
        grads: &mut Tensors,
    ) -> Result<(), Error> {
        self.stack.backward_keep(&self.params, tape, upstream, gradients, Some(grads), None)
    }

    /// As [`backward_keep`](Network::backward_keep), with somebody who looks, if there is one; without `grads` those of the parameters
    /// are left out.
    pub(crate) fn backward_keep_watched(
        &self,
        tape: &Tape,
        upstream: Upstream<'_>,
        gradients: &mut Gradients,
        grads: Option<&mut Tensors>,
        watched: Option<Watched<'_>>,
    ) -> Result<(), Error> {
        self.stack.backward_keep(&self.params, tape, upstream, gradients, grads, watched)
    }
}
