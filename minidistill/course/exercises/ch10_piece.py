"""Chapter 10: the cases of next_piece."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from minidistill.course.answer import Answer, reference_answer
from minidistill.course.diagnosis import compare, expect_no_memory
from minidistill.course.exercise import Wrong, expect
from minidistill.course.exercises.ch02_shared import expect_gradients, keeps_type
from minidistill.course.exercises.ch09_shared import first_of, strange
from minidistill.course.exercises.ch10_piece_mistakes import MISTAKES, PAIRS, Pieces, build
from minidistill.course.exercises.ch10_piece_more import LEFT_NAN
from minidistill.piece_map import next_piece

_KNOWN = (*MISTAKES, *PAIRS)
_RNG = torch.Generator().manual_seed(8)
_WHAT = "q"

_WORDS: tuple[Pieces, ...] = (
    *((), (0,), (0, 1), (0, 1, 2), (0, 1, 2, 3), (0, 1, 0), (0, 1, 0, 1), (0, 1, 3), (0, 1, 2)),
    *((1,), (1, 0, 1, 2), (2, 0, 1), (2, 0, 1, 4), (3,), (0, 2), (0, 2, 1), (0, 0), (4, 0, 1)),
    *((1, 1, 2), (1, 1), (3, 1, 0, 4), (0, 1, 4, 0, 1, 2), (1, 0, 3), ()),
)
"""Spellings that have their pieces in common, at the beginning and elsewhere."""


def _inputs(rng: torch.Generator, N: int, begun: Pieces, P: int = 7) -> tuple[Any, ...]:
    """Rows that add up to 1, the tokens in any order, the pieces under any numbers below P."""
    order = torch.randperm(len(_WORDS), generator=rng).tolist()
    names = torch.randperm(P, generator=rng).tolist()
    spelled = [tuple(names[c] for c in _WORDS[i]) for i in order]
    p = torch.rand(N, len(spelled), generator=rng, dtype=torch.float64) + 0.1
    return p / p.sum(1, keepdim=True), spelled, tuple(names[c] for c in begun), P


def _two_digits(rng: torch.Generator, begun: Pieces) -> tuple[Any, ...]:
    """Pieces with numbers such as 1, 11 and 12, where one is the beginning of another."""
    p, spelled, _, _ = _inputs(rng, 3, (), 5)
    names = torch.tensor([1, 11, 12, 2, 21])[torch.randperm(5, generator=rng)].tolist()
    return p, [tuple(names[c] for c in pieces) for pieces in spelled], begun, 23


PROBES = (
    _inputs(_RNG, 3, (0, 1)),
    _inputs(_RNG, 5, ()),
    _inputs(_RNG, 2, (0,), 11),
    _two_digits(_RNG, (1,)),
    _inputs(_RNG, 7, (0, 1)),
)
"""Ordinary inputs on which a mistake must show itself too before it is named."""


def _case(answer: Answer, *args: Any) -> None:
    got = compare(answer, next_piece, args, _WHAT, mistakes=_KNOWN, probes=PROBES)
    keeps_type(got, args[0], _WHAT)


def by_hand(answer: Answer, rng: torch.Generator) -> None:
    """six tokens, three pieces: after (0,) the row is (0, 3/4, 1/4)."""
    spelled = [(), (0,), (0, 1), (0, 2), (1,), (0, 1, 2)]
    args = (torch.tensor([[0.1, 0.3, 0.1, 0.1, 0.2, 0.2]]), spelled, (0,), 3)
    other = (*args[:2], (), 3)
    want = torch.tensor([[0.0, 0.75, 0.25]])
    expect(next_piece(*args), want, "the reference")
    expect_no_memory(answer, args, other, want, _WHAT)
    _case(answer, *args)


def at_the_start(answer: Answer, rng: torch.Generator) -> None:
    """nothing begun yet: the first piece of every token that is text."""
    _case(answer, *_inputs(rng, 3, ()))


def inside(answer: Answer, rng: torch.Generator) -> None:
    """one, two and three pieces begun, which stand elsewhere in other tokens."""
    for begun in ((0,), (0, 1), (0, 1, 2), (1, 0), (1, 1), (0, 1, 4, 0)):
        _case(answer, *_inputs(rng, 3, begun))


def two_digits(answer: Answer, rng: torch.Generator) -> None:
    """pieces with the numbers 1, 11, 12, 2 and 21."""
    for begun in ((1,), (11,), (1, 11)):
        args = _two_digits(rng, begun)
        while not build({})(*args).any():  # their numbers were dealt out so that none goes on
            args = _two_digits(rng, begun)
        _case(answer, *args)


def square(answer: Answer, rng: torch.Generator) -> None:
    """as many rows as pieces, where mixed-up dimensions raise no error; and one row."""
    _case(answer, *_inputs(rng, 7, (0,)))
    _case(answer, *_inputs(rng, 7, ()))
    _case(answer, *_inputs(rng, 1, (0, 1), 11))


def _silent(rng: torch.Generator) -> tuple[Any, ...]:
    p, spelled, begun, P = _inputs(rng, 3, (0, 1))
    gone = [v for v, s in enumerate(spelled) if len(s) > 2 and s[:2] == begun]
    p[1, gone] = 0.0
    return p, spelled, begun, P


def impossible(answer: Answer, rng: torch.Generator) -> None:
    """a row in which no token that begins so and goes on has any probability."""
    args = _silent(rng)
    first_of(
        (
            lambda: strange(answer(*args)),
            "where all tokens that begin so have probability 0 the row is 0 / 0, which is NaN: it "
            "should be zeros, so divide only where the sum is above 0",
        ),
        (
            lambda: _row_sum(answer(*args), 1) > 0.5,
            "where all tokens that begin so have probability 0 the row has probabilities: it "
            "should be zeros, the teacher has said nothing",
        ),
        (
            lambda: _row_sum(answer(*args), 0) < 0.5,
            "where all tokens that begin so have probability 0 in one row, the other rows are "
            "zeros as well: each row for itself",
        ),
    )
    _case(answer, *args)


def unlikely(answer: Answer, rng: torch.Generator) -> None:
    """a beginning with probability 1e-20: its row adds up to 1 like any other."""
    for dtype in (torch.float32, torch.float64):
        p, spelled, begun, P = _inputs(rng, 3, (0, 1))
        few = [v for v, s in enumerate(spelled) if len(s) > 2 and s[:2] == begun]
        p[2, few] *= 1e-20
        args = (p.to(dtype), spelled, begun, P)
        if _row_sum(answer(*args), 2) < 0.9:
            raise Wrong(
                "a very unlikely beginning has a row that does not add up to 1: a number added to "
                "the sum (or a lowest value for it) must be far smaller than any probability, and "
                "differences of large sums have no digits left for it"
            )
        _case(answer, *args)


def _row_sum(got: Any, row: int) -> float:
    """What a row of an answer adds up to; 1 / 2 where it has no such row."""
    whole = isinstance(got, Tensor) and got.dim() == 2 and len(got) > row
    return float(got[row].sum()) if whole else 0.5 + 0.4 * (row == 2)


_CUT_OFF = (
    (
        "the sum that divides is detached: it depends on p as well",
        {"divide": lambda sums, *rest: sums / sums.sum(1, keepdim=True).detach()},
    ),
    (
        "what is divided is detached, only the sum below keeps its gradient",
        {"divide": lambda sums, *rest: sums.detach() / sums.sum(1, keepdim=True)},
    ),
)


def gradients(answer: Answer, rng: torch.Generator) -> None:
    """the gradient reaches p, through the sums and through what divides them."""
    for begun in ((0, 1), ()):
        args = _inputs(rng, 3, begun)

        def found(one: Answer, args: tuple[Any, ...] = args) -> list[Tensor]:
            return one.gradients(*args, wrt=(0,))["inputs"]

        known = [(text, found(reference_answer(build(parts)))) for text, parts in _CUT_OFF]
        expect_gradients(found(answer), found(reference_answer(next_piece)), ("p",), known)


def calm(answer: Answer, rng: torch.Generator) -> None:
    """where no token that begins so has any probability, the gradient is not NaN either."""
    args = _silent(rng)
    if not strange(answer(*args)) and strange(answer.gradients(*args, wrt=(0,))["inputs"][0]):
        raise Wrong(LEFT_NAN)


def precise(answer: Answer, rng: torch.Generator) -> None:
    """p in float64 gives a row with all its digits."""
    args = _inputs(rng, 3, (0, 1))
    expect(answer(*args), next_piece(*args), _WHAT, tolerance=1e-10)
