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


@wrong("06.2", "tanh is taken of half the sum")
def two_sigmoids_less_one(queries, keys, v):
    return (2 * torch.sigmoid(queries[:, :, None] + keys[:, None]) - 1) @ v


@wrong("06.2", "made of straight lines")
def cut_off(queries, keys, v):
    return (queries[:, :, None] + keys[:, None]).clamp(-1, 1) @ v


@wrong("06.2", "go through tanh and are then multiplied")
def product_of_two_tanhs(queries, keys, v):
    return torch.einsum("bta,bsa,a->bts", queries.tanh(), keys.tanh(), v)


@wrong("06.2", "laid out wrongly by repeat")
def repeated(queries, keys, v):
    B, T, A = queries.shape
    S = keys.size(1)
    q = queries.repeat(1, S, 1).view(B, T, S, A)
    k = keys.repeat(1, T, 1).view(B, T, S, A)
    return (q + k).tanh() @ v


@wrong("06.2", "reshaped from (B, S, T)")
def keys_first_and_view(queries, keys, v):
    scores = (keys[:, :, None] + queries[:, None]).tanh() @ v
    return scores.view(queries.size(0), queries.size(1), keys.size(1))


@wrong("06.2", "one place off")
def off_by_one(queries, keys, v):
    columns = [(queries + keys[:, s - 1, None]).tanh() @ v for s in range(keys.size(1))]
    return torch.stack(columns, -1)


@wrong("06.2", "the queries add up from one to the next")
def keys_not_put_back(queries, keys, v):
    rows = []
    for t in range(queries.size(1)):
        keys = keys + queries[:, t, None]
        rows.append(keys.tanh() @ v)
    return torch.stack(rows, 1)


@wrong("06.2", "the rows of the batch are added up")
def a_letter_too_many(queries, keys, v):
    pairs = (queries[:, None, :, None] + keys[None, :, None]).tanh()
    return torch.einsum("bctsa,a->bts", pairs, v)


@wrong("06.2", "v is added inside the tanh")
def v_as_a_bias(queries, keys, v):
    return (queries[:, :, None] + keys[:, None] + v).tanh().sum(-1)


@wrong("06.2", "v is brought to length 1")
def v_normalised(queries, keys, v):
    return (queries[:, :, None] + keys[:, None]).tanh() @ (v / v.norm())


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
