"""Chapter 10: further wrong versions of `quantise_rows`, which cut off what does not fit."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from minidistill.course.exercises.ch04_pairs import Fault

MEAN = "the scale comes from the mean of the row: from its largest number, or that does not fit"
DEVIATION = (
    "the scale comes from the row's standard deviation: from its largest number, or that does not "
    "fit"
)
NOT_DIVIDED = "the rows are not divided by their scale before they are rounded"
AGAIN = (
    "the rows are multiplied by their scale again: return the whole numbers and the scales, not "
    "the weights that they stand for"
)
_SIGN = (
    "the largest number of the row is taken with its sign: where a negative one is larger, the row "
    "does not fit, and what is too large is cut off"
)
_WAY = (
    "255 numbers are laid from the smallest number of a row to its largest, though q has 0 in its "
    "middle: the scale comes from the largest number without its sign"
)


def deviation(rows: Tensor) -> Tensor:
    """The standard deviation; 0 for a single column, where torch would warn."""
    return rows.std(1, correction=min(1, rows.size(1) - 1))


def _cut(least: int) -> Callable[[Tensor], Tensor]:
    return lambda x: x.clamp(least, 127).to(torch.int8)


_LARGEST: tuple[tuple[str, Callable[[Tensor], Tensor]], ...] = (
    (_SIGN, lambda rows: rows.amax(1)),
    (_SIGN, lambda rows: rows.amax(1).abs()),
    (MEAN, lambda rows: rows.abs().mean(1)),
    (DEVIATION, deviation),
    (DEVIATION, lambda rows: 3 * deviation(rows)),
)

MORE: tuple[Fault, ...] = (
    *(
        (sentence, {"largest": largest, "whole": _cut(least)})
        for sentence, largest in _LARGEST
        for least in (-127, -128)
    ),
    *(
        (NOT_DIVIDED, {"divide": lambda rows, scale: rows, "whole": _cut(least)})
        for least in (-127, -128)
    ),
    *(
        (
            _WAY,
            {
                "largest": lambda rows: rows.amax(1) - rows.amin(1),
                "scale": lambda way: way / 255,
                "whole": _cut(least),
            },
        )
        for least in (-127, -128)
    ),
    (
        "the largest number becomes 63: there is room for 127",
        {"scale": lambda largest: largest / 63},
    ),
    (AGAIN, {"return": lambda q, scale, rows: ((q * scale[:, None]).to(torch.int8), scale)}),
)
