"""Answers to 00.1 masked_mean as students write them, wrong and right."""

from __future__ import annotations

import torch

from tests.mutants import right, wrong


@wrong("00.1", "the padding is counted")
def ignores_the_mask(values, mask):
    return values.mean(dim=1)


@wrong("00.1", "down the columns")
def wrong_axis(values, mask):
    return values.masked_fill(~mask, 0).sum(0) / mask.sum(0).clamp(min=1)


@wrong("00.1", "divided by the full length T")
def divides_by_length(values, mask):
    return torch.where(mask, values, 0.0).mean(dim=1)


@wrong("00.1", "0 / 0 = NaN")
def empty_row_is_nan(values, mask):
    return values.masked_fill(~mask, 0).sum(1) / mask.sum(1)


@wrong("00.1", "inf * 0 is NaN")
def multiplies_by_the_mask(values, mask):
    return (values * mask).sum(1) / mask.sum(1).clamp(min=1)


@wrong("00.1", "made 0 at the end")
def hides_the_nan(values, mask):
    return ((values * mask).sum(1) / mask.sum(1)).nan_to_num()


@wrong("00.1", "one mean over all rows")
def whole_batch(values, mask):
    return values[mask].mean()


@wrong("00.1", "the mean of the padding")
def inverted_mask(values, mask):
    return values.masked_fill(mask, 0).sum(1) / (~mask).sum(1).clamp(min=1)


@wrong("00.1", "a dimension of size 1 too many")
def keeps_the_dimension(values, mask):
    total = values.masked_fill(~mask, 0).sum(1, keepdim=True)
    return total / mask.sum(1, keepdim=True).clamp(min=1)


@wrong("00.1", "changes its argument number 1 in place")
def writes_into_values(values, mask):
    values[~mask] = 0
    return values.sum(1) / mask.sum(1).clamp(min=1)


@wrong("00.1", "every row is divided by the same count")
def one_count_for_all(values, mask):
    return values.masked_fill(~mask, 0).sum(1) / mask.sum()


@wrong("00.1", "padding is taken to stand at the end")
def stops_at_the_first_padding(values, mask):
    means = []
    for row, real in zip(values, mask, strict=True):
        total, count = row.new_zeros(()), 0
        for value, keep in zip(row, real, strict=True):
            if not keep:
                break
            total, count = total + value, count + 1
        means.append(total / max(count, 1))
    return torch.stack(means)


@wrong("00.1", "padding is taken to stand at the end")
def slices_by_length(values, mask):
    counts = mask.sum(1).tolist()
    return torch.stack([r[:n].sum() / max(n, 1) for r, n in zip(values, counts, strict=True)])


@wrong("00.1", "a real entry may be 0")
def counts_what_is_not_zero(values, mask):
    kept = values.masked_fill(~mask, 0)
    return kept.sum(1) / (kept != 0).sum(1).clamp(min=1)


@wrong("00.1", "remembered from an earlier call")
def remembers_the_first_call(values, mask, _seen=[]):  # noqa: B006
    if not _seen:
        _seen.append(values.masked_fill(~mask, 0).sum(1) / mask.sum(1).clamp(min=1))
    return _seen[0]


@wrong("00.1", "right only to torch.float32's few digits")
def forces_single_precision(values, mask):
    return values.float().masked_fill(~mask, 0).sum(1) / mask.sum(1).clamp(min=1)


@wrong("00.1", "a small number is added to the count")
def adds_an_epsilon(values, mask):
    return values.masked_fill(~mask, 0).sum(1) / (mask.sum(1) + 1e-5)


@wrong("00.1", "every count is at least 2")
def clamps_at_two(values, mask):
    return values.masked_fill(~mask, 0).sum(1) / mask.sum(1).clamp(min=2)


@wrong("00.1", "rows without real entries are left out")
def leaves_empty_rows_out(values, mask):
    rows = zip(values, mask, strict=True)
    return torch.stack([row[real].mean() for row, real in rows if real.any()])


@wrong("00.1", "begin both at 0 for each row")
def goes_on_from_row_to_row(values, mask):
    means, total, count = [], 0.0, 0
    for row, real in zip(values, mask, strict=True):
        total, count = total + row[real].sum(), count + int(real.sum())
        means.append(total / max(count, 1))
    return torch.stack(means)


@wrong("00.1", "only columns without any padding")
def common_columns(values, mask):
    return values[:, mask.all(dim=0)].mean(dim=1)


@wrong("00.1", "a row without real entries gets -1")
def marks_an_empty_row(values, mask):
    mean = values.masked_fill(~mask, 0).sum(1) / mask.sum(1).clamp(min=1)
    return torch.where(mask.any(1), mean, -1.0)


@wrong("00.1", "is None: end the function with `return`")
def returns_nothing(values, mask):
    print(end="")


@right("00.1")
def loop_over_rows(values, mask):
    rows = zip(values, mask, strict=True)
    return torch.stack([r[m].mean() if m.any() else r.new_zeros(()) for r, m in rows])


@right("00.1")
def mean_of_nan(values, mask):
    return values.masked_fill(~mask, torch.nan).nanmean(1).nan_to_num()


@right("00.1")
def matrix_product(values, mask):
    kept = values.clone()
    kept[~mask] = 0
    return torch.einsum("bt,bt->b", kept, mask.to(values)) / mask.sum(1).clamp(min=1)


@right("00.1")
def tiny_clamp(values, mask):
    kept = torch.where(mask, values, torch.zeros_like(values))
    return kept.sum(-1) / mask.sum(-1).to(values.dtype).clamp(min=1e-9)


@right("00.1")
def python_lists(values, mask):
    means = []
    for row, keep in zip(values.tolist(), mask.tolist(), strict=True):
        real = [value for value, k in zip(row, keep, strict=True) if k]
        means.append(sum(real) / len(real) if real else 0.0)
    return torch.tensor(means, dtype=values.dtype)
