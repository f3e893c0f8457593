"""Further answers to the exercises of chapter 07, wrong and right."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

from minidistill.attention import masked_softmax
from tests.mutants import right, wrong
from tests.mutants.ch07_analogy import finish as ranked
from tests.mutants.ch07_formula import finish, mean
from tests.mutants.ch07_loss import scores
from tests.mutants.ch07_places import Base


@wrong("07.1", "the words next to them lack neighbours too")
def roll_and_mask_the_ends_once(words, window):
    columns, masks = [], []
    for o in (*range(-window, 0), *range(1, window + 1)):
        columns.append(words.roll(-o))
        real = torch.ones_like(words, dtype=torch.bool)
        real[0 if o < 0 else -1] = False
        masks.append(real)
    return torch.stack(columns, 1), torch.stack(masks, 1)


@wrong("07.1", "come from the other side of the word")
def roll_the_wrong_way(words, window):
    offsets = [*range(-window, 0), *range(1, window + 1)]
    places = torch.arange(len(words))[:, None] + torch.tensor(offsets)
    context = torch.stack([words.roll(o) for o in offsets], 1)
    return context, (places >= 0) & (places < len(words))


@wrong("07.1", "the farthest neighbours are masked")
def nearer_than_the_window(words, window):
    offsets = torch.tensor([*range(-window, 0), *range(1, window + 1)])
    places = torch.arange(len(words))[:, None] + offsets
    mask = (places >= 0) & (places < len(words)) & (offsets.abs() < window)
    return words[places.clamp(0, len(words) - 1)], mask


@wrong("07.1", "has as many columns as a long one")
def window_of_the_text_at_most(words, window):
    window = max(1, min(window, len(words) - 1))
    offsets = torch.tensor([*range(-window, 0), *range(1, window + 1)])
    places = torch.arange(len(words))[:, None] + offsets
    mask = (places >= 0) & (places < len(words))
    return words[places.clamp(0, len(words) - 1)], mask


@wrong("07.1", "what is missing comes before it")
def each_side_filled_up_at_its_end(words, window):
    context, mask = [], []
    for i in range(len(words)):
        left, after = words[max(0, i - window) : i].tolist(), words[i + 1 : i + 1 + window].tolist()
        context.append([])
        mask.append([])
        for side in (left, after):
            missing = window - len(side)
            context[-1] += side + [0] * missing
            mask[-1] += [True] * len(side) + [False] * missing
    return torch.tensor(context), torch.tensor(mask)


@wrong("07.2", "added to the words drawn")
def targets_among_the_draws(x, weight, targets, drawn, negatives):
    a, b = scores(x, weight, targets, torch.cat([drawn, targets]))
    return -(F.logsigmoid(a) + F.logsigmoid(-b).mean(1) * negatives).mean()


@wrong("07.2", "counts once: as often as it was drawn")
def unique_but_divided_by_all(x, weight, targets, drawn, negatives):
    a, b = scores(x, weight, targets, drawn.unique())
    return -(F.logsigmoid(a) + F.logsigmoid(-b).sum(1) * negatives / len(drawn)).mean()


@wrong("07.2", "cut to a whole number")
def whole_negatives(x, weight, targets, drawn, negatives):
    a, b = scores(x, weight, targets, drawn)
    return -(F.logsigmoid(a) + F.logsigmoid(-b).mean(1) * int(negatives)).mean()


@wrong("07.2", "divided by N: there are S of them")
def divided_by_the_batch(x, weight, targets, drawn, negatives):
    a, b = scores(x, weight, targets, drawn)
    return -(F.logsigmoid(a) + F.logsigmoid(-b).sum(1) * negatives / len(x)).mean()


@wrong("07.2", "averaged as terms of one kind")
def one_cross_entropy(x, weight, targets, drawn, negatives):
    a, b = scores(x, weight, targets, drawn)
    both = torch.cat([a[:, None], b], 1)
    real = torch.zeros_like(both)
    real[:, 0] = 1
    return F.binary_cross_entropy_with_logits(both, real)


@wrong("07.2", "added up over the batch, that of the targets is averaged")
def sum_of_all_pairs(x, weight, targets, drawn, negatives):
    a, b = scores(x, weight, targets, drawn)
    return F.softplus(-a).mean() + negatives / len(drawn) * F.softplus(b).sum()


@wrong("07.2", "put together first")
def mean_of_the_scores(x, weight, targets, drawn, negatives):
    a, b = scores(x, weight, targets, drawn)
    return -(F.logsigmoid(a) + negatives * F.logsigmoid(-b.mean(1))).mean()


@wrong("07.2", "noise-contrastive")
def with_the_correction(x, weight, targets, drawn, negatives):
    a, b = scores(x, weight, targets, drawn)
    a, b = a - math.log(negatives), b - math.log(negatives)
    return -(F.logsigmoid(a) + negatives * F.logsigmoid(-b).mean(1)).mean()


@wrong("07.3", "add up to")
def late_mask_and_a_small_number(keys, vectors, mask):
    weights = (keys * mean(keys, mask)[:, None]).sum(-1).softmax(1) * mask
    weights = weights / (weights.sum(1, keepdim=True) + 1e-8)
    return (weights[:, :, None] * vectors).sum(1), weights


@wrong("07.3", "made from the vectors e: both are made from the keys W")
def vectors_as_keys(keys, vectors, mask):
    return finish((vectors * mean(vectors, mask)[:, None]).sum(-1), vectors, mask)


@wrong("07.3", "the mask is only counted")
def lengths_of_the_rows(keys, vectors, mask):
    mask = torch.arange(mask.size(1)) < mask.sum(1, keepdim=True)
    return finish((keys * mean(keys, mask)[:, None]).sum(-1), vectors, mask)


@wrong("07.3", "a context with any padding gets weights of 0")
def all_in_the_place_of_any(keys, vectors, mask):
    low = (keys * mean(keys, mask)[:, None]).sum(-1).masked_fill(~mask, -1e9)
    weights = low.softmax(1) * mask.all(1, keepdim=True)
    return (weights[:, :, None] * vectors).sum(1), weights


@wrong("07.3", "one mean for the whole batch")
def mean_of_every_real_key(keys, vectors, mask):
    return finish(keys @ (keys[mask].sum(0) / mask.sum().clamp(min=1)), vectors, mask)


@wrong("07.3", "the number of words of the longest context")
def longest_length(keys, vectors, mask):
    V = (keys * mask[:, :, None]).sum(1) / mask.sum(1).amax().clamp(min=1)
    return finish((keys * V[:, None]).sum(-1), vectors, mask)


@wrong("07.3", "a softmax of a softmax")
def softmax_and_masked_softmax(keys, vectors, mask):
    weights = masked_softmax((keys * mean(keys, mask)[:, None]).sum(-1), mask)
    return finish(weights, vectors, mask)


@wrong("07.4", "score and bias together are divided")
class AllScaled(Base):
    def scores(self, keys):
        return super().scores(keys) / keys.size(-1) ** 0.5


@wrong("07.4", "the bias is added after the softmax")
class BiasAfterTheMask(Base):
    def forward(self, keys, mask):
        return masked_softmax((keys * self.query).sum(-1), mask) + self.bias


@wrong("07.4", "multiplied by e to the bias")
class FactorsAfterwards(Base):
    def forward(self, keys, mask):
        return masked_softmax((keys * self.query).sum(-1), mask) * self.bias.exp()


@wrong("07.4", "padding takes up places too")
class PlacesOfRealWords(Base):
    def forward(self, keys, mask):
        at = (mask.long().cumsum(1) - 1).clamp(min=0)
        return masked_softmax((keys * self.query[at]).sum(-1) + self.bias[at], mask)


@wrong("07.4", "above a real word's")
class LowButNotLowest(Base):
    def forward(self, keys, mask):
        return self.scores(keys).masked_fill(~mask, -100).softmax(-1) * mask


@wrong("07.4", "a softmax each")
class TwoSoftmaxes(Base):
    def forward(self, keys, mask):
        words = masked_softmax((keys * self.query).sum(-1), mask)
        return (words + masked_softmax(self.bias.expand(mask.shape), mask)) / 2


@wrong("07.5", "more than `count` may be left")
def three_more_and_not_cut(vectors, a, b, c, count):
    d = F.normalize(vectors, dim=1)
    best = (d @ (d[b] - d[a] + d[c])).topk(min(count + 3, len(d))).indices.tolist()
    return [i for i in best if i not in (a, b, c)]


@wrong("07.5", "counts as 5")
def always_five(vectors, a, b, c, count):
    d = F.normalize(vectors, dim=1)
    return ranked(d @ (d[b] - d[a] + d[c]), a, b, c, min(5, len(d)))


@wrong("07.5", "number by number over the whole table")
def columns_of_length_one(vectors, a, b, c, count):
    d = F.normalize(vectors, dim=0)
    return ranked(d @ (d[b] - d[a] + d[c]), a, b, c, count)


@wrong("07.5", "cosines are multiplied and divided")
def products_as_gensim_has_them(vectors, a, b, c, count):
    d = F.normalize(vectors, dim=1)
    near = (d @ d[[a, b, c]].T + 1) / 2
    return ranked(near[:, 1] * near[:, 2] / (near[:, 0] + 1e-6), a, b, c, count)


@wrong("07.5", "taken off before they are brought to length 1")
def centred_vectors(vectors, a, b, c, count):
    d = F.normalize(vectors - vectors.mean(0), dim=1)
    return ranked(d @ (d[b] - d[a] + d[c]), a, b, c, count)


@wrong("07.5", "before c is added")
def step_of_length_one(vectors, a, b, c, count):
    d = F.normalize(vectors, dim=1)
    return ranked(d @ (F.normalize(d[b] - d[a], dim=0) + d[c]), a, b, c, count)


@wrong("07.5", "whoever they are")
def first_three_skipped(vectors, a, b, c, count):
    d = F.normalize(vectors, dim=1)
    return (d @ (d[b] - d[a] + d[c])).topk(count + 3).indices[3:].tolist()


@right("07.3")
def low_scores_are_low_enough_here(keys, vectors, mask):
    # V . V is at least 0 and the mean of the scores, so that no context lies below -100.
    low = (keys * mean(keys, mask)[:, None]).sum(-1).masked_fill(~mask, -100)
    weights = low.softmax(1) * mask
    return (weights[:, :, None] * vectors).sum(1), weights


@right("07.4")
class BiasFirst(nn.Module):
    def __init__(self, key_size, window):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(2 * window))
        self.query = nn.Parameter(torch.zeros(2 * window, key_size))

    def forward(self, keys, mask):
        rows = []
        for row, real in zip(keys, mask, strict=True):
            of_row = torch.stack([k @ q for k, q in zip(row, self.query, strict=True)]) + self.bias
            weights = torch.zeros_like(of_row)
            if real.any():
                weights = weights.masked_scatter(real, of_row[real].softmax(0))
            rows.append(weights)
        return torch.stack(rows)


@right("07.5")
def a_small_number_below_the_line(vectors, a, b, c, count):
    d = vectors / (vectors.norm(dim=1, keepdim=True) + 1e-8)
    return ranked(d @ (d[b] - d[a] + d[c]), a, b, c, count)
