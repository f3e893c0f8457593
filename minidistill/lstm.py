"""The long short-term memory from scratch: one step, all steps, and their gradients by hand."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from minidistill.recurrent_state import refuse_second_gradient
from minidistill.stacked import Stacked


def lstm_step(
    x: Tensor,
    h: Tensor,
    c: Tensor,
    W_ih: Tensor,
    W_hh: Tensor,
    b_ih: Tensor,
    b_hh: Tensor,
) -> tuple[Tensor, Tensor]:
    """One step of a long short-term memory (长短期记忆网络).

    i, f, o = sigmoid(x W_i^T + h U_i^T + b_i) and so on     gates, between 0 and 1
    g = tanh(x W_g^T + h U_g^T + b_g)                        what could be written
    c' = f * c + i * g                                       the cell: kept and written
    h' = o * tanh(c')                                        what is shown

    Args:
        x: the token's vector, (B, I).
        h, c: hidden state and cell state so far, (B, H) each.
        W_ih, W_hh: (4H, I) and (4H, H), the blocks in the order i, f, g, o.
        b_ih, b_hh: (4H,) each.

    Returns:
        h', c', (B, H) each.

    Source: Hochreiter and Schmidhuber, Long short-term memory, 1997; the forget gate f is of
    Gers, Schmidhuber and Cummins, Learning to forget, 2000.
    Taught in solutions/03_lstm_and_gru.ipynb.
    """
    a = nn.functional.linear(x, W_ih, b_ih) + nn.functional.linear(h, W_hh, b_hh)  # (B, 4H)
    i, f, g, o = a.chunk(4, dim=-1)  # (B, H) each
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def lstm_forward(
    a: Tensor, h0: Tensor, c0: Tensor, W_hh: Tensor, mask: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """All steps, given what the inputs contribute to each: a_t = x_t W_ih^T + b_ih + b_hh.

    Where the mask says padding, h_t = h_{t-1} and c_t = c_{t-1}.

    Args:
        a: (T, B, 4H), time first. h0, c0: (B, H). W_hh: (4H, H). mask: (T, B) or None.

    Returns:
        states h_1 .. h_T (T, B, H), cells c_1 .. c_T (T, B, H), and the gates' values
        i, f, g, o of every step (T, B, 4H), which the way back needs.

    Taught in solutions/03_lstm_and_gru.ipynb.
    """
    T, B, H = len(a), *h0.shape
    gates = torch.empty_like(a)  # (T, B, 4H)
    states, cells = a.new_empty(T, B, H), a.new_empty(T, B, H)
    h, c, U = h0, c0, W_hh.T
    places = zip(a, gates, *gates.chunk(4, dim=-1), states, cells, strict=True)  # views to fill
    for t, (a_t, now, i, f, g, o, new_h, new_c) in enumerate(places):
        torch.addmm(a_t, h, U, out=now)  # (B, 4H): all four at once
        now[:, : 2 * H].sigmoid_(), g.tanh_(), o.sigmoid_()
        torch.addcmul(f * c, i, g, out=new_c)
        torch.mul(o, torch.tanh(new_c), out=new_h)
        if mask is not None:
            past = ~mask[t, :, None]
            torch.where(past, c, new_c, out=new_c)
            torch.where(past, h, new_h, out=new_h)
        h, c = new_h, new_c
    return states, cells, gates


def lstm_backward(
    dh: Tensor,
    dc: Tensor,
    states: Tensor,
    cells: Tensor,
    gates: Tensor,
    h0: Tensor,
    c0: Tensor,
    W_hh: Tensor,
    mask: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Back-propagation through time for `lstm_forward`, by hand.

    Going back, with g_h = dL/dh_t and g_c = dL/dc_t counting every later step:
        g_c  = g_c + g_h * o (1 - tanh(c_t)^2)          the cell is also shown as h
        da_i = g_c * g * i (1 - i)     da_f = g_c * c_{t-1} * f (1 - f)
        da_g = g_c * i * (1 - g^2)     da_o = g_h * tanh(c_t) * o (1 - o)
        g_c  = g_c * f                 the cell's road: no weight matrix, no squashing
        g_h  = da W_hh                 the hidden state's road
    The factors that do not depend on the way back (the slopes) are computed for all steps at
    once. A padded step changed nothing, so it passes both gradients on unchanged.

    Args:
        dh: dL/dh_t as the layers above see it, (T, B, H). dc: dL/dc_T, (B, H).
        The others: what `lstm_forward` was given and returned.

    Returns:
        da (T, B, 4H), dh0 (B, H), dc0 (B, H), dW_hh (4H, H).

    Taught in solutions/03_lstm_and_gru.ipynb.
    """
    i, f, g, o = gates.unflatten(2, (4, -1)).unbind(2)  # (T, B, H) each
    before = torch.cat([c0[None], cells[:-1]])  # c_{t-1}
    shown = torch.tanh(cells)
    to_cell = o * (1 - shown * shown)
    slopes = torch.addcmul(gates, gates, gates, value=-1).unflatten(2, (4, -1))  # s (1 - s)
    slopes[:, :, 2] = 1 - g * g  # the candidate is a tanh
    for block, partner in enumerate((g, before, i, shown)):  # what each is multiplied with
        slopes[:, :, block].mul_(partner)
    if mask is not None:
        slopes = slopes * mask[:, :, None, None]
        to_cell = to_cell * mask[:, :, None]
        f = torch.where(mask[:, :, None], f, 1.0)
    g_h, g_c = torch.zeros_like(h0), dc
    da = slopes.flatten(2)  # (T, B, 4H): the slopes become da where they lie, from the end
    places = zip(dh, to_cell, f, slopes[:, :, :3], slopes[:, :, 3], da, strict=True)
    for t, (dh_t, to_c, f_t, by_cell, by_o, da_t) in reversed(list(enumerate(places))):
        g_h = g_h + dh_t
        g_c = torch.addcmul(g_c, g_h, to_c)
        by_cell *= g_c[:, None]  # i, f and g act through the cell
        by_o *= g_h  # o acts on what is shown
        g_c = g_c * f_t
        back = da_t @ W_hh  # (B, H)
        g_h = back if mask is None else torch.where(mask[t, :, None], back, g_h)
    previous = torch.cat([h0[None], states[:-1]])  # h_{t-1}
    dW_hh = da.flatten(0, 1).T @ previous.flatten(0, 1)  # one product over all T*B rows
    return da, g_h, g_c, dW_hh


