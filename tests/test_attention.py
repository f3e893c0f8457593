"""The four attentions: by hand, against plain references and torch's own, and at padding."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from minidistill.attention import (
    ATTENTIONS,
    AdditiveAttention,
    Attention,
    DotAttention,
    GeneralAttention,
    ScaledDotAttention,
    additive_score,
    dot_score,
    masked_softmax,
)
from minidistill.device import seeded
from tests.pair_models import OwnAttention, close

B, T, S, Q, K, V, A = 3, 2, 5, 7, 11, 13, 17

untimed = settings(deadline=None)  # other work on the machine is no fault of a test
every_attention = pytest.mark.parametrize("name", ATTENTIONS)


def random(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def made(name: str, query_size: int = Q, key_size: int = K) -> Attention:
    """An attention of a kind; the dot products need one size."""
    with seeded(3):
        same = name in ("dot", "scaled dot")
        return ATTENTIONS[name](query_size, query_size if same else key_size).double()


def inputs_of(attention: Attention, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Queries, keys and values that want gradients, and a mask with padding anywhere."""
    shapes = [(B, T, attention.query_size), (B, S, attention.key_size), (B, S, V)]
    parts = [random(*shape, seed=seed + i).requires_grad_() for i, shape in enumerate(shapes)]
    mask = torch.tensor([[1, 1, 0, 1, 1], [0, 0, 1, 0, 1], [0, 1, 0, 0, 0]], dtype=torch.bool)
    return *parts, mask


# ---- the masked softmax -------------------------------------------------------------------


def test_masked_softmax_by_hand() -> None:
    scores = torch.tensor([[0.0, math.log(3), 7.0], [math.log(2), 9.0, 0.0]])
    mask = torch.tensor([[True, True, False], [True, False, True]])
    close(masked_softmax(scores, mask), torch.tensor([[0.25, 0.75, 0], [2 / 3, 0, 1 / 3]]), 1e-6)
    assert torch.equal(masked_softmax(scores), scores.softmax(-1))


@untimed
@given(st.integers(0, 10**6), st.sampled_from([1.0, 30.0, 1e4, 1e300]))
def test_masked_softmax_is_the_softmax_of_the_real_entries(seed: int, size: float) -> None:
    scores, mask = random(7, 5, seed=seed) * size, random(7, 5, seed=seed + 1) > 0
    found = masked_softmax(scores, mask)
    for row, real, weights in zip(scores, mask, found, strict=True):
        close(weights[real], row[real].softmax(-1))
        assert bool((weights[~real] == 0).all())
    close(masked_softmax(scores - 3.0 * size, mask), found, 1e-6)  # only differences count


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("at_padding", [0.0, 1e4, math.inf, -math.inf, math.nan])
def test_whatever_stands_at_padding(dtype: torch.dtype, at_padding: float) -> None:
    mask = torch.tensor([[True, False, True], [False, False, False]])
    kept = torch.tensor([[1.0, 0.0, 2.0], [0.0, 0.0, 0.0]], dtype=dtype)
    scores = kept.masked_fill(~mask, at_padding).requires_grad_()
    weights = masked_softmax(scores, mask)
    weights[:, 0].sum().backward()
    p = 1 / (1 + math.e)
    close(weights.double(), torch.tensor([[p, 0, 1 - p], [0, 0, 0]]).double(), 5e-3)
    slope = p * (1 - p)
    close(scores.grad.double(), torch.tensor([[slope, 0, -slope], [0, 0, 0]]).double(), 5e-3)


def test_scores_as_low_as_padding_would_be_are_still_real() -> None:
    lowest = torch.finfo(torch.float64).min
    scores = torch.tensor([[lowest, lowest, lowest]], dtype=torch.float64)
    mask = torch.tensor([[True, False, False]])
    assert masked_softmax(scores[:, :1], mask[:, :1]).tolist() == [[1.0]]
    assert bool((masked_softmax(scores, mask)[~mask] == 0).all())


@pytest.mark.parametrize(
    ("mask", "shape"),
    [
        (torch.ones(3, 7), "(3, 7) and type torch.float32"),
        (torch.ones(3, 5, dtype=torch.bool), "(3, 5)"),
        (torch.ones(2, 3, 7, dtype=torch.bool), "(2, 3, 7)"),
    ],
)
def test_masks_that_do_not_fit(mask: Tensor, shape: str) -> None:
    with pytest.raises(ValueError, match="one True or False per source token") as raised:
        masked_softmax(torch.zeros(3, 7), mask)
    assert shape in str(raised.value) and "(3, 7)" in str(raised.value)


def test_a_mask_may_be_broadcast() -> None:
    scores, mask = random(B, T, S), random(B, 1, S, seed=1) > -1
    close(masked_softmax(scores, mask), masked_softmax(scores, mask.expand(B, T, S)))
    close(masked_softmax(scores, mask[0, 0]), masked_softmax(scores, mask[:1].expand(B, T, S)))


