"""Answers to 07.4 PositionAttention as students write them, wrong and right."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

from minidistill.attention import masked_softmax
from tests.mutants import right, wrong


class Base(nn.Module):
    """The right parameters and the right scores; answers exchange a part of it."""

    def __init__(self, key_size, window):
        super().__init__()
        self.query = nn.Parameter(torch.zeros(2 * window, key_size))
        self.bias = nn.Parameter(torch.zeros(2 * window))

    def scores(self, keys):
        return (keys * self.query).sum(-1) + self.bias

    def forward(self, keys, mask):
        return masked_softmax(self.scores(keys), mask)


@wrong("07.4", "uses the first place's query")
class OneQuery(Base):
    def scores(self, keys):
        return keys @ self.query[0] + self.bias


@wrong("07.4", "query has shape (7,)")
class OneQueryParameter(Base):
    def __init__(self, key_size, window):
        super().__init__(key_size, window)
        self.query = nn.Parameter(torch.zeros(key_size))


@wrong("07.4", "both sides count")
class WindowPlaces(Base):
    def __init__(self, key_size, window):
        super().__init__(key_size, window)
        self.query = nn.Parameter(torch.zeros(window, key_size))
        self.bias = nn.Parameter(torch.zeros(window))


@wrong("07.4", "the word itself is no place")
class PlaceOfItself(Base):
    def __init__(self, key_size, window):
        super().__init__(key_size, window)
        self.query = nn.Parameter(torch.zeros(2 * window + 1, key_size))
        self.bias = nn.Parameter(torch.zeros(2 * window + 1))


@wrong("07.4", "a row for each place")
class Transposed(Base):
    def __init__(self, key_size, window):
        super().__init__(key_size, window)
        self.query = nn.Parameter(torch.zeros(key_size, 2 * window))


@wrong("07.4", "the bias makes no difference")
class NoBiasAdded(Base):
    def scores(self, keys):
        return (keys * self.query).sum(-1)


@wrong("07.4", "bias is not among its parameters")
class BiasIsATensor(Base):
    def __init__(self, key_size, window):
        super().__init__(key_size, window)
        del self.bias
        self.bias = torch.zeros(2 * window)


@wrong("07.4", "bias is not among its parameters")
class BiasIsABuffer(Base):
    def __init__(self, key_size, window):
        super().__init__(key_size, window)
        del self.bias
        self.register_buffer("bias", torch.zeros(2 * window))


@wrong("07.4", "query.weight")
class QueryIsALayer(Base):
    def __init__(self, key_size, window):
        super().__init__(key_size, window)
        del self.query
        self.query = nn.Embedding(2 * window, key_size)


@wrong("07.4", "has no parameters")
class NothingToTrain(nn.Module):
    def __init__(self, key_size, window):
        super().__init__()
        self.query, self.bias = torch.zeros(2 * window, key_size), torch.zeros(2 * window)

    def forward(self, keys, mask):
        return masked_softmax((keys * self.query).sum(-1) + self.bias, mask)


@wrong("07.4", "query is not 0 at the start")
class RandomStart(Base):
    def __init__(self, key_size, window):
        super().__init__(key_size, window)
        nn.init.normal_(self.query, std=0.02)


@wrong("07.4", "Begin __init__ with super().__init__()")
class NoSuper(nn.Module):
    def __init__(self, key_size, window):
        self.query = nn.Parameter(torch.zeros(2 * window, key_size))
        self.bias = nn.Parameter(torch.zeros(2 * window))

    def forward(self, keys, mask):
        return masked_softmax((keys * self.query).sum(-1) + self.bias, mask)


@wrong("07.4", "is no word")
class MaskForgotten(Base):
    def forward(self, keys, mask):
        return self.scores(keys).softmax(1)


@wrong("07.4", "the mask is turned round")
class MaskTurned(Base):
    def forward(self, keys, mask):
        return masked_softmax(self.scores(keys), ~mask)


@wrong("07.4", "no longer add up to 1")
class MaskLate(Base):
    def forward(self, keys, mask):
        return self.scores(keys).softmax(1) * mask


@wrong("07.4", "nothing is there to be weighed")
class UniformRows(Base):
    def forward(self, keys, mask):
        return self.scores(keys).masked_fill(~mask, -1e9).softmax(1)


@wrong("07.4", "gives NaN")
class MinusInfinity(Base):
    def forward(self, keys, mask):
        return self.scores(keys).masked_fill(~mask, -math.inf).softmax(1)


@wrong("07.4", "the gradients are NaN")
class NanSweptAway(Base):
    def forward(self, keys, mask):
        scores = self.scores(keys)
        top = scores.masked_fill(~mask, -1e30).amax(1, keepdim=True)
        top = torch.where(mask.any(1, keepdim=True), top, 0.0)
        e = (scores - top).clamp(max=0).exp() * mask
        return (e / e.sum(1, keepdim=True)).nan_to_num(0.0)


@wrong("07.4", "queries and biases of the places stand in reverse")
class Reversed(Base):
    def scores(self, keys):
        return ((keys.flip(1) * self.query).sum(-1) + self.bias).flip(1)


@wrong("07.4", "the softmax runs over the batch")
class OverTheBatch(Base):
    def forward(self, keys, mask):
        weights = self.scores(keys).masked_fill(~mask, -1e9).softmax(0)
        return weights.masked_fill(~mask, 0.0)


@wrong("07.4", "root of A")
class Scaled(Base):
    def scores(self, keys):
        return (keys * self.query).sum(-1) / keys.size(-1) ** 0.5 + self.bias


@wrong("07.4", "should stand by itself")
class BiasInside(Base):
    def scores(self, keys):
        return ((keys + self.bias[:, None]) * self.query).sum(-1)


@wrong("07.4", "Which letters of an einsum")
class SummedOverPlaces(Base):
    def scores(self, keys):
        return torch.einsum("bca,da->bc", keys, self.query) + self.bias


@wrong("07.4", "meets the queries of all places")
class EveryPair(Base):
    def forward(self, keys, mask):
        scores = keys @ self.query.T + self.bias
        return masked_softmax(scores, mask[:, None])


@wrong("07.4", "this is a sigmoid")
class Sigmoid(Base):
    def forward(self, keys, mask):
        return self.scores(keys).sigmoid() * mask


@wrong("07.4", "the weighted sum of the keys")
class Context(Base):
    def forward(self, keys, mask):
        return (super().forward(keys, mask)[:, :, None] * keys).sum(1)


@wrong("07.4", "these are the scores")
class Scores(Base):
    def forward(self, keys, mask):
        return self.scores(keys).masked_fill(~mask, 0.0)


@wrong("07.4", "more than the computer holds")
class PlainExp(Base):
    def forward(self, keys, mask):
        e = self.scores(keys).exp() * mask
        return e / e.sum(1, keepdim=True).clamp(min=1e-30)


@wrong("07.4", "no gradient reaches query")
class QueryDetached(Base):
    def scores(self, keys):
        return (keys * self.query.data).sum(-1) + self.bias


@wrong("07.4", "two mistakes at once")
class ScaledSigmoid(Base):
    def forward(self, keys, mask):
        scores = (keys * self.query).sum(-1) / keys.size(-1) ** 0.5 + self.bias
        return scores.sigmoid() * mask


@wrong("07.4", "may not be used here")
class PackagesOwn(Base):
    def __init__(self, key_size, window):
        from minidistill.embeddings import PositionAttention

        super().__init__(key_size, window)
        other = PositionAttention(key_size, window)
        self.query, self.bias = other.query, other.bias


@right("07.4")
class ByMaskedSoftmax(Base):
    pass


@right("07.4")
class ByEinsum(nn.Module):
    def __init__(self, key_size, window):
        super().__init__()
        places = window * 2
        self.bias = nn.Parameter(torch.zeros(places))
        self.query = nn.Parameter(torch.zeros((places, key_size)))

    def forward(self, keys, mask):
        scores = torch.einsum("bpa,pa->bp", keys, self.query) + self.bias
        top = scores.masked_fill(~mask, torch.finfo(scores.dtype).min).amax(1, keepdim=True)
        e = torch.where(mask, (scores - top).clamp(max=0).exp(), torch.zeros_like(scores))
        return e / e.sum(1, keepdim=True).clamp(min=1e-30)


@right("07.4")
class ByPlaces(nn.Module):
    def __init__(self, key_size, window):
        super().__init__()
        self.query = torch.nn.Parameter(torch.empty(2 * window, key_size))
        self.bias = torch.nn.Parameter(torch.empty(2 * window))
        nn.init.zeros_(self.query)
        nn.init.zeros_(self.bias)

    def forward(self, keys, mask):
        columns = [keys[:, p] @ self.query[p] + self.bias[p] for p in range(self.query.shape[0])]
        scores = torch.stack(columns, dim=1)
        scores = scores.masked_fill(mask.logical_not(), -1e30)
        return F.softmax(scores, dim=-1) * mask.to(scores.dtype)


@right("07.4")
class ByMinusInfinity(Base):
    def forward(self, keys, mask):
        scores = self.scores(keys).masked_fill(~mask, -math.inf)
        return torch.nan_to_num(scores.softmax(-1))


@right("07.4")
class ByTheDiagonal(Base):
    def scores(self, keys):
        every = torch.matmul(keys, self.query.t())
        return every.diagonal(dim1=1, dim2=2) + self.bias
