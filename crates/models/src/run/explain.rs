//! What the planner decides, in words.

use super::Stack;
use crate::spec::Error;
use crate::spec::shape::Dims;
use gatewise_kernels::Caches;
use gatewise_kernels::plan::BackwardPlan;

impl Stack {
    /// One line a layer and direction for forward, and one for backward where the network can be trained.
    pub(crate) fn explain(&self, steps: usize, batch: usize, threads: usize) -> Result<Vec<String>, Error> {
        let dims = Dims::new(&self.config, steps, batch)?;
        let mut lines = Vec::new();
        for (i, layer) in self.layers.iter().enumerate() {
            for (packed, direction) in layer.directions.iter().zip(["", " reverse"]) {
                let plan = self.plan(layer, &dims, threads);
                let row = packed.forward_row(&plan);
                let (tile_rows, tile_vectors) = row.tile;
                lines.push(format!(
                    "layer {i}{direction} forward: {plan}; {} with tiles of {tile_rows} rows by {tile_vectors} vectors, k unrolled \
                     {}; {} KiB packed, {}",
                    row.id,
                    row.unroll,
                    packed.bytes() / 1024,
                    cache_that_holds(packed.recurrent_bytes())
                ));
                if packed.is_ready_for_training() {
                    let plan = BackwardPlan::new(self.sizes(layer, &dims), threads);
                    let row = packed.backward_row();
                    lines.push(format!("layer {i}{direction} backward: {plan}; {}", row.id));
                }
            }
        }
        Ok(lines)
    }

    /// The registry id of the kernel that runs the first layer forward.
    pub(crate) fn kernel_id(
        &self,
        steps: usize,
        batch: usize,
        threads: usize,
    ) -> Result<&'static str, Error> {
        let dims = Dims::new(&self.config, steps, batch)?;
        let first = &self.layers[0];
        Ok(first.directions[0].forward_row(&self.plan(first, &dims, threads)).id)
    }
}

fn cache_that_holds(bytes: usize) -> String {
    let caches = Caches::detect();
    let levels = [("L1", caches.l1), ("L2", caches.l2), ("L3", caches.l3)];
    let place = levels.iter().find(|(_, size)| bytes <= *size).map_or("memory", |(name, _)| name);
    format!("W_hh of {} KiB read from {place}", bytes / 1024)
}
