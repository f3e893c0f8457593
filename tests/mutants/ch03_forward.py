"""Answers to 03.2 lstm_forward as students write them, wrong and right."""

from __future__ import annotations

import torch

from tests.mutants import right, wrong


def step(sums, c):
    i, f, g, o = sums.chunk(4, dim=-1)
    i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
    c = f * c + i * g
    return o * c.tanh(), c, torch.cat([i, f, g, o], dim=-1)


def loop(a, h0, c0, W, mask, step=step, keep_h=True, keep_c=True):
    h, c, found = h0, c0, []
    for t in range(len(a)):
        new_h, new_c, gates = step(a[t] + h @ W.T, c)
        real = None if mask is None else mask[t, :, None]
        h = new_h if real is None or not keep_h else torch.where(real, new_h, h)
        c = new_c if real is None or not keep_c else torch.where(real, new_c, c)
        found.append((h, c, gates))
    return tuple(torch.stack(part) for part in zip(*found, strict=True))


@wrong("03.2", "the hidden state is not")
def only_the_cell_masked(a, h0, c0, W_hh, mask=None):
    return loop(a, h0, c0, W_hh, mask, keep_h=False)


@wrong("03.2", "the cell is not")
def only_the_hidden_state_masked(a, h0, c0, W_hh, mask=None):
    return loop(a, h0, c0, W_hh, mask, keep_c=False)


@wrong("03.2", "the mask is ignored")
def mask_ignored(a, h0, c0, W_hh, mask=None):
    return loop(a, h0, c0, W_hh, None)


@wrong("03.2", "the wrong way round")
def mask_inverted(a, h0, c0, W_hh, mask=None):
    return loop(a, h0, c0, W_hh, None if mask is None else ~mask)


@wrong("03.2", "become zero")
def multiplied_by_the_mask(a, h0, c0, W_hh, mask=None):
    h, c, found = h0, c0, []
    for t in range(len(a)):
        h, c, gates = step(a[t] + h @ W_hh.T, c)
        if mask is not None:
            h, c = h * mask[t, :, None], c * mask[t, :, None]
        found.append((h, c, gates))
    return tuple(torch.stack(part) for part in zip(*found, strict=True))


@wrong("03.2", "go back to h0 and c0")
def back_to_the_beginning(a, h0, c0, W_hh, mask=None):
    h, c, found = h0, c0, []
    for t in range(len(a)):
        h, c, gates = step(a[t] + h @ W_hh.T, c)
        if mask is not None:
            real = mask[t, :, None]
            h, c = torch.where(real, h, h0), torch.where(real, c, c0)
        found.append((h, c, gates))
    return tuple(torch.stack(part) for part in zip(*found, strict=True))


@wrong("03.2", "every step is real then")
def carried_only_under_a_mask(a, h0, c0, W_hh, mask=None):
    h, c, found = h0, c0, []
    for t in range(len(a)):
        new_h, new_c, gates = step(a[t] + h @ W_hh.T, c)
        if mask is not None:
            real = mask[t, :, None]
            h, c = torch.where(real, new_h, h), torch.where(real, new_c, c)
        found.append((h, c, gates))
    return tuple(torch.stack(part) for part in zip(*found, strict=True))


@wrong("03.2", "ask `if mask is None`")
def mask_always_expected(a, h0, c0, W_hh, mask=None):
    return loop(a, h0, c0, W_hh, mask.bool())


@wrong("03.2", "they lie as i, f, g, o")
def gates_in_the_papers_order(a, h0, c0, W_hh, mask=None):
    def mixed(sums, c):
        f, i, o, g = sums.chunk(4, dim=-1)
        f, i, o, g = f.sigmoid(), i.sigmoid(), o.sigmoid(), g.tanh()
        c = f * c + i * g
        return o * c.tanh(), c, torch.cat([f, i, o, g], dim=-1)

    return loop(a, h0, c0, W_hh, mask, mixed)


@wrong("03.2", "the gates come back in another order")
def gates_returned_otherwise(a, h0, c0, W_hh, mask=None):
    states, cells, gates = loop(a, h0, c0, W_hh, mask)
    i, f, g, o = gates.chunk(4, -1)
    return states, cells, torch.cat([i, f, o, g], -1)


@wrong("03.2", "the gates come back in another shape")
def gates_stacked(a, h0, c0, W_hh, mask=None):
    states, cells, gates = loop(a, h0, c0, W_hh, mask)
    return states, cells, torch.stack(gates.chunk(4, -1), dim=2)


