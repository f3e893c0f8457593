"""Chapter 05: every known mistake is called by its own name, not by another's."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from minidistill.course.answer import answer_to
from minidistill.course.check import run_cases
from minidistill.course.exercises import (
    by_id,
    ch05_loss_more,
    ch05_mask_mistakes,
    ch05_match_more,
    ch05_shift_more,
    ch05_summary_more,
)

MISTAKES = {
    "05.1": ch05_mask_mistakes.MISTAKES,
    "05.2": ch05_shift_more.MISTAKES,
    "05.3": ch05_summary_more.MISTAKES,
    "05.4": ch05_loss_more.MISTAKES,
    "05.5": ch05_match_more.MISTAKES,
}


@pytest.mark.parametrize(
    ("exercise_id", "number"),
    [(name, i) for name, mistakes in MISTAKES.items() for i in range(len(mistakes))],
)
def test_a_mistake_is_called_by_its_own_name(exercise_id: str, number: int) -> None:
    sentence, mistaken = MISTAKES[exercise_id][number]
    assert _first_message(exercise_id, mistaken) == sentence


def _first_message(exercise_id: str, answer: Callable[..., Any]) -> str | None:
    exercise = dataclasses.replace(by_id()[exercise_id], allowed=("minidistill",), bans=())
    for case in exercise.cases:
        alone = dataclasses.replace(exercise, cases=(case,))
        message = run_cases(alone, answer_to(alone, answer)).results[0].message
        if message is not None:
            return message
    return None
