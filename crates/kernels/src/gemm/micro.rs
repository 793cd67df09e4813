//! The one inner loop of the house, [`accumulate`]: a tile of `R` rows by `P` panels of `G` vectors, accumulated over k.
//! Every matmul runs through it: the public one, the input projection, the recurrent products of both passes. Around it
//! stand the loops that cut rows and panels into tiles ([`walk`]), shared likewise, and the tile of the plain matmul.

use super::block::{GemmTask, Start};
use crate::simd::Vector;
use std::marker::PhantomData;

/// The accumulators of a tile: by row, panel, and vector of the panel.
pub(crate) type Tile<V, const R: usize, const P: usize, const G: usize> = [[[V; G]; P]; R];

/// Continues the chains of a tile over `depth` values of k, ascending:
///
/// ```text
/// acc[r][p][g] = fma(a[r][k * a_step], b[p][k][g], acc[r][p][g])     k = 0, 1, ..
/// ```
/// Panel `p` starts at `b + p * panel` and is k-major: for each k its `G` vectors, one after the other.
/// The loop is unrolled `U` times, which keeps the order of each chain.
///
/// # Safety
/// `a[r]` is readable at `k * a_step`, and each panel for `depth * G` vectors.
#[inline(always)]
pub(crate) unsafe fn accumulate<V: Vector, const R: usize, const P: usize, const G: usize, const U: usize>(
    token: V::Token,
    mut acc: Tile<V, R, P, G>,
    a: [*const f32; R],
    a_step: usize,
    b: *const f32,
    panel: usize,
    depth: usize,
) -> Tile<V, R, P, G> {
    let mut k = 0;
    while k + U <= depth {
        for u in 0..U {
            // SAFETY: k + u < depth, so the caller's promise covers it.
            acc = unsafe { multiply_add::<V, R, P, G>(token, acc, a, (k + u) * a_step, b, panel, k + u) };
        }
        k += U;
    }
    while U > 1 && k < depth {
        // SAFETY: k < depth.
        acc = unsafe { multiply_add::<V, R, P, G>(token, acc, a, k * a_step, b, panel, k) };
        k += 1;
    }
    acc
}

/// One value of k. Whichever of the two operands needs fewer registers stays in registers over the other's loop.
///
/// # Safety
/// `a[r]` is readable at `a_at`, and each panel at its k-th `G` vectors.
#[inline(always)]
unsafe fn multiply_add<V: Vector, const R: usize, const P: usize, const G: usize>(
    token: V::Token,
    mut acc: Tile<V, R, P, G>,
    a: [*const f32; R],
    a_at: usize,
    b: *const f32,
    panel: usize,
    k: usize,
) -> Tile<V, R, P, G> {
    if R <= P * G {
        let mut x = [V::splat(token, 0.0); R];
        for r in 0..R {
            // SAFETY: the caller's promise.
            x[r] = V::splat(token, unsafe { *a[r].add(a_at) });
        }
        for p in 0..P {
            for g in 0..G {
                // SAFETY: the caller's promise.
                let w = V::load(token, unsafe { &*b.add(p * panel + (k * G + g) * V::LANES).cast() });
                for r in 0..R {
                    acc[r][p][g] = x[r].mul_add(w, acc[r][p][g]);
                }
            }
        }
    } else {
        let mut w = [[V::splat(token, 0.0); G]; P];
        for p in 0..P {
            for g in 0..G {
                // SAFETY: the caller's promise.
                w[p][g] = V::load(token, unsafe { &*b.add(p * panel + (k * G + g) * V::LANES).cast() });
            }
        }
        for r in 0..R {
            // SAFETY: the caller's promise.
            let x = V::splat(token, unsafe { *a[r].add(a_at) });
            for p in 0..P {
                for g in 0..G {
                    acc[r][p][g] = x.mul_add(w[p][g], acc[r][p][g]);
                }
            }
        }
    }
    acc
}

/// What is done with one register tile.
pub(crate) trait TileBody<V: Vector> {
    /// Works on rows `row .. row + R` and panels `panel .. panel + P`.
    ///
    /// # Safety
    /// Both ranges lie within what the body was made for.
    unsafe fn tile<const R: usize, const P: usize>(&self, token: V::Token, row: usize, panel: usize);
}

