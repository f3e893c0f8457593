"""Chapter 04: two mistakes at once, so that both are named.

An exercise is taken apart into a few steps (parts). A mistake exchanges one of them; two mistakes
in different parts go together, and what comes out is what an answer with both returns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from minidistill.course.diagnosis import Mistake

Parts = dict[str, Callable[..., Any]]
Fault = tuple[str, Parts]
Build = Callable[[Parts], Callable[..., Any]]


def singles(build: Build, faults: Sequence[Fault]) -> Iterator[Mistake]:
    """Each mistake by itself."""
    for sentence, parts in faults:
        yield sentence, build(parts)


def pairs(build: Build, faults: Sequence[Fault]) -> Iterator[Mistake]:
    """Every two mistakes that exchange different parts."""
    for (one, first), (other, second) in combinations(faults, 2):
        if not first.keys() & second.keys():
            yield two(one, other), build(first | second)


def two(one: str, other: str) -> str:
    """The sentence about two mistakes at once."""
    return f"two mistakes at once. (1) {one}. (2) {other}"


ZERO = (
    "the removed tokens get the logit 0, which is a score like others (exp(0) = 1): they need "
    "-torch.inf, whose probability is 0"
)
LARGE = (
    "the removed tokens get a large negative number: use -torch.inf, so that their probability is "
    "exactly 0 and later rules can see what is gone"
)
LOWEST = (
    "the removed tokens get the smallest logit of the row, which still has a probability: they "
    "need -torch.inf"
)
ONE_ROW = (
    "only one row is treated: the others come back as they were (does `return` stand inside the "
    "loop over the rows?)"
)
PROBABILITIES = (
    "these are probabilities: a rule gives logits, so that the next rule can go on with them"
)
LOGARITHMS = (
    "these are log-probabilities: leave the logits that stay as they are; the softmax comes after "
    "all rules"
)
MASK = "this is the mask: return the logits, with -torch.inf where it removes"
SORTED = "the result is sorted: every token keeps its place"


def cut(logits: Tensor, gone: Tensor) -> Tensor:
    """The right last step of a rule."""
    return logits.masked_fill(gone, -torch.inf)


RESULTS: tuple[Fault, ...] = (
    (ZERO, {"result": lambda x, gone: x.masked_fill(gone, 0.0)}),
    (LARGE, {"result": lambda x, gone: x.masked_fill(gone, -1e9)}),
    (LARGE, {"result": lambda x, gone: x.masked_fill(gone, -1e4)}),
    (LOWEST, {"result": lambda x, gone: torch.where(gone, x.amin(-1, keepdim=True), x)}),
    (ONE_ROW, {"result": lambda x, gone: torch.cat([cut(x[:1], gone[:1]), x[1:]])}),
    (ONE_ROW, {"result": lambda x, gone: torch.cat([x[:-1], cut(x[-1:], gone[-1:])])}),
    (PROBABILITIES, {"result": lambda x, gone: cut(x, gone).softmax(-1)}),
    (PROBABILITIES, {"result": lambda x, gone: x.softmax(-1).masked_fill(gone, 0.0)}),
    (LOGARITHMS, {"result": lambda x, gone: cut(x, gone).log_softmax(-1)}),
    (LOGARITHMS, {"result": lambda x, gone: cut(x.log_softmax(-1), gone)}),
    (MASK, {"result": lambda x, gone: gone}),
    (MASK, {"result": lambda x, gone: ~gone}),
    (SORTED, {"result": lambda x, gone: cut(x, gone).sort(dim=-1, descending=True).values}),
)
"""What is done with the removed tokens of a rule, from the logits and a mask."""
