"""Answers to 06.4 dot_score as students write them, wrong and right."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

from tests.mutants import right, wrong


@wrong("06.4", "the scale is not used")
def no_scale(queries, keys, scale=1.0):
    return queries @ keys.transpose(1, 2)


@wrong("06.4", "1 / sqrt(D) is: the caller gives the scale")
def always_scaled(queries, keys, scale=1.0):
    return queries @ keys.transpose(1, 2) / math.sqrt(queries.size(-1))


@wrong("06.4", "divided by the root of D as well")
def scaled_twice(queries, keys, scale=1.0):
    return queries @ keys.transpose(1, 2) * scale / math.sqrt(queries.size(-1))


@wrong("06.4", "divided by the scale")
def divided(queries, keys, scale=1.0):
    return queries @ keys.transpose(1, 2) / scale


@wrong("06.4", "the scale is used twice")
def both_scaled(queries, keys, scale=1.0):
    return (queries * scale) @ (keys * scale).transpose(1, 2)


@wrong("06.4", "reshaped, which is no transpose")
def viewed(queries, keys, scale=1.0):
    return scale * queries @ keys.reshape(len(keys), keys.size(2), keys.size(1))


@wrong("06.4", "the keys are not transposed")
def not_transposed(queries, keys, scale=1.0):
    return scale * queries @ keys


@wrong("06.4", "a row for each query, (B, T, S)")
def keys_first(queries, keys, scale=1.0):
    return scale * keys @ queries.transpose(1, 2)


@wrong("06.4", "these are cosines")
def cosines(queries, keys, scale=1.0):
    return scale * F.normalize(queries, dim=-1) @ F.normalize(keys, dim=-1).transpose(1, 2)


@wrong("06.4", "these are weights already")
def weights(queries, keys, scale=1.0):
    return (scale * queries @ keys.transpose(1, 2)).softmax(-1)


@wrong("06.4", "are not added up")
def products(queries, keys, scale=1.0):
    return scale * queries[:, :, None] * keys[:, None]


@wrong("06.4", "divided by D")
def averaged(queries, keys, scale=1.0):
    return scale * (queries[:, :, None] * keys[:, None]).mean(-1)


@wrong("06.4", "without a scale")
def scale_needed(queries, keys, scale):
    return scale * queries @ keys.transpose(1, 2)


@wrong("06.4", "without a scale the scores are divided by the root of D")
def scaled_by_default(queries, keys, scale=None):
    scale = queries.size(-1) ** -0.5 if scale is None else scale
    return scale * queries @ keys.transpose(1, 2)


@wrong("06.4", "the keys are detached")
def detached(queries, keys, scale=1.0):
    return scale * queries @ keys.detach().transpose(1, 2)


@wrong("06.4", "two mistakes")
def cosines_without_scale(queries, keys, scale=1.0):
    return F.normalize(queries, dim=-1) @ F.normalize(keys, dim=-1).transpose(1, 2)


@wrong("06.4", "scaled_dot_product_attention may not be used here")
def ready_made(queries, keys, scale=1.0):
    eye = torch.eye(keys.size(1)).expand(len(keys), -1, -1).to(keys)
    return F.scaled_dot_product_attention(queries, keys, eye, scale=scale).log()


@wrong("06.4", "a scale of 0 is taken for no scale")
def scale_or_one(queries, keys, scale=1.0):
    return queries @ keys.mT * (scale or 1.0)


@wrong("06.4", "the sign of the scale is lost")
def scale_without_its_sign(queries, keys, scale=1.0):
    return queries @ keys.mT * abs(scale)


@wrong("06.4", "cut off at a limit")
def clamped(queries, keys, scale=1.0):
    return (scale * queries @ keys.mT).clamp(-50, 50)


@wrong("06.4", "cut off to a whole number")
def whole_scale(queries, keys, scale=1.0):
    return queries @ keys.mT * int(scale)


@wrong("06.4", "minus the squared distance")
def distance(queries, keys, scale=1.0):
    return -scale * ((queries[:, :, None] - keys[:, None]) ** 2).sum(-1)


@wrong("06.4", "the rows of the batch are added up")
def a_letter_too_many(queries, keys, scale=1.0):
    return scale * torch.einsum("btd,csd->bts", queries, keys)


@wrong("06.4", "every query gets the last query's scores")
def last_query_for_all(queries, keys, scale=1.0):
    scores = scale * torch.bmm(keys, queries[:, -1, :, None]).mT
    return scores.expand(-1, queries.size(1), -1)


@wrong("06.4", "the root of the number of keys")
def root_of_s(queries, keys, scale=1.0):
    return scale * queries @ keys.mT / keys.size(1) ** 0.5


@right("06.4")
def with_einsum(queries, keys, scale=1.0):
    return scale * torch.einsum("btd,bsd->bts", queries, keys)


@right("06.4")
def with_bmm(queries, keys, scale=1.0):
    return torch.bmm(queries, keys.mT).mul(scale)


@right("06.4")
def pair_by_pair(queries, keys, scale=1.0):
    rows = []
    for t in range(queries.size(1)):
        rows.append((queries[:, t : t + 1] * keys).sum(-1) * scale)
    return torch.stack(rows, dim=1)
