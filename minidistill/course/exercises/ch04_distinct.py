"""Chapter 04: the cases of distinct."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from minidistill.course.answer import Answer
from minidistill.course.diagnosis import compare, expect_no_memory
from minidistill.course.exercises.ch04_distinct_mistakes import MISTAKES, PAIRS
from minidistill.metrics import distinct

_RNG = torch.Generator().manual_seed(9)


def _texts(rng: torch.Generator, lengths: Sequence[int], vocabulary: int) -> list[list[int]]:
    return [torch.randint(vocabulary, (length,), generator=rng).tolist() for length in lengths]


_TWICE = _texts(_RNG, (13, 2, 17, 1, 11), 3)
PROBES = (
    (_texts(_RNG, (29, 17, 23), 4), 3),
    (_texts(_RNG, (19, 31), 13), 2),
    ([*_TWICE, *_TWICE[:3]], 3),
    (_texts(_RNG, (37, 23, 41), 2), 4),
    (_texts(_RNG, (11, 47, 3, 5), 7), 2),
    (_texts(_RNG, (31, 43), 5), 1),
    ([[1, 12, 3, 11, 2, 3, 4], [11, 2, 3, 1, 12], [2]], 2),
)
"""Ordinary inputs on which a mistake must show itself too before it is named."""


def _case(answer: Answer, texts: list[list[int]], n: int) -> None:
    compare(answer, distinct, (texts, n), "the share", mistakes=(*MISTAKES, *PAIRS), probes=PROBES)


def by_hand(answer: Answer, rng: torch.Generator) -> None:
    """[1, 2, 1, 2, 3] has three different pairs among four."""
    other = ([[1, 1, 1, 1, 1]], 2)
    expect_no_memory(answer, ([[1, 2, 1, 2, 3]], 2), other, 0.75, "the share")
    _case(answer, [[1, 2, 1, 2, 3]], 2)


def shared(answer: Answer, rng: torch.Generator) -> None:
    """two texts: what they share counts once, and nothing runs over the border."""
    _case(answer, [[1, 2, 3, 4], [2, 3, 4, 1, 2]], 2)
    _case(answer, [[5, 6, 5], [5, 6, 5], [6, 5, 5]], 2)
    _case(answer, [[0, 1, 2], [0, 1, 2, 3, 4, 5, 6, 7]], 3)


def sizes(answer: Answer, rng: torch.Generator) -> None:
    """n from 1 to 4 on texts of different lengths."""
    texts = _texts(rng, (23, 37, 11), 3)
    for n in (1, 2, 3, 4):
        _case(answer, texts, n)


def large_ids(answer: Answer, rng: torch.Generator) -> None:
    """ids of one and two digits: 1, 12 is not 11, 2."""
    _case(answer, [[1, 12, 30, 11, 2], [2, 11], [21, 1]], 2)
    _case(answer, _texts(rng, (41, 29), 23), 2)


def short(answer: Answer, rng: torch.Generator) -> None:
    """a text shorter than n has no n-gram, and adds none."""
    _case(answer, [[1], [1, 2, 3, 1, 2, 3], [2, 3]], 3)
    _case(answer, [[4, 4, 4], [7, 7]], 3)


def all_different(answer: Answer, rng: torch.Generator) -> None:
    """1 where all differ, little where one token repeats."""
    _case(answer, [list(range(13))], 2)
    _case(answer, [[5] * 17], 2)
