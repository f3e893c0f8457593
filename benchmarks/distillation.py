"""Knowledge distillation, measured: arms x seeds, in two settings, on held-out chapters.

    python benchmarks/distillation.py --teacher FOLDER [--settings plenty little]
        [--arms alone draws ...] [--seeds 0 1 2] [--out data/measured/distillation.json]
        [--keep FOLDER]

`plenty`: the student reads all the text that its teacher read. `little`: every seventh chapter
of it, about 15 %. All arms of a setting take the same number of updates. A student alone gets
its best of several dropouts, chosen on the validation chapters; every arm gets its best
checkpoint. Perplexities are of the validation and the test chapters, a token each; "gap closed"
is the share of the way from the student alone to the teacher, in nats.

Every result is written at once and whole: started again, only what is missing is done. `--keep`
saves the last student trained, in int8, for data/models.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from keeping import keep_student
from recurrent import machine
from torch import Tensor, nn

from minidistill import LanguageModel, evaluate, fast_matmul, fit, parameter_count, seeded
from minidistill.batches import ContinuousBatches
from minidistill.checkpoints import write_text
from minidistill.distilling import PassTargets, distill
from minidistill.matching import Match
from minidistill.pass_writing import write_passes
from minidistill.recurrent import LSTM
from minidistill.sequence_distillation import taught_text
from minidistill.training import History, Recipe
from minidistill.writers import PLANS, load_floats, texts_of

SIZE, BATCH, LENGTH = 104, 32, 35
STEPS = {"plenty": 1500, "little": 900}
ALPHA = {"plenty": 0.5, "little": 0.95}
DROPOUTS = {"plenty": (0.0, 0.1, 0.2), "little": (0.15, 0.3, 0.45)}
RATE = 2e-2


class Task(NamedTuple):
    """What all arms of a setting share. whole: all the text, of which `train` may be a part."""

    name: str
    teacher: nn.Module
    train: Tensor
    whole: Tensor
    validation: ContinuousBatches
    test: ContinuousBatches
    work: Path
    vocabulary: Any


def student(seed: int, dropout: float = 0.0) -> LanguageModel:
    """An untrained student of a tenth of the teacher's size."""
    with seeded(seed):
        layer = LSTM(SIZE, SIZE, engine="torch")
        return LanguageModel(4096, SIZE, layer, dropout, tied=True)


def recipe(task: Task, seed: int) -> Recipe:
    """The same for every arm."""
    steps = STEPS[task.name]
    return Recipe(steps, RATE, weight_decay=0.01, validate_every=100, seed=seed)


def batches(task: Task) -> ContinuousBatches:
    """The student's text."""
    return ContinuousBatches(task.train, BATCH, LENGTH)


def alone(task: Task, seed: int, dropout: float) -> tuple[nn.Module, History]:
    """The student learns from the text."""
    model = student(seed, dropout)
    how = recipe(task, seed)
    return model, fit(model, batches(task), how, validation=task.validation, progress=False)


def soft(task: Task, seed: int, **options: Any) -> tuple[nn.Module, History]:
    """The student learns from the teacher's whole rows."""
    model = student(seed)
    options = {"alpha": ALPHA[task.name]} | options
    return model, distill(
        options.pop("teacher", task.teacher),
        model,
        batches(task),
        recipe(task, seed),
        validation=task.validation,
        progress=False,
        **options,
    )


def passes(
    task: Task, seed: int, alpha: float | None = None, tail: str = "lump", **form: Any
) -> tuple[nn.Module, History]:
    """The student learns from a pass that was kept on disk."""
    model = student(seed)
    named = "-".join(f"{key}{value}" for key, value in form.items())
    kept = write_passes(task.work / f"{task.name}-{named}", task.teacher, task.train, **form)
    loss = PassTargets(
        ALPHA[task.name] if alpha is None else alpha, kept.about["temperature"], tail
    )
    laid = kept.batches(task.train, BATCH, LENGTH)
    how = recipe(task, seed)
    return model, fit(model, laid, how, validation=task.validation, loss=loss, progress=False)


