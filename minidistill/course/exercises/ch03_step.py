"""Chapter 03: cases for `lstm_step`."""

from __future__ import annotations

from itertools import chain
from typing import Any

import torch
from torch import Tensor

from minidistill.course.answer import Answer, reference_answer
from minidistill.course.diagnosis import compare
from minidistill.course.exercise import Wrong, expect
from minidistill.course.exercises.ch02_shared import expect_gradients, keeps_type, numbers
from minidistill.course.exercises.ch03_pairs import fitting
from minidistill.course.exercises.ch03_step_mistakes import MISTAKES, PAIRS, step_with
from minidistill.lstm import lstm_step

_WHAT = "(h, c)"


def inputs_of(rng: torch.Generator, B: int, size: int, H: int) -> tuple[Tensor, ...]:
    """x, h, c, W_ih, W_hh, b_ih and b_hh of an ordinary kind."""
    return (
        numbers(rng, B, size),
        numbers(rng, B, H, scale=0.7),
        numbers(rng, B, H),
        numbers(rng, 4 * H, size, scale=0.7),
        numbers(rng, 4 * H, H, scale=0.7),
        numbers(rng, 4 * H),
        numbers(rng, 4 * H),
    )


def cut_by_entries(answer: Answer) -> Any:
    """The answer, with words for the commonest crash: cutting the batch and not the sums."""

    def asked(*args: Any) -> Any:
        try:
            return answer(*args)
        except Wrong as wrong:
            if "values to unpack" not in str(wrong):
                raise
            text = "chunk and split cut dimension 0, the batch, unless told otherwise: dim=-1"
            raise Wrong(f"{text} ({wrong})") from None

    return asked


def _case(answer: Answer, inputs: tuple[Tensor, ...]) -> None:
    probe = inputs_of(torch.Generator().manual_seed(7), 3, 5, 5)
    asked = cut_by_entries(answer)
    known = chain(MISTAKES, fitting(PAIRS, asked, inputs))
    got = compare(asked, lstm_step, inputs, _WHAT, mistakes=known, probes=[probe])
    for name, value in zip(("h'", "c'"), got, strict=True):
        keeps_type(value, inputs[0], name)


def step_by_hand(answer: Answer, rng: torch.Generator) -> None:
    """two rows of one entry, worked by hand."""
    x, h, c = torch.tensor([[1.0], [-2.0]]), torch.tensor([[0.5], [0.0]]), torch.ones(2, 1)
    W_ih = torch.tensor([[0.6], [-0.2], [0.9], [0.3]])
    W_hh = torch.tensor([[0.4], [0.8], [-0.6], [1.0]])
    b_ih, b_hh = torch.tensor([0.1, 1.0, 0.0, -0.5]), torch.tensor([-0.3, 0.2, 0.4, 0.1])
    _case(answer, (x, h, c, W_ih, W_hh, b_ih, b_hh))


def step_square(answer: Answer, rng: torch.Generator) -> None:
    """equal sizes, where mixed-up weights raise no error."""
    _case(answer, inputs_of(rng, 3, 5, 5))


def step_uneven(answer: Answer, rng: torch.Generator) -> None:
    """B = 3, I = 5, H = 7, and one row alone."""
    _case(answer, inputs_of(rng, 3, 5, 7))
    _case(answer, inputs_of(rng, 1, 5, 3))


def step_large(answer: Answer, rng: torch.Generator) -> None:
    """large sums open and close the gates, with no NaN, and a large cell is shown as 1."""
    x, h, c, *weights = (v.float() for v in inputs_of(rng, 3, 2, 5))
    for inputs in ((x * 1000, h, c, *weights), (x, h, c * 1000, *weights)):
        got, want = answer(*inputs), lstm_step(*inputs)
        if isinstance(got, (list, tuple)) and any(
            isinstance(v, Tensor) and bool(v.isnan().any()) for v in got
        ):
            raise Wrong(
                "exp overflows for a large sum or a large cell, and infinity / infinity is NaN: "
                "use torch.sigmoid and torch.tanh"
            )
        expect(got, want, _WHAT)


_CUT_OFF = [
    (
        "no gradient comes through h': it is detached, or computed under torch.no_grad()",
        {"give": lambda h, c, args: (h.detach(), c)},
    ),
    (
        "no gradient comes through c': it is detached, or computed under torch.no_grad()",
        {"give": lambda h, c, args: (h, c.detach())},
    ),
    (
        "the new cell is detached on its way into h': o * torch.tanh(c')",
        {"show": lambda o, new, old: o * torch.tanh(new.detach())},
    ),
    *[
        (f"the gate {name} is detached", {name: lambda sums: torch.sigmoid(sums).detach()})
        for name in "ifo"
    ],
    ("the candidate g is detached", {"g": lambda sums: torch.tanh(sums).detach()}),
]


def step_gradients(answer: Answer, rng: torch.Generator) -> None:
    """the gradient reaches all seven arguments."""
    inputs = inputs_of(rng, 2, 3, 5)

    def gradients(one: Answer) -> list[Tensor]:
        return one.gradients(*inputs, wrt=range(7))["inputs"]

    got, want = gradients(answer), gradients(reference_answer(lstm_step))
    known = [(text, gradients(reference_answer(step_with(**part)))) for text, part in _CUT_OFF]
    names = ("x", "h", "c", "W_ih", "W_hh", "b_ih", "b_hh")
    expect_gradients(got, want, names, known)
