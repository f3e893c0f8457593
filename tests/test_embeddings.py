"""Weights of a context by hand, at padding and in any order; CBOW and skip-gram against loops."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from minidistill.device import seeded
from minidistill.embeddings import (
    CBOW,
    EqualWeights,
    MeanQueryAttention,
    PlaceWeights,
    PositionAttention,
    SkipGram,
)

B, WINDOW, A, H, V = 5, 3, 7, 11, 23
C = 2 * WINDOW
untimed = settings(deadline=None, max_examples=40)


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def lively(attention: nn.Module | None = None, seed: int = 3) -> nn.Module:
    """One that has learned something."""
    attention = (attention or PositionAttention(A, WINDOW)).double()
    with torch.no_grad():
        for parameter in attention.parameters():
            parameter.normal_(generator=chance(seed))
    return attention


KINDS = {"equal": EqualWeights, "mean query": MeanQueryAttention, "position": lively}
KINDS["place"] = lambda: lively(PlaceWeights(WINDOW))
every_kind = pytest.mark.parametrize("kind", KINDS)


def context_of(seed: int = 0, batch: int = B) -> tuple[Tensor, Tensor]:
    """Keys (B, C, A) and a ragged mask; the last row has no real word."""
    g = chance(seed)
    keys = torch.randn(batch, C, A, generator=g, dtype=torch.float64)
    mask = torch.rand(batch, C, generator=g) < 0.6
    mask[0], mask[-1] = True, False
    return keys.requires_grad_(), mask


def close(found: Any, expected: Any, atol: float = 1e-12) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=atol, check_dtype=False)


# ---- what all attentions have in common --------------------------------------------------------


@every_kind
@untimed
@given(st.integers(0, 10**6), st.integers(1, 5))
def test_weights_add_up_to_one_over_real_words(kind: str, seed: int, batch: int) -> None:
    keys, mask = context_of(seed, batch)
    weights = KINDS[kind]()(keys, mask)
    assert weights.shape == mask.shape and bool((weights >= 0).all())
    assert not bool(weights[~mask].any())  # exactly 0
    close(weights.sum(1), mask.any(1).double(), atol=1e-6)


@every_kind
def test_a_row_without_a_real_word_is_zero_and_so_are_its_gradients(kind: str) -> None:
    (keys, mask), attention = context_of(), KINDS[kind]()
    weights = attention(keys, mask)
    assert weights[-1].tolist() == [0.0] * C
    if kind != "equal":
        weights.square().sum().backward()
        assert all(bool(p.grad.isfinite().all()) for p in attention.parameters())
    if kind in ("mean query", "position"):
        assert not bool(keys.grad[~mask].any()) and bool(keys.grad[0].any())


@every_kind
def test_batched_is_one_by_one(kind: str) -> None:
    (keys, mask), attention = context_of(), KINDS[kind]()
    rows = [attention(keys[b : b + 1], mask[b : b + 1]) for b in range(B)]
    close(attention(keys, mask), torch.cat(rows))


@every_kind
@pytest.mark.parametrize("what", [0.0, 1e30, -77.0])
def test_what_stands_at_padding_changes_nothing(kind: str, what: float) -> None:
    keys, mask = context_of()
    dirty = keys.masked_fill(~mask[:, :, None], what)
    attention = KINDS[kind]()
    close(attention(dirty, mask), attention(keys, mask))


# ---- each for itself -----------------------------------------------------------------------------


def test_equal_weights_by_hand() -> None:
    mask = torch.tensor([[1, 0, 1, 1], [0, 0, 1, 0], [0, 0, 0, 0]]).bool()
    expected = torch.tensor([[1 / 3, 0, 1 / 3, 1 / 3], [0, 0, 1, 0], [0, 0, 0, 0]])
    close(EqualWeights()(None, mask), expected, atol=1e-7)


def by_loop(keys: Tensor, mask: Tensor) -> Tensor:
    """The formula of `MeanQueryAttention` word by word."""
    weights, keys = torch.zeros(mask.shape, dtype=torch.float64), keys.detach()
    for b in range(len(keys)):
        real = [i for i in range(mask.size(1)) if mask[b, i]]
        mean = [sum(float(keys[b, i, a]) for i in real) / len(real) for a in range(A) if real]
        own = {i: math.exp(sum(float(keys[b, i, a]) * mean[a] for a in range(A))) for i in real}
        for i in real:
            weights[b, i] = own[i] / sum(own.values())
    return weights


@untimed
@given(st.integers(0, 10**6))
def test_mean_query_is_the_formula(seed: int) -> None:
    keys, mask = context_of(seed)
    close(MeanQueryAttention()(keys, mask), by_loop(keys, mask))
    close(MeanQueryAttention(use_mask=False)(keys, mask), by_loop(keys, torch.ones_like(mask)))


def test_mean_query_by_hand() -> None:
    # Keys 3 and 1 have the mean 2 and the scores 6 and 2; with padding of 2 the scores are 6, 2, 4.
    keys, mask = torch.tensor([[[3.0], [1.0], [2.0]]]), torch.tensor([[True, True, False]])
    share = 1 / (1 + math.exp(-4))
    close(MeanQueryAttention()(keys, mask)[0], torch.tensor([share, 1 - share, 0]), atol=1e-7)
    e = [math.exp(z) for z in (6, 2, 4)]
    counted = MeanQueryAttention(use_mask=False)(keys, mask)[0]
    close(counted, torch.tensor([z / sum(e) for z in e]), atol=1e-7)


def test_mean_query_is_blind_to_order_and_position_is_not() -> None:
    keys, mask = context_of()
    order = torch.tensor([4, 0, 5, 2, 1, 3])
    for attention, blind in ((MeanQueryAttention(), True), (lively(), False)):
        moved = attention(keys[:, order], mask[:, order])
        assert torch.allclose(moved, attention(keys, mask)[:, order], atol=1e-12) == blind


def test_position_attention_is_the_formula() -> None:
    keys, mask = context_of()
    attention, expected = lively(), torch.zeros(B, C, dtype=torch.float64)
    for b, i in mask.nonzero().tolist():
        expected[b, i] = (keys[b, i] @ attention.query[i] + attention.bias[i]).exp().detach()
    close(attention(keys, mask), expected / expected.sum(1, keepdim=True).clamp(min=1e-9))


def test_position_attention_starts_as_the_plain_mean_and_learns() -> None:
    keys, mask = context_of()
    attention = PositionAttention(A, WINDOW).double()
    close(attention(keys, mask), EqualWeights()(keys, mask), atol=1e-7)
    attention(keys, mask).square()[:, 0].sum().backward()
    assert bool(attention.query.grad.any()) and bool(attention.bias.grad.any())


def test_place_weights_are_position_attention_without_queries() -> None:
    (keys, mask), attention, places = context_of(), lively(), PlaceWeights(WINDOW).double()
    nn.init.zeros_(attention.query)
    close(places(None, mask), EqualWeights()(None, mask), atol=1e-7)
    places.bias = attention.bias
    close(places(None, mask), attention(keys, mask))
    with pytest.raises(ValueError, match=r"shape \(5, 4\) but there are 6 places"):
        places(None, mask[:, :4])


@pytest.mark.parametrize("shape", [(B, C, A + 1), (B, C - 1, A), (B, C + 2, A)])
def test_position_attention_refuses_keys_of_another_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"this attention reads \(B, 6, 7\): one key for each"):
        PositionAttention(A, WINDOW)(torch.zeros(shape), torch.ones(shape[:2]).bool())


# ---- CBOW ----------------------------------------------------------------------------------------

CONTEXTS = {
    "equal": lambda size: None,
    "mean query": lambda size: MeanQueryAttention(),
    "position": lambda size: PositionAttention(size, WINDOW),
    "place": lambda size: PlaceWeights(WINDOW),
}
every_context = pytest.mark.parametrize("context", CONTEXTS)


def cbow(context: str, key_size: int | None = None, seed: int = 1, **options: Any) -> CBOW:
    with seeded(seed):
        made = CONTEXTS[context](key_size or H)
        model = CBOW(V, H, made, key_size=key_size, **options).double()
        for parameter in model.parameters():
            nn.init.normal_(parameter, std=0.7)
    return model


def batch_of(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """places and mask (B, C) and the words (L,) of a stretch, some of them twice."""
    g = chance(seed)
    words = torch.randint(V, (17,), generator=g)
    return torch.randint(17, (B, C), generator=g), context_of(seed)[1], words


@every_context
@pytest.mark.parametrize("key_size", [None, A])
@pytest.mark.parametrize("tied", [True, False])
def test_cbow_is_a_loop_over_words_in_value_and_gradients(
    context: str, key_size: int | None, tied: bool
) -> None:
    model, (places, mask, words) = cbow(context, key_size, tied=tied), batch_of()
    x, weights = model(places, mask, words)
    ids = words[places]
    keys = (model.embedding if key_size is None else model.keys).weight[ids]
    expected_weights = model.context(keys, mask)
    rows = [torch.zeros(H, dtype=torch.float64) for _ in range(B)]
    for b, i in mask.nonzero().tolist():
        rows[b] = rows[b] + expected_weights[b, i] * model.embedding.weight[ids[b, i]]
    expected = torch.stack(rows)
    exact = 1e-7 if context == "equal" else 1e-12
    close((x, weights), (expected, expected_weights), exact)
    close(model.logits(x), x @ model.readout.weight.T + model.readout.bias)
    assert (model.readout.weight is model.embedding.weight) == tied
    parameters = [p for p in model.parameters() if p is not model.readout.bias]
    costs = [F.cross_entropy(model.logits(h), torch.arange(B)) for h in (x, expected)]
    found, wanted = (torch.autograd.grad(cost, parameters, allow_unused=True) for cost in costs)
    close(found, wanted, exact)


@every_context
@pytest.mark.parametrize("key_size", [None, A])
def test_ids_or_places_in_a_stretch(context: str, key_size: int | None) -> None:
    model, (places, mask, words) = cbow(context, key_size), batch_of()
    close(model(words[places], mask), model(places, mask, words))
    close(model(words[places]), model(places, torch.ones_like(mask), words))  # no mask: all real


def test_a_key_table_of_its_own_is_of_its_own_size() -> None:
    model = CBOW(V, H, key_size=A)
    assert model.keys.weight.shape == (V, A) and CBOW(V, H).keys is None
    assert 0.3 < float(model.embedding.weight.detach().norm(dim=1).mean()) < 0.7


class Nearest(nn.Module):
    """A context of one's own: everything on the word before the middle."""

    def forward(self, keys: Tensor, mask: Tensor) -> Tensor:
        assert keys.shape == (*mask.shape, H)
        return F.one_hot(torch.full((len(mask),), WINDOW - 1), C).float()


