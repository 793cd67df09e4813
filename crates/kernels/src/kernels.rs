//! [`Kernels`]: the kernels of one instruction set, and which of them a cell gets.

use crate::error::Error;
use crate::gates::generated::registry;
use crate::isa::{Isa, ceiling_from_environment};
use crate::options::CellSpec;
use crate::rows::{Cell, CellRows, CommonRows, Form, Pass, Row};
use crate::weights::{PackedCell, Weights};

/// The kernels of one instruction set: an opaque handle, cheap to copy. There is one only where the CPU has the instructions,
/// which is what `dispatch` relies on.
///
/// # Examples
/// ```
/// use gatewise_kernels::Kernels;
///
/// for kernels in Kernels::available()? {
///     let mut y = [0.0];
///     kernels.tanh(&[0.5], &mut y)?;
///     assert!((y[0] - 0.5_f32.tanh()).abs() < 1e-6, "{}", kernels.isa());
/// }
/// # Ok::<(), gatewise_kernels::Error>(())
/// ```
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
    ///
    /// # Examples
    /// ```
    /// assert!(gatewise_kernels::Kernels::auto()?.isa().is_available());
    /// # Ok::<(), gatewise_kernels::Error>(())
    /// ```
    pub fn auto() -> Result<Kernels, Error> {
        Ok(Kernels { isa: Isa::best_up_to(ceiling_from_environment()?), any_size: false })
    }

    /// The kernels of exactly this instruction set, whatever the environment says.
    ///
    /// # Errors
    /// [`Error::IsaUnavailable`] if the CPU lacks it.
    ///
    /// # Examples
    /// ```
    /// use gatewise_kernels::{Isa, Kernels};
    ///
    /// assert_eq!(Kernels::with_isa(Isa::Portable)?.isa(), Isa::Portable);
    /// # Ok::<(), gatewise_kernels::Error>(())
    /// ```
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
    ///
    /// # Examples
    /// ```
    /// use gatewise_kernels::{Isa, Kernels};
    ///
    /// let isas: Vec<Isa> = Kernels::available()?.iter().map(Kernels::isa).collect();
    /// assert!(isas[0] == Isa::Portable && isas.is_sorted());
    /// # Ok::<(), gatewise_kernels::Error>(())
    /// ```
    pub fn available() -> Result<Vec<Kernels>, Error> {
        let ceiling = ceiling_from_environment()?;
        Ok(Isa::ALL
            .into_iter()
            .filter(|&isa| isa <= ceiling)
            .filter_map(|isa| Kernels::with_isa(isa).ok())
            .collect())
    }

    /// The same, but never a kernel that was made for one hidden size.
    ///
    /// # Examples
    /// ```
    /// use gatewise_kernels::{Cell, Kernels, Weights};
    ///
    /// let w_hh = vec![0.0; 3 * 64 * 64];
    /// let weights = Weights { w_hh: &w_hh, ..Weights::default() };
    /// let packed = Kernels::auto()?.any_size().pack_cell(Cell::Gru, 0, 64, weights)?;
    /// assert_eq!(packed.backward_row().hidden, None);
    /// # Ok::<(), gatewise_kernels::Error>(())
    /// ```
    pub fn any_size(self) -> Kernels {
        Kernels { any_size: true, ..self }
    }

    /// The instruction set.
    ///
    /// # Examples
    /// ```
    /// use gatewise_kernels::{Isa, Kernels};
    ///
    /// assert_eq!(Kernels::with_isa(Isa::Portable)?.isa().name(), "portable");
    /// # Ok::<(), gatewise_kernels::Error>(())
    /// ```
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Lanes of a vector: weights are packed for them.
    ///
    /// # Examples
    /// ```
    /// use gatewise_kernels::{Isa, Kernels};
    ///
    /// assert_eq!(Kernels::with_isa(Isa::Portable)?.lanes(), 4);
    /// # Ok::<(), gatewise_kernels::Error>(())
    /// ```
    pub fn lanes(&self) -> usize {
        self.common().sum_rows.lanes
    }

    /// Lanes of a vector and vectors of a strip, which operands are packed for.
    pub(crate) fn strip(&self) -> (usize, usize) {
        self.common().strip()
    }

    /// Its kernels that no cell owns.
    pub(crate) fn common(&self) -> &'static CommonRows {
        registry::common(self.isa)
    }

    /// Those whose vectors a cell of so many units takes. Up to eight units leave half of a vector of AVX-512 empty, and those of AVX2
    /// are through the gates sooner; the bits are the same.
    fn narrowed_to(self, hidden: usize) -> Kernels {
        let is_half_empty = self.isa == Isa::Avx512 && hidden <= 8;
        Kernels { isa: if is_half_empty { Isa::Avx2Fma } else { self.isa }, ..self }
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
    ///
    /// # Examples
    /// ```
    /// use gatewise_kernels::{Cell, Error, Kernels, Weights};
    ///
    /// let weights = Weights { w_ih: &[0.5; 3 * 2], w_hh: &[0.5; 3], ..Weights::default() };
    /// assert_eq!(Kernels::auto()?.pack_cell(Cell::Gru, 2, 1, weights)?.hidden_size(), 1);
    /// let error = Error::Shape { arg: "weight_ih", dim: "length", expected: 4 * 2, got: 3 * 2 };
    /// assert_eq!(Kernels::auto()?.pack_cell(Cell::Lstm, 2, 1, weights).unwrap_err(), error);
    /// # Ok::<(), gatewise_kernels::Error>(())
    /// ```
    pub fn pack_cell(
        &self,
        cell: impl Into<CellSpec>,
        input: usize,
        hidden: usize,
        weights: Weights<'_>,
    ) -> Result<PackedCell, Error> {
        let spec = cell.into();
        let narrowed = self.narrowed_to(hidden);
        let rows = CellRows {
            step_single: narrowed.row(&spec, Pass::Step, hidden),
            step: narrowed.any_size().row(&spec, Pass::Step, hidden),
            forward: narrowed.find(&spec, Pass::Forward, hidden),
            backward: narrowed.row(&spec, Pass::Backward, hidden),
            matmul: narrowed.common().matmul,
        };
        PackedCell::new(self.isa, rows, (spec, input, hidden), weights)
    }
}
