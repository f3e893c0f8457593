"""One master, two editions: what is made, and that nothing stale passes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from minidistill.course import authoring
from minidistill.course.authoring import StaleError, check, prepare, read, student_edition, write
from tests.notebook_code import ROOT

MASTERS = sorted((ROOT / "solutions").glob("[0-9][0-9]_*.ipynb"))


def _cell(kind: str, source: str, **metadata: object) -> dict:
    cell = {"cell_type": kind, "id": "x", "metadata": metadata, "source": source}
    return cell | ({"execution_count": 4, "outputs": [{"a": 1}]} if kind == "code" else {})


def _notebook(*cells: dict) -> dict:
    return {"cells": list(cells), "metadata": {"widgets": {}}, "nbformat": 4, "nbformat_minor": 5}


SOLVED = """def rnn_step(x):
    '''Say it.'''
    ### BEGIN SOLUTION
    y = x + 1

    return y
    ### END SOLUTION


check(rnn_step)"""


def test_a_solution_becomes_a_stub_that_parses() -> None:
    student = student_edition(_notebook(_cell("code", SOLVED)), "02_x.ipynb", "")
    source = student["cells"][0]["source"]
    assert "y = x + 1" not in source and "SOLUTION" not in source
    assert "    # Your code here: the course's own answer takes 2 lines.\n" in source
    assert '    raise NotImplementedError("exercise not attempted yet")\n' in source
    assert source.endswith("check(rnn_step)")
    compile(source, "cell", "exec")


def test_two_regions_of_one_class_become_two_stubs() -> None:
    body = SOLVED.replace("def rnn_step(x):", "def one(self):").replace("check(rnn_step)", "")
    indented = "\n".join("    " + line if line else "" for line in (body + body).splitlines())
    student = student_edition(_notebook(_cell("code", "class RNN:\n" + indented)), "02_x.ipynb", "")
    source = student["cells"][0]["source"]
    assert source.count("NotImplementedError") == 2
    compile(source, "cell", "exec")


def test_outputs_widgets_and_counts_are_left_out() -> None:
    student = student_edition(_notebook(_cell("code", "1 + 1")), "02_x.ipynb", "")
    assert student["cells"][0]["outputs"] == [] and student["cells"][0]["execution_count"] is None
    assert "widgets" not in student["metadata"]


def test_cards_are_filled_in_once_and_kept_fresh() -> None:
    master = _notebook(_cell("markdown", "### Exercise\n<!-- card 02.1 -->\n\nWrite it."))
    once = prepare(master, "")
    text = once["cells"][0]["source"]
    assert "●" in text and "point" in text and text.endswith("Write it.")
    assert prepare(once, "")["cells"][0]["source"] == text
    stale = _notebook(_cell("markdown", text.replace("minutes", "hours")))
    assert prepare(stale, "")["cells"][0]["source"] == text


def test_an_unknown_card_is_refused() -> None:
    with pytest.raises(StaleError, match=r"exercise 99\.1, which does not exist"):
        prepare(_notebook(_cell("markdown", "<!-- card 99.1 -->")), "")


def test_the_badge_and_first_cell_come_from_one_setting() -> None:
    master = _notebook(
        _cell("markdown", "", tags=["badge"]), _cell("code", "anything", tags=["setup"])
    )
    without = student_edition(master, "02_x.ipynb", "")
    assert len(without["cells"]) == 1, "no badge while there is no public home"
    with_home = student_edition(master, "02_x.ipynb", "owner/name")
    assert "owner/name/blob/main/notebooks/02_x.ipynb" in with_home["cells"][0]["source"]
    first = with_home["cells"][1]["source"]
    assert "--no-deps git+https://github.com/owner/name" in first
    assert "pip install torch" not in first and "--upgrade" not in first


def test_cells_for_the_master_alone_are_left_out() -> None:
    master = _notebook(_cell("markdown", "the answer", tags=["solution"]), _cell("code", "1"))
    assert len(student_edition(master, "02_x.ipynb", "")["cells"]) == 1


@pytest.mark.parametrize("path", MASTERS, ids=lambda p: p.stem)
def test_making_the_student_edition_is_deterministic_to_the_byte(
    path: Path, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        write(tmp_path / name, student_edition(read(path), path.name, ""))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("path", MASTERS, ids=lambda p: p.stem)
def test_no_solution_reaches_the_students(path: Path) -> None:
    text = (ROOT / "notebooks" / path.name).read_text(encoding="utf-8")
    assert "BEGIN SOLUTION" not in text
    assert text.count("exercise not attempted yet") >= 1


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in ("solutions", "notebooks", "pyproject.toml"):
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    return tmp_path


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_the_committed_notebooks_are_fresh(copy: Path) -> None:
    check(copy)


def test_an_edited_master_is_found(copy: Path) -> None:
    _edit(copy / "solutions" / "02_rnn_from_scratch.ipynb", "torch.tanh", "torch.sigmoid")
    with pytest.raises(StaleError, match="make notebooks"):
        check(copy)


def test_an_edit_by_hand_in_the_student_edition_is_found(copy: Path) -> None:
    _edit(copy / "notebooks" / "02_rnn_from_scratch.ipynb", "import math", "import math ")
    with pytest.raises(StaleError, match="edit the master in solutions"):
        check(copy)


def test_an_output_changed_by_hand_is_found(copy: Path) -> None:
    _edit(copy / "notebooks" / "02_rnn_from_scratch.ipynb", "minidistill is ready", "it is ready")
    with pytest.raises(StaleError):
        check(copy)


def test_a_forged_seal_is_found(copy: Path) -> None:
    path = copy / "notebooks" / "02_rnn_from_scratch.ipynb"
    notebook = read(path)
    notebook["cells"][3]["source"] += "\n# mine"
    notebook["metadata"]["minidistill"] = authoring.fingerprint(notebook)
    write(path, notebook)
    with pytest.raises(StaleError, match="is not what"):
        check(copy)


def test_a_missing_or_orphaned_student_edition_is_found(copy: Path) -> None:
    path = copy / "notebooks" / "02_rnn_from_scratch.ipynb"
    path.rename(path.with_name("99_orphan.ipynb"))
    with pytest.raises(StaleError, match="is missing"):
        check(copy)
    shutil.copy(path.with_name("99_orphan.ipynb"), path)
    with pytest.raises(StaleError, match="has no master"):
        check(copy)


def test_prose_alone_is_taken_over_without_executing(copy: Path) -> None:
    name = "02_rnn_from_scratch.ipynb"
    master, student = copy / "solutions" / name, copy / "notebooks" / name
    before = [read(path) for path in (master, student)]
    notebook = read(master)
    place = next(i for i, c in enumerate(notebook["cells"]) if c["source"].startswith("## "))
    notebook["cells"][place]["source"] += "\n\nOne more sentence."
    notebook["cells"].insert(
        place, {"cell_type": "markdown", "id": "new", "metadata": {}, "source": "A new cell."}
    )
    write(master, notebook)
    assert authoring.reword(copy, ["02"]) == [master, student]
    check(copy)
    for path, old in zip((master, student), before, strict=True):
        text = path.read_text(encoding="utf-8")
        assert "One more sentence." in text and "A new cell." in text
        outputs = [[c["outputs"] for c in n["cells"] if "outputs" in c] for n in (read(path), old)]
        assert outputs[0] == outputs[1]


@pytest.mark.parametrize("where", ["code", "output", "student"])
def test_changed_code_is_not_taken_for_prose(copy: Path, where: str) -> None:
    name = "02_rnn_from_scratch.ipynb"
    if where == "student":
        _edit(copy / "notebooks" / name, "import math", "import math ")
    elif where == "output":
        _edit(copy / "solutions" / name, "minidistill is ready", "it is ready")
    else:
        _edit(copy / "solutions" / name, "torch.tanh", "torch.sigmoid")
    before = (copy / "solutions" / name).read_bytes()
    with pytest.raises(StaleError, match="make notebooks"):
        authoring.reword(copy, ["02"])
    assert (copy / "solutions" / name).read_bytes() == before


def test_the_command_line_says_what_is_wrong(copy: Path, capsys: pytest.CaptureFixture) -> None:
    assert authoring.main(["check", "--root", str(copy)]) == 0
    (copy / "notebooks" / "01_text_as_data.ipynb").unlink()
    assert authoring.main(["check", "--root", str(copy)]) == 1
    assert "run `make notebooks`" in capsys.readouterr().err


def test_written_notebooks_are_valid(tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat")
    for path in MASTERS:
        nbformat.validate(json.loads(path.read_text(encoding="utf-8")))
        nbformat.validate(json.loads((ROOT / "notebooks" / path.name).read_text(encoding="utf-8")))
