"""Chapter 06: known wrong versions of `dot_score`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.nn.functional import normalize

from minidistill.course.exercises.ch03_pairs import Single, alone, pairs


def dot_with(
    reads: Callable[..., tuple[Tensor, Tensor]] = lambda q, k: (q, k),
    product: Callable[[Tensor, Tensor], Tensor] = lambda q, k: q @ k.transpose(1, 2),
    scaled: Callable[[Tensor, float, int], Tensor] = lambda scores, scale, D: scores * scale,
    give: Callable[[Tensor], Any] = lambda scores: scores,
) -> Callable[..., Any]:
    """The score with some parts exchanged.

    Args:
        reads: other queries (B, T, D) and keys (B, S, D) from the right ones.
        product: what stands in the place of the dot products.
        scaled: what is done with the scale.
        give: what is returned.
    """

    def mistaken(queries: Tensor, keys: Tensor, scale: float = 1.0) -> Any:
        return give(scaled(product(*reads(queries, keys)), scale, queries.size(-1)))

    return mistaken


NOT_TRANSPOSED = (
    "the keys are not transposed: a query's D entries meet a key's, keys.transpose(1, 2)"
)
_TRANSPOSE = "the keys are reshaped, which is no transpose: keys.transpose(1, 2)"
_ROOT = (
    "the scores are divided by the root of D as well: the caller gives the scale, for scaled dot "
    "attention 1 / sqrt(D)"
)

SINGLES: list[Single] = [
    ("the scale is not used: scale * (q_t . k_s)", {"scaled": lambda s, scale, D: s}),
    (
        "the scale is not used, 1 / sqrt(D) is: the caller gives the scale",
        {"scaled": lambda s, scale, D: s / math.sqrt(D)},
    ),
    (_ROOT, {"scaled": lambda s, scale, D: s * scale / math.sqrt(D)}),
    (
        "the scores are divided by the scale: multiply, for scaled dot attention it is 1 / sqrt(D)",
        {"scaled": lambda s, scale, D: s / scale},
    ),
    (
        "the scale is used twice, on the queries and on the keys or the scores: once",
        {"scaled": lambda s, scale, D: s * scale**2},
    ),
    (
        "the root of the scale is taken: multiply by the scale as it comes",
        {"scaled": lambda s, scale, D: s * math.sqrt(scale)},
    ),
    (
        "the scores are divided by the root of the scale: multiply by the scale as it comes",
        {"scaled": lambda s, scale, D: s / math.sqrt(scale)},
    ),
    ("the scale is added: multiply by it", {"scaled": lambda s, scale, D: s + scale}),
    (
        "the scores are divided by D: a dot product is a sum, and the scale is given",
        {"scaled": lambda s, scale, D: s * scale / D},
    ),
    (
        "these are cosines: query and key keep their lengths in a dot product",
        {"reads": lambda q, k: (normalize(q, dim=-1), normalize(k, dim=-1))},
    ),
    (
        "the queries are brought to length 1: a dot product takes them as they are",
        {"reads": lambda q, k: (normalize(q, dim=-1), k)},
    ),
    (
        "the keys are brought to length 1: a dot product takes them as they are",
        {"reads": lambda q, k: (q, normalize(k, dim=-1))},
    ),
    (
        "the scores are (B, S, T): a row for each query, (B, T, S)",
        {"give": lambda scores: scores.transpose(1, 2)},
    ),
    (
        "the scores are reshaped to (B, S, T), which mixes them up: (B, T, S) as they come",
        {"give": lambda scores: scores.reshape(len(scores), scores.size(2), -1)},
    ),
    (
        _TRANSPOSE,
        {"product": lambda q, k: q @ k.reshape(len(k), k.size(2), -1)},
    ),
    (
        NOT_TRANSPOSED,
        {"product": lambda q, k: q @ k},
    ),
    (
        "these are weights already: return the scores, the softmax comes later, with the mask",
        {"give": lambda scores: scores.softmax(-1)},
    ),
    ("the sign is turned round", {"give": lambda scores: -scores}),
    (
        "the sign of the scores is lost: a dot product may be negative",
        {"give": lambda scores: scores.abs()},
    ),
    (
        "query and key are added: their entries are multiplied, then added up",
        {"product": lambda q, k: (q[:, :, None] + k[:, None]).sum(-1)},
    ),
    (
        "this is the distance between query and key: their dot product",
        {"product": lambda q, k: (q[:, :, None] - k[:, None]).norm(dim=-1)},
    ),
    (
        "the products of the entries are not added up: sum over the last dimension",
        {"product": lambda q, k: q[:, :, None] * k[:, None]},
    ),
    (
        "queries and keys are paired one to one: every query with every key, "
        "queries @ keys.transpose(1, 2)",
        {"give": lambda scores: scores.diagonal(dim1=1, dim2=2)},
    ),
    (
        "all rows of the batch look at the first row's keys: each has its own source",
        {"reads": lambda q, k: (q, k[:1].expand_as(k))},
    ),
    (
        "every query gets the first query's scores",
        {"reads": lambda q, k: (q[:, :1].expand_as(q), k)},
    ),
    (
        "the queries meet one another: with the keys",
        {"reads": lambda q, k: (q, q)},
    ),
    (
        "the keys meet one another: with the queries",
        {"reads": lambda q, k: (k, k)},
    ),
]

_WEIGHTS = "these are weights already: return the scores, the softmax comes later, with the mask"


def _others_too(queries: Tensor, keys: Tensor, scale: float = 1.0) -> Tensor:
    """Every query with the keys of all rows of the batch, added up over the rows."""
    return scale * (queries @ keys.sum(0).T)


RARE: list[Single] = [
    (
        "the scale is cut off to a whole number: multiply by it as it comes",
        {"scaled": lambda s, scale, D: s * int(scale)},
    ),
    (
        "the sign of the scale is lost: multiply by it as it comes",
        {"scaled": lambda s, scale, D: s * abs(scale)},
    ),
    (
        "a scale of 0 is taken for no scale: ask `is None`, or write scale=1.0 in the first line",
        {"scaled": lambda s, scale, D: s * (scale or 1.0)},
    ),
    (
        "a scale of 0 is taken for no scale, and the scores are divided by the root of D: the "
        "caller gives the scale",
        {"scaled": lambda s, scale, D: s * (scale or D**-0.5)},
    ),
    (
        "this is minus the squared distance between query and key: their dot product",
        {"product": lambda q, k: -((q[:, :, None] - k[:, None]) ** 2).sum(-1)},
    ),
    (
        "this is the squared distance between query and key: their dot product",
        {"product": lambda q, k: ((q[:, :, None] - k[:, None]) ** 2).sum(-1)},
    ),
    (
        "the scores go through tanh: a dot product is taken as it is",
        {"give": lambda scores: scores.tanh()},
    ),
    (
        "the scores go through tanh: a dot product is taken as it is",
        {"product": lambda q, k: (q @ k.transpose(1, 2)).tanh()},
    ),
    (
        "this is exp of the scores: the softmax, which takes it, comes later, with the mask",
        {"give": lambda scores: scores.exp()},
    ),
    (_WEIGHTS, {"give": lambda scores: scores.softmax(1)}),
    (
        "the scores are cut off at a limit: a dot product may be as large as it is",
        {"give": lambda scores: scores.clamp(-10, 10)},
    ),
    (
        "the scores are cut off at a limit: a dot product may be as large as it is",
        {"give": lambda scores: scores.clamp(-50, 50)},
    ),
    (
        "the scores are cut off at a limit: a dot product may be as large as it is",
        {"give": lambda scores: scores.clamp(-100, 100)},
    ),
    (
        "every query gets the last query's scores",
        {"reads": lambda q, k: (q[:, -1:].expand_as(q), k)},
    ),
    (
        "only the first query is scored: all of them, (B, T, S)",
        {"reads": lambda q, k: (q[:, :1], k)},
    ),
    (
        "the products are added up over the keys: over the D entries, the last dimension",
        {"product": lambda q, k: (q[:, :, None] * k[:, None]).sum(2)},
    ),
    (
        "the products are added up over the queries: over the D entries, the last dimension",
        {"product": lambda q, k: (q[:, :, None] * k[:, None]).sum(1)},
    ),
]
"""Each by itself; with another mistake beside it one would hardly tell it."""

MISTAKES = alone(dot_with, SINGLES + RARE)
MISTAKES += [
    ("the rows of the batch are added up: each query meets its own row's keys alone", _others_too),
    (
        "the scores are divided by the root of the number of keys: the caller gives the scale",
        lambda q, k, scale=1.0: scale * (q @ k.transpose(1, 2)) / k.size(1) ** 0.5,
    ),
]
PAIRS = pairs(dot_with, SINGLES)
