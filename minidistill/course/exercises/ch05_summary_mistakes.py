"""Chapter 05: what known wrong versions of `summarise` return."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import torch
from torch import Tensor

from minidistill.course.exercises import ch04_pairs as two
from minidistill.course.exercises.ch04_pairs import Fault, Parts


def _last(mask: Tensor) -> Tensor:
    return (torch.arange(mask.size(1)) * mask).amax(1)


def _first(mask: Tensor) -> Tensor:
    return mask.long().argmax(1)


def _at(states: Tensor, places: Tensor) -> Tensor:
    """One state a row, (B, S, C) and (B,) -> (B, C)."""
    return states[torch.arange(len(states)), places]


_STEPS: Parts = {
    "split": lambda states: states.chunk(2, dim=-1),
    "forwards_at": _last,
    "backwards_at": _first,
    "one_way_at": _last,
    "take": lambda states, places, mask: _at(states, places),
    "join": lambda forwards, backwards: torch.cat([forwards, backwards], dim=-1),
    "both": lambda bidirectional: bidirectional,
    "empty": lambda summary, mask: summary.masked_fill(~mask.any(1)[:, None], 0.0),
    "result": lambda summary: summary,
}
"""The right steps: the two directions, where each has read everything, zeros for nothing."""


def _build(parts: Parts) -> Callable[[Tensor, Tensor, bool], Tensor]:
    s = SimpleNamespace(**_STEPS | parts)

    def mistaken(states: Tensor, mask: Tensor, bidirectional: bool) -> Tensor:
        if s.both(bidirectional):
            forwards, backwards = s.split(states)
            summary = s.join(
                s.take(forwards, s.forwards_at(mask), mask),
                s.take(backwards, s.backwards_at(mask), mask),
            )
        else:
            summary = s.take(states, s.one_way_at(mask), mask)
        return s.result(s.empty(summary, mask))

    return mistaken


def _column(place: int) -> Callable[[Tensor], Tensor]:
    return lambda mask: torch.full((len(mask),), place % mask.size(1))


def _both_at(where: Callable[[Tensor], Tensor]) -> Parts:
    return {"forwards_at": where, "one_way_at": where}


def _pooled(pool: Callable[[Tensor, Tensor], Tensor]) -> Parts:
    return {"take": lambda states, places, mask: pool(states, mask)}


def _mean(states: Tensor, mask: Tensor) -> Tensor:
    return (states * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True).clamp(min=1)


def _largest(states: Tensor, mask: Tensor) -> Tensor:
    return states.masked_fill(~mask[:, :, None], -torch.inf).amax(1)


_PADDING = (
    "the last column is read, which is padding in all rows but the longest: read the state after "
    "each row's last real token"
)
_FRONT = (
    "the backward half is read at the first column: where padding stands in front, its first real "
    "token comes later (mask.long().argmax(1) is the place of the first True)"
)
_COUNT = (
    "the number of real tokens is taken for the place of the last one: that is only so where no "
    "padding stands before it. Multiply the places 0 .. S - 1 by the mask and take the largest"
)
_BOTH_LAST = (
    "the backward half is read at the last real token, where that direction has only begun: it has "
    "read everything at the first"
)
_FIRST = (
    "the forward half is read at the first real token, where it has only begun: it has read "
    "everything at the last"
)
_ONE_PLACE = "the same place is read in all rows: each row ends at a place of its own"
_EMPTY = (
    "where nothing is real the summary must be zeros: now it is the state of a padding token "
    "(masked_fill(~mask.any(1)[:, None], 0.0))"
)
_MEAN = "this is the mean over the real tokens: read the state where everything has been read"

_FAULTS: tuple[Fault, ...] = (
    (_PADDING, _both_at(_column(-1))),
    (
        "the state one place behind the last real token is read: places are counted from 0, so the "
        "last of 3 tokens stands at 2",
        _both_at(lambda m: (_last(m) + 1) % m.size(1)),
    ),
    (
        "the state of the last token but one is read: the last real token itself is read too",
        _both_at(lambda m: (_last(m) - 1).clamp(min=0)),
    ),
    (_COUNT, _both_at(lambda m: (m.sum(1) - 1).clamp(min=0))),
    (_COUNT, _both_at(lambda m: m.sum(1) - 1)),
    (_FIRST, _both_at(_first)),
    (
        "the last place before the first padding is read: padding may stand before real tokens",
        _both_at(lambda m: ((~m).long().argmax(1) - 1) % m.size(1)),
    ),
    (_ONE_PLACE, _both_at(lambda m: _last(m)[:1].expand(len(m)))),
    (_ONE_PLACE, _both_at(lambda m: _last(m).max().expand(len(m)))),
    (_BOTH_LAST, {"backwards_at": _last}),
    (_FRONT, {"backwards_at": _column(0)}),
    (
        "the backward half is read at the last column: that direction has read everything at the "
        "first real token",
        {"backwards_at": _column(-1)},
    ),
    (_MEAN, _pooled(_mean)),
    (
        "this is the mean over all places, padding and all: read the state where everything has "
        "been read",
        _pooled(lambda states, mask: states.mean(1)),
    ),
    (
        "this is the largest of each entry: read the state where everything has been read",
        _pooled(_largest),
    ),
    (
        "the states are added up: read the one state where everything has been read",
        _pooled(lambda states, mask: (states * mask[:, :, None]).sum(1)),
    ),
    (
        "the two halves are mixed up: the first half of the last dimension reads forwards",
        {"split": lambda states: states.chunk(2, dim=-1)[::-1]},
    ),
    (
        "every second entry is taken for one direction: the first half of the last dimension reads "
        "forwards, the second backwards (chunk(2, dim=-1))",
        {"split": lambda states: (states[..., ::2], states[..., 1::2])},
    ),
    (
        "the halves are joined in the wrong order: [forwards; backwards]",
        {"join": lambda f, b: torch.cat([b, f], dim=-1)},
    ),
    (
        "the two directions are added: put them beside each other, (B, 2H)",
        {"join": lambda f, b: f + b},
    ),
    (
        "the backward half is missing: [forwards; backwards], (B, 2H)",
        {"join": lambda f, b: f},
    ),
    (
        "bidirectional is ignored: where it is False, there is one direction and nothing to split",
        {"both": lambda b: True},
    ),
    ("bidirectional is taken the wrong way round", {"both": lambda b: not b}),
    (_EMPTY, {"empty": lambda summary, mask: summary}),
    (
        "a dimension of size 1 is left over: the summary is (B, C)",
        {"result": lambda summary: summary[:, None]},
    ),
    (
        "the summary comes out with the batch last: it is (B, C)",
        {"result": lambda summary: summary.T},
    ),
)

MISTAKES = tuple(two.singles(_build, _FAULTS))
PAIRS = tuple(two.pairs(_build, _FAULTS))
"""Two mistakes at once."""
