"""The handle through which a case reaches an answer, and the desk where the answer lies.

    case  ->  Answer (handle)  ->  Desk (holds the student's object)

Only plain values cross between the two: tensors, numbers, strings, None, and lists, tuples and
dictionaries of them. In a notebook both are in one process (`answer_to`); a grader puts the
desk into a sandbox and sends the same requests as messages. So a case must not, and cannot,
touch the student's object itself.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from itertools import islice
from types import GeneratorType
from typing import Any

import torch
from torch import Tensor, nn

from minidistill.course.bans import Banned, Guard
from minidistill.course.exercise import Exercise, NotAttempted, Wrong
from minidistill.course.explain import explain_error

MOST_ITEMS = 100_000
"""A generator that yields more than this is taken to be endless."""


class Desk:
    """Holds the student's object and does to it what requests ask for."""

    def __init__(self, target: Any, guard: Guard | None = None) -> None:
        self.target, self.guard = target, guard or Guard()
        self.instances: list[Any] = []

    def do(self, operation: str, **values: Any) -> Any:
        """Carry out one request; see the methods named after the operations."""
        # What the student's code does to torch's chance stays on this desk.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return getattr(self, f"_{operation}")(**values)

    def _call(self, instance: int | None, method: str | None, args: tuple, kwargs: dict) -> dict:
        mine, mine_named = copy.deepcopy(args), copy.deepcopy(kwargs)
        with self.guard:
            value = plain(self._function(instance, method)(*mine, **mine_named))
        changed = [i for i, (a, b) in enumerate(zip(args, mine, strict=True)) if not _same(a, b)]
        changed += [k for k in kwargs if not _same(kwargs[k], mine_named[k])]
        return {"value": value, "changed": changed}

    def _create(self, args: tuple, kwargs: dict) -> int:
        with self.guard:
            self.instances.append(self.target(*copy.deepcopy(args), **copy.deepcopy(kwargs)))
        return len(self.instances) - 1

    def _parameters(self, instance: int) -> dict[str, Tensor]:
        return plain(dict(self._module(instance).named_parameters()))

    def _load(self, instance: int, tensors: dict[str, Tensor]) -> None:
        module = self._module(instance)
        dtype = next(iter(tensors.values())).dtype
        module.to(dtype).load_state_dict(copy.deepcopy(tensors))

    def _train(self, instance: int, mode: bool) -> None:
        self._module(instance).train(mode)

    def _gradients(
        self,
        instance: int | None,
        args: tuple,
        kwargs: dict,
        wrt: Sequence[int],
        method: str | None = None,
    ) -> dict:
        mine = list(copy.deepcopy(args))
        for index in wrt:
            mine[index] = mine[index].requires_grad_()
        with self.guard:
            outputs = self._function(instance, method)(*mine, **copy.deepcopy(kwargs))
        tensors = [o for o in _flatten(outputs) if o.is_floating_point()]
        total = sum((o * pattern(o)).sum() for o in tensors)
        named = {} if instance is None else dict(self._module(instance).named_parameters())
        sources = [mine[i] for i in wrt] + list(named.values())
        if not isinstance(total, Tensor) or not total.requires_grad:
            return {"flows": False, "inputs": [], "parameters": {}}
        found = torch.autograd.grad(total, sources, allow_unused=True)
        found = [
            torch.zeros_like(s) if g is None else g for s, g in zip(sources, found, strict=True)
        ]
        inputs, parameters = found[: len(wrt)], dict(zip(named, found[len(wrt) :], strict=True))
        return plain({"flows": True, "inputs": inputs, "parameters": parameters})

    def _function(self, instance: int | None, method: str | None) -> Callable[..., Any]:
        target = self.target if instance is None else self.instances[instance]
        return target if method is None else getattr(target, method)

    def _module(self, instance: int) -> nn.Module:
        module = self.instances[instance]
        if not isinstance(module, nn.Module):
            raise TypeError(f"{type(module).__name__} is not a torch.nn.Module: derive it from one")
        return module


