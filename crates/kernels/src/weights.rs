//! The weights of one layer in one direction, packed for the kernels that will run it.

use crate::aligned::AlignedBuf;
use crate::error::Error;
use crate::gemm::PackedB;
use crate::gemm::pack::{Depth, PanelShape, Source, pack};
use crate::gemm::single::strip_panels;
use crate::isa::Isa;
use crate::options::CellSpec;
use crate::plan::{ForwardPlan, Projection, part};
use crate::rows::{Cell, CellRows, Form, Row};
use crate::team::MOST;

/// The weights as PyTorch lays them out: gate after gate, in its order (i f g o; r z n).
///
/// # Examples
/// ```
/// use gatewise_kernels::{Cell, Kernels, Step, Weights};
///
/// let (kernels, mut h) = (Kernels::auto()?, [0.0]);
/// let weights = Weights { w_ih: &[2.0], w_hh: &[0.5], b_ih: Some(&[1.0]), b_hh: None, w_hr: None };
/// let packed = kernels.pack_cell(Cell::RnnRelu, 1, 1, weights)?;
/// kernels.step(&packed, Step { batch: 1, x: &[3.0], h_0: &[4.0], h_1: &mut h, c: &mut [] }, 1)?;
/// assert_eq!(h, [2.0 * 3.0 + 0.5 * 4.0 + 1.0]);
/// # Ok::<(), gatewise_kernels::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Weights<'a> {
    /// weight_ih, [gates * hidden_size, input_size].
    pub w_ih: &'a [f32],
    /// weight_hh, [gates * hidden_size, hidden_size], or [.., proj_size] for a cell with a projection.
    pub w_hh: &'a [f32],
    /// bias_ih, [gates * hidden_size]; `None` is zeros.
    pub b_ih: Option<&'a [f32]>,
    /// bias_hh, [gates * hidden_size]; `None` is zeros.
    pub b_hh: Option<&'a [f32]>,
    /// weight_hr, [proj_size, hidden_size], for a cell with a projection; `None` for the others.
    pub w_hr: Option<&'a [f32]>,
}

/// Packed weights and the kernels chosen for them. Made by [`Kernels::pack_cell`](crate::Kernels::pack_cell).
///
/// # Examples
/// ```
/// use gatewise_kernels::{Cell, Kernels, Weights};
///
/// let weights = Weights { w_ih: &[0.5; 3 * 2], w_hh: &[0.5; 3], ..Weights::default() };
/// let packed = Kernels::auto()?.pack_cell(Cell::Gru, 2, 1, weights)?;
/// assert_eq!((packed.input_size(), packed.hidden_size(), packed.state_size()), (2, 1, 1));
/// # Ok::<(), gatewise_kernels::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct PackedCell {
    pub(crate) spec: CellSpec,
    pub(crate) input: usize,
    pub(crate) hidden: usize,
    pub(crate) lanes: usize,
    /// Vectors of a strip of the packed weights.
    pub(crate) nr: usize,
    pub(crate) isa: Isa,
    pub(crate) rows: CellRows,
    /// [strip][k][vector][lane], the vectors of a panel gate by gate. Where the GRU's reset gate comes first, r and z so, and n so
    /// behind them.
    pub(crate) w_ih: AlignedBuf,
    pub(crate) w_hh: AlignedBuf,
    /// [panel][gate][lane], likewise.
    pub(crate) b_ih: AlignedBuf,
    pub(crate) b_hh: AlignedBuf,
    /// W_hr^T as the right operand of h = W_hr u, for a cell with a projection.
    pub(crate) w_hr: Option<PackedB>,
    /// A row of zeros: the state that a caller leaves out.
    pub(crate) zeros: AlignedBuf,
    pub(crate) for_training: Option<Transposed>,
}

/// The same weights for the backward pass: k runs over gates and units.
#[derive(Clone, Debug)]
pub(crate) struct Transposed {
    pub(crate) w_hh: PackedB,
    pub(crate) w_ih: PackedB,
    pub(crate) w_hr: Option<PackedB>,
}

