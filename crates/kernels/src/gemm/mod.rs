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
mod sizes;
pub(crate) mod sums;
pub(crate) mod tiles;

use crate::aligned::AlignedBuf;
use crate::error::Error;
use pack::{Depth, PanelShape, Source, pack};

/// A read-only matrix: element (i, j) stands at `i * row + j * col`.
///
/// # Examples
/// The second column of a row-major 2 x 3 matrix, as a 2 x 1 matrix, times 10:
/// ```
/// use gatewise_kernels::{Kernels, Matrix, MatrixMut};
///
/// let (a, mut c) = ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [0.0; 2]);
/// let column = Matrix { data: &a[1..], row: 3, col: 1 };
/// let (b, c_1) = (Matrix::row_major(&[10.0], 1), MatrixMut::row_major(&mut c, 1));
/// Kernels::auto()?.matmul(2, 1, 1, column, b, 0.0, c_1, 1)?;
/// assert_eq!(c, [20.0, 50.0]);
/// # Ok::<(), gatewise_kernels::Error>(())
/// ```
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
///
/// # Examples
/// Into the last column of a row-major 2 x 3 matrix:
/// ```
/// use gatewise_kernels::{Kernels, Matrix, MatrixMut};
///
/// let (mut c, a) = ([0.0; 6], Matrix::row_major(&[1.0, 2.0], 1));
/// let column = MatrixMut { data: &mut c[2..], row: 3, col: 1 };
/// Kernels::auto()?.matmul(2, 1, 1, a, Matrix::row_major(&[10.0], 1), 0.0, column, 1)?;
/// assert_eq!(c, [0.0, 0.0, 10.0, 0.0, 0.0, 20.0]);
/// # Ok::<(), gatewise_kernels::Error>(())
/// ```
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
    ///
    /// # Examples
    /// ```
    /// let a = gatewise_kernels::Matrix::row_major(&[0.5; 2 * 3], 3); // 2 x 3
    /// assert_eq!((a.row, a.col), (3, 1));
    /// ```
    pub fn row_major(data: &'a [f32], columns: usize) -> Matrix<'a> {
        Matrix { data, row: columns, col: 1 }
    }

    /// The transpose: the same floats, rows and columns exchanged.
    ///
    /// # Examples
    /// ```
    /// let a = gatewise_kernels::Matrix::row_major(&[0.5; 2 * 3], 3).transposed(); // 3 x 2
    /// assert_eq!((a.row, a.col), (1, 3));
    /// ```
    pub fn transposed(self) -> Matrix<'a> {
        Matrix { data: self.data, row: self.col, col: self.row }
    }

    pub(crate) fn check(&self, arg: &'static str, rows: usize, columns: usize) -> Result<(), Error> {
        check_extent(arg, self.data.len(), (self.row, self.col), (rows, columns))
    }
}

impl<'a> MatrixMut<'a> {
    /// A matrix of `columns` columns, row after row.
    ///
    /// # Examples
    /// ```
    /// let mut c = [0.0; 2 * 3];
    /// let c = gatewise_kernels::MatrixMut::row_major(&mut c, 3); // 2 x 3
    /// assert_eq!((c.row, c.col), (3, 1));
    /// ```
    pub fn row_major(data: &'a mut [f32], columns: usize) -> MatrixMut<'a> {
        MatrixMut { data, row: columns, col: 1 }
    }

    /// The transpose: the same floats, rows and columns exchanged.
    pub(crate) fn transposed(self) -> MatrixMut<'a> {
        MatrixMut { data: self.data, row: self.col, col: self.row }
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
        if columns > 1 && self.col == 0 {
            return Err(Error::Shape { arg, dim: "column stride", expected: 1, got: 0 });
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
///
/// # Examples
/// ```
/// use gatewise_kernels::{Kernels, Matrix, MatrixMut};
///
/// let (kernels, mut c) = (Kernels::auto()?, [0.0]);
/// let b = kernels.pack_b(2, 1, Matrix::row_major(&[10.0, 1.0], 1))?;
/// for (a, expected) in [([1.0, 2.0], 12.0), ([3.0, 4.0], 34.0)] {
///     let a = Matrix::row_major(&a, 2);
///     kernels.matmul_packed(1, a, &b, 0.0, MatrixMut::row_major(&mut c, 1), 1)?;
///     assert_eq!(c, [expected]);
/// }
/// # Ok::<(), gatewise_kernels::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct PackedB {
    pub(crate) shape: PanelShape,
    pub(crate) panels: AlignedBuf,
}

impl PackedB {
    /// k, the rows of B.
    ///
    /// # Examples
    /// ```
    /// use gatewise_kernels::{Kernels, Matrix};
    ///
    /// assert_eq!(Kernels::auto()?.pack_b(2, 3, Matrix::row_major(&[0.5; 6], 3))?.depth(), 2);
    /// # Ok::<(), gatewise_kernels::Error>(())
    /// ```
    pub fn depth(&self) -> usize {
        self.shape.depth
    }

    /// n, the columns of B.
    ///
    /// # Examples
    /// ```
    /// use gatewise_kernels::{Kernels, Matrix};
    ///
    /// assert_eq!(Kernels::auto()?.pack_b(2, 3, Matrix::row_major(&[0.5; 6], 3))?.columns(), 3);
    /// # Ok::<(), gatewise_kernels::Error>(())
    /// ```
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
///
/// # Examples
/// ```
/// use gatewise_kernels::{Kernels, OuterProducts, OuterScratch};
///
/// let (a, b, mut c) = ([1.0, 2.0], [10.0, 20.0, 30.0, 40.0], [0.5; 2]);
/// let sum = OuterProducts { m: 1, n: 2, a: &a, a_rows: &[0, 1], b: &b, b_rows: &[0, 2], c: &mut c };
/// Kernels::auto()?.add_outer_products(sum, &mut OuterScratch::new(), 1)?;
/// assert_eq!(c, [0.5 + 10.0 + 2.0 * 30.0, 0.5 + 20.0 + 2.0 * 40.0]);
/// # Ok::<(), gatewise_kernels::Error>(())
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
///
/// # Examples
/// ```
/// use gatewise_kernels::{Kernels, OuterProducts, OuterScratch};
///
/// let (kernels, mut room, mut c) = (Kernels::auto()?, OuterScratch::new(), [0.0]);
/// for expected in [6.0, 12.0] {
///     let sum = OuterProducts { m: 1, n: 1, a: &[2.0], a_rows: &[0], b: &[3.0], b_rows: &[0], c: &mut c };
///     kernels.add_outer_products(sum, &mut room, 1)?; // the second time nothing grows
///     assert_eq!(c, [expected]);
/// }
/// # Ok::<(), gatewise_kernels::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct OuterScratch {
    pub(crate) a: AlignedBuf,
    pub(crate) b: PackedB,
}

impl OuterScratch {
    /// No room yet.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(gatewise_kernels::OuterScratch::new().bytes(), 0);
    /// ```
    pub fn new() -> OuterScratch {
        OuterScratch { a: AlignedBuf::default(), b: PackedB::empty() }
    }

    /// Bytes of the room there is.
    ///
    /// # Examples
    /// ```
    /// let (kernels, mut room) = (gatewise_kernels::Kernels::auto()?, gatewise_kernels::OuterScratch::new());
    /// kernels.reserve_outer(&mut room, 8, 5, 3)?;
    /// assert_eq!(room.bytes(), 4 * kernels.outer_floats(8, 5, 3));
    /// # Ok::<(), gatewise_kernels::Error>(())
    /// ```
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
