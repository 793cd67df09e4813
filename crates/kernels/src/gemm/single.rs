//! The loop over the tiles of a kernel made for single rows of one hidden size: latency counts, so the sums never leave the
//! registers, and everything that depends on the size is a constant.

use super::micro::Tile;
use super::sums::PanelBody;
use super::tiles::{At, Corner};
use crate::simd::{Vector, group::Group};

/// Walks the `PANELS` panels of a single row. A tile is at most `P` panels; the widths are balanced, for a narrow tile takes as long
/// as its chain, and each starts a strip.
///
/// # Safety
/// The body may be called for every panel of row 0.
#[inline(always)]
pub(crate) unsafe fn walk_single<
    V: Vector,
    B: PanelBody<V, G, SETS>,
    const G: usize,
    const SETS: usize,
    const PANELS: usize,
    const P: usize,
    const NR: usize,
>(
    token: V::Token,
    body: &B,
) {
    const { assert!(P <= 12, "no wider tile is known below") };
    let tiles = const { PANELS.div_ceil(P) };
    let mut panel = 0;
    for i in 0..tiles {
        let width = balanced(PANELS - panel, tiles - i, P, const { strip_panels(G, NR) });
        // SAFETY: the widths add up to `PANELS`.
        unsafe {
            match width {
                12 => single::<V, B, G, SETS, PANELS, P, NR, 12>(token, body, panel),
                11 => single::<V, B, G, SETS, PANELS, P, NR, 11>(token, body, panel),
                10 => single::<V, B, G, SETS, PANELS, P, NR, 10>(token, body, panel),
                9 => single::<V, B, G, SETS, PANELS, P, NR, 9>(token, body, panel),
                8 => single::<V, B, G, SETS, PANELS, P, NR, 8>(token, body, panel),
                7 => single::<V, B, G, SETS, PANELS, P, NR, 7>(token, body, panel),
                6 => single::<V, B, G, SETS, PANELS, P, NR, 6>(token, body, panel),
                5 => single::<V, B, G, SETS, PANELS, P, NR, 5>(token, body, panel),
                4 => single::<V, B, G, SETS, PANELS, P, NR, 4>(token, body, panel),
                3 => single::<V, B, G, SETS, PANELS, P, NR, 3>(token, body, panel),
                2 => single::<V, B, G, SETS, PANELS, P, NR, 2>(token, body, panel),
                _ => single::<V, B, G, SETS, PANELS, P, NR, 1>(token, body, panel),
            }
        }
        panel += width;
    }
}

/// The fewest panels of `g` vectors that fill whole strips of `nr`.
pub(crate) const fn strip_panels(g: usize, nr: usize) -> usize {
    let mut panels = 1;
    while !(panels * g).is_multiple_of(nr) {
        panels += 1;
    }
    panels
}

/// The width of the next of `tiles` about equally wide tiles over `left` panels: at most `most`, and whole strips unless it is
/// the last.
const fn balanced(left: usize, tiles: usize, most: usize, strip: usize) -> usize {
    if tiles == 1 {
        return left;
    }
    let width = left.div_ceil(tiles);
    let down = width - width % strip;
    // Rounded down only if the tiles that are left can take the rest.
    if down > 0 && left - down <= (tiles - 1) * most { down } else { down + strip }
}

/// Whether one of the tiles over `panels` panels is `width` panels wide.
const fn is_balanced(width: usize, panels: usize, most: usize, strip: usize) -> bool {
    let (mut left, mut tiles) = (panels, panels.div_ceil(most));
    while tiles > 0 {
        let next = balanced(left, tiles, most, strip);
        if next == width {
            return true;
        }
        left -= next;
        tiles -= 1;
    }
    false
}

/// `W` panels. A width that does not occur is never asked for, and nothing is compiled for it.
///
/// # Safety
/// The body may be called for these panels of row 0.
#[inline(always)]
unsafe fn single<
    V: Vector,
    B: PanelBody<V, G, SETS>,
    const G: usize,
    const SETS: usize,
    const PANELS: usize,
    const P: usize,
    const NR: usize,
    const W: usize,
>(
    token: V::Token,
    body: &B,
    panel: usize,
) {
    if const { is_balanced(W, PANELS, P, strip_panels(G, NR)) } {
        let mut sums: [Tile<V, 1, W, G>; SETS] = [[[[V::splat(token, 0.0); G]; W]]; SETS];
        let corner = Corner { row: 0, vector: panel * G, turn: 0 };
        // SAFETY: the caller's promise.
        unsafe {
            // The longest chains, those of set 0, last: what they need in registers then matters most.
            for back in 1..=SETS {
                let set = SETS - back;
                sums[set] = body.products::<1, W, G>(token, set, corner);
            }
            for p in 0..W / 2 {
                some::<V, B, G, SETS, W, 2>(token, body, At { row: 0, panel }, &sums, 2 * p);
            }
            if !W.is_multiple_of(2) {
                some::<V, B, G, SETS, W, 1>(token, body, At { row: 0, panel }, &sums, W - 1);
            }
        }
    }
}

/// What follows from the sums of `N` of a tile's panels, from the `p`-th on.
///
/// # Safety
/// The body may be called for these panels of row 0.
#[inline(always)]
unsafe fn some<
    V: Vector,
    B: PanelBody<V, G, SETS>,
    const G: usize,
    const SETS: usize,
    const W: usize,
    const N: usize,
>(
    token: V::Token,
    body: &B,
    tile: At,
    sums: &[Tile<V, 1, W, G>; SETS],
    p: usize,
) {
    let mut at = [tile; N];
    let mut all = [[Group([V::splat(token, 0.0); N]); G]; SETS];
    for n in 0..N {
        at[n].panel += p + n;
        for set in 0..SETS {
            for g in 0..G {
                all[set][g].0[n] = sums[set][0][p + n][g];
            }
        }
    }
    // SAFETY: the caller's promise.
    unsafe { body.finish_panels(token, at, all) };
}
