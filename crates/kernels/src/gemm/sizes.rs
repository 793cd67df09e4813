//! How many rows and vectors a tile has, and a block of tiles: constants of each kernel.

/// Vectors of a tile of one row: its chains hide the latency of a multiply-add (4 cycles, 2 a cycle) with a few to spare, so
/// that loads are in flight. Whole panels of every cell, and whole strips of every instruction set.
const SINGLE: usize = 12;

/// Vectors of a tile of `m` rows: enough chains to hide the latency of a multiply-add, and no more than fit in the registers
/// that a tile of full height and one strip takes.
const fn tile_vectors(m: usize, nr: usize) -> usize {
    match m {
        1 => SINGLE,
        2 | 3 => 2 * nr,
        _ => nr,
    }
}

/// Panels of a block: the fewest that make whole tiles.
pub(super) const fn block_panels(m: usize, g: usize, nr: usize) -> usize {
    let n = tile_vectors(m, nr);
    let mut panels = 1;
    while !(panels * g).is_multiple_of(n) {
        panels += 1;
    }
    panels
}

/// Sums of the largest block: ten tiles of six rows by four vectors, or three of six rows by four panels of three. They take some
/// of the L1 cache from the weights.
pub(super) const MOST: usize = 240;

/// Panels of the widest block.
pub(super) const MOST_PANELS: usize = 12;

/// Panels of a block, and the most tiles of up to `m` rows in one.
pub(super) const fn block_size(m: usize, g: usize, nr: usize) -> (usize, usize) {
    let panels = block_panels(m, g, nr);
    let tiles = MOST / (m * panels * g);
    assert!(tiles > 0);
    (panels, tiles)
}

/// The widths that tiles of one height have, in vectors: as few as serve, for each is code.
#[derive(Clone, Copy)]
pub(super) struct Widths {
    /// Whole strips, or what may be left of the last one.
    all: [usize; 8],
    /// Whole strips only, where more is left after the tile.
    strip: usize,
}

impl Widths {
    pub(super) const fn new(m: usize, g: usize, nr: usize) -> Widths {
        let most = tile_vectors(m, nr);
        let mut all = [0; 8];
        let mut count = 0;
        let candidates = [12, 9, 8, 6, 4, 3, 2, 1];
        let mut i = 0;
        while i < candidates.len() {
            let n = candidates[i];
            // A single row of a cell takes whole panels; else full tiles, single strips, and what is left of one.
            let serves = if m == 1 && g > 1 {
                n % g == 0
            } else if m == 1 {
                n % 4 == 0 || n <= nr
            } else {
                n == most || (n <= nr && (!g.is_multiple_of(nr) || n == nr))
            };
            if n <= most && serves {
                all[count] = n;
                count += 1;
            }
            i += 1;
        }
        Widths { all, strip: nr }
    }

    /// The widest tile of `left` vectors that lets the next one start a strip, if it is not a single vector.
    #[inline(always)]
    pub(super) const fn widest(self, left: usize) -> usize {
        let mut i = 0;
        while i < self.all.len() {
            let n = self.all[i];
            if n == left || (n < left && n > 0 && n.is_multiple_of(self.strip)) {
                return n;
            }
            i += 1;
        }
        1
    }

    /// Whether the tiles that [`widest`](Widths::widest) picks one after the other make up any block's number of panels of `g`
    /// vectors: none is left without a tile.
    pub(super) const fn cover(self, g: usize) -> bool {
        let mut panels = 1;
        while panels <= MOST_PANELS {
            let mut left = panels * g;
            while left > 0 {
                let n = self.widest(left);
                if n > left || !self.contains(n) {
                    return false;
                }
                left -= n;
            }
            panels += 1;
        }
        true
    }

    pub(super) const fn contains(self, n: usize) -> bool {
        let mut i = 0;
        while i < self.all.len() {
            if self.all[i] == n {
                return true;
            }
            i += 1;
        }
        false
    }
}
