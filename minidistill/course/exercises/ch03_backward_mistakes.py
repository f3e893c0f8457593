"""Chapter 03: known wrong versions of `lstm_backward`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from minidistill.course.diagnosis import Mistake
from minidistill.course.exercises.ch03_backward_results import MASKS, RESULTS
from minidistill.course.exercises.ch03_backward_walk import (
    Changes,
    Parts,
    of_gates,
    part,
    slope,
    values,
    walk_with,
)
from minidistill.course.exercises.ch03_pairs import Single, alone, pairs
from minidistill.course.exercises.ch03_step_mistakes import orders

_DA_F = "g_c c_{t-1} f (1 - f)"
_SLOPE_O = "da_o is g_h tanh(c_t) o (1 - o)"


def _one_block(W: Tensor, which: int) -> Tensor:
    blocks = [block * (n == which) for n, block in enumerate(W.chunk(4))]
    return torch.cat(blocks)


def _moved(W: Tensor, order: tuple[int, ...]) -> Tensor:
    blocks = W.chunk(4)
    return torch.cat([blocks[place] for place in order])


def _taken(order: tuple[int, ...]) -> Changes:
    """The gates taken apart in another order than they lie in."""

    def change(p: Parts) -> dict[str, Any]:
        blocks = p.gates.chunk(4, dim=-1)
        return of_gates(p, torch.cat([blocks[place] for place in order], dim=-1))

    return {"taken": change}


def _again(p: Parts) -> dict[str, Any]:
    i, f, g, o = p.gates.chunk(4, dim=-1)
    return of_gates(p, torch.cat([i.sigmoid(), f.sigmoid(), g, o.sigmoid()], dim=-1))


_TAKEN = "the gates are taken apart in another order: they lie as i, f, g, o"

ROADS: list[Single] = [
    *[(_TAKEN, _taken(order)) for order in orders()],
    *[
        (_TAKEN, _taken(order) | values(places=tuple(order.index(k) for k in range(4))))
        for order in orders()
    ],
    (
        "the sigmoid is taken of the gates once more: they came out of it already",
        {"taken": _again},
    ),
    (
        "g_c is made anew in every step: g_h o (1 - tanh(c)^2) is added to what came in, which is "
        "dc at first",
        values(c_road=False) | part("dc", lambda p: 0 * p.dc),
    ),
    (
        "what goes on to the step before is the old g_c times f: g_c with g_h's part in it",
        values(old_road=True),
    ),
    (
        "g_c is multiplied by f before da is computed: first da, then g_c = g_c * f",
        values(road_before=True),
    ),
    (
        "the cell's road takes c_{t-1}, too: g_c = g_c * f",
        part("road", lambda p: p.f * p.before),
    ),
    (
        "the tanh takes the cell before the step: tanh(c_t), in da_o and in its slope",
        part("to_cell", lambda p: p.o * (1 - torch.tanh(p.before) ** 2))
        | slope(3, lambda p: torch.tanh(p.before) * p.o * (1 - p.o)),
    ),
    (
        "the square is missing in the slope of the tanh: 1 - tanh(c)^2",
        part("to_cell", lambda p: p.o * (1 - p.shown)),
    ),
    ("dh is not used: every step has its own, add dh[t]", part("dh", lambda p: 0 * p.dh)),
    (
        "W_hh is reshaped, which is no transpose, nor is one needed: da_t @ W_hh",
        part("W", lambda p: p.W.T.reshape(p.W.shape)),
    ),
    *[
        (
            f"only the gradient of {name} comes back to h: all four sums read it, da_t @ W_hh",
            part("W", lambda p, n=n: _one_block(p.W, n)),
        )
        for n, name in enumerate("ifgo")
    ],
    *[
        (
            "da_t @ W_hh takes the blocks in another order than W_hh has: i, f, g, o",
            part("W", lambda p, order=order: _moved(p.W, order)),
        )
        for order in orders()
    ],
    (
        "the cell's road is forgotten: what comes back from c of the step after, times f, belongs "
        "to g_c",
        values(c_road=False),
    ),
    (
        "the hidden state's road is forgotten: da_t @ W_hh comes back to the step before",
        values(h_road=False),
    ),
    (
        "the cell's road lacks the forget gate: g_c = g_c * f on the way to the step before",
        part("road", lambda p: torch.ones_like(p.f)),
    ),
    (
        "the cell's road goes through the input gate: g_c = g_c * f",
        part("road", lambda p: p.i),
    ),
    (
        "the cell's road takes the slope f (1 - f): the cell is multiplied by f itself",
        part("road", lambda p: p.f * (1 - p.f)),
    ),
    (
        "the cell's road takes f of the step before: g_c of step t goes on times f_t",
        part("road", lambda p: torch.cat([p.f[:1], p.f[:-1]])),
    ),
    (
        "g_c is multiplied by f before da is computed: first da, then g_c = g_c * f",
        values(road_first=True),
    ),
    (
        "dc is not used: the last cell has a gradient from outside",
        part("dc", lambda p: 0 * p.dc),
    ),
    ("dc is added at every step: it belongs to the last cell alone", values(dc_always=True)),
    (
        "dh does not reach the cell: the cell is shown as h, so g_c gets g_h o (1 - tanh(c)^2)",
        part("to_cell", lambda p: torch.zeros_like(p.o)),
    ),
    (
        "the way from h to the cell lacks the output gate: g_h o (1 - tanh(c)^2)",
        part("to_cell", lambda p: 1 - p.shown**2),
    ),
    (
        "the way from h to the cell lacks the slope of the tanh: g_h o (1 - tanh(c)^2)",
        part("to_cell", lambda p: p.o),
    ),
    (
        "the slope of the tanh takes c itself: 1 - tanh(c)^2, and c is not squashed yet",
        part("to_cell", lambda p: p.o * (1 - p.cells**2)),
    ),
    (
        "the slope of the tanh takes h: 1 - tanh(c)^2, and h = o tanh(c)",
        part("to_cell", lambda p: p.o * (1 - p.states**2)),
    ),
    (
        "the slope of the tanh takes the cell before the step: 1 - tanh(c_t)^2",
        part("to_cell", lambda p: p.o * (1 - torch.tanh(p.before) ** 2)),
    ),
    (
        "the slope of the tanh is tanh itself: 1 - tanh(c)^2",
        part("to_cell", lambda p: p.o * p.shown),
    ),
    ("dh[t] is added after the step's work: first g_h = g_h + dh[t]", values(late=True)),
    ("da_t @ W_hh is added to g_h: it takes the place of g_h", values(pile=True)),
    ("the way back runs forwards: start at the last step", values(forwards=True)),
    ("the walk stops before t = 0: range(T - 1, -1, -1)", values(stop=1)),
    (
        "only the last step's dh is used: every step has its own, add dh[t] each time",
        part("dh", lambda p: torch.cat([0 * p.dh[:-1], p.dh[-1:]])),
    ),
]

SLOPES: list[Single] = [
    ("da_i lacks the slope of the sigmoid: g_c g i (1 - i)", slope(0, lambda p: p.g)),
    ("da_i lacks the candidate: g_c g i (1 - i)", slope(0, lambda p: p.i * (1 - p.i))),
    ("da_i lacks the factor 1 - i: g_c g i (1 - i)", slope(0, lambda p: p.g * p.i)),
    ("da_f lacks the factor 1 - f: g_c c_{t-1} f (1 - f)", slope(1, lambda p: p.before * p.f)),
    (f"{_SLOPE_O}: 1 - o is missing", slope(3, lambda p: p.shown * p.o)),
    ("da_i lacks the factor i: g_c g i (1 - i)", slope(0, lambda p: p.g * (1 - p.i))),
    (
        "da_i has the slope of a tanh: i is a sigmoid, i (1 - i)",
        slope(0, lambda p: p.g * (1 - p.i**2)),
    ),
    (
        "da_f takes the cell after the step: f multiplied c_{t-1} (c0 before the first step)",
        slope(1, lambda p: p.cells * p.f * (1 - p.f)),
    ),
    (
        "da_f takes cells[t - 1] also at t = 0, where it is the last cell: c0 stands there",
        slope(1, lambda p: torch.cat([p.cells[-1:], p.cells[:-1]]) * p.f * (1 - p.f)),
    ),
    (
        "da_f leaves out c0: the first step's f multiplied it",
        slope(1, lambda p: torch.cat([0 * p.c0[None], p.cells[:-1]]) * p.f * (1 - p.f)),
    ),
    (
        "da_f lacks the slope of the sigmoid: g_c c_{t-1} f (1 - f)",
        slope(1, lambda p: p.before),
    ),
    ("da_f lacks the cell before: g_c c_{t-1} f (1 - f)", slope(1, lambda p: p.f * (1 - p.f))),
    (
        "da_f has the slope of a tanh: f is a sigmoid, f (1 - f)",
        slope(1, lambda p: p.before * (1 - p.f**2)),
    ),
    (
        "da_g has the slope of a sigmoid: g is a tanh, 1 - g^2",
        slope(2, lambda p: p.i * p.g * (1 - p.g)),
    ),
    ("da_g lacks the slope of the tanh: g_c i (1 - g^2)", slope(2, lambda p: p.i)),
    ("da_g lacks the input gate: g_c i (1 - g^2)", slope(2, lambda p: 1 - p.g**2)),
    (
        "da_g takes tanh of g once more: g came out of the tanh already, 1 - g^2",
        slope(2, lambda p: p.i * (1 - torch.tanh(p.g) ** 2)),
    ),
    (f"{_SLOPE_O}: g_h, and not g_c", values(o_from_cell=True)),
    (f"{_SLOPE_O}: the whole of g_h, and not dh[t] alone", values(o_from_own=True)),
    (
        "the cell gets its part of dh[t] alone: the whole of g_h goes into it, what came back, too",
        values(into_from_own=True),
    ),
    (
        f"{_SLOPE_O}: the tanh of the cell is missing",
        slope(3, lambda p: p.cells * p.o * (1 - p.o)),
    ),
    (f"{_SLOPE_O}: tanh(c_t) is missing", slope(3, lambda p: p.o * (1 - p.o))),
    (f"{_SLOPE_O}: the slope of the sigmoid is missing", slope(3, lambda p: p.shown)),
    (f"{_SLOPE_O}: h stands there", slope(3, lambda p: p.states * p.o * (1 - p.o))),
    (
        f"{_SLOPE_O}: the slope of a tanh stands there",
        slope(3, lambda p: p.shown * (1 - p.o**2)),
    ),
    (
        f"{_SLOPE_O}: it takes the cell before the step",
        slope(3, lambda p: torch.tanh(p.before) * p.o * (1 - p.o)),
    ),
    (
        "all four slopes lack s (1 - s), and 1 - g^2 for the candidate",
        part("slopes", lambda p: [p.g, p.before, p.i, p.shown]),
    ),
]

MISTAKES: list[Mistake] = alone(walk_with, MASKS + ROADS + SLOPES + RESULTS)
PAIRS: list[Mistake] = pairs(walk_with, ROADS + SLOPES + RESULTS, most=1)
