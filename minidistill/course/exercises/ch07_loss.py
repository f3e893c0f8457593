"""Chapter 07: the cases of negative_sampling_loss."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from minidistill.course.answer import Answer, reference_answer
from minidistill.course.diagnosis import compare, expect_no_memory
from minidistill.course.exercise import Wrong, agrees, expect
from minidistill.course.exercises.ch02_shared import expect_gradients, keeps_type
from minidistill.course.exercises.ch07_loss_mistakes import MISTAKES, PAIRS, detached
from minidistill.course.exercises.ch09_shared import strange
from minidistill.negative_sampling import negative_sampling_loss

_KNOWN = (*MISTAKES, *PAIRS)
_WHAT = "the loss"
_NAMES = ("x", "the weight")
_OVERFLOW = (
    "at scores of 200 and -200 the loss is NaN or infinite: s of such a score is exactly 0 or 1 in "
    "the computer, and ln 0 is infinite. Is there a function that gives ln s in one step?"
)
_FLOORED = (
    "at scores of 200 and -200 the loss stops growing: a number added inside the logarithm, or a "
    "lowest value there, hides how wrong such a score is, and its gradient is lost"
)


def inputs(
    rng: torch.Generator, N: int, H: int, V: int, S: int, k: float = 3, hits: bool = True
) -> tuple[Any, ...]:
    """Vectors and ids; a word is drawn twice, and with `hits` some targets were drawn."""
    x, weight = (
        torch.randn(*shape, generator=rng, dtype=torch.float64) for shape in ((N, H), (V, H))
    )
    order = torch.randperm(V, generator=rng)
    drawn, rest = order[:S].clone(), order[S:]
    targets = rest[torch.randint(len(rest), (N,), generator=rng)]
    if S > 2:
        drawn[-1] = drawn[0]
    if hits:
        targets[0], targets[-1] = drawn[S // 2], drawn[0]
    return x, weight, targets, drawn, k


_RNG = torch.Generator().manual_seed(14)
PROBES = (
    inputs(_RNG, 5, 3, 23, 7),
    inputs(_RNG, 7, 2, 31, 11, 2.5),
    inputs(_RNG, 3, 5, 17, 5, 7),
    inputs(_RNG, 5, 3, 19, 5, 4),
)
"""Ordinary inputs on which a mistake must show itself too before it is named."""


def _case(answer: Answer, *args: Any, tolerance: float = 1e-5) -> None:
    got = compare(
        answer,
        negative_sampling_loss,
        args,
        _WHAT,
        mistakes=_KNOWN,
        probes=PROBES,
        tolerance=tolerance,
    )
    keeps_type(got, args[0], _WHAT)


def by_hand(answer: Answer, rng: torch.Generator) -> None:
    """the target's score is ln 3, that of two words drawn 0 and -ln 3; negatives = 4."""
    x = torch.tensor([[math.log(3), 0.0]], dtype=torch.float64)
    weight = torch.tensor([[7.0, 3.0], [0.0, 2.0], [1.0, 5.0], [-1.0, 4.0]], dtype=torch.float64)
    args = (x, weight, torch.tensor([2]), torch.tensor([1, 3]), 4)
    # s(ln 3) = 3/4, and each draw counts twice: 1/2 and 3/4 are their chances to be noise.
    want = torch.tensor(-(math.log(3 / 4) + 2 * (math.log(1 / 2) + math.log(3 / 4)))).double()
    expect(negative_sampling_loss(*args), want, "the reference")
    expect_no_memory(answer, args, (2 * x, *args[1:]), want, _WHAT)
    _case(answer, *args)


def no_hits(answer: Answer, rng: torch.Generator) -> None:
    """no target was drawn: N = 5, H = 3, V = 23, S = 7, negatives = 3."""
    _case(answer, *inputs(rng, 5, 3, 23, 7, hits=False))


def with_hits(answer: Answer, rng: torch.Generator) -> None:
    """words drawn that are targets, and words drawn twice: all of them count."""
    _case(answer, *inputs(rng, 5, 3, 23, 7))
    _case(answer, *inputs(rng, 13, 5, 29, 3, 2))


