"""The gated recurrent unit from scratch: one step, all steps, and their gradients by hand."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from minidistill.recurrent_state import refuse_second_gradient
from minidistill.stacked import Stacked


def gru_step(
    x: Tensor, h: Tensor, W_ih: Tensor, W_hh: Tensor, b_ih: Tensor, b_hh: Tensor
) -> Tensor:
    """One step of a gated recurrent unit (门控循环单元).

    r = sigmoid(x W_r^T + b_r + h U_r^T + d_r)          how much of the past the candidate sees
    z = sigmoid(x W_z^T + b_z + h U_z^T + d_z)          how much of the past stays
    n = tanh(x W_n^T + b_n + r * (h U_n^T + d_n))       the candidate
    h' = (1 - z) * n + z * h

    This is PyTorch's and cuDNN's form: r multiplies after the product with U_n. In the paper
    it multiplies before it, h' keeps with 1 - z, and there are no biases.

    Args:
        x: (B, I). h: (B, H). W_ih, W_hh: (3H, I), (3H, H), the blocks in the order r, z, n.
        b_ih, b_hh: (3H,) each.

    Returns:
        h', (B, H).

    Source: Cho et al., Learning phrase representations using RNN encoder-decoder, 2014.
    Taught in solutions/03_lstm_and_gru.ipynb.
    """
    x_r, x_z, x_n = nn.functional.linear(x, W_ih, b_ih).chunk(3, dim=-1)  # (B, H) each
    h_r, h_z, h_n = nn.functional.linear(h, W_hh, b_hh).chunk(3, dim=-1)
    r, z = torch.sigmoid(x_r + h_r), torch.sigmoid(x_z + h_z)
    n = torch.tanh(x_n + r * h_n)
    return (1 - z) * n + z * h


def gru_forward(
    a: Tensor, h0: Tensor, W_hh: Tensor, b_hh: Tensor, mask: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """All steps, given what the inputs contribute to each: a_t = x_t W_ih^T + b_ih.

    Where the mask says padding, h_t = h_{t-1}.

    Args:
        a: (T, B, 3H), time first. h0: (B, H). W_hh: (3H, H). b_hh: (3H,). mask: (T, B) or None.

    Returns:
        states h_1 .. h_T (T, B, H), the values r, z, n of every step (T, B, 3H), and the part
        of the state that r multiplies, h_{t-1} U_n^T + d_n (T, B, H).

    Taught in solutions/03_lstm_and_gru.ipynb.
    """
    T, B, H = len(a), *h0.shape
    gates, muted = torch.empty_like(a), a.new_empty(T, B, H)
    states, h, U = a.new_empty(T, B, H), h0, W_hh.T
    for t in range(T):
        past = torch.addmm(b_hh, h, U)  # (B, 3H)
        muted[t] = past[:, 2 * H :]
        both = torch.sigmoid(a[t, :, : 2 * H] + past[:, : 2 * H])  # r and z
        r, z = both[:, :H], both[:, H:]
        n = torch.addcmul(a[t, :, 2 * H :], r, past[:, 2 * H :]).tanh_()
        gates[t, :, : 2 * H], gates[t, :, 2 * H :] = both, n
        new = torch.lerp(n, h, z)  # n + z (h - n)
        h = new if mask is None else torch.where(mask[t, :, None], new, h)
        states[t] = h
    return states, gates, muted


def gru_backward(
    dh: Tensor,
    states: Tensor,
    gates: Tensor,
    muted: Tensor,
    h0: Tensor,
    W_hh: Tensor,
    mask: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Back-propagation through time for `gru_forward`, by hand.

    With g = dL/dh_t counting every later step, and m_t = h_{t-1} U_n^T + d_n:
        da_n = g (1 - z) (1 - n^2)      da_z = g (h_{t-1} - n) z (1 - z)
        da_r = da_n * m_t * r (1 - r)   dm   = da_n * r
        g    = g * z + [da_r, da_z, dm] U
    The candidate's gradient reaches the inputs as da_n and the state's product as dm.
    A padded step passes g on unchanged.

    Args:
        dh: dL/dh_t as the layers above see it, (T, B, H). The others as in `gru_forward`.

    Returns:
        da (T, B, 3H), dh0 (B, H), dW_hh (3H, H), db_hh (3H,).

    Taught in solutions/03_lstm_and_gru.ipynb.
    """
    H = h0.size(1)
    r, z, n = gates.chunk(3, dim=-1)
    previous = torch.cat([h0[None], states[:-1]])  # h_{t-1}, (T, B, H)
    to_n = (1 - z) * (1 - n**2)
    slopes = torch.stack(  # (T, B, 3, H): everything is proportional to g
        [to_n * muted * r * (1 - r), (previous - n) * z * (1 - z), to_n * r], dim=2
    )
    if mask is not None:
        slopes, to_n = slopes * mask[:, :, None, None], to_n * mask[:, :, None]
        z = torch.where(mask[:, :, None], z, 1.0)
    da = torch.empty_like(slopes)
    every = torch.empty_like(dh)
    g = torch.zeros_like(h0)
    for t in reversed(range(len(states))):
        torch.add(g, dh[t], out=every[t])
        torch.mul(slopes[t], every[t][:, None], out=da[t])
        g = torch.addmm(every[t] * z[t], da[t].flatten(1), W_hh)
    da = da.flatten(2)  # r, z, and dm: the gradient of the state's product
    dW_hh = da.flatten(0, 1).T @ previous.flatten(0, 1)
    db_hh = da.sum(dim=(0, 1))
    da[:, :, 2 * H :] = every * to_n  # for the inputs, not muted by r
    return da, g, dW_hh, db_hh


