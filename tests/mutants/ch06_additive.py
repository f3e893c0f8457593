"""Answers to 06.2 additive_score as students write them, wrong and right."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from tests.mutants import right, wrong


def pairs_of(queries, keys):
    return queries[:, :, None] + keys[:, None]


@wrong("06.2", "the tanh is missing")
def no_tanh(queries, keys, v):
    return pairs_of(queries, keys) @ v


@wrong("06.2", "v is missing")
def summed(queries, keys, v):
    return torch.tanh(pairs_of(queries, keys)).sum(-1)


@wrong("06.2", "takes it entry by entry, before v")
def tanh_outside(queries, keys, v):
    return torch.tanh(pairs_of(queries, keys) @ v)


@wrong("06.2", "go through tanh before they are added")
def tanh_of_each(queries, keys, v):
    return pairs_of(queries.tanh(), keys.tanh()) @ v


@wrong("06.2", "query and key are multiplied")
def multiplied(queries, keys, v):
    return torch.tanh(queries[:, :, None] * keys[:, None]) @ v


@wrong("06.2", "the key is subtracted")
def difference(queries, keys, v):
    return torch.tanh(queries[:, :, None] - keys[:, None]) @ v


@wrong("06.2", "a row for each query, (B, T, S)")
def keys_first(queries, keys, v):
    return torch.tanh(keys[:, :, None] + queries[:, None]) @ v


@wrong("06.2", "these are weights already")
def with_softmax(queries, keys, v):
    return (torch.tanh(pairs_of(queries, keys)) @ v).softmax(-1)


@wrong("06.2", "without their product with v")
def vectors(queries, keys, v):
    return torch.tanh(pairs_of(queries, keys))


@wrong("06.2", "entry by entry and not added up")
def not_summed(queries, keys, v):
    return torch.tanh(pairs_of(queries, keys)) * v


@wrong("06.2", "must match the size")
def no_new_dimensions(queries, keys, v):
    return torch.tanh(queries + keys) @ v


@wrong("06.2", "the first query's scores")
def one_query_for_all(queries, keys, v):
    return (torch.tanh(queries[:, :1] + keys) @ v)[:, None].expand(-1, queries.size(1), -1)


@wrong("06.2", "v multiplies inside the tanh")
def v_inside(queries, keys, v):
    return torch.tanh(pairs_of(queries, keys) * v).sum(-1)


@wrong("06.2", "the rows of the batch are mixed up")
def reshaped(queries, keys, v):
    B, T, A = queries.shape
    mine = queries.transpose(0, 1).reshape(B, T, 1, A)
    return torch.tanh(mine + keys[:, None]) @ v


@wrong("06.2", "exp overflows")
def tanh_by_exp(queries, keys, v):
    e = torch.exp(2 * pairs_of(queries, keys))
    return ((e - 1) / (e + 1)) @ v


@wrong("06.2", "this is a sigmoid")
def sigmoid(queries, keys, v):
    return torch.sigmoid(pairs_of(queries, keys)) @ v


@wrong("06.2", "the keys are detached")
def detached(queries, keys, v):
    return torch.tanh(pairs_of(queries, keys.detach())) @ v


@wrong("06.2", "the gradient of v")
def spoiled_gradient(queries, keys, v):
    scores = torch.tanh(pairs_of(queries, keys)) @ v
    return scores + 0.5 * (v.sum() - v.sum().detach())


@wrong("06.2", "two mistakes")
def no_v_and_transposed(queries, keys, v):
    return torch.tanh(pairs_of(queries, keys)).sum(-1).transpose(1, 2)


@wrong("06.2", "minidistill.attention.additive_score may not be used here")
def the_packages_own(queries, keys, v):
    from minidistill.attention import additive_score

    return additive_score(queries, keys, v)


@right("06.2")
def broadcast(queries, keys, v):
    return (torch.tanh(queries.unsqueeze(2) + keys.unsqueeze(1)) * v).sum(dim=-1)


@right("06.2")
def query_by_query(queries, keys, v):
    rows = [torch.tanh(queries[:, t : t + 1] + keys) @ v for t in range(queries.size(1))]
    return torch.stack(rows, 1)


@right("06.2")
def with_einsum(queries, keys, v):
    T, S = queries.size(1), keys.size(1)
    q = queries[:, :, None].expand(-1, -1, S, -1)
    k = keys[:, None].expand(-1, T, -1, -1)
    return torch.einsum("btsa,a->bts", (q + k).tanh(), v)


@right("06.2")
def as_a_layer(queries, keys, v):
    return F.linear(torch.tanh(pairs_of(queries, keys)), v[None]).squeeze(-1)
