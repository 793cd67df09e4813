//! The arguments of the gate kernels: one struct a pass, in safe slices.

/// A read-only sequence: element `(t, row, unit)` stands at `data[offset + t * step + row * row_stride + unit]`.
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
    pub fn time_major(data: &'a [f32], batch: usize, width: usize) -> Seq<'a> {
        Seq { data, offset: 0, step: time_major_step(batch, width), row: width }
    }
}

impl<'a> SeqMut<'a> {
    /// Time-major and without gaps: [T, B, width].
    pub fn time_major(data: &'a mut [f32], batch: usize, width: usize) -> SeqMut<'a> {
        SeqMut { data, offset: 0, step: time_major_step(batch, width), row: width }
    }

    /// One value per row that all steps share: [B, width].
    pub fn in_place(data: &'a mut [f32], width: usize) -> SeqMut<'a> {
        SeqMut { data, offset: 0, step: 0, row: width }
    }
}

/// The largest step stands for one that cannot be counted: no slice is that long, so every pass refuses it.
fn time_major_step(batch: usize, width: usize) -> isize {
    batch.checked_mul(width).and_then(|step| isize::try_from(step).ok()).unwrap_or(isize::MAX)
}

/// A forward pass over `steps` time steps of `batch` rows.
#[derive(Debug)]
pub struct Forward<'a> {
    /// T
    pub steps: usize,
    /// B
    pub batch: usize,
    /// Input, [T, B, input_size].
    pub x: Seq<'a>,
    /// h_0, [B, hidden_size], or [B, proj_size] like all of h and its gradients for a cell with a projection; `None` is zeros.
    pub h_0: Option<&'a [f32]>,
    /// c_0, [B, hidden_size]. `None`: the first step finds it in the place where it is to leave c_1, as is natural where
    /// `c.step` is 0. Not read by a cell without c.
    pub c_0: Option<&'a [f32]>,
    /// Out: h_1 .. h_T, [T, B, hidden_size]; each step reads the one before it from here.
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
    /// Where set, [T, B]: the row's state is replaced before the step.
    pub resets: Option<&'a [bool]>,
    /// What it is replaced by, [B, hidden_size]; `None` is zeros.
    pub reset_h: Option<&'a [f32]>,
    /// Likewise for c.
    pub reset_c: Option<&'a [f32]>,
    /// Room for the projected input of a time chunk, as long as the plan asks for.
    pub scratch: &'a mut [f32],
}

/// One time step of `batch` rows, all arrays without gaps.
#[derive(Debug)]
pub struct Step<'a> {
    /// B
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
#[derive(Debug)]
pub struct Backward<'a> {
    /// First step of the part.
    pub begin: usize,
    /// One past its last step.
    pub end: usize,
    /// B
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
    /// Out: all of dL/dh_t, [T, B, hidden_size].
    pub dh_steps: Option<SeqMut<'a>>,
    /// Out: all of dL/dc_t.
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
