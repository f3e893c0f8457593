"""check and use: they print, they never raise, whatever a student writes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from minidistill.course import store
from minidistill.course.answer import answer_to, pattern
from minidistill.course.check import check, reset, use
from minidistill.course.exercise import Wrong
from minidistill.course.exercises import by_id, by_name
from tests.right_step import RIGHT, answer

ROOT = Path(__file__).parent.parent
desk = import_module("minidistill.course.check")  # the package's `check` is the function


pytestmark = pytest.mark.usefixtures("home")  # see conftest.py


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


def test_gradients_through_a_method() -> None:
    class Twofold(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.tensor([2.0, 3.0]))

        def twice(self, x: torch.Tensor) -> torch.Tensor:
            return 2 * self.w * x

        def cut(self, x: torch.Tensor) -> torch.Tensor:
            return self.twice(x).detach()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.w * x

    x = torch.tensor([5.0, 7.0])
    made = answer_to(by_id()["06.3"], Twofold).create()
    once = made.gradients(x, wrt=(0,))
    twice = made.gradients(x, wrt=(0,), method="twice")
    weighed = pattern(x)  # the desk's weights for the sum
    torch.testing.assert_close(once["inputs"][0], weighed * torch.tensor([2.0, 3.0]))
    torch.testing.assert_close(once["parameters"]["w"], weighed * x)
    torch.testing.assert_close(twice["inputs"][0], 2 * once["inputs"][0])
    torch.testing.assert_close(twice["parameters"]["w"], 2 * once["parameters"]["w"])
    with pytest.raises(Wrong, match="no gradient reaches"):
        made.gradients(x, wrt=(0,), method="cut")


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


def test_every_exercise_has_a_name_of_its_own() -> None:
    assert len(by_name()) == len(by_id())
