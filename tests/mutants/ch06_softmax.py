"""Answers to 06.1 masked_softmax as students write them, wrong and right."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from tests.mutants import right, wrong


def real(scores, mask):
    return torch.ones_like(scores, dtype=torch.bool) if mask is None else mask.expand_as(scores)


@wrong("06.1", "after the softmax")
def softmax_then_mask(scores, mask=None):
    return scores.softmax(-1) * real(scores, mask)


@wrong("06.1", "gives NaN")
def minus_infinity(scores, mask=None):
    return scores.masked_fill(~real(scores, mask), -torch.inf).softmax(-1)


@wrong("06.1", "repair the value and not the way back")
def infinity_added_and_nan_to_num(scores, mask=None):
    low = torch.zeros_like(scores).masked_fill(~real(scores, mask), -torch.inf)
    weights = (scores.nan_to_num() + low).softmax(-1)
    return torch.where(weights.isnan(), 0.0, weights)


@wrong("06.1", "gets equal weights there")
def a_billion_below(scores, mask=None):
    return scores.masked_fill(~real(scores, mask), -1e9).softmax(-1)


@wrong("06.1", "not low enough")
def a_hundred_below(scores, mask=None):
    mask = real(scores, mask)
    return scores.masked_fill(~mask, -100.0).softmax(-1) * mask


@wrong("06.1", "the score 0, which is a score like others")
def scores_times_mask(scores, mask=None):
    mask = real(scores, mask)
    return (scores * mask).softmax(-1) * mask


@wrong("06.1", "the mask is turned round")
def filled_where_real(scores, mask=None):
    if mask is None:
        return scores.softmax(-1)
    return scores.masked_fill(mask, -1e30).softmax(-1).masked_fill(mask, 0.0)


@wrong("06.1", "the mask is not used")
def no_mask(scores, mask=None):
    return scores.softmax(-1)


@wrong("06.1", "the wrong dimension")
def over_the_targets(scores, mask=None):
    mask = real(scores, mask)
    return scores.masked_fill(~mask, -1e30).softmax(-2).masked_fill(~mask, 0.0)


@wrong("06.1", "the mask is added to the scores")
def mask_added(scores, mask=None):
    return (scores + real(scores, mask)).softmax(-1)


@wrong("06.1", "the mask is None here")
def always_a_mask(scores, mask):
    return scores.masked_fill(~mask, -1e30).softmax(-1).masked_fill(~mask, 0.0)


@wrong("06.1", "the softmax is missing")
def filled_only(scores, mask=None):
    return scores.masked_fill(~real(scores, mask), -1e30)


@wrong("06.1", "these are logarithms")
def logarithms(scores, mask=None):
    mask = real(scores, mask)
    return scores.masked_fill(~mask, -1e30).log_softmax(-1)


@wrong("06.1", "these are sigmoids")
def gates(scores, mask=None):
    return scores.sigmoid() * real(scores, mask)


@wrong("06.1", "exp overflows for a large score")
def exp_of_large_scores(scores, mask=None):
    e = scores.exp().masked_fill(~real(scores, mask), 0.0)
    return e / e.sum(-1, keepdim=True).clamp(min=1e-30)


@wrong("06.1", "share the weight evenly")
def mean_of_the_real(scores, mask=None):
    mask = real(scores, mask)
    return mask.to(scores.dtype) / mask.sum(-1, keepdim=True).clamp(min=1)


@wrong("06.1", "changes its argument number 1 in place")
def in_place(scores, mask=None):
    mask = real(scores, mask)
    return scores.masked_fill_(~mask, -1e30).softmax(-1).masked_fill(~mask, 0.0)


@wrong("06.1", "all the weight goes to the largest score")
def hard(scores, mask=None):
    mask = real(scores, mask)
    best = scores.masked_fill(~mask, -1e30).argmax(-1)
    return F.one_hot(best, scores.size(-1)).to(scores) * mask


@wrong("06.1", "may not be used here")
def ready_made(scores, mask=None):
    return torch.masked.softmax(scores, -1, mask=real(scores, mask)).nan_to_num()


@wrong("06.1", "two mistakes")
def after_and_turned_round(scores, mask=None):
    if mask is None:
        return scores.softmax(-1)
    return scores.softmax(-1).masked_fill(mask, 0.0)


@right("06.1")
def lowest_number(scores, mask=None):
    mask = real(scores, mask)
    return scores.masked_fill(~mask, torch.finfo(scores.dtype).min).softmax(-1) * mask


@right("06.1")
def by_exp(scores, mask=None):
    mask = real(scores, mask)
    kept = torch.where(mask, scores, -1e30)
    e = torch.exp(kept - kept.amax(-1, keepdim=True)) * mask
    return e / e.sum(-1, keepdim=True).clamp(min=1e-30)


@right("06.1")
def only_rows_with_something(scores, mask=None):
    if mask is None:
        return F.softmax(scores, dim=-1)
    empty = ~mask.any(-1, keepdim=True)
    safe = scores.masked_fill(~(mask | empty), -torch.inf)
    safe = torch.where(empty, torch.zeros_like(safe), safe)
    return torch.where(empty, 0.0, safe.softmax(-1))


@right("06.1")
def a_common_number(scores, mask=None):
    if mask is None:
        return torch.softmax(scores, dim=-1)
    weights = torch.where(mask, scores, torch.full_like(scores, -1e9)).softmax(-1)
    return weights * mask.to(weights.dtype)


@right("06.1")
def infinity_and_nan_to_num(scores, mask=None):
    """The way back through masked_fill gives 0 where it filled, so the NaN ends there."""
    return scores.masked_fill(~real(scores, mask), -torch.inf).softmax(-1).nan_to_num()
