//! What comes into the backward pass from above, and what it leaves beside the gradients of the parameters.

use super::memory::{Segments, bytes, bytes_of_aligned, bytes_of_all};
use super::merge;
use super::watch::StepClip;
use crate::spec::shape::{Dims, resize};
use crate::spec::{Config, Error, View};
use gatewise_kernels::{AlignedBuf, OuterScratch};

/// The gradient that comes into a network from what stands on it. What is left out counts as zero.
///
/// # Examples
/// The gradient of the final state alone:
/// ```
/// use gatewise::{Gru, Upstream, View};
///
/// let gru = Gru::new(1, 2)?;
/// let mut tape = gru.forward_train(View::new(&[0.5; 4], [4, 1, 1])?, None)?; // four steps of one row
/// let upstream = Upstream { h_n: Some(&[1.0; 2]), input_grad: false, ..Upstream::default() };
/// let mut grads = gru.params().zeros_like();
/// gru.backward(&mut tape, upstream, &mut grads)?;
/// assert!(grads.get("weight_ih_l0").unwrap().data().iter().any(|&dw| dw != 0.0));
/// assert_eq!(tape.grad_input(), None);
/// # Ok::<(), gatewise::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Upstream<'a> {
    /// dL/d output, in the layout of the output. What stands beyond a row's length is not read.
    pub output: Option<View<'a>>,
    /// dL/dh_n, [num_layers * directions, batch, hidden_size].
    pub h_n: Option<&'a [f32]>,
    /// dL/dc_n, likewise.
    pub c_n: Option<&'a [f32]>,
    /// Whether dL/dx is wanted.
    pub input_grad: bool,
    /// A limit on dL/dh_t of each row and step, in every layer and direction. The steps then run one at a time, which is slower: a
    /// few times for small networks.
    pub clip: Option<StepClip>,
}

impl Default for Upstream<'_> {
    fn default() -> Self {
        Upstream { output: None, h_n: None, c_n: None, input_grad: true, clip: None }
    }
}

impl<'a> Upstream<'a> {
    /// The gradient of the outputs alone.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Upstream, View};
    ///
    /// let dy = View::new(&[1.0; 4 * 3], [4, 1, 3])?; // four steps of one row
    /// let upstream = Upstream::output(dy);
    /// assert_eq!((upstream.output, upstream.h_n, upstream.input_grad), (Some(dy), None, true));
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn output(output: View<'a>) -> Upstream<'a> {
        Upstream { output: Some(output), ..Upstream::default() }
    }
}

/// What a backward pass leaves beside the gradients of the parameters: those of the input and of the initial state. Its buffers
/// are kept and reused from one pass to the next.
///
/// A tape has one of its own for `backward`; `backward_keep` writes into the caller's.
///
/// # Examples
/// ```
/// use gatewise::{Gradients, Gru, Upstream, View};
///
/// let (gru, mut gradients) = (Gru::new(2, 3)?, Gradients::default());
/// let tape = gru.forward_train(View::new(&[0.5; 4 * 2], [4, 1, 2])?, None)?; // four steps of one row
/// let (dy, mut grads) = ([1.0; 4 * 3], gru.params().zeros_like());
/// gru.backward_keep(&tape, Upstream::output(View::new(&dy, [4, 1, 3])?), &mut gradients, &mut grads)?;
/// assert_eq!(gradients.grad_input().map(|dx| dx.shape()), Some([4, 1, 2]));
/// assert_eq!((gradients.grad_h_0().len(), gradients.grad_c_0().len()), (3, 0));
/// # Ok::<(), gatewise::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Gradients {
    dims: Option<Dims>,
    batch_first: bool,
    has_input: bool,
    /// Features of the input, which an input of no rows does not tell.
    input_size: usize,
    pub(super) input: Vec<f32>,
    pub(super) h_0: Vec<f32>,
    pub(super) c_0: Vec<f32>,
    /// Those of the state that resets lead to, if one is given.
    pub(super) reset_h: Vec<f32>,
    pub(super) reset_c: Vec<f32>,
    /// For each layer and direction, [T, B, saved * H]: the gradients of the pre-activations, for a pass that may not leave them
    /// on the tape.
    pub(super) gates: Vec<Vec<f32>>,
    pub(super) room: BackwardRoom,
}

