//! The matmuls of [`Kernels`]: packing, products, sums of outer products, and how they are shared out.
//!
//! A call of a generated function is sound as in `dispatch`: a `Kernels` has the kernels of a detected instruction set only, and a
//! task is made from operands whose every stride was checked against its slice.

use crate::aligned::AlignedBuf;
use crate::dispatch::{Shared, each_part, wrong_entry};
use crate::error::Error;
use crate::gemm::block::{ColumnMap, GemmTask, RowMap, Start};
use crate::gemm::pack::{Depth, PanelShape, pack_block, pack_rows};
use crate::gemm::{Matrix, MatrixMut, OuterProducts, OuterScratch, PackedB};
use crate::kernels::Kernels;
use crate::plan::part;
use crate::rows::{Entry, Row};
use std::cell::RefCell;

thread_local! {
    /// Room for one block of packed rows of A, made when a thread first needs it.
    static PACKED_ROWS: RefCell<AlignedBuf> = RefCell::default();
    /// Room for B where a product packs it.
    static PACKED_B: RefCell<PackedB> = RefCell::new(PackedB::empty());
}

/// Floats of a packed B that a thread keeps the room of, 1 MiB: what is saved is an allocation, little beside larger products.
const MOST_KEPT: usize = 1 << 18;

/// A product of at most that many rows reads B where it stands: to pack it would take as long.
const FEW_ROWS: usize = 16;

/// So does one of a B of at most that many floats, 64 KiB: its rows are near each other in the cache as they are.
const SMALL_B: usize = 1 << 14;

/// From that many rows of B on it pays for few rows of A to read them where they stand, and to go over C once more for the last.
const WORTH_TWO: usize = 32;

impl Kernels {
    /// Packs B, `k` x `n`, for any number of products.
    ///
    /// # Errors
    /// [`Error::Shape`] if B does not hold its elements, [`Error::SizeOverflow`] if the room cannot be had.
    ///
    /// # Examples
    /// W^T of a layer y = x W^T, from W as it is:
    /// ```
    /// use gatewise_kernels::{Kernels, Matrix, MatrixMut};
    ///
    /// let (kernels, w, mut y) = (Kernels::auto()?, [1.0, 2.0, 3.0, 4.0], [0.0; 2]); // W is 2 x 2
    /// let b = kernels.pack_b(2, 2, Matrix::row_major(&w, 2).transposed())?;
    /// kernels.matmul_packed(1, Matrix::row_major(&[1.0, 10.0], 2), &b, 0.0, MatrixMut::row_major(&mut y, 2), 1)?;
    /// assert_eq!(y, [21.0, 43.0]);
    /// # Ok::<(), gatewise_kernels::Error>(())
    /// ```
    pub fn pack_b(&self, k: usize, n: usize, b: Matrix<'_>) -> Result<PackedB, Error> {
        let mut packed = PackedB::empty();
        self.repack_b(&mut packed, k, n, b)?;
        Ok(packed)
    }

    /// Packs another B in the room of an earlier one; allocates only to grow.
    ///
    /// # Errors
    /// As [`pack_b`](Kernels::pack_b); `packed` is then as it was.
    ///
    /// # Examples
    /// ```
    /// use gatewise_kernels::{Kernels, Matrix};
    ///
    /// let kernels = Kernels::auto()?;
    /// let mut b = kernels.pack_b(2, 1, Matrix::row_major(&[10.0, 1.0], 1))?;
    /// kernels.repack_b(&mut b, 1, 2, Matrix::row_major(&[3.0, 4.0], 2))?;
    /// assert_eq!((b.depth(), b.columns()), (1, 2));
    /// # Ok::<(), gatewise_kernels::Error>(())
    /// ```
    pub fn repack_b(&self, packed: &mut PackedB, k: usize, n: usize, b: Matrix<'_>) -> Result<(), Error> {
        b.check("b", k, n)?;
        packed.repack(self.strip(), Depth::Stride(b.row), k, n, b.data, b.col)
    }

