"""Chapter 03: known wrong versions of `lstm_forward`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from minidistill.course.diagnosis import Mistake
from minidistill.course.exercises.ch03_forward_loop import loop_with
from minidistill.course.exercises.ch03_forward_masks import MASKS
from minidistill.course.exercises.ch03_pairs import Parts, Single, alone, pairs
from minidistill.course.exercises.ch03_step_mistakes import (
    ORDER,
    as_it_is,
    chunks,
    orders,
    sig,
    tanh,
)

_RULE = "c = f * c + i * g"


def _at_their_places(order: tuple[int, ...]) -> Parts:
    """Blocks taken in another order, and the gates put back where they were taken from."""
    places = tuple(order.index(place) for place in range(4))
    return {"cut": chunks(order), "places": places}


STEPS: list[Single] = [
    *[(ORDER, _at_their_places(order)) for order in orders()],
    *[(ORDER, {"cut": chunks(order)}) for order in orders()],
    ("the candidate g has a sigmoid: it is a tanh", {"g": sig}),
    ("the candidate g is not squashed: tanh(g)", {"g": as_it_is}),
    ("g goes through the sigmoid and then the tanh: the tanh alone", {"g": lambda s: tanh(sig(s))}),
    ("a gate has a tanh: i, f and o are sigmoids", {"i": tanh, "f": tanh, "o": tanh}),
    *[("a gate has a tanh: i, f and o are sigmoids", {name: tanh}) for name in "ifo"],
    ("the output gate is not squashed: sigmoid(o)", {"o": as_it_is}),
    ("the input gate is not squashed: sigmoid(i)", {"i": as_it_is}),
    ("the forget gate is not squashed: sigmoid(f)", {"f": as_it_is}),
    ("h lacks the tanh: it shows o * tanh(c)", {"show": lambda o, new, old: o * new}),
    (
        "h shows the cell before the step: first the new cell, then o * tanh(c)",
        {"show": lambda o, new, old: o * tanh(old)},
    ),
    ("h takes the sigmoid of the cell: o * tanh(c)", {"show": lambda o, new, old: o * sig(new)}),
    ("the output gate is not used: h = o * tanh(c)", {"show": lambda o, new, old: tanh(new)}),
    (f"the forget gate is not used: {_RULE}", {"write": lambda i, f, g, c, c0: c + i * g}),
    (f"the input gate is not used: {_RULE}", {"write": lambda i, f, g, c, c0: f * c + g}),
    (f"the old cell is not used: {_RULE}", {"write": lambda i, f, g, c, c0: i * g}),
    (
        "1 - f stands in the place of i: the input gate has rows of its own",
        {"write": lambda i, f, g, c, c0: f * c + (1 - f) * g},
    ),
    (
        "the forget gate is turned round: f says how much stays, not how much goes",
        {"write": lambda i, f, g, c, c0: (1 - f) * c + i * g},
    ),
    (
        f"the new cell is squashed by a tanh: {_RULE} as it is",
        {"write": lambda i, f, g, c, c0: tanh(f * c + i * g)},
    ),
    (
        "every step starts from c0: hand the new cell on to the next step",
        {"write": lambda i, f, g, c, c0: f * c0 + i * g},
    ),
    (
        "the hidden state is not used in the steps: a[t] + h @ W_hh.T",
        {"sums": lambda x, h, c, W, h0: x},
    ),
    ("a is not used: add a[t] in every step", {"sums": lambda x, h, c, W, h0: h @ W.T}),
    (
        "the gates read the cell: a[t] + h @ W_hh.T, and the cell only passes through",
        {"sums": lambda x, h, c, W, h0: x + c @ W.T},
    ),
    (
        "W_hh is reshaped, which is no transpose: h @ W_hh.T",
        {"sums": lambda x, h, c, W, h0: x + h @ W.reshape(h.size(1), -1)},
    ),
    (
        "every step starts from h0: hand the new h on to the next step",
        {"sums": lambda x, h, c, W, h0: x + h0 @ W.T},
    ),
    (
        "h0 is added in every step: it is the state before the first one only",
        {"sums": lambda x, h, c, W, h0: x + (h if h is h0 else h + h0) @ W.T},
    ),
    (
        "the sums are reshaped, which mixes the rows of the batch: chunk(4, dim=-1) cuts them",
        {"cut": lambda sums: sums.reshape(4, len(sums), -1).unbind(0)},
    ),
    (
        "every fourth column is taken for a gate: each gate has H in one piece (chunk(4, -1))",
        {"cut": lambda sums: sums.unflatten(-1, (-1, 4)).unbind(-1)},
    ),
    (
        "h0 is not used: the first step starts from it, not from zeros",
        {"start": lambda h0, c0: (0 * h0, c0)},
    ),
    (
        "c0 is not used: the first step starts from it, not from zeros",
        {"start": lambda h0, c0: (h0, 0 * c0)},
    ),
    (
        "neither h0 nor c0 is used: the first step starts from them, not from zeros",
        {"start": lambda h0, c0: (0 * h0, 0 * c0)},
    ),
    ("h0 and c0 are mixed up", {"start": lambda h0, c0: (c0, h0)}),
    ("every step reads a[0]: a[t] is the step's own", {"inputs": lambda a, m: a[:1].expand_as(a)}),
]


def _shifted(first: Tensor, rows: Tensor) -> Tensor:
    return torch.cat([first[None], rows[:-1]])


def _give(change: Callable[..., Any]) -> Parts:
    return {"give": change}


def _last(rows: Tensor) -> Tensor:
    return rows[-1:].expand_as(rows)


def _unsquashed(gates: Tensor) -> Tensor:
    i, f, g, o = gates.chunk(4, dim=-1)
    return torch.cat([i.logit(), f.logit(), g.atanh(), o.logit()], dim=-1)


_GATE_ORDER = "the gates come back in another order: i, f, g, o side by side, (T, B, 4H)"
_GATE_SHAPE = "the gates come back in another shape: i, f, g, o side by side, (T, B, 4H)"
_SAME = "every step repeats the last {}: append a new tensor each time"
_THREE = "return states, cells, gates"

RESULTS: list[Single] = [
    (
        "the states begin with h0 and lack the last: append after the step",
        _give(lambda s, c, g, h0, c0: (_shifted(h0, s), _shifted(c0, c), g)),
    ),
    (
        "the states begin with h0 and lack the last: append after the step",
        _give(lambda s, c, g, h0, c0: (_shifted(h0, s), c, g)),
    ),
    (
        "the cells begin with c0 and lack the last: append after the step",
        _give(lambda s, c, g, h0, c0: (s, _shifted(c0, c), g)),
    ),
    (
        "h0 and c0 are returned too: the results start with h_1 and c_1",
        _give(lambda s, c, g, h0, c0: (torch.cat([h0[None], s]), torch.cat([c0[None], c]), g)),
    ),
    (
        "only the last cell is returned: the way back needs all of them, (T, B, H)",
        _give(lambda s, c, g, h0, c0: (s, c[-1], g)),
    ),
    (
        "only the last state and cell are returned: all of them, (T, B, H)",
        _give(lambda s, c, g, h0, c0: (s[-1], c[-1], g)),
    ),
    ("states and cells are in the wrong order", _give(lambda s, c, g, h0, c0: (c, s, g))),
    (f"the three results are in another order: {_THREE}", _give(lambda s, c, g, *_: (s, g, c))),
    (f"the three results are in another order: {_THREE}", _give(lambda s, c, g, *_: (g, s, c))),
    (_SAME.format("state"), _give(lambda s, c, g, h0, c0: (_last(s), _last(c), g))),
    (_SAME.format("state"), _give(lambda s, c, g, h0, c0: (_last(s), c, g))),
    (_SAME.format("cell"), _give(lambda s, c, g, h0, c0: (s, _last(c), g))),
    (
        "the last step is missing: all T of them",
        _give(lambda s, c, g, h0, c0: (s[:-1], c[:-1], g[:-1])),
    ),
    (
        "the results are batch first: keep time first, (T, B, H)",
        _give(lambda s, c, g, h0, c0: (s.transpose(0, 1), c.transpose(0, 1), g.transpose(0, 1))),
    ),
    (f"the gates are missing: {_THREE}", _give(lambda s, c, g, h0, c0: (s, c))),
    (
        "only the states are returned: states, cells, gates",
        _give(lambda s, c, g, h0, c0: s),
    ),
    *[
        (
            _GATE_ORDER,
            _give(
                lambda s, c, g, h0, c0, order=order: (
                    s,
                    c,
                    torch.cat([g.chunk(4, -1)[place] for place in order], dim=-1),
                )
            ),
        )
        for order in orders()
    ],
    (
        "the gates alternate entry by entry: i, f, g, o stand in one piece each (torch.cat)",
        _give(lambda s, c, g, h0, c0: (s, c, g.unflatten(-1, (4, -1)).mT.flatten(2))),
    ),
    (_GATE_SHAPE, _give(lambda s, c, g, h0, c0: (s, c, g.unflatten(-1, (4, -1))))),
    (
        _GATE_SHAPE,
        _give(lambda s, c, g, h0, c0: (s, c, g.unflatten(-1, (4, -1)).permute(2, 0, 1, 3))),
    ),
    (
        _GATE_SHAPE,
        _give(lambda s, c, g, h0, c0: (s, c, g.unflatten(-1, (4, -1)).transpose(1, 2))),
    ),
    (_GATE_SHAPE, _give(lambda s, c, g, h0, c0: (s, c, list(g.chunk(4, -1))))),
    (
        "the gates are the sums before the squashing: return what came out of sigmoid and tanh",
        _give(lambda s, c, g, h0, c0: (s, c, _unsquashed(g))),
    ),
]


def _backwards(a: Tensor, h0: Tensor, c0: Tensor, W: Tensor, mask: Tensor | None = None) -> Any:
    turned = None if mask is None else mask.flip(0)
    return loop_with()(a.flip(0), h0, c0, W, turned)


SINGLES = STEPS + RESULTS
MISTAKES: list[Mistake] = [
    *alone(loop_with, MASKS + SINGLES),
    ("the steps run backwards: start at t = 0", _backwards),
]
PAIRS: list[Mistake] = pairs(loop_with, SINGLES)
MASK_PAIRS: list[Mistake] = pairs(loop_with, MASKS)
