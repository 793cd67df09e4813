//! The loops that cut rows and vectors into register tiles, shared by every product of the house.
//!
//! A panel is one vector of units with all its `G` gates; the vectors of all panels, one panel after the other, are packed in
//! strips of `NR`. A tile is a few rows by as many vectors as the registers hold; a block is as many panels as whole tiles
//! make, by a band of tiles of one height. In a block each strip meets all rows before the next strip is read, so that it comes
//! from the L1 cache for all but the first of them. Between the products of a block and what follows from them the sums stand on
//! the stack, so that the rest is there once, and not once for each size of a tile.

use super::micro::Tile;
use super::sizes::{MOST, Widths, block_panels, block_size};
use crate::simd::{Job, Vector, group::Group};
use std::mem::MaybeUninit;

/// What a pass over rows x panels does: `SETS` products for each vector of each row, and what follows from their sums.
pub(crate) trait TileBody<V: Vector, const G: usize, const SETS: usize> {
    /// The sums of how many panels of single rows [`finish`](TileBody::finish) is given at once, where there are as many: 0, 1 or
    /// 2. With 0, [`products`](TileBody::products) stores the sums itself, and nothing else follows.
    const AT_ONCE: usize;

    /// Whether a pass over few rows begins with the last panels. Every other step of a sequence does: what a step reads last of
    /// weights that do not fit in the cache, the next one finds there. An LSTM of 512 units (4 MiB of W_hh, 2 MiB of L2) took 13.1 ms
    /// and not 17.9 for 100 steps of one row.
    #[inline(always)]
    fn goes_back(&self) -> bool {
        false
    }

    /// The products of a tile of `M` rows by `W * K` vectors.
    ///
    /// # Safety
    /// Rows and vectors lie within what the body was made for.
    unsafe fn products<const M: usize, const W: usize, const K: usize>(
        &self,
        token: V::Token,
        set: usize,
        corner: Corner,
    ) -> Tile<V, M, W, K>;

    /// Takes the sums of panels of single rows.
    ///
    /// # Safety
    /// Rows and panels lie within what the body was made for.
    unsafe fn finish<const N: usize>(&self, token: V::Token, at: [At; N], sums: [[Group<V, N>; G]; SETS]);
}

/// Where a tile stands.
#[derive(Clone, Copy)]
pub(crate) struct Corner {
    /// The first of its rows.
    pub(crate) row: usize,
    /// The first of its vectors, which starts a strip unless it is the only one.
    pub(crate) vector: usize,
    /// How many tiles of its band met the same vectors before.
    pub(crate) turn: usize,
}

/// One panel of one row.
#[derive(Clone, Copy)]
pub(crate) struct At {
    pub(crate) row: usize,
    pub(crate) panel: usize,
}

/// Walks `rows` x panels, from the first panel, which starts a strip, to one past the last: some panels, then all rows in bands,
/// so that the panels stay in the cache. The heights of the tiles are balanced: 32 rows by tiles of at most 6 are 6 6 5 5 5 5,
/// not 6 6 6 6 6 2.
///
/// # Safety
/// The body may be called for all these rows and panels.
#[inline(always)]
pub(crate) unsafe fn walk<
    V: Vector,
    B: TileBody<V, G, SETS>,
    const G: usize,
    const SETS: usize,
    const MR: usize,
    const NR: usize,
