"""Chapter 02: where the class `RNN` drops outputs, and where it does not."""

from __future__ import annotations

import torch
from torch import Tensor

from minidistill.course.answer import Answer
from minidistill.course.exercise import Wrong, expect
from minidistill.course.exercises.ch02_rnn_wrong import run
from minidistill.course.exercises.ch02_shared import numbers

_P, _H, _SMALL = 0.3, 23, 1e-3


def _weights(rng: torch.Generator, layers: int) -> dict[str, Tensor]:
    """The second layer passes on what it reads, times a small number: so one can look inside."""
    found = {}
    for layer in range(layers):
        size = 3 if layer == 0 else _H
        found[f"weight_ih_l{layer}"] = numbers(rng, _H, size, scale=0.5)
        found[f"weight_hh_l{layer}"] = numbers(rng, _H, _H, scale=0.2)
        found[f"bias_ih_l{layer}"] = numbers(rng, _H, scale=0.5)
        found[f"bias_hh_l{layer}"] = numbers(rng, _H, scale=0.5)
    if layers == 2:
        found |= {name: w * 0 for name, w in found.items() if name.endswith("l1")}
        found["weight_ih_l1"] = torch.eye(_H, dtype=torch.float64) * _SMALL
    return found


def _made(answer: Answer, weights: dict[str, Tensor], layers: int, training: bool) -> Answer:
    mine = answer.create(3, _H, num_layers=layers, dropout=_P)
    mine.load(weights)
    mine.train(training)
    return mine


def dropout(answer: Answer, rng: torch.Generator) -> None:
    """dropout between the layers, while training and only there."""
    x = numbers(rng, 5, 17, 3)
    one, two = _weights(rng, 1), _weights(rng, 2)
    off = _made(answer, two, 2, training=False)(x)
    if not _near(off, run(two, x)):
        raise Wrong(
            "after .eval() outputs are still dropped: F.dropout needs self.training as its third "
            "argument"
        )
    if not _near(_made(answer, one, 1, training=True)(x), run(one, x)):
        raise Wrong(
            "with a single layer nothing is dropped: dropout stands between layers, not before "
            "the first and not after the last"
        )
    outputs, last = _made(answer, two, 2, training=True)(x)
    want_last = run(two, x)[1]
    if not _near(last[0], want_last[0]):
        raise Wrong("the first layer's states are dropped: only what the next layer reads is")
    lower = {name: w for name, w in two.items() if name.endswith("l0")}
    _look_inside(torch.atanh(outputs.double()) / _SMALL, run(lower, x)[0])


def _look_inside(read: Tensor, below: Tensor) -> None:
    """Compare what the second layer read with what the first one gave."""
    ratio = read / below
    dropped = ratio.abs() < 1e-6
    share = float(dropped.double().mean())
    if share < 0.01:
        raise Wrong("while training nothing is dropped between the layers: use self.dropout")
    kept = ratio[~dropped]
    if (kept - kept.median()).abs().max() > 1e-3:
        raise Wrong(
            "outputs are dropped after the last layer too, or twice: once, between two layers"
        )
    swapped = {"the share that stays is dropped, and the other way round": 1 - _P}
    expect(share, _P, f"the share dropped with dropout={_P}", swapped, tolerance=0.15)
    unscaled = {"what stays is not scaled up by 1 / (1 - p): use F.dropout": 1.0}
    factor, what = float(kept.median()), "the factor of the outputs that stay"
    expect(factor, 1 / (1 - _P), what, unscaled, tolerance=1e-3)


def _near(got: object, want: object) -> bool:
    if isinstance(want, Tensor):
        same = isinstance(got, Tensor) and got.shape == want.shape
        return same and bool(torch.allclose(got.double(), want.double(), atol=1e-6))
    return isinstance(got, (list, tuple)) and all(map(_near, got, want))
