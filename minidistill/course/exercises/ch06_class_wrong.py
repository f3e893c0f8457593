"""Chapter 06: the class `AdditiveAttention` with one part exchanged at a time.

`run` is a plain additive attention made of small parts. A mistake is a sentence and the parts
that it exchanges; what comes out then is what an answer with that mistake returns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

Parts = dict[str, Callable[..., Any]]
Faults = list[tuple[str, Parts]]
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


_RULE = "v . tanh(W q_t + U k_s)"
_NO_QUERY = (
    "the query makes no difference to the weights: it is not used, or query and key go through "
    f"tanh before they are added; {_RULE}"
)
_TWO = "two things are returned, the context (B, T, V) and the weights (B, T, S)"


def _sizes_agree(x: Tensor, W: Tensor) -> Tensor:
    return x @ W.T


SCORES: Faults = [
    (
        "the keys are multiplied by U again at every step: prepare has done it, once a source",
        {"key": lambda keys, p: _sizes_agree(keys, p["U.weight"])},
    ),
    (
        f"the queries are not multiplied by W: {_RULE}",
        {"query": lambda queries, p: queries},
    ),
    (
        f"the queries are multiplied by U: W is theirs, {_RULE}",
        {"query": lambda queries, p: _sizes_agree(queries, p["U.weight"])},
    ),
    (
        "W is transposed once too often or too seldom: self.W(queries)",
        {"query": lambda queries, p: queries @ p["W.weight"]},
    ),
    (_NO_QUERY, {"query": lambda q, p: 0 * (q @ p["W.weight"].T)}),
    (f"the keys are not used: {_RULE}", {"key": lambda keys, p: 0 * keys}),
    (
        f"the tanh is missing, and without it the query drops out of the softmax: {_RULE}",
        {"join": lambda q, k: q[:, :, None] + k[:, None]},
    ),
    (_NO_QUERY, {"join": lambda q, k: q[:, :, None].tanh() + k[:, None].tanh()}),
    (
        f"query and key are multiplied: they are added, {_RULE}",
        {"join": lambda q, k: torch.tanh(q[:, :, None] * k[:, None])},
    ),
    (f"v is missing: {_RULE}", {"weigh": lambda pairs, p: pairs.sum(-1)}),
    (
        "the scores are divided by the root of A: that belongs to the scaled dot product",
        {"weigh": lambda pairs, p: pairs @ p["v"] / len(p["v"]) ** 0.5},
    ),
]
"""Before the softmax."""

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
        "padding gets the score 0, which is a score like others: a very low one",
        {"fill": lambda scores, mask: scores if mask is None else scores * mask[:, None]},
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

CUTS: Faults = [
    (
        "the weights are detached, so that no gradient reaches the scores",
        {"after": lambda weights, mask: _silent(weights, mask).detach()},
    ),
    (
        "the values are detached",
        {"context": lambda weights, values, keys: weights @ values.detach()},
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
        {"prepare": lambda keys, p: _sizes_agree(keys, p["W.weight"])},
    ),
    (
        "U is transposed once too often or too seldom: self.U(keys)",
        {"prepare": lambda keys, p: keys @ p["U.weight"]},
    ),
    (
        "prepare takes the tanh already: it is taken of the sum W q_t + U k_s",
        {"prepare": lambda keys, p: torch.tanh(keys @ p["U.weight"].T)},
    ),
]
