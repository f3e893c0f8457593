"""check, hint, status, use and reset: they print, they never raise, and nothing gets lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from minidistill.course import store
from minidistill.course.check import check, hint, reset, status, use
from minidistill.course.exercises import by_id, by_name
from minidistill.course.table import Table

ROOT = Path(__file__).parent.parent
desk = import_module("minidistill.course.check")  # the package's `check` is the function


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own for every test, and a fresh kernel's memory."""
    monkeypatch.setenv("MINIDISTILL_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(store, "_in_memory", {})
    monkeypatch.setattr(store, "_warned", set())
    monkeypatch.setattr(desk, "_solved_here", {})
    return tmp_path / "home"


def rnn_step(x, h, W_ih, W_hh, b_ih, b_hh):
    return torch.tanh(x @ W_ih.T + b_ih + h @ W_hh.T + b_hh)


RIGHT = rnn_step


def answer(body: Callable[..., Any]) -> Callable[..., Any]:
    """A function by the name that exercise 02.1 asks for."""

    def rnn_step(*inputs):
        return body(*inputs)

    return rnn_step


# check


def test_a_right_answer(capsys: pytest.CaptureFixture[str]) -> None:
    check(RIGHT)
    total = len(by_id()["02.1"].cases)
    assert capsys.readouterr().out == f"[ok] 02.1 rnn_step: {total} of {total} checks passed\n"


def test_a_wrong_answer(capsys: pytest.CaptureFixture[str]) -> None:
    check(answer(lambda *inputs: inputs[1]))
    out = capsys.readouterr().out
    assert out.startswith("[no] 02.1 rnn_step: 0 of ")
    assert "the old state comes back unchanged" in out
    assert out.count("          ") == 1  # one reason at a time
    assert 'hint("02.1")' in out


def test_an_untouched_stub_counts_as_no_try(capsys: pytest.CaptureFixture[str]) -> None:
    def stub(*inputs):
        raise NotImplementedError("exercise not attempted yet")

    check(answer(stub))
    assert capsys.readouterr().out == "[todo] 02.1 rnn_step: not attempted yet\n"
    assert store.load() == {}


class Hostile:
    """Nothing can be learned about it without an error."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError("keep out")

    def __repr__(self) -> str:
        raise RuntimeError("keep out")


class OddName:
    def __init__(self, name: Any) -> None:
        self.__name__ = name


ODD = {
    "None": None,
    "a number": 3,
    "a string": "rnn_step",
    "a list": [],
    "a tensor": torch.ones(2),
    "a lambda": lambda x: x,
    "a class": dict,
    "a module": torch,
    "an instance": nn.Linear(2, 2),
    "exit itself": exit,
    "no name": object(),
    "a hostile object": Hostile(),
    "a name that is no string": OddName([]),
    "a name of markup": OddName("<b>rnn</b>"),
    "a right name on what cannot be called": OddName("rnn_step"),
}


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("call", [check, use], ids=["check", "use"])
def test_odd_things_are_answered_in_words(
    kind: str, call: Callable[[Any], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    call(ODD[kind])
    assert capsys.readouterr().out.strip()


def _raises(error: BaseException) -> Callable[..., Any]:
    def body(*inputs: Any) -> Any:
        raise error

    return body


def _for_ever(*inputs: Any) -> Any:
    return _for_ever(*inputs)


def _no_end(*inputs: Any) -> Any:
    while True:
        yield 0


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("keep out")


BAD: dict[str, tuple[Callable[..., Any], str]] = {
    "an error": (_raises(ValueError("so not")), "your code raised ValueError"),
    "an error without words": (_raises(AssertionError()), "your code raised AssertionError"),
    "an error that cannot be printed": (_raises(Unprintable()), "your code raised Unprintable"),
    "the end of an iterator": (_raises(StopIteration()), "your code raised StopIteration"),
    "exit()": (lambda *inputs: sys.exit(3), "Leave exit() and quit() out"),
    "recursion": (_for_ever, "your code raised RecursionError"),
    "an endless generator": (_no_end, "yields without end"),
    "nothing": (lambda *inputs: None, "end the function with `return`"),
    "an object": (lambda *inputs: object(), "your code returned a object"),
    "a function": (lambda *inputs: print, "your code returned a builtin_function_or_method"),
    "a class": (lambda *inputs: dict, "your code returned a type"),
    "a hostile object": (lambda *inputs: Hostile(), "your code raised RuntimeError"),
    "a string": (lambda *inputs: "h", "the new state is 'h'"),
    "a dictionary": (lambda *inputs: {"h": inputs[1]}, "the new state is a dict of 1"),
    "an empty tensor": (lambda *inputs: torch.empty(0), "has shape (0,)"),
    "truth values": (lambda *inputs: inputs[1] > 0, "expected floating point"),
    "complex numbers": (lambda *inputs: inputs[1] + 0j, "new state"),
    "a sparse tensor": (lambda *inputs: inputs[1].to_sparse(), "comes back unchanged"),
    "not a number": (lambda *inputs: inputs[1] * torch.nan, "contains NaN"),
    "a list in itself": (lambda *inputs: (lambda a: a.append(a) or a)([]), "RecursionError"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_answers_are_answered_in_words(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    body, words = BAD[kind]
    check(answer(body))
    out = capsys.readouterr().out
    assert out.startswith("[no] 02.1 rnn_step")
    assert words in out
    assert "Traceback" not in out


def test_a_class_that_fails_is_answered_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    class RNN(nn.Module):
        def __init__(self, *sizes: int, **options: Any) -> None:
            raise ZeroDivisionError("no")

    check(RNN)
    assert "your code raised ZeroDivisionError" in capsys.readouterr().out


def test_an_interrupt_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    check(answer(_raises(KeyboardInterrupt())))
    out = capsys.readouterr().out
    assert out == "[no] 02.1 rnn_step: stopped by you; does a loop run for ever?\n"
    assert sys.getprofile() is None


def test_the_same_answer_gets_the_same_words(capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(1)
    check(answer(lambda x, *rest: x * torch.rand(())))
    first = capsys.readouterr().out
    torch.manual_seed(2)
    check(answer(lambda x, *rest: x * torch.rand(())))
    assert capsys.readouterr().out == first


def test_a_check_leaves_chance_alone() -> None:
    torch.manual_seed(5)
    want = torch.rand(3)
    torch.manual_seed(5)
    check(answer(lambda *inputs: torch.manual_seed(0) and inputs[1]))
    assert torch.equal(torch.rand(3), want)


@pytest.mark.parametrize("module", ["minidistill_homework", "minidistillery.rnn"])
def test_a_students_own_module_is_not_the_package(module: str) -> None:
    mine = answer(RIGHT)
    mine.__module__ = module
    assert desk.examine(by_id()["02.1"], mine).passed


def test_the_packages_own_answer_is_not_the_students() -> None:
    report = desk.examine(by_id()["02.1"], by_id()["02.1"].reference)
    assert not report.passed
    assert "comes from minidistill.recurrent" in str(report)


# use


def test_use_gives_back_what_passed(capsys: pytest.CaptureFixture[str]) -> None:
    check(RIGHT)
    assert use(RIGHT) is RIGHT
    assert "your rnn_step" in capsys.readouterr().out


def test_use_gives_the_courses_part_for_what_was_not_checked() -> None:
    assert use(RIGHT) is by_id()["02.1"].reference


def test_use_gives_the_courses_part_for_a_new_version() -> None:
    check(RIGHT)
    assert use(answer(RIGHT)) is by_id()["02.1"].reference


def test_use_gives_the_courses_part_after_a_failure() -> None:
    mine = answer(lambda *inputs: RIGHT(*inputs) + spoiled)
    spoiled = 0
    check(mine)
    assert use(mine) is mine
    spoiled = 1
    check(mine)
    assert use(mine) is by_id()["02.1"].reference


def test_use_forgets_with_reset() -> None:
    check(RIGHT)
    reset("02.1")
    assert use(RIGHT) is by_id()["02.1"].reference


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


def test_every_exercise_has_a_name_of_its_own() -> None:
    assert len(by_name()) == len(by_id())