class GRURecurrence(torch.autograd.Function):
    """`gru_forward` with `gru_backward` as its gradient.

    Taught in solutions/03_lstm_and_gru.ipynb.
    """

    @staticmethod
    def forward(ctx, a: Tensor, h0: Tensor, W_hh: Tensor, b_hh: Tensor, mask: Tensor | None):
        """Run all steps and keep what the way back needs; returns (T, B, H)."""
        states, gates, muted = gru_forward(a, h0, W_hh, b_hh, mask)
        ctx.save_for_backward(states, gates, muted, h0, W_hh, mask)
        return states

    @staticmethod
    def backward(ctx, dh: Tensor):
        """Hand the incoming gradient to `gru_backward`."""
        refuse_second_gradient()
        da, dh0, dW_hh, db_hh = gru_backward(dh, *ctx.saved_tensors)
        return da, dh0, dW_hh, db_hh, None


class GRU(Stacked):
    """A gated recurrent unit: stacked, bidirectional if wanted, ragged batches by mask.

    h_t = (1 - z_t) * n_t + z_t * h_{t-1},   layer upon layer; r, z and n as in `gru_step`.

    Arguments, shapes and errors are those of `Stacked`. The state is one tensor (L*D, B, H),
    and weights have the blocks r, z, n, as `torch.nn.GRU`'s.

    Source: Cho et al., Learning phrase representations using RNN encoder-decoder, 2014.
    Taught in solutions/03_lstm_and_gru.ipynb.
    """

    gates, parts, kernel = 3, 1, nn.GRU

    def _read(
        self, x: Tensor, start: tuple[Tensor, ...], mask: Tensor | None, *weights: Tensor
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """One layer, forwards: all outputs (T, B, H) and h after the last step."""
        W_ih, W_hh, b_ih, b_hh = weights
        a = nn.functional.linear(x, W_ih, b_ih)  # all steps in one product, (T, B, 3H)
        # Under mixed precision the product above may be half: the loop stays in one type.
        h0, W_hh, b_hh = start[0].to(a.dtype), W_hh.to(a.dtype), b_hh.to(a.dtype)
        states = GRURecurrence.apply(a, h0, W_hh, b_hh, mask)
        return states, (states[-1],)

    def _step(self, x: Tensor, *start_and_weights: Tensor) -> tuple[Tensor, ...]:
        return (gru_step(x, *start_and_weights),)


__all__ = ["GRU", "GRURecurrence", "gru_backward", "gru_forward", "gru_step"]
