"""PyTorch, eager."""

import time

import torch


def prepare(work, arrays, onednn):
    torch.set_num_threads(work.threads)
    torch.set_num_interop_threads(1)
    torch.backends.mkldnn.set_flags(onednn)
    arrays = {name: torch.from_numpy(values) for name, values in arrays.items()}
    kinds = {"matmul": matmul, "step": step, "forward": forward, "train": train}
    what, outputs, call = kinds[work.kind](work, arrays)
    note = f"{what}, oneDNN {'on' if onednn and torch.backends.mkldnn.is_available() else 'off'}"
    return torch.__version__, note, {name: values.detach().numpy() for name, values in outputs.items()}, call


def matmul(work, arrays):
    a, b, c = arrays["a"], arrays["b"], torch.empty(work.m, work.n)

    def call():
        with torch.inference_mode():
            torch.mm(a, b, out=c)

    call()
    return "mm", {"y": c}, call


def network(work, arrays):
    sizes = {"num_layers": work.layers, "bidirectional": work.bidirectional}
    if work.cell == "lstm":
        net = torch.nn.LSTM(work.input, work.hidden, **sizes)
    elif work.cell == "gru":
        net = torch.nn.GRU(work.input, work.hidden, **sizes)
    else:
        net = torch.nn.RNN(work.input, work.hidden, nonlinearity=work.cell.removeprefix("rnn_"), **sizes)
    net.load_state_dict({name: arrays[name] for name, _ in net.named_parameters()})
    return net


def zero_state(work):
    shape = (work.layers * work.directions, work.batch, work.hidden)
    h = torch.zeros(shape)
    return (h, torch.zeros(shape)) if work.cell == "lstm" else h


def step(work, arrays):
    """The layer over one step, or its cell where there is one: whichever is faster."""
    variants = [("nn layer over one step", *step_of_layer(work, arrays))]
    if work.layers * work.directions == 1:
        variants.append(("nn cell", *step_of_cell(work, arrays)))
    return min(variants, key=lambda variant: seconds(variant[2]))


def seconds(call):
    times = []
    for _ in range(9):
        start = time.perf_counter()
        for _ in range(100):
            call()
        times.append(time.perf_counter() - start)
    return sorted(times)[len(times) // 2]


def step_of_layer(work, arrays):
    net, x, state = network(work, arrays).eval(), arrays["x"], zero_state(work)

    def call():
        nonlocal state
        with torch.inference_mode():
            y, state = net(x, state)
        return y

    return {"y": call().clone()}, call


def step_of_cell(work, arrays):
    cells = {"lstm": torch.nn.LSTMCell, "gru": torch.nn.GRUCell}
    if work.cell in cells:
        cell = cells[work.cell](work.input, work.hidden)
    else:
        cell = torch.nn.RNNCell(work.input, work.hidden, nonlinearity=work.cell.removeprefix("rnn_"))
    cell.load_state_dict({name: arrays[f"{name}_l0"] for name, _ in cell.named_parameters()})
    x, h = arrays["x"][0], torch.zeros(work.batch, work.hidden)
    state = (h, torch.zeros_like(h)) if work.cell == "lstm" else h

    def call():
        nonlocal state
        with torch.inference_mode():
            state = cell(x, state)
        return state[0] if work.cell == "lstm" else state

    return {"y": call().clone()}, call


def forward(work, arrays):
    net, x = network(work, arrays).eval(), arrays["x"]

    def call():
        with torch.inference_mode():
            return net(x)[0]

    return "inference_mode", {"y": call()}, call


def train(work, arrays):
    """Forward and backward to the weights, the input and the initial state."""
    net, x, dy, state = network(work, arrays), arrays["x"].requires_grad_(), arrays["dy"], zero_state(work)
    states = state if work.cell == "lstm" else (state,)
    names = [name for name, _ in net.named_parameters()] + ["x"]
    leaves = [*net.parameters(), x, *(h.requires_grad_() for h in states)]

    def call():
        y, _ = net(x, state)
        return y, torch.autograd.grad(y, leaves, dy)

    y, grads = call()
    return "autograd", {"y": y, **{f"grad.{name}": grad for name, grad in zip(names, grads)}}, call
