"""Chapter 02: cases for `rnn_forward`."""

from __future__ import annotations

import torch
from torch import Tensor

from minidistill.course.answer import Answer, reference_answer
from minidistill.course.exercises.ch02_forward_mistakes import by_mask, loop, mistakes
from minidistill.course.exercises.ch02_shared import (
    compare,
    expect_gradients,
    keeps_type,
    mask_with_holes,
    ragged_mask,
    sequence,
    without_mask,
)
from minidistill.recurrent import rnn_forward


def _case(answer: Answer, a: Tensor, h0: Tensor, W: Tensor, mask: Tensor | None) -> None:
    rng = torch.Generator().manual_seed(7)
    probe = (*sequence(rng, 5, 3, 2), None if mask is None else mask_with_holes(rng, 5, 3))
    got = without_mask(answer, a, h0, W) if mask is None else answer(a, h0, W, mask)
    compare(answer, rnn_forward, (a, h0, W, mask), "the result", mistakes, probe, got)
    keeps_type(got, a, "the result")


def forward_by_hand(answer: Answer, rng: torch.Generator) -> None:
    """three steps of two rows with one entry, worked by hand."""
    a = torch.tensor([[[0.5], [-0.3]], [[-1.0], [0.4]], [[2.0], [0.6]]])
    _case(answer, a, torch.tensor([[0.2], [-0.5]]), torch.tensor([[0.7]]), None)


def forward_uneven(answer: Answer, rng: torch.Generator) -> None:
    """T = 7, B = 3, H = 5, no mask."""
    _case(answer, *sequence(rng, 7, 3, 5), None)


def forward_ragged(answer: Answer, rng: torch.Generator) -> None:
    """ragged rows: at padding the state stays what it was."""
    a, h0, W = sequence(rng, 7, 3, 5)
    _case(answer, a, h0, W, ragged_mask(rng, 7, 3))


def forward_holes(answer: Answer, rng: torch.Generator) -> None:
    """padding may stand anywhere, also before the text."""
    a, h0, W = sequence(rng, 7, 3, 5)
    _case(answer, a, h0, W, mask_with_holes(rng, 7, 3))


def forward_one_step(answer: Answer, rng: torch.Generator) -> None:
    """one step, and one row."""
    _case(answer, *sequence(rng, 1, 2, 3), None)
    _case(answer, *sequence(rng, 5, 1, 3), None)


def _cut_off(a: Tensor, h0: Tensor, W: Tensor, mask: Tensor) -> Tensor:
    return loop(a, h0, lambda x, h: torch.tanh(x + h.detach() @ W.T), by_mask(mask))


def forward_gradients(answer: Answer, rng: torch.Generator) -> None:
    """autograd can go back through all steps."""
    inputs = (*sequence(rng, 5, 3, 2), ragged_mask(rng, 5, 3))
    got = answer.gradients(*inputs, wrt=range(3))["inputs"]
    want = reference_answer(rnn_forward).gradients(*inputs, wrt=range(3))["inputs"]
    cut = reference_answer(_cut_off).gradients(*inputs, wrt=range(3))["inputs"]
    sentence = "the state is detached from step to step: the gradient must reach the first one"
    expect_gradients(got, want, ("a", "h0", "W_hh"), [(sentence, cut)])