# ---- the scores ---------------------------------------------------------------------------


def test_additive_score_by_hand() -> None:
    # One query and two keys of three numbers: tanh(0) = 0, tanh(1) = 0.761594.
    queries = torch.tensor([[[1.0, -1.0, 0.0]]])
    keys = torch.tensor([[[0.0, 1.0, 1.0], [-1.0, 2.0, 0.0]]])
    one = math.tanh(1)
    found = additive_score(queries, keys, torch.tensor([2.0, 3.0, -5.0]))
    # tanh(1, 0, 1) and tanh(0, 1, 0)
    close(found, torch.tensor([[[2 * one - 5 * one, 3 * one]]]), 1e-6)


def test_dot_score_by_hand() -> None:
    queries, keys = torch.tensor([[[1.0, 2.0], [0.0, -1.0]]]), torch.tensor([[[3.0, 4.0]]])
    assert dot_score(queries, keys).tolist() == [[[11.0], [-4.0]]]
    assert dot_score(queries, keys, scale=0.5).tolist() == [[[5.5], [-2.0]]]


def test_general_attention_by_hand() -> None:
    attention = GeneralAttention(2, 3)
    with torch.no_grad():
        attention.W.weight.copy_(torch.tensor([[1.0, 0.0, 2.0], [0.0, -1.0, 1.0]]))
    keys = torch.tensor([[[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]])
    prepared = attention.prepare(keys)
    assert prepared.tolist() == [[[1.0, -1.0], [2.0, 1.0]]]  # W k_1 and W k_2
    queries, values = torch.tensor([[[1.0, 1.0]]]), torch.tensor([[[10.0], [20.0]]])
    context, weights = attention(queries, prepared, values)
    p = 1 / (1 + math.e**3)  # the scores are 0 and 3
    close(weights, torch.tensor([[[p, 1 - p]]]), 1e-6)
    close(context, torch.tensor([[[20 - 10 * p]]]), 1e-4)


# ---- against references -------------------------------------------------------------------


@pytest.mark.parametrize("masked", [True, False])
def test_additive_is_the_plain_form_in_value_and_gradient(masked: bool) -> None:
    attention, plain = AdditiveAttention(Q, K).double(), OwnAttention(Q, K).double()
    plain.load_state_dict(attention.state_dict())
    queries, keys, values, mask = inputs_of(attention)
    found, expected = (
        one(queries, one.prepare(keys), values, mask if masked else None)
        for one in (attention, plain)
    )
    close(found, expected)
    upstream = [random(*part.shape, seed=9) for part in found]
    for one, results in [(attention, found), (plain, expected)]:
        total = sum((part * up).sum() for part, up in zip(results, upstream, strict=True))
        one.grads = torch.autograd.grad(total, [queries, keys, values, *one.parameters()])
    assert len(attention.grads) == 6
    close(attention.grads, plain.grads)
    assert all(bool((grad != 0).any()) for grad in attention.grads)


@pytest.mark.parametrize(("kind", "scale"), [(ScaledDotAttention, None), (DotAttention, 1.0)])
def test_the_dot_products_are_torchs(kind: type[Attention], scale: float | None) -> None:
    attention = kind(Q, Q)
    queries, keys, values, mask = inputs_of(attention)
    for used in (mask, None):
        found, weights = attention(queries, attention.prepare(keys), values, used)
        expected = torch.nn.functional.scaled_dot_product_attention(
            queries, keys, values, None if used is None else used[:, None], scale=scale
        )
        close(found, expected)
        close(weights @ values, expected)
        up = random(B, T, V, seed=9)
        close(
            torch.autograd.grad((found * up).sum(), [queries, keys, values], retain_graph=True),
            torch.autograd.grad((expected * up).sum(), [queries, keys, values]),
        )


@every_attention
@pytest.mark.parametrize("masked", [True, False])
def test_gradients_are_those_of_small_steps(name: str, masked: bool) -> None:
    attention = made(name, query_size=3, key_size=2)
    queries, keys, values, mask = inputs_of(attention)
    mask[2] = False  # one source is nothing but padding

    def run(*parts: Tensor) -> tuple[Tensor, Tensor]:
        weights = dict(zip([n for n, _ in attention.named_parameters()], parts[3:], strict=True))
        prepared = torch.func.functional_call(_Prepares(attention), _inside(weights), parts[1])
        given = (parts[0], prepared, parts[2], mask if masked else None)
        return torch.func.functional_call(attention, weights, given)

    assert torch.autograd.gradcheck(run, (queries, keys, values, *attention.parameters()))


class _Prepares(torch.nn.Module):
    """`attention.prepare` as a module, so that it can be called with other weights."""

    def __init__(self, attention: Attention) -> None:
        super().__init__()
        self.attention = attention

    def forward(self, keys: Tensor) -> Tensor:
        return self.attention.prepare(keys)


def _inside(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"attention.{name}": value for name, value in weights.items()}
