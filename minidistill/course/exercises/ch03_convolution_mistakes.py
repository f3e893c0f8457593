"""Chapter 03: known wrong versions of `causal_convolution`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from minidistill.course.diagnosis import Mistake
from minidistill.course.exercises.ch03_pairs import Parts, Single, alone, pairs

Seen = Callable[[Tensor, Tensor], Tensor]


def zeros(x: Tensor, steps: Tensor) -> Tensor:
    """x at these steps, and zeros outside the text."""
    inside = (steps >= 0) & (steps < x.size(1))
    return repeated(x, steps) * inside[:, None]


def repeated(x: Tensor, steps: Tensor) -> Tensor:
    """x at these steps, and its first or last step outside the text."""
    return x[:, steps.clamp(0, x.size(1) - 1)]


def wrapped(x: Tensor, steps: Tensor) -> Tensor:
    """x at these steps, the text being a ring."""
    return x[:, steps % x.size(1)]


def taps(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    dilation: int,
    back: Callable[[int, int, int], int] = lambda k, K, d: (K - 1 - k) * d,
    seen: Seen = zeros,
) -> Tensor:
    """The sum over the K taps, tap k reading `back(k, K, dilation)` steps earlier."""
    T, K = x.size(1), weight.size(2)
    y = bias.expand(len(x), T, len(bias))
    for k in range(K):
        y = y + seen(x, torch.arange(T) - back(k, K, dilation)) @ weight[:, :, k].T
    return y


def convolution_with(
    kernel: Callable[[Tensor], Tensor] = lambda weight: weight,
    turned: Callable[[Tensor], Tensor] = lambda weight: weight,
    bias: Callable[[Tensor, int], Tensor] = lambda bias, K: bias,
    joined: bool = False,
    after: Callable[..., Any] = lambda y, x, weight, d: y,
    **where: Any,
) -> Callable[..., Any]:
    """The convolution with some parts exchanged.

    Args:
        kernel: another weight (O, I, K), with some taps changed.
        turned: another weight, with its dimensions mixed up.
        bias: another bias, from the right one and K.
        joined: whether all rows are read as one long text.
        after: what is made of the result.
        where: `back` and `seen` of `taps`.
    """

    def mistaken(x: Tensor, weight: Tensor, b: Tensor, dilation: int) -> Any:
        text = x.flatten(0, 1)[None] if joined else x
        y = taps(text, kernel(turned(weight)), bias(b, weight.size(2)), dilation, **where)
        return after(y.reshape(*x.shape[:2], -1), x, weight, dilation)

    return mistaken


FUTURE = (
    "it sees the future: y_t may read x_t and what came before, so all the padding stands on "
    "the left"
)
_DISTANCE = "the distance is off by one: tap k reads x at t - (K - 1 - k) * dilation"
_DOUBLED = "the dilation is doubled with every tap: the taps are evenly spaced"
_ONE_TAP = "only one tap is used: add up all K of them"
_PADDING = "the padding lacks the dilation: (K - 1) * dilation steps of zeros stand on the left"


def _back(rule: Callable[[int, int, int], int]) -> Parts:
    return {"back": rule}


def _first_lost(x: Tensor, steps: Tensor) -> Tensor:
    return zeros(x, steps) * (steps != 0)[:, None]


PLACES: list[Single] = [
    (
        "the kernel is turned round: the last tap, weight[:, :, K-1], reads the step itself",
        {"kernel": lambda weight: weight.flip(2)},
    ),
    (FUTURE, _back(lambda k, K, d: -k * d)),
    (FUTURE, _back(lambda k, K, d: (K - 1) * d // 2 - k * d)),
    (FUTURE, _back(lambda k, K, d: -((1 - K) * d // 2) - k * d)),
    (FUTURE, _back(lambda k, K, d: (K - 1) * d - k * d - 1)),
    (
        "the dilation is not used: the taps lie `dilation` steps apart",
        _back(lambda k, K, d: K - 1 - k),
    ),
    (
        "the padding uses the dilation, but the taps do not: tap k begins at k * dilation",
        _back(lambda k, K, d: (K - 1) * d - k),
    ),
    (_DISTANCE, _back(lambda k, K, d: (K - k) * d)),
    (_DISTANCE, _back(lambda k, K, d: (K - 1 - k) * d + 1)),
    (_DISTANCE, _back(lambda k, K, d: (K - 1 - k) * (d + 1))),
    (_DISTANCE, _back(lambda k, K, d: (K - 1 - k) * (d - 1))),
    (_PADDING, _back(lambda k, K, d: K - 1 - k * d)),
    (_DOUBLED, _back(lambda k, K, d: 0 if k == K - 1 else d * 2 ** (K - 2 - k))),
    (_DOUBLED, _back(lambda k, K, d: d * (2 ** (K - 1 - k) - 1))),
    (
        "the end of the text comes round to its beginning (torch.roll, or an index below 0): zeros "
        "stand before it",
        {"seen": wrapped},
    ),
    ("before the text the first step is repeated: zeros stand there", {"seen": repeated}),
    ("the first step of the text is never read: index 0 is in the text", {"seen": _first_lost}),
    (
        "the rows run into each other: every row is a text of its own, with zeros before it",
        {"joined": True},
    ),
]


def _only(*wanted: int) -> Parts:
    """Only these taps count; -1 is the last."""

    def kernel(weight: Tensor) -> Tensor:
        kept = torch.zeros_like(weight)
        kept[:, :, list(wanted)] = weight[:, :, list(wanted)]
        return kept

    return {"kernel": kernel}


def _without(place: int) -> Parts:
    def kernel(weight: Tensor) -> Tensor:
        weight = weight.clone()
        weight[:, :, place] = 0
        return weight

    return {"kernel": kernel}


WEIGHTS: list[Single] = [
    ("the bias is missing", {"bias": lambda bias, K: 0 * bias}),
    ("the bias is added for every tap: once is right", {"bias": lambda bias, K: K * bias}),
    ("the bias is added twice: once is right", {"bias": lambda bias, K: 2 * bias}),
    ("the bias is subtracted: add it", {"bias": lambda bias, K: -bias}),
    (_ONE_TAP, _only(-1)),
    (_ONE_TAP, _only(0)),
    ("the last tap is missing: the step itself is read, too", _without(-1)),
    ("the first tap is missing: add up all K of them", _without(0)),
    ("only the first and the last tap are used: add up all K of them", _only(0, -1)),
    (
        "weight is transposed: (O, I, K), so each tap is x @ weight[:, :, k].T",
        {"turned": lambda w: w.transpose(0, 1)},
    ),
    (
        "weight is reshaped, but its dimensions are in another order than the inputs': "
        "transpose before you flatten",
        {"turned": lambda w: w.reshape(w.size(0), w.size(2), -1).transpose(1, 2)},
    ),
    ("the taps are averaged: add them up", {"kernel": lambda w: w / w.size(2)}),
]


def _gap(weight: Tensor, dilation: int) -> int:
    return (weight.size(2) - 1) * dilation


def _from_full(y: Tensor, x: Tensor, weight: Tensor, d: int) -> Tensor:
    late = torch.arange(x.size(1)) >= _gap(weight, d)
    return y * late[:, None]


RESULTS: list[Single] = [
    ("a tanh is taken: the convolution is the sum alone", {"after": lambda y, *args: y.tanh()}),
    ("a ReLU is taken: the convolution is the sum alone", {"after": lambda y, *args: y.relu()}),
    (
        "x is added to the result: the convolution is the sum alone",
        {"after": lambda y, x, *args: y + x},
    ),
    (
        "the result is (B, O, T): turn it back, time stands before the features",
        {"after": lambda y, *args: y.transpose(1, 2)},
    ),
    (
        "the result is reshaped where it should be turned: y.transpose(1, 2)",
        {"after": lambda y, *args: y.reshape(len(y), -1, y.size(1)).transpose(1, 2)},
    ),
    (
        "the result is reshaped where it should be turned: y.transpose(1, 2)",
        {"after": lambda y, *args: y.transpose(1, 2).reshape(y.shape)},
    ),
    (
        "the result is shorter than the text: pad with (K - 1) * dilation zeros on the left",
        {"after": lambda y, x, weight, d: y[:, _gap(weight, d) :]},
    ),
    (
        "the first steps of the result are zero: with zeros before the text, every step has a sum",
        {"after": _from_full},
    ),
    (
        "every row gets the first row's result: the rows are different texts",
        {"after": lambda y, *args: y[:1].expand_as(y)},
    ),
    (
        "only the first row comes back: (B, T, O)",
        {"after": lambda y, *args: y[:1]},
    ),
    ("only the last step is returned: all T of them", {"after": lambda y, *args: y[:, -1]}),
]


def _longer(x: Tensor, weight: Tensor, bias: Tensor, d: int) -> Tensor:
    """torch's `padding=(K-1)*dilation`, which stands on both sides."""
    more = x.new_zeros(x.size(0), _gap(weight, d), x.size(2))
    return taps(torch.cat([x, more], 1), weight, bias, d)


