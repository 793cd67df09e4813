//! The backward half of [`run`](super::run).

use super::memory::Memory;
use super::problem::{Problem, Sizes};
use super::run::{Forwarded, Way};
use super::sequence::Sequence;
use super::support::on_threads;
use gatewise_kernels::{Backward, Kernels, PackedCell};

/// All memory of a backward pass.
#[derive(Debug)]
pub(super) struct BackwardMemory {
    sizes: Sizes,
    dy: Option<Sequence>,
    gates: Sequence,
    y: Sequence,
    h_0: Option<Memory<f32>>,
    c: Option<Sequence>,
    c_0: Option<Memory<f32>>,
    dh: Memory<f32>,
    dc: Option<Memory<f32>>,
    dh_steps: Option<Sequence>,
    dc_steps: Option<Sequence>,
    active: Option<Memory<usize>>,
    resets: Option<Memory<bool>>,
    reset_h: Option<Memory<f32>>,
    reset_c: Option<Memory<f32>>,
}

impl BackwardMemory {
    pub(super) fn new(problem: &Problem, run: &Forwarded, way: &Way) -> BackwardMemory {
        let Sizes { steps, batch, hidden, .. } = problem.sizes;
        let put = |data: &Option<Vec<f32>>| data.as_ref().map(|data| way.place.put(data));
        let sequence = |data: Option<&[f32]>, width: usize| Sequence::new(way, (steps, batch, width), data);
        let has_c = problem.cell.has_cell_state();
        BackwardMemory {
            sizes: problem.sizes,
            dy: problem.dy.as_ref().map(|dy| sequence(Some(dy), hidden)),
            gates: sequence(Some(&run.gates), problem.cell.saved() * hidden),
            y: sequence(Some(&run.y), hidden),
            h_0: put(&problem.h_0),
            c: has_c.then(|| sequence(Some(&run.c), hidden)),
            c_0: put(&problem.c_0),
            dh: way.place.put(&problem.dh),
            dc: has_c.then(|| way.place.put(&problem.dc)),
            dh_steps: way.observe.then(|| sequence(None, hidden)),
            dc_steps: (way.observe && has_c).then(|| sequence(None, hidden)),
            active: problem.active().map(|active| way.place.put(&active)),
            resets: problem.resets.as_ref().map(|resets| way.mask(resets, problem.sizes.batch)),
            reset_h: put(&problem.reset_h),
            reset_c: put(&problem.reset_c),
        }
    }

    pub(super) fn args(&mut self, begin: usize, end: usize) -> Backward<'_> {
        Backward {
            begin,
            end,
            batch: self.sizes.batch,
            dy: self.dy.as_ref().map(Sequence::seq),
            gates: self.gates.seq_mut(),
            y: self.y.seq(),
            h_0: self.h_0.as_deref(),
            c: self.c.as_ref().map(Sequence::seq),
            c_0: self.c_0.as_deref(),
            dh: &mut self.dh,
            dc: self.dc.as_deref_mut(),
            dh_steps: self.dh_steps.as_mut().map(|steps| steps.seq_mut_from(begin)),
            dc_steps: self.dc_steps.as_mut().map(|steps| steps.seq_mut_from(begin)),
            active: self.active.as_deref(),
            resets: self.resets.as_deref(),
            reset_h: self.reset_h.as_deref(),
            reset_c: self.reset_c.as_deref(),
        }
    }

    /// Every float that a pass may write.
    pub(super) fn outputs(&self) -> Vec<f32> {
        let sequences = [Some(&self.gates), self.dh_steps.as_ref(), self.dc_steps.as_ref()];
        let sequences = sequences.into_iter().flatten().flat_map(|sequence| sequence.memory.iter());
        sequences.chain(self.dh.iter()).chain(self.dc.iter().flat_map(|dc| dc.iter())).copied().collect()
    }
}

/// What a backward pass leaves. Where a row did not run, `UNTOUCHED` stands.
#[derive(Debug)]
pub(super) struct Backwarded {
    pub(super) d_gates: Vec<f32>,
    pub(super) dh: Vec<f32>,
    pub(super) dc: Vec<f32>,
    /// Empty if not observed.
    pub(super) dh_steps: Vec<f32>,
    /// Empty if not observed.
    pub(super) dc_steps: Vec<f32>,
    /// The id of the kernel that ran it.
    pub(super) id: &'static str,
}

/// The backward pass after a forward one, in time chunks that end at each of `cuts` (ascending), last first.
pub(super) fn backward(
    kernels: Kernels,
    packed: &PackedCell,
    problem: &Problem,
    run: &Forwarded,
    way: &Way,
    cuts: &[usize],
) -> Backwarded {
    let steps = problem.sizes.steps;
    let mut memory = BackwardMemory::new(problem, run, way);
    let mut end = steps;
    for &begin in cuts.iter().rev().chain([&0]) {
        let (plan, args) = (way.backward_plan(), memory.args(begin, end));
        let done = on_threads(way.threads(), || kernels.backward(packed, steps, &plan, args));
        done.expect("the arguments fit");
        end = begin;
    }
    Backwarded {
        d_gates: memory.gates.plain(),
        dh: memory.dh.to_vec(),
        dc: memory.dc.as_ref().map_or(vec![], |dc| dc.to_vec()),
        dh_steps: memory.dh_steps.as_ref().map_or(vec![], Sequence::plain),
        dc_steps: memory.dc_steps.as_ref().map_or(vec![], Sequence::plain),
        id: packed.backward_row().id,
    }
}
