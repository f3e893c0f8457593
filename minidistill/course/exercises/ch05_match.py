"""Chapter 05: the cases of exact_match."""

from __future__ import annotations

import torch
from torch import Tensor

from minidistill.alignment import exact_match
from minidistill.course.answer import Answer
from minidistill.course.diagnosis import compare, expect_no_memory
from minidistill.course.exercises.ch05_match_more import MISTAKES, PAIRS

Rows = list[list[int]]

_WANTED = [[3, 1, 4], [1, 5], [9, 2, 6, 5], [3, 5, 8], [9, 7], [9, 3, 2, 3], [8, 8], [4, 6, 2]]
PROBES = (
    # Right, too short, right, in another order, too long, right, too short, beginning right.
    (
        [[3, 1, 4], [1], [9, 2, 6, 5], [8, 3, 5], [9, 7, 9], [9, 3, 2, 3], [8], [4, 6, 1]],
        _WANTED,
    ),
    ([[4, 4], [5, 1], [2, 3, 4], [6, 6, 1], [7]], [[4, 4], [1, 5], [2, 3, 4], [6, 1], [7]]),
    ([[5], [1, 2], [3]], [[1, 2], [1, 2], [5]]),
    ([[1, 4], [2, 2], [5, 2, 7]], [[2, 3], [2, 2], [6, 2, 8]]),
    ([[1, 2, 3], [1, 2, 3], [2], [4]], [[1, 2, 3], [1, 2, 3], [2], [5, 5]]),
    ([[6, 4], [2, 1, 2]], [[6, 4], [2, 1, 2]]),
    ([[3, 5], [4, 6], [7, 2]], [[3, 3, 5], [4, 6], [7, 2]]),
    ([[1, 3, 7, 2], [5, 4, 8], [6, 2, 1]], [[1, 4, 7, 2], [5, 4, 3], [4, 2, 1]]),
)
"""Ordinary inputs on which a mistake must show itself too before it is named."""


def _case(answer: Answer, written: Rows, wanted: Rows | list[Tensor]) -> None:
    compare(
        answer,
        exact_match,
        (written, wanted),
        "the share",
        mistakes=(*MISTAKES, *PAIRS),
        probes=PROBES,
    )


def by_hand(answer: Answer, rng: torch.Generator) -> None:
    """three of four are right."""
    wanted = [[3, 1, 4], [1, 5], [9, 2, 6], [5]]
    written = [[3, 1, 4], [1, 5], [9, 2, 7], [5]]
    expect_no_memory(answer, (written, wanted), ([[1], [2]], [[1], [3]]), 0.75, "the share")
    _case(answer, written, wanted)


def ends(answer: Answer, rng: torch.Generator) -> None:
    """what stops too early is wrong, and what goes on after the end."""
    _case(answer, [[3, 1], [1, 5, 5], [2, 6], [4]], [[3, 1, 4], [1, 5], [2, 6], [4, 7]])
    _case(answer, [[], [4, 2], [7, 7]], [[1], [4, 2], [7]])


def order(answer: Answer, rng: torch.Generator) -> None:
    """the same tokens in another order are wrong, and so is another row's target."""
    _case(answer, [[1, 2, 3], [3, 2, 1], [5, 4]], [[3, 2, 1], [3, 2, 1], [4, 5]])
    _case(answer, [[2, 3], [1, 2], [4, 4]], [[1, 2], [2, 3], [4, 4]])


def every_id(answer: Answer, rng: torch.Generator) -> None:
    """every id counts, 0 and those of special tokens too, and so does every place."""
    _case(answer, [[4, 0], [0, 5], [0, 6, 0], [3]], [[4], [0, 5], [6], [3, 0]])
    _case(
        answer, [[12, 1], [1, 22], [7, 3, 8, 9], [2, 34]], [[12, 1], [12, 2], [7, 8, 3, 9], [23, 4]]
    )
    _case(answer, [[29], [12], [130], [7]], [[3], [2], [2], [7]])
    special = range(24, 34)
    _case(answer, [[2, i, 3] for i in special], [[2, i] for i in special])
    _case(answer, [[2, i, 3] for i in special], [[2, i, 4] for i in special])
    _case(answer, [[i, 2] for i in special], [[2] for i in special])
    _case(answer, [[2, i] for i in special], [[2] for i in special])


def tensors(answer: Answer, rng: torch.Generator) -> None:
    """the wanted targets may be tensors."""
    wanted = [torch.randint(7, (n,), generator=rng) for n in (5, 1, 7, 3, 2)]
    written = [row.tolist() for row in wanted]
    written[1], written[3] = [9], written[3][:-1]
    _case(answer, written, wanted)


def many(answer: Answer, rng: torch.Generator) -> None:
    """23 pairs of which some are right."""
    wanted = [torch.randint(3, (1 + i % 4,), generator=rng).tolist() for i in range(23)]
    written = [torch.randint(3, (1 + i % 4,), generator=rng).tolist() for i in range(23)]
    written[5], written[11], written[22] = wanted[5], wanted[11], wanted[22]
    _case(answer, written, wanted)


def long(answer: Answer, rng: torch.Generator) -> None:
    """targets of 40 tokens, of which one is wrong, early or late."""
    wanted = [torch.randint(26, (40,), generator=rng).tolist() for _ in range(7)]
    written = [
        [*row[:i], 27, *row[i + 1 :]] for i, row in zip(range(2, 40, 6), wanted, strict=True)
    ]
    _case(answer, [*written, wanted[0]], [*wanted, wanted[0]])


def all_or_none(answer: Answer, rng: torch.Generator) -> None:
    """1 where all are right, an empty one among them; 0 where none is."""
    _case(answer, [[1, 2], [], [3]], [[1, 2], [], [3]])
    _case(answer, [[1], [2, 2]], [[2], [2]])


def empty_ones(answer: Answer, rng: torch.Generator) -> None:
    """an empty target counts like any other."""
    _case(answer, [[1, 2], [], [3], [], [2]], [[1, 2], [], [4], [], [5]])
    _case(answer, [[1, 2], [4], [3], []], [[1, 2], [], [3], [5]])
