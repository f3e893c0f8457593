"""Chapter 05: the cases of shift_targets."""

from __future__ import annotations

import torch

from minidistill.batches import shift_targets
from minidistill.course.answer import Answer
from minidistill.course.diagnosis import compare, expect_no_memory
from minidistill.course.exercises.ch05_mask import is_tensor
from minidistill.course.exercises.ch05_shift_more import MISTAKES, PAIRS

_WHAT = "(target_in, target_out, mask)"
PROBES = (
    ([[4, 9, 3], [8, 5], [6, 5, 2, 9, 4], [9]], 10, 11, 12),
    ([[3, 6, 7, 5], [2, 5], [9, 8, 6], [7, 7, 2, 3]], 14, 13, 0),
    ([[5, 4], [6, 2, 7, 8, 3, 3]], 11, 0, 1),
)
"""Ordinary inputs on which a mistake must show itself too before it is named."""


def _case(answer: Answer, targets: list[list[int]], bos: int, eos: int, padding: int) -> None:
    got = compare(
        answer,
        shift_targets,
        (targets, bos, eos, padding),
        _WHAT,
        mistakes=(*MISTAKES, *PAIRS),
        probes=PROBES,
    )
    for value, name in zip(got, ("target_in", "target_out", "the mask"), strict=True):
        is_tensor(value, name)


def _rows(rng: torch.Generator, lengths: list[int], vocabulary: int) -> list[list[int]]:
    return [torch.randint(vocabulary, (n,), generator=rng).tolist() for n in lengths]


def by_hand(answer: Answer, rng: torch.Generator) -> None:
    """two targets of 3 and 2 tokens; bos is 7, eos 8, padding 9."""
    args = ([[4, 5, 6], [1, 2]], 7, 8, 9)
    other = ([[4, 5, 6], [1, 2, 3]], 7, 8, 9)
    expect_no_memory(answer, args, other, shift_targets(*args), _WHAT)
    _case(answer, *args)


def ragged(answer: Answer, rng: torch.Generator) -> None:
    """five ragged targets of random ids."""
    lengths = [*torch.randint(1, 9, (4,), generator=rng).tolist(), 11]
    order = torch.randperm(5, generator=rng).tolist()
    _case(answer, _rows(rng, [lengths[i] for i in order], 17), 18, 17, 19)


def other_ids(answer: Answer, rng: torch.Generator) -> None:
    """padding is 0, eos is 1, bos is 2: they may be any ids."""
    rows = [[i + 3 for i in row] for row in _rows(rng, [3, 7, 1], 11)]
    _case(answer, rows, 2, 1, 0)


def same_ids(answer: Answer, rng: torch.Generator) -> None:
    """a token that has the padding's id stays real; eos may be the padding's id too."""
    _case(answer, [[5, 2, 2], [7, 2], [2, 4, 3, 3, 2]], 8, 9, 2)
    _case(answer, [[5, 3, 4], [7], [4, 3, 3, 5]], 1, 0, 0)


def special_inside(answer: Answer, rng: torch.Generator) -> None:
    """bos and eos may stand inside a target, and any id may be 0."""
    _case(answer, [[5, 8, 2], [7, 8], [8], [2, 7, 7, 3]], 7, 8, 9)
    _case(answer, [[0, 4, 0, 6], [3, 0]], 0, 1, 2)
    _case(answer, [[0, 27, 28, 29, 30, 26], [30, 31]], 40, 41, 42)


def empty(answer: Answer, rng: torch.Generator) -> None:
    """an empty target: bos is read, and eos should follow."""
    _case(answer, [[4, 5, 3], [], [6, 2]], 7, 8, 9)


def alike(answer: Answer, rng: torch.Generator) -> None:
    """targets of equal length, and a single one."""
    _case(answer, [[4, 2, 6], [3, 5, 1]], 7, 8, 9)
    _case(answer, [[4, 2, 6, 5]], 7, 8, 9)
