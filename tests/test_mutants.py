"""Every known wrong answer is caught and named, every right one passes; see tests/mutants/."""

from __future__ import annotations

import dataclasses
import pkgutil
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest

from minidistill.course.answer import answer_to, reference_answer
from minidistill.course.check import examine, run_cases
from minidistill.course.exercise import Exercise
from minidistill.course.exercises import by_id, ch00
from minidistill.course.exercises import ch01_batches_mistakes as batches
from minidistill.course.exercises import ch01_encode as encoding
from minidistill.course.exercises import ch01_merge_mistakes as merging
from minidistill.course.exercises import ch01_padding as padding
from minidistill.course.exercises import ch01_vocabulary as words
from tests import mutants

for module in pkgutil.iter_modules(mutants.__path__):
    import_module(f"{mutants.__name__}.{module.name}")

WITH_MUTANTS = sorted({m.exercise_id for m in mutants.WRONG + mutants.RIGHT})

KNOWN_MISTAKES = {
    "00.1": ch00.MISTAKES + ch00.SPOILED_MISTAKES,
    "01.1": words.VOCABULARY_MISTAKES,
    "01.2": encoding.ENCODE_MISTAKES,
    "01.3": merging.MISTAKES,
    "01.4": batches.MISTAKES,
    "01.5": padding.MISTAKES,
}


def _name(mutant: mutants.Mutant) -> str:
    return f"{mutant.exercise_id}-{mutant.name}"


@pytest.mark.parametrize("mutant", mutants.WRONG, ids=_name)
def test_wrong_answer_is_caught_and_named(mutant: mutants.Mutant) -> None:
    report = examine(by_id()[mutant.exercise_id], mutant.answer)
    assert report.attempted
    assert not report.passed
    assert mutant.phrase in str(report), str(report)


@pytest.mark.parametrize("mutant", mutants.RIGHT, ids=_name)
def test_right_answer_passes(mutant: mutants.Mutant) -> None:
    report = examine(by_id()[mutant.exercise_id], mutant.answer)
    assert report.passed, str(report)


@pytest.mark.parametrize("exercise_id", WITH_MUTANTS)
def test_there_are_enough_mutants(exercise_id: str) -> None:
    wrong = Counter(m.exercise_id for m in mutants.WRONG)
    right = Counter(m.exercise_id for m in mutants.RIGHT)
    assert wrong[exercise_id] >= 5
    assert right[exercise_id] >= 2


@pytest.mark.parametrize("exercise_id", WITH_MUTANTS)
def test_no_phrase_is_empty_and_no_name_taken_twice(exercise_id: str) -> None:
    names = [m.name for m in mutants.WRONG + mutants.RIGHT if m.exercise_id == exercise_id]
    assert len(names) == len(set(names))
    assert all(m.phrase.strip() for m in mutants.WRONG)


@pytest.mark.parametrize("exercise_id", by_id())
def test_stub_is_not_attempted(exercise_id: str) -> None:
    def stub(*args: object, **kwargs: object) -> None:
        raise NotImplementedError(f"exercise {exercise_id}")

    report = examine(by_id()[exercise_id], stub)
    assert not report.attempted
    assert not report.passed
    assert "not attempted yet" in str(report)


@pytest.mark.parametrize("exercise_id", by_id())
def test_reference_passes(exercise_id: str) -> None:
    exercise = by_id()[exercise_id]
    report = run_cases(exercise, reference_answer(exercise.reference), seeds=(0, 20260))
    assert report.passed, str(report)


@pytest.mark.parametrize("exercise_id", KNOWN_MISTAKES)
def test_every_known_mistake_is_called_by_its_own_name(exercise_id: str) -> None:
    """No sentence hides behind another that happens to give the same value."""
    exercise = dataclasses.replace(by_id()[exercise_id], allowed=("minidistill",))
    for sentence, function in KNOWN_MISTAKES[exercise_id]:
        assert _first_message(exercise, function) == sentence


def _first_message(exercise: Exercise, function: Callable[..., Any]) -> str | None:
    for case in exercise.cases:
        alone = dataclasses.replace(exercise, cases=(case,))
        message = run_cases(alone, answer_to(exercise, function)).results[0].message
        if message is not None:
            return message
    return None
