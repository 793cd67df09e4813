//! What packed weights tell of themselves.

use crate::gemm::PackedB;
use crate::gemm::single::strip_panels;
use crate::options::CellSpec;
use crate::plan::{ForwardPlan, Projection, part};
use crate::rows::{Cell, Form, Row};
use crate::team::MOST;
use crate::weights::PackedCell;

impl PackedCell {
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
    ///
    /// # Examples
    /// ```
    /// use gatewise_kernels::{Cell, Kernels, Weights};
    ///
    /// let weights = Weights { w_ih: &[0.5; 3 * 2], w_hh: &[0.5; 3], ..Weights::default() };
    /// let packed = Kernels::auto()?.pack_cell(Cell::Gru, 2, 1, weights)?;
    /// assert_eq!(packed.input_size(), 2);
    /// # Ok::<(), gatewise_kernels::Error>(())
    /// ```
    pub fn input_size(&self) -> usize {
        self.input
    }

    /// H, hidden units.
    ///
    /// # Examples
    /// ```
    /// use gatewise_kernels::{Cell, Kernels, Weights};
    ///
    /// let weights = Weights { w_ih: &[0.5; 3 * 2], w_hh: &[0.5; 3], ..Weights::default() };
    /// let packed = Kernels::auto()?.pack_cell(Cell::Gru, 2, 1, weights)?;
    /// assert_eq!(packed.hidden_size(), 1);
    /// # Ok::<(), gatewise_kernels::Error>(())
    /// ```
    pub fn hidden_size(&self) -> usize {
        self.hidden
    }

    /// Features of h: H, or P with a projection.
    ///
    /// # Examples
    /// ```
    /// use gatewise_kernels::{Cell, CellSpec, Kernels, Weights};
    ///
    /// let spec = CellSpec { proj_size: Some(2), ..CellSpec::from(Cell::RnnTanh) };
    /// let weights = Weights { w_hh: &[0.1; 5 * 2], w_hr: Some(&[0.1; 2 * 5]), ..Weights::default() };
    /// let packed = Kernels::auto()?.pack_cell(spec, 0, 5, weights)?;
    /// assert_eq!((packed.hidden_size(), packed.state_size()), (5, 2));
    /// # Ok::<(), gatewise_kernels::Error>(())
    /// ```
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

    /// Lanes that the weights are packed for: those of the instruction set's vectors, or eight where that many units leave half of
    /// them empty.
    ///
    /// # Examples
    /// ```
    /// use gatewise_kernels::{Cell, Kernels, Weights};
    ///
    /// let kernels = Kernels::auto()?;
    /// let lanes = |hidden: usize, w_hh: &[f32]| {
    ///     let weights = Weights { w_hh, ..Weights::default() };
    ///     Ok::<usize, gatewise_kernels::Error>(kernels.pack_cell(Cell::RnnTanh, 0, hidden, weights)?.lanes())
    /// };
    /// assert_eq!(lanes(8, &[0.0; 8 * 8])?, kernels.lanes().min(8));
    /// assert_eq!(lanes(9, &[0.0; 9 * 9])?, kernels.lanes());
    /// # Ok::<(), gatewise_kernels::Error>(())
    /// ```
    pub fn lanes(&self) -> usize {
        self.lanes
    }

