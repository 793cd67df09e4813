//! How a network runs: its layers one above the other over time, forward and back.

mod arrange;
mod bptt;
mod direction;
mod dropout;
mod explain;
mod finite;
mod gradients;
mod layer;
mod layer_tape;
mod memory;
mod merge;
mod record;
mod resets;
mod sequence;
mod step;
mod stretch;
mod tape;
mod tokens;
mod trace;
mod upstream;
mod watch;

pub(crate) use finite::is_finite_at;
pub(crate) use layer::{Layer, layers, parameters};
pub use memory::Memory;
pub use sequence::Workspace;
pub use tape::Tape;
pub use tokens::ProjectedTable;
pub(crate) use tokens::{Picked, Source};
pub(crate) use trace::Steps;
pub use trace::Trace;
pub use upstream::{Gradients, Upstream};
pub use watch::StepClip;
pub(crate) use watch::{Carried, Seen, SeenStep, Watch, WatchRoom, Watched};

use crate::spec::{Config, Error, StateShape};
use gatewise_kernels::Kernels;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A network, packed and ready to run.
#[derive(Clone, Debug)]
pub(crate) struct Stack {
    pub(crate) kernels: Kernels,
    pub(crate) config: Config,
    pub(crate) layers: Vec<Layer>,
    /// That of the states that it makes.
    pub(crate) state_shape: Arc<StateShape>,
    /// Whether a step of its cell passes values on by way of the gates.
    pub(crate) needs_gates: bool,
    /// Steps that the input is projected at a time; `None` is the planner's choice.
    pub(crate) projection_chunk: Option<usize>,
    /// Another one after each change of the parameters: who recorded with a stamp knows by it whether they are still the same.
    pub(crate) stamp: u64,
}

/// A stamp that no parameters had before.
pub(crate) fn next_stamp() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Runs a job that shares work out to the current rayon pool, from within that pool: entering it once costs some 16 us, so
/// that a job of many small shares should not do it for each.
fn in_pool<R: Send>(threads: usize, job: impl FnOnce() -> R + Send) -> R {
    if threads > 1 { rayon::scope(|_| job()) } else { job() }
}

/// T and B of a sequence in the network's layout; checks its features and that there is a step at all.
fn steps_and_batch(
    config: &Config,
    arg: &'static str,
    shape: [usize; 3],
    features: usize,
) -> Result<(usize, usize), Error> {
    let [first, second, width] = shape;
    let (steps, batch) = if config.batch_first { (second, first) } else { (first, second) };
    let dim = if arg == "input" { "input_size" } else { "hidden_size" };
    crate::spec::shape::expect(arg, dim, width, features)?;
    if steps == 0 { Err(Error::EmptySequence) } else { Ok((steps, batch)) }
}
