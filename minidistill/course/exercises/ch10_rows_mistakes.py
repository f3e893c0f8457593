"""Chapter 10: what known wrong versions of `quantise_rows` return."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from minidistill.course.exercises.ch04_pairs import Fault, Parts, pairs, singles
from minidistill.course.exercises.ch10_rows_more import (
    AGAIN,
    DEVIATION,
    MEAN,
    MORE,
    NOT_DIVIDED,
    deviation,
)


def seen(given: Any, weight: Tensor) -> Any:
    """What is compared of (q, scales): the scale of a row of zeros may be any number.

    0 times it gives the row back, whatever it is.
    """
    if not isinstance(given, (list, tuple)) or len(given) != 2:
        return given
    q, scale = given
    if not isinstance(scale, Tensor) or scale.shape != weight.shape[:1]:
        return given
    nothing = (weight == 0).all(1) & scale.isfinite()
    return q, scale.masked_fill(nothing, 0.0)


def which_way(given: Any, weight: Tensor) -> str | None:
    """The sentence about rounding, where q lies to one side of what was to be rounded.

    At 127 the quotient is a whole number or, computed in another order, just below it.
    """
    largest = weight.abs().amax(1, keepdim=True)
    if not isinstance(given, (list, tuple)) or len(given) != 2:
        return None
    q = given[0]
    if not isinstance(q, Tensor) or q.shape != weight.shape:
        return None
    x = torch.where(largest > 0, weight / largest * 127, 0.0)
    above = q - x  # by how much q is too large
    for sentence, side in ((CUT, above * x.sign()), (DOWN, above), (UP, -above)):
        if -1.01 < float(side.min()) < -0.51 and float(side.max()) < 0.01:
            return sentence
    return None


def not_eight_bits(dtype: torch.dtype) -> str:
    """The sentence about whole numbers of another type."""
    if dtype.is_floating_point:
        return "q holds floating point numbers: whole numbers of eight bits, .to(torch.int8)"
    return f"q holds {dtype}: store whole numbers of eight bits with a sign, torch.int8"


def _largest(rows: Tensor) -> Tensor:
    return rows.abs().amax(1)


def _nonzero(x: Tensor) -> Tensor:
    return torch.where(x == 0, 1.0, x)


_STEPS: Parts = {
    "largest": _largest,
    "scale": lambda largest: largest / 127,
    "divide": lambda rows, scale: rows / _nonzero(scale)[:, None],
    "round": torch.round,
    "whole": lambda x: x.to(torch.int8),
    "return": lambda q, scale, rows: (q, scale),
}


def build(parts: Parts) -> Callable[..., Any]:
    """A `quantise_rows` in which some steps are exchanged."""
    s = SimpleNamespace(**_STEPS | parts)

    def mistaken(weight: Tensor) -> Any:
        scale = s.scale(s.largest(weight))
        q = s.whole(s.round(s.divide(weight, scale)))
        return seen(getattr(s, "return")(q, scale, weight), weight)

    return mistaken


def _all_by_largest(rows: Tensor) -> Tensor:
    return rows.abs().amax().expand(len(rows))


def _asymmetric(weight: Tensor) -> Any:
    """From the smallest to the largest of a row, as -128 to 127."""
    low, high = weight.amin(1), weight.amax(1)
    scale = _nonzero((high - low) / 255)
    q = ((weight - low[:, None]) / scale[:, None]).round() - 128
    return seen((q.to(torch.int8), scale), weight)


def _from_the_middle(weight: Tensor) -> Any:
    """From the smallest to the largest of a row, as -127 to 127."""
    low, high = weight.amin(1), weight.amax(1)
    scale = _nonzero((high - low) / 254)
    q = ((weight - (low + high)[:, None] / 2) / scale[:, None]).round()
    return seen((q.to(torch.int8), scale), weight)


_MATRIX = "there is one scale for the whole matrix: each row has its own"
_COLUMN = "the scales are those of the columns: each row has its own"
_SIGN = (
    "the largest number of the row is taken with its sign: where a negative one is larger, the row "
    "does not fit, and its numbers wrap round"
)
_128 = "the largest number becomes 128, which int8 does not hold: it wraps round to -128"
_ONE = "this is one tensor: return the pair q, scale"

CUT = "numbers are cut off, not rounded: .to(torch.int8) by itself leaves out the fraction"
DOWN = "numbers are rounded down: to the nearest"
UP = "numbers are rounded up: to the nearest"

FAULTS: tuple[Fault, ...] = (
    (_MATRIX, {"largest": _all_by_largest}),
    (_MATRIX, {"largest": _all_by_largest, "return": lambda q, scale, rows: (q, scale[0])}),
    (_MATRIX, {"largest": _all_by_largest, "return": lambda q, scale, rows: (q, scale[:1])}),
    (
        _COLUMN,
        {
            "largest": lambda rows: rows.abs().amax(0),
            "divide": lambda rows, scale: rows / _nonzero(scale),
        },
    ),
    (_COLUMN, {"largest": lambda rows: rows.abs().amax(0)}),
    (
        "each row is divided by the scales of the others: scales of shape (R,) lie along the "
        "columns when they meet a matrix",
        {"divide": lambda rows, scale: rows / _nonzero(scale)},
    ),
    (_SIGN, {"largest": lambda rows: rows.amax(1)}),
    (_SIGN, {"largest": lambda rows: rows.amax(1).abs()}),
    (MEAN, {"largest": lambda rows: rows.abs().mean(1)}),
    (DEVIATION, {"largest": deviation}),
    (
        "the scale comes from the sum of the row: from its largest number",
        {"largest": lambda rows: rows.abs().sum(1)},
    ),
    (
        "the scale comes from the length of the row as a vector: from its largest number",
        {"largest": lambda rows: rows.norm(dim=1)},
    ),
    (
        "the scale comes from half the way between the smallest and the largest number: from the "
        "largest one without its sign, so that 0 stays 0 and every number has its negative",
        {"largest": lambda rows: (rows.amax(1) - rows.amin(1)) / 2},
    ),
    (
        "the scale comes from the whole way between the smallest and the largest number: from the "
        "largest one without its sign",
        {"largest": lambda rows: rows.amax(1) - rows.amin(1)},
    ),
    (_128, {"scale": lambda largest: largest / 128}),
    (
        "the largest number becomes 128 and is cut to 127, so that it comes back too small: divide "
        "by 127",
        {
            "scale": lambda largest: largest / 128,
            "whole": lambda x: x.clamp(-128, 127).to(torch.int8),
        },
    ),
    (
        "the largest number becomes 128 and is cut to 127, so that it comes back too small: divide "
        "by 127",
        {
            "scale": lambda largest: largest / 128,
            "whole": lambda x: x.clamp(-127, 127).to(torch.int8),
        },
    ),
    (
        "the largest number becomes 127.5, which rounds to 128 and wraps round to -128: divide by "
        "127",
        {"scale": lambda largest: largest / 127.5},
    ),
    (
        "the largest number becomes 127.5 and is cut to 127, so that it comes back too small: "
        "divide by 127",
        {
            "scale": lambda largest: 2 * largest / 255,
            "whole": lambda x: x.clamp(-127, 127).to(torch.int8),
        },
    ),
    (
        "255 numbers are laid between 0 and the largest: half of them are for negative ones",
        {"scale": lambda largest: largest / 255},
    ),
    (
        "256 numbers are laid between 0 and the largest: half of them are for negative ones",
        {"scale": lambda largest: largest / 256},
    ),
    (
        "the largest number becomes 126: there is room for 127",
        {"scale": lambda largest: largest / 126},
    ),
    (
        "127 is forgotten, so that hardly anything but -1, 0 and 1 comes out",
        {"scale": lambda largest: largest},
    ),
    (
        "rows are multiplied by their scale: divide by it",
        {"divide": lambda rows, scale: rows * scale[:, None]},
    ),
    (
        "the scale is upside down: s such that s times q is the weight",
        {"return": lambda q, scale, rows: (q, 1 / _nonzero(scale))},
    ),
    (NOT_DIVIDED, {"divide": lambda rows, scale: rows}),
    (CUT, {"round": torch.trunc}),
    (DOWN, {"round": torch.floor}),
    (UP, {"round": torch.ceil}),
    (
        "numbers are rounded away from 0: to the nearest",
        {"round": lambda x: x.sign() * x.abs().ceil()},
    ),
    (
        "1/2 is added and the fraction cut off, which is wrong below 0: torch.round",
        {"round": lambda x: (x + 0.5).trunc()},
    ),
    (
        "the signs are lost: q goes from -127 to 127",
        {"round": lambda x: x.abs().round()},
    ),
    (
        "0 stands at 128, as in unsigned numbers: int8 has a sign, and 0 stays 0",
        {"whole": lambda x: (x + 128).to(torch.uint8)},
    ),
    *(
        (not_eight_bits(dtype), {"whole": lambda x, dtype=dtype: x.to(dtype)})
        for dtype in (torch.int16, torch.int32, torch.int64, torch.float32)
    ),
    (
        "q holds torch.uint8, which has no sign: torch.int8",
        {"whole": lambda x: x.to(torch.int8).to(torch.uint8)},
    ),
    (
        "the scales come back as (R, 1): one number a row, (R,)",
        {"return": lambda q, scale, rows: (q, scale[:, None])},
    ),
    (
        "there is a scale for every number: one a row, (R,)",
        {"return": lambda q, scale, rows: (q, scale[:, None].expand_as(rows))},
    ),
    (
        "the pair is turned round: q first, then the scales",
        {"return": lambda q, scale, rows: (scale, q)},
    ),
    (AGAIN, {"return": lambda q, scale, rows: (q * scale[:, None], scale)}),
    (
        "the second is the largest number of each row: the scale, a 127th of it",
        {"return": lambda q, scale, rows: (q, _largest(rows))},
    ),
    (_ONE, {"return": lambda q, scale, rows: q}),
    (_ONE, {"return": lambda q, scale, rows: q * scale[:, None]}),
    *MORE,
)
MISTAKES = (
    *singles(build, FAULTS),
    (
        "the smallest number of a row becomes -128 and the largest 127: here q is the weight "
        "divided by a scale, so 0 must stay 0",
        _asymmetric,
    ),
    (
        "the middle between the smallest and the largest number of a row becomes 0: here q is the "
        "weight divided by a scale, so 0 must stay 0",
        _from_the_middle,
    ),
)
PAIRS = tuple(pairs(build, FAULTS))
"""Two mistakes at once."""
