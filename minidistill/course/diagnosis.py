"""Naming a mistake: a wrong answer of the same kind is run beside the student's.

A known mistake is a sentence and a function that makes it. Two different mistakes often give the
same value for one input, so agreement there is not enough: before the sentence is spoken, the
student's answer and the function must also agree on a few further inputs, the probes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from minidistill.course.exercise import Wrong, agrees, expect

Mistake = tuple[str, Callable[..., Any]]
Describe = Callable[[Any, Any], str | None]

_NOTHING = object()


def compare(
    answer: Any,
    reference: Callable[..., Any],
    args: Sequence[Any],
    what: str,
    *,
    mistakes: Iterable[Mistake] = (),
    probes: Iterable[Sequence[Any]] = (),
    describe: Describe | None = None,
    tolerance: float = 1e-5,
) -> Any:
    """Call an answer and compare what comes back with the reference, naming a known mistake.

    Args:
        answer: a handle to a function.
        reference: the right function.
        args: what both are called with.
        what: the name of the value, see `expect`.
        mistakes: (sentence, function that makes this mistake), the first that fits is named.
        probes: further arguments, of an ordinary kind, on which a mistake must fit as well.
        describe: finds words for (got, want) where no known mistake fits, or gives None.
        tolerance: allowed difference, relative to the size of the right values.

    Returns:
        What the answer returned.

    Raises:
        Wrong: the values differ.
    """
    got, want = answer(*args), reference(*args)

    def fitting() -> Iterator[tuple[str, Any]]:
        for sentence, function in mistakes:
            value = _attempt(function, args)
            if value is _NOTHING or not agrees(got, value, tolerance):
                continue
            if all(_fits(answer, function, probe, tolerance) for probe in probes):
                yield sentence, value
        sentence = describe(got, want) if describe is not None else None
        if sentence is not None:
            yield sentence, got

    expect(got, want, what, fitting(), tolerance=tolerance)
    return got


def _attempt(function: Callable[..., Any], args: Sequence[Any]) -> Any:
    """What a mistaken function returns, or _NOTHING where it fails on these arguments."""
    try:
        return function(*args)
    except Exception:
        return _NOTHING


def _fits(answer: Any, function: Callable[..., Any], args: Sequence[Any], tolerance: float) -> bool:
    value = _attempt(function, args)
    try:
        return value is _NOTHING or agrees(answer(*args), value, tolerance)
    except Wrong:  # the answer fails on this probe, which says nothing for or against
        return True


def expect_no_memory(answer: Any, one: Sequence, other: Sequence, want: Any, what: str) -> None:
    """Check that a call leaves nothing behind for the next.

    Args:
        answer: a handle to a function.
        one: arguments whose right result is `want`.
        other: arguments whose right result is another.
        want: see above.
        what: the name of the value.

    Raises:
        Wrong: the same call gives two results, or two calls give the same right one.
    """
    first, second, again = answer(*one), answer(*other), answer(*one)
    if not agrees(again, first):
        raise Wrong(
            f"{what}: the same call gives another result the second time, so something is kept "
            "between calls (a global variable, a default argument such as out=[]) or left to chance"
        )
    if agrees(first, want) and agrees(second, first):
        raise Wrong(
            f"{what}: two different inputs get the same result, which is remembered from an "
            "earlier call or written into the code, not computed from the arguments"
        )
