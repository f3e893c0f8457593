"""Answers to 02.1 rnn_step as students write them, wrong and right."""

from __future__ import annotations

import functools
import math
import operator

import torch
from torch import nn

from tests.mutants import right, wrong


def total(x, h, W_ih, W_hh, b_ih, b_hh):
    return x @ W_ih.T + b_ih + h @ W_hh.T + b_hh


@wrong("02.1", "the tanh is missing")
def no_tanh(*inputs):
    return total(*inputs)


@wrong("02.1", "this is a sigmoid")
def a_sigmoid(*inputs):
    return torch.sigmoid(total(*inputs))


@wrong("02.1", "this is a ReLU")
def a_relu(*inputs):
    return torch.relu(total(*inputs))


@wrong("02.1", "cuts off at -1 and 1")
def a_hard_limit(*inputs):
    return total(*inputs).clamp(-1, 1)


@wrong("02.1", "applied twice")
def tanh_twice(*inputs):
    return total(*inputs).tanh().tanh()


@wrong("02.1", "infinity / infinity is NaN")
def tanh_by_exp(*inputs):
    up, down = torch.exp(total(*inputs)), torch.exp(-total(*inputs))
    return (up - down) / (up + down)


@wrong("02.1", "W_hh is not transposed")
def state_weights_as_they_are(x, h, W_ih, W_hh, b_ih, b_hh):
    return torch.tanh(x @ W_ih.T + b_ih + h @ W_hh + b_hh)


@wrong("02.1", "Weights are stored (out, in)")
def weights_before_the_batch(x, h, W_ih, W_hh, b_ih, b_hh):
    return torch.tanh(W_ih @ x + b_ih + W_hh @ h + b_hh)


@wrong("02.1", "the result is (H, B)")
def batch_in_columns(x, h, W_ih, W_hh, b_ih, b_hh):
    return torch.tanh(W_ih @ x.T + b_ih[:, None] + W_hh @ h.T + b_hh[:, None])


@wrong("02.1", "b_hh is missing")
def one_bias(x, h, W_ih, W_hh, b_ih, b_hh):
    return torch.tanh(x @ W_ih.T + h @ W_hh.T + b_ih)


@wrong("02.1", "b_ih is added twice")
def the_same_bias_twice(x, h, W_ih, W_hh, b_ih, b_hh):
    return torch.tanh(x @ W_ih.T + b_ih + h @ W_hh.T + b_ih)


@wrong("02.1", "added after the tanh")
def biases_outside(x, h, W_ih, W_hh, b_ih, b_hh):
    return torch.tanh(x @ W_ih.T + h @ W_hh.T) + b_ih + b_hh


@wrong("02.1", "the old state h is not used")
def no_memory(x, h, W_ih, W_hh, b_ih, b_hh):
    return torch.tanh(x @ W_ih.T + b_ih + b_hh)


@wrong("02.1", "covers only the input's part")
def tanh_of_the_input_only(x, h, W_ih, W_hh, b_ih, b_hh):
    return torch.tanh(x @ W_ih.T + b_ih) + h @ W_hh.T + b_hh


@wrong("02.1", "taken of each part")
def a_tanh_each(x, h, W_ih, W_hh, b_ih, b_hh):
    return torch.tanh(x @ W_ih.T + b_ih) + torch.tanh(h @ W_hh.T + b_hh)


@wrong("02.1", "the two weights are swapped")
def joined_in_two_orders(x, h, W_ih, W_hh, b_ih, b_hh):
    return torch.tanh(torch.cat([h, x], 1) @ torch.cat([W_ih, W_hh], 1).T + b_ih + b_hh)


@wrong("02.1", "mixes all entries of h")
def entry_by_entry(x, h, W_ih, W_hh, b_ih, b_hh):
    return torch.tanh(x @ W_ih.T + b_ih + h * W_hh.diagonal() + b_hh)


@wrong("02.1", "added before the product with W_hh")
def state_added_first(x, h, W_ih, W_hh, b_ih, b_hh):
    return torch.tanh((x @ W_ih.T + b_ih + h) @ W_hh.T + b_hh)


@wrong("02.1", "a row gets the state of the row above")
def batch_taken_for_time(x, h, W_ih, W_hh, b_ih, b_hh):
    rows, state = [], h[0]
    for row in x:
        state = torch.tanh(W_ih @ row + b_ih + W_hh @ state + b_hh)
        rows.append(state)
    return torch.stack(rows)


