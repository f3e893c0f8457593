"""Chapter 03: cases for `lstm_forward`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from minidistill.course.answer import Answer
from minidistill.course.diagnosis import Mistake, compare
from minidistill.course.exercise import Wrong, agrees
from minidistill.course.exercises.ch02_shared import (
    keeps_type,
    mask_with_holes,
    numbers,
    ragged_mask,
    without_mask,
)
from minidistill.course.exercises.ch03_forward_loop import loop_with
from minidistill.course.exercises.ch03_forward_masks import MASKS
from minidistill.course.exercises.ch03_forward_mistakes import (
    MASK_PAIRS,
    MISTAKES,
    PAIRS,
    SINGLES,
)
from minidistill.course.exercises.ch03_pairs import fitting, together
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


def _settled(mistakes: list[Mistake]) -> list[Mistake]:
    return [(sentence, _settling(function)) for sentence, function in mistakes]


_SINGLE, _TWO, _TWO_MASKED = map(_settled, (MISTAKES, PAIRS, MASK_PAIRS))


def _probe(masked: bool) -> tuple:
    rng = torch.Generator().manual_seed(7)
    return (*sequence(rng, 5, 3, 2), mask_with_holes(rng, 5, 3) if masked else None)


def _with_its_mask(answer: Answer, sentence: str) -> str:
    """The sentence, and beside it the mistake that the same answer makes with a mask."""
    plain, masked = _probe(masked=False), _probe(masked=True)
    try:
        without, got = answer(*plain), answer(*masked)
    except Wrong:
        return sentence
    for parts in (parts for text, parts in SINGLES if text == sentence):
        if not agrees(without, loop_with(**parts)(*plain)):
            continue
        if agrees(got, _settling(loop_with(**parts))(*masked)):
            return sentence
        for other, masking in MASKS:
            if not parts.keys() & masking.keys():
                value = _settling(loop_with(**parts, **masking))(*masked)
                if agrees(got, value):
                    return together(sentence, other)
    return sentence


def _finite_gates(result: Any, mask: Tensor) -> None:
    """What the gates hold at padding does not matter, as long as it is a number."""
    if not isinstance(result, (list, tuple)) or len(result) != 3:
        return
    gates = result[2]
    if not isinstance(gates, Tensor) or gates.dim() != 3 or gates.shape[:2] != mask.shape:
        return
    if bool(gates[mask].isfinite().all()) and not bool(gates[~mask].isfinite().all()):
        raise Wrong(
            "the gates hold NaN or infinity at padding: any finite number may stand there, but "
            "NaN times 0 is NaN, and would spoil the way back"
        )


def _case(answer: Answer, inputs: Inputs, mask: Tensor | None, two: Sequence[Mistake] = ()) -> None:
    settling = _settling(answer)
    if mask is None:
        without_mask(cut_by_entries(answer), *inputs)
    else:
        _finite_gates(answer(*inputs, mask), mask)
    args = (*inputs, mask)
    try:
        got = compare(
            settling,
            _settling(lstm_forward),
            args,
            f"({', '.join(_WHAT)})",
            mistakes=chain(_SINGLE, fitting(two, settling, args)),
            probes=[_probe(mask is not None)],
        )
    except Wrong as wrong:
        raise Wrong(_with_its_mask(settling, str(wrong)) if mask is None else str(wrong)) from None
    for name, value in zip(_WHAT, got, strict=True):
        keeps_type(value, inputs[0], name)


def forward_by_hand(answer: Answer, rng: torch.Generator) -> None:
    """two steps of one entry, worked by hand."""
    a = torch.tensor([[[0.5, 2.0, -0.3, 1.0]], [[-1.0, 0.4, 2.0, -0.6]]])
    W_hh = torch.tensor([[0.7], [0.1], [-0.9], [0.4]])
    _case(answer, (a, torch.tensor([[0.2]]), torch.tensor([[-0.5]]), W_hh), None, _TWO)


def forward_uneven(answer: Answer, rng: torch.Generator) -> None:
    """T = 7, B = 3, H = 5, no mask."""
    _case(answer, sequence(rng, 7, 3, 5), None, _TWO)


def forward_ragged(answer: Answer, rng: torch.Generator) -> None:
    """ragged rows: at padding the hidden state and the cell stay what they were."""
    _case(answer, sequence(rng, 7, 3, 5), ragged_mask(rng, 7, 3), _TWO_MASKED)


def forward_holes(answer: Answer, rng: torch.Generator) -> None:
    """padding may stand anywhere, also before the text."""
    _case(answer, sequence(rng, 7, 3, 5), mask_with_holes(rng, 7, 3), _TWO_MASKED)


def forward_one_step(answer: Answer, rng: torch.Generator) -> None:
    """one step, and one row."""
    _case(answer, sequence(rng, 1, 2, 3), None)
    _case(answer, sequence(rng, 5, 1, 3), None)


def forward_large(answer: Answer, rng: torch.Generator) -> None:
    """large sums and large cells give no NaN."""
    a, h0, c0, W = (v.float() for v in sequence(rng, 3, 2, 5))
    for inputs in ((a * 1000, h0, c0, W), (a, h0, c0 * 1000, W)):
        got = answer(*inputs, None)
        if isinstance(got, (list, tuple)) and any(
            isinstance(part, Tensor) and bool(part.isnan().any()) for part in got
        ):
            raise Wrong(
                "a result is NaN: exp overflows for large sums and large cells, torch.sigmoid and "
                "torch.tanh do not"
            )
        _case(answer, inputs, None)