    /// C = beta C + A B for A of `m` x `k` and B of `k` x `n`, on as many threads of the current rayon pool as `threads` says.
    /// With beta 0, C is not read. B is read where it stands if its columns are neighbours, and it is small or A has few rows; else it
    /// is packed, in room that the thread keeps up to 1 MiB of. The bits do not depend on it.
    ///
    /// # Errors
    /// [`Error::Shape`] if an operand does not hold its elements, [`Error::SizeOverflow`] if room to pack B cannot be had.
    ///
    /// # Examples
    /// ```
    /// use gatewise_kernels::{Kernels, Matrix, MatrixMut};
    ///
    /// let mut c = [0.5, 0.5];
    /// let (a, b) = (Matrix::row_major(&[1.0, 2.0, 3.0, 4.0], 2), Matrix::row_major(&[10.0, 1.0], 1));
    /// Kernels::auto()?.matmul(2, 1, 2, a, b, 2.0, MatrixMut::row_major(&mut c, 1), 1)?;
    /// assert_eq!(c, [2.0 * 0.5 + 12.0, 2.0 * 0.5 + 34.0]);
    /// # Ok::<(), gatewise_kernels::Error>(())
    /// ```
    #[allow(clippy::too_many_arguments, reason = "the names and the order are those of every BLAS")]
    pub fn matmul(
        &self,
        m: usize,
        n: usize,
        k: usize,
        a: Matrix<'_>,
        b: Matrix<'_>,
        beta: f32,
        c: MatrixMut<'_>,
        threads: usize,
    ) -> Result<(), Error> {
        a.check("a", m, k)?;
        c.check("c", m, n)?;
        b.check("b", k, n)?;
        // C^T = B^T A^T has the same chains: the way round that has neighbours in the rows of C and B.
        let is_column = n == 1 && a.row == 1;
        if c.row == 1 && m > 1 && (is_column || (n > 1 && c.col != 1)) {
            return self.matmul(n, m, k, b.transposed(), a.transposed(), beta, c.transposed(), threads);
        }
        let is_read = b.col == 1 && c.col == 1 && (m <= FEW_ROWS || k.saturating_mul(n) <= SMALL_B);
        let whole = self.rows_to_read(k, n, b);
        if !is_read || (whole < k && (whole == 0 || m > FEW_ROWS || k < WORTH_TWO)) {
            return self.with_packed_b(k, n, b, |b| self.matmul_packed(m, a, b, beta, c, threads));
        }
        let (lanes, nr) = self.strip();
        let task = GemmTask {
            rows: m,
            vectors: n.div_ceil(lanes),
            depth: whole,
            a: a.data.as_ptr(),
            first_row: 0,
            a_rows: RowMap::even(a.row),
            a_step: a.col,
            b: b.data.as_ptr(),
            b_step: b.row,
            strip: nr * lanes,
            start: start(beta),
            c: c.data.as_mut_ptr(),
            c_rows: RowMap::even(c.row),
            c_columns: ColumnMap::EVEN,
            columns: n,
        };
        self.run_matmul(self.common().matmul, task, threads);
        if whole == k || m == 0 {
            return Ok(());
        }
        // The chains go on with the last rows.
        let a = Matrix { data: &a.data[whole * a.col..], ..a };
        let b = Matrix { data: &b.data[whole * b.row..], ..b };
        self.with_packed_b(k - whole, n, b, |b| self.matmul_packed(m, a, b, 1.0, c, threads))
    }

    /// The first rows of a checked B that whole vectors can be read from: what is beyond a row's last column is read with it, so it
    /// has to lie within B's slice. Of columns that fill their vectors that is every row.
    fn rows_to_read(&self, k: usize, n: usize, b: Matrix<'_>) -> usize {
        let width = n.next_multiple_of(self.lanes());
        match b.data.len().checked_sub(width) {
            _ if width == n || k == 0 => k,
            None => 0,
            Some(left) => left.checked_div(b.row).map_or(k, |rows| k.min(rows + 1)),
        }
    }

    /// Does something with a packed B, in the room that the thread keeps. While the job runs, the thread may be given other work of
    /// its pool: a product in it finds no room kept, and makes its own.
    fn with_packed_b(
        &self,
        k: usize,
        n: usize,
        b: Matrix<'_>,
        job: impl FnOnce(&PackedB) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut packed = PACKED_B.replace(PackedB::empty());
        self.repack_b(&mut packed, k, n, b)?;
        let result = job(&packed);
        if packed.panels.len() <= MOST_KEPT {
            PACKED_B.replace(packed);
        }
        result
    }

