"""Answers to 03.3 lstm_backward as students write them, wrong and right."""

from __future__ import annotations

import torch

from tests.mutants import right, wrong


def slopes_of(cells, gates, c0):
    i, f, g, o = gates.chunk(4, dim=-1)
    before, shown = torch.cat([c0[None], cells[:-1]]), cells.tanh()
    return [
        g * i * (1 - i),
        before * f * (1 - f),
        i * (1 - g * g),
        shown * o * (1 - o),
    ]


def back(dh, dc, states, cells, gates, h0, c0, W, mask, **other):
    """The right way back, with parts that may be exchanged: da, dh0, dc0, dW_hh."""
    _, f, _, o = gates.chunk(4, dim=-1)
    slopes = other.get("slopes", slopes_of(cells, gates, c0))
    road, to_cell = other.get("road", f), other.get("to_cell", o * (1 - cells.tanh() ** 2))
    before = other.get("before", torch.cat([h0[None], states[:-1]]))
    g_h, g_c, da = torch.zeros_like(h0), dc, torch.zeros_like(gates)
    for t in reversed(range(len(dh))):
        real = torch.ones(len(h0), 1).bool() if mask is None else mask[t, :, None]
        g_h = g_h + dh[t]
        into = g_c + g_h * to_cell[t]
        o_from = into if other.get("o_from_cell") else g_h
        four = [into * s[t] for s in slopes[:3]] + [o_from * slopes[3][t]]
        da[t] = torch.cat(four, -1) * real
        on_c = torch.where(real, into * road[t], g_c)
        on_h = torch.where(real, da[t] @ W, g_h)
        if other.get("stop_c"):
            on_c = on_c * real
        if other.get("stop_h"):
            on_h = on_h * real
        g_c = torch.zeros_like(g_c) if other.get("no_cell_road") else on_c
        g_h = torch.zeros_like(g_h) if other.get("no_hidden_road") else on_h
    return da, g_h, g_c, torch.einsum("tbi,tbj->ij", da, before)


def exchanged(which, slope):
    def answer(dh, dc, states, cells, gates, h0, c0, W_hh, mask=None):
        slopes = slopes_of(cells, gates, c0)
        slopes[which] = slope(cells, c0, *gates.chunk(4, dim=-1))
        return back(dh, dc, states, cells, gates, h0, c0, W_hh, mask, slopes=slopes)

    return answer


@wrong("03.3", "the cell's road is forgotten")
def cell_road_forgotten(dh, dc, states, cells, gates, h0, c0, W_hh, mask=None):
    _, f, _, o = gates.chunk(4, dim=-1)
    slopes = slopes_of(cells, gates, c0)
    g_h, da = torch.zeros_like(h0), torch.zeros_like(gates)
    for t in reversed(range(len(dh))):
        g_h = g_h + dh[t]
        g_c = g_h * o[t] * (1 - cells[t].tanh() ** 2) + (dc if t == len(dh) - 1 else 0)
        da[t] = torch.cat([*[g_c * s[t] for s in slopes[:3]], g_h * slopes[3][t]], -1)
        g_h = da[t] @ W_hh
    before = torch.cat([h0[None], states[:-1]])
    return da, g_h, g_c * f[0], torch.einsum("tbi,tbj->ij", da, before)


@wrong("03.3", "the hidden state's road is forgotten")
def hidden_road_forgotten(dh, dc, states, cells, gates, h0, c0, W_hh, mask=None):
    da, _, dc0, dW = back(dh, dc, states, cells, gates, h0, c0, W_hh, mask, no_hidden_road=True)
    return da, da[0] @ W_hh, dc0, dW


@wrong("03.3", "the cell's road lacks the forget gate")
def never_forgotten(dh, dc, states, cells, gates, h0, c0, W_hh, mask=None):
    road = torch.ones_like(cells)
    return back(dh, dc, states, cells, gates, h0, c0, W_hh, mask, road=road)


@wrong("03.3", "dc is not used")
def last_cell_without_gradient(dh, dc, *rest):
    return in_the_loop(dh, torch.zeros_like(dc), *rest)


@wrong("03.3", "lacks the slope of the tanh")
def to_the_cell_without_slope(dh, dc, states, cells, gates, h0, c0, W_hh, mask=None):
    o = gates.chunk(4, dim=-1)[3]
    return back(dh, dc, states, cells, gates, h0, c0, W_hh, mask, to_cell=o)


