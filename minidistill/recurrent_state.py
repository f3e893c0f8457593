"""Where a recurrent layer starts: its first state, after everything given was checked."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def first_state(
    layer: nn.Module, inputs: Tensor, state: Tensor | None, mask: Tensor | None
) -> Tensor:
    """The state a recurrent layer starts from: zeros unless given, after checking all shapes.

    Args:
        layer: has `input_size`, `hidden_size`, `num_layers` and `directions`.
        inputs, state, mask: (B, T, I), (L*D, B, H) or None, (B, T) bool or None.

    Raises:
        ValueError: shapes that do not fit, with what was given and what is needed.

    Taught in solutions/02_rnn_from_scratch.ipynb.
    """
    wanted = _checked(layer, inputs, mask)
    if state is None:
        return inputs.new_zeros(wanted)
    _check_part(state, wanted)
    return state


def first_states(
    layer: nn.Module,
    inputs: Tensor,
    state: Tensor | tuple[Tensor, ...] | None,
    mask: Tensor | None,
) -> tuple[Tensor, ...]:
    """`first_state` for a state of several tensors: always a tuple of `layer.parts` of them.

    Raises:
        ValueError: shapes that do not fit, or the wrong number of tensors.

    Taught in solutions/03_lstm_and_gru.ipynb.
    """
    wanted = _checked(layer, inputs, mask)
    if state is None:
        return tuple(inputs.new_zeros(wanted) for _ in range(layer.parts))
    parts = (state,) if isinstance(state, Tensor) else tuple(state)
    if len(parts) != layer.parts:
        shape = "a pair (h, c)" if layer.parts == 2 else "one tensor"
        raise ValueError(f"the state of this layer is {shape}, got {len(parts)} tensors")
    for part in parts:
        _check_part(part, wanted)
    return parts


def check_inputs(layer: nn.Module, inputs: Tensor, mask: Tensor | None) -> None:
    """Inputs (B, T, I) with T >= 1, and one True or False per token: ValueError if not."""
    if inputs.dim() != 3 or inputs.size(2) != layer.input_size or inputs.size(1) == 0:
        raise ValueError(
            f"inputs have shape {tuple(inputs.shape)} but this layer reads (batch, time, "
            f"{layer.input_size}) with at least one step"
        )
    if mask is not None and (mask.shape != inputs.shape[:2] or mask.dtype != torch.bool):
        raise ValueError(
            f"mask has shape {tuple(mask.shape)} and type {mask.dtype} but inputs are "
            f"{tuple(inputs.shape)}: one True or False per token"
        )


def _checked(layer: nn.Module, inputs: Tensor, mask: Tensor | None) -> tuple[int, int, int]:
    """The shape of each tensor of a layer's state, after `check_inputs`."""
    check_inputs(layer, inputs, mask)
    return layer.num_layers * len(layer.directions), inputs.size(0), layer.hidden_size


def _check_part(part: Tensor, wanted: tuple[int, int, int]) -> None:
    if part.shape != wanted:
        raise ValueError(
            f"state has shape {tuple(part.shape)} but this layer keeps {wanted}: "
            "(layers x directions, batch, hidden)"
        )


def refuse_second_gradient() -> None:
    """Raise RuntimeError where autograd asks a hand-written gradient for its own gradient.

    Not `once_differentiable`: that lets a second derivative pass as zero where the incoming
    gradient is a constant, as it is for a plain sum.
    """
    if torch.is_grad_enabled():
        raise RuntimeError(
            "this layer's gradient is written by hand and has no gradient of its own: leave "
            "out create_graph=True, or use the forward function, which autograd can follow twice"
        )
