"""Chapter 09: the cases of soft_target_loss."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from minidistill.course.answer import Answer
from minidistill.course.diagnosis import expect_no_memory
from minidistill.course.exercise import Wrong, expect
from minidistill.course.exercises.ch09_shared import (
    calm_at_padding,
    compared,
    differs,
    mask_or_none,
    ragged,
    refuse_teachers_gradient,
    rows,
    same_gradients,
    slope_of_nothing,
    strange,
)
from minidistill.course.exercises.ch09_soft_mistakes import MISTAKES, PAIRS, TINY
from minidistill.distillation import soft_target_loss

_RNG = torch.Generator().manual_seed(7)
_KNOWN = (*MISTAKES, *PAIRS)


def _inputs(rng: torch.Generator, B: int, T: int, V: int, hot: float) -> tuple[Any, ...]:
    return rows(rng, B, T, V), rows(rng, B, T, V), ragged(rng, B, T), hot


PROBES = tuple(_inputs(_RNG, *shape) for shape in ((3, 5, 7, 1.7), (5, 4, 11, 2.5), (4, 7, 3, 0.6)))
"""Ordinary inputs on which a mistake must show itself too before it is named."""


def _case(answer: Answer, *args: Any) -> None:
    compared(answer, soft_target_loss, args, _KNOWN, PROBES)


def by_hand(answer: Answer, rng: torch.Generator) -> None:
    """p = (3/4, 1/8, 1/8) against q = (1/4, 1/4, 1/2): 0.75 ln 3 - 0.375 ln 2 = 0.5640."""
    p, q = torch.tensor([[0.75, 0.125, 0.125]]).log(), torch.tensor([[0.25, 0.25, 0.5]]).log()
    want = torch.tensor(0.75 * math.log(3) - 0.375 * math.log(2))
    expect(soft_target_loss(q, p), want, "the reference")
    expect_no_memory(answer, (q, p), (q, p + 2 * q), want, "the loss")
    _case(answer, q, p)


def unmasked(answer: Answer, rng: torch.Generator) -> None:
    """without a mask every token is real: logits (B, T, V) or (N, V)."""
    student, teacher = rows(rng, 3, 5, 7), rows(rng, 3, 5, 7)
    mask_or_none(answer, student, teacher)
    _case(answer, student, teacher)
    _case(answer, student[0], teacher[0])


def warm(answer: Answer, rng: torch.Generator) -> None:
    """temperatures of 2 and 0.5: both rows softened, the loss times T^2."""
    student, teacher = rows(rng, 3, 5, 7), rows(rng, 3, 5, 7)
    for T in (2.0, 0.5):
        _case(answer, student, teacher, None, T)


def masked(answer: Answer, rng: torch.Generator) -> None:
    """texts of different lengths: every real token weighs the same."""
    _case(answer, *_inputs(rng, 3, 5, 7, 1.0))
    _case(answer, *_inputs(rng, 5, 7, 11, 3.0))


def wide(answer: Answer, rng: torch.Generator) -> None:
    """V = 997: the sum over the vocabulary, not its mean; holes in the mask."""
    mask = torch.rand(3, 5, generator=rng) < 0.6
    mask[0, 0], mask[1, 1] = False, True
    _case(answer, rows(rng, 3, 5, 997), rows(rng, 3, 5, 997), mask, 2.0)


def agreeing(answer: Answer, rng: torch.Generator) -> None:
    """a student that says the same as its teacher has loss 0."""
    teacher = rows(rng, 3, 5, 7)
    _case(answer, teacher + 3.0, teacher, ragged(rng, 3, 5), 2.0)


def extreme(answer: Answer, rng: torch.Generator) -> None:
    """logits of 10,000, words of which the student is sure, words that the teacher rules out."""
    student, teacher = rows(rng, 3, 5, 7), rows(rng, 3, 5, 7)
    if strange(answer(student + 1e4, teacher - 1e4)):
        raise Wrong(
            "exp of a large logit overflows: take the logarithm and the softmax in one step "
            "(log_softmax)"
        )
    if strange(answer(student * 700, teacher)):
        raise Wrong(
            "the softmax of a very unlikely word is 0 in the computer, and ln 0 is infinite: take "
            "the logarithm and the softmax in one step (log_softmax)"
        )
    want = float(soft_target_loss(student * 700, teacher))
    if isinstance(got := answer(student * 700, teacher), Tensor) and 0 < got.mean() < want / 2:
        raise Wrong(TINY)
    _case(answer, student * 700, teacher)
    for gone in (-torch.inf, -1e5):
        ruled = teacher.clone()
        ruled[..., 2] = gone
        if strange(answer(student, ruled)):
            raise Wrong(
                "a word to which the teacher gives probability 0 makes the loss NaN: p (ln p - ln "
                "q) tends to 0 as p does, but 0 times infinity is NaN in the computer. Put a 0 "
                "there (masked_fill where p == 0)"
            )
        _case(answer, student, ruled)


def at_padding(answer: Answer, rng: torch.Generator) -> None:
    """at padding anything may stand, NaN too; where nothing is real the loss is 0."""
    student, teacher, mask, _ = _inputs(rng, 3, 5, 7, 1.0)
    for odd in (torch.nan, torch.inf):
        one, other = (x.masked_fill(~mask[..., None], odd) for x in (student, teacher))
        if strange(answer(one, other, mask)):
            raise Wrong(
                "what stands at padding spoils the loss: NaN times 0 is NaN, so leave such places "
                "out (masked_fill or an index), do not multiply them by the mask"
            )
        _case(answer, one, other, mask)
    nothing = torch.zeros_like(mask)
    if strange(answer(student, teacher, nothing)):
        raise Wrong(
            "where nothing is real the loss is 0 / 0, which is NaN and spoils every weight: divide "
            "by mask.sum().clamp(min=1)"
        )
    _case(answer, student, teacher, nothing)


def gradients(answer: Answer, rng: torch.Generator) -> None:
    """the gradient by the student's logits is right, and none reaches the teacher."""
    args = _inputs(rng, 3, 5, 7, 2.0)
    refuse_teachers_gradient(answer, args)
    same_gradients(answer, soft_target_loss, args, "the student's logits")
    student, teacher, mask, T = args
    one, other = (x.masked_fill(~mask[..., None], torch.nan) for x in (student, teacher))
    calm_at_padding(answer, (one, other, mask, T))
    slope_of_nothing(answer, (student, teacher, torch.zeros_like(mask), T))


def precise(answer: Answer, rng: torch.Generator) -> None:
    """logits in float64 give a loss with all its digits."""
    student, teacher = rows(rng, 3, 5, 7), rows(rng, 3, 5, 7)
    want: Tensor = soft_target_loss(student, teacher)
    expect(answer(student, teacher), want, "the loss", tolerance=1e-9)


def moved(answer: Answer, rng: torch.Generator) -> None:
    """one number added to all logits of a row changes nothing."""
    student, teacher = rows(rng, 3, 5, 7), rows(rng, 3, 5, 7)
    for one, other in ((300.0, -300.0), (-5000.0, 5000.0)):
        if differs(answer, (student + one, teacher + other), (student, teacher)):
            raise Wrong(
                f"with {one:.0f} added to the student's logits and {other:.0f} to the teacher's "
                "the loss is another, though no probability has changed: are logits cut off "
                "(clamp), or put to a fixed number?"
            )
    _case(answer, student - 300.0, teacher + 300.0)
