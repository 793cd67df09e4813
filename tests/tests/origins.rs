//! Behaviours that other systems assert in suites of their own, each under the name it has there. `docs/behaviours.md` lists them
//! all, also those that are out of scope, with the reason.
#![allow(non_snake_case, reason = "the names are those of the origins")]

mod origins {
    mod keras;
    mod keras_cells;
    mod onnx;
    mod onnx_node;
    mod onnx_runtime;
    mod pytorch;
    mod pytorch_args;
    mod pytorch_clip;
    mod pytorch_cpp;
    mod pytorch_dropout;
    mod pytorch_packed;
    mod pytorch_projections;
    mod support;
}
