//! Packing: any strided matrix into panels, each k-major, padded with zeros to whole vectors.
//!
//! A panel holds, for each k, `groups` vectors of `lanes` units: for a recurrent weight the same units of all its gates,
//! for a plain matmul one vector of columns.

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
    pub(crate) groups: usize,
    pub(crate) depth: usize,
    pub(crate) units: usize,
}

impl PanelShape {
    pub(crate) fn panels(&self) -> usize {
        self.units.div_ceil(self.lanes)
    }

    /// Floats from one panel to the next.
    pub(crate) fn panel_len(&self) -> usize {
        self.depth * self.groups * self.lanes
    }

    /// Floats of the packed operand, if they can be counted.
    pub(crate) fn len(&self) -> Option<usize> {
        let width = self.panels().checked_mul(self.groups)?.checked_mul(self.lanes)?;
        width.checked_mul(self.depth)
    }
}

/// Packs `source` into `to`, [panel][k][group][lane].
///
/// # Panics
/// If `to` is shorter than the shape says, or the source does not hold an element that the shape needs.
pub(crate) fn pack(to: &mut [f32], shape: PanelShape, source: Source<'_>) {
    let PanelShape { lanes, groups, depth, units } = shape;
    let panel_len = shape.panel_len();
    if panel_len == 0 {
        return;
    }
    for panel in 0..shape.panels() {
        let to = &mut to[panel * panel_len..][..panel_len];
        let first = panel * lanes;
        let used = lanes.min(units - first);
        for group in 0..groups {
            let from = group * source.group + first * source.unit;
            if source.unit == 1 {
                for k in 0..depth {
                    let vector = &mut to[(k * groups + group) * lanes..][..lanes];
                    let at = from + source.depth.at(k);
                    vector[..used].copy_from_slice(&source.data[at..][..used]);
                    vector[used..].fill(0.0);
                }
            } else if let Depth::Stride(1) = source.depth {
                for lane in 0..lanes {
                    let mut vectors = to[group * lanes..].chunks_mut(groups * lanes);
                    if lane < used {
                        let row = &source.data[from + lane * source.unit..][..depth];
                        for (vector, &x) in vectors.zip(row) {
                            vector[lane] = x;
                        }
                    } else {
                        vectors.by_ref().for_each(|vector| vector[lane] = 0.0);
                    }
                }
            } else {
                for k in 0..depth {
                    let vector = &mut to[(k * groups + group) * lanes..][..lanes];
                    for lane in 0..lanes {
                        let at = from + source.depth.at(k) + lane * source.unit;
                        vector[lane] = if lane < used { source.data[at] } else { 0.0 };
                    }
                }
            }
        }
    }
}
