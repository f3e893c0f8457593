"""`import minidistill` costs little and loads little."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from tests.notebook_code import ROOT

PROBE = """
import json, sys, time
import torch
before = set(sys.modules)
start = time.perf_counter()
import minidistill
from minidistill import RNN
took = time.perf_counter() - start
print(json.dumps({"seconds": took, "new": sorted(set(sys.modules) - before)}))
"""

TRAIN_AND_WRITE = """
from minidistill import RNN, LanguageModel, ContinuousBatches, Recipe, fit, load_novel
from minidistill import CharacterVocabulary, write
novel = load_novel()
vocabulary = CharacterVocabulary.build(novel.text)
model = LanguageModel(len(vocabulary), 8, RNN(8, 16))
batches = ContinuousBatches(vocabulary.encode(novel.text), 4, 16)
fit(model, batches, Recipe(steps=2), progress=False)
print(len(write(model, vocabulary, "The", 5)))
"""


def _run(code: str, *options: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, *options, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _needs_of(name: str, found: set[str]) -> set[str]:
    """The distributions that one needs, itself included, extras left out."""
    found.add(name)
    for line in metadata.requires(name) or []:
        need = re.match(r"[A-Za-z0-9_.-]+", line)[0].lower()
        if "extra ==" in line or need in found:
            continue
        with contextlib.suppress(metadata.PackageNotFoundError):
            _needs_of(need, found)
    return found


def _folder_with_torch_alone(folder: Path) -> Path:
    """Links to torch, what it needs, and this package: an environment with nothing else."""
    for name in _needs_of("torch", set()):
        for file in metadata.files(name) or []:
            top = file.parts[0]
            if not top.startswith("..") and not (folder / top).exists():
                place = Path(file.locate())
                (folder / top).symlink_to([place, *place.parents][len(file.parts) - 1])
    for name in ("minidistill", "data"):
        (folder / name).symlink_to(ROOT / name)
    return folder


def test_importing_loads_no_heavy_package() -> None:
    new = json.loads(_run(PROBE))["new"]
    heavy = {
        "pandas",
        "matplotlib",
        "IPython",
        "transformers",
        "seaborn",
        "ipywidgets",
        "tokenizers",
    }
    assert not heavy & {name.partition(".")[0] for name in new}


def test_importing_adds_little_time() -> None:
    # The least of three: a busy machine may stretch any one of them.
    assert min(json.loads(_run(PROBE))["seconds"] for _ in range(3)) < 0.3


def test_torch_alone_is_enough_to_train_and_write(tmp_path: Path) -> None:
    folder = _folder_with_torch_alone(tmp_path)
    code = f"import sys; sys.path.insert(0, {str(folder)!r})\n"
    probe = "import importlib.util as u; assert u.find_spec('numpy') is None\n"
    assert _run(code + probe + TRAIN_AND_WRITE, "-S", PYTHONPATH="").strip() == "8"


def test_every_public_name_is_there() -> None:
    import minidistill

    for name in minidistill.__all__:
        assert getattr(minidistill, name) is not None
    assert list(minidistill.__all__) == sorted(minidistill.__all__, key=_ruff_order)


def _ruff_order(name: str) -> tuple[int, str]:
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)
