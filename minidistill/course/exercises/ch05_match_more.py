"""Chapter 05: more known wrong versions of `exact_match`: which pairs are counted."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from minidistill.course.exercises import ch04_pairs as two
from minidistill.course.exercises.ch04_pairs import Fault
from minidistill.course.exercises.ch05_match_mistakes import FAULTS, build

EMPTY_ONES = (
    "empty targets do not count: written empty such a one is right, written otherwise it is wrong, "
    "and it is one of len(wanted) either way"
)

_WHICH: tuple[Fault, ...] = (
    (
        EMPTY_ONES,
        {
            "share": lambda right, a, b: (
                sum(r for r, row in zip(right, b, strict=True) if row) / max(1, sum(map(bool, b)))
            )
        },
    ),
    (
        EMPTY_ONES,
        {"share": lambda right, a, b: sum(right) / max(1, sum(map(bool, b)))},
    ),
    (
        "pairs of which one row is empty are left out: such a one is right or wrong like any other",
        {
            "rows": lambda a, b: tuple(
                zip(*[(x, y) for x, y in zip(a, b, strict=True) if x and y], strict=True)
            )
        },
    ),
    (
        "only pairs of equal length are counted: a target of another length is wrong, and is one "
        "of len(wanted) all the same",
        {
            "share": lambda right, a, b: (
                sum(right) / max(1, sum(len(x) == len(y) for x, y in zip(a, b, strict=True)))
            )
        },
    ),
    (
        "it is divided by the number of different targets: divide by len(wanted)",
        {"share": lambda right, a, b: sum(right) / len(set(map(tuple, b)))},
    ),
    (
        "each target is compared with its neighbour's: keep the two lists in step",
        {"rows": lambda a, b: (a, b[-1:] + b[:-1])},
    ),
    (
        "each target is compared with its neighbour's: keep the two lists in step",
        {"rows": lambda a, b: (a, b[1:] + b[:1])},
    ),
    (
        "the first pair is never counted: places are counted from 0",
        {"share": lambda right, a, b: sum(right[1:]) / len(b)},
    ),
    (
        "the last pair is never counted: range(n) ends at n - 1 by itself",
        {"share": lambda right, a, b: sum(right[:-1]) / len(b)},
    ),
)


def _lists_against_tensors(written: Sequence, wanted: Sequence) -> float:
    pairs = zip(written, wanted, strict=True)
    right = [not isinstance(b, Tensor) and list(a) == list(b) for a, b in pairs]
    return sum(right) / len(wanted)


MISTAKES = (
    *two.singles(build, (*FAULTS, *_WHICH)),
    (
        "a list is never equal to a tensor, whatever it holds: make lists of both first (_ids)",
        _lists_against_tensors,
    ),
)
PAIRS = tuple(two.pairs(build, (*FAULTS, *_WHICH)))
"""Two mistakes at once."""
