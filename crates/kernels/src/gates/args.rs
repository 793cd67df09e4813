//! The arguments of the gate kernels: one struct a pass, in safe slices.

/// A read-only sequence: element `(t, row, unit)` stands at `data[offset + t * step + row * row_stride + unit]`.
///
/// # Examples
/// Three steps of one row, walked from the last to the first:
/// ```
/// use gatewise_kernels::Seq;
///
/// let seq = Seq { data: &[1.0, 2.0, 3.0], offset: 2, step: -1, row: 1 };
/// let at = |t: isize| seq.data[seq.offset.wrapping_add_signed(t * seq.step)];
/// assert_eq!([at(0), at(1), at(2)], [3.0, 2.0, 1.0]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Seq<'a> {
    /// The floats.
    pub data: &'a [f32],
    /// Where element (0, 0, 0) stands.
    pub offset: usize,
    /// From one time step to the next; negative walks backwards in time.
    pub step: isize,
    /// From one batch row to the next.
    pub row: usize,
}

/// A writable sequence, laid out as [`Seq`].
///
/// # Examples
/// The forward half of outputs [T, B, 2 * H] of two directions, H = 3 and B = 2:
/// ```
/// let mut y = [0.0; 4 * 2 * 6];
/// let half = gatewise_kernels::SeqMut { data: &mut y, offset: 0, step: 2 * 6, row: 6 };
/// let at = |t: isize, row: usize, unit: usize| half.offset + (t * half.step) as usize + row * half.row + unit;
/// assert_eq!((at(0, 1, 2), at(3, 1, 2)), (8, 3 * 12 + 8));
/// ```
#[derive(Debug)]
pub struct SeqMut<'a> {
    /// The floats.
    pub data: &'a mut [f32],
    /// Where element (0, 0, 0) stands.
    pub offset: usize,
    /// From one time step to the next; negative walks backwards in time.
    pub step: isize,
    /// From one batch row to the next.
    pub row: usize,
}

