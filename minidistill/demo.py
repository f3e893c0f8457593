"""The demo: one command from a novel to a trained writer, a page of its text and a report.

    result = run("my_book.txt", "demo/my_book")
    print(result.table())

Taught in solutions/00_start_here.ipynb.
"""

from __future__ import annotations

import hashlib
import shlex
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from minidistill.batches import ContinuousBatches
from minidistill.checkpoints import load_tensors, save_model
from minidistill.demo_measures import (
    Data,
    averaged,
    counted,
    in_bits,
    in_rows,
    model_nats,
    prepare,
    unknown_share,
)
from minidistill.demo_plan import (
    CHECKPOINT,
    Plan,
    build,
    fit_to_time,
    load_plan,
    plan,
    save_plan,
    steps_done,
)
from minidistill.device import fast_matmul, pick_device
from minidistill.generation import temperature, write
from minidistill.language_model import LanguageModel, parameter_count
from minidistill.novels import Novel, describe, load_novel
from minidistill.report import PARTS, Result, write_report
from minidistill.training import History, fit, next_token_loss

SECONDS = 115.0  # for training with its validations; the rest of the demo takes about 25 more
GRACE = 1.2  # training may take so much longer than planned, if the machine grows slower
PAGE = 800  # characters written
TEMPERATURE = 0.8
VALIDATION_TOKENS = 20_000  # read while training; the final figures are over all of them


def run(
    novel: Novel | str | Path | None = None,
    out: str | Path | None = None,
    *,
    language: str = "en",
    seconds: float = SECONDS,
    seed: int = 0,
    fresh: bool = False,
    progress: bool = True,
) -> Result:
    """Train a character RNN on a novel, compare it with counting, write a page and a report.

    Args:
        novel: what `load_novel` takes, or a Novel.
        out: the folder for model, checkpoint and report; default demo/<name>-<language>.
            Called again with the same arguments, a broken run goes on from its checkpoint.
        seconds: the time for training; the number of steps is chosen to fit.
        fresh: forget what an earlier run of the demo left in `out`.
        progress: print what happens, and show a bar.

    Raises:
        NovelError: no such novel, or too little text.
        CheckpointError: `out` holds another run or a model that is not the demo's, is damaged
            or cannot be written.
        TrainingError: the loss became NaN.

    Taught in solutions/00_start_here.ipynb.
    """
    start = time.perf_counter()
    say = print if progress else lambda line: None
    given = novel.name if isinstance(novel, Novel) else novel
    if not isinstance(novel, Novel):
        novel = load_novel(novel, language, progress=progress)
    folder = default_folder(novel) if out is None else Path(out).expanduser()
    data = prepare(novel)
    say(_sizes(novel, data))
    nats = counted(data)
    bits = {name: in_bits(parts) for name, parts in nats.items()}
    validation = ", ".join(f"{name} {both['validation']:.3f}" for name, both in bits.items())
    say(f"  counting alone gives {validation} bits per character (validation)")
    chosen, reason = choose(novel, data, folder, seconds, seed, fresh)
    model = build(chosen, len(data.vocabulary)).to(pick_device())
    say(f"  an RNN of {parameter_count(model):,} parameters: {reason}")
    if first_step := steps_done(folder):
        say(f"  going on from step {first_step:,} of {chosen.recipe.steps:,}")
    began = time.perf_counter()
    try:
        with fast_matmul(chosen.threads):
            history = train(model, data, chosen, folder, GRACE * seconds, progress)
    except KeyboardInterrupt:
        if done := steps_done(folder):
            say(f"\nstopped: the same command goes on from step {done:,}, unless with --fresh")
        raise
    training_seconds = time.perf_counter() - began
    if history.stopped:
        say(f"  {history.stopped}")
    written = {part: model_nats(model, getattr(data, part)) for part in PARTS}
    bits["RNN"] = in_bits(written)
    both = {part: averaged(written[part], nats["5-gram"][part]) for part in PARTS}
    bits["RNN with 5-gram"] = in_bits(both)
    result = Result(
        folder=folder,
        about=describe(novel),
        plan=chosen,
        reason=reason,
        vocab_size=len(data.vocabulary),
        parameters=parameter_count(model),
        unknown={part: unknown_share(getattr(data, part)) for part in PARTS},
        bits=bits,
        history=history,
        counts=data.counts,
        prompt=data.prompt,
        page=write_page(model, data, seed),
        temperature=TEMPERATURE,
        device=device_name(chosen),
        first_step=first_step,
        seconds=time.perf_counter() - start,
        training_seconds=training_seconds,
        command=command(given, language, folder, seconds, seed),
    )
    save_model(folder, model, data.vocabulary, result.card())
    write_report(result)
    return result


