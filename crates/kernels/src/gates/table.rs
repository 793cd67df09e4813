//! Inputs that are rows of a table, whose input part was computed once for each row of the table.

use super::checked::Picks;
use crate::aligned::AlignedBuf;
use crate::error::Error;
use crate::isa::Isa;

/// The input part `b_ih + W_ih x` of each row x of a table, for the weights of one cell as they were. Made by
/// [`Kernels::project_rows`](crate::Kernels::project_rows).
///
/// # Examples
/// ```
/// use gatewise_kernels::{Cell, Kernels, Weights};
///
/// let (kernels, weights) = (Kernels::auto()?, Weights { w_ih: &[2.0, 3.0], w_hh: &[0.5], ..Weights::default() });
/// let packed = kernels.pack_cell(Cell::RnnRelu, 2, 1, weights)?;
/// let table = kernels.project_rows(&packed, 3, &[0.5; 3 * 2], 1)?; // three rows of two features
/// assert_eq!(table.rows(), 3);
/// # Ok::<(), gatewise_kernels::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ProjectedRows {
    /// Row after row, each laid out as the packed bias is.
    pub(crate) data: AlignedBuf,
    pub(crate) rows: usize,
    /// Floats of a row.
    pub(crate) width: usize,
    pub(crate) isa: Isa,
}

impl ProjectedRows {
    /// Rows of the table.
    ///
    /// # Examples
    /// ```
    /// use gatewise_kernels::{Cell, Kernels, Weights};
    ///
    /// let kernels = Kernels::auto()?;
    /// let packed = kernels.pack_cell(Cell::Gru, 0, 0, Weights::default())?;
    /// assert_eq!(kernels.project_rows(&packed, 7, &[], 1)?.rows(), 7); // of no features
    /// # Ok::<(), gatewise_kernels::Error>(())
    /// ```
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes that it takes.
    ///
    /// # Examples
    /// ```
    /// use gatewise_kernels::{Cell, Kernels, Weights};
    ///
    /// let (kernels, w_hh) = (Kernels::auto()?, [0.5; 4 * 8 * 8]);
    /// let packed = kernels.pack_cell(Cell::Lstm, 0, 8, Weights { w_hh: &w_hh, ..Weights::default() })?;
    /// assert!(kernels.project_rows(&packed, 3, &[], 1)?.bytes() >= 3 * 4 * 8 * size_of::<f32>());
    /// # Ok::<(), gatewise_kernels::Error>(())
    /// ```
    pub fn bytes(&self) -> usize {
        size_of::<f32>() * self.data.len()
    }
}

/// What goes into a pass in place of features: a row of a table for each step and row of the batch.
///
/// # Examples
/// See [`Kernels::forward_rows`](crate::Kernels::forward_rows).
#[derive(Clone, Copy, Debug)]
pub struct TableRows<'a> {
    /// The table, projected by the weights of the pass.
    pub table: &'a ProjectedRows,
    /// Which of its rows: that of step t and row b of the batch at `rows[t * step + b]`. Not read where the row takes no part in
    /// the step.
    pub rows: &'a [usize],
    /// From one time step to the next.
    pub step: usize,
}

impl TableRows<'_> {
    /// A checked pick for each row that takes part in a step; the counts `active`, `None` is all in all, were checked.
    #[inline]
    pub(crate) fn checked(
        &self,
        (isa, width): (Isa, usize),
        active: Option<&[usize]>,
        (steps, batch): (usize, usize),
    ) -> Result<Picks, Error> {
        let TableRows { table, rows, step } = *self;
        if table.isa != isa {
            return Err(Error::IsaUnavailable { isa: table.isa });
        }
        if table.width != width {
            return Err(Error::Shape { arg: "table", dim: "row length", expected: width, got: table.width });
        }
        if steps > 0 && batch > 0 {
            let last = step.checked_mul(steps - 1).and_then(|first| first.checked_add(batch));
            let expected = last.ok_or(Error::SizeOverflow { what: "rows" })?;
            if rows.len() < expected {
                return Err(Error::Shape { arg: "rows", dim: "length", expected, got: rows.len() });
            }
            let check = |picks: &[usize]| match picks.iter().find(|&&row| row >= table.rows) {
                // The last row that there is.
                Some(&got) => {
                    Err(Error::Shape { arg: "rows", dim: "row", expected: table.rows.saturating_sub(1), got })
                }
                None => Ok(()),
            };
            if step == 0 {
                // All steps pick alike.
                let most = active.map_or(batch, |active| active.iter().copied().max().unwrap_or(0));
                check(&rows[..most])?;
            } else {
                for t in 0..steps {
                    check(&rows[t * step..][..active.map_or(batch, |active| active[t])])?;
                }
            }
        }
        Ok(Picks { rows: rows.as_ptr(), step, width })
    }
}
