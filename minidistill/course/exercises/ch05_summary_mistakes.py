"""Chapter 05: what known wrong versions of `summarise` return."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import torch
from torch import Tensor

from minidistill.course.exercises import ch04_pairs as two
from minidistill.course.exercises.ch04_pairs import Fault, Parts


def last_place(mask: Tensor) -> Tensor:
    """Where the last real token of each row stands, (B, S) -> (B,)."""
    return (torch.arange(mask.size(1)) * mask).amax(1)


def first_place(mask: Tensor) -> Tensor:
    """Where the first real token of each row stands, (B, S) -> (B,)."""
    return mask.long().argmax(1)


def _at(states: Tensor, places: Tensor) -> Tensor:
    """One state a row, (B, S, C) and (B,) -> (B, C)."""
    return states[torch.arange(len(states)), places]


def _behind(mask: Tensor) -> Tensor:
    return (last_place(mask) + 1).clamp(max=mask.size(1) - 1)


def _by_count(mask: Tensor) -> Tensor:
    return (mask.sum(1) - 1).clamp(min=0)


def _first_run(mask: Tensor) -> Tensor:
    """The last place of the first real tokens that stand together."""
    return (mask & ~mask.roll(-1, 1)).long().argmax(1)


def _before_padding(mask: Tensor) -> Tensor:
    """The place before the first padding, 0 where there is none before it."""
    return (mask.long().cumprod(1).sum(1) - 1).clamp(min=0)


def _from_first(mask: Tensor) -> Tensor:
    return (first_place(mask) + mask.sum(1) - 1).clamp(min=0, max=mask.size(1) - 1)


_STEPS: Parts = {
    "mask": lambda mask: mask,
    "split": lambda states: states.chunk(2, dim=-1),
    "forwards_at": last_place,
    "backwards_at": first_place,
    "one_way_at": last_place,
    "take": lambda states, places, mask: _at(states, places),
    "join": lambda forwards, backwards: torch.cat([forwards, backwards], dim=-1),
    "both": lambda bidirectional: bidirectional,
    "empty": lambda summary, mask: summary.masked_fill(~mask.any(1)[:, None], 0.0),
    "result": lambda summary: summary,
}
"""The right steps: the two directions, where each has read everything, zeros for nothing."""


def build(parts: Parts) -> Callable[[Tensor, Tensor, bool], Tensor]:
    """A `summarise` in which some steps are exchanged."""
    s = SimpleNamespace(**_STEPS | parts)

    def mistaken(states: Tensor, mask: Tensor, bidirectional: bool) -> Tensor:
        mask = s.mask(mask)
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


def _one_place(last: Callable, first: Callable) -> Parts:
    """Places found once for the whole batch, in both directions."""
    return {
        "forwards_at": lambda m: last(last_place(m)).expand(len(m)),
        "one_way_at": lambda m: last(last_place(m)).expand(len(m)),
        "backwards_at": lambda m: first(first_place(m)).expand(len(m)),
    }


def _zeros_where(wrong: Callable[[Tensor], Tensor]) -> Parts:
    """More rows than the empty ones get zeros."""
    return {"empty": lambda x, m: x.masked_fill((wrong(m) | ~m.any(1))[:, None], 0.0)}


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
_FLIPPED = (
    "the backward states are turned round before one is picked: they stand at their own tokens "
    "already, place s holds what was read from the end down to s"
)
_HOLES = (
    "the real tokens are taken to stand side by side: padding may stand between them, so the last "
    "one is further on"
)
_ONE_WAY_FIRST = (
    "where bidirectional is False the first real token is read: a layer that reads forwards has "
    "read everything at the last"
)
_ONE_WAY_LAST = (
    "where bidirectional is False the last column is read: there too it is padding in all rows but "
    "the longest"
)
EMPTY = (
    "where nothing is real the summary must be zeros, whatever the states hold there "
    "(masked_fill(~mask.any(1)[:, None], 0.0))"
)
_MEAN = "this is the mean over the real tokens: read the state where everything has been read"

FAULTS: tuple[Fault, ...] = (
    (_PADDING, _both_at(_column(-1))),
    (
        "the state one place behind the last real token is read: places are counted from 0, so the "
        "last of 3 tokens stands at 2",
        _both_at(lambda m: (last_place(m) + 1) % m.size(1)),
    ),
    (
        "the state one place behind the last real token is read: places are counted from 0, so the "
        "last of 3 tokens stands at 2",
        _both_at(_behind),
    ),
    (
        "the mask is inverted: True marks a real token, whose state counts",
        {"mask": lambda m: ~m},
    ),
    (
        "the places are exchanged: the forward half has read everything at the last real token, "
        "the backward half at the first",
        {"forwards_at": first_place, "backwards_at": last_place},
    ),
    (_FLIPPED, {"backwards_at": lambda m: m.size(1) - 1 - last_place(m)}),
    (_FLIPPED, {"backwards_at": lambda m: m.size(1) - 1 - first_place(m)}),
    (
        "padding is taken to stand in front only: it may stand anywhere, so ask the mask",
        {
            **_both_at(_column(-1)),
            "backwards_at": lambda m: (m.size(1) - m.sum(1)).clamp(max=m.size(1) - 1),
        },
    ),
    (_ONE_WAY_FIRST, {"one_way_at": first_place}),
    (_ONE_WAY_LAST, {"one_way_at": _column(-1)}),
    (
        "the place is counted from the wrong end: behind mask.flip(1) place 0 is the last column, "
        "so S - 1 minus it is meant",
        _both_at(lambda m: m.flip(1).long().argmax(1)),
    ),
    (_HOLES, _both_at(_from_first)),
    (_HOLES, _both_at(_first_run)),
    (
        "the first token behind the last gap is read backwards: padding may stand between real "
        "tokens, and that direction has read everything at the very first one",
        {"backwards_at": lambda m: m.size(1) - 1 - _first_run(m.flip(1))},
    ),
    (_ONE_PLACE, _one_place(torch.max, torch.min)),
    (_ONE_PLACE, _one_place(lambda n: n[0], lambda n: n[0])),
    (
        two.two(_COUNT, _BOTH_LAST),
        {"forwards_at": _by_count, "one_way_at": _by_count, "backwards_at": _by_count},
    ),
    (
        two.two(_PADDING, _BOTH_LAST),
        {**_both_at(_column(-1)), "backwards_at": _column(-1)},
    ),
    (
        "the places are those in a row, but the rows were put behind one another (flatten): only "
        "the first is read in its own row. Keep (B, S, C) and use states[torch.arange(B), places]",
        {"take": lambda states, places, mask: states.flatten(0, 1)[places]},
    ),
    (
        "every row is read at the places of all rows, (B, B, C): states[torch.arange(B), places] "
        "pairs each row with its own place",
        {"take": lambda states, places, mask: states[:, places]},
    ),
    (
        "the state of the last token but one is read: the last real token itself is read too",
        _both_at(lambda m: (last_place(m) - 1).clamp(min=0)),
    ),
    (_COUNT, _both_at(lambda m: (m.sum(1) - 1).clamp(min=0))),
    (_COUNT, _both_at(lambda m: m.sum(1) - 1)),
    (_FIRST, _both_at(first_place)),
    (
        "the last place before the first padding is read: padding may stand before real tokens",
        _both_at(lambda m: ((~m).long().argmax(1) - 1) % m.size(1)),
    ),
    (
        "the last place before the first padding is read: padding may stand before real tokens",
        _both_at(_before_padding),
    ),
    (_ONE_PLACE, _both_at(lambda m: last_place(m)[:1].expand(len(m)))),
    (_ONE_PLACE, _both_at(lambda m: last_place(m).max().expand(len(m)))),
    (_BOTH_LAST, {"backwards_at": last_place}),
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
        "every second entry is taken for one direction: the first half of the last dimension reads "
        "forwards, the second backwards (chunk(2, dim=-1))",
        {
            "split": lambda states: (states[..., ::2], states[..., 1::2]),
            "join": lambda f, b: torch.stack([f, b], dim=-1).flatten(1),
        },
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
    (EMPTY, {"empty": lambda summary, mask: summary}),
    (
        "the rows are mixed up: those with a real token get zeros, the empty ones a state",
        {"empty": lambda summary, mask: summary.masked_fill(mask.any(1)[:, None], 0.0)},
    ),
    (
        "a row whose last real token stands at place 0 is taken for empty: 0 is a place, though "
        "`if` takes it for False",
        _zeros_where(lambda m: last_place(m) == 0),
    ),
    (
        "a row that begins with padding is taken for empty: ask mask.any(1)",
        _zeros_where(lambda m: ~m[:, 0]),
    ),
    (
        "a row that ends with padding is taken for empty: ask mask.any(1)",
        _zeros_where(lambda m: ~m[:, -1]),
    ),
    (
        "as soon as one row is empty all rows are zeros: only the empty ones are",
        _zeros_where(lambda m: (~m.any(1)).any().expand(len(m))),
    ),
    (
        "a dimension of size 1 is left over: the summary is (B, C)",
        {"result": lambda summary: summary[:, None]},
    ),
    (
        "the dimension of the texts is lost where there is only one: the summary is (1, C)",
        {"result": lambda summary: summary.squeeze(0)},
    ),
    (
        "the summary comes out with the batch last: it is (B, C)",
        {"result": lambda summary: summary.transpose(0, -1)},
    ),
)
