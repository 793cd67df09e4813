//! The one place where the argument structs of the kernels are built: a [`Problem`] laid out in memory one [`Way`] or
//! another, run, and brought back to plain arrays.

use super::memory::{Memory, Place};
use super::picked::Picked;
use super::problem::{Problem, Sizes};
use super::sequence::{Layout, Sequence};
use super::support::{UNTOUCHED, on_threads};
use gatewise_kernels::plan::{self, BackwardPlan, ForwardPlan, Projection};
use gatewise_kernels::{Caches, Forward, Kernels, PackedCell, Seq, Step};

/// How the input gets into the recurrence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// In the recurrent kernel.
    Fused,
    /// In the recurrent kernel made for single rows.
    FusedSingle,
    /// So many steps at a time, before it.
    Projected(usize),
    /// Before the pass: it reads rows of a table, on the kernel made for single rows where it says so.
    Rows { single: bool },
}

/// How a pass is run. None of it changes a bit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way {
    pub(super) place: Place,
    pub(super) layout: Layout,
    pub(super) input: Input,
    pub(super) shards: usize,
    pub(super) slices: usize,
    /// Gates and all of c are stored, for a backward pass; else c is updated in place.
    pub(super) keep: bool,
    /// The initial c stands where the first step leaves its own.
    pub(super) c_0_in_c: bool,
    /// All of dL/dh and dL/dc are stored.
    pub(super) observe: bool,
    /// The mask of resets has more rows than the batch, all set.
    pub(super) more_flags: bool,
}

impl Default for Way {
    fn default() -> Way {
        Way {
            place: Place::Heap,
            layout: Layout::TimeMajor,
            input: Input::Fused,
            shards: 1,
            slices: 1,
            keep: true,
            c_0_in_c: false,
            observe: true,
            more_flags: false,
        }
    }
}

impl Way {
    /// A mask of resets, [T, B], in memory.
    pub(super) fn mask(&self, resets: &[bool], batch: usize) -> Memory<bool> {
        let more = if self.more_flags { 2 } else { 0 };
        let step = |flags: &[bool]| [flags, &vec![true; more]].concat();
        self.place.put(&resets.chunks(batch).flat_map(step).collect::<Vec<bool>>())
    }

    /// Threads of the pool that it runs in.
    pub(super) fn threads(&self) -> usize {
        self.shards.max(self.slices).clamp(1, 4)
    }

    /// The plan of a backward pass.
    pub(super) fn backward_plan(&self) -> BackwardPlan {
        BackwardPlan { chunk: 1, shards: self.shards, slices: self.slices, threads: self.threads() }
    }

    fn plan(&self, problem: &Problem, lanes: usize) -> ForwardPlan {
        let Sizes { steps, batch, input, hidden } = problem.sizes;
        let sizes = plan::Sizes { cell: problem.cell, steps, batch, input, hidden };
        let made = ForwardPlan::new(sizes, lanes, Caches::ASSUMED, 1);
        match self.input {
            Input::Fused | Input::FusedSingle | Input::Rows { .. } => ForwardPlan {
                projection: Projection::Fused,
                shards: self.shards,
                slices: self.slices,
                shard_scratch: 0,
                single_row: [Input::FusedSingle, Input::Rows { single: true }].contains(&self.input),
            },
            Input::Projected(chunk) => {
                let (projection, shards, slices) = (Projection::Chunked { chunk }, self.shards, self.slices);
                // Kernels for single rows take no more of them from a projection, whatever a plan says.
                let projected = ForwardPlan { projection, shards, slices, single_row: true, ..made };
                projected.with_chunk(sizes, lanes, chunk)
            }
        }
    }
}

/// The weights of a problem, packed for both passes.
pub(super) fn pack(kernels: Kernels, problem: &Problem) -> PackedCell {
    let Sizes { input, hidden, .. } = problem.sizes;
    let weights = problem.weights();
    let mut packed = kernels.pack_cell(problem.cell, input, hidden, weights).expect("the weights fit");
    packed.prepare_training(weights).expect("the weights fit");
    packed
}

