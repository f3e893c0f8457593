"""More answers to 03.1 lstm_step: single slips, two mistakes at once, other styles."""

from __future__ import annotations

import torch

from tests.mutants import right, wrong


def sums(x, h, W_ih, W_hh, b_ih, b_hh):
    return (x @ W_ih.T + b_ih + h @ W_hh.T + b_hh).chunk(4, dim=-1)


def finish(i, f, g, o, c):
    """The right end of the step, from gates after their squashing."""
    c = f * c + i * g
    return o * torch.tanh(c), c


def squashed(i, f, g, o):
    return torch.sigmoid(i), torch.sigmoid(f), torch.tanh(g), torch.sigmoid(o)


@wrong("03.1", "the gate o is not squashed")
def output_gate_raw(x, h, c, *weights):
    blocks = sums(x, h, *weights)
    return finish(*squashed(*blocks)[:3], blocks[3], c)


@wrong("03.1", "goes through the sigmoid twice")
def forget_gate_squashed_twice(x, h, c, *weights):
    i, f, g, o = squashed(*sums(x, h, *weights))
    return finish(i, torch.sigmoid(f), g, o, c)


@wrong("03.1", "the sigmoid and then the tanh")
def everything_through_the_sigmoid_first(x, h, c, *weights):
    i, f, g, o = (torch.sigmoid(block) for block in sums(x, h, *weights))
    return finish(i, f, torch.tanh(g), o, c)


@wrong("03.1", "the old h is added to the new one")
def residual_state(x, h, c, *weights):
    new, c = finish(*squashed(*sums(x, h, *weights)), c)
    return new + h, c


@wrong("03.1", "1 is added to the forget gate's sum")
def forget_bias_inside(x, h, c, *weights):
    i, f, g, o = sums(x, h, *weights)
    return finish(*squashed(i, f + 1, g, o), c)


@wrong("03.1", "mixes the rows of the batch")
def blocks_by_reshape(x, h, c, W_ih, W_hh, b_ih, b_hh):
    blocks = (x @ W_ih.T + b_ih + h @ W_hh.T + b_hh).reshape(4, *h.shape)
    return finish(*squashed(*blocks), c)


@wrong("03.1", "W_ih is reshaped")
def reshaped_to_fit(x, h, c, W_ih, *weights):
    blocks = sums(x, h, W_ih.reshape(x.shape[1], -1).T, *weights)
    return finish(*squashed(*blocks), c)


@wrong("03.1", "h' is returned twice")
def the_same_twice(x, h, c, *weights):
    h, _ = finish(*squashed(*sums(x, h, *weights)), c)
    return h, h


@wrong("03.1", "exp overflows for a large sum or a large cell")
def tanh_of_the_cell_by_exp(x, h, c, *weights):
    i, f, g, o = squashed(*sums(x, h, *weights))
    c = f * c + i * g
    return o * (torch.exp(2 * c) - 1) / (torch.exp(2 * c) + 1), c


@wrong("03.1", "no gradient comes through h'")
def shown_without_gradient(x, h, c, *weights):
    h, c = finish(*squashed(*sums(x, h, *weights)), c)
    return h.detach(), c


@wrong("03.1", "The other: h' lacks the tanh")
def two_tanhs_forgotten(x, h, c, *weights):
    i, f, g, o = (torch.sigmoid(block) for block in sums(x, h, *weights))
    c = f * c + i * g
    return o * c, c


@wrong("03.1", "lie as i, f, g, o. The other: b_hh is missing")
def the_papers_order_and_one_bias(x, h, c, W_ih, W_hh, b_ih, b_hh):
    i, f, o, g = sums(x, h, W_ih, W_hh, b_ih, 0)
    return finish(*squashed(i, f, g, o), c)


@wrong("03.1", "The other: the pair comes in the wrong order")
def sigmoid_candidate_and_cell_first(x, h, c, *weights):
    h, c = finish(*(torch.sigmoid(block) for block in sums(x, h, *weights)), c)
    return c, h


@right("03.1")
def sigmoid_by_tanh(x, h, c, W_ih, W_hh, b_ih, b_hh):
    both = torch.cat([x, h], 1) @ torch.cat([W_ih, W_hh], 1).T + b_ih + b_hh
    both = both.unflatten(-1, (4, -1))
    half = 0.5 * (1 + torch.tanh(both / 2))
    c = torch.addcmul(half[:, 1] * c, half[:, 0], both[:, 2].tanh())
    return [half[:, 3] * c.tanh(), c]


@right("03.1")
def row_after_row(x, h, c, W_ih, W_hh, b_ih, b_hh):
    shown, kept = [], []
    for token, state, cell in zip(x, h, c, strict=True):
        i, f, g, o = (W_ih @ token + W_hh @ state + b_ih + b_hh).split(h.size(1))
        kept.append(f.sigmoid() * cell + i.sigmoid() * g.tanh())
        shown.append(o.sigmoid() * kept[-1].tanh())
    return torch.stack(shown), torch.stack(kept)
