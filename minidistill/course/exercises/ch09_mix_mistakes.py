"""Chapter 09: what known wrong versions of `distillation_loss` return."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from minidistill.course.exercises.ch04_pairs import Fault, Parts, pairs, singles
from minidistill.course.exercises.ch09_soft_mistakes import build as soft_with
from minidistill.distillation import masked_mean

IGNORE = -100
_soft = soft_with({})
_crossed = soft_with({"cost": lambda log_p, log_q: -log_p.exp() * log_q})


def _real(student: Tensor, teacher: Tensor, targets: Tensor, T: float) -> Tensor:
    return _soft(student, teacher, targets != IGNORE, T)


def _cost(logits: Tensor, targets: Tensor) -> Tensor:
    log_q = logits.log_softmax(-1)
    return -log_q.gather(-1, targets.clamp(min=0)[..., None])[..., 0]


def _hard(student: Tensor, teacher: Tensor, targets: Tensor, T: float) -> Tensor:
    return masked_mean(_cost(student, targets), targets != IGNORE)


_STEPS: Parts = {
    "soft": _real,
    "hard": _hard,
    "mix": lambda soft, hard, alpha: alpha * soft + (1 - alpha) * hard,
}


def build(parts: Parts) -> Callable[..., Any]:
    """A `distillation_loss` in which some steps are exchanged."""
    s = SimpleNamespace(**_STEPS | parts)

    def mistaken(
        student: Tensor,
        teacher: Tensor,
        targets: Tensor,
        alpha: float = 0.9,
        temperature: float = 1.0,
    ) -> Any:
        given = (student, teacher.detach(), targets, temperature)
        return s.mix(s.soft(*given), s.hard(*given), alpha)

    return mistaken


_ZERO = (
    "targets of -100 are counted in the hard loss, as if they were a token: token_loss leaves them "
    "out"
)
_ONLY = (
    "the teacher alone counts, whatever alpha is: (1 - alpha) times the hard loss is missing",
    "the text alone counts, whatever alpha is: alpha times the soft loss is missing",
)

_FIXED = "the weights are written into the code: the teacher's share is the argument alpha"
_TWICE = "are softmaxed before the loss, which does that itself: hand over the logits"


def _of_means(student: Tensor, teacher: Tensor, targets: Tensor, T: float) -> Tensor:
    real = targets != IGNORE
    kept = _cost(student, targets).masked_fill(~real, 0.0)
    return (kept.sum(-1) / real.sum(-1).clamp(min=1)).mean()


def _shifted(student: Tensor, teacher: Tensor, targets: Tensor, T: float) -> Tensor:
    return _hard(student[:, :-1], teacher[:, :-1], targets[:, 1:], T)


FAULTS: tuple[Fault, ...] = (
    (
        "alpha stands at the wrong term: alpha weighs the teacher, 1 - alpha the text",
        {"mix": lambda soft, hard, alpha: (1 - alpha) * soft + alpha * hard},
    ),
    (
        "both terms are weighed with alpha: the hard one gets 1 - alpha",
        {"mix": lambda soft, hard, alpha: alpha * (soft + hard)},
    ),
    (
        "the hard loss is added whole: it gets the weight 1 - alpha",
        {"mix": lambda soft, hard, alpha: alpha * soft + hard},
    ),
    (
        "the soft loss is added whole: it gets the weight alpha",
        {"mix": lambda soft, hard, alpha: soft + (1 - alpha) * hard},
    ),
    ("alpha is not used: alpha soft + (1 - alpha) hard", {"mix": lambda s, h, alpha: s + h}),
    (_FIXED, {"mix": lambda soft, hard, alpha: 0.9 * soft + 0.1 * hard}),
    (_FIXED, {"mix": lambda soft, hard, alpha: (soft + hard) / 2}),
    (
        "the mix is divided by 2: the weights add up to 1 as they are",
        {"mix": lambda soft, hard, alpha: (alpha * soft + (1 - alpha) * hard) / 2},
    ),
    (
        "the hard loss is subtracted: both are costs, add them",
        {"mix": lambda soft, hard, alpha: alpha * soft - (1 - alpha) * hard},
    ),
    (_ONLY[0], {"mix": lambda soft, hard, alpha: soft}),
    (_ONLY[0], {"mix": lambda soft, hard, alpha: alpha * soft}),
    (_ONLY[1], {"mix": lambda soft, hard, alpha: hard}),
    (_ONLY[1], {"mix": lambda soft, hard, alpha: (1 - alpha) * hard}),
    (
        "the hard loss is multiplied by T^2 as well: it is not softened, so nothing shrank that "
        "one would have to undo",
        {"hard": lambda s, t, y, T: T**2 * _hard(s, t, y, T)},
    ),
    (
        "the hard loss is taken at temperature T: the student will be used at 1, so its cost of "
        "the text's words is that of its own logits",
        {"hard": lambda s, t, y, T: _hard(s / T, t, y, T)},
    ),
    (
        "the hard loss is taken at temperature T and multiplied by T^2: the student will be used "
        "at 1, so it is that of its own logits, as they are",
        {"hard": lambda s, t, y, T: T**2 * _hard(s / T, t, y, T)},
    ),
    (
        "the hard loss is the teacher's: what the student pays for the text's words is wanted",
        {"hard": lambda s, t, y, T: _hard(t, t, y, T)},
    ),
    (
        _ZERO,
        {"hard": lambda s, t, y, T: _cost(s, y).mean()},
    ),
    (
        "the hard loss is divided by all places, padding too: by the number of real targets",
        {"hard": lambda s, t, y, T: _cost(s, y).masked_fill(y == IGNORE, 0.0).mean()},
    ),
    (
        "the hard loss is a sum over the tokens: it is their mean, as the soft one is",
        {"hard": lambda s, t, y, T: _cost(s, y).masked_fill(y == IGNORE, 0.0).sum()},
    ),
    (
        "the hard loss is divided by the number of tokens once more: token_loss returns a mean",
        {"hard": lambda s, t, y, T: _hard(s, t, y, T) / (y != IGNORE).sum().clamp(min=1)},
    ),
    (
        "the count stands where the hard loss should: token_loss returns (loss, count)",
        {"hard": lambda s, t, y, T: (y != IGNORE).sum().to(s.dtype)},
    ),
    (
        "in the hard loss each row is averaged first, and then the rows: add up all real tokens, "
        "then divide once",
        {"hard": _of_means},
    ),
    (
        "the hard loss is divided by the number of rows: by the number of real targets",
        {"hard": lambda s, t, y, T: _cost(s, y).masked_fill(y == IGNORE, 0.0).sum() / len(y)},
    ),
    (
        "the targets of the hard loss are the teacher's likeliest words: the text's words are "
        "wanted, the teacher speaks in the soft loss",
        {"hard": lambda s, t, y, T: masked_mean(_cost(s, t.argmax(-1)), y != IGNORE)},
    ),
    (
        "the logarithm is missing in the hard loss: the cost of a word is -ln q, not -q",
        {"hard": lambda s, t, y, T: -masked_mean((-_cost(s, y)).exp(), y != IGNORE)},
    ),
    (
        "the targets are moved one place for the hard loss: they are the next tokens already",
        {"hard": _shifted},
    ),
    (
        f"the logits of the hard loss {_TWICE}",
        {"hard": lambda s, t, y, T: _hard(s.softmax(-1), t, y, T)},
    ),
    (
        f"the logits of the soft loss {_TWICE}",
        {"soft": lambda s, t, y, T: _soft(s.softmax(-1), t.softmax(-1), y != IGNORE, T)},
    ),
    (
        "the logits of the soft loss are divided by T twice: the divergence does it already",
        {"soft": lambda s, t, y, T: _soft(s / T, t / T, y != IGNORE, T)},
    ),
    (
        "the mask of the soft loss asks whether a target is token 0, which is a word like any "
        "other: targets != IGNORE",
        {"soft": lambda s, t, y, T: _soft(s, t, y != 0, T)},
    ),
    (
        "the temperature of the soft loss is written into the code: hand on the argument",
        {"soft": lambda s, t, y, T: _soft(s, t, y != IGNORE, 2.0)},
    ),
    (
        "targets of -100 are counted in the soft loss: hand it the mask targets != IGNORE",
        {"soft": lambda s, t, y, T: _soft(s, t, None, T)},
    ),
    (
        "token 0 is left out of the soft loss: it is a word like any other, the mask is targets "
        "!= IGNORE",
        {"soft": lambda s, t, y, T: _soft(s, t, y > 0, T)},
    ),
    (
        "the mask is turned round: targets != IGNORE is True where a token is real",
        {"soft": lambda s, t, y, T: _soft(s, t, y == IGNORE, T)},
    ),
    (
        "the temperature is not handed on to the soft loss: temperature=temperature",
        {"soft": lambda s, t, y, T: _soft(s, t, y != IGNORE, 1.0)},
    ),
    (
        "the soft part is the cross-entropy -p ln q, without the teacher's own entropy: call the "
        "divergence",
        {"soft": lambda s, t, y, T: _crossed(s, t, y != IGNORE, T)},
    ),
    (
        "the teacher's rows are one place off: both models read the same tokens, so row t of one "
        "belongs to row t of the other",
        {"soft": lambda s, t, y, T: _soft(s[:, 1:], t[:, :-1], y[:, 1:] != IGNORE, T)},
    ),
    (
        "the teacher's rows are one place off: both models read the same tokens, so row t of one "
        "belongs to row t of the other",
        {"soft": lambda s, t, y, T: _soft(s[:, :-1], t[:, 1:], y[:, :-1] != IGNORE, T)},
    ),
    (
        "neither the mask nor the temperature is handed on to the soft loss: mask=mask, "
        "temperature=temperature",
        {"soft": lambda s, t, y, T: _soft(s, t, None, 1.0)},
    ),
    (
        "the soft loss lacks its T^2: call the divergence, which has it",
        {"soft": lambda s, t, y, T: _soft(s, t, y != IGNORE, T) / T**2},
    ),
    (
        "T^2 is there twice: the divergence has it already",
        {"soft": lambda s, t, y, T: _soft(s, t, y != IGNORE, T) * T**2},
    ),
    (
        "student and teacher are swapped in the soft loss: the student comes first",
        {"soft": lambda s, t, y, T: _soft(t, s, y != IGNORE, T)},
    ),
)
MISTAKES = tuple(singles(build, FAULTS))
PAIRS = tuple(pairs(build, FAULTS))
"""Two mistakes at once."""


ALIKE: tuple[Fault, ...] = (
    (
        "the soft loss is detached: it must reach the student's logits, only the teacher's are "
        "held fixed",
        {"soft": lambda s, t, y, T: _real(s, t, y, T).detach()},
    ),
    (
        "the hard loss is detached: both losses must reach the student's logits",
        {"hard": lambda s, t, y, T: _hard(s, t, y, T).detach()},
    ),
)
RIGHT_IN_VALUE = tuple(singles(build, ALIKE))
"""Mistakes that only the gradient shows."""


def _parts(
    student: Tensor, teacher: Tensor, targets: Tensor, alpha: float = 0.9, T: float = 1.0
) -> tuple[Tensor, Tensor]:
    return _real(student, teacher, targets, T), _hard(student, teacher, targets, T)


def swapped_for_good(student: Tensor, teacher: Tensor, targets: Tensor, *more: Any) -> Tensor:
    """Student and teacher exchanged from the first line on."""
    return build({})(teacher, student, targets, *more)


MISTAKES += (
    (
        "student and teacher are swapped, in both losses: the student's logits come first",
        swapped_for_good,
    ),
    (
        "this returns the loss and a count: the mixed loss alone is wanted (token_loss gives two "
        "things, take its first)",
        lambda *args: (build({})(*args), int((args[2] != IGNORE).sum())),
    ),
    (
        "alpha and temperature have changed places: the order in the first line is alpha, "
        "temperature",
        lambda s, t, y, T=1.0, a=0.9: build({})(s, t, y, a, T),
    ),
    (
        "this returns the mixed loss and its parts: the mixed loss alone is wanted",
        lambda *args: (build({})(*args), *_parts(*args)),
    ),
    (
        "the two losses come back side by side: add them with their weights",
        lambda s, t, y, a=0.9, T=1.0: torch.stack([_real(s, t, y, T), _hard(s, t, y, T)]),
    ),
)
