"""The same weights through the library's kernel: torch.nn on a CPU, cuDNN on a GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

if TYPE_CHECKING:
    from minidistill.stacked import Stacked


def run(
    layer: Stacked, inputs: Tensor, state: tuple[Tensor, ...], mask: Tensor | None
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """What `layer` would compute, by `layer.kernel` with the layer's own weights.

    Args and returns: inputs (B, T, I), a tuple of (L*D, B, H), mask (B, T) or None; outputs
    (B, T, D*H), zero at padding, and the last state as a tuple.

    Real tokens may stand anywhere in a row: they are moved to its front for the kernel, which
    only knows padding at the end, and their outputs are moved back.
    """
    kernel = library_twin(layer)
    start = state if layer.parts > 1 else state[0]
    if mask is None:
        outputs, end = kernel(inputs, start)
        return outputs, (end if layer.parts > 1 else (end,))
    lengths = mask.sum(dim=1)
    order = mask.logical_not().to(torch.uint8).argsort(dim=1, stable=True)  # real tokens first
    front = inputs.gather(1, order[:, :, None].expand_as(inputs))
    # The kernel refuses a row of no tokens: it reads one, and what comes of it is put aside.
    packed = pack_padded_sequence(
        front, lengths.clamp(min=1).cpu(), batch_first=True, enforce_sorted=False
    )
    outputs, end = kernel(packed, start)
    assert isinstance(outputs, PackedSequence)
    padded, _ = pad_packed_sequence(outputs, batch_first=True, total_length=inputs.size(1))
    back = order.argsort(dim=1)[:, :, None].expand_as(padded)
    end = end if layer.parts > 1 else (end,)
    some = (lengths > 0)[None, :, None]
    end = tuple(torch.where(some, new, old) for new, old in zip(end, state, strict=True))
    return padded.gather(1, back) * mask[:, :, None], end


def library_twin(layer: Stacked) -> nn.RNNBase:
    """A `layer.kernel` that holds the very same parameters, made once and kept up to date.

    It is not registered as a submodule, so the layer's parameters and state_dict stay its own.
    """
    twin = layer.__dict__.get("_twin")
    if twin is None:
        with torch.device("meta"):  # its own weights are replaced at once
            twin = layer.kernel(
                layer.input_size,
                layer.hidden_size,
                num_layers=layer.num_layers,
                bidirectional=layer.bidirectional,
                batch_first=True,
            )
        layer.__dict__["_twin"] = twin
    twin.dropout, twin.training = layer.dropout if layer.num_layers > 1 else 0.0, layer.training
    moved = False
    for name, parameter in layer.named_parameters():
        if twin._parameters[name] is not parameter:
            setattr(twin, name, parameter)
            moved = True
    place = [p.data_ptr() for p in layer.parameters()]
    if moved or place != twin.__dict__.get("_place"):
        twin.flatten_parameters()  # cuDNN wants the weights in one piece; nothing on a CPU
        twin.__dict__["_place"] = [p.data_ptr() for p in layer.parameters()]
    return twin
