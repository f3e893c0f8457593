"""Chapter 09: what known wrong versions of `sparse_target_loss` return."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from minidistill.course.exercises.ch04_pairs import Fault, Parts, pairs, singles
from minidistill.course.exercises.ch09_shared import MEANS
from minidistill.course.exercises.ch09_sparse_more import RENORMALISED
from minidistill.distillation import masked_mean


def _rest(named: Tensor) -> Tensor:
    """ln of what the student leaves for the words that are not named."""
    return torch.log1p(-named.logsumexp(-1).exp().clamp(max=1 - 1e-6))


def _others(log_q: Tensor, ids: Tensor) -> Tensor:
    """ln q of the words that are not named, 0 for the named, (..., V)."""
    return log_q.scatter(-1, ids, 0.0)


_STEPS: Parts = {
    "soften": lambda logits, T: logits / T,
    "normalise": lambda logits: logits.log_softmax(-1),
    "pick": lambda log_q, ids: log_q.gather(-1, ids),
    "shares": lambda shares: shares,
    "tail": lambda tail: tail,
    "rest": lambda named, *_: _rest(named),
    "lump": lambda shares, named, tail, rest: -(shares * named).sum(-1) - tail * rest,
    "renormalise": lambda shares, named, *_: -(shares * named).sum(-1) / shares.sum(-1),
    "mean": masked_mean,
    "scale": lambda loss, T: T**2 * loss,
}


def build(parts: Parts) -> Callable[..., Any]:
    """A `sparse_target_loss` in which some steps are exchanged."""
    s = SimpleNamespace(**_STEPS | parts)

    def mistaken(
        logits: Tensor,
        said: Any,
        mask: Tensor | None = None,
        temperature: float = 1.0,
        tail: str = "lump",
    ) -> Any:
        ids, shares, rest = said
        log_q = s.normalise(s.soften(logits, temperature))
        named, shares = s.pick(log_q, ids), s.shares(shares.to(logits.dtype))
        left, rest = s.rest(named, log_q, ids, logits), rest.to(logits.dtype)
        kind = s.renormalise if s.tail(tail) == "renormalise" else s.lump
        values = kind(shares, named, rest, left)
        return s.scale(s.mean(values, mask), temperature)

    return mistaken


FAULTS: tuple[Fault, ...] = (
    (
        "the shares are renormalised although tail is 'lump': the student would learn that the "
        "words that are not named are impossible",
        {"tail": lambda tail: "renormalise"},
    ),
    (
        "the tail is lumped although tail is 'renormalise': there the shares are divided by their "
        "sum, and the tail is left out",
        {"tail": lambda tail: "lump"},
    ),
    (
        "'lump' and 'renormalise' are exchanged",
        {"tail": lambda tail: "lump" if tail == "renormalise" else "renormalise"},
    ),
    (
        "the tail is forgotten: the words that are not named cost -tail ln(1 - sum of named q)",
        {"lump": lambda shares, named, tail, rest: -(shares * named).sum(-1)},
    ),
    (
        "the tail is charged for every word that is not named, one by one: lump them, ln of (1 - "
        "sum of the named q)",
        {"rest": lambda named, log_q, ids, *_: _others(log_q, ids).sum(-1)},
    ),
    (
        "the tail is spread evenly over the words that are not named: the pass does not say how it "
        "is spread, so lump them, ln of (1 - sum of the named q)",
        {
            "rest": lambda named, log_q, ids, *_: (
                _others(log_q, ids).sum(-1) / (log_q.size(-1) - ids.size(-1))
            )
        },
    ),
    (
        "the tail is spread evenly over the words that are not named: the pass does not say how it "
        "is spread, so lump them, ln of (1 - sum of the named q)",
        {
            "rest": lambda named, log_q, ids, *_: (
                _rest(named) - math.log(log_q.size(-1) - ids.size(-1))
            )
        },
    ),
    (
        "the rest is taken from logits that are not softened: the named q of both terms are those "
        "at temperature T",
        {
            "rest": lambda named, log_q, ids, logits: _rest(logits.log_softmax(-1).gather(-1, ids)),
        },
    ),
    (
        "the logarithm of the rest is missing: tail times ln(1 - sum of the named q)",
        {"rest": lambda named, log_q, ids, *_: 1 - named.exp().sum(-1)},
    ),
    (
        "the rest is ln of what the named words have: of what is left, 1 minus it",
        {"rest": lambda named, log_q, ids, *_: named.logsumexp(-1)},
    ),
    (
        "the student's rest is 1 minus its likeliest named word: minus the sum of all of them",
        {"rest": lambda named, *_: torch.log1p(-named.exp().amax(-1).clamp(max=1 - 1e-6))},
    ),
    (
        "only the first named word of each place is charged: sum over all K of them",
        {
            "lump": lambda shares, named, tail, rest: -(shares * named)[..., 0] - tail * rest,
            "renormalise": lambda shares, named, *_: -(shares * named)[..., 0] / shares.sum(-1),
        },
    ),
    (
        "the tail itself is added to the cost: it is a weight, and what it weighs is -ln of what "
        "the student leaves",
        {"lump": lambda shares, named, tail, rest: -(shares * named).sum(-1) + tail},
    ),
    (
        "the teacher's and the student's rest have changed places: tail times ln of what the "
        "student leaves",
        {
            "lump": lambda shares, named, tail, rest: (
                -(shares * named).sum(-1) - rest.exp() * tail.clamp(min=1e-30).log()
            )
        },
    ),
    (
        "the rest is ln of the teacher's tail: of what the student leaves, 1 - (sum of named q)",
        {
            "lump": lambda shares, named, tail, rest: (
                -(shares * named).sum(-1) - torch.xlogy(tail, tail)
            )
        },
    ),
    (
        "the named q are weighed with the shares in the rest: what the student leaves is 1 - (sum "
        "of named q)",
        {
            "lump": lambda shares, named, tail, rest: (
                -(shares * named).sum(-1)
                - tail * torch.log1p(-(shares * named.exp()).sum(-1).clamp(max=1 - 1e-6))
            )
        },
    ),
    (
        "logsumexp gives the logarithm of the sum of the named q: the rest is 1 minus the sum "
        "itself, .exp() first",
        {"rest": lambda named, *_: torch.log1p(-named.logsumexp(-1).clamp(max=1 - 1e-6))},
    ),
    (
        "the tail is added: it is a cost like the others, - tail ln(rest)",
        {"lump": lambda shares, named, tail, rest: -(shares * named).sum(-1) + tail * rest},
    ),
    (
        "the rest is charged without its weight: times the tail",
        {"lump": lambda shares, named, tail, rest: -(shares * named).sum(-1) - rest},
    ),
    (
        "the shares are not used, every named word counts the same: of draws that is right, of the "
        "top k it is not",
        {"shares": lambda shares: torch.ones_like(shares) / shares.size(-1)},
    ),
    (
        "the shares are not used, every named word counts the same: of draws that is right, of the "
        "top k it is not",
        {
            "lump": lambda shares, named, tail, rest: -named.mean(-1) - tail * rest,
            "renormalise": lambda shares, named, *_: -named.mean(-1) / shares.sum(-1),
        },
    ),
    (
        "the shares are not used: each named word counts with its share",
        {"shares": lambda shares: torch.ones_like(shares)},
    ),
    (
        "the shares are divided by their sum although the tail is still there: they are "
        "probabilities already",
        {
            "shares": lambda shares: shares / shares.sum(-1, keepdim=True),
            "renormalise": lambda shares, named, *_: -(shares * named).sum(-1),
        },
    ),
    (
        "the shares are divided by their sum although the tail is still there: they are "
        "probabilities already",
        {
            "lump": lambda shares, named, tail, rest: (
                -(shares * named).sum(-1) / shares.sum(-1) - tail * rest
            )
        },
    ),
    *RENORMALISED,
    (
        "the logarithm is missing: the cost of a named word is -ln q, not -q",
        {
            "lump": lambda shares, named, tail, rest: -(shares * named.exp()).sum(-1) - tail * rest,
            "renormalise": lambda shares, named, *_: (
                -(shares * named.exp()).sum(-1) / shares.sum(-1)
            ),
        },
    ),
    (
        "with 'renormalise' the shares are not divided by their sum",
        {"renormalise": lambda shares, named, *_: -(shares * named).sum(-1)},
    ),
    (
        "the shares go through a softmax: they are probabilities already",
        {"shares": lambda shares: shares.softmax(-1)},
    ),
    (
        "this is the mean over the named words: the sum, the shares are the weights",
        {
            "lump": lambda shares, named, tail, rest: -(shares * named).mean(-1) - tail * rest,
            "renormalise": lambda shares, named, *_: -(shares * named).mean(-1) / shares.sum(-1),
        },
    ),
    (
        "the sign is wrong: -ln q is the cost",
        {"scale": lambda loss, T: -(T**2) * loss},
    ),
    (
        "the likeliest words of the student are taken, not those that the pass names: "
        "log_q.gather(-1, said.ids)",
        {"pick": lambda log_q, ids: log_q.topk(ids.size(-1), dim=-1).values},
    ),
    (
        "gather runs along the text: words stand along the last dimension, gather(-1, ids)",
        {"pick": lambda log_q, ids: log_q.gather(-2, ids % log_q.size(-2))},
    ),
    (
        "all texts are asked for the first one's words: each place has its own ids",
        {"pick": lambda log_q, ids: log_q.gather(-1, ids[:1].expand_as(ids))},
    ),
    (
        "the student is not softened: its logits are divided by the temperature of the pass",
        {"soften": lambda logits, T: logits},
    ),
    (
        "the logits are multiplied by the temperature: divide",
        {"soften": lambda logits, T: logits * T},
    ),
    (
        "T^2 is missing: multiply by temperature ** 2, as in soft_target_loss",
        {"scale": lambda loss, T: loss},
    ),
    ("the loss is multiplied by T: by its square", {"scale": lambda loss, T: T * loss}),
    (
        "the softmax is missing: these are logits, and q must be probabilities",
        {"normalise": lambda logits: logits},
    ),
    (
        "the softmax runs over the named words alone: over the whole vocabulary, then gather",
        {"pick": lambda log_q, ids: log_q.gather(-1, ids).log_softmax(-1)},
    ),
    (
        "the logarithm is missing: the cost is -ln q, not -q",
        {"pick": lambda log_q, ids: log_q.gather(-1, ids).exp()},
    ),
    (
        "the softmax runs over the tokens of the text: words stand along the last dimension",
        {"normalise": lambda logits: logits.log_softmax(-2)},
    ),
    *MEANS,
)
MISTAKES = tuple(singles(build, FAULTS))
PAIRS = tuple(pairs(build, [fault for fault in FAULTS if fault not in RENORMALISED]))
"""Two mistakes at once."""


def _overwritten(
    logits: Tensor,
    said: Any,
    mask: Tensor | None = None,
    temperature: float = 1.0,
    tail: str = "lump",
) -> Tensor:
    """The shares written into a row of the vocabulary, where a second draw replaces the first."""
    log_q = (logits / temperature).log_softmax(-1)
    row = torch.zeros_like(log_q).scatter(-1, said.ids, said.shares.to(log_q))
    cost = -(row * log_q).sum(-1)
    if tail == "renormalise":
        cost = cost / said.shares.to(log_q).sum(-1)
    else:
        cost = cost - said.tail.to(log_q) * _rest(log_q.gather(-1, said.ids))
    return temperature**2 * masked_mean(cost, mask)


MISTAKES += (
    (
        "a word that was drawn twice counts once: scatter replaces what stands there already, and "
        "its shares must be added up (scatter_add, or no row of the vocabulary at all)",
        _overwritten,
    ),
)
CUT_OFF = (
    "the loss is right, but no gradient comes through the rest: what the student leaves for the "
    "other words is to be learned too, do not detach it"
)
RIGHT_IN_VALUE = ((CUT_OFF, build({"rest": lambda named, *_: _rest(named).detach()})),)
"""Mistakes that only the gradient shows."""
