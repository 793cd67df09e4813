//! Who looks at the gradients on their way back through time, and what may change them there.

use super::arrange::Arrangement;
use super::direction::{first_time, time};
use crate::spec::Error;
use crate::spec::shape::{Dims, resize};
use std::ops::Range;

/// Somebody who looks at a backward pass.
pub(crate) trait Watch: Send {
    /// Before anything is written: the sizes of the pass, and the largest of any layer.
    ///
    /// # Errors
    /// What comes out, the pass refuses with.
    fn begin(&mut self, dims: &Dims) -> Result<(), Error>;

    /// Whether [`seen`](Watch::seen) wants dL/dh and dL/dc, so that the kernels store them.
    fn wants_steps(&self) -> bool {
        true
    }

    /// Whether [`carried`](Watch::carried) is to be called, which has the steps run one at a time.
    fn is_stepwise(&self) -> bool {
        false
    }

    /// Whether gradients pass from layer to layer; else each layer and direction is by itself, with nothing but its part of
    /// dL/d(h_n, c_n) above it.
    fn joins_layers(&self) -> bool {
        true
    }

    /// What a time chunk left: layer by layer from the top, in each the directions, in each the last steps first.
    fn seen(&mut self, _chunk: Seen<'_>) {}

    /// What goes into a step, to change.
    fn carried(&mut self, _step: Carried<'_>) {}

    /// dL/dx of a time chunk, [times, B, I], time-major; zeros beyond a row's length. In the order of the bottom layer's last direction.
    fn seen_input(&mut self, _times: Range<usize>, _dx: &[f32]) {}
}

/// The gradients of a time chunk of a layer in a direction, while they are hot.
pub(crate) struct Seen<'a> {
    /// The sizes of the pass and of the layer.
    pub(crate) dims: &'a Dims,
    pub(crate) layer: usize,
    pub(crate) direction: usize,
    /// The direction's steps.
    pub(super) steps: Range<usize>,
    pub(super) rows: &'a Arrangement,
    /// [steps, B, R] and [steps, B, H], time-major; of c empty where there is none.
    pub(super) dh: &'a [f32],
    pub(super) dc: &'a [f32],
}

/// The gradients of one of its steps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SeenStep<'a> {
    /// Where the step stands in time.
    pub(crate) time: usize,
    /// All of dL/dh_t, [rows, R], of the rows that take part in the step.
    pub(crate) dh: &'a [f32],
    /// All of dL/dc_t, [rows, H]; empty where there is no c.
    pub(crate) dc: &'a [f32],
}

impl<'a> Seen<'a> {
    /// Where they stand in time, and dL/dh and dL/dc of all of them, where all rows take part in each.
    pub(crate) fn whole(&self) -> Option<(Range<usize>, &'a [f32], &'a [f32])> {
        let Seen { dims, direction, ref steps, rows, dh, dc, .. } = *self;
        let (first, count) = (first_time(dims, direction, steps), steps.len() * dims.batch);
        let all =
            || (first..first + steps.len(), &dh[..count * dims.features], &dc[..count * dims.cell_width()]);
        (!rows.is_ragged()).then(all)
    }

    /// The steps, last one first.
    pub(crate) fn steps(&self) -> impl Iterator<Item = SeenStep<'a>> {
        let Seen { dims, direction, ref steps, rows, dh, dc, .. } = *self;
        let (batch, h, c) = (dims.batch, dims.features, dims.cell_width());
        let first = first_time(dims, direction, steps);
        steps.clone().rev().map(move |step| {
            let (time, rows) = (time(dims, direction, step), rows.active_at(direction, step, dims));
            let at = (time - first) * batch;
            SeenStep { time, dh: &dh[at * h..(at + rows) * h], dc: &dc[at * c..(at + rows) * c] }
        })
    }
}

/// The gradients that go into one step of a layer in a direction.
#[derive(Debug)]
pub(crate) struct Carried<'a> {
    /// The sizes of the pass and of the layer.
    pub(crate) dims: &'a Dims,
    pub(crate) layer: usize,
    pub(crate) direction: usize,
    /// The direction's step, counted from its first.
    pub(crate) step: usize,
    /// All of dL/dh_t, [rows, R], of the rows that take part in the step.
    pub(crate) dh: &'a mut [f32],
    /// dL/dc_t as it came from the step after, [rows, H]; empty where there is no c.
    pub(crate) dc: &'a mut [f32],
}

