//! [`Observer`]: looks at backward passes of one network.

use super::check_made_for;
use super::flow::{FlowWatch, GradientFlow};
use crate::nets::Network;
use crate::run::{Gradients, Tape, Upstream, WatchRoom, Watched, is_finite_at};
use crate::spec::{Config, Error, Place, Tensors};

/// Looks at the backward passes of a network and keeps the [`GradientFlow`] of the last one. The pass computes the same bits as
/// without; it allocates nothing after the first pass of its sizes. It takes the memory of one layer's outputs in one direction, and
/// of its c, beside the tape's, and the time to write, read and square them: little beside the products of a backward pass, except
/// where the state is very small (`cargo bench -p benches --bench networks -- observed` in the repository shows how much).
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
        Observer { config: network.config().clone(), watch: FlowWatch::default(), room: WatchRoom::default() }
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
        self.find_non_finite(network, tape, upstream);
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
        self.find_non_finite(network, tape, upstream);
        Ok(())
    }

    /// What the last pass showed; without steps before the first.
    pub fn flow(&self) -> &GradientFlow {
        &self.watch.flow
    }

    /// Looks for where it began, if the pass came upon a value that is not finite.
    fn find_non_finite<K>(&mut self, network: &Network<K>, tape: &Tape, upstream: Upstream<'_>) {
        let back = self.watch.finish();
        if back.is_none() && tape.ends_finite() {
            return;
        }
        let of_outputs = || {
            let (config, back) = (network.config(), back.as_ref()?);
            let is_top = back.tensor == "dL/dh" && back.layer == Some(config.num_layers - 1);
            let (output, step) = upstream.output.filter(|_| is_top).zip(back.step)?;
            let is_fine = is_finite_at(output, config.batch_first, step);
            (!is_fine).then(|| Place { step: Some(step), ..Place::of("dL/d output") })
        };
        let first = tape.first_non_finite(network.params()).or_else(of_outputs);
        self.watch.flow.non_finite = first.or(back);
    }

    fn check<K>(&self, network: &Network<K>) -> Result<(), Error> {
        check_made_for("observer", &self.config, network.config())
    }
}
