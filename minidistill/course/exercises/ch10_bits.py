"""Chapter 10: the cases of open_vocabulary_bits."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from minidistill.course.answer import Answer
from minidistill.course.diagnosis import expect_no_memory
from minidistill.course.exercise import Wrong, agrees, expect
from minidistill.course.exercises.ch02_shared import keeps_type, without_mask
from minidistill.course.exercises.ch09_shared import (
    compared,
    first_of,
    ragged,
    rows,
    same_gradients,
    strange,
)
from minidistill.course.exercises.ch10_bits_mistakes import MISTAKES, PAIRS
from minidistill.course.exercises.ch10_bits_more import LEFT_NAN, LEFT_OUT, ONCE, TOO_CHEAP, once
from minidistill.open_vocabulary import open_vocabulary_bits

_KNOWN = (*MISTAKES, *PAIRS)
_RNG = torch.Generator().manual_seed(9)
_WHAT = "the bits per character"


def _inputs(rng: torch.Generator, B: int, T: int, V: int, unknown: int = 0) -> tuple[Any, ...]:
    """Ragged texts; about a third of the tokens is unknown, at padding too."""
    targets = torch.randint(V, (B, T), generator=rng)
    some = torch.rand(B, T, generator=rng) < 0.3
    some[0, 0], some[0, 1], some[-1, 0], some[1, -1] = True, False, False, True
    targets[0, 1], targets[-1, 0] = (unknown + 1) % V, (unknown - 1) % V
    spelling = torch.rand(B, T, generator=rng, dtype=torch.float64) * 9 + 2
    ids = targets.masked_fill(some, unknown)
    return rows(rng, B, T, V), ids, spelling, 5 * T + B, unknown, ragged(rng, B, T)


PROBES = (
    _inputs(_RNG, 3, 5, 7),
    _inputs(_RNG, 5, 4, 11, 6),
    _inputs(_RNG, 4, 7, 5, 2),
)
"""Ordinary inputs on which a mistake must show itself too before it is named."""


def _case(answer: Answer, *args: Any) -> None:
    compared(answer, open_vocabulary_bits, args, _KNOWN, PROBES, _WHAT)


def by_hand(answer: Answer, rng: torch.Generator) -> None:
    """p = 1/2, 1/4, 1/8; the second word unknown, 5 ln 2 to spell it; 4 characters: 2.75 bits."""
    p = torch.tensor([[0.25, 0.5, 0.25], [0.25, 0.25, 0.5], [0.75, 0.125, 0.125]])
    targets, spelling = torch.tensor([1, 0, 2]), torch.tensor([9.0, 5 * math.log(2), 9.0])
    args, want = (p.log(), targets, spelling, 4), torch.tensor(2.75)
    expect(open_vocabulary_bits(*args), want, "the reference")
    without_mask(answer, *args, 0)
    expect_no_memory(answer, args, (*args[:3], 10), want, _WHAT)
    if agrees(answer(*args), torch.tensor(1.0)):
        raise Wrong(LEFT_OUT)
    _case(answer, *args)


def unmasked(answer: Answer, rng: torch.Generator) -> None:
    """without a mask every token is real: logits (B, T, V) or (N, V)."""
    *args, _ = _inputs(rng, 3, 5, 7)
    without_mask(answer, *args)
    _case(answer, *args)
    _case(answer, *(x[0] for x in args[:3]), 11)


def other_unknown(answer: Answer, rng: torch.Generator) -> None:
    """<unk> has the id 3, or the last one."""
    for unknown in (3, 10):
        *args, _ = _inputs(rng, 3, 5, 11, unknown)
        _case(answer, *args)


def masked(answer: Answer, rng: torch.Generator) -> None:
    """texts of different lengths, in which an unknown word stands at padding, too."""
    _case(answer, *_inputs(rng, 3, 5, 7))
    _case(answer, *_inputs(rng, 5, 7, 11, 4))


def known_only(answer: Answer, rng: torch.Generator) -> None:
    """a text without unknown words, and one of nothing else."""
    logits, targets, spelling, characters, _, mask = _inputs(rng, 3, 5, 7)
    _case(answer, logits, targets.clamp(min=1), spelling, characters, 0, mask)
    _case(answer, logits, torch.zeros_like(targets), spelling, characters, 0, mask)


def alike(answer: Answer, rng: torch.Generator) -> None:
    """unknown words that cost the same to spell, as one that comes twice does."""
    logits, targets, spelling, *rest = _inputs(rng, 5, 7, 7, 2)
    args = (logits, targets, torch.full_like(spelling, 7.0), *rest)
    if agrees(answer(*args), once(*args)):
        raise Wrong(ONCE)
    _case(answer, *args)


def spelling_anywhere(answer: Answer, rng: torch.Generator) -> None:
    """where a word is known its spelling may be NaN or infinite."""
    logits, targets, spelling, characters, unknown, mask = _inputs(rng, 3, 5, 7, 2)
    for odd in (torch.nan, torch.inf):
        kept = spelling.masked_fill(targets != unknown, odd)
        for real in (None, mask):
            args = (logits, targets, kept, characters, unknown, real)
            if strange(answer(*args)):
                raise Wrong(
                    "where a word is known its spelling may be NaN or infinite, and 0 times that "
                    "is NaN: choose (torch.where, masked_fill, an index), do not multiply by 0"
                )
            _case(answer, *args)


def at_padding(answer: Answer, rng: torch.Generator) -> None:
    """at padding anything may stand: NaN, infinity, a target of -100; where nothing is real, 0."""
    logits, targets, spelling, characters, unknown, mask = _inputs(rng, 3, 5, 7, 2)
    for odd in (torch.nan, torch.inf):
        one = logits.masked_fill(~mask[..., None], odd)
        other = spelling.masked_fill(~mask, odd)
        for there in (-100, unknown):
            ids = targets.masked_fill(~mask, there)
            args = (one, ids, other, characters, unknown, mask)
            first_of(
                (
                    lambda args=args: strange(answer(*args)),
                    "what stands at padding spoils the bits: 0 times NaN is NaN, so leave such "
                    "places out (masked_fill or an index), do not multiply them by the mask",
                )
            )
            _case(answer, *args)
    nothing = torch.zeros_like(mask)
    first_of(
        (
            lambda: strange(answer(logits, targets, spelling, characters, unknown, nothing)),
            "where nothing is real the cost is 0, and so are the bits; here it is NaN: sum over "
            "the real tokens, and divide by the number of characters alone",
        )
    )
    _case(answer, logits, targets, spelling, characters, unknown, nothing)


def extreme(answer: Answer, rng: torch.Generator) -> None:
    """logits of 10,000, and words that the model held nearly impossible."""
    logits, *rest = _inputs(rng, 3, 5, 7)
    if strange(answer(logits + 1e4, *rest)):
        raise Wrong(
            "exp of a large logit overflows: take the logarithm and the softmax in one step "
            "(log_softmax)"
        )
    if strange(answer(logits * 500, *rest)):
        raise Wrong(
            "the softmax of a very unlikely word is 0 in the computer, and ln 0 is infinite: take "
            "the logarithm and the softmax in one step (log_softmax)"
        )
    if _too_cheap(answer(logits * 500, *rest), open_vocabulary_bits(logits * 500, *rest)):
        raise Wrong(TOO_CHEAP)
    _case(answer, logits + 1e4, *rest)
    _case(answer, logits * 500, *rest)


def _too_cheap(got: Any, want: Tensor) -> bool:
    return isinstance(got, Tensor) and got.shape == want.shape and bool(got < want / 2)


def gradients(answer: Answer, rng: torch.Generator) -> None:
    """the gradient reaches the logits, with the right values."""
    same_gradients(answer, open_vocabulary_bits, _inputs(rng, 3, 5, 7, 3), "the logits")


def calm(answer: Answer, rng: torch.Generator) -> None:
    """NaN and infinity at padding do not reach the gradient either."""
    logits, targets, spelling, characters, unknown, mask = _inputs(rng, 3, 5, 7, 2)
    for odd in (torch.nan, torch.inf):
        one = logits.masked_fill(~mask[..., None], odd)
        for there in (-100, unknown):
            ids = targets.masked_fill(~mask, there)
            args = (one, ids, spelling, characters, unknown, mask)
            if not strange(answer(*args)) and strange(
                answer.gradients(*args, wrt=(0,))["inputs"][0]
            ):
                raise Wrong(LEFT_NAN)


def precise(answer: Answer, rng: torch.Generator) -> None:
    """in float64 all digits are right."""
    args = _inputs(rng, 3, 5, 7)
    want: Tensor = open_vocabulary_bits(*args)
    got = answer(*args)
    expect(got, want, _WHAT, tolerance=1e-10)
    keeps_type(got, want, _WHAT)
