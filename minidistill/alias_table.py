"""The alias method: a draw from any distribution over V classes in a time that V does not change.

Cut the distribution into V columns of the same height, each filled by at most two classes. A
draw picks a column, all alike, and then one of its two classes.
"""

from __future__ import annotations

import torch
from torch import Tensor


def alias_table(p: Tensor) -> tuple[Tensor, Tensor]:
    """The two tables of the alias method for probabilities p (V,).

    keep[k] is the share of column k that belongs to class k itself, the rest to other[k]:

        p(k) = (keep[k] + sum over columns j with other[j] = k of (1 - keep[j])) / V

    Built in V steps: a class with more than its column holds fills up the column of one with
    less, until all are level.

    Raises:
        ValueError: numbers that are no probabilities.

    Source: Walker, An efficient method for generating discrete random variables with general
    distributions, 1977; built as in Vose, A linear algorithm for generating random numbers
    with a given distribution, 1991. Taught in solutions/08_sampled_softmax.ipynb.
    """
    if p.dim() != 1 or not len(p) or not bool((p >= 0).all()) or abs(float(p.sum()) - 1) > 1e-6:
        raise ValueError("the probabilities should be one row of numbers from 0 that add up to 1")
    p = p.double()
    height = (p / p.sum() * len(p)).tolist()  # 1 is a full column
    other = list(range(len(p)))
    poor = [k for k, h in enumerate(height) if h < 1]
    rich = [k for k, h in enumerate(height) if h >= 1]
    while poor and rich:
        low, high = poor.pop(), rich[-1]
        other[low] = high
        height[high] -= 1 - height[low]
        if height[high] < 1:
            poor.append(rich.pop())
    for k in poor + rich:  # what rounding left over is a full column
        height[k] = 1.0
    return (
        torch.tensor(height, dtype=torch.float32, device=p.device),
        torch.tensor(other, dtype=torch.int64, device=p.device),
    )


def draw_by_alias(
    keep: Tensor, other: Tensor, count: int, generator: torch.Generator | None = None
) -> Tensor:
    """`count` classes drawn with replacement by the tables of `alias_table`: (count,).

    Taught in solutions/08_sampled_softmax.ipynb.
    """
    device = keep.device
    column = torch.randint(len(keep), (count,), generator=generator, device=device)
    share = torch.rand(count, generator=generator, device=device)
    return torch.where(share < keep[column], column, other[column])
