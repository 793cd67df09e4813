//! The flow of gradients back through time, as plain data.

use super::squares::norms;
use crate::run::{Seen, SeenStep, Watch};
use crate::spec::shape::{Dims, reserve};
use crate::spec::{Error, Place};
use gatewise_kernels::Kernels;
use std::ops::Range;

/// How large the gradient was at each time step of one backward pass: where it fades or explodes. All norms are L2, over the rows of
/// the batch and the units; a row counts in the steps that it is valid in. Squares are added up in f64, or in f32 where they are few
/// and far from its limits ([`Kernels::norms`]), so no size is lost.
///
/// dL/dh_t and dL/dc_t are whole gradients: what comes from above at step t, and what comes back from later steps.
///
/// # Examples
/// ```
/// use gatewise::{Lstm, Observer, Upstream, View};
///
/// let lstm = Lstm::builder(1, 4).seed(1).build()?;
/// let mut tape = lstm.forward_train(View::new(&[0.5; 20], [20, 1, 1])?, None)?;
/// let (mut observer, mut grads) = (Observer::new(&lstm), lstm.params().zeros_like());
/// observer.backward(&lstm, &mut tape, Upstream::output(View::new(&[1.0; 80], [20, 1, 4])?), &mut grads)?;
/// let flow = observer.flow();
/// assert_eq!((flow.tracks.len(), flow.x.len()), (1, 20));
/// assert!(flow.x.iter().all(|norm| *norm > 0.0) && flow.non_finite.is_none());
/// # Ok::<(), gatewise::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct GradientFlow {
    /// One for each layer and direction, layers from the bottom, in each the forward direction first.
    pub tracks: Vec<TrackFlow>,
    /// |dL/dx_t|, the influence of each step's input; empty if dL/dx was not asked for.
    #[cfg_attr(feature = "serde", serde(with = "super::numbers"))]
    pub x: Vec<f64>,
    /// Where the first value stood that was infinite or not a number, in the order in which things are computed: forward from the
    /// input, then back from the output.
    pub non_finite: Option<Place>,
}

/// The flow through one layer in one direction, by time step: index t is step t of the sequence in either direction.
///
/// # Examples
/// ```
/// use gatewise::{Lstm, Observer, Upstream, View};
///
/// let lstm = Lstm::builder(1, 4).seed(1).build()?;
/// let mut tape = lstm.forward_train(View::new(&[0.5; 20], [20, 1, 1])?, None)?;
/// let (mut observer, mut grads) = (Observer::new(&lstm), lstm.params().zeros_like());
/// observer.backward(&lstm, &mut tape, Upstream::output(View::new(&[1.0; 80], [20, 1, 4])?), &mut grads)?;
/// let track = &observer.flow().tracks[0];
/// assert_eq!((track.h.len(), track.c.len()), (20, 20));
/// assert!((track.h[19] - 2.0).abs() < 1e-6); // the last step has only what comes from above: four ones
/// # Ok::<(), gatewise::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TrackFlow {
    /// The layer, counted from 0.
    pub layer: usize,
    /// 0 forward, 1 reverse.
    pub direction: usize,
    /// |dL/dh_t|.
    #[cfg_attr(feature = "serde", serde(with = "super::numbers"))]
    pub h: Vec<f64>,
    /// |dL/dc_t|; empty for a cell without c.
    #[cfg_attr(feature = "serde", serde(with = "super::numbers"))]
    pub c: Vec<f64>,
}

impl GradientFlow {
    /// The flow through a layer in a direction; `None` if there is none.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{GradientFlow, TrackFlow};
    ///
    /// let reverse = TrackFlow { direction: 1, h: vec![0.5, 1.0], ..TrackFlow::default() };
    /// let flow = GradientFlow { tracks: vec![reverse], ..GradientFlow::default() };
    /// assert_eq!(flow.track(0, 1).map(|track| track.h[0]), Some(0.5));
    /// assert!(flow.track(1, 0).is_none());
    /// ```
    pub fn track(&self, layer: usize, direction: usize) -> Option<&TrackFlow> {
        self.tracks.iter().find(|track| (track.layer, track.direction) == (layer, direction))
    }

    /// Time steps; 0 before the first pass.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{GradientFlow, TrackFlow};
    ///
    /// let track = TrackFlow { h: vec![0.5, 1.0], ..TrackFlow::default() };
    /// assert_eq!(GradientFlow { tracks: vec![track], ..GradientFlow::default() }.steps(), 2);
    /// assert_eq!(GradientFlow::default().steps(), 0);
    /// ```
    pub fn steps(&self) -> usize {
        self.tracks.first().map_or(0, |track| track.h.len())
    }
}

/// Makes room for a value per step, all zeros.
fn zeros(list: &mut Vec<f64>, len: usize) -> Result<(), Error> {
    list.clear();
    reserve("the observer", list, len)?;
    list.resize(len, 0.0);
    Ok(())
}

