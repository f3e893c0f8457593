"""Executing a notebook on a fresh kernel, and leaving in it only what should be kept."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

CELL_LIMIT = 60.0
"""Seconds a cell may take on two CPU cores; a class does not wait longer."""


def execute(notebook: dict[str, Any], folder: Path, home: Path) -> dict[str, Any]:
    """Run all cells in order on a fresh kernel and return the executed notebook.

    Args:
        folder: the working folder, as when the notebook is opened there.
        home: an empty folder for progress, so that nobody's own is touched.

    Raises:
        RuntimeError: a cell raised an error (nbclient's), or took longer than CELL_LIMIT.
    """
    import nbformat
    from nbclient import NotebookClient

    node = nbformat.from_dict(notebook)
    client = NotebookClient(
        node, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    environment = {**os.environ, "MINIDISTILL_HOME": str(home)}
    client.execute(env=environment)
    for index, cell in enumerate(node.cells):
        if cell.cell_type == "code":
            _refuse_slow(cell, index)
            cell.metadata.pop("execution", None)
            cell.outputs = _merged([_kept(output) for output in cell.outputs])
    return {**notebook, "cells": [_plain(cell) for cell in node.cells]}


def _refuse_slow(cell: Any, index: int) -> None:
    from datetime import datetime

    times = cell.metadata.get("execution", {})
    start, end = times.get("iopub.execute_input"), times.get("shell.execute_reply")
    if not (start and end):
        return
    took = (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
    limit = CELL_LIMIT * float(os.environ.get("MINIDISTILL_PATIENCE", "1"))
    if took > limit:
        first = cell.source.splitlines()[0]
        raise RuntimeError(f"cell {index} ({first!r}) took {took:.0f} s; the limit is {limit:.0f}")


def _kept(output: Any) -> Any:
    """An output without what differs from run to run, and without widget state."""
    output.get("metadata", {}).clear()
    data = output.get("data")
    if data:
        data.pop("application/vnd.jupyter.widget-view+json", None)
    output.pop("transient", None)
    return output


def _merged(outputs: list[Any]) -> list[Any]:
    """Printed pieces joined: how they arrive depends on the machine's speed."""
    merged: list[Any] = []
    for output in outputs:
        last = merged[-1] if merged else None
        if last and output.output_type == "stream" == last.output_type and last.name == output.name:
            last.text += output.text
        else:
            merged.append(output)
    return merged


def _plain(cell: Any) -> dict[str, Any]:
    """An nbformat cell as an ordinary dictionary."""
    import json

    return json.loads(json.dumps(cell))
