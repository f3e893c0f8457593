"""Chapter 03: known wrong versions of `gru_step`."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import hardsigmoid, linear

from minidistill.course.diagnosis import Mistake
from minidistill.course.exercises.ch03_pairs import Single, alone, pairs
from minidistill.course.exercises.ch03_step_mistakes import Squash, as_it_is, chunks, sig, tanh


class Inner(NamedTuple):
    """What the candidate may be made of."""

    x_n: Tensor
    h_n: Tensor
    h: Tensor
    r: Tensor
    z: Tensor
    U: Tensor
    b: Tensor
    d: Tensor


def _same(*args: Tensor) -> tuple[Tensor, ...]:
    return args


_in_order = chunks((0, 1, 2))


def gru_with(
    bias: Callable[..., Any] = _same,
    reads: Callable[..., Any] = _same,
    weights: Callable[..., Any] = _same,
    cut_x: Callable[[Tensor], Any] = _in_order,
    cut_h: Callable[[Tensor], Any] = _in_order,
    r: Squash = sig,
    z: Squash = sig,
    n: Squash = tanh,
    gates: Callable[..., Any] = lambda x, h: (x[0] + h[0], x[1] + h[1]),
    inner: Callable[[Inner], Tensor] = lambda p: p.x_n + p.r * p.h_n,
    outer: Callable[[Tensor, Tensor], Tensor] = lambda n, r: n,
    mix: Callable[..., Tensor] = lambda n, h, z, r: (1 - z) * n + z * h,
    give: Callable[..., Any] = lambda new, h: new,
) -> Callable[..., Any]:
    """The step with some parts exchanged.

    Args:
        bias: other b_ih, b_hh from the right ones.
        reads: other x, h.
        weights: other W_ih, W_hh.
        cut_x: the blocks r, z, n of what comes from x; cut_h of what comes from h.
        r: the squashing of the reset gate; z and n likewise.
        gates: the sums of r and z, from the blocks.
        inner: what stands inside the candidate's tanh.
        outer: what is done to the candidate afterwards.
        mix: the new state.
        give: what is returned.
    """

    def mistaken(*args: Tensor) -> Any:
        x, h = reads(*args[:2])
        (W, U), (b, d) = weights(*args[2:4]), bias(*args[4:])
        of_x, of_h = cut_x(linear(x, W, b)), cut_h(linear(h, U, d))
        for_r, for_z = gates(of_x, of_h)
        reset, update = r(for_r), z(for_z)
        last = (U.chunk(3)[2], b.chunk(3)[2], d.chunk(3)[2])
        candidate = n(inner(Inner(of_x[2], of_h[2], h, reset, update, *last)))
        return give(mix(outer(candidate, reset), h, update, reset), args[1])

    return mistaken


_RULE = "h' = (1 - z) * n + z * h"
_CANDIDATE = "r * (h @ U_n.T + d_n)"
_GATES = "the gates have a tanh: r and z are sigmoids, between 0 and 1"
_RAW = "the gates are not squashed: sigmoid of r and z"
_ROWS = "the sums are reshaped, which mixes the rows of the batch: chunk(3, dim=-1) cuts them"
_THIRD = "every third row is taken for a gate: each block has H rows in one piece (chunk(3, -1))"


def _both_cuts(cut: Callable[[Tensor], Any]) -> dict[str, Any]:
    return {"cut_x": cut, "cut_h": cut}


_ORDERS = list(itertools.permutations(range(3)))[1:]

BLOCKS: list[Single] = [
    *[
        (
            "the blocks of the weights are taken in another order: they lie as r, z, n",
            _both_cuts(chunks(order)),
        )
        for order in _ORDERS
    ],
    *[
        (f"the blocks of the {side} are taken in another order: r, z, n on both sides", part)
        for order in _ORDERS
        for side, part in (
            ("input's side", {"cut_x": chunks(order)}),
            ("state's side", {"cut_h": chunks(order)}),
        )
    ],
    (_THIRD, _both_cuts(lambda sums: sums.unflatten(-1, (-1, 3)).unbind(-1))),
    (_ROWS, _both_cuts(lambda sums: sums.reshape(3, len(sums), -1).unbind(0))),
]

CANDIDATE: list[Single] = [
    (
        "r multiplies h before the product with U_n, which is the paper's form: here it multiplies "
        f"after it, {_CANDIDATE}",
        {"inner": lambda p: p.x_n + linear(p.r * p.h, p.U, p.d)},
    ),
    (
        "r multiplies h before the product with U_n, and the bias d_n is missing: " + _CANDIDATE,
        {"inner": lambda p: p.x_n + linear(p.r * p.h, p.U)},
    ),
    (
        f"the bias d_n stands outside the bracket: {_CANDIDATE}",
        {"inner": lambda p: p.x_n + p.r * (p.h_n - p.d) + p.d},
    ),
    (
        f"the bias d_n is missing in the candidate: {_CANDIDATE}",
        {"inner": lambda p: p.x_n + p.r * (p.h_n - p.d)},
    ),
    (
        f"the bias b_n stands inside the bracket: it belongs to x_n, outside {_CANDIDATE}",
        {"inner": lambda p: p.x_n - p.b + p.r * (p.h_n + p.b)},
    ),
    (
        f"the candidate reads h without its weights: {_CANDIDATE}",
        {"inner": lambda p: p.x_n + p.r * p.h},
    ),
    (
        "the reset gate is not used: tanh(x_n + r * h_n)",
        {"inner": lambda p: p.x_n + p.h_n},
    ),
    (
        "the reset gate multiplies the input's part, too: tanh(x_n + r * h_n)",
        {"inner": lambda p: p.r * (p.x_n + p.h_n)},
    ),
    (
        "the reset gate multiplies the input's part: tanh(x_n + r * h_n)",
        {"inner": lambda p: p.r * p.x_n + p.h_n},
    ),
    (
        "the reset gate is turned round: tanh(x_n + r * h_n)",
        {"inner": lambda p: p.x_n + (1 - p.r) * p.h_n},
    ),
    (
        "z stands in the place of r: tanh(x_n + r * h_n)",
        {"inner": lambda p: p.x_n + p.z * p.h_n},
    ),
    ("the candidate does not see the past: tanh(x_n + r * h_n)", {"inner": lambda p: p.x_n}),
    (
        "the candidate does not see the input: tanh(x_n + r * h_n)",
        {"inner": lambda p: p.r * p.h_n},
    ),
    (
        "r multiplies the finished candidate: it belongs inside, tanh(x_n + r * h_n)",
        {"inner": lambda p: p.x_n + p.h_n, "outer": lambda n, r: r * n},
    ),
    (
        "the candidate is a sigmoid: it is a tanh, or the state could never fall below zero",
        {"n": sig},
    ),
    ("the candidate is not squashed: tanh(x_n + r * h_n)", {"n": as_it_is}),
    ("the candidate has a ReLU: it is a tanh", {"n": torch.relu}),
]

GATES: list[Single] = [
    (_GATES, {"r": tanh, "z": tanh}),
    *[(f"the gate {name} has a tanh: a gate is a sigmoid", {name: tanh}) for name in "rz"],
    (_RAW, {"r": as_it_is, "z": as_it_is}),
    *[(f"the gate {name} is not squashed: sigmoid", {name: as_it_is}) for name in "rz"],
    (
        "the gates are straight lines, cut off at 0 and 1: torch.sigmoid",
        {"r": hardsigmoid, "z": hardsigmoid},
    ),
    ("the gates do not read h: x's part and h's part are added", {"gates": lambda x, h: x[:2]}),
    ("the gates do not read x: x's part and h's part are added", {"gates": lambda x, h: h[:2]}),
    ("r does not read h: x_r + h_r", {"gates": lambda x, h: (x[0], x[1] + h[1])}),
    ("z does not read h: x_z + h_z", {"gates": lambda x, h: (x[0] + h[0], x[1])}),
]

MIXED: list[Single] = [
    (
        "z is turned round: z says how much of the old state stays, (1 - z) * n + z * h "
        "(the paper of 2014 keeps with 1 - z, PyTorch with z)",
        {"mix": lambda n, h, z, r: z * n + (1 - z) * h},
    ),
    (f"the update gate is not used: {_RULE}", {"mix": lambda n, h, z, r: n}),
    (f"the old state is added whole: {_RULE}", {"mix": lambda n, h, z, r: (1 - z) * n + h}),
    (f"the candidate is added whole: {_RULE}", {"mix": lambda n, h, z, r: n + z * h}),
    (f"the old state does not stay: {_RULE}", {"mix": lambda n, h, z, r: (1 - z) * n}),
    (f"the candidate is not used: {_RULE}", {"mix": lambda n, h, z, r: z * h}),
    (f"both parts are multiplied by z: {_RULE}", {"mix": lambda n, h, z, r: z * n + z * h}),
    (
        f"both parts are multiplied by 1 - z: {_RULE}",
        {"mix": lambda n, h, z, r: (1 - z) * (n + h)},
    ),
    (
        f"r multiplies the old state in the sum: {_RULE}",
        {"mix": lambda n, h, z, r: (1 - z) * n + z * r * h},
    ),
    (f"r stands in the place of 1 - z: {_RULE}", {"mix": lambda n, h, z, r: r * n + z * h}),
    (f"r stands in the place of z: {_RULE}", {"mix": lambda n, h, z, r: (1 - r) * n + r * h}),
    (
        f"a tanh is taken of the whole sum: {_RULE} as it is",
        {"mix": lambda n, h, z, r: tanh((1 - z) * n + z * h)},
    ),
]

READ: list[Single] = [
    ("b_hh is missing: both biases are added", {"bias": lambda b, d: (b, 0 * d)}),
    ("b_ih is missing: both biases are added", {"bias": lambda b, d: (0 * b, d)}),
    ("both biases are missing", {"bias": lambda b, d: (0 * b, 0 * d)}),
    ("b_ih is added twice, b_hh not at all", {"bias": lambda b, d: (b, b)}),
    ("b_hh is added twice, b_ih not at all", {"bias": lambda b, d: (d, d)}),
    (
        "b_ih and b_hh are swapped, which counts in the candidate: b_hh stands inside the bracket",
        {"bias": lambda b, d: (d, b)},
    ),
    ("the input x is not used", {"reads": lambda x, h: (0 * x, h)}),
    ("the two weights are swapped: W_ih belongs to x, W_hh to h", {"weights": lambda W, U: (U, W)}),
    (
        "W_hh is reshaped, which is no transpose: h @ W_hh.T",
        {"weights": lambda W, U: (W, U.reshape(U.size(1), -1).T)},
    ),
    (
        "W_ih is reshaped, which is no transpose: x @ W_ih.T",
        {"weights": lambda W, U: (W.reshape(W.size(1), -1).T, U)},
    ),
]

GIVEN: list[Single] = [
    ("a GRU has one state: return h' alone", {"give": lambda new, h: (new, new)}),
    ("a GRU has one state: return h' alone", {"give": lambda new, h: (new, h)}),
    ("the old state comes back unchanged: return the new one", {"give": lambda new, h: h}),
    (
        "every row gets the first row's state: the rows are different texts",
        {"give": lambda new, h: new[:1].expand_as(new)},
    ),
]

SINGLES = MIXED + BLOCKS + CANDIDATE + GATES + READ + GIVEN
MISTAKES: list[Mistake] = alone(gru_with, SINGLES)
PAIRS: list[Mistake] = pairs(gru_with, SINGLES)
