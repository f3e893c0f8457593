"""Answers to 07.2 negative_sampling_loss as students write them, wrong and right."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from tests.mutants import right, wrong


def scores(x, weight, targets, drawn):
    """Of the targets (N,) and of the words drawn (N, S)."""
    return (x * weight[targets]).sum(1), x @ weight[drawn].T


@wrong("07.2", "every draw counts whole")
def sum_of_all_draws(x, weight, targets, drawn, negatives):
    a, b = scores(x, weight, targets, drawn)
    return -(F.logsigmoid(a) + F.logsigmoid(-b).sum(1)).mean()


@wrong("07.2", "this is the mean over the words drawn")
def mean_of_the_draws(x, weight, targets, drawn, negatives):
    a, b = scores(x, weight, targets, drawn)
    return -(F.logsigmoid(a) + F.logsigmoid(-b).mean(1)).mean()


@wrong("07.2", "has S terms")
def k_times_the_sum(x, weight, targets, drawn, negatives):
    a, b = scores(x, weight, targets, drawn)
    return -(F.logsigmoid(a) + negatives * F.logsigmoid(-b).sum(1)).mean()


@wrong("07.2", "upside down")
def factor_upside_down(x, weight, targets, drawn, negatives):
    a, b = scores(x, weight, targets, drawn)
    return -(F.logsigmoid(a) + len(drawn) / negatives * F.logsigmoid(-b).sum(1)).mean()


@wrong("07.2", "are taken for real ones")
def drawn_with_a_plus(x, weight, targets, drawn, negatives):
    a, b = scores(x, weight, targets, drawn)
    return -(F.logsigmoid(a) + F.logsigmoid(b).mean(1) * negatives).mean()


@wrong("07.2", "1 - ln s is not ln(1 - s)")
def one_less_the_logarithm(x, weight, targets, drawn, negatives):
    a, b = scores(x, weight, targets, drawn)
    return -(F.logsigmoid(a) + (1 - F.logsigmoid(b)).mean(1) * negatives).mean()


@wrong("07.2", "the sign is wrong")
def no_minus(x, weight, targets, drawn, negatives):
    a, b = scores(x, weight, targets, drawn)
    return (F.logsigmoid(a) + F.logsigmoid(-b).mean(1) * negatives).mean()


@wrong("07.2", "ln 0 is infinite")
def logarithm_of_sigmoid(x, weight, targets, drawn, negatives):
    a, b = scores(x, weight, targets, drawn)
    noise = torch.log(torch.sigmoid(-b)).sum(1) * negatives / len(drawn)
    return -(torch.log(torch.sigmoid(a)) + noise).mean()


@wrong("07.2", "ln 0 is infinite")
def softplus_by_hand(x, weight, targets, drawn, negatives):
    a, b = scores(x, weight, targets, drawn)
    a, b = a * 5 / 5, b * 5 / 5
    return (
        torch.log(1 + torch.exp(-4 * a) ** 0.25)
        + torch.log(1 + torch.exp(4 * b) ** 0.25).mean(1) * negatives
    ).mean()


@wrong("07.2", "the loss stops growing")
def small_number_inside(x, weight, targets, drawn, negatives):
    a, b = scores(x, weight, targets, drawn)
    noise = torch.log(torch.sigmoid(-b) + 1e-12).sum(1) * negatives / len(drawn)
    return -(torch.log(torch.sigmoid(a) + 1e-12) + noise).mean()


@wrong("07.2", "the loss stops growing")
def clamped_chance(x, weight, targets, drawn, negatives):
    a, b = scores(x, weight, targets, drawn)
    real, noise = torch.sigmoid(a).clamp(min=1e-10), torch.sigmoid(-b).clamp(min=1e-10)
    return -(real.log() + noise.log().sum(1) * negatives / len(drawn)).mean()


@wrong("07.2", "averaged over the H numbers")
def mean_over_h(x, weight, targets, drawn, negatives):
    a = (x * weight[targets]).mean(1)
    b = (x[:, None] * weight[drawn]).mean(2)
    return -(F.logsigmoid(a) + F.logsigmoid(-b).mean(1) * negatives).mean()


@wrong("07.2", "the first rows of the weight")
def rows_by_count(x, weight, targets, drawn, negatives):
    a, b = (x * weight[targets]).sum(1), x @ weight[: len(drawn)].T
    return -(F.logsigmoid(a) + F.logsigmoid(-b).mean(1) * negatives).mean()


@wrong("07.2", "divided by N (1 + S)")
def mean_over_all_terms(x, weight, targets, drawn, negatives):
    a, b = scores(x, weight, targets, drawn)
    total = F.logsigmoid(a).sum() + F.logsigmoid(-b).sum() * negatives / len(drawn)
    return -total / (len(x) * (1 + len(drawn)))


@wrong("07.2", "here they stay")
def hits_removed(x, weight, targets, drawn, negatives):
    a, b = scores(x, weight, targets, drawn)
    hits = targets[:, None] == drawn
    noise = F.logsigmoid(-b).masked_fill(hits, 0.0).sum(1)
    return -(F.logsigmoid(a) + noise * negatives / len(drawn)).mean()


@wrong("07.2", "as often as it was drawn")
def drawn_made_unique(x, weight, targets, drawn, negatives):
    a, b = scores(x, weight, targets, drawn.unique())
    return -(F.logsigmoid(a) + F.logsigmoid(-b).mean(1) * negatives).mean()


@wrong("07.2", "a softmax over the target and the words drawn")
def sampled_softmax(x, weight, targets, drawn, negatives):
    a, b = scores(x, weight, targets, drawn)
    z = torch.cat([a[:, None], b], 1)
    return F.cross_entropy(z, torch.zeros(len(x), dtype=torch.long))


@wrong("07.2", "the softmax over the whole vocabulary")
def full_softmax(x, weight, targets, drawn, negatives):
    return F.cross_entropy(x @ weight.T, targets)


@wrong("07.2", "x_n belongs to the n-th target")
def all_pairs_of_targets(x, weight, targets, drawn, negatives):
    a, b = x @ weight[targets].T, x @ weight[drawn].T
    noise = F.logsigmoid(-b).sum(1) * negatives / len(drawn)
    return -(F.logsigmoid(a).mean(1) + noise).mean()


@wrong("07.2", "the words drawn play no part")
def targets_only(x, weight, targets, drawn, negatives):
    return -F.logsigmoid((x * weight[targets]).sum(1)).mean()


@wrong("07.2", "counts as 5 whatever is handed in")
def always_five(x, weight, targets, drawn, negatives):
    a, b = scores(x, weight, targets, drawn)
    return -(F.logsigmoid(a) + F.logsigmoid(-b).mean(1) * 5).mean()


@wrong("07.2", "only the first `negatives` words drawn")
def first_draws(x, weight, targets, drawn, negatives):
    a, b = scores(x, weight, targets, drawn[: int(negatives)])
    return -(F.logsigmoid(a) + F.logsigmoid(-b).sum(1)).mean()


@wrong("07.2", "the logarithm of s is missing")
def chances_added_up(x, weight, targets, drawn, negatives):
    a, b = scores(x, weight, targets, drawn)
    return -(torch.sigmoid(a) + torch.sigmoid(-b).mean(1) * negatives).mean()


@wrong("07.2", "one number for each x")
def one_loss_each(x, weight, targets, drawn, negatives):
    a, b = scores(x, weight, targets, drawn)
    return -(F.logsigmoid(a) + F.logsigmoid(-b).mean(1) * negatives)


@wrong("07.2", "the sum over the batch")
def summed_over_the_batch(x, weight, targets, drawn, negatives):
    a, b = scores(x, weight, targets, drawn)
    return -(F.logsigmoid(a) + F.logsigmoid(-b).mean(1) * negatives).sum()


@wrong("07.2", "no gradient flows through weight[drawn]")
def noise_detached(x, weight, targets, drawn, negatives):
    a, b = (x * weight[targets]).sum(1), x @ weight[drawn].detach().T
    return -(F.logsigmoid(a) + F.logsigmoid(-b).mean(1) * negatives).mean()


@wrong("07.2", "not a tensor")
def a_float(x, weight, targets, drawn, negatives):
    a, b = scores(x, weight, targets, drawn)
    return -(F.logsigmoid(a) + F.logsigmoid(-b).mean(1) * negatives).mean().item()


@wrong("07.2", "its gradient is NaN")
def nan_swept_away(x, weight, targets, drawn, negatives):
    a, b = scores(x, weight, targets, drawn)

    def safe(z):
        return torch.where(z < -30, z, torch.log(torch.sigmoid(z)))

    return -(safe(a) + safe(-b).mean(1) * negatives).mean()


@wrong("07.2", "two mistakes at once")
def unscaled_and_no_minus(x, weight, targets, drawn, negatives):
    a, b = scores(x, weight, targets, drawn)
    return (F.logsigmoid(a) + F.logsigmoid(-b).sum(1)).mean()


@wrong("07.2", "may not be used here")
def packages_own(x, weight, targets, drawn, negatives):
    from minidistill.negative_sampling import negative_sampling_loss

    return negative_sampling_loss(x, weight, targets, drawn, negatives)


@right("07.2")
def by_logsigmoid(x, weight, targets, drawn, negatives):
    a, b = scores(x, weight, targets, drawn)
    return -(F.logsigmoid(a) + negatives / len(drawn) * F.logsigmoid(-b).sum(1)).mean()


@right("07.2")
def by_softplus(x, weight, targets, drawn, negatives):
    a = torch.einsum("nh,nh->n", x, weight[targets])
    b = torch.einsum("nh,sh->ns", x, weight[drawn])
    return F.softplus(-a).mean() + negatives * F.softplus(b).mean()


@right("07.2")
def by_cross_entropy(x, weight, targets, drawn, negatives):
    a, b = scores(x, weight, targets, drawn)
    entropy = F.binary_cross_entropy_with_logits
    return entropy(a, torch.ones_like(a)) + negatives * entropy(b, torch.zeros_like(b))


@right("07.2")
def by_a_loop(x, weight, targets, drawn, negatives):
    total = 0.0
    for row, target in zip(x, targets.tolist(), strict=True):
        total = total - F.logsigmoid(row @ weight[target])
        for d in drawn.tolist():
            total = total - negatives / len(drawn) * F.logsigmoid(-(row @ weight[d]))
    return total / len(x)


@right("07.2")
def by_logaddexp(x, weight, targets, drawn, negatives):
    own, noise = F.embedding(targets, weight), F.embedding(drawn, weight)
    a, b = torch.linalg.vecdot(x, own), torch.matmul(x, noise.t())
    cost = torch.logaddexp(torch.zeros_like(a), -a).sum()
    cost = cost + torch.logaddexp(torch.zeros_like(b), b).sum() * (negatives / drawn.numel())
    return cost / x.size(0)
