"""Answers to 06.3 AdditiveAttention as students write them, wrong and right."""

from __future__ import annotations

import math

import torch
from torch import nn

from minidistill.attention import additive_score, masked_softmax
from tests.mutants import right, wrong


class Student(nn.Module):
    """A student's class made of small methods, so that an answer can spoil one of them."""

    def __init__(self, query_size, key_size, hidden_size=None):
        super().__init__()
        self.size = query_size if hidden_size is None else hidden_size
        self.make(query_size, key_size)

    def make(self, query_size, key_size):
        self.W = nn.Linear(query_size, self.size, bias=False)
        self.U = nn.Linear(key_size, self.size, bias=False)
        self.v = nn.Parameter(self.first_v())

    def first_v(self):
        return torch.randn(self.size) / math.sqrt(self.size) / 4

    def prepare(self, keys):
        return self.U(keys)

    def score(self, queries, keys):
        return additive_score(self.W(queries), keys, self.v)

    def share(self, scores, mask):
        return masked_softmax(scores, None if mask is None else mask[:, None])

    def average(self, weights, values, keys):
        return weights @ values

    def clean(self, vectors, mask):
        return vectors if mask is None else vectors.masked_fill(~mask[:, :, None], 0.0)

    def forward(self, queries, keys, values, mask=None):
        keys, values = self.clean(keys, mask), self.clean(values, mask)
        weights = self.share(self.score(queries, keys), mask)
        return self.average(weights, values, keys), weights


@wrong("06.3", "bias=False")
class WithBiases(Student):
    def make(self, query_size, key_size):
        super().make(query_size, key_size)
        self.W = nn.Linear(query_size, self.size)
        self.U = nn.Linear(key_size, self.size)


@wrong("06.3", "it lacks U.weight")
class OneMatrix(Student):
    def make(self, query_size, key_size):
        super().make(query_size, key_size)
        del self.U

    def prepare(self, keys):
        return keys


@wrong("06.3", "without a hidden size, A is the query's size")
class KeySizeByDefault(Student):
    def __init__(self, query_size, key_size, hidden_size=None):
        super().__init__(query_size, key_size, hidden_size or key_size)


@wrong("06.3", "v has shape (7, 1), expected (7,)")
class ColumnForV(Student):
    def first_v(self):
        return super().first_v()[:, None]


@wrong("06.3", "all entries of v are alike")
class ZerosForV(Student):
    def first_v(self):
        return torch.zeros(self.size)


@wrong("06.3", "v reaches")
class LargeV(Student):
    def first_v(self):
        return torch.randn(self.size) * 10


@wrong("06.3", "it lacks v")
class PlainV(Student):
    def make(self, query_size, key_size):
        super().make(query_size, key_size)
        value = self.v.detach()
        del self.v
        self.v = value


@wrong("06.3", "super().__init__()")
class SuperForgotten(Student):
    def __init__(self, query_size, key_size, hidden_size=None):
        self.size = hidden_size or query_size
        self.make(query_size, key_size)


@wrong("06.3", "prepare gives back the keys as they are")
class ProjectedAtEachStep(Student):
    def prepare(self, keys):
        return keys

    def score(self, queries, keys):
        return additive_score(self.W(queries), self.U(keys), self.v)


@wrong("06.3", "stand in another order")
class PreparedTimeFirst(Student):
    def prepare(self, keys):
        return self.U(keys).transpose(0, 1)


@wrong("06.3", "are multiplied by U again at every step")
class ProjectedTwice(Student):
    def score(self, queries, keys):
        again = self.U(keys) if keys.size(-1) == self.U.in_features else keys
        return additive_score(self.W(queries), again, self.v)


@wrong("06.3", "prepare takes the tanh already")
class TanhInPrepare(Student):
    def prepare(self, keys):
        return torch.tanh(self.U(keys))


@wrong("06.3", "the tanh is missing")
class NoTanh(Student):
    def score(self, queries, keys):
        return (self.W(queries)[:, :, None] + keys[:, None]) @ self.v


@wrong("06.3", "v is missing")
class NoV(Student):
    def score(self, queries, keys):
        return torch.tanh(self.W(queries)[:, :, None] + keys[:, None]).sum(-1)


@wrong("06.3", "over the source, softmax(-1)")
class OverTheQueries(Student):
    def share(self, scores, mask):
        weights = scores.softmax(1)
        return weights if mask is None else weights * mask[:, None]


@wrong("06.3", "after the softmax")
class MaskAfterSoftmax(Student):
    def share(self, scores, mask):
        weights = scores.softmax(-1)
        return weights if mask is None else weights * mask[:, None]


