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

/// Fills a [`GradientFlow`] during a pass.
#[derive(Clone, Debug, Default)]
pub(super) struct FlowWatch {
    pub(super) flow: GradientFlow,
    /// Where the first value stands that is not finite, as tensor, track and time.
    bad: Option<(&'static str, usize, usize)>,
    dims: Option<Dims>,
}

impl FlowWatch {
    fn note(&mut self, square: f64, tensor: &'static str, track: usize, time: usize) -> f64 {
        if !square.is_finite() && self.bad.is_none() {
            self.bad = Some((tensor, track, time));
        }
        square.sqrt()
    }

    /// Where the first value of the pass stands that is not finite.
    pub(super) fn first_bad(&self) -> Option<Place> {
        let (tensor, track, step) = self.bad?;
        let track = (tensor != "dL/dx").then(|| &self.flow.tracks[track]);
        Some(Place {
            tensor: tensor.to_string(),
            layer: track.map(|track| track.layer),
            direction: track.map(|track| track.direction),
            step: Some(step),
        })
    }
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
        (self.flow.non_finite, self.bad, self.dims) = (None, None, Some(*dims));
        Ok(())
    }

    fn seen(&mut self, step: Seen<'_>) {
        let Seen { dims, layer, direction, time, dh, dc } = step;
        let track = layer * dims.directions + direction;
        let h = self.note(sum_of_squares(dh), "dL/dh", track, time);
        self.flow.tracks[track].h[time] = h;
        if dims.has_c {
            let c = self.note(sum_of_squares(dc), "dL/dc", track, time);
            self.flow.tracks[track].c[time] = c;
        }
    }

    fn seen_input(&mut self, dx: &[f32]) {
        let Some(dims) = self.dims else { return };
        let width = dx.len() / dims.steps;
        for time in 0..dims.steps {
            let x = self.note(sum_of_squares(&dx[time * width..][..width]), "dL/dx", 0, time);
            self.flow.x.push(x);
        }
    }
}
