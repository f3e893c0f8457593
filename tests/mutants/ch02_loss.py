"""Answers to 02.5 mean_cross_entropy as students write them, wrong and right."""

from __future__ import annotations

import functools
import math
import operator

import torch
from torch import nn
from torch.nn import functional as F

from tests.mutants import right, wrong


def log_probabilities(z):
    z = z - z.amax(-1, keepdim=True)
    return z - z.exp().sum(-1, keepdim=True).log()


def costs(log_p, targets):
    return -log_p.gather(-1, targets.clamp(min=0)[..., None])[..., 0]


def mean_over_real(cost, targets):
    real = targets != -100
    return (cost * real).sum() / real.sum()


def by(log_p, targets):
    return mean_over_real(costs(log_p, targets), targets)


@wrong("02.5", "divided by all B x T positions")
def divided_by_all(logits, targets):
    real = targets != -100
    return (costs(log_probabilities(logits), targets) * real).mean()


@wrong("02.5", "this is the sum")
def not_divided(logits, targets):
    return (costs(log_probabilities(logits), targets) * (targets != -100)).sum()


@wrong("02.5", "the sign is wrong")
def sign_forgotten(logits, targets):
    return -by(log_probabilities(logits), targets)


@wrong("02.5", "this is in bits")
def in_bits(logits, targets):
    return by(log_probabilities(logits), targets) / math.log(2)


@wrong("02.5", "this is the perplexity")
def perplexity(logits, targets):
    return by(log_probabilities(logits), targets).exp()


@wrong("02.5", "exp of a large logit overflows")
def largest_not_subtracted(logits, targets):
    return by(logits - logits.exp().sum(-1, keepdim=True).log(), targets)


@wrong("02.5", "exp of a large logit overflows")
def mean_subtracted(logits, targets):
    z = logits - logits.mean(-1, keepdim=True)
    return by(z - z.exp().sum(-1, keepdim=True).log(), targets)


@wrong("02.5", "subtract each row's own")
def largest_of_all(logits, targets):
    z = logits - logits.max()
    return by(z - z.exp().sum(-1, keepdim=True).log(), targets)


@wrong("02.5", "subtract it from the target's logit too")
def subtracted_only_inside(logits, targets):
    top = logits.amax(-1, keepdim=True)
    return by(logits - (logits - top).exp().sum(-1, keepdim=True).log(), targets)


def softmax(z):
    e = (z - z.amax(-1, keepdim=True)).exp()
    return e / e.sum(-1, keepdim=True)


@wrong("02.5", "do not take the logarithm of the softmax")
def logarithm_of_the_softmax(logits, targets):
    return by(softmax(logits).log(), targets)


@wrong("02.5", "a small number is added to the probability, or it is cut off")
def small_number_added(logits, targets):
    return by((softmax(logits) + 1e-9).log(), targets)


@wrong("02.5", "a small number is added to the probability, or it is cut off")
def probability_cut_off(logits, targets):
    return by(softmax(logits).clamp(min=1e-7).log(), targets)


@wrong("02.5", "large logits are cut off")
def logits_cut_off(logits, targets):
    return by(log_probabilities(logits.clamp(-50, 50)), targets)


@wrong("02.5", "the softmax runs over time")
def softmax_over_time(logits, targets):
    return by(logits - logits.exp().sum(1, keepdim=True).log(), targets)


@wrong("02.5", "the softmax is taken twice")
def softmax_twice(logits, targets):
    return by(log_probabilities(softmax(logits)), targets)


@wrong("02.5", "the logits are used as log-probabilities")
def no_softmax(logits, targets):
    return by(logits, targets)


@wrong("02.5", "the probability itself is averaged")
def no_logarithm(logits, targets):
    return by(softmax(logits), targets)


@wrong("02.5", "the largest logit counts")
def best_guess(logits, targets):
    return mean_over_real(-log_probabilities(logits).amax(-1), targets)


@wrong("02.5", "this is the entropy of the prediction")
def entropy(logits, targets):
    p = softmax(logits)
    return mean_over_real(-(p * p.log()).sum(-1), targets)


@wrong("02.5", "each row is averaged first")
def mean_of_row_means(logits, targets):
    real = targets != -100
    cost = costs(log_probabilities(logits), targets) * real
    return (cost.sum(1) / real.sum(1)).mean()


@wrong("02.5", "padding counts as target 0")
def padding_as_token_0(logits, targets):
    return costs(log_probabilities(logits), targets).mean()


@wrong("02.5", "target 0 is left out")
def token_0_as_padding(logits, targets):
    real = targets > 0
    return (costs(log_probabilities(logits), targets) * real).sum() / real.sum()


