//! The packed matmul: operands with any strides, and what has to hold of them.
//!
//! ```text
//! C[i,j] = beta * C[i,j] + sum_k A[i,k] B[k,j]
//! ```
//! Each element is one chain of multiply-adds, k ascending, that starts from beta * C (from +0, without reading C, where beta
//! is 0). Blocking stores and resumes a chain but never splits it, so the bits depend on no block, tile or thread.

pub(crate) mod block;
pub(crate) mod micro;
pub(crate) mod pack;
pub(crate) mod single;
pub(crate) mod tiles;

use crate::aligned::AlignedBuf;
use crate::error::Error;
use pack::{Depth, PanelShape, Source, pack};

/// A read-only matrix: element (i, j) stands at `i * row + j * col`.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    /// The floats.
    pub data: &'a [f32],
    /// From one row to the next.
    pub row: usize,
    /// From one column to the next.
    pub col: usize,
}

/// A writable matrix, laid out as [`Matrix`].
#[derive(Debug)]
pub struct MatrixMut<'a> {
    /// The floats.
    pub data: &'a mut [f32],
    /// From one row to the next.
    pub row: usize,
    /// From one column to the next.
    pub col: usize,
}

impl<'a> Matrix<'a> {
    /// A matrix of `columns` columns, row after row.
    pub fn row_major(data: &'a [f32], columns: usize) -> Matrix<'a> {
        Matrix { data, row: columns, col: 1 }
    }

    /// The transpose: the same floats, rows and columns exchanged.
    pub fn transposed(self) -> Matrix<'a> {
        Matrix { data: self.data, row: self.col, col: self.row }
    }

    pub(crate) fn check(&self, arg: &'static str, rows: usize, columns: usize) -> Result<(), Error> {
        check_extent(arg, self.data.len(), (self.row, self.col), (rows, columns))
    }
}

impl<'a> MatrixMut<'a> {
    /// A matrix of `columns` columns, row after row.
    pub fn row_major(data: &'a mut [f32], columns: usize) -> MatrixMut<'a> {
        MatrixMut { data, row: columns, col: 1 }
    }

    /// Every element lies within the slice, and no two share a place, for threads write them.
    pub(crate) fn check(&self, arg: &'static str, rows: usize, columns: usize) -> Result<(), Error> {
        check_extent(arg, self.data.len(), (self.row, self.col), (rows, columns))?;
        if rows == 0 || columns == 0 {
            return Ok(());
        }
        // The products were seen not to overflow by the extent above.
        let by_rows = (columns == 1 || self.col >= 1) && (rows == 1 || self.row > (columns - 1) * self.col);
        let by_columns = (rows == 1 || self.row >= 1) && (columns == 1 || self.col > (rows - 1) * self.row);
        if by_rows || by_columns {
            return Ok(());
        }
        Err(Error::Shape { arg, dim: "row stride", expected: (columns - 1) * self.col + 1, got: self.row })
    }
}

fn check_extent(
    arg: &'static str,
    len: usize,
    (row, col): (usize, usize),
    (rows, columns): (usize, usize),
) -> Result<(), Error> {
    if rows == 0 || columns == 0 {
        return Ok(());
    }
    let last = row
        .checked_mul(rows - 1)
        .and_then(|r| col.checked_mul(columns - 1)?.checked_add(r)?.checked_add(1))
        .ok_or(Error::SizeOverflow { what: arg })?;
    if last > len {
        return Err(Error::Shape { arg, dim: "length", expected: last, got: len });
    }
    Ok(())
}

/// The right operand of a matmul, packed once for many products. Made by [`Kernels::pack_b`](crate::Kernels::pack_b).
#[derive(Clone, Debug)]
pub struct PackedB {
    pub(crate) shape: PanelShape,
    pub(crate) panels: AlignedBuf,
}

impl PackedB {
    /// k, the rows of B.
    pub fn depth(&self) -> usize {
        self.shape.depth
    }

