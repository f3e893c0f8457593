"""Taking functions and classes out of a notebook by its syntax tree."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from types import ModuleType

from minidistill.course.authoring import read

ROOT = Path(__file__).resolve().parent.parent


def definitions(notebook: Path) -> dict[str, ast.stmt]:
    """Every top-level function and class of a notebook by name; the last of a name counts."""
    found: dict[str, ast.stmt] = {}
    for cell in read(notebook)["cells"]:
        if cell["cell_type"] != "code":
            continue
        lines = [line for line in cell["source"].splitlines() if not line.startswith("%")]
        for node in ast.parse("\n".join(lines)).body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                found[node.name] = node
    return found


def imports(notebook: Path) -> list[ast.stmt]:
    """The top-level imports of a notebook, in order."""
    nodes: list[ast.stmt] = []
    for cell in read(notebook)["cells"]:
        if cell["cell_type"] == "code" and not cell["source"].startswith("%"):
            body = ast.parse(cell["source"]).body
            nodes += [n for n in body if isinstance(n, (ast.Import, ast.ImportFrom))]
    return nodes


def load(notebook: Path, names: list[str]) -> ModuleType:
    """A module that holds the notebook's imports and the named definitions, and nothing else."""
    found = definitions(notebook)
    tree = ast.Module([*imports(notebook), *(found[name] for name in names)], type_ignores=[])
    module = ModuleType(f"notebook_{notebook.stem}")
    exec(compile(ast.fix_missing_locations(tree), str(notebook), "exec"), module.__dict__)
    return module


def shipped(module: ModuleType, name: str) -> ast.stmt:
    """The package's function or class of that name, as a syntax tree."""
    return ast.parse(inspect.getsource(getattr(module, name))).body[0]


def without_docstrings(node: ast.stmt) -> str:
    """The syntax tree as text, docstrings left out: what the code does, not what it says."""
    for inner in ast.walk(node):
        if isinstance(inner, (ast.FunctionDef, ast.ClassDef)):
            body = inner.body
            first = body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                inner.body = body[1:] or [ast.Pass()]
    return ast.dump(node)