>(
    token: V::Token,
    body: &B,
    rows: usize,
    (first, last): (usize, usize),
) {
    const { assert!(MR <= 6, "`block` knows no higher tile") };
    let tiles = rows.div_ceil(MR);
    if tiles == 0 {
        return;
    }
    let tallest = rows.div_ceil(tiles);
    let tall = rows - (tallest - 1) * tiles;
    let panels = last.saturating_sub(first);
    let ((step, most), blocks) = match tallest {
        1 => (const { block_size(1, G, NR) }, panels.div_ceil(const { block_panels(1, G, NR) })),
        2 => (const { block_size(2, G, NR) }, panels.div_ceil(const { block_panels(2, G, NR) })),
        3 => (const { block_size(3, G, NR) }, panels.div_ceil(const { block_panels(3, G, NR) })),
        _ => (const { block_size(6, G, NR) }, panels.div_ceil(const { block_panels(6, G, NR) })),
    };
    // Higher tiles fetch ahead, and that is forward.
    let goes_back = tallest <= 3 && body.goes_back();
    for i in 0..blocks {
        let panel = first + step * if goes_back { blocks - 1 - i } else { i };
        let width = if step < last - panel { step } else { last - panel };
        let mut row = 0;
        for (height, tiles) in [(tallest, tall), (tallest - 1, tiles - tall)] {
            let mut left = tiles;
            while left > 0 {
                let count = if most < left { most } else { left };
                let place = Place { row, panel, height, count, width };
                // SAFETY: the widths add up to all panels, and in each block of panels the heights to `rows`.
                unsafe { block::<V, B, G, SETS, MR, NR>(token, body, place) };
                row += height * count;
                left -= count;
            }
        }
    }
}

/// Where a block stands, and its size: `count` tiles of `height` rows, one below the other, by `width` panels.
#[derive(Clone, Copy)]
struct Place {
    row: usize,
    panel: usize,
    height: usize,
    count: usize,
    width: usize,
}

/// All products of a block, then what follows from them.
///
/// # Safety
/// The body may be called for every row and panel of the place, whose height is at most 6, whose width at most
/// [`block_panels`] of its height, or of the height above it, and which has at most [`MOST`] sums in a set.
#[inline(always)]
unsafe fn block<
    V: Vector,
    B: TileBody<V, G, SETS>,
    const G: usize,
    const SETS: usize,
    const MR: usize,
    const NR: usize,
>(
    token: V::Token,
    body: &B,
    place: Place,
) {
    let mut sums = [[MaybeUninit::<V>::uninit(); MOST]; SETS];
    for set in 0..SETS {
        let sums: *mut V = sums[set].as_mut_ptr().cast();
        // SAFETY: the caller's promise.
        unsafe {
            match place.height {
                1 => tiles::<V, B, G, SETS, MR, NR, 1>(token, body, set, place, sums),
                2 => tiles::<V, B, G, SETS, MR, NR, 2>(token, body, set, place, sums),
                3 => tiles::<V, B, G, SETS, MR, NR, 3>(token, body, set, place, sums),
                4 => tiles::<V, B, G, SETS, MR, NR, 4>(token, body, set, place, sums),
                5 => tiles::<V, B, G, SETS, MR, NR, 5>(token, body, set, place, sums),
                _ => tiles::<V, B, G, SETS, MR, NR, 6>(token, body, set, place, sums),
            }
        }
    }
    if B::AT_ONCE > 0 {
        let finish: Finish<'_, V, B, G, SETS> = Finish { body, place, sums: &sums };
        V::apart(token, &finish);
    }
}

/// The products of a block whose tiles have `M` rows, strip by strip. Leaves them row by row in `sums`. A height above the tile's
/// is never asked for, and nothing is compiled for it.
///
/// # Safety
/// As [`block`]; `sums` has room for them.
#[inline(always)]
unsafe fn tiles<
    V: Vector,
    B: TileBody<V, G, SETS>,
    const G: usize,
    const SETS: usize,
    const MR: usize,
    const NR: usize,
    const M: usize,
