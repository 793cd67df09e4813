//! What becomes of the two directions of a layer, f and r, at each step, forward and back:
//!
//! ```text
//! sum        y = f + r              df = dy           dr = dy
//! mean       y = (f + r) / 2        df = dy / 2       dr = dy / 2
//! product    y = f r                df = dy r         dr = dy f
//! ```

use super::arrange::Arrangement;
use super::direction::Grid;
use crate::spec::Merge;
use crate::spec::shape::Dims;

/// y of all valid steps from f and r, [T, B, 2 R], time-major, rows in their places. `to` is walked as the grid says.
pub(super) fn forward(
    merge: Merge,
    sides: &[f32],
    to: &mut [f32],
    grid: Grid,
    dims: &Dims,
    rows: &Arrangement,
) {
    for t in 0..dims.steps {
        for place in 0..rows.active_at(0, t, dims) {
            let sides = &sides[Grid::sides(dims, 0).at(t, place)..][..2 * dims.features];
            let (f, r) = sides.split_at(dims.features);
            let to = &mut to[grid.at(t, place)..][..dims.features];
            for ((to, f), r) in to.iter_mut().zip(f).zip(r) {
                *to = match merge {
                    Merge::Concat => unreachable!("directions side by side are not merged"),
                    Merge::Sum => f + r,
                    Merge::Mean => 0.5 * (f + r),
                    Merge::Product => f * r,
                };
            }
        }
    }
}

/// Whether the gradient of a direction is another one than that of y.
pub(super) fn changes_gradient(merge: Merge) -> bool {
    matches!(merge, Merge::Mean | Merge::Product)
}

/// df or dr of all valid steps, [T, B, R], time-major, rows in their places.
pub(super) fn backward(
    merge: Merge,
    sides: &[f32],
    (dy, grid): (&[f32], Grid),
    direction: usize,
    to: &mut [f32],
    dims: &Dims,
    rows: &Arrangement,
) {
    let (other, own) = (Grid::sides(dims, 1 - direction), Grid::time_major(dims, dims.features));
    for t in 0..dims.steps {
        for place in 0..rows.active_at(0, t, dims) {
            let dy = &dy[grid.at(t, place)..][..dims.features];
            let other = &sides[other.at(t, place)..][..dims.features];
            let to = &mut to[own.at(t, place)..][..dims.features];
            for ((to, dy), other) in to.iter_mut().zip(dy).zip(other) {
                *to = if merge == Merge::Product { dy * other } else { 0.5 * dy };
            }
        }
    }
}
