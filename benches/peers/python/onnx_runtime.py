"""ONNX Runtime, its inputs and outputs bound to memory that stays."""

import itertools

import numpy as np
import onnxruntime

from peers import Unsupported


def prepare(work, arrays):
    if work.kind not in ("step", "forward"):
        raise Unsupported("it does inference only")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = work.threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    # Its threads spin within a call, and leave the cores to the other systems after it.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if work.threads > 1:
        # The calling thread has the first core; the others, counted from 1, one each.
        cores = ";".join(str(core + 1) for core in range(1, work.threads))
        options.add_session_config_entry("session.intra_op_thread_affinities", cores)
    session = onnxruntime.InferenceSession(work.onnx, options, providers=["CPUExecutionProvider"])

    x = ort_value(arrays["x"])
    if work.kind == "forward":
        y = ort_value(np.empty((work.seq, work.batch, work.directions * work.hidden), np.float32))
        binding = bound(session, {"x": x}, {"y": y})

        def call():
            session.run_with_iobinding(binding)

        call()
        outputs = {"y": y.numpy()}
    else:
        # The state goes back and forth between two buffers.
        ends = session.get_outputs()
        buffers = [{end.name: ort_value(np.zeros(end.shape)) for end in ends} for _ in range(2)]
        bindings = []
        for source, target in (buffers, reversed(buffers)):
            inputs = {name.replace("_n_", "_0_"): value for name, value in source.items()}
            bindings.append(bound(session, {"x": x, **inputs}, target))
        turns = itertools.cycle(bindings)

        def call():
            session.run_with_iobinding(next(turns))

        call()
        outputs = {"y": buffers[1][f"h_n_l{work.layers - 1}"].numpy().copy()}
    return onnxruntime.__version__, "IO binding", outputs, call


def ort_value(array):
    return onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array, np.float32))


def bound(session, inputs, outputs):
    binding = session.io_binding()
    for name, value in inputs.items():
        binding.bind_ortvalue_input(name, value)
    for name, value in outputs.items():
        binding.bind_ortvalue_output(name, value)
    return binding
