"""Answers to 07.3 mean_query_attention as students write them, wrong and right."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from minidistill.attention import masked_softmax
from tests.mutants import right, wrong


def mean(keys, mask):
    return (keys * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True).clamp(min=1)


def finish(scores, vectors, mask):
    weights = masked_softmax(scores, mask)
    return (weights[:, :, None] * vectors).sum(1), weights


@wrong("07.3", "V is the mean over padding, too")
def plain_mean(keys, vectors, mask):
    return finish((keys * keys.mean(1, keepdim=True)).sum(-1), vectors, mask)


@wrong("07.3", "V is divided by C")
def divided_by_all_places(keys, vectors, mask):
    V = (keys * mask[:, :, None]).mean(1)
    return finish((keys * V[:, None]).sum(-1), vectors, mask)


@wrong("07.3", "no longer add up to 1")
def mask_after_the_softmax(keys, vectors, mask):
    V = mean(keys, mask)
    weights = (keys * V[:, None]).sum(-1).softmax(-1) * mask
    return (weights[:, :, None] * vectors).sum(1), weights


@wrong("07.3", "the mask is not used at all")
def formula_to_the_letter(keys, vectors, mask):
    weights = torch.einsum("bca,ba->bc", keys, keys.mean(1)).softmax(1)
    return torch.einsum("bc,bch->bh", weights, vectors), weights


@wrong("07.3", "the mask is turned round")
def mask_turned(keys, vectors, mask):
    V = mean(keys, ~mask)
    return finish((keys * V[:, None]).sum(-1), vectors, ~mask)


@wrong("07.3", "root of A")
def scaled(keys, vectors, mask):
    V = mean(keys, mask)
    return finish((keys * V[:, None]).sum(-1) / keys.size(-1) ** 0.5, vectors, mask)


@wrong("07.3", "V is the mean of the vectors e")
def query_from_the_vectors(keys, vectors, mask):
    V = mean(vectors, mask)
    return finish((keys * V[:, None]).sum(-1), vectors, mask)


@wrong("07.3", "V is the mean of the vectors e")
def query_from_the_vectors_if_they_fit(keys, vectors, mask):
    V = mean(vectors if vectors.shape == keys.shape else keys, mask)
    return finish((keys * V[:, None]).sum(-1), vectors, mask)


@wrong("07.3", "x is made from the keys")
def keys_weighted(keys, vectors, mask):
    V = mean(keys, mask)
    return finish((keys * V[:, None]).sum(-1), keys, mask)


@wrong("07.3", "the softmax runs over the batch")
def softmax_over_rows(keys, vectors, mask):
    scores = (keys * mean(keys, mask)[:, None]).sum(-1)
    weights = scores.masked_fill(~mask, -1e9).softmax(0).masked_fill(~mask, 0.0)
    return (weights[:, :, None] * vectors).sum(1), weights


@wrong("07.3", "nothing is there to be weighed")
def very_low_score(keys, vectors, mask):
    scores = (keys * mean(keys, mask)[:, None]).sum(-1)
    weights = scores.masked_fill(~mask, -1e9).softmax(1)
    return (weights[:, :, None] * vectors).sum(1), weights


@wrong("07.3", "0 words make a mean of 0 / 0")
def no_care_for_empty_rows(keys, vectors, mask):
    V = (keys * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)
    scores = (keys * V[:, None]).sum(-1).masked_fill(~mask, -torch.inf)
    weights = scores.softmax(1)
    return (weights[:, :, None] * vectors).sum(1), weights


@wrong("07.3", "the gradients are NaN")
def nan_swept_away(keys, vectors, mask):
    V = (keys * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)
    scores = (keys * V[:, None]).sum(-1).masked_fill(~mask, -torch.inf)
    weights = scores.softmax(1).nan_to_num(0.0)
    return (weights[:, :, None] * vectors).sum(1), weights


@wrong("07.3", "the gradients are NaN")
def exp_before_the_mask(keys, vectors, mask):
    scores = (keys * mean(keys, mask)[:, None]).sum(-1)
    top = scores.masked_fill(~mask, -1e30).amax(1, keepdim=True)
    e = (scores - top).exp().masked_fill(~mask, 0.0)
    weights = e / e.sum(1, keepdim=True).clamp(min=1e-30)
    return (weights[:, :, None] * vectors).sum(1), weights


@wrong("07.3", "their mean")
def largest_of_the_keys(keys, vectors, mask):
    V = keys.masked_fill(~mask[:, :, None], -1e30).amax(1)
    V = torch.where(mask.any(1, keepdim=True), V, 0.0)
    return finish((keys * V[:, None]).sum(-1), vectors, mask)


@wrong("07.3", "V is the sum of the keys")
def sum_of_the_keys(keys, vectors, mask):
    V = (keys * mask[:, :, None]).sum(1)
    return finish((keys * V[:, None]).sum(-1), vectors, mask)


@wrong("07.3", "the mean of the others")
def itself_left_out(keys, vectors, mask):
    rest = (keys * mask[:, :, None]).sum(1, keepdim=True) - keys
    n = (mask.sum(1)[:, None, None] - 1).clamp(min=1)
    return finish((keys * rest / n).sum(-1), vectors, mask)


@wrong("07.3", "a softmax of its own")
def a_softmax_for_each_number(keys, vectors, mask):
    scores = (keys * mean(keys, mask)[:, None]).masked_fill(~mask[:, :, None], -1e9)
    weights = scores.softmax(1) * mask[:, :, None]
    return (weights * vectors).sum(1), weights


@wrong("07.3", "more than the computer holds")
def plain_exp(keys, vectors, mask):
    e = (keys * mean(keys, mask)[:, None]).sum(-1).exp() * mask
    weights = e / e.sum(1, keepdim=True).clamp(min=1e-30)
    return (weights[:, :, None] * vectors).sum(1), weights


@wrong("07.3", "divided once more by the number of words")
def averaged_once_more(keys, vectors, mask):
    weights = masked_softmax((keys * mean(keys, mask)[:, None]).sum(-1), mask)
    return mean(weights[:, :, None] * vectors, mask), weights


@wrong("07.3", "x and the weights, as a pair")
def x_alone(keys, vectors, mask):
    return finish((keys * mean(keys, mask)[:, None]).sum(-1), vectors, mask)[0]


@wrong("07.3", "x second")
def weights_first(keys, vectors, mask):
    x, weights = finish((keys * mean(keys, mask)[:, None]).sum(-1), vectors, mask)
    return weights, x


@wrong("07.3", "no gradient flows through V")
def query_detached(keys, vectors, mask):
    return finish((keys * mean(keys, mask)[:, None].detach()).sum(-1), vectors, mask)


@wrong("07.3", "the scores are cosines")
def cosines(keys, vectors, mask):
    return finish(F.cosine_similarity(keys, mean(keys, mask)[:, None], dim=-1), vectors, mask)


@wrong("07.3", "may not be used here")
def packages_own(keys, vectors, mask):
    from minidistill.embeddings import MeanQueryAttention

    weights = MeanQueryAttention()(keys, mask)
    return (weights[:, :, None] * vectors).sum(1), weights


@wrong("07.3", "may not be used here")
def torchs_own(keys, vectors, mask):
    V = mean(keys, mask)[:, None]
    x = F.scaled_dot_product_attention(V, keys, vectors, mask[:, None], scale=1.0)[:, 0]
    return x, finish((keys * V).sum(-1), vectors, mask)[1]


@right("07.3")
def by_masked_softmax(keys, vectors, mask):
    return finish((keys * mean(keys, mask)[:, None]).sum(-1), vectors, mask)


@right("07.3")
def by_einsum(keys, vectors, mask):
    real = mask.to(keys.dtype)
    V = torch.einsum("bca,bc->ba", keys, real / real.sum(1, keepdim=True).clamp(min=1))
    scores = torch.einsum("bca,ba->bc", keys, V)
    scores = torch.where(mask, scores, torch.full_like(scores, -1e30))
    e = torch.exp(scores - scores.amax(1, keepdim=True)) * real
    weights = e / e.sum(1, keepdim=True).clamp(min=1e-30)
    return torch.einsum("bc,bch->bh", weights, vectors), weights


@right("07.3")
def by_matrices(keys, vectors, mask):
    share = mask.unsqueeze(1).type_as(keys)
    share = share / share.sum(2, keepdim=True).clamp(min=1)  # (B, 1, C)
    query = torch.bmm(share, keys)  # (B, 1, A)
    scores = torch.bmm(keys, query.transpose(1, 2)).squeeze(2)
    scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    weights = F.softmax(scores, dim=1) * mask
    return torch.bmm(weights.unsqueeze(1), vectors).squeeze(1), weights


@right("07.3")
def by_a_loop(keys, vectors, mask):
    found, shares = [], []
    for k, e, m in zip(keys, vectors, mask, strict=True):
        weights = torch.zeros_like(k[:, 0])
        if m.any():
            V = k[m].mean(0)
            weights = weights.index_put((m.nonzero()[:, 0],), (k[m] @ V).softmax(0))
        shares.append(weights)
        found.append(weights @ e)
    return torch.stack(found), torch.stack(shares)
