//! Where the first value of a forward pass stands that is infinite or not a number.

use super::direction::{Grid, last_time, time};
use super::tape::Tape;
use crate::spec::{Place, Tensors, View};

/// Whether all values are finite.
fn is_finite(values: &[f32]) -> bool {
    values.iter().all(|value| value.is_finite())
}

impl Tape {
    /// Whether every row's last h is finite in every layer and direction. What is not finite stays so from step to step, but for
    /// resets, so this is a cheap look at whole passes.
    pub(crate) fn ends_finite(&self) -> bool {
        let rows = &self.record.rows;
        self.record.layers.iter().all(|layer| {
            let dims = &layer.dims;
            (0..dims.directions).all(|d| {
                let h = Grid::sides(dims, d);
                let last = |place| last_time(rows.length(place, dims), d);
                let is_fine = |place| {
                    last(place).is_none_or(|t| is_finite(&layer.y[h.at(t, place)..][..dims.features]))
                };
                (0..dims.batch).all(is_fine)
            })
        })
    }

    /// The first value of the recorded pass that is not finite, in the order in which things are computed: the input, the parameters,
    /// then layer by layer h and c, step by step. Backward need not have left the gates as they were.
    pub(crate) fn first_non_finite(&self, params: &Tensors) -> Option<Place> {
        let (record, dims) = (&self.record, self.record.last_dims()?);
        let width = record.x.len() / (dims.steps * dims.batch).max(1);
        let whole = |tensor: &str, step| Place { step: Some(step), ..Place::of(tensor) };
        for t in 0..dims.steps {
            let rows = record.rows.active_at(0, t, &dims);
            if !is_finite(&record.x[t * dims.batch * width..][..rows * width]) {
                return Some(whole("input", t));
            }
        }
        if let Some(bad) = params.iter().find(|tensor| !is_finite(tensor.data())) {
            return Some(Place::of(bad.name()));
        }
        for (layer, tape) in record.layers.iter().enumerate() {
            for (d, track) in tape.tracks.iter().enumerate() {
                let dims = &tape.dims;
                let (h, c) = (Grid::sides(dims, d), Grid::time_major(dims, dims.hidden));
                // Where time is cut into segments, c is there only between them.
                let has_c = record.segments.is_whole() && dims.has_c;
                for s in 0..dims.steps {
                    let t = time(dims, d, s);
                    for place in 0..record.rows.active_at(d, s, dims) {
                        let is_bad =
                            |values: &[f32], at: usize, width: usize| !is_finite(&values[at..][..width]);
                        let tensor = if has_c && is_bad(&track.c, c.at(t, place), dims.hidden) {
                            "c"
                        } else if is_bad(&tape.y, h.at(t, place), dims.features) {
                            "h"
                        } else {
                            continue;
                        };
                        return Some(Place { layer: Some(layer), direction: Some(d), ..whole(tensor, t) });
                    }
                }
            }
        }
        None
    }
}

/// Whether a gradient of the outputs, in a network's layout, is finite at a time step.
pub(crate) fn is_finite_at(output: View<'_>, batch_first: bool, t: usize) -> bool {
    let [first, second, width] = output.shape();
    let (steps, batch) = if batch_first { (second, first) } else { (first, second) };
    let at = |b: usize| (if batch_first { b * steps + t } else { t * batch + b }) * width;
    (0..batch).all(|b| is_finite(&output.data()[at(b)..][..width]))
}
