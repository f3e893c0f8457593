"""Answers to 08.5 log_normaliser as students write them, wrong and right."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

from tests.mutants import right, wrong

INF = math.inf


def logits(hidden, weight, bias, start, chunk):
    z = hidden @ weight[start : start + chunk].T
    return z if bias is None else z + bias[start : start + chunk]


def chunks(hidden, weight, bias, chunk):
    return [logits(hidden, weight, bias, i, chunk) for i in range(0, len(weight), chunk)]


@wrong("08.5", "added up as logarithms")
def logsumexps_added(hidden, weight, bias, chunk):
    return sum(z.logsumexp(1) for z in chunks(hidden, weight, bias, chunk))


@wrong("08.5", "the mean of the chunks")
def logsumexps_averaged(hidden, weight, bias, chunk):
    return torch.stack([z.logsumexp(1) for z in chunks(hidden, weight, bias, chunk)]).mean(0)


@wrong("08.5", "more than the computer holds")
def plain_exp(hidden, weight, bias, chunk):
    total = 0
    for z in chunks(hidden, weight, bias, chunk):
        total = total + z.exp().sum(1)
    return total.log()


@wrong("08.5", "e to a logit of 1,000")
def logsumexp_undone(hidden, weight, bias, chunk):
    return sum(z.logsumexp(1).exp() for z in chunks(hidden, weight, bias, chunk)).log()


@wrong("08.5", "do not fit together")
def largest_of_the_last_chunk(hidden, weight, bias, chunk):
    total = 0
    for z in chunks(hidden, weight, bias, chunk):
        top = z.amax(1)
        total = total + (z - top[:, None]).exp().sum(1)
    return top + total.log()


@wrong("08.5", "the new chunk's is not")
def new_chunk_unscaled(hidden, weight, bias, chunk):
    top, total = torch.full_like(hidden[:, 0], -INF), torch.zeros_like(hidden[:, 0])
    for z in chunks(hidden, weight, bias, chunk):
        own = z.amax(1)
        higher = torch.maximum(top, own)
        total = total * (top - higher).exp() + (z - own[:, None]).exp().sum(1)
        top = higher
    return top + total.log()


@wrong("08.5", "larger by 700")
def largest_of_the_first_chunk(hidden, weight, bias, chunk):
    every = chunks(hidden, weight, bias, chunk)
    top = every[0].amax(1, keepdim=True)
    top = torch.where(top.isinf(), 0.0, top)
    return top[:, 0] + sum((z - top).exp().sum(1) for z in every).log()


@wrong("08.5", "where V is no multiple of chunk")
def last_chunk_dropped(hidden, weight, bias, chunk):
    total = torch.full_like(hidden[:, 0], -INF)
    for i in range(len(weight) // chunk):
        total = torch.logaddexp(total, logits(hidden, weight, bias, i * chunk, chunk).logsumexp(1))
    return total


@wrong("08.5", "the bias is forgotten")
def no_bias(hidden, weight, bias, chunk):
    return torch.stack([z.logsumexp(1) for z in chunks(hidden, weight, None, chunk)]).logsumexp(0)


@wrong("08.5", "the bias of the first classes")
def bias_of_the_first_chunk(hidden, weight, bias, chunk):
    total = torch.full_like(hidden[:, 0], -INF)
    for w in weight.split(chunk):
        z = hidden @ w.T + (0 if bias is None else bias[: len(w)])
        total = torch.logaddexp(total, z.logsumexp(1))
    return total


@wrong("08.5", "must match the size")
def whole_bias(hidden, weight, bias, chunk):
    total = torch.full_like(hidden[:, 0], -INF)
    for w in weight.split(chunk):
        z = hidden @ w.T + (0 if bias is None else bias)
        total = torch.logaddexp(total, z.logsumexp(1))
    return total


@wrong("08.5", "the bias is None here")
def needs_a_bias(hidden, weight, bias, chunk):
    parts = zip(weight.split(chunk), bias.split(chunk), strict=True)
    return torch.stack([F.linear(hidden, w, b).logsumexp(1) for w, b in parts]).logsumexp(0)


@wrong("08.5", "begins with a 0")
def starts_at_0(hidden, weight, bias, chunk):
    total = torch.zeros_like(hidden[:, 0])
    for z in chunks(hidden, weight, bias, chunk):
        total = torch.logaddexp(total, z.logsumexp(1))
    return total


@wrong("08.5", "begins with -1e+09")
def starts_at_a_large_number(hidden, weight, bias, chunk):
    total = torch.full_like(hidden[:, 0], -1e9)
    for z in chunks(hidden, weight, bias, chunk):
        total = torch.logaddexp(total, z.logsumexp(1))
    return total


@wrong("08.5", "begins with -100")
def starts_at_minus_100(hidden, weight, bias, chunk):
    total = torch.full_like(hidden[:, 0], -100.0)
    for z in chunks(hidden, weight, bias, chunk):
        total = torch.logaddexp(total, z.logsumexp(1))
    return total


@wrong("08.5", "the first chunk is counted twice")
def first_twice(hidden, weight, bias, chunk):
    every = chunks(hidden, weight, bias, chunk)
    total = every[0].logsumexp(1)
    for z in every:
        total = torch.logaddexp(total, z.logsumexp(1))
    return total


@wrong("08.5", "-inf - (-inf) is NaN")
def nan_where_all_is_ruled_out(hidden, weight, bias, chunk):
    top, total = torch.full_like(hidden[:, 0], -INF), torch.zeros_like(hidden[:, 0])
    for z in chunks(hidden, weight, bias, chunk):
        higher = torch.maximum(top, z.amax(1))
        total = total * (top - higher).exp() + (z - higher[:, None]).exp().sum(1)
        top = higher
    return top + total.log()


@wrong("08.5", "only the last chunk counts")
def replaced(hidden, weight, bias, chunk):
    for z in chunks(hidden, weight, bias, chunk):
        total = z.logsumexp(1)
    return total


@wrong("08.5", "a class is left out after each chunk")
def one_class_between(hidden, weight, bias, chunk):
    starts = range(0, len(weight), chunk + 1)
    every = [logits(hidden, weight, bias, i, chunk).logsumexp(1) for i in starts]
    return torch.stack(every).logsumexp(0)


@wrong("08.5", "a logit of -1,000")
def largest_begins_at_0(hidden, weight, bias, chunk):
    top, total = torch.zeros_like(hidden[:, 0]), torch.zeros_like(hidden[:, 0])
    for z in chunks(hidden, weight, bias, chunk):
        higher = torch.maximum(top, z.amax(1))
        total = total * (top - higher).exp() + (z - higher[:, None]).exp().sum(1)
        top = higher
    return top + total.log()


@wrong("08.5", "of all rows together")
def one_largest_for_all_rows(hidden, weight, bias, chunk):
    every = chunks(hidden, weight, bias, chunk)
    top = max(z.max() for z in every)
    return top + sum((z - top).exp().sum(1) for z in every).log()


@wrong("08.5", "one number for all rows")
def one_for_all(hidden, weight, bias, chunk):
    every = torch.stack([z.logsumexp(1) for z in chunks(hidden, weight, bias, chunk)])
    return every.flatten().logsumexp(0)


@wrong("08.5", "two mistakes at once")
def mean_without_bias(hidden, weight, bias, chunk):
    return torch.stack([z.logsumexp(1) for z in chunks(hidden, weight, None, chunk)]).mean(0)


@wrong("08.5", "but the inputs are torch.float64")
def in_float32(hidden, weight, bias, chunk):
    total = torch.full((len(hidden),), -INF)
    for z in chunks(hidden, weight, bias, chunk):
        total = torch.logaddexp(total, z.logsumexp(1).float())
    return total


@right("08.5")
def by_logaddexp(hidden, weight, bias, chunk):
    total = hidden.new_full((len(hidden),), -INF)
    for i in range(0, len(weight), chunk):
        part = F.linear(
            hidden, weight[i : i + chunk], None if bias is None else bias[i : i + chunk]
        )
        total = torch.logaddexp(total, torch.logsumexp(part, dim=-1))
    return total


@right("08.5")
def all_parts_then_one_sum(hidden, weight, bias, chunk):
    bias = hidden.new_zeros(len(weight)) if bias is None else bias
    pairs = zip(weight.split(chunk), bias.split(chunk), strict=True)
    return torch.logsumexp(torch.stack([(hidden @ w.T + b).logsumexp(1) for w, b in pairs]), 0)


@right("08.5")
def running_maximum(hidden, weight, bias, chunk):
    top, total = torch.full_like(hidden[:, 0], -INF), torch.zeros_like(hidden[:, 0])
    for z in chunks(hidden, weight, bias, chunk):
        higher = torch.maximum(top, z.amax(1))
        out = torch.where(higher == -INF, 0.0, higher)
        total = total * (top - out).exp() + (z - out[:, None]).exp().sum(1)
        top = higher
    return top + total.log()


@right("08.5")
def lowest_number_of_the_type(hidden, weight, bias, chunk):
    low = torch.finfo(hidden.dtype).min
    top, total = hidden.new_full((len(hidden), 1), low), hidden.new_zeros(len(hidden), 1)
    for z in chunks(hidden, weight, bias, chunk):
        higher = torch.maximum(top, z.max(1, keepdim=True).values)
        total = total * (top - higher).exp() + (z - higher).exp().sum(1, keepdim=True)
        top = higher
    return (top + total.log()).squeeze(1)


@right("08.5")
def largest_first_then_the_sum(hidden, weight, bias, chunk):
    starts = range(0, len(weight), chunk)
    top = torch.stack([logits(hidden, weight, bias, i, chunk).amax(1) for i in starts]).amax(0)
    total = torch.zeros_like(top)
    for i in starts:
        total = total + (logits(hidden, weight, bias, i, chunk) - top[:, None]).exp().sum(1)
    return top + total.log()
