"""Chapter 07: right and wrong steps of `mean_query_attention`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from minidistill.course.exercises.ch04_pairs import Fault


def filled(x: Tensor, mask: Tensor) -> Tensor:
    """Vectors (B, C, n) with 0 at padding."""
    return x.masked_fill(~mask[:, :, None], 0.0)


def count(mask: Tensor) -> Tensor:
    """How many words are real, (B, 1), at least 1."""
    return mask.sum(1, keepdim=True).clamp(min=1)


def largest(keys: Tensor, mask: Tensor, vectors: Tensor) -> Tensor:
    """The largest of the real keys, number by number."""
    lowest = keys.masked_fill(~mask[:, :, None], -1e30).amax(1)
    return lowest.masked_fill(~mask.any(1, keepdim=True), 0.0)


def place(last: bool) -> Callable[..., Tensor]:
    """The key of the first real word, or the last, in the place of the mean."""

    def query(keys: Tensor, mask: Tensor, vectors: Tensor) -> Tensor:
        order = torch.arange(mask.size(1)) + 1
        at = (mask * (order if last else order.flip(0))).argmax(1)
        return filled(keys, mask)[torch.arange(len(keys)), at]

    return query


def without_itself(keys: Tensor, vectors: Tensor, mask: Tensor) -> Any:
    """Every word against the mean of the others."""
    rest = filled(keys, mask).sum(1, keepdim=True) - keys
    n = mask.sum(1)[:, None] - 1
    scores = (keys * rest).sum(-1) / n.clamp(min=1)
    return finished(scores, vectors, mask)


def finished(scores: Tensor, vectors: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """x and the weights from the scores."""
    weights = scores.masked_fill(~mask, -1e30).softmax(1).masked_fill(~mask, 0.0)
    return (weights[:, :, None] * vectors).sum(1), weights


def each_number(keys: Tensor, vectors: Tensor, mask: Tensor) -> Any:
    """A softmax for each of the A numbers of a key."""
    V = filled(keys, mask).sum(1) / count(mask)
    scores = (keys * V[:, None]).masked_fill(~mask[:, :, None], -1e30)
    weights = filled(scores.softmax(1), mask)
    return (weights * vectors).sum(1), weights


def along_the_numbers(keys: Tensor, vectors: Tensor, mask: Tensor) -> Any:
    """A softmax over the A numbers of each key."""
    V = filled(keys, mask).sum(1) / count(mask)
    weights = filled((keys * V[:, None]).softmax(-1), mask)
    return (weights * vectors).sum(1), weights


def self_attention(keys: Tensor, vectors: Tensor, mask: Tensor) -> Any:
    """Every word's weights for every other, averaged."""
    scores = keys @ keys.transpose(1, 2)
    weights = scores.masked_fill(~mask[:, None], -1e30).softmax(-1)
    weights = filled(weights, mask).sum(1) / count(mask)
    return (weights[:, :, None] * vectors).sum(1), weights


def by_their_sum(scores: Tensor) -> Tensor:
    """Scores divided by their sum, padding left out."""
    kept = scores.masked_fill(scores < -1e29, 0.0)
    total = kept.sum(1, keepdim=True)
    return kept / torch.where(total == 0, 1.0, total)


def less_itself(keys: Tensor, vectors: Tensor, mask: Tensor) -> Any:
    """Every word against the sum of the others, divided by the number of all."""
    V = filled(keys, mask).sum(1) / count(mask)
    scores = (keys * V[:, None]).sum(-1) - keys.square().sum(-1) / count(mask)
    return finished(scores, vectors, mask)


def vectors_alone(keys: Tensor, vectors: Tensor, mask: Tensor) -> Any:
    """The vectors e are keys as well."""
    V = filled(vectors, mask).sum(1) / count(mask)
    return finished((vectors * V[:, None]).sum(-1), vectors, mask)


def changed_roles(keys: Tensor, vectors: Tensor, mask: Tensor) -> Any:
    """Keys and vectors taken for each other."""
    V = filled(vectors, mask).sum(1) / count(mask)
    return finished((vectors * V[:, None]).sum(-1), keys, mask)


def of_all_words(keys: Tensor, mask: Tensor, vectors: Tensor) -> Tensor:
    """The mean of all real keys of the batch."""
    mean = filled(keys, mask).sum((0, 1)) / mask.sum().clamp(min=1)
    return mean.expand(len(keys), -1)


