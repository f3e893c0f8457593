"""The audit counts what nbval would compare, and fails what compares too little."""

from __future__ import annotations

from pathlib import Path

import pytest

from minidistill.course.audit import FLOOR, audit, main
from minidistill.course.authoring import write
from tests.notebook_code import ROOT

TEXT = {"output_type": "stream", "name": "stdout", "text": "yes\n"}
PICTURE = {
    "output_type": "display_data",
    "metadata": {},
    "data": {"image/png": "aGk=", "text/plain": "<Figure size 600x300 with 1 Axes>"},
}
ERROR = {"output_type": "error", "ename": "E", "evalue": "", "traceback": []}
COMPLAINT = {"output_type": "stream", "name": "stderr", "text": "warning\n"}


def _notebook(folder: Path, *cells: tuple[str, int | None, list[dict]]) -> Path:
    made = [
        {
            "cell_type": "code",
            "id": f"c{i}",
            "metadata": {},
            "source": source,
            "execution_count": count,
            "outputs": outputs,
        }
        for i, (source, count, outputs) in enumerate(cells)
    ]
    path = folder / "03_x.ipynb"
    write(path, {"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    return path


def test_counts(tmp_path: Path) -> None:
    path = _notebook(
        tmp_path,
        ("import torch", 1, []),
        ("print(1)", 2, [TEXT]),
        ("plot()", 3, [PICTURE]),
        ("plot(); print(1)", 4, [PICTURE, TEXT]),
        ("# NBVAL_IGNORE_OUTPUT\nprint(time())", 5, [TEXT]),
        ("print(2)", 6, [TEXT]),
    )
    result = audit(path)
    assert (result.code, result.executed, result.with_output) == (6, 6, 5)
    assert (result.compared, result.ignored) == (3, 1)
    assert result.share == pytest.approx(0.6) and not result.problems


def test_pictures_alone_compare_nothing(tmp_path: Path) -> None:
    path = _notebook(tmp_path, ("plot()", 1, [PICTURE]), ("print(1)", 2, [TEXT]))
    assert any(f"floor is {FLOOR:.0%}" in p for p in audit(path).problems)


@pytest.mark.parametrize("counts", [(1, None), (2, 3), (2, 1), (1, 3)])
def test_cells_never_run_or_run_out_of_order(tmp_path: Path, counts: tuple) -> None:
    path = _notebook(tmp_path, *(("print(1)", c, [TEXT]) for c in counts))
    assert any("not executed in order" in p for p in audit(path).problems)


@pytest.mark.parametrize(
    ("output", "words"), [(ERROR, "ends in an error"), (COMPLAINT, "prints to stderr")]
)
def test_errors_and_warnings(tmp_path: Path, output: dict, words: str) -> None:
    path = _notebook(tmp_path, ("f()", 1, [output]), ("print(1)", 2, [TEXT]))
    assert any(words in p for p in audit(path).problems)


def test_paths_of_one_machine(tmp_path: Path) -> None:
    shown = {**TEXT, "text": "saved in /home/ann/x\n"}
    assert any("path" in p for p in audit(_notebook(tmp_path, ("f()", 1, [shown]))).problems)


def test_no_notebooks_is_a_failure(tmp_path: Path) -> None:
    assert main([str(tmp_path)]) == 1


def test_the_course_passes() -> None:
    assert main([str(ROOT / "solutions"), str(ROOT / "notebooks")]) == 0
