"""Chapter 00: one small exercise, to learn the room."""

from __future__ import annotations

import torch
from torch import Tensor

from minidistill.course.answer import Answer
from minidistill.course.exercise import Exercise, expect


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of each row over its real entries; 0 for a row that has none. (B, T) -> (B,)."""
    total = values.masked_fill(~mask, 0).sum(dim=1)
    return total / mask.sum(dim=1).clamp(min=1)


def _mistakes(values: Tensor, mask: Tensor) -> dict[str, Tensor]:
    kept = values.masked_fill(~mask, 0)
    count = mask.sum(1).clamp(min=1)
    return {
        "the padding is counted: only entries whose mask is True belong to the mean": values.mean(
            1
        ),
        "the sum leaves out the padding, but it is divided by the full length T: divide by the "
        "number of real entries": kept.mean(1),
        "this is the mean of the padding: True in the mask marks the real entries": (
            masked_mean(values, ~mask)
        ),
        "this is the sum: divide by the number of real entries of each row": kept.sum(1),
        "this is one mean over all rows: each row needs its own (dim=1)": values[mask].mean()
        if mask.any()
        else torch.zeros(()),
        "this takes the mean down the columns: entries of one row stand along dim=1": (
            kept.sum(0) / mask.sum(0).clamp(min=1)
        ),
        "every row is divided by the same count: count the real entries row by row": (
            kept.sum(1) / max(1, int(mask.sum(1).max()))
        ),
    }


def by_hand(answer: Answer, rng: torch.Generator) -> None:
    """two rows worked by hand."""
    values = torch.tensor([[1.0, 2.0, 6.0], [4.0, 5.0, 9.0]])
    mask = torch.tensor([[True, True, True], [True, True, False]])
    expect(answer(values, mask), torch.tensor([3.0, 4.5]), "the mean", _mistakes(values, mask))


def ragged(answer: Answer, rng: torch.Generator) -> None:
    """ragged rows of 3 x 7, padding anywhere."""
    values = torch.randn(3, 7, generator=rng) * 5 + 2
    mask = torch.rand(3, 7, generator=rng) < 0.6
    mask[0, 0] = mask[1, 1] = mask[2, 2] = True
    mask[1, 3] = mask[2, 5] = False
    want = masked_mean(values, mask)
    expect(answer(values, mask), want, "the mean", _mistakes(values, mask))


def padding_is_arbitrary(answer: Answer, rng: torch.Generator) -> None:
    """what stands at the padding does not matter, even infinity."""
    values = torch.randn(2, 5, generator=rng)
    mask = torch.tensor([[True, True, True, False, False], [True, False, True, True, True]])
    want = masked_mean(values, mask)
    spoiled = values.masked_fill(~mask, torch.inf)
    nan = torch.full((2,), torch.nan)
    sentence = (
        "multiplying by the mask does not remove an infinite entry (inf * 0 is NaN): replace "
        "padding by 0 with masked_fill or torch.where before the sum"
    )
    expect(answer(spoiled, mask), want, "the mean", {sentence: nan, **_row_nan(want)})


def _row_nan(want: Tensor) -> dict[str, Tensor]:
    sentence = (
        "what stands at the padding leaks into the mean: replace it by 0 (masked_fill) before "
        "the sum"
    )
    return {sentence: torch.full_like(want, torch.inf)}


def nothing_real(answer: Answer, rng: torch.Generator) -> None:
    """a row of nothing but padding has mean 0, not NaN."""
    values = torch.randn(3, 5, generator=rng)
    mask = torch.tensor([[True] * 5, [False] * 5, [False, True, True, False, False]])
    want = masked_mean(values, mask)
    got = answer(values, mask)
    broken = want.clone()
    broken[1] = torch.nan
    sentence = "a row without real entries gives 0 / 0 = NaN: divide by at least 1 (clamp(min=1))"
    expect(got, want, "the mean", {sentence: broken} | _epsilon(values, mask))


def _epsilon(values: Tensor, mask: Tensor) -> dict[str, Tensor]:
    kept = values.masked_fill(~mask, 0).sum(1)
    return {
        "adding 1 to every count makes all means too small: only an empty row needs help "
        "(clamp(min=1))": kept / (mask.sum(1) + 1)
    }


def precise(answer: Answer, rng: torch.Generator) -> None:
    """float64 in, float64 out, to the last digits."""
    values = torch.rand(2, 11, generator=rng, dtype=torch.float64) + 1
    mask = torch.rand(2, 11, generator=rng) < 0.7
    mask[:, 4] = True
    got = answer(values, mask)
    want = masked_mean(values, mask)
    sentence = (
        "a small number is added to the count: the mean is off in the last digits; use "
        "clamp(min=1) on the count instead"
    )
    off = {
        sentence: values.masked_fill(~mask, 0).sum(1) / (mask.sum(1) + eps)
        for eps in (1e-6, 1e-8, 1e-5)
    }
    expect(got, want, "the mean", off, tolerance=1e-10)


EXERCISES = (
    Exercise(
        id="00.1",
        title="The mean of the real entries",
        name="masked_mean",
        points=1,
        minutes=10,
        difficulty=1,
        purpose="every loss and every attention in this course leaves padding out like this",
        reference=masked_mean,
        hints=(
            "Two things are needed for each row: the sum of its real entries, and how many "
            "there are. Both lie along dim=1.",
            "values.masked_fill(~mask, 0) puts 0 at the padding, whatever stood there. "
            "mask.sum(dim=1) counts the real entries.",
            "Divide the sum by the count, where the count is at least 1: "
            "mask.sum(dim=1).clamp(min=1).",
        ),
        cases=(by_hand, ragged, padding_is_arbitrary, nothing_real, precise),
    ),
)
