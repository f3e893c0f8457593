"""Chapter 08: the cases of log_expected_count."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from minidistill.course.answer import Answer
from minidistill.course.diagnosis import compare, expect_no_memory
from minidistill.course.exercise import Wrong, agrees, expect
from minidistill.course.exercises.ch02_shared import keeps_type
from minidistill.course.exercises.ch08_chance_mistakes import MISTAKES, PAIRS
from minidistill.samplers import log_expected_count

_KNOWN = (*MISTAKES, *PAIRS)
_WHAT = "ln Q"
_LOST = (
    "where p t is {:.0e} the result is {:.15g}, expected {:.15g}: e^(-p t) is 1 to nearly all its "
    "digits, and what is left after 1 - e^(-p t) is rounding alone. -torch.expm1(-p * t) is the "
    "same without that loss"
)
_FLOOR = (
    "where p t is {:.0e} the result is {:.8g}, expected {:.8g}: nothing may be added to Q, and it "
    "has no lowest value; -torch.expm1(-p * t) is never 0 where p t is not"
)
_FOREVER = (
    "time may be inf, by which every class has come: Q = 1 and ln Q = 0. Here it is NaN or "
    "infinite: infinity minus infinity, infinity over infinity and infinity times 0 are NaN, but "
    "e^(-inf) is 0"
)
_CAPPED = (
    "time is inf, by which even a class with p = {:.0e} has come, ln Q = 0, and the result is "
    "{:.5g}: no large number may stand in for infinity, and time has no highest value"
)
_BELOW_1 = (
    "time is inf, and the result is {:.5g} where ln 1 = 0 is expected: Q may be 1, so it has no "
    "highest value below that, and nothing is to be added to it"
)
_LIMITED = (
    "where p is {:.0e} and time 1e13 the result is {:.5g}, expected {:.5g}: neither p nor time has "
    "a lowest or a highest value here, so nothing is to be clamped"
)
_OVERFLOW = (
    "where p t is {:.0f} the result is {:.5g}, expected 0: e^(p t) is more than the computer "
    "holds. e^(-p t) is 0 there, and nothing is lost"
)


def _probabilities(rng: torch.Generator, *shape: int) -> Tensor:
    """Probabilities of one draw, which add up to 1."""
    p = torch.randn(*shape, generator=rng, dtype=torch.float64).exp()
    return p / p.sum()


_RNG = torch.Generator().manual_seed(1)
PROBES = (
    (_probabilities(_RNG, 7), 3.7),
    (_probabilities(_RNG, 3, 5), 7.9),
    (_probabilities(_RNG, 11)[:5], torch.tensor(5.3, dtype=torch.float64)),
)
"""Ordinary inputs on which a mistake must show itself too before it is named."""


def _case(answer: Answer, p: Tensor, time: Any, tolerance: float = 1e-5) -> None:
    args = (p, time)
    got = compare(
        answer,
        log_expected_count,
        args,
        _WHAT,
        mistakes=_KNOWN,
        probes=PROBES,
        tolerance=tolerance,
    )
    keeps_type(got, p, _WHAT)


def by_hand(answer: Answer, rng: torch.Generator) -> None:
    """p t is ln 2, ln 4 and ln 8: Q is 1/2, 3/4 and 7/8."""
    ln2 = math.log(2)
    args = (torch.tensor([0.1, 0.2, 0.3]), 10 * ln2)
    want = torch.tensor([1 / 2, 3 / 4, 7 / 8]).log()
    expect(log_expected_count(*args), want, "the reference")
    _takes(answer, *args)
    expect_no_memory(answer, args, (args[0], 3.0), want, _WHAT)
    _case(answer, *args)


def ordinary(answer: Answer, rng: torch.Generator) -> None:
    """11 classes at the times 5.3 and 0.7; and 7 of 23 classes."""
    p = _probabilities(rng, 11)
    for time in (5.3, 0.7):
        _case(answer, p, time)
    _case(answer, _probabilities(rng, 23)[:7], 9.1)


def any_shape(answer: Answer, rng: torch.Generator) -> None:
    """p of shape (3, 5), (2, 3, 5), (1,) and ()."""
    for shape in ((3, 5), (2, 3, 5), (1,)):
        _case(answer, _probabilities(rng, *shape) * 0.9, 7.3)
    _case(answer, torch.tensor(0.3, dtype=torch.float64), 1.7)


def time_of_any_kind(answer: Answer, rng: torch.Generator) -> None:
    """time as a whole number, as a float and as a tensor of shape ()."""
    p = _probabilities(rng, 7)
    for time in (5, 4.5, torch.tensor(4.5, dtype=torch.float64), torch.tensor(4.5)):
        _takes(answer, p, time)
        _case(answer, p, time)


def _takes(answer: Answer, p: Tensor, time: Any) -> None:
    """Wrong, in words, where only one kind of time is taken."""
    try:
        answer(p, time)
    except Wrong as wrong:
        if "attribute" not in str(wrong) and "must be Tensor" not in str(wrong):
            raise
        kind = "a tensor of shape ()" if isinstance(time, Tensor) else "a plain number"
        raise Wrong(
            f"time is {kind} here, and it may be either: p * time takes both ({wrong})"
        ) from None


def forever(answer: Answer, rng: torch.Generator) -> None:
    """time = inf: every class has come, ln Q = 0."""
    p = _probabilities(rng, 7)
    for time in (math.inf, torch.tensor(math.inf)):
        for some in (p, p.float()):
            got = answer(some, time)
            if isinstance(got, Tensor) and not bool(got.isfinite().all()):
                raise Wrong(_FOREVER)
            _case(answer, some, time)
            if not agrees(got, torch.zeros_like(some), 1e-9):
                raise Wrong(_BELOW_1.format(float(got[0])))
            _rare_forever(answer, some.new_tensor([1e-3, 1e-12, 0.2, 1e-6]), time)


def _rare_forever(answer: Answer, p: Tensor, time: Any) -> None:
    """Wrong, in words, where a number that is merely large stands for an infinite time."""
    got = answer(p, time)
    whole = isinstance(got, Tensor) and got.shape == p.shape and bool(got.isfinite().all())
    if whole and not agrees(got, torch.zeros_like(p)):
        raise Wrong(_CAPPED.format(float(p[1]), float(got[1])))
    _case(answer, p, time)


def long_times(answer: Answer, rng: torch.Generator) -> None:
    """p t from 30 to 3,000: Q is 1 but for a hair."""
    p = torch.tensor([0.001, 0.03, 0.1], dtype=torch.float64)
    for some in (p, p.float()):
        got = answer(some, 3e4)
        if isinstance(got, Tensor) and got.shape == p.shape and not bool(got.isfinite().all()):
            place = int((~got.isfinite()).nonzero()[0])
            raise Wrong(_OVERFLOW.format(float(p[place] * 3e4), float(got[place])))
        _case(answer, some, 3e4)
        some = some.new_tensor([1e-3, 1e-12, 0.2, 1e-6])
        got, want = answer(some, 1e13), log_expected_count(some, 1e13)
        whole = isinstance(got, Tensor) and got.shape == some.shape and bool(got.isfinite().all())
        if whole and not agrees(got, want):
            raise Wrong(_LIMITED.format(float(some[1]), float(got[1]), float(want[1])))
        _case(answer, some, 1e13)


def rare(answer: Answer, rng: torch.Generator) -> None:
    """p t from 0.1 to 1e-30, in float64 and in float32, with all digits."""
    sizes = torch.tensor([10.0**-n for n in (1, 2, 3, 5, 9, 12, 15, 18, 30)]).double()
    times = torch.rand((), generator=rng, dtype=torch.float64) + 1
    for p, tolerance in ((sizes / times, 1e-12), ((sizes / times).float(), 1e-6)):
        time = float(times)
        _digits(answer(p, time), log_expected_count(p, time), sizes, tolerance)
        _case(answer, p, time, tolerance)


def _digits(got: Any, want: Tensor, sizes: Tensor, tolerance: float) -> None:
    """Wrong, in words, where the digits of a small Q are lost."""
    if not isinstance(got, Tensor) or got.shape != want.shape:
        return
    # The smallest first: where a number was added to Q, there it shows best.
    for size, a, b in zip(*(x.flip(0).tolist() for x in (sizes, got, want)), strict=True):
        if not agrees(a, b, tolerance):
            floor = math.isfinite(a) and a > b + 1
            raise Wrong((_FLOOR if floor else _LOST).format(size, a, b))


def precise(answer: Answer, rng: torch.Generator) -> None:
    """in float64 all digits are right."""
    _case(answer, _probabilities(rng, 11), 5.3, tolerance=1e-12)
