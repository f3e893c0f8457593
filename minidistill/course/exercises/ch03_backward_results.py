"""Chapter 03: wrong results and wrong masks of `lstm_backward`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from minidistill.course.exercises.ch03_backward_walk import (
    Changes,
    Parts,
    part,
    result,
    values,
)
from minidistill.course.exercises.ch03_backward_walk import (
    weight_gradient as dW_of,
)
from minidistill.course.exercises.ch03_forward_masks import READINGS
from minidistill.course.exercises.ch03_pairs import Single
from minidistill.course.exercises.ch03_step_mistakes import orders


def _blocks(order: tuple[int, ...]) -> Changes:
    def change(da: Tensor, dh0: Tensor, dc0: Tensor, dW: Tensor, p: Parts) -> Any:
        moved = torch.cat([da.chunk(4, -1)[place] for place in order], dim=-1)
        return moved, dh0, dc0, dW_of(moved, p.past)

    return result(change)


_NAMES = "da, dh0, dc0, dW_hh"

RESULTS: list[Single] = [
    *[("the blocks of da come in another order: i, f, g, o", _blocks(order)) for order in orders()],
    (
        "dW_hh uses the state after the step: it is da_t times h_{t-1} (h0 before the first step)",
        result(lambda da, dh0, dc0, dW, p: (da, dh0, dc0, dW_of(da, p.states))),
    ),
    (
        "dW_hh uses the cells: W_hh multiplied the hidden state h_{t-1}",
        result(lambda da, dh0, dc0, dW, p: (da, dh0, dc0, dW_of(da, p.before))),
    ),
    (
        "dW_hh leaves out h0: the first step read it",
        result(lambda da, dh0, dc0, dW, p: (da, dh0, dc0, dW_of(da[1:], p.past[1:]))),
    ),
    (
        "dW_hh uses states[t - 1] also at t = 0, where it is the last state: h0 stands there",
        result(lambda da, dh0, dc0, dW, p: (da, dh0, dc0, dW_of(da, p.states.roll(1, 0)))),
    ),
    (
        "dW_hh uses h0 at every step: it is da_t times h_{t-1}",
        result(lambda da, dh0, dc0, dW, p: (da, dh0, dc0, dW_of(da, p.h0.expand_as(p.past)))),
    ),
    (
        "dh0 is g_h of the first step before its product: it must still go through da_t @ W_hh",
        result(lambda da, dh0, dc0, dW, p: (da, p.early, dc0, dW)),
    ),
    *[
        ("the blocks of da come in another order: i, f, g, o", values(places=order))
        for order in orders()
    ],
    (
        "dW_hh is transposed: rows belong to the gates, (4H, H)",
        result(lambda da, dh0, dc0, dW, p: (da, dh0, dc0, dW.T)),
    ),
    (
        "dW_hh is averaged over the batch: a weight used in many places gets the sum",
        result(lambda da, dh0, dc0, dW, p: (da, dh0, dc0, dW / da.size(1))),
    ),
    (
        "dW_hh is averaged over the steps: a weight used in many places gets the sum",
        result(lambda da, dh0, dc0, dW, p: (da, dh0, dc0, dW / da.size(0))),
    ),
    (
        "dW_hh holds only the first step: sum over all",
        result(lambda da, dh0, dc0, dW, p: (da, dh0, dc0, da[0].T @ p.past[0])),
    ),
    (
        "dh0 is zero: the first step hands its gradient to h0",
        result(lambda da, dh0, dc0, dW, p: (da, 0 * dh0, dc0, dW)),
    ),
    (
        "dc0 is zero: the first step hands its gradient to c0",
        result(lambda da, dh0, dc0, dW, p: (da, dh0, 0 * dc0, dW)),
    ),
    (
        "dc0 is g_c of the first step: it must still be multiplied by f",
        part("road", lambda p: torch.cat([torch.ones_like(p.f[:1]), p.f[1:]])),
    ),
    (
        "dc0 is dc: the gradient must come back through all steps",
        result(lambda da, dh0, dc0, dW, p: (da, dh0, p.dc, dW)),
    ),
    (
        "dh[0] is added to dh0: dh belongs to h_1 .. h_T, h0 has none",
        result(lambda da, dh0, dc0, dW, p: (da, dh0 + p.dh[0], dc0, dW)),
    ),
    (
        f"dh0 and dc0 are in the wrong order: return {_NAMES}",
        result(lambda da, dh0, dc0, dW, p: (da, dc0, dh0, dW)),
    ),
    (
        f"the gradients come in another order: return {_NAMES}",
        result(lambda da, dh0, dc0, dW, p: (dh0, dc0, da, dW)),
    ),
    (
        f"the gradients come in another order: return {_NAMES}",
        result(lambda da, dh0, dc0, dW, p: (da, dW, dh0, dc0)),
    ),
    (
        f"dc0 is missing: return {_NAMES}",
        result(lambda da, dh0, dc0, dW, p: (da, dh0, dW)),
    ),
    (
        "da is in the order of the walk, last step first: turn it round",
        result(lambda da, dh0, dc0, dW, p: (da.flip(0), dh0, dc0, dW)),
    ),
    (
        "da stands in four blocks, (T, B, 4, H): flatten(2) puts them side by side",
        result(lambda da, dh0, dc0, dW, p: (da.unflatten(-1, (4, -1)), dh0, dc0, dW)),
    ),
]


def _if_masked(**others: Any) -> Changes:
    return {
        name: lambda p, name=name, other=other: {name: other} if p.masked else {}
        for name, other in others.items()
    }


def _reads(rule: Callable[[Tensor], Tensor]) -> Changes:
    """The mask (T, B) read in another way."""
    return {"real": lambda p: {"real": rule(p.mask)[:, :, None]} if p.masked else {}}


def _whole_dW(da: Tensor, dh0: Tensor, dc0: Tensor, dW: Tensor, p: Parts) -> Any:
    return da * p.real, dh0, dc0, dW


def _zero_dW(da: Tensor, dh0: Tensor, dc0: Tensor, dW: Tensor, p: Parts) -> Any:
    return da, dh0, dc0, dW_of(da * p.real, p.past)


_NOT_ZERO = "da is not zero at padding: nothing went through the gates there"

MASKS: list[Single] = [
    (
        "the mask is ignored: a padded step gives da_t = 0 and hands both gradients on",
        _reads(torch.ones_like),
    ),
    (
        "the mask is used the wrong way round: True marks a real token",
        _reads(lambda mask: ~mask),
    ),
    (
        "a padded step stops both gradients: it changed nothing, so g_h and g_c go on unchanged",
        _if_masked(pass_h=False, pass_c=False),
    ),
    (
        "a padded step stops the cell's gradient: f counts as 1 there, g_c goes on unchanged",
        _if_masked(pass_c=False),
    ),
    (
        "a padded step stops the hidden state's gradient: g_h goes on unchanged",
        _if_masked(pass_h=False),
    ),
    (
        "at padding the cell's gradient is still multiplied by f: g_c goes on unchanged",
        _if_masked(f_at_padding=True),
    ),
    (
        "at padding g_h reaches the cell: h was copied there, so g_c goes on unchanged",
        _if_masked(leak=True),
    ),
    (
        "the dh of padded steps is left out: a padded step copied its state, so its dh goes on "
        "to the step before",
        part("dh", lambda p: p.dh * p.real),
    ),
    (
        "da is zero at padding, but both gradients go on as after a real step: they go on "
        "unchanged there",
        _if_masked(pass_h=False, f_at_padding=True, leak=True),
    ),
    (
        "at padding g_h goes on unchanged, but g_c does not: there it takes nothing from g_h and "
        "is not multiplied by f",
        _if_masked(f_at_padding=True, leak=True),
    ),
    (_NOT_ZERO, _if_masked(zero=False)),
    (_NOT_ZERO, _if_masked(zero=False) | result(_zero_dW)),
    (
        "da is set to zero at padding only after dW_hh was computed from it: first the zeros",
        _if_masked(zero=False) | result(_whole_dW),
    ),
    (
        "da is set to zero at padding only after dW_hh was computed from it: first the zeros",
        _if_masked(zero=False, leak_da=True) | result(_whole_dW),
    ),
    *[(sentence, _reads(rule)) for sentence, rule in READINGS],
    (
        "the factors are not masked at padding: there da is 0, and g_h does not reach the cell",
        _if_masked(zero=False, leak=True),
    ),
]
