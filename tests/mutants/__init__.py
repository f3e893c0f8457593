"""Wrong and right answers to the exercises, kept to test the checks themselves.

One module a chapter (ch00.py, ch01.py, ...). An answer stands under a decorator:

    @wrong("01.3", "overlap")      # not passed, and "overlap" occurs in what the check prints
    def overlapping(ids, pair, new_id): ...

    @right("01.3")                 # passed, though it is written in another style
    def recursive(ids, pair, new_id): ...

The name of the function or class says which mistake or which style it is; it appears in the
test's id.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")


class Mutant(NamedTuple):
    """One registered answer; `phrase` is empty where the answer is right."""

    exercise_id: str
    answer: Any
    phrase: str

    @property
    def name(self) -> str:
        """What mistake or style it is."""
        return self.answer.__name__


WRONG: list[Mutant] = []
RIGHT: list[Mutant] = []


def wrong(exercise_id: str, phrase: str) -> Callable[[T], T]:
    """Register a wrong answer and a phrase that the report on it must contain."""

    def register(answer: T) -> T:
        WRONG.append(Mutant(exercise_id, answer, phrase))
        return answer

    return register


def right(exercise_id: str) -> Callable[[T], T]:
    """Register a right answer."""

    def register(answer: T) -> T:
        RIGHT.append(Mutant(exercise_id, answer, ""))
        return answer

    return register
