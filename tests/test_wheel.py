"""A wheel carries its data: it works outside the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.notebook_code import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out)]
    done = subprocess.run([*command, str(ROOT)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(out.glob("*.whl"))


def test_the_wheel_holds_the_data_and_no_notebooks(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert "minidistill/data/catalogue.toml" in names
    assert "minidistill/data/novel/en/01.txt" in names
    assert "minidistill/data/novel/zh/28.txt" in names
    assert not [n for n in names if n.endswith(".ipynb") or n.startswith(("tests/", "data/"))]
    assert wheel.stat().st_size < 35_000_000


def test_the_demo_runs_from_the_wheel_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    work = tmp_path / "elsewhere"
    work.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(site)}
    command = [sys.executable, "-m", "minidistill", "demo", "--seconds", "3"]
    done = subprocess.run(
        command, cwd=work, env=environment, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    probe = "import minidistill; print(minidistill.__file__)"
    where = subprocess.run(
        [sys.executable, "-c", probe], cwd=work, env=environment, capture_output=True, text=True
    )
    assert str(site) in where.stdout, "the demo must have come from the wheel"
    assert "unigram" in done.stdout and "5-gram" in done.stdout
    assert list(work.rglob("model.safetensors")) and list(work.rglob("*.html"))
