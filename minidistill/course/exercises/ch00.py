"""Chapter 00: one small exercise, to learn the room."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from minidistill.course.answer import Answer
from minidistill.course.diagnosis import compare, expect_no_memory
from minidistill.course.exercise import Exercise, agrees


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of each row over its real entries; 0 for a row that has none. (B, T) -> (B,)."""
    total = values.masked_fill(~mask, 0).sum(dim=1)
    return total / mask.sum(dim=1).clamp(min=1)


def _sum(values: Tensor, mask: Tensor) -> Tensor:
    return values.masked_fill(~mask, 0).sum(1)


def _count(mask: Tensor) -> Tensor:
    return mask.sum(1).clamp(min=1)


def _down_the_columns(values: Tensor, mask: Tensor) -> Tensor:
    return values.masked_fill(~mask, 0).sum(0) / mask.sum(0).clamp(min=1)


def _to_the_first_padding(values: Tensor, mask: Tensor) -> Tensor:
    return masked_mean(values, mask.long().cumprod(1).bool())


def _the_first_few(values: Tensor, mask: Tensor) -> Tensor:
    return masked_mean(values, torch.arange(mask.size(1)) < mask.sum(1, keepdim=True))


def _without_zeros(values: Tensor, mask: Tensor) -> Tensor:
    return masked_mean(values, mask & (values != 0))


def _median(values: Tensor, mask: Tensor) -> Tensor:
    return values.masked_fill(~mask, torch.nan).nanmedian(1).values.nan_to_num()


def _filled_with(values: Tensor, mask: Tensor, filling: float) -> Tensor:
    return values.masked_fill(~mask, filling).sum(1) / _count(mask)


_AT_THE_END = (
    "padding is taken to stand at the end of every row: here it may stand anywhere, so choose "
    "the entries by the mask"
)
_ADDED = (
    "a small number is added to the count, so every mean is a little too small: use clamp(min=1) "
    "on the count, which changes an empty row only"
)
_INFINITE = (
    "multiplying by the mask does not remove an infinite entry (inf * 0 is NaN): replace padding "
    "by 0 with masked_fill or torch.where before the sum"
)
_EMPTY = "a row without real entries gives 0 / 0 = NaN: divide by at least 1 (clamp(min=1))"

MISTAKES = (
    (
        "the padding is counted: only entries whose mask is True belong to the mean",
        lambda v, m: v.mean(1),
    ),
    (
        "the sum leaves out the padding, but it is divided by the full length T: divide by the "
        "number of real entries",
        lambda v, m: _sum(v, m) / m.size(1),
    ),
    (
        "the padding is in the sum, though not in the count: replace it by 0 (masked_fill) before "
        "the sum",
        lambda v, m: v.sum(1) / _count(m),
    ),
    (
        "this is the mean of the padding: True in the mask marks the real entries",
        lambda v, m: masked_mean(v, ~m),
    ),
    ("this is the sum: divide by the number of real entries of each row", _sum),
    (
        "this is one mean over all rows: each row needs its own (dim=1)",
        lambda v, m: v[m].mean(),
    ),
    (
        "this takes the mean down the columns: entries of one row stand along dim=1",
        _down_the_columns,
    ),
    (
        "every row is divided by the same count: count the real entries row by row "
        "(mask.sum(dim=1))",
        lambda v, m: _sum(v, m) / m.sum(),
    ),
    (
        "every row is divided by the count of the longest: count the real entries row by row",
        lambda v, m: _sum(v, m) / m.sum(1).max(),
    ),
    (_AT_THE_END, _to_the_first_padding),
    (_AT_THE_END, _the_first_few),
    (
        "entries equal to 0 are not counted: a real entry may be 0, so count the mask",
        _without_zeros,
    ),
    (
        "the last column is left out: the loop or the slice ends one too early",
        lambda v, m: masked_mean(v[:, :-1], m[:, :-1]),
    ),
    (
        "only columns without any padding are used: every row has real entries of its own",
        lambda v, m: v[:, m.all(0)].mean(1),
    ),
    (
        "the real entries of all rows are strung together and cut anew: keep them row by row",
        lambda v, m: v[m].view(len(v), -1).mean(1),
    ),
    (
        "sum and count go on from row to row: begin both at 0 for each row",
        lambda v, m: _sum(v, m).cumsum(0) / m.sum(1).cumsum(0).clamp(min=1),
    ),
    (
        "only the first row is there: a `return` inside the loop ends it at once",
        lambda v, m: masked_mean(v, m)[:1],
    ),
    (
        "the sum is divided by count - 1, as for a variance: divide by the count",
        lambda v, m: _sum(v, m) / (m.sum(1) - 1).clamp(min=1),
    ),
    (
        "this is the largest entry of each row: the mean is sum / count",
        lambda v, m: v.masked_fill(~m, -torch.inf).amax(1),
    ),
    ("this is the median, the entry in the middle: the mean is sum / count", _median),
    (
        "the mean is rounded down: divide with /, not with //",
        lambda v, m: _sum(v, m) // _count(m),
    ),
    (
        "adding 1 to every count makes all means too small: only an empty row needs help "
        "(clamp(min=1))",
        lambda v, m: _sum(v, m) / (m.sum(1) + 1),
    ),
    (
        "every count is at least 2: a row with one real entry has that entry as its mean",
        lambda v, m: _sum(v, m) / m.sum(1).clamp(min=2),
    ),
    (
        "padding is replaced by 1: only 0 leaves a sum as it was",
        lambda v, m: _filled_with(v, m, 1),
    ),
    (
        "padding is replaced by -inf, as for a softmax or a maximum: a sum needs 0",
        lambda v, m: _filled_with(v, m, -torch.inf),
    ),
    (
        "rows without real entries are left out: each row has its mean, 0 for such a row",
        lambda v, m: masked_mean(v, m)[m.any(1)],
    ),
    (
        "a row without real entries gets the mean of its padding: its mean is 0",
        lambda v, m: torch.where(m.any(1), masked_mean(v, m), v.mean(1)),
    ),
    (_EMPTY, lambda v, m: _sum(v, m) / m.sum(1)),
    *((_ADDED, lambda v, m, e=10.0**-k: _sum(v, m) / (m.sum(1) + e)) for k in range(1, 7)),
    *(
        (
            "the mean is rounded: return it as it is",
            lambda v, m, k=k: masked_mean(v, m).round(decimals=k),
        )
        for k in range(1, 5)
    ),
)
"""What a known mistake is called, and an answer that makes it."""

