"""Writers that are trained already: how each was made, how to make it again, how to load it.

    model, vocabulary = load_writer("house_en")
    print(write(model, vocabulary, "The rain ", 200, rules=[temperature(0.8)]))

Their weights lie in data/models, small enough to come with the package.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from minidistill.batches import ContinuousBatches
from minidistill.checkpoints import CheckpointError, load_model, save_model
from minidistill.corpus import Corpus, load_corpus
from minidistill.device import fast_matmul, pick_device, seeded
from minidistill.language_model import LanguageModel, parameter_count
from minidistill.metrics import bits_per_character
from minidistill.novels import Novel, Split
from minidistill.paths import data_folder
from minidistill.quantisation import QuantisedModel, dequantise, quantise
from minidistill.recurrent import LSTM
from minidistill.training import History, Recipe, evaluate, fit
from minidistill.vocabulary import BytePairVocabulary, CharacterVocabulary, Vocabulary

CHECKPOINT = "checkpoint.safetensors"
DTYPE = torch.float16  # of the stored weights: half the bytes, for less than 0.002 bits
SPELLINGS = 20_992  # characters U+4E00 to U+9FFF
ROW = 2000  # tokens in a row of the text that is measured; each row begins without a state


@dataclass(frozen=True)
class Plan:
    """How a writer is made: an LSTM with tied tables.

    Args:
        novel: what `load_novel` takes, or several of these, which are read as one text.
        language: likewise.
        units: what it reads, "byte pairs" or "characters", learned from the training chapters.
        vocab_size: how many of them at most; None for all characters.
        size: of a token's vector and of the state.
        layers: of the LSTM.
        dropout: after the embedding, between layers and before the read-out.
        batch_size, length: how the training text is laid out, see `ContinuousBatches`.
        recipe: how it is trained; its seed is the only chance there is.
        prompt: what it goes on from where no one says otherwise.
        stored: how its weights lie in their file, "float16", or "int8" by rows: half of that.
    """

    novel: str | tuple[str, ...]
    language: str
    units: str
    vocab_size: int | None
    size: int
    layers: int
    dropout: float
    batch_size: int
    length: int
    recipe: Recipe
    prompt: str
    stored: str = "float16"


PLANS = {
    "house_en": Plan(
        novel="house",
        language="en",
        units="byte pairs",
        vocab_size=3000,
        size=384,
        layers=1,
        dropout=0.5,
        batch_size=16,
        length=64,
        recipe=Recipe(steps=600, learning_rate=4e-3, weight_decay=0.05, validate_every=50),
        prompt="The rain",
    ),
    "house_zh": Plan(
        novel="house",
        language="zh",
        units="characters",
        vocab_size=None,
        size=384,
        layers=1,
        dropout=0.6,
        batch_size=16,
        length=64,
        recipe=Recipe(steps=976, learning_rate=4e-3, weight_decay=0.05, validate_every=61),
        prompt="老温",
        stored="int8",
    ),
    "pride_and_prejudice": Plan(
        novel="pride_and_prejudice",
        language="en",
        units="byte pairs",
        vocab_size=2048,
        size=384,
        layers=1,
        dropout=0.4,
        batch_size=32,
        length=64,
        recipe=Recipe(steps=584, learning_rate=4e-3, weight_decay=0.05, validate_every=73),
        prompt="Mr. Darcy",
        stored="int8",
    ),
    "xiyouji": Plan(
        novel="xiyouji",
        language="zh",
        units="characters",
        vocab_size=None,
        size=384,
        layers=1,
        dropout=0.3,
        batch_size=32,
        length=64,
        recipe=Recipe(steps=720, learning_rate=4e-3, weight_decay=0.05, validate_every=90),
        prompt="却说行者",
        stored="int8",
    ),
    "teacher_en": Plan(
        novel=("house", "pride_and_prejudice", "sherlock_holmes", "moby_dick"),
        language="en",
        units="byte pairs",
        vocab_size=4096,
        size=448,
        layers=2,
        dropout=0.25,
        batch_size=32,
        length=48,
        recipe=Recipe(steps=2800, learning_rate=4e-3, weight_decay=0.05, validate_every=200),
        prompt="The rain",
        stored="int8",
    ),
}


# Taught by the writers above; the card of each says by which run of benchmarks/ it was made.
STUDENTS = ("student_en", "student_en_zh")


def writers() -> list[str]:
    """Return the names of the writers and students in data/models, in alphabetical order."""
    folder, names = data_folder() / "models", (*PLANS, *STUDENTS)
    return sorted(name for name in names if (folder / name / "model.safetensors").is_file())


def load_writer(name: str, device: torch.device | str | None = None) -> tuple[Any, Any]:
    """Return `(model, vocabulary)` of a writer in data/models, ready to write or to teach.

    device: None for the CPU. The weights are float32, whatever they were stored as.

    Raises:
        CheckpointError: no such writer; the sentence lists those there are.
        ImportError: writing with it needs the `tokenizers` library.

    Taught in solutions/04_writing.ipynb.
    """
    there = writers()
    if name in there:
        return load_floats(data_folder() / "models" / name, device)
    if name in PLANS:
        raise CheckpointError(
            f"the writer {name!r} does not come with the package: make it with `minidistill "
            f"train {name} --out FOLDER` and load it with load_model(FOLDER)"
        )
    raise CheckpointError(f"no writer is called {name!r}: there are {', '.join(there)}")


def load_floats(folder: Path | str, device: torch.device | str | None = None) -> tuple[Any, Any]:
    """Return `(model, vocabulary)` of a folder, in float32 and trainable whatever it stores.

    Raises:
        CheckpointError: as `load_model`.
    """
    model, vocabulary = load_model(folder, device)
    if isinstance(model, QuantisedModel):
        model = dequantise(model).requires_grad_(True)
    return model, vocabulary


def train_writer(
    name: str,
    folder: Path | str,
    *,
    device: torch.device | str | None = None,
    progress: bool = True,
) -> dict[str, Any]:
    """Make a writer of `PLANS` again, save it in a folder and return its card.

    The model has the weights of its best validation. Called again with the same folder, a
    broken run goes on from its checkpoint, which is removed once the writer is saved.

    Args:
        folder: gets model.safetensors, vocabulary.json and card.json.
        device: None for a GPU where there is one.
        progress: print what happens, and show a bar.

    Raises:
        ValueError: no plan of that name. NovelError: its novel cannot be had.
        CheckpointError: the folder holds another run, is damaged or cannot be written.

    Taught in solutions/04_writing.ipynb.
    """
    if name not in PLANS:
        raise ValueError(f"no writer is called {name!r}: there are {', '.join(PLANS)}")
    plan, folder, start = PLANS[name], Path(folder).expanduser(), time.perf_counter()
    say = print if progress else lambda line: None
    device = pick_device() if device is None else torch.device(device)
    novels, split = texts_of(plan, progress)
    vocabulary = learn(plan, split.train.text)
    model = build(plan, len(vocabulary)).to(device)
    say(
        f"{', '.join(novel.title for novel in novels)}: {parameter_count(model):,} parameters, "
        f"{len(vocabulary):,} tokens, {plan.recipe.steps:,} steps"
    )
    with fast_matmul():
        history = _train(model, vocabulary, split, plan, folder / CHECKPOINT, progress)
        # This course's code is the faster one where a text is written token by token.
        model.recurrent.engine = "scratch"
        # As it will be loaded: the figures are those of the weights that are stored.
        kept, loaded = _stored(model, plan.stored)
        figures = {
            part: bits_of(loaded, vocabulary, getattr(split, part).text)
            for part in ("validation", "test")
        }
    card = {
        "name": name,
        "command": f"minidistill train {name} --out {name}",
        "bits_per_character": {part: round(bits, 4) for part, bits in figures.items()},
        **about_texts(novels),
        "prompt": plan.prompt,
        "plan": dataclasses.asdict(plan),
        "seed": plan.recipe.seed,
        "vocabulary": {"kind": vocabulary.kind, "size": len(vocabulary)},
        "parameters": parameter_count(model),
        "stored_as": plan.stored,
        "steps": plan.recipe.steps,
        "best_step": history.best[0],
        "seconds": round(time.perf_counter() - start),
        "device": device_name(device),
        "torch": torch.__version__,
    }
    save_model(folder, kept, vocabulary, card, DTYPE if plan.stored == "float16" else None)
    (folder / CHECKPOINT).unlink(missing_ok=True)
    return card


def texts_of(plan: Plan, progress: bool = False) -> Corpus:
    """Load what a plan's writer reads."""
    names = (plan.novel,) if isinstance(plan.novel, str) else plan.novel
    return load_corpus(names, plan.language, progress=progress)


