"""Chapter 01: the cases of continuous_batches."""

from __future__ import annotations

import torch
from torch import Tensor

from minidistill.course.answer import Answer
from minidistill.course.diagnosis import compare, expect_no_memory
from minidistill.course.exercises.ch01_answers import continuous_batches
from minidistill.course.exercises.ch01_batches_mistakes import MISTAKES, reordered

PROBES = (
    (torch.arange(40, 86), 3, 4),
    (torch.arange(1, 75), 5, 3),
)
"""Ordinary inputs on which a mistake must show itself too before it is named."""


def _batch_case(answer: Answer, ids: Tensor, B: int, T: int) -> None:
    compare(
        answer,
        continuous_batches,
        (ids, B, T),
        "the batches",
        mistakes=MISTAKES,
        probes=PROBES,
        describe=reordered,
    )


def batches_by_hand(answer: Answer, rng: torch.Generator) -> None:
    """36 tokens in 3 rows, 4 at a time: two tokens are left over."""
    ids = torch.arange(10, 46)
    want = continuous_batches(ids, 3, 4)
    expect_no_memory(answer, (ids, 3, 4), (ids.flip(0), 3, 4), want, "the batches")
    _batch_case(answer, ids, 3, 4)


def batches_uneven(answer: Answer, rng: torch.Generator) -> None:
    """101 tokens in 3 rows, 7 at a time, nothing divides."""
    _batch_case(answer, torch.randint(97, (101,), generator=rng), 3, 7)


def batches_exact(answer: Answer, rng: torch.Generator) -> None:
    """every token but the first is a target when nothing is left over."""
    _batch_case(answer, torch.randperm(31, generator=rng), 5, 3)


def batches_one_row(answer: Answer, rng: torch.Generator) -> None:
    """one row, and a length longer than the row."""
    ids = torch.randint(50, (17,), generator=rng)
    _batch_case(answer, ids, 1, 5)
    _batch_case(answer, ids, 4, 100)
