"""Chapter 09: the cases of sparse_target_loss."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from minidistill.course.answer import Answer
from minidistill.course.diagnosis import expect_no_memory
from minidistill.course.exercise import Wrong, agrees, expect
from minidistill.course.exercises.ch09_shared import (
    compared,
    mask_or_none,
    ragged,
    rows,
    same_gradients,
    slope_of_nothing,
    strange,
)
from minidistill.course.exercises.ch09_sparse_mistakes import MISTAKES, PAIRS, RIGHT_IN_VALUE
from minidistill.distilling import sparse_target_loss
from minidistill.teacher_passes import Said

_KNOWN = (*MISTAKES, *PAIRS)
_RNG = torch.Generator().manual_seed(6)


def top_k(teacher: Tensor, count: int) -> Said:
    """The likeliest words, their probabilities, and the rest in one number."""
    shares, ids = teacher.softmax(-1).topk(count, dim=-1)
    return Said(ids, shares, 1 - shares.sum(-1))


def draws(rng: torch.Generator, teacher: Tensor, count: int) -> Said:
    """Words drawn from the teacher's row; one may come twice."""
    flat = teacher.softmax(-1).flatten(0, -2)
    ids = torch.multinomial(flat, count, replacement=True, generator=rng)
    ids = ids.view(*teacher.shape[:-1], count)
    return Said(ids, torch.full(ids.shape, 1 / count), torch.zeros(ids.shape[:-1]))


def _inputs(
    rng: torch.Generator, B: int, T: int, V: int, count: int
) -> tuple[Tensor, Said, Tensor]:
    return rows(rng, B, T, V), top_k(rows(rng, B, T, V, scale=1.0), count), ragged(rng, B, T)


PROBES = (
    (*_inputs(_RNG, 3, 5, 11, 4), 1.7, "lump"),
    (*_inputs(_RNG, 5, 4, 13, 3), 2.5, "renormalise"),
    (*_inputs(_RNG, 4, 7, 7, 2), 0.6, "lump"),
    (*_inputs(_RNG, 3, 5, 11, 4), 0.7, "renormalise"),
)


def _case(answer: Answer, *args: Any) -> None:
    compared(answer, sparse_target_loss, args, _KNOWN, PROBES)


def by_hand(answer: Answer, rng: torch.Generator) -> None:
    """q = (1/2, 1/4, 1/8, 1/8), the pass says word 0: 0.5, word 1: 0.3, tail 0.2: 1.5 ln 2."""
    q = torch.tensor([[0.5, 0.25, 0.125, 0.125]]).log()
    said = Said(torch.tensor([[0, 1]]), torch.tensor([[0.5, 0.3]]), torch.tensor([0.2]))
    other = (q * 2.0, said._replace(ids=torch.tensor([[3, 1]])))
    want = torch.tensor((0.5 + 0.3 * 2 + 0.2 * 2) * math.log(2))
    expect(sparse_target_loss(q, said), want, "the reference")
    expect_no_memory(answer, (q, said), other, want, "the loss")
    _case(answer, q, said)


def drawn(answer: Answer, rng: torch.Generator) -> None:
    """a pass of draws, in which a word may come twice: shares 1/K, tail 0."""
    student, said = rows(rng, 3, 5, 7), draws(rng, rows(rng, 3, 5, 7), 5)
    certain = said._replace(ids=student.argmax(-1, keepdim=True).expand(3, 5, 5).contiguous())
    mask_or_none(answer, student, said)
    for logits, kept in ((student, said), (student * 300, certain)):
        if strange(answer(logits, kept)):
            raise Wrong(
                "where the student leaves nothing for the words that are not named (or a word was "
                "drawn twice, so that the sum of the named q passes 1), ln of the rest is infinite "
                "or NaN, and times a tail of 0 it is NaN: keep the sum below 1 first, clamp(max=1 "
                "- 1e-6)"
            )
        _case(answer, logits, kept)
    _case(answer, student, said, None, 1.0, "renormalise")


def best_k(answer: Answer, rng: torch.Generator) -> None:
    """a pass of the top 4 of 11, the tail lumped into one."""
    student, said, _ = _inputs(rng, 3, 5, 11, 4)
    _case(answer, student, said)
    _case(answer, student, said, None, 1.0, "lump")


