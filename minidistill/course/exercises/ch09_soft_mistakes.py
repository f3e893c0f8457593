"""Chapter 09: what known wrong versions of `soft_target_loss` return."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from minidistill.course.exercises.ch04_pairs import Fault, Parts, pairs, singles
from minidistill.course.exercises.ch09_shared import MEANS, filled
from minidistill.distillation import masked_mean


def _kl(log_p: Tensor, log_q: Tensor) -> Tensor:
    p = log_p.exp()
    return (p * (log_p - log_q)).masked_fill(p == 0, 0.0)


def _jensen_shannon(log_p: Tensor, log_q: Tensor) -> Tensor:
    middle = torch.logaddexp(log_p, log_q) - math.log(2)
    return (_kl(log_p, middle) + _kl(log_q, middle)) / 2


_STEPS: Parts = {
    "enter": lambda student, teacher, mask: (student, teacher),
    "soften": lambda student, teacher, T: (student / T, teacher / T),
    "normalise": lambda logits: logits.log_softmax(-1),
    "after": lambda log_p, T: log_p,
    "cost": _kl,  # one number a word
    "words": lambda cost: cost.sum(-1),
    "mean": masked_mean,
    "scale": lambda loss, T: T**2 * loss,
}


def build(parts: Parts) -> Callable[..., Any]:
    """A `soft_target_loss` in which some steps are exchanged."""
    s = SimpleNamespace(**_STEPS | parts)

    def mistaken(
        student: Tensor, teacher: Tensor, mask: Tensor | None = None, temperature: float = 1.0
    ) -> Any:
        student, teacher = s.enter(student, teacher.detach(), mask)
        student, teacher = s.soften(student, teacher, temperature)
        log_p, log_q = (s.after(s.normalise(z), temperature) for z in (teacher, student))
        values = s.words(s.cost(log_p, log_q))
        return s.scale(s.mean(values, mask), temperature)

    return mistaken


_ONE_SIDE = "is softened: both are divided by T before the softmax, or they are not comparable"

FAULTS: tuple[Fault, ...] = (
    (
        "this is the mean over the vocabulary too (the default of torch's KLDivLoss): the loss is "
        "V times too small, and with a V of thousands distillation is silently off. Sum over the "
        "words",
        {"words": lambda cost: cost.mean(-1)},
    ),
    (
        "this is what the likeliest word alone costs: sum over all words",
        {"words": lambda cost: cost.amax(-1)},
    ),
    (
        "T^2 is missing: softening makes the gradient T^2 times smaller, so the loss is "
        "multiplied by temperature ** 2",
        {"scale": lambda loss, T: loss},
    ),
    ("the loss is multiplied by T: by its square", {"scale": lambda loss, T: T * loss}),
    (
        "the logits are divided by T^2: by T; it is the loss that is multiplied by T^2",
        {"soften": lambda student, teacher, T: (student / T**2, teacher / T**2)},
    ),
    (
        "the loss is divided by T^2: it is multiplied by it",
        {"scale": lambda loss, T: loss / T**2},
    ),
    (
        f"only the student {_ONE_SIDE}",
        {"soften": lambda student, teacher, T: (student / T, teacher)},
    ),
    (
        f"only the teacher {_ONE_SIDE}",
        {"soften": lambda student, teacher, T: (student, teacher / T)},
    ),
    (
        "nothing is softened: divide both logits by the temperature before the softmax",
        {"soften": lambda student, teacher, T: (student, teacher)},
    ),
    (
        "the logits are multiplied by the temperature: a larger T is softer, so divide",
        {"soften": lambda student, teacher, T: (student * T, teacher * T)},
    ),
    (
        "this is the KL divergence in the other direction, KL(q || p): the teacher's "
        "probabilities are the weights. Are student and teacher swapped?",
        {"cost": lambda log_p, log_q: _kl(log_q, log_p)},
    ),
    (
        "the sign is wrong: p (ln p - ln q), which is never below 0 in sum",
        {"cost": lambda log_p, log_q: -_kl(log_p, log_q)},
    ),
    (
        "this is the cross-entropy -p ln q: the teacher's own entropy is to be subtracted, so that "
        "a perfect student has loss 0",
        {"cost": lambda log_p, log_q: -log_p.exp() * log_q},
    ),
    (
        "the teacher's probabilities are not used as weights: p times (ln p - ln q)",
        {"cost": lambda log_p, log_q: log_p - log_q},
    ),
    (
        "the logarithms are missing: p (ln p - ln q), not p (p - q)",
        {"cost": lambda log_p, log_q: log_p.exp() * (log_p.exp() - log_q.exp())},
    ),
    (
        "this is the squared distance of the probabilities: the KL divergence is wanted",
        {"cost": lambda log_p, log_q: (log_p.exp() - log_q.exp()).square()},
    ),
    (
        "these are bits (log2): the loss is in nats (ln)",
        {"cost": lambda log_p, log_q: _kl(log_p, log_q) / math.log(2)},
    ),
    (
        "the teacher is made a single word, its likeliest: what it says of the others is the point",
        {"cost": lambda log_p, log_q: -log_q * (log_p == log_p.amax(-1, keepdim=True))},
    ),
    (
        "the softmax is missing: these are logits, and p and q must be probabilities",
        {"normalise": lambda logits: logits},
    ),
    (
        "the softmax runs over the tokens of the text: words stand along the last dimension "
        "(dim=-1)",
        {"normalise": lambda logits: logits.log_softmax(-2)},
    ),
    (
        "the softmax runs over the batch: words stand along the last dimension (dim=-1)",
        {"normalise": lambda logits: logits.log_softmax(0)},
    ),
    (
        "the softmax runs over the tokens of the text: words stand along the last dimension "
        "(dim=-1)",
        {"normalise": lambda logits: logits.log_softmax(-2), "enter": filled},
    ),
    (
        "the softmax runs over the batch: words stand along the last dimension (dim=-1)",
        {"normalise": lambda logits: logits.log_softmax(0), "enter": filled},
    ),
    (
        "the logits are subtracted where their log-probabilities should be: ln p - ln q needs both "
        "rows normalised",
        {
            "normalise": lambda logits: logits,
            "cost": lambda log_p, log_q: log_p.softmax(-1) * (log_p - log_q),
        },
    ),
    (
        "the log-probabilities are divided by T: divide the logits, before the softmax, or the "
        "softened rows do not add up to 1",
        {
            "soften": lambda student, teacher, T: (student, teacher),
            "after": lambda log_p, T: log_p / T,
        },
    ),
    (
        "this is the Jensen-Shannon divergence, against the mean of both rows: the KL divergence "
        "from the teacher to the student is wanted",
        {"cost": _jensen_shannon},
    ),
    (
        "both directions are averaged: KL(p || q) alone, weighed with the teacher's probabilities",
        {"cost": lambda log_p, log_q: (_kl(log_p, log_q) + _kl(log_q, log_p)) / 2},
    ),
    (
        "both directions are added: KL(p || q) alone, weighed with the teacher's probabilities",
        {"cost": lambda log_p, log_q: _kl(log_p, log_q) + _kl(log_q, log_p)},
    ),
    (
        "the words' terms lose their sign (abs): a single one may be negative, only their sum "
        "never is",
        {"cost": lambda log_p, log_q: _kl(log_p, log_q).abs()},
    ),
    (
        "the words' negative terms are left out: a single one may be negative, only their sum "
        "never is",
        {"cost": lambda log_p, log_q: _kl(log_p, log_q).clamp(min=0)},
    ),
    (
        "the loss is multiplied by 2 T: by T squared, temperature ** 2",
        {"scale": lambda loss, T: 2 * T * loss},
    ),
    (
        "the softmax is taken twice: log_softmax wants logits, not probabilities",
        {"normalise": lambda logits: logits.softmax(-1).log_softmax(-1)},
    ),
    *MEANS,
)
MISTAKES = tuple(singles(build, FAULTS))
PAIRS = tuple(pairs(build, FAULTS))
"""Two mistakes at once."""

TINY = (
    "a small number is added to the probabilities in the logarithm, or they are cut off below "
    "(1e-8, clamp): words that the student finds very unlikely cost too little. log_softmax needs "
    "no such help"
)


def _with_a_small_number(tiny: float) -> Callable[..., Any]:
    return build({"cost": lambda log_p, log_q: _kl(log_p, (log_q.exp() + tiny).log())})


MISTAKES += tuple((TINY, _with_a_small_number(10.0**-n)) for n in (5, 6, 7, 8, 9))
