//! The weights of one layer in one direction, packed for the kernels that will run it.

use crate::aligned::AlignedBuf;
use crate::error::Error;
use crate::gemm::PackedB;
use crate::gemm::pack::{Depth, PanelShape, Source, pack};
use crate::isa::Isa;
use crate::plan::{ForwardPlan, Projection};
use crate::rows::{Cell, CellRows, Row};

/// The weights as PyTorch lays them out: gate after gate, in its order (i f g o; r z n).
#[derive(Clone, Copy, Debug)]
pub struct Weights<'a> {
    /// weight_ih, [gates * hidden_size, input_size].
    pub w_ih: &'a [f32],
    /// weight_hh, [gates * hidden_size, hidden_size].
    pub w_hh: &'a [f32],
    /// bias_ih, [gates * hidden_size]; `None` is zeros.
    pub b_ih: Option<&'a [f32]>,
    /// bias_hh, [gates * hidden_size]; `None` is zeros.
    pub b_hh: Option<&'a [f32]>,
}

/// Packed weights and the kernels chosen for them. Made by [`Kernels::pack_cell`](crate::Kernels::pack_cell).
#[derive(Clone, Debug)]
pub struct PackedCell {
    pub(crate) cell: Cell,
    pub(crate) input: usize,
    pub(crate) hidden: usize,
    pub(crate) lanes: usize,
    /// Vectors of a strip of the packed weights.
    pub(crate) nr: usize,
    pub(crate) isa: Isa,
    pub(crate) rows: CellRows,
    /// [strip][k][vector][lane], the vectors panel by panel, gate by gate
    pub(crate) w_ih: AlignedBuf,
    pub(crate) w_hh: AlignedBuf,
    /// [panel][gate][lane]
    pub(crate) b_ih: AlignedBuf,
    pub(crate) b_hh: AlignedBuf,
    /// A row of zeros: the state that a caller leaves out.
    pub(crate) zeros: AlignedBuf,
    pub(crate) for_training: Option<Transposed>,
}

/// The same weights for the backward pass: k runs over gates and units.
#[derive(Clone, Debug)]
pub(crate) struct Transposed {
    pub(crate) w_hh: PackedB,
    pub(crate) w_ih: PackedB,
}

impl PackedCell {
    pub(crate) fn new(
        isa: Isa,
        rows: CellRows,
        (cell, input, hidden): (Cell, usize, usize),
        weights: Weights<'_>,
    ) -> Result<PackedCell, Error> {
        let (lanes, nr) = (rows.forward.lanes, rows.forward.nr);
        let shape = PanelShape { lanes, nr, groups: cell.gates(), depth: 1, units: hidden };
        let overflow = || Error::SizeOverflow { what: "weights" };
        let room = |len: Option<usize>| AlignedBuf::zeroed(len.ok_or_else(overflow)?).map_err(|_| overflow());
        let per_k = shape.len().ok_or_else(overflow)?;
        let mut packed = PackedCell {
            cell,
            input,
            hidden,
            lanes,
            nr,
            isa,
            rows,
            w_ih: room(per_k.checked_mul(input))?,
            w_hh: room(per_k.checked_mul(hidden))?,
            b_ih: room(Some(per_k))?,
            b_hh: room(Some(per_k))?,
            zeros: room(Some(hidden))?,
            for_training: None,
        };
        packed.repack(weights)?;
        Ok(packed)
    }

    /// The cell.
    pub fn cell(&self) -> Cell {
        self.cell
    }

    /// I
    pub fn input_size(&self) -> usize {
        self.input
    }

    /// H
    pub fn hidden_size(&self) -> usize {
        self.hidden
    }

    /// Lanes that the weights are packed for.
    pub fn lanes(&self) -> usize {
        self.lanes
    }

    /// The kernel that runs the recurrence of such a plan.
    pub fn forward_row(&self, plan: &ForwardPlan) -> &'static Row {
        match plan.projection {
            Projection::Fused if plan.single_row => self.rows.step_single,
            Projection::Fused => self.rows.step,
            Projection::Chunked { .. } => self.rows.forward,
        }
    }

    /// The kernel that runs the recurrence backward.
    pub fn backward_row(&self) -> &'static Row {
        self.rows.backward
    }

    /// Bytes of the packed weights, those for training included.
    pub fn bytes(&self) -> usize {
        let transposed = self.for_training.as_ref().map_or(0, |t| t.w_hh.panels.len() + t.w_ih.panels.len());
        4 * (self.w_ih.len() + self.w_hh.len() + self.b_ih.len() + self.b_hh.len() + transposed)
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
    pub fn repack(&mut self, weights: Weights<'_>) -> Result<(), Error> {
        self.check(&weights)?;
        let (gates, hidden) = (self.cell.gates(), self.hidden);
        for (to, from, depth) in
            [(&mut self.w_ih, weights.w_ih, self.input), (&mut self.w_hh, weights.w_hh, hidden)]
        {
            let shape = PanelShape { lanes: self.lanes, nr: self.nr, groups: gates, depth, units: hidden };
            let source = Source { data: from, group: hidden * depth, unit: depth, depth: Depth::Stride(1) };
            pack(to, shape, source);
        }
        for (to, from) in [(&mut self.b_ih, weights.b_ih), (&mut self.b_hh, weights.b_hh)] {
            let shape = PanelShape { lanes: self.lanes, nr: self.nr, groups: gates, depth: 1, units: hidden };
            match from {
                Some(data) => {
                    pack(to, shape, Source { data, group: hidden, unit: 1, depth: Depth::Stride(0) })
                }
                None => to.fill(0.0),
            }
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
    pub fn prepare_training(&mut self, weights: Weights<'_>) -> Result<(), Error> {
        self.check(&weights)?;
        let mut transposed = self
            .for_training
            .take()
            .unwrap_or_else(|| Transposed { w_hh: PackedB::empty(), w_ih: PackedB::empty() });
        let k = self.cell.gates() * self.hidden;
        let tile = (self.lanes, self.nr);
        transposed.w_hh.repack(tile, Depth::Stride(self.hidden), k, self.hidden, weights.w_hh, 1)?;
        transposed.w_ih.repack(tile, Depth::Stride(self.input), k, self.input, weights.w_ih, 1)?;
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

    fn check(&self, weights: &Weights<'_>) -> Result<(), Error> {
        // These products were seen to fit when the cell was made.
        let width = self.cell.gates() * self.hidden;
        for (arg, data, expected) in [
            ("weight_ih", Some(weights.w_ih), width * self.input),
            ("weight_hh", Some(weights.w_hh), width * self.hidden),
            ("bias_ih", weights.b_ih, width),
            ("bias_hh", weights.b_hh, width),
        ] {
            if let Some(data) = data.filter(|data| data.len() != expected) {
                return Err(Error::Shape { arg, dim: "length", expected, got: data.len() });
            }
        }
        Ok(())
    }
}