def renormalised(answer: Answer, rng: torch.Generator) -> None:
    """the same, with tail='renormalise'."""
    student, said, _ = _inputs(rng, 3, 5, 11, 4)
    _case(answer, student, said, None, 1.0, "renormalise")


def masked(answer: Answer, rng: torch.Generator) -> None:
    """texts of different lengths: every real token weighs the same."""
    _case(answer, *_inputs(rng, 3, 5, 11, 4))
    _case(answer, *_inputs(rng, 5, 7, 13, 3), 1.0, "renormalise")


def warm(answer: Answer, rng: torch.Generator) -> None:
    """a pass made at temperature 2 or 0.5: the student softened, the loss times T^2."""
    for T in (2.0, 0.5):
        for tail in ("lump", "renormalise"):
            _case(answer, *_inputs(rng, 3, 5, 11, 4), T, tail)


def extreme(answer: Answer, rng: torch.Generator) -> None:
    """logits of 10,000, and a student that is sure."""
    student, said, mask = _inputs(rng, 3, 5, 11, 4)
    if strange(answer(student + 1e4, said, mask)):
        raise Wrong(
            "exp of a large logit overflows: take the logarithm and the softmax in one step "
            "(log_softmax)"
        )
    if strange(answer(student * 300, said._replace(tail=torch.zeros(3, 5)), mask)):
        raise Wrong(
            "the softmax of a very unlikely word is 0 in the computer, and ln 0 is infinite: take "
            "the logarithm and the softmax in one step (log_softmax)"
        )
    nothing = torch.zeros_like(mask)
    if strange(answer(student, said, nothing)):
        raise Wrong(
            "where nothing is real the loss is 0 / 0, which is NaN: divide by "
            "mask.sum().clamp(min=1), or call masked_mean"
        )
    _case(answer, student, said, nothing)


def nothing_left(answer: Answer, rng: torch.Generator) -> None:
    """a student that leaves nothing, in float32 too: a tail of 0.2 costs 0.2 times 6 ln 10."""
    logits = torch.tensor([[60.0, 0.0, 0.0, 0.0, 0.0]], dtype=torch.float64)
    said = Said(torch.tensor([[0, 1]]), torch.tensor([[0.7, 0.1]]).double(), torch.tensor([0.2]))
    said = said._replace(tail=said.tail.double())
    small = Said(said.ids, said.shares.float(), said.tail.float())
    for args in ((logits.float(), small), (logits.float(), small._replace(tail=torch.zeros(1)))):
        if strange(answer(*args)):
            raise Wrong(
                "in float32 the loss is infinite or NaN where the student leaves nothing for the "
                "words that are not named: a number as near to 1 as 1 - 1e-8 is rounded to 1 "
                "there. Keep the sum at 1 - 1e-6"
            )
    got, want = answer(logits, said), sparse_target_loss(logits, said)
    if isinstance(got, Tensor) and not agrees(got, want, 1e-4):
        raise Wrong(
            f"where the student leaves nothing for the words that are not named, the loss is "
            f"{got.mean():.5g}, expected {want:.5g}: keep the sum of the named q at 1 - 1e-6 at "
            "most, so that the rest is 1e-6, neither more nor less"
        )


def gradients(answer: Answer, rng: torch.Generator) -> None:
    """the gradient by the student's logits is right, through the tail too."""
    for tail in ("lump", "renormalise"):
        args = (*_inputs(rng, 3, 5, 11, 4), 2.0, tail)
        same_gradients(answer, sparse_target_loss, args, "the student's logits", RIGHT_IN_VALUE)
        logits, said, mask, *more = args
        slope_of_nothing(answer, (logits, said, torch.zeros_like(mask), *more))


def precise(answer: Answer, rng: torch.Generator) -> None:
    """logits in float64 give a loss with all its digits."""
    for tail in ("lump", "renormalise"):
        args = (*_inputs(rng, 3, 5, 11, 4), 1.0, tail)
        expect(answer(*args), sparse_target_loss(*args), "the loss", tolerance=1e-9)
