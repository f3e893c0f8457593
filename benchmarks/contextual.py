"""Vectors that know their neighbours, as the input of the writer of chapters 05 and 06.

    python benchmarks/contextual.py [--plans next_en pride_and_prejudice] [--seeds 0 1 2]
        [--out data/measured/contextual.json]

For each novel and seed two writers of the next sentence are trained with one budget from the same
weights: one reads its source through a plain table, the other through a `NeighbourAttention`
upon it. Perplexities a token are of held-out chapters; the gate says how much the second listens
to the neighbours in the end. Times are those of training steps taken in turns (A B A B, medians).

Every result is written at once and whole: started again, only what is missing is done.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from novel_seq2seq import NOVELS
from recurrent import machine
from torch import nn

from minidistill import fast_matmul, fit, parameter_count
from minidistill.checkpoints import write_text
from minidistill.neighbours import NeighbourAttention
from minidistill.pair_training import HiddenSources, batches, perplexity_of
from minidistill.seq2seq_checkpoints import Trained
from minidistill.seq2seq_writers import PairPlan, build, prepare

ARMS: dict[str, Any] = {"table": None, "neighbours": NeighbourAttention}


def run(plan: PairPlan, prepared: tuple, arm: str, folder: Path) -> dict[str, Any]:
    """Train one writer and measure it on the held-out chapters."""
    _, (train, validation, test), vocabularies = prepared
    trained = Trained(build(plan, *map(len, vocabularies), ARMS[arm]), *vocabularies)
    training = batches(trained, train, plan.batch_size, seed=plan.recipe.seed)
    history = fit(
        trained.model,
        training,
        plan.recipe,
        validation=batches(trained, validation, 64, shuffle=False),
        loss=HiddenSources(plan.source_dropout, training),
        checkpoint=folder / "checkpoint.safetensors",
        progress=False,
    )
    (folder / "checkpoint.safetensors").unlink(missing_ok=True)
    row = {
        "arm": arm,
        "seed": plan.recipe.seed,
        "parameters": parameter_count(trained.model),
        "validation": round(perplexity_of(trained, validation), 3),
        "test": round(perplexity_of(trained, test), 3),
        "best_step": history.best[0],
    }
    context = trained.model.encoder.context
    if context is not None:
        row["gate"] = round(float(context.gate.detach().square().mean().sqrt()), 3)
        row["place_bias"] = [round(b, 2) for b in context.attention.bias.tolist()]
    return row


def step_times(plan: PairPlan, prepared: tuple, rounds: int = 12) -> dict[str, float]:
    """Processor milliseconds of a training step of each arm, taken in turns."""
    _, (train, *_), vocabularies = prepared
    arms: dict[str, tuple[nn.Module, Any, Any, list[float]]] = {}
    for arm, context in ARMS.items():
        trained = Trained(build(plan, *map(len, vocabularies), context), *vocabularies)
        training = batches(trained, train, plan.batch_size, seed=0)
        loss = HiddenSources(plan.source_dropout, training)
        arms[arm] = trained.model, iter(training.epoch(0)), loss, []
    for _ in range(rounds):
        for model, source, loss, times in arms.values():
            batch = next(source)
            start = time.process_time()
            loss(model.train(), batch)[0].backward()
            times.append((time.process_time() - start) * 1e3)
    return {arm: round(statistics.median(times[2:]), 1) for arm, (*_, times) in arms.items()}


def summary(runs: list[dict]) -> dict[str, Any]:
    """Means and deviations, and in how many seeds the neighbours helped."""
    of = {(row["arm"], row["seed"]): row for row in runs}
    seeds = [s for s in sorted({s for _, s in of}) if all((arm, s) in of for arm in ARMS)]
    result: dict[str, Any] = {"seeds": seeds}
    for part in ("validation", "test") if seeds else ():
        for arm in ARMS:
            values = [of[arm, s][part] for s in seeds]
            deviation = round(statistics.stdev(values), 2) if len(values) > 1 else None
            mean = round(statistics.mean(values), 2)
            result[f"{arm}, {part}"] = {"mean": mean, "deviation": deviation}
        better = sum(of["neighbours", s][part] < of["table", s][part] for s in seeds)
        result[f"neighbours below table, {part}"] = better
    return result


def main() -> None:
    """Do what is missing, print it, write the JSON after each step."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    plans = ["next_en", "pride_and_prejudice"]
    parser.add_argument("--plans", nargs="+", default=plans, choices=list(NOVELS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("data/measured/contextual.json"))
    parser.add_argument("--work", type=Path, default=Path("build/contextual"))
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    result: dict[str, Any] = {}
    if chosen.out.is_file():
        result = json.loads(chosen.out.read_text(encoding="utf-8"))
    result["machine"] = machine(torch.device("cpu"))
    for name in chosen.plans:
        plan = NOVELS[name]
        about = json.loads(json.dumps({**asdict(plan), "prompt": None}))
        entry = result.get(name)
        if entry is None or entry["plan"] != about:
            entry = result[name] = {"plan": about, "runs": []}
        done = {(row["arm"], row["seed"]) for row in entry["runs"]}
        prepared = prepare(plan)
        with fast_matmul():
            if "milliseconds_a_step" not in entry:
                entry["milliseconds_a_step"] = step_times(plan, prepared)
            for seed in chosen.seeds:
                for arm in [arm for arm in ARMS if (arm, seed) not in done]:
                    seeded_plan = replace(plan, recipe=replace(plan.recipe, seed=seed))
                    row = run(seeded_plan, prepared, arm, chosen.work / f"{name}-{arm}-{seed}")
                    entry["runs"].append(row)
                    entry["summary"] = summary(entry["runs"])
                    print(name, row, flush=True)
                    write_text(chosen.out, json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
