"""Chapter 08: whether what `sampled_backward` returned can be added up into a table at all."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

THREE = (
    "return three things: the gradient of hidden, the numbers of rows, and what is added to them"
)
DENSE = (
    "the values are a whole table, (V, H): only the rows that play a part, the targets' and those "
    "drawn, (N + S, H), or the cost would grow with the vocabulary"
)
TURNED = "the values stand as (H, n): a row of the weight is a row of them, (n, H)"
NO_PART = (
    "row {} is named, though it plays no part and gets zeros: only the targets' rows and those "
    "drawn have a gradient, and to name others makes the cost grow with the vocabulary"
)


def form(given: Any, args: tuple[Any, ...]) -> str | None:
    """What is wrong with the three things' kinds and shapes, or None."""
    if not isinstance(given, (list, tuple)) or len(given) != 3:
        return THREE
    V, H = args[1].shape
    _, rows, values = given
    if isinstance(rows, (list, tuple)) and all(type(row) is int for row in rows):
        rows = torch.tensor(rows, dtype=torch.long)
    if not isinstance(rows, Tensor) or rows.dim() != 1 or not _whole(rows):
        return _not_rows(rows, values)
    if not isinstance(values, Tensor) or not values.is_floating_point():
        return f"the values should be a tensor of numbers, (n, H), not {_kind(values)}"
    if values.shape == (V, H) and len(rows) != V:
        return DENSE
    if values.shape != (len(rows), H):
        return _not_fitting(rows, values, H)
    if len(rows) and not (int(rows.min()) >= 0 and int(rows.max()) < V):
        odd = rows[(rows < 0) | (rows >= V)]
        return f"row {int(odd[0])} is named, and the weight has rows 0 to {V - 1}"
    idle = ~torch.isin(rows, torch.cat([args[2], args[3]])) & (values == 0).all(1)
    return NO_PART.format(int(rows[idle][0])) if bool(idle.any()) else None


def _not_rows(rows: Any, values: Any) -> str:
    if isinstance(values, Tensor) and values.dim() == 1 and _whole(values):
        return "rows and values are exchanged: numbers of rows come second, values third"
    return f"the second is {_kind(rows)}: numbers of rows, (n,), whole ones, come second"


def _not_fitting(rows: Tensor, values: Tensor, H: int) -> str:
    if values.shape == (H, len(rows)):
        return TURNED
    return (
        f"{len(rows)} rows are named and the values have shape {tuple(values.shape)}: for every "
        f"row one line of H = {H} numbers, ({len(rows)}, {H})"
    )


def _whole(x: Tensor) -> bool:
    return not x.is_floating_point() and x.dtype != torch.bool


def _kind(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)} with {value.dtype}"
    return f"a {type(value).__name__}"
