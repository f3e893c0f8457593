"""Nothing that a test does may touch the progress or the downloads of whoever runs it."""

import os
import tempfile
import warnings
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
import torch

_FOLDER = tempfile.mkdtemp(prefix="minidistill-tests-")
os.environ["MINIDISTILL_HOME"] = os.path.join(_FOLDER, "home")
os.environ["MINIDISTILL_CACHE"] = os.path.join(_FOLDER, "cache")
os.environ["MPLBACKEND"] = "agg"

# The models of the tests are tiny: on one thread they are fastest, above all on a busy machine.
torch.set_num_threads(1)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own for a test's progress, and a fresh kernel's memory."""
    from minidistill.course import store

    desk = import_module("minidistill.course.check")  # the package's `check` is the function
    monkeypatch.setenv("MINIDISTILL_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(store, "_in_memory", {})
    monkeypatch.setattr(store, "_warned", set())
    monkeypatch.setattr(desk, "_solved_here", {})
    return tmp_path / "home"


@pytest.fixture
def no_missing_glyphs() -> Iterator[None]:
    """matplotlib warns when it draws an empty box: here that is a failure."""
    import matplotlib.pyplot as plt

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
    assert plt.get_fignums() == [], "a figure was left open: a notebook would show it twice"


@pytest.fixture
def no_chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine without a Chinese font."""
    from minidistill import figures

    monkeypatch.setattr(figures, "chinese_font", lambda: None)