/// What backward works with; it grows as needed.
#[derive(Clone, Debug, Default)]
pub(super) struct BackwardRoom {
    /// Gradients of the outputs of the layer at hand, and of the one below it, time-major, rows in their places.
    pub(super) between: [Vec<f32>; 2],
    /// dL/dh and dL/dc on their way from step to step, rows in their places.
    pub(super) dh: Vec<f32>,
    pub(super) dc: Vec<f32>,
    /// [steps, B, P]: dL/dh of the time chunk at hand, where h is projected.
    pub(super) dh_steps: Vec<f32>,
    /// [T, B, R]: the gradient of the direction at hand, where the directions are merged in another way than by a sum.
    pub(super) of_side: Vec<f32>,
    /// [B, R] and [B, H]: h and c before a step that the kernel is shown as its first; in the forward pass h before a run of steps that
    /// shorter rows do not take part in.
    pub(super) before_h: Vec<f32>,
    pub(super) before_c: Vec<f32>,
    pub(super) lists: RowLists,
    pub(super) segment: SegmentRoom,
    /// The outputs of a layer after dropout, where the tape does not keep them.
    pub(super) dropped: Vec<f32>,
    pub(super) scratch: AlignedBuf,
}

/// A segment of one layer and direction that runs once more, time-major, rows in their places.
#[derive(Clone, Debug, Default)]
pub(super) struct SegmentRoom {
    /// h of its steps.
    pub(super) y: Vec<f32>,
    pub(super) c: Vec<f32>,
    pub(super) gates: Vec<f32>,
    /// h before its first step.
    pub(super) h_0: Vec<f32>,
}

impl SegmentRoom {
    /// Makes room for a segment of these sizes; its steps may be 0.
    pub(super) fn resize(&mut self, part: &Dims) -> Result<(), Error> {
        let what = "the gradients";
        resize(what, &mut self.y, part.steps * part.state())?;
        resize(what, &mut self.c, part.cells())?;
        resize(what, &mut self.gates, part.gates())?;
        resize(what, &mut self.h_0, if part.steps > 0 { part.state() } else { 0 })
    }
}

/// Where the rows that a time chunk adds to the weight gradients start in gates, input, h and dL/dh.
#[derive(Clone, Debug, Default)]
pub(super) struct RowLists {
    pub(super) gates: Vec<usize>,
    pub(super) input: Vec<usize>,
    pub(super) h: Vec<usize>,
    pub(super) dh: Vec<usize>,
    pub(super) outer: OuterScratch,
}

