"""Chapter 07: further wrong steps of `negative_sampling_loss`: what is counted how often."""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from minidistill.course.diagnosis import Mistake
from minidistill.course.exercises.ch04_pairs import Fault


def once(
    b: Tensor, noise: Tensor, targets: Tensor, drawn: Tensor, k: float, over_all: bool = False
) -> Tensor:
    """A word drawn again is left out, and with `over_all` it is still counted in S."""
    first = [d not in drawn[:i].tolist() for i, d in enumerate(drawn.tolist())]
    return noise[:, first].sum(1) * k / (len(drawn) if over_all else sum(first))


ONE_SCORE = (
    "the scores of the words drawn are put together first, and ln s is taken of that: of each "
    "score by itself, as every word drawn is asked whether it is real"
)
CORRECTED = (
    "ln of `negatives` is taken off the scores: that belongs to noise-contrastive estimation, "
    "which comes after this exercise"
)
ALIKE = (
    "the target and the S words drawn are averaged as terms of one kind: the target counts whole, "
    "and all draws together as `negatives` words"
)
ONCE = "a word that was drawn several times counts once: as often as it was drawn"

MORE_FAULTS: tuple[Fault, ...] = (
    (ONCE, {"keep": once}),
    (ONCE, {"keep": lambda b, n, t, d, k: once(b, n, t, d, k, over_all=True)}),
    (
        "`negatives` is cut to a whole number: it is one factor of a product, and may be 2.5",
        {"keep": lambda b, noise, t, drawn, k: noise.sum(1) * int(k) / len(drawn)},
    ),
    (
        "the sum over the words drawn is divided by N: there are S of them",
        {"keep": lambda b, noise, t, drawn, k: noise.sum(1) * k / len(noise)},
    ),
    (
        "the sum over the words drawn is divided by N S: by S here, the mean over the N is taken "
        "of both parts together",
        {"keep": lambda b, noise, t, drawn, k: noise.sum(1) * k / noise.numel()},
    ),
    (
        "the part of the words drawn is added up over the batch, that of the targets is averaged: "
        "the mean over the N of both",
        {"keep": lambda b, noise, t, drawn, k: noise.sum(1) * k / len(drawn) * len(noise)},
    ),
    (
        "the part of the targets is added up over the batch, that of the words drawn is averaged: "
        "the mean over the N of both",
        {"both": lambda real, noise, k, S: real * len(real) + noise},
    ),
    (
        ONE_SCORE,
        {
            "others": lambda x, w: (x @ w.T).mean(1, keepdim=True),
            "keep": lambda b, noise, t, drawn, k: noise.sum(1) * k,
        },
    ),
    (ONE_SCORE, {"others": lambda x, w: (x @ w.T).sum(1, keepdim=True)}),
    (
        ONE_SCORE,
        {
            "others": lambda x, w: (x @ w.T).sum(1, keepdim=True),
            "keep": lambda b, noise, t, drawn, k: noise.sum(1) * k,
        },
    ),
    (
        "these are logarithms to base 2: ln is the natural one",
        {"give": lambda each, k, S: -each.mean() / math.log(2)},
    ),
    (
        ALIKE,
        {
            "keep": lambda b, noise, t, drawn, k: noise.sum(1),
            "both": lambda real, noise, k, S: (real + noise) / (1 + S),
        },
    ),
    (
        ALIKE,
        {
            "keep": lambda b, noise, t, drawn, k: noise.sum(1),
            "both": lambda real, noise, k, S: (real + noise) * (1 + k) / (1 + S),
        },
    ),
)


def corrected(x: Tensor, weight: Tensor, targets: Tensor, drawn: Tensor, k: float) -> Tensor:
    """ln k is taken off all scores."""
    a = (x * weight[targets]).sum(1) - math.log(k)
    b = x @ weight[drawn].T - math.log(k)
    return -(F.logsigmoid(a) + k * F.logsigmoid(-b).mean(1)).mean()


def with_targets(
    x: Tensor, weight: Tensor, targets: Tensor, drawn: Tensor, k: float, over_all: bool = True
) -> Tensor:
    """The targets of the batch stand among the words drawn."""
    a = (x * weight[targets]).sum(1)
    noise = F.logsigmoid(-(x @ weight[torch.cat([drawn, targets])].T)).sum(1)
    S = len(drawn) + (len(targets) if over_all else 0)
    return -(F.logsigmoid(a) + noise * k / S).mean()


WITH_TARGETS = (
    "the targets of the batch are added to the words drawn: the noise is in `drawn` alone, and a "
    "target is to be called real"
)

MORE_MISTAKES: tuple[Mistake, ...] = (
    (CORRECTED, corrected),
    (WITH_TARGETS, with_targets),
    (WITH_TARGETS, partial(with_targets, over_all=False)),
)