@wrong("03.3", "lacks the output gate")
def to_the_cell_without_gate(dh, dc, states, cells, gates, h0, c0, W_hh, mask=None):
    slope = 1 - cells.tanh() ** 2
    return back(dh, dc, states, cells, gates, h0, c0, W_hh, mask, to_cell=slope)


@wrong("03.3", "1 - tanh(c)^2, and h = o tanh(c)")
def slope_from_the_hidden_state(dh, dc, states, cells, gates, h0, c0, W_hh, mask=None):
    o = gates.chunk(4, dim=-1)[3]
    to_cell = o * (1 - states**2)
    return back(dh, dc, states, cells, gates, h0, c0, W_hh, mask, to_cell=to_cell)


@wrong("03.3", "da_f takes the cell after the step")
def new_cell_for_f(*inputs):
    return exchanged(1, lambda cells, c0, i, f, g, o: cells * f * (1 - f))(*inputs)


@wrong("03.3", "c0 stands there")
def cells_wrap_round(*inputs):
    return exchanged(1, lambda cells, c0, i, f, g, o: cells.roll(1, 0) * f * (1 - f))(*inputs)


@wrong("03.3", "da_f has the slope of a tanh")
def tanh_slope_for_a_gate(*inputs):
    def slope(cells, c0, i, f, g, o):
        return torch.cat([c0[None], cells[:-1]]) * (1 - f**2)

    return exchanged(1, slope)(*inputs)


@wrong("03.3", "da_g has the slope of a sigmoid")
def sigmoid_slope_for_the_candidate(*inputs):
    return exchanged(2, lambda cells, c0, i, f, g, o: i * g * (1 - g))(*inputs)


@wrong("03.3", "da_g lacks the input gate")
def candidate_without_gate(*inputs):
    return exchanged(2, lambda cells, c0, i, f, g, o: 1 - g**2)(*inputs)


@wrong("03.3", "g_h, and not g_c")
def output_gate_from_the_cell(dh, dc, states, cells, gates, h0, c0, W_hh, mask=None):
    return back(dh, dc, states, cells, gates, h0, c0, W_hh, mask, o_from_cell=True)


@wrong("03.3", "the tanh of the cell is missing")
def output_gate_times_cell(*inputs):
    return exchanged(3, lambda cells, c0, i, f, g, o: cells * o * (1 - o))(*inputs)


@wrong("03.3", "the blocks of da come in another order")
def candidate_last(dh, dc, states, cells, gates, h0, c0, W_hh, mask=None):
    da, dh0, dc0, _ = in_the_loop(dh, dc, states, cells, gates, h0, c0, W_hh, mask)
    i, f, g, o = da.chunk(4, -1)
    da = torch.cat([i, f, o, g], -1)
    before = torch.cat([h0[None], states[:-1]])
    return da, dh0, dc0, torch.einsum("tbi,tbj->ij", da, before)


@wrong("03.3", "dW_hh uses the state after the step")
def state_after_the_step(dh, dc, states, *rest):
    da, dh0, dc0, _ = in_the_loop(dh, dc, states, *rest)
    return da, dh0, dc0, torch.einsum("tbi,tbj->ij", da, states)


@wrong("03.3", "dh0 and dc0 are in the wrong order")
def cell_gradient_first(*inputs):
    da, dh0, dc0, dW = in_the_loop(*inputs)
    return da, dc0, dh0, dW


@wrong("03.3", "the mask is ignored")
def mask_ignored(dh, dc, states, cells, gates, h0, c0, W_hh, mask=None):
    return back(dh, dc, states, cells, gates, h0, c0, W_hh, None)


@wrong("03.3", "go on as after a real step")
def only_da_masked(dh, dc, states, cells, gates, h0, c0, W_hh, mask=None):
    _, f, _, o = gates.chunk(4, dim=-1)
    slopes = slopes_of(cells, gates, c0)
    g_h, g_c, da = torch.zeros_like(h0), dc, torch.zeros_like(gates)
    for t in reversed(range(len(dh))):
        g_h = g_h + dh[t]
        g_c = g_c + g_h * o[t] * (1 - cells[t].tanh() ** 2)
        da[t] = torch.cat([*[g_c * s[t] for s in slopes[:3]], g_h * slopes[3][t]], -1)
        if mask is not None:
            da[t] *= mask[t, :, None]
        g_c, g_h = g_c * f[t], da[t] @ W_hh
    before = torch.cat([h0[None], states[:-1]])
    return da, g_h, g_c, torch.einsum("tbi,tbj->ij", da, before)


