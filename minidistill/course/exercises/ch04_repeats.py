"""Chapter 04: the cases of block_repeats."""

from __future__ import annotations

import torch
from torch import Tensor

from minidistill.course.answer import Answer
from minidistill.course.diagnosis import compare
from minidistill.course.exercises.ch04_repeats_mistakes import MISTAKES, PAIRS
from minidistill.course.exercises.ch04_shared import numbers, wrong_choice
from minidistill.rules import block_repeats


def _text(rng: torch.Generator, rows: int, length: int, distinct: int) -> Tensor:
    return torch.randint(distinct, (rows, length), generator=rng)


_RNG = torch.Generator().manual_seed(5)
_LOGITS = numbers(_RNG, 4, 11)
PROBES = (
    (_LOGITS, _text(_RNG, 4, 31, 5), 3),
    (_LOGITS, _text(_RNG, 4, 23, 7), 2),
    (_LOGITS, _text(_RNG, 4, 41, 3), 4),
    (_LOGITS, _text(_RNG, 4, 5, 11), 1),
    (_LOGITS, torch.tensor([[1, 1, 1], [2, 0, 0], [7, 3, 3], [0, 4, 4]]), 2),
    (_LOGITS[:2, :3], torch.tensor([[0, 2, 1], [0, 2, 2]]), 1),
    (_LOGITS[:1, :3], torch.tensor([[1, 1, 0, 1, 2, 1]]), 2),
    (torch.tensor([[1.0, -torch.inf, 0.5]]), torch.tensor([[0, 2, 2]]), 1),
)
"""Ordinary inputs on which a mistake must show itself too before it is named."""


def _case(answer: Answer, logits: Tensor, tokens: Tensor, n: int) -> None:
    compare(
        answer,
        block_repeats,
        (logits, tokens, n),
        "the logits",
        mistakes=(*MISTAKES, *PAIRS),
        probes=PROBES,
        describe=wrong_choice,
    )


def by_hand(answer: Answer, rng: torch.Generator) -> None:
    """the text 2 0 1 3 0 1 and n = 3: after 0 1 no 3 again."""
    logits = torch.tensor([[0.5, 1.0, -1.0, 2.0, 0.25]])
    _case(answer, logits, torch.tensor([[2, 0, 1, 3, 0, 1]]), 3)


def several_places(answer: Answer, rng: torch.Generator) -> None:
    """the same tokens stood at several places: what followed at each of them goes."""
    logits = numbers(rng, 2, 5)
    tokens = torch.tensor([[0, 1, 2, 0, 1, 3, 4, 0, 1], [4, 4, 4, 4, 1, 0, 4, 4, 4]])
    _case(answer, logits, tokens, 3)


def rows(answer: Answer, rng: torch.Generator) -> None:
    """rows are different texts."""
    _case(answer, numbers(rng, 4, 11), _text(rng, 4, 29, 5), 3)
    _case(answer, numbers(rng, 3, 11), _text(rng, 3, 17, 7), 2)


def lengths(answer: Answer, rng: torch.Generator) -> None:
    """n from 1 to 5: for n = 1 no token comes twice."""
    for n in (1, 2, 4, 5):
        _case(answer, numbers(rng, 3, 7), _text(rng, 3, 23, 3 if n > 1 else 5), n)


def short_texts(answer: Answer, rng: torch.Generator) -> None:
    """a text shorter than n blocks nothing; a text of n tokens holds one run of n."""
    logits = numbers(rng, 2, 5)
    for length, n in ((1, 3), (2, 3), (2, 4), (3, 3)):
        _case(answer, logits, torch.arange(length).expand(2, length), n)
    _case(answer, logits, torch.tensor([[3, 3, 3], [4, 1, 4]]), 3)
    _case(answer, logits, torch.tensor([[2, 0], [1, 1]]), 2)


def edges(answer: Answer, rng: torch.Generator) -> None:
    """the repeated piece stands at the very start, or overlaps the end."""
    logits = numbers(rng, 1, 5)
    _case(answer, logits, torch.tensor([[0, 1, 2, 4, 3, 0, 1]]), 3)
    _case(answer, logits, torch.tensor([[4, 2, 3, 3, 3]]), 3)
    _case(answer, logits, torch.tensor([[1, 0, 2, 2]]), 2)


def nothing_left(answer: Answer, rng: torch.Generator) -> None:
    """a row whose every token would be blocked stays as it was."""
    logits = numbers(rng, 2, 3)
    _case(answer, logits, torch.tensor([[0, 2, 1, 0], [0, 2, 2, 0]]), 1)
    _case(answer, logits, torch.tensor([[0, 0, 1, 0, 2, 0], [1, 1, 2, 2, 1, 1]]), 2)
    logits[0, 2] = -torch.inf  # by an earlier rule
    _case(answer, logits, torch.tensor([[0, 1, 1], [0, 1, 1]]), 1)
