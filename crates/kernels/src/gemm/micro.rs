//! The one inner loop of the house, [`accumulate`]: a tile of `M` rows by `N` vectors, accumulated over k. Every matmul runs
//! through it: the public one, the input projection, the recurrent products of both passes. The body of the plain matmul
//! stands here too; the loops that cut rows and vectors into tiles are in [`tiles`](super::tiles).

use super::block::{GemmTask, Start};
use super::sums::BlockSums;
use super::tiles::{Corner, Products, TileBody, walk};
use crate::simd::Vector;
use std::marker::PhantomData;
use std::sync::atomic::{Ordering, compiler_fence};

/// The accumulators of a tile: by row, and by vector; the vectors in `W` runs of `K`, for a body that takes them by panels.
pub(crate) type Tile<V, const M: usize, const W: usize, const K: usize> = [[[V; K]; W]; M];

/// What a tile multiplies.
#[derive(Clone, Copy)]
pub(crate) struct Operands<const M: usize> {
    /// Where the rows start.
    pub(crate) a: [*const f32; M],
    /// From one k to the next in a row.
    pub(crate) a_step: usize,
    /// The first vector: it starts a strip of `NR` vectors, or is the only one. For each k the vectors of a strip stand one after
    /// the other.
    pub(crate) b: *const f32,
    /// From one k to the next in a strip.
    pub(crate) b_step: usize,
    /// From one strip to the next.
    pub(crate) strip: usize,
    /// Values of k.
    pub(crate) depth: usize,
    /// What to fetch ahead: a cache line for each k.
    pub(crate) ahead: *const f32,
}

/// Floats of a cache line.
const LINE: usize = 16;

/// Vectors in strips.
#[derive(Clone, Copy)]
struct Strips {
    first: *const f32,
    /// From one k to the next in a strip: as many vectors as it has, where they are packed.
    step: usize,
    /// From one strip to the next.
    strip: usize,
    /// The first value of k to multiply.
    k: usize,
    /// Values of k to multiply.
    depth: usize,
}

impl<const M: usize> Operands<M> {
    /// Rows without gaps times the vectors from `vector` on of weights packed in strips, `of` values of k in each; `k` is the
    /// first that the rows meet, and `depth` how many follow.
    #[inline(always)]
    pub(crate) fn packed<V: Vector, const NR: usize>(
        a: [*const f32; M],
        weights: *const f32,
        corner: Corner,
        of: usize,
        (k, depth): (usize, usize),
    ) -> Self {
        let step = NR * V::LANES;
        let weights = Strips { first: weights, step, strip: of * step, k, depth };
        Operands::new::<V, NR>(a, 1, weights, corner)
    }

    /// The rows of a tile times its vectors. Each tile of a band fetches a share of the strip that the band needs next, a cache
    /// line for each k, so that strips from beyond the L2 cache are there in time. On a CPU with 2 MiB of L2 it took an LSTM
    /// forward pass of 32 rows from 0.51 to 0.71 of the FMA peak at 1024 units and from 0.58 to 0.70 at 512, and cost nothing
    /// at 64 and 128, whose weights are near.
    #[inline(always)]
    fn new<V: Vector, const NR: usize>(
        a: [*const f32; M],
        a_step: usize,
        weights: Strips,
        Corner { vector, turn, .. }: Corner,
    ) -> Self {
        let Strips { first, step, strip, k, depth } = weights;
        let start = first.wrapping_add(vector / NR * strip + k * step);
        let b = start.wrapping_add(vector % NR * V::LANES);
        Operands {
            a,
            a_step,
            b,
            b_step: step,
            strip,
            depth,
            ahead: start.wrapping_add(strip + turn * depth * LINE),
        }
    }
}

/// A tile of zeros.
#[inline(always)]
pub(crate) fn zeros<V: Vector, const M: usize, const W: usize, const K: usize>(
    token: V::Token,
) -> Tile<V, M, W, K> {
    [[[V::splat(token, 0.0); K]; W]; M]
}