>(
    token: V::Token,
    body: &B,
    set: usize,
    place: Place,
    sums: *mut V,
) {
    const { assert!(M * block_panels(M, G, NR) * G <= MOST) };
    if const { M > MR } {
        return;
    }
    let vectors = place.width * G;
    let mut at = 0;
    while at < vectors {
        let n = const { Widths::new(M, G, NR) }.widest(vectors - at);
        let to = Sums { at, row: vectors, first: sums };
        // SAFETY: the caller's promise; a tile wider than one vector follows whole strips only, so it starts one.
        unsafe {
            match n {
                2 => band::<V, B, G, SETS, NR, M, 2>(token, body, set, place, to),
                3 => band::<V, B, G, SETS, NR, M, 3>(token, body, set, place, to),
                4 => band::<V, B, G, SETS, NR, M, 4>(token, body, set, place, to),
                6 => band::<V, B, G, SETS, NR, M, 6>(token, body, set, place, to),
                8 => band::<V, B, G, SETS, NR, M, 8>(token, body, set, place, to),
                9 => band::<V, B, G, SETS, NR, M, 9>(token, body, set, place, to),
                12 => band::<V, B, G, SETS, NR, M, 12>(token, body, set, place, to),
                _ => band::<V, B, G, SETS, NR, M, 1>(token, body, set, place, to),
            }
        }
        at += n;
    }
}

/// Where the sums of a tile go.
#[derive(Clone, Copy)]
struct Sums<V> {
    first: *mut V,
    /// From one row to the next.
    row: usize,
    /// The tile's first vector within the block.
    at: usize,
}

/// The tiles of `N` vectors, one below the other. A width that does not occur is never asked for, and nothing is compiled for it.
///
/// # Safety
/// As [`tiles`].
#[inline(always)]
unsafe fn band<
    V: Vector,
    B: TileBody<V, G, SETS>,
    const G: usize,
    const SETS: usize,
    const NR: usize,
    const M: usize,
    const N: usize,
>(
    token: V::Token,
    body: &B,
    set: usize,
    place: Place,
    to: Sums<V>,
) {
    if const { Widths::new(M, G, NR).contains(N) } {
        let vector = place.panel * G + to.at;
        for i in 0..place.count {
            // SAFETY: the caller's promise.
            unsafe {
                let corner = Corner { row: place.row + i * M, vector, turn: i };
                let acc = body.products::<M, N, 1>(token, set, corner);
                if B::AT_ONCE > 0 {
                    for r in 0..M {
                        for n in 0..N {
                            *to.first.add((i * M + r) * to.row + to.at + n) = acc[r][n][0];
                        }
                    }
                }
            }
        }
    }
}

/// What follows from the sums of a block, which are all set and within what the body was made for.
struct Finish<'a, V, B, const G: usize, const SETS: usize> {
    body: &'a B,
    place: Place,
    sums: &'a [[MaybeUninit<V>; MOST]; SETS],
}

impl<V: Vector, B: TileBody<V, G, SETS>, const G: usize, const SETS: usize> Job<V>
    for Finish<'_, V, B, G, SETS>
{
    #[inline(always)]
    fn run(&self, token: V::Token) {
        let count = self.place.height * self.place.count * self.place.width;
        let mut i = 0;
        // SAFETY: only `block` makes one of these, and its caller vouches for all rows and panels of the place.
        unsafe {
            while B::AT_ONCE > 1 && i + 2 <= count {
                self.some::<2>(token, i);
                i += 2;
            }
            while i < count {
                self.some::<1>(token, i);
                i += 1;
            }
        }
    }
}

impl<V: Vector, B: TileBody<V, G, SETS>, const G: usize, const SETS: usize> Finish<'_, V, B, G, SETS> {
    /// `N` panels from the `first` on, row by row.
    ///
    /// # Safety
    /// The place has as many, their sums are set, and the body may be called for them.
    #[inline(always)]
    unsafe fn some<const N: usize>(&self, token: V::Token, first: usize) {
        let Place { row, panel, width, .. } = self.place;
        let mut at = [At { row, panel }; N];
        let mut all = [[Group([V::splat(token, 0.0); N]); G]; SETS];
        for n in 0..N {
            at[n].row += (first + n) / width;
            at[n].panel += (first + n) % width;
            for set in 0..SETS {
                let sums: *const V = self.sums[set].as_ptr().cast();
                for g in 0..G {
                    // SAFETY: the caller's promise.
                    all[set][g].0[n] = unsafe { *sums.add((first + n) * G + g) };
                }
            }
        }
        // SAFETY: the caller's promise.
        unsafe { self.body.finish(token, at, all) };
    }
}