def learn(plan: Plan, text: str) -> Vocabulary:
    """Learn the vocabulary of a plan from a text."""
    if plan.units == "byte pairs":
        return BytePairVocabulary.train(text, plan.vocab_size)
    if plan.units == "characters":
        return CharacterVocabulary.build(text, plan.vocab_size)
    raise ValueError(f"units are 'byte pairs' or 'characters', not {plan.units!r}")


def build(plan: Plan, vocab_size: int) -> LanguageModel:
    """Make the untrained model of a plan, always the same one for the same seed."""
    with seeded(plan.recipe.seed):
        between = plan.dropout if plan.layers > 1 else 0.0
        lstm = LSTM(plan.size, plan.size, plan.layers, dropout=between, engine="torch")
        return LanguageModel(vocab_size, plan.size, lstm, plan.dropout, tied=True)


def bits_of(model: nn.Module, vocabulary: Vocabulary, text: str) -> float:
    """Return what a text costs the model in bits per character, whatever units it reads.

    The model reads a line's end first, as stands before every paragraph, so that each character
    of the text is paid for. An unknown character costs, beyond its `<unk>`, a free choice among
    the 20,992 of Unicode's main Chinese block: log2 20992 = 14.4 bits. So no model gains by not
    knowing a character. Byte pairs have no unknown tokens.
    """
    ids = ids_of(vocabulary, text)
    rows = measured_rows(ids)
    unknown = 0 if vocabulary.unknown_id is None else int((ids[1:] == vocabulary.unknown_id).sum())
    nats = evaluate(model, rows) * rows.targets + unknown * math.log(SPELLINGS)
    return bits_per_character(nats, len(text))


