"""Recurrent layers from scratch: one step, all steps, back-propagation through time by hand.

Everything is batch first at the door and time first inside, because a step then reads one
contiguous block. Weights carry the names of `torch.nn`, so they can be exchanged both ways.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from minidistill.gru import GRU
from minidistill.lstm import LSTM
from minidistill.recurrent_state import first_state


def rnn_step(
    x: Tensor, h: Tensor, W_ih: Tensor, W_hh: Tensor, b_ih: Tensor, b_hh: Tensor
) -> Tensor:
    """One step of a simple recurrent network (循环神经网络).

    h' = tanh(x W_ih^T + b_ih + h W_hh^T + b_hh)

    Args:
        x: the token's vector, (B, I).
        h: the state so far, (B, H).
        W_ih, W_hh: weights, (H, I) and (H, H).
        b_ih, b_hh: biases, (H,) each.

    Returns:
        The next state, (B, H), every entry between -1 and 1.

    Source: Elman, Finding structure in time, 1990.
    Taught in solutions/02_rnn_from_scratch.ipynb.
    """
    return torch.tanh(x @ W_ih.T + b_ih + h @ W_hh.T + b_hh)


def rnn_forward(a: Tensor, h0: Tensor, W_hh: Tensor, mask: Tensor | None = None) -> Tensor:
    """All steps of the recurrence, given what the inputs contribute to each.

    h_t = tanh(a_t + h_{t-1} W_hh^T), and h_t = h_{t-1} where the mask says padding.

    Args:
        a: the projected inputs x_t W_ih^T + b_ih + b_hh, time first, (T, B, H).
        h0: the state before the first step, (B, H).
        W_hh: (H, H).
        mask: True where a real token stands, (T, B); None means all real.

    Returns:
        All states h_1 .. h_T, (T, B, H).

    Taught in solutions/02_rnn_from_scratch.ipynb.
    """
    states, h = [], h0
    for t in range(len(a)):
        new = torch.tanh(a[t] + h @ W_hh.T)  # (B, H)
        h = new if mask is None else torch.where(mask[t, :, None], new, h)
        states.append(h)
    return torch.stack(states)  # (T, B, H)


def rnn_backward(
    dh: Tensor, states: Tensor, h0: Tensor, W_hh: Tensor, mask: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Back-propagation through time (通过时间反向传播): the gradients of `rnn_forward`, by hand.

    Going back from t = T to 1, with g_t = dL/dh_t counting every later step:
        da_t = g_t (1 - h_t^2)              through the tanh
        g_{t-1} = dh_{t-1} + da_t W_hh      through the recurrence
        dW_hh = sum over t of da_t^T h_{t-1}
    A padded step changed nothing, so it passes g_t on unchanged and gives da_t = 0.

    Args:
        dh: dL/dh_t as the layers above see it, for every step, (T, B, H).
        states: what `rnn_forward` returned, (T, B, H).
        h0, W_hh, mask: what `rnn_forward` was given.

    Returns:
        da (T, B, H), dh0 (B, H), dW_hh (H, H).

    Source: Werbos, Backpropagation through time, 1990.
    Taught in solutions/02_rnn_from_scratch.ipynb.
    """
    slopes = 1 - states**2  # (T, B, H), tanh' written in terms of the output
    if mask is not None:
        slopes = slopes * mask[:, :, None]
    da = torch.empty_like(slopes)
    g = torch.zeros_like(h0)
    for t in reversed(range(len(states))):
        g = g + dh[t]
        da[t] = g * slopes[t]
        through = da[t] @ W_hh  # (B, H)
        g = through if mask is None else torch.where(mask[t, :, None], through, g)
    previous = torch.cat([h0[None], states[:-1]])  # h_{t-1}, (T, B, H)
    dW_hh = da.flatten(0, 1).T @ previous.flatten(0, 1)  # one product over all T*B rows
    return da, g, dW_hh


class Recurrence(torch.autograd.Function):
    """`rnn_forward` with `rnn_backward` as its gradient, so that autograd can use ours.

    About as fast as `torch.nn.RNN` on a CPU: autograd's own graph would hold T small nodes.
    Taught in solutions/02_rnn_from_scratch.ipynb.
    """

    @staticmethod
    def forward(ctx, a: Tensor, h0: Tensor, W_hh: Tensor, mask: Tensor | None) -> Tensor:
        """Run all steps and keep what the way back needs."""
        states = rnn_forward(a, h0, W_hh, mask)
        ctx.save_for_backward(states, h0, W_hh, mask)
        return states

    @staticmethod
    def backward(ctx, dh: Tensor):
        """Hand the incoming gradient to `rnn_backward`."""
        # Not `once_differentiable`: that lets a second derivative pass as zero where dh is a
        # constant, as it is for a plain sum.
        if torch.is_grad_enabled():
            raise RuntimeError(
                "this layer's gradient is written by hand and has no gradient of its own: leave "
                "out create_graph=True, or use rnn_forward, which autograd can follow twice"
            )
        da, dh0, dW_hh = rnn_backward(dh, *ctx.saved_tensors)
        return da, dh0, dW_hh, None