def sequences(task: Task, seed: int, share: float) -> tuple[nn.Module, History]:
    """The student reads what the teacher wrote, and the text itself."""
    model = student(seed)
    written = taught_text(
        task.teacher, task.train, round(len(task.train) * share / (1 - share)), seed=seed
    )
    laid = ContinuousBatches(torch.cat([task.train, written]), BATCH, LENGTH)
    how = recipe(task, seed)
    return model, fit(model, laid, how, validation=task.validation, progress=False)


def both(task: Task, seed: int, tokens: int) -> tuple[nn.Module, History]:
    """The teacher's whole rows, on the text and on as much again as it writes itself."""
    written = taught_text(task.teacher, task.train, tokens, seed=seed)
    return soft(task._replace(train=torch.cat([task.train, written])), seed)


ARMS: dict[str, Callable[..., tuple[nn.Module, History]]] = {
    **{
        f"alone, dropout {p:g}": lambda task, seed, p=p: alone(task, seed, p)
        for p in sorted({p for tried in DROPOUTS.values() for p in tried})
    },
    "all the text, no teacher": lambda task, seed: alone(task._replace(train=task.whole), seed, 0),
    "soft targets": soft,
    "32 draws": lambda task, seed: passes(task, seed, draws=32),
    "soft targets, its own text too": lambda task, seed: both(task, seed, 500_000),
    "soft targets, alpha 0.7": lambda task, seed: soft(task, seed, alpha=0.7),
    "soft targets, alpha 1": lambda task, seed: soft(task, seed, alpha=1.0),
    "soft targets, T = 2": lambda task, seed: soft(task, seed, temperature=2.0),
    "reverse KL": lambda task, seed: soft(task, seed, divergence="reverse"),
    "Jensen-Shannon": lambda task, seed: soft(task, seed, divergence="jensen-shannon"),
    "logits": lambda task, seed: soft(task, seed, divergence="logits", alpha=0.02),
    "soft targets and states": lambda task, seed: soft(task, seed, matches=[Match()]),
    "top 64, the rest in one": lambda task, seed: passes(task, seed, top_k=64),
    "top 64 renormalised": lambda task, seed: passes(
        task, seed, top_k=64, tail="renormalise", alpha=1.0
    ),
    "4 draws": lambda task, seed: passes(task, seed, draws=4),
    "sequence level, 70 %": lambda task, seed: sequences(task, seed, 0.7),
}
MAIN = {
    name: [*(f"alone, dropout {p:g}" for p in tried), "soft targets", "32 draws"]
    for name, tried in DROPOUTS.items()
}
MAIN["little"].append("all the text, no teacher")


def run(task: Task, arm: str, seed: int, keep: Path | None = None) -> dict[str, Any]:
    """Train one student and measure it; keep it where there is a folder for it."""
    start, work = time.perf_counter(), time.process_time()
    model, history = ARMS[arm](task, seed)
    seconds = round(time.perf_counter() - start), round(time.process_time() - work)
    if keep is not None:
        command = f"--settings {task.name} --arms '{arm}' --seeds {seed} --keep {keep.name}"
        made = {
            "command": f"python benchmarks/distillation.py {command}",
            "teacher": "teacher_en",
        }
        keep_student(
            keep, model, task.vocabulary, made, lambda m: {"perplexity": perplexities(task, m)}
        )
    return {
        "arm": arm,
        "seed": seed,
        "parameters": parameter_count(model),
        **perplexities(task, model),
        "best_step": history.best[0],
        "last_validation": round(math.exp(history.validation[-1][1]), 2),
        "seconds": seconds[0],
        "cpu_seconds": seconds[1],
    }


def perplexities(task: Task, model: nn.Module) -> dict[str, float]:
    """Of the validation chapters and the test chapters."""
    parts = {"validation": task.validation, "test": task.test}
    return {name: round(math.exp(evaluate(model, part)), 3) for name, part in parts.items()}


