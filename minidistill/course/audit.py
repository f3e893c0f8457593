"""The audit: how much of a notebook nbval really compares, so that green means something.

nbval runs every cell, but compares nothing in a cell that was never executed when the notebook
was saved, skips pictures, and skips cells marked NBVAL_IGNORE_OUTPUT. The audit counts what is
left, and fails a notebook that was not executed in order or compares too little.

    python -m minidistill.course.audit [folder ...]
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from minidistill.course.authoring import read
from minidistill.course.clock import clocked_cells
from minidistill.course.table import Table

FLOOR = 0.6
"""The least share of the cells with output whose output must be compared."""

_IGNORED = re.compile(
    r"^\s*#\s*(NBVAL_IGNORE_OUTPUT|NBVAL_SKIP|PYTEST_VALIDATE_IGNORE_OUTPUT)", re.M
)
_IGNORED_TAGS = {"nbval-ignore-output", "nbval-skip"}
_FIGURE = re.compile(r"^<Figure size .*>$|^<matplotlib\..*>$|^\[<matplotlib\..*>\]$")


@dataclass(frozen=True)
class Audit:
    """What was counted in one notebook, and what is wrong with it."""

    name: str
    code: int
    executed: int
    with_output: int
    compared: int
    ignored: int
    problems: tuple[str, ...]

    @property
    def share(self) -> float:
        """Compared cells among the cells with output."""
        return self.compared / self.with_output if self.with_output else 0.0


def audit(path: Path) -> Audit:
    """Count one notebook's cells."""
    cells = [c for c in read(path)["cells"] if c["cell_type"] == "code" and c["source"].strip()]
    counts = [c["execution_count"] for c in cells]
    shown = [c for c in cells if c["outputs"]]
    ignored = [c for c in shown if _is_ignored(c)]
    compared = [c for c in shown if not _is_ignored(c) and any(map(_is_text, c["outputs"]))]
    result = Audit(
        path.name,
        len(cells),
        sum(c is not None for c in counts),
        len(shown),
        len(compared),
        len(ignored),
        tuple(_problems(cells, counts)),
    )
    if result.share < FLOOR:
        low = (
            f"only {result.share:.0%} of the output cells are compared, the floor is {FLOOR:.0%}",
        )
        return replace(result, problems=result.problems + low)
    return result


def _problems(cells: list[dict[str, Any]], counts: list[int | None]) -> list[str]:
    problems = []
    if counts != list(range(1, len(cells) + 1)):
        problems.append(f"not executed in order on a fresh kernel: counts are {counts}")
    for number, cell in enumerate(cells, start=1):
        for output in cell["outputs"]:
            if output["output_type"] == "error":
                problems.append(f"code cell {number} ends in an error")
            if output.get("name") == "stderr":
                problems.append(f"code cell {number} prints to stderr")
            if "application/vnd.jupyter.widget-view+json" in output.get("data", {}):
                problems.append(f"code cell {number} holds a widget")
        if re.search(r"(/home/|/root/|/Users/|/tmp/|[A-Z]:\\\\)", str(cell["outputs"])):
            problems.append(f"code cell {number} shows a path of one machine")
    for place in clocked_cells([cell["source"] for cell in cells]):
        if not _is_ignored(cells[place]):
            problems.append(
                f"code cell {place + 1} prints what a clock decided, which comes out otherwise "
                "on a busy machine: mark it # NBVAL_IGNORE_OUTPUT, or print a count"
            )
    return problems


def _is_ignored(cell: dict[str, Any]) -> bool:
    tags = set(cell["metadata"].get("tags", []))
    return bool(_IGNORED.search(cell["source"])) or bool(tags & _IGNORED_TAGS)


def _is_text(output: dict[str, Any]) -> bool:
    """Whether nbval compares more of this output than that there is a figure."""
    if output["output_type"] == "stream":
        return bool("".join(output["text"]).strip())
    text = "".join(output.get("data", {}).get("text/plain", ""))
    return bool(text.strip()) and not _FIGURE.match(text.strip())


def main(folders: Sequence[str] | None = None) -> int:
    """Audit all notebooks of the folders; print the table; 1 where something is wrong."""
    folders = list(folders if folders is not None else sys.argv[1:]) or ["solutions", "notebooks"]
    audits = [audit(p) for f in folders for p in sorted(Path(f).glob("[0-9][0-9]_*.ipynb"))]
    rows = [
        [str(v) for v in (a.name, a.code, a.executed, a.with_output, a.compared, a.ignored)]
        for a in audits
    ]
    head = ["notebook", "code", "executed", "with output", "compared", "ignored"]
    print(repr(Table(head, rows)))
    problems = [f"{a.name}: {p}" for a in audits for p in a.problems]
    print("\n".join(problems) if problems else "no problems")
    return 1 if problems or not audits else 0


if __name__ == "__main__":
    sys.exit(main())
