"""Chapter 03: cases for `causal_convolution`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from minidistill.convolution import causal_convolution
from minidistill.course.answer import Answer, reference_answer
from minidistill.course.diagnosis import Mistake, compare
from minidistill.course.exercise import Wrong
from minidistill.course.exercises.ch02_shared import expect_gradients, keeps_type, numbers

_WHAT = "the result"


def _inputs(
    rng: torch.Generator, B: int, T: int, size: int, out: int, K: int, dilation: int
) -> tuple[Any, ...]:
    """x (B, T, I), weight (O, I, K), bias (O,), dilation."""
    weight = numbers(rng, out, size, K, scale=0.5)
    return numbers(rng, B, T, size), weight, numbers(rng, out), dilation


def _taps(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    dilation: int,
    *,
    back: Callable[[int, int, int], int] = lambda k, K, d: (K - 1 - k) * d,
    outside: str = "zeros",
) -> Tensor:
    """The sum over the K taps, tap k reading `back(k, K, dilation)` steps earlier."""
    B, T, K = x.size(0), x.size(1), weight.size(2)
    y = bias.expand(B, T, len(bias)).clone()
    for k in range(K):
        steps = torch.arange(T) - back(k, K, dilation)
        if outside == "wrapped":
            seen = x[:, steps % T]
        else:
            seen = x[:, steps.clamp(0, T - 1)]
            if outside == "zeros":
                seen = seen * ((steps >= 0) & (steps < T))[:, None]
        y = y + seen @ weight[:, :, k].T
    return y


def _back(rule: Callable[[int, int, int], int]) -> Callable[..., Any]:
    return lambda *args: _taps(*args, back=rule)


def _before(change: Callable[..., tuple]) -> Callable[..., Any]:
    return lambda *args: _taps(*change(*args))


def _after(change: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args: change(_taps(*args), *args)


def _joined(x: Tensor, weight: Tensor, bias: Tensor, dilation: int) -> Tensor:
    """All rows read as one long text."""
    return _taps(x.flatten(0, 1)[None], weight, bias, dilation).view(*x.shape[:2], -1)


FUTURE = (
    "it sees the future: y_t may read x_t and what came before, so all the padding stands on "
    "the left"
)
_DISTANCE = "the distance is off by one: tap k reads x at t - (K - 1 - k) * dilation"

MISTAKES: list[Mistake] = [
    (
        "the kernel is turned round: the last tap, weight[:, :, K-1], reads the step itself",
        _back(lambda k, K, d: k * d),
    ),
    (FUTURE, _back(lambda k, K, d: -k * d)),
    (FUTURE, _back(lambda k, K, d: -(K - 1 - k) * d)),
    (FUTURE, _back(lambda k, K, d: (K - 1) * d // 2 - k * d)),
    (FUTURE, _back(lambda k, K, d: (K - 1) * d - k * d - 1)),
    (
        "the dilation is not used: the taps lie `dilation` steps apart",
        _back(lambda k, K, d: K - 1 - k),
    ),
    (_DISTANCE, _back(lambda k, K, d: (K - k) * d)),
    (_DISTANCE, _back(lambda k, K, d: (K - 1 - k) * d + 1)),
    (_DISTANCE, _back(lambda k, K, d: (K - 1 - k) * (d + 1))),
    (_DISTANCE, _back(lambda k, K, d: (K - 1 - k) * (d - 1))),
    (
        "the padding lacks the dilation: (K - 1) * dilation steps of zeros stand on the left",
        _back(lambda k, K, d: K - 1 - k * d),
    ),
    (
        "the dilation is doubled with every tap: the taps are evenly spaced",
        _back(lambda k, K, d: 0 if k == K - 1 else d * 2 ** (K - 2 - k)),
    ),
    (
        "the end of the text comes round to its beginning (torch.roll, or an index below 0): zeros "
        "stand before it",
        lambda *args: _taps(*args, outside="wrapped"),
    ),
    (
        "before the text the first step is repeated: zeros stand there",
        lambda *args: _taps(*args, outside="repeated"),
    ),
    (
        "the rows run into each other: every row is a text of its own, with zeros before it",
        _joined,
    ),
    ("the bias is missing", _before(lambda x, w, b, d: (x, w, 0 * b, d))),
    (
        "the bias is added for every tap: once is right",
        _before(lambda x, w, b, d: (x, w, b * w.size(2), d)),
    ),
    (
        "only one tap is used: add up all K of them",
        _before(lambda x, w, b, d: (x, w[:, :, -1:], b, d)),
    ),
    (
        "the last tap is missing: the step itself is read, too",
        _before(lambda x, w, b, d: (x, torch.cat([w[..., :-1], 0 * w[..., -1:]], -1), b, d)),
    ),
    (
        "the first tap is missing: add up all K of them",
        _before(lambda x, w, b, d: (x, torch.cat([0 * w[..., :1], w[..., 1:]], -1), b, d)),
    ),
    (
        "weight is transposed: (O, I, K), so each tap is x @ weight[:, :, k].T",
        _before(lambda x, w, b, d: (x, w.transpose(0, 1), b, d)),
    ),
    (
        "weight is reshaped, but its dimensions are in another order than the inputs': "
        "transpose before you flatten",
        _before(lambda x, w, b, d: (x, w.reshape(w.size(0), w.size(2), -1).transpose(1, 2), b, d)),
    ),
    (
        "the taps are averaged: add them up",
        _before(lambda x, w, b, d: (x, w / w.size(2), b, d)),
    ),
    ("a tanh is taken: the convolution is the sum alone", _after(lambda y, *args: y.tanh())),
    ("a ReLU is taken: the convolution is the sum alone", _after(lambda y, *args: y.relu())),
    ("x is added to the result: the convolution is the sum alone", _after(lambda y, x, *a: y + x)),
    (
        "the result is (B, O, T): turn it back, time stands before the features",
        _after(lambda y, *args: y.transpose(1, 2)),
    ),
    (
        "the result is shorter than the text: pad with (K - 1) * dilation zeros on the left",
        _after(lambda y, x, w, b, d: y[:, (w.size(2) - 1) * d :]),
    ),
    (
        "the result is longer than the text (padding on both sides): cut off what comes after T",
        lambda x, w, b, d: _longer(x, w, b, d),
    ),
    ("only the last step is returned: all T of them", _after(lambda y, *args: y[:, -1])),
]


def _longer(x: Tensor, w: Tensor, b: Tensor, d: int) -> Tensor:
    """torch's `padding=(K-1)*dilation`, which stands on both sides."""
    more = x.new_zeros(x.size(0), (w.size(2) - 1) * d, x.size(2))
    return _taps(torch.cat([x, more], 1), w, b, d)