    /// n, the columns of B.
    pub fn columns(&self) -> usize {
        self.shape.units
    }

    pub(crate) fn empty() -> PackedB {
        PackedB {
            shape: PanelShape { lanes: 1, nr: 1, groups: 1, depth: 0, units: 0 },
            panels: AlignedBuf::default(),
        }
    }

    /// Packs `k` x `n` of B, in the room of an earlier packing where that is large enough.
    pub(crate) fn repack(
        &mut self,
        (lanes, nr): (usize, usize),
        depth: Depth<'_>,
        k: usize,
        n: usize,
        b: &[f32],
        col: usize,
    ) -> Result<(), Error> {
        let shape = PanelShape { lanes, nr, groups: 1, depth: k, units: n };
        let overflow = Error::SizeOverflow { what: "b" };
        let len = shape.len().ok_or(overflow.clone())?;
        self.panels.reserve(len).map_err(|_| overflow)?;
        self.shape = shape;
        pack(&mut self.panels, shape, Source { data: b, group: 0, unit: col, depth });
        Ok(())
    }
}

/// A sum of outer products over listed rows, added to C: the form of every weight gradient.
///
/// ```text
/// C[i,j] += sum_r A[a_rows[r] + i] B[b_rows[r] + j]        r ascending, one chain that starts from C
/// ```
#[derive(Debug)]
pub struct OuterProducts<'a> {
    /// Rows of C.
    pub m: usize,
    /// Columns of C.
    pub n: usize,
    /// Holds `m` floats from each of `a_rows` on.
    pub a: &'a [f32],
    /// Where the r-th row of A starts.
    pub a_rows: &'a [usize],
    /// Holds `n` floats from each of `b_rows` on.
    pub b: &'a [f32],
    /// Where the r-th row of B starts.
    pub b_rows: &'a [usize],
    /// Out: C, [m, n], row after row.
    pub c: &'a mut [f32],
}

impl OuterProducts<'_> {
    pub(crate) fn check(&self) -> Result<(), Error> {
        check_rows("a", self.a, self.a_rows, self.m)?;
        check_rows("b", self.b, self.b_rows, self.n)?;
        if self.a_rows.len() != self.b_rows.len() {
            let (expected, got) = (self.a_rows.len(), self.b_rows.len());
            return Err(Error::Shape { arg: "b_rows", dim: "length", expected, got });
        }
        let expected = self.m.checked_mul(self.n).ok_or(Error::SizeOverflow { what: "c" })?;
        if self.c.len() != expected {
            return Err(Error::Shape { arg: "c", dim: "length", expected, got: self.c.len() });
        }
        Ok(())
    }
}

/// Room that a sum of outer products packs its operands into; it grows as needed and is kept from call to call.
#[derive(Clone, Debug)]
pub struct OuterScratch {
    pub(crate) a: AlignedBuf,
    pub(crate) b: PackedB,
}

impl OuterScratch {
    /// No room yet.
    pub fn new() -> OuterScratch {
        OuterScratch { a: AlignedBuf::default(), b: PackedB::empty() }
    }

    /// Bytes of the room there is.
    pub fn bytes(&self) -> usize {
        size_of::<f32>() * (self.a.len() + self.b.panels.len())
    }
}

impl Default for OuterScratch {
    fn default() -> Self {
        OuterScratch::new()
    }
}

/// Whether `width` floats from each listed place on lie within `data`.
pub(crate) fn check_rows(arg: &'static str, data: &[f32], rows: &[usize], width: usize) -> Result<(), Error> {
    let last = rows.iter().copied().max().unwrap_or(0);
    let expected = last.checked_add(width).ok_or(Error::SizeOverflow { what: arg })?;
    if !rows.is_empty() && expected > data.len() {
        return Err(Error::Shape { arg, dim: "length", expected, got: data.len() });
    }
    Ok(())
}
