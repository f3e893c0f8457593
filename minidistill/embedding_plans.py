"""From a text to word embeddings in one call: `train_embeddings(text, EmbeddingPlan())`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from minidistill.device import pick_device, seeded
from minidistill.embedding_training import KEY_RATE, NegativeSampling
from minidistill.embeddings import (
    CBOW,
    MeanQueryAttention,
    PlaceWeights,
    PositionAttention,
    SkipGram,
)
from minidistill.training import History, Recipe, evaluate, fit
from minidistill.vocabulary import PlainWordVocabulary, Vocabulary
from minidistill.windows import Windows, keep_probability, word_stream
from minidistill.word_vectors import WordVectors

KINDS = ("skip-gram", "cbow", "places", "attention", "formula")

PLACED = ("places", "attention")  # these know where a word stands


@dataclass(frozen=True)
class EmbeddingPlan:
    """How word embeddings are made; every number that changes the result is here.

    Args:
        kind: "skip-gram"; "cbow", the plain mean; "places", with `PlaceWeights`; "attention",
            with `PositionAttention`; "formula", with `MeanQueryAttention` and one table for
            vectors and read-out.
        size, window, epochs: of vectors; words on either side; times through the text.
        least: words that stand less often are unknown.
        threshold: of `keep_probability`; None keeps every word.
        negatives, samples: see `NegativeSampling`.
        key_size: of the keys of an attention; the formula's have the vectors' size.
        batch_size: windows in a batch; fewer for a text of less than 100 such batches.
        learning_rate: of all but tables, which learn 30 times as fast, by Adagrad.
        seed: all the chance there is.
    """

    kind: str = "cbow"
    size: int = 100
    window: int = 5
    epochs: int = 5
    least: int = 5
    threshold: float | None = 1e-3
    negatives: float = 20
    samples: int = 128
    key_size: int = 16
    batch_size: int = 2048
    learning_rate: float = 0.01
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind is one of {', '.join(KINDS)}, not {self.kind!r}")
        if min(self.size, self.window, self.epochs, self.least, self.key_size) < 1:
            raise ValueError("size, window, epochs, least and key_size must be at least 1")

    @property
    def thin(self) -> str:
        """How frequent words are thinned out: an attention must see where a word really stood."""
        return "places" if self.kind in PLACED else "words"

    @property
    def key_rate(self) -> float:
        """How fast keys learn beside vectors: the formula knows no difference between them."""
        return 1.0 if self.kind == "formula" else KEY_RATE


class Embeddings(NamedTuple):
    """What `train_embeddings` gives: the model, its vocabulary, its loss, and what happened."""

    model: nn.Module
    vocabulary: Vocabulary
    loss: NegativeSampling
    history: History
    plan: EmbeddingPlan

    def vectors(self, table: str = "sum") -> WordVectors:
        """The words' vectors; see `WordVectors.of_model`."""
        return WordVectors.of_model(self.model, self.vocabulary, table)

    def cost(self, text: str) -> float:
        """Mean cost (nats) of the middle words of a text, given all of their windows.

        Nothing is thinned out, and unknown words are left out. A skip-gram guesses neighbours
        from the middle instead, which is another task: its number is not to be compared.
        """
        windows = Windows(word_stream(self.vocabulary, text), self.plan.window, 2048, shuffle=False)
        return evaluate(self.model, windows, self.loss)


