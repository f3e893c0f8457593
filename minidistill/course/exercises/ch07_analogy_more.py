"""Chapter 07: steps of `analogy`, right and wrong."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor
from torch.nn import functional as F

Ids = Sequence[int]


def cosines(vectors: Tensor, wanted: Tensor) -> Tensor:
    """The cosine of every row with `wanted`."""
    return F.normalize(vectors, dim=1) @ F.normalize(wanted, dim=0)


def lowest(scores: Tensor, gone: Ids) -> Tensor:
    """Scores with minus infinity for those left out."""
    scores = scores.clone()
    scores[list(gone)] = -math.inf
    return scores


def distance(vectors: Tensor, wanted: Tensor) -> Tensor:
    """The distances, so that the nearest is the largest."""
    return -(vectors - wanted).norm(dim=1)


def removed(vectors: Tensor, a: int, b: int, c: int, count: int) -> Any:
    """The rows of the three are taken out, and all others get the numbers of their new places."""
    kept = [i for i in range(len(vectors)) if i not in (a, b, c)]
    directions = F.normalize(vectors, dim=1)
    wanted = directions[b] - directions[a] + directions[c]
    return (directions[kept] @ wanted).topk(min(count, len(kept))).indices.tolist()


def changed(change: Callable[[Tensor], Tensor]) -> Callable[..., Any]:
    """The right steps, on rows that were made otherwise than of length 1."""

    def mistaken(vectors: Tensor, a: int, b: int, c: int, count: int) -> Any:
        rows = change(vectors)
        scores = rows @ (rows[b] - rows[a] + rows[c])
        return lowest(scores, (a, b, c)).topk(count).indices.tolist()

    return mistaken


def product(vectors: Tensor, a: int, b: int, c: int, count: int, small: float) -> Any:
    """Cosines multiplied and divided, not added up."""
    directions = F.normalize(vectors, dim=1)
    near = (1 + directions @ directions[[a, b, c]].T) / 2  # (V, 3)
    scores = near[:, 1] * near[:, 2] / (near[:, 0] + small)
    return lowest(scores, (a, b, c)).topk(count).indices.tolist()


def last_real(scores: Tensor, count: int) -> Tensor:
    """Those of the lowest cosines, the words that are left out aside."""
    return scores.masked_fill(scores.isinf(), math.inf).argsort()[:count]
