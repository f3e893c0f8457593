"""Chapter 06: known wrong versions of `additive_score`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from minidistill.course.exercises.ch03_pairs import Single, alone, pairs

Join = Callable[[Tensor, Tensor], Tensor]


def additive_with(
    reads: Callable[..., tuple[Tensor, Tensor]] = lambda q, k: (q, k),
    join: Join = lambda q, k: q + k,
    squash: Callable[[Tensor], Tensor] = torch.tanh,
    weigh: Callable[[Tensor, Tensor], Tensor] = lambda pairs, v: pairs @ v,
    give: Callable[[Tensor], Any] = lambda scores: scores,
) -> Callable[..., Any]:
    """The score with some parts exchanged.

    Args:
        reads: other queries (B, T, A) and keys (B, S, A) from the right ones.
        join: what is made of a query (B, T, 1, A) and a key (B, 1, S, A).
        squash: what stands in the place of tanh.
        weigh: what is made of the pairs (B, T, S, A) and v.
        give: what is returned.
    """

    def mistaken(queries: Tensor, keys: Tensor, v: Tensor) -> Any:
        q, k = reads(queries, keys)
        return give(weigh(squash(join(q[:, :, None], k[:, None])), v))

    return mistaken


def _mixed(x: Tensor) -> Tensor:
    """Rows of the batch and of the text read in the wrong order."""
    return x.transpose(0, 1).reshape(x.shape)


_RULE = "v . tanh(q_t + k_s)"
_NO_V = f"v is missing: {_RULE}"
_TANH = f"the tanh is missing: {_RULE}"
_EACH = f"query and key go through tanh before they are added: {_RULE}"
_OUTSIDE = f"tanh is taken of the whole sum: {_RULE} takes it entry by entry, before v"
_TRANSPOSED = "the scores are (B, S, T): a row for each query, (B, T, S)"

SINGLES: list[Single] = [
    (_TANH, {"squash": lambda pairs: pairs}),
    (_NO_V, {"weigh": lambda pairs, v: pairs.sum(-1)}),
    (
        f"v is missing, and the entries are averaged: {_RULE}",
        {"weigh": lambda pairs, v: pairs.mean(-1)},
    ),
    (
        "the entries are averaged with v: a dot product is a sum",
        {"weigh": lambda pairs, v: pairs @ v / len(v)},
    ),
    (
        "the scores are divided by the root of A: that belongs to the scaled dot product",
        {"weigh": lambda pairs, v: pairs @ v / len(v) ** 0.5},
    ),
    (
        f"v multiplies inside the tanh: {_RULE}",
        {
            "squash": lambda pairs: pairs,
            "weigh": lambda pairs, v: torch.tanh(pairs * v).sum(-1),
        },
    ),
    (
        _OUTSIDE,
        {"squash": lambda pairs: pairs, "weigh": lambda pairs, v: torch.tanh(pairs @ v)},
    ),
    (
        f"tanh is taken a second time, of the score: {_RULE}",
        {"weigh": lambda pairs, v: torch.tanh(pairs @ v)},
    ),
    (_EACH, {"join": lambda q, k: q.tanh() + k.tanh(), "squash": lambda pairs: pairs}),
    (
        f"query and key are multiplied: here they are added, {_RULE}",
        {"join": lambda q, k: q * k},
    ),
    (
        f"query and key are multiplied and there is no tanh: {_RULE}",
        {"join": lambda q, k: q * k, "squash": lambda pairs: pairs},
    ),
    (f"the key is subtracted: {_RULE}", {"join": lambda q, k: q - k}),
    (f"the query is subtracted: {_RULE}", {"join": lambda q, k: k - q}),
    (f"the keys are not used: {_RULE}", {"join": lambda q, k: q + 0 * k}),
    (f"the queries are not used: {_RULE}", {"join": lambda q, k: 0 * q + k}),
    (f"query and key are averaged: {_RULE}", {"join": lambda q, k: (q + k) / 2}),
    ("this is a sigmoid: tanh, whose values lie between -1 and 1", {"squash": torch.sigmoid}),
    ("this is a ReLU: tanh", {"squash": torch.relu}),
    (
        "these are weights already: return the scores, the softmax comes later, with the mask",
        {"give": lambda scores: scores.softmax(-1)},
    ),
    (_TRANSPOSED, {"give": lambda scores: scores.transpose(1, 2)}),
    (
        "the scores are reshaped to (B, S, T), which mixes them up: (B, T, S) as they come",
        {"give": lambda scores: scores.reshape(len(scores), scores.size(2), -1)},
    ),
    (
        "the pairs (B, T, S, A) are returned without their product with v",
        {"weigh": lambda pairs, v: pairs},
    ),
    (
        "the pairs are multiplied by v entry by entry and not added up: @ v, or .sum(-1)",
        {"weigh": lambda pairs, v: pairs * v},
    ),
    (
        "the sum runs over the keys: over the A entries, the last dimension",
        {"weigh": lambda pairs, v: (pairs * v).sum(2)},
    ),
    (
        "the sum runs over the queries: over the A entries, the last dimension",
        {"weigh": lambda pairs, v: (pairs * v).sum(1)},
    ),
    (
        "every query gets the first query's scores: queries[:, :, None], all of them",
        {"reads": lambda q, k: (q[:, :1].expand_as(q), k)},
    ),
    (
        "every query gets the last query's scores: queries[:, :, None], all of them",
        {"reads": lambda q, k: (q[:, -1:].expand_as(q), k)},
    ),
    (
        "all rows of the batch look at the first row's keys: each has its own source",
        {"reads": lambda q, k: (q, k[:1].expand_as(k))},
    ),
    (
        "the rows of the batch are mixed up by view or reshape: put a dimension in with None",
        {"reads": lambda q, k: (_mixed(q), k)},
    ),
    (
        "the rows of the batch are mixed up by view or reshape: put a dimension in with None",
        {"reads": lambda q, k: (q, _mixed(k))},
    ),
    (
        "queries and keys are paired one to one: every query with every key, "
        "queries[:, :, None] + keys[:, None]",
        {"give": lambda scores: scores.diagonal(dim1=1, dim2=2)},
    ),
]

MISTAKES = alone(additive_with, SINGLES)
PAIRS = pairs(additive_with, SINGLES)
