"""What an exercise is: a card, hints, bans and cases; and how a case says what is wrong.

A case is a plain function `case(answer, rng)`. It makes inputs from `rng` (a seeded
torch.Generator), calls `answer` (a handle, see `answer.py`) and compares the *values* that come
back with a reference. It never sees the student's object, so the same case runs in a notebook,
where the answer lives in this process, and in a grader, where it lives in a sandbox.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Case = Callable[[Any, torch.Generator], None]
Mistakes = Mapping[str, Any] | Iterable[tuple[str, Any]]


class Wrong(Exception):
    """A case found a mistake; the message names it in words a student can act on."""


class NotAttempted(Exception):
    """The answer is still the stub it was handed out as."""


@dataclass(frozen=True)
class Exercise:
    """One exercise: everything about it but the student's answer.

    Args:
        id: chapter and number, "02.1".
        title: a few words.
        name: the one function or class that the student writes.
        points: for the gradebook.
        minutes: how long it should take.
        difficulty: 1 (read and type) to 5 (think hard).
        purpose: one sentence: what it is for, later in the course.
        reference: the right answer, used when the student has none yet.
        hints: opened one by one, from a nudge to nearly the code.
        cases: run in order; the first line of each docstring is shown as its name.
        bans: torch functions and modules that the answer may not use; see `bans.py`.
        why_banned: the sentence shown when it does.
        allowed: modules of this package that the answer may use.
    """

    id: str
    title: str
    name: str
    points: int
    minutes: int
    difficulty: int
    purpose: str
    reference: Callable[..., Any]
    hints: tuple[str, ...]
    cases: tuple[Case, ...]
    bans: tuple[str, ...] = ()
    why_banned: str = "the exercise is to build it from smaller parts"
    allowed: tuple[str, ...] = ()

    def card(self) -> str:
        """The line under the exercise's heading in the chapter."""
        level = "●" * self.difficulty + "○" * (5 - self.difficulty)
        points = f"{self.points} point" + ("s" if self.points != 1 else "")
        return f"*{level} · about {self.minutes} minutes · {points} · {self.purpose}*"


def case_name(case: Case) -> str:
    """What a case checks: the first line of its docstring."""
    return (case.__doc__ or case.__name__).strip().splitlines()[0].rstrip(".")


def expect(
    got: Any,
    want: Any,
    what: str,
    mistakes: Mistakes | None = None,
    *,
    tolerance: float = 1e-5,
) -> None:
    """Compare a value with the right one, and name the mistake where it is a known one.

    Args:
        got: what the answer returned: tensors, numbers, strings, and lists or dicts of them.
        want: the right value. A sequence may come as a list or a tuple, a number as a float,
            an int or a tensor with one entry: the course does not mark style.
        what: the name of the value, to begin the message with; "(tokens, mask)" names the
            entries of a pair.
        mistakes: sentence -> what an answer with that mistake would return, as a mapping or as
            pairs. The first that matches (and differs from the right value) becomes the message.
        tolerance: allowed difference, relative to the size of the right values.

    Raises:
        Wrong: the values differ.
    """
    problem = _difference(got, want, what, tolerance)
    if problem is None:
        return
    known = mistakes.items() if isinstance(mistakes, Mapping) else mistakes or ()
    for sentence, value in known:
        same_as_mistake = _difference(got, value, what, tolerance) is None
        if same_as_mistake and _difference(value, want, what, tolerance) is not None:
            raise Wrong(sentence)
    if got is None:
        problem = (
            f"{what} is None: end the function with `return` (list.append, list.sort and print "
            "return None too)"
        )
    raise Wrong(problem)


def agrees(got: Any, value: Any, tolerance: float = 1e-5) -> bool:
    """Whether two values are the same as far as the course marks them; see `expect`."""
    return _difference(got, value, "", tolerance) is None


def _difference(got: Any, want: Any, what: str, tolerance: float) -> str | None:
    """How two values differ, as a sentence, or None."""
    if isinstance(want, Tensor):
        return _tensor_difference(got, want, what, tolerance)
    if isinstance(want, (list, tuple)):
        return _sequence_difference(got, want, what, tolerance)
    if isinstance(want, dict):
        return _dict_difference(got, want, what, tolerance)
    if isinstance(got, Tensor) and got.numel() == 1:
        got = got.item()
    if isinstance(want, bool) or want is None or isinstance(want, str):
        same = got == want and isinstance(got, type(want))
        return None if same else f"{what} is {_short(got)}, expected {_short(want)}"
    if isinstance(want, (int, float)):
        if isinstance(got, bool) or not isinstance(got, (int, float)):
            return f"{what} is {_short(got)}, expected the number {want:.6g}"
        close = abs(got - want) <= tolerance * max(1.0, abs(want)) or got == want
        close = close or (got != got and want != want)  # both NaN
        return None if close else f"{what} is {got:.6g}, expected {want:.6g}"
    raise TypeError(f"a case cannot compare a {type(want).__name__}")


