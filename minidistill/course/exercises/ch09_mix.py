"""Chapter 09: the cases of distillation_loss."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from minidistill.course.answer import Answer
from minidistill.course.diagnosis import expect_no_memory
from minidistill.course.exercise import expect
from minidistill.course.exercises.ch09_mix_mistakes import (
    IGNORE,
    MISTAKES,
    PAIRS,
    RIGHT_IN_VALUE,
)
from minidistill.course.exercises.ch09_shared import (
    compared,
    first_of,
    ragged,
    refuse_teachers_gradient,
    rows,
    same_gradients,
    slope_of_nothing,
    strange,
)
from minidistill.distillation import distillation_loss

_KNOWN = (*MISTAKES, *PAIRS)
_RNG = torch.Generator().manual_seed(5)


def _inputs(rng: torch.Generator, B: int, T: int, V: int) -> tuple[Tensor, Tensor, Tensor]:
    """Logits of student and teacher, and ragged targets with token 0 among them."""
    targets = torch.randint(V, (B, T), generator=rng)
    targets[0, 0], targets[-1, 0] = 0, V - 1
    return rows(rng, B, T, V), rows(rng, B, T, V), targets.masked_fill(~ragged(rng, B, T), IGNORE)


PROBES = (
    (*_inputs(_RNG, 3, 5, 7), 0.8, 1.7),
    (*_inputs(_RNG, 5, 4, 11), 0.3, 2.5),
    (*_inputs(_RNG, 4, 7, 3), 0.6, 0.7),
)


def _case(answer: Answer, *args: Any) -> None:
    compared(answer, distillation_loss, args, _KNOWN, PROBES)


def by_hand(answer: Answer, rng: torch.Generator) -> None:
    """p = (3/4, 1/8, 1/8), q = (1/4, 1/4, 1/2), word 2, alpha 0.6: 0.6 x 0.5640 + 0.4 ln 2."""
    p, q = torch.tensor([[[0.75, 0.125, 0.125]]]).log(), torch.tensor([[[0.25, 0.25, 0.5]]]).log()
    word, soft = torch.tensor([[2]]), 0.75 * math.log(3) - 0.375 * math.log(2)
    want = torch.tensor(0.6 * soft + 0.4 * math.log(2))
    expect(distillation_loss(q, p, word, 0.6), want, "the reference")
    expect_no_memory(answer, (q, p, word, 0.6), (q, p, word, 0.2), want, "the loss")
    _case(answer, q, p, word, 0.6)


def uneven(answer: Answer, rng: torch.Generator) -> None:
    """B = 3, T = 5, V = 7, texts of different lengths, alpha 0.3."""
    _case(answer, *_inputs(rng, 3, 5, 7), 0.3)


def warm(answer: Answer, rng: torch.Generator) -> None:
    """temperatures of 2 and 0.5: only the soft loss knows of them."""
    for T in (2.0, 0.5):
        _case(answer, *_inputs(rng, 5, 7, 11), 0.7, T)


def ends(answer: Answer, rng: torch.Generator) -> None:
    """alpha 0 is the text alone, alpha 1 the teacher alone."""
    for alpha in (0.0, 1.0):
        _case(answer, *_inputs(rng, 3, 5, 7), alpha, 3.0)


def usual(answer: Answer, rng: torch.Generator) -> None:
    """without alpha and temperature: 0.9 and 1."""
    _case(answer, *_inputs(rng, 3, 5, 7))


def anywhere(answer: Answer, rng: torch.Generator) -> None:
    """targets of -100 anywhere, whatever logits stand there; where nothing is real, 0."""
    student, teacher, targets = _inputs(rng, 5, 7, 11)
    targets[2, 0] = targets[0, 2] = IGNORE
    _case(answer, student, teacher, targets, 0.4, 2.0)
    odd = teacher.masked_fill((targets == IGNORE)[..., None], torch.nan)
    first_of(
        (
            lambda: strange(answer(student, odd, targets, 0.4)),
            "what stands at padding spoils the soft loss: hand the divergence the mask targets != "
            "IGNORE, and do not multiply by it",
        ),
    )
    nothing = torch.full_like(targets, IGNORE)
    first_of(
        (
            lambda: strange(answer(student, teacher, nothing, 0.4)),
            "where nothing is real the loss is 0 / 0, which is NaN: token_loss and the divergence "
            "both give 0 there",
        ),
    )
    _case(answer, student, teacher, nothing, 0.4, 2.0)


def gradients(answer: Answer, rng: torch.Generator) -> None:
    """the gradient comes from both losses, and none reaches the teacher."""
    args = (*_inputs(rng, 3, 5, 7), 0.6, 2.0)
    refuse_teachers_gradient(answer, args)
    same_gradients(answer, distillation_loss, args, "the student's logits", RIGHT_IN_VALUE)
    student, teacher, targets, *more = args
    slope_of_nothing(answer, (student, teacher, torch.full_like(targets, IGNORE), *more))
