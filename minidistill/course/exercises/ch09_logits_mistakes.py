"""Chapter 09: what known wrong versions of `logit_loss` return."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from torch import Tensor

from minidistill.course.exercises.ch04_pairs import Fault, Parts, pairs, singles
from minidistill.course.exercises.ch09_shared import MEANS
from minidistill.distillation import masked_mean


def _minus_mean(logits: Tensor) -> Tensor:
    return logits - logits.mean(-1, keepdim=True)


def _over(*dims: int) -> Callable[[Tensor], Tensor]:
    return lambda z: z - z.mean(dims, keepdim=True)


def _both(centre: Callable[[Tensor], Tensor]) -> Callable[[Tensor, Tensor, bool], Any]:
    return lambda s, t, centred: (centre(s), centre(t)) if centred else (s, t)


_STEPS: Parts = {
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
        s, t = steps.centre(student, teacher.detach(), centred)
        values = steps.words(steps.distance(s, t))
        return steps.scale(steps.mean(values, mask), temperature)

    return mistaken


_AXIS = "the row's own mean is subtracted, over the vocabulary: mean(-1, keepdim=True)"
_ALWAYS = "the logits are centred though centred is False: only where it is asked for"
_PLAIN = "the logits themselves are compared"
_ONE = "is centred: subtract the row's mean from both"

FAULTS: tuple[Fault, ...] = (
    (
        "centred is not used: where it is True, subtract each row's mean first",
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
        "this is half of the squared distance: without the 1/2",
        {"words": lambda cost: cost.sum(-1) / 2},
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
