"""Answers to 10.4 quantise_rows as students write them, wrong and right."""

from __future__ import annotations

import torch

from tests.mutants import right, wrong


def safe(scale):
    return torch.where(scale == 0, torch.ones_like(scale), scale)


def whole(x):
    return x.round().to(torch.int8)


@wrong("10.4", "one scale for the whole matrix")
def by_matrix(weight):
    scale = weight.abs().max() / 127
    return whole(weight / safe(scale)), scale


@wrong("10.4", "one scale for the whole matrix")
def by_matrix_repeated(weight):
    scale = weight.abs().max() / 127
    return whole(weight / safe(scale)), scale.repeat(len(weight))


@wrong("10.4", "those of the columns")
def by_column(weight):
    scale = weight.abs().amax(0) / 127
    return whole(weight / safe(scale)), scale


@wrong("10.4", "wraps round to -128")
def with_128(weight):
    scale = weight.abs().amax(1) / 128
    return whole(weight / safe(scale)[:, None]), scale


@wrong("10.4", "cut to 127")
def with_128_cut(weight):
    scale = weight.abs().amax(1) / 128
    q = (weight / safe(scale)[:, None]).round().clamp(-128, 127)
    return q.to(torch.int8), scale


@wrong("10.4", "255 numbers")
def with_255(weight):
    scale = weight.abs().amax(1) / 255
    return whole(weight / safe(scale)[:, None]), scale


@wrong("10.4", "cut off, not rounded")
def truncated(weight):
    scale = weight.abs().amax(1) / 127
    return (weight / safe(scale)[:, None]).to(torch.int8), scale


@wrong("10.4", "cut off, not rounded")
def truncated_in_another_order(weight):
    largest = weight.abs().amax(1)
    return (127 * weight / safe(largest)[:, None]).to(torch.int8), largest / 127


@wrong("10.4", "rounded down")
def floor_division(weight):
    scale = weight.abs().amax(1) / 127
    return (weight // safe(scale)[:, None]).to(torch.int8), scale


@wrong("10.4", "with its sign")
def without_abs(weight):
    scale = weight.amax(1) / 127
    return whole(weight / safe(scale)[:, None]), scale


@wrong("10.4", "0 must stay 0")
def asymmetric(weight):
    low, high = weight.amin(1), weight.amax(1)
    scale = safe((high - low) / 255)
    return whole((weight - low[:, None]) / scale[:, None] - 128), scale


@wrong("10.4", "upside down")
def inverse(weight):
    scale = 127 / safe(weight.abs().amax(1))
    return whole(weight * scale[:, None]), scale


@wrong("10.4", "NaN or infinite")
def inverse_of_zero(weight):
    up = 127 / weight.abs().amax(1)
    return whole((weight * up[:, None]).nan_to_num()), 1 / up / (weight != 0).any(1)


@wrong("10.4", "(R, 1)")
def kept_dimension(weight):
    scale = weight.abs().amax(1, keepdim=True) / 127
    return whole(weight / safe(scale)), scale


@wrong("10.4", "floating point numbers")
def floats(weight):
    scale = weight.abs().amax(1) / 127
    return (weight / safe(scale)[:, None]).round(), scale


@wrong("10.4", "torch.int32")
def integers(weight):
    scale = weight.abs().amax(1) / 127
    return (weight / safe(scale)[:, None]).round().int(), scale


@wrong("10.4", "nothing may be added")
def a_small_number_added(weight):
    scale = weight.abs().amax(1) / 127 + 1e-8
    return whole(weight / scale[:, None]), scale


@wrong("10.4", "has no lowest value but 0")
def a_lowest_divisor(weight):
    scale = weight.abs().amax(1) / 127
    return whole(weight / scale.clamp(min=1e-12)[:, None]), scale


@wrong("10.4", "pair is turned round")
def scales_first(weight):
    scale = weight.abs().amax(1) / 127
    return scale, whole(weight / safe(scale)[:, None])


@wrong("10.4", "multiplied by their scale again")
def dequantised(weight):
    scale = weight.abs().amax(1) / 127
    return whole(weight / safe(scale)[:, None]) * scale[:, None], scale


@wrong("10.4", "in place")
def divided_in_place(weight):
    scale = weight.abs().amax(1) / 127
    return weight.div_(safe(scale)[:, None]).round_().to(torch.int8), scale


@wrong("10.4", "two mistakes at once")
def by_matrix_and_truncated(weight):
    scale = weight.abs().max() / 127
    return (weight / safe(scale)).to(torch.int8), scale


@right("10.4")
def lowest_for_zeros(weight):
    scale = (weight.abs().amax(dim=1) / 127).clamp(min=1e-30)
    q = torch.clamp(torch.round(weight / scale[:, None]), -127, 127).to(torch.int8)
    return q, scale


@right("10.4")
def row_by_row(weight):
    q, scales = torch.zeros(weight.shape, dtype=torch.int8), []
    for r, row in enumerate(weight):
        largest = max(abs(x) for x in row.tolist())
        scales.append(largest / 127 if largest else 1.0)
        if largest:
            q[r] = torch.tensor([round(x / scales[-1]) for x in row.tolist()], dtype=torch.int8)
    return q, torch.tensor(scales)


@right("10.4")
def times_127(weight):
    largest = torch.linalg.vector_norm(weight, ord=torch.inf, dim=1, keepdim=True)
    share = torch.nan_to_num(weight / largest, nan=0.0)
    return [whole(127 * share), (largest / 127).squeeze(1)]


@right("10.4")
def half_away_from_zero(weight):
    scale = torch.maximum(weight.amax(1), -weight.amin(1)) / 127
    x = weight.double() / safe(scale).double().unsqueeze(1)
    return (x.sign() * (x.abs() + 0.5).floor()).to(torch.int8), scale.double()
