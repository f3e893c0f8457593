"""Chapter 05: what known wrong versions of `exact_match` return."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby
from types import SimpleNamespace
from typing import Any

from torch import Tensor

from minidistill.course.exercises.ch04_pairs import Fault, Parts
from minidistill.tasks import BOS, EOS, PADDING

Row = list[int]
Rows = list[Row]


def _ids(row: Sequence[int] | Tensor) -> Row:
    return [int(i) for i in row]


_STEPS: Parts = {
    "rows": lambda written, wanted: (written, wanted),
    "right": lambda one, other: one == other,
    "share": lambda right, written, wanted: sum(right) / len(wanted),
    "result": lambda share: share,
}
"""The right steps: which rows, whether one is right, the share of those that are."""


def build(parts: Parts) -> Callable[..., Any]:
    """An `exact_match` in which some steps are exchanged."""
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


def _tokens_right(right: Any, written: Rows, wanted: Rows) -> float:
    hits = sum(map(_hits, written, wanted))
    return hits / max(1, sum(map(len, wanted)))


def _tokens_over_shorter(right: Any, written: Rows, wanted: Rows) -> float:
    hits = sum(map(_hits, written, wanted))
    lengths = [min(len(a), len(b)) for a, b in zip(written, wanted, strict=True)]
    return hits / max(1, sum(lengths))


def _mean_share(length: Callable[..., int]) -> Callable[..., float]:
    """The mean of the rows' shares, each divided by the longer, the shorter or the wanted row."""

    def share(right: Any, written: Rows, wanted: Rows) -> float:
        pairs = list(zip(written, wanted, strict=True))
        shares = [_hits(a, b) / n if (n := length(len(a), len(b))) else 1.0 for a, b in pairs]
        return sum(shares) / len(shares)

    return share


def _until_wrong(right: list[bool], written: Rows, wanted: Rows) -> float:
    return [*right, False].index(False) / len(wanted)


def _of_different(written: Rows, wanted: Rows, last: bool) -> float:
    """The share among different rows: of equal ones the last counts, or equal pairs count once."""
    pairs = [(tuple(a), tuple(b)) for a, b in zip(written, wanted, strict=True)]
    kept = list(dict(pairs).items()) if last else list(set(pairs))
    return sum(a == b for a, b in kept) / len(kept)


def _without(*ids: int) -> Parts:
    """Some ids do not count, wherever they stand."""
    return {"rows": lambda a, b: tuple([[i for i in r if i not in ids] for r in x] for x in (a, b))}


def _cut_at(*ids: int) -> Parts:
    """Nothing counts from one of the ids on."""

    def cut(row: Row) -> Row:
        return row[: next((t for t, i in enumerate(row) if i in ids), len(row))]

    return {"rows": lambda a, b: (list(map(cut, a)), list(map(cut, b)))}


def _filled_up(filling: int) -> Parts:
    """The shorter row is filled up to the longer one."""

    def right(a: Row, b: Row) -> bool:
        n = max(len(a), len(b))
        return a + [filling] * (n - len(a)) == b + [filling] * (n - len(b))

    return {"right": right}


_TOKENS = (
    "this is the share of right tokens: a target is right only if every token of it is, so count "
    "whole targets"
)
_SHORTER = (
    "only the beginnings are compared, as far as the shorter one goes (zip stops there): what ends "
    "too early, or goes on after the end, is wrong"
)
_ROW_SHARES = (
    "this is the mean of each target's share of right tokens: a target is right or it is not"
)
_SOME_IDS = (
    "some ids are left out before the rows are compared, as if they were padding or an end: both "
    "are lists of the tokens themselves, and every id in them counts"
)
_ALL_OR_NOTHING = (
    "this says whether all are right (so does // in place of /): return the share of those that are"
)
_TWICE = "pairs that occur twice count once: a dictionary and a set keep one of each, a list all"
_ORDER = "the order of the tokens is lost: compare lists, not sets or sorted lists"

