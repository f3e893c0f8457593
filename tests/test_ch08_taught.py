"""What chapter 08's master teaches is what the package ships: same code, values and gradients."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from minidistill import chunked_softmax, sampled_softmax, samplers, sparse_rows
from minidistill.course.exercises import ch08_adagrad, ch08_back, ch08_chance, ch08_logits
from minidistill.course.exercises import ch08_normaliser as normaliser
from tests.notebook_code import ROOT, definitions, load, shipped, without_docstrings

MASTER = ROOT / "solutions" / "08_sampled_softmax.ipynb"
TAUGHT = {
    "log_expected_count": samplers,
    "sampled_logits": sampled_softmax,
    "sampled_backward": sampled_softmax,
    "row_adagrad": sparse_rows,
    "log_normaliser": chunked_softmax,
}
OTHERWISE = {"row_adagrad", "log_normaliser"}
"""Shipped in a form that no GPU waits for, or with faster products: values are compared."""


@pytest.mark.parametrize("name", sorted(TAUGHT.keys() - OTHERWISE))
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
    "log_expected_count": (ch08_chance.PROBES, (0,)),
    "sampled_logits": (ch08_logits.PROBES, (0, 1)),
    "sampled_backward": (ch08_back.PROBES, ()),
    "row_adagrad": (ch08_adagrad.PROBES, ()),
    "log_normaliser": (normaliser.PROBES, (0, 1)),
}
"""Arguments, and by which of them the result is differentiated."""


def results(function: Any, args: tuple[Any, ...], wrt: tuple[int, ...]) -> list[Tensor]:
    """What a function returns, and its gradients."""
    mine = list(args)
    for i in wrt:
        mine[i] = args[i].clone().requires_grad_()
    value = function(*mine)
    values = value if isinstance(value, tuple) else (value,)
    finite = sum(v.exp().sum() for v in values) if wrt else None
    slopes = torch.autograd.grad(finite, [mine[i] for i in wrt]) if wrt else ()
    return [*(v.detach() for v in values), *slopes]


@pytest.mark.parametrize("name", CALLS)
def test_values_and_gradients_are_equal(taught: ModuleType, name: str) -> None:
    probes, wrt = CALLS[name]
    for args in probes:
        one = results(getattr(taught, name), args, wrt)
        other = results(getattr(TAUGHT[name], name), args, wrt)
        for a, b in zip(one, other, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)
