"""Chapter 10: the cases of copy_mixture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from minidistill.course.answer import Answer, reference_answer
from minidistill.course.diagnosis import compare, expect_no_memory
from minidistill.course.exercise import Wrong, agrees, expect
from minidistill.course.exercises.ch02_shared import expect_gradients, keeps_type, without_mask
from minidistill.course.exercises.ch09_shared import first_of, ragged, rows, strange
from minidistill.course.exercises.ch10_copy_mistakes import MISTAKES, PAIRS, build
from minidistill.course.exercises.ch10_copy_more import (
    CUT_OFF,
    FLOOR,
    NOT_QUITE_0,
    RARE,
    TOO_LOW,
    only_raised,
    sunk,
)
from minidistill.pointer import copy_mixture

LOW = -20.0


def _seen(function: Callable[..., Any]) -> Callable[..., Any]:
    """What is compared of log-probabilities: not how far below e^-20 one lies."""

    def looked_at(*args: Any) -> Any:
        got = function(*args)
        return got.clamp(min=LOW) if isinstance(got, Tensor) else got

    return looked_at


_KNOWN = [(sentence, _seen(function)) for sentence, function in (*MISTAKES, *PAIRS)]
_RNG = torch.Generator().manual_seed(11)
_WHAT = "the log-probabilities"


def _inputs(
    rng: torch.Generator, B: int, T: int, S: int, V: int, places: int, mask: Tensor | None = None
) -> tuple[Any, ...]:
    """Weights add up to 1 over the real places; at padding they are small numbers, not 0."""
    size = V + places
    source = torch.randint(size, (B, S), generator=rng)
    source[:, 0], source[-1, -1] = size - 1, V - 1  # a word of the source alone, and a known one
    source[0, 1] = source[0, 0]  # that stands twice
    scores = rows(rng, B, T, S)
    weights = scores.softmax(-1)
    if mask is not None:
        there = mask[:, None]
        weights = scores.masked_fill(~there, -1e9).softmax(-1).masked_fill(~there, 0.05)
    gate = 0.15 + 0.7 * torch.rand(B, T, generator=rng, dtype=torch.float64)
    args = (rows(rng, B, T, V), weights, gate, source, size)
    return args if mask is None else (*args, mask)


def _ragged(rng: torch.Generator, B: int, T: int, S: int, V: int, places: int) -> tuple[Any, ...]:
    return _inputs(rng, B, T, S, V, places, ragged(rng, B, S))


PROBES = (
    _ragged(_RNG, 3, 4, 6, 7, 3),
    _ragged(_RNG, 5, 5, 5, 5, 2),
    _inputs(_RNG, 2, 3, 5, 4, 7),
)
"""Ordinary inputs on which a mistake must show itself too before it is named."""


def _case(answer: Answer, *args: Any) -> None:
    got = compare(
        _seen(answer),
        _seen(copy_mixture),
        args,
        _WHAT,
        mistakes=_KNOWN,
        probes=PROBES,
        describe=only_raised(LOW),
    )
    keeps_type(got, args[0], _WHAT)


def by_hand(answer: Answer, rng: torch.Generator) -> None:
    """source (1, 3, 1), of which 3 is in no vocabulary: step 1 is (0.3, 0.35, 0.15, 0.2, 0, 0)."""
    logits = torch.tensor([0.5, 0.25, 0.25]).log().expand(1, 3, 3).contiguous()
    weights = torch.tensor([[[0.2, 0.5, 0.3], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    gate, source = torch.tensor([[0.6, 0.6, 0.2]]), torch.tensor([[1, 3, 1]])
    p = [[0.3, 0.35, 0.15, 0.2, 0, 0], [0.3, 0.55, 0.15, 0, 0, 0], [0.1, 0.05, 0.05, 0.8, 0, 0]]
    args, want = (logits, weights, gate, source, 6), torch.tensor([p]).log().clamp(min=LOW)
    other = (logits, weights, gate / 2, source, 6)
    expect(_seen(copy_mixture)(*args), want, "the reference")
    without_mask(answer, *args)
    expect_no_memory(_seen(answer), args, other, want, _WHAT)
    _case(answer, *args)


def unmasked(answer: Answer, rng: torch.Generator) -> None:
    """B = 3, T = 4, S = 6, V = 7 and three places more, without a mask."""
    args = _inputs(rng, 3, 4, 6, 7, 3)
    without_mask(answer, *args)
    _case(answer, *args)


def square(answer: Answer, rng: torch.Generator) -> None:
    """equal sizes, where mixed-up dimensions raise no error; no places; one of everything."""
    _case(answer, *_inputs(rng, 5, 5, 5, 5, 5))
    _case(answer, *_inputs(rng, 3, 5, 5, 5, 0))
    *args, _, size = _inputs(rng, 1, 1, 2, 3, 2)
    _case(answer, *args, torch.tensor([[4, 1]]), size)


def repeated(answer: Answer, rng: torch.Generator) -> None:
    """sources of few words, each of which stands in them several times."""
    args = _inputs(rng, 3, 4, 11, 7, 2)
    source = torch.tensor([2, 8, 7])[torch.randint(3, (3, 11), generator=rng)]
    _case(answer, *args[:3], source, args[4])


def masked(answer: Answer, rng: torch.Generator) -> None:
    """sources of different lengths, with weights at padding that are not 0."""
    _case(answer, *_ragged(rng, 3, 4, 6, 7, 3))
    _case(answer, *_ragged(rng, 5, 3, 7, 11, 2))


def at_padding(answer: Answer, rng: torch.Generator) -> None:
    """at padding any weight and any id may stand: NaN, -100."""
    *args, source, size, mask = _ragged(rng, 3, 4, 6, 7, 3)
    logits, weights, gate = args
    odd = weights.masked_fill(~mask[:, None], torch.nan)
    first_of(
        (
            lambda: _has_nan(answer(logits, odd, gate, source, size, mask)),
            "what stands at padding spoils the row: 0 times NaN is NaN, so set the weights there "
            "to 0 (masked_fill), do not multiply them by the mask",
        )
    )
    _case(answer, logits, odd, gate, source, size, mask)
    for there in (-100, size + 5):
        try:
            answer(logits, weights, gate, source.masked_fill(~mask, there), size, mask)
        except Wrong as wrong:
            raise Wrong(
                f"at padding an id may stand that is none, such as {there}: put a valid one in its "
                f"place first, and its weight to 0 ({wrong})"
            ) from None
    for there in (-100, size + 5, size - 1, 0):
        _case(answer, logits, odd, gate, source.masked_fill(~mask, there), size, mask)


def nothing_real(answer: Answer, rng: torch.Generator) -> None:
    """a source of nothing but padding: all is written, whatever the gate says."""
    *args, mask = _ragged(rng, 3, 4, 6, 7, 3)
    mask[1] = False
    gate, got = args[2], answer(*args, mask)
    if _has_nan(got):
        raise Wrong(
            "where nothing of a source is real the row is NaN: there all is written, g = 1, and "
            "nothing is divided by the sum of the weights"
        )
    if _adds_up_to(got, 1, gate[1]):
        raise Wrong(
            "where nothing of a source is real there is nothing to copy, and the share 1 - g is "
            "lost, so that the row does not add up to 1: g is 1 there"
        )
    if isinstance(got, Tensor) and len(got) > 1 and bool((got[1] < LOW).all()):
        raise Wrong(
            "where nothing of a source is real no word is possible at all: there all is written, "
            "so g is 1, not 0"
        )
    written = copy_mixture(args[0], args[1], torch.ones_like(gate), *args[3:], mask)
    if isinstance(got, Tensor) and agrees(got.clamp(min=LOW), written.clamp(min=LOW)):
        raise Wrong(
            "where nothing of one source is real the gate is 1 for all texts: for this one alone"
        )
    _case(answer, *args, mask)


def _adds_up_to(got: Any, text: int, share: Tensor) -> bool:
    fits = isinstance(got, Tensor) and got.dim() == 3 and got.shape[1] == len(share)
    return fits and len(got) > text and agrees(got[text].exp().sum(-1), share)


def _has_nan(got: Any) -> bool:
    return isinstance(got, Tensor) and bool(got.isnan().any())


def impossible(answer: Answer, rng: torch.Generator) -> None:
    """words that can be neither written nor copied: a very low number, and no NaN behind it."""
    logits, weights, gate, source, size = _inputs(rng, 3, 4, 6, 7, 3)
    logits[..., 2] = -torch.inf
    source = source.masked_fill((source == 2) | (source == 8), 5)
    for dtype in (torch.float32, torch.float64):
        args = (logits.to(dtype), weights.to(dtype), gate.to(dtype), source, size)
        got = answer(*args)
        if isinstance(got, Tensor) and bool(got.isinf().any()):
            raise Wrong(
                "a word that nobody can say has ln 0, minus infinity: raise p to "
                "torch.finfo(p.dtype).tiny first, p.clamp(min=...)"
            )
        if _far_too_likely(got, copy_mixture(*args)):
            raise Wrong(FLOOR)
        if sunk(got, dtype):
            raise Wrong(TOO_LOW)
        _case(answer, *args)
        if _broken(answer, args):
            raise Wrong(
                "the values are right, but the gradient is NaN or infinite: where ln 0 is mended "
                "after the logarithm, infinity times 0 is still in the gradient. Raise p first, "
                "then take the logarithm"
            )


def _far_too_likely(got: Any, want: Tensor) -> bool:
    fits = isinstance(got, Tensor) and got.shape == want.shape
    return fits and bool((got[want < -80] > -65).any())


def rare(answer: Answer, rng: torch.Generator) -> None:
    """words that are hardly possible, such as e^-60, keep their p; no gradient is infinite."""
    logits, weights, gate, source, size = _inputs(rng, 3, 4, 6, 7, 3)
    source = source.masked_fill((source == 2) | (source == 4) | (source == 8), 5)
    source[:, 3], weights[:, :, 3] = 8, 1e-26  # about e^-60, and copied alone
    weights = weights / weights.sum(-1, keepdim=True)
    for dtype, beyond in ((torch.float32, -95), (torch.float64, -730)):
        logits[..., 2] = logits[..., 4] = -torch.inf
        most = logits.logsumexp(-1)
        logits[..., 2], logits[..., 4] = most - 75, most + beyond
        args = (logits.to(dtype), weights.to(dtype), gate.to(dtype), source, size)
        _case(answer, *args)
        apart = (answer(*args) - copy_mixture(*args)).abs()
        if bool((apart[..., [2, 8]] > 0.1).any()):
            raise Wrong(RARE)
        if _broken(answer, args):
            raise Wrong(NOT_QUITE_0)


def _broken(answer: Answer, args: tuple[Any, ...]) -> bool:
    """Whether a gradient is NaN or infinite."""
    return any(map(strange, answer.gradients(*args, wrt=(0, 1, 2))["inputs"]))


def gradients(answer: Answer, rng: torch.Generator) -> None:
    """the gradient reaches the logits, the weights and the gate, with the right values."""
    args = _inputs(rng, 3, 4, 6, 7, 0)
    for mask in (None, ragged(rng, 3, 6)):
        given = (*args, mask)

        def found(one: Answer, given: tuple[Any, ...] = given) -> list[Tensor]:
            return one.gradients(*given, wrt=(0, 1, 2))["inputs"]

        known = [(text, found(reference_answer(build(parts)))) for text, parts in CUT_OFF]
        want = found(reference_answer(copy_mixture))
        expect_gradients(found(answer), want, ("the logits", "the weights", "the gate"), known)


def precise(answer: Answer, rng: torch.Generator) -> None:
    """in float64 all digits are right."""
    args = _ragged(rng, 3, 4, 6, 7, 0)
    expect(answer(*args), copy_mixture(*args), _WHAT, tolerance=1e-10)
