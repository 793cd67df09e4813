//! Packing: any strided matrix into strips of `nr` vectors, each k-major, padded with zeros to whole strips.
//!
//! The vectors stand panel by panel: for a weight of a cell one vector of units of gate 0, the same units of gate 1, and so on;
//! for a plain matmul a panel is one vector of columns.

use super::block::GemmTask;

/// Where the elements of the packed operand come from.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    /// The floats.
    pub(crate) data: &'a [f32],
    /// From one group (gate) to the next.
    pub(crate) group: usize,
    /// From one unit (column) to the next.
    pub(crate) unit: usize,
    /// From one k to the next.
    pub(crate) depth: Depth<'a>,
}

/// The order of k: evenly spaced, or listed.
#[derive(Clone, Copy)]
pub(crate) enum Depth<'a> {
    /// k-th value at k * stride.
    Stride(usize),
    /// k-th value at the k-th offset.
    Listed(&'a [usize]),
}

impl Depth<'_> {
    /// Where the k-th value stands.
    pub(crate) fn at(&self, k: usize) -> usize {
        match self {
            Depth::Stride(stride) => k * stride,
            Depth::Listed(offsets) => offsets[k],
        }
    }
}

/// The sizes of a packed operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PanelShape {
    pub(crate) lanes: usize,
    /// Vectors of a strip (BLIS's nr, in vectors).
    pub(crate) nr: usize,
    pub(crate) groups: usize,
    pub(crate) depth: usize,
    pub(crate) units: usize,
}

impl PanelShape {
    /// Vectors of all panels.
    pub(crate) fn vectors(&self) -> usize {
        self.units.div_ceil(self.lanes) * self.groups
    }

    /// Floats from one strip to the next; 0 where there is none.
    pub(crate) fn strip_len(&self) -> usize {
        if self.units == 0 { 0 } else { self.depth * self.nr * self.lanes }
    }

    /// Floats of the packed operand, if they can be counted.
    pub(crate) fn len(&self) -> Option<usize> {
        let vectors = self.units.div_ceil(self.lanes).checked_mul(self.groups)?;
        let width = vectors.checked_next_multiple_of(self.nr)?.checked_mul(self.lanes)?;
        width.checked_mul(self.depth)
    }
}

/// Packs `source` into `to`, [strip][k][vector][lane]. Only what the source fills is written beside the padding of its vectors:
/// vectors that fill up the last strip are left as they are.
///
/// # Panics
/// If `to` is shorter than the shape says, or the source does not hold an element that the shape needs.
pub(crate) fn pack(to: &mut [f32], shape: PanelShape, source: Source<'_>) {
    let PanelShape { lanes, nr, groups, depth, units } = shape;
    if depth == 0 {
        return;
    }
    for first in (0..units).step_by(lanes) {
        let used = lanes.min(units - first);
        for group in 0..groups {
            let number = first / lanes * groups + group;
            // The vector of k stands at `k * nr * lanes` from here.
            let to = &mut to[number / nr * shape.strip_len() + number % nr * lanes..];
            let from = group * source.group + first * source.unit;
            if used == lanes && source.unit > 1 && matches!(source.depth, Depth::Stride(1)) {
                let rows = Rows { data: &source.data[from..], unit: source.unit, depth };
                match lanes {
                    16 => transpose::<16>(to, nr * lanes, rows),
                    8 => transpose::<8>(to, nr * lanes, rows),
                    _ => transpose::<4>(to, nr * lanes, rows),
                }
            } else {
                pack_vector(to.chunks_mut(nr * lanes).take(depth), lanes, used, from, &source);
            }
        }
    }
}

/// Units whose values of k are neighbours: rows of a matrix.
struct Rows<'a> {
    data: &'a [f32],
    /// From one unit to the next.
    unit: usize,
    depth: usize,
}

/// Packs the vector of the first `LANES` units, for each k, by squares of four units by four values of k, which the compiler turns in
/// registers; the vectors stand `stride` apart.
fn transpose<const LANES: usize>(to: &mut [f32], stride: usize, Rows { data, unit, depth }: Rows<'_>) {
    let mut fours: [&[[f32; 4]]; LANES] = [&[]; LANES];
    let mut rest: [&[f32]; LANES] = [&[]; LANES];
    for lane in 0..LANES {
        (fours[lane], rest[lane]) = data[lane * unit..][..depth].as_chunks();
    }
    let squares = depth / 4;
    for i in 0..squares {
        for lane in (0..LANES).step_by(4) {
            let [a, b, c, d] = [0, 1, 2, 3].map(|l| fours[lane + l][i]);
            for k in 0..4 {
                to[(4 * i + k) * stride + lane..][..4].copy_from_slice(&[a[k], b[k], c[k], d[k]]);
            }
        }
    }
    for k in 0..depth % 4 {
        for (x, rest) in to[(4 * squares + k) * stride..].iter_mut().zip(rest) {
            *x = rest[k];
        }
    }
}

