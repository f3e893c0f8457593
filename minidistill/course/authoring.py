"""One master, two editions: `solutions/NN_name.ipynb` is edited, `notebooks/` is made from it.

In a master's code cell, the lines between `### BEGIN SOLUTION` and `### END SOLUTION` are left
out of the student edition; a line that raises NotImplementedError stands in their place. A
markdown line `<!-- card 02.1 -->` is followed by that exercise's card, and the cells tagged
"setup" get the course's first cell, so neither can drift from its one source.

    python -m minidistill.course.authoring build [chapter ...]     make and execute both editions
    python -m minidistill.course.authoring reword [chapter ...]    take over edited prose alone
    python -m minidistill.course.authoring check                   fail if anything is stale
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from minidistill.checkpoints import write_text
from minidistill.course.execution import execute
from minidistill.course.exercises import by_id
from minidistill.course.setup_cell import badge, setup_code

Notebook = dict[str, Any]

_SOLUTION = re.compile(
    r"^(?P<indent>[ \t]*)### BEGIN SOLUTION\n(?P<body>.*?)^[ \t]*### END SOLUTION\n?",
    re.MULTILINE | re.DOTALL,
)
_CARD = re.compile(r"^<!-- card (?P<id>\d\d\.\d+) -->(?:\n\*[●○]{5} .*\*)?$", re.MULTILINE)
_CAME_OUT = ("outputs", "execution_count")


class StaleError(Exception):
    """A notebook does not belong to its master any more; the sentence says what to run."""


def read(path: Path) -> Notebook:
    """A notebook as a dictionary; sources as single strings."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        cell["source"] = "".join(cell["source"])
    return notebook


def write(path: Path, notebook: Notebook) -> None:
    """Write a notebook atomically, with sorted keys, so that the same content is the same bytes."""
    text = json.dumps(_with_split_sources(notebook), indent=1, ensure_ascii=False, sort_keys=True)
    write_text(path, text + "\n")


def _with_split_sources(notebook: Notebook) -> Notebook:
    cells = [{**c, "source": c["source"].splitlines(keepends=True)} for c in notebook["cells"]]
    return {**notebook, "cells": cells}


def prepare(master: Notebook, repository: str) -> Notebook:
    """The master with its cards, badge and first cell filled in, without outputs."""
    cells = []
    for index, cell in enumerate(master["cells"]):
        source, tags = cell["source"], cell["metadata"].get("tags", [])
        if cell["cell_type"] == "markdown":
            source = _CARD.sub(_fill_card, source)
        if "setup" in tags:
            source = setup_code(repository)
        cells.append(_bare(cell, f"cell-{index:03d}", source, tags))
    return _notebook(cells)


def student_edition(master: Notebook, name: str, repository: str) -> Notebook:
    """What students get, unexecuted: solutions replaced by stubs; a pure function of the master."""
    cells = []
    for cell in prepare(master, repository)["cells"]:
        if "solution" in cell["metadata"].get("tags", []):
            continue
        source = cell["source"]
        if cell["cell_type"] == "code":
            source = _SOLUTION.sub(_stub, source)
        elif "badge" in cell["metadata"].get("tags", []):
            source = badge(repository, f"notebooks/{name}")
        cells.append({**cell, "source": source})
    return _notebook([c for c in cells if c["source"]])


def _fill_card(match: re.Match[str]) -> str:
    exercise = by_id().get(match["id"])
    if exercise is None:
        raise StaleError(f"a card names exercise {match['id']}, which does not exist")
    return f"<!-- card {exercise.id} -->\n{exercise.card()}"


def _stub(match: re.Match[str]) -> str:
    lines = [line for line in match["body"].splitlines() if line.strip()]
    count = f"{len(lines)} line" + ("s" if len(lines) != 1 else "")
    indent = match["indent"]
    return (
        f"{indent}# Your code here: the course's own answer takes {count}.\n"
        f'{indent}raise NotImplementedError("exercise not attempted yet")\n'
    )


def _bare(cell: dict[str, Any], name: str, source: str, tags: list[str]) -> dict[str, Any]:
    """A cell with nothing in it but what an author wrote."""
    bare: dict[str, Any] = {
        "cell_type": cell["cell_type"],
        "id": name,
        "metadata": {"tags": tags} if tags else {},
        "source": source.rstrip("\n"),
    }
    if cell["cell_type"] == "code":
        bare |= {"execution_count": None, "outputs": []}
    return bare


