//! The flow of gradients back through time, as plain data.

use super::squares::sum_of_squares;
use crate::run::{Seen, Watch};
use crate::spec::shape::{Dims, reserve};
use crate::spec::{Error, Place};

/// How large the gradient was at each time step of one backward pass: where it fades or explodes. All norms are L2, over the rows of
/// the batch and the units, in f64; a row counts in the steps that it is valid in.
///
/// dL/dh_t and dL/dc_t are whole gradients: what comes from above at step t, and what comes back from later steps.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct GradientFlow {
    /// One for each layer and direction, layers from the bottom, in each the forward direction first.
    pub tracks: Vec<TrackFlow>,
    /// |dL/dx_t|, the influence of each step's input; empty if dL/dx was not asked for.
    pub x: Vec<f64>,
    /// Where the first value stood that was infinite or not a number, in the order in which things are computed: forward from the
    /// input, then back from the output.
    pub non_finite: Option<Place>,
}

/// The flow through one layer in one direction, by time step: index t is step t of the sequence in either direction.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TrackFlow {
    /// The layer, counted from 0.
    pub layer: usize,
    /// 0 forward, 1 reverse.
    pub direction: usize,
    /// |dL/dh_t|.
    pub h: Vec<f64>,
    /// |dL/dc_t|; empty for a cell without c.
    pub c: Vec<f64>,
}

impl GradientFlow {
    /// The flow through a layer in a direction; `None` if there is none.
    pub fn track(&self, layer: usize, direction: usize) -> Option<&TrackFlow> {
        self.tracks.iter().find(|track| (track.layer, track.direction) == (layer, direction))
    }

    /// Time steps; 0 before the first pass.
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

/// Fills a [`GradientFlow`] during a pass: with squares first, for a root a step costs as much as a short sum.
#[derive(Clone, Debug, Default)]
pub(super) struct FlowWatch {
    pub(super) flow: GradientFlow,
    dims: Option<Dims>,
}

impl FlowWatch {
    /// Makes norms of the squares; answers where the first value of the pass stands that is not finite.
    pub(super) fn finish(&mut self) -> Option<Place> {
        let mut bad = None;
        for track in self.flow.tracks.iter().rev() {
            // Both directions of a layer come before the layer below, the forward one first: the last found is the first met.
            let find = |tensor: &str, squares: &[f64]| {
                let is_bad = |t: &usize| squares.get(*t).is_some_and(|square| !square.is_finite());
                let mut times = 0..squares.len();
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
        let of_tracks = self.flow.tracks.iter_mut().flat_map(|track| track.h.iter_mut().chain(&mut track.c));
        of_tracks.chain(&mut self.flow.x).for_each(|square| *square = square.sqrt());
        bad.or_else(|| {
            let step = self.flow.x.iter().rposition(|x| !x.is_finite());
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
        let tracks = &mut self.flow.tracks;
        tracks.resize_with(dims.layers * dims.directions, TrackFlow::default);
        for (place, track) in tracks.iter_mut().enumerate() {
            (track.layer, track.direction) = (place / dims.directions, place % dims.directions);
            zeros(&mut track.h, dims.steps)?;
            zeros(&mut track.c, if dims.has_c { dims.steps } else { 0 })?;
        }
        reserve("the observer", &mut self.flow.x, dims.steps)?;
        self.flow.x.clear();
        (self.flow.non_finite, self.dims) = (None, Some(*dims));
        Ok(())
    }

    fn seen(&mut self, step: Seen<'_>) {
        let Seen { dims, layer, direction, time, dh, dc } = step;
        let track = &mut self.flow.tracks[layer * dims.directions + direction];
        track.h[time] = sum_of_squares(dh);
        if dims.has_c {
            track.c[time] = sum_of_squares(dc);
        }
    }

    fn seen_input(&mut self, dx: &[f32]) {
        let Some(dims) = self.dims else { return };
        let width = dx.len() / dims.steps;
        let of_step = |time: usize| sum_of_squares(&dx[time * width..][..width]);
        self.flow.x.extend((0..dims.steps).map(of_step));
    }
}
