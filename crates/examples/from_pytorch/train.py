"""The PyTorch half of the example: trains a small model, saves it, and checks what Rust made of it.

    python train.py            writes model.safetensors (the model, an input and its output) beside this file
    python train.py check DIR  loads DIR/model.safetensors, as the Rust half wrote it, and compares outputs
"""

import pathlib
import sys

import torch
from safetensors.torch import load_file, save_file


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = torch.nn.LSTM(1, 8, num_layers=2)
        self.head = torch.nn.Linear(8, 1)

    def forward(self, x):  # [time, batch, 1] to the same
        y, _ = self.lstm(x)
        return self.head(y)


def save(model, x, path):
    with torch.no_grad():
        tensors = {**model.state_dict(), "sample.input": x, "sample.output": model(x)}
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)


def train(path):
    torch.manual_seed(1)
    model = Model()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    time = torch.arange(41, dtype=torch.float32)[:, None, None] * 0.3
    wave = torch.sin(time + torch.arange(4)[None, :, None])
    for _ in range(200):
        loss = torch.nn.functional.mse_loss(model(wave[:-1]), wave[1:])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    save(model, wave[:-1], path)
    print(f"loss {loss:.6f}")


def check(path):
    tensors = load_file(path)
    x, expected = tensors.pop("sample.input"), tensors.pop("sample.output")
    model = Model()
    model.load_state_dict(tensors)
    with torch.no_grad():
        difference = (model(x) - expected).abs().max().item()
    print(f"largest difference {difference:.1e}")
    assert difference <= 1e-5


if sys.argv[1:2] == ["check"]:
    check(pathlib.Path(sys.argv[2]) / "model.safetensors")
else:
    train(pathlib.Path(__file__).parent / "model.safetensors")
