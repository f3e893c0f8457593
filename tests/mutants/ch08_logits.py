"""Answers to 08.2 sampled_logits as students write them, wrong and right."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

from tests.mutants import right, wrong

INF = math.inf


def plain(hidden, weight, bias, targets, drawn):
    """Logits without correction, and where the hits are."""
    own = (hidden * weight[targets]).sum(-1)
    others = hidden @ weight[drawn].T
    if bias is not None:
        own, others = own + bias[targets], others + bias[drawn]
    return own, others, targets[:, None] == drawn


def joined(own, others):
    return torch.cat([own[:, None], others], 1)


@wrong("08.2", "no correction at all")
def uncorrected(hidden, weight, bias, targets, drawn, log_q_targets, log_q_drawn):
    own, others, hits = plain(hidden, weight, bias, targets, drawn)
    return joined(own, others.masked_fill(hits, -INF))


@wrong("08.2", "accidental hits are kept")
def hits_kept(hidden, weight, bias, targets, drawn, log_q_targets, log_q_drawn):
    own, others, _ = plain(hidden, weight, bias, targets, drawn)
    return joined(own - log_q_targets, others - log_q_drawn)


@wrong("08.2", "only the classes drawn are corrected")
def target_uncorrected(hidden, weight, bias, targets, drawn, log_q_targets, log_q_drawn):
    own, others, hits = plain(hidden, weight, bias, targets, drawn)
    return joined(own, (others - log_q_drawn).masked_fill(hits, -INF))


@wrong("08.2", "only the target is corrected")
def negatives_uncorrected(hidden, weight, bias, targets, drawn, log_q_targets, log_q_drawn):
    own, others, hits = plain(hidden, weight, bias, targets, drawn)
    return joined(own - log_q_targets, others.masked_fill(hits, -INF))


@wrong("08.2", "ln Q is added")
def added(hidden, weight, bias, targets, drawn, log_q_targets, log_q_drawn):
    own, others, hits = plain(hidden, weight, bias, targets, drawn)
    return joined(own + log_q_targets, (others + log_q_drawn).masked_fill(hits, -INF))


@wrong("08.2", "Q itself is subtracted")
def chances_subtracted(hidden, weight, bias, targets, drawn, log_q_targets, log_q_drawn):
    own, others, hits = plain(hidden, weight, bias, targets, drawn)
    others = (others - log_q_drawn.exp()).masked_fill(hits, -INF)
    return joined(own - log_q_targets.exp(), others)


@wrong("08.2", "e to the logit that is divided")
def divided_by_chances(hidden, weight, bias, targets, drawn, log_q_targets, log_q_drawn):
    own, others, hits = plain(hidden, weight, bias, targets, drawn)
    others = (others / log_q_drawn.exp()).masked_fill(hits, -INF)
    return joined(own / log_q_targets.exp(), others)


@wrong("08.2", "a hit gets the logit 0")
def hits_0(hidden, weight, bias, targets, drawn, log_q_targets, log_q_drawn):
    own, others, hits = plain(hidden, weight, bias, targets, drawn)
    return joined(own - log_q_targets, (others - log_q_drawn) * ~hits)


@wrong("08.2", "stands -1: all other logits")
def hits_minus_1(hidden, weight, bias, targets, drawn, log_q_targets, log_q_drawn):
    own, others, hits = plain(hidden, weight, bias, targets, drawn)
    return joined(own - log_q_targets, (others - log_q_drawn).masked_fill(hits, -1.0))


@wrong("08.2", "all other logits may be as low")
def hits_minus_100(hidden, weight, bias, targets, drawn, log_q_targets, log_q_drawn):
    own, others, hits = plain(hidden, weight, bias, targets, drawn)
    return joined(own - log_q_targets, others - log_q_drawn - 100.0 * hits)


@wrong("08.2", "the target's own column is removed")
def target_removed(hidden, weight, bias, targets, drawn, log_q_targets, log_q_drawn):
    own, others, _ = plain(hidden, weight, bias, targets, drawn)
    logits = joined(own - log_q_targets, others - log_q_drawn)
    ids = torch.cat([targets[:, None], drawn.expand(len(targets), -1)], 1)
    return logits.masked_fill(torch.isin(targets, drawn)[:, None] & (ids == targets[:, None]), -INF)


@wrong("08.2", "the target is missing")
def every_target_removed(hidden, weight, bias, targets, drawn, log_q_targets, log_q_drawn):
    _, others, hits = plain(hidden, weight, bias, targets, drawn)
    return (others - log_q_drawn).masked_fill(hits, -INF)


@wrong("08.2", "by place, not by class")
def hits_by_column(hidden, weight, bias, targets, drawn, log_q_targets, log_q_drawn):
    own, others, _ = plain(hidden, weight, bias, targets, drawn)
    hits = targets[:, None] == torch.arange(len(drawn))
    return joined(own - log_q_targets, (others - log_q_drawn).masked_fill(hits, -INF))


@wrong("08.2", "the target stands in the last column")
def target_last(hidden, weight, bias, targets, drawn, log_q_targets, log_q_drawn):
    own, others, hits = plain(hidden, weight, bias, targets, drawn)
    others = (others - log_q_drawn).masked_fill(hits, -INF)
    return torch.cat([others, (own - log_q_targets)[:, None]], 1)


@wrong("08.2", "the bias is forgotten")
def no_bias(hidden, weight, bias, targets, drawn, log_q_targets, log_q_drawn):
    own, others, hits = plain(hidden, weight, None, targets, drawn)
    return joined(own - log_q_targets, (others - log_q_drawn).masked_fill(hits, -INF))


@wrong("08.2", "get the bias of the token's target")
def bias_of_target(hidden, weight, bias, targets, drawn, log_q_targets, log_q_drawn):
    own, others, hits = plain(hidden, weight, None, targets, drawn)
    if bias is not None:
        own, others = own + bias[targets], others + bias[targets][:, None]
    return joined(own - log_q_targets, (others - log_q_drawn).masked_fill(hits, -INF))


@wrong("08.2", "removed for all tokens")
def removed_for_all(hidden, weight, bias, targets, drawn, log_q_targets, log_q_drawn):
    own, others, _ = plain(hidden, weight, bias, targets, drawn)
    hits = torch.isin(drawn, targets)
    return joined(own - log_q_targets, (others - log_q_drawn).masked_fill(hits, -INF))


@wrong("08.2", "the bias is None here")
def needs_a_bias(hidden, weight, bias, targets, drawn, log_q_targets, log_q_drawn):
    own = (hidden * weight[targets]).sum(-1) + bias[targets] - log_q_targets
    others = hidden @ weight[drawn].T + bias[drawn] - log_q_drawn
    return joined(own, others.masked_fill(targets[:, None] == drawn, -INF))


@wrong("08.2", "infinity times 0 is NaN: choose")
def infinity_times_mask(hidden, weight, bias, targets, drawn, log_q_targets, log_q_drawn):
    own, others, hits = plain(hidden, weight, bias, targets, drawn)
    return joined(own - log_q_targets, others - log_q_drawn - hits * INF)


@wrong("08.2", "sum over all tokens' targets")
def product_of_matrices(hidden, weight, bias, targets, drawn, log_q_targets, log_q_drawn):
    _, others, hits = plain(hidden, weight, bias, targets, drawn)
    own = (hidden @ weight[targets].T).sum(1) - log_q_targets
    if bias is not None:
        own = own + bias[targets]
    return joined(own, (others - log_q_drawn).masked_fill(hits, -INF))


@wrong("08.2", "no gradient reaches the weight")
def weight_detached(hidden, weight, bias, targets, drawn, log_q_targets, log_q_drawn):
    own, others, hits = plain(hidden, weight.detach(), bias, targets, drawn)
    return joined(own - log_q_targets, (others - log_q_drawn).masked_fill(hits, -INF))


@wrong("08.2", "two mistakes at once")
def uncorrected_with_hits(hidden, weight, bias, targets, drawn, log_q_targets, log_q_drawn):
    own, others, _ = plain(hidden, weight, bias, targets, drawn)
    return joined(own, others)


@wrong("08.2", "as low")
def lowest_of_sixteen_bits(hidden, weight, bias, targets, drawn, log_q_targets, log_q_drawn):
    own, others, hits = plain(hidden, weight, bias, targets, drawn)
    others = (others - log_q_drawn).masked_fill(hits, torch.finfo(torch.float16).min)
    return joined(own - log_q_targets, others)


@wrong("08.2", "may come in any order")
def looked_up_as_if_sorted(hidden, weight, bias, targets, drawn, log_q_targets, log_q_drawn):
    own, others, _ = plain(hidden, weight, bias, targets, drawn)
    place = torch.searchsorted(drawn, targets).clamp(max=len(drawn) - 1)
    hits = (drawn[place] == targets)[:, None] & (place[:, None] == torch.arange(len(drawn)))
    return joined(own - log_q_targets, (others - log_q_drawn).masked_fill(hits, -INF))


@wrong("08.2", "not all accidental hits are removed")
def first_token_alone(hidden, weight, bias, targets, drawn, log_q_targets, log_q_drawn):
    own, others, hits = plain(hidden, weight, bias, targets, drawn)
    hits[1:] = False
    return joined(own - log_q_targets, (others - log_q_drawn).masked_fill(hits, -INF))


@right("08.2")
def large_finite_number(hidden, weight, bias, targets, drawn, log_q_targets, log_q_drawn):
    own, others, hits = plain(hidden, weight, bias, targets, drawn)
    return joined(own - log_q_targets, (others - log_q_drawn).masked_fill(hits, -1e9))


@right("08.2")
def lowest_of_the_type(hidden, weight, bias, targets, drawn, log_q_targets, log_q_drawn):
    own, others, hits = plain(hidden, weight, bias, targets, drawn)
    low = torch.finfo(others.dtype).min
    return joined(own - log_q_targets, torch.where(hits, low, others - log_q_drawn))


@right("08.2")
def all_rows_at_once(hidden, weight, bias, targets, drawn, log_q_targets, log_q_drawn):
    N, S = len(targets), len(drawn)
    ids = torch.cat([targets[:, None], drawn.expand(N, S)], 1)  # (N, 1 + S)
    logits = torch.einsum("nh,nkh->nk", hidden, weight[ids])
    if bias is not None:
        logits = logits + bias[ids]
    logits = logits - torch.cat([log_q_targets[:, None], log_q_drawn.expand(N, S)], 1)
    hits = ids == ids[:, :1]
    hits[:, 0] = False
    return logits.masked_fill(hits, -INF)


@right("08.2")
def token_by_token(hidden, weight, bias, targets, drawn, log_q_targets, log_q_drawn):
    rows = []
    for n, t in enumerate(targets.tolist()):
        row = [hidden[n] @ weight[t] - log_q_targets[n] + (0 if bias is None else bias[t])]
        for j, k in enumerate(drawn.tolist()):
            z = hidden[n] @ weight[k] - log_q_drawn[j] + (0 if bias is None else bias[k])
            row.append(torch.full_like(z, -INF) if k == t else z)
        rows.append(torch.stack(row))
    return torch.stack(rows)


@right("08.2")
def full_table_first(hidden, weight, bias, targets, drawn, log_q_targets, log_q_drawn):
    every = F.linear(hidden, weight, bias)
    own = every.gather(1, targets[:, None]) - log_q_targets.unsqueeze(1)
    others = every[:, drawn] - log_q_drawn
    others = torch.where(drawn[None] == targets[:, None], -INF, others)
    return torch.hstack([own, others])
