"""More answers to 03.3 lstm_backward: single slips, two mistakes at once, another style."""

from __future__ import annotations

import torch

from tests.mutants import right, wrong
from tests.mutants.ch03_backward import back, slopes_of


def taken(gates, order):
    return torch.cat([gates.chunk(4, -1)[place] for place in order], -1)


@wrong("03.3", "g_c is made anew in every step")
def cell_gradient_replaced(dh, dc, states, cells, gates, h0, c0, W_hh, mask=None):
    _, f, _, o = gates.chunk(4, -1)
    slopes, g_h, da = slopes_of(cells, gates, c0), torch.zeros_like(h0), torch.zeros_like(gates)
    for t in reversed(range(len(dh))):
        g_h = g_h + dh[t]
        g_c = g_h * o[t] * (1 - cells[t].tanh() ** 2)
        da[t] = torch.cat([*[g_c * slope[t] for slope in slopes[:3]], g_h * slopes[3][t]], -1)
        g_h = da[t] @ W_hh
    past = torch.cat([h0[None], states[:-1]])
    return da, g_h, g_c * f[0], torch.einsum("tbi,tbj->ij", da, past)


@wrong("03.3", "dh is not used")
def only_the_cell_has_a_gradient(dh, *args):
    return back(0 * dh, *args, *(None,) * (8 - len(args)))


@wrong("03.3", "the gates are taken apart in another order")
def the_papers_order(dh, dc, states, cells, gates, h0, c0, W_hh, mask=None):
    gates = taken(gates, (0, 1, 3, 2))
    return back(dh, dc, states, cells, gates, h0, c0, W_hh, mask)


@wrong("03.3", "the sigmoid is taken of the gates once more")
def squashed_again(dh, dc, states, cells, gates, h0, c0, W_hh, mask=None):
    i, f, g, o = gates.chunk(4, -1)
    gates = torch.cat([i.sigmoid(), f.sigmoid(), g, o.sigmoid()], -1)
    return back(dh, dc, states, cells, gates, h0, c0, W_hh, mask)


@wrong("03.3", "the square is missing in the slope of the tanh")
def slope_without_the_square(dh, dc, states, cells, gates, h0, c0, W_hh, mask=None):
    to_cell = gates.chunk(4, -1)[3] * (1 - cells.tanh())
    return back(dh, dc, states, cells, gates, h0, c0, W_hh, mask, to_cell=to_cell)


@wrong("03.3", "your code divides by one (h / o")
def tanh_from_the_states(dh, dc, states, cells, gates, h0, c0, W_hh, mask=None):
    o = gates.chunk(4, -1)[3]
    shown = states / o
    if mask is not None:
        shown = torch.where(mask[:, :, None], shown, cells.tanh())
    slopes = [*slopes_of(cells, gates, c0)[:3], shown * o * (1 - o)]
    parts = {"slopes": slopes, "to_cell": o * (1 - shown**2)}
    return back(dh, dc, states, cells, gates, h0, c0, W_hh, mask, **parts)


@wrong("03.3", "dW_hh uses h0 at every step")
def first_state_at_every_step(dh, dc, states, cells, gates, h0, c0, W_hh, mask=None):
    before = h0.expand_as(states)
    return back(dh, dc, states, cells, gates, h0, c0, W_hh, mask, before=before)


@wrong("03.3", "the mask is read as a length")
def mask_as_a_length(*args):
    if len(args) < 9 or args[8] is None:
        return back(*args[:8], None)
    real = torch.arange(len(args[0]))[:, None] < args[8].sum(0)
    return back(*args[:8], real)


@wrong("03.3", "The other: dW_hh uses the state after the step")
def both_one_step_late(dh, dc, states, cells, gates, h0, c0, W_hh, mask=None):
    slopes = slopes_of(cells, gates, c0)
    f = gates.chunk(4, -1)[1]
    slopes[1] = cells * f * (1 - f)
    other = {"slopes": slopes, "before": states}
    return back(dh, dc, states, cells, gates, h0, c0, W_hh, mask, **other)


@right("03.3")
def text_after_text(dh, dc, states, cells, gates, h0, c0, W_hh, mask=None):
    T, B, H = dh.shape
    da, dW = torch.zeros_like(gates), torch.zeros_like(W_hh)
    dh0, dc0 = torch.zeros_like(h0), torch.zeros_like(c0)
    for b in range(B):
        g_h, g_c = torch.zeros_like(h0[b]), dc[b]
        for t in range(T - 1, -1, -1):
            g_h = g_h + dh[t, b]
            if mask is not None and not mask[t, b]:
                continue
            i, f, g, o = gates[t, b].split(H)
            h_before, c_before = (states[t - 1, b], cells[t - 1, b]) if t else (h0[b], c0[b])
            g_c = g_c + g_h * o / torch.cosh(cells[t, b]) ** 2
            into_o = g_h * cells[t, b].tanh() * o * (1 - o)
            to_i, to_f = g_c * g * i * (1 - i), g_c * c_before * f * (1 - f)
            da[t, b] = torch.cat([to_i, to_f, g_c * i * (1 - g) * (1 + g), into_o])
            dW += torch.outer(da[t, b], h_before)
            g_h, g_c = W_hh.T @ da[t, b], g_c * f
        dh0[b], dc0[b] = g_h, g_c
    return da, dh0, dc0, dW
