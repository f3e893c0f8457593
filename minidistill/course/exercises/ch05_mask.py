"""Chapter 05: the cases of lengths_to_mask."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from minidistill.batches import lengths_to_mask
from minidistill.course.answer import Answer
from minidistill.course.diagnosis import compare, expect_no_memory
from minidistill.course.exercise import Wrong
from minidistill.course.exercises.ch05_mask_mistakes import MISTAKES, PAIRS

PROBES = (
    (torch.tensor([3, 5, 1, 2]), None),
    (torch.tensor([4, 2]), 7),
    (torch.tensor([2, 7, 7, 1, 6]), 11),
    (torch.tensor([1, 4, 3]), 5),
)
"""Ordinary inputs on which a mistake must show itself too before it is named."""


def _case(answer: Answer, lengths: Tensor, max_length: int | None) -> None:
    got = compare(
        answer,
        lengths_to_mask,
        (lengths, max_length),
        "the mask",
        mistakes=(*MISTAKES, *PAIRS),
        probes=PROBES,
    )
    is_tensor(got, "the mask")


def is_tensor(got: Any, what: str) -> None:
    """Complain about lists with the right entries: what comes after needs a tensor."""
    if not isinstance(got, Tensor):
        raise Wrong(
            f"{what} has the right entries, but it is a {type(got).__name__} (or was a numpy "
            "array): return a tensor, torch.tensor(...)"
        )


def _same_width(answer: Answer) -> None:
    """Complain about a width that does not come from the lengths."""
    short, long = (answer(torch.tensor(n), None) for n in ([3, 1, 4], [2, 5, 5]))
    if not (isinstance(short, Tensor) and isinstance(long, Tensor)):
        return
    if short.shape == long.shape and short.dim() == 2 and short.size(1) != 3:  # 3 texts
        raise Wrong(
            f"the mask is {short.size(1)} wide, whether the longest text has 4 tokens or 5: work "
            "out T from these lengths, not from a constant or an earlier call"
        )


def by_hand(answer: Answer, rng: torch.Generator) -> None:
    """three texts of 3, 1 and 4 tokens."""
    lengths = torch.tensor([3, 1, 4])
    want, other = lengths_to_mask(lengths), (torch.tensor([2, 5, 5]), None)
    try:
        expect_no_memory(answer, (lengths, None), other, want, "the mask")
    except Wrong as wrong:
        if "must match the size" not in str(wrong):
            raise
        raise Wrong(
            "T places meet B lengths, entry by entry: give the lengths a second dimension "
            f"(lengths[:, None] is (B, 1)), so that each meets all places ({wrong})"
        ) from None
    _same_width(answer)
    _case(answer, lengths, None)


def without_a_limit(answer: Answer, rng: torch.Generator) -> None:
    """max_length may be left out of the call."""
    lengths = torch.tensor([2, 5])
    try:
        answer(lengths)
    except Wrong as wrong:
        if "argument" not in str(wrong):
            raise
        raise Wrong(
            "it must also run when no max_length is handed in: write max_length=None in the "
            f"first line ({wrong})"
        ) from None
    _case(answer, lengths, None)


def ragged(answer: Answer, rng: torch.Generator) -> None:
    """seven ragged texts, the longest not the first and not the last."""
    lengths = torch.randint(1, 11, (7,), generator=rng)
    lengths[3] = 13
    _case(answer, lengths, None)


def wider(answer: Answer, rng: torch.Generator) -> None:
    """max_length above the longest text: the rest of every row is padding."""
    lengths = torch.randint(1, 8, (5,), generator=rng)
    _case(answer, lengths, 11)
    _case(answer, lengths, int(lengths.max()))


def empty(answer: Answer, rng: torch.Generator) -> None:
    """a text without tokens has a row that is all False."""
    _case(answer, torch.tensor([0, 3, 0, 2]), None)
    _case(answer, torch.tensor([0, 0]), 3)


def alike(answer: Answer, rng: torch.Generator) -> None:
    """texts of equal length, as many texts as tokens, a single text."""
    _case(answer, torch.tensor([4, 4, 4]), None)
    _case(answer, torch.tensor([1, 3, 2]), None)
    _case(answer, torch.tensor([5]), None)
    _case(answer, torch.tensor([2]), 3)