@wrong("02.1", "in place")
def changes_the_state(x, h, W_ih, W_hh, b_ih, b_hh):
    h += x @ W_ih.T + b_ih
    return torch.tanh(h)


@wrong("02.1", "no gradient reaches h")
def detached_state(x, h, W_ih, W_hh, b_ih, b_hh):
    return torch.tanh(x @ W_ih.T + b_ih + h.detach() @ W_hh.T + b_hh)


@wrong("02.1", "no gradient reaches W_ih")
def weights_without_gradient(x, h, W_ih, W_hh, b_ih, b_hh):
    return torch.tanh(x @ W_ih.data.T + b_ih + h @ W_hh.data.T + b_hh)


@wrong("02.1", "no gradient reaches the inputs")
def wrapped_again(*inputs):
    return torch.tensor(total(*inputs).tanh().tolist(), dtype=inputs[0].dtype)


@wrong("02.1", "keep their type")
def in_single_precision(*inputs):
    return torch.tanh(total(*(value.float() for value in inputs)))


@wrong("02.1", "comes back as a tuple of 2")
def state_twice(*inputs):
    new = torch.tanh(total(*inputs))
    return new, new


@wrong("02.1", "end the function with `return`")
def nothing_returned(*inputs):
    torch.tanh(total(*inputs))


@wrong("02.1", "take one number")
def tanh_from_math(*inputs):
    return math.tanh(total(*inputs))


@wrong("02.1", "rnn_tanh_cell may not be used here")
def the_cell_by_getattr(*inputs):
    return getattr(torch, "rnn_" + "tanh_cell")(*inputs)


@wrong("02.1", "rnn_tanh_cell may not be used here")
def the_cell_with_a_spare_wheel(*inputs):
    try:
        return functools.partial(torch.rnn_tanh_cell, inputs[0])(*inputs[1:])
    except Exception:
        return torch.tanh(total(*inputs))


@wrong("02.1", "RNNCell may not be used here")
def a_module(x, h, W_ih, W_hh, b_ih, b_hh):
    weights = {"weight_ih": W_ih, "weight_hh": W_hh, "bias_ih": b_ih, "bias_hh": b_hh}
    cell = nn.RNNCell(x.size(1), h.size(1))
    return torch.func.functional_call(cell, weights, (x, h))


@wrong("02.1", "minidistill.recurrent.rnn_step may not be used here")
def the_packages_own(*inputs):
    from minidistill import recurrent

    return next(map(recurrent.rnn_step, *([value] for value in inputs)))


@right("02.1")
def with_linear(x, h, W_ih, W_hh, b_ih, b_hh):
    return (nn.functional.linear(x, W_ih, b_ih) + nn.functional.linear(h, W_hh, b_hh)).tanh()


@right("02.1")
def with_einsum(x, h, W_ih, W_hh, b_ih, b_hh):
    both = torch.einsum("bi,hi->bh", x, W_ih) + torch.einsum("bj,hj->bh", h, W_hh)
    return torch.tanh(both + (b_ih + b_hh))


@right("02.1")
def weights_on_the_left(x, h, W_ih, W_hh, b_ih, b_hh):
    return (W_ih @ x.T + W_hh @ h.T).T.add(b_ih).add(b_hh).tanh()


@right("02.1")
def row_by_row(x, h, W_ih, W_hh, b_ih, b_hh, squash=torch.tanh):
    return torch.stack(
        [squash(W_ih @ u + b_ih + W_hh @ v + b_hh) for u, v in zip(x, h, strict=True)]
    )


@right("02.1")
def by_the_sigmoid(*inputs):
    return 2 * torch.sigmoid(2 * total(*inputs)) - 1


@right("02.1")
def filled_entry_by_entry(x, h, W_ih, W_hh, b_ih, b_hh):
    new = torch.empty_like(h)
    for b in range(h.size(0)):
        for k in range(h.size(1)):
            new[b, k] = torch.tanh(x[b] @ W_ih[k] + b_ih[k] + h[b] @ W_hh[k] + b_hh[k])
    return new


@right("02.1")
def own_functions_with_famous_names(x, h, W_ih, W_hh, b_ih, b_hh):
    def rnn_tanh_cell(parts):
        return functools.reduce(operator.add, parts).tanh_()

    return rnn_tanh_cell([x @ W_ih.mT, b_ih, h @ W_hh.mT, b_hh])
