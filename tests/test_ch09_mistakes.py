"""Chapter 09: every known mistake is called by its own name, two at once never pass."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch

from minidistill.course.answer import answer_to
from minidistill.course.check import run_cases
from minidistill.course.exercises import (
    ch09,
    ch09_logits_mistakes,
    ch09_mean_mistakes,
    ch09_mix_mistakes,
    ch09_soft_mistakes,
    ch09_sparse,
    ch09_sparse_mistakes,
)

EXERCISES = {exercise.id: exercise for exercise in ch09.EXERCISES}
MODULES: dict[str, Any] = {
    "09.1": ch09_soft_mistakes,
    "09.2": ch09_mix_mistakes,
    "09.3": ch09_logits_mistakes,
    "09.4": ch09_mean_mistakes,
    "09.5": ch09_sparse_mistakes,
}


def _first_message(exercise_id: str, answer: Callable[..., Any]) -> str | None:
    exercise = dataclasses.replace(EXERCISES[exercise_id], allowed=("minidistill",), bans=())
    for case in exercise.cases:
        alone = dataclasses.replace(exercise, cases=(case,))
        message = run_cases(alone, answer_to(alone, answer), seeds=(0,)).results[0].message
        if message is not None:
            return message
    return None


@pytest.mark.parametrize(
    ("exercise_id", "number"),
    [(name, i) for name, module in MODULES.items() for i in range(len(module.MISTAKES))],
)
def test_a_mistake_is_called_by_its_own_name(exercise_id: str, number: int) -> None:
    sentence, mistaken = MODULES[exercise_id].MISTAKES[number]
    assert _first_message(exercise_id, mistaken) == sentence


@pytest.mark.parametrize(
    ("exercise_id", "number"),
    [
        (name, i)
        for name, module in MODULES.items()
        for i in range(len(getattr(module, "RIGHT_IN_VALUE", ())))
    ],
)
def test_a_mistake_that_only_the_gradient_shows_is_named(exercise_id: str, number: int) -> None:
    sentence, mistaken = MODULES[exercise_id].RIGHT_IN_VALUE[number]
    assert _first_message(exercise_id, mistaken) == sentence


@pytest.mark.slow
@pytest.mark.parametrize("exercise_id", MODULES)
def test_two_mistakes_at_once_never_pass(exercise_id: str) -> None:
    for _, mistaken in MODULES[exercise_id].PAIRS[::19]:
        assert _first_message(exercise_id, mistaken) is not None


@pytest.mark.parametrize("exercise_id", MODULES)
def test_the_plain_models_equal_the_package(exercise_id: str) -> None:
    """What the mistakes are made from is right where nothing is exchanged."""
    plain = MODULES[exercise_id].build({})
    cases = {
        "09.1": ch09.soft.PROBES,
        "09.2": ch09.mix.PROBES,
        "09.3": ch09.logits.PROBES,
        "09.4": ch09.mean.PROBES,
        "09.5": ch09_sparse.PROBES,
    }
    for args in cases[exercise_id]:
        torch.testing.assert_close(plain(*args), EXERCISES[exercise_id].reference(*args))