@wrong("06.3", "the mask is not used")
class NoMask(Student):
    def forward(self, queries, keys, values, mask=None):
        return super().forward(queries, keys, values)


@wrong("06.3", "the mask is turned round")
class Inverted(Student):
    def forward(self, queries, keys, values, mask=None):
        return super().forward(queries, keys, values, None if mask is None else ~mask)


@wrong("06.3", "0 times infinity is NaN")
class PaddingNotCleaned(Student):
    def clean(self, vectors, mask):
        return vectors


@wrong("06.3", "gets equal weights")
class EvenWhereAllIsPadding(Student):
    def share(self, scores, mask):
        return (scores if mask is None else scores.masked_fill(~mask[:, None], -1e30)).softmax(-1)


@wrong("06.3", "average of the keys")
class KeysForValues(Student):
    def average(self, weights, values, keys):
        return weights @ keys


@wrong("06.3", "expected (5, 5, 5)")
class NewWeights(Student):
    def average(self, weights, values, keys):
        return weights @ values

    def forward(self, queries, keys, values, mask=None):
        context, weights = super().forward(queries, keys, values, mask)
        return context, weights[:, -1:]


@wrong("06.3", "the context comes first")
class Swapped(Student):
    def forward(self, queries, keys, values, mask=None):
        return super().forward(queries, keys, values, mask)[::-1]


@wrong("06.3", "two things are returned")
class ContextOnly(Student):
    def forward(self, queries, keys, values, mask=None):
        return super().forward(queries, keys, values, mask)[0]


@wrong("06.3", "also where T is 1")
class Squeezed(Student):
    def average(self, weights, values, keys):
        return (weights @ values).squeeze(1)


@wrong("06.3", "the weights are detached")
class WeightsForLooking(Student):
    def share(self, scores, mask):
        return super().share(scores, mask).detach()


@wrong("06.3", "mask=None")
class MaskNeeded(Student):
    def forward(self, queries, keys, values, mask):
        return super().forward(queries, keys, values, mask)


@wrong("06.3", "may not be used here")
class AnotherAttentionInside(nn.Module):
    def __new__(cls, query_size, key_size, hidden_size=None):
        from minidistill.attention import AdditiveAttention

        return AdditiveAttention(query_size, key_size, hidden_size)


@right("06.3")
class AsInTheChapter(Student):
    pass


@right("06.3")
class FromNothing(nn.Module):
    """No base, no part of the course, one query at a time."""

    def __init__(self, query_size, key_size, hidden_size=None):
        super().__init__()
        size = hidden_size or query_size
        self.W = nn.Linear(query_size, size, bias=False)
        self.U = nn.Linear(key_size, size, bias=False)
        self.v = nn.Parameter(torch.empty(size))
        nn.init.normal_(self.v, std=0.05)

    def prepare(self, keys):
        return keys @ self.U.weight.T

    def forward(self, queries, keys, values, mask=None):
        if mask is None:
            mask = torch.ones(keys.shape[:2], dtype=torch.bool, device=keys.device)
        keys = torch.where(mask[:, :, None], keys, torch.zeros_like(keys))
        values = torch.where(mask[:, :, None], values, torch.zeros_like(values))
        contexts, rows = [], []
        for t in range(queries.size(1)):
            q = self.W(queries[:, t])
            scores = (torch.tanh(keys + q[:, None]) * self.v).sum(-1)
            scores = scores.masked_fill(~mask, -1e9)
            weights = torch.softmax(scores, dim=1) * mask
            rows.append(weights)
            contexts.append(torch.bmm(weights[:, None], values)[:, 0])
        return torch.stack(contexts, 1), torch.stack(rows, 1)


@right("06.3")
class WithEinsum(Student):
    def score(self, queries, keys):
        pairs = self.W(queries).unsqueeze(2) + keys.unsqueeze(1)
        return torch.einsum("btsa,a->bts", pairs.tanh(), self.v)

    def average(self, weights, values, keys):
        return torch.einsum("bts,bsv->btv", weights, values)


@right("06.3")
class WithExtraMethods(Student):
    """More options than asked for, and initialisation of its own."""

    def __init__(self, query_size, key_size, hidden_size=None, scale=1.0):
        super().__init__(query_size, key_size, hidden_size)
        self.scale = scale
        for weight in (self.W.weight, self.U.weight):
            nn.init.xavier_uniform_(weight)
        nn.init.uniform_(self.v, -0.1, 0.1)

    def score(self, queries, keys):
        return super().score(queries, keys) * self.scale
