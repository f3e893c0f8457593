"""Chapter 07: what known wrong versions of `PositionAttention` give.

The class is looked at as a function of its parameters, (query, bias, keys, mask) -> weights.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from minidistill.course.diagnosis import Mistake
from minidistill.course.exercises.ch04_pairs import Fault, Parts, pairs, singles
from minidistill.course.exercises.ch07_formula_more import (
    FROM_THE_START,
    ONLY_FULL,
    TWICE,
    from_the_start,
    only_full,
    twice,
)
from minidistill.course.exercises.ch07_places_more import AFTER, more_mistakes

_STEPS: Parts = {
    "query": lambda query: query,
    "bias": lambda bias: bias,
    "keys": lambda keys, bias: keys,
    "seen": lambda mask: mask,
    "scores": lambda keys, query: (keys * query).sum(-1),
    "add": lambda scores, bias: scores + bias,
    "fill": lambda scores, mask: scores.masked_fill(~mask, -1e30),
    "share": lambda scores, bias: scores.softmax(1),
    "after": lambda weights, mask: weights.masked_fill(~mask, 0.0),
    "give": lambda weights, keys, mask: weights,
}


def build(parts: Parts) -> Callable[..., Any]:
    """A `PositionAttention`, as a function, in which some steps are exchanged."""
    s = SimpleNamespace(**_STEPS | parts)

    def mistaken(query: Tensor, bias: Tensor, keys: Tensor, mask: Tensor) -> Any:
        real = s.seen(mask)
        own = s.bias(bias)
        scores = s.add(s.scores(s.keys(keys, bias), s.query(query)), own)
        weights = s.after(s.share(s.fill(scores, real), own), real)
        return s.give(weights, keys, real)

    return mistaken


def as_class(function: Callable[..., Any]) -> type[nn.Module]:
    """The class whose forward is this function of its parameters."""

    class Attention(nn.Module):
        def __init__(self, key_size: int, window: int) -> None:
            super().__init__()
            self.query = nn.Parameter(torch.zeros(2 * window, key_size))
            self.bias = nn.Parameter(torch.zeros(2 * window))

        def forward(self, keys: Tensor, mask: Tensor) -> Any:
            return function(self.query, self.bias, keys, mask)

    return Attention


def _plain(scores: Tensor) -> Tensor:
    real = scores > -1e29
    return 0 * scores + real / real.sum(1, keepdim=True).clamp(min=1)


_REVERSED = (
    "the {} of the places stand in reverse: row 0 belongs to the word farthest on the left, as "
    "the keys do"
)
ONE_QUERY = "every place uses {}: each place has a query of its own"
NO_BIAS = (
    "the bias makes no difference: it is added to the score of its place, each place its own, and "
    "before the softmax (one number for all places would drop out of it)"
)
INSIDE = (
    "the bias is added to the keys before the product: there it meets the query, and should stand "
    "by itself"
)
SUMMED = (
    "every key meets the sum of all places' queries: the word at a place meets that place's query "
    "alone. Which letters of an einsum are added up?"
)
LATE = (
    "the mask comes after the softmax, and the weights of the real words no longer add up to 1: "
    "padding must have lost its share before the others are divided"
)
UNIFORM = (
    "a row without any real word gets weights as if it had some: nothing is there to be weighed, "
    "so all of them are 0"
)
SIGMOID = "this is a sigmoid, each place by itself: the weights of a context add up to 1"
ZERO_SCORE = (
    "padding gets the score 0, which is a score like others, as e^0 is 1: it should have none"
)
CONTEXT = (
    "this is the weighted sum of the keys: only the weights are asked for, what is weighted with "
    "them is the model's affair"
)

FAULTS: tuple[Fault, ...] = (
    (
        ONE_QUERY.format("the first place's query"),
        {"query": lambda q: q[:1].expand_as(q)},
    ),
    (
        ONE_QUERY.format("the last place's query"),
        {"query": lambda q: q[-1:].expand_as(q)},
    ),
    (
        ONE_QUERY.format("the mean of all queries"),
        {"query": lambda q: q.mean(0, keepdim=True).expand_as(q)},
    ),
    (_REVERSED.format("queries"), {"query": lambda q: q.flip(0)}),
    (_REVERSED.format("biases"), {"bias": lambda b: b.flip(0)}),
    (
        _REVERSED.format("queries and biases"),
        {"query": lambda q: q.flip(0), "bias": lambda b: b.flip(0)},
    ),
    (
        "the queries left and right of the word have changed sides",
        {"query": lambda q: q.roll(len(q) // 2, 0), "bias": lambda b: b.roll(len(b) // 2, 0)},
    ),
    (
        "the places on the right use the queries of those on the left, as if only the distance "
        "counted: each of the 2 window places has its own",
        {"query": lambda q: torch.cat([q[: len(q) // 2], q[: len(q) // 2].flip(0)])},
    ),
    (
        "the queries are brought to length 1: they are taken as they are",
        {"query": lambda q: F.normalize(q, dim=1)},
    ),
    (
        "the queries play no part: the score is key times query, and the bias",
        {"query": lambda q: 0 * q},
    ),
    (NO_BIAS, {"bias": lambda b: 0 * b}),
    ("the bias is subtracted: it is added", {"add": lambda scores, b: scores - b}),
    ("the bias is multiplied: it is added to the score", {"add": lambda scores, b: scores * b}),
    (
        "the bias is added twice: once",
        {"add": lambda scores, b: scores + 2 * b},
    ),
    (
        INSIDE,
        {
            "keys": lambda keys, b: keys + b[:, None],
            "add": lambda scores, b: scores,
        },
    ),
    (
        AFTER,
        {
            "add": lambda scores, b: scores,
            "share": lambda scores, b: scores.softmax(1) + b,
        },
    ),
    (
        "the bias goes into the score and is added again after the softmax: into the score alone",
        {"share": lambda scores, b: scores.softmax(1) + b},
    ),
    (
        "the keys are brought to length 1: they are taken as they are",
        {"keys": lambda keys, b: F.normalize(keys, dim=-1)},
    ),
    (
        "every row has the first row's keys: each context its own",
        {"keys": lambda keys, b: keys[:1].expand_as(keys)},
    ),
    (
        "the keys are averaged over the places first: the word at a place meets that place's query",
        {"keys": lambda keys, b: keys.mean(1, keepdim=True).expand_as(keys)},
    ),
    ("the mask is not used: padding is no word", {"seen": torch.ones_like}),
    ("the mask is turned round: True is a real word", {"seen": lambda mask: ~mask}),
    (
        "the first row's mask is used for all: every context has its own",
        {"seen": lambda mask: mask[:1].expand_as(mask)},
    ),
    (FROM_THE_START, {"seen": from_the_start}),
    (ONLY_FULL, {"after": only_full}),
    (LATE, {"fill": lambda scores, mask: scores}),
    (ZERO_SCORE, {"fill": lambda scores, mask: scores * mask}),
    (
        ZERO_SCORE,
        {"fill": lambda scores, mask: scores * mask, "after": lambda weights, mask: weights},
    ),
    (
        "the softmax is a plain share of the real words: the scores play no part",
        {"share": lambda scores, b: _plain(scores)},
    ),
    (UNIFORM, {"after": lambda weights, mask: weights}),
    (SUMMED, {"scores": lambda keys, q: torch.einsum("bca,da->bc", keys, q)}),
    (
        "every place meets every key and the products are added up over the words: the word at a "
        "place meets that place's query alone",
        {"scores": lambda keys, q: torch.einsum("bca,da->bd", keys, q)},
    ),
    (
        "every word meets the queries of all places, (B, 2 window, 2 window): only that of the "
        "place where it stands",
        {
            "scores": lambda keys, q: keys @ q.T,
            "fill": lambda scores, mask: scores.masked_fill(~mask[:, None], -1e30),
            "share": lambda scores, b: scores.softmax(-1),
            "after": lambda weights, mask: weights.masked_fill(~mask[:, None], 0.0),
        },
    ),
    (
        "every word meets the queries of all places, (B, 2 window, 2 window): only that of the "
        "place where it stands",
        {
            "scores": lambda keys, q: keys @ q.T,
            "fill": lambda scores, mask: scores.masked_fill(~mask[:, :, None], -1e30),
            "share": lambda scores, b: scores.softmax(1),
            "after": lambda weights, mask: weights.masked_fill(~mask[:, :, None], 0.0),
        },
    ),
    (
        "the scores are divided by the root of A: the formula has no such factor",
        {"scores": lambda keys, q: (keys * q).sum(-1) / q.size(1) ** 0.5},
    ),
    (
        "the products are averaged over the A numbers: a dot product is their sum",
        {"scores": lambda keys, q: (keys * q).mean(-1)},
    ),
    (
        "the score is a cosine: key and query are taken with the lengths that they have",
        {"scores": lambda keys, q: F.cosine_similarity(keys, q[None], dim=-1)},
    ),
    (
        "the scores go through a tanh: the formula has none",
        {"scores": lambda keys, q: (keys * q).sum(-1).tanh()},
    ),
    (
        "key and query are added, not multiplied",
        {"scores": lambda keys, q: (keys + q).sum(-1)},
    ),
    (
        "the scores go through a tanh: the formula has none",
        {"add": lambda scores, b: (scores + b).tanh()},
    ),
    (
        "the softmax runs over the batch: over the words of each context",
        {"share": lambda scores, b: scores.softmax(0)},
    ),
    (
        "the softmax runs over all contexts together: over the words of each",
        {"share": lambda scores, b: scores.flatten().softmax(0).view_as(scores)},
    ),
    (TWICE, {"share": lambda scores, b: twice(scores)}),
    (SIGMOID, {"share": lambda scores, b: scores.sigmoid()}),
    (
        "e to the scores is not divided by its sum: the weights of a context add up to 1",
        {"share": lambda scores, b: scores.exp()},
    ),
    (
        "these are logarithms of the weights",
        {"share": lambda scores, b: scores.log_softmax(1)},
    ),
    (
        "these are the scores: the softmax over the real words is missing",
        {"share": lambda scores, b: scores},
    ),
    (
        "all weight goes to the word with the highest score: a softmax gives every word its share",
        {"share": lambda scores, b: F.one_hot(scores.argmax(1), scores.size(1)).to(scores)},
    ),
    (CONTEXT, {"give": lambda weights, keys, mask: (weights[:, :, None] * keys).sum(1)}),
    (
        "this is a pair of the weighted sum and the weights: the weights alone",
        {"give": lambda weights, keys, mask: ((weights[:, :, None] * keys).sum(1), weights)},
    ),
    (
        "this is a pair of the weights and the weighted sum: the weights alone",
        {"give": lambda weights, keys, mask: (weights, (weights[:, :, None] * keys).sum(1))},
    ),
    (
        "the weights are divided by the number of words: those of a context add up to 1",
        {"give": lambda w, keys, mask: w / mask.sum(1, keepdim=True).clamp(min=1)},
    ),
    (
        "the weights have the shape (B, 2 window, 1): (B, 2 window)",
        {"give": lambda weights, keys, mask: weights[:, :, None]},
    ),
    (
        "the weights have the shape (2 window, B): (B, 2 window)",
        {"give": lambda weights, keys, mask: weights.transpose(0, 1)},
    ),
)


MISTAKES: tuple[Mistake, ...] = (
    *singles(build, FAULTS),
    *more_mistakes(build({})),
)
PAIRS = tuple(pairs(build, FAULTS))
"""Two mistakes at once."""


def detached(name: str) -> Callable[..., Any]:
    """The right weights, with one of their sources cut off."""

    def mistaken(query: Tensor, bias: Tensor, keys: Tensor, mask: Tensor) -> Any:
        given = {"query": query, "bias": bias, "keys": keys}
        given[name] = given[name].detach()
        return build({})(given["query"], given["bias"], given["keys"], mask)

    return mistaken