def from_the_start(mask: Tensor) -> Tensor:
    """As many places from the left as words are real."""
    return torch.arange(mask.size(1)) < mask.sum(1, keepdim=True)


def only_full(weights: Tensor, mask: Tensor) -> Tensor:
    """Weights where a context has no padding at all."""
    return weights * mask.all(1, keepdim=True)


def twice(scores: Tensor) -> Tensor:
    """A softmax of the real words' softmax."""
    return scores.softmax(1).masked_fill(scores < -1e29, -1e30).softmax(1)


def not_one(got: Any, want: Tensor) -> str | None:
    """Words for weights of the right shape that do not add up to 1 where a word is real."""
    if not isinstance(got, Tensor) or got.shape != want.shape or not got.isfinite().all():
        return None
    sums = got.sum(1)[want.sum(1) > 0.5]
    if not len(sums) or bool(((sums - 1).abs() < 1e-3).all()):
        return None
    far = float(sums[(sums - 1).abs().argmax()])
    return (
        f"the weights of a context with real words add up to {far:.4g}, and should to 1: has "
        "padding a share, or a score that lies above a real word's, or is something done to the "
        "weights after the softmax?"
    )


FROM_THE_START = (
    "the mask is only counted, and the first so many places are taken for the real words: padding "
    "may stand anywhere, also at the start"
)
ONLY_FULL = (
    "a context with any padding gets weights of 0: only one without any real word does (any and "
    "all are different things)"
)

TWICE = "there is a softmax of a softmax: once (masked_softmax has one in it)"
MIXES: tuple[Fault, ...] = (
    (
        "x is made from the keys: the weights are for the vectors e",
        {"mix": lambda w, vectors, keys, mask: (w[:, :, None] * keys).sum(1)},
    ),
    (
        "x is the weighted mean divided once more by the number of words: the weights add up to 1 "
        "already",
        {"mix": lambda w, vectors, keys, mask: (w[:, :, None] * vectors).sum(1) / count(mask)},
    ),
    (
        "x is the weighted mean divided once more by C: the weights add up to 1 already",
        {"mix": lambda w, vectors, keys, mask: (w[:, :, None] * vectors).mean(1)},
    ),
    (
        "x is the plain mean of the vectors: the weights play no part in it",
        {"mix": lambda w, vectors, keys, mask: filled(vectors, mask).sum(1) / count(mask)},
    ),
    (
        "x is the plain mean of the vectors: the weights play no part in it",
        {"mix": lambda w, vectors, keys, mask: vectors.mean(1)},
    ),
    (
        "the vectors are brought to length 1: they are taken as they are",
        {"mix": lambda w, e, keys, mask: (w[:, :, None] * F.normalize(e, dim=-1)).sum(1)},
    ),
    (
        "x is the plain sum of the vectors: the weights play no part in it",
        {"mix": lambda w, vectors, keys, mask: filled(vectors, mask).sum(1)},
    ),
    (
        "x is the vector of the word that weighs most: the weighted sum of all",
        {"mix": lambda w, vectors, keys, mask: vectors[torch.arange(len(w)), w.argmax(1)]},
    ),
    (
        "the vectors are weighted but not added up: x has the shape (B, H)",
        {"mix": lambda w, vectors, keys, mask: w[:, :, None] * vectors},
    ),
    (
        "x is the query V: the weighted sum of the vectors e",
        {"mix": lambda w, vectors, keys, mask: filled(keys, mask).sum(1) / count(mask)},
    ),
)
"""What is made of the weights and the vectors in the place of x."""

GIVEN: tuple[Fault, ...] = (
    (
        "the weights come first, x second: return x, weights",
        {"give": lambda x, weights: (weights, x)},
    ),
    (
        "the weights have the shape (B, C, 1): (B, C)",
        {"give": lambda x, weights: (x, weights[:, :, None])},
    ),
    (
        "the weights have the shape (B, 1, C): (B, C)",
        {"give": lambda x, weights: (x, weights[:, None])},
    ),
    (
        "x has the shape (B, 1, H): (B, H)",
        {"give": lambda x, weights: (x[:, None], weights)},
    ),
    ("only x is returned: x and the weights, as a pair", {"give": lambda x, weights: x}),
    ("only the weights are returned: x and the weights", {"give": lambda x, weights: weights}),
)
"""What is returned in the place of (x, weights)."""
