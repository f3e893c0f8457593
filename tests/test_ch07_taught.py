"""What chapter 07's master teaches is what the package ships: same code, values and gradients."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from minidistill import embeddings, negative_sampling, windows
from minidistill.course.exercises import ch07_formula, ch07_loss, ch07_places, ch07_windows
from minidistill.word_vectors import WordVectors
from tests.notebook_code import ROOT, definitions, load, shipped, without_docstrings

MASTER = ROOT / "solutions" / "07_word_embeddings.ipynb"
NAMES = [
    "context_windows",
    "negative_sampling_loss",
    "mean_query_attention",
    "PositionAttention",
    "analogy",
]


@pytest.fixture(scope="module")
def taught() -> ModuleType:
    return load(MASTER, NAMES)


def test_the_windows_are_the_same_code() -> None:
    mine = without_docstrings(definitions(MASTER)["context_windows"])
    assert mine == without_docstrings(shipped(windows, "context_windows"))


def slopes(function: Any, *args: Tensor) -> list[Tensor]:
    """The value of a function and its gradients by the arguments with a fraction."""
    mine = [
        a.clone().requires_grad_() if isinstance(a, Tensor) and a.is_floating_point() else a
        for a in args
    ]
    value = function(*mine)
    first = value[0] if isinstance(value, tuple) else value
    leaves = [a for a in mine if isinstance(a, Tensor) and a.requires_grad]
    return [value[1] if isinstance(value, tuple) else first, first, *grads(first, leaves)]


def grads(value: Tensor, leaves: list[Tensor]) -> list[Tensor]:
    weights = torch.arange(1, value.numel() + 1, dtype=value.dtype).view(value.shape)
    found = torch.autograd.grad((value * weights).sum(), leaves, allow_unused=True)
    return [torch.zeros(()) if g is None else g for g in found]


def same(one: list[Tensor], other: list[Tensor]) -> None:
    for a, b in zip(one, other, strict=True):
        a, b = (x.to_dense() if x.is_sparse else x for x in (a, b))
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("args", ch07_windows.PROBES)
def test_windows(taught: ModuleType, args: tuple) -> None:
    for a, b in zip(taught.context_windows(*args), windows.context_windows(*args), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("args", ch07_loss.PROBES)
def test_the_loss(taught: ModuleType, args: tuple) -> None:
    same(
        slopes(taught.negative_sampling_loss, *args),
        slopes(negative_sampling.negative_sampling_loss, *args),
    )


@pytest.mark.parametrize("args", ch07_formula.PROBES)
def test_the_formula(taught: ModuleType, args: tuple) -> None:
    def package(keys: Tensor, vectors: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        weights = embeddings.MeanQueryAttention()(keys, mask)
        return (weights[:, :, None] * vectors).sum(1), weights

    same(slopes(taught.mean_query_attention, *args), slopes(package, *args))


@pytest.mark.parametrize("args", ch07_places.PROBES)
def test_a_query_for_each_place(taught: ModuleType, args: tuple) -> None:
    def made(kind: type) -> Any:
        def run(query: Tensor, bias: Tensor, keys: Tensor, mask: Tensor) -> Tensor:
            attention = kind(query.size(1), len(query) // 2)
            parts = {"query": query, "bias": bias}
            return torch.func.functional_call(attention, parts, (keys, mask))

        return run

    ours, theirs = made(embeddings.PositionAttention), made(taught.PositionAttention)
    same(slopes(theirs, *args), slopes(ours, *args))
    fresh = taught.PositionAttention(3, 2).state_dict()
    assert {name: t.shape for name, t in fresh.items()} == {
        name: t.shape for name, t in embeddings.PositionAttention(3, 2).state_dict().items()
    }
    assert not any(bool(t.any()) for t in fresh.values())


def test_analogies(taught: ModuleType) -> None:
    chance = torch.Generator().manual_seed(7)
    vectors = torch.randn(31, 5, generator=chance)
    words = [f"w{i}" for i in range(31)]
    package = WordVectors(words, vectors)
    for a, b, c in ((0, 1, 2), (3, 4, 3), (5, 6, 7)):
        names = [near.word for near in package.analogy(words[a], words[b], words[c], 6)]
        assert names == [words[i] for i in taught.analogy(vectors, a, b, c, 6)]
