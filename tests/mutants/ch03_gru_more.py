"""More answers to 03.4 gru_step: single slips in a gate, two mistakes at once, other styles."""

from __future__ import annotations

import torch

from tests.mutants import right, wrong
from tests.mutants.ch03_gru import parts, two


def finish(a, u, h, **other):
    """The right end of the step, but for what is given."""
    r, z = two(a, u)
    r, z = other.get("r", r), other.get("z", z)
    n = other.get("n", torch.tanh(a[2] + r * u[2]))
    return (1 - z) * n + z * h


@wrong("03.4", "the blocks of the input's side are taken in another order")
def mixed_up_on_one_side(x, h, *weights):
    a, u = parts(x, h, *weights)
    return finish((a[1], a[0], a[2]), u, h)


@wrong("03.4", "b_n stands inside the bracket")
def both_biases_with_the_state(x, h, W_ih, W_hh, b_ih, b_hh):
    a, u = parts(x, h, W_ih, W_hh, 0, b_ih + b_hh)
    return finish(a, u, h)


@wrong("03.4", "z stands in the place of r")
def the_wrong_gate_in_the_candidate(x, h, *weights):
    a, u = parts(x, h, *weights)
    _, z = two(a, u)
    return finish(a, u, h, n=torch.tanh(a[2] + z * u[2]))


@wrong("03.4", "r multiplies the finished candidate")
def reset_outside_the_tanh(x, h, *weights):
    a, u = parts(x, h, *weights)
    r, _ = two(a, u)
    return finish(a, u, h, n=r * torch.tanh(a[2] + u[2]))


@wrong("03.4", "the gate z has a tanh")
def one_gate_by_tanh(x, h, *weights):
    a, u = parts(x, h, *weights)
    return finish(a, u, h, z=torch.tanh(a[1] + u[1]))


@wrong("03.4", "r stands in the place of z")
def mixed_by_the_reset_gate(x, h, *weights):
    a, u = parts(x, h, *weights)
    r, _ = two(a, u)
    return finish(a, u, h, r=r, z=r)


@wrong("03.4", "both parts are multiplied by z")
def z_times_everything(x, h, *weights):
    a, u = parts(x, h, *weights)
    r, z = two(a, u)
    return z * torch.tanh(a[2] + r * u[2]) + z * h


@wrong("03.4", "the gates do not read h")
def gates_from_the_token_alone(x, h, *weights):
    a, u = parts(x, h, *weights)
    return finish(a, u, h, r=torch.sigmoid(a[0]), z=torch.sigmoid(a[1]))


@wrong("03.4", "the candidate does not see the input")
def the_candidate_from_the_past_alone(x, h, *weights):
    a, u = parts(x, h, *weights)
    r, _ = two(a, u)
    return finish(a, u, h, n=torch.tanh(r * u[2]))


@wrong("03.4", "W_hh is reshaped")
def reshaped_to_fit(x, h, W_ih, W_hh, b_ih, b_hh):
    a, u = parts(x, h, W_ih, W_hh.reshape(h.shape[1], -1).T, b_ih, b_hh)
    return finish(a, u, h)


@wrong("03.4", "every third row is taken for a gate")
def strided_blocks(x, h, W_ih, W_hh, b_ih, b_hh):
    sums_x, sums_h = x @ W_ih.T + b_ih, h @ W_hh.T + b_hh
    return finish([sums_x[:, k::3] for k in range(3)], [sums_h[:, k::3] for k in range(3)], h)


@wrong("03.4", "mixes the rows of the batch")
def blocks_by_reshape(x, h, W_ih, W_hh, b_ih, b_hh):
    sums_x, sums_h = x @ W_ih.T + b_ih, h @ W_hh.T + b_hh
    return finish(sums_x.reshape(3, *h.shape), sums_h.reshape(3, *h.shape), h)


@wrong("03.4", "the old state is detached in the last line")
def old_state_detached(x, h, *weights):
    a, u = parts(x, h, *weights)
    r, z = two(a, u)
    return (1 - z) * torch.tanh(a[2] + r * u[2]) + z * h.detach()


@wrong("03.4", "the gate r is detached")
def reset_gate_detached(x, h, *weights):
    a, u = parts(x, h, *weights)
    return finish(a, u, h, r=two(a, u)[0].detach())


@wrong("03.4", "The other: r multiplies h before the product with U_n")
def the_paper_in_both_places(x, h, W_ih, W_hh, b_ih, b_hh):
    a, u = parts(x, h, W_ih, W_hh, b_ih, b_hh)
    r, z = two(a, u)
    n = torch.tanh(a[2] + (r * h) @ W_hh.chunk(3)[2].T + b_hh.chunk(3)[2])
    return z * n + (1 - z) * h


@wrong("03.4", "The other: b_hh is missing")
def one_bias_and_z_turned(x, h, W_ih, W_hh, b_ih, b_hh):
    a, u = parts(x, h, W_ih, W_hh, b_ih, 0)
    r, z = two(a, u)
    return z * torch.tanh(a[2] + r * u[2]) + (1 - z) * h


@wrong("03.4", "The other: the candidate is a sigmoid")
def sigmoid_and_bias_outside(x, h, W_ih, W_hh, b_ih, b_hh):
    a, u = parts(x, h, W_ih, W_hh, b_ih, b_hh)
    d = b_hh.chunk(3)[2]
    r, z = two(a, u)
    return (1 - z) * torch.sigmoid(a[2] + r * (u[2] - d) + d) + z * h


@right("03.4")
def all_blocks_by_einsum(x, h, W_ih, W_hh, b_ih, b_hh):
    H = h.shape[1]
    a = torch.einsum("bi,khi->kbh", x, W_ih.view(3, H, -1)) + b_ih.view(3, 1, H)
    u = torch.einsum("bj,khj->kbh", h, W_hh.view(3, H, H)) + b_hh.view(3, 1, H)
    r, z = torch.sigmoid(a[:2] + u[:2])
    n = torch.tanh(a[2] + r * u[2])
    return n + z * (h - n)


@right("03.4")
def row_after_row(x, h, W_ih, W_hh, b_ih, b_hh):
    H, rows = h.shape[1], []
    for token, state in zip(x, h, strict=True):
        a, u = W_ih @ token + b_ih, W_hh @ state + b_hh
        r, z = (a + u)[: 2 * H].sigmoid().split(H)
        n = (a[2 * H :] + r * u[2 * H :]).tanh()
        rows.append(n - z * n + z * state)
    return torch.stack(rows)
