"""Chapter 07: the cases of mean_query_attention."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from minidistill.course.answer import Answer, reference_answer
from minidistill.course.diagnosis import compare, expect_no_memory
from minidistill.course.exercise import Wrong, agrees, expect
from minidistill.course.exercises.ch02_shared import expect_gradients, keeps_type
from minidistill.course.exercises.ch07_answers import mean_query_attention
from minidistill.course.exercises.ch07_formula_mistakes import MISTAKES, PAIRS, detached
from minidistill.course.exercises.ch07_formula_more import not_one
from minidistill.course.exercises.ch09_shared import strange

_KNOWN = (*MISTAKES, *PAIRS)
_WHAT = "(x, the weights)"
_NAN = (
    "a row without any real word gives NaN: 0 words make a mean of 0 / 0, and a softmax over "
    "nothing but -inf has no sum. Such a row is all 0, its x as well as its weights"
)
_OVERFLOW = (
    "e to a score of 1,000 is more than the computer holds: what may be taken off all scores of a "
    "context, before e to them, without changing the weights?"
)


def holes(rng: torch.Generator, B: int, C: int) -> Tensor:
    """A mask (B, C) with padding anywhere; every row has a real word, and one is full."""
    mask = torch.rand(B, C, generator=rng) < 0.6
    mask[torch.arange(B), torch.randint(C, (B,), generator=rng)] = True
    if B > 1:
        mask[0, : C // 2], mask[0, -1] = False, True  # as at the start of a text
        mask[-1] = True
    return mask


def inputs(rng: torch.Generator, B: int, C: int, A: int, H: int) -> tuple[Tensor, ...]:
    """Keys, vectors and a mask; what stands at padding is not 0."""
    keys, vectors = (torch.randn(B, C, n, generator=rng, dtype=torch.float64) for n in (A, H))
    return keys, vectors, holes(rng, B, C)


def _shorter(args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The same with padding in the third column, so that no context is as long as C."""
    keys, vectors, mask = args
    mask[:, 0], mask[:, 2] = True, False
    return keys, vectors, mask


_RNG = torch.Generator().manual_seed(21)
PROBES = (
    inputs(_RNG, 5, 7, 3, 11),
    _shorter(inputs(_RNG, 3, 5, 7, 2)),
    inputs(_RNG, 7, 11, 5, 5),
    inputs(_RNG, 5, 5, 5, 5),
)
"""Ordinary inputs on which a mistake must show itself too before it is named."""


def _case(answer: Answer, *args: Any, tolerance: float = 1e-5) -> None:
    got = compare(
        lambda *given: _called(answer, given),
        mean_query_attention,
        args,
        _WHAT,
        mistakes=_KNOWN,
        probes=PROBES,
        describe=_sums,
        tolerance=tolerance,
    )
    for value, name in zip(got, ("x", "the weights"), strict=True):
        keeps_type(value, args[0], name)


def _sums(got: Any, want: tuple[Tensor, Tensor]) -> str | None:
    """Words for the weights of a pair, where they do not add up to 1."""
    pair = isinstance(got, (list, tuple)) and len(got) == 2
    return not_one(got[1], want[1]) if pair else None


def _called(answer: Answer, args: tuple[Any, ...]) -> Any:
    """What the answer returns; where it fails, the mistake that can be made only if A is H."""
    try:
        return answer(*args)
    except Wrong as trouble:
        if not str(trouble).startswith("your code raised"):
            raise
        for sentence, mistaken in MISTAKES:
            if all(_same(answer, mistaken, probe) for probe in PROBES if _square(probe)):
                raise Wrong(f"{sentence} ({trouble})") from None
        raise


def _same(answer: Answer, mistaken: Callable[..., Any], args: tuple[Tensor, ...]) -> bool:
    try:
        return agrees(answer(*args), mistaken(*args))
    except Exception:  # the answer, or the mistake, is an error with these sizes too
        return False


def _square(args: tuple[Tensor, ...]) -> bool:
    return args[0].size(2) == args[1].size(2)


def by_hand(answer: Answer, rng: torch.Generator) -> None:
    """keys that fit V alike weigh 1/2 each; with scores of ln 3 and 0, 3/4 and 1/4."""
    keys = torch.tensor(
        [[[2.0, 0.0], [0.0, 2.0], [9.0, 9.0]], [[2.0, 0.0], [0.0, 0.0], [9.0, 9.0]]]
    )
    keys[1, 0, 0] = (2 * math.log(3)) ** 0.5  # W . V = 1/2 W . W = ln 3
    vectors = torch.tensor([[4.0, 0.0, 1.0], [8.0, 0.0, 2.0], [7.0, 5.0, 3.0]]).expand(2, 3, 3)
    mask = torch.tensor([[True, True, False], [True, True, False]])
    want = [
        torch.tensor([[6.0, 0.0, 1.5], [5.0, 0.0, 1.25]]),
        torch.tensor([[0.5, 0.5, 0.0], [0.75, 0.25, 0.0]]),
    ]
    args = keys, vectors, mask
    expect(list(mean_query_attention(*args)), want, "the reference")
    _called(answer, args)
    expect_no_memory(answer, args, (2 * keys, 3 * vectors, mask), want, _WHAT)
    _case(answer, *args)