impl<'a> Seq<'a> {
    /// Time-major and without gaps: [T, B, width].
    ///
    /// # Examples
    /// ```
    /// let x = gatewise_kernels::Seq::time_major(&[0.5; 4 * 2 * 3], 2, 3); // four steps of two rows
    /// assert_eq!((x.offset, x.step, x.row), (0, 2 * 3, 3));
    /// ```
    pub fn time_major(data: &'a [f32], batch: usize, width: usize) -> Seq<'a> {
        Seq { data, offset: 0, step: time_major_step(batch, width), row: width }
    }
}

impl<'a> SeqMut<'a> {
    /// Time-major and without gaps: [T, B, width].
    ///
    /// # Examples
    /// ```
    /// let mut y = [0.0; 4 * 2 * 3];
    /// let y = gatewise_kernels::SeqMut::time_major(&mut y, 2, 3); // four steps of two rows
    /// assert_eq!((y.offset, y.step, y.row), (0, 2 * 3, 3));
    /// ```
    pub fn time_major(data: &'a mut [f32], batch: usize, width: usize) -> SeqMut<'a> {
        SeqMut { data, offset: 0, step: time_major_step(batch, width), row: width }
    }

    /// One value per row that all steps share: [B, width].
    ///
    /// # Examples
    /// ```
    /// let mut c = [0.0; 2 * 3];
    /// let c = gatewise_kernels::SeqMut::in_place(&mut c, 3); // two rows, all steps in one place
    /// assert_eq!((c.offset, c.step, c.row), (0, 0, 3));
    /// ```
    pub fn in_place(data: &'a mut [f32], width: usize) -> SeqMut<'a> {
        SeqMut { data, offset: 0, step: 0, row: width }
    }
}

/// The largest step stands for one that cannot be counted: no slice is that long, so every pass refuses it.
fn time_major_step(batch: usize, width: usize) -> isize {
    batch.checked_mul(width).and_then(|step| isize::try_from(step).ok()).unwrap_or(isize::MAX)
}

/// A forward pass over `steps` time steps of `batch` rows.
///
/// # Examples
/// Two rows, of which the second one takes part in the first step only; h_t = max(x_t + h_{t-1}, 0):
/// ```
/// use gatewise_kernels::plan::{ForwardPlan, Sizes};
/// use gatewise_kernels::{Caches, Cell, Forward, Kernels, Seq, SeqMut, Weights};
///
/// let (kernels, cell) = (Kernels::auto()?, Cell::RnnRelu);
/// let weights = Weights { w_ih: &[1.0], w_hh: &[1.0], ..Weights::default() };
/// let packed = kernels.pack_cell(cell, 1, 1, weights)?;
/// let sizes = Sizes { cell, steps: 2, batch: 2, input: 1, hidden: 1 };
/// let plan = ForwardPlan::new(sizes, packed.lanes(), Caches::detect(), 1);
/// let (x, mut y, mut scratch) = ([1.0, 10.0, 2.0, 20.0], [0.0; 4], vec![0.0; plan.scratch()]);
/// let pass = Forward {
///     steps: 2,
///     batch: 2,
///     x: Seq::time_major(&x, 2, 1),
///     h_0: None,
///     c_0: None,
///     y: SeqMut::time_major(&mut y, 2, 1),
///     c: None,
///     gates: None,
///     active: Some(&[2, 1]),
///     resets: None,
///     reset_h: None,
///     reset_c: None,
///     scratch: &mut scratch,
/// };
/// kernels.forward(&packed, &plan, pass)?;
/// assert_eq!(y, [1.0, 10.0, 3.0, 0.0]);
/// # Ok::<(), gatewise_kernels::Error>(())
/// ```
#[derive(Debug)]
pub struct Forward<'a> {
    /// T, time steps.
    pub steps: usize,
    /// B, rows of the batch.
    pub batch: usize,
    /// Input, [T, B, input_size].
    pub x: Seq<'a>,
    /// h_0, [B, hidden_size], or [B, proj_size] like all of h and its gradients for a cell with a projection; `None` is zeros.
    pub h_0: Option<&'a [f32]>,
    /// c_0, [B, hidden_size]. `None`: the first step finds it in the place where it is to leave c_1, as is natural where
    /// `c.step` is 0. Not read by a cell without c.
    pub c_0: Option<&'a [f32]>,
    /// Out: h_1 .. h_T, [T, B, hidden_size]; each step reads the one before it from here. Magnitudes of h and c below 2^-100 are
    /// zeros of the same sign, so that no subnormal number slows down a step; likewise dL/dh and dL/dc in [`Backward`].
    pub y: SeqMut<'a>,
    /// Out: c_1 .. c_T, [T, B, hidden_size], or the running c where its `step` is 0. Needed by cells with c only
    /// ([`CellSpec::has_cell_state`](crate::CellSpec::has_cell_state)).
    pub c: Option<SeqMut<'a>>,
    /// Out: what backward needs, [T, B, saved * hidden_size], slot by slot. Some cells need it, or one place for all steps
    /// (`step` 0), in any case ([`CellSpec::needs_gates`](crate::CellSpec::needs_gates)).
    pub gates: Option<SeqMut<'a>>,
    /// How many rows, from row 0 on, take part in each step, `[T]`; `None` is all in all steps. A row that did not take part
    /// in the step before starts from h_0 and c_0; without a c_0 no row may stop and start again. Nothing is written for the others.
    pub active: Option<&'a [usize]>,
    /// Where set, [T, B]: the row's state is replaced before the step. A mask of more rows than B has the batch's in front.
    pub resets: Option<&'a [bool]>,
    /// What it is replaced by, [B, hidden_size]; `None` is zeros.
    pub reset_h: Option<&'a [f32]>,
    /// Likewise for c.
    pub reset_c: Option<&'a [f32]>,
    /// Room for the projected input of a time chunk, as long as the plan asks for.
    pub scratch: &'a mut [f32],
}

/// One time step of `batch` rows, all arrays without gaps.
///
/// # Examples
/// An LSTM without weights: i = f = o = 1/2, g = 0, so c halves and h = tanh(c) / 2:
/// ```
/// use gatewise_kernels::{Cell, Kernels, Step, Weights};
///
/// let kernels = Kernels::auto()?;
/// let packed = kernels.pack_cell(Cell::Lstm, 0, 1, Weights { w_hh: &[0.0; 4], ..Weights::default() })?;
/// let (mut h, mut c) = ([0.0], [2.0]);
/// kernels.step(&packed, Step { batch: 1, x: &[], h_0: &[0.0], h_1: &mut h, c: &mut c }, 1)?;
/// assert!((c[0] - 1.0).abs() < 1e-6 && (h[0] - 1_f32.tanh() / 2.0).abs() < 1e-6);
/// # Ok::<(), gatewise_kernels::Error>(())
/// ```
#[derive(Debug)]
pub struct Step<'a> {
    /// B, rows of the batch.
    pub batch: usize,
    /// Input, [B, input_size].
    pub x: &'a [f32],
    /// h before the step, [B, hidden_size].
    pub h_0: &'a [f32],
    /// Out: h after it, [B, hidden_size].
    pub h_1: &'a mut [f32],
    /// c before the step, and out: after it, [B, hidden_size]; empty for a cell without c.
    pub c: &'a mut [f32],
}

/// A backward pass over time steps `begin .. end` of a sequence, last step first.
///
/// # Examples
/// The last of two steps of h_t = max(x_t + h_{t-1} / 2, 0) alone, with all of dL/dh_2 from dL/dy_2:
/// ```
/// use gatewise_kernels::plan::{BackwardPlan, Sizes};
/// use gatewise_kernels::{Backward, Cell, Kernels, Seq, SeqMut, Weights};
///
/// let (kernels, cell) = (Kernels::auto()?, Cell::RnnRelu);
/// let weights = Weights { w_ih: &[1.0], w_hh: &[0.5], ..Weights::default() };
/// let mut packed = kernels.pack_cell(cell, 1, 1, weights)?;
/// packed.prepare_training(weights)?;
/// let plan = BackwardPlan::new(Sizes { cell, steps: 2, batch: 1, input: 1, hidden: 1 }, 1);
/// let (y, dy, mut gates, mut dh) = ([1.0, 0.5], [0.0, 3.0], [1.0, 0.5], [0.0]);
/// let pass = Backward {
///     begin: 1,
///     end: 2,
///     batch: 1,
///     dy: Some(Seq::time_major(&dy, 1, 1)),
///     gates: SeqMut::time_major(&mut gates, 1, 1),
///     y: Seq::time_major(&y, 1, 1),
///     h_0: None,
///     c: None,
///     c_0: None,
///     dh: &mut dh,
///     dc: None,
///     dh_steps: None,
///     dc_steps: None,
///     active: None,
///     resets: None,
///     reset_h: None,
///     reset_c: None,
/// };
/// kernels.backward(&packed, 2, &plan, pass)?;
/// assert_eq!((gates, dh), ([1.0, 3.0], [1.5])); // dL/da_2 beside what step 1 saved, and dL/dh_1
/// # Ok::<(), gatewise_kernels::Error>(())
/// ```
#[derive(Debug)]
pub struct Backward<'a> {
    /// First step of the part.
    pub begin: usize,
    /// One past its last step.
    pub end: usize,
    /// B, rows of the batch.
    pub batch: usize,
    /// dL/dy, [T, B, hidden_size]; `None` is zeros.
    pub dy: Option<Seq<'a>>,
    /// In: what forward saved; out: the gradients of the pre-activations in its place. [T, B, saved * hidden_size].
    pub gates: SeqMut<'a>,
    /// h_1 .. h_T as forward left them.
    pub y: Seq<'a>,
    /// h_0, [B, hidden_size]; `None` is zeros.
    pub h_0: Option<&'a [f32]>,
    /// c_1 .. c_T as forward left them; needed by cells with c only.
    pub c: Option<Seq<'a>>,
    /// c_0, [B, hidden_size]; `None` is zeros.
    pub c_0: Option<&'a [f32]>,
    /// In: dL/dh that comes from beyond step `end`, [B, hidden_size] (dL/dh_n at the end of the sequence); out: what goes
    /// on to the steps before `begin` (dL/dh_0 at its start).
    pub dh: &'a mut [f32],
    /// Likewise for c; needed by cells with c only.
    pub dc: Option<&'a mut [f32]>,
    /// Out: all of dL/dh_t of the part's steps, [end - begin, B, hidden_size].
    pub dh_steps: Option<SeqMut<'a>>,
    /// Out: all of dL/dc_t, likewise.
    pub dc_steps: Option<SeqMut<'a>>,
    /// As in [`Forward`], but a row that stopped may not start again: `dh` has room for one gradient of h_0 a row.
    pub active: Option<&'a [usize]>,
    /// As in [`Forward`]; no gradient passes a reset.
    pub resets: Option<&'a [bool]>,
    /// As in [`Forward`].
    pub reset_h: Option<&'a [f32]>,
    /// As in [`Forward`].
    pub reset_c: Option<&'a [f32]>,
}
