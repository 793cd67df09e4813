//! Embedding, recurrent network, linear layer: what is learned.

use crate::corpus::Streams;
use crate::settings::Settings;
use gatewise::{
    Any, Embedding, Error, Linear, Network, ProjectedTable, State, Tensors, Tokens, WeightFile, Workspace,
    cross_entropy,
};

/// A character model.
pub(crate) struct Model {
    pub(crate) embedding: Embedding,
    pub(crate) network: Network<Any>,
    pub(crate) linear: Linear,
    pub(crate) features: usize,
    pub(crate) characters: usize,
}

impl Model {
    /// A model with initial parameters from the seed.
    pub(crate) fn new(settings: &Settings, characters: usize) -> Result<Model, Error> {
        let network = Network::with_cell(settings.cell.cell(), settings.embedding, settings.hidden)
            .num_layers(settings.layers)
            .dropout(settings.dropout)
            .seed(settings.seed)
            .build()?;
        // Streams of random numbers of their own for the other two: next seeds, far from those a user would try.
        let seed = |n: u64| settings.seed.wrapping_add(n << 32);
        Ok(Model {
            embedding: Embedding::new(characters, settings.embedding, seed(1))?,
            linear: Linear::with_kernels(settings.hidden, characters, seed(2), network.kernels())?,
            network,
            features: settings.embedding,
            characters,
        })
    }

    /// All parameters, each list with the prefix of its names in a file.
    pub(crate) fn lists(&self) -> [(&'static str, &Tensors); 3] {
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

    /// Takes all parameters from a file. After an error some may be the file's.
    pub(crate) fn load(&mut self, file: &WeightFile) -> Result<(), Error> {
        file.load("embedding.", self.embedding.params_mut())?;
        file.load("recurrent.", &mut self.network.params_mut())?;
        file.load("linear.", &mut self.linear.params_mut())
    }

    /// The mean loss over all characters but the first of each stream, in nats.
    pub(crate) fn validate(&self, streams: &Streams, seq: usize) -> Result<f64, Error> {
        let (mut state, mut room) = (self.network.zero_state(streams.batch)?, Workspace::default());
        let hidden = self.network.config().hidden_size;
        let ([mut y, mut logits, mut grad], table) = ([const { Vec::new() }; 3], self.table()?);
        let (mut sum, last) = (0.0, streams.length - 1);
        for begin in (0..last).step_by(seq) {
            let end = last.min(begin + seq);
            let (ids, targets) = (streams.steps(begin, end), streams.steps(begin + 1, end + 1));
            y.resize(ids.len() * hidden, 0.0);
            logits.resize(ids.len() * self.characters, 0.0);
            grad.resize(logits.len(), 0.0);
            let tokens = Tokens::new(ids, [end - begin, streams.batch])?;
            self.network.forward_tokens_into(&table, tokens, &mut state, &mut y, &mut room)?;
            self.linear.forward(ids.len(), &y, &mut logits)?;
            let kernels = self.network.kernels();
            let loss = cross_entropy(kernels, &logits, self.characters, targets, &mut grad)?;
            sum += loss * ids.len() as f64;
        }
        Ok(sum / (last * streams.batch) as f64)
    }

    /// The embedding as the network reads it, of the parameters as they are.
    pub(crate) fn table(&self) -> Result<ProjectedTable, Error> {
        self.network.project_embedding(&self.embedding)
    }

    /// Reads one character and leaves the logits of the next one.
    pub(crate) fn step(
        &self,
        table: &ProjectedTable,
        id: usize,
        state: &mut State,
        logits: &mut [f32],
    ) -> Result<(), Error> {
        let mut h = vec![0.0; self.network.config().hidden_size];
        self.network.step_tokens(table, &[id], state, &mut h)?;
        self.linear.forward(1, &h, logits)
    }
}
