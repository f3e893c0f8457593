"""What chapter 04's master teaches is what the package ships: the same code, and it runs."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch

from minidistill import metrics, rules, search
from tests.notebook_code import ROOT, definitions, load, shipped, without_docstrings

MASTER = ROOT / "solutions" / "04_writing.ipynb"
TAUGHT = {
    "keep_top_k": rules,
    "keep_top_p": rules,
    "block_repeats": rules,
    "beam_step": search,
    "distinct": metrics,
}


@pytest.mark.parametrize("name", TAUGHT)
def test_the_code_is_the_same(name: str) -> None:
    taught = definitions(MASTER)[name]
    assert without_docstrings(taught) == without_docstrings(shipped(TAUGHT[name], name))


@pytest.fixture(scope="module")
def taught() -> ModuleType:
    return load(MASTER, [*TAUGHT, "FirstOrder", "search"])


def test_the_code_was_really_taken_from_the_notebook(taught: ModuleType) -> None:
    assert taught.beam_step is not search.beam_step
    assert taught.beam_step.__code__.co_filename == str(MASTER)


@pytest.mark.parametrize("width", [1, 3, 25])
def test_the_notebooks_search_finds_what_the_packages_does(taught: ModuleType, width: int) -> None:
    generator = torch.Generator().manual_seed(width)
    for _ in range(7):
        table = torch.randn(5, 5, generator=generator).mul(2).softmax(-1)
        model = taught.FirstOrder(table)
        text, score = taught.search(model, 2, 3, width)
        beams = search.beam_search(model, torch.tensor([[2]]), 3, width)
        assert text == beams.tokens[0, 0].tolist()
        assert score == pytest.approx(float(beams.scores[0, 0]), abs=1e-4)
