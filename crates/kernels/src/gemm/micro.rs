//! The one inner loop of the house, [`accumulate`]: a tile of `M` rows by `N` vectors, accumulated over k. Every matmul runs
//! through it: the public one, the input projection, the recurrent products of both passes. The body of the plain matmul
//! stands here too; the loops that cut rows and vectors into tiles are in [`tiles`](super::tiles).

use super::block::{GemmTask, Start};
use super::tiles::{TileBody, walk};
use crate::simd::Vector;
use std::marker::PhantomData;

/// The accumulators of a tile: by row, and by vector; the vectors in `W` runs of `K`, for a body that takes them by panels.
pub(crate) type Tile<V, const M: usize, const W: usize, const K: usize> = [[[V; K]; W]; M];

/// What a tile multiplies.
#[derive(Clone, Copy)]
pub(crate) struct Operands<const M: usize> {
    /// Where the rows start.
    pub(crate) a: [*const f32; M],
    /// From one k to the next in a row.
    pub(crate) a_step: usize,
    /// The first vector: it starts a strip of `NR` vectors, or is the only one. Strips are k-major: for each k their vectors,
    /// one after the other.
    pub(crate) b: *const f32,
    /// From one strip to the next.
    pub(crate) strip: usize,
    /// Values of k.
    pub(crate) depth: usize,
}

/// Continues the chains of a tile over all values of k, ascending:
///
/// ```text
/// acc[r][n] = fma(a[r][k * a_step], b[n / NR][k][n % NR], acc[r][n])     k = 0, 1, ..
/// ```
/// The loop is unrolled `U` times, which keeps the order of each chain.
///
/// # Safety
/// `a[r]` is readable at `k * a_step`, and each strip that a vector of the tile stands in for `depth * NR` vectors.
#[inline(always)]
pub(crate) unsafe fn accumulate<
    V: Vector,
    const M: usize,
    const W: usize,
    const K: usize,
    const NR: usize,
    const U: usize,
>(
    token: V::Token,
    mut acc: Tile<V, M, W, K>,
    mut operands: Operands<M>,
) -> Tile<V, M, W, K> {
    let mut left = operands.depth;
    while left >= U {
        for _ in 0..U {
            // SAFETY: a value of k is left, so the caller's promise covers it.
            unsafe { multiply_add::<V, M, W, K, NR>(token, &mut acc, &mut operands) };
        }
        left -= U;
    }
    while U > 1 && left > 0 {
        // SAFETY: as above.
        unsafe { multiply_add::<V, M, W, K, NR>(token, &mut acc, &mut operands) };
        left -= 1;
    }
    acc
}

/// One value of k; the operands move on to the next. Whichever of the two needs fewer registers stays in registers over the
/// other's loop.
///
/// # Safety
/// `a[r]` is readable, and the strips for the vectors of this k.
#[inline(always)]
unsafe fn multiply_add<V: Vector, const M: usize, const W: usize, const K: usize, const NR: usize>(
    token: V::Token,
    acc: &mut Tile<V, M, W, K>,
    operands: &mut Operands<M>,
) {
    if M <= W * K {
        let mut x = [V::splat(token, 0.0); M];
        for r in 0..M {
            // SAFETY: the caller's promise.
            x[r] = V::splat(token, unsafe { *operands.a[r] });
        }
        for w in 0..W {
            for k in 0..K {
                // SAFETY: the caller's promise.
                let b = unsafe { vector::<V, M, NR>(token, operands, w * K + k) };
                for r in 0..M {
                    acc[r][w][k] = x[r].mul_add(b, acc[r][w][k]);
                }
            }
        }
    } else {
        let mut b = [[V::splat(token, 0.0); K]; W];
        for w in 0..W {
            for k in 0..K {
                // SAFETY: the caller's promise.
                b[w][k] = unsafe { vector::<V, M, NR>(token, operands, w * K + k) };
            }
        }
        for r in 0..M {
            // SAFETY: the caller's promise.
            let x = V::splat(token, unsafe { *operands.a[r] });
            for w in 0..W {
                for k in 0..K {
                    acc[r][w][k] = x.mul_add(b[w][k], acc[r][w][k]);
                }
            }
        }
    }
    for r in 0..M {
        operands.a[r] = operands.a[r].wrapping_add(operands.a_step);
    }
    operands.b = operands.b.wrapping_add(NR * V::LANES);
}

/// Vector `n` of a tile, at the k that its operands stand at.
///
/// # Safety
/// The strip that it stands in, the `n / NR`-th, is readable there.
#[inline(always)]
unsafe fn vector<V: Vector, const M: usize, const NR: usize>(
    token: V::Token,
    operands: &Operands<M>,
    n: usize,
) -> V {
    let at = n / NR * operands.strip + n % NR * V::LANES;
    // SAFETY: the caller's promise.
    V::load(token, unsafe { &*operands.b.add(at).cast() })
}

/// One task for one instruction set, for [`walk`].
struct Block<'a, V, const NR: usize, const U: usize> {
    task: &'a GemmTask,
    vector: PhantomData<V>,
}

