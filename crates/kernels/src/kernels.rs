//! [`Kernels`]: the kernels of one instruction set, and which of them a cell gets.

use crate::error::Error;
use crate::gates::generated::registry;
use crate::isa::{Isa, ceiling_from_environment};
use crate::options::CellSpec;
use crate::rows::{Cell, CellRows, CommonRows, Form, Pass, Row};
use crate::weights::{PackedCell, Weights};

/// The kernels of one instruction set: an opaque handle, cheap to copy. There is one only where the CPU has the instructions,
/// which is what `dispatch` relies on.
#[derive(Clone, Copy, Debug)]
pub struct Kernels {
    isa: Isa,
    any_size: bool,
}

impl Kernels {
    /// The best kernels of this machine up to the ceiling in the environment variable `GATEWISE_MAX_ISA`.
    ///
    /// # Errors
    /// [`Error::UnknownIsa`] if the variable names no instruction set.
    pub fn auto() -> Result<Kernels, Error> {
        Ok(Kernels { isa: Isa::best_up_to(ceiling_from_environment()?), any_size: false })
    }

    /// The kernels of exactly this instruction set, whatever the environment says.
    ///
    /// # Errors
    /// [`Error::IsaUnavailable`] if the CPU lacks it.
    pub fn with_isa(isa: Isa) -> Result<Kernels, Error> {
        if isa.is_available() {
            Ok(Kernels { isa, any_size: false })
        } else {
            Err(Error::IsaUnavailable { isa })
        }
    }

    /// The kernels of each instruction set of this machine up to the ceiling in the environment, ascending.
    ///
    /// # Errors
    /// [`Error::UnknownIsa`] if the variable names no instruction set.
    pub fn available() -> Result<Vec<Kernels>, Error> {
        let ceiling = ceiling_from_environment()?;
        Ok(Isa::ALL
            .into_iter()
            .filter(|&isa| isa <= ceiling)
            .filter_map(|isa| Kernels::with_isa(isa).ok())
            .collect())
    }

    /// The same, but never a kernel that was made for one hidden size.
    pub fn any_size(self) -> Kernels {
        Kernels { any_size: true, ..self }
    }

    /// The instruction set.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Lanes of a vector: weights are packed for them.
    pub fn lanes(&self) -> usize {
        self.common().sum_rows.lanes
    }

    /// Lanes of a vector and vectors of a strip, which operands are packed for.
    pub(crate) fn strip(&self) -> (usize, usize) {
        let matmul = self.common().matmul;
        (matmul.lanes, matmul.nr)
    }

    /// Its kernels that no cell owns.
    pub(crate) fn common(&self) -> &'static CommonRows {
        registry::common(self.isa)
    }

    /// The kernel for exactly this size if there is one, else the one for any size.
    fn find(&self, spec: &CellSpec, pass: Pass, hidden: usize) -> Option<&'static Row> {
        let form = spec.form();
        // All RNNs with options are one: their activation comes with the task.
        let cell = match (spec.cell, form) {
            (Cell::RnnRelu, Form::With) => Cell::RnnTanh,
            (cell, _) => cell,
        };
        let fits = |row: &&Row| row.cell == Some(cell) && row.form == form && row.pass == pass;
        let rows = registry::rows(self.isa);
        let special = rows.iter().filter(fits).find(|row| !self.any_size && row.hidden == Some(hidden));
        special.or_else(|| rows.iter().filter(fits).find(|row| row.hidden.is_none()))
    }

    /// Likewise, where there is one for any size.
    fn row(&self, spec: &CellSpec, pass: Pass, hidden: usize) -> &'static Row {
        self.find(spec, pass, hidden)
            .unwrap_or_else(|| panic!("the registry of {} has no kernel for {spec:?} {pass:?}", self.isa))
    }

    /// Packs the weights of a cell, with or without options, and chooses its kernels.
    ///
    /// # Errors
    /// [`Error::Shape`] if a weight is not as long as the cell needs, or a GRU that cannot be projected is to be;
    /// [`Error::SizeOverflow`] if the room cannot be had.
    pub fn pack_cell(
        &self,
        cell: impl Into<CellSpec>,
        input: usize,
        hidden: usize,
        weights: Weights<'_>,
    ) -> Result<PackedCell, Error> {
        let spec = cell.into();
        let any = Kernels { any_size: true, ..*self };
        let rows = CellRows {
            step_single: self.row(&spec, Pass::Step, hidden),
            step: any.row(&spec, Pass::Step, hidden),
            forward: self.find(&spec, Pass::Forward, hidden),
            backward: self.row(&spec, Pass::Backward, hidden),
        };
        PackedCell::new(self.isa, rows, (spec, input, hidden), weights)
    }
}
