"""Chapter 02: cases for `rnn_backward`."""

from __future__ import annotations

import torch
from torch import Tensor

from minidistill.course.answer import Answer
from minidistill.course.exercise import Wrong
from minidistill.course.exercises.ch02_backward_mistakes import mistakes
from minidistill.course.exercises.ch02_shared import (
    compare,
    keeps_type,
    mask_with_holes,
    numbers,
    ragged_mask,
    sequence,
    without_mask,
)
from minidistill.recurrent import rnn_backward, rnn_forward

_Given = tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None]


def _given(dh: Tensor, a: Tensor, h0: Tensor, W: Tensor, mask: Tensor | None) -> _Given:
    return dh, rnn_forward(a, h0, W, mask), h0, W, mask


def _case(answer: Answer, *inputs: Tensor | None) -> None:
    """dh, a, h0, W_hh and the mask, of which the answer gets the states in place of a."""
    given, mask = _given(*inputs), inputs[4]
    rng = torch.Generator().manual_seed(7)
    holes = None if mask is None else mask_with_holes(rng, 5, 3)
    probe = _given(numbers(rng, 5, 3, 2), *sequence(rng, 5, 3, 2), holes)
    got = without_mask(answer, *given[:4]) if mask is None else answer(*given)
    want = rnn_backward(*given)
    if mask is not None and isinstance(got, (list, tuple)) and len(got) == 3:
        _zero_at_padding(got[0], want[0], mask)
    compare(answer, rnn_backward, given, "(da, dh0, dW_hh)", mistakes, probe, got)
    for name, value, right in zip(("da", "dh0", "dW_hh"), got, want, strict=True):
        keeps_type(value, right, name)


def _zero_at_padding(da: object, want: Tensor, mask: Tensor) -> None:
    """Rows that were never filled hold anything at all; no list of mistakes knows the values."""
    if isinstance(da, Tensor) and da.shape == want.shape:
        at_real, elsewhere = da[mask] - want[mask], da[~mask]
        if at_real.abs().max() < 1e-6 and not bool((elsewhere.abs() < 1e-6).all()):
            raise Wrong("da is not zero at padding: nothing went through the tanh there")


def backward_one_step(answer: Answer, rng: torch.Generator) -> None:
    """one step: no recurrence yet."""
    _case(answer, numbers(rng, 1, 2, 3), *sequence(rng, 1, 2, 3), None)


def backward_by_autograd(answer: Answer, rng: torch.Generator) -> None:
    """T = 5, B = 3, H = 7 against autograd, in float64."""
    _case(answer, numbers(rng, 5, 3, 7), *sequence(rng, 5, 3, 7), None)


def backward_last_only(answer: Answer, rng: torch.Generator) -> None:
    """a loss at the last step alone reaches the first."""
    dh = torch.zeros(11, 2, 3, dtype=torch.float64)
    dh[-1] = numbers(rng, 2, 3)
    _case(answer, dh, *sequence(rng, 11, 2, 3), None)


def backward_ragged(answer: Answer, rng: torch.Generator) -> None:
    """ragged rows: padding hands the gradient on."""
    _case(answer, numbers(rng, 7, 3, 5), *sequence(rng, 7, 3, 5), ragged_mask(rng, 7, 3))


def backward_holes(answer: Answer, rng: torch.Generator) -> None:
    """padding may stand anywhere, also before the text."""
    _case(answer, numbers(rng, 7, 3, 5), *sequence(rng, 7, 3, 5), mask_with_holes(rng, 7, 3))
