//! [`Observer`]: looks at backward passes of one network.

use super::flow::{FlowWatch, GradientFlow};
use crate::nets::Network;
use crate::run::{Gradients, Tape, Upstream, WatchRoom, Watched};
use crate::spec::{Config, Error, Tensors};

/// Looks at the backward passes of a network and keeps the [`GradientFlow`] of the last one. The pass computes the same bits as
/// without; it allocates nothing after the first pass of its sizes. It takes the memory of one layer's outputs in one direction, and
/// of its c, beside the tape's.
///
/// # Examples
/// The fading of a vanilla network's gradient:
/// ```
/// use gatewise::{Observer, Rnn, Upstream, View};
///
/// let rnn = Rnn::builder(1, 8).seed(1).build()?;
/// let mut observer = Observer::new(&rnn);
/// let mut grads = rnn.params().zeros_like();
/// let mut tape = rnn.forward_train(View::new(&[0.5; 40], [40, 1, 1])?, None)?;
/// // A loss that looks at the last step only.
/// let upstream = Upstream { h_n: Some(&[1.0; 8]), ..Upstream::default() };
/// observer.backward(&rnn, &mut tape, upstream, &mut grads)?;
/// let h = &observer.flow().tracks[0].h;
/// assert!(h[0] < 1e-3 * h[39]);
/// # Ok::<(), gatewise::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Observer {
    config: Config,
    watch: FlowWatch,
    room: WatchRoom,
}

impl Observer {
    /// An observer of networks with the options of this one.
    pub fn new<K>(network: &Network<K>) -> Observer {
        Observer { config: *network.config(), watch: FlowWatch::default(), room: WatchRoom::default() }
    }

    /// As [`Network::backward`], and looks on.
    ///
    /// # Errors
    /// As [`Network::backward`]; [`Error::Config`] if the observer was made for a network with other options. Neither tape, gradients
    /// nor observations are written then.
    pub fn backward<K>(
        &mut self,
        network: &Network<K>,
        tape: &mut Tape,
        upstream: Upstream<'_>,
        grads: &mut Tensors,
    ) -> Result<(), Error> {
        self.check(network)?;
        let watched = Watched { watch: &mut self.watch, room: &mut self.room };
        network.backward_watched(tape, upstream, grads, watched)?;
        self.watch.flow.non_finite = self.watch.first_bad();
        Ok(())
    }

    /// As [`Network::backward_keep`], and looks on.
    ///
    /// # Errors
    /// As [`backward`](Observer::backward).
    pub fn backward_keep<K>(
        &mut self,
        network: &Network<K>,
        tape: &Tape,
        upstream: Upstream<'_>,
        gradients: &mut Gradients,
        grads: &mut Tensors,
    ) -> Result<(), Error> {
        self.check(network)?;
        let watched = Watched { watch: &mut self.watch, room: &mut self.room };
        network.backward_keep_watched(tape, upstream, gradients, Some(grads), watched)?;
        self.watch.flow.non_finite = self.watch.first_bad();
        Ok(())
    }

    /// What the last pass showed; without steps before the first.
    pub fn flow(&self) -> &GradientFlow {
        &self.watch.flow
    }

    fn check<K>(&self, network: &Network<K>) -> Result<(), Error> {
        if self.config == *network.config() {
            return Ok(());
        }
        let got = format!("one for {}", described(&self.config));
        let (arg, expected) = ("observer", "one that was made for a network with the options of this one");
        Err(Error::Config {
            arg,
            expected,
            got: format!("{got}, but this is {}", described(network.config())),
        })
    }
}

/// A network in a few words.
fn described(config: &Config) -> String {
    let Config { cell, input_size, hidden_size, num_layers, .. } = *config;
    let directions = config.directions();
    format!("{} {input_size}-{hidden_size}, layers {num_layers}, directions {directions}", cell.name())
}
