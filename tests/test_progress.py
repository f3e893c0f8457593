"""The progress bar where there is a log, a notebook, a terminal, or nobody to look."""

import sys
from types import SimpleNamespace

import pytest

from minidistill import progress
from minidistill.progress import Progress


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


@pytest.fixture
def no_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "IPython", raising=False)


def count_to(total: int, clock: Clock, seconds: float, **options: int) -> None:
    with Progress(total, **options) as bar:
        for done in range(options.get("done", 0) + 1, total + 1):
            clock.now += seconds
            bar.update(done, f"loss {done / 2}")


# ---- a log --------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_notebook")
def test_a_log_gets_a_line_every_ten_seconds(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    count_to(23, clock, seconds=4.0)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "3 of 23 steps, loss 1.5, 1:20 left",
        "6 of 23 steps, loss 3.0, 1:08 left",
        "9 of 23 steps, loss 4.5, 0:56 left",
        "12 of 23 steps, loss 6.0, 0:44 left",
        "15 of 23 steps, loss 7.5, 0:32 left",
        "18 of 23 steps, loss 9.0, 0:20 left",
        "21 of 23 steps, loss 10.5, 0:08 left",
    ]


@pytest.mark.usefixtures("no_notebook")
def test_a_short_run_leaves_the_log_empty(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    count_to(9, clock, seconds=1.0)
    assert capsys.readouterr() == ("", "")


@pytest.mark.usefixtures("no_notebook")
def test_a_resumed_run_is_timed_from_where_it_resumed(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    count_to(20, clock, seconds=6.0, done=15)
    assert capsys.readouterr().err.splitlines() == [
        "17 of 20 steps, loss 8.5, 0:18 left",
        "19 of 20 steps, loss 9.5, 0:06 left",
    ]


@pytest.mark.usefixtures("no_notebook")
def test_without_figures_and_with_another_unit(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with Progress(5, unit="chapter") as bar:
        clock.now += 11
        bar.update(1)
    assert capsys.readouterr().err == "1 of 5 chapters, 0:44 left\n"


def test_disabled_it_shows_nothing(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(5, enabled=False) as bar:
        for done in range(5):
            clock.now += 100
            bar.update(done + 1, "loss")
    assert capsys.readouterr() == ("", "")


# ---- a notebook ---------------------------------------------------------------------------


@pytest.fixture
def frames(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a notebook was shown: IPython's part is played by a fake."""
    shown: list[str] = []
    handle = SimpleNamespace(update=lambda line: shown.append(repr(line)))

    def display(line: object, display_id: bool) -> SimpleNamespace:
        assert display_id
        shown.append(repr(line))
        return handle

    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=display))
    return shown


def test_a_notebook_has_one_line_that_is_rewritten(
    clock: Clock, frames: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    count_to(7, clock, seconds=0.1)
    assert frames == [
        "7 steps",
        "3 of 7 steps, loss 1.5, 0:00 left",
        "6 of 7 steps, loss 3.0, 0:00 left",
        "7 steps",  # no figures and no times: what is stored is the same on every run
    ]
    assert capsys.readouterr() == ("", "")


def test_a_notebook_s_last_line_comes_after_an_error_too(clock: Clock, frames: list[str]) -> None:
    with pytest.raises(KeyboardInterrupt), Progress(7) as bar:
        clock.now += 1
        bar.update(1, "loss")
        raise KeyboardInterrupt
    assert frames[-1] == "7 steps"


def test_ipython_without_a_notebook_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for shell in (None, SimpleNamespace()):
        fake = SimpleNamespace(get_ipython=lambda shell=shell: shell)
        monkeypatch.setitem(sys.modules, "IPython", fake)
        assert Progress(5).where == "log"


# ---- a terminal ---------------------------------------------------------------------------


@pytest.mark.usefixtures("no_notebook")
def test_a_terminal_has_the_bar_of_tqdm(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tqdm = pytest.importorskip("tqdm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with Progress(7, done=2) as bar:
        assert isinstance(bar.handle, tqdm.tqdm) and bar.handle.n == 2
        for done in range(3, 8):
            bar.update(done, f"loss {done}")
        assert bar.handle.n == 7 and bar.handle.postfix == "loss 7"
    assert "2/7" in capsys.readouterr().err


@pytest.mark.usefixtures("no_notebook")
def test_a_terminal_without_tqdm_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert Progress(5).where == "log"
