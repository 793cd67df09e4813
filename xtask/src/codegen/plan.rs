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
/// Vectors of accumulators that a kernel for single rows keeps: the latency of the multiply-add, 4 cycles, times 2 a cycle.
/// Its input and recurrent products are two sets of them.
const STEP_CHAINS: usize = 8;

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

/// The tile of a kernel for single rows of one hidden size: enough panels for [`STEP_CHAINS`], no more than there are.
pub(crate) fn step_tile(isa: &Isa, groups: usize, hidden: usize) -> Tile {
    let mut panels = 1;
    while panels * 2 * groups <= STEP_CHAINS && panels * 2 * isa.lanes <= hidden {
        panels *= 2;
    }
    Tile { rows: 1, panels, unroll: 4 }
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
        assert_eq!([shape(portable, 4), shape(portable, 3), shape(portable, 1)], [(2, 1), (3, 1), (6, 2)]);
    }
}
