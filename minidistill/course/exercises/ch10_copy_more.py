"""Chapter 10: further wrong versions of `copy_mixture`, and what is said of very rare words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from minidistill.course.exercises.ch04_pairs import Fault, Parts
from minidistill.course.exercises.ch10_copy_steps import build, ln, whole_gate

SOFTMAX_AGAIN = "the weights go through a softmax once more: they are probabilities already"
FLOOR = (
    "a word that nobody can say is too likely: add nothing to p, and raise only what is below "
    "torch.finfo(p.dtype).tiny, or rare words are told apart no more"
)
TOO_LOW = (
    "a word that nobody can say is raised to less than torch.finfo(p.dtype).tiny, the smallest "
    "normal number: many processors take smaller ones for 0, and ln 0 is there again"
)
RARE = (
    "a word that is rare but possible, such as e^-60, gets another p: add nothing to p, and raise "
    "only what is below torch.finfo(p.dtype).tiny"
)
NOT_QUITE_0 = (
    "a word's p is not 0 but below the smallest normal number, and its gradient, 1 / p, is "
    "infinite: raise everything that is below torch.finfo(p.dtype).tiny, not 0 alone"
)

MORE: tuple[Fault, ...] = (
    (
        "the gate is set to 1 for every source that has padding: only where nothing of it is real",
        {
            "gate": lambda gate, mask: (
                gate if mask is None else torch.where(mask.all(1)[:, None], gate, 1.0)
            )
        },
    ),
    (
        "all words that the vocabulary lacks are copied to one place: each has its own, its id",
        {"places": lambda source, V: source.clamp(max=V)},
    ),
)

CUT_OFF: tuple[tuple[str, Parts], ...] = (
    ("no gradient reaches the gate: it is detached", {"gate": lambda gate, mask: gate.detach()}),
    (
        "what is copied is detached: no gradient reaches the attention",
        {"kept": lambda copied, V: copied.detach()},
    ),
    (
        "what is written is detached: no gradient reaches the logits",
        {"write": lambda logits, size: logits.softmax(-1).detach()},
    ),
    (
        "the weights are divided by their sum, through which a gradient flows too: they add up to "
        "1 already",
        {"weights": lambda weights: weights / weights.sum(-1, keepdim=True)},
    ),
    (
        "p is divided by its sum, through which a gradient flows too: it adds up to 1 already",
        {"finish": lambda p: ln(p / p.sum(-1, keepdim=True))},
    ),
)
"""Where no place is without a word, their values are right and their gradients are not."""


def softmax_of_masked(
    logits: Tensor,
    weights: Tensor,
    gate: Tensor,
    source: Tensor,
    extended_size: int,
    mask: Tensor | None = None,
) -> Tensor:
    """A softmax of the weights, from which padding is left out."""
    if mask is not None:
        weights = weights.masked_fill(~mask[:, None], -torch.inf)
        source = source.masked_fill(~mask, 0)
    return build({"gate": lambda g, _: whole_gate(g, mask)})(
        logits, weights.softmax(-1), gate, source, extended_size
    )


def only_raised(low: float) -> Callable[[Any, Tensor], str | None]:
    """The sentence, where nothing is wrong but the p of words that nobody can say."""

    def describe(got: Any, want: Tensor) -> str | None:
        if not isinstance(got, Tensor) or got.shape != want.shape:
            return None
        none = want <= low
        apart = (got - want).abs()
        raised = none.any() and bool((apart[none] > 0.1).all())
        return FLOOR if raised and bool((apart[~none] < 1e-4).all()) else None

    return describe


def sunk(got: Any, dtype: torch.dtype) -> bool:
    """Whether a word was raised to a number between the smallest of all and the normal ones."""
    info = torch.finfo(dtype)
    smallest, normal = torch.tensor([info.tiny * info.eps, info.tiny], dtype=torch.float64).log()
    return isinstance(got, Tensor) and bool(((got > smallest - 1) & (got < normal - 0.1)).any())
