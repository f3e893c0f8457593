"""Chapter 07: the cases of analogy."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from minidistill.course.answer import Answer
from minidistill.course.diagnosis import compare, expect_no_memory
from minidistill.course.exercise import Wrong, expect
from minidistill.course.exercises.ch07_analogy_mistakes import (
    COSINES,
    IDS_AND_COSINES,
    MISTAKES,
    PAIRS,
)
from minidistill.course.exercises.ch07_answers import analogy

_KNOWN = (*MISTAKES, *PAIRS)
_WHAT = "the ids"


def inputs(
    rng: torch.Generator,
    V: int,
    H: int,
    count: int,
    zeros: int = 0,
    three: Any = None,
    near: bool = False,
) -> tuple[Any, ...]:
    """Vectors of very different lengths, whose cosines with b - a + c lie clear of each other.

    So no order depends on rounding. With `zeros` some rows are 0, others than a, b and c. With
    `near` a is nearer than the last few words, so that it would be among V - 3.
    """
    while True:
        vectors = torch.randn(V, H, generator=rng, dtype=torch.float64) + 0.3
        vectors *= torch.empty(V, 1, dtype=torch.float64).exponential_(generator=rng) * 4 + 0.2
        order = torch.randperm(V, generator=rng).tolist()
        a, b, c = order[:3] if three is None else [order[i] for i in three]
        vectors[order[3 : 3 + zeros]] = 0.0
        last = _order(vectors, a, b, c)[-4:] if near else []
        if _clear(vectors, a, b, c, zeros) and a not in last:
            return vectors, a, b, c, count


def _order(vectors: Tensor, a: int, b: int, c: int) -> list[int]:
    """All words, the nearest first."""
    cosines = F.normalize(vectors, dim=1) @ _wanted(vectors, a, b, c)
    return cosines.argsort(descending=True).tolist()


def _wanted(vectors: Tensor, a: int, b: int, c: int) -> Tensor:
    directions = F.normalize(vectors, dim=1)
    return directions[b] - directions[a] + directions[c]


def _clear(vectors: Tensor, a: int, b: int, c: int, zeros: int) -> bool:
    directions = F.normalize(vectors, dim=1)
    gaps = (directions @ F.normalize(_wanted(vectors, a, b, c), dim=0)).sort().values.diff()
    return int((gaps < 1e-5).sum()) == max(0, zeros - 1)


_RNG = torch.Generator().manual_seed(35)
PROBES = (
    inputs(_RNG, 23, 5, 7),
    inputs(_RNG, 31, 3, 11),
    inputs(_RNG, 17, 7, 5),
    inputs(_RNG, 13, 11, 10, zeros=1, near=True),
    inputs(_RNG, 11, 2, 7),
)
"""Ordinary inputs on which a mistake must show itself too before it is named."""


def _case(answer: Answer, *args: Any) -> None:
    got = compare(answer, analogy, args, _WHAT, mistakes=_KNOWN, probes=PROBES, describe=_no_ids)
    if not isinstance(got, (list, tuple)):
        raise Wrong(
            f"the ids are right, but they come in a {type(got).__name__}: make a list of them, "
            "with which a word can be looked up"
        )
    if not all(type(i) is int for i in got):
        kind = next(type(i).__name__ for i in got if type(i) is not int)
        raise Wrong(
            f"the ids are right, but they are of the type {kind}: Python's whole numbers, with "
            "which a word can be looked up"
        )


def _no_ids(got: Any, want: list[int]) -> str | None:
    """The sentence about cosines, where the numbers are no whole ones."""
    some = got.tolist() if isinstance(got, Tensor) else got
    if isinstance(some, list) and [_first(pair) for pair in some] == want:
        return IDS_AND_COSINES
    fits = isinstance(some, (list, tuple)) and len(some) == len(want)
    numbers = [float(i) for i in some] if fits and not any(map(_nested, some)) else []
    return COSINES if any(not i.is_integer() for i in numbers) else None


def _first(pair: Any) -> Any:
    """The first of two, or None."""
    return pair[0] if isinstance(pair, (list, tuple)) and len(pair) == 2 else None


def _nested(value: Any) -> bool:
    return isinstance(value, (str, list, tuple)) or (
        isinstance(value, Tensor) and value.numel() != 1
    )


def by_hand(answer: Answer, rng: torch.Generator) -> None:
    """on a plane: a points right, b up, c right and up; what is up twice is nearest."""
    vectors = torch.tensor(
        [[3.0, 0.0], [0.0, 0.5], [2.0, 2.0], [9.0, 9.5], [-1.0, 4.0], [0.1, 0.9], [-6.0, 1.0]]
    )
    want = [4, 5, 3]
    args = vectors, 0, 1, 2, 3
    expect(analogy(*args), want, "the reference")
    expect_no_memory(answer, args, (vectors.flip(1), 1, 0, 3, 3), want, _WHAT)
    _case(answer, *args)


def ordinary(answer: Answer, rng: torch.Generator) -> None:
    """V = 23, H = 5, the best 7; V = 31, H = 3, the best 2."""
    _case(answer, *inputs(rng, 23, 5, 7))
    _case(answer, *inputs(rng, 31, 3, 2))
    _case(answer, *inputs(rng, 17, 11, 5))


def only_one(answer: Answer, rng: torch.Generator) -> None:
    """the best word alone, in a list."""
    for _ in range(3):
        _case(answer, *inputs(rng, 19, 5, 1))


def every_word(answer: Answer, rng: torch.Generator) -> None:
    """count = V - 3: all words but the three, in their order."""
    _case(answer, *inputs(rng, 17, 5, 14, near=True))
    _case(answer, *inputs(rng, 5, 5, 2))


def near_the_question(answer: Answer, rng: torch.Generator) -> None:
    """a, b and c are among the nearest themselves, and left out."""
    for three in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        vectors, a, b, c, count = inputs(rng, 23, 7, 5, three=three)
        _case(answer, vectors, a, b, c, count)
    # Where a is nearly c, the sum is nearly b; where a is nearly b, it is nearly c.
    vectors[a] = vectors[c] * 0.7 + 0.01 * vectors[b]
    if _clear(vectors, a, b, c, 0):
        _case(answer, vectors, a, b, c, 3)


def of_length_one(answer: Answer, rng: torch.Generator) -> None:
    """vectors that all have length 1 already."""
    vectors, *rest = inputs(rng, 23, 5, 7)
    _case(answer, F.normalize(vectors, dim=1), *rest)


def same_words(answer: Answer, rng: torch.Generator) -> None:
    """b = c, a = c, or a = b: the same word may be named twice."""
    for three in ((0, 1, 1), (0, 1, 0), (0, 0, 1)):
        _case(answer, *inputs(rng, 23, 5, 7, three=three))


def zero_rows(answer: Answer, rng: torch.Generator) -> None:
    """a row of zeros, as a word that never stood in the text may have: its cosine is 0."""
    for V, H, count in ((23, 5, 7), (13, 3, 10)):
        args = inputs(rng, V, H, count, zeros=1)
        _strange_zero(answer(*args), args)
        _case(answer, *args)
    vectors, a, b, c, _ = inputs(rng, 23, 5, 3, zeros=3)
    better = int((F.normalize(vectors, dim=1) @ _wanted(vectors, a, b, c) > 1e-5).sum())
    args = vectors, a, b, c, max(1, better - 3)
    _strange_zero(answer(*args), args)
    _case(answer, *args)


def _strange_zero(got: Any, args: tuple[Any, ...]) -> None:
    """Wrong where a row of zeros stands before words whose cosine is above 0."""
    want = analogy(*args)
    nothing = (args[0] == 0).all(1).nonzero()[:, 0].tolist()
    ids = got.tolist() if isinstance(got, Tensor) else got
    if isinstance(ids, (list, tuple)) and ids and ids[0] in nothing and want[0] not in nothing:
        raise Wrong(
            "a row of zeros stands first: 0 divided by its length of 0 is NaN, which the order "
            "takes for the largest number of all. Its cosine is to be 0"
        )


def single_precision(answer: Answer, rng: torch.Generator) -> None:
    """in float32, as a model has them, very long and very short vectors."""
    vectors, *rest = inputs(rng, 23, 5, 7)
    for size in (1.0, 1e4, 1e-4):
        _case(answer, (vectors * size).float(), *rest)
