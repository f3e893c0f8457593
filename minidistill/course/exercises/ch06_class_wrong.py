"""Chapter 06: the class `AdditiveAttention` with one part exchanged at a time.

`run` is a plain additive attention made of small parts. A mistake is a sentence and the parts
that it exchanges; what comes out then is what an answer with that mistake returns.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from minidistill.course.exercises.ch03_pairs import together
from minidistill.course.exercises.ch06_class_scores import SCORES, Faults, Parts, times

Weights = dict[str, Tensor]

_LOW = -1e30


def _filled(vectors: Tensor, mask: Tensor | None) -> Tensor:
    return vectors if mask is None else vectors.masked_fill(~mask[:, :, None], 0.0)


def _low(scores: Tensor, mask: Tensor | None) -> Tensor:
    return scores if mask is None else scores.masked_fill(~mask[:, None], _LOW)


def _silent(weights: Tensor, mask: Tensor | None) -> Tensor:
    return weights if mask is None else weights.masked_fill(~mask[:, None], 0.0)


RIGHT: Parts = {
    "prepare": lambda keys, p: keys @ p["U.weight"].T,
    "mask": lambda mask: mask,
    "keys": _filled,
    "values": _filled,
    "query": lambda queries, p: queries @ p["W.weight"].T,
    "key": lambda keys, p: keys,
    "join": lambda q, k: torch.tanh(q[:, :, None] + k[:, None]),
    "weigh": lambda pairs, p: pairs @ p["v"],
    "fill": _low,
    "share": lambda scores: scores.softmax(-1),
    "after": _silent,
    "context": lambda weights, values, keys: weights @ values,
    "result": lambda context, weights: (context, weights),
}


def run(
    weights: Weights,
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    mask: Tensor | None = None,
    parts: Parts | None = None,
) -> Any:
    """Context (B, T, V) and weights (B, T, S) from prepared keys, with some parts exchanged."""
    p = SimpleNamespace(**RIGHT | (parts or {}))
    seen = None if mask is None else p.mask(mask)
    keys, values = p.keys(keys, seen), p.values(values, seen)
    scores = p.weigh(p.join(p.query(queries, weights), p.key(keys, weights)), weights)
    shares = p.after(p.share(p.fill(scores, seen)), seen)
    return p.result(p.context(shares, values, keys), shares)


def prepare(weights: Weights, keys: Tensor, parts: Parts | None = None) -> Any:
    """The prepared keys (B, S, A), with some parts exchanged."""
    return (RIGHT | (parts or {}))["prepare"](keys, weights)


def wrong(faults: Faults, weights: Weights, *inputs: Any) -> Iterator[tuple[str, Any]]:
    """Sentences, and what an answer with that mistake would return."""
    for sentence, parts in faults:
        try:
            yield sentence, run(weights, *inputs, parts=parts)
        except (RuntimeError, IndexError):  # with these sizes the mistake is an error
            continue


def both(one: Faults, two: Faults) -> Faults:
    """Two mistakes at once, where they exchange different parts."""
    return [
        (together(a, b), first | second)
        for (a, first), (b, second) in itertools.product(one, two)
        if not first.keys() & second.keys()
    ]


_TWO = "two things are returned, the context (B, T, V) and the weights (B, T, S)"


MASKS: Faults = [
    ("the mask is not used", {"mask": lambda mask: None}),
    (
        "the mask is turned round: True is a real token",
        {"mask": lambda mask: ~mask},
    ),
    (
        "the padding is set to 0 after the softmax: the rest of a row no longer adds up to 1",
        {"fill": lambda scores, mask: scores},
    ),
    (
        "the padding is set to 0 after the softmax: the rest of a row no longer adds up to 1",
        {"fill": lambda scores, mask: scores, "keys": lambda keys, mask: keys},
    ),
    (
        "padding gets the score 0, which is a score like others: a very low one",
        {"fill": lambda scores, mask: scores if mask is None else scores * mask[:, None]},
    ),
    (
        "padding gets the score 0, which is a score like others: a very low one",
        {
            "fill": lambda scores, mask: scores if mask is None else scores * mask[:, None],
            "after": lambda weights, mask: weights,
            "keys": lambda keys, mask: keys,
            "values": lambda values, mask: values,
        },
    ),
    (
        "keys and values at padding are 0, but the softmax knows nothing of it and gives padding "
        "weight: mask the scores as well",
        {"fill": lambda scores, mask: scores, "after": lambda weights, mask: weights},
    ),
    (
        "a source that is nothing but padding gets equal weights: all of them are 0",
        {"after": lambda weights, mask: weights},
    ),
    (
        "the first source's mask is used for all of the batch: each has its own length",
        {"mask": lambda mask: mask[:1].expand_as(mask)},
    ),
    (
        "the context is NaN where padding holds NaN or infinity, for 0 times infinity is NaN: fill "
        "the values at padding with 0 before the average",
        {"values": lambda values, mask: values},
    ),
]

RESULTS: Faults = [
    (
        "the softmax runs over the queries: over the source, softmax(-1)",
        {"share": lambda scores: scores.softmax(1)},
    ),
    (
        "the softmax runs over the batch: over the source, softmax(-1)",
        {"share": lambda scores: scores.softmax(0)},
    ),
    (
        "these are sigmoids: the weights of a query add up to 1, softmax(-1)",
        {"share": lambda scores: scores.sigmoid()},
    ),
    (
        "the softmax is missing: the scores are not yet weights",
        {"share": lambda scores: scores},
    ),
    (
        "only the likeliest token is looked at: the context is an average with the weights",
        {"share": lambda scores: (scores == scores.amax(-1, keepdim=True)).to(scores)},
    ),
    (
        "the context is an average of the keys: of the values",
        {"context": lambda weights, values, keys: weights @ keys},
    ),
    (
        "the context is the plain mean of the values: weigh them",
        {"context": lambda w, values, keys: values.mean(1, keepdim=True).expand(-1, w.size(1), -1)},
    ),
    (
        "the context is the sum of the values: weigh them",
        {"context": lambda w, values, keys: values.sum(1, keepdim=True).expand(-1, w.size(1), -1)},
    ),
    (
        "the average runs over the queries: weights @ values is over the source",
        {"context": lambda weights, values, keys: weights.transpose(1, 2) @ values},
    ),
    (
        "context and weights are swapped: the context comes first",
        {"result": lambda context, weights: (weights, context)},
    ),
    (_TWO, {"result": lambda context, weights: context}),
    (_TWO, {"result": lambda context, weights: weights}),
    (
        "the weights come out as (B, S, T): a row for each query, (B, T, S)",
        {"result": lambda context, weights: (context, weights.transpose(1, 2))},
    ),
    (
        "the context lacks the dimension of the queries: (B, T, V) also where T is 1",
        {"result": lambda context, weights: (context.squeeze(1), weights)},
    ),
    (
        "context and weights lack the dimension of the queries: (B, T, V) and (B, T, S)",
        {"result": lambda context, weights: (context.squeeze(1), weights.squeeze(1))},
    ),
]

ONE = MASKS + SCORES + RESULTS
ALL = ONE + both(SCORES, ONE)
"""One mistake, or two of which one is in the score."""

CUTS: Faults = [
    (
        "the weights are detached, so that no gradient reaches the scores",
        {"after": lambda weights, mask: _silent(weights, mask).detach()},
    ),
    (
        "the values are detached",
        {"context": lambda weights, values, keys: weights @ values.detach()},
    ),
    (
        "the weights that are returned are detached: a loss on them would teach nothing",
        {"result": lambda context, weights: (context, weights.detach())},
    ),
    ("the keys are detached", {"key": lambda keys, p: keys.detach()}),
    (
        "the queries are detached",
        {"query": lambda queries, p: queries.detach() @ p["W.weight"].T},
    ),
]
"""Right values, wrong gradients."""

PREPARED: Faults = [
    (
        "prepare gives back the keys as they are: it multiplies them by U, once a source, so that "
        "no step has to do it again",
        {"prepare": lambda keys, p: keys},
    ),
    (
        "prepare multiplies by W: U belongs to the keys",
        {"prepare": lambda keys, p: times(keys, p["W.weight"])},
    ),
    (
        "U is transposed once too often or too seldom: self.U(keys)",
        {"prepare": lambda keys, p: keys @ p["U.weight"]},
    ),
    (
        "prepare takes the tanh already: it is taken of the sum W q_t + U k_s",
        {"prepare": lambda keys, p: torch.tanh(keys @ p["U.weight"].T)},
    ),
    (
        "prepare brings the keys to length 1: it multiplies them by U, no more",
        {"prepare": lambda keys, p: normalize(keys @ p["U.weight"].T, dim=-1)},
    ),
    (
        "prepare gives all rows of the batch the first row's keys: each has its own source",
        {"prepare": lambda keys, p: (keys @ p["U.weight"].T)[:1].expand(len(keys), -1, -1)},
    ),
    (
        "prepare divides by a root: it multiplies the keys by U, no more",
        {"prepare": lambda keys, p: keys @ p["U.weight"].T / len(p["U.weight"]) ** 0.5},
    ),
]
