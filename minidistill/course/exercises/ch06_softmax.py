"""Chapter 06: cases for `masked_softmax`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from minidistill.attention import masked_softmax
from minidistill.course.answer import Answer, reference_answer
from minidistill.course.diagnosis import compare
from minidistill.course.exercise import Wrong, agrees, expect
from minidistill.course.exercises.ch02_shared import (
    expect_gradients,
    keeps_type,
    numbers,
    ragged_lengths,
)
from minidistill.course.exercises.ch03_pairs import Single
from minidistill.course.exercises.ch06_softmax_mistakes import MISTAKES, PAIRS, softmax_with

_WHAT = "the weights"
NAN = (
    "a row that is nothing but padding gives NaN: a softmax over nothing is 0 / 0. Fill with the "
    "lowest finite number, torch.finfo(scores.dtype).min, and set the weights at padding to 0"
)


def _inputs(rng: torch.Generator, B: int, T: int, S: int) -> tuple[Tensor, Tensor]:
    """Scores (B, T, S) and the mask of ragged sources, (B, 1, S)."""
    mask = torch.arange(S) < ragged_lengths(rng, S, B)[:, None]
    return numbers(rng, B, T, S, scale=2.0), mask[:, None]


_RNG = torch.Generator().manual_seed(9)
PROBES: tuple[tuple[Tensor, Tensor], ...] = (_inputs(_RNG, 3, 5, 7), _inputs(_RNG, 5, 5, 5))
PROBES += tuple((scores - low, mask) for scores, mask in PROBES[:1] for low in (150, 20_000))
PROBES += ((numbers(_RNG, 3, 2, 5), torch.ones(3, 1, 5, dtype=torch.bool)),)


def _case(answer: Answer, *inputs: Any, what: str = _WHAT) -> None:
    known = (*MISTAKES, *PAIRS)
    got = compare(answer, masked_softmax, inputs, what, mistakes=known, probes=PROBES)
    keeps_type(got, inputs[0], what)


def softmax_by_hand(answer: Answer, rng: torch.Generator) -> None:
    """scores ln 1, ln 2, ln 3, ln 4, the third padding: 1/7, 2/7, 0, 4/7."""
    scores = torch.tensor([[1.0, 2.0, 3.0, 4.0]]).log()
    mask = torch.tensor([[True, True, False, True]])
    want = torch.tensor([[1, 2, 0, 4]]) / 7
    expect(masked_softmax(scores, mask), want, "the reference")
    try:
        _case(answer, scores, mask)
    except Wrong:
        if not _right_for(answer, scores[None], mask[None], want[None]):
            raise
        raise Wrong(
            "it works only for a mask (B, 1, S) and scores (B, T, S), and here both are (B, S): "
            "the mask may have any shape that broadcasts, so do not take it apart, and let "
            "torch stretch it"
        ) from None


def _right_for(answer: Answer, scores: Tensor, mask: Tensor, want: Tensor) -> bool:
    try:
        got = answer(scores, mask)
    except Wrong:
        return False
    return agrees(got, want) and got.dtype == want.dtype


def softmax_unmasked(answer: Answer, rng: torch.Generator) -> None:
    """without a mask every token is real."""
    scores = numbers(rng, 3, 5, 7)
    for inputs, words in (
        ((scores, None), "the mask is None here, which means that every token is real: ask `if "),
        (
            (scores,),
            "it must also run when no mask is handed in: mask=None in the first line, `if ",
        ),
    ):
        try:
            answer(*inputs)
        except Wrong as trouble:
            if not any(word in str(trouble) for word in ("NoneType", "None", "missing")):
                raise
            raise Wrong(f"{words}mask is None` before you use it ({trouble})") from None
    _case(answer, scores, None)


def softmax_uneven(answer: Answer, rng: torch.Generator) -> None:
    """B = 3, T = 5, S = 7, sources of different lengths."""
    scores, mask = _inputs(rng, 3, 5, 7)
    try:
        answer(scores, mask)
    except Wrong as trouble:
        if "shape of the mask" not in str(trouble):
            raise
        raise Wrong(
            "scores[mask] wants a mask of just the scores' shape, and this one is to be stretched: "
            f"mask.expand_as(scores), or masked_fill, which stretches it ({trouble})"
        ) from None
    _case(answer, scores, mask)
    _case(answer, *_inputs(rng, 5, 5, 5))


def softmax_holes(answer: Answer, rng: torch.Generator) -> None:
    """padding anywhere, in a mask as large as the scores, and S = 1."""
    mask = torch.rand(3, 5, 7, generator=rng) < 0.6
    mask[:, :, 3], mask[0, 0, 0] = True, False
    _case(answer, numbers(rng, 3, 5, 7), mask)
    _case(answer, numbers(rng, 3, 1), torch.ones(3, 1, dtype=torch.bool))


def _whatever_stands_there(answer: Answer, scores: Tensor, mask: Tensor) -> None:
    """For an answer that is right where numbers stand at padding."""
    for odd in (torch.inf, -torch.inf, torch.nan):
        got = answer(torch.where(mask, scores, odd), mask)
        if not agrees(got, masked_softmax(scores, mask)):
            raise Wrong(
                f"the weights are spoiled where {odd:g} stands at padding: infinity and NaN stay "
                "what they are when a number is added, and go into minimum, maximum and sum. "
                "Replace the score at padding, whatever it is, before you compute anything"
            )


def softmax_extreme(answer: Answer, rng: torch.Generator) -> None:
    """very large and very low scores, and anything at padding."""
    scores, mask = _inputs(rng, 3, 2, 7)
    high = answer(scores + 3000, mask)
    if isinstance(high, Tensor) and bool(high.isnan().any()):
        raise Wrong(
            "exp overflows for a large score: subtract the largest score of the row first, or use "
            "softmax, which does"
        )
    _case(answer, scores + 3000, mask)
    low = scores - 3000  # lower than many a number that padding is filled with
    _case(answer, torch.where(mask, low, scores), mask)
    _case(answer, low * 1e3, mask)
    _whatever_stands_there(answer, scores, mask)


def softmax_nothing_real(answer: Answer, rng: torch.Generator) -> None:
    """a row that is nothing but padding gets zeros, and no NaN."""
    scores, mask = _inputs(rng, 3, 2, 7)
    mask[1] = False
    got = answer(scores, mask)
    if isinstance(got, Tensor) and got.shape == scores.shape and bool(got[1].isnan().all()):
        raise Wrong(NAN)
    if isinstance(got, Tensor) and not got.any():
        raise Wrong("one row that is nothing but padding sets all others to 0 as well")
    _case(answer, scores, mask)
    _whatever_stands_there(answer, scores, mask)


def _share_detached(scores: Tensor, mask: Tensor) -> Tensor:
    return (scores - scores.logsumexp(-1, keepdim=True).detach()).exp()


_CUT: list[Single] = [
    (
        "the scores are detached",
        {"share": lambda scores, mask: scores.detach().softmax(-1) + 0 * scores},
    ),
    (
        "the sum of the row, by which is divided, is detached: it depends on the scores as well",
        {"share": _share_detached},
    ),
]


def softmax_gradients(answer: Answer, rng: torch.Generator) -> None:
    """the gradient is right, 0 at padding, and no NaN where nothing is real."""
    scores, mask = _inputs(rng, 3, 2, 7)
    mask[1] = False

    def gradients(one: Answer) -> list[Tensor]:
        return one.gradients(scores, mask, wrt=(0,))["inputs"]

    got, want = gradients(answer), gradients(reference_answer(masked_softmax))
    if got[0].isnan().any():
        raise Wrong(
            "the gradient is NaN where a row is nothing but padding, though the weights may be "
            "right: torch.where and nan_to_num repair the value and not the way back. Let no NaN "
            "arise: fill with the lowest finite number"
        )
    known = [(text, gradients(reference_answer(softmax_with(**parts)))) for text, parts in _CUT]
    expect_gradients(got, want, ("the scores",), known)
    for odd in (3000.0, torch.inf, torch.nan):
        spoiled = torch.where(mask, scores, odd)
        found = answer.gradients(spoiled, mask, wrt=(0,))["inputs"][0]
        if bool(found.isnan().any()):
            raise Wrong(
                f"the gradient is NaN where the scores at padding are {odd:g}, though the weights "
                "may be right: torch.where repairs the value and not the way back. Replace the "
                "scores at padding before anything is computed from them"
            )
        expect_gradients([found], want, (f"the scores, {odd:g} at padding,",))
