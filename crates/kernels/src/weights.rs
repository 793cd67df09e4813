//! The weights of one layer in one direction, packed for the kernels that will run it.

use crate::aligned::AlignedBuf;
use crate::error::Error;
use crate::gates::generated::registry;
use crate::gemm::PackedB;
use crate::gemm::pack::{Depth, PanelShape, Source, pack};
use crate::isa::Isa;
use crate::options::CellSpec;
use crate::rows::{CellRows, Form};

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
        // Nothing is projected to no features, nothing from no units, and not where the reset gate comes before the product.
        let most = if spec.form() == Form::ResetBefore { 0 } else { hidden };
        if spec.proj_size.is_some_and(|size| size == 0 || most == 0) {
            let (expected, got) = if most == 0 { (0, state) } else { (1, 0) };
            return Err(Error::Shape { arg: "proj_size", dim: "size", expected, got });
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
        // The matmul of the instruction set reads it, whatever kernels the cell has.
        let strip = registry::common(self.isa).strip();
        transposed.w_ih.repack(strip, Depth::Stride(self.input), k, self.input, weights.w_ih, 1)?;
        if let Some(from) = weights.w_hr.filter(|_| self.spec.proj_size.is_some()) {
            let w_hr = transposed.w_hr.get_or_insert_with(PackedB::empty);
            w_hr.repack(tile, Depth::Stride(self.hidden), state, self.hidden, from, 1)?;
        }
        self.for_training = Some(transposed);
        Ok(())
    }

    /// The parts that weights are packed in, as those of a bias are.
    pub(crate) fn parts(&self) -> [PanelShape; 2] {
        let PackedCell { spec, lanes, nr, hidden, .. } = *self;
        runs(spec, PanelShape { lanes, nr, groups: spec.gates(), depth: 1, units: hidden })
    }
}

/// Checks the lengths of the weights of a cell whose sizes were seen to multiply.
fn check(spec: CellSpec, (input, hidden): (usize, usize), weights: &Weights<'_>) -> Result<(), Error> {
    let (width, state) = (spec.gates() * hidden, spec.state_size(hidden));
    let projection = if spec.proj_size.is_some() { state * hidden } else { 0 };
    // A projection is never empty: one that is left out is found too short.
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
