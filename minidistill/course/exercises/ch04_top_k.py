"""Chapter 04: the cases of keep_top_k."""

from __future__ import annotations

import torch
from torch import Tensor

from minidistill.course.answer import Answer
from minidistill.course.diagnosis import compare
from minidistill.course.exercises.ch04_shared import numbers, wrong_choice
from minidistill.course.exercises.ch04_top_k_mistakes import MISTAKES, PAIRS
from minidistill.rules import keep_top_k

_RNG = torch.Generator().manual_seed(7)
PROBES = (
    (numbers(_RNG, 7, 11), 4),
    (numbers(_RNG, 5, 7), 3),
    (torch.tensor([[2.0, 0.5, -1.0, 0.5], [-3.0, -3.0, 1.0, 2.0], [0.5, 3.0, 3.0, 1.0]]), 2),
)
"""Ordinary inputs on which a mistake must show itself too before it is named."""


def _case(answer: Answer, logits: Tensor, k: int) -> None:
    compare(
        answer,
        keep_top_k,
        (logits, k),
        "the logits",
        mistakes=(*MISTAKES, *PAIRS),
        probes=PROBES,
        describe=wrong_choice,
    )


def by_hand(answer: Answer, rng: torch.Generator) -> None:
    """two rows of five tokens, worked by hand: k = 2."""
    _case(answer, torch.tensor([[1.0, 4.0, -3.0, 2.0, 0.5], [-1.0, -2.0, -6.0, -4.0, -3.0]]), 2)


def rows(answer: Answer, rng: torch.Generator) -> None:
    """rows of a batch, each with its own k best."""
    logits = numbers(rng, 5, 13)
    _case(answer, logits + 3.0 * torch.arange(5.0)[:, None].double(), 3)


def one_and_all(answer: Answer, rng: torch.Generator) -> None:
    """k = 1 leaves the best token, k = V all of them."""
    logits = numbers(rng, 3, 7)
    _case(answer, logits, 1)
    _case(answer, logits, 7)


def ties(answer: Answer, rng: torch.Generator) -> None:
    """several tokens exactly as likely as the k-th: all of them stay."""
    _case(answer, torch.tensor([[3.0, 1.0, 1.0, 0.0, 1.0], [2.0, 2.0, 2.0, 2.0, 2.0]]), 2)
    _case(answer, torch.tensor([[3.0, 1.0, 3.0, 0.0, 2.0], [2.0, 5.0, 4.0, 5.0, 5.0]]), 2)


def already_removed(answer: Answer, rng: torch.Generator) -> None:
    """tokens that an earlier rule has removed stay removed."""
    logits = numbers(rng, 3, 7)
    logits[:, ::2] = -torch.inf
    _case(answer, logits, 2)
    _case(answer, logits, 5)


def more_than_there_are(answer: Answer, rng: torch.Generator) -> None:
    """k larger than V: all tokens stay."""
    _case(answer, numbers(rng, 3, 5), 6)
    _case(answer, numbers(rng, 2, 7), 50)


def single_precision(answer: Answer, rng: torch.Generator) -> None:
    """float32 in, float32 out, one row alone."""
    _case(answer, numbers(rng, 1, 17).float(), 5)
