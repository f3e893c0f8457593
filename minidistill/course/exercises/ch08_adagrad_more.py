"""Chapter 08: how answers to row_adagrad treat repeated rows and the sums, right and wrong."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Rows = tuple[Tensor, Tensor]


def summed(rows: Tensor, values: Tensor) -> Rows:
    """Each row once, with the sum of what was named for it."""
    once, group = rows.unique(return_inverse=True)
    return once, values.new_zeros(len(once), values.size(1)).index_add_(0, group, values)


def averaged(rows: Tensor, values: Tensor) -> Rows:
    """Each row once, with the mean of what was named for it."""
    once, sums = summed(rows, values)
    _, times = rows.unique(return_counts=True)
    return once, sums / times[:, None]


def last(rows: Tensor, values: Tensor) -> Rows:
    """Each row once, with what was named for it last, as `table[rows] = values` leaves it."""
    kept = {int(row): value for row, value in zip(rows, values, strict=True)}
    return torch.tensor(list(kept)), torch.stack(list(kept.values()))


def first(rows: Tensor, values: Tensor) -> Rows:
    """Each row once, with what was named for it first."""
    return last(rows.flip(0), values.flip(0))


def each(rows: Tensor, values: Tensor) -> Rows:
    """As they come."""
    return rows, values


def again(rows: Tensor, values: Tensor) -> Rows:
    """Every time that a row is named, its whole sum."""
    once, sums = summed(rows, values)
    return rows, sums[torch.searchsorted(once, rows)]


def sum_of_all(rows: Tensor, values: Tensor) -> Rows:
    """The sum of all values for every row."""
    return rows, values.sum(0).expand_as(values)


def by_place(rows: Tensor, values: Tensor) -> Rows:
    """The sums in the order in which the rows were named."""
    _, sums = summed(rows, values)
    order = list(dict.fromkeys(rows.tolist()))
    return torch.tensor(order), sums


def replaced(sums: Tensor, rows: Tensor, squares: Tensor) -> Tensor:
    """The new squares in the place of the old sums."""
    return sums.index_copy(0, rows, squares)


def faded(share: float) -> Callable[..., Tensor]:
    """A moving average of the rows that are named."""
    return lambda s, rows, sq: replaced(s, rows, share * s[rows] + (1 - share) * sq)


def all_faded(sums: Tensor, rows: Tensor, squares: Tensor) -> Tensor:
    """A moving average of all rows."""
    return (0.9 * sums).index_add(0, rows, 0.1 * squares)
