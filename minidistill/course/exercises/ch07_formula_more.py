"""Chapter 07: right and wrong steps of `mean_query_attention`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


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
