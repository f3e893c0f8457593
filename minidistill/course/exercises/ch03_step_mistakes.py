"""Chapter 03: known wrong versions of `lstm_step`."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import hardsigmoid, linear

from minidistill.course.diagnosis import Mistake
from minidistill.course.exercises.ch03_pairs import Single, alone, pairs

Squash = Callable[[Tensor], Tensor]
sig, tanh = torch.sigmoid, torch.tanh


def as_it_is(value: Tensor) -> Tensor:
    """No squashing at all."""
    return value


def _same(*args: Tensor) -> tuple[Tensor, ...]:
    return args


def chunks(order: tuple[int, ...] = (0, 1, 2, 3)) -> Callable[[Tensor], list[Tensor]]:
    """Cut the sums into blocks, and take these for i, f, g, o."""

    def cut(sums: Tensor) -> list[Tensor]:
        blocks = sums.chunk(len(order), dim=-1)
        return [blocks[place] for place in order]

    return cut


_in_order = chunks()


def step_with(
    bias: Callable[..., Any] = _same,
    reads: Callable[..., Any] = _same,
    weights: Callable[..., Any] = _same,
    cut: Callable[[Tensor], Any] = _in_order,
    i: Squash = sig,
    f: Squash = sig,
    g: Squash = tanh,
    o: Squash = sig,
    write: Callable[..., Tensor] = lambda i, f, g, c, h: f * c + i * g,
    show: Callable[..., Tensor] = lambda o, new, old: o * torch.tanh(new),
    give: Callable[..., Any] = lambda h, c, args: (h, c),
) -> Callable[..., tuple[Tensor, Tensor]]:
    """The step with some parts exchanged.

    Args:
        bias: other b_ih, b_hh from the right ones.
        reads: other x, h, c.
        weights: other W_ih, W_hh.
        cut: the four blocks of the sums, in the order i, f, g, o.
        i: the squashing of this block; f, g and o likewise.
        write: the new cell.
        show: the new hidden state.
        give: what is returned, from the new pair and the arguments.
    """

    def mistaken(*args: Tensor) -> Any:
        x, h, c = reads(*args[:3])
        (W, U), (b, d) = weights(*args[3:5]), bias(*args[5:])
        blocks = cut(linear(x, W, b) + linear(h, U, d))
        gates = [squash(block) for squash, block in zip((i, f, g, o), blocks, strict=True)]
        new = write(*gates[:3], c, h)
        return give(show(gates[3], new, c), new, args)

    return mistaken


def orders() -> Iterator[tuple[int, ...]]:
    """All orders of four blocks but the right one: where i, f, g and o are, the usual first."""
    usual = [(0, 1, 3, 2), (1, 0, 2, 3), (0, 2, 3, 1)]  # i f o g, f i g o, i o f g
    yield from usual
    for order in itertools.permutations(range(4)):
        if order not in ((0, 1, 2, 3), *usual):
            yield order


ORDER = "the blocks of the weights are taken in another order: they lie as i, f, g, o"
_GATE = "a gate has a tanh: i, f and o are sigmoids, between 0 (closed) and 1 (open)"
_ONCE = "a gate goes through the sigmoid twice: once is enough"
_RULE = "c' = f * c + i * g"
_ROWS = "the sums are reshaped, which mixes the rows of the batch: chunk(4, dim=-1) cuts them"


def _all_gates(squash: Squash) -> dict[str, Squash]:
    return {"i": squash, "f": squash, "o": squash}


def _softmax(sums: Tensor) -> Tensor:
    return sums.softmax(-1)


SQUASHED: list[Single] = [
    *[(ORDER, {"cut": chunks(order)}) for order in orders()],
    (
        "every fourth row is taken for a gate: each gate has H rows in one piece (chunk(4, -1))",
        {"cut": lambda sums: sums.unflatten(-1, (-1, 4)).unbind(-1)},
    ),
    (_ROWS, {"cut": lambda sums: sums.reshape(4, len(sums), -1).unbind(0)}),
    (_ROWS, {"cut": lambda sums: sums.reshape(4, -1, len(sums)).transpose(1, 2).unbind(0)}),
    (
        "the candidate g has a sigmoid: it is a tanh, or nothing could ever be taken off the cell",
        {"g": sig},
    ),
    ("the candidate g is not squashed: tanh(g)", {"g": as_it_is}),
    ("the candidate g has a ReLU: it is a tanh", {"g": torch.relu}),
    ("g goes through the sigmoid and then the tanh: the tanh alone", {"g": lambda s: tanh(sig(s))}),
    (_GATE, _all_gates(tanh)),
    *[(_GATE, {name: tanh}) for name in "ifo"],
    ("the gates are not squashed: sigmoid of i, f and o", _all_gates(as_it_is)),
    (
        "nothing is squashed: sigmoid of i, f, o and tanh of g",
        _all_gates(as_it_is) | {"g": as_it_is},
    ),
    *[(f"the gate {name} is not squashed: sigmoid({name})", {name: as_it_is}) for name in "ifo"],
    *[(_ONCE, {name: lambda sums: sig(sig(sums))}) for name in "ifo"],
    (_ONCE, _all_gates(lambda sums: sig(sig(sums)))),
    (
        "the gates are softmaxed: each entry of a gate opens by itself, by a sigmoid",
        _all_gates(_softmax),
    ),
    ("the gates are straight lines, cut off at 0 and 1: torch.sigmoid", _all_gates(hardsigmoid)),
    (
        "1 is added to the forget gate's sum: whoever wants a forget bias puts it into b_ih",
        {"f": lambda sums: sig(sums + 1)},
    ),
]

EDITED: list[Single] = [
    ("h' lacks the tanh: it shows o * tanh(c')", {"show": lambda o, new, old: o * new}),
    (
        "the tanh of h' covers the gate too: o * tanh(c')",
        {"show": lambda o, new, old: tanh(o * new)},
    ),
    (
        "h' takes the sigmoid of the cell: o * tanh(c')",
        {"show": lambda o, new, old: o * sig(new)},
    ),
    (
        "h' shows the old cell: first the new cell, then o * tanh(c')",
        {"show": lambda o, new, old: o * tanh(old)},
    ),
    ("the output gate is not used: h' = o * tanh(c')", {"show": lambda o, new, old: tanh(new)}),
    ("h' is the cell itself: o * tanh(c')", {"show": lambda o, new, old: new}),
    (f"the input gate is not used: {_RULE}", {"write": lambda i, f, g, c, h: f * c + g}),
    (
        f"the forget gate is not used: {_RULE} (the LSTM of 1997 had none)",
        {"write": lambda i, f, g, c, h: c + i * g},
    ),
    (f"neither i nor f is used: {_RULE}", {"write": lambda i, f, g, c, h: c + g}),
    (f"the old cell is not used: {_RULE}", {"write": lambda i, f, g, c, h: i * g}),
    (f"the candidate is not used: {_RULE}", {"write": lambda i, f, g, c, h: f * c + i}),
    (
        "1 - f stands in the place of i: the input gate has rows of its own",
        {"write": lambda i, f, g, c, h: f * c + (1 - f) * g},
    ),
    (
        "1 - i stands in the place of f: the forget gate has rows of its own",
        {"write": lambda i, f, g, c, h: (1 - i) * c + i * g},
    ),
    (
        "the forget gate is turned round: f says how much stays, not how much goes",
        {"write": lambda i, f, g, c, h: (1 - f) * c + i * g},
    ),
    (
        "the forget gate multiplies h: it is the cell that is kept, f * c",
        {"write": lambda i, f, g, c, h: f * h + i * g},
    ),
    (
        f"the forget gate multiplies what is written, too: {_RULE}",
        {"write": lambda i, f, g, c, h: f * (c + i * g)},
    ),
    (
        f"what is kept and what is written are subtracted: {_RULE}",
        {"write": lambda i, f, g, c, h: f * c - i * g},
    ),
    (
        f"what is kept and what is written are multiplied: {_RULE}",
        {"write": lambda i, f, g, c, h: f * c * i * g},
    ),
    (
        f"the new cell is squashed by a tanh: {_RULE} as it is, or it forgets again",
        {"write": lambda i, f, g, c, h: tanh(f * c + i * g)},
    ),
    (
        f"the new cell is squashed by a tanh: {_RULE} as it is, or it forgets again",
        {
            "write": lambda i, f, g, c, h: tanh(f * c + i * g),
            "show": lambda o, new, old: o * new,
        },
    ),
]

READ: list[Single] = [
    ("b_hh is missing: both biases are added", {"bias": lambda b, d: (b, 0 * d)}),
    ("b_ih is missing: both biases are added", {"bias": lambda b, d: (0 * b, d)}),
    ("both biases are missing", {"bias": lambda b, d: (0 * b, 0 * d)}),
    ("b_ih is added twice, b_hh not at all", {"bias": lambda b, d: (b, b)}),
    ("b_hh is added twice, b_ih not at all", {"bias": lambda b, d: (d, d)}),
    ("a bias is subtracted: both are added", {"bias": lambda b, d: (b, -d)}),
    ("a bias is subtracted: both are added", {"bias": lambda b, d: (-b, d)}),
    ("the input x is not used", {"reads": lambda x, h, c: (0 * x, h, c)}),
    (
        "the hidden state h is not used: the gates read it by h @ W_hh.T",
        {"reads": lambda x, h, c: (x, 0 * h, c)},
    ),
    (
        "the gates read the cell: they read h, and the cell only passes through",
        {"reads": lambda x, h, c: (x, c, c)},
    ),
    (
        "h and c are mixed up: the gates read h, and f multiplies c",
        {"reads": lambda x, h, c: (x, c, h)},
    ),
    (
        "the two weights are swapped: W_ih belongs to x, W_hh to h",
        {"weights": lambda W, U: (U, W)},
    ),
    (
        "W_hh is reshaped, which is no transpose: h @ W_hh.T",
        {"weights": lambda W, U: (W, U.reshape(U.size(1), -1).T)},
    ),
    (
        "W_ih is reshaped, which is no transpose: x @ W_ih.T",
        {"weights": lambda W, U: (W.reshape(W.size(1), -1).T, U)},
    ),
    (
        "both weights are reshaped, which is no transpose: x @ W_ih.T, h @ W_hh.T",
        {"weights": lambda W, U: (W.reshape(W.size(1), -1).T, U.reshape(U.size(1), -1).T)},
    ),
]

_PAIR = "h and c are stacked into one tensor, or joined: return a pair"
_ROW = "every row gets the first row's values: the rows are different texts"

GIVEN: list[Single] = [
    ("the pair comes in the wrong order: return h, then c", {"give": lambda h, c, args: (c, h)}),
    ("only h' is returned: the new cell is needed at the next step", {"give": lambda h, c, a: h}),
    ("only c' is returned: h' is what the next layer reads", {"give": lambda h, c, args: c}),
    ("the old cell is returned: return the new one", {"give": lambda h, c, args: (h, args[2])}),
    ("the old h is returned: return the new one", {"give": lambda h, c, args: (args[1], c)}),
    ("a pair is needed and no more: h, c", {"give": lambda h, c, args: (h, c, c)}),
    ("h' is returned twice: return h, then c", {"give": lambda h, c, args: (h, h)}),
    (_PAIR, {"give": lambda h, c, args: torch.cat([h, c], dim=-1)}),
    (_PAIR, {"give": lambda h, c, args: torch.stack([h, c], dim=1)}),
    (
        "the old h is added to the new one: h' = o * tanh(c')",
        {"give": lambda h, c, a: (h + a[1], c)},
    ),
    (_ROW, {"give": lambda h, c, args: (h[:1].expand_as(h), c[:1].expand_as(c))}),
]

SINGLES = SQUASHED + EDITED + READ + GIVEN
MISTAKES: list[Mistake] = alone(step_with, SINGLES)
PAIRS: list[Mistake] = pairs(step_with, SINGLES)
