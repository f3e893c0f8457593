"""hint, status and reset; and progress on disk, which nothing may lose."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from minidistill.course import store
from minidistill.course.check import check, hint, reset, status, use
from minidistill.course.exercises import by_id
from minidistill.course.table import Table
from tests.right_step import RIGHT, answer

ROOT = Path(__file__).parent.parent
desk = import_module("minidistill.course.check")  # the package's `check` is the function


pytestmark = pytest.mark.usefixtures("home")  # see conftest.py


# hint


def test_hints_open_one_by_one(capsys: pytest.CaptureFixture[str]) -> None:
    hints = by_id()["02.1"].hints
    for number in (1, 2, 3, 3):
        hint("02.1")
        out = capsys.readouterr().out
        assert out.startswith(f"Hint {number} of {len(hints)} for 02.1")
        assert hints[number - 1] in out
    hint("02.1", 2)
    assert "Hint 2 of 3" in capsys.readouterr().out
    assert store.hints_opened("02.1") == 3


@pytest.mark.parametrize("number", [0, -1, 4, 1.5, "two", [], True, float("nan")])
def test_a_hint_that_there_is_not(number: Any, capsys: pytest.CaptureFixture[str]) -> None:
    hint("02.1", number)
    out = capsys.readouterr().out
    assert "hints 1 to 3" in out or number is True


@pytest.mark.parametrize("name", ["99.1", "", None, 2.1, [], "rnn_step"])
def test_a_hint_for_no_exercise(name: Any, capsys: pytest.CaptureFixture[str]) -> None:
    hint(name)
    assert "There is no exercise" in capsys.readouterr().out


# status and reset


def test_status_counts(capsys: pytest.CaptureFixture[str]) -> None:
    check(answer(lambda *inputs: inputs[1]))
    check(RIGHT)
    check(answer(lambda *inputs: inputs[1]))  # what was solved stays solved
    hint("02.2")
    rows = {row[0]: row for row in status("02").rows}
    assert rows["02.1"][2:] == ["[ok]", "3", "0 of 3", "1 of 1"]
    assert rows["02.2"][2:5] == ["[todo]", "0", "1 of 3"]
    assert set(rows) == {name for name in by_id() if name.startswith("02.")}
    assert status("02").footer == f"1 of {sum(by_id()[name].points for name in rows)} points"
    assert len(status().rows) == len(by_id())


@pytest.mark.parametrize("chapter", ["2", 2, "02"])
def test_status_of_a_chapter(chapter: Any) -> None:
    assert status(chapter).rows[0][0] == "02.1"


@pytest.mark.parametrize("chapter", ["99", object(), []])
def test_status_of_no_chapter(chapter: Any) -> None:
    table = status(chapter)
    assert "0 of 0 points" in repr(table)
    assert "<table>" in table._repr_html_()


def test_a_table_reads_as_text_and_as_html() -> None:
    table = Table(["", "name"], [["1", "<script>a & b"], ["22", "状态"]], "1 < 2")
    lines = repr(table).splitlines()
    assert lines[0] == "    name"
    assert lines[1] == "-" * 17
    assert lines[2:] == ["1   <script>a & b", "22  状态", "1 < 2"]
    html = table._repr_html_()
    assert "<td>&lt;script&gt;a &amp; b</td>" in html
    assert "<p>1 &lt; 2</p>" in html
    assert "<script>" not in html


def test_a_chinese_character_is_two_wide() -> None:
    lines = repr(Table(["a", "b"], [["状态", "x"], ["y", "z"]])).splitlines()
    assert lines[2] == "状态  x"
    assert lines[3] == "y     z"


def test_reset_forgets_one_or_all(capsys: pytest.CaptureFixture[str]) -> None:
    check(RIGHT)
    hint("02.2")
    reset("02.1")
    assert set(store.load()) == {"02.2"}
    reset()
    assert store.load() == {}
    assert "forgotten for 02.1" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["99.9", [], object()])
def test_reset_of_no_exercise(name: Any, capsys: pytest.CaptureFixture[str]) -> None:
    check(RIGHT)
    reset(name)
    assert "There is no exercise" in capsys.readouterr().out
    assert store.load()["02.1"]["state"] == "solved"


# progress on disk


def _python(code: str, home: Path) -> str:
    environment = os.environ | {"MINIDISTILL_HOME": str(home), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_progress_outlives_the_kernel(home: Path) -> None:
    check(RIGHT)
    hint("02.2")
    out = _python("from minidistill.course.check import status; print(status('02'))", home)
    lines = {line.split()[0]: line for line in out.splitlines() if line.startswith("02.")}
    assert "[ok]" in lines["02.1"]
    assert "1 of 3" in lines["02.2"]


DAMAGED = {
    "cut off": b'{"version": 1, "exercises": {"02.1": {"st',
    "empty": b"",
    "a list": b"[]",
    "a number": b"3",
    "no exercises": b'{"version": 1}',
    "exercises in a list": b'{"exercises": [1]}',
    "a number for an entry": b'{"exercises": {"02.1": 5}}',
    "words for a number": b'{"exercises": {"02.1": {"tries": "many"}}}',
    "nothing for a number": b'{"exercises": {"02.1": {"hints": null}}}',
    "a list for the state": b'{"exercises": {"02.1": {"state": []}}}',
    "not UTF-8": b"\xff\xfe{}",
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_file_is_kept_aside(
    kind: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home.mkdir()
    store.path().write_bytes(DAMAGED[kind])
    assert "[todo]" in repr(status("02"))
    check(RIGHT)
    hint("02.1")
    use(RIGHT)
    out = capsys.readouterr().out
    assert out.count("damaged; it is kept as") == 1
    assert (home / "progress.damaged.json").read_bytes() == DAMAGED[kind]
    assert store.load() == {"02.1": {"tries": 1, "state": "solved", "hints": 1}}


def test_a_second_damaged_file_does_not_overwrite_the_first(home: Path) -> None:
    home.mkdir()
    for text in ("first", "second"):
        store.path().write_text(text)
        store.load()
    kept = sorted(path.read_text() for path in home.glob("progress.damaged*.json"))
    assert kept == ["first", "second"]


def test_entries_of_a_later_version_are_kept(home: Path) -> None:
    home.mkdir()
    later = {"version": 1, "exercises": {"42.1": {"state": "solved", "tries": 2, "medal": "gold"}}}
    store.path().write_text(json.dumps(later))
    check(RIGHT)
    assert store.load()["42.1"] == later["exercises"]["42.1"]


def test_an_unwritable_home_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("MINIDISTILL_HOME", str(tmp_path / "file" / "home"))
    for _ in range(2):
        check(RIGHT)
        hint("02.2")
    assert "[ok]" in repr(status("02"))
    assert store.load()["02.1"]["tries"] == 2
    out = capsys.readouterr().out
    assert out.count("Progress is kept only until the kernel stops") == 1
    assert "cannot be read" not in out
    assert use(RIGHT) is RIGHT
    assert (tmp_path / "file").read_text() == "no folder"


def test_a_folder_in_the_files_place_is_one_sentence(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "progress.json").mkdir(parents=True)
    for _ in range(2):
        check(RIGHT)
    assert store.load()["02.1"]["tries"] == 2
    sentences = [line for line in capsys.readouterr().out.splitlines() if "rogress" in line]
    assert len(sentences) == 1


@pytest.mark.slow
def test_two_kernels_at_once_leave_a_file_that_can_be_read(home: Path) -> None:
    code = "from minidistill.course import store\nfor i in range(200): store.record('{}', i > 3)\n"
    environment = os.environ | {"MINIDISTILL_HOME": str(home), "PYTHONPATH": str(ROOT)}
    names = ("02.1", "02.2", "02.3")
    kernels = [
        subprocess.Popen([sys.executable, "-c", code.format(name)], env=environment)
        for name in names
    ]
    while any(kernel.poll() is None for kernel in kernels):
        if store.path().exists():
            json.loads(store.path().read_text(encoding="utf-8"))
    assert all(kernel.returncode == 0 for kernel in kernels)
    assert not list(home.glob("*damaged*"))
    progress = store.load()
    assert {name: progress[name]["state"] for name in names} == dict.fromkeys(names, "solved")
    assert [path.name for path in home.iterdir()] == ["progress.json"]
