"""Chapter 03: cases for `lstm_backward`."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

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
from minidistill.course.exercises.ch03_backward_mistakes import MISTAKES, PAIRS
from minidistill.course.exercises.ch03_forward import Inputs, sequence
from minidistill.course.exercises.ch03_pairs import fitting
from minidistill.lstm import lstm_backward, lstm_forward

_WHAT = ("da", "dh0", "dc0", "dW_hh")
_SENTENCES = {sentence for sentence, _ in MISTAKES + PAIRS}


def _given(dh: Tensor, dc: Tensor, inputs: Inputs, mask: Tensor | None) -> tuple:
    """What the answer gets: the gradients from above, and what was kept on the way forward."""
    a, h0, c0, W = inputs
    return dh, dc, *lstm_forward(a, h0, c0, W, mask), h0, c0, W, mask


def _case(answer: Answer, dh: Tensor, dc: Tensor, inputs: Inputs, mask: Tensor | None) -> None:
    rng = torch.Generator().manual_seed(7)
    holes = None if mask is None else mask_with_holes(rng, 5, 3)
    probe = _given(numbers(rng, 5, 3, 2), numbers(rng, 3, 2), sequence(rng, 5, 3, 2), holes)
    given = _given(dh, dc, inputs, mask)
    if mask is None:
        without_mask(answer, *given[:8])
    names = f"({', '.join(_WHAT)})"
    two = PAIRS if len(dh) == 1 else []  # a long walk for each of so many would take long
    known = chain(MISTAKES, fitting(two, answer, given))

    def against(known: Iterable[Mistake], *probe: object) -> object:
        return compare(answer, lstm_backward, given, names, mistakes=known, probes=[probe])

    try:
        got = against(known, *probe)
    except Wrong as wrong:
        if mask is not None and str(wrong) not in _SENTENCES:
            _zero_at_padding(answer, given)
        if len(dh) == 1 and str(wrong) not in _SENTENCES:  # of two mistakes, one shows in one step
            one, two = numbers(rng, 1, 3, 2), numbers(rng, 3, 2)
            against(MISTAKES, *_given(one, two, sequence(rng, 1, 3, 2), None))
        raise
    for name, value in zip(_WHAT, got, strict=True):
        keeps_type(value, dh, name)


def _zero_at_padding(answer: Answer, given: tuple) -> None:
    """Rows that were never filled hold anything at all; no list of mistakes knows the values."""
    got, want, mask = answer(*given), lstm_backward(*given), given[8]
    if not isinstance(got, (list, tuple)) or len(got) != 4 or not isinstance(got[0], Tensor):
        return
    if got[0].shape != want[0].shape or not torch.allclose(got[0][mask], want[0][mask], atol=1e-6):
        return
    if not bool((got[0][~mask].abs() < 1e-6).all()):
        raise Wrong("da is not zero at padding: nothing went through the gates there")


def backward_one_step(answer: Answer, rng: torch.Generator) -> None:
    """one step: no recurrence yet."""
    _case(answer, numbers(rng, 1, 2, 3), numbers(rng, 2, 3), sequence(rng, 1, 2, 3), None)


def backward_by_autograd(answer: Answer, rng: torch.Generator) -> None:
    """T = 5, B = 3, H = 7 against autograd, in float64."""
    _case(answer, numbers(rng, 5, 3, 7), numbers(rng, 3, 7), sequence(rng, 5, 3, 7), None)


def backward_hidden_only(answer: Answer, rng: torch.Generator) -> None:
    """a loss on the last hidden state alone reaches the first step."""
    dh = torch.zeros(11, 2, 3, dtype=torch.float64)
    dh[-1] = numbers(rng, 2, 3)
    _case(answer, dh, torch.zeros(2, 3, dtype=torch.float64), sequence(rng, 11, 2, 3), None)


def backward_cell_only(answer: Answer, rng: torch.Generator) -> None:
    """a loss on the last cell alone: the cell's own road, and gates that are shut."""
    dh = torch.zeros(7, 3, 5, dtype=torch.float64)
    _case(answer, dh, numbers(rng, 3, 5), sequence(rng, 7, 3, 5), None)
    _shut_gates(answer, rng)


def _shut_gates(answer: Answer, rng: torch.Generator) -> None:
    """Gates that are 0 or 1 to the last digit: whoever divides by one gets NaN."""
    a, h0, c0, W = sequence(rng, 3, 2, 5)
    dh, dc = numbers(rng, 3, 2, 5), numbers(rng, 2, 5)
    given = _given(dh, dc, (a * 10000, h0, c0, W), None)
    got = answer(*given)
    if isinstance(got, (list, tuple)) and any(
        isinstance(part, Tensor) and not bool(part.isfinite().all()) for part in got
    ):
        raise Wrong(
            "a gate may be exactly 0, and your code divides by one (h / o, or (c - f c) / i): "
            "compute tanh(c) from the cells, and take each factor as it is kept"
        )
    compare(answer, lstm_backward, given, f"({', '.join(_WHAT)})")


def backward_ragged(answer: Answer, rng: torch.Generator) -> None:
    """ragged rows: padding hands both gradients on."""
    mask = ragged_mask(rng, 7, 3)
    _case(answer, numbers(rng, 7, 3, 5), numbers(rng, 3, 5), sequence(rng, 7, 3, 5), mask)


def backward_holes(answer: Answer, rng: torch.Generator) -> None:
    """padding may stand anywhere, also before the text."""
    mask = mask_with_holes(rng, 7, 3)
    _case(answer, numbers(rng, 7, 3, 5), numbers(rng, 3, 5), sequence(rng, 7, 3, 5), mask)