impl PackedCell {
    pub(crate) fn new(
        isa: Isa,
        rows: CellRows,
        (spec, input, hidden): (CellSpec, usize, usize),
        weights: Weights<'_>,
    ) -> Result<PackedCell, Error> {
        let state = spec.state_size(hidden);
        if spec.form() == Form::ResetBefore && state != hidden {
            return Err(Error::Shape { arg: "proj_size", dim: "size", expected: hidden, got: state });
        }
        let (lanes, nr) = (rows.step.lanes, rows.step.nr);
        let others = [Some(rows.step_single), rows.forward, Some(rows.backward)];
        assert!(
            others.into_iter().flatten().all(|row| (row.lanes, row.nr) == (lanes, nr)),
            "the kernels of a cell read one packing"
        );
        let overflow = || Error::SizeOverflow { what: "weights" };
        let room = |len: Option<usize>| AlignedBuf::zeroed(len.ok_or_else(overflow)?).map_err(|_| overflow());
        let per_k = runs(spec, PanelShape { lanes, nr, groups: spec.gates(), depth: 1, units: hidden })
            .iter()
            .try_fold(0_usize, |len, shape| len.checked_add(shape.len()?))
            .ok_or_else(overflow)?;
        for (depth, width) in [(input, per_k), (state, per_k), (state, hidden)] {
            depth.checked_mul(width).ok_or_else(overflow)?;
        }
        // Before any room is taken: a weight of the wrong length may stand beside a size that was never meant.
        check(spec, (input, hidden), &weights)?;
        let mut packed = PackedCell {
            spec,
            input,
            hidden,
            lanes,
            nr,
            isa,
            rows,
            w_ih: room(per_k.checked_mul(input))?,
            w_hh: room(per_k.checked_mul(state))?,
            b_ih: room(Some(per_k))?,
            b_hh: room(Some(per_k))?,
            w_hr: spec.proj_size.map(|_| PackedB::empty()),
            zeros: room(Some(hidden.max(state)))?,
            for_training: None,
        };
        packed.repack(weights)?;
        Ok(packed)
    }

    /// The cell.
    ///
    /// # Examples
    /// ```
    /// use gatewise_kernels::{Cell, Kernels, Weights};
    ///
    /// assert_eq!(Kernels::auto()?.pack_cell(Cell::Gru, 0, 0, Weights::default())?.cell(), Cell::Gru);
    /// # Ok::<(), gatewise_kernels::Error>(())
    /// ```
    pub fn cell(&self) -> Cell {
        self.spec.cell
    }

    /// The cell and its options.
    ///
    /// # Examples
    /// ```
    /// use gatewise_kernels::{Cell, Kernels, Weights};
    ///
    /// assert!(Kernels::auto()?.pack_cell(Cell::Gru, 0, 0, Weights::default())?.spec().linear_before_reset);
    /// # Ok::<(), gatewise_kernels::Error>(())
    /// ```
    pub fn spec(&self) -> &CellSpec {
        &self.spec
    }

    /// I, features of the input.
    pub fn input_size(&self) -> usize {
        self.input
    }

    /// H, hidden units.
    pub fn hidden_size(&self) -> usize {
        self.hidden
    }

    /// Features of h: H, or P with a projection.
    pub fn state_size(&self) -> usize {
        self.spec.state_size(self.hidden)
    }

    /// How the input gets into the recurrence where the plan says so: some cells always multiply it in the recurrent kernel.
    pub(crate) fn projection(&self, plan: &ForwardPlan) -> Projection {
        if self.rows.forward.is_some() { plan.projection } else { Projection::Fused }
    }

    /// The packed W_hr^T, or null.
    pub(crate) fn projection_weights(&self) -> *const f32 {
        self.w_hr.as_ref().map_or(std::ptr::null(), |w_hr| w_hr.panels.as_ptr())
    }

    /// Vectors of hidden units.
    pub(crate) fn panels(&self) -> usize {
        self.hidden.div_ceil(self.lanes)
    }

    /// The panels of a slice of the units, the `index`-th of `slices`, for a pass whose panels have `vectors` vectors: it starts a
    /// strip of the packed weights.
    pub(crate) fn slice(&self, vectors: usize, slices: usize, index: usize) -> (usize, usize) {
        let strip = strip_panels(vectors, self.nr);
        let (begin, end) = part(self.panels().div_ceil(strip), slices, index);
        ((begin * strip).min(self.panels()), (end * strip).min(self.panels()))
    }

    /// Members of a team for a plan's slices: as many as get a strip each, and one where a step takes more than one pass over the
    /// units.
    pub(crate) fn team(&self, slices: usize) -> usize {
        let one_pass = self.spec.proj_size.is_none() && self.spec.form() != Form::ResetBefore;
        let strips = self.panels().div_ceil(self.nr);
        if one_pass { slices.min(strips).clamp(1, MOST) } else { 1 }
    }

