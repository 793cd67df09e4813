//! The one inner loop of the house, [`accumulate`]: a tile of `R` rows by `P` panels of `G` vectors, accumulated over k.
//! Every matmul runs through it: the public one, the input projection, the recurrent products of both passes. Around it
//! stand the loops that cut rows and panels into tiles ([`walk`]), shared likewise, and the body of the plain matmul.

use super::block::{GemmTask, Start};
use crate::simd::{Job, Vector};
use std::marker::PhantomData;
use std::mem::MaybeUninit;

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

/// What a pass over rows x panels does: `SETS` products for each panel of each row, and what follows from their sums.
pub(crate) trait TileBody<V: Vector, const G: usize, const SETS: usize> {
    /// What the chains of one panel of one row start from.
    ///
    /// # Safety
    /// Row and panel lie within what the body was made for.
    unsafe fn start(&self, token: V::Token, set: usize, row: usize, panel: usize) -> [V; G];

    /// Continues the chains of rows `row .. row + M` and panels `panel .. panel + W`.
    ///
    /// # Safety
    /// Both ranges lie within what the body was made for.
    unsafe fn products<const M: usize, const W: usize>(
        &self,
        token: V::Token,
        set: usize,
        row: usize,
        panel: usize,
        acc: Tile<V, M, W, G>,
    ) -> Tile<V, M, W, G>;

    /// Takes the sums of one panel of one row.
    ///
    /// # Safety
    /// Row and panel lie within what the body was made for.
    unsafe fn finish(&self, token: V::Token, row: usize, panel: usize, sums: [[V; G]; SETS]);
}

/// A single row needs that many chains to hide the latency of the multiply-add (4 cycles, 2 a cycle), and a few more to
/// have loads in flight; beyond that, more panels are only more streams for the prefetcher.
const CHAINS: usize = 16;

/// Panels of rows that any tile may have: 6 rows of 4 panels are the largest.
const MOST: usize = 24;

/// A tile of `rows` by `panels` may be used where the full tile is `r` by `p`, each panel `g` vectors wide.
const fn fits(rows: usize, panels: usize, g: usize, r: usize, p: usize) -> bool {
    rows <= r && (panels == 1 || (rows * panels <= r * p && (panels <= p || panels * g <= CHAINS)))
}

/// The widest tile of `rows` rows that does not go beyond `left` panels.
#[inline(always)]
fn widest<const G: usize, const R: usize, const P: usize>(rows: usize, left: usize) -> usize {
    let mut width = 8;
    while width > 1 && (width > left || !fits(rows, width, G, R, P)) {
        width /= 2;
    }
    width
}

/// Walks all of `rows` x `panels`: a block of panels, then all its rows, so that the panels stay in the cache. The heights
/// of the tiles are balanced: 32 rows by tiles of at most 6 are 6 6 5 5 5 5, not 6 6 6 6 6 2. Where a tile has few rows, it
/// takes more panels instead.
///
/// # Safety
/// The body may be called for every row and panel within `rows` x `panels`.
#[inline(always)]
pub(crate) unsafe fn walk<
    V: Vector,
    B: TileBody<V, G, SETS>,
    const G: usize,
    const SETS: usize,
    const R: usize,
    const P: usize,
>(
    token: V::Token,
    body: &B,
    rows: usize,
    panels: usize,
) {
    if rows == 0 {
        return;
    }
    if R == 1 {
        // SAFETY: the caller's promise.
        return unsafe { walk_single::<V, B, G, SETS, P>(token, body, rows, panels) };
    }
    let tiles = rows.div_ceil(R);
    let tallest = rows.div_ceil(tiles);
    let tall = rows - (tallest - 1) * tiles;
    let mut panel = 0;
    while panel < panels {
        let width = widest::<G, R, P>(tallest, panels - panel);
        let mut row = 0;
        for i in 0..tiles {
            let height = if i < tall { tallest } else { tallest - 1 };
            let place = Place { row, panel, height, width };
            // SAFETY: the widths add up to `panels`, and in each block of panels the heights to `rows`.
            unsafe { tile::<V, B, G, SETS, R, P>(token, body, place) };
            row += height;
        }
        panel += width;
    }
}

/// Where a tile stands, and its size.
#[derive(Clone, Copy)]
struct Place {
    row: usize,
    panel: usize,
    height: usize,
    width: usize,
}

/// One tile of any size. Only the products depend on it as a constant; between them and the rest of the work the sums stand
/// on the stack, so that the rest is there once, and not once for each size.
///
/// # Safety
/// The body may be called for every row and panel of the tile, whose size `fits`.
#[inline(always)]
unsafe fn tile<
    V: Vector,
    B: TileBody<V, G, SETS>,
    const G: usize,
    const SETS: usize,
    const R: usize,
    const P: usize,