FAULTS: tuple[Fault, ...] = (
    (_TOKENS, {"share": _tokens_right}),
    (_TOKENS, {"share": _tokens_over_shorter}),
    (_ROW_SHARES, {"share": _mean_share(lambda a, b: max(1, b))}),
    (_ROW_SHARES, {"share": _mean_share(max)}),
    (_ROW_SHARES, {"share": _mean_share(min)}),
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
        "the last token is not compared: range(len(row)) ends at the last place by itself",
        {"right": lambda a, b: len(a) == len(b) and a[:-1] == b[:-1]},
    ),
    (
        "the first token is not compared: places are counted from 0",
        {"right": lambda a, b: len(a) == len(b) and a[1:] == b[1:]},
    ),
    (
        "only the two ends and the length are compared: the tokens between them must be right too",
        {"right": lambda a, b: (a[:1], a[-1:], len(a)) == (b[:1], b[-1:], len(b))},
    ),
    (
        "one wrong token is forgiven: all of them must be right",
        {"right": lambda a, b: len(a) == len(b) and len(a) - _hits(a, b) <= 1},
    ),
    (
        "a target counts as right if it stands anywhere in what is written: nothing may stand "
        "before it or behind",
        {"right": lambda a, b: any(a[i : i + len(b)] == b for i in range(len(a) + 1))},
    ),
    (
        "a token that is repeated counts once: every token counts",
        {"right": lambda a, b: [i for i, _ in groupby(a)] == [i for i, _ in groupby(b)]},
    ),
    (
        "the target is read backwards: compare the rows as they are",
        {"right": lambda a, b: a == b[::-1]},
    ),
    (
        "the ids are joined to one text without anything between them, so 1, 12 looks like 11, 2: "
        "compare lists of numbers",
        {"right": lambda a, b: "".join(map(str, a)) == "".join(map(str, b))},
    ),
    (
        "the shorter row is filled up to the longer one, so an id at its end goes unseen: rows of "
        "different lengths are different",
        _filled_up(0),
    ),
    (
        "the shorter row is filled up to the longer one, so an id at its end goes unseen: rows of "
        "different lengths are different",
        _filled_up(PADDING),
    ),
    (_SOME_IDS, _without(0)),
    (_SOME_IDS, _without(PADDING)),
    (_SOME_IDS, _without(EOS)),
    (_SOME_IDS, _without(PADDING, EOS)),
    (_SOME_IDS, _without(PADDING, BOS, EOS)),
    (_SOME_IDS, _cut_at(EOS)),
    (_SOME_IDS, _cut_at(PADDING)),
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
    (_ALL_OR_NOTHING, {"share": lambda right, a, b: float(all(right))}),
    (
        "nothing is ever right: `is` asks whether two names stand for one and the same object, == "
        "whether two lists hold the same",
        {"share": lambda right, a, b: 0.0},
    ),
    (
        "the comparison stops at the first wrong target: go on, and count all that are right",
        {"share": _until_wrong},
    ),
    (_TWICE, {"share": lambda right, a, b: _of_different(a, b, last=True)}),
    (_TWICE, {"share": lambda right, a, b: _of_different(a, b, last=False)}),
    (
        "these are the answers for each pair: return the share of those that are right",
        {"share": lambda right, a, b: right},
    ),
    (
        "this says whether any is right: return the share of those that are",
        {"share": lambda right, a, b: float(any(right))},
    ),
    (
        "a long target weighs more than a short one: count targets, not their tokens",
        {
            "share": lambda right, a, b: (
                sum(r * len(row) for r, row in zip(right, b, strict=True))
                / max(1, sum(map(len, b)))
            )
        },
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
    *(
        ("this is rounded: return the share as it is", {"result": partial(round, ndigits=n)})
        for n in (1, 2, 3, 4)
    ),
    (
        "this is rounded: return the share as it is",
        {"result": lambda share: int(100 * share) / 100},
    ),
    ("these are texts: return a number", {"result": lambda share: f"{share:.0%}"}),
)
