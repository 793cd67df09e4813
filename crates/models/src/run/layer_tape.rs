//! What a training forward leaves of one layer.

use super::arrange::Arrangement;
use crate::spec::shape::Dims;

/// One layer's record, time-major, rows in their places.
#[derive(Clone, Debug, Default)]
pub(super) struct LayerTape {
    /// The sizes of the pass and of the layer.
    pub(super) dims: Dims,
    /// [T, B, D * R]: h of all steps. Behind them, so that weight gradients find every h_{t-1} in one array, [D, B, R]: h_0, and h
    /// before a step that starts anew: [D, B, R] where one is given, else [R] zeros.
    pub(super) y: Vec<f32>,
    /// [T, B, R]: the outputs, where the directions are merged into one; else empty, for they are h of all steps.
    pub(super) merged: Vec<f32>,
    /// One for each direction.
    pub(super) tracks: Vec<Track>,
    /// The outputs after dropout; empty without, and where time is cut into segments.
    pub(super) dropped: Vec<f32>,
}

/// What a layer records for one direction alone, beside the gates.
#[derive(Clone, Debug, Default)]
pub(super) struct Track {
    /// [T, B, H]: c of all steps, and behind them [B, H]: c_0; empty where there is no c. Where time is cut into n segments,
    /// [n + 1, B, H]: c before each of them, and behind the last.
    pub(super) c: Vec<f32>,
    /// [B, H]: c before a step that starts anew, where one is given and there is a c; else empty.
    pub(super) reset_c: Vec<f32>,
}

impl Track {
    /// c before a step that starts anew; `None` is zeros.
    pub(super) fn reset_c(&self) -> Option<&[f32]> {
        Some(&self.reset_c[..]).filter(|c| !c.is_empty())
    }
}

impl LayerTape {
    /// The outputs.
    pub(super) fn outputs(&self) -> &[f32] {
        if self.dims.is_merged() { &self.merged } else { &self.y[..self.dims.outputs()] }
    }

    /// h before a step of a direction that starts anew; `None` is zeros.
    pub(super) fn reset_h(&self, direction: usize, rows: &Arrangement) -> Option<&[f32]> {
        let at = reset_at(&self.dims) + direction * self.dims.state();
        rows.reset_rows().map(|_| &self.y[at..][..self.dims.state()])
    }

    /// What the next layer reads; `dropped` holds it where the tape keeps no outputs after dropout but there are some.
    pub(super) fn passed_on<'a>(&'a self, dropped: &'a [f32]) -> &'a [f32] {
        match (&self.dropped[..], dropped) {
            ([], []) => self.outputs(),
            ([], dropped) => &dropped[..self.dims.outputs()],
            (dropped, _) => dropped,
        }
    }
}

/// Where h before a step that starts anew begins behind a layer's h of all steps.
pub(super) fn reset_at(dims: &Dims) -> usize {
    dims.sides() + dims.directions * dims.state()
}
