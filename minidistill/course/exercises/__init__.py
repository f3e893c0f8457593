"""All exercises of the course, chapter by chapter."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from minidistill.course.exercise import Exercise

CHAPTERS = ("ch00", "ch01", "ch02", "ch03", "ch04", "ch05", "ch06", "ch07", "ch08", "ch09", "ch10")


@cache
def by_id() -> dict[str, Exercise]:
    """Every exercise by its number, in the order of the course."""
    found: dict[str, Exercise] = {}
    for chapter in CHAPTERS:
        for exercise in import_module(f"{__name__}.{chapter}").EXERCISES:
            if exercise.id in found:
                raise ValueError(f"two exercises have the number {exercise.id}")
            found[exercise.id] = exercise
    return found


@cache
def by_name() -> dict[str, Exercise]:
    """Every exercise by the name of what the student writes."""
    found: dict[str, Exercise] = {}
    for exercise in by_id().values():
        if exercise.name in found:
            raise ValueError(f"two exercises ask for {exercise.name}")
        found[exercise.name] = exercise
    return found
