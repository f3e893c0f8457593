"""Shortcuts that an exercise forbids, caught while the answer runs, whatever they are called.

Reading the source would miss `R = getattr(nn, "RN" + "N")` and flag a student's own function
that happens to be called `softmax`. So two things are watched while the answer runs: every
torch operation, through torch's own hook, and every Python function that starts, through the
interpreter's. This keeps honest students honest; against forgery stands the grader's sandbox.
"""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

from torch.overrides import TorchFunctionMode


class Banned(Exception):
    """The answer used something that the exercise forbids."""


class Guard:
    """A context in which forbidden calls raise `Banned`.

    Args:
        bans: names of torch operations ("softmax" catches torch.softmax, F.softmax and
            x.softmax alike) and, with a dot, of modules, classes and functions in Python
            ("torch.nn.modules.rnn", "torch.autograd.grad").
        allowed: parts of this package that the answer may use; all others it may not.
        why: what to say.
    """

    def __init__(
        self,
        bans: tuple[str, ...] = (),
        allowed: tuple[str, ...] = ("minidistill",),
        why: str = "",
    ) -> None:
        self.operations = frozenset(b for b in bans if "." not in b)
        self.modules = tuple(b for b in bans if "." in b)
        self.allowed, self.why = allowed, why
        self._mode = _Operations(self)
        self._before: Any = None

    def __enter__(self) -> Guard:
        """Start watching."""
        self._mode.__enter__()
        self._before = sys.getprofile()
        sys.setprofile(self._on_event)
        return self

    def __exit__(self, *error: Any) -> None:
        """Stop watching."""
        sys.setprofile(self._before)
        self._mode.__exit__(*error)

    def _on_event(self, frame: FrameType, event: str, argument: Any) -> None:
        """Called by the interpreter whenever a Python function starts."""
        if event != "call":
            return
        name = f"{frame.f_globals.get('__name__', '')}.{frame.f_code.co_qualname}"
        if name.startswith("minidistill."):
            if not _is_in(name, self.allowed + _MACHINERY):
                self.refuse(name)
        elif _is_in(name, self.modules):
            self.refuse(name)

    def refuse(self, name: str) -> None:
        """Raise the sentence for a forbidden call."""
        raise Banned(f"{name} may not be used here: {self.why}")


class _Operations(TorchFunctionMode):
    """Sees every torch operation before it runs."""

    def __init__(self, guard: Guard) -> None:
        super().__init__()
        self.guard = guard

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "").strip("_")
        if name in self.guard.operations:
            self.guard.refuse(f"torch's {name}")
        return func(*args, **(kwargs or {}))


_MACHINERY = ("minidistill.course.answer", "minidistill.course.bans")
"""What runs around the answer while it is watched."""


def _is_in(name: str, parts: tuple[str, ...]) -> bool:
    return any(name == part or name.startswith(part + ".") for part in parts)