    /// Floats of a row of the projected input: whole panels.
    pub(crate) fn xa_row(&self) -> usize {
        self.panels() * self.lanes * self.spec.gates()
    }

    /// Lanes that the weights are packed for.
    ///
    /// # Examples
    /// ```
    /// use gatewise_kernels::{Cell, Kernels, Weights};
    ///
    /// let kernels = Kernels::auto()?;
    /// assert_eq!(kernels.pack_cell(Cell::Gru, 0, 0, Weights::default())?.lanes(), kernels.lanes());
    /// # Ok::<(), gatewise_kernels::Error>(())
    /// ```
    pub fn lanes(&self) -> usize {
        self.lanes
    }

    /// The kernel that runs the recurrence of such a plan.
    pub fn forward_row(&self, plan: &ForwardPlan) -> &'static Row {
        match (plan.projection, self.rows.forward) {
            (Projection::Chunked { .. }, Some(forward)) => forward,
            // A kernel for single rows knows all its panels: it takes no slice.
            _ if plan.single_row && plan.slices <= 1 => self.rows.step_single,
            _ => self.rows.step,
        }
    }

    /// The kernel that runs the recurrence backward.
    ///
    /// # Examples
    /// ```
    /// use gatewise_kernels::{Cell, Kernels, Pass, Weights};
    ///
    /// let packed = Kernels::auto()?.pack_cell(Cell::Gru, 0, 0, Weights::default())?;
    /// assert_eq!(packed.backward_row().pass, Pass::Backward);
    /// # Ok::<(), gatewise_kernels::Error>(())
    /// ```
    pub fn backward_row(&self) -> &'static Row {
        self.rows.backward
    }

    /// Bytes of the packed weights, those for training included.
    pub fn bytes(&self) -> usize {
        let of = |b: Option<&PackedB>| b.map_or(0, |b| b.panels.len());
        let transposed = self.for_training.as_ref();
        let transposed =
            transposed.map_or(0, |t| of(Some(&t.w_hh)) + of(Some(&t.w_ih)) + of(t.w_hr.as_ref()));
        let packed = self.w_ih.len() + self.w_hh.len() + self.b_ih.len() + self.b_hh.len();
        4 * (packed + of(self.w_hr.as_ref()) + transposed)
    }

    /// Bytes of W_hh as the forward recurrence reads it at each step.
    pub fn recurrent_bytes(&self) -> usize {
        4 * self.w_hh.len()
    }

    /// Packs changed weights in the same room, without allocating; for training too, if
    /// [`prepare_training`](PackedCell::prepare_training) was called.
    ///
    /// # Errors
    /// [`Error::Shape`] if a weight is not as long as the cell needs.
    ///
    /// # Examples
    /// ```
    /// use gatewise_kernels::{Cell, Kernels, Step, Weights};
    ///
    /// let (kernels, old, mut h) = (Kernels::auto()?, Weights { w_hh: &[1.0], ..Weights::default() }, [0.0]);
    /// let mut packed = kernels.pack_cell(Cell::RnnRelu, 0, 1, old)?;
    /// packed.repack(Weights { w_hh: &[3.0], ..old })?;
    /// kernels.step(&packed, Step { batch: 1, x: &[], h_0: &[2.0], h_1: &mut h, c: &mut [] }, 1)?;
    /// assert_eq!(h, [3.0 * 2.0]);
    /// # Ok::<(), gatewise_kernels::Error>(())
    /// ```
    pub fn repack(&mut self, weights: Weights<'_>) -> Result<(), Error> {
        check(self.spec, (self.input, self.hidden), &weights)?;
        let (hidden, state) = (self.hidden, self.state_size());
        let (spec, input, tile) = (self.spec, self.input, (self.lanes, self.nr));
        let shape =
            PanelShape { lanes: self.lanes, nr: self.nr, groups: spec.gates(), depth: 1, units: hidden };
        for (to, from, depth) in
            [(&mut self.w_ih, weights.w_ih, input), (&mut self.w_hh, weights.w_hh, state)]
        {
            let source = Source { data: from, group: hidden * depth, unit: depth, depth: Depth::Stride(1) };
            pack_gates(spec, to, PanelShape { depth, ..shape }, source);
        }
        for (to, from) in [(&mut self.b_ih, weights.b_ih), (&mut self.b_hh, weights.b_hh)] {
            match from {
                Some(data) => {
                    let source = Source { data, group: hidden, unit: 1, depth: Depth::Stride(0) };
                    pack_gates(spec, to, shape, source);
                }
                None => to.fill(0.0),
            }
        }
        if let (Some(to), Some(from)) = (&mut self.w_hr, weights.w_hr) {
            to.repack(tile, Depth::Stride(1), hidden, state, from, hidden)?;
        }
        if self.for_training.is_some() {
            self.prepare_training(weights)?;
        }
        Ok(())
    }

    /// Packs the weights for the backward pass as well.
    ///
    /// # Errors
    /// [`Error::Shape`] if a weight is not as long as the cell needs, [`Error::SizeOverflow`] if the room cannot be had.
    ///
    /// # Examples
    /// ```
    /// use gatewise_kernels::{Cell, Kernels, Weights};
    ///
    /// let weights = Weights { w_ih: &[0.5; 3 * 2], w_hh: &[0.5; 3], ..Weights::default() };
    /// let mut packed = Kernels::auto()?.pack_cell(Cell::Gru, 2, 1, weights)?;
    /// packed.prepare_training(weights)?;
    /// assert!(packed.is_ready_for_training() && packed.w_ih_transposed().is_some());
    /// # Ok::<(), gatewise_kernels::Error>(())
    /// ```
    pub fn prepare_training(&mut self, weights: Weights<'_>) -> Result<(), Error> {
        check(self.spec, (self.input, self.hidden), &weights)?;
        let mut transposed = self.for_training.take().unwrap_or_else(|| Transposed {
            w_hh: PackedB::empty(),
            w_ih: PackedB::empty(),
            w_hr: None,
        });
        let (k, state) = (self.spec.gates() * self.hidden, self.state_size());
        let tile = (self.lanes, self.nr);
        transposed.w_hh.repack(tile, Depth::Stride(state), k, state, weights.w_hh, 1)?;
        transposed.w_ih.repack(tile, Depth::Stride(self.input), k, self.input, weights.w_ih, 1)?;
        if let Some(from) = weights.w_hr {
            let w_hr = transposed.w_hr.get_or_insert_with(PackedB::empty);
            w_hr.repack(tile, Depth::Stride(self.hidden), state, self.hidden, from, 1)?;
        }
        self.for_training = Some(transposed);
        Ok(())
    }

    /// Whether the backward pass can run.
    pub fn is_ready_for_training(&self) -> bool {
        self.for_training.is_some()
    }

    /// weight_ih as the right operand of dx = da W_ih, if the cell is ready for training.
    pub fn w_ih_transposed(&self) -> Option<&PackedB> {
        self.for_training.as_ref().map(|transposed| &transposed.w_ih)
    }
}

