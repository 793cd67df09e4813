//! The sums of a block, which stand on the stack between its products and what follows from them.

use super::micro::Tile;
use super::tiles::{At, Corner, Products, TileBody, walk};
use crate::simd::{Arithmetic, Vector, group::Group};

/// The sums of each set for the panels of some rows, row by row, and in each the gates one after the other.
#[derive(Clone, Copy)]
pub(crate) struct BlockSums<V, const G: usize, const SETS: usize> {
    first: At,
    /// Panels of a row.
    width: usize,
    /// Panels of all rows.
    count: usize,
    sets: [*mut V; SETS],
}

/// A panel of a block: the `index`-th.
#[derive(Clone, Copy)]
pub(crate) struct Panel {
    pub(crate) index: usize,
    pub(crate) at: At,
}

impl<V: Copy, const G: usize, const SETS: usize> BlockSums<V, G, SETS> {
    /// The sums of `count` panels from the `first` on, `width` in a row.
    #[inline(always)]
    pub(super) fn new(first: At, width: usize, count: usize, sets: [*mut V; SETS]) -> Self {
        BlockSums { first, width, count, sets }
    }

    /// Panels of all rows.
    #[inline(always)]
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// The first panel.
    #[inline(always)]
    pub(crate) fn first(&self) -> Panel {
        Panel { index: 0, at: self.first }
    }

    /// `N` panels from the next one on, which moves on behind them.
    #[inline(always)]
    pub(crate) fn some<const N: usize>(&self, next: &mut Panel) -> [Panel; N] {
        let mut some = [*next; N];
        for n in 0..N {
            some[n] = *next;
            next.index += 1;
            next.at.panel += 1;
            if next.at.panel == self.first.panel + self.width {
                next.at = At { row: next.at.row + 1, panel: self.first.panel };
            }
        }
        some
    }

    /// The sum of one gate.
    ///
    /// # Safety
    /// The block has the panel, and its sums are set.
    #[inline(always)]
    pub(crate) unsafe fn get(&self, set: usize, panel: usize, gate: usize) -> V {
        // SAFETY: the caller's promise.
        unsafe { *self.sets[set].add(panel * G + gate) }
    }

    /// Puts a value in the place of a sum.
    ///
    /// # Safety
    /// The block has the panel.
    #[inline(always)]
    pub(crate) unsafe fn put(&self, set: usize, panel: usize, gate: usize, value: V) {
        // SAFETY: the caller's promise.
        unsafe { *self.sets[set].add(panel * G + gate) = value };
    }
}

/// A body that takes all sums of some panels at once.
pub(crate) trait PanelBody<V: Vector, const G: usize, const SETS: usize>:
    Products<V, G, SETS>
{
    /// How many panels: 1, or 2 where there are as many.
    const AT_ONCE: usize;

    /// Takes the sums of panels of single rows.
    ///
    /// # Safety
    /// Rows and panels lie within what the body was made for.
    unsafe fn finish_panels<const N: usize>(
        &self,
        token: V::Token,
        at: [At; N],
        sums: [[Group<V, N>; G]; SETS],
    );
}

/// Walks as [`walk`], for a body that takes panels.
///
/// # Safety
/// As [`walk`].
#[inline(always)]
pub(crate) unsafe fn walk_panels<
    V: Vector,
    B: PanelBody<V, G, SETS>,
    const G: usize,
    const SETS: usize,
    const MR: usize,
    const NR: usize,
>(
    token: V::Token,
    body: &B,
    rows: usize,
    panels: (usize, usize),
) {
    // SAFETY: the caller's promise.
    unsafe { walk::<V, _, G, SETS, MR, NR>(token, &ByPanel(body), rows, panels) };
}

/// Hands the sums of a block on, some panels at a time.
struct ByPanel<'a, B>(&'a B);

impl<V: Vector, B: PanelBody<V, G, SETS>, const G: usize, const SETS: usize> Products<V, G, SETS>
    for ByPanel<'_, B>
{
    #[inline(always)]
    fn goes_back(&self) -> bool {
        self.0.goes_back()
    }

    #[inline(always)]
    unsafe fn products<const M: usize, const W: usize, const K: usize>(
        &self,
        token: V::Token,
        set: usize,
        corner: Corner,
    ) -> Tile<V, M, W, K> {
        // SAFETY: the caller's promise.
        unsafe { self.0.products(token, set, corner) }
    }
}

impl<V: Vector, B: PanelBody<V, G, SETS>, const G: usize, const SETS: usize> TileBody<V, G, SETS>
    for ByPanel<'_, B>
{
    const FINISHES: bool = true;

    #[inline(always)]
    unsafe fn finish(&self, token: V::Token, sums: BlockSums<V, G, SETS>) {
        let (mut next, mut left) = (sums.first(), sums.count());
        // SAFETY: the caller's promise.
        unsafe {
            while B::AT_ONCE > 1 && left >= 2 {
                finish_some::<V, B, G, SETS, 2>(token, self.0, sums, &mut next);
                left -= 2;
            }
            while left > 0 {
                finish_some::<V, B, G, SETS, 1>(token, self.0, sums, &mut next);
                left -= 1;
            }
        }
    }
}

/// Hands `N` panels to the body.
///
/// # Safety
/// The block has as many from the next one on, their sums are set, and the body may be called for them.
#[inline(always)]
unsafe fn finish_some<
    V: Vector,
    B: PanelBody<V, G, SETS>,
    const G: usize,
    const SETS: usize,
    const N: usize,
>(
    token: V::Token,
    body: &B,
    sums: BlockSums<V, G, SETS>,
    next: &mut Panel,
) {
    let panels = sums.some::<N>(next);
    let mut at = [sums.first; N];
    let mut all = [[Group::splat(token, 0.0); G]; SETS];
    for n in 0..N {
        at[n] = panels[n].at;
        for set in 0..SETS {
            for g in 0..G {
                // SAFETY: the caller's promise.
                all[set][g].0[n] = unsafe { sums.get(set, panels[n].index, g) };
            }
        }
    }
    // SAFETY: the caller's promise.
    unsafe { body.finish_panels(token, at, all) };
}
