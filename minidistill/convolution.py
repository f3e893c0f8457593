"""Causal convolution: the other road to reading in order, without a loop over time.

A recurrent layer carries what it knows from token to token, so step t waits for step t-1. A
causal convolution looks back at a few fixed places instead. All tokens can then be computed
together, and how far the network sees is a number that is known beforehand.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from minidistill.recurrent_state import check_inputs


def causal_convolution(
    x: Tensor, weight: Tensor, bias: Tensor, dilation: int, past: Tensor | None = None
) -> Tensor:
    """Let every step see itself and K-1 earlier steps, `dilation` apart, and none that comes later.

    y_t = b + sum over k of W[:, :, k] x_{t - (K-1-k) dilation}

    so the last of the K matrices reads the step itself. It equals torch's conv1d on a text that
    was padded on the left by (K-1) dilation steps.

    Args:
        x: the steps of the text, (B, T, I).
        weight: K matrices, (O, I, K), as torch.nn.Conv1d has them.
        bias: (O,).
        dilation: how far apart the places are that a step looks at, 1 or more.
        past: the (K-1) dilation steps before the text, (B, (K-1)*dilation, I); None is zeros.

    Returns:
        y, (B, T, O).

    Raises:
        ValueError: shapes that do not fit, a dilation under 1.

    Source: van den Oord et al., WaveNet: a generative model for raw audio, 2016.
    Taught in solutions/03_lstm_and_gru.ipynb.
    """
    if x.dim() != 3 or weight.dim() != 3 or weight.shape[:2] != (len(bias), x.size(2)):
        raise ValueError(
            f"x {tuple(x.shape)}, weight {tuple(weight.shape)} and bias {tuple(bias.shape)} do "
            "not fit: they are (batch, time, I), (O, I, K) and (O,)"
        )
    if dilation < 1:
        raise ValueError(f"the dilation is a number of steps, 1 or more, got {dilation}")
    T, K = x.size(1), weight.size(2)
    before = (len(x), (K - 1) * dilation, x.size(2))
    if past is None:
        past = x.new_zeros(before)
    if past.shape != before:
        raise ValueError(f"past has shape {tuple(past.shape)} but what is looked at is {before}")
    text = torch.cat([past, x], dim=1)  # (B, (K-1)*dilation + T, I)
    # All that a step looks at, side by side, so that one product does for all K places.
    seen = [text[:, k * dilation : k * dilation + T] for k in range(K)]  # K of (B, T, I)
    matrix = weight.transpose(1, 2).flatten(1)  # (O, K*I)
    return nn.functional.linear(torch.cat(seen, dim=-1), matrix, bias)


class CausalConvolution(nn.Module):
    """Gated causal convolutions upon each other; it stands wherever a recurrent layer may stand.

    x^0_t = W_p input_t + b_p
    a_t   = causal_convolution(x^l)_t with dilation 2^l            (2H,), content and gate
    x^{l+1}_t = x^l_t + tanh(content_t) * sigmoid(gate_t)          outputs: x^L

    Each layer doubles the distance, so the reach grows like 2^L while the work grows like L. The
    sum (a residual connection) lets the gradient pass the layer unchanged.

    Args:
        input_size: size of a token's vector, I.
        hidden_size: size of all that follows, H.
        num_layers: L, with dilations 1, 2, 4, ..., 2^(L-1).
        kernel_size: K, how many places a step looks at in each layer, itself included.
        dropout: share of what each layer adds that is dropped while training, 0 <= p < 1.

    Shapes:
        forward(inputs (B, T, I), state or None, mask (B, T) bool or None)
        returns outputs (B, T, H), zero at padding, and the state: a tuple with one tensor
        (P, B, H) a layer, the last P = (K-1) * dilation steps that this layer read, oldest
        first. Padding may stand anywhere and is as if it were not there.

    `receptive_field`: how many tokens an output depends on, itself included:
    1 + (K-1)(2^L - 1).

    Raises:
        ValueError: sizes that do not fit, with both sizes named.

    Source: van den Oord et al., WaveNet: a generative model for raw audio, 2016; gates and
    residual connections for language, Dauphin et al., Language modeling with gated
    convolutional networks, 2017. Taught in solutions/03_lstm_and_gru.ipynb.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 4,
        kernel_size: int = 2,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        sizes = {"input": input_size, "hidden": hidden_size, "layer": num_layers}
        for name, size in (sizes | {"kernel": kernel_size}).items():
            if size < 1:
                raise ValueError(f"the {name} size must be at least 1, got {size}")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout is a share between 0 and 1, got {dropout}")
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.kernel_size, self.dropout = kernel_size, dropout
        self.dilations = tuple(2**layer for layer in range(num_layers))
        self.receptive_field = 1 + (kernel_size - 1) * sum(self.dilations)
        self.projection = nn.Linear(input_size, hidden_size)
        # Variance 1 / (numbers in the sum): content and gate start about as large as the input.
        bound = math.sqrt(3 / (hidden_size * kernel_size))
        shape = (2 * hidden_size, hidden_size, kernel_size)
        for layer in range(num_layers):
            weight = torch.empty(shape).uniform_(-bound, bound)
            self.register_parameter(f"weight_l{layer}", nn.Parameter(weight))
            self.register_parameter(f"bias_l{layer}", nn.Parameter(torch.zeros(2 * hidden_size)))

    def forward(
        self,
        inputs: Tensor,
        state: Tensor | tuple[Tensor, ...] | None = None,
        mask: Tensor | None = None,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Read a batch of sequences; see the class for shapes."""
        check_inputs(self, inputs, mask)
        state = self._first_state(inputs, state)
        if mask is not None:
            # A step looks back over places, so real tokens must stand side by side.
            inputs = inputs.masked_fill(~mask[:, :, None], 0)
            inputs = _take(inputs, mask.int().argsort(dim=1, descending=True, stable=True))
        x, last = self.projection(inputs), []  # (B, T, H)
        for layer in range(self.num_layers):
            past = state[layer].transpose(0, 1)  # (B, P, H)
            last.append(_last_steps(past, x, mask).transpose(0, 1).contiguous())
            x = x + self._gated(x, past, layer)
        if mask is not None:  # and every output back to where its token stood
            x = _take(x, (mask.cumsum(1) - 1).clamp(min=0)).masked_fill(~mask[:, :, None], 0)
        return x, tuple(last)

    def _gated(self, x: Tensor, past: Tensor, layer: int) -> Tensor:
        """What one layer adds to its input x (B, T, H), given the steps before it (B, P, H)."""
        weight, bias = getattr(self, f"weight_l{layer}"), getattr(self, f"bias_l{layer}")
        a = causal_convolution(x, weight, bias, self.dilations[layer], past)  # (B, T, 2H)
        content, gate = a.chunk(2, dim=-1)  # (B, T, H) each
        added = torch.tanh(content) * torch.sigmoid(gate)
        return nn.functional.dropout(added, self.dropout, self.training)

    def _first_state(
        self, inputs: Tensor, state: Tensor | tuple[Tensor, ...] | None
    ) -> tuple[Tensor, ...]:
        """The state to start from: zeros unless given, after checking its shapes."""
        reach = [(self.kernel_size - 1) * dilation for dilation in self.dilations]
        shapes = [(steps, len(inputs), self.hidden_size) for steps in reach]
        if state is None:
            return tuple(inputs.new_zeros(shape) for shape in shapes)
        parts = (state,) if isinstance(state, Tensor) else tuple(state)
        if [part.shape for part in parts] != shapes:
            raise ValueError(
                f"state has shapes {[tuple(part.shape) for part in parts]} but this network keeps "
                f"{shapes}: for each layer (steps it looks back on, batch, hidden)"
            )
        return parts

    def extra_repr(self) -> str:
        """What `print(model)` shows."""
        sizes = f"{self.input_size}, {self.hidden_size}, num_layers={self.num_layers}"
        return f"{sizes}, kernel_size={self.kernel_size}, receptive_field={self.receptive_field}"


def _take(x: Tensor, places: Tensor) -> Tensor:
    """The steps of each row at the places (B, N) named: (B, T, H) gives (B, N, H)."""
    return x.gather(1, places[:, :, None].expand(-1, -1, x.size(2)))


def _last_steps(past: Tensor, x: Tensor, mask: Tensor | None) -> Tensor:
    """The last P real steps of past (B, P, H) and x, whose real steps stand first."""
    P, T = past.size(1), x.size(1)
    text = torch.cat([past, x], dim=1)  # (B, P + T, H)
    if mask is None:
        return text[:, T:]
    real = mask.sum(1, keepdim=True)  # (B, 1)
    return _take(text, real + torch.arange(P, device=x.device))
