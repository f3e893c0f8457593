"""Chapter 08: every known mistake is called by its own name, two at once never pass."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch

from minidistill.course.answer import answer_to
from minidistill.course.check import run_cases
from minidistill.course.exercises import (
    ch08,
    ch08_adagrad_mistakes,
    ch08_back_mistakes,
    ch08_chance_mistakes,
    ch08_logits_mistakes,
    ch08_more,
    ch08_normaliser_mistakes,
)

EXERCISES = {exercise.id: exercise for exercise in ch08.EXERCISES}
MODULES: dict[str, Any] = {
    "08.1": ch08_chance_mistakes,
    "08.2": ch08_logits_mistakes,
    "08.3": ch08_back_mistakes,
    "08.4": ch08_adagrad_mistakes,
    "08.5": ch08_normaliser_mistakes,
}
KNOWN: dict[str, tuple[Any, ...]] = {
    "08.1": ch08_chance_mistakes.MISTAKES,
    "08.2": (*ch08_logits_mistakes.MISTAKES, *ch08_more.LOGITS),
    "08.3": (*ch08_back_mistakes.MISTAKES, *ch08_more.BACK),
    "08.4": (*ch08_adagrad_mistakes.MISTAKES, *ch08_more.ADAGRAD),
    "08.5": (*ch08_normaliser_mistakes.MISTAKES, *ch08_more.NORMALISER),
}
PROBES: dict[str, Any] = {
    "08.1": ch08.chance.PROBES,
    "08.2": ch08.logits.PROBES,
    "08.3": ch08.back.PROBES,
    "08.4": ch08.adagrad.PROBES,
    "08.5": ch08.normaliser.PROBES,
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
    [(name, i) for name, known in KNOWN.items() for i in range(len(known))],
)
def test_a_mistake_is_called_by_its_own_name(exercise_id: str, number: int) -> None:
    sentence, mistaken = KNOWN[exercise_id][number]
    assert _first_message(exercise_id, mistaken) == sentence


@pytest.mark.slow
@pytest.mark.parametrize("exercise_id", MODULES)
def test_two_mistakes_at_once_never_pass(exercise_id: str) -> None:
    for _, mistaken in MODULES[exercise_id].PAIRS[::17]:
        assert _first_message(exercise_id, mistaken) is not None


@pytest.mark.parametrize("exercise_id", MODULES)
def test_the_plain_models_equal_the_package(exercise_id: str) -> None:
    """What the mistakes are made from is right where nothing is exchanged."""
    plain = MODULES[exercise_id].build({})
    for args in PROBES[exercise_id]:
        torch.testing.assert_close(plain(*args), EXERCISES[exercise_id].reference(*args))


@pytest.mark.parametrize("exercise_id", MODULES)
def test_no_mistake_equals_the_right_answer_on_all_probes(exercise_id: str) -> None:
    """A sentence is spoken only for what can be told from a right answer."""
    plain = MODULES[exercise_id].build({})
    wanted = [plain(*args) for args in PROBES[exercise_id]]
    for sentence, mistaken in KNOWN[exercise_id]:
        same = []
        for args, want in zip(PROBES[exercise_id], wanted, strict=True):
            try:
                torch.testing.assert_close(mistaken(*args), want, rtol=1e-9, atol=1e-9)
                same.append(True)
            except Exception:
                same.append(False)
        assert not all(same), sentence
