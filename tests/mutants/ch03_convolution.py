"""Answers to 03.5 causal_convolution as students write them, wrong and right."""

from __future__ import annotations

import torch
from torch import nn

from tests.mutants import right, wrong


def slices(x, weight, bias, dilation, before=None, starts=None, past=None):
    """The bias and a product a tap, with `before` steps of zeros and each tap's first place."""
    T, K = x.size(1), weight.size(2)
    before = (K - 1) * dilation if before is None else before
    text = nn.functional.pad(x, (0, 0, before, 4 * K * dilation))
    if past is not None:
        text = torch.cat([past, text[:, before:]], 1)
    starts = [k * dilation for k in range(K)] if starts is None else starts
    return bias + sum(text[:, s : s + T] @ weight[:, :, k].T for k, s in enumerate(starts))


@wrong("03.5", "the kernel is turned round")
def kernel_reversed(x, weight, bias, dilation):
    return slices(x, weight.flip(2), bias, dilation)


@wrong("03.5", "it sees the future")
def padded_on_both_sides(x, weight, bias, dilation):
    return slices(x, weight, bias, dilation, before=(weight.size(2) - 1) * dilation // 2)


@wrong("03.5", "it sees the future")
def padded_on_the_right(x, weight, bias, dilation):
    return slices(x, weight, bias, dilation, before=0)


@wrong("03.5", "the dilation is not used")
def dilation_ignored(x, weight, bias, dilation):
    return slices(x, weight, bias, 1)


@wrong("03.5", "the distance is off by one")
def dilation_one_too_many(x, weight, bias, dilation):
    return slices(x, weight, bias, dilation + 1)


@wrong("03.5", "the distance is off by one")
def shifted_by_one(x, weight, bias, dilation):
    return slices(x, weight, bias, dilation, before=(weight.size(2) - 1) * dilation + 1)


@wrong("03.5", "the distance is off by one")
def one_dilation_too_far(x, weight, bias, dilation):
    return slices(x, weight, bias, dilation, before=weight.size(2) * dilation)


@wrong("03.5", "comes round to its beginning")
def rolled(x, weight, bias, dilation):
    K = weight.size(2)
    return bias + sum(
        torch.roll(x, (K - 1 - k) * dilation, 1) @ weight[:, :, k].T for k in range(K)
    )


@wrong("03.5", "the bias is missing")
def no_bias(x, weight, bias, dilation):
    return slices(x, weight, 0 * bias, dilation)


@wrong("03.5", "added for every tap")
def bias_with_every_tap(x, weight, bias, dilation):
    return slices(x, weight, bias * weight.size(2), dilation)


@wrong("03.5", "zeros stand there")
def first_step_repeated(x, weight, bias, dilation):
    before = (weight.size(2) - 1) * dilation
    text = torch.cat([x[:, :1].expand(-1, before, -1), x], 1)
    return slices(text, weight, bias, dilation)[:, before:]


@wrong("03.5", "pad with (K - 1) * dilation zeros")
def no_padding(x, weight, bias, dilation):
    before = (weight.size(2) - 1) * dilation
    if before >= x.size(1):
        return x.new_zeros(len(x), 0, len(bias))
    return slices(x, weight, bias, dilation)[:, before:]


@wrong("03.5", "cut off what comes after T")
def both_sides_and_not_cut(x, weight, bias, dilation):
    more = x.new_zeros(x.size(0), (weight.size(2) - 1) * dilation, x.size(2))
    return slices(torch.cat([x, more], 1), weight, bias, dilation)


@wrong("03.5", "the result is (B, O, T)")
def features_before_time(x, weight, bias, dilation):
    return slices(x, weight, bias, dilation).transpose(1, 2)


@wrong("03.5", "weight is transposed")
def weight_the_other_way(x, weight, bias, dilation):
    return slices(x, weight.transpose(0, 1), bias, dilation)


@wrong("03.5", "transpose before you flatten")
def flattened_in_the_wrong_order(x, weight, bias, dilation):
    T, K = x.size(1), weight.size(2)
    text = nn.functional.pad(x, (0, 0, (K - 1) * dilation, 0))
    seen = torch.cat([text[:, k * dilation : k * dilation + T] for k in range(K)], -1)
    return seen @ weight.flatten(1).T + bias


@wrong("03.5", "the rows run into each other")
def one_long_text(x, weight, bias, dilation):
    y = slices(x.flatten(0, 1)[None], weight, bias, dilation)
    return y.view(x.size(0), x.size(1), -1)


@wrong("03.5", "only one tap is used")
def the_step_alone(x, weight, bias, dilation):
    return x @ weight[:, :, -1].T + bias


@wrong("03.5", "conv1d may not be used here")
def the_ready_made_one(x, weight, bias, dilation):
    text = nn.functional.pad(x, (0, 0, (weight.size(2) - 1) * dilation, 0))
    return nn.functional.conv1d(text.mT, weight, bias, dilation=dilation).mT


@wrong("03.5", "may not be used here")
def two_dimensions_will_do(x, weight, bias, dilation):
    text = nn.functional.pad(x, (0, 0, (weight.size(2) - 1) * dilation, 0))
    text, kernel = text.mT[:, :, None], weight[:, :, None]
    return nn.functional.conv2d(text, kernel, bias, dilation=(1, dilation))[:, :, 0].mT


@wrong("03.5", "`past` is not used")
def only_what_stands_in_the_text(x, weight, bias, dilation, past=None):
    T, K = x.size(1), weight.size(2)
    rows = []
    for t in range(T):
        places = [t - (K - 1 - k) * dilation for k in range(K)]
        rows.append(bias + sum(x[:, s] @ weight[:, :, k].T for k, s in enumerate(places) if s >= 0))
    return torch.stack(rows, 1)


@wrong("03.5", "`past` is turned round")
def past_read_backwards(x, weight, bias, dilation, past=None):
    past = None if past is None else past.flip(1)
    return slices(x, weight, bias, dilation, past=past)


@wrong("03.5", "no gradient reaches past")
def past_detached(x, weight, bias, dilation, past=None):
    past = None if past is None else past.detach()
    return slices(x, weight, bias, dilation, past=past)


@wrong("03.5", "the padding uses the dilation, but the taps do not")
def taps_side_by_side(x, weight, bias, dilation, past=None):
    K = weight.size(2)
    return slices(x, weight, bias, dilation, (K - 1) * dilation, list(range(K)))


@wrong("03.5", "it sees the future")
def centred_the_other_way(x, weight, bias, dilation):
    return slices(x, weight, bias, dilation, before=-((1 - weight.size(2)) * dilation // 2))


@wrong("03.5", "the first step of the text is never read")
def greater_than_zero(x, weight, bias, dilation):
    return slices(torch.cat([0 * x[:, :1], x[:, 1:]], 1), weight, bias, dilation)


@wrong("03.5", "the first steps of the result are zero")
def no_sum_where_the_window_sticks_out(x, weight, bias, dilation):
    y = slices(x, weight, bias, dilation).clone()
    y[:, : (weight.size(2) - 1) * dilation] = 0
    return y


@wrong("03.5", "reshaped where it should be turned")
def turned_by_reshape(x, weight, bias, dilation):
    y = slices(x, weight, bias, dilation)
    return y.reshape(len(x), len(bias), -1).transpose(1, 2)


@wrong("03.5", "begins with steps of the padding")
def padding_answered_too(x, weight, bias, dilation):
    y = slices(x, weight, bias, dilation)
    return torch.cat([y.new_zeros(len(x), (weight.size(2) - 1) * dilation, len(bias)), y], 1)


@wrong(
    "03.5", "turned round: the last tap, weight[:, :, K-1], reads the step itself. The other: the b"
)
def kernel_reversed_and_no_bias(x, weight, bias, dilation):
    return slices(x, weight.flip(2), 0 * bias, dilation)


@wrong("03.5", "The other: the dilation is not used")
def kernel_reversed_and_no_dilation(x, weight, bias, dilation):
    return slices(x, weight.flip(2), bias, 1)


@wrong("03.5", "The other: the bias is missing")
def one_too_far_and_no_bias(x, weight, bias, dilation):
    return slices(x, weight, 0 * bias, dilation, before=(weight.size(2) - 1) * dilation + 1)


@right("03.5")
def a_product_for_each_tap(x, weight, bias, dilation, past=None):
    return slices(x, weight, bias, dilation, past=past)


@right("03.5")
def windows_by_unfold(x, weight, bias, dilation, past=None):
    reach = (weight.size(2) - 1) * dilation
    past = x.new_zeros(len(x), reach, x.size(2)) if past is None else past
    windows = torch.cat([past, x], 1).unfold(1, reach + 1, 1)[..., ::dilation]  # (B, T, I, K)
    return windows.flatten(2) @ weight.flatten(1).T + bias


@right("03.5")
def columns_by_functional_unfold(x, weight, bias, dilation, past=None):
    K = weight.size(2)
    past = x.new_zeros(len(x), (K - 1) * dilation, x.size(2)) if past is None else past
    text = torch.cat([past, x], 1).mT[:, :, None]
    columns = nn.functional.unfold(text, (1, K), dilation=(1, dilation))  # (B, I * K, T)
    return (weight.flatten(1) @ columns).mT + bias


@right("03.5")
def all_products_first(x, weight, bias, dilation, past=None):
    T, K = x.size(1), weight.size(2)
    past = x.new_zeros(len(x), (K - 1) * dilation, x.size(2)) if past is None else past
    every = torch.tensordot(torch.cat([past, x], 1), weight, dims=([2], [1]))  # (B, ., O, K)
    return bias + sum(every[:, k * dilation : k * dilation + T, :, k] for k in range(K))


@right("03.5")
def step_by_step(x, weight, bias, dilation, past=None):
    B, T, _ = x.shape
    rows = []
    for t in range(T):
        y = bias.expand(B, -1)
        for back in range(weight.size(2)):
            place = t - back * dilation
            if place >= 0 or past is not None:
                token = x[:, place] if place >= 0 else past[:, place]
                y = y + token @ weight[:, :, -1 - back].T
        rows.append(y)
    return torch.stack(rows, 1)


@right("03.5")
def with_einsum(x, weight, bias, dilation, past=None):
    K = weight.size(2)
    past = x.new_zeros(x.size(0), (K - 1) * dilation, x.size(2)) if past is None else past
    text = torch.cat([past, x], 1)
    places = torch.arange(x.size(1))[:, None] + torch.arange(K) * dilation  # (T, K)
    return torch.einsum("btki,oik->bto", text[:, places], weight) + bias
