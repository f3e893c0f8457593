"""Chapter 04: what known wrong versions of `keep_top_k` return."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import torch
from torch import Tensor

from minidistill.course.diagnosis import Mistake
from minidistill.course.exercises import ch04_pairs as two
from minidistill.course.exercises.ch04_pairs import Fault, Parts
from minidistill.course.exercises.ch04_shared import removed
from minidistill.rules import keep_top_k


def _kth(logits: Tensor, k: int) -> Tensor:
    return logits.topk(k, dim=-1).values[..., -1:]


def _different(logits: Tensor, k: int) -> Tensor:
    """The k largest different logits, and all that equal one of them."""
    limits = [row.unique()[-k:][0] for row in logits]
    return removed(logits, logits < torch.stack(limits)[:, None])


def _just_k(logits: Tensor, k: int) -> Tensor:
    kept = logits.topk(min(k, logits.size(-1)), dim=-1)
    return torch.full_like(logits, -torch.inf).scatter(-1, kept.indices, kept.values)


def _by_rank(logits: Tensor, first: int, last: int) -> Tensor:
    """What stands at ranks first to last - 1, by its value."""
    ranked = logits.sort(dim=-1, descending=True).values[..., first:last]
    return removed(logits, (logits > ranked[..., :1]) | (logits < ranked[..., -1:]))


_TOO_MANY = "one token too many stays: keep k of them"
_ALL_ROWS = "one limit for the whole batch: every row has its own k best (dim=-1)"
_FIRST_ROW = "the first row's limit is used for all rows: every row has its own k best"
_LOWEST = (
    "the lowest limit of all rows is used for every row: keep the dimension ([..., -1:]), so "
    "that each row is compared with its own"
)
_COLUMNS = "the best are sought down the columns: tokens stand along the last dimension (dim=-1)"
_FROM_THE_SMALLEST = (
    "kthvalue counts from the smallest: the k-th largest is the (V - k + 1)-th smallest"
)
_THE_BEST_GO = "the k best are removed and the others kept: it is the other way round"
_TIES_GO = (
    "tokens exactly as likely as the k-th are removed: nothing tells equals apart, so compare "
    "with the k-th logit and keep all that are not below it"
)
_TOO_FEW = (
    "one token too few stays: the k-th best stays too, so only logits below it go (<, not <=; the "
    "k-th has the place k - 1)"
)

MISTAKES: tuple[Mistake, ...] = (
    ("nothing is removed: tokens below the k-th best get -torch.inf", lambda x, k: x),
    (_TOO_FEW, lambda x, k: removed(x, x <= _kth(x, k))),
    (_TOO_FEW, lambda x, k: _by_rank(x, 0, k - 1)),
    (_TOO_MANY, lambda x, k: _by_rank(x, 0, k + 1)),
    (
        "the best token is missing: ranks are counted from 0, so the k best are 0 to k - 1",
        lambda x, k: _by_rank(x, 1, k + 1),
    ),
    (
        _TIES_GO,
        _just_k,
    ),
    (
        "equal logits are counted as one: k tokens stay (and the equals of the k-th), not k "
        "different logits",
        _different,
    ),
    (
        _FROM_THE_SMALLEST,
        lambda x, k: removed(x, x < x.kthvalue(k, dim=-1, keepdim=True).values),
    ),
    (
        "the k least likely tokens are kept: keep the most likely",
        lambda x, k: removed(x, x > x.topk(k, dim=-1, largest=False).values[..., -1:]),
    ),
    (
        _THE_BEST_GO,
        lambda x, k: removed(x, x >= _kth(x, k)),
    ),
    (
        _ALL_ROWS,
        lambda x, k: removed(x, x < _kth(x.flatten(), k)),
    ),
    (
        _FIRST_ROW,
        lambda x, k: removed(x, x < _kth(x[:1], k)),
    ),
    (
        _LOWEST,
        lambda x, k: removed(x, x < _kth(x, k).min()),
    ),
    (
        "the highest limit of all rows is used for every row: keep the dimension ([..., -1:]), so "
        "that each row is compared with its own",
        lambda x, k: removed(x, x < _kth(x, k).max()),
    ),
    (
        "argsort gives the ids in order, not each token's rank: compare the logits with the k-th "
        "best",
        lambda x, k: removed(x, x.argsort(-1, descending=True) >= k),
    ),
    (
        "argsort gives the ids in order, not each token's rank: compare the logits with the k-th "
        "best",
        lambda x, k: removed(x, x.argsort(-1) >= k),
    ),
    (
        _COLUMNS,
        lambda x, k: removed(x, x < x.topk(min(k, len(x)), dim=0).values[-1]),
    ),
    (
        "the tokens are ranked by size without the sign: a logit of -5 is unlikely, not strong",
        lambda x, k: removed(x, x.abs() < _kth(x.abs(), k)),
    ),
    (
        "the first k tokens of the vocabulary are kept: keep the k most likely",
        lambda x, k: removed(x, torch.arange(x.size(-1)) >= k),
    ),
    (
        two.PROBABILITIES,
        lambda x, k: keep_top_k(x, k).softmax(-1),
    ),
    (
        two.LOGARITHMS,
        lambda x, k: keep_top_k(x, k).log_softmax(-1),
    ),
    (
        two.LOGARITHMS,
        lambda x, k: keep_top_k(x.log_softmax(-1), k),
    ),
    (
        "these are the k best logits alone: every token keeps its place, (B, V), the others get "
        "-torch.inf",
        lambda x, k: x.topk(k, dim=-1).values,
    ),
    (
        "these are the ids of the k best: return logits, (B, V)",
        lambda x, k: x.topk(k, dim=-1).indices,
    ),
    (
        two.SORTED,
        lambda x, k: keep_top_k(x, k).sort(dim=-1, descending=True).values,
    ),
    (
        two.MASK,
        lambda x, k: x >= _kth(x, k),
    ),
    (
        two.MASK,
        lambda x, k: x < _kth(x, k),
    ),
    (
        "the tokens that stay lose their logits (all equal): they keep what they had",
        lambda x, k: torch.where(x < _kth(x, k), -torch.inf, 0.0).to(x),
    ),
    (
        "the k-th logit is subtracted from all: those that stay keep what they had",
        lambda x, k: keep_top_k(x, k) - _kth(x, k),
    ),
    (
        "the limit is a share of the best logit: count k tokens instead",
        lambda x, k: removed(x, x < x.amax(-1, keepdim=True) / k),
    ),
    (
        "the limit is the mean logit: it is the k-th best",
        lambda x, k: removed(x, x < x.mean(-1, keepdim=True)),
    ),
    (
        "only the best token stays: keep k of them",
        lambda x, k: removed(x, x < x.amax(-1, keepdim=True)),
    ),
)


def _build(parts: Parts) -> Callable[[Tensor, int], Tensor]:
    """keep_top_k in steps, some of them exchanged."""
    p = SimpleNamespace(**_STEPS | parts)

    def mistaken(x: Tensor, k: int) -> Tensor:
        count = min(max(p.count(k), 1), x.size(-1))
        return p.result(x, p.gone(x, p.limit(x, count)))

    return mistaken


_STEPS: Parts = {
    "count": lambda k: k,
    "limit": _kth,
    "gone": lambda x, limit: x < limit,
    "result": two.cut,
}

_FAULTS: tuple[Fault, ...] = (
    (_TOO_FEW, {"count": lambda k: k - 1}),
    (_TOO_MANY, {"count": lambda k: k + 1}),
    (_ALL_ROWS, {"limit": lambda x, k: _kth(x.flatten(), k)}),
    (_FIRST_ROW, {"limit": lambda x, k: _kth(x[:1], k)}),
    (_LOWEST, {"limit": lambda x, k: _kth(x, k).min()}),
    (_COLUMNS, {"limit": lambda x, k: x.topk(min(k, len(x)), dim=0).values[-1]}),
    (_FROM_THE_SMALLEST, {"limit": lambda x, k: x.kthvalue(k, keepdim=True).values}),
    (_TOO_FEW, {"gone": lambda x, limit: x <= limit}),
    (_THE_BEST_GO, {"gone": lambda x, limit: x >= limit}),
    (
        _TIES_GO,
        {
            "limit": lambda x, k: x.topk(k).indices,
            "gone": lambda x, best: torch.ones_like(x, dtype=torch.bool).scatter(1, best, False),
        },
    ),
    (
        two.SORTED,
        {
            "limit": lambda x, k: k,
            "gone": lambda x, k: (torch.arange(x.size(-1)) >= k).expand_as(x),
            "result": lambda x, gone: two.cut(x.sort(dim=-1, descending=True).values, gone),
        },
    ),
    *two.RESULTS,
)

MISTAKES += tuple(two.singles(_build, _FAULTS))
PAIRS = tuple(two.pairs(_build, _FAULTS))
"""Two mistakes at once."""
