//! tract, from an ONNX file.

use crate::{Ready, Result, Unsupported};
use benches::case::{Case, Pass};
use benches::machine;
use benches::problem::Problem;
use std::path::Path;
use tract_onnx::prelude::multithread::{self, Executor};
use tract_onnx::prelude::*;

pub fn prepare(case: &Case, problem: &Problem, onnx: &Path) -> Result<Ready> {
    if case.pass == Pass::Train {
        return Err(Unsupported("it does inference only").into());
    }
    if case.threads > 1 {
        multithread::set_default_executor(Executor::MultiThread(Arc::new(machine::pool(case.threads)?)));
    }
    let model = tract_onnx::onnx().model_for_path(onnx)?.into_optimized()?.into_runnable()?;
    let mut state = model.spawn()?;
    let x: TValue = Tensor::from_shape(&[case.steps(), case.batch, case.input], &problem.x)?.into();
    let mut carried: TVec<TValue> = tvec![];
    if case.pass == Pass::Step {
        // h, and c of an LSTM, of each layer.
        let states = case.layers * if case.cell.cell().has_cell_state() { 2 } else { 1 };
        for _ in 0..states {
            carried.push(Tensor::zero::<f32>(&[1, case.batch, case.hidden])?.into());
        }
    }
    let mut call = move || -> Result<TVec<TValue>> {
        let mut inputs = tvec![x.clone()];
        inputs.extend(carried.iter().cloned());
        let outputs = state.run(inputs)?;
        if !carried.is_empty() {
            carried.clone_from(&outputs);
        }
        Ok(outputs)
    };
    // The last layer's h comes before its c.
    let outputs = call()?;
    let at = outputs.len() - if case.pass == Pass::Step && case.cell.cell().has_cell_state() { 2 } else { 1 };
    let y = outputs[at].to_plain_array_view::<f32>()?.iter().copied().collect();
    let outputs = vec![("y".to_string(), y)];
    Ok(Ready { package: "tract-onnx", note: "optimized", outputs, call: Box::new(move || call().map(drop)) })
}
