"""Chapter 04: every known mistake is called by its own name, not by another's."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from minidistill.course.answer import answer_to
from minidistill.course.check import run_cases
from minidistill.course.exercises import by_id, ch04_distinct, ch04_top_k, ch04_top_p
from minidistill.course.exercises import ch04_beam_mistakes as beam
from minidistill.course.exercises import ch04_repeats_mistakes as repeats

MISTAKES = {
    "04.1": ch04_top_k.MISTAKES,
    "04.2": ch04_top_p.MISTAKES,
    "04.3": repeats.MISTAKES,
    "04.4": beam.MISTAKES,
    "04.5": ch04_distinct.MISTAKES,
}


@pytest.mark.parametrize(
    ("exercise_id", "number"),
    [(name, i) for name, mistakes in MISTAKES.items() for i in range(len(mistakes))],
)
def test_a_mistake_is_called_by_its_own_name(exercise_id: str, number: int) -> None:
    sentence, mistaken = MISTAKES[exercise_id][number]
    assert _first_message(exercise_id, mistaken) == sentence


def _first_message(exercise_id: str, answer: Callable[..., Any]) -> str | None:
    exercise = dataclasses.replace(by_id()[exercise_id], allowed=("minidistill",))
    for case in exercise.cases:
        alone = dataclasses.replace(exercise, cases=(case,))
        message = run_cases(alone, answer_to(alone, answer)).results[0].message
        if message is not None:
            return message
    return None