/// Room for the time chunk at hand, kept from pass to pass by whoever looks.
#[derive(Clone, Debug, Default)]
pub(crate) struct WatchRoom {
    /// dL/dh, [steps, B, R], time-major, rows in their places.
    pub(super) dh: Vec<f32>,
    /// dL/dc, [steps, B, H], likewise.
    pub(super) dc: Vec<f32>,
}

/// Somebody who looks, with room.
pub(crate) struct Watched<'a> {
    pub(crate) watch: &'a mut (dyn Watch + 'static),
    pub(crate) room: &'a mut WatchRoom,
}

/// Makes room for whoever looks, by the largest sizes of any layer, for time chunks of so many rows; nothing is written if it cannot
/// be had.
pub(super) fn begin_watch<'a>(
    watched: Option<Watched<'a>>,
    dims: &Dims,
    rows: usize,
) -> Result<Option<Watched<'a>>, Error> {
    let Some(Watched { watch, room }) = watched else { return Ok(None) };
    let rows = if watch.wants_steps() { rows } else { 0 };
    resize("the observer", &mut room.dh, rows * dims.features)?;
    resize("the observer", &mut room.dc, rows * dims.cell_width())?;
    watch.begin(dims)?;
    Ok(Some(Watched { watch, room }))
}

/// A limit on dL/dh_t, the gradient of the loss with respect to a row's h at one time step, with all that comes to it from above and
/// from later steps. It is applied before the gradient passes the step's cell, so an exploding gradient is cut where it explodes,
/// and not only in the sum over time that [`clip_grad_norm`](crate::clip_grad_norm) sees. What is within the limit keeps its bits.
///
/// # Examples
/// ```
/// use gatewise::{Rnn, StepClip, Upstream, View};
///
/// let rnn = Rnn::builder(1, 4).seed(1).build()?;
/// let (x, dy) = ([0.5; 6], [100.0; 6 * 4]);
/// let mut tape = rnn.forward_train(View::new(&x, [6, 1, 1])?, None)?;
/// let mut grads = rnn.params().zeros_like();
/// let upstream = Upstream::output(View::new(&dy, [6, 1, 4])?);
/// rnn.backward(&mut tape, Upstream { clip: Some(StepClip::Norm(1.0)), ..upstream }, &mut grads)?;
/// // Six steps of one row: dL/da of a step is no longer than dL/dh, so db is no longer than six of them.
/// let db = grads.get("bias_hh_l0").map_or(&[][..], |db| db.data());
/// assert!(db.iter().map(|db| db * db).sum::<f32>().sqrt() <= 6.0);
/// # Ok::<(), gatewise::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum StepClip {
    /// The L2 norm of a row's dL/dh_t is at most this: the row is scaled. A row whose norm is infinite or not a number stays as it
    /// is. The norm is taken in f64.
    Norm(f32),
    /// Each element of dL/dh_t is within minus and plus this. A NaN stays.
    Value(f32),
}

impl StepClip {
    /// Checks that there is a limit.
    pub(crate) fn check(self) -> Result<(), Error> {
        let (StepClip::Norm(limit) | StepClip::Value(limit)) = self;
        if limit >= 0.0 {
            return Ok(());
        }
        let expected = "a number that is not negative";
        Err(Error::Config { arg: "clip", expected, got: limit.to_string() })
    }

    /// Limits one row.
    pub(super) fn apply(self, row: &mut [f32]) {
        match self {
            StepClip::Value(limit) => row.iter_mut().for_each(|value| *value = value.clamp(-limit, limit)),
            StepClip::Norm(limit) => {
                let square: f64 = row.iter().map(|&value| f64::from(value) * f64::from(value)).sum();
                let (norm, limit) = (square.sqrt(), f64::from(limit));
                if norm > limit && norm.is_finite() {
                    let factor = limit / norm;
                    row.iter_mut().for_each(|value| *value = (f64::from(*value) * factor) as f32);
                }
            }
        }
    }
}
