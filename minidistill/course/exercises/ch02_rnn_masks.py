"""Chapter 02: mistakes in the class `RNN` with masks and gradients, as exchanged parts."""

from __future__ import annotations

import torch
from torch import Tensor

from minidistill.course.exercises.ch02_rnn_wrong import Faults
from minidistill.recurrent import rnn_forward


def _unmasked(a: Tensor, h0: Tensor, W: Tensor, mask: Tensor | None) -> Tensor:
    return rnn_forward(a, h0, W)


def _zeroing(a: Tensor, h0: Tensor, W: Tensor, mask: Tensor | None) -> Tensor:
    states = [h0]
    for t, step in enumerate(a):
        new = torch.tanh(step + states[-1] @ W.T)
        states.append(new if mask is None else new * mask[t, :, None])
    return torch.stack(states[1:])


def _detached(a: Tensor, h0: Tensor, W: Tensor, mask: Tensor | None) -> Tensor:
    states = [h0]
    for t, step in enumerate(a):
        old = states[-1]
        new = torch.tanh(step + old.detach() @ W.T)
        states.append(new if mask is None else torch.where(mask[t, :, None], new, old))
    return torch.stack(states[1:])


def _silenced(x: Tensor, mask: Tensor | None) -> Tensor:
    return x if mask is None else x * mask[..., None]


MASKS: Faults = [
    (
        "the mask is ignored",
        {"steps": _unmasked, "silent": lambda outputs, mask, turned: outputs},
    ),
    (
        "the outputs are set to zero at padding, but the steps are made: hand the mask to the "
        "recurrence, so that the state stays what it was",
        {"steps": _unmasked},
    ),
    (
        "outputs at padding must be zero",
        {"silent": lambda outputs, mask, turned: outputs},
    ),
    (
        "the padding's inputs are set to zero, but the steps are made: hand the mask to the "
        "recurrence",
        {
            "read": _silenced,
            "steps": _unmasked,
            "silent": lambda outputs, mask, turned: outputs,
        },
    ),
    (
        "the padding's inputs are set to zero, but the steps are made: hand the mask to the "
        "recurrence",
        {"read": _silenced, "steps": _unmasked},
    ),
    (
        "the mask is used the wrong way round: True marks a real token",
        {
            "seen": lambda mask, layer, way, turned: ~(mask.flip(0) if turned else mask),
            "silent": lambda outputs, mask, turned: outputs * ~mask[..., None],
        },
    ),
    (
        "the mask is used the wrong way round in the steps: True marks a real token",
        {"seen": lambda mask, layer, way, turned: ~(mask.flip(0) if turned else mask)},
    ),
    (
        "the outputs are zero at the real tokens: the mask is True there",
        {"silent": lambda outputs, mask, turned: outputs * ~mask[..., None]},
    ),
    (
        "the last state is zero where a row is padded: at padding the state stays what it was, and "
        "the last one is taken before the outputs are set to zero",
        {
            "end": lambda states, mask, turned: (
                states[-1] if mask is None else states[-1] * mask[0 if turned else -1][:, None]
            )
        },
    ),
    (
        "the last state is zero where a row is padded: at padding the state stays what it was, and "
        "the last one is taken before the outputs are set to zero",
        {"steps": _zeroing},
    ),
    (
        "the mask is not turned round for the backward direction: flip it along time, like the "
        "inputs",
        {"seen": lambda mask, layer, way, turned: mask},
    ),
    (
        "the mask is not turned round for the backward direction, neither for the steps nor before "
        "the outputs are set to zero",
        {
            "seen": lambda mask, layer, way, turned: mask,
            "silent": lambda outputs, mask, turned: (
                outputs * (mask.flip(0) if turned else mask)[..., None]
            ),
        },
    ),
    (
        "the backward outputs are set to zero at the wrong places: use the turned mask before they "
        "are turned back, or the mask as it was handed in after it",
        {
            "silent": lambda outputs, mask, turned: (
                outputs * (mask.flip(0) if turned else mask)[..., None]
            )
        },
    ),
    (
        "the backward direction ignores the mask",
        {"seen": lambda mask, layer, way, turned: None if turned else mask},
    ),
    (
        "only the first layer uses the mask",
        {
            "seen": lambda mask, layer, way, turned: (
                None if layer else mask.flip(0) if turned else mask
            )
        },
    ),
]
"""Ragged rows."""

CUTS: Faults = [
    (
        "the state is detached from step to step: the gradient must reach the first one",
        {"steps": _detached},
    ),
    (
        "the gradient stops between the layers: a layer's outputs are detached",
        {"up": lambda below, outputs, top: outputs if top else outputs.detach()},
    ),
    (
        "no gradient comes back from the last state: it is detached",
        {"last": lambda last, D: torch.stack(last).detach()},
    ),
    (
        "no gradient comes back from the outputs: they are detached",
        {"result": lambda outputs, last, first: (outputs.transpose(0, 1).detach(), last)},
    ),
]
"""Gradients that are cut off."""