@wrong("03.3", "f counts as 1 there")
def padding_forgets_the_cell(dh, dc, states, cells, gates, h0, c0, W_hh, mask=None):
    return back(dh, dc, states, cells, gates, h0, c0, W_hh, mask, stop_c=True)


@wrong("03.3", "a padded step stops the hidden state's gradient")
def padding_forgets_the_state(dh, dc, states, cells, gates, h0, c0, W_hh, mask=None):
    return back(dh, dc, states, cells, gates, h0, c0, W_hh, mask, stop_h=True)


@wrong("03.3", "da is not zero at padding")
def never_filled_at_padding(dh, dc, states, cells, gates, h0, c0, W_hh, mask=None):
    da, *rest = in_the_loop(dh, dc, states, cells, gates, h0, c0, W_hh, mask)
    return (da if mask is None else torch.where(mask[..., None], da, 1e30)), *rest


@wrong("03.3", "may not be used here")
def autograd_itself(dh, dc, states, cells, gates, h0, c0, W_hh, mask=None):
    W = W_hh.detach().clone().requires_grad_()
    return torch.autograd.grad((states[0] @ W.T).sum(), W)


@wrong("03.3", "minidistill.lstm.lstm_backward may not be used here")
def the_packages_own(*inputs):
    from minidistill.lstm import lstm_backward

    return lstm_backward(*inputs)


@right("03.3")
def in_the_loop(dh, dc, states, cells, gates, h0, c0, W_hh, mask=None):
    return back(dh, dc, states, cells, gates, h0, c0, W_hh, mask)


@right("03.3")
def everything_inside(dh, dc, states, cells, gates, h0, c0, W_hh, mask=None):
    da, dW = torch.zeros_like(gates), torch.zeros_like(W_hh)
    g_h, g_c = h0 * 0, dc.clone()
    for t in range(len(dh) - 1, -1, -1):
        i, f, g, o = gates[t].chunk(4, -1)
        old_h, old_c = (states[t - 1], cells[t - 1]) if t else (h0, c0)
        g_h = g_h + dh[t]
        m = torch.ones_like(f) if mask is None else mask[t, :, None].to(f).expand_as(f)
        shown = torch.tanh(cells[t])
        whole = g_c + g_h * o * (1 - shown) * (1 + shown)
        four = [whole * g * i * (1 - i), whole * old_c * f * (1 - f), whole * i * (1 - g**2)]
        da[t] = torch.cat([*four, g_h * shown * o * (1 - o)], 1) * m.repeat(1, 4)
        dW += da[t].mT @ old_h
        g_h = m * (da[t] @ W_hh) + (1 - m) * g_h
        g_c = m * whole * f + (1 - m) * g_c
    return [da, g_h, g_c, dW]


@right("03.3")
def row_by_row(dh, dc, states, cells, gates, h0, c0, W_hh, mask=None):
    da, dW = torch.zeros_like(gates), torch.zeros_like(W_hh)
    dh0, dc0, H = torch.zeros_like(h0), torch.zeros_like(c0), h0.size(1)
    for b in range(dh.size(1)):
        g_h, g_c = dh.new_zeros(H), dc[b]
        for t in reversed(range(len(dh))):
            g_h = g_h + dh[t, b]
            if mask is not None and not mask[t, b]:
                continue
            i, f, g, o = gates[t, b].split(H)
            old = cells[t - 1, b] if t else c0[b]
            shown = torch.tanh(cells[t, b])
            g_c = g_c + g_h * o * (1 - shown**2)
            by = [g_c * g * i * (1 - i), g_c * old * f * (1 - f), g_c * i * (1 - g**2)]
            da[t, b] = torch.cat([*by, g_h * shown * o * (1 - o)])
            dW += torch.outer(da[t, b], states[t - 1, b] if t else h0[b])
            g_c, g_h = g_c * f, W_hh.T @ da[t, b]
        dh0[b], dc0[b] = g_h, g_c
    return da, dh0, dc0, dW