SPOILED_MISTAKES = (
    (_INFINITE, lambda v, m: (v * m).sum(1) / _count(m)),
    (
        "the NaN that padding brings in (inf * 0) is made 0 at the end: replace the padding "
        "before the sum instead",
        lambda v, m: ((v * m).sum(1) / _count(m)).nan_to_num(),
    ),
)
"""Mistakes that show only where something infinite stands at the padding."""


_MASKS = (
    torch.tensor([[0, 1, 1, 0, 1], [1, 0, 1, 1, 0], [1, 1, 0, 1, 1]]).bool(),
    torch.tensor([[1, 0, 1], [0, 1, 1], [1, 1, 0], [0, 1, 1]]).bool(),
)
PROBES = tuple((torch.cos(3.1 * torch.arange(m.numel())).view(m.shape) * 7, m) for m in _MASKS)
"""Ordinary inputs on which a mistake must show itself too before it is named."""


def _mean_case(answer: Answer, values: Tensor, mask: Tensor, tolerance: float = 1e-5) -> None:
    compare(
        answer,
        masked_mean,
        (values, mask),
        "the mean",
        mistakes=MISTAKES,
        probes=PROBES,
        describe=_of_an_empty_row,
        tolerance=tolerance,
    )


def _of_an_empty_row(got: Any, want: Tensor) -> str | None:
    """The case below has its empty row in the middle; whatever else stands there is named."""
    if not isinstance(got, Tensor) or got.shape != want.shape or want[1] != 0:
        return None
    if agrees(got[::2], want[::2]):
        return f"a row without real entries gets {got[1]:.4g}: its mean is 0"
    return None


def by_hand(answer: Answer, rng: torch.Generator) -> None:
    """three rows worked by hand."""
    values = torch.tensor([[1.0, 2.0, 6.0, 9.0], [7.0, 0.0, 9.0, 5.0], [7.0, 3.0, 1.0, 8.0]])
    mask = torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0], [0, 0, 0, 1]]).bool()
    want = torch.tensor([3.0, 3.5, 8.0])
    expect_no_memory(answer, (values, mask), (values + 1, mask), want, "the mean")
    _mean_case(answer, values, mask)


def ragged(answer: Answer, rng: torch.Generator) -> None:
    """ragged rows of 3 x 7, padding anywhere."""
    values = torch.randn(3, 7, generator=rng) * 5 + 2
    mask = torch.rand(3, 7, generator=rng) < 0.6
    mask[0, 0] = mask[1, 1] = mask[2, 2] = True
    mask[1, 3] = mask[2, 5] = False
    _mean_case(answer, values, mask)


def padding_is_arbitrary(answer: Answer, rng: torch.Generator) -> None:
    """what stands at the padding does not matter, even infinity."""
    values = torch.randn(2, 5, generator=rng)
    mask = torch.tensor([[True, True, True, False, False], [True, False, True, True, True]])
    spoiled = values.masked_fill(~mask, torch.inf)
    known = SPOILED_MISTAKES + MISTAKES
    compare(answer, masked_mean, (spoiled, mask), "the mean", mistakes=known, probes=PROBES)


def nothing_real(answer: Answer, rng: torch.Generator) -> None:
    """a row of nothing but padding has mean 0, not NaN."""
    values = torch.randn(3, 5, generator=rng)
    mask = torch.tensor([[True] * 5, [False] * 5, [False, True, True, False, False]])
    _mean_case(answer, values, mask)


def precise(answer: Answer, rng: torch.Generator) -> None:
    """float64 in, float64 out, to the last digits."""
    values = torch.rand(2, 11, generator=rng, dtype=torch.float64) + 1
    mask = torch.rand(2, 11, generator=rng) < 0.7
    mask[:, 4] = True
    _mean_case(answer, values, mask, tolerance=1e-10)


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