def train_embeddings(
    text: str,
    plan: EmbeddingPlan | None = None,
    *,
    vocabulary: Vocabulary | None = None,
    context: Callable[[int, int], nn.Module] | None = None,
    device: torch.device | str | None = None,
    checkpoint: Path | str | None = None,
    progress: bool = True,
) -> Embeddings:
    """Learn word embeddings from a text; a broken run goes on from its checkpoint.

    Args:
        text: paragraphs, one a line. Seconds for the house novel, a minute for a long one.
        vocabulary: None builds one of words in small letters; of Chinese, of characters. Words
            of Chinese as jieba finds them: `PlainChineseVocabulary.build(text)`.
        context: makes an attention of your own, `context(key_size, window)`, to be used in the
            place of the package's; its forward(keys, mask) gives the weights.
        device: None for a GPU where there is one.
        checkpoint: a file, see `fit`.

    Raises:
        ValueError: a text without known words, a vocabulary without counts.

    Taught in solutions/07_word_embeddings.ipynb.
    """
    plan = plan or EmbeddingPlan()
    device = pick_device() if device is None else torch.device(device)
    run = prepare_embeddings(text, plan, vocabulary, context)
    model = run.model.to(device)
    history = fit(
        model, run.windows, run.recipe, loss=run.loss, checkpoint=checkpoint, progress=progress
    )
    return Embeddings(model, run.vocabulary, run.loss, history, plan)


class EmbeddingRun(NamedTuple):
    """All that `fit` needs to learn embeddings from a text."""

    model: nn.Module
    vocabulary: Vocabulary
    windows: Windows
    loss: NegativeSampling
    recipe: Recipe


def prepare_embeddings(
    text: str,
    plan: EmbeddingPlan,
    vocabulary: Vocabulary | None = None,
    context: Callable[[int, int], nn.Module] | None = None,
) -> EmbeddingRun:
    """Make a plan's model, windows, loss and recipe for a text; see `train_embeddings`."""
    if vocabulary is None:
        vocabulary = PlainWordVocabulary.build(text).without_rare(plan.least)
    if vocabulary.counts is None:
        raise ValueError("this vocabulary has no counts: build it from a text")
    counts = list(vocabulary.counts)
    if vocabulary.unknown_id is not None:
        counts[vocabulary.unknown_id] = 0  # unknown words are left out of the text
    keep = None if plan.threshold is None else keep_probability(counts, plan.threshold)
    stream = word_stream(vocabulary, text)
    windows = Windows(
        stream,
        plan.window,
        min(plan.batch_size, max(64, len(stream.ids) // 100)),
        keep=keep,
        thin=plan.thin,
        shrink=plan.kind not in PLACED,
        seed=plan.seed,
    )
    with seeded(plan.seed):
        model = build_embeddings(plan, counts, context)
    samples = min(plan.samples, 4 * len(vocabulary))
    recipe = Recipe(
        steps=plan.epochs * len(windows),
        learning_rate=plan.learning_rate,
        schedule="cosine",
        clip_norm=None,
        checkpoint_every=max(1, len(windows)),
        seed=plan.seed,
    )
    loss = NegativeSampling(counts, plan.negatives, samples, keep=keep, key_rate=plan.key_rate)
    return EmbeddingRun(model, vocabulary, windows, loss, recipe)


def build_embeddings(
    plan: EmbeddingPlan,
    counts: list[int],
    context: Callable[[int, int], nn.Module] | None = None,
) -> nn.Module:
    """Make the untrained model of a plan, with `context(key_size, window)` if that is given."""
    V = len(counts)
    if plan.kind == "skip-gram":
        if context is not None:
            raise ValueError("a skip-gram reads one word: there is no context to weigh")
        return SkipGram(V, plan.size, counts=counts)
    if plan.kind == "formula":
        made = MeanQueryAttention() if context is None else context(plan.size, plan.window)
        return CBOW(V, plan.size, made, key_size=plan.size, tied=True, counts=counts)
    made = None
    if context is not None:
        made = context(plan.key_size, plan.window)
    elif plan.kind == "attention":
        made = PositionAttention(plan.key_size, plan.window)
    elif plan.kind == "places":
        made = PlaceWeights(plan.window)
    key_size = plan.key_size if getattr(made, "needs_keys", made is not None) else None
    return CBOW(V, plan.size, made, key_size=key_size, counts=counts)


__all__ = [
    "KINDS",
    "EmbeddingPlan",
    "EmbeddingRun",
    "Embeddings",
    "build_embeddings",
    "prepare_embeddings",
    "train_embeddings",
]
