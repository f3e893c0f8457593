"""The demo: one command from a novel to a trained writer, a page of its text and a report.

    result = run("my_book.txt", "demo/my_book")
    print(result.table())

Taught in solutions/00_start_here.ipynb.
"""

from __future__ import annotations

import hashlib
import re
import shlex
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from minidistill.batches import ContinuousBatches
from minidistill.checkpoints import load_tensors, save_model
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
from minidistill.device import pick_device
from minidistill.generation import temperature, write
from minidistill.language_model import LanguageModel, parameter_count
from minidistill.metrics import bits_per_character
from minidistill.ngram import NGram
from minidistill.novels import Novel, NovelError, describe, load_novel
from minidistill.report import PARTS, Result, write_report
from minidistill.training import History, evaluate, fit, next_token_loss
from minidistill.vocabulary import CharacterVocabulary

SECONDS = 110.0  # for training with its validations; the rest of the demo takes about 15 more
GRACE = 1.3  # training may take so much longer than planned, if the machine grows slower
PAGE = 800  # characters written
TEMPERATURE = 0.8
VALIDATION_TOKENS = 20_000  # read while training; the final figures are over all of them
BASELINES = {"unigram": 1, "5-gram": 5}
Bits = dict[str, float]


class Data(NamedTuple):
    """A novel as ids; vocabulary and counts are of the training part alone."""

    vocabulary: CharacterVocabulary
    counts: Counter[str]
    train: Tensor
    validation: Tensor
    test: Tensor
    prompt: str


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
    bits = baselines(data)
    validation = ", ".join(f"{name} {both['validation']:.3f}" for name, both in bits.items())
    say(f"  counting alone gives {validation} bits per character (validation)")
    chosen, reason = choose(novel, data, folder, seconds, seed, fresh)
    model = build(chosen, len(data.vocabulary)).to(pick_device())
    say(f"  an RNN of {parameter_count(model):,} parameters: {reason}")
    if first_step := steps_done(folder):
        say(f"  going on from step {first_step:,} of {chosen.recipe.steps:,}")
    began = time.perf_counter()
    try:
        history = train(model, data, chosen, folder, GRACE * seconds, progress)
    except KeyboardInterrupt:
        if done := steps_done(folder):
            say(f"\nstopped: the same command goes on from step {done:,}, unless with --fresh")
        raise
    training_seconds = time.perf_counter() - began
    if history.stopped:
        say(f"  {history.stopped}")
    bits["RNN"] = {part: model_bits(model, getattr(data, part)) for part in PARTS}
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
        device=device_name(),
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


def prepare(novel: Novel) -> Data:
    """Split a novel by chapters and number its characters by the training part alone.

    Characters that training has only once are cut, so that the model learns what `<unk>` is.
    Raises NovelError: a part too short to learn from or to measure on.
    """
    split = novel.split()
    counts = Counter(split.train.text)
    twice = sum(count >= 2 for count in counts.values())
    if twice == 0 or min(len(part.text) for part in split) < 2:
        raise NovelError(f"{novel.title} has too little text to train and measure on: give more")
    vocabulary = CharacterVocabulary.build(split.train.text, size=1 + twice)
    ids = (torch.tensor(vocabulary.encode(part.text)) for part in split)
    return Data(vocabulary, counts, *ids, first_words(split.validation.text))


def first_words(text: str) -> str:
    """Return the first sentence of a text; if that is long, the words in 20 characters."""
    sentence = re.match(r".{1,60}?[.!?。！？…]+[”’\"']*", text)
    return sentence[0] if sentence else text[:20].rsplit(" ", 1)[0]


def baselines(data: Data) -> dict[str, Bits]:
    """Measure what counting reaches, in bits per character, by name and part.

    All tokens of a part but its first are measured, as for the RNN, which has nothing to
    predict the first one from.
    """
    bits: dict[str, Bits] = {}
    for name, order in BASELINES.items():
        model, bits[name] = NGram(order, len(data.vocabulary)).fit(data.train), {}
        for part in PARTS:
            nats = model.nats(getattr(data, part))[1:]
            bits[name][part] = bits_per_character(float(nats.sum()), len(nats))
    return bits


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


def in_rows(ids: Tensor) -> ContinuousBatches:
    """Lay out a text to be measured: in one row, or in up to 16 where it is long, to save time.

    Each row begins without a state. With 2,000 tokens or more in a row, that changes the bits
    per character by less than 0.001.
    """
    return ContinuousBatches(ids, max(1, min(16, len(ids) // 2000)), 64)


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


def model_bits(model: LanguageModel, ids: Tensor) -> float:
    """Measure the model in bits per character over all tokens but the first."""
    rows = in_rows(ids)
    return bits_per_character(evaluate(model, rows) * rows.targets, rows.targets)


def unknown_share(ids: Tensor) -> float:
    """Return the share of a text's tokens that are `<unk>`."""
    return float((ids == CharacterVocabulary.unknown_id).double().mean())


def write_page(model: LanguageModel, data: Data, seed: int) -> str:
    """Let the model continue the prompt, which is the page's beginning."""
    rules = [temperature(TEMPERATURE)]
    return write(model, data.vocabulary, data.prompt, PAGE, rules=rules, seed=seed)


def device_name() -> str:
    """Return what is computed on, in words."""
    device = pick_device()
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type}, {torch.get_num_threads()} threads"


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
