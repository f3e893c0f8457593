"""Chapter 09: what known wrong versions of `logit_loss` return."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from torch import Tensor

from minidistill.course.exercises.ch04_pairs import Fault, Parts, pairs, singles
from minidistill.course.exercises.ch09_shared import MEANS, filled
from minidistill.distillation import masked_mean


def _minus_mean(logits: Tensor) -> Tensor:
    return logits - logits.mean(-1, keepdim=True)


def _over(*dims: int) -> Callable[[Tensor], Tensor]:
    return lambda z: z - z.mean(dims, keepdim=True)


def _both(centre: Callable[[Tensor], Tensor]) -> Callable[[Tensor, Tensor, bool], Any]:
    return lambda s, t, centred: (centre(s), centre(t)) if centred else (s, t)


_STEPS: Parts = {
    "enter": lambda s, t, mask: (s, t),
    "centre": _both(_minus_mean),
    "distance": lambda s, t: (s - t).square(),
    "words": lambda cost: cost.sum(-1),
    "mean": masked_mean,
    "scale": lambda loss, T: loss,
}


def build(parts: Parts) -> Callable[..., Any]:
    """A `logit_loss` in which some steps are exchanged."""
    steps = SimpleNamespace(**_STEPS | parts)

    def mistaken(
        student: Tensor,
        teacher: Tensor,
        mask: Tensor | None = None,
        temperature: float = 1.0,
        centred: bool = False,
    ) -> Any:
        s, t = steps.enter(student, teacher.detach(), mask)
        s, t = steps.centre(s, t, centred)
        values = steps.words(steps.distance(s, t))
        return steps.scale(steps.mean(values, mask), temperature)

    return mistaken


_AXIS = "the row's own mean is subtracted, over the vocabulary: mean(-1, keepdim=True)"
_ALWAYS = "the logits are centred though centred is False: only where it is asked for"
_PLAIN = "the logits themselves are compared"
_ONE = "is centred: subtract the row's mean from both"

FAULTS: tuple[Fault, ...] = (
    (
        "centred is not used: where it is True, subtract each row's own mean first (one number "
        "taken from both rows makes no difference)",
        {"centre": lambda s, t, centred: (s, t)},
    ),
    (_ALWAYS, {"centre": lambda s, t, centred: (_minus_mean(s), _minus_mean(t))}),
    (
        "centred is turned round: the means are subtracted where it is True",
        {"centre": lambda s, t, centred: _both(_minus_mean)(s, t, not centred)},
    ),
    (
        f"the mean over the text is subtracted, but {_AXIS}",
        {"centre": _both(_over(-2))},
    ),
    (f"the mean over the batch is subtracted, but {_AXIS}", {"centre": _both(_over(0))}),
    (
        f"one mean of the whole tensor is subtracted, but {_AXIS}",
        {"centre": _both(lambda z: z - z.mean())},
    ),
    (
        f"the mean over the text is subtracted, but {_AXIS}",
        {"centre": _both(_over(-2)), "enter": filled},
    ),
    (
        f"the mean over the batch is subtracted, but {_AXIS}",
        {"centre": _both(_over(0)), "enter": filled},
    ),
    (
        f"one mean of the whole tensor is subtracted, but {_AXIS}",
        {"centre": _both(lambda z: z - z.mean()), "enter": filled},
    ),
    (
        "the median of each row is subtracted: its mean",
        {"centre": _both(lambda z: z - z.median(-1, keepdim=True).values)},
    ),
    (
        "the sum of each row is subtracted: its mean, sum / V",
        {"centre": _both(lambda z: z - z.sum(-1, keepdim=True))},
    ),
    (
        "the smallest logit of each row is subtracted: its mean",
        {"centre": _both(lambda z: z - z.amin(-1, keepdim=True))},
    ),
    (
        "the largest logit of each row is subtracted: its mean",
        {"centre": _both(lambda z: z - z.amax(-1, keepdim=True))},
    ),
    (
        "with centred the log-probabilities are compared: subtract the row's mean, not its "
        "logsumexp",
        {"centre": _both(lambda z: z.log_softmax(-1))},
    ),
    (
        "the logits are divided by their deviation as well: only the mean is subtracted",
        {"centre": _both(lambda z: _minus_mean(z) / z.std(-1, keepdim=True))},
    ),
    (
        f"only the student {_ONE}",
        {"centre": lambda s, t, centred: (_minus_mean(s) if centred else s, t)},
    ),
    (
        f"only the teacher {_ONE}",
        {"centre": lambda s, t, centred: (s, _minus_mean(t) if centred else t)},
    ),
    (
        "this is the mean over the vocabulary (the default of torch's MSELoss): the squared "
        "length of the difference is a sum",
        {"words": lambda cost: cost.mean(-1)},
    ),
    (
        "this is the length of the difference: the squared length, without the root",
        {"words": lambda cost: cost.sum(-1).sqrt()},
    ),
    (
        "this is what the most different word alone costs: sum over all words",
        {"words": lambda cost: cost.amax(-1)},
    ),
    (
        "the root is taken of the loss: the squared length, without it",
        {"scale": lambda loss, T: loss.sqrt()},
    ),
    (
        "this is half of the squared distance: without the 1/2",
        {"words": lambda cost: cost.sum(-1) / 2},
    ),
    (
        "this is half of the mean over the vocabulary: the squared length of the difference is a "
        "sum, without the 1/2",
        {"words": lambda cost: cost.mean(-1) / 2},
    ),
    (
        "the differences are added up before they are squared: square each, then add",
        {"distance": lambda s, t: s - t, "words": lambda cost: cost.sum(-1).square()},
    ),
    (
        "the lengths are compared, not the directions: subtract the logits first, then square",
        {
            "distance": lambda s, t: s.square().sum(-1) - t.square().sum(-1),
            "words": lambda cost: cost.square(),
        },
    ),
    ("the differences are not squared", {"distance": lambda s, t: s - t}),
    (
        "these are absolute differences: squares are wanted",
        {"distance": lambda s, t: (s - t).abs()},
    ),
    (
        f"probabilities are compared: {_PLAIN}, without a softmax",
        {"distance": lambda s, t: (s.softmax(-1) - t.softmax(-1)).square()},
    ),
    (
        f"log-probabilities are compared: {_PLAIN}, without a softmax",
        {"distance": lambda s, t: (s.log_softmax(-1) - t.log_softmax(-1)).square()},
    ),
    (
        "the squares are subtracted: subtract the logits first, then square",
        {"distance": lambda s, t: s.square() - t.square()},
    ),
    (
        "the temperature is used: this loss has none, the argument only keeps the place",
        {"scale": lambda loss, T: loss * T**2},
    ),
    (
        "the temperature is used: this loss has none, the argument only keeps the place",
        {"scale": lambda loss, T: loss / T**2},
    ),
    *MEANS,
)
MISTAKES = tuple(singles(build, FAULTS))
PAIRS = tuple(pairs(build, FAULTS))
"""Two mistakes at once."""


def _of_difference(
    per_row: Callable[[Tensor], Tensor],
) -> Callable[..., Tensor]:
    """A `logit_loss` that, centred, makes something of the difference by itself."""

    def mistaken(
        student: Tensor,
        teacher: Tensor,
        mask: Tensor | None = None,
        temperature: float = 1.0,
        centred: bool = False,
    ) -> Tensor:
        apart = student - teacher.detach()
        return masked_mean(per_row(apart) if centred else apart.square().sum(-1), mask)

    return mistaken


MISTAKES += (
    (
        "with centred the squares are centred, which add up to 0 then: subtract each row's mean "
        "from the logits, before anything else",
        _of_difference(lambda apart: _minus_mean(apart.square()).sum(-1)),
    ),
    (
        "with centred this is the variance, a mean over the vocabulary: the squared length is a "
        "sum",
        _of_difference(lambda apart: apart.var(-1, correction=0)),
    ),
    (
        "with centred this is V times a variance that was divided by V - 1: sum the squares, or "
        "take var(-1, correction=0)",
        _of_difference(lambda apart: apart.var(-1) * apart.size(-1)),
    ),
)
