"""The demo's plan: how large the model is, how it is trained, and how much fits into the time.

`plan` holds every choice that was tuned. What was chosen is kept beside the checkpoint, because
the speed measured on another day would give another number of steps.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import statistics
import time
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import torch

from minidistill.batches import ContinuousBatches
from minidistill.checkpoints import CheckpointError, load_tensors, write_text
from minidistill.device import fast_matmul, seeded
from minidistill.language_model import LanguageModel
from minidistill.recurrent import RNN
from minidistill.training import Recipe, evaluate, fit, next_token_loss

PLAN, CHECKPOINT = "plan.json", "checkpoint.safetensors"
VALIDATIONS = 15  # at most so many in a run
CHECKPOINT_SECONDS = 5  # between checkpoints, so that little is lost when a run is broken
WARM_UP = 3  # steps before the clock counts: the first ones allocate memory
CLEARLY = 1.2  # times faster: less may be the chance of a moment
LOOK = 1.0  # seconds of steps to measure


@dataclass(frozen=True)
class Plan:
    """Sizes and recipe of one demo run; `recipe.steps` is what to do if there is time.

    threads: how many CPU threads were fastest when the speed was measured.
    """

    embedding_size: int
    hidden_size: int
    num_layers: int
    dropout: float
    tied: bool
    batch_size: int
    length: int
    recipe: Recipe
    threads: int = 1

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Self:
        """Make a plan again from `dataclasses.asdict`. Raises TypeError: fields that differ."""
        return cls(**{**fields, "recipe": Recipe(**fields["recipe"])})


def plan(train_characters: int, vocab_size: int, language: str) -> Plan:
    """Choose the model and its recipe by how much text there is and how large the alphabet is."""
    short = train_characters < 150_000
    many_characters = vocab_size > 500  # Chinese: the read-out costs more than the recurrence
    size = 256 if short or many_characters else 384
    length = 32 if short else 64
    batch_size = min(32, max(1, train_characters // length))
    row = math.ceil((train_characters - 1) / batch_size)
    batches = max(1, round(row / length))
    length = math.ceil(row / batches)  # no short batch at a row's end: its step would be noise
    epochs = 60 if train_characters < 60_000 else 15 if many_characters else 20
    return Plan(
        embedding_size=size,
        hidden_size=size,
        num_layers=1,
        dropout=0.5 if short else 0.3 if many_characters else 0.2,
        tied=True,
        batch_size=batch_size,
        length=length,
        recipe=Recipe(
            steps=epochs * batches,
            learning_rate=6e-3 if many_characters and not short else 3e-3,
            weight_decay=0.05 if many_characters else 0.01,
        ),
    )


def build(plan: Plan, vocab_size: int) -> LanguageModel:
    """Make the untrained model of a plan, always the same one for the same seed."""
    with seeded(plan.recipe.seed):
        recurrent = RNN(plan.embedding_size, plan.hidden_size, plan.num_layers, False, plan.dropout)
        return LanguageModel(vocab_size, plan.embedding_size, recurrent, plan.dropout, plan.tied)


def fit_to_time(
    plan: Plan,
    model: LanguageModel,
    batches: ContinuousBatches,
    validation: ContinuousBatches,
    seconds: float,
) -> tuple[Plan, str]:
    """Return the plan with as many steps as fit into `seconds`, and a phrase that says why.

    The speed is measured on a copy of the model, which is then thrown away. The steps must be
    known before the first one, because the learning rate's schedule depends on their number.
    Where other programs keep the cores busy, one thread can be far faster than two that wait
    for each other, and processors with bfloat16 units are faster with half the digits; so each
    is tried, and the fastest is taken and reported.
    """
    trial, speeds = copy.deepcopy(model), {}
    for threads, precision in ways():
        recipe = dataclasses.replace(plan.recipe, precision=precision)
        with fast_matmul(threads):
            speeds[threads, precision] = _seconds_of_a_step(trial, batches, recipe)
    # The ways come in order of preference: a later one must be clearly faster to be taken.
    threads, precision = next(iter(speeds))
    for way, seconds_of_a_step in speeds.items():
        if seconds_of_a_step < speeds[threads, precision] / CLEARLY:
            threads, precision = way
    step = speeds[threads, precision]
    recipe = dataclasses.replace(plan.recipe, precision=precision)
    plan = dataclasses.replace(plan, threads=threads, recipe=recipe)
    start = time.perf_counter()
    with fast_matmul(threads):
        evaluate(trial, validation)
    check = time.perf_counter() - start
    checks = max(1, min(VALIDATIONS, int(0.15 * seconds / check)))
    planned = plan.recipe.steps
    fitting = max(1, int((seconds - checks * check) / step))
    steps = min(planned, fitting)
    recipe = dataclasses.replace(
        plan.recipe,
        steps=steps,
        validate_every=math.ceil(steps / checks),
        # Never only at the end: on a machine that grows slower, a run must get on by parts.
        checkpoint_every=max(1, min(steps // 20, round(CHECKPOINT_SECONDS / step))),
    )
    if steps == planned:
        needed = round(steps * step + checks * check)
        why = f"all {planned:,} planned steps, about {needed} s of the {seconds:g} s allowed"
    else:
        speed = f"one takes {step * 1000:.0f} ms here, and {seconds:g} s are allowed"
        why = f"{steps:,} of {planned:,} planned steps: {speed} (--seconds changes that)"
    return dataclasses.replace(plan, recipe=recipe), why


def ways() -> list[tuple[int, str]]:
    """Return the ways to compute that are tried: (threads, precision), each once."""
    all_threads = torch.get_num_threads()
    tried = [(all_threads, "float32"), (1, "float32"), (all_threads, "bfloat16")]
    return list(dict.fromkeys(tried))


class _Enough(Exception):
    """Enough steps have been timed."""


def _seconds_of_a_step(model: LanguageModel, batches: ContinuousBatches, recipe: Recipe) -> float:
    """Return the median time of an update, over at least five steps after a warm-up."""
    times: list[float] = []

    def timed_loss(*arguments: Any) -> Any:
        times.append(time.perf_counter())
        if len(times) > WARM_UP + 5 and times[-1] - times[WARM_UP] > LOOK:
            raise _Enough
        return next_token_loss(*arguments)

    with suppress(_Enough):
        trial = dataclasses.replace(recipe, steps=WARM_UP + 200)
        fit(model, batches, trial, loss=timed_loss, progress=False)
    # The median: one slow moment of a busy machine must not shorten the whole run.
    return statistics.median(b - a for a, b in pairwise(times[WARM_UP:]))


def load_plan(folder: Path, identity: dict[str, Any], fresh: bool) -> tuple[Plan, str] | None:
    """Return the plan and its reason that `folder` keeps of this very run, None if it has none.

    fresh: delete the plan and the checkpoint of an earlier run of the demo.
    Raises CheckpointError: the folder holds another run, or a model that the demo did not make.
    """
    path, checkpoint = folder / PLAN, folder / CHECKPOINT
    if folder.exists() and not folder.is_dir():
        raise CheckpointError(f"{folder} is a file: choose a folder to write to")
    if not path.exists():
        if checkpoint.exists() or (folder / "model.safetensors").exists():
            raise CheckpointError(
                f"{folder} holds a model but no {PLAN}, so the demo did not make it and leaves it "
                "alone: choose another folder"
            )
        return None
    if fresh:
        checkpoint.unlink(missing_ok=True)  # first, so that it is never without its plan
        path.unlink()
        return None
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        plan, reason, theirs = Plan.from_dict(kept["plan"]), kept["reason"], kept["run"]
        differs = [key for key in identity if theirs[key] != identity[key]]
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} is damaged ({error}): start anew with --fresh") from error
    if differs:
        raise CheckpointError(
            f"{folder} holds another run of the demo (it differs in: {', '.join(differs)}): "
            "choose another folder with --out, or start anew with --fresh"
        )
    return plan, reason


def save_plan(folder: Path, identity: dict[str, Any], plan: Plan, reason: str) -> None:
    """Keep a plan, so that the same command finds it again."""
    kept = {"run": identity, "reason": reason, "plan": dataclasses.asdict(plan)}
    write_text(folder / PLAN, json.dumps(kept, indent=2, ensure_ascii=False) + "\n")


def steps_done(folder: Path) -> int:
    """Return how many steps the checkpoint in `folder` has behind it, 0 without a checkpoint."""
    path = folder / CHECKPOINT
    return int(load_tensors(path)[1]["step"]) if path.exists() else 0