    /// The kernel that runs the recurrence of such a plan.
    ///
    /// # Examples
    /// ```
    /// use gatewise_kernels::{Caches, Cell, Kernels, Weights};
    ///
    /// use gatewise_kernels::plan::{ForwardPlan, Sizes};
    /// let packed = Kernels::auto()?.pack_cell(Cell::Gru, 9, 0, Weights::default())?;
    /// let sizes = Sizes { cell: Cell::Gru, steps: 50, batch: 8, input: 9, hidden: 0 };
    /// let plan = ForwardPlan::new(sizes, packed.lanes(), Caches::detect(), 1);
    /// assert_eq!(packed.forward_row(&plan).cell, Some(Cell::Gru));
    /// # Ok::<(), gatewise_kernels::Error>(())
    /// ```
    pub fn forward_row(&self, plan: &ForwardPlan) -> &'static Row {
        // A kernel for single rows knows all its panels: it takes no slice.
        let is_single = plan.single_row && plan.slices <= 1;
        match (plan.projection, self.rows.forward) {
            // Without one of this size there is one for any, which multiplies the input.
            (Projection::Chunked { .. }, Some(forward))
                if !is_single || self.rows.step_single.hidden.is_none() =>
            {
                forward
            }
            _ if is_single => self.rows.step_single,
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
    ///
    /// # Examples
    /// ```
    /// use gatewise_kernels::{Cell, Kernels, Weights};
    ///
    /// let weights = Weights { w_ih: &[0.5; 3 * 2], w_hh: &[0.5; 3], ..Weights::default() };
    /// let mut packed = Kernels::auto()?.pack_cell(Cell::Gru, 2, 1, weights)?;
    /// let for_inference = packed.bytes();
    /// assert!(for_inference >= 4 * 3 * (2 + 1)); // floats, filled up to whole vectors
    /// packed.prepare_training(weights)?;
    /// assert!(packed.bytes() > for_inference);
    /// # Ok::<(), gatewise_kernels::Error>(())
    /// ```
    pub fn bytes(&self) -> usize {
        let of = |b: Option<&PackedB>| b.map_or(0, |b| b.panels.len());
        let transposed = self.for_training.as_ref();
        let transposed =
            transposed.map_or(0, |t| of(Some(&t.w_hh)) + of(Some(&t.w_ih)) + of(t.w_hr.as_ref()));
        let packed = self.w_ih.len() + self.w_hh.len() + self.b_ih.len() + self.b_hh.len();
        4 * (packed + of(self.w_hr.as_ref()) + transposed)
    }

    /// Bytes of W_hh as the forward recurrence reads it at each step.
    ///
    /// # Examples
    /// ```
    /// use gatewise_kernels::{Cell, Kernels, Weights};
    ///
    /// let weights = Weights { w_ih: &[0.5; 3 * 2], w_hh: &[0.5; 3], ..Weights::default() };
    /// let packed = Kernels::auto()?.pack_cell(Cell::Gru, 2, 1, weights)?;
    /// assert!((4 * 3..packed.bytes()).contains(&packed.recurrent_bytes()));
    /// # Ok::<(), gatewise_kernels::Error>(())
    /// ```
    pub fn recurrent_bytes(&self) -> usize {
        4 * self.w_hh.len()
    }

    /// Whether the backward pass can run.
    ///
    /// # Examples
    /// ```
    /// use gatewise_kernels::{Cell, Kernels, Weights};
    ///
    /// let weights = Weights { w_ih: &[0.5; 3 * 2], w_hh: &[0.5; 3], ..Weights::default() };
    /// let mut packed = Kernels::auto()?.pack_cell(Cell::Gru, 2, 1, weights)?;
    /// assert!(!packed.is_ready_for_training());
    /// packed.prepare_training(weights)?;
    /// assert!(packed.is_ready_for_training());
    /// # Ok::<(), gatewise_kernels::Error>(())
    /// ```
    pub fn is_ready_for_training(&self) -> bool {
        self.for_training.is_some()
    }

    /// weight_ih as the right operand of dx = da W_ih, if the cell is ready for training.
    ///
    /// # Examples
    /// ```
    /// use gatewise_kernels::{Cell, Kernels, Weights};
    ///
    /// let weights = Weights { w_ih: &[0.5; 3 * 2], w_hh: &[0.5; 3], ..Weights::default() };
    /// let mut packed = Kernels::auto()?.pack_cell(Cell::Gru, 2, 1, weights)?;
    /// packed.prepare_training(weights)?;
    /// let w_ih = packed.w_ih_transposed().expect("it is ready");
    /// assert_eq!((w_ih.depth(), w_ih.columns()), (3, 2)); // da, [rows, 3], times W_ih is dx, [rows, 2]
    /// # Ok::<(), gatewise_kernels::Error>(())
    /// ```
    pub fn w_ih_transposed(&self) -> Option<&PackedB> {
        self.for_training.as_ref().map(|transposed| &transposed.w_ih)
    }
}