@wrong("02.5", "-100 marks padding and is no id")
def padding_picked(logits, targets):
    cost = -log_probabilities(logits).gather(-1, targets[..., None])[..., 0]
    return cost[targets != -100].mean()


@wrong("02.5", "cut to the shortest")
def rows_cut_to_the_shortest(logits, targets):
    n = int((targets != -100).sum(1).min())
    return by(log_probabilities(logits[:, :n]), targets[:, :n])


@wrong("02.5", "shifted once more")
def shifted_targets(logits, targets):
    return by(log_probabilities(logits[:, :-1]), targets[:, 1:])


@wrong("02.5", "flattened in different orders")
def flattened_across(logits, targets):
    V = logits.size(-1)
    flat = log_probabilities(logits).transpose(1, 2).reshape(-1, V)
    return by(flat.view_as(logits), targets)


@wrong("02.5", "a loss for each position")
def not_averaged(logits, targets):
    return costs(log_probabilities(logits), targets) * (targets != -100)


@wrong("02.5", "no gradient reaches the inputs")
def a_plain_number(logits, targets):
    return by(log_probabilities(logits), targets).item()


@wrong("02.5", "the normalisation is detached")
def half_detached(logits, targets):
    log_p = log_probabilities(logits)
    return by(logits + (log_p - logits).detach(), targets)


@wrong("02.5", "changes its argument number 2 in place")
def targets_overwritten(logits, targets):
    real = targets != -100
    targets[~real] = 0
    return (costs(log_probabilities(logits), targets) * real).sum() / real.sum()


@wrong("02.5", "this is ln V whatever they are")
def remembered(logits, targets):
    return torch.tensor(math.log(logits.size(-1)), dtype=logits.dtype)


@wrong("02.5", "cross_entropy may not be used here")
def cross_entropy_by_partial(logits, targets):
    ready = functools.partial(getattr(F, "cross_" + "entropy"), ignore_index=-100)
    return ready(logits.transpose(1, 2), targets)


@wrong("02.5", "CrossEntropyLoss may not be used here")
def cross_entropy_as_a_module(logits, targets):
    return nn.CrossEntropyLoss()(logits.flatten(0, 1), targets.flatten())


@wrong("02.5", "log_softmax may not be used here")
def log_softmax_by_its_other_name(logits, targets):
    return by(torch.special.log_softmax(logits, -1), targets)


@wrong("02.5", "softmax may not be used here")
def softmin(logits, targets):
    return by(F.softmin(-logits, dim=-1).log(), targets)


@wrong("02.5", "logsumexp may not be used here")
def a_distribution(logits, targets):
    log_p = torch.distributions.Categorical(logits=logits).log_prob(targets.clamp(min=0))
    return mean_over_real(-log_p, targets)


@wrong("02.5", "logaddexp may not be used here")
def two_by_two(logits, targets):
    norm = functools.reduce(torch.logaddexp, logits.unbind(-1))
    return by(logits - norm[..., None], targets)


@wrong("02.5", "next_token_loss may not be used here")
def the_packages_own(logits, targets):
    from minidistill.training import next_token_loss

    return next_token_loss(lambda inputs, state: (logits, state), (None, targets), None)[0]


@right("02.5")
def as_in_the_chapter(logits, targets):
    return by(log_probabilities(logits), targets)


@right("02.5")
def one_by_one(logits, targets):
    total, count = logits.sum() * 0, 0
    for z, k in zip(logits.flatten(0, 1), targets.flatten(), strict=True):
        if k != -100:
            top = z.max().detach()
            total, count = total + top + (z - top).exp().sum().log() - z[k], count + 1
    return total / max(1, count)


@right("02.5")
def only_real_rows(logits, targets):
    keep = targets != -100
    z = logits[keep] - logits[keep].max(dim=1, keepdim=True)[0]
    return (z.exp().sum(1).log() - z[torch.arange(len(z)), targets[keep]]).sum() / len(z)


@right("02.5")
def one_hot(logits, targets, ignore=-100):
    keep = (targets != ignore).to(logits.dtype)
    hot = F.one_hot(targets.clamp(min=0), logits.size(-1)).to(logits.dtype)
    products = torch.einsum("btv,btv,bt->", hot, log_probabilities(logits), keep)
    return -products / keep.sum().clamp(min=1)


@right("02.5")
def own_functions_with_famous_names(logits, targets):
    def log_softmax(z):
        top = functools.reduce(operator.sub, [z, z.amax(-1, keepdim=True).detach()])
        return top - torch.log(torch.sum(torch.exp(top), -1, keepdim=True))

    def cross_entropy(log_p, k):
        return costs(log_p, k).masked_select(k.ne(-100)).mean()

    return cross_entropy(log_softmax(logits), targets)


@right("02.5")
def single_precision_inside(logits, targets):
    return by(log_probabilities(logits.float()), targets)
