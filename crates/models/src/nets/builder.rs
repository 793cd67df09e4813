//! The options of a network, one call each.

use super::{Any, Network};
use crate::run::{Stack, layers, next_stamp, parameters};
use crate::spec::{Config, Error, Init, Merge, StateShape, init};
use gatewise_kernels::{Activation, Activations, Cell, Kernels};
use std::marker::PhantomData;

/// Collects the options of a network. What is not called has PyTorch's default.
///
/// # Examples
/// ```
/// use gatewise::Lstm;
///
/// let lstm = Lstm::builder(40, 128).num_layers(2).bidirectional(true).dropout(0.2).seed(7).build()?;
/// assert_eq!(lstm.params().get("weight_ih_l1_reverse").unwrap().shape(), [4 * 128, 2 * 128]);
///
/// let refused = Lstm::builder(40, 0).build();
/// assert_eq!(refused.unwrap_err().to_string(), "hidden_size must be greater than zero: got 0");
/// # Ok::<(), gatewise::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until build() is called"]
pub struct Builder<K> {
    config: Config,
    seed: u64,
    init: Init,
    training: bool,
    kernels: Option<Kernels>,
    projection_chunk: Option<usize>,
    kind: PhantomData<K>,
}

impl Network<Any> {
    /// A network whose cell is chosen at run time.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Cell, Network};
    ///
    /// for cell in Cell::ALL {
    ///     let network = Network::with_cell(cell, 3, 8).build()?;
    ///     assert_eq!(network.params().get("weight_hh_l0").unwrap().shape(), [cell.gates() * 8, 8]);
    /// }
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn with_cell(cell: Cell, input_size: usize, hidden_size: usize) -> Builder<Any> {
        Builder::new(cell, input_size, hidden_size)
    }
}

impl<K> Builder<K> {
    pub(super) fn new(cell: Cell, input_size: usize, hidden_size: usize) -> Builder<K> {
        let config = Config::new(cell, input_size, hidden_size);
        Builder {
            config,
            seed: 0,
            init: Init::default(),
            training: true,
            kernels: None,
            projection_chunk: None,
            kind: PhantomData,
        }
    }

    pub(super) fn cell(mut self, cell: Cell) -> Builder<K> {
        self.config.cell = cell;
        self.config.activations = Activations::of(cell);
        self
    }