class RNN(nn.Module):
    """A simple recurrent network: stacked, bidirectional if wanted, ragged batches by mask.

    h_t = tanh(x_t W_ih^T + b_ih + h_{t-1} W_hh^T + b_hh), layer upon layer.

    Parameters have `torch.nn.RNN`'s names and shapes (`weight_ih_l0`, `bias_hh_l1_reverse`),
    so `load_state_dict` works in both directions. There is no `batch_first`: it always is.

    Args:
        input_size: size of a token's vector, I.
        hidden_size: size of the state, H.
        num_layers: L, each layer reads the one below.
        bidirectional: a second set of weights reads each layer from the end; D = 2, else 1.
        dropout: share of the outputs dropped between layers while training, 0 <= p < 1.

    Shapes:
        forward(inputs (B, T, I), state (L*D, B, H) or None, mask (B, T) bool or None)
        returns outputs (B, T, D*H), zero at padding, and the last state (L*D, B, H).

    Raises:
        ValueError: sizes that do not fit, with both sizes named.

    Source: Elman, Finding structure in time, 1990.
    Taught in solutions/02_rnn_from_scratch.ipynb.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        for name, size in [("input", input_size), ("hidden", hidden_size), ("layer", num_layers)]:
            if size < 1:
                raise ValueError(f"the {name} size must be at least 1, got {size}")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout is a share between 0 and 1, got {dropout}")
        self.input_size, self.hidden_size = input_size, hidden_size
        self.num_layers, self.bidirectional, self.dropout = num_layers, bidirectional, dropout
        self.directions = ("", "_reverse") if bidirectional else ("",)
        for layer in range(num_layers):
            size = input_size if layer == 0 else hidden_size * len(self.directions)
            for direction in self.directions:
                self._add_weights(f"_l{layer}{direction}", size)

    def _add_weights(self, suffix: str, size: int) -> None:
        bound = 1 / math.sqrt(self.hidden_size)  # torch.nn's choice, so runs can be compared
        H = self.hidden_size
        for name, shape in [
            ("weight_ih", (H, size)),
            ("weight_hh", (H, H)),
            ("bias_ih", (H,)),
            ("bias_hh", (H,)),
        ]:
            values = torch.empty(shape).uniform_(-bound, bound)
            self.register_parameter(name + suffix, nn.Parameter(values))

    def forward(
        self, inputs: Tensor, state: Tensor | None = None, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Read a batch of sequences; see the class for shapes."""
        state = first_state(self, inputs, state, mask)  # (L*D, B, H)
        x = inputs.transpose(0, 1)  # (T, B, I)
        time_mask = None if mask is None else mask.transpose(0, 1)  # (T, B)
        last: list[Tensor] = []
        for layer in range(self.num_layers):
            if layer > 0:
                x = nn.functional.dropout(x, self.dropout, self.training)
            both = []
            for direction in self.directions:
                outputs, h = self._read(
                    x, state[len(last)], time_mask, f"_l{layer}{direction}", direction != ""
                )
                both.append(outputs)
                last.append(h)
            x = torch.cat(both, dim=-1)  # (T, B, D*H)
        return x.transpose(0, 1), torch.stack(last)

    def _read(
        self, x: Tensor, h0: Tensor, mask: Tensor | None, suffix: str, backwards: bool
    ) -> tuple[Tensor, Tensor]:
        """One layer in one direction: outputs (T, B, H) and its last state (B, H)."""
        W_ih, W_hh, b_ih, b_hh = (
            getattr(self, name + suffix)
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        a = nn.functional.linear(x, W_ih, b_ih + b_hh)  # all steps in one product, (T, B, H)
        if backwards:
            a = a.flip(0)
            mask = None if mask is None else mask.flip(0)
        # Under mixed precision the product above may be half: the loop stays in one type.
        states = Recurrence.apply(a, h0.to(a.dtype), W_hh.to(a.dtype), mask)
        outputs = states if mask is None else states * mask[:, :, None]
        return (outputs.flip(0) if backwards else outputs), states[-1]

    def extra_repr(self) -> str:
        """What `print(model)` shows."""
        extra = ", bidirectional=True" if self.bidirectional else ""
        return f"{self.input_size}, {self.hidden_size}, num_layers={self.num_layers}{extra}"


__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Recurrence",
    "first_state",
    "rnn_backward",
    "rnn_forward",
    "rnn_step",
]