def default_folder(novel: Novel) -> Path:
    """Return the folder of a novel's demo, below the folder one works in."""
    return Path("demo") / f"{novel.name}-{novel.language}"


def choose(
    novel: Novel, data: Data, folder: Path, seconds: float, seed: int, fresh: bool
) -> tuple[Plan, str]:
    """Return the plan that `folder` keeps of this very run, or make one and keep it there."""
    identity = {
        "novel": novel.name,
        "language": novel.language,
        "text": hashlib.sha256(novel.text.encode()).hexdigest()[:16],
        "seconds": float(seconds),
        "seed": seed,
    }
    kept = load_plan(folder, identity, fresh)
    if kept is None:
        wish = plan(len(data.train), len(data.vocabulary), novel.language)
        wish = replace(wish, recipe=replace(wish.recipe, seed=seed))
        model = build(wish, len(data.vocabulary)).to(pick_device())
        kept = fit_to_time(wish, model, *batches(data, wish), seconds)
        save_plan(folder, identity, *kept)
    return kept


def batches(data: Data, plan: Plan) -> tuple[ContinuousBatches, ContinuousBatches]:
    """Return the batches to train on, and those of the validation's first 20,000 tokens."""
    some = data.validation[: VALIDATION_TOKENS + 1]
    return ContinuousBatches(data.train, plan.batch_size, plan.length), in_rows(some)


def train(
    model: LanguageModel, data: Data, plan: Plan, folder: Path, limit: float, progress: bool
) -> History:
    """Train by the plan, for `limit` seconds at most; the model ends with its best weights."""
    end = time.monotonic() + limit
    training, validation = batches(data, plan)
    checkpoint = folder / CHECKPOINT

    def loss(*arguments: Any) -> Any:
        if model.training and time.monotonic() > end:
            raise _OutOfTime
        return next_token_loss(*arguments)

    try:
        return fit(
            model,
            training,
            plan.recipe,
            validation=validation,
            loss=loss,
            checkpoint=checkpoint,
            progress=progress,
        )
    except _OutOfTime:
        return _last_checkpoint(model, checkpoint, plan.recipe.steps)


class _OutOfTime(Exception):
    """The machine became much slower than it was when the steps were counted."""


def _last_checkpoint(model: LanguageModel, path: Path, steps: int) -> History:
    """Give the model the best weights of the checkpoint, if there was time to write one."""
    history = History()
    if path.exists():
        tensors, about = load_tensors(path)
        kind = "best/" if about["history"]["validation"] else "model/"
        weights = {k.removeprefix(kind): v for k, v in tensors.items() if k.startswith(kind)}
        model.load_state_dict(weights)
        history = History(**about["history"])
    history.stopped = (
        f"stopped after step {len(history.losses):,} of {steps:,}, because the machine became "
        "slower; the same command goes on from there"
    )
    return history


def write_page(model: LanguageModel, data: Data, seed: int) -> str:
    """Let the model continue the prompt, which is the page's beginning."""
    rules = [temperature(TEMPERATURE)]
    return write(model, data.vocabulary, data.prompt, PAGE, rules=rules, seed=seed)


def device_name(plan: Plan) -> str:
    """Return what is computed on, in words."""
    device = pick_device()
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    many = "s" if plan.threads != 1 else ""
    return f"{device.type}, {plan.threads} thread{many}, {plan.recipe.precision}, fast_matmul"


def command(
    given: str | Path | None, language: str, folder: Path, seconds: float, seed: int
) -> str:
    """Return the command line that makes this run again."""
    novel = ["--language", language] if given is None else ["--novel", str(given)]
    rest = ["--seconds", f"{seconds:g}", "--seed", str(seed), "--out", str(folder)]
    return shlex.join(["minidistill", "demo", *novel, *rest])


def _sizes(novel: Novel, data: Data) -> str:
    return (
        f"{novel.title} ({novel.language}): {len(data.train):,} characters to train on, "
        f"{len(data.validation):,} to validate, {len(data.test):,} to test; "
        f"{len(data.vocabulary):,} tokens in the vocabulary"
    )
