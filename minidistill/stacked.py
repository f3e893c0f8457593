"""What all gated recurrent layers share: weights, layers, directions, and the choice of engine.

A layer of its own kind says how many blocks of H rows its weights have (`gates`), how many
tensors its state has (`parts`), and how one layer reads in one direction (`_read`).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from minidistill.recurrent_state import first_states
from minidistill.torch_engine import run

ENGINES = ("scratch", "torch")


class Stacked(nn.Module):
    """Layer upon layer of one recurrent kind, in one direction or both, with masks.

    Parameters have the names and shapes of `torch.nn`'s (`weight_ih_l0`, `bias_hh_l1_reverse`),
    so `load_state_dict` works in both directions. There is no `batch_first`: it always is.

    Args:
        input_size: size of a token's vector, I.
        hidden_size: size of the state, H.
        num_layers: L, each layer reads the one below.
        bidirectional: a second set of weights reads each layer from the end; D = 2, else 1.
        dropout: share of the outputs dropped between layers while training, 0 <= p < 1.
        engine: "scratch" runs this course's code, "torch" the library's kernel (cuDNN on a GPU)
            on the same weights. It may be changed at any time: `layer.engine = "torch"`.

    Shapes:
        forward(inputs (B, T, I), state or None, mask (B, T) bool or None)
        returns outputs (B, T, D*H), zero at padding, and the last state. A state is a tensor
        (L*D, B, H), or a tuple of `parts` such tensors.

    Raises:
        ValueError: sizes that do not fit, with both sizes named; an engine that is neither.

    Taught in solutions/03_lstm_and_gru.ipynb.
    """

    gates: int
    parts: int
    kernel: type[nn.RNNBase]

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        engine: str = "scratch",
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
        self.engine = engine
        for layer in range(num_layers):
            size = input_size if layer == 0 else hidden_size * len(self.directions)
            for direction in self.directions:
                self._add_weights(f"_l{layer}{direction}", size)

    @property
    def engine(self) -> str:
        """Whose code runs: "scratch" or "torch"."""
        return self._engine

    @engine.setter
    def engine(self, name: str) -> None:
        if name not in ENGINES:
            raise ValueError(f"engine is 'scratch' or 'torch', got {name!r}")
        self._engine = name

    def _add_weights(self, suffix: str, size: int) -> None:
        bound = 1 / math.sqrt(self.hidden_size)  # torch.nn's choice, so runs can be compared
        rows, H = self.gates * self.hidden_size, self.hidden_size
        for name, shape in [
            ("weight_ih", (rows, size)),
            ("weight_hh", (rows, H)),
            ("bias_ih", (rows,)),
            ("bias_hh", (rows,)),
        ]:
            values = torch.empty(shape).uniform_(-bound, bound)
            self.register_parameter(name + suffix, nn.Parameter(values))

    def weights(self, layer: int, direction: str = "") -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """W_ih, W_hh, b_ih, b_hh of one layer in one direction ("" or "_reverse")."""
        at = f"_l{layer}{direction}"
        kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        return tuple([getattr(self, kind + at) for kind in kinds])

    def forward(
        self,
        inputs: Tensor,
        state: Tensor | tuple[Tensor, ...] | None = None,
        mask: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | tuple[Tensor, ...]]:
        """Read a batch of sequences; see the class for shapes."""
        parts = first_states(self, inputs, state, mask)  # a tuple of (L*D, B, H)
        if mask is not None:  # not even infinity at padding may reach a product
            inputs = inputs.masked_fill(~mask[:, :, None], 0)
        if self._engine == "torch":
            outputs, parts = run(self, inputs, parts, mask)
        elif self._writes(inputs, mask):
            outputs, parts = self._one_token(inputs, parts)
        else:
            outputs, parts = self._stack(inputs, parts, mask)
        return outputs, (parts if self.parts > 1 else parts[0])

    def _stack(
        self, inputs: Tensor, parts: tuple[Tensor, ...], mask: Tensor | None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """All layers, one after another, each in all its directions."""
        x = inputs.transpose(0, 1)  # (T, B, I)
        time_mask = None if mask is None else mask.transpose(0, 1)  # (T, B)
        last: list[tuple[Tensor, ...]] = []
        for layer in range(self.num_layers):
            if layer > 0:
                x = nn.functional.dropout(x, self.dropout, self.training)
            both = []
            for direction in self.directions:
                start = tuple(part[len(last)] for part in parts)  # each (B, H)
                outputs, end = self._direction(x, start, time_mask, layer, direction)
                both.append(outputs)
                last.append(end)
            x = both[0] if len(both) == 1 else torch.cat(both, dim=-1)  # (T, B, D*H)
        return x.transpose(0, 1), tuple(torch.stack(part) for part in zip(*last, strict=True))

    def _writes(self, inputs: Tensor, mask: Tensor | None) -> bool:
        """Whether this is one more token of a text being written: nothing to learn from it."""
        one = inputs.size(1) == 1 and mask is None and not self.bidirectional
        return one and not self.training and not torch.is_grad_enabled()

    def _one_token(
        self, inputs: Tensor, parts: tuple[Tensor, ...]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """What `_stack` computes for a single step, without what only many steps need."""
        x, last = inputs.squeeze(1), []  # (B, I)
        for layer in range(self.num_layers):
            last.append(self._step(x, *[part[layer] for part in parts], *self.weights(layer)))
            x = last[-1][0]  # (B, H)
        if self.num_layers == 1:
            return x.unsqueeze(1), tuple([part.unsqueeze(0) for part in last[0]])
        return x.unsqueeze(1), tuple(torch.stack(part) for part in zip(*last, strict=True))

    def _direction(
        self,
        x: Tensor,
        start: tuple[Tensor, ...],
        mask: Tensor | None,
        layer: int,
        direction: str,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """One layer in one direction: outputs (T, B, H), zero at padding, and its last state."""
        if direction:  # from the end to the beginning
            x = x.flip(0)
            mask = None if mask is None else mask.flip(0)
        outputs, end = self._read(x, start, mask, *self.weights(layer, direction))
        if mask is not None:
            outputs = outputs * mask[:, :, None]
        return (outputs.flip(0) if direction else outputs), end

    def _read(
        self, x: Tensor, start: tuple[Tensor, ...], mask: Tensor | None, *weights: Tensor
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """One layer, forwards: all outputs (T, B, H) and the state after the last step."""
        raise NotImplementedError

    def _step(self, x: Tensor, *start_and_weights: Tensor) -> tuple[Tensor, ...]:
        """One step of one layer: x (B, I), the state's parts, the weights; the new parts."""
        raise NotImplementedError

    def extra_repr(self) -> str:
        """What `print(model)` shows."""
        both = ", bidirectional=True" if self.bidirectional else ""
        engine = ', engine="torch"' if self._engine == "torch" else ""
        return f"{self.input_size}, {self.hidden_size}, num_layers={self.num_layers}{both}{engine}"
