"""Chapter 07: further wrong versions of `PositionAttention`, made from the right one.

`right` is the class as a function of its parameters, (query, bias, keys, mask) -> weights.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor

from minidistill.course.diagnosis import Mistake

Right = Callable[..., Tensor]


def _bias_in_the_query(
    right: Right, query: Tensor, bias: Tensor, keys: Tensor, mask: Tensor
) -> Tensor:
    return right(query + bias[:, None], 0 * bias, keys, mask)


def _all_scaled(right: Right, query: Tensor, bias: Tensor, keys: Tensor, mask: Tensor) -> Tensor:
    root = query.size(1) ** 0.5
    return right(query / root, bias / root, keys, mask)


def _bias_last(right: Right, query: Tensor, bias: Tensor, keys: Tensor, mask: Tensor) -> Tensor:
    return right(query, 0 * bias, keys, mask) + bias


def _factor_last(right: Right, query: Tensor, bias: Tensor, keys: Tensor, mask: Tensor) -> Tensor:
    return right(query, 0 * bias, keys, mask) * bias.exp()


def _share_last(right: Right, query: Tensor, bias: Tensor, keys: Tensor, mask: Tensor) -> Tensor:
    return right(query, 0 * bias, keys, mask) * bias.softmax(0)


def _averaged(right: Right, query: Tensor, bias: Tensor, keys: Tensor, mask: Tensor) -> Tensor:
    return (right(query, 0 * bias, keys, mask) + right(0 * query, bias, keys, mask)) / 2


def _packed(right: Right, query: Tensor, bias: Tensor, keys: Tensor, mask: Tensor) -> Tensor:
    at = (mask.long().cumsum(1) - 1).clamp(min=0)
    scores = (keys * query[at]).sum(-1) + bias[at]
    return scores.masked_fill(~mask, -1e30).softmax(1).masked_fill(~mask, 0.0)


AFTER = "the bias is added after the softmax: it is a part of the score"

_MISTAKES = (
    (
        "the bias is added to the query before the product: there it meets the key, and should "
        "stand by itself",
        _bias_in_the_query,
    ),
    (
        "score and bias together are divided by the root of A: the formula has no such factor",
        _all_scaled,
    ),
    (AFTER, _bias_last),
    (
        "the weights are multiplied by e to the bias after the softmax, and no longer add up to 1: "
        "the bias is a part of the score",
        _factor_last,
    ),
    (
        "the biases have a softmax of their own, by which the weights are multiplied, and they no "
        "longer add up to 1: the bias is a part of the score",
        _share_last,
    ),
    (
        "queries and biases have a softmax each, and the weights are averaged: one softmax of "
        "their sum",
        _averaged,
    ),
    (
        "the first real word meets the first place's query, the second the second's: padding takes "
        "up places too, and a word belongs to the column where it stands",
        _packed,
    ),
)


def more_mistakes(right: Right) -> tuple[Mistake, ...]:
    """What these mistakes make of the right function."""
    return tuple((sentence, partial(change, right)) for sentence, change in _MISTAKES)