/// All memory of a forward pass.
#[derive(Debug)]
pub(super) struct ForwardMemory {
    sizes: Sizes,
    x: Sequence,
    h_0: Option<Memory<f32>>,
    c_0: Option<Memory<f32>>,
    y: Sequence,
    c: Option<Sequence>,
    gates: Option<Sequence>,
    active: Option<Memory<usize>>,
    resets: Option<Memory<bool>>,
    reset_h: Option<Memory<f32>>,
    reset_c: Option<Memory<f32>>,
    scratch: Memory<f32>,
}

impl ForwardMemory {
    pub(super) fn new(problem: &Problem, way: &Way, scratch: usize) -> ForwardMemory {
        let Sizes { steps, batch, input, hidden } = problem.sizes;
        let put = |data: &Option<Vec<f32>>| data.as_ref().map(|data| way.place.put(data));
        let has_c = problem.cell.has_cell_state();
        let c_0 = problem.c_0.clone().unwrap_or_else(|| vec![0.0; batch * hidden]);
        let mut c_first = vec![UNTOUCHED; if way.keep { steps } else { 1 } * batch * hidden];
        if way.c_0_in_c {
            let len = c_0.len().min(c_first.len());
            c_first[..len].copy_from_slice(&c_0[..len]);
        }
        let c = if way.keep {
            Sequence::new(way, (steps, batch, hidden), Some(&c_first))
        } else {
            Sequence::in_place(way, (batch, hidden), &c_first)
        };
        ForwardMemory {
            sizes: problem.sizes,
            x: Sequence::new(way, (steps, batch, input), Some(&problem.x)),
            h_0: put(&problem.h_0),
            c_0: (has_c && !way.c_0_in_c).then(|| way.place.put(&c_0)),
            y: Sequence::new(way, (steps, batch, hidden), None),
            c: has_c.then_some(c),
            gates: way.keep.then(|| Sequence::new(way, (steps, batch, problem.cell.saved() * hidden), None)),
            active: problem.active().map(|active| way.place.put(&active)),
            resets: problem.resets.as_ref().map(|resets| way.mask(resets, batch)),
            reset_h: put(&problem.reset_h),
            reset_c: put(&problem.reset_c),
            scratch: way.place.put(&vec![UNTOUCHED; scratch]),
        }
    }

    pub(super) fn args(&mut self) -> Forward<'_> {
        Forward {
            steps: self.sizes.steps,
            batch: self.sizes.batch,
            x: self.x.seq(),
            h_0: self.h_0.as_deref(),
            c_0: self.c_0.as_deref(),
            y: self.y.seq_mut(),
            c: self.c.as_mut().map(Sequence::seq_mut),
            gates: self.gates.as_mut().map(Sequence::seq_mut),
            active: self.active.as_deref(),
            resets: self.resets.as_deref(),
            reset_h: self.reset_h.as_deref(),
            reset_c: self.reset_c.as_deref(),
            scratch: &mut self.scratch,
        }
    }

    /// Every float that a pass may write.
    pub(super) fn outputs(&self) -> Vec<f32> {
        let optional = [&self.c, &self.gates].into_iter().flatten().map(|s| &s.memory);
        [&self.y.memory, &self.scratch].into_iter().chain(optional).flat_map(|m| m.iter().copied()).collect()
    }
}

/// What a forward pass leaves. Where a row did not run, [`UNTOUCHED`] stands.
#[derive(Debug)]
pub(super) struct Forwarded {
    pub(super) y: Vec<f32>,
    /// `[T, B, H]`; empty if c was not kept.
    pub(super) c: Vec<f32>,
    /// `[T, B, saved * H]`; empty if they were not kept.
    pub(super) gates: Vec<f32>,
    pub(super) h_n: Vec<f32>,
    pub(super) c_n: Vec<f32>,
    /// The id of the kernel that ran the recurrence.
    pub(super) id: &'static str,
}

