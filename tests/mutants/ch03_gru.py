"""Answers to 03.4 gru_step as students write them, wrong and right."""

from __future__ import annotations

import torch

from tests.mutants import right, wrong


def parts(x, h, W_ih, W_hh, b_ih, b_hh):
    return (x @ W_ih.T + b_ih).chunk(3, -1), (h @ W_hh.T + b_hh).chunk(3, -1)


def two(x, h):
    return torch.sigmoid(x[0] + h[0]), torch.sigmoid(x[1] + h[1])


@wrong("03.4", "they lie as r, z, n")
def update_gate_first(x, h, W_ih, W_hh, b_ih, b_hh):
    a, u = parts(x, h, W_ih, W_hh, b_ih, b_hh)
    z, r = two(a, u)
    n = torch.tanh(a[2] + r * u[2])
    return (1 - z) * n + z * h


@wrong("03.4", "z is turned round")
def the_papers_update(x, h, W_ih, W_hh, b_ih, b_hh):
    a, u = parts(x, h, W_ih, W_hh, b_ih, b_hh)
    r, z = two(a, u)
    return z * torch.tanh(a[2] + r * u[2]) + (1 - z) * h


@wrong("03.4", "which is the paper's form")
def reset_before_the_product(x, h, W_ih, W_hh, b_ih, b_hh):
    a, u = parts(x, h, W_ih, W_hh, b_ih, b_hh)
    r, z = two(a, u)
    n = torch.tanh(a[2] + (r * h) @ W_hh.chunk(3)[2].T + b_hh.chunk(3)[2])
    return (1 - z) * n + z * h


@wrong("03.4", "d_n stands outside the bracket")
def biases_added_together(x, h, W_ih, W_hh, b_ih, b_hh):
    a, u = parts(x, h, W_ih, W_hh, b_ih + b_hh, 0)
    r, z = two(a, u)
    n = torch.tanh(a[2] + r * u[2])
    return (1 - z) * n + z * h


@wrong("03.4", "b_hh is missing")
def a_bias_forgotten(x, h, W_ih, W_hh, b_ih, b_hh):
    a, u = parts(x, h, W_ih, W_hh, b_ih, 0)
    r, z = two(a, u)
    return (1 - z) * torch.tanh(a[2] + r * u[2]) + z * h


@wrong("03.4", "the reset gate is not used")
def no_reset(x, h, W_ih, W_hh, b_ih, b_hh):
    a, u = parts(x, h, W_ih, W_hh, b_ih, b_hh)
    _, z = two(a, u)
    return (1 - z) * torch.tanh(a[2] + u[2]) + z * h


@wrong("03.4", "multiplies the input's part, too")
def reset_of_the_whole_sum(x, h, W_ih, W_hh, b_ih, b_hh):
    a, u = parts(x, h, W_ih, W_hh, b_ih, b_hh)
    r, z = two(a, u)
    return (1 - z) * torch.tanh(r * (a[2] + u[2])) + z * h


@wrong("03.4", "the candidate is a sigmoid")
def sigmoid_of_everything(x, h, W_ih, W_hh, b_ih, b_hh):
    a, u = parts(x, h, W_ih, W_hh, b_ih, b_hh)
    r, z = two(a, u)
    return (1 - z) * torch.sigmoid(a[2] + r * u[2]) + z * h


@wrong("03.4", "the candidate is not squashed")
def linear_candidate(x, h, W_ih, W_hh, b_ih, b_hh):
    a, u = parts(x, h, W_ih, W_hh, b_ih, b_hh)
    r, z = two(a, u)
    return (1 - z) * (a[2] + r * u[2]) + z * h


@wrong("03.4", "the gates have a tanh")
def gates_by_tanh(x, h, W_ih, W_hh, b_ih, b_hh):
    a, u = parts(x, h, W_ih, W_hh, b_ih, b_hh)
    r, z = torch.tanh(a[0] + u[0]), torch.tanh(a[1] + u[1])
    return (1 - z) * torch.tanh(a[2] + r * u[2]) + z * h


@wrong("03.4", "the update gate is not used")
def candidate_alone(x, h, W_ih, W_hh, b_ih, b_hh):
    a, u = parts(x, h, W_ih, W_hh, b_ih, b_hh)
    return torch.tanh(a[2] + two(a, u)[0] * u[2])


@wrong("03.4", "a GRU has one state")
def a_pair_as_from_an_lstm(*inputs):
    new = by_interpolation(*inputs)
    return new, new


@wrong("03.4", "no gradient reaches h")
def state_detached(x, h, *weights):
    return by_interpolation(x, h.detach(), *weights)


@wrong("03.4", "gru_cell may not be used here")
def the_gru_cell(*inputs):
    return torch.gru_cell(*inputs)


@right("03.4")
def by_interpolation(x, h, W_ih, W_hh, b_ih, b_hh):
    a, u = parts(x, h, W_ih, W_hh, b_ih, b_hh)
    r, z = two(a, u)
    return torch.lerp(torch.tanh(torch.addcmul(a[2], r, u[2])), h, z)


@right("03.4")
def block_after_block(x, h, W_ih, W_hh, b_ih, b_hh):
    H = h.shape[1]
    both = 1 / (
        1 + torch.exp(-(x @ W_ih[: 2 * H].T + h @ W_hh[: 2 * H].T + (b_ih + b_hh)[: 2 * H]))
    )
    n = x @ W_ih[2 * H :].T + b_ih[2 * H :] + both[:, :H] * (h @ W_hh[2 * H :].T + b_hh[2 * H :])
    return h + (1 - both[:, H:]) * (torch.tanh(n) - h)
