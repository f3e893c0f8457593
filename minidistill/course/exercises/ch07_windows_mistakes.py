"""Chapter 07: what known wrong versions of `context_windows` return."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from minidistill.course.diagnosis import Mistake
from minidistill.course.exercises.ch04_pairs import Fault, Parts, pairs, singles
from minidistill.windows import context_windows


def seen(given: Any, words: Tensor, window: int) -> Any:
    """What is compared of (context, mask): the mask, and the ids where there is a neighbour."""
    if not isinstance(given, (list, tuple)) or len(given) != 2:
        return given
    context, mask = map(_tensor, given)
    real = context_windows(words, window)[1]
    if isinstance(mask, Tensor) and mask.shape == real.shape and mask.dtype == torch.bool:
        real = real & mask  # what an answer has masked it says nothing about
    if isinstance(context, Tensor) and context.shape == real.shape:
        context = context.masked_fill(~real, 0)
    return mask, context


def _tensor(value: Any) -> Any:
    """A list of numbers as a tensor: that it is none is said once its numbers are right."""
    if not isinstance(value, (list, tuple)):
        return value
    try:
        return torch.tensor(value)
    except (TypeError, ValueError, RuntimeError):
        return value


def _offsets(window: int) -> list[int]:
    return [o for o in range(-window, window + 1) if o]


_STEPS: Parts = {
    "offsets": _offsets,
    "places": lambda N, offsets: torch.arange(N)[:, None] + torch.tensor(offsets),
    "mask": lambda places, N: (places >= 0) & (places < N),
    "look": lambda words, places: words[places.clamp(0, len(words) - 1)],
    "hide": lambda context, mask, words: mask,
    "give": lambda context, mask: (context, mask),
}


def build(parts: Parts) -> Callable[..., Any]:
    """A `context_windows` in which some steps are exchanged."""
    s = SimpleNamespace(**_STEPS | parts)

    def mistaken(words: Tensor, window: int) -> Any:
        N = len(words)
        places = s.places(N, s.offsets(window))
        mask = s.mask(places, N)
        context = s.look(words, places)
        return s.give(context, s.hide(context, mask, words))

    return mistaken


def _pushed(at_the_end: bool) -> Callable[..., Any]:
    """The neighbours that there are beside each other, what is missing before or after them."""

    def mistaken(words: Tensor, window: int) -> Any:
        context, mask = context_windows(words, window)
        order = mask.int().argsort(dim=1, descending=at_the_end, stable=True)
        return context.gather(1, order), mask.gather(1, order)

    return mistaken


def _pushed_on_each_side(words: Tensor, window: int) -> Any:
    """The left neighbours stand at the left of their half where some are missing."""
    context, mask = context_windows(words, window)
    order = mask[:, :window].int().argsort(dim=1, descending=True, stable=True)
    left = context[:, :window].gather(1, order), mask[:, :window].gather(1, order)
    return tuple(
        torch.cat([a, b[:, window:]], 1) for a, b in zip(left, (context, mask), strict=True)
    )


def _only_full(words: Tensor, window: int) -> Any:
    context, mask = context_windows(words, window)
    full = mask.all(1)
    return context[full], mask[full]


def _at_the_ends(places: Tensor, N: int) -> Tensor:
    """What lies outside in the first row and in the last."""
    row = torch.arange(N)[:, None]
    return ((row == 0) & (places < row)) | ((row == N - 1) & (places > row))


def _nearer(places: Tensor, N: int) -> Tensor:
    """Places that are nearer than the window is wide."""
    return (places - torch.arange(N)[:, None]).abs() < places.size(1) // 2


def _other_side(words: Tensor, places: Tensor) -> Tensor:
    """The words as far on the other side, in a ring."""
    return words[(2 * torch.arange(len(words))[:, None] - places) % len(words)]


_INSIDE = (
    "the first word of the text is never anybody's neighbour: places are counted from 0, and 0 is "
    "one of them"
)
ZERO_IS_A_WORD = (
    "the mask is False where the id 0 stands: 0 is a word like others. Whether there is a "
    "neighbour is a matter of its place, not of its id"
)
SELF_BY_ID = (
    "neighbours that are the same word as the middle one are masked: a word may stand twice in a "
    "window, only the middle place itself is left out"
)
ITSELF = (
    "the word itself stands in the middle of its context, which has 2 window + 1 columns: what is "
    "to be guessed must not be among what it is guessed from"
)
ALL_TRUE = (
    "the mask is True everywhere: at both ends of the text there are places where no neighbour is"
)
TOGETHER = (
    "where the text ends the neighbours move together{}: every column is one place, so a missing "
    "neighbour leaves its own column masked"
)

FAULTS: tuple[Fault, ...] = (
    (ITSELF, {"offsets": lambda window: list(range(-window, window + 1))}),
    (
        "the word itself stands in its context, and the last neighbour is missing: a range ends "
        "before its second number, and the offset 0 is not wanted",
        {"offsets": lambda window: list(range(-window, window))},
    ),
    (
        "the last neighbour on the right is missing: a range ends before its second number",
        {"offsets": lambda window: [o for o in range(-window, window) if o]},
    ),
    (
        "the neighbours stand from right to left: from left to right, as they are read",
        {"offsets": lambda window: _offsets(window)[::-1]},
    ),
    (
        "the left neighbours go from near to far: all columns go from left to right as in the text",
        {"offsets": lambda window: [*range(-1, -window - 1, -1), *range(1, window + 1)]},
    ),
    (
        "the right neighbours stand before the left ones: from left to right, as in the text",
        {"offsets": lambda window: [*range(1, window + 1), *range(-window, 0)]},
    ),
    (
        "the neighbours go from near to far, left and right in turn: from left to right, as in the "
        "text",
        {"offsets": lambda window: [s * o for o in range(1, window + 1) for s in (-1, 1)]},
    ),
    (
        "only the words on the left are there: a word's neighbours stand on both sides",
        {"offsets": lambda window: list(range(-window, 0))},
    ),
    (
        "only the words on the right are there: a word's neighbours stand on both sides",
        {"offsets": lambda window: list(range(1, window + 1))},
    ),
    (
        "the 2 window words on the right are there: half of the neighbours stand on the left",
        {"offsets": lambda window: list(range(1, 2 * window + 1))},
    ),
    (
        "the 2 window words on the left are there: half of the neighbours stand on the right",
        {"offsets": lambda window: list(range(-2 * window, 0))},
    ),
    (
        "window is taken for the words of both sides together: it is how many there are on each",
        {"offsets": lambda window: _offsets(window // 2)},
    ),
    (
        "the words right beside are left out: the nearest neighbours have the offsets -1 and 1",
        {"offsets": lambda window: [o for o in _offsets(window + 1) if abs(o) > 1]},
    ),
    (
        "the window is one word too wide on each side",
        {"offsets": lambda window: _offsets(window + 1)},
    ),
    (
        "what stands there are places in the text: look up which words stand at them",
        {"look": lambda words, places: places},
    ),
    (
        "every neighbour is the middle word: look up the words at the neighbours' places",
        {"look": lambda words, places: words[:, None].expand(places.shape)},
    ),
    (
        "the neighbours belong to the word one place further on: the word at place i is the middle "
        "of row i",
        {
            "places": lambda N, offsets: torch.arange(N)[:, None] + torch.tensor(offsets) + 1,
        },
    ),
    (
        "the rows lie one word too far to the left: the word at place i is the middle of row i",
        {
            "places": lambda N, offsets: torch.arange(N)[:, None] + torch.tensor(offsets) - 1,
        },
    ),
    (
        "the rows begin at the word: row i begins `window` words to its left",
        {
            "places": lambda N, offsets: (
                torch.arange(N)[:, None] + torch.tensor(offsets) + len(offsets) // 2
            ),
        },
    ),
    (
        "every row is the first word's: each word has its own neighbours",
        {"places": lambda N, offsets: torch.tensor(offsets).expand(N, -1)},
    ),
    (ALL_TRUE, {"mask": lambda places, N: torch.ones_like(places, dtype=torch.bool)}),
    (
        "the mask is turned round: True is where there is a neighbour",
        {"mask": lambda places, N: (places < 0) | (places >= N)},
    ),
    (
        "the mask is right at the start of the text, and True beyond its end: there is no "
        "neighbour either",
        {"mask": lambda places, N: places >= 0},
    ),
    (
        "the mask is right at the end of the text, and True before its start: there is no "
        "neighbour either (a negative index counts from the end)",
        {"mask": lambda places, N: places < N},
    ),
    (_INSIDE, {"mask": lambda places, N: (places > 0) & (places < N)}),
    (
        "the last word of the text is never anybody's neighbour: which is the last place of N?",
        {"mask": lambda places, N: (places >= 0) & (places < N - 1)},
    ),
    (
        "the mask is True one place beyond the end: which is the last place of N?",
        {"mask": lambda places, N: (places >= 0) & (places <= N)},
    ),
    (
        "the mask is True one place before the start: which is the first place?",
        {"mask": lambda places, N: (places >= -1) & (places < N)},
    ),
    (
        "a row is masked as a whole where one neighbour is missing: the others are real",
        {"mask": lambda places, N: _inside(places, N).all(1, keepdim=True).expand(places.shape)},
    ),
    (
        "only the windows of the first and of the last word are cut: with a window above 1 the "
        "words next to them lack neighbours too",
        {"mask": lambda places, N: ~_at_the_ends(places, N)},
    ),
    (
        "the farthest neighbours are masked: a window of 2 reaches two words to each side, the "
        "second one included",
        {"mask": lambda places, N: _inside(places, N) & _nearer(places, N)},
    ),
    (
        "the ids come from the other side of the word, though the mask is right: which way does an "
        "offset, or a roll, move the words?",
        {"look": _other_side},
    ),
    (ZERO_IS_A_WORD, {"hide": lambda context, mask, words: mask & (context != 0)}),
    (SELF_BY_ID, {"hide": lambda context, mask, words: mask & (context != words[:, None])}),
    (
        "the mask has one entry a row: one for every place, (N, 2 window)",
        {"hide": lambda context, mask, words: mask.all(1)},
    ),
    (
        "the mask has one entry a row: one for every place, (N, 2 window)",
        {"hide": lambda context, mask, words: mask.any(1)},
    ),
    (
        "the mask comes first, the context second: return context, mask",
        {"give": lambda context, mask: (mask, context)},
    ),
    (
        "a column belongs to each word: a row, (N, 2 window)",
        {"give": lambda context, mask: (context.transpose(0, 1), mask.transpose(0, 1))},
    ),
)


def _inside(places: Tensor, N: int) -> Tensor:
    return (places >= 0) & (places < N)


MISTAKES: tuple[Mistake, ...] = (
    *singles(build, FAULTS),
    (TOGETHER.format(" to the left"), _pushed(True)),
    (TOGETHER.format(" to the right"), _pushed(False)),
    (
        "where the text begins the left neighbours move together to the left: the nearest stands "
        "in the column beside the middle, and what is missing comes before it",
        _pushed_on_each_side,
    ),
    (
        "words near the ends of the text have no row, as their windows are not full: every word "
        "has a row, N in all",
        _only_full,
    ),
)
PAIRS = tuple(pairs(build, FAULTS))
"""Two mistakes at once."""
