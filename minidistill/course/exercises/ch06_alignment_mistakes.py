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


def _first_run(alignment: Tensor) -> Tensor:
    """Known until the first that is not."""
    return (alignment != IGNORE).cumprod(1).bool()


def _at_the_front(alignment: Tensor) -> Tensor:
    """As many as are known, counted from the front."""
    return torch.arange(alignment.size(1)) < (alignment != IGNORE).sum(1, keepdim=True)


def _until_any_ends(alignment: Tensor) -> Tensor:
    """Known until the first, in any row from the top, that is not."""
    return (alignment != IGNORE).flatten().cumprod(0).bool().view_as(alignment)


def _rows_without(alignment: Tensor) -> Tensor:
    return (alignment != IGNORE).all(1, keepdim=True).expand_as(alignment)


def _guessed(alignment: Tensor) -> Tensor:
    return alignment.clamp(min=0)


def _among(count: int) -> Callable[..., tuple[int, int]]:
    """A hit where the true place is among the largest few."""

    def mistaken(weights: Tensor, alignment: Tensor) -> tuple[int, int]:
        known = alignment != IGNORE
        best = weights.topk(min(count, weights.size(-1))).indices
        return int(((best == alignment[..., None]).any(-1) & known).sum()), int(known.sum())

    return mistaken


def _added_up(weights: Tensor, alignment: Tensor) -> tuple[float, int]:
    known = alignment != IGNORE
    there = weights.gather(2, alignment.clamp(min=0)[..., None])[..., 0]
    return float(there[known].sum()), int(known.sum())


def _of_the_sure(weights: Tensor, alignment: Tensor) -> tuple[int, int]:
    return alignment_with()(weights, alignment.masked_fill(weights.amax(-1) <= 0.5, IGNORE))


def _from_the_source(weights: Tensor, alignment: Tensor) -> tuple[int, int]:
    """Whether the target that looks most at the true place is this one."""
    known = alignment != IGNORE
    most = weights.argmax(1).gather(1, alignment.clamp(min=0))
    here = torch.arange(alignment.size(1))
    return int(((most == here) & known).sum()), int(known.sum())


def _shortened(weights: Tensor, alignment: Tensor) -> tuple[int, int]:
    return alignment_with()(weights[:, :-1], alignment[:, :-1])


_HOLES = (
    "counting ends at the first target of unknown origin, or takes the known ones to stand at the "
    "front: an unknown one may stand anywhere, so ask each target token"
)
_FRONT = "place 0 is put in where the origin is unknown, and counts as one: leave those out"
_ROWS = "the second number is no count of target tokens: how many of them have a known origin"
_SHARE = "the first number is a share: how many are right, a count; the caller divides"

RARE: list[Single] = [
    (
        "targets of unknown origin are counted as right, and as known: leave them out of both",
        {
            "known": lambda alignment: torch.ones_like(alignment, dtype=torch.bool),
            "right": lambda places, wanted, known: (places == wanted) | (wanted == IGNORE),
        },
    ),
    (
        "the second number counts the targets of unknown origin: those of known origin",
        {"count": lambda right, known: (right.sum(), (~known).sum())},
    ),
    (
        "the first number counts all targets that are not right: count the right ones",
        {"count": lambda right, known: ((~right).sum(), known.sum())},
    ),
    (_HOLES, {"known": _first_run}),
    (_HOLES, {"known": _at_the_front}),
    (
        "counting ends for good at the first target of unknown origin: go on with the next",
        {"known": _until_any_ends},
    ),
    (
        "a whole text is left out where one of its targets is of unknown origin: that one alone",
        {"known": _rows_without},
    ),
    (_FRONT, {"wanted": _guessed, "right": lambda places, wanted, known: places == wanted}),
    (
        _FRONT,
        {
            "wanted": _guessed,
            "known": lambda alignment: torch.ones_like(alignment, dtype=torch.bool),
        },
    ),
    (
        "the first text decides which targets are known in all texts: each has its own length",
        {"known": lambda alignment: (alignment[:1] != IGNORE).expand_as(alignment)},
    ),
    (
        "only the last text of the batch is counted: all of them",
        {"count": lambda right, known: (right[-1].sum(), known[-1].sum())},
    ),
    (
        "texts are counted that have one right target at least: each target counts by itself",
        {"count": lambda right, known: (right.any(1).sum(), known.any(1).sum())},
    ),
    (_ROWS, {"count": lambda right, known: (right.sum(), len(known))}),
    (_ROWS, {"count": lambda right, known: (right.sum(), known.size(1))}),
    (_SHARE, {"give": lambda right, known: (right / max(known, 1), known)}),
    (_SHARE, {"give": lambda right, known: (100 * right / max(known, 1), known)}),
    (_SHARE, {"give": lambda right, known: (100 * right // max(known, 1), known)}),
    (
        "where nothing is known, the second number is 0: the caller sees to the division",
        {"give": lambda right, known: (right, known or 1)},
    ),
    (
        "the largest weight itself is compared with the place: where it stands, argmax(-1)",
        {"places": lambda weights: weights.amax(-1)},
    ),
    (
        "the weights are searched all together: for each target its own largest, argmax(-1)",
        {"places": lambda weights: weights.argmax().expand(weights.shape[:2])},
    ),
    (
        "the places are counted from the end of the source: from its start",
        {"places": lambda weights: weights.size(-1) - 1 - weights.argmax(-1)},
    ),
    (
        "this is the mean place, weighted: the place of the largest weight, argmax(-1)",
        {"places": lambda w: (w * torch.arange(w.size(-1))).sum(-1).round().long()},
    ),
    (
        "the weights are rounded before the largest is sought, and then several are alike",
        {"places": lambda weights: weights.round(decimals=1).argmax(-1)},
    ),
    (
        "the weights are rounded before the largest is sought, and then several are alike",
        {"places": lambda weights: weights.round(decimals=2).argmax(-1)},
    ),
]
"""Each by itself; with another mistake beside it one would hardly tell it."""

MISTAKES = alone(alignment_with, SINGLES + RARE)
MISTAKES += [
    (
        "the true place is among the largest weights, and that counts: only the largest does",
        _among(2),
    ),
    (
        "the true place is among the largest weights, and that counts: only the largest does",
        _among(3),
    ),
    (
        "the weights at the true places are added up: count the places where the weight is largest",
        _added_up,
    ),
    (
        "targets whose largest weight is small are left out: the largest counts, however small",
        _of_the_sure,
    ),
    (
        "for each source token the target is sought that looks at it most: for each target, the "
        "source token that it looks at most",
        _from_the_source,
    ),
    ("the last target is left out: <eos> has no known origin, so -100 tells it", _shortened),
]
PAIRS = pairs(alignment_with, SINGLES)
