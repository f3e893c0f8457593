"""Shortcuts that an exercise forbids, caught while the answer runs, whatever they are called.

Reading the source would miss `R = getattr(nn, "RN" + "N")` and flag a student's own function
that happens to be called `softmax`. So two things are watched while the answer runs: every
torch operation, through torch's own hook, and every function that starts, in Python or in C,
through the interpreter's (`F.softmin` calls a softmax, three lines down). This keeps honest
students honest; against forgery, and TorchScript compiled beforehand, stands the grader.
"""

from __future__ import annotations

import re
import sys
import threading
from inspect import CO_OPTIMIZED
from types import FrameType
from typing import Any

from torch.overrides import TorchFunctionMode


class Banned(Exception):
    """The answer used something that the exercise forbids."""


class Guard:
    """A context in which forbidden calls raise `Banned`.

    A refusal that the answer swallows (`except Exception: pass`) is raised again at the end.

    Args:
        bans: names of torch operations ("softmax" catches torch.softmax, F.softmax, x.softmax
            and torch.ops.aten.softmax alike) and, with a dot, of modules, classes and functions
            in Python ("torch.nn.modules.rnn", "torch.autograd.grad").
        allowed: parts of this package that the answer may use; all others it may not.
        why: what to say.
    """

    def __init__(
        self,
        bans: tuple[str, ...] = (),
        allowed: tuple[str, ...] = ("minidistill",),
        why: str = "",
    ) -> None:
        self.operations = frozenset(bare(b) for b in bans if "." not in b)
        self.modules = tuple(b for b in bans if "." in b)
        self.allowed, self.why = allowed, why
        self.refusal: Banned | None = None
        self._mode = _Operations(self)
        self._before: tuple[Any, Any] = (None, None)

    def __enter__(self) -> Guard:
        """Start watching."""
        self.refusal = None
        self._mode.__enter__()
        self._before = sys.getprofile(), threading.getprofile()
        threading.setprofile(self._on_event)
        sys.setprofile(self._on_event)
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: Any) -> None:
        """Stop watching, whatever happened inside."""
        sys.setprofile(self._before[0])
        threading.setprofile(self._before[1])
        self._mode.__exit__(kind, *error)
        if self.refusal is not None and (kind is None or issubclass(kind, Exception)):
            raise self.refusal from None

    def _on_event(self, frame: FrameType, event: str, argument: Any) -> None:
        """Called by the interpreter whenever a function starts, in Python or in C."""
        if event == "c_call" and self.operations:
            name = getattr(argument, "__name__", "")
            if bare(name) in self.operations and _is_torch(argument):
                self.look_at(name)
        # The bodies of modules and classes are no functions: importing is not using.
        if event != "call" or not frame.f_code.co_flags & CO_OPTIMIZED:
            return
        name = f"{frame.f_globals.get('__name__', '')}.{frame.f_code.co_qualname}"
        if name.startswith("minidistill."):
            if not _part_of(name, self.allowed + _MACHINERY) and not _is_importing(frame):
                self.refuse(_readable(name))
        elif (part := _part_of(name, self.modules)) and not _is_importing(frame):
            self.refuse(part if "<locals>" in name else _readable(name))

    def refuse(self, name: str) -> None:
        """Raise the sentence for a forbidden call."""
        self.refusal = Banned(f"{name} may not be used here: {self.why}")
        raise self.refusal

    def look_at(self, operation: str) -> None:
        """Refuse a torch operation if it is forbidden."""
        if bare(operation) in self.operations:
            self.refuse(f"torch's {bare(operation)}")


class _Operations(TorchFunctionMode):
    """Sees every torch operation before it runs."""

    def __init__(self, guard: Guard) -> None:
        super().__init__()
        self.guard = guard

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.guard.look_at(getattr(func, "__name__", ""))
        return func(*args, **(kwargs or {}))


AUTOGRAD = (
    "torch.autograd.grad",
    "torch.autograd.backward",
    "torch._tensor.Tensor.backward",
    "torch.autograd.functional",
    "torch.autograd.forward_ad",
    "torch._functorch.eager_transforms",
    "torch._functorch.apis.grad",
    "torch._functorch.apis.grad_and_value",
    "run_backward",
)
"""What works gradients out by itself: for exercises in which they are worked out by hand."""

_MACHINERY = ("minidistill.course.answer", "minidistill.course.bans", "minidistill.__getattr__")
"""What runs around the answer while it is watched."""


def _is_importing(frame: FrameType | None) -> bool:
    """Whether a function only runs because its module is being loaded."""
    while frame is not None and frame.f_globals.get("__name__") not in _MACHINERY:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def bare(name: str) -> str:
    """One name for an operation's many spellings: `_log_softmax.out`, `special_log_softmax`."""
    name = name.split(".")[0].strip("_").removeprefix("special_")
    return re.sub(r"(2d|_nd)?(_forward)?$", "", name)


def _is_torch(function: Any) -> bool:
    owner = getattr(function, "__self__", None)
    owner = owner if isinstance(owner, type) else type(owner)
    homes = (getattr(function, "__module__", None), getattr(owner, "__module__", None))
    return any(str(home).split(".")[0] == "torch" for home in homes)


def _readable(name: str) -> str:
    return name.removesuffix(".__init__").removesuffix(".__new__")


def _part_of(name: str, parts: tuple[str, ...]) -> str | None:
    return next((p for p in parts if name == p or name.startswith(p + ".")), None)
