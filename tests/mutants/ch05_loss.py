"""Answers to 05.4 token_loss as students write them, wrong and right."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

from tests.mutants import right, wrong

IGNORE = -100


def costs(logits, targets):
    """The cost of every place, 0 at padding; and where a target is real."""
    real = targets != IGNORE
    log_p = logits.log_softmax(-1)
    cost = -log_p.gather(-1, targets.clamp(min=0)[..., None])[..., 0]
    return cost.masked_fill(~real, 0.0), real


@wrong("05.4", "divided by all B x T places")
def mean_over_all(logits, targets):
    cost, real = costs(logits, targets)
    return cost.mean(), int(real.sum())


@wrong("05.4", "each row is averaged first")
def mean_of_means(logits, targets):
    cost, real = costs(logits, targets)
    return (cost.sum(1) / real.sum(1).clamp(min=1)).mean(), int(real.sum())


@wrong("05.4", "padding counts as target 0")
def every_place_counts(logits, targets):
    log_p = logits.log_softmax(-1)
    cost = -log_p.gather(-1, targets.clamp(min=0)[..., None])[..., 0]
    return cost.mean(), targets.numel()


@wrong("05.4", "padding is in the sum")
def padding_learnt(logits, targets):
    log_p = logits.log_softmax(-1)
    cost = -log_p.gather(-1, targets.clamp(min=0)[..., None])[..., 0]
    count = int((targets != IGNORE).sum())
    return cost.sum() / max(1, count), count


@wrong("05.4", "target 0 is left out")
def zero_is_padding(logits, targets):
    real = targets > 0
    log_p = logits.log_softmax(-1)
    cost = -log_p.gather(-1, targets.clamp(min=0)[..., None])[..., 0]
    count = int(real.sum())
    return cost[real].sum() / max(1, count), count


@wrong("05.4", "0 / 0")
def nothing_is_nan(logits, targets):
    cost, real = costs(logits, targets)
    return cost[real].mean(), int(real.sum())


@wrong("05.4", "-inf times 0 is NaN")
def multiplied_by_zero(logits, targets):
    real = targets != IGNORE
    hot = F.one_hot(targets * real, logits.size(-1))
    cost = -(logits.log_softmax(-1) * hot).sum(-1)
    count = int(real.sum())
    return (cost * real).sum() / max(1, count), count


@wrong("05.4", "this is the sum")
def sum_only(logits, targets):
    cost, real = costs(logits, targets)
    return cost.sum(), int(real.sum())


@wrong("05.4", "the count is that of all places")
def counts_all(logits, targets):
    cost, real = costs(logits, targets)
    return cost.sum() / max(1, int(real.sum())), targets.numel()


@wrong("05.4", "the count is missing")
def loss_alone(logits, targets):
    cost, real = costs(logits, targets)
    return cost.sum() / max(1, int(real.sum()))


@wrong("05.4", "the loss comes first")
def count_first(logits, targets):
    cost, real = costs(logits, targets)
    return int(real.sum()), cost.sum() / max(1, int(real.sum()))


@wrong("05.4", "the sign is wrong")
def sign(logits, targets):
    cost, real = costs(logits, targets)
    return -cost.sum() / max(1, int(real.sum())), int(real.sum())


@wrong("05.4", "the softmax runs over time")
def softmax_over_time(logits, targets):
    real = targets != IGNORE
    chosen = logits.log_softmax(1).gather(-1, targets.clamp(min=0)[..., None])[..., 0]
    return -chosen[real].sum() / max(1, int(real.sum())), int(real.sum())


@wrong("05.4", "this is in bits")
def in_bits(logits, targets):
    cost, real = costs(logits, targets)
    return cost.sum() / max(1, int(real.sum())) / math.log(2), int(real.sum())


@wrong("05.4", "shifted once more")
def shifted_again(logits, targets):
    cost, real = costs(logits[:, :-1], targets[:, 1:])
    return cost.sum() / max(1, int(real.sum())), int(real.sum())


@wrong("05.4", "-100 marks padding and is no id")
def padding_picked(logits, targets):
    real = targets != IGNORE
    cost = -logits.log_softmax(-1).gather(-1, targets[..., None])[..., 0]
    return cost[real].sum() / max(1, int(real.sum())), int(real.sum())


@wrong("05.4", "exp of a large logit overflows")
def logarithm_of_the_softmax(logits, targets):
    real = targets != IGNORE
    p = logits.exp() / logits.exp().sum(-1, keepdim=True)
    cost = -p.log().gather(-1, targets.clamp(min=0)[..., None])[..., 0].masked_fill(~real, 0.0)
    return cost.sum() / max(1, int(real.sum())), int(real.sum())


@wrong("05.4", "no gradient reaches the inputs")
def a_number(logits, targets):
    cost, real = costs(logits, targets)
    return cost.sum().item() / max(1, int(real.sum())), int(real.sum())


@wrong("05.4", "in place")
def targets_overwritten(logits, targets):
    real = targets != IGNORE
    targets[~real] = 0
    cost = -logits.log_softmax(-1).gather(-1, targets[..., None])[..., 0]
    return cost.masked_fill(~real, 0).sum() / max(1, int(real.sum())), int(real.sum())


@wrong("05.4", "cross_entropy may not be used here")
def ready_made(logits, targets):
    count = int((targets != IGNORE).sum())
    loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum")
    return loss / max(1, count), count


@wrong("05.4", "nll_loss may not be used here")
def half_ready_made(logits, targets):
    count = int((targets != IGNORE).sum())
    log_p = logits.log_softmax(-1).flatten(0, 1)
    return F.nll_loss(log_p, targets.flatten(), reduction="sum") / max(1, count), count


@wrong("05.4", "CrossEntropyLoss may not be used here")
def as_a_module(logits, targets):
    loss = nn.CrossEntropyLoss()(logits.transpose(1, 2), targets)
    return loss, int((targets != IGNORE).sum())


@wrong("05.4", "minidistill.teacher_forcing.token_loss may not be used here")
def the_packages_own(logits, targets):
    from minidistill.teacher_forcing import token_loss

    return token_loss(logits, targets)


@right("05.4")
def as_in_the_chapter(logits, targets):
    cost, real = costs(logits, targets)
    count = int(real.sum())
    return cost.sum() / max(1, count), count


@right("05.4")
def real_places_only(logits, targets):
    keep = targets != IGNORE
    z, k = logits[keep], targets[keep]  # (N, V), (N,)
    cost = z.logsumexp(-1) - z[torch.arange(len(k)), k]
    return cost.sum() / keep.sum().clamp(min=1), keep.sum()


@right("05.4")
def place_by_place(logits, targets):
    total, count = torch.zeros(()), 0
    for z, k in zip(logits.flatten(0, 1), targets.flatten().tolist(), strict=True):
        if k != IGNORE:
            total, count = total - z.log_softmax(0)[k], count + 1
    return total / max(count, 1), count


@right("05.4")
def in_double_precision(logits, targets):
    hot = F.one_hot(targets.clamp(min=0), logits.size(-1)) * (targets != IGNORE)[..., None]
    log_p = logits.double().log_softmax(-1)
    count = (targets != IGNORE).sum().item()
    return -log_p.masked_fill(hot == 0, 0.0).sum() / max(count, 1), count
