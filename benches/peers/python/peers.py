"""Python systems for `compare`: `python peers.py NAME --problem FILE --out FILE` and the options of a case.

Reads the numbers, does the work once, writes its outputs and says that it is ready; then it makes as many calls as each line
of the standard input says and answers the microseconds of one call. `src/compare/peer.rs` describes the protocol.
"""

import argparse
import importlib
import json
import os
import sys
import time

import tensors

# Each has `prepare(work, arrays)`, which answers `version, note, outputs, call`; what it cannot do it raises as `Unsupported`.
PEERS = {
    "torch": ("pytorch", {"onednn": True}),
    "torch-no-onednn": ("pytorch", {"onednn": False}),
    "ort": ("onnx_runtime", {}),
    "openvino": ("open_vino", {}),
}

RAGGED = "rows of different lengths are not compared"


class Unsupported(Exception):
    """The system does not do this."""


def options():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("--problem", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cell", choices=["rnn_tanh", "rnn_relu", "lstm", "gru"])
    # "matmul" where there is no cell
    parser.add_argument("--pass", dest="kind", choices=["step", "forward", "train"], default="matmul")
    for name, default in [("input", 0), ("hidden", 0), ("batch", 1), ("seq", 1), ("layers", 1), ("m", 0), ("n", 0), ("k", 0)]:
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--bidirectional", action="store_true")
    parser.add_argument("--lengths", choices=["full", "ragged"], default="full")
    work = parser.parse_args()
    work.directions = 2 if work.bidirectional else 1
    work.onnx = os.path.splitext(work.problem)[0] + ".onnx"
    return work


def say(line):
    print(line, flush=True)


def main():
    work = options()
    # Before any library starts threads: they inherit these cores. Libraries that pin theirs do so among them.
    cores = sorted(os.sched_getaffinity(0))
    if work.threads > len(cores):
        sys.exit(f"--threads {work.threads}: {len(cores)} cores may be used")
    os.sched_setaffinity(0, cores[: work.threads])
    os.environ["OMP_PROC_BIND"] = "true"

    module, variant = PEERS[work.peer]
    if work.lengths == "ragged":
        say(json.dumps({"ready": False, "why": RAGGED}))
        return
    try:
        module = importlib.import_module(module)
    except ModuleNotFoundError as error:
        say(json.dumps({"ready": False, "absent": True, "why": f"{sys.executable}: {error}"}))
        return
    try:
        version, note, outputs, call = module.prepare(work, tensors.load(work.problem), **variant)
    except Unsupported as error:
        say(json.dumps({"ready": False, "why": str(error)}))
        return
    tensors.save(work.out, outputs)
    say(json.dumps({"ready": True, "system": work.peer, "version": version, "note": note}))
    for line in sys.stdin:
        calls = int(line)
        start = time.perf_counter()
        for _ in range(calls):
            call()
        say((time.perf_counter() - start) * 1e6 / calls)


if __name__ == "__main__":
    sys.modules["peers"] = sys.modules["__main__"]
    main()