/// A single row needs that many chains to hide the latency of the multiply-add (4 cycles, 2 a cycle), and a few more to
/// have loads in flight; beyond that, more panels are only more streams for the prefetcher.
const CHAINS: usize = 16;

/// A tile of `rows` by `panels` may be used where the full tile is `r` by `p`, each panel `g` vectors wide.
const fn fits(rows: usize, panels: usize, g: usize, r: usize, p: usize) -> bool {
    rows <= r && (panels == 1 || (rows * panels <= r * p && (panels <= p || panels * g <= CHAINS)))
}

/// Walks all of `rows` x `panels`: a block of panels, then all its rows, so that the panels stay in the cache. The heights
/// of the tiles are balanced: 32 rows by tiles of at most 6 are 6 6 5 5 5 5, not 6 6 6 6 6 2. Where a tile has few rows, it
/// takes more panels instead.
///
/// # Safety
/// The body may be called for every tile within `rows` x `panels`.
#[inline(always)]
pub(crate) unsafe fn walk<V: Vector, B: TileBody<V>, const G: usize, const R: usize, const P: usize>(
    token: V::Token,
    body: &B,
    rows: usize,
    panels: usize,
) {
    if rows == 0 {
        return;
    }
    let tiles = rows.div_ceil(R);
    let tallest = rows.div_ceil(tiles);
    let cut = Cut { tiles, tallest, tall: rows - (tallest - 1) * tiles };
    let mut panel = 0;
    // SAFETY: the blocks below cover each panel once, and each all rows.
    unsafe {
        if fits(1, 8, G, R, P) && fits(tallest, 8, G, R, P) {
            panel = block::<V, B, G, R, P, 8>(token, body, cut, panel, panels);
        }
        if fits(1, 4, G, R, P) && fits(tallest, 4, G, R, P) {
            panel = block::<V, B, G, R, P, 4>(token, body, cut, panel, panels);
        }
        if fits(1, 2, G, R, P) && fits(tallest, 2, G, R, P) {
            panel = block::<V, B, G, R, P, 2>(token, body, cut, panel, panels);
        }
        block::<V, B, G, R, P, 1>(token, body, cut, panel, panels);
    }
}

/// How rows are cut: `tall` tiles of height `tallest`, the others one row less.
#[derive(Clone, Copy)]
struct Cut {
    tiles: usize,
    tallest: usize,
    tall: usize,
}

/// All whole blocks of `W` panels from `panel` on; answers the first panel not covered.
///
/// # Safety
/// As [`walk`].
#[inline(always)]
unsafe fn block<V: Vector, B: TileBody<V>, const G: usize, const R: usize, const P: usize, const W: usize>(
    token: V::Token,
    body: &B,
    cut: Cut,
    mut panel: usize,
    panels: usize,
) -> usize {
    while panel + W <= panels {
        let mut row = 0;
        for i in 0..cut.tiles {
            let height = if i < cut.tall { cut.tallest } else { cut.tallest - 1 };
            // SAFETY: the heights add up to `rows`, and panel + W <= panels.
            unsafe { one::<V, B, G, R, P, W>(token, body, height, row, panel) };
            row += height;
        }
        panel += W;
    }
    panel
}

/// One tile, its height made a constant.
///
/// # Safety
/// As [`TileBody::tile`].
#[inline(always)]
unsafe fn one<V: Vector, B: TileBody<V>, const G: usize, const R: usize, const P: usize, const W: usize>(
    token: V::Token,
    body: &B,
    height: usize,
    row: usize,
    panel: usize,
) {
    // SAFETY: the caller's promise; a height that does not fit is never asked for, and its arm is compiled away.
    unsafe {
        match height {
            1 => body.tile::<1, W>(token, row, panel),
            2 if fits(2, W, G, R, P) => body.tile::<2, W>(token, row, panel),
            3 if fits(3, W, G, R, P) => body.tile::<3, W>(token, row, panel),
            4 if fits(4, W, G, R, P) => body.tile::<4, W>(token, row, panel),
            5 if fits(5, W, G, R, P) => body.tile::<5, W>(token, row, panel),
            6 if fits(6, W, G, R, P) => body.tile::<6, W>(token, row, panel),
            7 if fits(7, W, G, R, P) => body.tile::<7, W>(token, row, panel),
            8 if fits(8, W, G, R, P) => body.tile::<8, W>(token, row, panel),
            _ => {}
        }
    }
}