def _case(answer: Answer, *inputs: Any) -> None:
    rng = torch.Generator().manual_seed(7)
    probe = _inputs(rng, 3, 11, 5, 5, 3, 3)
    got = compare(answer, causal_convolution, inputs, _WHAT, mistakes=MISTAKES, probes=[probe])
    keeps_type(got, inputs[0], _WHAT)


def convolution_by_hand(answer: Answer, rng: torch.Generator) -> None:
    """one number a step, two taps, dilation 3, worked by hand."""
    x = torch.tensor([[[1.0], [2.0], [4.0], [-8.0], [16.0], [-1.0]]])
    _case(answer, x, torch.tensor([[[0.5, 2.0]]]), torch.tensor([0.25]), 3)


def convolution_square(answer: Answer, rng: torch.Generator) -> None:
    """I = O, three taps, dilation 3: mixed-up dimensions raise no error."""
    _case(answer, *_inputs(rng, 3, 11, 5, 5, 3, 3))


def convolution_uneven(answer: Answer, rng: torch.Generator) -> None:
    """B = 2, T = 13, I = 3, O = 5, K = 4, dilations 1 and 3."""
    _case(answer, *_inputs(rng, 2, 13, 3, 5, 4, 3))
    _case(answer, *_inputs(rng, 2, 13, 3, 5, 4, 1))


def convolution_short(answer: Answer, rng: torch.Generator) -> None:
    """a text shorter than the reach, one step, and one tap."""
    _case(answer, *_inputs(rng, 2, 5, 3, 2, 3, 7))
    _case(answer, *_inputs(rng, 2, 1, 3, 2, 3, 2))
    _case(answer, *_inputs(rng, 2, 5, 3, 2, 1, 3))


def convolution_future(answer: Answer, rng: torch.Generator) -> None:
    """what comes later changes nothing earlier."""
    x, weight, bias, dilation = _inputs(rng, 2, 11, 3, 5, 3, 2)
    other = x.clone()
    other[:, 7:] += 1
    one, two = answer(x, weight, bias, dilation), answer(other, weight, bias, dilation)
    if not isinstance(one, Tensor) or one.dim() != 3 or one.size(1) != 11:
        raise Wrong("the result is one tensor (B, T, O), a step for every step of the text")
    if not torch.allclose(one[:, :7], two[:, :7], atol=1e-9):
        raise Wrong(FUTURE)


def convolution_gradients(answer: Answer, rng: torch.Generator) -> None:
    """the gradient reaches x, weight and bias."""
    inputs = _inputs(rng, 2, 7, 3, 5, 3, 2)
    got = answer.gradients(*inputs, wrt=range(3))["inputs"]
    want = reference_answer(causal_convolution).gradients(*inputs, wrt=range(3))["inputs"]
    expect_gradients(got, want, ("x", "weight", "bias"))
