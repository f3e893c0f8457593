"""Chapter 04: every known mistake is called by its own name, and two at once by no third one's."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from minidistill.course.answer import answer_to
from minidistill.course.check import run_cases
from minidistill.course.exercises import by_id
from minidistill.course.exercises import ch04_beam_mistakes as beam
from minidistill.course.exercises import ch04_distinct_mistakes as distinct
from minidistill.course.exercises import ch04_repeats_mistakes as repeats
from minidistill.course.exercises import ch04_top_k_mistakes as top_k
from minidistill.course.exercises import ch04_top_p_mistakes as top_p

TABLES = {"04.1": top_k, "04.2": top_p, "04.3": repeats, "04.4": beam, "04.5": distinct}

EVERY = 29
"""How many pairs apart those are that are tried: a prime, so that all mistakes have their turn."""


def _numbers(name: str, step: int = 1) -> list[tuple[str, int]]:
    return [(i, n) for i, t in TABLES.items() for n in range(0, len(getattr(t, name)), step)]


@pytest.mark.parametrize(("exercise_id", "number"), _numbers("MISTAKES"))
def test_a_mistake_is_called_by_its_own_name(exercise_id: str, number: int) -> None:
    sentence, mistaken = TABLES[exercise_id].MISTAKES[number]
    assert _first_message(exercise_id, mistaken) == sentence


@pytest.mark.slow  # all of them together
@pytest.mark.parametrize(("exercise_id", "number"), _numbers("PAIRS", EVERY))
def test_two_mistakes_are_called_by_both_names_or_one(exercise_id: str, number: int) -> None:
    sentence, mistaken = TABLES[exercise_id].PAIRS[number]
    one, other = sentence.removeprefix("two mistakes at once. (1) ").split(". (2) ", 1)
    message = _first_message(exercise_id, mistaken) or ""
    assert one in message or other in message or message.startswith(_ALIKE)


_ALIKE = ("nothing is removed", "the tail is ", "your code raised ZeroDivisionError")
"""What two mistakes may do together, as a third one does alone."""


def _first_message(exercise_id: str, answer: Callable[..., Any]) -> str | None:
    exercise = dataclasses.replace(by_id()[exercise_id], allowed=("minidistill",))
    for case in exercise.cases:
        alone = dataclasses.replace(exercise, cases=(case,))
        message = run_cases(alone, answer_to(alone, answer)).results[0].message
        if message is not None:
            return message
    return None
