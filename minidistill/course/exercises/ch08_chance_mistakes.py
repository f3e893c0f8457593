"""Chapter 08: what known wrong versions of `log_expected_count` return."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from minidistill.course.exercises.ch04_pairs import Fault, Parts, pairs, singles

_STEPS: Parts = {
    "often": lambda p, t: p * t,
    "chance": lambda x, p, t: -torch.expm1(-x),
    "log": torch.log,
    "give": lambda result: result,
}


def build(parts: Parts) -> Callable[..., Any]:
    """A `log_expected_count` in which some steps are exchanged."""
    s = SimpleNamespace(**_STEPS | parts)

    def mistaken(p: Tensor, time: Tensor | float) -> Any:
        chance = s.chance(s.often(p, time), p, time)
        return s.give(s.log(chance))

    return mistaken


FIXED = (
    "1 - (1 - p)^t is the chance after t draws, a number of draws settled beforehand: here they "
    "come at random times, and the chance is 1 - e^(-p t)"
)
EXPECTED = (
    "p t is how often the class is expected to come, and may be above 1: the chance that it has "
    "come at all is 1 - e^(-p t)"
)
NEGATIVE = (
    "Q comes out below 0 and has no logarithm, so that the result is NaN: the minus in the "
    "exponent, or the one before expm1, is missing. Q = 1 - e^(-p t) = -expm1(-p t)"
)
NORMALISED = (
    "the chances are divided by their sum: S classes are among the drawn, so the chances add up to "
    "about S, not to 1"
)
SHAPE = "{}: the result has the shape of p, a number for each"

FAULTS: tuple[Fault, ...] = (
    ("time is forgotten: 1 - e^(-p t)", {"often": lambda p, t: p}),
    ("p is forgotten: 1 - e^(-p t)", {"often": lambda p, t: torch.ones_like(p) * t}),
    ("p is divided by time: multiplied", {"often": lambda p, t: p / t}),
    ("time is divided by p: p t", {"often": lambda p, t: t / p}),
    ("p and time are added: multiplied", {"often": lambda p, t: p + t}),
    ("p is taken to the power of time: p times t", {"often": lambda p, t: p**t}),
    ("p t is squared: 1 - e^(-p t)", {"often": lambda p, t: (p * t) ** 2}),
    (
        "p is taken for a logarithm: it is a probability already",
        {"often": lambda p, t: p.exp() * t},
    ),
    (
        "p is made a probability once more, by a softmax: it is one already",
        {"often": lambda p, t: p.softmax(-1) * t},
    ),
    (
        "p is divided by its sum: these are probabilities already, it may be of some classes alone",
        {"often": lambda p, t: p / p.sum() * t},
    ),
    (EXPECTED, {"chance": lambda x, p, t: x}),
    (
        "p t is cut at 1: the chance that the class has come at all is 1 - e^(-p t)",
        {"chance": lambda x, p, t: x.clamp(max=1)},
    ),
    (
        "this is the logarithm of p alone: of the chance that the class came by `time`",
        {"chance": lambda x, p, t: p},
    ),
    (FIXED, {"chance": lambda x, p, t: 1 - (1 - p) ** t}),
    (
        "this is the chance that the class has not come: 1 less that",
        {"chance": lambda x, p, t: torch.exp(-x)},
    ),
    (NEGATIVE, {"chance": lambda x, p, t: 1 - torch.exp(x)}),
    (NEGATIVE, {"chance": lambda x, p, t: torch.expm1(-x)}),
    (
        "this is e^(p t) - 1: 1 - e^(-p t)",
        {"chance": lambda x, p, t: torch.expm1(x)},
    ),
    (
        "1 is added to e^(-p t): it is 1 less that",
        {"chance": lambda x, p, t: 1 + torch.exp(-x)},
    ),
    (
        "p^t is the chance that the class comes at each of t draws: at least once, 1 - e^(-p t)",
        {"chance": lambda x, p, t: p**t},
    ),
    (
        "1 - p^t is the chance that not all of t draws give the class: 1 - e^(-p t)",
        {"chance": lambda x, p, t: 1 - p**t},
    ),
    (
        "time stands outside the exponent: 1 - e^(-p t), not t (1 - e^(-p))",
        {"chance": lambda x, p, t: -torch.expm1(-p) * t},
    ),
    (
        "the chance of one unit of time is taken to the power of t: 1 - e^(-p t)",
        {"chance": lambda x, p, t: (-torch.expm1(-p)) ** t},
    ),
    (
        "this is the chance that the class came exactly once: at least once, 1 - e^(-p t)",
        {"chance": lambda x, p, t: x * torch.exp(-x)},
    ),
    (
        "this is a sigmoid of p t: 1 - e^(-p t)",
        {"chance": lambda x, p, t: x.sigmoid()},
    ),
    (
        "2 stands in the place of e: 1 - e^(-p t)",
        {"chance": lambda x, p, t: 1 - 2**-x},
    ),
    (
        "the chance is multiplied by p: it is in it already",
        {"chance": lambda x, p, t: -torch.expm1(-x) * p},
    ),
    (NORMALISED, {"chance": lambda x, p, t: -torch.expm1(-x) / -torch.expm1(-x).sum()}),
    (NORMALISED, {"chance": lambda x, p, t: (-torch.expm1(-x)).softmax(-1)}),
    ("this is Q: its logarithm is wanted", {"log": lambda q: q}),
    ("the sign is wrong: ln Q is 0 or below", {"log": lambda q: -q.log()}),
    (
        "this is ln(1 + Q): expm1(x) is e^x - 1 already, so Q is -expm1(-p t)",
        {"log": torch.log1p},
    ),
    ("this is 1 / Q: ln Q", {"log": lambda q: 1 / q}),
    ("the base of the logarithm is 2: the natural one", {"log": torch.log2}),
    ("the base of the logarithm is 10: the natural one", {"log": torch.log10}),
    ("e to Q is taken: the logarithm of it", {"log": torch.exp}),
    (SHAPE.format("this is the sum over the classes"), {"give": lambda result: result.sum()}),
    (SHAPE.format("this is the mean over the classes"), {"give": lambda result: result.mean()}),
    (
        SHAPE.format("this is the sum over the last dimension"),
        {"give": lambda result: result.sum(-1)},
    ),
    (
        SHAPE.format("the result is one long row"),
        {"give": lambda result: result.flatten()},
    ),
    (
        SHAPE.format("the result has a dimension of size 1 more than p"),
        {"give": lambda result: result[..., None]},
    ),
    (
        SHAPE.format("the result has a dimension of size 1 more than p, in front"),
        {"give": lambda result: result[None]},
    ),
)


def _whole_draws(p: Tensor, time: Tensor | float) -> Tensor:
    """With the number of whole draws in the place of time."""
    return build({})(p, float(int(time)))


MISTAKES = (
    *singles(build, FAULTS),
    (
        "time is cut to a whole number: it is a time, and may be any number above 0",
        _whole_draws,
    ),
)
PAIRS = tuple(pairs(build, FAULTS))
"""Two mistakes at once."""