class LSTMRecurrence(torch.autograd.Function):
    """`lstm_forward` with `lstm_backward` as its gradient.

    Taught in solutions/03_lstm_and_gru.ipynb.
    """

    @staticmethod
    def forward(ctx, a: Tensor, h0: Tensor, c0: Tensor, W_hh: Tensor, mask: Tensor | None):
        """Run all steps and keep what the way back needs; returns (T, B, H) and c_T (B, H)."""
        states, cells, gates = lstm_forward(a, h0, c0, W_hh, mask)
        ctx.save_for_backward(states, cells, gates, h0, c0, W_hh, mask)
        return states, cells[-1].clone()

    @staticmethod
    def backward(ctx, dh: Tensor, dc: Tensor):
        """Hand the incoming gradients to `lstm_backward`."""
        refuse_second_gradient()
        da, dh0, dc0, dW_hh = lstm_backward(dh, dc, *ctx.saved_tensors)
        return da, dh0, dc0, dW_hh, None


class LSTM(Stacked):
    """A long short-term memory: stacked, bidirectional if wanted, ragged batches by mask.

    c_t = f_t * c_{t-1} + i_t * g_t,   h_t = o_t * tanh(c_t),   layer upon layer; the gates
    i, f, o and the candidate g are read off x_t and h_{t-1} as in `lstm_step`.

    Arguments, shapes and errors are those of `Stacked`. The state is a pair (h, c) of tensors
    (L*D, B, H), and weights have the blocks i, f, g, o, as `torch.nn.LSTM`'s.

    Source: Hochreiter and Schmidhuber, Long short-term memory, 1997.
    Taught in solutions/03_lstm_and_gru.ipynb.
    """

    gates, parts, kernel = 4, 2, nn.LSTM

    def _read(
        self, x: Tensor, start: tuple[Tensor, ...], mask: Tensor | None, *weights: Tensor
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """One layer, forwards: all outputs (T, B, H) and (h, c) after the last step."""
        W_ih, W_hh, b_ih, b_hh = weights
        h0, c0 = start
        a = nn.functional.linear(x, W_ih, b_ih + b_hh)  # all steps in one product, (T, B, 4H)
        # Under mixed precision the product above may be half: the loop stays in one type.
        h0, c0, W_hh = h0.to(a.dtype), c0.to(a.dtype), W_hh.to(a.dtype)
        states, c = LSTMRecurrence.apply(a, h0, c0, W_hh, mask)
        return states, (states[-1], c)

    def _step(self, x: Tensor, *start_and_weights: Tensor) -> tuple[Tensor, ...]:
        return lstm_step(x, *start_and_weights)


__all__ = ["LSTM", "LSTMRecurrence", "lstm_backward", "lstm_forward", "lstm_step"]
