"""What the tests of teachers' passes share: a teacher, texts, small files; and a slow pass.

`python -m tests.pass_parts FOLDER` writes 40 files slowly, to be killed by `test_pass_writing.py`.
"""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from minidistill import pass_writing
from minidistill.device import seeded
from minidistill.language_model import LanguageModel
from minidistill.pass_writing import write_passes
from minidistill.recurrent import LSTM
from minidistill.teacher_passes import Passes

V, FILE = 13, 15
SMALL = {"ROWS": 3, "LENGTH": 5, "WARM_UP": 7}  # a file has 15 tokens, not 8,192
FORMS = ({"draws": 3}, {"top_k": 2, "temperature": 2.0})
SIZES = (1, 2, 5, 14, 15, 16, 17, 30, 45, 53)  # targets: under a stretch, whole files, ragged ends

every_form = pytest.mark.parametrize("form", FORMS, ids=["draws", "top_k"])


@contextmanager
def small_files() -> Iterator[None]:
    """Inside the block a pass has many files after few tokens."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SMALL.items():
            patch.setattr(pass_writing, name, value)
        yield


def teacher_of(seed: int = 0, vocab_size: int = V) -> LanguageModel:
    """A teacher with a will of its own, and dropout that must not show."""
    with seeded(seed):
        model = LanguageModel(vocab_size, 5, LSTM(5, 7), dropout=0.5)
        nn.init.normal_(model.readout.weight, std=2.0)
    return model


def text(targets: int, vocab_size: int = V) -> Tensor:
    """A random text with so many tokens to come."""
    generator = torch.Generator().manual_seed(targets)
    return torch.randint(vocab_size, (targets + 1,), generator=generator)


def ask(folder: Path, ids: object, teacher: nn.Module | None = None, **options: object) -> Passes:
    """Let the usual teacher, or another, read a text."""
    return write_passes(folder, teacher or teacher_of(), ids, progress=False, **options)


def contents(folder: Path) -> dict[str, tuple]:
    """Every file's bytes, but for the order of names in a head, which safetensors leaves open."""
    found = {}
    for file in folder.iterdir():
        content, size = file.read_bytes(), 0
        if file.suffix == ".safetensors":
            size = 8 + int.from_bytes(content[:8], "little")
        found[file.name] = (size, json.loads(content[8:size] or "0"), content[size:])
    return found


def slow_pass(folder: Path) -> None:
    """Forty files, and time to be killed in each."""
    teacher = teacher_of()
    teacher.register_forward_pre_hook(lambda *_: time.sleep(0.005))
    with small_files():
        ask(folder, text(600), teacher)


if __name__ == "__main__":
    slow_pass(Path(sys.argv[1]))
