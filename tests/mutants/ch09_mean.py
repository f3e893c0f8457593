"""Answers to 09.4 mean_log_probabilities as students write them, wrong and right."""

from __future__ import annotations

import math

import torch

from tests.mutants import right, wrong


def share(logits, weights):
    weights = [1.0] * len(logits) if weights is None else list(weights)
    return [w / sum(weights) for w in weights]


def product(logits, shares):
    return sum(w * z for w, z in zip(shares, logits, strict=True)).log_softmax(-1)


def mixture(logits, shares):
    return sum(w * z.softmax(-1) for w, z in zip(shares, logits, strict=True)).log()


@wrong("09.4", "the logits are averaged: take each teacher's softmax first")
def always_logits(logits, weights=None, of="probabilities"):
    return product(logits, share(logits, weights))


@wrong("09.4", "the probabilities are averaged: there the mean of the logits")
def always_probabilities(logits, weights=None, of="probabilities"):
    return mixture(logits, share(logits, weights))


@wrong("09.4", "not divided by their sum")
def weights_as_they_are(logits, weights=None, of="probabilities"):
    shares = [1 / len(logits)] * len(logits) if weights is None else weights
    return product(logits, shares) if of == "logits" else mixture(logits, shares)


@wrong("09.4", "the weights are not used")
def no_weights(logits, weights=None, of="probabilities"):
    shares = share(logits, None)
    return product(logits, shares) if of == "logits" else mixture(logits, shares)


@wrong("09.4", "the logarithm is missing")
def no_logarithm(logits, weights=None, of="probabilities"):
    shares = share(logits, weights)
    both = product(logits, shares) if of == "logits" else mixture(logits, shares)
    return both.exp()


@wrong("09.4", "mean of the log-probabilities")
def mean_of_logs(logits, weights=None, of="probabilities"):
    shares = share(logits, weights)
    if of == "logits":
        return product(logits, shares)
    return sum(w * z.log_softmax(-1) for w, z in zip(shares, logits, strict=True))


@wrong("09.4", "never normalised")
def raw_logits(logits, weights=None, of="probabilities"):
    shares = share(logits, weights)
    if of == "logits":
        return sum(w * z for w, z in zip(shares, logits, strict=True))
    return mixture(logits, shares)


@wrong("09.4", "stay in logarithms")
def log_of_zero(logits, weights=None, of="probabilities"):
    shares = share(logits, weights)
    return product(logits, shares) if of == "logits" else mixture(logits, shares)


@wrong("09.4", "a sum, not a mean")
def sum_of_probabilities(logits, weights=None, of="probabilities"):
    if of == "logits":
        return product(logits, share(logits, weights))
    return torch.logsumexp(torch.stack([z.log_softmax(-1) for z in logits]), 0)


@wrong("09.4", "over the teachers")
def wrong_dimension(logits, weights=None, of="probabilities"):
    shares = share(logits, weights)
    if of == "logits":
        return product(logits, shares)
    p = torch.stack(list(logits)).softmax(0)
    return sum(w * q for w, q in zip(shares, p, strict=True)).log()


@right("09.4")
def stacked(logits, weights=None, of="probabilities"):
    z = torch.stack(list(logits))
    w = torch.tensor(share(logits, weights), dtype=z.dtype)
    w = w.view(-1, *[1] * (z.dim() - 1))
    if of == "logits":
        return (w * z).sum(0).log_softmax(-1)
    return (z.log_softmax(-1) + w.log()).logsumexp(0)


@right("09.4")
def two_at_a_time(logits, weights=None, of="probabilities"):
    shares = share(logits, weights)
    if of == "logits":
        mean = sum(w * z.log_softmax(-1) for w, z in zip(shares, logits, strict=True))
        return mean - mean.logsumexp(-1, keepdim=True)
    total = None
    for w, z in zip(shares, logits, strict=True):
        part = z.log_softmax(-1) + math.log(w)
        total = part if total is None else torch.logaddexp(total, part)
    return total


@right("09.4")
def largest_taken_out(logits, weights=None, of="probabilities"):
    shares = share(logits, weights)
    if of == "logits":
        return product(logits, shares)
    logs = torch.stack([z.log_softmax(-1) for z in logits])
    top = logs.amax(0)
    return top + sum(w * (x - top).exp() for w, x in zip(shares, logs, strict=True)).log()
