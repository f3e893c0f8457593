"""What the README tells a reader to type works."""

from __future__ import annotations

import re

import pytest

from tests.notebook_code import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.slow
def test_the_python_in_the_readme_runs(
    tmp_path, monkeypatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    first, second = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    names: dict = {}
    exec(compile(first, "README.md", "exec"), names)
    assert "The river " in capsys.readouterr().out
    assert "Recipe(400" in second  # fewer here: whether it learns is tested elsewhere
    exec(compile(second.replace("Recipe(400", "Recipe(5"), "README.md", "exec"), names)
    assert (tmp_path / "student" / "model.safetensors").stat().st_size < 650_000


def test_every_make_target_that_is_named_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = {t for d in DOCUMENTS for t in re.findall(r"`?make ([a-z-]+)", d.read_text("utf-8"))}
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    commands = {"lab", "test", "demo", "notebooks", "test-quick"}
    assert commands <= named
    assert {t for t in named if t in commands or "-" in t} <= targets


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.name)
def test_links_inside_the_repository_lead_somewhere(document) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", document.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://")):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"


def test_conda_and_pip_install_the_same_set() -> None:
    text = (ROOT / "environment.yml").read_text(encoding="utf-8")
    assert "--constraint constraints.txt" in text and "--editable .[test]" in text


def test_the_exact_set_pins_everything_and_names_no_host() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert "torch==2.13.0" in pins
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9_.]+", pin) for pin in pins), pins
