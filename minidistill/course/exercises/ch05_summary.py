"""Chapter 05: the cases of summarise."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from minidistill.course.answer import Answer, reference_answer
from minidistill.course.diagnosis import compare
from minidistill.course.exercise import agrees
from minidistill.course.exercises.ch02_shared import expect_gradients, keeps_type
from minidistill.course.exercises.ch05_summary_mistakes import EMPTY
from minidistill.course.exercises.ch05_summary_more import MISTAKES, PAIRS
from minidistill.encoder import summarise


def _states(rng: torch.Generator, B: int, S: int, C: int) -> Tensor:
    """States in float64, at padding too: nothing there may be read."""
    return torch.randn(B, S, C, generator=rng, dtype=torch.float64)


def _mask(*rows: str) -> Tensor:
    """A mask as it is drawn: x is a real token."""
    return torch.tensor([[place == "x" for place in row] for row in rows])


_RNG = torch.Generator().manual_seed(7)
_ENDS = _mask("xxxx...", "xx.....", "xxxxxx.", "xxx....")
_ANYWHERE = _mask("..xxx.", "xx.x..", "...xxx", ".x....", "x.xx.x")
PROBES = (
    (_states(_RNG, 4, 7, 6), _ENDS, True),
    (_states(_RNG, 5, 6, 10), _ANYWHERE, True),
    (_states(_RNG, 5, 6, 4), _ANYWHERE, False),
    (_states(_RNG, 4, 7, 6), _ENDS, False),
    (_states(_RNG, 4, 7, 6) * _ENDS[:, :, None], _ENDS, True),
)
"""Ordinary inputs on which a mistake must show itself too before it is named."""


def _case(answer: Answer, states: Tensor, mask: Tensor, bidirectional: bool) -> None:
    def empty_rows(got: Any, want: Any) -> str | None:
        """Whatever stands in the empty rows, the others being right, it should be zeros."""
        some = mask.any(1)
        if not isinstance(got, Tensor) or got.shape != want.shape or bool(some.all()):
            return None
        return EMPTY if agrees(got[some], want[some]) else None

    got = compare(
        answer,
        summarise,
        (states, mask, bidirectional),
        "the summary",
        mistakes=(*MISTAKES, *PAIRS),
        probes=PROBES,
        describe=empty_rows,
    )
    keeps_type(got, states, "the summary")


def _ragged(rng: torch.Generator, B: int, S: int) -> Tensor:
    lengths = torch.randint(1, S, (B,), generator=rng)
    lengths[1] = S - 2
    return torch.arange(S) < lengths[:, None]


def by_hand(answer: Answer, rng: torch.Generator) -> None:
    """two texts of 3 and 2 tokens, one number a direction."""
    states = torch.tensor(
        [[[1.0, 9.0], [2.0, 8.0], [3.0, 7.0], [0.5, 0.25]], [[4, 6], [5, 5.5], [0.1, 0.3], [7, 1]]]
    )
    mask = _mask("xxx.", "xx..")
    _case(answer, states, mask, True)


def forwards_only(answer: Answer, rng: torch.Generator) -> None:
    """a layer that reads forwards only: B = 5, S = 7, H = 3."""
    _case(answer, _states(rng, 5, 7, 3), _ragged(rng, 5, 7), False)
    _case(answer, _states(rng, 3, 5, 4), _ragged(rng, 3, 5), False)


def both_ways(answer: Answer, rng: torch.Generator) -> None:
    """both directions: B = 3, S = 7, H = 5."""
    _case(answer, _states(rng, 3, 7, 10), _ragged(rng, 3, 7), True)


def anywhere(answer: Answer, rng: torch.Generator) -> None:
    """padding in front, in the middle, anywhere."""
    _case(answer, _states(rng, 5, 6, 6), _ANYWHERE, True)
    _case(answer, _states(rng, 5, 6, 3), _ANYWHERE, False)


def empty(answer: Answer, rng: torch.Generator) -> None:
    """a source without a real token has a summary of zeros."""
    mask = _mask("xxx.", "....", "xx..")
    _case(answer, _states(rng, 3, 4, 6), mask, True)
    _case(answer, _states(rng, 3, 4, 5), mask, False)


def alike(answer: Answer, rng: torch.Generator) -> None:
    """no padding at all, one token, one text."""
    _case(answer, _states(rng, 3, 5, 4), torch.ones(3, 5, dtype=torch.bool), True)
    _case(answer, _states(rng, 3, 1, 4), torch.ones(3, 1, dtype=torch.bool), True)
    _case(answer, _states(rng, 1, 5, 4), _mask("xxx.."), True)


def gradients(answer: Answer, rng: torch.Generator) -> None:
    """the gradient goes to the states that were read, and nowhere else."""
    inputs = (_states(rng, 3, 5, 4), _mask("xxx..", ".....", "xxxxx"), True)
    got = answer.gradients(*inputs, wrt=(0,))["inputs"]
    want = reference_answer(summarise).gradients(*inputs, wrt=(0,))["inputs"]
    expect_gradients(got, want, ("states",))
