#!/usr/bin/env python3
"""Trains in PyTorch what the example `folk_music` trains in Rust.

Same data, model, initialisation, optimiser and order of the windows, so the
two validation losses can be compared. The random numbers differ: compare over
a few seeds, not digit by digit.

    pip install torch numpy
    python reference.py --seed 1
"""

import argparse
import time
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

REPORT_EVERY = 50
VALIDATE_EVERY = 200


def options():
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--cell", choices=["rnn", "lstm", "gru"], default="lstm")
    p.add_argument("--hidden", type=int, default=256)
    p.add_argument("--layers", type=int, default=1)
    p.add_argument("--embedding", type=int, default=64)
    p.add_argument("--seq", type=int, default=100, help="steps in a window (T)")
    p.add_argument("--batch", type=int, default=32, help="parallel streams (B)")
    p.add_argument("--steps", type=int, default=1000, help="updates")
    p.add_argument("--lr", type=float, default=1e-3, help="Adam, constant")
    p.add_argument("--clip", type=float, default=1.0, help="largest gradient norm")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--corpus", default=Path(__file__).parent / "data" / "irish.abc")
    return p.parse_args()


class Model(nn.Module):
    def __init__(self, cell, vocabulary, embedding, hidden, layers):
        super().__init__()
        kind = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}[cell]
        self.embedding = nn.Embedding(vocabulary, embedding)
        self.recurrent = kind(embedding, hidden, layers)
        self.linear = nn.Linear(hidden, vocabulary)

    def forward(self, x, state):
        """x [T, B] of character numbers -> logits [T, B, V] and the new state."""
        y, state = self.recurrent(self.embedding(x), state)
        return self.linear(y), state


def streams(text, batch):
    """Cuts text into contiguous streams of equal length: [length, batch]."""
    length = len(text) // batch
    return text[: length * batch].view(batch, length).t().contiguous()


def cross_entropy(logits, targets, reduction="mean"):
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction=reduction)


def detach(state):
    return tuple(s.detach() for s in state) if isinstance(state, tuple) else state.detach()


@torch.no_grad()
def validate(model, data, seq):
    """Mean cross-entropy over all characters but the first of each stream."""
    inputs, targets = data[:-1], data[1:]
    total, state = 0.0, None  # None: zeros
    for x, y in zip(inputs.split(seq), targets.split(seq)):
        logits, state = model(x, state)
        total += cross_entropy(logits, y, "sum").item()
    return total / targets.numel()


def main():
    o = options()
    torch.set_num_threads(o.threads)
    torch.manual_seed(o.seed)

    # As the example does: no byte order mark, lines that end with a line feed alone.
    text = Path(o.corpus).read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    characters = sorted(set(text))
    number = {c: i for i, c in enumerate(characters)}
    text = torch.tensor([number[c] for c in text])
    split = len(text) * 9 // 10
    train, val = streams(text[:split], o.batch), streams(text[split:], o.batch)
    windows = (len(train) - 1) // o.seq
    if windows < 1 or len(val) < 2:
        raise SystemExit("the corpus is too short for this --batch and --seq")

    model = Model(o.cell, len(characters), o.embedding, o.hidden, o.layers)
    adam = torch.optim.Adam(model.parameters(), lr=o.lr, betas=(0.9, 0.999), eps=1e-8)
    parameters = sum(p.numel() for p in model.parameters())
    print(f"{len(text)} characters, {len(characters)} distinct; {parameters} parameters; "
          f"{windows} windows a pass", flush=True)

    seconds, state = 0.0, None
    for step in range(o.steps):
        start = time.perf_counter()
        at = step % windows * o.seq
        state = detach(state) if at else None
        logits, state = model(train[at : at + o.seq], state)
        loss = cross_entropy(logits, train[at + 1 : at + o.seq + 1])
        adam.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), o.clip)
        adam.step()
        seconds += time.perf_counter() - start

        # The training loss is that of this one window, before its update.
        done = step + 1
        if done == 1 or done % REPORT_EVERY == 0:
            line = f"update {done:5}  train {loss.item():.4f}"
            if done % VALIDATE_EVERY == 0:
                line += f"  val {validate(model, val, o.seq):.4f}"
            print(line, flush=True)

    if o.steps:
        print(f"{1000 * seconds / o.steps:.1f} ms per update")
    print(f"val_nats_per_char {validate(model, val, o.seq):.4f}")


if __name__ == "__main__":
    main()
