"""Chapter 06: known wrong versions of `additive_score`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

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
_WEIGHTS = "these are weights already: return the scores, the softmax comes later, with the mask"
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
    (
        "the tanh is taken of half the sum: query and key are added, not averaged (and "
        "2 sigmoid(x) - 1 is tanh(x / 2))",
        {"join": lambda q, k: (q + k) / 2},
    ),
    ("this is a sigmoid: tanh, whose values lie between -1 and 1", {"squash": torch.sigmoid}),
    ("this is a ReLU: tanh", {"squash": torch.relu}),
    (
        _WEIGHTS,
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


def _repeated(x: Tensor, count: int, turned: bool) -> Tensor:
    """Queries (B, T, 1, A) laid out as (B, T, S, A), or keys likewise, by repeat and view."""
    B, A = x.size(0), x.size(-1)
    x = x.reshape(B, -1, A)
    if turned:
        return x.repeat_interleave(count, 1).view(B, count, -1, A)
    return x.repeat(1, count, 1).view(B, -1, count, A)


_REPEAT = (
    "the pairs are laid out wrongly by repeat or repeat_interleave: a query must meet every key, "
    "and the orders of the two differ. queries[:, :, None] + keys[:, None] needs neither"
)


def _v_inside(pairs: Tensor, v: Tensor) -> Tensor:
    return torch.tanh(pairs + v).sum(-1)


def _others_too(queries: Tensor, keys: Tensor, v: Tensor) -> Tensor:
    """Every query with the keys of all rows of the batch, added up over the rows."""
    return (torch.tanh(queries[:, None, :, None] + keys[None, :, None]) @ v).sum(1)


RARE: list[Single] = [
    (
        "this is a tanh made of straight lines, cut off at -1 and 1: torch.tanh",
        {"squash": lambda pairs: pairs.clamp(-1, 1)},
    ),
    ("this is a softsign: tanh", {"squash": nn.functional.softsign}),
    ("this is a GELU: tanh", {"squash": nn.functional.gelu}),
    ("this is a SiLU: tanh", {"squash": nn.functional.silu}),
    ("this is a sine: tanh", {"squash": torch.sin}),
    ("the sign is turned round", {"give": lambda scores: -scores}),
    (f"v is added inside the tanh: {_RULE}", {"weigh": _v_inside, "squash": lambda pairs: pairs}),
    (f"v is added to the tanh: {_RULE}", {"weigh": lambda pairs, v: (pairs + v).sum(-1)}),
    (
        "the largest of the products is taken: a dot product is their sum",
        {"weigh": lambda pairs, v: (pairs * v).amax(-1)},
    ),
    ("v loses its signs: it is taken as it comes", {"weigh": lambda p, v: p @ v.abs()}),
    ("v is brought to length 1: it is taken as it comes", {"weigh": lambda p, v: p @ v / v.norm()}),
    (
        "v goes through a softmax: it is taken as it comes",
        {"weigh": lambda p, v: p @ v.softmax(-1)},
    ),
    (
        f"query and key go through tanh and are then multiplied: {_RULE}",
        {"join": lambda q, k: q.tanh() * k.tanh(), "squash": lambda pairs: pairs},
    ),
    (
        f"v multiplies twice, inside the tanh and after it: {_RULE}",
        {
            "squash": lambda pairs: pairs,
            "weigh": lambda pairs, v: torch.tanh(pairs * v) @ v,
        },
    ),
    (
        f"the sum is divided by the root of A inside the tanh: {_RULE}",
        {"join": lambda q, k: (q + k) / q.size(-1) ** 0.5},
    ),
    (
        "the scores are reshaped from (B, S, T), which mixes them up: transpose(1, 2)",
        {"give": lambda scores: scores.transpose(1, 2).reshape(scores.shape)},
    ),
    (
        "the keys are one place off: s counts from 0",
        {"reads": lambda q, k: (q, k.roll(1, 1))},
    ),
    (
        "the keys are one place off: s counts from 0",
        {"reads": lambda q, k: (q, k.roll(-1, 1))},
    ),
    (
        "the queries add up from one to the next: each begins with the keys as they came",
        {"reads": lambda q, k: (q.cumsum(1), k)},
    ),
    (_WEIGHTS, {"give": lambda scores: scores.softmax(1)}),
    (_REPEAT, {"join": lambda q, k: _repeated(q, k.size(2), False) + k}),
    (_REPEAT, {"join": lambda q, k: q + _repeated(k, q.size(1), True)}),
]
"""Each by itself; with another mistake beside it one would hardly tell it."""

MISTAKES = alone(additive_with, SINGLES + RARE)
MISTAKES += [
    ("the rows of the batch are added up: each query meets its own row's keys alone", _others_too)
]
PAIRS = pairs(additive_with, SINGLES)
