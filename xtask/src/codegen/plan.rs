//! Which register tile and unrolling a kernel gets: a model of registers and loads, not a table.

use super::spec::Isa;

/// A register tile: rows by panels, and how often the k loop around it is unrolled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tile {
    pub(crate) rows: usize,
    pub(crate) panels: usize,
    pub(crate) unroll: usize,
}

/// A load of weights costs that many loads of a row's element: it may come from the second-level cache.
const WEIGHT_LOAD: usize = 2;
/// The tile for panels of `groups` vectors: as many accumulators as fit beside the operands, then the fewest loads.
pub(crate) fn tile(isa: &Isa, groups: usize) -> Tile {
    let mut best = Tile { rows: 1, panels: 1, unroll: 1 };
    for rows in 1..=8 {
        for panels in [1, 2, 4, 8] {
            let width = panels * groups;
            let operands = rows.min(width) + 1 + usize::from(!isa.fused);
            let fits = rows * width + operands <= isa.registers;
            let loads = |t: Tile| t.rows + WEIGHT_LOAD * t.panels * groups;
            let next = Tile { rows, panels, unroll: 1 };
            let (now, then) = (rows * width, best.rows * best.panels * groups);
            if fits && (now > then || (now == then && loads(next) < loads(best))) {
                best = next;
            }
        }
    }
    best
}

/// The tile of a kernel for single rows of one hidden size: as few tiles as their accumulators leave room for a weight and a
/// row's element in the registers, all of them about equally wide. A single row waits for the latency of its chains (4 cycles a
/// multiply-add, 2 a cycle), so a tile of fewer than 8 vectors wastes some of it.
pub(crate) fn step_tile(isa: &Isa, groups: usize, hidden: usize) -> Tile {
    let panels = hidden.div_ceil(isa.lanes);
    let accumulators = if isa.registers >= 32 { 16 } else { 12 };
    let most = (accumulators / groups).clamp(1, 8);
    let tiles = panels.div_ceil(most);
    Tile { rows: 1, panels: panels.div_ceil(tiles), unroll: 4 }
}

#[cfg(test)]
mod tests {
    use super::super::spec::ISAS;
    use super::*;

    #[test]
    fn the_model_picks_the_known_best_tiles() {
        let [portable, avx2_fma, avx512] = &ISAS;
        let shape = |isa, groups| (tile(isa, groups).rows, tile(isa, groups).panels);
        assert_eq!([shape(avx512, 4), shape(avx512, 3), shape(avx512, 1)], [(6, 1), (8, 1), (6, 4)]);
        assert_eq!([shape(avx2_fma, 4), shape(avx2_fma, 3), shape(avx2_fma, 1)], [(3, 1), (4, 1), (6, 2)]);
        let step = |isa, groups, hidden| step_tile(isa, groups, hidden).panels;
        assert_eq!([step(avx512, 4, 8), step(avx512, 4, 24), step(avx512, 4, 80)], [1, 2, 3]);
        assert_eq!([step(avx2_fma, 4, 64), step(avx2_fma, 3, 64), step(avx2_fma, 1, 64)], [3, 4, 8]);
        assert_eq!([shape(portable, 4), shape(portable, 3), shape(portable, 1)], [(2, 1), (2, 2), (6, 2)]);
    }
}
