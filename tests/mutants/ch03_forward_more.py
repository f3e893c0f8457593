"""More answers to 03.2 lstm_forward: single slips, two mistakes at once, other styles."""

from __future__ import annotations

import torch

from tests.mutants import right, wrong
from tests.mutants.ch03_forward import loop, step


def read_as(rule, a, h0, c0, W_hh, mask=None):
    """The right loop with another mask."""
    return loop(a, h0, c0, W_hh, None if mask is None else rule(mask))


@wrong("03.2", "as long as one is real")
def one_real_row_is_enough(*args):
    return read_as(lambda mask: mask.any(1, keepdim=True).expand_as(mask), *args)


@wrong("03.2", "a row stops for good at its first padding")
def stopped_at_the_first_padding(*args):
    return read_as(lambda mask: mask.long().cumprod(0).bool(), *args)


@wrong("03.2", "every step up to a row's last token counts as real")
def up_to_the_last_token(*args):
    return read_as(lambda mask: mask.flip(0).long().cumsum(0).flip(0) > 0, *args)


@wrong("03.2", "the first step counts as real in every row")
def first_step_always_made(*args):
    return read_as(lambda mask: torch.cat([torch.ones_like(mask[:1]), mask[1:]]), *args)


@wrong("03.2", "padding before the text starts from zeros")
def looked_up_in_the_results(a, h0, c0, W_hh, mask=None):
    h, c, found = h0, c0, []
    for t in range(len(a)):
        new = step(a[t] + h @ W_hh.T, c)
        old = found[-1] if found else (torch.zeros_like(h0), torch.zeros_like(c0))
        real = torch.ones(len(h0), 1).bool() if mask is None else mask[t, :, None]
        h, c = torch.where(real, new[0], old[0]), torch.where(real, new[1], old[1])
        found.append((h, c, new[2]))
    return tuple(torch.stack(part) for part in zip(*found, strict=True))


@wrong("03.2", "at padding h becomes the cell")
def copied_and_not_changed(a, h0, c0, W_hh, mask=None):
    h, c, found = h0, c0, []
    for t in range(len(a)):
        new = step(a[t] + h @ W_hh.T, c)
        real = torch.ones(len(h0), 1).bool() if mask is None else mask[t, :, None]
        h, c = torch.where(real, new[0], c), torch.where(real, new[1], c)
        found.append((h, c, new[2]))
    return tuple(torch.stack(part) for part in zip(*found, strict=True))


@wrong("03.2", "any finite number may stand there")
def gates_divided_by_the_mask(a, h0, c0, W_hh, mask=None):
    states, cells, gates = loop(a, h0, c0, W_hh, mask)
    return states, cells, gates if mask is None else gates / mask[:, :, None]


@wrong("03.2", "every step repeats the last cell")
def the_same_cell_in_the_list(a, h0, c0, W_hh, mask=None):
    states, cells, gates = loop(a, h0, c0, W_hh, mask)
    return states, cells[-1:].expand_as(cells), gates


@wrong("03.2", "h shows the cell before the step")
def old_cell_shown(a, h0, c0, W_hh, mask=None):
    def shown_too_early(sums, c):
        _, new, gates = step(sums, c)
        return gates.chunk(4, -1)[3] * c.tanh(), new, gates

    return loop(a, h0, c0, W_hh, mask, step=shown_too_early)


@wrong("03.2", "the three results are in another order")
def cells_last(a, h0, c0, W_hh, mask=None):
    states, cells, gates = loop(a, h0, c0, W_hh, mask)
    return states, gates, cells


@wrong("03.2", "the gates alternate entry by entry")
def gates_stacked_last(a, h0, c0, W_hh, mask=None):
    states, cells, gates = loop(a, h0, c0, W_hh, mask)
    return states, cells, torch.stack(gates.chunk(4, -1), -1).flatten(2)


@wrong("03.2", "large sums and large cells")
def tanh_of_the_cell_by_exp(a, h0, c0, W_hh, mask=None):
    def by_exp(sums, c):
        _, new, gates = step(sums, c)
        big = torch.exp(2 * new)
        return gates.chunk(4, -1)[3] * (big - 1) / (big + 1), new, gates

    return loop(a, h0, c0, W_hh, mask, step=by_exp)


@wrong("03.2", "it is a tanh. The other: the mask is ignored")
def sigmoid_candidate_and_no_mask(a, h0, c0, W_hh, mask=None):
    def all_sigmoids(sums, c):
        i, f, g, o = sums.sigmoid().chunk(4, -1)
        c = f * c + i * g
        return o * c.tanh(), c, torch.cat([i, f, g, o], -1)

    return loop(a, h0, c0, W_hh, None, step=all_sigmoids)


@wrong("03.2", "The other: the hidden state is masked, but the cell is not")
def the_papers_order_and_half_a_mask(a, h0, c0, W_hh, mask=None):
    def papers(sums, c):
        i, f, o, g = sums.chunk(4, -1)
        return step(torch.cat([i, f, g, o], -1), c)

    return loop(a, h0, c0, W_hh, mask, step=papers, keep_c=False)


@wrong("03.2", "The other: neither h0 nor c0 is used")
def from_zeros_and_no_tanh(a, h0, c0, W_hh, mask=None):
    def bare(sums, c):
        _, new, gates = step(sums, c)
        return gates.chunk(4, -1)[3] * new, new, gates

    return loop(a, 0 * h0, 0 * c0, W_hh, mask, step=bare)


@right("03.2")
def gates_opened_at_padding(a, h0, c0, W_hh, mask=None):
    """f = 1 and i = 0 keep the cell as it was."""
    h, c, found = h0, c0, []
    for t in range(len(a)):
        i, f, g, o = (a[t] + h @ W_hh.T).chunk(4, dim=-1)
        i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
        pad = torch.zeros(len(h), 1).bool() if mask is None else ~mask[t, :, None]
        i, f = i.masked_fill(pad, 0), f.masked_fill(pad, 1)
        c = f * c + i * g
        h = torch.where(pad, h, o * c.tanh())
        found.append((h, c, torch.cat([i, f, g, o], -1)))
    return tuple(torch.stack(part) for part in zip(*found, strict=True))


@right("03.2")
def only_the_real_rows(a, h0, c0, W_hh, mask=None):
    h, c, gates = h0, c0, torch.zeros_like(a)
    states, cells = [], []
    for t in range(len(a)):
        rows = torch.arange(len(h0)) if mask is None else mask[t].nonzero().flatten()
        new = step(a[t, rows] + h[rows] @ W_hh.T, c[rows])
        h, c = h.clone(), c.clone()
        h[rows], c[rows], gates[t, rows] = new
        states.append(h)
        cells.append(c)
    return torch.stack(states), torch.stack(cells), gates
