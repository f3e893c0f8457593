"""Word embeddings on a GPU: the CPU's numbers, and training that works there."""

from __future__ import annotations

import pytest
import torch

from minidistill.embedding_plans import EmbeddingPlan, train_embeddings
from minidistill.embeddings import CBOW, MeanQueryAttention, PositionAttention
from minidistill.negative_sampling import negative_sampling_loss
from minidistill.neighbours import NeighbourAttention

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine")
V, B, C, H = 101, 13, 6, 7


def numbers(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def test_the_loss_and_its_gradients_are_the_cpus() -> None:
    found = []
    for device in ("cpu", "cuda"):
        x, weight, bias = (
            numbers(*shape).to(device).requires_grad_() for shape in ((B, H), (V, H), (V,))
        )
        targets, drawn = torch.arange(B, device=device), torch.arange(5, 36, device=device)
        loss = negative_sampling_loss(x, weight, targets, drawn, 5, bias=bias, sparse=False)
        loss.backward()
        found.append([part.detach().cpu() for part in (loss, x.grad, weight.grad, bias.grad)])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("attention", [PositionAttention(3, 3), MeanQueryAttention(), None])
def test_models_give_the_cpus_numbers(attention: torch.nn.Module | None) -> None:
    torch.manual_seed(0)
    model = CBOW(V, H, attention, key_size=None if attention is None else 3)
    ids = torch.randint(V, (B, C), generator=torch.Generator().manual_seed(1))
    mask = torch.rand(B, C, generator=torch.Generator().manual_seed(2)) > 0.3
    here = model(ids, mask)
    there = model.cuda()(ids.cuda(), mask.cuda())
    for one, other in zip(here, there, strict=True):
        torch.testing.assert_close(one, other.cpu(), rtol=1e-4, atol=1e-5)


def test_neighbours_give_the_cpus_numbers() -> None:
    layer = NeighbourAttention(H, 2)
    torch.nn.init.ones_(layer.gate)
    vectors, mask = numbers(3, 11, H), torch.arange(11) < torch.tensor([[11], [5], [1]])
    here = layer(vectors, mask)
    there = layer.cuda()(vectors.cuda(), mask.cuda()).cpu()
    torch.testing.assert_close(here, there, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["cbow", "attention", "skip-gram", "formula"])
def test_training_learns_there(kind: str) -> None:
    text = "\n".join(["the old man went to the river", "the old woman went to the mill"] * 40)
    plan = EmbeddingPlan(kind, size=8, window=2, epochs=20, least=1, threshold=None)
    made = train_embeddings(text, plan, device="cuda", progress=False)
    losses = made.history.losses
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])