    /// As [`matmul`](Kernels::matmul), with B packed before. Allocates nothing once each thread has run a large product, unless
    /// the columns of C are apart.
    ///
    /// # Errors
    /// [`Error::Shape`] if an operand does not hold its elements, or B was packed for another instruction set;
    /// [`Error::SizeOverflow`] if room for a C with columns apart cannot be had.
    ///
    /// # Examples
    /// ```
    /// use gatewise_kernels::{Kernels, Matrix, MatrixMut};
    ///
    /// let (kernels, mut c) = (Kernels::auto()?, [0.0; 2]);
    /// let b = kernels.pack_b(2, 1, Matrix::row_major(&[10.0, 1.0], 1))?;
    /// let a = Matrix::row_major(&[1.0, 2.0, 3.0, 4.0], 2);
    /// kernels.matmul_packed(2, a, &b, 0.0, MatrixMut::row_major(&mut c, 1), 1)?;
    /// assert_eq!(c, [12.0, 34.0]);
    /// # Ok::<(), gatewise_kernels::Error>(())
    /// ```
    pub fn matmul_packed(
        &self,
        m: usize,
        a: Matrix<'_>,
        b: &PackedB,
        beta: f32,
        c: MatrixMut<'_>,
        threads: usize,
    ) -> Result<(), Error> {
        a.check("a", m, b.depth())?;
        c.check("c", m, b.columns())?;
        self.check_lanes(b)?;
        if c.col != 1 && b.columns() > 1 {
            return self.matmul_strided(m, a, b, beta, c, threads);
        }
        let task = GemmTask {
            a: a.data.as_ptr(),
            a_rows: RowMap::even(a.row),
            a_step: a.col,
            ..packed_task(m, b, start(beta), c)
        };
        self.run_matmul(self.common().matmul, task, threads);
        Ok(())
    }

    /// [`matmul_packed`](Kernels::matmul_packed) into a C whose columns are apart, by way of one whose columns are not.
    fn matmul_strided(
        &self,
        m: usize,
        a: Matrix<'_>,
        b: &PackedB,
        beta: f32,
        c: MatrixMut<'_>,
        threads: usize,
    ) -> Result<(), Error> {
        let n = b.columns();
        let mut dense = AlignedBuf::zeroed(m.checked_mul(n).ok_or(Error::SizeOverflow { what: "c" })?)?;
        if beta != 0.0 {
            for (i, row) in dense.chunks_exact_mut(n).enumerate() {
                row.iter_mut().enumerate().for_each(|(j, x)| *x = c.data[i * c.row + j * c.col]);
            }
        }
        self.matmul_packed(m, a, b, beta, MatrixMut::row_major(&mut dense, n), threads)?;
        for (i, row) in dense.chunks_exact(n).enumerate() {
            row.iter().enumerate().for_each(|(j, x)| c.data[i * c.row + j * c.col] = *x);
        }
        Ok(())
    }

    fn check_lanes(&self, b: &PackedB) -> Result<(), Error> {
        if (b.shape.lanes, b.shape.nr) != self.strip() && b.shape.units > 0 {
            return Err(Error::Shape { arg: "b", dim: "lanes", expected: self.lanes(), got: b.shape.lanes });
        }
        Ok(())
    }

    /// Shares the rows of a checked task out to threads.
    pub(crate) fn run_matmul(&self, row: &'static Row, task: GemmTask, threads: usize) {
        let Entry::Matmul(kernel) = row.entry else { wrong_entry(row) };
        if task.vectors == 0 {
            return;
        }
        let parts = threads.clamp(1, task.rows.max(1));
        if parts == 1 && task.is_block() && !task.wants_packed_rows() {
            // SAFETY: see the module's note.
            unsafe { kernel(&task) };
            return;
        }
        let (task, mr) = (Shared(task), row.tile.0);
        each_part(parts, |i| {
            let task = *task.get();
            let (begin, end) = part(task.rows, parts, i);
            let part = GemmTask { rows: end - begin, first_row: task.first_row + begin, ..task };
            // SAFETY: see the module's note; blocks stay within the task, and a packed one reads what was packed for it.
            unsafe {
                if !part.wants_packed_rows() {
                    return part.blocks().for_each(|block| kernel(&block));
                }
                PACKED_ROWS.with_borrow_mut(|room| {
                    for block in part.blocks() {
                        // Room that cannot be had is done without.
                        if room.reserve(block.rows.next_multiple_of(mr) * block.depth).is_err() {
                            kernel(&block);
                            continue;
                        }
                        pack_block(room, mr, &block);
                        kernel(&block.with_packed_rows(room.as_ptr(), mr));
                    }
                });
            }
        });
    }

