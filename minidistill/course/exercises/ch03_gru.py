"""Chapter 03: cases for `gru_step`."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

from minidistill.course.answer import Answer, reference_answer
from minidistill.course.diagnosis import Mistake, compare
from minidistill.course.exercise import Wrong, expect
from minidistill.course.exercises.ch02_shared import expect_gradients, keeps_type, numbers
from minidistill.course.exercises.ch03_step import cut_by_entries
from minidistill.gru import gru_step

_sig, _tanh = torch.sigmoid, torch.tanh


def _inputs(rng: torch.Generator, B: int, size: int, H: int) -> tuple[Tensor, ...]:
    return (
        numbers(rng, B, size),
        numbers(rng, B, H),
        numbers(rng, 3 * H, size, scale=0.7),
        numbers(rng, 3 * H, H, scale=0.7),
        numbers(rng, 3 * H),
        numbers(rng, 3 * H),
    )


def _with(
    order: tuple[int, ...] = (0, 1, 2),
    gate: Callable[[Tensor], Tensor] = torch.sigmoid,
    candidate: Callable[..., Tensor] = lambda x_n, h_n, r: torch.tanh(x_n + r * h_n),
    mix: Callable[..., Any] = lambda n, h, z, r: (1 - z) * n + z * h,
) -> Callable[..., Any]:
    """The step with some part exchanged."""

    def mistaken(x: Tensor, h: Tensor, W: Tensor, U: Tensor, b: Tensor, d: Tensor) -> Any:
        of_x, of_h = linear(x, W, b).chunk(3, -1), linear(h, U, d).chunk(3, -1)
        r, z = (gate(of_x[place] + of_h[place]) for place in order[:2])
        n = candidate(of_x[order[2]], of_h[order[2]], r)
        return mix(n, h, z, r)

    return mistaken


def _own_candidate(rule: Callable[..., Tensor]) -> Callable[..., Any]:
    """Another candidate: rule(x_n, h, r, U_n, d_n), what stands inside the tanh."""

    def mistaken(x: Tensor, h: Tensor, W: Tensor, U: Tensor, b: Tensor, d: Tensor) -> Any:
        of_x, of_h = linear(x, W, b).chunk(3, -1), linear(h, U, d).chunk(3, -1)
        r, z = _sig(of_x[0] + of_h[0]), _sig(of_x[1] + of_h[1])
        n = _tanh(rule(of_x[2], h, r, U.chunk(3)[2], d.chunk(3)[2]))
        return (1 - z) * n + z * h

    return mistaken


def _before(change: Callable[..., tuple]) -> Callable[..., Any]:
    return lambda *args: gru_step(*change(*args))


def _after(change: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args: change(gru_step(*args), args[1])


_ROUND = "z is turned round: z says how much of the old state stays, (1 - z) * n + z * h"
_RULE = "h' = (1 - z) * n + z * h"

MISTAKES: list[Mistake] = [
    (
        _ROUND + " (the paper of 2014 keeps with 1 - z, PyTorch with z)",
        _with(mix=lambda n, h, z, r: z * n + (1 - z) * h),
    ),
    *[
        ("the blocks of the weights are taken in another order: they lie as r, z, n", _with(order))
        for order in list(itertools.permutations(range(3)))[1:]
    ],
    (
        "r multiplies h before the product with U_n, which is the paper's form: here it multiplies "
        "after it, r * (h @ U_n.T + d_n)",
        _own_candidate(lambda x_n, h, r, U, d: x_n + linear(r * h, U, d)),
    ),
    (
        "r multiplies h before the product with U_n, and the bias d_n is missing: "
        "r * (h @ U_n.T + d_n)",
        _own_candidate(lambda x_n, h, r, U, d: x_n + linear(r * h, U)),
    ),
    (
        "the bias d_n stands outside the bracket: r * (h @ U_n.T + d_n)",
        _own_candidate(lambda x_n, h, r, U, d: x_n + r * linear(h, U) + d),
    ),
    (
        "the bias d_n is missing in the candidate: r * (h @ U_n.T + d_n)",
        _own_candidate(lambda x_n, h, r, U, d: x_n + r * linear(h, U)),
    ),
    (
        "the candidate reads h without its weights: r * (h @ U_n.T + d_n)",
        _own_candidate(lambda x_n, h, r, U, d: x_n + r * h),
    ),
    (
        "the reset gate is not used: tanh(x_n + r * h_n)",
        _with(candidate=lambda x_n, h_n, r: _tanh(x_n + h_n)),
    ),
    (
        "the reset gate multiplies the input's part, too: tanh(x_n + r * h_n)",
        _with(candidate=lambda x_n, h_n, r: _tanh(r * (x_n + h_n))),
    ),
    (
        "the reset gate multiplies the input's part: tanh(x_n + r * h_n)",
        _with(candidate=lambda x_n, h_n, r: _tanh(r * x_n + h_n)),
    ),
    (
        "the reset gate is turned round: tanh(x_n + r * h_n)",
        _with(candidate=lambda x_n, h_n, r: _tanh(x_n + (1 - r) * h_n)),
    ),
    (
        "the candidate does not see the past: tanh(x_n + r * h_n)",
        _with(candidate=lambda x_n, h_n, r: _tanh(x_n)),
    ),
    (
        "the candidate is a sigmoid: it is a tanh, or the state could never fall below zero",
        _with(candidate=lambda x_n, h_n, r: _sig(x_n + r * h_n)),
    ),
    (
        "the candidate is not squashed: tanh(x_n + r * h_n)",
        _with(candidate=lambda x_n, h_n, r: x_n + r * h_n),
    ),
    ("the gates have a tanh: r and z are sigmoids, between 0 and 1", _with(gate=torch.tanh)),
    ("the gates are not squashed: sigmoid of r and z", _with(gate=lambda sums: sums)),
    (f"the update gate is not used: {_RULE}", _with(mix=lambda n, h, z, r: n)),
    (
        f"the old state is added whole: {_RULE}",
        _with(mix=lambda n, h, z, r: (1 - z) * n + h),
    ),
    (f"the candidate is added whole: {_RULE}", _with(mix=lambda n, h, z, r: n + z * h)),
    (f"the old state does not stay: {_RULE}", _with(mix=lambda n, h, z, r: (1 - z) * n)),
    (f"the candidate is not used: {_RULE}", _with(mix=lambda n, h, z, r: z * h)),
    (
        f"r multiplies the old state in the sum: {_RULE}",
        _with(mix=lambda n, h, z, r: (1 - z) * n + z * r * h),
    ),
    (
        f"r stands in the place of 1 - z: {_RULE}",
        _with(mix=lambda n, h, z, r: r * n + z * h),
    ),
    (
        f"a tanh is taken of the whole sum: {_RULE} as it is",
        _with(mix=lambda n, h, z, r: _tanh((1 - z) * n + z * h)),
    ),
    (
        "b_hh is missing: both biases are added",
        _before(lambda x, h, W, U, b, d: (x, h, W, U, b, 0 * d)),
    ),
    (
        "b_ih is missing: both biases are added",
        _before(lambda x, h, W, U, b, d: (x, h, W, U, 0 * b, d)),
    ),
    (
        "both biases are missing",
        _before(lambda x, h, W, U, b, d: (x, h, W, U, 0 * b, 0 * d)),
    ),
    (
        "b_ih is added twice, b_hh not at all",
        _before(lambda x, h, W, U, b, d: (x, h, W, U, b, b)),
    ),
    (
        "b_ih and b_hh are swapped, which counts in the candidate: b_hh stands inside the bracket",
        _before(lambda x, h, W, U, b, d: (x, h, W, U, d, b)),
    ),
    (
        "the input x is not used",
        _before(lambda x, h, W, U, b, d: (0 * x, h, W, U, b, d)),
    ),
    (
        "the two weights are swapped: W_ih belongs to x, W_hh to h",
        _before(lambda x, h, W, U, b, d: (x, h, U, W, b, d)),
    ),
    (
        "a GRU has one state: return h' alone",
        _after(lambda new, h: (new, new)),
    ),
    (
        "a GRU has one state: return h' alone",
        _after(lambda new, h: (new, h)),
    ),
    ("the old state comes back unchanged: return the new one", _after(lambda new, h: h)),
]


def _case(answer: Answer, inputs: tuple[Tensor, ...]) -> None:
    probe = _inputs(torch.Generator().manual_seed(7), 3, 5, 5)
    got = compare(
        cut_by_entries(answer), gru_step, inputs, "the new state", mistakes=MISTAKES, probes=[probe]
    )
    keeps_type(got, inputs[0], "the new state")


def gru_by_hand(answer: Answer, rng: torch.Generator) -> None:
    """two rows of one entry, worked by hand."""
    x, h = torch.tensor([[1.0], [-2.0]]), torch.tensor([[0.5], [-1.0]])
    W_ih, W_hh = torch.tensor([[0.6], [-0.2], [0.9]]), torch.tensor([[0.4], [0.8], [-1.6]])
    b_ih, b_hh = torch.tensor([0.1, 1.0, 0.0]), torch.tensor([-0.3, 0.2, 0.4])
    _case(answer, (x, h, W_ih, W_hh, b_ih, b_hh))


def gru_square(answer: Answer, rng: torch.Generator) -> None:
    """equal sizes, where mixed-up weights raise no error."""
    _case(answer, _inputs(rng, 3, 5, 5))


def gru_uneven(answer: Answer, rng: torch.Generator) -> None:
    """B = 3, I = 5, H = 7, and one row alone."""
    _case(answer, _inputs(rng, 3, 5, 7))
    _case(answer, _inputs(rng, 1, 5, 3))


def gru_large(answer: Answer, rng: torch.Generator) -> None:
    """large sums open and close the gates, with no NaN."""
    x, *others = (v.float() for v in _inputs(rng, 3, 2, 5))
    inputs = (x * 1000, *others)
    got, want = answer(*inputs), gru_step(*inputs)
    if isinstance(got, Tensor) and bool(got.isnan().any()):
        raise Wrong("exp overflows for a large sum: use torch.sigmoid and torch.tanh")
    expect(got, want, "the new state")


def gru_gradients(answer: Answer, rng: torch.Generator) -> None:
    """the gradient reaches all six arguments."""
    inputs = _inputs(rng, 2, 3, 5)
    got = answer.gradients(*inputs, wrt=range(6))["inputs"]
    want = reference_answer(gru_step).gradients(*inputs, wrt=range(6))["inputs"]
    expect_gradients(got, want, ("x", "h", "W_ih", "W_hh", "b_ih", "b_hh"))
