"""Chapter 03: the models of known mistakes are right where they should be, and tell apart."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch

from minidistill.course.answer import answer_to
from minidistill.course.check import run_cases
from minidistill.course.exercise import Exercise, agrees
from minidistill.course.exercises import by_id
from minidistill.course.exercises import ch03_backward_mistakes as backward
from minidistill.course.exercises import ch03_convolution_mistakes as convolution
from minidistill.course.exercises import ch03_forward as forward
from minidistill.course.exercises import ch03_forward_mistakes as forward_mistakes
from minidistill.course.exercises import ch03_gru_mistakes as gru
from minidistill.course.exercises import ch03_step as step
from minidistill.course.exercises import ch03_step_mistakes as step_mistakes
from minidistill.course.exercises.ch02_shared import numbers
from minidistill.course.exercises.ch03_backward_walk import walk_with
from minidistill.course.exercises.ch03_forward_loop import loop
from minidistill.lstm import lstm_backward, lstm_forward

TABLES = {
    "03.1": step_mistakes,
    "03.2": forward_mistakes,
    "03.3": backward,
    "03.4": gru,
    "03.5": convolution,
}
ALL = [(name, n) for name, table in TABLES.items() for n in range(len(table.MISTAKES))]
SOME_PAIRS = [(name, n) for name, table in TABLES.items() for n in range(5, len(table.PAIRS), 211)]


def _first_message(exercise: Exercise, answer: Callable[..., Any]) -> str | None:
    everything = dataclasses.replace(exercise, allowed=("minidistill",), bans=())
    for case in exercise.cases:
        alone = dataclasses.replace(everything, cases=(case,))
        message = run_cases(alone, answer_to(alone, answer), seeds=(0,)).results[0].message
        if message is not None:
            return message
    return None


def _ordinary(exercise_id: str) -> tuple[Any, ...]:
    """Arguments on which no two mistakes agree by chance."""
    rng = torch.Generator().manual_seed(11)
    inputs = forward.sequence(rng, 5, 3, 2)
    above = numbers(rng, 5, 3, 2), numbers(rng, 3, 2)
    return {
        "03.1": step.inputs_of(rng, 3, 5, 5),
        "03.2": (*inputs, None),
        "03.3": (*above, *lstm_forward(*inputs, None), *inputs[1:], None),
        "03.4": (*(numbers(rng, *s) for s in ((3, 5), (3, 5), (15, 5), (15, 5), (15,), (15,))),),
        "03.5": (numbers(rng, 3, 11, 5), numbers(rng, 5, 5, 3), numbers(rng, 5), 3),
    }[exercise_id]


@pytest.mark.slow  # all of them together
@pytest.mark.parametrize(("exercise_id", "number"), ALL)
def test_a_mistake_is_called_by_its_own_name(exercise_id: str, number: int) -> None:
    sentence, function = TABLES[exercise_id].MISTAKES[number]
    assert _first_message(by_id()[exercise_id], function) == sentence


@pytest.mark.slow
@pytest.mark.parametrize(("exercise_id", "number"), SOME_PAIRS)
def test_of_two_mistakes_none_is_misnamed(exercise_id: str, number: int) -> None:
    """Both are named, or one by which the values can be explained as well."""
    table = TABLES[exercise_id]
    sentence, function = table.PAIRS[number]
    message = _first_message(by_id()[exercise_id], function)
    if message == sentence:
        return
    args = _ordinary(exercise_id)
    if message is None:  # the second undoes the first, as where two orders are exchanged twice
        assert agrees(function(*args), by_id()[exercise_id].reference(*args))
        return
    named = [other for text, other in table.MISTAKES + table.PAIRS if text == message]
    assert any(agrees(function(*args), other(*args)) for other in named) or (
        not named or message in sentence
    )


@pytest.mark.parametrize("number", range(len(convolution.PAST)))
def test_a_mistake_with_the_past_is_called_by_its_own_name(number: int) -> None:
    exercise = by_id()["03.5"]
    sentence, function = convolution.PAST[number]

    def mistaken(*args: Any) -> Any:
        return function(*args) if len(args) == 5 else exercise.reference(*args)

    assert _first_message(exercise, mistaken) == sentence


@pytest.mark.parametrize("exercise_id", TABLES)
def test_the_models_without_a_mistake_are_right(exercise_id: str) -> None:
    models = {
        "03.1": step_mistakes.step_with(),
        "03.2": forward_mistakes.loop_with(),
        "03.3": walk_with(),
        "03.4": gru.gru_with(),
        "03.5": convolution.convolution_with(),
    }
    args = _ordinary(exercise_id)
    assert agrees(models[exercise_id](*args), by_id()[exercise_id].reference(*args), 1e-12)


@pytest.mark.parametrize("masked", [False, True])
def test_the_plain_models_equal_the_package(masked: bool) -> None:
    rng = torch.Generator().manual_seed(3)
    inputs = forward.sequence(rng, 7, 3, 5)
    mask = forward.mask_with_holes(rng, 7, 3) if masked else None
    for got, want in zip(loop(*inputs, mask), lstm_forward(*inputs, mask), strict=True):
        torch.testing.assert_close(got, want)
    dh, dc = numbers(rng, 7, 3, 5), numbers(rng, 3, 5)
    given = (dh, dc, *lstm_forward(*inputs, mask), *inputs[1:], mask)
    for got, want in zip(walk_with()(*given), lstm_backward(*given), strict=True):
        torch.testing.assert_close(got, want)


def test_gates_at_padding_may_be_anything_finite() -> None:
    def otherwise(*args: Any) -> Any:
        states, cells, gates = lstm_forward(*args)
        if len(args) == 5 and args[4] is not None:
            gates = torch.where(args[4][:, :, None], gates, 17.0)
        return states, cells, gates

    assert _first_message(by_id()["03.2"], otherwise) is None