impl Gradients {
    /// Makes room for a pass whose time chunks have so many rows; `is_moved`: rows or axes stand elsewhere on the tape than where the
    /// caller has them.
    #[allow(
        clippy::too_many_arguments,
        reason = "the sizes of a pass, and what decides about room beside them"
    )]
    pub(super) fn begin(
        &mut self,
        config: &Config,
        dims: &Dims,
        segments: Segments,
        rows: usize,
        is_moved: bool,
        reset_rows: Option<usize>,
        input_grad: bool,
    ) -> Result<(), Error> {
        self.forget();
        self.reserve_segment(config, dims, segments)?;
        let (what, widest) = ("the gradients", dims.widest(config));
        let needs_room = dims.layers > 1 || is_moved;
        let between = if needs_room { widest.outputs().max(widest.inputs()) } else { 0 };
        for buffer in &mut self.room.between {
            resize(what, buffer, between)?;
        }
        resize(what, &mut self.room.dh, widest.state())?;
        resize(what, &mut self.room.dc, widest.cell_state())?;
        let of_steps = if config.proj_size > 0 { rows * widest.features } else { 0 };
        resize(what, &mut self.room.dh_steps, of_steps)?;
        let of_h = widest.sequence(widest.features);
        resize(what, &mut self.room.of_side, if merge::changes_gradient(config.merge) { of_h } else { 0 })?;
        resize(what, &mut self.room.before_h, widest.state())?;
        resize(what, &mut self.room.before_c, widest.cell_state())?;
        let resets = dims.with_batch(reset_rows.unwrap_or(0));
        resize(what, &mut self.reset_h, resets.states())?;
        resize(what, &mut self.reset_c, resets.cell_states())?;
        self.reset_h.fill(0.0);
        self.reset_c.fill(0.0);
        resize(what, &mut self.h_0, dims.states())?;
        resize(what, &mut self.c_0, dims.cell_states())?;
        resize(what, &mut self.input, if input_grad { dims.sequence(config.input_size) } else { 0 })?;
        (self.dims, self.batch_first, self.has_input) = (Some(*dims), config.batch_first, input_grad);
        self.input_size = config.input_size;
        Ok(())
    }

    /// Makes room for what runs once more, if anything does.
    pub(super) fn reserve_segment(
        &mut self,
        config: &Config,
        dims: &Dims,
        segments: Segments,
    ) -> Result<(), Error> {
        let len = if segments.is_whole() { 0 } else { segments.len };
        let widest = dims.widest(config);
        let part = widest.with_steps(len);
        let (what, room) = ("the gradients", &mut self.room);
        room.segment.resize(&part)?;
        let is_dropped = len > 0 && config.dropout > 0.0 && dims.layers > 1;
        resize(what, &mut room.dropped, if is_dropped { widest.outputs() } else { 0 })
    }

    /// Bytes that the buffers take: what the passes so far needed at most.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Gradients, Gru, Upstream, View};
    ///
    /// let (gru, mut gradients) = (Gru::new(1, 8)?, Gradients::default());
    /// let tape = gru.forward_train(View::new(&[0.5; 20], [20, 1, 1])?, None)?;
    /// let dh = Upstream { h_n: Some(&[1.0; 8]), ..Upstream::default() };
    /// gru.backward_keep(&tape, dh, &mut gradients, &mut gru.params().zeros_like())?;
    /// assert!(gradients.bytes() >= (20 + 8) * size_of::<f32>()); // dL/dx and dL/dh_0 at least
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn bytes(&self) -> usize {
        let Gradients { input, h_0, c_0, reset_h, reset_c, gates, room, .. } = self;
        let BackwardRoom { between, dh, dc, dh_steps, of_side, before_h, before_c, dropped, .. } = room;
        let SegmentRoom { y, c, gates: again, h_0: before } = &room.segment;
        bytes_of_all([
            input, h_0, c_0, reset_h, reset_c, dh, dc, dh_steps, of_side, before_h, before_c, dropped,
        ]) + bytes_of_all([y, c, again, before])
            + bytes(gates)
            + bytes_of_all(gates)
            + bytes_of_all(between)
            + bytes_of_aligned(&room.scratch)
            + room.lists.bytes()
    }

    /// There are no gradients any more.
    pub(super) fn forget(&mut self) {
        self.dims = None;
    }

    /// dL/dx, in the layout of the input, as the last pass left it; `None` if it was not asked for. Zeros beyond a row's length.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Gradients, Gru, Upstream, View};
    ///
    /// let (gru, mut gradients) = (Gru::new(1, 2)?, Gradients::default());
    /// let tape = gru.forward_train(View::new(&[0.5; 4], [4, 1, 1])?, None)?; // four steps of one row
    /// for input_grad in [true, false] {
    ///     let dh = Upstream { h_n: Some(&[1.0; 2]), input_grad, ..Upstream::default() };
    ///     gru.backward_keep(&tape, dh, &mut gradients, &mut gru.params().zeros_like())?;
    ///     assert_eq!(gradients.grad_input().is_some_and(|dx| dx.shape() == [4, 1, 1]), input_grad);
    /// }
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn grad_input(&self) -> Option<View<'_>> {
        let dims = self.dims.filter(|_| self.has_input)?;
        View::new(&self.input, dims.shape(self.input_size, self.batch_first)).ok()
    }

    /// dL/dh_0, [num_layers * directions, batch, hidden_size]; empty before the first pass.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Gradients, Gru, Upstream, View};
    ///
    /// let (gru, mut gradients) = (Gru::new(1, 2)?, Gradients::default());
    /// assert!(gradients.grad_h_0().is_empty());
    /// let tape = gru.forward_train(View::new(&[0.5; 2 * 3], [2, 3, 1])?, None)?; // two steps of three rows
    /// let dh = Upstream { h_n: Some(&[1.0; 3 * 2]), ..Upstream::default() };
    /// gru.backward_keep(&tape, dh, &mut gradients, &mut gru.params().zeros_like())?;
    /// assert_eq!(gradients.grad_h_0().len(), 3 * 2);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn grad_h_0(&self) -> &[f32] {
        if self.dims.is_some() { &self.h_0 } else { &[] }
    }

    /// dL/dc_0 likewise; empty for a cell without c.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Gradients, Lstm, Upstream, View};
    ///
    /// let (lstm, mut gradients) = (Lstm::new(1, 2)?, Gradients::default());
    /// let tape = lstm.forward_train(View::new(&[0.5; 2 * 3], [2, 3, 1])?, None)?; // two steps of three rows
    /// let dc = Upstream { c_n: Some(&[1.0; 3 * 2]), ..Upstream::default() };
    /// lstm.backward_keep(&tape, dc, &mut gradients, &mut lstm.params().zeros_like())?;
    /// assert!(gradients.grad_c_0().len() == 3 * 2 && gradients.grad_c_0().iter().all(|&dc| dc > 0.0));
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn grad_c_0(&self) -> &[f32] {
        if self.dims.is_some() { &self.c_0 } else { &[] }
    }

    /// The gradient with respect to the h of [`Input::reset_state`](crate::Input::reset_state), shaped as that: for each row the sum
    /// over its resets, or where all rows share one state the sum over all of them. Zeros without resets; empty if no state was given.
    ///
    /// # Examples
    /// Two rows that share one state, which row 1 never starts from:
    /// ```
    /// use gatewise::{Gru, Input, Upstream, View};
    ///
    /// let gru = Gru::new(1, 2)?;
    /// let (start, resets) = (gru.zero_state(1)?, [true, false, false, false]); // two steps of two rows
    /// let x = Input::from(View::new(&[0.5; 4], [2, 2, 1])?).resets(&resets).reset_state(&start);
    /// let mut tape = gru.forward_train(x, None)?;
    /// let upstream = Upstream { h_n: Some(&[1.0; 2 * 2]), ..Upstream::default() };
    /// gru.backward(&mut tape, upstream, &mut gru.params().zeros_like())?;
    /// // Where row 0 starts anew the gradient goes to that state, and not to its h_0.
    /// assert!(tape.gradients().grad_reset_h().iter().all(|&dh| dh != 0.0));
    /// assert_eq!(tape.grad_h_0()[..2], [0.0; 2]);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn grad_reset_h(&self) -> &[f32] {
        if self.dims.is_some() { &self.reset_h } else { &[] }
    }

    /// Likewise with respect to its c; empty for a cell without c.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Input, Lstm, Upstream, View};
    ///
    /// let lstm = Lstm::new(1, 2)?;
    /// let (start, resets) = (lstm.zero_state(1)?, [false, true]); // two steps of one row
    /// let x = Input::from(View::new(&[0.5; 2], [2, 1, 1])?).resets(&resets).reset_state(&start);
    /// let mut tape = lstm.forward_train(x, None)?;
    /// let upstream = Upstream { c_n: Some(&[1.0; 2]), ..Upstream::default() };
    /// lstm.backward(&mut tape, upstream, &mut lstm.params().zeros_like())?;
    /// assert!(tape.gradients().grad_reset_c().iter().all(|&dc| dc > 0.0));
    /// assert_eq!(tape.grad_c_0(), [0.0; 2]);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn grad_reset_c(&self) -> &[f32] {
        if self.dims.is_some() { &self.reset_c } else { &[] }
    }
}
