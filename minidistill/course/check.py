"""check, hint, status, use: what a student calls in a notebook.

None of them raises because of what a student wrote: a mistake becomes a printed sentence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import torch

from minidistill.course import store
from minidistill.course.answer import Answer, answer_to
from minidistill.course.exercise import Case, Exercise, NotAttempted, Wrong, case_name
from minidistill.course.exercises import by_id, by_name
from minidistill.course.explain import explain_error
from minidistill.course.table import Table

T = TypeVar("T")

SEEDS = (0, 1)
"""Every case runs with each; fixed, so that the same answer always gets the same words."""

_solved_here: dict[str, Any] = {}


@dataclass(frozen=True)
class Result:
    """One case: its name, and the message where it failed."""

    case: str
    message: str | None


@dataclass(frozen=True)
class Report:
    """What the cases said of an answer."""

    exercise: Exercise
    results: tuple[Result, ...]
    attempted: bool = True

    @property
    def passed(self) -> bool:
        """Whether every case was satisfied."""
        return self.attempted and all(r.message is None for r in self.results)

    def __str__(self) -> str:
        """The verdict as it is printed under the cell."""
        name = f"{self.exercise.id} {self.exercise.name}"
        if not self.attempted:
            return f"[todo] {name}: not attempted yet"
        good = sum(r.message is None for r in self.results)
        verdict = "ok" if self.passed else "no"
        lines = [f"[{verdict}] {name}: {good} of {len(self.results)} checks passed"]
        if self.passed:
            return lines[0]
        shown = False
        for result in self.results:
            if result.message is None:
                lines.append(f"     [ok] {result.case}")
            elif not shown:
                lines += [f"     [no] {result.case}", f"          {result.message}"]
                shown = True
            else:
                lines.append(f"     [no] {result.case}")
        lines.append(f'     Stuck? hint("{self.exercise.id}") opens a hint.')
        return "\n".join(lines)


def run_cases(exercise: Exercise, answer: Answer, seeds: tuple[int, ...] = SEEDS) -> Report:
    """Run an exercise's cases on an answer; the grader calls this too, with seeds of its own."""
    results = []
    for case in exercise.cases:
        try:
            results.append(_run_case(case, answer, seeds))
        except NotAttempted:
            return Report(exercise, (), attempted=False)
    return Report(exercise, tuple(results))


def _run_case(case: Case, answer: Answer, seeds: tuple[int, ...]) -> Result:
    for seed in seeds:
        try:
            case(answer, torch.Generator().manual_seed(seed))
        except Wrong as wrong:
            return Result(case_name(case), str(wrong))
        except Exception as error:
            if type(error) not in _STUMBLES:  # a grader's own trouble is no student's mistake
                raise
            text = "what your code returned is not of the kind that was asked for"
            return Result(case_name(case), f"{text} ({type(error).__name__}: {error})")
    return Result(case_name(case), None)


_STUMBLES = (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError)
"""What a case meets when it takes a strange value apart."""


def examine(exercise: Exercise, target: Any) -> Report:
    """Run the cases on an object in this process, printing and storing nothing."""
    family = (target, *getattr(target, "__mro__", ()))
    modules = [getattr(member, "__module__", None) or "" for member in family]
    borrowed = [m for m in modules if f"{m}.".startswith(("minidistill.", "torch.nn.modules.rnn."))]
    if borrowed:
        text = f"{exercise.name} comes from {borrowed[0]}: write your own, from its parts"
        return Report(exercise, (Result("your own work", text),))
    return run_cases(exercise, answer_to(exercise, target))


