"""Chapter 09: what known wrong versions of `sparse_target_loss` return."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from minidistill.course.exercises.ch04_pairs import Fault, Parts, pairs, singles
from minidistill.course.exercises.ch09_shared import MEANS
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
    "rest": lambda named, log_q, ids: _rest(named),
    "lump": lambda shares, named, tail, rest: -(shares * named).sum(-1) - tail * rest,
    "renormalise": lambda shares, named: -(shares * named).sum(-1) / shares.sum(-1),
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
        if s.tail(tail) == "renormalise":
            values = s.renormalise(shares, named)
        else:
            left = s.rest(named, log_q, ids)
            values = s.lump(shares, named, rest.to(logits.dtype), left)
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
        {"rest": lambda named, log_q, ids: _others(log_q, ids).sum(-1)},
    ),
    (
        "the tail is spread evenly over the words that are not named: the pass does not say how it "
        "is spread, so lump them, ln of (1 - sum of the named q)",
        {
            "rest": lambda named, log_q, ids: (
                _others(log_q, ids).sum(-1) / (log_q.size(-1) - ids.size(-1))
            )
        },
    ),
    (
        "the logarithm of the rest is missing: tail times ln(1 - sum of the named q)",
        {"rest": lambda named, log_q, ids: 1 - named.exp().sum(-1)},
    ),
    (
        "the rest is ln of what the named words have: of what is left, 1 minus it",
        {"rest": lambda named, log_q, ids: named.logsumexp(-1)},
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
        "the shares are not used: each named word counts with its share",
        {"shares": lambda shares: torch.ones_like(shares)},
    ),
    (
        "the shares are divided by their sum although the tail is still there: they are "
        "probabilities already",
        {
            "shares": lambda shares: shares / shares.sum(-1, keepdim=True),
            "renormalise": lambda shares, named: -(shares * named).sum(-1),
        },
    ),
    (
        "with 'renormalise' the shares are not divided by their sum",
        {"renormalise": lambda shares, named: -(shares * named).sum(-1)},
    ),
    (
        "the shares go through a softmax: they are probabilities already",
        {"shares": lambda shares: shares.softmax(-1)},
    ),
    (
        "this is the mean over the named words: the sum, the shares are the weights",
        {
            "lump": lambda shares, named, tail, rest: -(shares * named).mean(-1) - tail * rest,
            "renormalise": lambda shares, named: -(shares * named).mean(-1) / shares.sum(-1),
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
PAIRS = tuple(pairs(build, FAULTS))
"""Two mistakes at once."""
