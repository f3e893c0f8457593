"""Chapter 06: cases for `additive_score`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from minidistill.attention import additive_score
from minidistill.course.answer import Answer, reference_answer
from minidistill.course.diagnosis import compare
from minidistill.course.exercise import Wrong, expect
from minidistill.course.exercises.ch02_shared import expect_gradients, keeps_type, numbers
from minidistill.course.exercises.ch06_additive_mistakes import MISTAKES, PAIRS, additive_with

_WHAT = "the scores"


def _inputs(rng: torch.Generator, B: int, T: int, S: int, A: int) -> tuple[Tensor, ...]:
    return numbers(rng, B, T, A), numbers(rng, B, S, A), numbers(rng, A)


_RNG = torch.Generator().manual_seed(9)
PROBES = (_inputs(_RNG, 3, 5, 5, 5), _inputs(_RNG, 5, 5, 5, 5))


def _case(answer: Answer, *inputs: Any) -> None:
    known = (*MISTAKES, *PAIRS)
    got = compare(answer, additive_score, inputs, _WHAT, mistakes=known, probes=PROBES)
    keeps_type(got, inputs[0], _WHAT)


def additive_by_hand(answer: Answer, rng: torch.Generator) -> None:
    """two queries, three keys, worked by hand: tanh(ln(a) / 2) = (a - 1) / (a + 1)."""
    queries = torch.tensor([[[3.0, 1.0], [1.0, 2.0]]], dtype=torch.float64).log() / 2
    keys = torch.tensor([[[1.0, 1.0], [1 / 3, 4.0], [3.0, 0.5]]], dtype=torch.float64).log() / 2
    v = torch.tensor([2.0, -3.0], dtype=torch.float64)
    want = torch.tensor([[[1.0, -1.8, 2.6], [-1.0, -1 - 7 / 3, 1.0]]], dtype=torch.float64)
    expect(additive_score(queries, keys, v), want, "the reference")
    _case(answer, queries, keys, v)


def additive_square(answer: Answer, rng: torch.Generator) -> None:
    """equal sizes, where mixed-up dimensions raise no error."""
    _case(answer, *_inputs(rng, 5, 5, 5, 5))
    _case(answer, *_inputs(rng, 3, 5, 5, 5))


def additive_uneven(answer: Answer, rng: torch.Generator) -> None:
    """B = 2, T = 3, S = 7, A = 5."""
    _case(answer, *_inputs(rng, 2, 3, 7, 5))


def additive_small(answer: Answer, rng: torch.Generator) -> None:
    """one query, one key, one entry: nothing is squeezed away."""
    _case(answer, *_inputs(rng, 3, 1, 5, 7))
    _case(answer, *_inputs(rng, 1, 5, 1, 3))
    _case(answer, *_inputs(rng, 2, 3, 5, 1))


def additive_large(answer: Answer, rng: torch.Generator) -> None:
    """large sums: tanh is 1, and there is no NaN."""
    queries, keys, v = (x.float() for x in _inputs(rng, 2, 3, 5, 7))
    got = answer(queries * 1000, keys, v)
    if isinstance(got, Tensor) and bool(got.isnan().any()):
        raise Wrong("exp overflows for a large sum: use torch.tanh")
    _case(answer, queries * 1000, keys, v)


_CUT_OFF = [
    ("the queries are detached", {"reads": lambda q, k: (q.detach() + 0 * q, k)}),
    ("the keys are detached", {"reads": lambda q, k: (q, k.detach() + 0 * k)}),
    ("v is detached", {"weigh": lambda pairs, v: pairs @ v.detach() + 0 * v.sum()}),
    (
        "the tanh is detached: no gradient comes through it",
        {"weigh": lambda pairs, v: pairs.detach() @ v + 0 * pairs.sum()},
    ),
]


def additive_gradients(answer: Answer, rng: torch.Generator) -> None:
    """the gradient reaches queries, keys and v, with the right values."""
    inputs = _inputs(rng, 2, 3, 7, 5)

    def gradients(one: Answer) -> list[Tensor]:
        return one.gradients(*inputs, wrt=range(3))["inputs"]

    got, want = gradients(answer), gradients(reference_answer(additive_score))
    known = [(text, gradients(reference_answer(additive_with(**p)))) for text, p in _CUT_OFF]
    expect_gradients(got, want, ("the queries", "the keys", "v"), known)
