"""Chapter 03: cases for `gru_step`."""

from __future__ import annotations

from itertools import chain

import torch
from torch import Tensor

from minidistill.course.answer import Answer, reference_answer
from minidistill.course.diagnosis import compare
from minidistill.course.exercise import Wrong, expect
from minidistill.course.exercises.ch02_shared import expect_gradients, keeps_type, numbers
from minidistill.course.exercises.ch03_gru_mistakes import MISTAKES, PAIRS, gru_with
from minidistill.course.exercises.ch03_pairs import fitting
from minidistill.course.exercises.ch03_step import cut_by_entries
from minidistill.gru import gru_step

_WHAT = "the new state"


def _inputs(rng: torch.Generator, B: int, size: int, H: int) -> tuple[Tensor, ...]:
    return (
        numbers(rng, B, size),
        numbers(rng, B, H),
        numbers(rng, 3 * H, size, scale=0.7),
        numbers(rng, 3 * H, H, scale=0.7),
        numbers(rng, 3 * H),
        numbers(rng, 3 * H),
    )


def _case(answer: Answer, inputs: tuple[Tensor, ...]) -> None:
    probe = _inputs(torch.Generator().manual_seed(7), 3, 5, 5)
    asked = cut_by_entries(answer)
    known = chain(MISTAKES, fitting(PAIRS, asked, inputs))
    got = compare(asked, gru_step, inputs, _WHAT, mistakes=known, probes=[probe])
    keeps_type(got, inputs[0], _WHAT)


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
    expect(got, want, _WHAT)


_CUT_OFF = [
    (
        "the old state is detached in the last line: (1 - z) * n + z * h",
        {"mix": lambda n, h, z, r: (1 - z) * n + z * h.detach()},
    ),
    ("the gate r is detached", {"r": lambda sums: torch.sigmoid(sums).detach()}),
    ("the gate z is detached", {"z": lambda sums: torch.sigmoid(sums).detach()}),
    ("the candidate is detached", {"n": lambda sums: torch.tanh(sums).detach()}),
    (
        "the state's part of the candidate is detached: tanh(x_n + r * h_n)",
        {"inner": lambda p: p.x_n + p.r * p.h_n.detach()},
    ),
]


def gru_gradients(answer: Answer, rng: torch.Generator) -> None:
    """the gradient reaches all six arguments."""
    inputs = _inputs(rng, 2, 3, 5)

    def gradients(one: Answer) -> list[Tensor]:
        return one.gradients(*inputs, wrt=range(6))["inputs"]

    got, want = gradients(answer), gradients(reference_answer(gru_step))
    known = [(text, gradients(reference_answer(gru_with(**part)))) for text, part in _CUT_OFF]
    expect_gradients(got, want, ("x", "h", "W_ih", "W_hh", "b_ih", "b_hh"), known)
