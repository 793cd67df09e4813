//! One update's gradients: forward and back through a window of the streams.

use crate::corpus::Streams;
use crate::model::Model;
use gatewise::{
    DropoutKey, Error, GateReport, GradientFlow, Input, LagInfluence, LagProbe, LinearRoom, Observer, Place,
    Probes, State, Tape, Tensors, Upstream, View, cross_entropy,
};

/// Where an update reads: windows come in order, and start anew after the last one.
#[derive(Clone, Copy)]
pub(crate) struct Window<'a> {
    pub(crate) streams: &'a Streams,
    /// Updates so far.
    pub(crate) update: usize,
    /// Its length.
    pub(crate) seq: usize,
    /// Seed of the dropout.
    pub(crate) seed: u64,
}

/// Gradients, the tape, the carried state and room to work: used again for each update.
pub(crate) struct Trainer {
    embedding: Tensors,
    network: Tensors,
    linear: Tensors,
    tape: Tape,
    /// Where the streams stand; `None` before the first update.
    pub(crate) state: Option<State>,
    /// Where they stood before the last window.
    before: Option<State>,
    x: Vec<f32>,
    logits: Vec<f32>,
    grad_logits: Vec<f32>,
    grad_y: Vec<f32>,
    room: LinearRoom,
}

/// What an observer saw in a window.
pub(crate) struct Observed {
    pub(crate) flow: GradientFlow,
    pub(crate) gates: GateReport,
    pub(crate) influence: LagInfluence,
}

impl Window<'_> {
    /// The window's number in the pass over the streams, from 0.
    fn place(&self) -> usize {
        self.update % self.streams.windows(self.seq)
    }

    /// What is read, and what is to be said.
    fn ids(&self) -> (&[usize], &[usize]) {
        let begin = self.place() * self.seq;
        let end = begin + self.seq;
        (self.streams.steps(begin, end), self.streams.steps(begin + 1, end + 1))
    }
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
            before: None,
            x: Vec::new(),
            logits: Vec::new(),
            grad_logits: Vec::new(),
            grad_y: Vec::new(),
            room: LinearRoom::default(),
        }
    }

    /// Loss and gradients of one window. Truncated BPTT: the state goes on from window to window, and starts anew, from zeros,
    /// with each pass over the streams.
    pub(crate) fn forward_backward(&mut self, model: &Model, window: Window<'_>) -> Result<f64, Error> {
        let loss = self.forward(model, window)?;
        self.backward(model, window, None)?;
        Ok(loss)
    }

    fn forward(&mut self, model: &Model, window: Window<'_>) -> Result<f64, Error> {
        let Window { streams, update, seq, seed } = window;
        let (ids, targets) = window.ids();
        let rows = ids.len();
        if window.place() == 0 {
            self.state = None;
        }
        self.before.clone_from(&self.state);
        self.x.resize(rows * model.features, 0.0);
        self.logits.resize(rows * model.characters, 0.0);
        self.grad_logits.resize(rows * model.characters, 0.0);

        model.embedding.forward(ids, &mut self.x)?;
        let x = View::new(&self.x, [seq, streams.batch, model.features])?;
        // The same values are dropped whenever this update is done: a resumed run needs no other random state.
        let dropout = DropoutKey { seed, first_step: (update * seq) as u32, rows: None };
        let input = Input::from(x).dropout(dropout);
        model.network.forward_train_into(input, self.state.as_ref(), &mut self.tape)?;
        let state = match &mut self.state {
            Some(state) => state,
            none => none.insert(model.network.zero_state(streams.batch)?),
        };
        self.tape.final_state(state)?;
        let y = self.tape.output();
        model.linear.forward(rows, y.data(), &mut self.logits)?;
        let kernels = model.network.kernels();
        cross_entropy(kernels, &self.logits, model.characters, targets, &mut self.grad_logits)
    }

    fn backward(
        &mut self,
        model: &Model,
        window: Window<'_>,
        observer: Option<&mut Observer>,
    ) -> Result<(), Error> {
        let Window { streams, seq, .. } = window;
        let (ids, _) = window.ids();
        self.grad_y.resize(ids.len() * model.network.config().hidden_size, 0.0);
        for grads in [&mut self.embedding, &mut self.network, &mut self.linear] {
            grads.fill(0.0);
        }
        let grad_y = Some(&mut self.grad_y[..]);
        let (y, room) = (self.tape.output().data(), &mut self.room);
        model.linear.backward(ids.len(), y, &self.grad_logits, grad_y, &mut self.linear, room)?;
        let grad_y = View::new(&self.grad_y, [seq, streams.batch, model.network.config().hidden_size])?;
        let upstream = Upstream::output(grad_y);
        match observer {
            Some(observer) => {
                observer.backward(&model.network, &mut self.tape, upstream, &mut self.network)?;
            }
            None => model.network.backward(&mut self.tape, upstream, &mut self.network)?,
        }
        if let Some(grad_x) = self.tape.grad_input() {
            model.embedding.backward(ids, grad_x.data(), &mut self.embedding)?;
        }
        Ok(())
    }

    /// The last window once more, from the same state: where its first value stands that is not finite.
    pub(crate) fn find_non_finite(
        &mut self,
        model: &Model,
        window: Window<'_>,
    ) -> Result<Option<Place>, Error> {
        self.state.clone_from(&self.before);
        self.look_for_non_finite(model, window)
    }

    /// The same for any window, from where the streams stand.
    pub(crate) fn look_for_non_finite(
        &mut self,
        model: &Model,
        window: Window<'_>,
    ) -> Result<Option<Place>, Error> {
        let mut observer = Observer::new(&model.network);
        self.forward(model, window)?;
        self.backward(model, window, Some(&mut observer))?;
        Ok(observer.flow().non_finite.clone())
    }

    /// What the network does in a window.
    pub(crate) fn observe(&mut self, model: &Model, window: Window<'_>) -> Result<Observed, Error> {
        let mut observer = Observer::new(&model.network);
        let mut probe = LagProbe::new(&model.network, window.seq - 1, Probes::Random(1), window.seed)?;
        self.forward(model, window)?;
        let gates = GateReport::new(&model.network, &self.tape)?;
        let influence = probe.measure(&model.network, &self.tape)?.clone();
        self.backward(model, window, Some(&mut observer))?;
        Ok(Observed { flow: observer.flow().clone(), gates, influence })
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