def check(target: Any) -> None:
    """Check an answer: prints [ok], [no] with the reason, or [todo]; never raises.

    The exercise is found by the name of the function or class. Progress is kept on disk.
    """
    exercise = by_name().get(_name(target))
    if exercise is None or not callable(target):
        names = ", ".join(by_name())
        print(
            f"No exercise asks for {_described(target)}: give check one of the functions or "
            f"classes {names}."
        )
        return
    try:
        report = examine(exercise, target)
    except KeyboardInterrupt:
        print(f"[no] {exercise.id} {exercise.name}: stopped by you; does a loop run for ever?")
        return
    except Exception as error:
        print(f"[no] {exercise.id} {exercise.name}: {explain_error(error)}")
        return
    _solved_here.pop(exercise.id, None)
    if report.passed:
        _solved_here[exercise.id] = target
    print(report)
    if report.attempted:
        store.record(exercise.id, report.passed)


def _name(target: Any) -> str:
    """The name of a function or class, "" where an object has none or will not say."""
    try:
        name = target.__name__
    except Exception:
        return ""
    return name if isinstance(name, str) else ""


def _described(target: Any) -> str:
    kind = type(target).__name__
    article = "an" if kind[0] in "aeiou" else "a"
    return _name(target) or (repr(target) if kind in ("str", "int") else f"{article} {kind}")


def use(target: T) -> T:
    """Your own answer where its last check passed, else the course's, so the chapter goes on."""
    exercise = by_name().get(_name(target))
    if exercise is None:
        print(f"No exercise asks for {_described(target)}.")
        return target
    if _solved_here.get(exercise.id) is target:
        print(f"From here on the chapter uses your {exercise.name}.")
        return target
    print(f"{exercise.id} is not solved yet: the chapter goes on with the course's own part.")
    reference: Any = exercise.reference
    return reference


def hint(exercise_id: str, number: int | None = None) -> None:
    """Print the next hint of an exercise, or hint `number` (from 1)."""
    exercise = by_id().get(str(exercise_id))
    if exercise is None:
        print(f"There is no exercise {exercise_id!r}. There are: {', '.join(by_id())}.")
        return
    total = len(exercise.hints)
    wanted = number if number is not None else min(store.hints_opened(exercise.id) + 1, total)
    if not isinstance(wanted, int) or not 1 <= wanted <= total:
        print(f"Exercise {exercise.id} has hints 1 to {total}.")
        return
    store.record_hint(exercise.id, wanted)
    print(
        f"Hint {wanted} of {total} for {exercise.id} {exercise.name}:\n{exercise.hints[wanted - 1]}"
    )


def status(chapter: str | None = None) -> Table:
    """A table of all exercises (or one chapter's): state, tries, hints opened, points."""
    progress = store.load()
    rows, earned, possible = [], 0, 0
    for exercise in by_id().values():
        if chapter is not None and exercise.id.split(".")[0] != str(chapter).zfill(2):
            continue
        entry = progress.get(exercise.id, {})
        solved = entry.get("state") == "solved"
        earned, possible = earned + solved * exercise.points, possible + exercise.points
        rows.append(
            [
                exercise.id,
                exercise.title,
                {"solved": "[ok]", "attempted": "[no]"}.get(entry.get("state", ""), "[todo]"),
                str(entry.get("tries", 0)),
                f"{entry.get('hints', 0)} of {len(exercise.hints)}",
                f"{exercise.points if solved else 0} of {exercise.points}",
            ]
        )
    footer = f"{earned} of {possible} points"
    return Table(["", "exercise", "state", "tries", "hints", "points"], rows, footer)


def reset(exercise_id: str | None = None) -> None:
    """Forget the progress of one exercise, or of all where none is named."""
    if exercise_id is not None and str(exercise_id) not in by_id():
        print(f"There is no exercise {exercise_id!r}. There are: {', '.join(by_id())}.")
        return
    if exercise_id is None:
        _solved_here.clear()
    else:
        _solved_here.pop(exercise_id, None)
    store.forget(exercise_id)
    print("Progress forgotten" + (f" for {exercise_id}." if exercise_id else "."))


__all__ = ["check", "examine", "hint", "reset", "run_cases", "status", "use"]
