"""What a training step of an output layer costs as the vocabulary grows, beside its peers.

    python benchmarks/sampled_softmax.py [--tensorflow PYTHON] [--sizes 10000 50000 ...]
        [--precisions highest medium] [--peers tensorflow ...] [--rounds 9] [--out FILE]

A step is forward, backward and optimiser, d = 256, N = 1,024 tokens, S = 1,024 classes drawn.
Every peer lives in a process of its own and steps in turns with ours (A B A B); figures are
medians, "over ours" is over what ours took beside this very peer, and memory is the peak of the
process above what it held before it made its first table. `--tensorflow` names a Python that has
tensorflow-cpu.
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
QUICK = ["ours, lazy Adam", "autograd, SparseAdam", "adaptive", "adaptive, small head"]
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


def commands(V: int, precision: str, device: str, tensorflow: str | None) -> dict[str, list[str]]:
    """How to start every peer that can run at this size, and ours."""
    sizes = [str(n) for n in (V, N, S, SIZE)]
    names = ["ours", *QUICK, "full, in chunks", "full, 128 tokens at a time"]
    largest = LARGEST_TABLE * (2 if device == "cuda" else 1)
    if largest >= V:
        names.append("full")
    if device == "cuda" and _has("cut_cross_entropy"):
        names.append("cut cross-entropy")
    script = [sys.executable, str(HERE / "sampled_softmax_steps.py")]
    found = {name: [*script, name, *sizes, precision, device] for name in names}
    if tensorflow and device == "cpu":
        other = [tensorflow, str(HERE / "sampled_softmax_tensorflow.py")]
        found |= {name: [*other, name, *sizes] for name in ("tensorflow", "tensorflow, Keras")}
    return found


def beside_ours(name: str, command: list[str], ours: list[str], rounds: int) -> dict[str, Any]:
    """A peer and ours in turns, A B A B; what the peer took, and that over what ours took."""
    large = int(ours[-6]) > 50_000  # V
    slow = name.startswith("full") or (large and name.startswith("adaptive"))
    pair = Arm("ours", ours, 5), Arm(name, command, 1 if slow else 5)
    for number in range(rounds + 1):
        for arm in pair:
            arm.round(keep=number > 0)
        if number >= 3 and pair[1].seconds[0] > 1:  # where a step takes seconds, three are enough
            break
    mine, row = (arm.end() for arm in pair)
    row["ours"] = mine
    row["time over ours"] = round(row["ms"] / mine["ms"], 2)
    row["memory over ours"] = round(row["mb"] / mine["mb"], 2)
    return row


def measure(V: int, precision: str, device: str, options: argparse.Namespace) -> dict[str, Any]:
    """Every peer beside ours; and ours, the median of what it took beside each."""
    found, rounds = commands(V, precision, device, options.tensorflow), options.rounds
    ours = found.pop("ours")
    if options.peers:
        found = {name: found[name] for name in options.peers if name in found}
    table = {name: beside_ours(name, c, ours, rounds) for name, c in found.items()}
    beside = [row["ours"] for row in table.values()]
    mine = {key: round(statistics.median(row[key] for row in beside), 2) for key in ("ms", "mb")}
    return {"vocabulary": V, "precision": precision, "arms": {"ours": mine} | table}


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
    parser.add_argument("--peers", nargs="*", help="some of the peers; all where it is not given")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    device = pick_device()
    gpu = Path("benchmarks/results/sampled_softmax_gpu.json")
    cpu = Path("data/measured/sampled_softmax.json")  # chapter 08 shows it
    out = options.out or (cpu if device.type == "cpu" else gpu)
    # Where only some peers are measured, what is known of the others stays.
    before = json.loads(out.read_text("utf-8"))["tables"] if options.peers and out.exists() else []
    result: dict[str, Any] = {
        "machine": machine(device),
        "seed": 0,
        "tokens": N,
        "samples": S,
        "size": SIZE,
        "rounds": options.rounds,
        "tables": list(before),
    }
    for precision in options.precisions:
        for V in options.sizes:
            table = measure(V, precision, device.type, options)
            for old in [t for t in before if (t["vocabulary"], t["precision"]) == (V, precision)]:
                table["arms"] = {**old["arms"], **table["arms"], "ours": old["arms"]["ours"]}
                result["tables"].remove(old)
            result["tables"].append(table)
            result["tables"].sort(key=lambda t: (t["precision"], t["vocabulary"]))
            print(V, precision, "torch", torch.__version__)
            for name, row in table["arms"].items():
                print(f"  {name:22} {row}", flush=True)
            write_text(out, json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