class Answer:
    """What a case holds: call it, differentiate it, or (for a class) create from it.

    Args:
        ask: carries out a request, here or far away: ask("call", instance=..., ...).
    """

    def __init__(self, ask: Callable[..., Any], instance: int | None = None) -> None:
        self._ask, self._instance = ask, instance

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function (or the created object) and get plain values back.

        Raises:
            Wrong: the call changed its arguments in place.
        """
        return self._result(None, args, kwargs)

    def method(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of a created object."""
        return self._result(name, args, kwargs)

    def _result(self, method: str | None, args: tuple, kwargs: dict) -> Any:
        reply = self._ask("call", instance=self._instance, method=method, args=args, kwargs=kwargs)
        if reply["changed"]:
            which = reply["changed"][0]
            name = f"argument number {which + 1}" if isinstance(which, int) else f"{which!r}"
            raise Wrong(
                f"your code changes its {name} in place: the caller still needs it as it was, so "
                "work on a copy (x.clone(), list(x)) or make a new value"
            )
        return reply["value"]

    def create(self, *args: Any, **kwargs: Any) -> Answer:
        """Build an object of the student's class and get a handle to it."""
        return Answer(self._ask, self._ask("create", args=args, kwargs=kwargs))

    def parameters(self) -> dict[str, Tensor]:
        """The values of a created module's parameters, by name."""
        return self._ask("parameters", instance=self._instance)

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Give a created module these parameter values (and their type)."""
        self._ask("load", instance=self._instance, tensors=tensors)

    def train(self, mode: bool = True) -> None:
        """Switch a created module to training, or with False to evaluation (no dropout)."""
        self._ask("train", instance=self._instance, mode=mode)

    def gradients(
        self, *args: Any, wrt: Sequence[int] = (), method: str | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """Gradients of sum(output * pattern(output)): {"inputs": [...], "parameters": {...}}.

        Args:
            wrt: which positional arguments to differentiate by.
            method: the method of a created object to call; None calls the object itself.

        Raises:
            Wrong: nothing connects the output with what it was computed from.
        """
        asked = {"args": args, "kwargs": kwargs, "wrt": tuple(wrt), "method": method}
        reply = self._ask("gradients", instance=self._instance, **asked)
        if not reply["flows"]:
            raise Wrong(
                "no gradient reaches the inputs: .detach(), .data, .item(), .tolist(), numpy or "
                "torch.no_grad() cuts the graph; use torch operations from input to output"
            )
        return reply


def answer_to(exercise: Exercise, target: Any) -> Answer:
    """A handle to a student's object in this process, with the exercise's bans in force."""
    desk = Desk(target, Guard(exercise.bans, exercise.allowed, exercise.why_banned))

    def ask(operation: str, **values: Any) -> Any:
        try:
            return desk.do(operation, **values)
        except (KeyboardInterrupt, Wrong):
            raise
        except Banned as banned:
            raise Wrong(str(banned)) from None
        except NotImplementedError as error:
            if "exercise" in str(error):
                raise NotAttempted from None
            raise Wrong(explain_error(error)) from error
        except BaseException as error:  # exit() in an answer must not end the notebook
            mixed_up = isinstance(error, (RuntimeError, IndexError))
            shapes = _shapes(values.get("args", ())) if mixed_up else ""
            raise Wrong(explain_error(error) + shapes) from error

    return Answer(ask)


def _shapes(args: Sequence[Any]) -> str:
    """The shapes of a call's tensors: most crashes come from mixing two of them up."""
    shapes = [str(tuple(a.shape)) if isinstance(a, Tensor) else "-" for a in args]
    known = any(shape != "-" for shape in shapes)
    return f" (the arguments' shapes were {', '.join(shapes)})" if known else ""


def reference_answer(function: Callable[..., Any]) -> Answer:
    """A handle to a right answer, for comparing gradients like with like."""
    return Answer(Desk(function).do)


def pattern(output: Tensor) -> Tensor:
    """Fixed, uneven weights for an output, so that its sum does not hide a wrong gradient."""
    count = torch.arange(output.numel(), dtype=torch.float64)
    return torch.cos(1.7 * count + 0.3).view(output.shape).to(output)


def plain(value: Any) -> Any:
    """A value with nothing of the student's in it, or a TypeError naming what cannot cross."""
    if isinstance(value, Tensor):
        dense = value if value.layout == torch.strided else value.to_dense()
        return dense.detach().cpu().clone()
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, GeneratorType):
        items = list(islice(value, MOST_ITEMS + 1))
        if len(items) > MOST_ITEMS:
            raise TypeError("your function yields without end: it should stop")
        return plain(items)
    if isinstance(value, (list, tuple)):
        return (
            type(value)(map(plain, value))
            if type(value) in (list, tuple)
            else tuple(map(plain, value))
        )
    if isinstance(value, dict):
        return {plain(k): plain(v) for k, v in value.items()}
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        return plain(value.tolist())
    raise TypeError(
        f"your code returned a {type(value).__name__}; expected tensors, numbers, strings, or "
        "lists and dictionaries of them"
    )


def _flatten(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, (list, tuple)):
        return [t for part in value for t in _flatten(part)]
    if isinstance(value, dict):
        return [t for part in value.values() for t in _flatten(part)]
    return []


def _same(a: Any, b: Any) -> bool:
    """Whether a value is still what it was; NaN equals itself here."""
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return (
            a.shape == b.shape
            and a.dtype == b.dtype
            and bool(torch.equal(a.nan_to_num(), b.nan_to_num()))
        )
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return list(a) == list(b) and all(_same(a[k], b[k]) for k in a)
    return a == b
