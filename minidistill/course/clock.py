"""Which cells of a notebook print what a clock decided.

Such a line comes out otherwise on a busy machine: "this takes longer: True" was true where it was
written and false where a class runs it. The names that hold a time, or something worked out from
one, are followed through the cells; a cell that prints one of them must not be compared.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Sequence

CLOCKS = {
    f"{name}{unit}"
    for name in ("perf_counter", "process_time", "thread_time", "monotonic")
    for unit in ("", "_ns")
} | {"time_ns", "timeit", "elapsed_time", "getrusage", "cpu_percent"}
"""Calls that tell the time whatever they are called on; `time.time()` is known by both names."""

_MAGIC = re.compile(r"^\s*[%!?].*$", re.M)
_TIMING_MAGIC = re.compile(r"^\s*%%?time(it)?\b", re.M)


def clocked_cells(sources: Sequence[str]) -> list[int]:
    """Places (from 0) of the cells whose printed output, or an assert, depends on a clock.

    Names are followed, not values: a name that once held a time counts as a time from then on.
    What is stored in a file or behind an object's method is not seen.
    """
    held: set[str] = set()
    found = []
    for place, source in enumerate(sources):
        try:
            body = ast.parse(_MAGIC.sub("", source)).body
        except SyntaxError:
            continue
        _follow(body, held)
        shown = body[-1:] if body and isinstance(body[-1], ast.Expr) else []
        if (
            _TIMING_MAGIC.search(source)
            or any(_says(node, held) for node in body)
            or any(_tells(node, held) for node in shown)
        ):
            found.append(place)
    return found


def _follow(body: Iterable[ast.stmt], held: set[str]) -> None:
    """Add to `held` the names that some statements give a time to, until nothing is added."""
    before = -1
    while len(held) != before:
        before = len(held)
        for node in body:
            _follow_one(node, held)


def _follow_one(node: ast.AST, held: set[str]) -> None:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        _follow_function(node, held)
        return
    if isinstance(node, ast.Assign):
        for target in node.targets:
            _give(target, node.value, held)
    elif isinstance(node, (ast.AugAssign, ast.AnnAssign, ast.NamedExpr)) and node.value:
        _give(node.target, node.value, held)
    elif isinstance(node, (ast.For, ast.comprehension)):
        _give(node.target, node.iter, held)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        stored = node.func.attr in ("append", "extend", "add", "update", "insert", "setdefault")
        if stored and any(_tells(a, held) for a in node.args):
            held |= _roots(node.func.value)
    for child in ast.iter_child_nodes(node):
        _follow_one(child, held)


def _follow_function(function: ast.FunctionDef | ast.AsyncFunctionDef, held: set[str]) -> None:
    """A function tells the time if it returns one; what it writes into from outside holds one."""
    arguments = {a.arg for a in ast.walk(function.args) if isinstance(a, ast.arg)}
    own = arguments | {
        node.id
        for node in ast.walk(function)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    inside = held - own
    _follow(function.body, inside)
    held |= inside - own
    for node in ast.walk(function):
        if isinstance(node, (ast.Return, ast.Yield)) and node.value and _tells(node.value, inside):
            held.add(function.name)
        if _says(node, inside):  # it prints the time itself, so whoever calls it does
            held.add(function.name)


def _give(target: ast.expr, value: ast.expr, held: set[str]) -> None:
    """`target = value`, place by place where both are tuples of one length."""
    rows = (ast.Tuple, ast.List)
    if isinstance(target, rows) and isinstance(value, rows):
        if len(target.elts) != len(value.elts):
            held |= _roots(target) if _tells(value, held) else set()
            return
        for one, other in zip(target.elts, value.elts, strict=True):
            _give(one, other, held)
        return
    if _tells(value, held):
        held |= _roots(target)


def _roots(target: ast.expr) -> set[str]:
    """The names that an assignment to `target` changes: of a[i] and a.b it is a."""
    if isinstance(target, (ast.Tuple, ast.List)):
        return set().union(*map(_roots, target.elts))
    while isinstance(target, (ast.Subscript, ast.Attribute, ast.Starred)):
        target = target.value
    return {target.id} if isinstance(target, ast.Name) else set()


def _tells(node: ast.AST, held: set[str]) -> bool:
    """Whether an expression uses a clock or a name that holds a time."""
    for part in ast.walk(node):
        if isinstance(part, ast.Name) and (part.id in held or part.id in CLOCKS):
            return True
        if isinstance(part, ast.Attribute):
            on_time = isinstance(part.value, ast.Name) and part.value.id == "time"
            if part.attr in CLOCKS or (on_time and part.attr == "time"):
                return True
    return False


def _says(node: ast.AST, held: set[str]) -> bool:
    """Whether a statement prints, shows or asserts what a clock decided."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return False
    if isinstance(node, ast.Assert):
        return _tells(node.test, held)
    if isinstance(node, ast.Expr):
        called = node.value.func if isinstance(node.value, ast.Call) else None
        name = getattr(called, "id", None)
        if name in ("print", "display") or name in held:
            return _tells(node.value, held)
        return False
    if isinstance(node, (ast.If, ast.While)) and _tells(node.test, held):
        return any(_speaks(n) for n in ast.walk(node))
    return any(_says(child, held) for child in ast.iter_child_nodes(node))


def _speaks(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and getattr(node.func, "id", None) in ("print", "display")
