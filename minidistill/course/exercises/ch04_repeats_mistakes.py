"""Chapter 04: what known wrong versions of `block_repeats` return."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import torch
from torch import Tensor

from minidistill.course.exercises import ch04_pairs as two
from minidistill.course.exercises.ch04_pairs import Fault, Parts
from minidistill.course.exercises.ch04_repeats_finds import FINDS, context, followers

_Texts = list[list[int]]
_Found = list[list[int]]


def _nothing_left(x: Tensor, gone: Tensor) -> Tensor:
    """The rows (B, 1) that would be minus infinity everywhere."""
    return (gone | (x == -torch.inf)).all(-1, keepdim=True)


_STEPS: Parts = {
    "texts": lambda texts: texts,
    "find": lambda text, n: followers(text, n - 1),
    "found": lambda found: found,
    "guard": lambda x, gone: gone & ~_nothing_left(x, gone),
    "result": two.cut,
}
"""The right steps: each row's text, what to block in it, and a row that would lose everything."""


def _build(parts: Parts) -> Callable[[Tensor, Tensor, int], Tensor]:
    s = SimpleNamespace(**_STEPS | parts)

    def mistaken(x: Tensor, tokens: Tensor, n: int) -> Tensor:
        found = s.found([list(s.find(text, n)) for text in s.texts(tokens.tolist())])
        gone = torch.zeros_like(x, dtype=torch.bool)
        for row, ids in enumerate(found):
            gone[row, ids] = True
        return s.result(x, s.guard(x, gone))

    return mistaken


def _of_all(found: _Found) -> _Found:
    return [[token for ids in found for token in ids]] * len(found)


def _any_row_stops(x: Tensor, gone: Tensor) -> Tensor:
    return gone & ~_nothing_left(x, gone).any()


def _all_rows_stop(x: Tensor, gone: Tensor) -> Tensor:
    return gone & ~_nothing_left(x, gone).all()


def _joined(logits: Tensor, tokens: Tensor, n: int) -> Tensor:
    """Each row's end is sought in the texts of all rows."""
    texts = tokens.tolist()
    gone = torch.zeros_like(logits, dtype=torch.bool)
    for row, text in enumerate(texts):
        for other in texts:
            for start in range(len(other) - n + 1):
                if other[start : start + n - 1] == context(text, n - 1):
                    gone[row, other[start + n - 1]] = True
    return two.cut(logits, gone & ~_nothing_left(logits, gone))


_EMPTY = (
    "a row that may write nothing is left with -inf everywhere, and its softmax is NaN: where "
    "all tokens would go, the row stays as it was"
)

_FAULTS: tuple[Fault, ...] = (
    *FINDS,
    (
        "what one row must not write is blocked in all rows: rows are different texts",
        {"found": _of_all},
    ),
    (
        "the first row's text is read for all rows: every row has its own",
        {"texts": lambda texts: [texts[0]] * len(texts)},
    ),
    (_EMPTY, {"guard": lambda x, gone: gone}),
    (_EMPTY, {"guard": _all_rows_stop}),
    (
        "as soon as one row may write nothing, no row is blocked: decide row by row",
        {"guard": _any_row_stops},
    ),
    (
        "what an earlier rule removed is forgotten: a row may write nothing when all its logits "
        "are -inf, not only when all its tokens are blocked here",
        {"guard": lambda x, gone: gone & ~gone.all(-1, keepdim=True)},
    ),
    (
        "the blocked tokens stay and all others go: it is the other way round",
        {"result": lambda x, gone: two.cut(x, ~gone)},
    ),
    *two.RESULTS,
)

MISTAKES = (
    (
        "nothing is blocked: a token goes that would complete n tokens already in the text",
        lambda x, t, n: x,
    ),
    *two.singles(_build, _FAULTS),
    ("n-grams of other rows are blocked: rows are different texts", _joined),
)

PAIRS = tuple(two.pairs(_build, _FAULTS))
"""Two mistakes at once."""
