//! Dropout between layers: each value is dropped or kept by a counter-based random number of its own, so neither the order of the
//! work nor the company of a row matters.

use super::arrange::Arrangement;
use crate::spec::shape::Dims;
use crate::spec::{DropoutKey, philox_at};

/// Multiplies the outputs of a layer by the mask: 0 with probability `rate`, else 1 / (1 - rate). Time-major, rows in their places.
pub(crate) fn apply(
    data: &mut [f32],
    rate: f32,
    key: DropoutKey<'_>,
    layer: usize,
    dims: &Dims,
    rows: &Arrangement,
) {
    let width = dims.output;
    let scale = if rate < 1.0 { 1.0 / (1.0 - rate) } else { 0.0 };
    // A value is dropped if its 24 random bits are below that.
    let below = (f64::from(rate) * f64::from(1 << 24)).round() as u32;
    for (i, vector) in data.chunks_exact_mut(width.max(1)).enumerate() {
        let (t, place) = (i / dims.batch, i % dims.batch);
        let row = rows.row(place);
        let row = key.rows.map_or(row as u32, |rows| rows[row]);
        let step = key.first_step.wrapping_add(t as u32);
        for (block, values) in vector.chunks_mut(4).enumerate() {
            let random = philox_at(key.seed, [block as u32, layer as u32, step, row]);
            for (value, bits) in values.iter_mut().zip(random) {
                *value *= if bits >> 8 < below { 0.0 } else { scale };
            }
        }
    }
}
