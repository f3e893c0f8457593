"""What chapter 10's master teaches is what the package ships: same code, values and gradients."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
import torch

from minidistill import open_vocabulary, piece_map, pointer, quantisation
from minidistill.course.exercises import ch10
from tests.notebook_code import ROOT, definitions, load, shipped, without_docstrings

MASTER = ROOT / "solutions" / "10_vocabulary_distillation.ipynb"
TAUGHT = {
    "next_piece": piece_map,
    "open_vocabulary_bits": open_vocabulary,
    "copy_mixture": pointer,
    "_check_shapes": pointer,
    "quantise_rows": quantisation,
}
SIMPLER = {"quantise_rows"}
"""The chapter's own needs no second dtype for the scales: its values are compared, not its code."""

pytestmark = pytest.mark.skipif(not MASTER.exists(), reason="chapter 10 has no master yet")


@pytest.mark.parametrize("name", sorted(TAUGHT.keys() - SIMPLER))
def test_the_code_is_the_same(name: str) -> None:
    taught = definitions(MASTER)[name]
    assert without_docstrings(taught) == without_docstrings(shipped(TAUGHT[name], name))


@pytest.fixture(scope="module")
def taught() -> ModuleType:
    return load(MASTER, list(TAUGHT))


def test_the_functions_were_really_taken_from_the_notebook(taught: ModuleType) -> None:
    for name, module in TAUGHT.items():
        assert getattr(taught, name) is not getattr(module, name)
        assert getattr(taught, name).__code__.co_filename == str(MASTER)


CALLS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "next_piece": (ch10.piece.PROBES, (0,)),
    "open_vocabulary_bits": (ch10.bits.PROBES, (0,)),
    "copy_mixture": (ch10.copying.PROBES, (0, 1, 2)),
    "quantise_rows": (ch10.rows.PROBES, ()),
}
"""Arguments, and by which of them the result is differentiated."""


@pytest.mark.parametrize("name", CALLS)
def test_values_and_gradients_are_equal(taught: ModuleType, name: str) -> None:
    probes, wrt = CALLS[name]
    for args in probes:
        results = []
        for module in (taught, TAUGHT[name]):
            mine = list(args)
            for i in wrt:
                mine[i] = args[i].clone().requires_grad_()
            value = getattr(module, name)(*mine)
            values = value if isinstance(value, tuple) else (value,)
            slopes = (
                torch.autograd.grad(value.square().sum(), [mine[i] for i in wrt]) if wrt else ()
            )
            results.append((*(v.detach() for v in values), *slopes))
        assert all(torch.equal(a, b) for a, b in zip(*results, strict=True)), name


def test_quantised_rows_are_the_packages_on_trained_and_on_odd_matrices(taught: ModuleType) -> None:
    rng = torch.Generator().manual_seed(3)
    weight = torch.randn(13, 7, generator=rng)
    weight[3], weight[5] = 0.0, weight[5] * 1e-20
    for one, other in zip(
        taught.quantise_rows(weight), quantisation.quantise_rows(weight), strict=True
    ):
        assert one.dtype == other.dtype
        assert torch.equal(one, other)
    with pytest.raises(ValueError):
        taught.quantise_rows(weight.log())
