"""Chapter 05: what known wrong versions of `lengths_to_mask` return."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import torch
from torch import Tensor

from minidistill.course.exercises import ch04_pairs as two
from minidistill.course.exercises.ch04_pairs import Fault, Parts

_STEPS: Parts = {
    "lengths": lambda lengths: lengths,
    "width": lambda lengths, limit: int(lengths.max()) if limit is None else limit,
    "places": torch.arange,
    "real": lambda places, lengths: places < lengths.unsqueeze(1),
    "result": lambda mask: mask,
}
"""The right steps: the lengths, how wide, the places 0 .. T - 1, where a token is real."""


def _build(parts: Parts) -> Callable[..., Tensor]:
    s = SimpleNamespace(**_STEPS | parts)

    def mistaken(lengths: Tensor, max_length: int | None = None) -> Tensor:
        used = s.lengths(lengths)
        places = s.places(s.width(used, max_length))  # (T,)
        return s.result(s.real(places, used))

    return mistaken


def _or(limit: int | None, width: Tensor | int) -> int:
    return int(width) if limit is None else limit


_ONE_MORE = "one place too many is real in each row: places are counted from 0, so use <, not <="
_ONE_LESS = (
    "one place too few is real in each row: places are counted from 0 (torch.arange(T)), so a text "
    "of 3 tokens has the places 0, 1 and 2"
)
_FRONT = "the tokens are marked at the end of each row: they stand in front, the padding behind"
_BY_LAST = "only the last token of each text is marked: all of them are real"
_NOT_BOOL = "the mask must hold True and False (torch.bool), as a comparison gives them"

_FAULTS: tuple[Fault, ...] = (
    ("the mask is inverted: True marks a real token", {"result": lambda m: ~m}),
    (_ONE_MORE, {"real": lambda p, n: p <= n.unsqueeze(1)}),
    (_ONE_LESS, {"real": lambda p, n: p + 1 < n.unsqueeze(1)}),
    (
        "the first token of each text is not marked: a real token stands at place 0",
        {"real": lambda p, n: (p > 0) & (p < n.unsqueeze(1))},
    ),
    (_BY_LAST, {"real": lambda p, n: p == n.unsqueeze(1) - 1}),
    (
        "only the place behind each text is False: all that follow are padding too, so use < and "
        "not !=",
        {"real": lambda p, n: p != n.unsqueeze(1)},
    ),
    (
        "the last token is not marked where a text fills its row: a text of T tokens has no "
        "padding at all",
        {"real": lambda p, n: p < n.clamp(max=len(p) - 1).unsqueeze(1)},
    ),
    (
        "the place behind the last token is marked, and nothing else: mark the tokens",
        {"real": lambda p, n: p == n.unsqueeze(1)},
    ),
    (_FRONT, {"real": lambda p, n: p >= len(p) - n.unsqueeze(1)}),
    (
        "all of the mask is True: it must be False behind the end of each text",
        {"real": lambda p, n: torch.ones(len(n), len(p), dtype=torch.bool)},
    ),
    (
        "every row has the first text's length: compare each row with its own (lengths[:, None])",
        {"real": lambda p, n: (p < n[0]).expand(len(n), -1)},
    ),
    (
        "every row has the shortest text's length: compare each row with its own "
        "(lengths[:, None])",
        {"real": lambda p, n: (p < n.min()).expand(len(n), -1)},
    ),
    (
        "every row has the longest text's length: compare each row with its own (lengths[:, None])",
        {"real": lambda p, n: (p < n.max()).expand(len(n), -1)},
    ),
    (
        "an empty text has a real token: a length of 0 gives a row that is all False",
        {"lengths": lambda n: n.clamp(min=1)},
    ),
    (
        "empty texts are left out: one row for each length, that one all False",
        {"lengths": lambda n: n[n > 0]},
    ),
    (
        "the rows are sorted by their length: leave them in their order",
        {"lengths": lambda n: n.sort(descending=True).values},
    ),
    (
        "the rows are sorted by their length: leave them in their order",
        {"lengths": lambda n: n.sort().values},
    ),
    (
        "max_length is ignored: where it is given, the mask is so wide",
        {"width": lambda n, limit: int(n.max())},
    ),
    (
        "the mask is as wide as there are texts: without max_length, as wide as the longest",
        {"width": lambda n, limit: _or(limit, len(n))},
    ),
    (
        "the mask is as wide as the first text is long: take the longest",
        {"width": lambda n, limit: _or(limit, n[0])},
    ),
    (
        "the mask is as wide as the last text is long: take the longest",
        {"width": lambda n, limit: _or(limit, n[-1])},
    ),
    (
        "the mask is as wide as the shortest text is long: take the longest",
        {"width": lambda n, limit: _or(limit, n.min())},
    ),
    (
        "the mask is as wide as all texts together: take the longest",
        {"width": lambda n, limit: _or(limit, n.sum())},
    ),
    (
        "the mask has one column too many: T is the longest length, or max_length",
        {"width": lambda n, limit: 1 + _or(limit, n.max())},
    ),
    (
        "without max_length the mask has one column too many: T is the longest length itself",
        {"width": lambda n, limit: _or(limit, n.max() + 1)},
    ),
    (
        "max_length is added to the longest length: where it is given, it is the width itself",
        {"width": lambda n, limit: int(n.max()) + (limit or 0)},
    ),
    (
        "the mask has one column too few: torch.arange(T) ends at T - 1 by itself",
        {"width": lambda n, limit: _or(limit, n.max()) - 1},
    ),
    (
        "the mask comes out time first (T, B): the texts are dimension 0",
        {"result": lambda m: m.T},
    ),
    (
        "the dimension of the texts is lost where there is only one: its mask is (1, T)",
        {"result": lambda m: m.squeeze(0)},
    ),
    (_NOT_BOOL, {"result": lambda m: m.long()}),
    (_NOT_BOOL, {"result": lambda m: m.float()}),
    (
        "these are 0 and minus infinity, to be added to scores: here True and False are wanted",
        {"result": lambda m: torch.zeros(m.shape).masked_fill(~m, -torch.inf)},
    ),
    (
        "these are the lengths again: return the mask, (B, T)",
        {"result": lambda m: m.sum(1)},
    ),
)


def _on_one_string(lengths: Tensor, max_length: int | None = None) -> Tensor:
    width = _or(max_length, lengths.max())
    return (torch.arange(len(lengths) * width) < lengths.sum()).view(len(lengths), width)


def _with_a_limit(real: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    """Right without max_length, another comparison with it."""
    other = _build({"real": real})

    def mistaken(lengths: Tensor, max_length: int | None = None) -> Tensor:
        return (_build({}) if max_length is None else other)(lengths, max_length)

    return mistaken


MISTAKES = (
    *two.singles(_build, _FAULTS),
    (
        "the rows are counted through as one long text: every row begins at place 0 again",
        _on_one_string,
    ),
    (
        "where max_length is given all of the mask is True: the texts are as long as before, and "
        "the rest is padding",
        _with_a_limit(lambda p, n: torch.ones(len(n), len(p), dtype=torch.bool)),
    ),
    (
        "where max_length is given one place too many is real in each row: use <, not <=",
        _with_a_limit(lambda p, n: p <= n.unsqueeze(1)),
    ),
)
PAIRS = tuple(two.pairs(_build, _FAULTS))
"""Two mistakes at once."""