/// Runs a task.
///
/// # Safety
/// A is readable at each of its rows and k, B for all strips of `depth`, a bias for all vectors; C is writable (and, to load,
/// readable) at each of its rows and columns; B is packed for `V`'s lanes and strips of `NR` vectors.
#[inline(always)]
pub(crate) unsafe fn gemm<V: Vector, const MR: usize, const NR: usize, const U: usize>(
    token: V::Token,
    task: &GemmTask,
) {
    let block = Block::<V, NR, U> { task, vector: PhantomData };
    // SAFETY: the caller's promise covers every row and vector.
    unsafe { walk::<V, _, 1, 1, MR, NR>(token, &block, task.rows, task.vectors) };
}

impl<V: Vector, const NR: usize, const U: usize> TileBody<V, 1, 1> for Block<'_, V, NR, U> {
    const STORES: bool = true;

    #[inline(always)]
    unsafe fn products<const M: usize, const W: usize, const K: usize>(
        &self,
        token: V::Token,
        _: usize,
        row: usize,
        vector: usize,
    ) -> Tile<V, M, W, K> {
        let task = self.task;
        let a_rows = task.a_rows.places::<M>(task.first_row + row);
        let c_rows = task.c_rows.places::<M>(task.first_row + row);
        let mut a = [std::ptr::null(); M];
        for r in 0..M {
            a[r] = task.a.wrapping_offset(a_rows[r]);
        }
        let mut acc = [[[V::splat(token, 0.0); K]; W]; M];
        // SAFETY: rows and vectors lie within the task, and its maker vouches for all of them.
        unsafe {
            for w in 0..W {
                for k in 0..K {
                    let n = vector + w * K + k;
                    match task.start {
                        Start::Zero => {}
                        Start::Bias(bias) => {
                            let bias = V::load(token, &*bias.add(n * V::LANES).cast());
                            for r in 0..M {
                                acc[r][w][k] = bias;
                            }
                        }
                        Start::Load(beta) => {
                            let place = Columns::new::<V>(task, n);
                            for r in 0..M {
                                let c = load(token, task.c.wrapping_offset(c_rows[r]), place);
                                acc[r][w][k] = if beta == 1.0 { c } else { c.mul(V::splat(token, beta)) };
                            }
                        }
                    }
                }
            }
            let b = task.b.add(vector / NR * task.strip + vector % NR * V::LANES);
            let operands = Operands { a, a_step: task.a_step, b, strip: task.strip, depth: task.depth };
            acc = accumulate::<V, M, W, K, NR, U>(token, acc, operands);
            for w in 0..W {
                for k in 0..K {
                    let place = Columns::new::<V>(task, vector + w * K + k);
                    for r in 0..M {
                        store(acc[r][w][k], task.c.wrapping_offset(c_rows[r]), place);
                    }
                }
            }
        }
        acc
    }

    #[inline(always)]
    unsafe fn finish(&self, _: V::Token, _: usize, _: usize, _: [[V; 1]; 1]) {}
}

/// The columns of one vector in a row of C.
#[derive(Clone, Copy)]
struct Columns {
    /// Where in the row they start.
    at: usize,
    /// From one to the next.
    col: usize,
    /// How many there are.
    left: usize,
}

impl Columns {
    #[inline(always)]
    fn new<V: Vector>(task: &GemmTask, vector: usize) -> Columns {
        let map = task.c_columns;
        let (outer, inner) =
            if vector < map.run { (0, vector) } else { (vector / map.run, vector % map.run) };
        let at = outer * map.outer + inner * V::LANES * map.col;
        Columns { at, col: map.col, left: task.columns.saturating_sub(vector * V::LANES) }
    }
}

/// The vector of a row of C.
///
/// # Safety
/// The row is readable at its columns; no others are touched.
#[inline(always)]
unsafe fn load<V: Vector>(token: V::Token, row: *const f32, columns: Columns) -> V {
    let at = row.wrapping_add(columns.at);
    // SAFETY: only the columns that are left are touched.
    unsafe {
        if columns.col == 1 && columns.left >= V::LANES {
            return V::load(token, &*at.cast());
        }
        let mut lanes = [0.0; 16];
        let count = if columns.left < V::LANES { columns.left } else { V::LANES };
        copy_apart((at, columns.col), (lanes.as_mut_ptr(), 1), count);
        V::load(token, &*lanes.as_ptr().cast())
    }
}

/// Stores the vector of a row of C.
///
/// # Safety
/// As [`load`], writable.
#[inline(always)]
unsafe fn store<V: Vector>(x: V, row: *mut f32, columns: Columns) {
    let at = row.wrapping_add(columns.at);
    // SAFETY: only the columns that are left are touched.
    unsafe {
        if columns.col == 1 && columns.left >= V::LANES {
            return x.store(&mut *at.cast());
        }
        let mut lanes = [0.0; 16];
        x.store(&mut *lanes.as_mut_ptr().cast());
        let count = if columns.left < V::LANES { columns.left } else { V::LANES };
        copy_apart((lanes.as_ptr(), 1), (at, columns.col), count);
    }
}

/// Copies `count` floats, each a step from the one before: the ragged edge of C, kept out of the tiles.
///
/// # Safety
/// `from` is readable and `to` writable at each step.
#[inline(never)]
unsafe fn copy_apart(from: (*const f32, usize), to: (*mut f32, usize), count: usize) {
    for i in 0..count {
        // SAFETY: the caller's promise.
        unsafe { *to.0.add(i * to.1) = *from.0.add(i * from.1) };
    }
}
