"""The mixture of writing and copying: by hand, against a loop, at its ends."""

import functools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from minidistill.pointer import copy_mixture
from tests.pair_models import close, finite
from tests.pointer_parts import loop_mixture


def test_the_mixture_by_hand() -> None:
    """Three known words, places 3 and 4; the source says 1, 3, 1, and then there is padding."""
    logits = torch.tensor([[[0.0, math.log(2), math.log(5)]]])  # 1/8, 2/8, 5/8
    weights = torch.tensor([[[0.1, 0.6, 0.3, 0.7]]])
    source = torch.tensor([[1, 3, 1, 2]])
    mask = torch.tensor([[True, True, True, False]])
    found = copy_mixture(logits, weights, torch.tensor([[0.2]]), source, 5, mask)
    # 0.2 of the vocabulary's, and 0.8 (0.1 + 0.3) for word 1, 0.8 * 0.6 for the unknown word.
    close(found.exp(), torch.tensor([[[0.025, 0.05 + 0.32, 0.125, 0.48, 0.0]]]), atol=1e-7)
    assert finite(found)


def drawn(seed: int, B: int = 3, T: int = 5, S: int = 7, known: int = 11, size: int = 13) -> tuple:
    """Logits, weights that are 0 at padding, gate, source, size, mask; row 1 is all padding."""
    generator = torch.Generator().manual_seed(seed)
    make = functools.partial(torch.randn, generator=generator, dtype=torch.float64)
    mask = torch.rand(B, S, generator=generator) < 0.7
    mask[0, 0], mask[1:2] = True, False
    weights = make(B, T, S).exp() * mask[:, None]
    weights = weights / weights.sum(-1, keepdim=True).clamp(min=1e-9)
    source = torch.randint(known - 3, size, (B, S), generator=generator)
    return make(B, T, known) * 2, weights, make(B, T).sigmoid(), source, size, mask


@pytest.mark.parametrize("seed", range(5))
def test_the_mixture_and_its_gradients_are_the_loops(seed: int) -> None:
    *inputs, source, size, mask = drawn(seed)
    inputs = [t.requires_grad_() for t in inputs]
    found = copy_mixture(*inputs, source, size, mask)
    plain = loop_mixture(*inputs, source, size, mask)
    close(found.exp(), plain, atol=1e-13)
    # A cost that asks for possible words only, as a target does.
    possible = plain > 0
    costs = (found[possible] ** 2).sum(), (plain[possible].log() ** 2).sum()
    both = [torch.autograd.grad(cost, inputs, retain_graph=True) for cost in costs]
    for one, other in zip(*both, strict=True):
        close(one, other, atol=1e-9)


def test_gradcheck() -> None:
    logits, weights, gate, source, size, mask = drawn(3, B=2, T=3, S=5, known=7)
    mask[1, :2] = True  # words that get no weight would be at the floor
    mask[0] = True
    weights = torch.rand(weights.shape, dtype=torch.float64) + 0.1
    inputs = [t.requires_grad_() for t in (logits, weights, gate)]
    plain = loop_mixture(*(t.detach() for t in inputs), source, size, mask)
    possible = plain > 0

    def mixture(*three: Tensor) -> Tensor:
        return copy_mixture(*three, source, size, mask)[possible]

    assert torch.autograd.gradcheck(mixture, inputs)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([torch.float32, torch.float64]))
def test_the_mixture_sums_to_one(seed: int, dtype: torch.dtype) -> None:
    logits, weights, gate, source, size, mask = drawn(seed)
    found = copy_mixture(*(t.to(dtype) for t in (logits, weights, gate)), source, size, mask)
    assert found.dtype == dtype
    close(found.exp().sum(-1), torch.ones(3, 5, dtype=dtype), atol=1e-5)
    # A row without a real token is the vocabulary's alone, and so is padding without a trace.
    alone = nn.functional.pad(logits[1].softmax(-1), (0, size - 11)).to(dtype)
    close(found[1].exp(), alone, atol=1e-6)
    close(found.log_softmax(-1), found, atol=1e-5)


def test_repeated_words_add_up_and_order_does_not_matter() -> None:
    logits, _, gate, _, size, _ = drawn(2)
    weights = torch.full((3, 5, 4), 0.25, dtype=torch.float64)
    twice = copy_mixture(logits, weights, gate, torch.tensor([[12, 1, 12, 12]] * 3), size)
    close(twice[..., 12].exp(), 0.75 * (1 - gate))
    once = copy_mixture(logits, weights[..., :2] * 2, gate, torch.tensor([[12, 1]] * 3), size)
    close(once[..., 12].exp(), 0.5 * (1 - gate))
    order = torch.tensor([3, 1, 0, 2])
    mixed = copy_mixture(logits, weights, gate, torch.tensor([[12, 1, 12, 12]] * 3)[:, order], size)
    close(mixed, twice)


def test_padding_gives_nothing_whatever_stands_there() -> None:
    logits, weights, gate, source, size, mask = drawn(4)
    expected = copy_mixture(logits, weights, gate, source, size, mask)
    weights = weights.masked_fill(~mask[:, None], math.nan).requires_grad_()
    found = copy_mixture(logits, weights, gate, source.masked_fill(~mask, -100), size, mask)
    close(found, expected)
    found.sum().backward()
    assert finite(weights.grad) and bool((weights.grad.mT[~mask] == 0).all())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("share", [0.0, 1e-30, 0.5, 1.0])
def test_gradients_are_finite_at_the_ends(dtype: torch.dtype, share: float) -> None:
    logits, weights, _, source, size, mask = drawn(5)
    three = (logits * 300).to(dtype), weights.to(dtype), torch.full((3, 5), share, dtype=dtype)
    three = [t.requires_grad_() for t in three]
    found = copy_mixture(*three, source, size, mask)
    assert found.dtype == torch.promote_types(dtype, torch.float32) and finite(found)
    for target in range(size):  # impossible ones too
        loss = nn.functional.cross_entropy(
            found.flatten(0, 1), torch.full((15,), target), reduction="sum"
        )
        assert finite(loss, *torch.autograd.grad(loss, three, retain_graph=True))


def test_half_precision_is_near() -> None:
    logits, weights, gate, source, size, mask = drawn(6)
    exact = copy_mixture(logits, weights, gate, source, size, mask).exp()
    half = [t.to(torch.bfloat16) for t in (logits, weights, gate)]
    close(copy_mixture(*half, source, size, mask).exp().double(), exact, atol=0.02)


def test_refused_shapes_and_ids() -> None:
    logits, weights, gate, source, size, mask = drawn(7)
    bad = [
        ("give \\(B, T, V\\)", (logits[:2], weights, gate, source, size, mask)),
        ("give \\(B, T, V\\)", (logits, weights, gate[..., None], source, size, mask)),
        ("give \\(B, T, V\\)", (logits[0], weights[0], gate[0], source, size, mask)),
        ("one id for each weight", (logits, weights, gate, source[:, 1:], size, mask)),
        ("less than the 11 known words", (logits, weights, gate, source, 10, mask)),
        ("one True or False", (logits, weights, gate, source, size, mask.long())),
        ("one True or False", (logits, weights, gate, source, size, mask[:, 1:])),
        ("ids reach 99", (logits, weights, gate, source.index_fill(1, _at(0), 99), size, mask)),
        ("lowest -1", (logits, weights, gate, source.index_fill(1, _at(0), -1), size)),
    ]
    for message, arguments in bad:
        with pytest.raises(ValueError, match=message):
            copy_mixture(*arguments)


def _at(place: int) -> Tensor:
    return torch.tensor([place])
