"""Chapter 03: the models of known mistakes are right where they should be, and tell apart."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch

from minidistill.course.answer import answer_to
from minidistill.course.check import run_cases
from minidistill.course.exercise import Exercise
from minidistill.course.exercises import by_id
from minidistill.course.exercises import ch03_backward_mistakes as backward
from minidistill.course.exercises import ch03_convolution as convolution
from minidistill.course.exercises import ch03_forward as forward
from minidistill.course.exercises import ch03_forward_mistakes as forward_mistakes
from minidistill.course.exercises import ch03_gru as gru
from minidistill.course.exercises import ch03_step as step
from minidistill.course.exercises.ch03_backward_walk import with_values
from minidistill.lstm import lstm_backward, lstm_forward

MISTAKES = {
    "03.1": step.MISTAKES,
    "03.2": forward_mistakes.MISTAKES,
    "03.3": backward.MISTAKES,
    "03.4": gru.MISTAKES,
    "03.5": convolution.MISTAKES,
}
ALL = [(name, n) for name, mistakes in MISTAKES.items() for n in range(len(mistakes))]


def _first_message(exercise: Exercise, answer: Callable[..., Any]) -> str | None:
    everything = dataclasses.replace(exercise, allowed=("minidistill",), bans=())
    for case in exercise.cases:
        alone = dataclasses.replace(everything, cases=(case,))
        message = run_cases(alone, answer_to(alone, answer), seeds=(0,)).results[0].message
        if message is not None:
            return message
    return None


@pytest.mark.slow  # all of them together
@pytest.mark.parametrize(("exercise_id", "number"), ALL)
def test_a_mistake_is_called_by_its_own_name(exercise_id: str, number: int) -> None:
    sentence, function = MISTAKES[exercise_id][number]
    assert _first_message(by_id()[exercise_id], function) == sentence


@pytest.mark.parametrize("masked", [False, True])
def test_the_plain_models_equal_the_package(masked: bool) -> None:
    rng = torch.Generator().manual_seed(3)
    inputs = forward.sequence(rng, 7, 3, 5)
    mask = forward.mask_with_holes(rng, 7, 3) if masked else None
    for got, want in zip(
        forward_mistakes.loop(*inputs, mask), lstm_forward(*inputs, mask), strict=True
    ):
        torch.testing.assert_close(got, want)
    dh, dc = torch.randn(7, 3, 5).double(), torch.randn(3, 5).double()
    given = (dh, dc, *lstm_forward(*inputs, mask), *inputs[1:], mask)
    for got, want in zip(with_values()(*given), lstm_backward(*given), strict=True):
        torch.testing.assert_close(got, want)


def test_gates_at_padding_may_be_anything_finite() -> None:
    def otherwise(*args: Any) -> Any:
        states, cells, gates = lstm_forward(*args)
        if len(args) == 5 and args[4] is not None:
            gates = torch.where(args[4][:, :, None], gates, 17.0)
        return states, cells, gates

    assert _first_message(by_id()["03.2"], otherwise) is None
