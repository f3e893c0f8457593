"""RNN, GRU and LSTM of this course beside torch.nn's, in one run, A B A B.

    python benchmarks/recurrent.py [--repeats 15] [--out benchmarks/results/recurrent_cpu.json]

Three questions: forward and backward over a batch, at PyTorch's own matrix precision and at
"medium"; one token at a time with batch 1, as in writing; and what `engine="torch"` costs over
calling torch.nn directly. Medians of alternating runs, as ratios (below 1: ours is faster).
Absolute times depend on the machine and on what else it does; ratios from one run depend on it
much less. On a GPU the recurrences are also measured compiled by `torch.compile`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from minidistill import pick_device, seeded
from minidistill.checkpoints import write_text
from minidistill.recurrent import GRU, LSTM, RNN

SHAPES = [(32, 64, 256), (64, 35, 650), (16, 128, 512)]
SIZES = [128, 256, 450, 650]  # of a state, for writing token by token
KINDS = {"RNN": (RNN, nn.RNN), "GRU": (GRU, nn.GRU), "LSTM": (LSTM, nn.LSTM)}


def timed(run: Callable[[], object], device: torch.device) -> float:
    """Seconds of one call, waiting for a GPU to finish."""
    _wait(device)
    start = time.perf_counter()
    run()
    _wait(device)
    return time.perf_counter() - start


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def ratio(ours: Callable[[], object], peer: Callable[[], object], repeats: int, device) -> dict:
    """Median milliseconds of both, measured in turn, and their ratio."""
    for run in (ours, peer):  # the first passes allocate, compile, wake the threads
        for _ in range(6):
            timed(run, device)
    times = [(timed(ours, device), timed(peer, device)) for _ in range(repeats)]
    mine, theirs = (statistics.median(column) for column in zip(*times, strict=True))
    return {
        "ours_ms": round(mine * 1e3, 3),
        "torch_ms": round(theirs * 1e3, 3),
        "ratio": round(mine / theirs, 3),
    }


def pass_through(layer: nn.Module, x: Tensor) -> Callable[[], None]:
    """A forward and a backward pass."""

    def run() -> None:
        layer(x)[0].sum().backward()
        layer.zero_grad()
        x.grad = None

    return run


def training(shape: tuple[int, int, int], repeats: int, device: torch.device) -> list[dict]:
    """Forward and backward of every kind on one shape."""
    B, T, H = shape
    rows = []
    for kind, (mine, theirs) in KINDS.items():
        with seeded(0):
            peer = theirs(H, H, batch_first=True).to(device)
            x = torch.randn(B, T, H, device=device, requires_grad=True)
        contestants = {"scratch": mine(H, H).to(device)}
        if kind != "RNN":
            contestants["torch"] = mine(H, H, engine="torch").to(device)
        if device.type == "cuda":
            contestants["compiled"] = torch.compile(mine(H, H).to(device))
        for engine, layer in contestants.items():
            layer.load_state_dict(
                {
                    ("_orig_mod." if engine == "compiled" else "") + k: v
                    for k, v in peer.state_dict().items()
                }
            )
            found = ratio(pass_through(layer, x), pass_through(peer, x), repeats, device)
            row = {"kind": kind, "engine": engine, "B,T,H": list(shape), **found}
            print(f"  {kind:4} {engine:8} {row['B,T,H']}: {row['ratio']} x torch.nn", flush=True)
            rows.append(row)
    return rows


def writing(size: int, repeats: int, device: torch.device, tokens: int = 100) -> dict:
    """One token at a time with batch 1: how many times as fast as torch.nn.LSTM."""
    with seeded(0):
        peer = nn.LSTM(size, size, batch_first=True).to(device).eval()
        x = torch.randn(1, 1, size, device=device)
    layer = LSTM(size, size).to(device).eval()
    layer.load_state_dict(peer.state_dict())

    def write(model: nn.Module) -> Callable[[], None]:
        def run() -> None:
            state = None
            with torch.no_grad():
                for _ in range(tokens):
                    _, state = model(x, state)

        return run

    found = ratio(write(layer), write(peer), repeats, device)
    speed_up = round(1 / found["ratio"], 2)
    print(f"  writing, H = {size}: {speed_up} times as fast as torch.nn.LSTM", flush=True)
    return {"H": size, "tokens": tokens, **found, "speed_up": speed_up}


def machine(device: torch.device) -> dict:
    """Where and with what this was measured."""
    name = torch.cuda.get_device_name() if device.type == "cuda" else platform.processor()
    return {
        "device": device.type,
        "name": name or platform.machine(),
        "threads": torch.get_num_threads(),
        "wait_policy": os.environ.get("OMP_WAIT_POLICY", "default"),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def main() -> None:
    """Measure everything, print it, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    device = pick_device()
    out = options.out or Path(f"benchmarks/results/recurrent_{device.type}.json")
    result = {"machine": machine(device), "seed": 0, "repeats": options.repeats}
    usual = torch.get_float32_matmul_precision()
    for precision in (usual, "medium"):
        torch.set_float32_matmul_precision(precision)
        print("matrix precision", precision)
        result[f"training, {precision}"] = [
            row for shape in SHAPES for row in training(shape, options.repeats, device)
        ]
    torch.set_float32_matmul_precision(usual)
    result["writing"] = [writing(size, options.repeats, device) for size in SIZES]
    write_text(out, json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