/// Packs the vector of `used` units from `from` on, for each k.
fn pack_vector<'a>(
    places: impl Iterator<Item = &'a mut [f32]>,
    lanes: usize,
    used: usize,
    from: usize,
    source: &Source<'_>,
) {
    if source.unit == 1 {
        match lanes {
            16 => copy_vectors::<16>(places, used, from, source),
            8 => copy_vectors::<8>(places, used, from, source),
            _ => copy_vectors::<4>(places, used, from, source),
        }
    } else {
        for (k, place) in places.enumerate() {
            let at = from + source.depth.at(k);
            for (lane, x) in place[..lanes].iter_mut().enumerate() {
                *x = if lane < used { source.data[at + lane * source.unit] } else { 0.0 };
            }
        }
    }
}

/// Copies the vector of `used` units from `from` on, for each k; how long it is, the compiler knows.
fn copy_vectors<'a, const LANES: usize>(
    places: impl Iterator<Item = &'a mut [f32]>,
    used: usize,
    from: usize,
    source: &Source<'_>,
) {
    for (k, place) in places.enumerate() {
        let place = &mut place[..LANES];
        let rest = &source.data[from + source.depth.at(k)..];
        match rest.first_chunk::<LANES>() {
            Some(vector) if used == LANES => place.copy_from_slice(vector),
            Some(vector) => {
                for (lane, x) in place.iter_mut().enumerate() {
                    *x = if lane < used { vector[lane] } else { 0.0 };
                }
            }
            None => {
                place[..used].copy_from_slice(&rest[..used]);
                place[used..].fill(0.0);
            }
        }
    }
}

/// Packs `m` floats from each of `rows` on, the k-th of them column k of A, into `to`, [tile][k][mr]: what a tile of `mr` rows reads
/// at one k stands together. The last tile's missing rows are left as they are.
///
/// # Panics
/// If `to` is shorter than whole tiles, or a row does not lie within `from`.
pub(crate) fn pack_rows(to: &mut [f32], mr: usize, m: usize, from: &[f32], rows: &[usize]) {
    /// Rows at a time: their cache lines, and those of as many places in each tile, stay in the L1 cache.
    const ROWS: usize = 8;
    let depth = rows.len();
    for (block, rows) in rows.chunks(ROWS).enumerate() {
        for first in (0..m).step_by(mr) {
            let used = mr.min(m - first);
            let to = &mut to[first * depth + block * ROWS * mr..];
            for (to, row) in to.chunks_exact_mut(mr).zip(rows) {
                let from = &from[row + first..][..used];
                // The common height as a constant: a few moves instead of a call.
                match (<&mut [f32; 6]>::try_from(&mut *to), <&[f32; 6]>::try_from(from)) {
                    (Ok(to), Ok(from)) => *to = *from,
                    _ => to[..used].copy_from_slice(from),
                }
            }
        }
    }
}

/// Packs rows of A that stand anywhere into the same form: `rows` rows from `first` on, `depth` values of k each.
///
/// # Safety
/// A is readable at each of these rows and k.
///
/// # Panics
/// If `to` is shorter than whole tiles.
pub(crate) unsafe fn pack_block(to: &mut [f32], mr: usize, task: &GemmTask) {
    for first in (0..task.rows).step_by(mr) {
        let used = mr.min(task.rows - first);
        let to = &mut to[first * task.depth..][..mr * task.depth];
        if let (6, 6, 1) = (mr, used, task.a_step) {
            // The common height: six streams in, one out.
            let rows = task.a_rows.places::<6>(task.first_row + first).map(|at| task.a.wrapping_offset(at));
            for (k, to) in to.as_chunks_mut::<6>().0.iter_mut().enumerate() {
                for r in 0..6 {
                    // SAFETY: the caller's promise; there are `depth` places.
                    to[r] = unsafe { *rows[r].add(k) };
                }
            }
            continue;
        }
        for r in 0..used {
            let [at] = task.a_rows.places::<1>(task.first_row + first + r);
            let row = task.a.wrapping_offset(at);
            for (k, to) in to.iter_mut().skip(r).step_by(mr).enumerate() {
                // SAFETY: the caller's promise; there are `depth` places from the r-th on.
                *to = unsafe { *row.add(k * task.a_step) };
            }
        }
    }
}
