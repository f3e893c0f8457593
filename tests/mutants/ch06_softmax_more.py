"""More answers to 06.1 masked_softmax: those that slipped through once, or got a wrong name."""

from __future__ import annotations

import torch

from tests.mutants import right, wrong


def real(scores, mask):
    return torch.ones_like(scores, dtype=torch.bool) if mask is None else mask.expand_as(scores)


def lowest(scores):
    return torch.finfo(scores.dtype).min


# caught by what stands at padding


@wrong("06.1", "spoiled where nan stands at padding")
def far_below_the_lowest_score(scores, mask=None):
    mask = real(scores, mask)
    low = float(scores.detach().min()) - 1e4
    return scores.masked_fill(~mask, low).softmax(-1) * mask


@wrong("06.1", "spoiled where inf stands at padding")
def empty_rows_all_real(scores, mask=None):
    mask = real(scores, mask)
    used = mask | ~mask.any(-1, keepdim=True)
    return scores.masked_fill(~used, -torch.inf).softmax(-1) * mask


@wrong("06.1", "spoiled where inf stands at padding")
def a_low_number_added(scores, mask=None):
    mask = real(scores, mask)
    return (scores - (~mask).to(scores) * 1e9).softmax(-1) * mask


@wrong("06.1", "torch.where repairs the value and not the way back")
def where_after_exp(scores, mask=None):
    mask = real(scores, mask)
    filled = scores.masked_fill(~mask, lowest(scores))
    top = filled.amax(-1, keepdim=True).detach()
    top = torch.where(mask.any(-1, keepdim=True), top, 0.0)
    e = torch.where(mask, (scores - top).exp(), 0.0)
    return e / e.sum(-1, keepdim=True).clamp(min=1e-30)


# once called by the name of another mistake


@wrong("06.1", "only divided out afterwards")
def divided_by_what_is_left(scores, mask=None):
    mask = real(scores, mask)
    weights = scores.softmax(-1) * mask
    return weights / weights.sum(-1, keepdim=True).clamp(min=1e-9)


@wrong("06.1", "only divided out afterwards")
def largest_of_the_padding_too(scores, mask=None):
    mask = real(scores, mask)
    e = (scores - scores.amax(-1, keepdim=True)).exp() * mask
    return e / e.sum(-1, keepdim=True).clamp(min=1e-12)


@wrong("06.1", "share the weight evenly")
def even_with_the_stubs_first_line(scores, mask=None):
    if mask is None:
        return scores.softmax(-1)
    even = mask / mask.sum(-1, keepdim=True).clamp(min=1)
    return even.to(scores.dtype) * torch.ones_like(scores)


@wrong("06.1", "over the wrong dimension")
def over_dimension_one(scores, mask=None):
    if mask is None:
        return scores.softmax(-1)
    return scores.masked_fill(~mask, lowest(scores)).softmax(1) * mask


@wrong("06.1", "keep their type")
def in_double(scores, mask=None):
    if mask is None:
        return scores.softmax(-1)
    return scores.masked_fill(~mask, lowest(scores)).softmax(-1) * mask.double()


# without a name, once


@wrong("06.1", "the mask is turned round")
def filled_where_real_zero_at_padding(scores, mask=None):
    mask = real(scores, mask)
    return scores.masked_fill(mask, lowest(scores)).softmax(-1) * mask


@wrong("06.1", "the number of real tokens is taken for their places")
def lengths(scores, mask=None):
    count = real(scores, mask).sum(-1, keepdim=True)
    kept = torch.arange(scores.size(-1)) < count
    return scores.masked_fill(~kept, lowest(scores)).softmax(-1) * kept


@wrong("06.1", "up to the last real token")
def up_to_the_last(scores, mask=None):
    kept = real(scores, mask).flip(-1).long().cummax(-1).values.flip(-1).bool()
    return scores.masked_fill(~kept, lowest(scores)).softmax(-1) * kept


@wrong("06.1", "any shape that broadcasts")
def one_mask_for_each_text(scores, mask=None):
    if mask is None:
        return scores.softmax(-1)
    rows = []
    for row, seen in zip(scores, mask, strict=True):
        weights = torch.zeros_like(row)
        if seen[0].any():
            weights[:, seen[0]] = row[:, seen[0]].softmax(-1)
        rows.append(weights)
    return torch.stack(rows)


@wrong("06.1", "wants a mask of just the scores' shape")
def filled_by_index(scores, mask=None):
    if mask is None:
        return scores.softmax(-1)
    filled = scores.clone()
    filled[~mask] = lowest(scores)
    return filled.softmax(-1) * mask


@wrong("06.1", "0 times infinity is NaN at every real token")
def mask_times_infinity(scores, mask=None):
    return (scores + (~real(scores, mask)) * -torch.inf).softmax(-1)


@wrong("06.1", "cut off at a limit")
def clamped(scores, mask=None):
    mask = real(scores, mask)
    return scores.clamp(-50, 50).masked_fill(~mask, lowest(scores)).softmax(-1) * mask


@wrong("06.1", "the largest of all scores is subtracted")
def common_largest(scores, mask=None):
    mask = real(scores, mask)
    filled = scores.masked_fill(~mask, lowest(scores))
    e = (filled - filled.max()).exp() * mask
    return e / e.sum(-1, keepdim=True).clamp(min=1e-30)


@wrong("06.1", "sets all others to 0")
def one_empty_row_silences_all(scores, mask=None):
    mask = real(scores, mask)
    weights = scores.masked_fill(~mask, lowest(scores)).softmax(-1) * mask
    return weights * mask.any(-1).all()


@wrong("06.1", "by which is divided, is detached")
def detached_sum(scores, mask=None):
    mask = real(scores, mask)
    filled = scores.masked_fill(~mask, lowest(scores))
    with torch.no_grad():
        whole = filled.logsumexp(-1, keepdim=True)
    return (filled - whole).exp() * mask


@wrong("06.1", "the first query's mask")
def the_first_querys_mask(scores, mask=None):
    mask = real(scores, mask)[..., :1, :]
    return scores.masked_fill(~mask, lowest(scores)).softmax(-1) * mask


@right("06.1")
def by_logsumexp(scores, mask=None):
    mask = real(scores, mask)
    filled = torch.where(mask, scores, lowest(scores))
    weights = (filled - filled.logsumexp(-1, keepdim=True)).exp()
    return torch.where(mask, weights, 0.0)


@right("06.1")
def row_by_row(scores, mask=None):
    mask = real(scores, mask).reshape(-1, scores.size(-1))
    rows = []
    for row, seen in zip(scores.reshape(-1, scores.size(-1)), mask, strict=True):
        weights = torch.zeros_like(row)
        rows.append(weights.masked_scatter(seen, row[seen].softmax(0)) if seen.any() else weights)
    return torch.stack(rows).reshape(scores.shape)