/// Fills a [`GradientFlow`] during a pass, or during passes over the parts of a window, the last part first.
#[derive(Clone, Debug)]
pub(super) struct FlowWatch {
    kernels: Kernels,
    pub(super) flow: GradientFlow,
    /// Where the pass at hand stands in a window, and the window's steps; `None`: it is by itself.
    pub(super) part: Option<Part>,
    dims: Option<Dims>,
}

/// A part of a window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) first: usize,
    pub(super) window: usize,
}

impl FlowWatch {
    pub(super) fn new(kernels: Kernels) -> FlowWatch {
        FlowWatch { kernels, flow: GradientFlow::default(), part: None, dims: None }
    }

    /// Where the pass at hand begins.
    fn first(&self) -> usize {
        self.part.map_or(0, |part| part.first)
    }

    /// Where the first value stands that is not finite, of a pass over these steps.
    pub(super) fn first_non_finite(&self, steps: Range<usize>) -> Option<Place> {
        let of_tracks = self.flow.tracks.iter().flat_map(|track| [&track.h, &track.c]);
        // Without a way out in its midst this takes no time, and nearly always it is all.
        let is_fine = |list: &Vec<f64>| list.iter().fold(true, |fine, value| fine & value.is_finite());
        if of_tracks.chain([&self.flow.x]).all(is_fine) {
            return None;
        }
        let mut bad = None;
        for track in self.flow.tracks.iter().rev() {
            // Both directions of a layer come before the layer below, the forward one first: the last found is the first met.
            let find = |tensor: &str, norms: &[f64]| {
                let is_bad = |t: &usize| norms.get(*t).is_some_and(|norm| !norm.is_finite());
                let mut times = steps.clone();
                let step = if track.direction == 0 { times.rfind(is_bad) } else { times.find(is_bad) };
                let (layer, direction) = (Some(track.layer), Some(track.direction));
                step.map(|_| Place { tensor: tensor.to_string(), layer, direction, step })
            };
            let met = match (find("dL/dh", &track.h), find("dL/dc", &track.c)) {
                // At one step dL/dh is met before dL/dc.
                (Some(h), Some(c)) if is_later(track.direction, c.step, h.step) => Some(c),
                (h, c) => h.or(c),
            };
            let is_above = |bad: &Place| bad.layer > Some(track.layer);
            if met.is_some() && !bad.as_ref().is_some_and(is_above) {
                bad = met;
            }
        }
        bad.or_else(|| {
            let is_bad = |t: &usize| self.flow.x.get(*t).is_some_and(|norm| !norm.is_finite());
            let step = steps.rev().find(is_bad);
            step.map(|_| Place { step, ..Place::of("dL/dx") })
        })
    }
}

/// Whether a direction meets step `a` before step `b` on its way back.
fn is_later(direction: usize, a: Option<usize>, b: Option<usize>) -> bool {
    if direction == 0 { a > b } else { a < b }
}

impl Watch for FlowWatch {
    fn begin(&mut self, dims: &Dims) -> Result<(), Error> {
        self.dims = Some(*dims);
        let steps = self.part.map_or(dims.steps, |part| part.window);
        if self.first() + dims.steps < steps {
            return Ok(());
        }
        let tracks = &mut self.flow.tracks;
        tracks.resize_with(dims.layers * dims.directions, TrackFlow::default);
        for (place, track) in tracks.iter_mut().enumerate() {
            (track.layer, track.direction) = (place / dims.directions, place % dims.directions);
            zeros(&mut track.h, steps)?;
            zeros(&mut track.c, if dims.has_c { steps } else { 0 })?;
        }
        self.flow.x.clear();
        self.flow.non_finite = None;
        reserve("the observer", &mut self.flow.x, steps)
    }

    fn seen(&mut self, chunk: Seen<'_>) {
        let Seen { dims, layer, direction, .. } = chunk;
        let (first, kernels) = (self.first(), self.kernels);
        let track = &mut self.flow.tracks[layer * dims.directions + direction];
        if let Some((times, dh, dc)) = chunk.whole() {
            let steps = first + times.start..first + times.end;
            norms(kernels, dh, &mut track.h[steps.clone()]);
            if dims.has_c {
                norms(kernels, dc, &mut track.c[steps]);
            }
            return;
        }
        for SeenStep { time, dh, dc } in chunk.steps() {
            let step = first + time..first + time + 1;
            norms(kernels, dh, &mut track.h[step.clone()]);
            if dims.has_c {
                norms(kernels, dc, &mut track.c[step]);
            }
        }
    }

    fn seen_input(&mut self, times: Range<usize>, dx: &[f32]) {
        let Some(dims) = self.dims else { return };
        let first = self.first();
        self.flow.x.resize(self.part.map_or(dims.steps, |part| part.window), 0.0);
        norms(self.kernels, dx, &mut self.flow.x[first + times.start..first + times.end]);
    }
}
