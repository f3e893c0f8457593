"""Further answers to 09.4 mean_log_probabilities."""

from __future__ import annotations

import math

import torch

from tests.mutants import right, wrong
from tests.mutants.ch09_mean import product, share


def mixed(logits, shares):
    parts = [z.log_softmax(-1) + math.log(w) for w, z in zip(shares, logits, strict=True)]
    return torch.logsumexp(torch.stack(parts), 0)


@wrong("09.4", "not to be exchanged for a number")
def minus_infinity_exchanged(logits, weights=None, of="probabilities"):
    shares = share(logits, weights)
    if of == "logits":
        return product([torch.nan_to_num(z, neginf=-100.0) for z in logits], shares)
    return mixed(logits, shares)


@wrong("09.4", "makes NaN")
def only_where_likely(logits, weights=None, of="probabilities"):
    """Times a mask, to leave out what is impossible: 0 times infinity."""
    shares = share(logits, weights)
    if of == "logits":
        return product([z * z.isfinite() for z in logits], shares)
    return mixed(logits, shares)


@wrong("09.4", "made much likelier")
def small_number(logits, weights=None, of="probabilities"):
    shares = share(logits, weights)
    if of == "logits":
        return product(logits, shares)
    return (sum(w * z.softmax(-1) for w, z in zip(shares, logits, strict=True)) + 1e-12).log()


@wrong("09.4", "made much likelier")
def cut_off_below(logits, weights=None, of="probabilities"):
    shares = share(logits, weights)
    if of == "logits":
        return product(logits, shares)
    mean = sum(w * z.softmax(-1) for w, z in zip(shares, logits, strict=True))
    return mean.clamp(min=1e-38).log()


@wrong("09.4", "with of='probabilities' the weights are not used")
def plain_mixture(logits, weights=None, of="probabilities"):
    if of == "logits":
        return product(logits, share(logits, weights))
    return mixed(logits, share(logits, None))


@wrong("09.4", "with of='logits' the weights are not used")
def plain_product(logits, weights=None, of="probabilities"):
    if of == "logits":
        return torch.stack(list(logits)).mean(0).log_softmax(-1)
    return mixed(logits, share(logits, weights))


@wrong("09.4", "with of='probabilities' the logarithm is missing")
def exp_at_the_end(logits, weights=None, of="probabilities"):
    shares = share(logits, weights)
    return product(logits, shares) if of == "logits" else mixed(logits, shares).exp()


@wrong("09.4", "not divided by their sum")
def ones_where_there_are_none(logits, weights=None, of="probabilities"):
    shares = [1.0] * len(logits) if weights is None else weights
    return product(logits, shares) if of == "logits" else mixed(logits, shares)


@wrong("09.4", "the share itself is added")
def share_added(logits, weights=None, of="probabilities"):
    shares = share(logits, weights)
    if of == "logits":
        return product(logits, shares)
    parts = [z.log_softmax(-1) + w for w, z in zip(shares, logits, strict=True)]
    return torch.logsumexp(torch.stack(parts), 0)


@wrong("09.4", "taken for log-probabilities")
def never_softmaxed(logits, weights=None, of="probabilities"):
    shares = share(logits, weights)
    if of == "logits":
        return product(logits, shares)
    parts = [z + math.log(w) for w, z in zip(shares, logits, strict=True)]
    return torch.logsumexp(torch.stack(parts), 0)


@wrong("09.4", "taken for logits")
def probabilities_softmaxed(logits, weights=None, of="probabilities"):
    shares = share(logits, weights)
    if of == "logits":
        return product([z.softmax(-1) for z in logits], shares)
    return mixed(logits, shares)


@wrong("09.4", "half and half")
def always_halves(logits, weights=None, of="probabilities"):
    if of == "logits":
        return product(logits, share(logits, weights))
    total = logits[0].log_softmax(-1)
    for z in logits[1:]:
        total = torch.logaddexp(total, z.log_softmax(-1)) - math.log(2)
    return total


@wrong("09.4", "once more")
def mean_of_the_weighted(logits, weights=None, of="probabilities"):
    shares = share(logits, weights)
    if of == "logits":
        return product(logits, shares)
    return mixed(logits, shares) - math.log(len(logits))


@wrong("09.4", "go through a softmax")
def shares_softmaxed(logits, weights=None, of="probabilities"):
    shares = torch.tensor(share(logits, weights)).softmax(0).tolist()
    return product(logits, shares) if of == "logits" else mixed(logits, shares)


@right("09.4")
def without_a_gradient(logits, weights=None, of="probabilities"):
    """Teachers are not trained."""
    with torch.no_grad():
        shares = share(logits, weights)
        return product(logits, shares) if of == "logits" else mixed(logits, shares)


@wrong("09.4", "in one step")
def softmax_then_logarithm(logits, weights=None, of="probabilities"):
    shares = share(logits, weights)
    if of == "logits":
        return sum(w * z for w, z in zip(shares, logits, strict=True)).softmax(-1).log()
    return mixed(logits, shares)


@wrong("09.4", "inside the loop")
def returned_too_early(logits, weights=None, of="probabilities"):
    shares = share(logits, weights)
    if of == "logits":
        return product(logits, shares)
    for w, z in zip(shares, logits, strict=True):
        return z.log_softmax(-1) + math.log(w)
