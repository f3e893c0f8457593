"""Chapter 04: the cases of keep_top_p."""

from __future__ import annotations

import torch
from torch import Tensor

from minidistill.course.answer import Answer
from minidistill.course.diagnosis import compare
from minidistill.course.exercises.ch04_shared import numbers, wrong_choice
from minidistill.course.exercises.ch04_top_p_mistakes import MISTAKES, PAIRS
from minidistill.rules import keep_top_p

_RNG = torch.Generator().manual_seed(11)
PROBES = (
    (numbers(_RNG, 3, 11), 0.8),
    (numbers(_RNG, 4, 7, scale=1.0), 0.6),
    (numbers(_RNG, 3, 5, scale=1.0) + torch.tensor([[6.0], [0.0], [3.0]]), 0.7),
)
"""Ordinary inputs on which a mistake must show itself too before it is named."""


def _case(answer: Answer, logits: Tensor, p: float) -> None:
    compare(
        answer,
        keep_top_p,
        (logits, p),
        "the logits",
        mistakes=(*MISTAKES, *PAIRS),
        probes=PROBES,
        describe=wrong_choice,
    )


def by_hand(answer: Answer, rng: torch.Generator) -> None:
    """probabilities of 1/10, 4/10, 2/10, 3/10 and p = 0.6, 0.75, 0.95, worked by hand."""
    row = torch.tensor([0.1, 0.4, 0.2, 0.3]).log()
    for p in (0.6, 0.75, 0.95):
        _case(answer, torch.stack([row, row.flip(0)]), p)


def one_is_enough(answer: Answer, rng: torch.Generator) -> None:
    """a row whose best token alone has more than p keeps that one."""
    logits = numbers(rng, 3, 7, scale=1.0)
    logits[1, 4] = 9.0
    _case(answer, logits, 0.5)
    _case(answer, logits, 0.01)


def flat_and_peaked(answer: Answer, rng: torch.Generator) -> None:
    """rows between flat and peaked, each with its own number of tokens."""
    sharpness = torch.tensor([0.1, 0.5, 1.0, 3.0, 10.0]).double()
    _case(answer, numbers(rng, 5, 13, scale=1.0) * sharpness[:, None], 0.9)
    _case(answer, numbers(rng, 5, 13, scale=1.0) * sharpness[:, None], 0.3)


def exactly_reached(answer: Answer, rng: torch.Generator) -> None:
    """four equal tokens: p = 0.5 is reached by the first two, exactly."""
    _case(answer, torch.zeros(1, 4), 0.5)
    _case(answer, torch.tensor([[0.0, -torch.inf, 0.0], [-torch.inf, 2.0, 2.0]]), 0.5)


def all_of_them(answer: Answer, rng: torch.Generator) -> None:
    """p = 1 keeps every token; what an earlier rule removed stays removed."""
    logits = numbers(rng, 3, 5, scale=0.5)
    _case(answer, logits, 1.0)
    _case(answer, torch.tensor([[0.0, -40.0, 0.0], [0.5, 0.5, -40.0]]), 1.0)  # 1/2 + 1/2 is 1
    logits[:, 2] = -torch.inf
    _case(answer, logits, 0.7)


def single_precision(answer: Answer, rng: torch.Generator) -> None:
    """float32 in, float32 out, one row alone."""
    _case(answer, numbers(rng, 1, 17).float(), 0.85)
