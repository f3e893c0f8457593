"""What a clock decided is found in a notebook's cells, through names and functions."""

from __future__ import annotations

from pathlib import Path

import pytest

from minidistill.course.audit import audit
from minidistill.course.authoring import write
from minidistill.course.clock import clocked_cells
from tests.notebook_code import ROOT

TAKE = "start = time.perf_counter()\nwork()\ntook = time.perf_counter() - start"
FUNCTION = """
def seconds(work, tries=3):
    found = []
    for _ in range(tries):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return min(found)
"""
STORES = """
def train(size):
    batches, began = lay(size), time.perf_counter()
    model = fit(batches)
    costs[size] = time.perf_counter() - began
    return model
"""


@pytest.mark.parametrize(
    "cells",
    [
        [TAKE, "print(took)"],
        [TAKE, "faster = took < 3\nprint('faster:', faster)"],
        [TAKE, "took"],
        [TAKE, "round(took, 1)"],
        [TAKE, "if took < 3:\n    print('fast')"],
        [TAKE, "assert took < 3"],
        [TAKE, "rows = [(1, took)]\nfor size, spent in rows:\n    print(size, spent)"],
        [FUNCTION, "cost = {n: seconds(w) for n, w in all.items()}\nprint(cost['a'] > cost['b'])"],
        [FUNCTION, "print(seconds(work))"],
        ["costs = {}\n" + STORES, "model = train(3)", "print(costs[3])"],
        ["def report():\n    print(time.perf_counter() - start)", "report()"],
        ["print(time.time() - begun)", ""],
        ["%timeit work()", ""],
        ["%%time\nwork()", ""],
        ["import timeit\nt = timeit.timeit(work)\nprint(t < 1)"],
    ],
)
def test_what_a_clock_decided_is_found(cells: list[str]) -> None:
    assert clocked_cells(cells)


@pytest.mark.parametrize(
    "cells",
    [
        [TAKE, "print('done')"],
        [FUNCTION, "print(work())"],
        ["costs = {}\n" + STORES, "model = train(3)\nprint(model.size)"],
        [TAKE, "plt.bar(['a'], [took])\nplt.show()"],
        ["time = 3\nprint(time)"],
        ["def f(took):\n    return took + 1", "print(f(3))"],
        ["this is no Python", "print(1)"],
        ["import time", "print(1)"],
    ],
)
def test_what_no_clock_decided_is_left_alone(cells: list[str]) -> None:
    assert clocked_cells(cells) == []


def test_the_cell_itself_is_named() -> None:
    assert clocked_cells([TAKE, "x = 1", "print(took)", "print(x)"]) == [2]


def _notebook(path: Path, source: str) -> Path:
    cell = {
        "cell_type": "code",
        "id": "c",
        "metadata": {},
        "source": source,
        "execution_count": 1,
        "outputs": [{"output_type": "stream", "name": "stdout", "text": "True\n"}],
    }
    write(path, {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    return path


def test_the_audit_asks_for_such_a_cell_to_be_ignored(tmp_path: Path) -> None:
    source = f"{TAKE}\nprint(took < 3)"
    path = _notebook(tmp_path / "03_x.ipynb", source)
    assert any("clock" in problem for problem in audit(path).problems)
    ignored = _notebook(tmp_path / "04_x.ipynb", "# NBVAL_IGNORE_OUTPUT\n" + source)
    assert not any("clock" in problem for problem in audit(ignored).problems)


@pytest.mark.parametrize("path", sorted((ROOT / "solutions").glob("[0-9]*.ipynb")), ids=str)
def test_no_chapter_compares_what_a_clock_decided(path: Path) -> None:
    assert not any("clock" in problem for problem in audit(path).problems)
