"""Chapter 07: the right answers that are no part of the package."""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn import functional as F

from minidistill.attention import masked_softmax


def mean_query_attention(keys: Tensor, vectors: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """x (B, H) and the weights (B, C): every word weighs as it fits the mean of the keys."""
    real = mask[:, :, None].to(keys)  # (B, C, 1)
    query = (keys * real).sum(1) / real.sum(1).clamp(min=1)  # V, (B, A)
    weights = masked_softmax((keys * query[:, None]).sum(-1), mask)
    return (weights[:, :, None] * vectors).sum(1), weights


def analogy(vectors: Tensor, a: int, b: int, c: int, count: int) -> list[int]:
    """a is to b as c is to what? The ids nearest to b - a + c by cosine, the three left out."""
    directions = F.normalize(vectors, dim=1)  # a row of zeros stays what it is
    wanted = directions[b] - directions[a] + directions[c]
    cosines = directions @ wanted
    cosines[[a, b, c]] = -math.inf
    best: list[int] = cosines.topk(count).indices.tolist()
    return best
