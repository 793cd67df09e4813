//! The matmul as data: what a kernel is told, and how a large product is cut into blocks that stay in the caches.

/// Depth of a block (BLIS's kc): six rows of A and a strip of B of that depth, 22 KiB, share the L1 cache.
pub(crate) const KC: usize = 256;
/// Rows of a block (BLIS's mc): MC * KC floats of A, 192 KiB, stay in the L2 cache while all strips of B pass by.
pub(crate) const MC: usize = 192;

/// What an accumulator starts from.
#[derive(Clone, Copy)]
pub(crate) enum Start {
    /// +0; C is not read.
    Zero,
    /// A packed bias, vector by vector; C is not read.
    Bias(*const f32),
    /// C * beta, rounded; C itself for beta 1.
    Load(f32),
}

/// Where the rows of a matrix stand: row i at `(i / inner) * outer + (i % inner) * row`, as in a [T, B, I] sequence.
#[derive(Clone, Copy)]
pub(crate) struct RowMap {
    pub(crate) inner: usize,
    pub(crate) outer: isize,
    pub(crate) row: usize,
}

impl ColumnMap {
    /// One after the other.
    pub(crate) const EVEN: ColumnMap = ColumnMap { run: usize::MAX, outer: 0 };

    /// Where a vector starts.
    #[inline(always)]
    pub(crate) fn place(self, vector: usize, lanes: usize) -> usize {
        let run = self.run.max(1);
        let (outer, inner) = if vector < run { (0, vector) } else { (vector / run, vector % run) };
        outer * self.outer + inner * lanes
    }
}

impl RowMap {
    /// Rows evenly apart.
    pub(crate) const fn even(row: usize) -> RowMap {
        RowMap { inner: usize::MAX, outer: 0, row }
    }

    /// Where `M` rows from the `first` on stand.
    #[inline(always)]
    pub(crate) fn places<const M: usize>(self, first: usize) -> [isize; M] {
        // A division takes as long as many multiply-adds: none for rows that are evenly apart, else one for all.
        let (mut outer, mut inner) = if first < self.inner {
            (0, first)
        } else {
            (first / self.inner.max(1), first % self.inner.max(1))
        };
        let mut places = [0; M];
        for r in 0..M {
            // Wrapping: of an operand without elements any distance is allowed, and nothing is read.
            let step = outer.cast_signed().wrapping_mul(self.outer);
            places[r] = step.wrapping_add(inner.wrapping_mul(self.row).cast_signed());
            inner += 1;
            if inner == self.inner {
                (outer, inner) = (outer + 1, 0);
            }
        }
        places
    }
}

/// Where the vectors of C stand in a row: vector v at `(v / run) * outer + (v % run) * LANES`.
#[derive(Clone, Copy)]
pub(crate) struct ColumnMap {
    pub(crate) run: usize,
    pub(crate) outer: usize,
}

/// `C = start + A B` for `rows` rows and all `vectors` of columns.
#[derive(Clone, Copy)]
pub(crate) struct GemmTask {
    pub(crate) rows: usize,
    pub(crate) vectors: usize,
    pub(crate) depth: usize,
    /// Row i of the task is row `first_row + i` of A.
    pub(crate) a: *const f32,
    pub(crate) first_row: usize,
    pub(crate) a_rows: RowMap,
    /// From one k to the next in A.
    pub(crate) a_step: usize,
    pub(crate) b: *const f32,
    /// From one k to the next in B.
    pub(crate) b_step: usize,
    /// From one strip of B to the next.
    pub(crate) strip: usize,
    pub(crate) start: Start,
    pub(crate) c: *mut f32,
    pub(crate) c_rows: RowMap,
    pub(crate) c_columns: ColumnMap,
    /// Columns of C; those of the last vector beyond them are not touched.
    pub(crate) columns: usize,
}

impl GemmTask {
    /// Whether it is no larger than one of its blocks.
    pub(crate) fn is_block(&self) -> bool {
        self.rows <= MC && self.depth <= KC
    }

    /// The same product in blocks: k outermost, each chain stored in C and resumed, and rows within.
    pub(crate) fn blocks(self) -> Blocks {
        Blocks { whole: self, k: 0, row: 0 }
    }
}

/// Columns of C from which on packing A pays: each of its floats is moved once and used as often as there are columns.
const PACK_COLUMNS: usize = 256;
/// Rows of A so far apart, in floats, share few places of a cache, and the more so the nearer the distance to a power of two.
const PACK_ROW: usize = 512;

impl GemmTask {
    /// Whether a block's rows of A should be brought together first.
    pub(crate) fn wants_packed_rows(&self) -> bool {
        let is_even = |rows: RowMap| rows.inner == usize::MAX;
        let row = if is_even(self.a_rows) { self.a_rows.row } else { 0 };
        is_even(self.c_rows)
            && self.columns >= PACK_COLUMNS
            && (row >= PACK_ROW || self.a_step >= PACK_ROW)
            && self.rows > 1
    }

    /// The same block with its rows of A packed by tiles of `mr`.
    pub(crate) fn with_packed_rows(self, a: *const f32, mr: usize) -> GemmTask {
        // Row `first_row` is the first of the packed ones: tiles start there.
        let outer = (self.depth * mr).cast_signed();
        let c = self.c.wrapping_offset(self.c_rows.places::<1>(self.first_row)[0]);
        let c_rows = RowMap::even(self.c_rows.row);
        GemmTask {
            first_row: 0,
            a,
            a_rows: RowMap { inner: mr, outer, row: 1 },
            a_step: mr,
            c,
            c_rows,
            ..self
        }
    }
}

/// See [`GemmTask::blocks`].
pub(crate) struct Blocks {
    whole: GemmTask,
    k: usize,
    row: usize,
}

impl Iterator for Blocks {
    type Item = GemmTask;

    fn next(&mut self) -> Option<GemmTask> {
        let whole = &self.whole;
        if self.row >= whole.rows {
            self.row = 0;
            self.k += KC;
        }
        // A product over no k at all still has to write what it starts from.
        if whole.rows == 0 || (self.k >= whole.depth && self.k > 0) {
            return None;
        }
        let rows = MC.min(whole.rows - self.row);
        let block = GemmTask {
            rows,
            depth: KC.min(whole.depth - self.k),
            a: whole.a.wrapping_add(self.k * whole.a_step),
            first_row: whole.first_row + self.row,
            b: whole.b.wrapping_add(self.k * whole.b_step),
            start: if self.k == 0 { whole.start } else { Start::Load(1.0) },
            ..*whole
        };
        self.row += rows;
        Some(block)
    }
}
