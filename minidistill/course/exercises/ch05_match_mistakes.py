"""Chapter 05: what known wrong versions of `exact_match` return."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from torch import Tensor

from minidistill.course.exercises import ch04_pairs as two
from minidistill.course.exercises.ch04_pairs import Fault, Parts

Row = list[int]
_Rows = list[Row]


def _ids(row: Sequence[int] | Tensor) -> Row:
    return [int(i) for i in row]


_STEPS: Parts = {
    "rows": lambda written, wanted: (written, wanted),
    "right": lambda one, other: one == other,
    "share": lambda right, written, wanted: sum(right) / len(wanted),
    "result": lambda share: share,
}
"""The right steps: which rows, whether one is right, the share of those that are."""


def _build(parts: Parts) -> Callable[..., Any]:
    s = SimpleNamespace(**_STEPS | parts)

    def mistaken(written: Sequence, wanted: Sequence) -> Any:
        mine, theirs = [_ids(row) for row in written], [_ids(row) for row in wanted]
        mine, theirs = s.rows(mine, theirs)
        right = [s.right(one, other) for one, other in zip(mine, theirs, strict=True)]
        return s.result(s.share(right, mine, theirs))

    return mistaken


def _hits(one: Row, other: Row) -> int:
    """Tokens that are right at their place."""
    return sum(a == b for a, b in zip(one, other, strict=False))


def _tokens_right(right: Any, written: _Rows, wanted: _Rows) -> float:
    hits = sum(map(_hits, written, wanted))
    return hits / max(1, sum(map(len, wanted)))


def _tokens_over_shorter(right: Any, written: _Rows, wanted: _Rows) -> float:
    hits = sum(map(_hits, written, wanted))
    lengths = [min(len(a), len(b)) for a, b in zip(written, wanted, strict=True)]
    return hits / max(1, sum(lengths))


def _mean_share(right: Any, written: _Rows, wanted: _Rows) -> float:
    shares = [_hits(a, b) / max(1, len(b)) for a, b in zip(written, wanted, strict=True)]
    return sum(shares) / len(shares)


_TOKENS = (
    "this is the share of right tokens: a target is right only if every token of it is, so count "
    "whole targets"
)
_SHORTER = (
    "only the beginnings are compared, as far as the shorter one goes (zip stops there): what ends "
    "too early, or goes on after the end, is wrong"
)
_ORDER = "the order of the tokens is lost: compare lists, not sets or sorted lists"

_FAULTS: tuple[Fault, ...] = (
    (_TOKENS, {"share": _tokens_right}),
    (_TOKENS, {"share": _tokens_over_shorter}),
    (
        "this is the mean of each target's share of right tokens: a target is right or it is not",
        {"share": _mean_share},
    ),
    (_SHORTER, {"right": lambda a, b: a[: len(b)] == b[: len(a)]}),
    (
        "what is written beyond the wanted end is not looked at: it makes the target wrong",
        {"right": lambda a, b: a[: len(b)] == b},
    ),
    (
        "a target that stops too early counts as right: all of its tokens must be there",
        {"right": lambda a, b: a == b[: len(a)]},
    ),
    (_ORDER, {"right": lambda a, b: set(a) == set(b)}),
    (_ORDER, {"right": lambda a, b: sorted(a) == sorted(b)}),
    (
        "only the lengths are compared: the tokens must be equal too",
        {"right": lambda a, b: len(a) == len(b)},
    ),
    (
        "only the sums of the ids are compared: the tokens must be equal, each at its place",
        {"right": lambda a, b: sum(a) == sum(b)},
    ),
    (
        "only the first token is compared: all of them must be right",
        {"right": lambda a, b: a[:1] == b[:1]},
    ),
    (
        "only the last token is compared: all of them must be right",
        {"right": lambda a, b: a[-1:] == b[-1:]},
    ),
    (
        "an empty target that is written empty counts as wrong: it is right",
        {"right": lambda a, b: bool(a) and a == b},
    ),
    (
        "a target counts as right where one token of it is: all of them must be",
        {"right": lambda a, b: a == b or _hits(a, b) > 0},
    ),
    (
        "a target counts as right if it stands anywhere among the wanted ones: compare each with "
        "its own",
        {"share": lambda right, a, b: sum(row in b for row in a) / len(b)},
    ),
    (
        "only the first pair is compared: a `return` inside the loop ends it at once",
        {"rows": lambda a, b: (a[:1], b[:1])},
    ),
    (
        "only the last pair counts: begin the count before the loop",
        {"rows": lambda a, b: (a[-1:], b[-1:])},
    ),
    (
        "the last pair is left out",
        {"rows": lambda a, b: (a[:-1], b[:-1])},
    ),
    (
        "this is the number of right targets: divide by how many there are",
        {"share": lambda right, a, b: sum(right)},
    ),
    (
        "this says whether all are right (so does // in place of /): return the share of those "
        "that are",
        {"share": lambda right, a, b: float(all(right))},
    ),
    (
        "this says whether any is right: return the share of those that are",
        {"share": lambda right, a, b: float(any(right))},
    ),
    (
        "it is divided by the number of tokens: divide by the number of targets",
        {"share": lambda right, a, b: sum(right) / max(1, sum(map(len, b)))},
    ),
    (
        "it is divided by one too many: by the number of targets",
        {"share": lambda right, a, b: sum(right) / (len(b) + 1)},
    ),
    ("this is the share of wrong targets", {"result": lambda share: 1 - share}),
    ("this is a percentage: a share lies between 0 and 1", {"result": lambda share: 100 * share}),
    ("this is rounded: return the share as it is", {"result": lambda share: round(share, 1)}),
    ("these are texts: return a number", {"result": lambda share: f"{share:.0%}"}),
)


def _lists_against_tensors(written: Sequence, wanted: Sequence) -> float:
    pairs = zip(written, wanted, strict=True)
    right = [not isinstance(b, Tensor) and list(a) == list(b) for a, b in pairs]
    return sum(right) / len(wanted)


MISTAKES = (
    *two.singles(_build, _FAULTS),
    (
        "a list is never equal to a tensor, whatever it holds: make lists of both first (_ids)",
        _lists_against_tensors,
    ),
)
PAIRS = tuple(two.pairs(_build, _FAULTS))
"""Two mistakes at once."""