def summary(entry: dict[str, Any]) -> dict[str, Any]:
    """Mean and deviation of each arm, and how much of the gap to the teacher it closes."""
    seeds = sorted({row["seed"] for row in entry["runs"]})
    rows = {(row["arm"], row["seed"]): row for row in entry["runs"]}
    found: dict[str, Any] = {}
    for part in ("validation", "test"):
        best = {}
        for seed in seeds:
            tried = [row for (arm, s), row in rows.items() if s == seed and arm.startswith("alone")]
            if len(tried) >= 3:
                best[seed] = min(tried, key=lambda row: row["validation"])[part]
        table = {"alone, best dropout": _spread(list(best.values()))}
        for arm in dict.fromkeys(row["arm"] for row in entry["runs"]):
            have = {s: rows[arm, s][part] for s in seeds if (arm, s) in rows}
            gaps = [
                (math.log(best[s]) - math.log(value))
                / (math.log(best[s]) - math.log(entry["teacher"][part]))
                for s, value in have.items()
                if s in best
            ]
            table[arm] = {**_spread(list(have.values())), "gap closed": _spread(gaps, 3)}
        found[part] = table
    return found


def _spread(values: list[float], digits: int = 2) -> dict[str, Any]:
    if not values:
        return {"seeds": 0}
    deviation = round(statistics.stdev(values), digits) if len(values) > 1 else None
    mean = round(statistics.mean(values), digits)
    return {"seeds": len(values), "mean": mean, "deviation": deviation}


def tasks(teacher: Path, names: list[str], work: Path) -> list[Task]:
    """Load the teacher and its texts."""
    model, vocabulary = load_floats(teacher)
    model.recurrent.engine = "torch"
    corpus = texts_of(PLANS["teacher_en"])
    ids = [torch.tensor(vocabulary.encode(part.text)) for part in corpus.split]
    chapters = corpus.split.train[3::7]
    little = torch.tensor(vocabulary.encode("\n".join(chapter.text for chapter in chapters)))
    text = {"plenty": ids[0], "little": little}
    held = [ContinuousBatches(part, 16, 64) for part in ids[1:]]
    return [Task(name, model, text[name], ids[0], *held, work, vocabulary) for name in names]


def main() -> None:
    """Do what is missing, print it, write the JSON after each step."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--teacher", type=Path, default=Path("data/models/teacher_en"))
    parser.add_argument("--settings", nargs="+", default=list(STEPS), choices=list(STEPS))
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), help="default: the main ones")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("data/measured/distillation.json"))
    parser.add_argument("--work", type=Path, default=Path("build/distillation"))
    parser.add_argument("--keep", type=Path)
    chosen = parser.parse_args()
    result: dict[str, Any] = {}
    if chosen.out.is_file():
        result = json.loads(chosen.out.read_text(encoding="utf-8"))
    result["machine"] = machine(torch.device("cpu"))
    torch.set_num_threads(1)
    with fast_matmul():
        ready = tasks(chosen.teacher, chosen.settings, chosen.work)
        for seed in chosen.seeds:
            for task in ready:
                for arm in chosen.arms or MAIN[task.name]:
                    _one(result, task, arm, seed, chosen.out, chosen.keep)


def _one(result: dict, task: Task, arm: str, seed: int, out: Path, keep: Path | None) -> None:
    entry = result.setdefault(task.name, {"runs": []})
    before = [row for row in entry["runs"] if (row["arm"], row["seed"]) == (arm, seed)]
    if before and keep is None:
        return
    entry["tokens"] = len(task.train)
    if "teacher" not in entry:
        entry["teacher"] = {
            "parameters": parameter_count(task.teacher),
            **perplexities(task, task.teacher),
        }
    row = run(task, arm, seed, keep)
    entry["runs"] = [other for other in entry["runs"] if other not in before] + [row]
    entry["summary"] = summary(entry)
    print(
        task.name, arm, seed, row["validation"], row["test"], f"{row['cpu_seconds']} s", flush=True
    )
    write_text(out, json.dumps(result, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