/// Checks the lengths of the weights of a cell whose sizes were seen to multiply.
fn check(spec: CellSpec, (input, hidden): (usize, usize), weights: &Weights<'_>) -> Result<(), Error> {
    let (width, state) = (spec.gates() * hidden, spec.state_size(hidden));
    let projection = if spec.proj_size.is_some() { state * hidden } else { 0 };
    for (arg, data, expected) in [
        ("weight_ih", Some(weights.w_ih), width * input),
        ("weight_hh", Some(weights.w_hh), width * state),
        ("bias_ih", weights.b_ih, width),
        ("bias_hh", weights.b_hh, width),
        ("weight_hr", Some(weights.w_hr.unwrap_or(&[])), projection),
    ] {
        if let Some(data) = data.filter(|data| data.len() != expected) {
            return Err(Error::Shape { arg, dim: "length", expected, got: data.len() });
        }
    }
    Ok(())
}

/// The parts that the weights of all gates are packed in: one, or, where the GRU's reset gate comes first, r and z, and n.
fn runs(spec: CellSpec, all: PanelShape) -> [PanelShape; 2] {
    let first = if spec.form() == Form::ResetBefore { 2 } else { all.groups };
    [PanelShape { groups: first, ..all }, PanelShape { groups: all.groups - first, ..all }]
}

/// Packs the weights of all gates, part after part.
fn pack_gates(spec: CellSpec, to: &mut [f32], all: PanelShape, source: Source<'_>) {
    let [first, second] = runs(spec, all);
    // Seen to fit when the cell was made.
    let (to_first, to_second) = to.split_at_mut(first.len().unwrap_or(0));
    pack(to_first, first, source);
    if second.groups > 0 {
        pack(to_second, second, Source { data: &source.data[first.groups * source.group..], ..source });
    }
}