>(
    token: V::Token,
    body: &B,
    place: Place,
) {
    const { assert!(R * P <= MOST) };
    let Place { row, panel, height, width } = place;
    let mut sums = [[MaybeUninit::<[V; G]>::uninit(); MOST]; SETS];
    // SAFETY: the caller's promise. A size that fits has at most MOST sums, and the first loop sets them all.
    unsafe {
        for set in 0..SETS {
            for r in 0..height {
                for p in 0..width {
                    sums[set][r * width + p].write(body.start(token, set, row + r, panel + p));
                }
            }
            let sums = sums[set].as_mut_ptr().cast();
            match width {
                8 => rows::<V, B, G, SETS, R, P, 8>(token, body, set, place, sums),
                4 => rows::<V, B, G, SETS, R, P, 4>(token, body, set, place, sums),
                2 => rows::<V, B, G, SETS, R, P, 2>(token, body, set, place, sums),
                _ => rows::<V, B, G, SETS, R, P, 1>(token, body, set, place, sums),
            }
        }
    }
    let finish: Finish<'_, V, B, G, SETS> = Finish { body, place, sums: &sums };
    V::apart(token, &finish);
}

/// What follows from the sums of a tile, which are all set and within what the body was made for.
struct Finish<'a, V, B, const G: usize, const SETS: usize> {
    body: &'a B,
    place: Place,
    sums: &'a [[MaybeUninit<[V; G]>; MOST]; SETS],
}

impl<V: Vector, B: TileBody<V, G, SETS>, const G: usize, const SETS: usize> Job<V>
    for Finish<'_, V, B, G, SETS>
{
    #[inline(always)]
    fn run(&self, token: V::Token) {
        let Place { row, panel, height, width } = self.place;
        for r in 0..height {
            for p in 0..width {
                let mut all = [[V::splat(token, 0.0); G]; SETS];
                // SAFETY: only `tile` makes one of these: it has set the sums, and its caller vouches for row and panel.
                unsafe {
                    for set in 0..SETS {
                        all[set] = self.sums[set][r * width + p].assume_init();
                    }
                    self.body.finish(token, row + r, panel + p, all);
                }
            }
        }
    }
}

/// The products of a tile of `W` panels, its height made a constant too.
///
/// # Safety
/// As [`tile`]; `sums` holds the start of each chain, row by row.
#[inline(always)]
unsafe fn rows<
    V: Vector,
    B: TileBody<V, G, SETS>,
    const G: usize,
    const SETS: usize,
    const R: usize,
    const P: usize,
    const W: usize,
>(
    token: V::Token,
    body: &B,
    set: usize,
    place: Place,
    sums: *mut [V; G],
) {
    // SAFETY: the caller's promise.
    unsafe {
        match place.height {
            1 => sized::<V, B, G, SETS, R, P, W, 1>(token, body, set, place, sums),
            2 => sized::<V, B, G, SETS, R, P, W, 2>(token, body, set, place, sums),
            3 => sized::<V, B, G, SETS, R, P, W, 3>(token, body, set, place, sums),
            4 => sized::<V, B, G, SETS, R, P, W, 4>(token, body, set, place, sums),
            5 => sized::<V, B, G, SETS, R, P, W, 5>(token, body, set, place, sums),
            6 => sized::<V, B, G, SETS, R, P, W, 6>(token, body, set, place, sums),
            7 => sized::<V, B, G, SETS, R, P, W, 7>(token, body, set, place, sums),
            _ => sized::<V, B, G, SETS, R, P, W, 8>(token, body, set, place, sums),
        }
    }
}

/// The products of a tile of `M` rows by `W` panels. A size that does not fit is never asked for, and nothing is compiled
/// for it.
///
/// # Safety
/// As [`rows`].
#[inline(always)]
unsafe fn sized<
    V: Vector,
    B: TileBody<V, G, SETS>,
    const G: usize,
    const SETS: usize,
    const R: usize,
    const P: usize,
    const W: usize,
    const M: usize,
>(
    token: V::Token,
    body: &B,
    set: usize,
    place: Place,
    sums: *mut [V; G],
) {
    if const { fits(M, W, G, R, P) } {
        let mut acc: Tile<V, M, W, G> = [[[V::splat(token, 0.0); G]; W]; M];
        // SAFETY: the caller's promise.
        unsafe {
            for r in 0..M {
                for p in 0..W {
                    acc[r][p] = *sums.add(r * W + p);
                }
            }
            acc = body.products::<M, W>(token, set, place.row, place.panel, acc);
            for r in 0..M {
                for p in 0..W {
                    *sums.add(r * W + p) = acc[r][p];
                }
            }
        }
    }
}

