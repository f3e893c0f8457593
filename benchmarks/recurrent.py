"""RNN of this course beside torch.nn.RNN: forward and backward, in one run, A B A B.

    python benchmarks/recurrent.py [--repeats 15] [--out benchmarks/results/recurrent.json]

Reports medians of alternating runs as ratios (below 1: ours is faster). Absolute times depend
on the machine and on what else it does; ratios from one run depend on it much less. Shared
cores: set OMP_WAIT_POLICY=PASSIVE before starting.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from pathlib import Path

import torch
from torch import nn

from minidistill import RNN, pick_device, seeded

SHAPES = [(32, 64, 256), (64, 35, 650), (16, 128, 512)]


def step(layer: nn.Module, x: torch.Tensor) -> float:
    """Seconds of one forward and backward pass."""
    _wait(x.device)
    start = time.perf_counter()
    outputs, _ = layer(x)
    outputs.sum().backward()
    _wait(x.device)
    layer.zero_grad()
    return time.perf_counter() - start


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def compare(shape: tuple[int, int, int], repeats: int, device: torch.device) -> dict:
    """Median seconds of both on one shape, measured in turn, and their ratio."""
    B, T, H = shape
    with seeded(0):
        theirs = nn.RNN(H, H, batch_first=True).to(device)
        ours = RNN(H, H).to(device)
        x = torch.randn(B, T, H, device=device, requires_grad=True)
    ours.load_state_dict(theirs.state_dict())
    for layer in (ours, theirs):
        step(layer, x)  # the first pass allocates
    times = [(step(ours, x), step(theirs, x)) for _ in range(repeats)]
    mine, peer = (statistics.median(column) for column in zip(*times, strict=True))
    return {
        "B,T,H": list(shape),
        "ours_ms": round(mine * 1e3, 2),
        "torch_ms": round(peer * 1e3, 2),
        "ratio": round(mine / peer, 3),
    }


def main() -> None:
    """Measure all shapes, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/recurrent.json"))
    options = parser.parse_args()
    device = pick_device()
    name = torch.cuda.get_device_name() if device.type == "cuda" else platform.processor()
    result = {
        "machine": {"device": device.type, "name": name or platform.machine()},
        "threads": torch.get_num_threads(),
        "wait_policy": os.environ.get("OMP_WAIT_POLICY", "default"),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "matmul_precision": torch.get_float32_matmul_precision(),
        "seed": 0,
        "repeats": options.repeats,
        "rnn": [compare(shape, options.repeats, device) for shape in SHAPES],
    }
    for row in result["rnn"]:
        print(f"{row['B,T,H']}: ours / torch.nn.RNN = {row['ratio']}")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    temporary = options.out.with_suffix(".tmp")
    temporary.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    temporary.replace(options.out)


if __name__ == "__main__":
    main()
