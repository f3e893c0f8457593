"""Chapter 09: the cases of logit_loss."""

from __future__ import annotations

from typing import Any

import torch

from minidistill.course.answer import Answer
from minidistill.course.diagnosis import expect_no_memory
from minidistill.course.exercise import expect
from minidistill.course.exercises.ch02_shared import without_mask
from minidistill.course.exercises.ch09_logits_mistakes import MISTAKES, PAIRS
from minidistill.course.exercises.ch09_shared import (
    calm_at_padding,
    compared,
    first_of,
    ragged,
    refuse_teachers_gradient,
    rows,
    same_gradients,
    slope_of_nothing,
    strange,
)
from minidistill.distillation import logit_loss

_KNOWN = (*MISTAKES, *PAIRS)
_RNG = torch.Generator().manual_seed(3)


def _inputs(rng: torch.Generator, B: int, T: int, V: int) -> tuple[Any, ...]:
    """Logits that are not centred, and a ragged mask."""
    return rows(rng, B, T, V) + 1.0, rows(rng, B, T, V) - 0.5, ragged(rng, B, T)


PROBES = (
    (*_inputs(_RNG, 3, 5, 7), 1.7, True),
    (*_inputs(_RNG, 5, 4, 11), 2.5, False),
    (*_inputs(_RNG, 4, 7, 3), 0.6, True),
)


def _case(answer: Answer, *args: Any) -> None:
    compared(answer, logit_loss, args, _KNOWN, PROBES)


def by_hand(answer: Answer, rng: torch.Generator) -> None:
    """logits (3, 1, 2) against (1, 1, 1): 4 + 0 + 1 = 5; centred, 1 + 1 + 0 = 2."""
    student, teacher = torch.tensor([[3.0, 1.0, 2.0]]), torch.tensor([[1.0, 1.0, 1.0]])
    args = (student, teacher, None, 1.0, False)
    expect(logit_loss(*args), torch.tensor(5.0), "the reference")
    expect(logit_loss(*args[:4], True), torch.tensor(2.0), "the reference, centred")
    other = (teacher * 0.0, student, *args[2:])
    expect_no_memory(answer, args, other, torch.tensor(5.0), "the loss")
    _case(answer, *args)
    _case(answer, *args[:4], True)


def unmasked(answer: Answer, rng: torch.Generator) -> None:
    """without a mask every token is real: logits (B, T, V) or (N, V)."""
    student, teacher, _ = _inputs(rng, 3, 5, 7)
    without_mask(answer, student, teacher)
    for centred in (False, True):
        _case(answer, student, teacher, None, 1.0, centred)
        _case(answer, student[0], teacher[0], None, 1.0, centred)


def masked(answer: Answer, rng: torch.Generator) -> None:
    """texts of different lengths, plain and centred: every real token weighs the same."""
    for centred in (False, True):
        _case(answer, *_inputs(rng, 3, 5, 7), 1.0, centred)


def warm(answer: Answer, rng: torch.Generator) -> None:
    """a temperature of 2 changes nothing."""
    for centred in (False, True):
        _case(answer, *_inputs(rng, 3, 5, 11), 2.0, centred)


def moved(answer: Answer, rng: torch.Generator) -> None:
    """the teacher's logits and 3 more: centred a loss of 0; and a student of which all are 0."""
    _, teacher, mask = _inputs(rng, 3, 5, 7)
    for centred in (True, False):
        _case(answer, teacher + 3.0, teacher, mask, 1.0, centred)
        _case(answer, torch.zeros_like(teacher), teacher, mask, 1.0, centred)


def at_padding(answer: Answer, rng: torch.Generator) -> None:
    """at padding anything may stand; where nothing is real the loss is 0."""
    student, teacher, mask = _inputs(rng, 3, 5, 7)
    odd = teacher.masked_fill(~mask[..., None], torch.nan)
    nothing = torch.zeros_like(mask)
    first_of(
        (
            lambda: strange(answer(student, odd, mask)),
            "what stands at padding spoils the loss: NaN times 0 is NaN, so leave such places out "
            "(masked_fill or an index), do not multiply them by the mask",
        ),
        (
            lambda: strange(answer(student, teacher, nothing)),
            "where nothing is real the loss is 0 / 0, which is NaN: divide by "
            "mask.sum().clamp(min=1)",
        ),
    )
    _case(answer, student, odd, mask, 1.0, True)
    _case(answer, student, teacher, nothing, 1.0, False)


def gradients(answer: Answer, rng: torch.Generator) -> None:
    """the gradient by the student's logits is right, and none reaches the teacher."""
    for centred in (False, True):
        args = (*_inputs(rng, 3, 5, 7), 1.0, centred)
        refuse_teachers_gradient(answer, args)
        same_gradients(answer, logit_loss, args, "the student's logits")
        student, teacher, mask, *more = args
        odd = teacher.masked_fill(~mask[..., None], torch.nan)
        calm_at_padding(answer, (student, odd, mask, *more))
        slope_of_nothing(answer, (student, teacher, torch.zeros_like(mask), *more))


def precise(answer: Answer, rng: torch.Generator) -> None:
    """logits in float64 give a loss with all its digits."""
    student, teacher, mask = _inputs(rng, 3, 5, 7)
    for centred in (False, True):
        args = (student, teacher, mask, 1.0, centred)
        expect(answer(*args), logit_loss(*args), "the loss", tolerance=1e-9)
