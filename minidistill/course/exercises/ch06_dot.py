"""Chapter 06: cases for `dot_score`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from minidistill.attention import dot_score
from minidistill.course.answer import Answer, reference_answer
from minidistill.course.diagnosis import compare
from minidistill.course.exercise import Wrong, expect
from minidistill.course.exercises.ch02_shared import expect_gradients, keeps_type, numbers
from minidistill.course.exercises.ch06_dot_mistakes import MISTAKES, NOT_TRANSPOSED, PAIRS, dot_with

_WHAT = "the scores"


def _inputs(rng: torch.Generator, B: int, T: int, S: int, D: int) -> tuple[Tensor, Tensor]:
    return numbers(rng, B, T, D), numbers(rng, B, S, D)


_RNG = torch.Generator().manual_seed(9)
PROBES = ((*_inputs(_RNG, 3, 5, 5, 5), 0.3), (*_inputs(_RNG, 5, 5, 5, 5), 1.7))


def _turned(answer: Answer) -> Any:
    """The answer, with words for the commonest crash: two matrices that do not fit."""

    def asked(*args: Any) -> Any:
        try:
            return answer(*args)
        except Wrong as wrong:
            if "xpected size" not in str(wrong) and "shapes cannot be mult" not in str(wrong):
                raise
            raise Wrong(NOT_TRANSPOSED) from wrong

    return asked


def _case(answer: Answer, *inputs: Any) -> None:
    known = (*MISTAKES, *PAIRS)
    mine = _turned(answer)
    got = compare(mine, dot_score, inputs, _WHAT, mistakes=known, probes=PROBES)
    keeps_type(got, inputs[0], _WHAT)


def dot_by_hand(answer: Answer, rng: torch.Generator) -> None:
    """two queries, three keys, scale 1/2, worked by hand."""
    queries = torch.tensor([[[1.0, 2.0], [0.0, -1.0]]])
    keys = torch.tensor([[[3.0, 1.0], [-1.0, 4.0], [2.0, 0.0]]])
    want = torch.tensor([[[2.5, 3.5, 1.0], [-0.5, -2.0, 0.0]]])
    expect(dot_score(queries, keys, 0.5), want, "the reference")
    _case(answer, queries, keys, 0.5)


def dot_square(answer: Answer, rng: torch.Generator) -> None:
    """equal sizes, where mixed-up dimensions raise no error."""
    _case(answer, *_inputs(rng, 5, 5, 5, 5), 0.3)
    _case(answer, *_inputs(rng, 3, 5, 5, 5), 1.7)


def dot_uneven(answer: Answer, rng: torch.Generator) -> None:
    """B = 2, T = 3, S = 7, D = 5, and T = S = D = 1."""
    _case(answer, *_inputs(rng, 2, 3, 7, 5), 0.3)
    _case(answer, *_inputs(rng, 3, 1, 5, 2), 0.3)
    _case(answer, *_inputs(rng, 3, 5, 1, 1), 0.3)
    queries, keys = _inputs(rng, 2, 3, 7, 5)
    _case(answer, queries * 1e4, keys, 0.3)


def dot_plain(answer: Answer, rng: torch.Generator) -> None:
    """without a scale it is the plain dot product."""
    inputs = _inputs(rng, 2, 3, 7, 5)
    try:
        got = answer(*inputs)
    except Wrong as trouble:
        if "missing" not in str(trouble):
            raise
        raise Wrong(
            f"it must also run without a scale: write scale=1.0 in the first line ({trouble})"
        ) from None
    divided = dot_score(*inputs, 5**-0.5)
    known = {"without a scale the scores are divided by the root of D: the default is 1": divided}
    expect(got, dot_score(*inputs), "the scores without a scale", known)
    _case(answer, *inputs, 1.0)


def dot_any_scale(answer: Answer, rng: torch.Generator) -> None:
    """a scale of 0, and one below 0, are scales like others."""
    inputs = _inputs(rng, 2, 3, 7, 5)
    for scale in (0.0, -0.7, 3.0):
        _case(answer, *inputs, scale)


_CUT_OFF = [
    ("the queries are detached", {"reads": lambda q, k: (q.detach() + 0 * q, k)}),
    ("the keys are detached", {"reads": lambda q, k: (q, k.detach() + 0 * k)}),
]


def dot_gradients(answer: Answer, rng: torch.Generator) -> None:
    """the gradient reaches queries and keys, with the right values."""
    inputs = (*_inputs(rng, 2, 3, 7, 5), 0.3)

    def gradients(one: Answer) -> list[Tensor]:
        return one.gradients(*inputs, wrt=range(2))["inputs"]

    got, want = gradients(answer), gradients(reference_answer(dot_score))
    known = [(text, gradients(reference_answer(dot_with(**p)))) for text, p in _CUT_OFF]
    expect_gradients(got, want, ("the queries", "the keys"), known)