def _notebook(cells: list[dict[str, Any]]) -> Notebook:
    return {
        "cells": cells,
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def fingerprint(notebook: Notebook) -> dict[str, str]:
    """Hashes of what was written and of what came out, kept in an executed notebook."""
    sources = [
        [c["cell_type"], c["source"], c["metadata"].get("tags", [])] for c in notebook["cells"]
    ]
    outputs = [c.get("outputs") for c in notebook["cells"]]
    code = [
        [c["source"], c["metadata"].get("tags", []), c["outputs"]]
        for c in notebook["cells"]
        if c["cell_type"] == "code"
    ]
    return {"sources": _hash(sources), "outputs": _hash(outputs), "code": _hash(code)}


def _hash(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def build(root: Path, chapters: Sequence[str] = ()) -> list[Path]:
    """Execute the masters in place and make the student editions, executed too."""
    repository, made = repository_of(root), []
    for path in masters(root, chapters):
        master, target = prepare(read(path), repository), root / "notebooks" / path.name
        target.parent.mkdir(exist_ok=True)
        _execute_to(path, master)
        _execute_to(target, student_edition(master, path.name, repository))
        made += [path, target]
    return made


def _execute_to(path: Path, notebook: Notebook) -> None:
    """Execute a notebook in its folder, with no progress but its own, and write it sealed."""
    with tempfile.TemporaryDirectory() as home:
        _write_sealed(path, execute(notebook, path.parent, Path(home)))


def _write_sealed(path: Path, done: Notebook) -> None:
    write(path, {**done, "metadata": {**done["metadata"], "minidistill": fingerprint(done)}})


def reword(root: Path, chapters: Sequence[str] = ()) -> list[Path]:
    """Take prose that was edited in the masters into both editions, executing nothing.

    Only where every code cell and its output are those of the last execution, which the seal
    says; else StaleError.
    """
    repository, made = repository_of(root), []
    for path in masters(root, chapters):
        target = root / "notebooks" / path.name
        if not target.exists():
            raise StaleError(f"{target} is missing; run `make notebooks`")
        master, student = read(path), read(target)
        wanted = prepare(master, repository), student_edition(master, path.name, repository)
        editions = list(zip((path, target), (master, student), wanted, strict=True))
        for name, executed, new in editions:
            seal = executed["metadata"].get("minidistill", {})
            same = _code(new) == _code(executed)
            if not same or seal.get("code") != fingerprint(executed)["code"]:
                raise StaleError(f"{name}: its code has changed too; run `make notebooks`")
        for name, executed, new in editions:
            _write_sealed(name, _with_outputs(new, executed))
        made += [path, target]
    return made


def _code(notebook: Notebook) -> list[str]:
    return [c["source"] for c in notebook["cells"] if c["cell_type"] == "code"]


def _with_outputs(notebook: Notebook, executed: Notebook) -> Notebook:
    """A notebook with what came out of the same code cells when they were executed."""
    done = iter(c for c in executed["cells"] if c["cell_type"] == "code")
    cells = [
        {**c, **{key: value for key, value in next(done).items() if key in _CAME_OUT}}
        if c["cell_type"] == "code"
        else c
        for c in notebook["cells"]
    ]
    return {**notebook, "cells": cells}


def check(root: Path) -> None:
    """Raise StaleError where an edition does not belong to its master, or was edited by hand."""
    repository, names = repository_of(root), set()
    for path in masters(root):
        names.add(path.name)
        master, target = read(path), root / "notebooks" / path.name
        _check_seal(path, master, "run `make notebooks` to execute it again")
        if prepare(master, repository)["cells"] != _unexecuted(master)["cells"]:
            raise StaleError(f"{path}: its cards or first cell are stale; run `make notebooks`")
        if not target.exists():
            raise StaleError(f"{target} is missing; run `make notebooks`")
        student = read(target)
        _check_seal(target, student, "edit the master in solutions/ and run `make notebooks`")
        wanted = student_edition(master, path.name, repository)
        if _unexecuted(student) != wanted:
            raise StaleError(f"{target} is not what {path} gives; run `make notebooks`")
    for extra in sorted((root / "notebooks").glob("*.ipynb")):
        if extra.name not in names:
            raise StaleError(f"{extra} has no master in solutions/; delete it or write one")


def _check_seal(path: Path, notebook: Notebook, advice: str) -> None:
    if notebook["metadata"].get("minidistill") != fingerprint(notebook):
        raise StaleError(f"{path} was changed since it was last executed; {advice}")


def _unexecuted(notebook: Notebook) -> Notebook:
    cells = [
        {**c, "execution_count": None, "outputs": []} if c["cell_type"] == "code" else c
        for c in notebook["cells"]
    ]
    metadata = {k: v for k, v in notebook["metadata"].items() if k != "minidistill"}
    return {**notebook, "cells": cells, "metadata": metadata}


def masters(root: Path, chapters: Sequence[str] = ()) -> list[Path]:
    """All masters in order, or those whose names begin as named ("02")."""
    found = sorted((root / "solutions").glob("[0-9][0-9]_*.ipynb"))
    chosen = [p for p in found if not chapters or p.name.startswith(tuple(chapters))]
    if not chosen:
        raise StaleError(f"no master notebook in {root / 'solutions'} begins with {chapters}")
    return chosen


def repository_of(root: Path) -> str:
    """The one setting: "owner/name" on GitHub, or "" while the course has no public home."""
    import tomllib

    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    return settings.get("tool", {}).get("minidistill", {}).get("repository", "")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; see the top of this file."""
    parser = argparse.ArgumentParser(prog="minidistill.course.authoring")
    parser.add_argument("command", choices=("build", "check", "reword"))
    parser.add_argument("chapters", nargs="*", help="numbers such as 02; all where none is given")
    parser.add_argument("--root", type=Path, default=Path.cwd())
    options = parser.parse_args(arguments)
    try:
        if options.command == "check":
            check(options.root)
            print("every notebook belongs to its master")
        else:
            make = build if options.command == "build" else reword
            for path in make(options.root, options.chapters):
                print(f"made {path.relative_to(options.root)}")
    except StaleError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