def test_a_context_of_ones_own() -> None:
    model = CBOW(V, H, Nearest())
    places, mask, words = batch_of()
    close(model(places, mask, words)[0], model.embedding(words[places[:, WINDOW - 1]]))
    with pytest.raises(ValueError, match=r"weights have shape \(5, 1\) but the context has \(5, 6"):
        CBOW(V, H, lambda keys, mask: keys[:, :1, 0])(places, mask, words)


@pytest.mark.parametrize("wrong", [V, -1])
def test_ids_outside_the_vocabulary_are_refused(wrong: int) -> None:
    ids, model = torch.tensor([[3, wrong, 5, 6, 7, 8]]), cbow("position")
    for given_ids in ((ids,), (torch.tensor([[0, 1, 2, 3, 4, 5]]), None, ids[0])):
        with pytest.raises(ValueError, match="but this model knows 23 words: encode the text with"):
            model(*given_ids)
    with pytest.raises(ValueError, match="knows 23 words"):
        SkipGram(V, H)(ids[0])


def test_shapes_that_do_not_fit_are_refused() -> None:
    for context, mask in [((3,), (3,)), ((3, 4), (3, 5)), ((3, 4), (4,)), ((3, 4, 5), (3, 4, 5))]:
        with pytest.raises(ValueError, match=r"both are \(B, C\), the mask True or False"):
            CBOW(V, H)(torch.zeros(context).long(), torch.ones(mask).bool())
    with pytest.raises(ValueError, match=r"of torch.float32: both are"):
        CBOW(V, H)(torch.zeros(3, 4).long(), torch.ones(3, 4))


# ---- both models ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [CBOW, SkipGram])
def test_the_first_guess_follows_the_counts(kind: type) -> None:
    counts = [0, 3, 5, *[1] * (V - 3)]
    p = kind(V, H, counts=counts).logits(torch.randn(4, H)).softmax(1)
    expected = torch.tensor(counts).clamp(min=1) / 29
    close(p, expected.expand(4, V), atol=1e-6)
    with pytest.raises(ValueError, match="22 counts for 23 classes"):
        kind(V, H, counts=counts[1:])
    assert not bool(kind(V, H).logits(torch.randn(4, H)).any())
    assert bool(kind(V, H, tied=True).readout.weight.any())


def test_skip_gram_is_a_table() -> None:
    model, words = SkipGram(V, H), torch.tensor([3, 5, 3])
    assert torch.equal(model(words), model.embedding.weight[words]) and model.reads_middle
    model(words).sum().backward()
    assert model.embedding.weight.grad[:, 0].nonzero()[:, 0].tolist() == [3, 5]