def _tensor_difference(got: Any, want: Tensor, what: str, tolerance: float) -> str | None:
    if isinstance(got, (list, tuple)) and any(isinstance(g, Tensor) and g.dim() for g in got):
        kind, shape = type(got).__name__, tuple(want.shape)
        return (
            f"{what} comes back as a {kind} of {len(got)}, expected one tensor of shape {shape} "
            "and nothing else (torch.stack makes one of a list)"
        )
    if isinstance(got, (list, tuple, int, float)) and not isinstance(got, bool):
        try:
            got = torch.tensor(got)
        except (ValueError, TypeError, RuntimeError):
            return f"{what} is {_short(got)}, expected a tensor of shape {tuple(want.shape)}"
    if not isinstance(got, Tensor):
        return f"{what} is {_short(got)}, expected a tensor of shape {tuple(want.shape)}"
    if got.shape != want.shape:
        hint = _shape_hint(got.shape, want.shape)
        return f"{what} has shape {tuple(got.shape)}, expected {tuple(want.shape)}{hint}"
    if want.is_floating_point() and not got.is_floating_point():
        return f"{what} holds {got.dtype}, expected floating point numbers"
    if want.dtype == torch.bool and got.dtype != torch.bool:
        return f"{what} holds {got.dtype}, expected True and False (torch.bool)"
    if not want.is_floating_point() and got.is_floating_point():
        return f"{what} holds {got.dtype}, expected whole numbers (torch.long)"
    a, b = got.detach().double(), want.detach().double()
    if a.isnan().any() and not b.isnan().any():
        share = a.isnan().double().mean()
        return f"{what} contains NaN ({share:.0%} of it): look for 0 / 0 or infinity times 0"
    if torch.equal(a, b):
        return None
    scale = b[b.isfinite()].abs().max().item() if b.isfinite().any() else 1.0
    apart = (a - b).abs()
    same = (a == b) | (a.isnan() & b.isnan())
    apart = torch.where(same, torch.zeros_like(apart), apart).nan_to_num(nan=torch.inf)  # inf - inf
    limit = max(1.0, scale)
    if apart.max().item() <= tolerance * limit:
        return None
    if got.dtype != want.dtype and apart.max().item() <= 1e-2 * limit:
        return (
            f"{what} is right only to {got.dtype}'s few digits, expected {want.dtype}: keep the "
            "type of the input (x.new_zeros(...), no .float())"
        )
    place = tuple(int(i) for i in torch.unravel_index(apart.argmax(), apart.shape))
    at = f" at {list(place)}" if place else ""
    digits = ".5g" if f"{a[place]:.5g}" != f"{b[place]:.5g}" else ".12g"
    return f"{what} is {a[place]:{digits}}{at}, expected {b[place]:{digits}}"


def _shape_hint(got: torch.Size, want: torch.Size) -> str:
    if sorted(got) == sorted(want):
        return ": the dimensions stand in another order"
    if [n for n in got if n != 1] == [n for n in want if n != 1]:
        return f": a dimension of size 1 too {'many' if len(got) > len(want) else 'few'}"
    return ""


def _sequence_difference(got: Any, want: Any, what: str, tolerance: float) -> str | None:
    if isinstance(got, Tensor) and got.dim() > 0:
        got = got.tolist() if not any(isinstance(w, Tensor) for w in want) else list(got)
    if not isinstance(got, (list, tuple)):
        return f"{what} is {_short(got)}, expected a list of {len(want)}"
    names = what[1:-1].split(", ") if what.startswith("(") and what.endswith(")") else []
    for index, (a, b) in enumerate(zip(got, want, strict=False)):
        name = names[index] if len(names) == len(want) else f"{what}[{index}]"
        problem = _difference(a, b, name, tolerance)
        if problem is not None:
            break
    else:
        if len(got) == len(want):
            return None
        problem = f"{what} has {len(got)} entries, expected {len(want)}"
    whole = _is_short(got) and _is_short(want)
    return f"{what} should be {want!r}, not {got!r}" if whole else problem


def _is_short(values: Any) -> bool:
    """Whether a list is best shown whole: words or whole numbers that fit on a line."""
    plain = all(v is None or isinstance(v, (str, int)) for v in values)
    return plain and len(repr(values)) <= 100


def _dict_difference(got: Any, want: dict, what: str, tolerance: float) -> str | None:
    if not isinstance(got, dict):
        return f"{what} is {_short(got)}, expected a dictionary"
    missing, extra = [k for k in want if k not in got], [k for k in got if k not in want]
    if missing or extra:
        parts = [f"lacks {_short(missing)}"] if missing else []
        parts += [f"has {_short(extra)} too many"] if extra else []
        return f"{what} {' and '.join(parts)}"
    for key in want:
        problem = _difference(got[key], want[key], f"{what}[{key!r}]", tolerance)
        if problem is not None:
            return problem
    return None


def _short(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    if isinstance(value, (list, tuple, dict)) and "tensor(" in repr(value):
        return f"a {type(value).__name__} of {len(value)}"
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