def device_name(device: torch.device) -> str:
    """Return what is computed on, in words."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{device.type}, {threads} thread{'s' if threads != 1 else ''}, fast_matmul"


def _train(
    model: LanguageModel,
    vocabulary: Vocabulary,
    split: Split,
    plan: Plan,
    checkpoint: Path,
    progress: bool,
) -> History:
    """Train by the plan; the model ends with the weights of its best validation."""
    training = ContinuousBatches(ids_of(vocabulary, split.train.text), plan.batch_size, plan.length)
    return fit(
        model,
        training,
        plan.recipe,
        validation=measured_rows(ids_of(vocabulary, split.validation.text)),
        checkpoint=checkpoint,
        progress=progress,
    )


def ids_of(vocabulary: Vocabulary, text: str) -> torch.Tensor:
    """Return a text's tokens with a line's end before them, as stands before every paragraph."""
    return torch.tensor([*vocabulary.encode("\n"), *vocabulary.encode(text)])


def measured_rows(ids: torch.Tensor) -> ContinuousBatches:
    """Lay a text that is measured in rows of about 2,000 tokens, each begun without a state."""
    return ContinuousBatches(ids, max(1, min(16, len(ids) // ROW)), 64)


@torch.no_grad()
def _stored(model: LanguageModel, how: str) -> tuple[nn.Module, LanguageModel]:
    """The model as it is written to its file, and as it comes back from there."""
    if how == "int8":
        kept = quantise(model)
        return kept, dequantise(kept)
    if how != "float16":
        raise ValueError(f"stored is 'float16' or 'int8', not {how!r}")
    for weight in model.parameters():
        weight.copy_(weight.to(DTYPE))
    return model, model


def about_texts(novels: Sequence[Novel]) -> dict[str, Any]:
    """Return which texts these were, so that figures of other editions are not taken for these."""
    if len(novels) == 1:
        return {"novel": _about(novels[0])}
    return {"novels": [_about(novel) for novel in novels]}


def _about(novel: Novel) -> dict[str, Any]:
    parts = novel.split()
    return {
        "name": novel.name,
        "title": novel.title,
        "author": novel.author,
        "language": novel.language,
        "licence": novel.licence,
        "sha256": hashlib.sha256(novel.text.encode("utf-8")).hexdigest(),
        "chapters": [len(part) for part in parts],
        "characters": [len(part.text) for part in parts],
    }