/// [`walk`] of a kernel made for single rows: its sums never leave the registers. Here the widths of the tiles are balanced,
/// `P` and one less, for a narrow tile takes as long as its chain.
///
/// # Safety
/// As [`walk`].
#[inline(always)]
unsafe fn walk_single<
    V: Vector,
    B: TileBody<V, G, SETS>,
    const G: usize,
    const SETS: usize,
    const P: usize,
>(
    token: V::Token,
    body: &B,
    rows: usize,
    panels: usize,
) {
    let tiles = panels.div_ceil(P);
    let widest = if tiles == 0 { 0 } else { panels.div_ceil(tiles) };
    let wide = panels - widest.saturating_sub(1) * tiles;
    for row in 0..rows {
        let mut panel = 0;
        for i in 0..tiles {
            let width = if i < wide { widest } else { widest - 1 };
            // SAFETY: the widths add up to `panels`.
            unsafe {
                match width {
                    8 => single::<V, B, G, SETS, P, 8>(token, body, row, panel),
                    7 => single::<V, B, G, SETS, P, 7>(token, body, row, panel),
                    6 => single::<V, B, G, SETS, P, 6>(token, body, row, panel),
                    5 => single::<V, B, G, SETS, P, 5>(token, body, row, panel),
                    4 => single::<V, B, G, SETS, P, 4>(token, body, row, panel),
                    3 => single::<V, B, G, SETS, P, 3>(token, body, row, panel),
                    2 => single::<V, B, G, SETS, P, 2>(token, body, row, panel),
                    _ => single::<V, B, G, SETS, P, 1>(token, body, row, panel),
                }
            }
            panel += width;
        }
    }
}

/// `W` panels of a single row.
///
/// # Safety
/// As [`tile`].
#[inline(always)]
unsafe fn single<
    V: Vector,
    B: TileBody<V, G, SETS>,
    const G: usize,
    const SETS: usize,
    const P: usize,
    const W: usize,
>(
    token: V::Token,
    body: &B,
    row: usize,
    panel: usize,
) {
    if const { W <= P } {
        let mut sums = [[[[V::splat(token, 0.0); G]; W]; 1]; SETS];
        // SAFETY: the caller's promise.
        unsafe {
            for set in 0..SETS {
                for p in 0..W {
                    sums[set][0][p] = body.start(token, set, row, panel + p);
                }
                sums[set] = body.products::<1, W>(token, set, row, panel, sums[set]);
            }
            for p in 0..W {
                let mut all = [[V::splat(token, 0.0); G]; SETS];
                for set in 0..SETS {
                    all[set] = sums[set][0][p];
                }
                body.finish(token, row, panel + p, all);
            }
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
    // SAFETY: the caller's promise covers every row and panel.
    unsafe { walk::<V, _, G, 1, R, P>(token, &block, task.rows, task.panels) };
}

impl<V: Vector, const G: usize, const U: usize> TileBody<V, G, 1> for Block<'_, V, G, U> {
    #[inline(always)]
    unsafe fn start(&self, token: V::Token, _: usize, row: usize, panel: usize) -> [V; G] {
        let mut start = [V::splat(token, 0.0); G];
        for g in 0..G {
            let column = (panel * G + g) * V::LANES;
            // SAFETY: row and panel lie within the task, and its maker vouches for all of them.
            start[g] = unsafe {
                match self.task.start {
                    Start::Zero => start[g],
                    Start::Bias(bias) => V::load(token, &*bias.add(column).cast()),
                    Start::Load(beta) => {
                        let c = self.load(token, row, column);
                        if beta == 1.0 { c } else { c.mul(V::splat(token, beta)) }
                    }
                }
            };
        }
        start
    }

    #[inline(always)]
    unsafe fn products<const M: usize, const W: usize>(
        &self,
        token: V::Token,
        _: usize,
        row: usize,
        panel: usize,
        acc: Tile<V, M, W, G>,
    ) -> Tile<V, M, W, G> {
        let task = self.task;
        let mut a = [std::ptr::null(); M];
        for r in 0..M {
            let i = task.first_row + row + r;
            let map = task.a_rows;
            let outer = (i / map.inner).cast_signed() * map.outer;
            a[r] = task.a.wrapping_offset(outer).wrapping_add((i % map.inner) * map.row);
        }
        // SAFETY: rows and panels lie within the task, and its maker vouches for all of them.
        unsafe {
            let b = task.b.add(panel * task.panel);
            accumulate::<V, M, W, G, U>(token, acc, a, task.a_step, b, task.panel, task.depth)
        }
    }

    #[inline(always)]
    unsafe fn finish(&self, _: V::Token, row: usize, panel: usize, sums: [[V; G]; 1]) {
        for g in 0..G {
            // SAFETY: row and panel lie within the task, and its maker vouches for all of them.
            unsafe { self.store(sums[0][g], row, (panel * G + g) * V::LANES) };
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
