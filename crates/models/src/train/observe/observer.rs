//! [`Observer`]: looks at backward passes of one network.

use super::check_made_for;
use super::flow::{FlowWatch, GradientFlow, Part};
use crate::nets::Network;
use crate::run::{Gradients, Tape, Upstream, WatchRoom, Watched, is_finite_at};
use crate::spec::{Config, Error, Place, Tensors};
use crate::train::truncated::{TruncatedBptt, WatchParts};

/// Looks at the backward passes of a network and keeps the [`GradientFlow`] of the last one. The pass computes the same bits as
/// without; it allocates nothing after the first pass of its sizes. It takes the memory of dL/dh and dL/dc of one time chunk, some 512 rows,
/// and the time to write, read and square them. From 64 units on a training step takes up to 5 % longer, with 256 about
/// 1 %; a vanilla network of 16 units, which computes little beside, up to 7 % (`cargo xtask observer` in the repository; the table is
/// on the page about long-term dependencies).
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
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Gru, Observer};
    ///
    /// let observer = Observer::new(&Gru::new(1, 4)?);
    /// assert_eq!(observer.flow().steps(), 0); // nothing was looked at yet
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn new<K>(network: &Network<K>) -> Observer {
        Observer {
            config: network.config().clone(),
            watch: FlowWatch::new(network.kernels()),
            room: WatchRoom::default(),
        }
    }

    /// As [`Network::backward`], and looks on.
    ///
    /// # Errors
    /// As [`Network::backward`]; [`Error::Config`] if the observer was made for a network with other options. Neither tape, gradients
    /// nor observations are written then.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Gru, Observer, Upstream, View};
    ///
    /// let gru = Gru::builder(1, 4).seed(1).build()?;
    /// let (mut observer, mut grads, mut alone) = (Observer::new(&gru), gru.params().zeros_like(), gru.params().zeros_like());
    /// let mut tape = gru.forward_train(View::new(&[0.5; 20], [20, 1, 1])?, None)?;
    /// let mut other = tape.clone();
    /// let upstream = Upstream { h_n: Some(&[1.0; 4]), ..Upstream::default() };
    /// observer.backward(&gru, &mut tape, upstream, &mut grads)?; // in place of gru.backward(..)
    /// gru.backward(&mut other, upstream, &mut alone)?;
    /// assert_eq!(grads, alone); // to the bit
    /// assert_eq!(observer.flow().steps(), 20);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn backward<K>(
        &mut self,
        network: &Network<K>,
        tape: &mut Tape,
        upstream: Upstream<'_>,
        grads: &mut Tensors,
    ) -> Result<(), Error> {
        self.check(network)?;
        network.backward_watched(tape, upstream, grads, Some(self.watched(None)))?;
        self.find_non_finite(network, tape, upstream);
        Ok(())
    }

    /// As [`Network::backward_keep`], and looks on.
    ///
    /// # Errors
    /// As [`backward`](Observer::backward).
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Gradients, Gru, Observer, Upstream, View};
    ///
    /// let gru = Gru::builder(1, 4).seed(1).build()?;
    /// let (mut observer, mut grads, mut room) = (Observer::new(&gru), gru.params().zeros_like(), Gradients::default());
    /// let tape = gru.forward_train(View::new(&[0.5; 20], [20, 1, 1])?, None)?;
    /// let mut last_norm = |size: f32| {
    ///     let upstream = Upstream { h_n: Some(&[size; 4]), ..Upstream::default() };
    ///     observer.backward_keep(&gru, &tape, upstream, &mut room, &mut grads)?;
    ///     Ok::<f64, gatewise::Error>(observer.flow().tracks[0].h[19])
    /// };
    /// assert_eq!((last_norm(1.0)?, last_norm(3.0)?), (2.0, 6.0)); // the same tape twice
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn backward_keep<K>(
        &mut self,
        network: &Network<K>,
        tape: &Tape,
        upstream: Upstream<'_>,
        gradients: &mut Gradients,
        grads: &mut Tensors,
    ) -> Result<(), Error> {
        self.check(network)?;
        let watched = Some(self.watched(None));
        network.backward_keep_watched(tape, upstream, gradients, Some(grads), watched)?;
        self.find_non_finite(network, tape, upstream);
        Ok(())
    }

    /// As [`TruncatedBptt::backward`], and looks on: the [`flow`](Observer::flow) is that of the whole
    /// [`window`](TruncatedBptt::window), its first step at index 0. What the gradient does not reach, it does not show either.
    ///
    /// # Errors
    /// As [`TruncatedBptt::backward`]; [`Error::Config`] if the observer was made for a network with other options. Nothing is written
    /// then.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Gru, Observer, TruncatedBptt, Truncation, Upstream, View};
    ///
    /// let gru = Gru::builder(1, 4).seed(1).build()?;
    /// let mut observer = Observer::new(&gru);
    /// let mut bptt = TruncatedBptt::new(&gru, Truncation { k1: 5, k2: 15 }, gru.zero_state(1)?)?;
    /// bptt.push(View::new(&[0.5; 20], [20, 1, 1])?)?;
    /// let mut reached = Vec::new();
    /// while bptt.forward(&gru)? {
    ///     let mut grads = gru.params().zeros_like();
    ///     let upstream = Upstream::output(View::new(&[1.0; 5 * 4], [5, 1, 4])?); // of the five new steps
    ///     observer.backward_truncated(&mut bptt, &gru, upstream, &mut grads)?; // in place of bptt.backward(..)
    ///     reached.push(observer.flow().steps());
    /// }
    /// assert_eq!(reached, [5, 10, 15, 15]);
    /// # let h = &observer.flow().tracks[0].h;
    /// # assert!(0.0 < h[0] && h[0] < h[14]);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn backward_truncated<K>(
        &mut self,
        bptt: &mut TruncatedBptt,
        network: &Network<K>,
        upstream: Upstream<'_>,
        grads: &mut Tensors,
    ) -> Result<(), Error> {
        self.check(network)?;
        bptt.backward_watched(network, upstream, grads, Some(&mut *self))?;
        self.find_non_finite_in(bptt, network, upstream);
        Ok(())
    }

    /// Looks at a pass, or at one over a part of a window.
    fn watched(&mut self, part: Option<Part>) -> Watched<'_> {
        self.watch.part = part;
        Watched { watch: &mut self.watch, room: &mut self.room }
    }

    /// What the last pass showed; without steps before the first.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Observer, Rnn, Upstream, View};
    ///
    /// let rnn = Rnn::builder(1, 8).seed(1).build()?;
    /// let (mut observer, mut grads) = (Observer::new(&rnn), rnn.params().zeros_like());
    /// let mut tape = rnn.forward_train(View::new(&[0.5; 40], [40, 1, 1])?, None)?;
    /// let upstream = Upstream { h_n: Some(&[1.0; 8]), ..Upstream::default() };
    /// observer.backward(&rnn, &mut tape, upstream, &mut grads)?;
    /// let flow = observer.flow();
    /// assert_eq!((flow.steps(), flow.x.len()), (40, 40));
    /// assert!(flow.x[0] < flow.x[39]); // the first input matters less than the last
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn flow(&self) -> &GradientFlow {
        &self.watch.flow
    }

    /// Looks for where it began, if the pass came upon a value that is not finite.
    fn find_non_finite<K>(&mut self, network: &Network<K>, tape: &Tape, upstream: Upstream<'_>) {
        let back = self.watch.first_non_finite(0..self.flow().steps());
        if back.is_none() && tape.ends_finite() {
            return;
        }
        let first = tape.first_non_finite(network.params());
        let back = back.map(|back| from_output(back, network.config(), upstream, 0));
        self.watch.flow.non_finite = first.or(back);
    }

    /// Likewise in the passes over a window: forward from part to part, then back.
    fn find_non_finite_in<K>(&mut self, bptt: &TruncatedBptt, network: &Network<K>, upstream: Upstream<'_>) {
        let back = bptt.parts().rev().find_map(|(steps, _)| self.watch.first_non_finite(steps));
        if back.is_none() && bptt.parts().all(|(_, tape)| tape.ends_finite()) {
            return;
        }
        let first = bptt.parts().find_map(|(steps, tape)| {
            let place = tape.first_non_finite(network.params())?;
            Some(Place { step: place.step.map(|step| steps.start + step), ..place })
        });
        let back = back.map(|back| from_output(back, network.config(), upstream, bptt.first_new_step()));
        self.watch.flow.non_finite = first.or(back);
    }

    fn check<K>(&self, network: &Network<K>) -> Result<(), Error> {
        check_made_for("observer", &self.config, network.config())
    }
}

impl WatchParts for Observer {
    fn part(&mut self, first: usize, window: usize) -> Watched<'_> {
        self.watched(Some(Part { first, window }))
    }
}

/// The place in the gradient of the outputs that a bad dL/dh came from, if it did. The outputs are those from step `first` on.
fn from_output(back: Place, config: &Config, upstream: Upstream<'_>, first: usize) -> Place {
    let is_top = back.tensor == "dL/dh" && back.layer == Some(config.num_layers - 1);
    let step = back.step.filter(|_| is_top).and_then(|step| step.checked_sub(first));
    match upstream.output.zip(step) {
        Some((output, step)) if !is_finite_at(output, config.batch_first, step) => {
            Place { step: back.step, ..Place::of("dL/d output") }
        }
        _ => back,
    }
}