/// A tile whose every row starts from the bias.
///
/// # Safety
/// `bias` is readable for as many vectors as a row of the tile has.
#[inline(always)]
pub(crate) unsafe fn start_from<V: Vector, const M: usize, const W: usize, const K: usize>(
    token: V::Token,
    bias: *const f32,
) -> Tile<V, M, W, K> {
    let mut acc = zeros::<V, M, W, K>(token);
    for w in 0..W {
        for k in 0..K {
            // SAFETY: the caller's promise.
            let start = V::load(token, unsafe { &*bias.add((w * K + k) * V::LANES).cast() });
            for r in 0..M {
                acc[r][w][k] = start;
            }
        }
    }
    acc
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
    // A tile of three rows by two strips fills sixteen registers to the last: unrolled, it spills.
    let unroll = const { if M == 3 { 1 } else { U } };
    let mut left = operands.depth;
    while left >= unroll {
        for _ in 0..unroll {
            // SAFETY: a value of k is left, so the caller's promise covers it.
            unsafe { multiply_add::<V, M, W, K, NR>(token, &mut acc, &mut operands) };
            if M == 1 {
                // All chains of a single row wait for the same h. Kept in this order, the value that is needed first is asked for
                // first, and no chain is put off until another one is done; left to itself, the compiler does both.
                compiler_fence(Ordering::SeqCst);
            }
        }
        left -= unroll;
    }
    while unroll > 1 && left > 0 {
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
    // A lower tile is done with its strip in less time than a line takes to come.
    if M > 3 {
        V::fetch(token, operands.ahead);
        operands.ahead = operands.ahead.wrapping_add(LINE);
    }
    for r in 0..M {
        operands.a[r] = operands.a[r].wrapping_add(operands.a_step);
    }
    operands.b = operands.b.wrapping_add(operands.b_step);
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
/// readable) at each of its rows and columns; B stands in whole vectors of `V`'s lanes, in strips of `NR`.
#[inline(always)]
pub(crate) unsafe fn gemm<V: Vector, const MR: usize, const NR: usize, const U: usize>(
    token: V::Token,
    task: &GemmTask,
) {
    let block = Block::<V, NR, U> { task, vector: PhantomData };
    // SAFETY: the caller's promise covers every row and vector.
    unsafe { walk::<V, _, 1, 1, MR, NR>(token, &block, task.rows, (0, task.vectors)) };
}

impl<V: Vector, const NR: usize, const U: usize> TileBody<V, 1, 1> for Block<'_, V, NR, U> {
    const FINISHES: bool = false;

    #[inline(always)]
    unsafe fn finish(&self, _: V::Token, _: BlockSums<V, 1, 1>) {}
}

impl<V: Vector, const NR: usize, const U: usize> Products<V, 1, 1> for Block<'_, V, NR, U> {
    #[inline(always)]
    unsafe fn products<const M: usize, const W: usize, const K: usize>(
        &self,
        token: V::Token,
        _: usize,
        corner: Corner,
    ) -> Tile<V, M, W, K> {
        let task = self.task;
        let Corner { row, vector, .. } = corner;
        let a_rows = task.a_rows.places::<M>(task.first_row + row);
        let c = TileOfC::<M, W, K>::new::<V>(task, row, vector);
        let mut a = [std::ptr::null(); M];
        for r in 0..M {
            a[r] = task.a.wrapping_offset(a_rows[r]);
        }
        let mut acc = zeros::<V, M, W, K>(token);
        // SAFETY: rows and vectors lie within the task, and its maker vouches for all of them.
        unsafe {
            match task.start {
                Start::Zero => {}
                Start::Bias(bias) => acc = start_from(token, bias.add(vector * V::LANES)),
                Start::Load(beta) => {
                    acc = c.load(token);
                    if beta != 1.0 {
                        let beta = V::splat(token, beta);
                        for r in 0..M {
                            for n in 0..W * K {
                                acc[r][n / K][n % K] = acc[r][n / K][n % K].mul(beta);
                            }
                        }
                    }
                }
            }
            let GemmTask { b: first, b_step: step, strip, depth, .. } = *task;
            let weights = Strips { first, step, strip, k: 0, depth };
            let operands = Operands::new::<V, NR>(a, task.a_step, weights, corner);
            acc = accumulate::<V, M, W, K, NR, U>(token, acc, operands);
            c.store(acc);
        }
        acc
    }
}

/// Where a tile of C stands.
struct TileOfC<const M: usize, const W: usize, const K: usize> {
    rows: [*mut f32; M],
    /// Where in a row the vectors start.
    at: [[usize; K]; W],
    /// Columns from the first vector on.
    left: usize,
}

impl<const M: usize, const W: usize, const K: usize> TileOfC<M, W, K> {
    #[inline(always)]
    fn new<V: Vector>(task: &GemmTask, row: usize, vector: usize) -> Self {
        let places = task.c_rows.places::<M>(task.first_row + row);
        let mut rows = [task.c; M];
        for r in 0..M {
            rows[r] = task.c.wrapping_offset(places[r]);
        }
        let mut at = [[0; K]; W];
        for n in 0..W * K {
            at[n / K][n % K] = task.c_columns.place(vector + n, V::LANES);
        }
        TileOfC { rows, at, left: task.columns.saturating_sub(vector * V::LANES) }
    }

    /// The tile; +0 in columns that there are not.
    ///
    /// # Safety
    /// The tile's rows are readable at its columns.
    #[inline(always)]
    unsafe fn load<V: Vector>(&self, token: V::Token) -> Tile<V, M, W, K> {
        let mut tile = zeros::<V, M, W, K>(token);
        let is_whole = self.left >= W * K * V::LANES;
        for r in 0..M {
            for n in 0..W * K {
                let from = self.rows[r].wrapping_add(self.at[n / K][n % K]).cast_const();
                let left = self.left.saturating_sub(n * V::LANES);
                // SAFETY: only the columns that are left are touched.
                tile[r][n / K][n % K] = unsafe {
                    if is_whole || left >= V::LANES {
                        V::load(token, &*from.cast())
                    } else {
                        V::load_first(token, std::slice::from_raw_parts(from, left))
                    }
                };
            }
        }
        tile
    }

    /// Stores the tile.
    ///
    /// # Safety
    /// The tile's rows are writable at its columns.
    #[inline(always)]
    unsafe fn store<V: Vector>(&self, tile: Tile<V, M, W, K>) {
        let is_whole = self.left >= W * K * V::LANES;
        for r in 0..M {
            for n in 0..W * K {
                let to = self.rows[r].wrapping_add(self.at[n / K][n % K]);
                let left = self.left.saturating_sub(n * V::LANES);
                // SAFETY: only the columns that are left are touched.
                unsafe {
                    if is_whole || left >= V::LANES {
                        tile[r][n / K][n % K].store(&mut *to.cast());
                    } else {
                        tile[r][n / K][n % K].store_first(std::slice::from_raw_parts_mut(to, left));
                    }
                }
            }
        }
    }
}
