"""OpenVINO on the CPU."""

import itertools

import numpy as np
import openvino

from peers import Unsupported


def prepare(work, arrays):
    if work.kind not in ("step", "forward"):
        raise Unsupported("it does inference only")
    config = {
        "INFERENCE_NUM_THREADS": work.threads,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
        "ENABLE_CPU_PINNING": True,
        "INFERENCE_PRECISION_HINT": "f32",
    }
    model = openvino.Core().compile_model(work.onnx, "CPU", config)
    # A tensor that shares memory does not keep it alive: the calls below do.
    memory = np.ascontiguousarray(arrays["x"])
    x = openvino.Tensor(memory, shared_memory=True)
    if work.kind == "forward":
        request = model.create_infer_request()
        request.set_tensor("x", x)

        def call(keep=memory):
            request.infer()

        call()
        outputs = {"y": request.get_tensor("y").data.copy()}
    else:
        # The state goes back and forth between two buffers.
        names = [end.any_name for end in model.outputs]
        buffers = [{name: zeros(model, name) for name in names} for _ in range(2)]
        requests = []
        for source, target in (buffers, reversed(buffers)):
            request = model.create_infer_request()
            request.set_tensor("x", x)
            for name in names:
                request.set_tensor(name.replace("_n_", "_0_"), source[name])
                request.set_tensor(name, target[name])
            requests.append(request.infer)
        turns = itertools.cycle(requests)

        def call(keep=memory):
            next(turns)()

        call()
        outputs = {"y": buffers[1][f"h_n_l{work.layers - 1}"].data.copy()}
    return openvino.__version__.split("-")[0], "latency hint", outputs, call


def zeros(model, name):
    return openvino.Tensor(np.zeros(list(model.output(name).shape), np.float32))
