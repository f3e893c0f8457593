"""Chapter 09: what known wrong versions of `mean_log_probabilities` return."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from minidistill.course.exercises.ch04_pairs import Fault, Parts, pairs, singles

Shares = list[float]


def _shares(count: int, weights: Sequence[float] | None) -> Shares:
    weights = [1.0] * count if weights is None else list(weights)
    return [w / sum(weights) for w in weights]


def _sum(zs: Sequence[Tensor], shares: Shares) -> Tensor:
    return torch.stack([w * z for w, z in zip(shares, zs, strict=True)]).sum(0)


def _log_mix(zs: Sequence[Tensor], shares: Shares) -> Tensor:
    parts = [z.log_softmax(-1) + torch.tensor(w).log() for w, z in zip(shares, zs, strict=True)]
    return torch.logsumexp(torch.stack(parts), 0)


_STEPS: Parts = {
    "shares": _shares,
    "of": lambda of: of,
    "mixture": _log_mix,
    "product": lambda zs, shares: _sum(zs, shares).log_softmax(-1),
    "result": lambda log_p: log_p,
}


def build(parts: Parts) -> Callable[..., Any]:
    """A `mean_log_probabilities` in which some steps are exchanged."""
    s = SimpleNamespace(**_STEPS | parts)

    def mistaken(
        logits: Sequence[Tensor],
        weights: Sequence[float] | None = None,
        of: str = "probabilities",
    ) -> Any:
        shares = s.shares(len(logits), weights)
        kind = s.product if s.of(of) == "logits" else s.mixture
        return s.result(kind(logits, shares))

    return mistaken


def _other(of: str) -> str:
    return "logits" if of == "probabilities" else "probabilities"


def _best(zs: Sequence[Tensor], shares: Shares) -> Tensor:
    return torch.stack([z.log_softmax(-1) for z in zs]).amax(0)


def _half_and_half(zs: Sequence[Tensor], shares: Shares) -> Tensor:
    total = zs[0].log_softmax(-1)
    for z in zs[1:]:
        total = torch.logaddexp(total, z.log_softmax(-1)) - math.log(2)
    return total


def _as_given(count: int, weights: Sequence[float] | None) -> Shares:
    return [1 / count] * count if weights is None else list(weights)


FAULTS: tuple[Fault, ...] = (
    (
        "with of='probabilities' the logits are averaged: take each teacher's softmax first, then "
        "the mean, then the logarithm",
        {"of": lambda of: "logits"},
    ),
    (
        "with of='logits' the probabilities are averaged: there the mean of the logits is wanted, "
        "and one log_softmax of it",
        {"of": lambda of: "probabilities"},
    ),
    (
        "the two kinds are exchanged: of='probabilities' is the mean of the probabilities, "
        "of='logits' that of the logits",
        {"of": _other},
    ),
    (
        "with of='probabilities' this is the mean of the log-probabilities, which is the other "
        "kind, and not even normalised: the logarithm comes after the mean",
        {"mixture": lambda zs, w: _sum([z.log_softmax(-1) for z in zs], w)},
    ),
    (
        "the logits are averaged and never normalised: log_softmax of the mean",
        {"product": _sum},
    ),
    (
        "with of='logits' the log-probabilities are averaged, and what comes out does not add up "
        "to 1: one more log_softmax",
        {"product": lambda zs, w: _sum([z.log_softmax(-1) for z in zs], w)},
    ),
    (
        "the logarithm is missing: these are probabilities",
        {"result": lambda log_p: log_p.exp()},
    ),
    (
        "with of='probabilities' the logarithm is missing: these are probabilities",
        {"mixture": lambda zs, w: _log_mix(zs, w).exp()},
    ),
    (
        "with of='logits' the logarithm is missing: these are probabilities",
        {"product": lambda zs, w: _sum(zs, w).softmax(-1)},
    ),
    (
        "with of='logits' the probabilities are averaged and then taken for logits: the mean of "
        "the logits is wanted, and one log_softmax of it",
        {"product": lambda zs, w: _sum([z.softmax(-1) for z in zs], w).log_softmax(-1)},
    ),
    (
        "the sign is wrong: log-probabilities are never above 0",
        {"result": lambda log_p: -log_p},
    ),
    (
        "the weights are not divided by their sum: the probabilities must add up to 1",
        {"shares": _as_given},
    ),
    (
        "the weights are not divided by their sum: the probabilities must add up to 1",
        {"shares": lambda count, weights: [1.0] * count if weights is None else list(weights)},
    ),
    (
        "with of='probabilities' the weights are not used: each teacher counts as much as its "
        "weight says",
        {"mixture": lambda zs, w: _log_mix(zs, [1 / len(zs)] * len(zs))},
    ),
    (
        "with of='logits' the weights are not used: each teacher counts as much as its weight says",
        {"product": lambda zs, w: _sum(zs, [1 / len(zs)] * len(zs)).log_softmax(-1)},
    ),
    (
        "two teachers after another are averaged half and half, and the result with the third: "
        "the last would weigh more than the first. Add up all of them with their shares",
        {"mixture": _half_and_half},
    ),
    (
        "the weights are not used: each teacher counts as much as its weight says",
        {"shares": lambda count, weights: [1 / count] * count},
    ),
    (
        "the weights are in the wrong order",
        {"shares": lambda count, weights: _shares(count, weights)[::-1]},
    ),
    (
        "the weights go through a softmax: they are divided by their sum",
        {
            "shares": lambda count, weights: (
                torch.tensor([1.0] * count if weights is None else list(weights))
                .softmax(0)
                .tolist()
            )
        },
    ),
    (
        "with of='probabilities' the sum is divided by the number of teachers once more: the "
        "shares add up to 1 already",
        {"mixture": lambda zs, w: _log_mix(zs, w) - math.log(len(zs))},
    ),
    (
        "with of='logits' the weighted sum is divided by the number of teachers once more: the "
        "shares add up to 1 already",
        {"product": lambda zs, w: (_sum(zs, w) / len(zs)).log_softmax(-1)},
    ),
    (
        "this is the teacher with the largest weight alone: return the mean of all",
        {"mixture": lambda zs, w: zs[w.index(max(w))].log_softmax(-1)},
    ),
    (
        "with of='logits' this is the smallest logit of each word: the mean of all",
        {"product": lambda zs, w: torch.stack(list(zs)).amin(0).log_softmax(-1)},
    ),
    (
        "these are logarithms to base 10 or 2: ln is wanted",
        {"mixture": lambda zs, w: _log_mix(zs, w) / math.log(10)},
    ),
    (
        "these are logarithms to base 10 or 2: ln is wanted",
        {"mixture": lambda zs, w: _log_mix(zs, w) / math.log(2)},
    ),
    (
        "the shares go through a softmax: they are the weights already",
        {
            "shares": lambda count, weights: (
                torch.tensor(_shares(count, weights)).softmax(0).tolist()
            )
        },
    ),
    (
        "the share itself is added to the log-probabilities: w p is exp(ln w + ln p), so add ln w",
        {
            "mixture": lambda zs, w: torch.logsumexp(
                torch.stack([z.log_softmax(-1) + a for a, z in zip(w, zs, strict=True)]), 0
            )
        },
    ),
    (
        "this is a sum, not a mean: with of='probabilities' each teacher counts with its share",
        {"mixture": lambda zs, w: torch.logsumexp(torch.stack([z.log_softmax(-1) for z in zs]), 0)},
    ),
    (
        "with of='logits' this is the sum of the logits: their mean",
        {"product": lambda zs, w: torch.stack(list(zs)).sum(0).log_softmax(-1)},
    ),
    (
        "the weights stand outside the exponential: with of='probabilities' it is ln of sum w p, "
        "so ln w is added to ln p",
        {
            "mixture": lambda zs, w: torch.logsumexp(
                torch.stack([a * z.log_softmax(-1) for a, z in zip(w, zs, strict=True)]), 0
            )
        },
    ),
    (
        "the exponentials are averaged without a softmax: teachers with large logits would count "
        "for more",
        {
            "mixture": lambda zs, w: torch.logsumexp(
                torch.stack([z + torch.tensor(a).log() for a, z in zip(w, zs, strict=True)]), 0
            ).log_softmax(-1)
        },
    ),
    (
        "with of='probabilities' the logits are taken for log-probabilities: log_softmax of each "
        "teacher first, or teachers with large logits would count for more",
        {
            "mixture": lambda zs, w: torch.logsumexp(
                torch.stack([z + torch.tensor(a).log() for a, z in zip(w, zs, strict=True)]), 0
            )
        },
    ),
    (
        "this is what the surest teacher says of each word: take the mean",
        {
            "mixture": lambda zs, w: torch.stack(
                [z.log_softmax(-1) + math.log(a) for a, z in zip(w, zs, strict=True)]
            ).amax(0)
        },
    ),
    ("this is what the surest teacher says of each word: take the mean", {"mixture": _best}),
    (
        "with of='probabilities' this is the last teacher alone: return the mean of all",
        {"mixture": lambda zs, w: zs[-1].log_softmax(-1)},
    ),
    (
        "with of='probabilities' this is the first teacher's part alone (does `return` stand "
        "inside the loop over the teachers?): add up all parts first",
        {"mixture": lambda zs, w: zs[0].log_softmax(-1) + math.log(w[0])},
    ),
    (
        "with of='probabilities' this is the first teacher alone: return the mean of all",
        {"mixture": lambda zs, w: zs[0].log_softmax(-1)},
    ),
    (
        "this is the first teacher alone: return the mean of all",
        {
            "mixture": lambda zs, w: zs[0].log_softmax(-1),
            "product": lambda zs, w: zs[0].log_softmax(-1),
        },
    ),
    (
        "the softmax runs over the teachers: words stand along the last dimension",
        {"mixture": lambda zs, w: _sum(list(torch.stack(list(zs)).softmax(0)), w).log()},
    ),
    (
        "the softmax runs over the teachers: words stand along the last dimension",
        {
            "mixture": lambda zs, w: (
                torch.stack([z + math.log(a) for a, z in zip(w, zs, strict=True)])
                .log_softmax(0)
                .logsumexp(0)
            )
        },
    ),
    (
        "the softmax runs over the batch: words stand along the last dimension",
        {
            "mixture": lambda zs, w: _sum([z.softmax(0) for z in zs], w).log(),
            "product": lambda zs, w: _sum(zs, w).log_softmax(0),
        },
    ),
    (
        "the softmax runs over the tokens of the text: words stand along the last dimension",
        {
            "mixture": lambda zs, w: _sum([z.softmax(-2) for z in zs], w).log(),
            "product": lambda zs, w: _sum(zs, w).log_softmax(-2),
        },
    ),
    (
        "the softmax is taken twice: what is averaged with of='probabilities' is one softmax",
        {"mixture": lambda zs, w: _sum([z.softmax(-1) for z in zs], w).log_softmax(-1)},
    ),
)
MISTAKES = tuple(singles(build, FAULTS))
PAIRS = tuple(pairs(build, FAULTS))
"""Two mistakes at once."""

TINY = (
    "a word that all teachers find unlikely is made much likelier: a small number is added to its "
    "probability, or it is cut off below (1e-12, clamp). Stay in logarithms, and add with "
    "torch.logsumexp"
)
MISTAKES += tuple(
    (TINY, build({"mixture": lambda zs, w, tiny=10.0**-n: (_log_mix(zs, w).exp() + tiny).log()}))
    for n in (5, 6, 7, 8, 9)
)
