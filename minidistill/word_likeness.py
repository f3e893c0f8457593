"""How well vectors agree with people: rank correlation with judged pairs, and analogies."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from minidistill.word_vectors import WordVectors


class Likeness(NamedTuple):
    """Spearman's correlation, its standard error, and how many pairs it is of."""

    correlation: float
    error: float
    pairs: int


def read_pairs(path: Path | str) -> list[tuple[str, str, float]]:
    """Two words and a judgement from each line of a file, small letters.

    WordSim-353 and SimLex-999 as gensim carries them: three columns with tabs between them, lines
    that begin with # and a head without a number left out.

    Raises:
        ValueError: a file in which there is no such line.
    """
    pairs = []
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        parts = line.split("\t")
        if line.startswith("#") or len(parts) < 3:
            continue
        try:
            pairs.append((parts[0].lower(), parts[1].lower(), float(parts[2])))
        except ValueError:
            continue
    if not pairs:
        raise ValueError(f"{path} holds no line of two words and a number, with tabs between them")
    return pairs


def likeness(
    vectors: WordVectors, pairs: Iterable[tuple[str, str, float]], least: int = 1
) -> Likeness:
    """How well the cosines of pairs of words are in the order in which people put them.

    Args:
        pairs: two words and a judgement, as `read_pairs` gives them.
        least: leave out pairs of which a word stands less often in the text.

    A pair with an unknown word is left out: compare models on the same vocabulary. The standard
    error is about 1 / sqrt(n - 1): with 90 pairs two models that differ by 0.1 may be alike.

    Raises:
        ValueError: fewer than three pairs are left.

    Taught in solutions/07_word_embeddings.ipynb.
    """
    known = [
        (one, other, judged)
        for one, other, judged in pairs
        if all(w in vectors and _often(vectors, w) >= least for w in (one, other))
    ]
    if len(known) < 3:
        raise ValueError(f"the vectors know only {len(known)} of the pairs: at least 3 are needed")
    cosines = [vectors.similarity(one, other) for one, other, _ in known]
    rho = spearman(cosines, [judged for *_, judged in known])
    return Likeness(rho, 1 / math.sqrt(len(known) - 1), len(known))


def _often(vectors: WordVectors, word: str) -> float:
    return math.inf if vectors.counts is None else vectors.counts[vectors.id(word)]


def spearman(one: Sequence[float] | Tensor, other: Sequence[float] | Tensor) -> float:
    """Spearman's rank correlation: that of Pearson between the ranks, ties at their mean rank.

    Raises:
        ValueError: rows of different lengths, or one in which all is the same.
    """
    x, y = (_ranks(torch.as_tensor(row, dtype=torch.float64)) for row in (one, other))
    if len(x) != len(y):
        raise ValueError(f"{len(x)} and {len(y)} numbers: give two rows of one length")
    x, y = x - x.mean(), y - y.mean()
    norm = float((x.square().sum() * y.square().sum()).sqrt())
    if not norm > 0:
        raise ValueError("one of the rows is the same all over: it has no order")
    return float((x * y).sum()) / norm


def _ranks(values: Tensor) -> Tensor:
    """0, 1, 2, ... from the smallest; equal values share the mean of their ranks."""
    _, inverse, counts = values.unique(return_inverse=True, return_counts=True)
    last = counts.cumsum(0)
    return (last - (counts + 1) / 2)[inverse].double()


__all__ = ["Likeness", "likeness", "read_pairs", "spearman"]
