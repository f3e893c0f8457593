"""Chapter 10: the cases of quantise_rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from minidistill.course.answer import Answer
from minidistill.course.diagnosis import compare, expect_no_memory
from minidistill.course.exercise import Wrong, expect
from minidistill.course.exercises.ch10_rows_mistakes import (
    MISTAKES,
    PAIRS,
    not_eight_bits,
    seen,
    which_way,
)
from minidistill.quantisation import quantise_rows

_KNOWN = (*MISTAKES, *PAIRS)
_RNG = torch.Generator().manual_seed(10)
_WHAT = "(q, scales)"


def _matrix(rng: torch.Generator, R: int, C: int) -> Tensor:
    """Rows that differ in size, whose numbers lie clear of the middle between two whole ones.

    So nothing depends on which way a half is rounded. Each row has its largest number once,
    with either sign, and hardly any numbers near it with the other one.
    """
    whole = torch.randint(-90, 91, (R, C), generator=rng)
    apart = torch.rand(R, C, generator=rng) * 0.8 - 0.4
    x = whole + apart
    place = torch.randint(C, (R,), generator=rng)
    signs = torch.randint(2, (R,), generator=rng) * 2 - 1
    signs[:2] = torch.tensor([1, -1])[:R]
    x[torch.arange(R), place] = 127.0 * signs
    scale = torch.rand(R, generator=rng) * 4 + 1
    return x * scale[:, None]


PROBES = tuple((_matrix(_RNG, *shape),) for shape in ((5, 7), (11, 3), (4, 13), (5, 5)))
"""Ordinary inputs on which a mistake must show itself too before it is named."""


def _seen(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda weight: seen(function(weight), weight)


def _case(answer: Answer, weight: Tensor) -> None:
    got = compare(
        _seen(answer),
        _seen(quantise_rows),
        (weight,),
        _WHAT,
        mistakes=_KNOWN,
        probes=PROBES,
        describe=lambda got, want: which_way(got, weight),
    )
    for value, name in zip(got, ("q", "the scales"), strict=True):
        if not isinstance(value, Tensor):
            raise Wrong(f"{name} should be a tensor, not a {type(value).__name__}")
    _eight_bits(got[0])


def _eight_bits(q: Tensor) -> None:
    if q.dtype != torch.int8:
        raise Wrong(not_eight_bits(q.dtype))


def by_hand(answer: Answer, rng: torch.Generator) -> None:
    """(254, -100.6, 15.4) has the scale 2 and becomes (127, -50, 8); and two rows more."""
    weight = torch.tensor([[254.0, -100.6, 15.4], [-63.5, 4.9, 25.1], [1.6, -12.7, 3.28]])
    want = [torch.tensor([[127, -50, 8], [-127, 10, 50], [16, -127, 33]], dtype=torch.int8)]
    want.append(torch.tensor([2.0, 0.5, 0.1]))
    expect(list(quantise_rows(weight)), want, "the reference")
    expect_no_memory(_seen(answer), (weight,), (-2 * weight,), want, _WHAT)
    _case(answer, weight)


def square(answer: Answer, rng: torch.Generator) -> None:
    """as many rows as columns, where mixed-up dimensions raise no error."""
    _case(answer, _matrix(rng, 5, 5))


def uneven(answer: Answer, rng: torch.Generator) -> None:
    """R = 11, C = 7, and R = 3, C = 31."""
    _case(answer, _matrix(rng, 11, 7))
    _case(answer, _matrix(rng, 3, 31))


def signs(answer: Answer, rng: torch.Generator) -> None:
    """rows of positive numbers alone, and of negative ones; -128 is never used."""
    weight = _matrix(rng, 5, 7).abs()
    _case(answer, weight)
    _case(answer, -weight)
    _case(answer, torch.cat([weight, -weight], 1))


def narrow(answer: Answer, rng: torch.Generator) -> None:
    """a single row, and a single column."""
    _case(answer, _matrix(rng, 1, 7))
    _case(answer, _matrix(rng, 5, 1))


def zeros(answer: Answer, rng: torch.Generator) -> None:
    """a row of zeros comes back as it was, and the others beside it."""
    weight = _matrix(rng, 5, 7)
    weight[2] = 0.0
    for given in (weight, torch.zeros(3, 5)):
        got = answer(given)
        if isinstance(got, (list, tuple)) and len(got) == 2 and _strange(got[1]):
            raise Wrong(
                "a row of zeros has a scale that is NaN or infinite, and 0 times that is NaN: its "
                "scale may be any number"
            )
        if isinstance(got, (list, tuple)) and len(got) == 2 and _moved(got[0], given):
            raise Wrong(
                "a row of zeros does not come back as zeros: 0 / 0 is NaN, so divide such a row "
                "by another number"
            )
        _case(answer, given)


def _strange(scale: Any) -> bool:
    return isinstance(scale, Tensor) and not bool(scale.isfinite().all())


def _moved(q: Any, weight: Tensor) -> bool:
    nothing = (weight == 0).all(1)
    fits = isinstance(q, Tensor) and q.shape == weight.shape
    return fits and not bool((q[nothing] == 0).all())


def small_and_large(answer: Answer, rng: torch.Generator) -> None:
    """rows of numbers about 1e-20, 1e-6 and 1e20 are as finely divided as others."""
    sizes = torch.tensor([1e-20, 1e-6, 1e-3, 1.0, 1e20])
    weight = _matrix(rng, 5, 7) * sizes[:, None]
    want, got = quantise_rows(weight), answer(weight)
    q, scale = got
    # Scales so different are compared each beside what it should be.
    expect(list(scale.shape), list(want[1].shape), "the shape of the scales")
    for row, share in enumerate((scale / want[1]).tolist()):
        if not 0 < float(scale[row]) < torch.inf:
            raise Wrong(
                f"the scale of a row whose largest number is {float(weight[row].abs().max()):.3g} "
                f"is {float(scale[row]):.5g}: squares, and numbers of sixteen bits, do not reach "
                "that far; work on the numbers themselves, in float32"
            )
        if not abs(share - 1) < 1e-4:
            raise Wrong(
                f"the scale of a row whose largest number is {float(weight[row].abs().max()):.3g} "
                f"is {float(scale[row]):.5g}, expected {float(want[1][row]):.5g}: nothing may be "
                "added to it, and it has no lowest value but 0"
            )
    if bool((q[0] == 0).all()):
        raise Wrong(
            "a row of very small numbers comes back as zeros: only a row of zeros needs care, what "
            "a row is divided by has no lowest value but 0"
        )
    expect(q, want[0], "q")
    _eight_bits(q)


def close(answer: Answer, rng: torch.Generator) -> None:
    """every weight is at most half a scale from what comes back."""
    weight = torch.randn(7, 101, generator=rng)
    q, scale = answer(weight)
    expect(list(q.shape), list(weight.shape), "the shape of q")
    expect(list(scale.shape), [len(weight)], "the shape of the scales")
    _eight_bits(q)
    apart = (weight - q.float() * scale.float()[:, None]).abs().amax(1) / (
        weight.abs().amax(1) / 127
    )
    if float(apart.max()) > 0.5001:
        raise Wrong(
            f"a weight is {float(apart.max()):.3g} scales from what comes back: rounded to the "
            "nearest it is at most a half"
        )
    if int(q.int().abs().max()) > 127:
        raise Wrong("-128 is used: it has no negative, so the numbers go from -127 to 127")
