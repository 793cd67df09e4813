//! rten, from an ONNX file.

use crate::{Ready, Result, Unsupported};
use ::rten::{ModelOptions, NodeId, RunOptions, ThreadPool, Value, ValueOrView};
use benches::case::{Case, Pass};
use benches::machine::pin_current_thread;
use benches::problem::Problem;
use gatewise::Cell;
use rten_tensor::prelude::*;
use rten_tensor::{NdTensor, Tensor};
use std::path::Path;
use std::sync::{Arc, OnceLock};

static POOL: OnceLock<Arc<ThreadPool>> = OnceLock::new();

/// Runs within rten's own kind of pool, each thread pinned: a call then does not come from outside.
pub fn in_its_pool(threads: usize, job: impl FnOnce() -> Result<()> + Send) -> Result<()> {
    let pool = POOL.get_or_init(|| Arc::new(ThreadPool::with_num_threads(threads)));
    let done = pool.run(|| {
        rayon::broadcast(|thread| pin_current_thread(thread.index()));
        job().map_err(|error| error.to_string())
    });
    Ok(done?)
}

pub fn prepare(case: &Case, problem: &Problem, onnx: &Path) -> Result<Ready> {
    if case.pass == Pass::Train {
        return Err(Unsupported("it does inference only").into());
    }
    if matches!(case.cell.cell(), Cell::RnnTanh | Cell::RnnRelu) {
        return Err(Unsupported("it has no vanilla network").into());
    }
    let model = ModelOptions::with_all_ops().prepack_weights(true).load_file(onnx)?;
    let options = RunOptions::default().with_thread_pool(POOL.get().cloned());
    let x = NdTensor::from_data([case.steps(), case.batch, case.input], problem.x.clone());
    let x_id = model.node_id("x")?;
    let output_ids: Vec<NodeId> = model.output_ids().to_vec();
    // The inputs after x are the state, in the order of the outputs.
    let state_ids: Vec<NodeId> = model.input_ids().iter().copied().filter(|&id| id != x_id).collect();
    let zeros = || Value::from(Tensor::<f32>::zeros(&[1, case.batch, case.hidden]));
    let mut carried: Vec<Value> = state_ids.iter().map(|_| zeros()).collect();
    let has_state = !state_ids.is_empty();
    let mut call = move || -> Result<Vec<Value>> {
        let mut inputs: Vec<(NodeId, ValueOrView<'_>)> = vec![(x_id, x.view().into())];
        inputs.extend(state_ids.iter().copied().zip(carried.iter().map(ValueOrView::from)));
        let outputs = model.run(inputs, &output_ids, Some(options.clone()))?;
        // What was carried in is handed out in exchange, so that nothing is copied.
        Ok(if has_state { std::mem::replace(&mut carried, outputs) } else { outputs })
    };
    // The state of the first call comes out of the second.
    let mut outputs = call()?;
    if has_state {
        outputs = call()?;
    }
    let at = outputs.len() - if case.pass == Pass::Step && case.cell.cell().has_cell_state() { 2 } else { 1 };
    let y = outputs.swap_remove(at).into_tensor::<f32>().ok_or("y is not of floats")?.to_vec();
    let outputs = vec![("y".to_string(), y)];
    Ok(Ready {
        package: "rten",
        note: "prepacked weights",
        outputs,
        call: Box::new(move || call().map(drop)),
    })
}
