//! Which register tile and unrolling a kernel gets: a model of registers and loads, not a table.

use super::spec::Isa;

/// A register tile: rows by vectors, and how often the k loop around it is unrolled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tile {
    pub(crate) rows: usize,
    pub(crate) vectors: usize,
    pub(crate) unroll: usize,
}

/// A load of weights costs that many loads of a row's element: it may come from the second-level cache.
const WEIGHT_LOAD: usize = 2;
/// Rows that a tile has at most: more heights would be more code, and the loads they save are few.
const MOST_ROWS: usize = 6;

/// The k loop of a tile is unrolled that often: at a depth of 64 it then takes few enough turns for the end of the loop to be
/// predicted, which is worth 9 % to the LSTM of 64 on AVX2 and 3 % on AVX-512.
const UNROLL: usize = 4;

/// The tile of an instruction set, for all its matmuls (BLIS's mr and nr): as many accumulators as fit beside the operands, one
/// register left for the compiler to move values with; then the fewest loads. Its vectors are a power of two, so that a strip
/// starts on a cache line.
pub(crate) fn tile(isa: &Isa) -> Tile {
    let mut best = Tile { rows: 1, vectors: 1, unroll: UNROLL };
    for rows in 1..=MOST_ROWS {
        for vectors in [1, 2, 4, 8] {
            let operands = rows.min(vectors) + 1 + usize::from(!isa.fused);
            let fits = rows * vectors + operands < isa.registers;
            let loads = |t: Tile| t.rows + WEIGHT_LOAD * t.vectors;
            let next = Tile { rows, vectors, ..best };
            let (now, then) = (rows * vectors, best.rows * best.vectors);
            if fits && (now > then || (now == then && loads(next) < loads(best))) {
                best = next;
            }
        }
    }
    best
}

/// The tile of a cell with options: half the rows and a plain loop, for each height is code, and its speed matters less. Two
/// strips side by side make up for the chains.
pub(crate) fn lower(tile: Tile) -> Tile {
    Tile { rows: tile.rows.div_ceil(2), unroll: 1, ..tile }
}

/// Panels of the tiles of a kernel for single rows of one hidden size, for cells of `gates` gates: as many as their accumulators
/// leave room for a weight and a row's element in the registers, whole strips if there is more than one tile. A single row waits
/// for the latency of its chains (4 cycles a multiply-add, 2 a cycle), so a tile of fewer than 8 vectors wastes some of it.
pub(crate) fn single_panels(isa: &Isa, gates: usize, hidden: usize) -> usize {
    let panels = hidden.div_ceil(isa.lanes);
    let accumulators = if isa.registers >= 32 { 16 } else { 12 };
    let most = (accumulators / gates).min(12);
    let strip = (1..=4).find(|panels| (panels * gates).is_multiple_of(tile(isa).vectors)).unwrap_or(4);
    if panels <= most { panels } else { most - most % strip }
}

/// How often the k loop of a kernel for single rows is unrolled. The loop is bound by loads and latency, not by its counter; what
/// decides is where the compiler keeps all sums in registers (`cargo xtask asm` looks).
pub(crate) fn single_unroll(isa: &Isa, gates: usize) -> usize {
    if gates == 1 || isa.registers < 32 { 1 } else { 2 }
}

#[cfg(test)]
mod tests {
    use super::super::spec::ISAS;
    use super::*;

    #[test]
    fn the_model_picks_the_known_best_tiles() {
        let [portable, avx2_fma, avx512] = &ISAS;
        let shape = |isa| (tile(isa).rows, tile(isa).vectors);
        assert_eq!([shape(portable), shape(avx2_fma), shape(avx512)], [(5, 2), (6, 2), (6, 4)]);
        let single = |isa, gates, hidden| single_panels(isa, gates, hidden);
        assert_eq!([single(avx512, 4, 8), single(avx512, 3, 128), single(avx512, 4, 80)], [1, 4, 4]);
        assert_eq!([single(avx2_fma, 4, 64), single(avx2_fma, 3, 64), single(avx2_fma, 1, 64)], [3, 4, 8]);
    }
}
