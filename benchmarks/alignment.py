"""Tasks with a known alignment: accuracy by length, and where the attentions really look.

    OMP_NUM_THREADS=1 python benchmarks/alignment.py [--steps 600] [--seeds 0 1 2]
        [--out benchmarks/results/alignment_cpu.json]

Rows that the file already has are kept and not measured again, so a broken run can go on.
Each model is trained on sources of 2 to 20 tokens by the recipe of minidistill.alignment_lesson
and then writes 500 fresh targets of each length, greedily. `exact` is the share that is right
from the first token to the last, `alignment` the share of target letters whose largest weight
is on the place they come from. Seconds are the process's own CPU seconds: on a busy machine they
are more than on a quiet one, but much less so than the time on the clock.

What to look at: with values="states" the accuracy is as high and the alignment is wrong, because
the neighbour's state knows the letter too; and the fixed context falls with the length.
"""

from __future__ import annotations

import argparse
import functools
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from minidistill.alignment_lesson import score_on, train_on
from minidistill.attention import AdditiveAttention, GeneralAttention, ScaledDotAttention
from minidistill.checkpoints import write_text
from minidistill.recurrent import GRU
from minidistill.tasks import phrase_order, reversal

LENGTHS = (5, 10, 15, 20, 25)
TASKS = {"reversal": reversal, "phrase_order": phrase_order}


def half(input_size: int, hidden_size: int, bidirectional: bool = False) -> nn.Module:
    """A GRU whose two directions have H / 2 numbers each: a dot product needs keys of size H."""
    size = hidden_size // 2 if bidirectional else hidden_size
    return GRU(input_size, size, bidirectional=bidirectional)


MODELS: dict[str, dict] = {
    "additive, embeddings": {"attention": AdditiveAttention},
    "additive, states": {"attention": AdditiveAttention, "values": "states"},
    "general, embeddings": {"attention": GeneralAttention},
    "general, states": {"attention": GeneralAttention, "values": "states"},
    "scaled dot, embeddings": {"attention": ScaledDotAttention, "layer": half},
    "scaled dot, states": {"attention": ScaledDotAttention, "values": "states", "layer": half},
    "fixed context": {"attention": None},
}
ALL_SEEDS = ("additive, embeddings", "additive, states", "fixed context")
"""The models that claims are made about; the others are trained with the first seed only."""


def measured(train: Callable[[], nn.Module], task: Callable) -> dict:
    """Train a model; what it cost, and how it does at each length."""
    start = time.process_time()
    model = train()
    seconds = time.process_time() - start
    scores = {length: score_on(model, task, length) for length in LENGTHS}
    row: dict = {
        "parameters": sum(p.numel() for p in model.parameters()),
        "cpu_seconds": round(seconds, 1),
        "exact": {str(length): round(score.exact, 4) for length, score in scores.items()},
    }
    if scores[LENGTHS[0]].alignment is not None:
        row["alignment"] = {str(n): round(score.alignment, 4) for n, score in scores.items()}
    return row


def machine() -> dict:
    """Where and with what this was measured."""
    return {
        "device": "cpu",
        "name": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def begun(out: Path, steps: int) -> dict:
    """What the file holds of the same measurement, or the head of a new one."""
    head = {"machine": machine(), "steps": steps, "trained on lengths": [2, 20]}
    if out.exists():
        found = json.loads(out.read_text(encoding="utf-8"))
        if {key: found.get(key) for key in head} == head:
            return found
    return {**head, "rows": []}


def save(result: dict, out: Path) -> None:
    """Write the JSON, all of it or nothing."""
    write_text(out, json.dumps(result, indent=1) + "\n")


def main() -> None:
    """Train and measure everything, print it, write the JSON after each model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/alignment_cpu.json"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    result = begun(options.out, options.steps)
    done = {(row["model"], row["task"], row["seed"]) for row in result["rows"]}
    for name in options.models:
        seeds = options.seeds if name in ALL_SEEDS else options.seeds[:1]
        for task_name in options.tasks:
            task = TASKS[task_name]
            for seed in seeds:
                if (name, task_name, seed) in done:
                    continue
                train = functools.partial(
                    train_on, task, seed=seed, steps=options.steps, **MODELS[name]
                )
                row = {"model": name, "task": task_name, "seed": seed, **measured(train, task)}
                result["rows"].append(row)
                print(row, flush=True)
                save(result, options.out)


if __name__ == "__main__":
    main()