pub(super) fn forward(kernels: Kernels, packed: &PackedCell, problem: &Problem, way: &Way) -> Forwarded {
    let Sizes { steps, batch, hidden, .. } = problem.sizes;
    let plan = way.plan(problem, packed.lanes());
    let mut memory = ForwardMemory::new(problem, way, plan.scratch());
    let (picked, args) = (Picked::new(kernels, packed, problem, way), memory.args());
    let rows = picked.as_ref().map(|picked| picked.from(0));
    let done = on_threads(way.threads(), || match rows {
        None => kernels.forward(packed, &plan, args),
        Some(rows) => {
            let x = Seq::time_major(&[], batch, 0);
            kernels.forward_rows(packed, &plan, rows, Forward { x, ..args })
        }
    });
    done.expect("the arguments fit");

    let y = memory.y.plain();
    let mut c = memory.c.as_ref().map_or(vec![], Sequence::plain);
    let c_now = c.clone();
    if !way.keep {
        c.clear();
    } else if way.c_0_in_c && !c.is_empty() && steps > 0 {
        // The initial c of a row that does not run in the first step is still where it was put.
        for b in (0..batch).filter(|&b| !problem.runs(0, b)) {
            c[b * hidden..][..hidden].fill(UNTOUCHED);
        }
    }
    let zeros = vec![0.0; batch * hidden];
    let mut h_n = problem.h_0.clone().unwrap_or_else(|| zeros.clone());
    let mut c_n = if memory.c.is_some() { problem.c_0.clone().unwrap_or(zeros) } else { vec![] };
    for b in 0..batch {
        let own = b * hidden..(b + 1) * hidden;
        if let Some(t) = (0..steps).rev().find(|&t| problem.runs(t, b)) {
            h_n[own.clone()].copy_from_slice(&y[(t * batch + b) * hidden..][..hidden]);
            if memory.c.is_some() {
                let at = if way.keep { t * batch + b } else { b };
                c_n[own].copy_from_slice(&c_now[at * hidden..][..hidden]);
            }
        }
    }
    let gates = memory.gates.as_ref().map_or(vec![], Sequence::plain);
    Forwarded { y, c, gates, h_n, c_n, id: packed.forward_row(&plan).id }
}

/// The same step by step, through the entry for single steps; for a problem whose rows all run. Its resets are made by hand.
pub(super) fn steps(kernels: Kernels, packed: &PackedCell, problem: &Problem, way: &Way) -> Forwarded {
    let Sizes { steps, batch, input, hidden } = problem.sizes;
    let zeros = vec![0.0; batch * hidden];
    let mut h = problem.h_0.clone().unwrap_or_else(|| zeros.clone());
    let mut c = if problem.cell.has_cell_state() {
        problem.c_0.clone().unwrap_or_else(|| zeros.clone())
    } else {
        vec![]
    };
    let (mut y_all, mut c_all) = (vec![], vec![]);
    let picked = Picked::new(kernels, packed, problem, way);
    for t in 0..steps {
        for b in (0..batch).filter(|&b| problem.resets.as_ref().is_some_and(|resets| resets[t * batch + b])) {
            let own = b * hidden..(b + 1) * hidden;
            h[own.clone()].copy_from_slice(&problem.reset_h.as_ref().unwrap_or(&zeros)[own.clone()]);
            if !c.is_empty() {
                c[own.clone()].copy_from_slice(&problem.reset_c.as_ref().unwrap_or(&zeros)[own]);
            }
        }
        let x = way.place.put(&problem.x[t * batch * input..][..batch * input]);
        let (h_0, mut h_1, mut c_1) = (way.place.put(&h), way.place.put(&zeros), way.place.put(&c));
        let args = Step { batch, x: &x, h_0: &h_0, h_1: &mut h_1, c: &mut c_1 };
        let rows = picked.as_ref().map(|picked| picked.from(t));
        let done = on_threads(way.threads(), || match rows {
            None => kernels.step(packed, args, way.shards),
            Some(rows) => kernels.step_rows(packed, rows, Step { x: &[], ..args }, way.shards),
        });
        done.expect("the arguments fit");
        h.copy_from_slice(&h_1);
        c.copy_from_slice(&c_1);
        y_all.extend_from_slice(&h);
        c_all.extend_from_slice(&c);
    }
    let single_row = batch == 1;
    let row =
        ForwardPlan { projection: Projection::Fused, shards: 1, slices: 1, shard_scratch: 0, single_row };
    let id = packed.forward_row(&row).id;
    Forwarded { y: y_all, c: c_all, gates: vec![], h_n: h, c_n: c, id }
}
