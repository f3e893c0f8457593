"""Answers to 03.1 lstm_step as students write them, wrong and right."""

from __future__ import annotations

import torch
from torch import nn

from tests.mutants import right, wrong


def gates(x, h, W_ih, W_hh, b_ih, b_hh):
    a = x @ W_ih.T + b_ih + h @ W_hh.T + b_hh
    i, f, g, o = a.chunk(4, dim=-1)
    return i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()


@wrong("03.1", "they lie as i, f, g, o")
def gates_as_the_papers_write_them(x, h, c, W_ih, W_hh, b_ih, b_hh):
    i, f, o, g = (x @ W_ih.T + b_ih + h @ W_hh.T + b_hh).chunk(4, dim=-1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


@wrong("03.1", "they lie as i, f, g, o")
def forget_gate_first(x, h, c, W_ih, W_hh, b_ih, b_hh):
    f, i, g, o = (x @ W_ih.T + b_ih + h @ W_hh.T + b_hh).chunk(4, dim=-1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


@wrong("03.1", "each gate has H rows in one piece")
def every_fourth_row(x, h, c, W_ih, W_hh, b_ih, b_hh):
    a = (x @ W_ih.T + b_ih + h @ W_hh.T + b_hh).view(len(x), -1, 4)
    i, f, g, o = a[..., 0], a[..., 1], a[..., 2], a[..., 3]
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


@wrong("03.1", "unless told otherwise: dim=-1")
def batch_cut_in_four(x, h, c, W_ih, W_hh, b_ih, b_hh):
    i, f, g, o = (x @ W_ih.T + b_ih + h @ W_hh.T + b_hh).chunk(4)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


@wrong("03.1", "b_hh is missing")
def one_bias(x, h, c, W_ih, W_hh, b_ih, b_hh):
    i, f, g, o = gates(x, h, W_ih, W_hh, b_ih, 0)
    c = f * c + i * g
    return o * c.tanh(), c


@wrong("03.1", "the candidate g has a sigmoid")
def everything_a_sigmoid(x, h, c, W_ih, W_hh, b_ih, b_hh):
    i, f, g, o = torch.sigmoid(x @ W_ih.T + b_ih + h @ W_hh.T + b_hh).chunk(4, dim=-1)
    c = f * c + i * g
    return o * c.tanh(), c


@wrong("03.1", "a gate has a tanh")
def everything_a_tanh(x, h, c, W_ih, W_hh, b_ih, b_hh):
    i, f, g, o = torch.tanh(x @ W_ih.T + b_ih + h @ W_hh.T + b_hh).chunk(4, dim=-1)
    c = f * c + i * g
    return o * c.tanh(), c


@wrong("03.1", "h' lacks the tanh")
def cell_shown_as_it_is(x, h, c, W_ih, W_hh, b_ih, b_hh):
    i, f, g, o = gates(x, h, W_ih, W_hh, b_ih, b_hh)
    c = f * c + i * g
    return o * c, c


@wrong("03.1", "the output gate is not used")
def no_output_gate(x, h, c, W_ih, W_hh, b_ih, b_hh):
    i, f, g, _ = gates(x, h, W_ih, W_hh, b_ih, b_hh)
    c = f * c + i * g
    return c.tanh(), c


@wrong("03.1", "h' shows the old cell")
def shown_before_it_is_written(x, h, c, W_ih, W_hh, b_ih, b_hh):
    i, f, g, o = gates(x, h, W_ih, W_hh, b_ih, b_hh)
    return o * c.tanh(), f * c + i * g


@wrong("03.1", "the LSTM of 1997 had none")
def of_1997(x, h, c, W_ih, W_hh, b_ih, b_hh):
    i, _, g, o = gates(x, h, W_ih, W_hh, b_ih, b_hh)
    c = c + i * g
    return o * c.tanh(), c


@wrong("03.1", "the input gate has rows of its own")
def coupled_gates(x, h, c, W_ih, W_hh, b_ih, b_hh):
    _, f, g, o = gates(x, h, W_ih, W_hh, b_ih, b_hh)
    c = f * c + (1 - f) * g
    return o * c.tanh(), c


@wrong("03.1", "how much stays, not how much goes")
def forgets_by_f(x, h, c, W_ih, W_hh, b_ih, b_hh):
    i, f, g, o = gates(x, h, W_ih, W_hh, b_ih, b_hh)
    c = (1 - f) * c + i * g
    return o * c.tanh(), c


@wrong("03.1", "it is the cell that is kept")
def keeps_the_hidden_state(x, h, c, W_ih, W_hh, b_ih, b_hh):
    i, f, g, o = gates(x, h, W_ih, W_hh, b_ih, b_hh)
    c = f * h + i * g
    return o * c.tanh(), c


@wrong("03.1", "or it forgets again")
def cell_squashed(x, h, c, W_ih, W_hh, b_ih, b_hh):
    i, f, g, o = gates(x, h, W_ih, W_hh, b_ih, b_hh)
    c = torch.tanh(f * c + i * g)
    return o * c, c


@wrong("03.1", "the gates read the cell")
def reads_the_cell(x, h, c, W_ih, W_hh, b_ih, b_hh):
    i, f, g, o = gates(x, c, W_ih, W_hh, b_ih, b_hh)
    c = f * c + i * g
    return o * c.tanh(), c


@wrong("03.1", "return h, then c")
def cell_first(x, h, c, W_ih, W_hh, b_ih, b_hh):
    i, f, g, o = gates(x, h, W_ih, W_hh, b_ih, b_hh)
    c = f * c + i * g
    return c, o * c.tanh()


@wrong("03.1", "only h' is returned")
def hidden_only(*inputs):
    return of_the_paper(*inputs)[0]


@wrong("03.1", "the old cell is returned")
def cell_not_updated(x, h, c, W_ih, W_hh, b_ih, b_hh):
    i, f, g, o = gates(x, h, W_ih, W_hh, b_ih, b_hh)
    return o * torch.tanh(f * c + i * g), c


@wrong("03.1", "use torch.sigmoid")
def tanh_by_exp(x, h, c, W_ih, W_hh, b_ih, b_hh):
    i, f, g, o = (x @ W_ih.T + b_ih + h @ W_hh.T + b_hh).chunk(4, dim=-1)
    g = (g.exp() - (-g).exp()) / (g.exp() + (-g).exp())
    c = f.sigmoid() * c + i.sigmoid() * g
    return o.sigmoid() * c.tanh(), c


@wrong("03.1", "no gradient reaches c")
def cell_detached(x, h, c, W_ih, W_hh, b_ih, b_hh):
    return of_the_paper(x, h, c.detach(), W_ih, W_hh, b_ih, b_hh)


@wrong("03.1", "in place")
def writes_into_the_cell(x, h, c, W_ih, W_hh, b_ih, b_hh):
    i, f, g, o = gates(x, h, W_ih, W_hh, b_ih, b_hh)
    c *= f
    c += i * g
    return o * c.tanh(), c


@wrong("03.1", "lstm_cell may not be used here")
def the_ready_made_cell(x, h, c, *weights):
    return torch.lstm_cell(x, (h, c), *weights)


@wrong("03.1", "minidistill.lstm.lstm_step may not be used here")
def the_packages_own(*inputs):
    from minidistill import lstm

    return lstm.lstm_step(*inputs)


@right("03.1")
def of_the_paper(x, h, c, W_ih, W_hh, b_ih, b_hh):
    i, f, g, o = gates(x, h, W_ih, W_hh, b_ih, b_hh)
    c = f * c + i * g
    return o * c.tanh(), c


@right("03.1")
def gate_by_gate(x, h, c, W_ih, W_hh, b_ih, b_hh):
    H = h.size(1)

    def block(n):
        rows = slice(n * H, (n + 1) * H)
        return x @ W_ih[rows].T + h @ W_hh[rows].T + (b_ih + b_hh)[rows]

    new = torch.sigmoid(block(1)) * c + torch.sigmoid(block(0)) * torch.tanh(block(2))
    return [torch.sigmoid(block(3)) * torch.tanh(new), new]


@right("03.1")
def joined_inputs(x, h, c, W_ih, W_hh, b_ih, b_hh):
    a = nn.functional.linear(torch.cat([x, h], 1), torch.cat([W_ih, W_hh], 1), b_ih + b_hh)
    i, f, g, o = a.split(h.size(1), 1)
    g = 2 * torch.sigmoid(2 * g) - 1  # tanh in other words
    c = torch.addcmul(i.sigmoid() * g, f.sigmoid(), c)
    return torch.tanh(c) * o.sigmoid(), c
