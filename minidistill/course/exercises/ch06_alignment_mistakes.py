"""Chapter 06: known wrong versions of `alignment_accuracy`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from minidistill.batches import IGNORE
from minidistill.course.exercises.ch03_pairs import Single, alone, pairs


def alignment_with(
    places: Callable[[Tensor], Tensor] = lambda weights: weights.argmax(-1),
    wanted: Callable[[Tensor], Tensor] = lambda alignment: alignment,
    known: Callable[[Tensor], Tensor] = lambda alignment: alignment != IGNORE,
    right: Callable[..., Tensor] = lambda places, wanted, known: (places == wanted) & known,
    count: Callable[[Tensor, Tensor], Any] = lambda right, known: (int(right.sum()), known.sum()),
    give: Callable[[int, int], Any] = lambda right, known: (right, known),
) -> Callable[..., Any]:
    """The count with some parts exchanged.

    Args:
        places: where each target token looked, (B, T).
        wanted: where it should have, from the alignment.
        known: which target tokens have an origin.
        right: which are right.
        count: two numbers, from which are right and which are known.
        give: what is returned.
    """

    def mistaken(weights: Tensor, alignment: Tensor) -> Any:
        found, true = places(weights), wanted(alignment)
        if found.shape != true.shape:
            found, true = found[:, : true.size(1)], true[:, : found.size(1)]
            alignment = true
        counted = known(alignment)
        hits, number = count(right(found, true, counted), counted)
        return give(int(hits), int(number))

    return mistaken


def _weighed(right: Tensor, known: Tensor) -> tuple[int, int]:
    rows = known.any(1)
    return int((right | ~known).all(1)[rows].sum()), int(rows.sum())


_ALL = "padding is counted as known: only targets whose origin is not -100 are"
_ZERO = "place 0, the source's first token, is not counted: unknown is -100 alone"
_PAIR = "two numbers are asked for, (right, known): the caller divides"

SINGLES: list[Single] = [
    (_ALL, {"known": lambda alignment: torch.ones_like(alignment, dtype=torch.bool)}),
    (_ZERO, {"known": lambda alignment: alignment > 0}),
    (
        "targets of unknown origin are counted as right, not only left out",
        {"right": lambda places, wanted, known: (places == wanted) | ~known},
    ),
    (
        "these are the targets that looked at the wrong place: count the right ones",
        {"right": lambda places, wanted, known: (places != wanted) & known},
    ),
    (
        "every token whose place is known counts as right: compare it with the largest weight",
        {"right": lambda places, wanted, known: known},
    ),
    (
        "a place beside the true one is counted as right, too: only the place itself is",
        {"right": lambda places, wanted, known: ((places - wanted).abs() <= 1) & known},
    ),
    (
        "the largest weight is sought over the targets: over the source, argmax(-1)",
        {"places": lambda weights: weights.argmax(1)},
    ),
    (
        "the smallest weight is sought: argmax, not argmin",
        {"places": lambda weights: weights.argmin(-1)},
    ),
    (
        "a weight must be over 1/2 here: the largest counts, however small it is",
        {
            "places": lambda weights: torch.where(
                weights.amax(-1) > 0.5, weights.argmax(-1), IGNORE - 1
            )
        },
    ),
    (
        "the places are counted from 1: the source's first token has the number 0",
        {"wanted": lambda alignment: alignment - 1},
    ),
    (
        "the places are counted from 1: the source's first token has the number 0",
        {"wanted": lambda alignment: alignment + 1},
    ),
    (
        "row t of the weights is compared with target t + 1: row t was looked up before target t "
        "was written",
        {"wanted": lambda alignment: alignment.roll(-1, 1)},
    ),
    (
        "row t of the weights is compared with target t - 1: row t was looked up before target t "
        "was written",
        {"wanted": lambda alignment: alignment.roll(1, 1)},
    ),
    (
        "row t of the weights is compared with target t + 1: row t was looked up before target t "
        "was written",
        {"wanted": lambda alignment: alignment[:, 1:]},
    ),
    (
        "row t of the weights is compared with target t - 1: row t was looked up before target t "
        "was written",
        {"places": lambda weights: weights[:, 1:].argmax(-1)},
    ),
    (
        "only the first text of the batch is counted: all of them",
        {"count": lambda right, known: (right[0].sum(), known[0].sum())},
    ),
    (
        "whole texts are counted: each target token counts by itself",
        {"count": _weighed},
    ),
    (_PAIR, {"give": lambda right, known: right / max(known, 1)}),
    (_PAIR, {"give": lambda right, known: 100 * right / max(known, 1)}),
    (_PAIR, {"give": lambda right, known: right}),
    ("the two numbers are swapped: (right, known)", {"give": lambda right, known: (known, right)}),
    (
        "the second number counts the wrong ones: how many have a known origin",
        {"give": lambda right, known: (right, known - right)},
    ),
]

MISTAKES = alone(alignment_with, SINGLES)
PAIRS = pairs(alignment_with, SINGLES)
