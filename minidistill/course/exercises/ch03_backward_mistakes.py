"""Chapter 03: known wrong versions of `lstm_backward`."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from minidistill.course.diagnosis import Mistake
from minidistill.course.exercises.ch03_backward_walk import (
    Parts,
    with_change,
    with_result,
    with_slope,
    with_values,
)
from minidistill.course.exercises.ch03_backward_walk import (
    weight_gradient as dW_of,
)

_DA_F = "g_c c_{t-1} f (1 - f)"
_SLOPE_O = "da_o is g_h tanh(c_t) o (1 - o)"

ROADS: list[Mistake] = [
    (
        "the cell's road is forgotten: what comes back from c of the step after, times f, belongs "
        "to g_c",
        with_values(c_road=False),
    ),
    (
        "the hidden state's road is forgotten: da_t @ W_hh comes back to the step before",
        with_values(h_road=False),
    ),
    (
        "the cell's road lacks the forget gate: g_c = g_c * f on the way to the step before",
        with_change(lambda p: {"road": torch.ones_like(p.f)}),
    ),
    (
        "the cell's road goes through the input gate: g_c = g_c * f",
        with_change(lambda p: {"road": p.i}),
    ),
    (
        "the cell's road takes the slope f (1 - f): the cell is multiplied by f itself",
        with_change(lambda p: {"road": p.f * (1 - p.f)}),
    ),
    (
        "the cell's road takes f of the step before: g_c of step t goes on times f_t",
        with_change(lambda p: {"road": torch.cat([p.f[:1], p.f[:-1]])}),
    ),
    (
        "g_c is multiplied by f before da is computed: first da, then g_c = g_c * f",
        with_values(road_first=True),
    ),
    (
        "dc is not used: the last cell has a gradient from outside",
        with_change(lambda p: {"dc": 0 * p.dc}),
    ),
    ("dc is added at every step: it belongs to the last cell alone", with_values(dc_always=True)),
    (
        "dh does not reach the cell: the cell is shown as h, so g_c gets g_h o (1 - tanh(c)^2)",
        with_change(lambda p: {"to_cell": torch.zeros_like(p.o)}),
    ),
    (
        "the way from h to the cell lacks the output gate: g_h o (1 - tanh(c)^2)",
        with_change(lambda p: {"to_cell": 1 - p.shown**2}),
    ),
    (
        "the way from h to the cell lacks the slope of the tanh: g_h o (1 - tanh(c)^2)",
        with_change(lambda p: {"to_cell": p.o}),
    ),
    (
        "the slope of the tanh takes c itself: 1 - tanh(c)^2, and c is not squashed yet",
        with_change(lambda p: {"to_cell": p.o * (1 - p.cells**2)}),
    ),
    (
        "the slope of the tanh takes h: 1 - tanh(c)^2, and h = o tanh(c)",
        with_change(lambda p: {"to_cell": p.o * (1 - p.states**2)}),
    ),
    (
        "the slope of the tanh takes the cell before the step: 1 - tanh(c_t)^2",
        with_change(lambda p: {"to_cell": p.o * (1 - torch.tanh(p.before) ** 2)}),
    ),
    (
        "the slope of the tanh is tanh itself: 1 - tanh(c)^2",
        with_change(lambda p: {"to_cell": p.o * p.shown}),
    ),
    ("dh[t] is added after the step's work: first g_h = g_h + dh[t]", with_values(late=True)),
    ("da_t @ W_hh is added to g_h: it takes the place of g_h", with_values(pile=True)),
    ("the way back runs forwards: start at the last step", with_values(forwards=True)),
    ("the walk stops before t = 0: range(T - 1, -1, -1)", with_values(stop=1)),
    (
        "only the last step's dh is used: every step has its own, add dh[t] each time",
        with_change(lambda p: {"dh": torch.cat([0 * p.dh[:-1], p.dh[-1:]])}),
    ),
]

SLOPES: list[Mistake] = [
    ("da_i lacks the slope of the sigmoid: g_c g i (1 - i)", with_slope(0, lambda p: p.g)),
    ("da_i lacks the candidate: g_c g i (1 - i)", with_slope(0, lambda p: p.i * (1 - p.i))),
    ("da_i lacks the factor i: g_c g i (1 - i)", with_slope(0, lambda p: p.g * (1 - p.i))),
    (
        "da_i has the slope of a tanh: i is a sigmoid, i (1 - i)",
        with_slope(0, lambda p: p.g * (1 - p.i**2)),
    ),
    (
        "da_f takes the cell after the step: f multiplied c_{t-1} (c0 before the first step)",
        with_slope(1, lambda p: p.cells * p.f * (1 - p.f)),
    ),
    (
        "da_f takes cells[t - 1] also at t = 0, where it is the last cell: c0 stands there",
        with_slope(1, lambda p: torch.cat([p.cells[-1:], p.cells[:-1]]) * p.f * (1 - p.f)),
    ),
    (
        "da_f leaves out c0: the first step's f multiplied it",
        with_slope(1, lambda p: torch.cat([0 * p.c0[None], p.cells[:-1]]) * p.f * (1 - p.f)),
    ),
    (
        "da_f lacks the slope of the sigmoid: g_c c_{t-1} f (1 - f)",
        with_slope(1, lambda p: p.before),
    ),
    ("da_f lacks the cell before: g_c c_{t-1} f (1 - f)", with_slope(1, lambda p: p.f * (1 - p.f))),
    (
        "da_f has the slope of a tanh: f is a sigmoid, f (1 - f)",
        with_slope(1, lambda p: p.before * (1 - p.f**2)),
    ),
    (
        "da_g has the slope of a sigmoid: g is a tanh, 1 - g^2",
        with_slope(2, lambda p: p.i * p.g * (1 - p.g)),
    ),
    ("da_g lacks the slope of the tanh: g_c i (1 - g^2)", with_slope(2, lambda p: p.i)),
    ("da_g lacks the input gate: g_c i (1 - g^2)", with_slope(2, lambda p: 1 - p.g**2)),
    (
        "da_g takes tanh of g once more: g came out of the tanh already, 1 - g^2",
        with_slope(2, lambda p: p.i * (1 - torch.tanh(p.g) ** 2)),
    ),
    (f"{_SLOPE_O}: g_h, and not g_c", with_values(o_from_cell=True)),
    (
        f"{_SLOPE_O}: the tanh of the cell is missing",
        with_slope(3, lambda p: p.cells * p.o * (1 - p.o)),
    ),
    (f"{_SLOPE_O}: tanh(c_t) is missing", with_slope(3, lambda p: p.o * (1 - p.o))),
    (f"{_SLOPE_O}: the slope of the sigmoid is missing", with_slope(3, lambda p: p.shown)),
    (f"{_SLOPE_O}: h stands there", with_slope(3, lambda p: p.states * p.o * (1 - p.o))),
    (
        f"{_SLOPE_O}: the slope of a tanh stands there",
        with_slope(3, lambda p: p.shown * (1 - p.o**2)),
    ),
    (
        f"{_SLOPE_O}: it takes the cell before the step",
        with_slope(3, lambda p: torch.tanh(p.before) * p.o * (1 - p.o)),
    ),
    (
        "all four slopes lack s (1 - s), and 1 - g^2 for the candidate",
        with_change(lambda p: {"slopes": [p.g, p.before, p.i, p.shown]}),
    ),
]


def _blocks(order: tuple[int, ...]) -> Callable[..., Any]:
    def change(da: Tensor, dh0: Tensor, dc0: Tensor, dW: Tensor, p: Parts) -> Any:
        moved = torch.cat([da.chunk(4, -1)[place] for place in order], dim=-1)
        return moved, dh0, dc0, dW_of(moved, p.past)

    return with_result(change)


_NAMES = "da, dh0, dc0, dW_hh"

RESULTS: list[Mistake] = [
    *[
        ("the blocks of da come in another order: i, f, g, o", _blocks(order))
        for order in list(itertools.permutations(range(4)))[1:]
    ],
    (
        "dW_hh uses the state after the step: it is da_t times h_{t-1} (h0 before the first step)",
        with_result(lambda da, dh0, dc0, dW, p: (da, dh0, dc0, dW_of(da, p.states))),
    ),
    (
        "dW_hh uses the cells: W_hh multiplied the hidden state h_{t-1}",
        with_result(lambda da, dh0, dc0, dW, p: (da, dh0, dc0, dW_of(da, p.before))),
    ),
    (
        "dW_hh leaves out h0: the first step read it",
        with_result(lambda da, dh0, dc0, dW, p: (da, dh0, dc0, dW_of(da[1:], p.past[1:]))),
    ),
    (
        "dW_hh uses states[t - 1] also at t = 0, where it is the last state: h0 stands there",
        with_result(lambda da, dh0, dc0, dW, p: (da, dh0, dc0, dW_of(da, p.states.roll(1, 0)))),
    ),
    (
        "dW_hh is transposed: rows belong to the gates, (4H, H)",
        with_result(lambda da, dh0, dc0, dW, p: (da, dh0, dc0, dW.T)),
    ),
    (
        "dW_hh is averaged over the batch: a weight used in many places gets the sum",
        with_result(lambda da, dh0, dc0, dW, p: (da, dh0, dc0, dW / da.size(1))),
    ),
    (
        "dW_hh is averaged over the steps: a weight used in many places gets the sum",
        with_result(lambda da, dh0, dc0, dW, p: (da, dh0, dc0, dW / da.size(0))),
    ),
    (
        "dW_hh holds only the first step: sum over all",
        with_result(lambda da, dh0, dc0, dW, p: (da, dh0, dc0, da[0].T @ p.past[0])),
    ),
    (
        "dh0 is zero: the first step hands its gradient to h0",
        with_result(lambda da, dh0, dc0, dW, p: (da, 0 * dh0, dc0, dW)),
    ),
    (
        "dc0 is zero: the first step hands its gradient to c0",
        with_result(lambda da, dh0, dc0, dW, p: (da, dh0, 0 * dc0, dW)),
    ),
    (
        "dc0 is g_c of the first step: it must still be multiplied by f",
        with_change(lambda p: {"road": torch.cat([torch.ones_like(p.f[:1]), p.f[1:]])}),
    ),
    (
        "dc0 is dc: the gradient must come back through all steps",
        with_result(lambda da, dh0, dc0, dW, p: (da, dh0, p.dc, dW)),
    ),
    (
        "dh[0] is added to dh0: dh belongs to h_1 .. h_T, h0 has none",
        with_result(lambda da, dh0, dc0, dW, p: (da, dh0 + p.dh[0], dc0, dW)),
    ),
    (
        f"dh0 and dc0 are in the wrong order: return {_NAMES}",
        with_result(lambda da, dh0, dc0, dW, p: (da, dc0, dh0, dW)),
    ),
    (
        f"the gradients come in another order: return {_NAMES}",
        with_result(lambda da, dh0, dc0, dW, p: (dh0, dc0, da, dW)),
    ),
    (
        f"the gradients come in another order: return {_NAMES}",
        with_result(lambda da, dh0, dc0, dW, p: (da, dW, dh0, dc0)),
    ),
    (
        f"dc0 is missing: return {_NAMES}",
        with_result(lambda da, dh0, dc0, dW, p: (da, dh0, dW)),
    ),
    (
        "da is in the order of the walk, last step first: turn it round",
        with_result(lambda da, dh0, dc0, dW, p: (da.flip(0), dh0, dc0, dW)),
    ),
    (
        "da stands in four blocks, (T, B, 4, H): flatten(2) puts them side by side",
        with_result(lambda da, dh0, dc0, dW, p: (da.unflatten(-1, (4, -1)), dh0, dc0, dW)),
    ),
]


def _if_masked(**values: Any) -> Callable[..., Any]:
    return with_change(lambda p: values if p.masked else {})


_NOT_ZERO = "da is not zero at padding: nothing went through the gates there"

MASKS: list[Mistake] = [
    (
        "the mask is ignored: a padded step gives da_t = 0 and hands both gradients on",
        with_change(lambda p: {"real": torch.ones_like(p.real)}),
    ),
    (
        "the mask is used the wrong way round: True marks a real token",
        with_change(lambda p: {"real": ~p.real} if p.masked else {}),
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
        with_change(lambda p: {"dh": p.dh * p.real}),
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
    (_NOT_ZERO, lambda *args: (_if_masked(zero=False)(*args)[0], *with_values()(*args)[1:])),
    (
        "the factors are not masked at padding: there da is 0, and g_h does not reach the cell",
        _if_masked(zero=False, leak=True),
    ),
]


MISTAKES = MASKS + ROADS + SLOPES + RESULTS
