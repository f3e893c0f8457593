"""What a training step of an output layer costs as the vocabulary grows, beside its peers.

    python benchmarks/sampled_softmax.py [--tensorflow PYTHON] [--sizes 10000 50000 ...]
        [--precisions highest medium] [--rounds 9] [--out FILE]

A step is forward, backward and optimiser, d = 256, N = 1,024 tokens, S = 1,024 classes drawn.
Every arm lives in a process of its own and steps in turns with the others (A B C A B C); figures
are medians over the rounds, and memory is the peak of the process above what it held before it
made its first table. `--tensorflow` names a Python that has tensorflow-cpu.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from recurrent import machine

from minidistill import pick_device
from minidistill.checkpoints import write_text

HERE = Path(__file__).parent
N, S, SIZE = 1024, 1024, 256
QUICK = ["ours", "ours, lazy Adam", "autograd, SparseAdam", "adaptive", "adaptive, small head"]
LARGEST_TABLE = 400_000  # above it the N x V logits of the plain full softmax need over 10 GB


class Arm:
    """A process that takes steps when it is told."""

    def __init__(self, name: str, command: list[str], steps: int) -> None:
        self.name, self.steps, self.seconds, self.mb = name, steps, [], 0.0
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        if self.process.stdout.readline().strip() != "ready":
            raise SystemExit(f"{name} did not start: {' '.join(command)}")

    def round(self, keep: bool) -> None:
        """Some steps; the first round only warms up."""
        self.process.stdin.write(f"{self.steps}\n")
        self.process.stdin.flush()
        said = json.loads(self.process.stdout.readline())
        self.mb = said["mb"]
        if keep:
            self.seconds += said["seconds"]

    def end(self) -> dict[str, Any]:
        """Stop the process; what it took."""
        self.process.stdin.close()
        self.process.wait()
        return {
            "ms": round(1e3 * statistics.median(self.seconds), 3),
            "steps": len(self.seconds),
            "mb": round(self.mb, 1),
        }


def arms(V: int, precision: str, device: str, tensorflow: str | None) -> list[Arm]:
    """Every arm that can run at this size."""
    sizes = [str(n) for n in (V, N, S, SIZE)]
    names = [*QUICK, "full, in chunks"]
    if device == "cuda":
        names += ["full"] if V <= 2 * LARGEST_TABLE else []
        names += ["cut cross-entropy"] if _has("cut_cross_entropy") else []
    elif V <= LARGEST_TABLE:
        names.append("full")
    script = [sys.executable, str(HERE / "sampled_softmax_steps.py")]
    found = [
        Arm(name, [*script, name, *sizes, precision, device], 5 if name in QUICK else 1)
        for name in names
    ]
    if tensorflow and device == "cpu":
        other = [tensorflow, str(HERE / "sampled_softmax_tensorflow.py")]
        found += [Arm(k, [*other, k, *sizes], 5) for k in ("tensorflow", "tensorflow, Keras")]
    return found


def measure(V: int, precision: str, device: str, tensorflow: str | None, rounds: int) -> dict:
    """All arms in turns; each arm's figures, and its time and memory over ours."""
    found = arms(V, precision, device, tensorflow)
    for number in range(rounds + 1):
        for arm in found:
            if arm.steps > 1 or number <= 3 or arm.seconds[0] < 2:  # slow ones: 3 are enough
                arm.round(keep=number > 0)
    table = {arm.name: arm.end() for arm in found}
    for row in table.values():
        row["time over ours"] = round(row["ms"] / table["ours"]["ms"], 2)
        row["memory over ours"] = round(row["mb"] / table["ours"]["mb"], 2)
    return {"vocabulary": V, "precision": precision, "arms": table}


def _has(module: str) -> bool:
    try:
        __import__(module)
    except ImportError:
        return False
    return True


def main() -> None:
    """Measure, print, write the JSON after every size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tensorflow", help="a Python with tensorflow-cpu")
    parser.add_argument("--sizes", type=int, nargs="*", default=[10**4, 50_000, 250_000, 10**6])
    parser.add_argument("--precisions", nargs="*", default=["highest", "medium"])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    device = pick_device()
    gpu = Path("benchmarks/results/sampled_softmax_gpu.json")
    cpu = Path("data/measured/sampled_softmax.json")  # chapter 08 shows it
    out = options.out or (cpu if device.type == "cpu" else gpu)
    result: dict[str, Any] = {
        "machine": machine(device),
        "seed": 0,
        "tokens": N,
        "samples": S,
        "size": SIZE,
        "rounds": options.rounds,
        "tables": [],
    }
    for precision in options.precisions:
        for V in options.sizes:
            table = measure(V, precision, device.type, options.tensorflow, options.rounds)
            result["tables"].append(table)
            print(V, precision, "torch", torch.__version__)
            for name, row in table["arms"].items():
                print(f"  {name:22} {row}", flush=True)
            write_text(out, json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
