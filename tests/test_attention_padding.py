"""Attention at padding, in shapes that do not fit, and split into parts."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from minidistill import attention as module
from minidistill.attention import ATTENTIONS, AdditiveAttention, Attention, DotAttention
from tests.pair_models import close, finite
from tests.test_attention import B, K, Q, S, T, V, every_attention, inputs_of, made, random

untimed = settings(deadline=None)  # other work on the machine is no fault of a test


@every_attention
@untimed
@given(seed=st.integers(0, 10**6))
def test_padding_gets_nothing_and_changes_nothing(name: str, seed: int) -> None:
    attention = made(name)
    queries, keys, values, _ = inputs_of(attention, seed)
    mask = random(B, S, seed=seed + 7) > 0
    context, weights = attention(queries, attention.prepare(keys), values, mask)
    assert finite(context, weights)
    assert bool((weights.masked_select(~mask[:, None]) == 0).all())
    close(weights.sum(-1), mask.any(1)[:, None].expand(B, T).double())
    for b in range(B):
        real = mask[b]
        if not real.any():
            assert bool((context[b] == 0).all())
            continue
        alone = attention(
            queries[b : b + 1],
            attention.prepare(keys[b : b + 1, real]),
            values[b : b + 1, real],
        )
        close((context[b], weights[b][:, real]), (alone[0][0], alone[1][0]))


@every_attention
@pytest.mark.parametrize("at_padding", [math.inf, -math.inf, math.nan])
def test_infinity_and_nan_at_padding_reach_neither_value_nor_gradient(
    name: str, at_padding: float
) -> None:
    attention = made(name)
    queries, keys, values, mask = inputs_of(attention)
    mask[2] = False  # one source is nothing but padding
    results = []
    for filler in (0.0, at_padding):
        prepared = attention.prepare(keys).masked_fill(~mask[:, :, None], filler)
        filled = values.masked_fill(~mask[:, :, None], filler)
        context, weights = attention(queries, prepared, filled, mask)
        loss = (context * random(B, T, V, seed=9)).sum() + (weights**2).sum()
        wanted = [queries, keys, values, *attention.parameters()]
        results.append((context, weights, *torch.autograd.grad(loss, wanted)))
    clean, dirty = results
    assert finite(*dirty)
    close(dirty, clean)
    context, weights, to_queries, to_keys, to_values, *_ = dirty
    for nothing in (context[2], weights[2], to_queries[2], to_keys[2], to_values[2]):
        assert bool((nothing == 0).all())
    assert bool((to_keys[~mask] == 0).all() and (to_values[~mask] == 0).all())


@every_attention
def test_a_source_of_one_token(name: str) -> None:
    attention = made(name)
    queries, keys, values, _ = inputs_of(attention)
    context, weights = attention(queries, attention.prepare(keys[:, :1]), values[:, :1])
    close(weights, torch.ones(B, T, 1, dtype=torch.float64))
    close(context, values[:, :1].expand(B, T, V))


@every_attention
def test_every_query_looks_for_itself(name: str) -> None:
    attention = made(name)
    queries, keys, values, mask = inputs_of(attention)
    prepared = attention.prepare(keys)
    together = attention(queries, prepared, values, mask)
    steps = [attention(queries[:, t : t + 1], prepared, values, mask) for t in range(T)]
    close(together, tuple(torch.cat(parts, dim=1) for parts in zip(*steps, strict=True)))


@pytest.mark.parametrize("at_once", [1, 4 * S * Q * B])
def test_additive_scores_in_parts_are_the_same(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    attention = made("additive")
    queries, prepared = random(B, 11, Q), attention.prepare(random(B, S, K, seed=1))
    whole = additive_whole(attention, queries, prepared)
    monkeypatch.setitem(module.AT_ONCE, "cpu", at_once)
    close(attention.score(queries, prepared), whole)


def additive_whole(attention: Attention, queries: Tensor, prepared: Tensor) -> Tensor:
    return module.additive_score(attention.W(queries), prepared, attention.v)


def test_scaling_keeps_scores_of_large_vectors_small() -> None:
    queries, keys = random(1, 97, 1024), random(1, 97, 1024, seed=1)
    scaled = ATTENTIONS["scaled dot"](1024, 1024).score(queries, keys)
    assert float(scaled.std()) == pytest.approx(1, abs=0.05)
    assert float(DotAttention(1024, 1024).score(queries, keys).std()) == pytest.approx(32, rel=0.05)


# ---- what cannot be -----------------------------------------------------------------------


@every_attention
def test_shapes_that_do_not_fit(name: str) -> None:
    attention = made(name)
    queries, keys, values, mask = inputs_of(attention)
    prepared = attention.prepare(keys)
    size = attention.query_size
    for wrong in (queries[..., 1:], queries[0]):
        with pytest.raises(ValueError, match=rf"takes \(batch, target, {size}\)"):
            attention(wrong, prepared, values, mask)
    for wrong in (keys[..., 1:], keys[0]):
        with pytest.raises(ValueError, match=rf"takes \(batch, source, {attention.key_size}\)"):
            attention.prepare(wrong)
    for parts in [(queries, prepared, values[:, 1:]), (queries[1:], prepared, values)]:
        with pytest.raises(ValueError, match="one key and one value per source token"):
            attention(*parts, mask)
    for wrong in (mask[:, 1:], mask[:1], mask[..., None]):
        with pytest.raises(ValueError, match="one True or False per source token"):
            attention(queries, prepared, values, wrong)
    for wrong in (mask.double(), mask.long()):
        with pytest.raises(ValueError, match="one True or False per source token"):
            attention(queries, prepared, values, wrong)


def test_sizes_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="got 5 and 7: use GeneralAttention"):
        DotAttention(5, 7)
    with pytest.raises(ValueError, match="the query size must be at least 1, got 0"):
        AdditiveAttention(0, 3)
    with pytest.raises(ValueError, match="the key size must be at least 1, got -1"):
        AdditiveAttention(3, -1)


def test_the_four_kinds_and_their_weights() -> None:
    shapes = {
        name: {key: tuple(value.shape) for key, value in made(name).state_dict().items()}
        for name in ATTENTIONS
    }
    assert shapes["additive"] == {"v": (Q,), "W.weight": (Q, Q), "U.weight": (Q, K)}
    assert shapes["general"] == {"W.weight": (Q, K)}
    assert shapes["dot"] == shapes["scaled dot"] == {}
    assert AdditiveAttention(Q, K, 5).v.shape == (5,)
    assert str(AdditiveAttention(Q, K)).startswith(f"AdditiveAttention(\n  {Q}, {K}")