def _with_padding(first: float | None) -> Callable[..., Tensor]:
    """The result begins with a step for every step of the padding."""

    def mistaken(x: Tensor, weight: Tensor, bias: Tensor, d: int) -> Tensor:
        y = taps(x, weight, bias, d)
        shape = (len(y), _gap(weight, d), y.size(2))
        before = bias.expand(shape) if first is None else y.new_full(shape, first)
        return torch.cat([before, y], 1)

    return mistaken


LENGTHS: list[Mistake] = [
    (
        "the result is longer than the text (padding on both sides): cut off what comes after T",
        _longer,
    ),
    *[
        (
            "the result begins with steps of the padding: only the T steps of the text are asked "
            "for",
            _with_padding(first),
        )
        for first in (None, 0.0)
    ],
]

_PAST = "`past` {}: it stands before the text (the first lines make zeros of it where it is None)"


def _with_past(change: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    """The right convolution with another past."""

    def mistaken(x: Tensor, weight: Tensor, bias: Tensor, d: int, past: Tensor) -> Tensor:
        text = torch.cat([change(past), x], 1)
        return taps(text, weight, bias, d)[:, past.size(1) :]

    return mistaken


def _cut(x: Tensor, weight: Tensor, bias: Tensor, d: int, past: Tensor) -> Tensor:
    kept = torch.arange(past.size(1), 0, -1) < weight.size(2)
    return _with_past(lambda whole: whole * kept[:, None])(x, weight, bias, d, past)


PAST: list[Mistake] = [
    (_PAST.format("is not used"), _with_past(torch.zeros_like)),
    (_PAST.format("is turned round"), _with_past(lambda past: past.flip(1))),
    (_PAST.format("is one step late"), _with_past(lambda past: past.roll(-1, 1))),
    (_PAST.format("is one step early"), _with_past(lambda past: past.roll(1, 1))),
    (_PAST.format("is cut to K - 1 steps where it has (K - 1) * dilation"), _cut),
    (
        _PAST.format("counts with its last step only"),
        _with_past(lambda past: torch.cat([0 * past[:, :-1], past[:, -1:]], 1)),
    ),
]
"""Mistakes that show only where a past is handed in."""

SINGLES = PLACES + WEIGHTS + RESULTS
MISTAKES: list[Mistake] = alone(convolution_with, SINGLES) + LENGTHS
PAIRS: list[Mistake] = pairs(convolution_with, SINGLES)
