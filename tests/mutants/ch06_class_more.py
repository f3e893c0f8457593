"""More answers to 06.3 AdditiveAttention: those that slipped through once, or got no name."""

from __future__ import annotations

import torch
from torch import nn

from minidistill.attention import additive_score
from tests.mutants import right, wrong
from tests.mutants.ch06_class import Student

# prepare


@wrong("06.3", "neither U nor the encoder ever learns")
class PreparedDetached(Student):
    def prepare(self, keys):
        return self.U(keys).detach()


@wrong("06.3", "neither U nor the encoder ever learns")
class PreparedWithoutGradient(Student):
    @torch.no_grad()
    def prepare(self, keys):
        return self.U(keys)


@wrong("06.3", "no gradient reaches the keys in prepare")
class EncoderCutOff(Student):
    def prepare(self, keys):
        return self.U(keys.detach())


@wrong("06.3", "no gradient reaches U.weight in prepare")
class MatrixCutOff(Student):
    def prepare(self, keys):
        return keys @ self.U.weight.data.T


@wrong("06.3", "an earlier source's keys")
class PreparedOnce(Student):
    def prepare(self, keys):
        if not hasattr(self, "kept"):
            self.kept = self.U(keys)
        return self.kept


@wrong("06.3", "an earlier source's keys")
class PreparedOnceForEachShape(Student):
    kept = None

    def prepare(self, keys):
        if self.kept is None or self.kept.shape[:2] != keys.shape[:2]:
            self.kept = self.U(keys)
        return self.kept


@wrong("06.3", "keys that prepare has kept")
class ScoresWhatWasPrepared(Student):
    def prepare(self, keys):
        self.kept = self.U(keys)
        return self.kept

    def score(self, queries, keys):
        return super().score(queries, self.kept)


@wrong("06.3", "there is dropout in it")
class PreparedWithDropout(Student):
    def prepare(self, keys):
        return nn.functional.dropout(self.U(keys), 0.3, self.training)


@wrong("06.3", "prepare brings the keys to length 1")
class PreparedToLengthOne(Student):
    def prepare(self, keys):
        return nn.functional.normalize(self.U(keys), dim=-1)


@wrong("06.3", "for B = 1 and S = 7")
class PreparedSqueezed(Student):
    def prepare(self, keys):
        return self.U(keys).squeeze(0)


# parameters


@wrong("06.3", "without a hidden size, A is the query's size")
class LargerSizeByDefault(Student):
    def __init__(self, query_size, key_size, hidden_size=None):
        super().__init__(query_size, key_size, hidden_size or max(query_size, key_size))


@wrong("06.3", "W and U have changed places")
class SizesSwapped(Student):
    def make(self, query_size, key_size):
        super().make(key_size, query_size)


@wrong("06.3", "hidden_size is A, and it is not used")
class HiddenSizeIgnored(Student):
    def __init__(self, query_size, key_size, hidden_size=None):
        super().__init__(query_size, key_size, query_size)


@wrong("06.3", "W and U are one and the same matrix")
class TiedWhereItFits(Student):
    def make(self, query_size, key_size):
        super().make(query_size, key_size)
        if query_size == key_size:
            self.U = self.W


@wrong("06.3", "all entries of v have the same sign")
class PositiveV(Student):
    def first_v(self):
        return torch.rand(self.size) / self.size**0.5


@wrong("06.3", "v reaches")
class VBetweenMinusOneAndOne(Student):
    def first_v(self):
        return torch.rand(self.size) * 2 - 1


@wrong("06.3", "v reaches")
class VByTheQuerysSize(Student):
    def first_v(self):
        return torch.empty(self.size).uniform_(-1, 1) / self.W.in_features**0.5


@wrong("06.3", "rises evenly")
class VInSteps(Student):
    def first_v(self):
        return torch.linspace(-1, 1, self.size) / self.size**0.5


@wrong("06.3", "of different types")
class VInDouble(Student):
    def first_v(self):
        return super().first_v().double()


# score and forward


@wrong("06.3", "there is dropout in it")
class ScoredWithDropout(Student):
    def score(self, queries, keys):
        return nn.functional.dropout(super().score(queries, keys), 0.3, self.training)


@wrong("06.3", "gives another result the second time")
class CountsItsCalls(Student):
    calls = 0

    def score(self, queries, keys):
        self.calls += 1
        return additive_score(self.W(queries) + 0.01 * self.calls, keys, self.v)


@wrong("06.3", "score gives (B, S, T)")
class KeysFirst(Student):
    def score(self, queries, keys):
        return (self.W(queries)[:, None] + keys[:, :, None]).tanh() @ self.v


@wrong("06.3", "score gives weights already")
class SoftmaxTwice(Student):
    def score(self, queries, keys):
        return super().score(queries, keys).softmax(-1)


@wrong("06.3", "every query gets the last query's weights")
class LastQueryForAll(Student):
    def score(self, queries, keys):
        return super().score(queries[:, -1:], keys).expand(-1, queries.size(1), -1)


@wrong("06.3", "paired one to one")
class PairedOneToOne(Student):
    def score(self, queries, keys):
        return (self.W(queries) + keys).tanh() @ self.v


@wrong("06.3", "without a squeeze")
class ScoreSqueezed(Student):
    def score(self, queries, keys):
        return super().score(queries, keys).squeeze(1)


@wrong("06.3", "two mistakes")
class ScaledAndNoTanh(Student):
    def score(self, queries, keys):
        return (self.W(queries)[:, :, None] + keys[:, None]) @ self.v / self.size**0.5


@wrong("06.3", "the scores are returned in the weights' place")
class ScoresReturned(Student):
    def forward(self, queries, keys, values, mask=None):
        context, _ = super().forward(queries, keys, values, mask)
        return context, self.score(queries, self.clean(keys, mask))


@wrong("06.3", "after the softmax")
class MaskAfterAndNothingCleaned(Student):
    def clean(self, vectors, mask):
        return vectors

    def share(self, scores, mask):
        weights = scores.softmax(-1)
        return weights if mask is None else weights * mask[:, None]


@wrong("06.3", "the softmax knows nothing of it")
class CleanedButNotMasked(Student):
    def share(self, scores, mask):
        return scores.softmax(-1)


@wrong("06.3", "the weights that are returned are detached")
class ReturnedWeightsDetached(Student):
    def forward(self, queries, keys, values, mask=None):
        context, weights = super().forward(queries, keys, values, mask)
        return context, weights.detach()


@wrong("06.3", "fill keys and values at padding with 0 first")
class KeysNotCleaned(Student):
    def forward(self, queries, keys, values, mask=None):
        weights = self.share(self.score(queries, keys), mask)
        return self.average(weights, self.clean(values, mask), keys), weights


@right("06.3")
class SomeQueriesAtATime(Student):
    def score(self, queries, keys):
        parts = self.W(queries).split(2, dim=1)
        return torch.cat([additive_score(part, keys, self.v) for part in parts], dim=1)


@right("06.3")
class OtherOrderAndOtherDraws(Student):
    def make(self, query_size, key_size):
        self.v = nn.Parameter(self.first_v())
        self.U = nn.Linear(key_size, self.size, bias=False)
        self.W = nn.Linear(query_size, self.size, bias=False)
        for layer in (self.U, self.W):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="linear")

    def first_v(self):
        return torch.randn(self.size) * 0.1

    def prepare(self, keys):
        return torch.einsum("bsk,ak->bsa", keys, self.U.weight)
