//! The loops that cut rows and vectors into register tiles, shared by every product of the house.
//!
//! A panel is one vector of units with all its `G` gates; the vectors of all panels, one panel after the other, are packed in
//! strips of `NR`. A tile is a few rows by as many vectors as the registers hold; a block is as many panels as whole tiles
//! make, by at most two bands, each of tiles of one height. Each strip meets all rows of a band before the next strip is read, so
//! that it comes from the L1 cache for all but the first of them. Between the products of a block and what follows from them the sums stand on
//! the stack, so that the rest is there once, and not once for each size of a tile.

use super::micro::Tile;
use super::sizes::{MOST, MOST_PANELS, Widths, block_panels, block_size};
use super::sums::BlockSums;
use crate::simd::{Job, Vector};
use std::mem::MaybeUninit;

/// What a pass over rows x panels multiplies: `SETS` products for each vector of each row.
pub(crate) trait Products<V: Vector, const G: usize, const SETS: usize> {
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
}

/// What a pass does: its products, and what follows from their sums.
pub(crate) trait TileBody<V: Vector, const G: usize, const SETS: usize>: Products<V, G, SETS> {
    /// Whether anything follows. If not, [`products`](Products::products) stores the sums itself.
    const FINISHES: bool;

    /// Takes the sums of a block.
    ///
    /// # Safety
    /// The sums are set, and their rows and panels lie within what the body was made for.
    unsafe fn finish(&self, token: V::Token, sums: BlockSums<V, G, SETS>);
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
        let (mut row, mut tall, mut low) = (0, tall, tiles - tall);
        while tall + low > 0 {
            let first = if most < tall { most } else { tall };
            let second = if most - first < low { most - first } else { low };
            let bands = [
                Band { row, height: tallest, count: first },
                Band { row: row + tallest * first, height: tallest - 1, count: second },
            ];
            // SAFETY: the widths add up to all panels, and in each block of panels the heights to `rows`.
            unsafe { block::<V, B, G, SETS, MR, NR>(token, body, Place { bands, panel, width }) };
            row = bands[1].row + (tallest - 1) * second;
            tall -= first;
            low -= second;
        }
    }
}

/// `count` tiles of one height, one below the other.
#[derive(Clone, Copy)]
struct Band {
    row: usize,
    height: usize,
    count: usize,
}

/// Where a block stands, and its size: two bands, the second of which may be empty, by `width` panels.
#[derive(Clone, Copy)]
struct Place {
    bands: [Band; 2],
    panel: usize,
    width: usize,
}

/// All products of a block, then what follows from them.
///
/// # Safety
/// The body may be called for every row and panel of the place, whose heights are at most 6, whose width at most
/// [`block_panels`] of the first height, and which has at most [`MOST`] sums in a set.
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
    let mut sets = [std::ptr::null_mut::<V>(); SETS];
    let mut rows = 0;
    for set in 0..SETS {
        sets[set] = sums[set].as_mut_ptr().cast();
        rows = 0;
        for band in place.bands {
            if band.count == 0 {
                continue;
            }
            let vectors = place.width * G;
            let sums = sets[set].wrapping_add(rows * vectors);
            let part = Part { set, band, panel: place.panel, vectors, sums };
            // SAFETY: the caller's promise.
            unsafe {
                match band.height {
                    1 => tiles::<V, B, G, SETS, MR, NR, 1>(token, body, part),
                    2 => tiles::<V, B, G, SETS, MR, NR, 2>(token, body, part),
                    3 => tiles::<V, B, G, SETS, MR, NR, 3>(token, body, part),
                    4 => tiles::<V, B, G, SETS, MR, NR, 4>(token, body, part),
                    5 => tiles::<V, B, G, SETS, MR, NR, 5>(token, body, part),
                    _ => tiles::<V, B, G, SETS, MR, NR, 6>(token, body, part),
                }
            }
            rows += band.height * band.count;
        }
    }
    if B::FINISHES {
        let first = At { row: place.bands[0].row, panel: place.panel };
        let sums = BlockSums::new(first, place.width, rows * place.width, sets);
        let finish: Finish<'_, V, B, G, SETS> = Finish { body, sums };
        V::apart(token, &finish);
    }
}

/// One band of a block, in one of its products.
#[derive(Clone, Copy)]
struct Part<V> {
    set: usize,
    band: Band,
    panel: usize,
    /// Vectors of a row.
    vectors: usize,
    /// Where the sums go, row by row.
    sums: *mut V,
}

/// The products of a band whose tiles have `M` rows, strip by strip. A height above the tile's is never asked for, and nothing is
/// compiled for it.
///
/// # Safety
/// As [`block`]; there is room for the sums.
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
    part: Part<V>,
) {
    const {
        assert!(M * block_panels(M, G, NR) * G <= MOST);
        assert!(block_panels(M, G, NR) <= MOST_PANELS && Widths::new(M, G, NR).cover(G));
    };
    if const { M > MR } {
        return;
    }
    let mut at = 0;
    while at < part.vectors {
        let n = const { Widths::new(M, G, NR) }.widest(part.vectors - at);
        // SAFETY: the caller's promise; a tile wider than one vector follows whole strips only, so it starts one.
        unsafe {
            match n {
                2 => band::<V, B, G, SETS, NR, M, 2>(token, body, part, at),
                3 => band::<V, B, G, SETS, NR, M, 3>(token, body, part, at),
                4 => band::<V, B, G, SETS, NR, M, 4>(token, body, part, at),
                6 => band::<V, B, G, SETS, NR, M, 6>(token, body, part, at),
                8 => band::<V, B, G, SETS, NR, M, 8>(token, body, part, at),
                9 => band::<V, B, G, SETS, NR, M, 9>(token, body, part, at),
                12 => band::<V, B, G, SETS, NR, M, 12>(token, body, part, at),
                _ => band::<V, B, G, SETS, NR, M, 1>(token, body, part, at),
            }
        }
        at += n;
    }
}

/// The tiles of `N` vectors from the `at`-th on, one below the other. A width that does not occur is never asked for, and nothing is compiled for it.
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
    part: Part<V>,
    at: usize,
) {
    if const { Widths::new(M, G, NR).contains(N) } {
        let Part { set, band, panel, vectors, sums } = part;
        for i in 0..band.count {
            // SAFETY: the caller's promise.
            unsafe {
                let corner = Corner { row: band.row + i * M, vector: panel * G + at, turn: i };
                let acc = body.products::<M, N, 1>(token, set, corner);
                if B::FINISHES {
                    for r in 0..M {
                        for n in 0..N {
                            *sums.add((i * M + r) * vectors + at + n) = acc[r][n][0];
                        }
                    }
                }
            }
        }
    }
}

/// What follows from the sums of a block.
struct Finish<'a, V, B, const G: usize, const SETS: usize> {
    body: &'a B,
    sums: BlockSums<V, G, SETS>,
}

impl<V: Vector, B: TileBody<V, G, SETS>, const G: usize, const SETS: usize> Job<V>
    for Finish<'_, V, B, G, SETS>
{
    #[inline(always)]
    fn run(&self, token: V::Token) {
        // SAFETY: only `block` makes one of these, with all sums set, and its caller vouches for their rows and panels.
        unsafe { self.body.finish(token, self.sums) };
    }
}
