"""Chapter 03: cases for `lstm_forward`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from minidistill.course.answer import Answer
from minidistill.course.diagnosis import Mistake, compare
from minidistill.course.exercise import Wrong
from minidistill.course.exercises.ch02_shared import (
    keeps_type,
    mask_with_holes,
    numbers,
    ragged_mask,
    without_mask,
)
from minidistill.course.exercises.ch03_forward_mistakes import MISTAKES
from minidistill.course.exercises.ch03_step import cut_by_entries
from minidistill.lstm import lstm_forward

_WHAT = ("states", "cells", "gates")
Inputs = tuple[Tensor, Tensor, Tensor, Tensor]


def sequence(rng: torch.Generator, T: int, B: int, H: int) -> Inputs:
    """a (T, B, 4H), h0 and c0 (B, H), W_hh (4H, H)."""
    return (
        numbers(rng, T, B, 4 * H),
        numbers(rng, B, H, scale=0.5),
        numbers(rng, B, H),
        numbers(rng, 4 * H, H, scale=0.6),
    )


def settled(result: Any, mask: Tensor | None) -> Any:
    """The same result with zero gates at padding, where any finite number will do."""
    if mask is None or not isinstance(result, (list, tuple)) or len(result) != 3:
        return result
    gates = result[2]
    if not isinstance(gates, Tensor) or gates.dim() != 3 or gates.shape[:2] != mask.shape:
        return result
    if not bool(gates.isfinite().all()):
        return result
    return (*result[:2], torch.where(mask[:, :, None], gates, 0))


def _settling(function: Any) -> Any:
    def settling(*args: Any) -> Any:
        return settled(function(*args), args[4])

    return settling


_MISTAKES: list[Mistake] = [(sentence, _settling(function)) for sentence, function in MISTAKES]


def _case(answer: Answer, inputs: Inputs, mask: Tensor | None) -> None:
    rng = torch.Generator().manual_seed(7)
    probe = (*sequence(rng, 5, 3, 2), None if mask is None else mask_with_holes(rng, 5, 3))
    if mask is None:
        without_mask(cut_by_entries(answer), *inputs)
    got = compare(
        _settling(answer),
        _settling(lstm_forward),
        (*inputs, mask),
        f"({', '.join(_WHAT)})",
        mistakes=_MISTAKES,
        probes=[probe],
    )
    for name, value in zip(_WHAT, got, strict=True):
        keeps_type(value, inputs[0], name)


def forward_by_hand(answer: Answer, rng: torch.Generator) -> None:
    """two steps of one entry, worked by hand."""
    a = torch.tensor([[[0.5, 2.0, -0.3, 1.0]], [[-1.0, 0.4, 2.0, -0.6]]])
    W_hh = torch.tensor([[0.7], [0.1], [-0.9], [0.4]])
    _case(answer, (a, torch.tensor([[0.2]]), torch.tensor([[-0.5]]), W_hh), None)


def forward_uneven(answer: Answer, rng: torch.Generator) -> None:
    """T = 7, B = 3, H = 5, no mask."""
    _case(answer, sequence(rng, 7, 3, 5), None)


def forward_ragged(answer: Answer, rng: torch.Generator) -> None:
    """ragged rows: at padding the hidden state and the cell stay what they were."""
    _case(answer, sequence(rng, 7, 3, 5), ragged_mask(rng, 7, 3))


def forward_holes(answer: Answer, rng: torch.Generator) -> None:
    """padding may stand anywhere, also before the text."""
    _case(answer, sequence(rng, 7, 3, 5), mask_with_holes(rng, 7, 3))


def forward_one_step(answer: Answer, rng: torch.Generator) -> None:
    """one step, and one row."""
    _case(answer, sequence(rng, 1, 2, 3), None)
    _case(answer, sequence(rng, 5, 1, 3), None)


def forward_large(answer: Answer, rng: torch.Generator) -> None:
    """large sums give no NaN."""
    a, h0, c0, W = (v.float() for v in sequence(rng, 3, 2, 5))
    got = answer(a * 1000, h0, c0, W, None)
    if isinstance(got, (list, tuple)) and any(
        isinstance(part, Tensor) and bool(part.isnan().any()) for part in got
    ):
        raise Wrong("a result is NaN: exp overflows for large sums, torch.sigmoid does not")
    _case(answer, (a * 1000, h0, c0, W), None)
