"""Chapter 02: the class `RNN` with one part exchanged at a time, so that a case can name it.

`run` is a plain recurrent network made of small parts. A mistake is a sentence and the parts
that it exchanges; what comes out then is what an answer with that mistake returns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from minidistill.recurrent import rnn_forward

Parts = dict[str, Callable[..., Any]]
Faults = list[tuple[str, Parts]]

RIGHT: Parts = {
    "inward": lambda x: x.transpose(0, 1),
    "first": lambda given, zeros: zeros if given is None else given,
    "place": lambda layer, way, L, D: layer * D + way,  # which first state
    "start": lambda h0, last: h0,
    "layers": lambda L: L,
    "own": lambda weights, layer, way: own(weights, layer, way),
    "bias": lambda b, c: b + c,
    "read": lambda x, mask: x,
    "turned": lambda way: way == 1,
    "entered": lambda a, turned: a.flip(0) if turned else a,
    "seen": lambda mask, layer, way, turned: mask.flip(0) if turned else mask,
    "steps": rnn_forward,
    "back": lambda states, turned: states.flip(0) if turned else states,
    "silent": lambda outputs, mask, turned: outputs * mask[..., None],
    "end": lambda states, mask, turned: states[-1],
    "join": lambda both: torch.cat(both, -1),
    "up": lambda below, outputs, top: outputs,
    "last": lambda last, D: torch.stack(last),
    "result": lambda outputs, last, first: (outputs.transpose(0, 1), last),
}
"""Time comes first inside: (T, B, ...)."""


def run(
    weights: dict[str, Tensor],
    x: Tensor,
    state: Tensor | None = None,
    mask: Tensor | None = None,
    parts: Parts | None = None,
) -> Any:
    """Outputs (B, T, D*H) and last state (L*D, B, H), with some parts exchanged."""
    p = SimpleNamespace(**RIGHT | (parts or {}))
    D = 2 if "weight_hh_l0_reverse" in weights else 1
    L = sum(name.startswith("weight_hh") for name in weights) // D
    first = p.first(state, x.new_zeros(L * D, len(x), weights["weight_hh_l0"].size(0)))
    signal, time_mask, last = p.inward(x), None if mask is None else mask.T, []
    for layer in range(p.layers(L)):
        both = []
        for way in range(D):
            h0 = p.start(first[p.place(layer, way, L, D)], last)
            used = p.own(weights, layer, way)
            outputs, end = _read(p, used, signal, h0, time_mask, layer, way)
            both.append(outputs)
            last.append(end)
        signal = p.up(signal, p.join(both), layer == L - 1)
    return p.result(signal, p.last(last, D), first)


def own(weights: dict[str, Tensor], layer: int, way: int) -> list[Tensor]:
    """W_ih, W_hh, b_ih and b_hh of a layer in a direction."""
    suffix = f"_l{layer}" + ("_reverse" if way else "")
    return [weights[name + suffix] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]


def _read(
    p: SimpleNamespace,
    used: list[Tensor],
    x: Tensor,
    h0: Tensor,
    mask: Tensor | None,
    layer: int,
    way: int,
) -> tuple[Tensor, Tensor]:
    """One layer in one direction: outputs (T, B, H) and last state (B, H)."""
    W_ih, W_hh, b_ih, b_hh = used
    turned = p.turned(way)
    a = p.entered(p.read(x, mask) @ W_ih.T + p.bias(b_ih, b_hh), turned)
    seen = None if mask is None else p.seen(mask, layer, way, turned)
    states = p.steps(a, h0, W_hh, seen)
    outputs = p.back(states, turned)
    if mask is not None:
        outputs = p.silent(outputs, mask, turned)
    return outputs, p.end(states, mask, turned)


def wrong(
    faults: Faults,
    weights: dict[str, Tensor],
    x: Tensor,
    state: Tensor | None = None,
    mask: Tensor | None = None,
) -> Iterator[tuple[str, Any]]:
    """Sentences, and what an answer with that mistake would return."""
    for sentence, parts in faults:
        try:
            value = run(weights, x, state, mask, parts)
        except (RuntimeError, IndexError):  # with these sizes the mistake is an error
            continue
        yield sentence, value