@wrong("03.2", "the sums before the squashing")
def sums_kept(a, h0, c0, W_hh, mask=None):
    def kept(sums, c):
        h, c, _ = step(sums, c)
        return h, c, sums

    return loop(a, h0, c0, W_hh, mask, kept)


@wrong("03.2", "the gates are missing")
def no_gates(a, h0, c0, W_hh, mask=None):
    return loop(a, h0, c0, W_hh, mask)[:2]


@wrong("03.2", "only the last cell is returned")
def as_torch_returns_it(a, h0, c0, W_hh, mask=None):
    states, cells, gates = loop(a, h0, c0, W_hh, mask)
    return states, cells[-1], gates


@wrong("03.2", "h lacks the tanh")
def cell_shown_as_it_is(a, h0, c0, W_hh, mask=None):
    def open_step(sums, c):
        _, c, gates = step(sums, c)
        return gates.chunk(4, -1)[3] * c, c, gates

    return loop(a, h0, c0, W_hh, mask, open_step)


@wrong("03.2", "every step starts from c0")
def cell_not_carried(a, h0, c0, W_hh, mask=None):
    return (
        loop(a, h0, c0, W_hh, mask, lambda sums, c: step(sums, c0))
        if mask is None
        else loop(a, h0, c0, W_hh, mask)
    )


@wrong("03.2", "c0 is not used")
def cell_begins_at_zero(a, h0, c0, W_hh, mask=None):
    return loop(a, h0, torch.zeros_like(c0), W_hh, mask)


@wrong("03.2", "append after the step")
def appended_before(a, h0, c0, W_hh, mask=None):
    states, cells, gates = loop(a, h0, c0, W_hh, mask)
    return torch.cat([h0[None], states[:-1]]), torch.cat([c0[None], cells[:-1]]), gates


@wrong("03.2", "in place")
def squashed_in_the_inputs(a, h0, c0, W_hh, mask=None):
    h, c, found = h0, c0, []
    for t in range(len(a)):
        a[t] += h @ W_hh.T
        h, c, gates = step(a[t], c)
        found.append((h, c, gates))
    return tuple(torch.stack(part) for part in zip(*found, strict=True))


@wrong("03.2", "keep their type")
def single_precision(a, h0, c0, W_hh, mask=None):
    states, cells, gates = loop(a, h0, c0, W_hh, mask)
    return states, cells, torch.zeros(gates.shape).copy_(gates)


@wrong("03.2", "lstm_cell may not be used here")
def with_the_cell_of_torch(a, h0, c0, W_hh, mask=None):
    eye, none = torch.eye(a.size(2)).to(a), a.new_zeros(a.size(2))
    h, c, found = h0, c0, []
    for x in a:
        h, c = torch.lstm_cell(x, (h, c), eye, W_hh, none, none)
        found.append((h, c, x))
    return tuple(torch.stack(part) for part in zip(*found, strict=True))


@right("03.2")
def three_lists(a, h0, c0, W_hh, mask=None):
    return loop(a, h0, c0, W_hh, mask)


@right("03.2")
def filled_in_place(a, h0, c0, W_hh, mask=None):
    T, B, H = len(a), *h0.shape
    gates, both, h, c = torch.empty_like(a), a.new_empty(2, T, B, H), h0, c0
    for t in range(T):
        gates[t] = torch.addmm(a[t], h, W_hh.T)
        gates[t, :, : 2 * H].sigmoid_()
        gates[t, :, 2 * H : 3 * H].tanh_()
        gates[t, :, 3 * H :].sigmoid_()
        i, f, g, o = gates[t].split(H, -1)
        new = torch.stack([o * torch.tanh(f * c + i * g), f * c + i * g])
        if mask is not None:
            new[:, ~mask[t]] = torch.stack([h, c])[:, ~mask[t]]
        both[:, t] = new
        h, c = new
    return both[0], both[1], gates


@right("03.2")
def with_arithmetic(a, h0, c0, W_hh, mask=None):
    real = torch.ones(a.shape[:2]) if mask is None else mask
    h, c, found = h0, c0, []
    for x, m in zip(a, real.to(a.dtype)[..., None], strict=True):
        new_h, new_c, gates = step(x + h @ W_hh.T, c)
        h, c = m * new_h + (1 - m) * h, m * new_c + (1 - m) * c
        found.append((h, c, gates * m))  # nothing at padding
    return [torch.stack(part) for part in zip(*found, strict=True)]
