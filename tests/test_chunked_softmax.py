"""The full softmax in chunks: torch's values and gradients, without the table of all logits."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from minidistill import fast_product
from minidistill.batches import IGNORE
from minidistill.chunked_softmax import chunked_cross_entropy, log_normaliser
from minidistill.fast_product import product

B, T, H, V = 3, 5, 7, 23
CHUNKS = [1, 7, V, V + 6]


class Largest(TorchDispatchMode):
    """Remembers how many numbers the largest tensor had that was made inside the block.

    What only looks at memory that was there before, as a slice of a table does, is not made.
    """

    def __init__(self, *known: Tensor) -> None:
        super().__init__()
        self.numbers = 0
        self.known = {tensor.untyped_storage().data_ptr() for tensor in known}

    def __torch_dispatch__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, list | tuple) else [made]:
            dense = isinstance(tensor, Tensor) and not tensor.is_sparse
            if dense and tensor.untyped_storage().data_ptr() not in self.known:
                self.numbers = max(self.numbers, tensor.numel())
        return made


def inputs(
    seed: int = 0, bias: bool = True, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor, Tensor | None, Tensor]:
    """hidden (B, T, H), weight (V, H), bias and targets (B, T), some of them padding."""
    g = torch.Generator().manual_seed(seed)
    hidden, weight, c = (
        torch.randn(shape, generator=g, dtype=torch.float64).to(dtype).requires_grad_()
        for shape in ((B, T, H), (V, H), (V,))
    )
    targets = torch.randint(V, (B, T), generator=g)
    targets[0, 0] = targets[1, 2] = targets[2, 4] = IGNORE
    targets[2, :2] = V - 1  # in the last chunk
    return hidden, weight, c if bias else None, targets


def by_torch(hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor) -> Tensor:
    logits = nn.functional.linear(hidden, weight, bias).flatten(0, -2)
    return nn.functional.cross_entropy(logits, targets.flatten(), ignore_index=IGNORE)


def with_gradients(loss: Tensor, *parts: Tensor | None) -> list[Tensor]:
    return [loss, *torch.autograd.grad(loss, [part for part in parts if part is not None])]


def same(found: Any, expected: Any, atol: float = 1e-12) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=atol)


@pytest.mark.parametrize("chunk", CHUNKS)
@pytest.mark.parametrize("bias", [True, False])
def test_value_and_gradients_are_torchs(chunk: int, bias: bool) -> None:
    parts = inputs(bias=bias)
    found = with_gradients(3 * chunked_cross_entropy(*parts, chunk), *parts[:3])
    same(found, with_gradients(3 * by_torch(*parts), *parts[:3]))


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10**6), st.integers(1, 11), st.integers(1, 11), st.integers(1, 13))
def test_any_sizes(seed: int, count: int, vocab_size: int, chunk: int) -> None:
    g = torch.Generator().manual_seed(seed)
    hidden, weight, bias = (
        torch.randn(shape, generator=g, dtype=torch.float64).requires_grad_()
        for shape in ((count, 2), (vocab_size, 2), (vocab_size,))
    )
    targets = torch.randint(vocab_size, (count,), generator=g)
    found = with_gradients(chunked_cross_entropy(hidden, weight, bias, targets, chunk), bias)
    same(found, with_gradients(by_torch(hidden, weight, bias, targets), bias))


@pytest.mark.parametrize("chunk", CHUNKS)
def test_log_normaliser(chunk: int) -> None:
    hidden, weight, bias, _ = inputs()
    rows = hidden.flatten(0, 1)
    same(log_normaliser(rows, weight, bias, chunk), (rows @ weight.T + bias).logsumexp(1))
    same(log_normaliser(rows, weight, None, chunk), (rows @ weight.T).logsumexp(1))


def test_float32_and_parameters_that_do_not_learn() -> None:
    hidden, weight, bias, targets = inputs(dtype=torch.float32)
    loss = chunked_cross_entropy(hidden, weight.detach(), bias.detach(), targets, 5)
    expected = by_torch(hidden, weight.detach(), bias.detach(), targets)
    same(with_gradients(loss, hidden), with_gradients(expected, hidden), atol=1e-6)
    loss = chunked_cross_entropy(hidden.detach(), weight, bias.detach(), targets, 5)
    expected = by_torch(hidden.detach(), weight, bias.detach(), targets)
    same(with_gradients(loss, weight), with_gradients(expected, weight), atol=1e-6)


@pytest.mark.parametrize("what", [math.nan, math.inf])
def test_what_stands_at_padding_reaches_nothing(what: float) -> None:
    hidden, weight, bias, targets = inputs()
    expected = with_gradients(by_torch(hidden, weight, bias, targets), hidden, weight, bias)
    dirty = hidden.detach().masked_fill((targets == IGNORE)[..., None], what).requires_grad_()
    loss = chunked_cross_entropy(dirty, weight, bias, targets, 7)
    same(with_gradients(loss, dirty, weight, bias), expected)


def test_all_padding_is_a_loss_of_nothing() -> None:
    hidden, weight, bias, targets = inputs()
    nothing = torch.full_like(targets, IGNORE)
    dirty = torch.full_like(hidden, math.nan).requires_grad_()
    loss = chunked_cross_entropy(dirty, weight, bias, nothing, 7)
    assert not any(bool(x.any()) for x in with_gradients(loss, dirty, weight, bias))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_huge_logits(dtype: torch.dtype) -> None:
    hidden, weight, bias, targets = inputs(dtype=dtype)
    hidden = (hidden.detach() * 1e4).requires_grad_()
    found = with_gradients(chunked_cross_entropy(hidden, weight, bias, targets, 7), hidden, weight)
    assert all(bool(x.isfinite().all()) for x in found)
    expected = with_gradients(by_torch(hidden, weight, bias, targets), hidden, weight)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_autocast_makes_products_in_bfloat16_and_adds_up_in_float32(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kinds = []

    def watched(a: Tensor, b: Tensor) -> Tensor:
        kinds.extend([a.dtype, b.dtype])
        return product(a, b)

    monkeypatch.setattr("minidistill.chunked_softmax.product", watched)
    parts = inputs(dtype=torch.float32)
    expected = with_gradients(by_torch(*parts), *parts[:3])
    with torch.autocast("cpu", torch.bfloat16):
        loss = chunked_cross_entropy(*parts, 7)
    found = with_gradients(loss, *parts[:3])
    assert {x.dtype for x in found} == {torch.float32} and set(kinds) == {torch.bfloat16}
    torch.testing.assert_close(found, expected, rtol=0, atol=0.03)
    assert not torch.equal(found[0], expected[0])


def test_the_table_of_logits_is_never_made() -> None:
    N, classes, size, chunk = 101, 103, 5, 7
    g = torch.Generator().manual_seed(0)
    hidden, weight = (torch.randn(n, size, generator=g).requires_grad_() for n in (N, classes))
    bias, targets = torch.zeros(classes, requires_grad=True), torch.arange(N)
    with Largest() as seen:
        chunked_cross_entropy(hidden, weight, bias, targets, chunk).backward()
    assert max(N * chunk, weight.numel()) <= seen.numbers < 2 * N * chunk < N * classes / 5
    with Largest() as seen:
        by_torch(hidden, weight, bias, targets).backward()
    assert seen.numbers >= N * classes  # the watch sees it where it is


@pytest.mark.parametrize("wrong", [V, -1, -99])
def test_a_target_outside_the_vocabulary(wrong: int) -> None:
    hidden, weight, bias, targets = inputs()
    targets[1, 1] = wrong
    with pytest.raises(ValueError, match=f"the target {wrong} is outside the vocabulary of 23"):
        chunked_cross_entropy(hidden, weight, bias, targets)


def test_a_chunk_of_nothing() -> None:
    with pytest.raises(ValueError, match="chunk is 0 but must be at least 1 class"):
        chunked_cross_entropy(*inputs(), 0)


def test_a_second_derivative_is_refused() -> None:
    # Were the first one taken for a constant, a penalty on it would train nothing, unseen.
    hidden, weight, bias, targets = inputs()
    loss = chunked_cross_entropy(hidden, weight, bias, targets)
    with pytest.raises(RuntimeError, match="second derivative"):
        (gradient,) = torch.autograd.grad(loss, hidden, create_graph=True)
        (loss + gradient.square().sum()).backward()


# ---- products by convolution --------------------------------------------------------------


@pytest.fixture(params=["as this machine", "by convolution", "plain"])
def road(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param != "as this machine":
        by_convolution = request.param == "by convolution"
        monkeypatch.setattr(fast_product, "_has_wide_units", lambda: by_convolution)


def layouts(x: Tensor) -> list[Tensor]:
    """The same numbers lying in memory in four ways."""
    apart = torch.stack([x, -x], dim=-1)[..., 0]
    return [x, x.T.contiguous().T, apart, torch.cat([x, x], 1)[:, : x.size(1)]]


@pytest.mark.usefixtures("road")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("size", [(13, 7, 31), (1, 7, 5), (13, 7, 1), (5, 1, 3), (1, 1, 1)])
def test_product(size: tuple[int, int, int], dtype: torch.dtype) -> None:
    M, K, N = size
    g = torch.Generator().manual_seed(0)
    a, b = (torch.randn(rows, K, generator=g).to(dtype) for rows in (M, N))
    for left in layouts(a):
        for right in layouts(b):
            found = product(left, right)
            assert found.shape == (M, N) and found.dtype == dtype
            torch.testing.assert_close(found, a @ b.T)


@pytest.mark.usefixtures("road")
@pytest.mark.parametrize("size", [(0, 7, 5), (3, 7, 0), (0, 7, 0), (0, 1, 5), (1, 7, 0)])
def test_product_of_nothing(size: tuple[int, int, int]) -> None:
    M, K, N = size
    for left in layouts(torch.ones(M, K)):
        for right in layouts(torch.ones(N, K)):
            assert product(left, right).shape == (M, N)


@pytest.mark.usefixtures("road")
def test_rougher_products_stay_rougher() -> None:
    a = torch.randn(5, 7, generator=torch.Generator().manual_seed(0))
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        assert torch.equal(product(a, a), a @ a.T)
    finally:
        torch.set_float32_matmul_precision(before)