    /// Layers, each reading the outputs of the one below; 1 if not called.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(gatewise::Gru::builder(2, 3).num_layers(2).build()?.zero_state(1)?.shape(), [2, 1, 3]);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn num_layers(mut self, num_layers: usize) -> Builder<K> {
        self.config.num_layers = num_layers;
        self
    }

    /// The hidden size of each layer, from the first one up, in place of one hidden_size and num_layers: each layer reads as many
    /// features as the one below puts out, and the network's outputs are the last one's. [`State::h_range`](crate::State::h_range) says
    /// where a layer's state stands.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Lstm, View};
    ///
    /// let lstm = Lstm::builder(2, 0).hidden_sizes(&[16, 8, 4]).build()?;
    /// assert_eq!(lstm.params().get("weight_ih_l1").unwrap().shape(), [4 * 8, 16]);
    /// let (y, state) = lstm.forward(View::new(&[0.5; 7 * 3 * 2], [7, 3, 2])?, None)?; // seven steps of three rows
    /// assert_eq!((y.shape(), state.h_range(1, 0)), ([7, 3, 4], Some(3 * 16..3 * (16 + 8))));
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn hidden_sizes(mut self, hidden_sizes: &[usize]) -> Builder<K> {
        self.config.hidden_sizes = hidden_sizes.to_vec();
        self.config.num_layers = hidden_sizes.len();
        self.config.hidden_size = hidden_sizes.last().copied().unwrap_or(self.config.hidden_size);
        self
    }

    /// Whether there are bias_ih and bias_hh; true if not called.
    ///
    /// # Examples
    /// ```
    /// assert!(gatewise::Gru::builder(2, 3).bias(false).build()?.params().get("bias_ih_l0").is_none());
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn bias(mut self, bias: bool) -> Builder<K> {
        self.config.bias = bias;
        self
    }

    /// Whether sequences are [batch, time, feature] instead of [time, batch, feature]; false if not called. States are
    /// [layer, batch, feature] either way.
    ///
    /// # Examples
    /// ```
    /// let gru = gatewise::Gru::builder(3, 4).batch_first(true).build()?;
    /// let x = gatewise::View::new(&[0.5; 2 * 5 * 3], [2, 5, 3])?; // two rows of five steps
    /// assert_eq!(gru.forward(x, None)?.0.shape(), [2, 5, 4]);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn batch_first(mut self, batch_first: bool) -> Builder<K> {
        self.config.batch_first = batch_first;
        self
    }

    /// Whether each layer runs in both directions of time; false if not called. Outputs are then [.., 2 * hidden_size], the
    /// forward direction first. Such a network has no single steps.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(gatewise::Gru::builder(2, 3).bidirectional(true).build()?.config().output_size(), 2 * 3);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn bidirectional(mut self, bidirectional: bool) -> Builder<K> {
        self.config.bidirectional = bidirectional;
        self
    }

    /// What becomes of the outputs of the two directions of each layer, and so of what the next one reads; side by side, as in
    /// PyTorch, if not called. Else outputs are [.., hidden_size]. The final states of both directions stay as they are.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Gru, Merge, View};
    ///
    /// let gru = Gru::builder(2, 3).bidirectional(true).merge(Merge::Mean).build()?;
    /// let (y, state) = gru.forward(View::new(&[0.5; 5 * 2], [5, 1, 2])?, None)?; // five steps of one row
    /// assert_eq!((y.shape(), state.shape()), ([5, 1, 3], [2, 1, 3]));
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn merge(mut self, merge: Merge) -> Builder<K> {
        self.config.merge = merge;
        self
    }

    /// Share of the outputs of each layer but the last that training sets to zero, the others growing by 1/(1 - dropout); 0 if not
    /// called. Which ones is decided by the [key](crate::DropoutKey) of each pass, and by nothing else.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{DropoutKey, Gru, Input, View};
    ///
    /// let gru = Gru::builder(2, 8).num_layers(2).dropout(0.5).build()?;
    /// let x = [0.5; 5 * 2];
    /// let run = |seed| {
    ///     let key = DropoutKey { seed, ..DropoutKey::default() };
    ///     gru.forward_train(Input::from(View::new(&x, [5, 1, 2])?).dropout(key), None)
    /// };
    /// assert_eq!(run(1)?.output(), run(1)?.output());
    /// assert_ne!(run(1)?.output(), run(2)?.output());
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn dropout(mut self, dropout: f32) -> Builder<K> {
        self.config.dropout = dropout;
        self
    }

    /// Features that h is projected to, h_t = W_hr u_t where u_t is what the cell makes; 0, for none, if not called. The projected
    /// h is fed back and put out; c keeps hidden_size features. PyTorch has it for the LSTM only; a projected GRU keeps its u_{t-1},
    /// which enters the next one, as c.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Lstm, View};
    ///
    /// let lstm = Lstm::builder(2, 8).proj_size(3).build()?;
    /// let (y, state) = lstm.forward(View::new(&[0.5; 5 * 2], [5, 1, 2])?, None)?; // five steps of one row
    /// assert_eq!((y.shape(), state.h().len(), state.c().len()), ([5, 1, 3], 3, 8));
    /// assert_eq!(lstm.params().get("weight_hr_l0").unwrap().shape(), [3, 8]);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn proj_size(mut self, proj_size: usize) -> Builder<K> {
        self.config.proj_size = proj_size;
        self
    }

    /// The activation of the gates: i f o of an LSTM, r z of a GRU; sigmoid if not called.
    ///
    /// # Examples
    /// Keras' older GRU:
    /// ```
    /// use gatewise::{Activation, Gru};
    ///
    /// let gru = Gru::builder(2, 8).gate_activation(Activation::HARD_SIGMOID).linear_before_reset(false).build()?;
    /// assert_eq!(gru.config().activations.gate, Activation::HardSigmoid { alpha: 0.2, beta: 0.5 });
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn gate_activation(mut self, activation: Activation) -> Builder<K> {
        self.config.activations.gate = activation;
        self
    }

    /// The activation of the candidate, g of an LSTM and n of a GRU, or of an RNN's state; tanh if not called.
    ///
    /// # Examples
    /// ```
    /// let gru = gatewise::Gru::builder(1, 3).activation(gatewise::Activation::Relu).build()?;
    /// let (y, _) = gru.forward(gatewise::View::new(&[-5.0, 5.0], [2, 1, 1])?, None)?;
    /// assert!(y.data().iter().all(|&h| h >= 0.0));
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn activation(mut self, activation: Activation) -> Builder<K> {
        self.config.activations.candidate = activation;
        self
    }

    /// The activation of the c that an LSTM puts out; tanh if not called.
    ///
    /// # Examples
    /// ```
    /// let lstm = gatewise::Lstm::builder(2, 3).output_activation(gatewise::Activation::Relu).build()?;
    /// assert_eq!(lstm.config().activations.output, gatewise::Activation::Relu);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn output_activation(mut self, activation: Activation) -> Builder<K> {
        self.config.activations.output = activation;
        self
    }

    /// Largest magnitude of the sums that the gates' and the candidate's activations are applied to, ONNX's `clip`; without limit if
    /// not called. The gradient of a sum at the limit or beyond is zero.
    ///
    /// # Examples
    /// ```
    /// let rnn = gatewise::Rnn::builder(1, 3).pre_activation_clip(0.5).build()?;
    /// let (y, _) = rnn.forward(gatewise::View::new(&[100.0], [1, 1, 1])?, None)?;
    /// assert!(y.data().iter().all(|h| h.abs() < 0.4622)); // tanh(0.5) = 0.46212
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn pre_activation_clip(mut self, limit: f32) -> Builder<K> {
        self.config.activations.clip = Some(limit);
        self
    }

    /// Largest magnitude of an LSTM's c, which each step clips before it puts it out and hands it on, as cuDNN and TensorFlow do;
    /// without limit if not called. No gradient passes a c at the limit.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Lstm, View};
    ///
    /// let lstm = Lstm::builder(2, 3).cell_clip(0.1).build()?;
    /// let (_, state) = lstm.forward(View::new(&[5.0; 40 * 2], [40, 1, 2])?, None)?; // 40 steps of one row
    /// assert!(state.c().iter().all(|c| c.abs() <= 0.1));
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn cell_clip(mut self, limit: f32) -> Builder<K> {
        self.config.activations.cell_clip = Some(limit);
        self
    }

    /// For a GRU, ONNX's name: whether the reset gate scales W_hn h + b_hn, as in PyTorch, or else h before the product,
    /// n = tanh(W_in x + b_in + W_hn (r * h) + b_hn); true if not called.
    ///
    /// # Examples
    /// ```
    /// assert!(!gatewise::Gru::builder(2, 3).linear_before_reset(false).build()?.config().linear_before_reset);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn linear_before_reset(mut self, linear_before_reset: bool) -> Builder<K> {
        self.config.linear_before_reset = linear_before_reset;
        self
    }

    /// Seed of the initial parameters; 0 if not called.
    ///
    /// # Examples
    /// ```
    /// let build = |seed| gatewise::Gru::builder(2, 3).seed(seed).build();
    /// assert_eq!(build(1)?.params(), build(1)?.params());
    /// assert_ne!(build(1)?.params(), build(2)?.params());
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn seed(mut self, seed: u64) -> Builder<K> {
        self.seed = seed;
        self
    }

    /// How the parameters start; uniform in +-1/sqrt(hidden_size) if not called.
    ///
    /// # Examples
    /// ```
    /// let init = gatewise::Init { forget_bias: Some(1.0), ..gatewise::Init::default() };
    /// let lstm = gatewise::Lstm::builder(2, 3).init(init).build()?;
    /// assert_eq!(lstm.params().get("bias_ih_l0").unwrap().data()[3..6], [1.0; 3]);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn init(mut self, init: Init) -> Builder<K> {
        self.init = init;
        self
    }

    /// Whether the network can be trained; true if not called. Without it the packed weights take half the memory.
    ///
    /// # Examples
    /// ```
    /// let gru = gatewise::Gru::builder(1, 3).training(false).build()?;
    /// assert!(gru.forward_train(gatewise::View::new(&[0.5], [1, 1, 1])?, None).is_err());
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn training(mut self, training: bool) -> Builder<K> {
        self.training = training;
        self
    }

    /// The kernels to run on; [`Kernels::auto`] if not called.
    ///
    /// # Examples
    /// ```
    /// let portable = gatewise::Kernels::with_isa(gatewise::Isa::Portable)?;
    /// assert_eq!(gatewise::Gru::builder(2, 3).kernels(portable).build()?.kernels().isa(), gatewise::Isa::Portable);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn kernels(mut self, kernels: Kernels) -> Builder<K> {
        self.kernels = Some(kernels);
        self
    }

    /// Steps that the input is projected at a time; `None`, the planner's choice, if not called. It changes the time that a
    /// sequence takes, and no bit of its results.
    ///
    /// # Examples
    /// ```
    /// let run = |steps| {
    ///     let gru = gatewise::Gru::builder(1, 3).projection_chunk(steps).build()?;
    ///     gru.forward(gatewise::View::new(&[0.5; 9], [9, 1, 1])?, None)
    /// };
    /// assert_eq!(run(Some(2))?, run(None)?);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn projection_chunk(mut self, steps: Option<usize>) -> Builder<K> {
        self.projection_chunk = steps;
        self
    }

    /// Builds the network.
    ///
    /// # Errors
    /// [`Error::Config`] if an option makes no sense, [`Error::SizeOverflow`] if the parameters do not fit in memory,
    /// [`Error::UnknownIsa`] if the environment's ceiling names no instruction set.
    ///
    /// # Examples
    /// ```
    /// let gru = gatewise::Gru::builder(2, 3).build()?;
    /// assert_eq!(gru.params().num_elements(), 3 * 3 * (2 + 3 + 1 + 1));
    /// assert!(gatewise::Gru::builder(2, 3).dropout(2.0).build().is_err());
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn build(self) -> Result<Network<K>, Error> {
        self.config.check()?;
        self.init.check(self.config.cell, self.config.bias)?;
        let kernels = match self.kernels {
            Some(kernels) => kernels,
            None => Kernels::auto()?,
        };
        let mut params = parameters(&self.config)?;
        let a_layer = self.config.directions() * self.config.parameters_a_direction();
        let fan = |place: usize| self.config.hidden_size_of(place / a_layer);
        init::uniform(&mut params, fan, self.seed);
        self.init.apply(&mut params, self.config.cell, self.seed);
        let layers = layers(&kernels, &self.config, &params, self.training)?;
        let (projection_chunk, stamp) = (self.projection_chunk, next_stamp());
        let stack = Stack {
            kernels,
            state_shape: StateShape::new(&self.config).into(),
            needs_gates: self.config.spec().needs_gates(),
            config: self.config,
            layers,
            projection_chunk,
            stamp,
        };
        Ok(Network::from_parts(stack, params))
    }
}