/// One task for one instruction set, for [`walk`].
struct Block<'a, V, const G: usize, const U: usize> {
    task: &'a GemmTask,
    vector: PhantomData<V>,
}

/// Runs a task.
///
/// # Safety
/// A is readable at each of its rows and k, B for all panels of `depth`, a bias for all panels; C is writable (and, to load,
/// readable) at each of its rows and columns; B is packed for `V`'s lanes and `G` groups.
#[inline(always)]
pub(crate) unsafe fn gemm<V: Vector, const G: usize, const R: usize, const P: usize, const U: usize>(
    token: V::Token,
    task: &GemmTask,
) {
    let block = Block::<V, G, U> { task, vector: PhantomData };
    // SAFETY: the caller's promise covers every tile.
    unsafe { walk::<V, _, G, R, P>(token, &block, task.rows, task.panels) };
}

impl<V: Vector, const G: usize, const U: usize> TileBody<V> for Block<'_, V, G, U> {
    #[inline(always)]
    unsafe fn tile<const R: usize, const P: usize>(&self, token: V::Token, row: usize, panel: usize) {
        let task = self.task;
        let mut a = [std::ptr::null(); R];
        for r in 0..R {
            let i = task.first_row + row + r;
            let map = task.a_rows;
            let outer = (i / map.inner).cast_signed() * map.outer;
            a[r] = task.a.wrapping_offset(outer).wrapping_add((i % map.inner) * map.row);
        }
        let mut acc: Tile<V, R, P, G> = [[[V::splat(token, 0.0); G]; P]; R];
        // SAFETY: rows and panels lie within the task, and its maker vouches for all of them.
        unsafe {
            for r in 0..R {
                for p in 0..P {
                    for g in 0..G {
                        let column = ((panel + p) * G + g) * V::LANES;
                        acc[r][p][g] = match task.start {
                            Start::Zero => V::splat(token, 0.0),
                            Start::Bias(bias) => V::load(token, &*bias.add(column).cast()),
                            Start::Load(beta) => {
                                let c = self.load(token, row + r, column);
                                if beta == 1.0 { c } else { c.mul(V::splat(token, beta)) }
                            }
                        };
                    }
                }
            }
            let b = task.b.add(panel * task.panel);
            acc = accumulate::<V, R, P, G, U>(token, acc, a, task.a_step, b, task.panel, task.depth);
            for r in 0..R {
                for p in 0..P {
                    for g in 0..G {
                        self.store(acc[r][p][g], row + r, ((panel + p) * G + g) * V::LANES);
                    }
                }
            }
        }
    }
}

impl<V: Vector, const G: usize, const U: usize> Block<'_, V, G, U> {
    /// The vector of C at (row, column).
    ///
    /// # Safety
    /// `row` lies within the task; columns from `task.columns` on are not touched.
    #[inline(always)]
    unsafe fn load(&self, token: V::Token, row: usize, column: usize) -> V {
        let task = self.task;
        let left = task.columns.saturating_sub(column);
        let at = task.c.wrapping_add(row * task.c_row + column * task.c_col);
        // SAFETY: only `left` columns are touched.
        unsafe {
            if task.c_col == 1 && left >= V::LANES {
                return V::load(token, &*at.cast());
            }
            let mut lanes = [0.0; 16];
            for i in 0..V::LANES {
                if i < left {
                    lanes[i] = *at.add(i * task.c_col);
                }
            }
            V::load(token, &*lanes.as_ptr().cast())
        }
    }

    /// Stores to the vector of C at (row, column).
    ///
    /// # Safety
    /// As [`Block::load`].
    #[inline(always)]
    unsafe fn store(&self, x: V, row: usize, column: usize) {
        let task = self.task;
        let left = task.columns.saturating_sub(column);
        let at = task.c.wrapping_add(row * task.c_row + column * task.c_col);
        // SAFETY: only `left` columns are touched.
        unsafe {
            if task.c_col == 1 && left >= V::LANES {
                return x.store(&mut *at.cast());
            }
            let mut lanes = [0.0; 16];
            x.store(&mut *lanes.as_mut_ptr().cast());
            for i in 0..V::LANES {
                if i < left {
                    *at.add(i * task.c_col) = lanes[i];
                }
            }
        }
    }
}
