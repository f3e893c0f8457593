"""Chapter 03: known mistakes as exchanged parts, so that two of them can be made at once."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from minidistill.course.diagnosis import Mistake

Parts = dict[str, Any]
Single = tuple[str, Parts]
"""A sentence, and the parts of the right answer that this mistake exchanges."""

Model = Callable[..., Callable[..., Any]]
"""Makes a function from the parts that are not as they should be."""


def alone(model: Model, singles: Iterable[Single]) -> list[Mistake]:
    """Each mistake by itself."""
    return [(sentence, model(**parts)) for sentence, parts in singles]


def together(one: str, two: str) -> str:
    """The sentence for two mistakes at once."""
    return f"there are two mistakes. One: {one}. The other: {two}"


def usual(singles: Iterable[Single], most: int) -> list[Single]:
    """The first few of each kind, because the orders that blocks may be taken in are many."""
    seen: Counter[tuple[str, ...]] = Counter()
    kept = []
    for sentence, parts in singles:
        kind = (sentence, *parts)
        seen[kind] += 1
        if seen[kind] <= most:
            kept.append((sentence, parts))
    return kept


def pairs(model: Model, singles: Iterable[Single], most: int = 3) -> list[Mistake]:
    """Every two mistakes that exchange different parts, made together; for `most` see `usual`."""
    return [
        (together(one, two), model(**a, **b))
        for (one, a), (two, b) in itertools.combinations(usual(singles, most), 2)
        if not a.keys() & b.keys()
    ]


def fitting(known: Iterable[Mistake], answer: Callable[..., Any], args: Any) -> Iterator[Mistake]:
    """Those of many mistakes that come near what the answer returns, found without much ado.

    Pairs are thousands, and `compare` looks closely at each: it should look at few.
    """
    got = answer(*args)
    for sentence, function in known:
        try:
            value = function(*args)
        except Exception:  # not every mistake can be made with every shape
            continue
        if _near(got, value):
            yield sentence, function


def _near(got: Any, value: Any) -> bool:
    if isinstance(got, (list, tuple)) and isinstance(value, (list, tuple)):
        return len(got) == len(value) and all(map(_near, got, value))
    if not isinstance(got, Tensor) or not isinstance(value, Tensor) or got.shape != value.shape:
        return False
    return torch.allclose(got.to(value.dtype), value, rtol=1e-3, atol=1e-3, equal_nan=True)
