"""Chapter 03: the way back through an LSTM, with parts that a mistake exchanges."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

Changes = dict[str, Callable[..., Any]]
"""What `walk_with` takes."""

Parts = SimpleNamespace
"""What the walk back works with; a mistake changes some of it beforehand.

i, f, g, o, before (c_{t-1}), shown (tanh c_t), past (h_{t-1}), real, dh: (T, B, ...);
dc (B, H); W (4H, H); slopes: four of (T, B, H), what g_c or g_h is multiplied with;
to_cell, road: (T, B, H), how g_h reaches the cell, and how g_c goes on; places: the order of the
blocks in da; early: g_h of the first step before its product, once the walk is over.
"""


def parts_of(
    dh: Tensor,
    dc: Tensor,
    states: Tensor,
    cells: Tensor,
    gates: Tensor,
    h0: Tensor,
    c0: Tensor,
    W: Tensor,
    mask: Tensor | None = None,
) -> Parts:
    """Everything as it should be, from the arguments of `lstm_backward`."""
    i, f, g, o = gates.chunk(4, dim=-1)
    before, shown = torch.cat([c0[None], cells[:-1]]), torch.tanh(cells)
    slopes = [
        g * i * (1 - i),
        before * f * (1 - f),
        i * (1 - g**2),
        shown * o * (1 - o),
    ]
    real = torch.ones(states.shape[:2], dtype=torch.bool) if mask is None else mask
    return Parts(
        **{"dh": dh, "dc": dc, "states": states, "cells": cells, "h0": h0, "c0": c0, "W": W},
        **{"i": i, "f": f, "g": g, "o": o, "before": before, "shown": shown, "slopes": slopes},
        past=torch.cat([h0[None], states[:-1]]),
        to_cell=o * (1 - shown**2),
        road=f,
        real=real[:, :, None],
        masked=mask is not None,
        **{"h_road": True, "c_road": True, "pile": False, "forwards": False, "stop": 0},
        **{"pass_h": True, "pass_c": True, "zero": True, "o_from_cell": False},
        **{"dc_always": False, "road_first": False, "late": False},
        **{
            "o_from_own": False,
            "into_from_own": False,
            "leak": False,
            "f_at_padding": False,
            "leak_da": False,
            "old_road": False,
            "road_before": False,
        },
        **{"places": (0, 1, 2, 3), "gates": gates, "mask": mask},
    )


def of_gates(p: Parts, gates: Tensor) -> dict[str, Any]:
    """All parts anew, from other gates."""
    return vars(parts_of(p.dh, p.dc, p.states, p.cells, gates, p.h0, p.c0, p.W, p.mask))


def walk(p: Parts) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The way back through all steps: da, dh0, dc0, dW_hh."""
    da = torch.zeros(*p.dh.shape[:2], 4 * p.dh.size(2), dtype=p.dh.dtype)
    g_h, g_c = torch.zeros_like(p.h0), p.dc
    steps = range(p.stop, len(p.dh))
    for t in steps if p.forwards else reversed(steps):
        own = p.dh[t]
        g_h = own if not p.h_road else g_h if p.late else g_h + own
        if p.dc_always and t < len(p.dh) - 1:
            g_c = g_c + p.dc
        into = (own if p.into_from_own else g_h) * p.to_cell[t] * (1 if p.leak else p.real[t])
        new_c = g_c + into if p.c_road else into + (p.dc if t == len(p.dh) - 1 else 0)
        if p.road_first or p.road_before:
            new_c = g_c * p.road[t] + into * (p.road[t] if p.road_before else 1)
        for_o = new_c if p.o_from_cell else own if p.o_from_own else g_h
        slopes = [slope[t] * (p.real[t] if p.zero else 1) for slope in p.slopes]
        for_da = g_c + g_h * p.to_cell[t] if p.leak_da else new_c
        blocks = [*[for_da * slope for slope in slopes[:3]], for_o * slopes[3]]
        da[t] = torch.cat([blocks[place] for place in p.places], -1)
        on_c = (g_c if p.old_road else new_c) * p.road[t]
        on_c = new_c if p.road_first or p.road_before else on_c
        p.early = g_h
        back = da[t] @ p.W
        back = back + g_h if p.pile else back + own if p.late else back
        g_h = torch.where(p.real[t], back, g_h) if p.pass_h else back * p.real[t]
        keep_c = on_c if p.f_at_padding else new_c
        g_c = torch.where(p.real[t], on_c, keep_c) if p.pass_c else on_c * p.real[t]
    return da, g_h, g_c, weight_gradient(da, p.past)


def weight_gradient(da: Tensor, past: Tensor) -> Tensor:
    """dW_hh (4H, H): the sum over all steps and rows of da_t times h_{t-1}."""
    return torch.einsum("tbi,tbj->ij", da, past)


def walk_with(
    result: Callable[..., Any] = lambda da, dh0, dc0, dW, p: (da, dh0, dc0, dW), **changes: Any
) -> Callable[..., Any]:
    """The walk with parts exchanged.

    Args:
        result: what is returned, from the right gradients and the parts.
        changes: under any name, a function that gives other parts from those so far.
    """

    def mistaken(*args: Any) -> Any:
        p = parts_of(*args)
        for change in changes.values():
            vars(p).update(change(p))
        return result(*walk(p), p)

    return mistaken


def values(**others: Any) -> Changes:
    """Plain values exchanged."""
    return {name: lambda p, name=name, other=other: {name: other} for name, other in others.items()}


def part(name: str, rule: Callable[[Parts], Any]) -> Changes:
    """One part exchanged for another that depends on the rest."""
    return {name: lambda p: {name: rule(p)}}


def slope(which: int, rule: Callable[[Parts], Tensor]) -> Changes:
    """The factor of one block (i, f, g or o) exchanged."""

    def change(p: Parts) -> dict[str, Any]:
        return {"slopes": [*p.slopes[:which], rule(p), *p.slopes[which + 1 :]]}

    return {f"slope_{which}": change}


def result(change: Callable[..., Any]) -> Changes:
    """A mistake made with the right result: change(da, dh0, dc0, dW, p)."""
    return {"result": change}
