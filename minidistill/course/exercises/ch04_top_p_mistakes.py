"""Chapter 04: what known wrong versions of `keep_top_p` return."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import torch
from torch import Tensor

from minidistill.course.exercises import ch04_pairs as two
from minidistill.course.exercises.ch04_pairs import Fault, Parts
from minidistill.course.exercises.ch04_shared import removed
from minidistill.rules import keep_top_p


def _order(q: Tensor) -> Tensor:
    return q.argsort(dim=-1, descending=True, stable=True)


def _back(gone: Tensor, order: Tensor) -> Tensor:
    return torch.zeros_like(gone).scatter(-1, order, gone)


def _before(q: Tensor) -> Tensor:
    return q.cumsum(-1) - q


def _shifted(gone: Tensor) -> Tensor:
    """One place to the right; the first stays."""
    return torch.cat([torch.zeros_like(gone[..., :1]), gone[..., :-1]], -1)


_STEPS: Parts = {
    "probability": lambda x: x.softmax(-1),
    "order": _order,
    "gone": lambda q, p: _shifted(q.cumsum(-1) >= p),
    "all": lambda p: p == 1,
    "back": _back,
    "result": two.cut,
}
"""The right steps: from logits to probabilities, to their order, to a mask, and back."""


def _build(parts: Parts) -> Callable[[Tensor, float], Tensor]:
    s = SimpleNamespace(**_STEPS | parts)

    def mistaken(x: Tensor, p: float) -> Tensor:
        q = s.probability(x)
        order = s.order(q)
        gone = s.gone(q.gather(-1, order), p) & (not s.all(p))
        return s.result(x, s.back(gone, order))

    return mistaken


def _first_kept(gone: Tensor) -> Tensor:
    return gone & (torch.arange(gone.size(-1)) > 0)


def _running_on(q: Tensor, p: float) -> Tensor:
    """The sum runs on from row to row."""
    return q.flatten().cumsum(0).view_as(q) - q >= p


def _larger_first(q: Tensor) -> Tensor:
    """Of equals the larger id first."""
    return q.size(-1) - 1 - _order(q.flip(-1))


def _as_many(kept: Callable[[Tensor], Tensor]) -> Callable[[Tensor, float], Tensor]:
    """Every row keeps the same number of tokens."""

    def gone(q: Tensor, p: float) -> Tensor:
        count = kept((_before(q) < p).sum(-1))
        return (torch.arange(q.size(-1)) >= count).expand_as(q)

    return gone


def _rounded_share(q: Tensor, p: float) -> Tensor:
    return (torch.arange(q.size(-1)) >= max(1, round(p * q.size(-1)))).expand_as(q)


_CROSSER = (
    "the token that reaches p is removed: it stays, so that p is reached and every row keeps at "
    "least one. Ask for the sum before each token (cumsum - probability)"
)
_LARGER_ID = (
    "of equally likely tokens the larger id is kept: the smaller id comes first, so sort once, "
    "downwards and stable (sort(dim=-1, descending=True, stable=True))"
)

_FAULTS: tuple[Fault, ...] = (
    (_CROSSER, {"gone": lambda q, p: _first_kept(q.cumsum(-1) > p)}),
    (_CROSSER, {"gone": lambda q, p: _first_kept(q.cumsum(-1) >= p)}),
    (_CROSSER, {"gone": lambda q, p: q.cumsum(-1) > p}),
    (_CROSSER, {"gone": lambda q, p: q.cumsum(-1) >= p}),
    (
        "one token more than needed stays: the one that reaches p is the last",
        {"gone": lambda q, p: _shifted(_shifted(q.cumsum(-1) >= p))},
    ),
    (
        "where p is reached exactly one token too many stays: remove where the sum before it "
        "is p or more (>=, not >)",
        {"gone": lambda q, p: _shifted(q.cumsum(-1) > p)},
    ),
    (
        "the tail is kept and the head removed: the tokens that reach p stay",
        {"gone": lambda q, p: _before(q) < p},
    ),
    (
        "the tail is kept and the head removed: the tokens that reach p stay",
        {"gone": lambda q, p: q.cumsum(-1) <= p},
    ),
    (
        "the tail is cut at 1 - p: the tokens that stay reach p",
        {"gone": lambda q, p: _before(q) >= 1 - p},
    ),
    (
        "roll brings the last place round to the first, which must stay: set the first to False "
        "after it",
        {"gone": lambda q, p: (q.cumsum(-1) >= p).roll(1, -1)},
    ),
    (
        "the sum runs down the columns: along a row it is cumsum(dim=-1)",
        {"gone": lambda q, p: q.cumsum(0) - q >= p},
    ),
    (
        "the sum runs down the columns: along a row it is cumsum(dim=-1)",
        {"gone": lambda q, p: _shifted(q.cumsum(0) >= p)},
    ),
    (
        "the sum runs on from row to row: each row begins at 0 (cumsum along dim=-1)",
        {"gone": _running_on},
    ),
    (
        "every row keeps as many tokens as the first: how many it takes to reach p differs from "
        "row to row",
        {"gone": _as_many(lambda counts: counts[0])},
    ),
    (
        "every row keeps as many tokens as the one that needs most: count row by row",
        {"gone": _as_many(lambda counts: counts.max())},
    ),
    ("p is a share of the probability, not of the number of tokens", {"gone": _rounded_share}),
    (
        "at p = 1 all tokens stay: rounding lets the sum reach 1 before the last ones, so do not "
        "compare there",
        {"all": lambda p: False},
    ),
    (
        "the tokens are not sorted before the sum: it must begin with the likeliest",
        {"order": lambda q: torch.arange(q.size(-1)).expand_as(q)},
    ),
    (
        "the sum begins with the least likely: sort with descending=True",
        {"order": lambda q: q.argsort(dim=-1, stable=True)},
    ),
    (_LARGER_ID, {"order": _larger_first}),
    (
        "the mask is in sorted order, the logits are not: bring it back with scatter(-1, order, "
        "mask)",
        {"back": lambda gone, order: gone},
    ),
    (
        "the way back is wrong: sorted[i] = logits[order[i]], so the mask goes back by "
        "scatter(-1, order, mask); gather would sort it once more",
        {"back": lambda gone, order: gone.gather(-1, order)},
    ),
    ("logits are added up: take the softmax first", {"probability": lambda x: x}),
    (
        "the softmax is taken down the columns: tokens stand along the last dimension",
        {"probability": lambda x: x.softmax(0)},
    ),
    (
        "one softmax over the whole batch: each row has its own (dim=-1)",
        {"probability": lambda x: x.flatten().softmax(0).view_as(x)},
    ),
    *two.RESULTS,
)


def _with_equals(logits: Tensor, p: float) -> Tensor:
    kept = keep_top_p(logits, p)
    least = kept.masked_fill(kept == -torch.inf, torch.inf).amin(-1, keepdim=True)
    return removed(logits, logits < least)


def _from_below(reached: Callable[[Tensor, float], Tensor]) -> Callable[[Tensor, float], Tensor]:
    """The tail is summed from the least likely token upwards."""

    def mistaken(x: Tensor, p: float) -> Tensor:
        q, order = x.softmax(-1).sort(dim=-1, stable=True)
        gone = reached(q.cumsum(-1), p)
        gone[..., -1] = False
        return removed(x, _back(gone, order))

    return mistaken


MISTAKES = (
    (
        "the softmax is taken down the columns: tokens stand along the last dimension",
        lambda x, p: keep_top_p(x.softmax(0).log(), p),
    ),
    *two.singles(_build, _FAULTS),
    (_LARGER_ID, _from_below(lambda total, p: total <= 1 - p)),
    (_LARGER_ID, _from_below(lambda total, p: total < 1 - p)),
    (
        "nothing is removed: what comes after p is reached gets -torch.inf (does the sum reach p? "
        "It does with each row's own probabilities, not with their logarithms)",
        lambda x, p: x,
    ),
    (
        "each probability is compared with p by itself: add them up, the likeliest first",
        lambda x, p: removed(x, x.softmax(-1) < p),
    ),
    (
        "each probability is compared with 1 - p by itself: add them up, the likeliest first",
        lambda x, p: removed(x, x.softmax(-1) < 1 - p),
    ),
    (
        "this is min-p: each probability is compared with p times the best. Here the "
        "probabilities are added up",
        lambda x, p: removed(x, x.softmax(-1) < p * x.softmax(-1).amax(-1, keepdim=True)),
    ),
    (
        "one sum over the whole batch: each row has its own (dim=-1)",
        lambda x, p: keep_top_p(x.flatten()[None], p).view_as(x),
    ),
    (
        "equals of the last token stay too: where p is reached nothing more is kept; the sort "
        "has put the smaller id first",
        _with_equals,
    ),
    (
        "only the best token stays: keep on until p is reached",
        lambda x, p: removed(x, x < x.amax(-1, keepdim=True)),
    ),
    (
        "the result has other numbers, sorted: every token keeps its place and its logit",
        lambda x, p: keep_top_p(x, p).softmax(-1).sort(dim=-1, descending=True).values,
    ),
)

PAIRS = tuple(two.pairs(_build, _FAULTS))
"""Two mistakes at once."""