def all_real(answer: Answer, rng: torch.Generator) -> None:
    """no padding: B = 5, C = 7, A = 3, H = 11."""
    keys, vectors, mask = inputs(rng, 5, 7, 3, 11)
    _case(answer, keys, vectors, torch.ones_like(mask))


def ordinary(answer: Answer, rng: torch.Generator) -> None:
    """padding at the start, at the end and between; keys and vectors of two sizes."""
    _case(answer, *inputs(rng, 5, 7, 3, 11))
    _case(answer, *inputs(rng, 3, 13, 11, 2))


def same_size(answer: Answer, rng: torch.Generator) -> None:
    """A = H, and the keys are other numbers than the vectors, or the same."""
    keys, vectors, mask = inputs(rng, 7, 11, 5, 5)
    _case(answer, keys, vectors, mask)
    _case(answer, vectors, vectors, mask)


def square(answer: Answer, rng: torch.Generator) -> None:
    """B = C = A = H, where mixed-up dimensions raise no error."""
    _case(answer, *inputs(rng, 5, 5, 5, 5))


def narrow(answer: Answer, rng: torch.Generator) -> None:
    """one context, one place, keys of one number, vectors of one number."""
    _case(answer, *inputs(rng, 1, 7, 3, 5))
    _case(answer, *inputs(rng, 5, 1, 3, 7))
    _case(answer, *inputs(rng, 5, 7, 1, 1))


def at_padding(answer: Answer, rng: torch.Generator) -> None:
    """what stands at padding makes no difference, however large it is."""
    keys, vectors, mask = inputs(rng, 5, 7, 3, 11)
    gone = ~mask[:, :, None]
    for value in (0.0, 50.0, -1e4):
        _case(answer, keys.masked_fill(gone, value), vectors.masked_fill(gone, value), mask)


def nothing_real(answer: Answer, rng: torch.Generator) -> None:
    """a context without any real word: zeros, and no NaN."""
    keys, vectors, mask = inputs(rng, 5, 7, 3, 11)
    mask[2] = False
    for given in (mask, torch.zeros_like(mask)):
        got = answer(keys, vectors, given)
        if isinstance(got, (list, tuple)) and any(map(strange, got)):
            raise Wrong(_NAN)
        _case(answer, keys, vectors, given)


def large_scores(answer: Answer, rng: torch.Generator) -> None:
    """scores of 1,000 and of -1,000, in float32 too."""
    keys, vectors, mask = inputs(rng, 5, 7, 3, 11)
    for kind in (torch.float64, torch.float32):
        for size in (30.0, 300.0):
            args = (keys * size).to(kind), vectors.to(kind), mask
            got = answer(*args)
            if isinstance(got, (list, tuple)) and any(map(strange, got)):
                raise Wrong(_OVERFLOW)
            _case(answer, *args)


def gradients(answer: Answer, rng: torch.Generator) -> None:
    """the gradients reach keys and vectors, with the right values, and are 0 at padding."""
    for empty in (False, True):
        keys, vectors, mask = inputs(rng, 5, 7, 3, 11)
        if empty:
            mask[2] = False
        args = keys * 0.7, vectors, mask
        got = answer.gradients(*args, wrt=(0, 1))["inputs"]
        if empty and any(map(strange, got)):
            raise Wrong(
                "the values are right, but where a context has no real word the gradients are "
                "NaN, and a step would make all weights NaN: 0 / 0 stays on the way back even if "
                "the result is exchanged afterwards (nan_to_num, torch.where)"
            )
        want = reference_answer(mean_query_attention).gradients(*args, wrt=(0, 1))["inputs"]
        expect_gradients(got, want, ("the keys", "the vectors"), detached(args))


def precise(answer: Answer, rng: torch.Generator) -> None:
    """in float64 all digits are right, in float32 the type stays what it is."""
    keys, vectors, mask = inputs(rng, 5, 7, 3, 11)
    _case(answer, keys, vectors, mask, tolerance=1e-10)
    _case(answer, keys.float(), vectors.float(), mask)