    /// Adds a sum of outer products to C, on as many threads of the current rayon pool as `threads` says. `packed` is room for
    /// B, kept from call to call.
    ///
    /// # Errors
    /// [`Error::Shape`] if a row does not lie within its operand, [`Error::SizeOverflow`] if the room cannot be had.
    ///
    /// # Examples
    /// dW += sum of dy x^T over two rows:
    /// ```
    /// use gatewise_kernels::{Kernels, OuterProducts, OuterScratch};
    ///
    /// let (dy, x, mut dw) = ([1.0, 2.0], [10.0, 20.0, 30.0, 40.0], [0.0; 2]);
    /// let sum = OuterProducts { m: 1, n: 2, a: &dy, a_rows: &[0, 1], b: &x, b_rows: &[0, 2], c: &mut dw };
    /// Kernels::auto()?.add_outer_products(sum, &mut OuterScratch::new(), 1)?;
    /// assert_eq!(dw, [10.0 + 2.0 * 30.0, 20.0 + 2.0 * 40.0]);
    /// # Ok::<(), gatewise_kernels::Error>(())
    /// ```
    pub fn add_outer_products(
        &self,
        sum: OuterProducts<'_>,
        packed: &mut OuterScratch,
        threads: usize,
    ) -> Result<(), Error> {
        sum.check()?;
        let (k, row) = (sum.a_rows.len(), self.common().matmul);
        let OuterScratch { a, b } = packed;
        b.repack(self.strip(), Depth::Listed(sum.b_rows), k, sum.n, sum.b, 1)?;
        let mr = row.tile.0;
        let len = sum.m.checked_next_multiple_of(mr).and_then(|m| m.checked_mul(k));
        a.reserve(len.ok_or(Error::SizeOverflow { what: "a" })?)?;
        pack_rows(a, mr, sum.m, sum.a, sum.a_rows);
        let task = GemmTask {
            a: a.as_ptr(),
            a_rows: RowMap { inner: mr, outer: (k * mr).cast_signed(), row: 1 },
            a_step: mr,
            ..packed_task(sum.m, b, Start::Load(1.0), MatrixMut::row_major(sum.c, sum.n))
        };
        self.run_matmul(row, task, threads);
        Ok(())
    }

    /// Floats of scratch that sums of `k` outer products of up to `m` x `n` take, as far as they can be counted.
    ///
    /// # Examples
    /// ```
    /// let kernels = gatewise_kernels::Kernels::auto()?;
    /// assert!(kernels.outer_floats(8, 5, 3) >= 8 * (5 + 3)); // both operands, padded to whole tiles
    /// assert_eq!(kernels.outer_floats(16, 5, 3), 2 * kernels.outer_floats(8, 5, 3));
    /// # Ok::<(), gatewise_kernels::Error>(())
    /// ```
    pub fn outer_floats(&self, k: usize, m: usize, n: usize) -> usize {
        let (lanes, nr) = self.strip();
        let b = PanelShape { lanes, nr, groups: 1, depth: k, units: n };
        let a = m.div_ceil(self.common().matmul.tile.0).saturating_mul(self.common().matmul.tile.0);
        a.saturating_mul(k).saturating_add(b.len().unwrap_or(usize::MAX))
    }

    /// Makes room for them at once, so that a small sum before a large one leaves no room unused.
    ///
    /// # Errors
    /// [`Error::SizeOverflow`] if the room cannot be had.
    ///
    /// # Examples
    /// ```
    /// use gatewise_kernels::{Kernels, OuterProducts, OuterScratch};
    ///
    /// let (kernels, mut room, mut c) = (Kernels::auto()?, OuterScratch::new(), [0.0]);
    /// kernels.reserve_outer(&mut room, 8, 1, 1)?;
    /// let bytes = room.bytes();
    /// let sum = OuterProducts { m: 1, n: 1, a: &[2.0], a_rows: &[0], b: &[3.0], b_rows: &[0], c: &mut c };
    /// kernels.add_outer_products(sum, &mut room, 1)?;
    /// assert_eq!((c, room.bytes()), ([6.0], bytes)); // did not grow
    /// # Ok::<(), gatewise_kernels::Error>(())
    /// ```
    pub fn reserve_outer(&self, room: &mut OuterScratch, k: usize, m: usize, n: usize) -> Result<(), Error> {
        let (lanes, nr) = self.strip();
        let b = PanelShape { lanes, nr, groups: 1, depth: k, units: n };
        let a = m.checked_next_multiple_of(self.common().matmul.tile.0).and_then(|m| m.checked_mul(k));
        room.a.reserve(a.ok_or(Error::SizeOverflow { what: "a" })?)?;
        room.b.panels.reserve(b.len().ok_or(Error::SizeOverflow { what: "b" })?)
    }
}

/// What the chains of a product start from.
fn start(beta: f32) -> Start {
    if beta == 0.0 { Start::Zero } else { Start::Load(beta) }
}

/// The product of `m` rows with a packed B into a checked C; A is left to the caller.
fn packed_task(m: usize, b: &PackedB, start: Start, c: MatrixMut<'_>) -> GemmTask {
    GemmTask {
        rows: m,
        vectors: b.shape.vectors(),
        depth: b.depth(),
        a: std::ptr::null(),
        first_row: 0,
        a_rows: RowMap::even(0),
        a_step: 0,
        b: b.panels.as_ptr(),
        b_step: b.shape.nr * b.shape.lanes,
        strip: b.shape.strip_len(),
        start,
        c: c.data.as_mut_ptr(),
        c_rows: RowMap::even(c.row),
        c_columns: ColumnMap::EVEN,
        columns: b.columns(),
    }
}
