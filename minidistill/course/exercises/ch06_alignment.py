"""Chapter 06: cases for `alignment_accuracy`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from minidistill.alignment import alignment_accuracy
from minidistill.batches import IGNORE
from minidistill.course.answer import Answer
from minidistill.course.diagnosis import compare, expect_no_memory
from minidistill.course.exercise import Wrong
from minidistill.course.exercises.ch02_shared import ragged_lengths
from minidistill.course.exercises.ch06_alignment_mistakes import MISTAKES, PAIRS

_WHAT = "(how many are right, how many are known)"


def _inputs(
    rng: torch.Generator, B: int, T: int, S: int, share: float = 0.6, ragged: bool = True
) -> tuple[Tensor, Tensor]:
    """Weights (B, T, S), whose largest is at the true place for about `share` of the targets."""
    alignment = torch.randint(S, (B, T), generator=rng)
    weights = torch.rand(B, T, S, generator=rng, dtype=torch.float64).pow(2)
    true = torch.rand(B, T, generator=rng) < share
    weights.scatter_add_(2, alignment[:, :, None], 2 * true[:, :, None].double())
    if ragged:
        lengths = ragged_lengths(rng, T, B)
        alignment[torch.arange(T) >= lengths[:, None]] = IGNORE
    return weights / weights.sum(-1, keepdim=True), alignment


_RNG = torch.Generator().manual_seed(9)
PROBES = (
    _inputs(_RNG, 5, 11, 7),
    _inputs(_RNG, 7, 7, 7, 0.8),
    _inputs(_RNG, 5, 13, 3, 0.4),
    _inputs(_RNG, 3, 17, 11, 0.9),
    _inputs(_RNG, 3, 19, 5, 0.6, ragged=False),
    # Here the place of the largest of all weights may be right, and so may a weight itself, 1.
    (
        torch.tensor([[[0.0, 0.0, 1.0], [0.2, 0.6, 0.2], [0.0, 0.0, 1.0]]]),
        torch.tensor([[2, 2, 1]]),
    ),
)


def _places(answer: Answer) -> Any:
    """The answer, with words for the commonest crash: max gives two things."""

    def asked(*args: Any) -> Any:
        try:
            return answer(*args)
        except Wrong as wrong:
            if "'bool' object has no attribute" not in str(wrong):
                raise
            raise Wrong(
                "two things of different kinds are compared: weights.max(-1) gives values and "
                f"places, weights.argmax(-1) the places alone ({wrong})"
            ) from None

    return asked


def _case(answer: Answer, weights: Tensor, alignment: Tensor) -> None:
    known = (*MISTAKES, *PAIRS)
    compare(answer, alignment_accuracy, (weights, alignment), _WHAT, mistakes=known, probes=PROBES)


def alignment_by_hand(answer: Answer, rng: torch.Generator) -> None:
    """three letters reversed, one looked up at the wrong place: 2 of 3."""
    weights = torch.tensor([[[0.1, 0.2, 0.7], [0.5, 0.3, 0.2], [0.9, 0.1, 0.0]]])
    alignment = torch.tensor([[2, 1, 0]])
    # Two texts without padding, so that no other mistake gives (2, 3) for them as well.
    other: tuple[Any, Any] = (weights.repeat(2, 1, 1), torch.tensor([[0, 1, 1], [2, 1, 1]]))
    expect_no_memory(_places(answer), (weights, alignment), other, (2, 3), _WHAT)
    _case(answer, weights, alignment)


def alignment_ragged(answer: Answer, rng: torch.Generator) -> None:
    """padding and <eos> come from nowhere: they are neither right nor known."""
    _case(answer, *_inputs(rng, 5, 11, 7))
    _case(answer, *_inputs(rng, 5, 7, 7, 0.8))


def alignment_first_place(answer: Answer, rng: torch.Generator) -> None:
    """the source's first token has the number 0, which is a place like others."""
    weights, alignment = _inputs(rng, 3, 11, 2, 0.8)
    alignment[0, 0] = 0
    _case(answer, weights, alignment)


def alignment_flat(answer: Answer, rng: torch.Generator) -> None:
    """the largest weight counts, also where it is small."""
    weights, alignment = _inputs(rng, 3, 7, 13)
    flat = 1 + 0.01 * weights
    _case(answer, flat / flat.sum(-1, keepdim=True), alignment)


def alignment_holes(answer: Answer, rng: torch.Generator) -> None:
    """a target of unknown origin may stand anywhere, as the spaces between phrases do."""
    weights, alignment = _inputs(rng, 5, 11, 7, ragged=False)
    unknown = torch.rand(5, 11, generator=rng) < 0.3
    unknown[0, 0], unknown[1, 5] = True, True
    _case(answer, weights, alignment.masked_fill(unknown, IGNORE))
    for B, T, S in ((3, 1, 5), (1, 1, 5), (1, 7, 5), (5, 7, 1)):
        _case(answer, *_inputs(rng, B, T, S, ragged=False))


def alignment_none(answer: Answer, rng: torch.Generator) -> None:
    """a row without a known origin, nothing right, and nothing known at all."""
    weights, alignment = _inputs(rng, 3, 7, 5)
    alignment[1] = IGNORE
    _case(answer, weights, alignment)
    known = alignment != IGNORE
    places = weights.argmax(-1)
    _case(answer, weights, torch.where(known, (places + 1) % 5, IGNORE))
    _case(answer, weights, torch.full_like(alignment, IGNORE))