def square(answer: Answer, rng: torch.Generator) -> None:
    """N = S = H, where mixed-up dimensions raise no error."""
    _case(answer, *inputs(rng, 5, 5, 17, 5))


def other_negatives(answer: Answer, rng: torch.Generator) -> None:
    """negatives may be 1, 2.5, as many as the draws, or more."""
    for k in (1, 2.5, 7, 20):
        _case(answer, *inputs(rng, 5, 3, 23, 7, k))


def narrow(answer: Answer, rng: torch.Generator) -> None:
    """a single word drawn, a single x, and vectors of one number."""
    _case(answer, *inputs(rng, 5, 3, 23, 1))
    _case(answer, *inputs(rng, 1, 3, 23, 7))
    _case(answer, *inputs(rng, 5, 1, 23, 7))


def drawn_alone(answer: Answer, rng: torch.Generator) -> None:
    """all words drawn are one and the same, and it is the target of every x."""
    x, weight, targets, drawn, k = inputs(rng, 5, 3, 23, 7)
    same = torch.full_like(drawn, int(drawn[0]))
    _case(answer, x, weight, targets, same, k)
    _case(answer, x, weight, torch.full_like(targets, int(drawn[0])), same, k)


def large_scores(answer: Answer, rng: torch.Generator) -> None:
    """scores of 200 and of -200, in float64 and in float32."""
    for kind in (torch.float64, torch.float32):
        for args in _large(rng, kind):
            got, want = answer(*args), negative_sampling_loss(*args)
            if strange(got):
                raise Wrong(_OVERFLOW)
            if isinstance(got, Tensor) and got.shape == want.shape and _floored(got, want):
                ordinary = inputs(rng, 5, 3, 23, 7)
                if agrees(answer(*ordinary), negative_sampling_loss(*ordinary)):
                    raise Wrong(_FLOORED)
            _case(answer, *args)


def _large(rng: torch.Generator, kind: torch.dtype) -> list[tuple[Any, ...]]:
    """Scores near 200 of one sign or the other, for targets and words drawn."""
    found = []
    for of_target, of_drawn in ((200.0, 200.0), (200.0, -200.0), (-200.0, 200.0), (-200.0, -200.0)):
        x, weight, targets, drawn, k = inputs(rng, 5, 3, 23, 7, hits=False)
        weight = weight / 10
        x = torch.cat([x, x.new_ones(5, 1)], 1)
        scores = weight.new_zeros(23, 1)
        scores[drawn], scores[targets] = of_drawn, of_target
        found.append((x.to(kind), torch.cat([weight, scores], 1).to(kind), targets, drawn, k))
    return found


def _floored(got: Tensor, want: Tensor) -> bool:
    return float(want) > 0 and float(got) < 0.9 * float(want) and float(want) > 100


def gradients(answer: Answer, rng: torch.Generator) -> None:
    """the gradients reach x and the weight, with the right values."""
    for args in (inputs(rng, 5, 3, 23, 7), inputs(rng, 3, 7, 13, 5, 2.5)):
        got = answer.gradients(*args, wrt=(0, 1))["inputs"]
        want = reference_answer(negative_sampling_loss).gradients(*args, wrt=(0, 1))["inputs"]
        expect_gradients(got, want, _NAMES, detached(args))
    for kind in (torch.float64, torch.float32):
        for args in _large(rng, kind):
            got = answer.gradients(*args, wrt=(0, 1))["inputs"]
            want = reference_answer(negative_sampling_loss).gradients(*args, wrt=(0, 1))["inputs"]
            if any(strange(g) for g in got):
                raise Wrong(
                    "the loss is right, but its gradient is NaN at scores of 200: what is set "
                    "right afterwards (nan_to_num, clamp) stays wrong on the way back"
                )
            expect_gradients(got, want, _NAMES)


def precise(answer: Answer, rng: torch.Generator) -> None:
    """in float64 all digits are right, in float32 the type stays what it is."""
    x, weight, *rest = inputs(rng, 5, 3, 23, 7)
    _case(answer, x, weight, *rest, tolerance=1e-10)
    _case(answer, x.float(), weight.float(), *rest)
