"""Chapter 10: `copy_mixture` in steps, so that a mistake exchanges one of them."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from minidistill.course.exercises.ch04_pairs import Parts


def whole_gate(gate: Tensor, mask: Tensor | None) -> Tensor:
    """The gate, 1 where nothing of a source is real."""
    return gate if mask is None else torch.where(mask.any(1)[:, None], gate, 1.0)


def added(weights: Tensor, places: Tensor, size: int) -> Tensor:
    """The weights, (B, T, S), added into the columns of their words."""
    return weights.new_zeros(*weights.shape[:2], size).scatter_add(2, places, weights)


def reduced(how: str) -> Callable[..., Tensor]:
    """As `added`, but of the weights of one word the largest, or their mean."""

    def scatter(weights: Tensor, places: Tensor, size: int) -> Tensor:
        zeros = weights.new_zeros(*weights.shape[:2], size)
        return zeros.scatter_reduce(2, places, weights, how, include_self=False)

    return scatter


def overwritten(weights: Tensor, places: Tensor, size: int) -> Tensor:
    """As `added`, but of the weights of one word the last."""
    zeros = weights.new_zeros(*weights.shape[:2], size)
    for s in range(weights.size(2)):  # one by one: with two at once torch promises no order
        zeros = zeros.scatter(2, places[..., s : s + 1], weights[..., s : s + 1])
    return zeros


def hard(weights: Tensor) -> Tensor:
    """All of it for the place that is looked at most."""
    return functional.one_hot(weights.argmax(2), weights.size(2)).to(weights)


def widened(written: Tensor, size: int) -> Tensor:
    """Probabilities with zeros after them."""
    return functional.pad(written, (0, size - written.size(2)))


def ln(p: Tensor) -> Tensor:
    """The logarithm, of the smallest number of the type where p is below it."""
    return p.clamp(min=torch.finfo(p.dtype).tiny).log()


STEPS: Parts = {
    "mask": lambda mask: mask,
    "gate": whole_gate,
    "write": lambda logits, size: widened(logits.softmax(-1), size),
    "weights": lambda weights: weights,
    "places": lambda source, V: source,
    "scatter": added,
    "kept": lambda copied, V: copied,
    "mix": lambda g, written, copied: g * written + (1 - g) * copied,
    "finish": ln,
}


def build(parts: Parts) -> Callable[..., Any]:
    """A `copy_mixture` in which some steps are exchanged."""
    s = SimpleNamespace(**STEPS | parts)

    def mistaken(
        logits: Tensor,
        weights: Tensor,
        gate: Tensor,
        source: Tensor,
        extended_size: int,
        mask: Tensor | None = None,
    ) -> Any:
        mask, V = s.mask(mask), logits.size(-1)
        if mask is not None:
            weights = weights.masked_fill(~mask[:, None], 0.0)
            source = source.masked_fill(~mask, 0)
        g = s.gate(gate, mask)[..., None]
        places = s.places(source, V)[:, None].expand_as(weights)
        copied = s.kept(s.scatter(s.weights(weights), places, extended_size), V)
        return s.finish(s.mix(g, s.write(logits, extended_size), copied))

    return mistaken
