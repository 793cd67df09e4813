//! Embedding, recurrent network, linear layer: what is learned, and how.

use crate::corpus::Streams;
use crate::options::Options;
use gatewise::{
    Any, Embedding, Error, Linear, LinearRoom, Network, State, Tape, Tensors, Upstream, View, Workspace,
    cross_entropy,
};
use std::path::Path;

/// A character model.
pub(crate) struct Model {
    pub(crate) embedding: Embedding,
    pub(crate) network: Network<Any>,
    pub(crate) linear: Linear,
    features: usize,
    characters: usize,
}

impl Model {
    /// A model with initial parameters from the seed.
    pub(crate) fn new(options: &Options, characters: usize) -> Result<Model, Error> {
        let network = Network::with_cell(options.cell.cell(), options.embedding, options.hidden)
            .num_layers(options.layers)
            .seed(options.seed)
            .build()?;
        // Streams of random numbers of their own for the other two: next seeds, far from those a user would try.
        let seed = |n: u64| options.seed.wrapping_add(n << 32);
        Ok(Model {
            embedding: Embedding::new(characters, options.embedding, seed(1))?,
            linear: Linear::with_kernels(options.hidden, characters, seed(2), network.kernels())?,
            network,
            features: options.embedding,
            characters,
        })
    }

    fn lists(&self) -> [(&'static str, &Tensors); 3] {
        [
            ("embedding.", self.embedding.params()),
            ("recurrent.", self.network.params()),
            ("linear.", self.linear.params()),
        ]
    }

    /// How many numbers are learned.
    pub(crate) fn num_parameters(&self) -> usize {
        self.lists().iter().map(|(_, list)| list.num_elements()).sum()
    }

    /// Lets an optimizer change all parameters.
    pub(crate) fn update(
        &mut self,
        step: impl FnOnce(&mut [&mut Tensors]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let (network, linear) = (&mut self.network.params_mut(), &mut self.linear.params_mut());
        step(&mut [self.embedding.params_mut(), network, linear])
    }

    /// Writes all parameters.
    pub(crate) fn save(&self, path: &Path) -> Result<(), Error> {
        gatewise::save_weights(path, &self.lists())
    }

    /// The mean loss over all characters but the first of each stream, in nats.
    pub(crate) fn validate(&self, streams: &Streams, seq: usize) -> Result<f64, Error> {
        let (mut state, mut room) = (self.network.zero_state(streams.batch)?, Workspace::default());
        let hidden = self.network.config().hidden_size;
        let [mut x, mut y, mut logits, mut grad] = [const { Vec::new() }; 4];
        let (mut sum, last) = (0.0, streams.length - 1);
        for begin in (0..last).step_by(seq) {
            let end = last.min(begin + seq);
            let (ids, targets) = (streams.steps(begin, end), streams.steps(begin + 1, end + 1));
            x.resize(ids.len() * self.features, 0.0);
            y.resize(ids.len() * hidden, 0.0);
            logits.resize(ids.len() * self.characters, 0.0);
            grad.resize(logits.len(), 0.0);
            self.embedding.forward(ids, &mut x)?;
            let input = View::new(&x, [end - begin, streams.batch, self.features])?;
            self.network.forward_into(input, &mut state, &mut y, &mut room)?;
            self.linear.forward(ids.len(), &y, &mut logits)?;
            let kernels = self.network.kernels();
            let loss = cross_entropy(kernels, &logits, self.characters, targets, &mut grad)?;
            sum += loss * ids.len() as f64;
        }
        Ok(sum / (last * streams.batch) as f64)
    }

    /// Reads one character and leaves the logits of the next one.
    pub(crate) fn step(&self, id: usize, state: &mut State, logits: &mut [f32]) -> Result<(), Error> {
        let (mut x, mut h) = (vec![0.0; self.features], vec![0.0; self.network.config().hidden_size]);
        self.embedding.forward(&[id], &mut x)?;
        self.network.step(&x, state, &mut h)?;
        self.linear.forward(1, &h, logits)
    }
}

/// Gradients, the tape, the carried state and room to work: used again for each update.
pub(crate) struct Trainer {
    embedding: Tensors,
    network: Tensors,
    linear: Tensors,
    tape: Tape,
    state: Option<State>,
    x: Vec<f32>,
    logits: Vec<f32>,
    grad_logits: Vec<f32>,
    grad_y: Vec<f32>,
    room: LinearRoom,
}

impl Trainer {
    /// Room for a model.
    pub(crate) fn new(model: &Model) -> Trainer {
        Trainer {
            embedding: model.embedding.params().zeros_like(),
            network: model.network.params().zeros_like(),
            linear: model.linear.params().zeros_like(),
            tape: Tape::default(),
            state: None,
            x: Vec::new(),
            logits: Vec::new(),
            grad_logits: Vec::new(),
            grad_y: Vec::new(),
            room: LinearRoom::default(),
        }
    }

    /// Loss and gradients of one window of the streams. Windows come in order; the first one starts from zeros, the others
    /// from where the one before ended.
    pub(crate) fn forward_backward(
        &mut self,
        model: &Model,
        streams: &Streams,
        window: usize,
        seq: usize,
    ) -> Result<f64, Error> {
        let begin = window * seq;
        let (ids, targets) = (streams.steps(begin, begin + seq), streams.steps(begin + 1, begin + seq + 1));
        let rows = ids.len();
        if window == 0 {
            self.state = None;
        }
        self.x.resize(rows * model.features, 0.0);
        self.logits.resize(rows * model.characters, 0.0);
        self.grad_logits.resize(rows * model.characters, 0.0);
        self.grad_y.resize(rows * model.network.config().hidden_size, 0.0);

        model.embedding.forward(ids, &mut self.x)?;
        let x = View::new(&self.x, [seq, streams.batch, model.features])?;
        model.network.forward_train_into(x, self.state.as_ref(), &mut self.tape)?;
        let state = match &mut self.state {
            Some(state) => state,
            none => none.insert(model.network.zero_state(streams.batch)?),
        };
        self.tape.final_state(state)?;
        let y = self.tape.output();
        model.linear.forward(rows, y.data(), &mut self.logits)?;
        let kernels = model.network.kernels();
        let loss = cross_entropy(kernels, &self.logits, model.characters, targets, &mut self.grad_logits)?;

        for grads in [&mut self.embedding, &mut self.network, &mut self.linear] {
            grads.fill(0.0);
        }
        let grad_y = Some(&mut self.grad_y[..]);
        let (y, room) = (y.data(), &mut self.room);
        model.linear.backward(rows, y, &self.grad_logits, grad_y, &mut self.linear, room)?;
        let grad_y = View::new(&self.grad_y, [seq, streams.batch, model.network.config().hidden_size])?;
        model.network.backward(&mut self.tape, Upstream::output(grad_y), &mut self.network)?;
        if let Some(grad_x) = self.tape.grad_input() {
            model.embedding.backward(ids, grad_x.data(), &mut self.embedding)?;
        }
        Ok(loss)
    }

    /// The gradients, in the order of the model's parameters.
    pub(crate) fn grads(&mut self) -> [&mut Tensors; 3] {
        [&mut self.embedding, &mut self.network, &mut self.linear]
    }

    /// The same, to read.
    pub(crate) fn shared_grads(&self) -> [&Tensors; 3] {
        [&self.embedding, &self.network, &self.linear]
    }
}
