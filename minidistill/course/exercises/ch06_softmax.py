"""Chapter 06: cases for `masked_softmax`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from minidistill.attention import masked_softmax
from minidistill.course.answer import Answer, reference_answer
from minidistill.course.diagnosis import compare
from minidistill.course.exercise import Wrong, expect
from minidistill.course.exercises.ch02_shared import (
    expect_gradients,
    keeps_type,
    numbers,
    ragged_lengths,
)
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
PROBES = (_inputs(_RNG, 3, 5, 7), _inputs(_RNG, 5, 5, 5), (numbers(_RNG, 3, 2, 5), None))


def _case(answer: Answer, *inputs: Any, what: str = _WHAT) -> None:
    known = (*MISTAKES, *PAIRS)
    got = compare(answer, masked_softmax, inputs, what, mistakes=known, probes=PROBES)
    keeps_type(got, inputs[0], what)


def softmax_by_hand(answer: Answer, rng: torch.Generator) -> None:
    """scores ln 1, ln 2, ln 3, ln 4, the third padding: 1/7, 2/7, 0, 4/7."""
    scores = torch.tensor([[1.0, 2.0, 3.0, 4.0]]).log()
    mask = torch.tensor([[True, True, False, True]])
    expect(masked_softmax(scores, mask), torch.tensor([[1, 2, 0, 4]]) / 7, "the reference")
    _case(answer, scores, mask)


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
    _case(answer, *_inputs(rng, 3, 5, 7))
    _case(answer, *_inputs(rng, 5, 5, 5))


def softmax_holes(answer: Answer, rng: torch.Generator) -> None:
    """padding anywhere, in a mask as large as the scores, and S = 1."""
    mask = torch.rand(3, 5, 7, generator=rng) < 0.6
    mask[:, :, 3], mask[0, 0, 0] = True, False
    _case(answer, numbers(rng, 3, 5, 7), mask)
    _case(answer, numbers(rng, 3, 1), torch.ones(3, 1, dtype=torch.bool))


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
    _case(answer, torch.where(mask, scores, torch.inf), mask, what="the weights, inf at padding")


def softmax_nothing_real(answer: Answer, rng: torch.Generator) -> None:
    """a row that is nothing but padding gets zeros, and no NaN."""
    scores, mask = _inputs(rng, 3, 2, 7)
    mask[1] = False
    got = answer(scores, mask)
    if isinstance(got, Tensor) and got.shape == scores.shape and bool(got[1].isnan().all()):
        raise Wrong(NAN)
    _case(answer, scores, mask)


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
    cut = softmax_with(share=lambda scores, mask: scores.detach().softmax(-1) + 0 * scores)
    known = [("the scores are detached", gradients(reference_answer(cut)))]
    expect_gradients(got, want, ("the scores",), known)
