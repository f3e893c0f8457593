"""Chapter 06: wrong scores of the class `AdditiveAttention`, as exchanged parts.

For what the parts are see `ch06_class_wrong.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Parts = dict[str, Callable[..., Any]]
Faults = list[tuple[str, Parts]]

_RULE = "v . tanh(W q_t + U k_s)"
_NO_QUERY = (
    "the query makes no difference to the weights: it is not used, or query and key go through "
    f"tanh before they are added; {_RULE}"
)


def times(x: Tensor, W: Tensor) -> Tensor:
    """W x for every vector x; an error where the sizes do not fit."""
    return x @ W.T


SCORES: Faults = [
    (
        "the keys are multiplied by U again at every step: prepare has done it, once a source",
        {"key": lambda keys, p: times(keys, p["U.weight"])},
    ),
    (
        f"the queries are not multiplied by W: {_RULE}",
        {"query": lambda queries, p: queries},
    ),
    (
        f"the queries are multiplied by U: W is theirs, {_RULE}",
        {"query": lambda queries, p: times(queries, p["U.weight"])},
    ),
    (
        "W is transposed once too often or too seldom: self.W(queries)",
        {"query": lambda queries, p: queries @ p["W.weight"]},
    ),
    (_NO_QUERY, {"query": lambda q, p: 0 * (q @ p["W.weight"].T)}),
    (f"the keys are not used: {_RULE}", {"key": lambda keys, p: 0 * keys}),
    (
        f"the tanh is missing, and without it the query drops out of the softmax: {_RULE}",
        {"join": lambda q, k: q[:, :, None] + k[:, None]},
    ),
    (_NO_QUERY, {"join": lambda q, k: q[:, :, None].tanh() + k[:, None].tanh()}),
    (
        f"query and key are multiplied: they are added, {_RULE}",
        {"join": lambda q, k: torch.tanh(q[:, :, None] * k[:, None])},
    ),
    (f"v is missing: {_RULE}", {"weigh": lambda pairs, p: pairs.sum(-1)}),
    (
        "the scores are divided by the root of A: that belongs to the scaled dot product",
        {"weigh": lambda pairs, p: pairs @ p["v"] / len(p["v"]) ** 0.5},
    ),
    (
        f"the entries are averaged with v: a dot product is a sum, {_RULE}",
        {"weigh": lambda pairs, p: pairs @ p["v"] / len(p["v"])},
    ),
    (
        f"v is brought to length 1: it is taken as it comes, {_RULE}",
        {"weigh": lambda pairs, p: pairs @ p["v"] / p["v"].norm()},
    ),
    (
        f"tanh is taken of the whole sum as well: {_RULE} takes it entry by entry, before v",
        {"weigh": lambda pairs, p: torch.tanh(pairs @ p["v"])},
    ),
    (
        "score gives weights already: it gives the scores, and forward takes the softmax",
        {"weigh": lambda pairs, p: (pairs @ p["v"]).softmax(-1)},
    ),
    (
        "score gives (B, S, T): a row for each query, (B, T, S)",
        {"weigh": lambda pairs, p: (pairs @ p["v"]).transpose(1, 2)},
    ),
    (
        f"this is a sigmoid: tanh, {_RULE}",
        {"join": lambda q, k: torch.sigmoid(q[:, :, None] + k[:, None])},
    ),
    (
        f"this is a ReLU: tanh, {_RULE}",
        {"join": lambda q, k: torch.relu(q[:, :, None] + k[:, None])},
    ),
    (
        f"the key is subtracted: {_RULE}",
        {"join": lambda q, k: torch.tanh(q[:, :, None] - k[:, None])},
    ),
    (
        f"the queries go through tanh before W: {_RULE}",
        {"query": lambda queries, p: queries.tanh() @ p["W.weight"].T},
    ),
    (
        "every query gets the last query's weights: each has its own",
        {"query": lambda queries, p: (queries[:, -1:] @ p["W.weight"].T).expand_as(queries)},
    ),
    (
        "every query gets the first query's weights: each has its own",
        {"query": lambda queries, p: (queries[:, :1] @ p["W.weight"].T).expand_as(queries)},
    ),
    (
        "queries and keys are paired one to one: every query meets every key, (B, T, S)",
        {"weigh": lambda pairs, p: (pairs @ p["v"]).diagonal(dim1=1, dim2=2)},
    ),
    (
        "all rows of the batch look at the first row's keys: each has its own source",
        {"key": lambda keys, p: keys[:1].expand_as(keys)},
    ),
    *[
        (
            "score lacks the dimension of the queries where T is 1: (B, T, S), without a squeeze",
            {"weigh": weigh},
        )
        for weigh in (
            lambda pairs, p: (pairs @ p["v"]).squeeze(1),
            lambda pairs, p: (pairs @ p["v"]).squeeze(),
        )
    ],
]
"""Before the softmax."""
