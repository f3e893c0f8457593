"""Sampled softmax on a GPU: the CPU's numbers, and nothing inside a step that waits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn

from minidistill.sampled_softmax import sampled_softmax_loss
from minidistill.samplers import LogUniformSampler, Sampler, UniformSampler, UnigramSampler
from minidistill.sparse_rows import LazyAdam, RowAdagrad

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine")
V, N, S, H = 1009, 53, 31, 13


@contextmanager
def no_waiting() -> Iterator[None]:
    """Inside the block, a command that makes the GPU wait raises."""
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def tables(device: str) -> tuple[nn.Parameter, nn.Parameter, Tensor, Tensor]:
    chance = torch.Generator().manual_seed(0)
    made = (torch.randn(shape, generator=chance) for shape in ((V, H), (V,), (N, H)))
    weight, bias, hidden = (x.to(device) for x in made)
    targets = torch.randint(V, (N,), generator=chance).to(device)
    targets[3] = -100
    return nn.Parameter(weight), nn.Parameter(bias), hidden.requires_grad_(), targets


def samplers() -> list[Sampler]:
    return [LogUniformSampler(V), UniformSampler(V), UnigramSampler(range(1, V + 1))]


@pytest.mark.parametrize("sampler", samplers(), ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("optimizer", [RowAdagrad, LazyAdam])
def test_a_step_does_not_wait(sampler: Sampler, optimizer: type) -> None:
    weight, bias, hidden, targets = tables("cuda")
    sampler, rows = sampler.cuda(), optimizer([weight, bias], 0.1)

    def step() -> None:
        rows.zero_grad()
        negatives = sampler.sample(S)
        sampled_softmax_loss(hidden, weight, bias, targets, negatives, sampler).backward()
        rows.step()

    step()  # makes the optimiser's state, and counts how many draws are enough
    with no_waiting():
        step()


def test_the_numbers_are_those_of_a_cpu() -> None:
    sampler = LogUniformSampler(V)
    negatives = sampler.sample(S, torch.Generator().manual_seed(1))
    found = []
    for device in ("cpu", "cuda"):
        weight, bias, hidden, targets = tables(device)
        given = type(negatives)(*(part.to(device) for part in negatives))
        loss = sampled_softmax_loss(hidden, weight, bias, targets, given, sampler.to(device))
        loss.backward()
        grads = (weight.grad.to_dense(), bias.grad.to_dense(), hidden.grad)
        found.append([x.detach().cpu() for x in (loss, *grads)])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_mixed_precision() -> None:
    weight, bias, hidden, targets = tables("cuda")
    sampler = LogUniformSampler(V).cuda()
    negatives = sampler.sample(S)
    exact = sampled_softmax_loss(hidden, weight, bias, targets, negatives, sampler)
    with torch.autocast("cuda", torch.bfloat16):
        rough = sampled_softmax_loss(hidden, weight, bias, targets, negatives, sampler)
    rough.backward()
    assert weight.grad.dtype == torch.float32
    torch.testing.assert_close(rough, exact, rtol=0.02, atol=0.02)
