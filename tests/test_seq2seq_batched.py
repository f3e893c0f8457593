"""Batched equals one by one: encoder, decoder, attention, loss and writing, padding anywhere.

Sixteen kinds of model, thirteen ragged batches each: 208 random batches in all, in float64;
and 48 of them in float32.
"""

import pytest
import torch

from minidistill.batches import Pairs
from minidistill.generation import generate
from minidistill.search import beam_search
from minidistill.seq2seq import Seq2Seq
from minidistill.teacher_forcing import pair_loss, token_loss
from tests.pair_models import (
    BOS,
    EOS,
    KINDS,
    Kind,
    close,
    finite,
    gradients,
    lively,
    model_of,
    more_padding,
    name_of,
    ragged,
    remembered,
    rows,
)

BATCHES = 13
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}

every_kind = pytest.mark.parametrize("kind", KINDS, ids=name_of)
both_precisions = pytest.mark.parametrize("dtype", TOLERANCE, ids=["float64", "float32"])


def seeds(kind: Kind, dtype: torch.dtype = torch.float64) -> range:
    """Other batches for every kind; the laws are those of float64, so float32 has fewer."""
    first = 1000 * KINDS.index(kind)
    return range(first, first + (BATCHES if dtype == torch.float64 else 3))


def test_there_are_at_least_two_hundred_batches() -> None:
    assert len(KINDS) * BATCHES >= 200
    batches = [ragged(seed) for kind in KINDS for seed in seeds(kind)]
    assert sum(bool((~batch.source_mask).any()) for batch in batches) > 150
    assert sum(bool((~batch.source_mask.any(1)).any()) for batch in batches) > 10  # empty sources
    before_a_token = sum(
        bool((~batch.source_mask[:, :-1] & batch.source_mask[:, 1:]).any()) for batch in batches
    )
    assert before_a_token > 100  # padding in front of, and between, the tokens


@both_precisions
@every_kind
def test_encoder_decoder_attention_and_loss(kind: Kind, dtype: torch.dtype) -> None:
    model, atol = model_of(kind, dtype=dtype), TOLERANCE[dtype]
    for seed in seeds(kind, dtype):
        compare_with_rows(model, ragged(seed), atol)


def compare_with_rows(model: Seq2Seq, batch: Pairs, atol: float) -> None:
    """Everything that is computed of a batch is computed of each row alone."""
    memory = remembered(model, batch)
    logits, _, weights = model.decoder(batch.target_in, None, batch.target_mask, memory)
    loss, count, _ = pair_loss(model, batch)
    assert finite(*memory, logits, weights)
    total = 0.0
    for b, row in enumerate(rows(batch)):
        alone, real, written = remembered(model, row), batch.source_mask[b], batch.target_mask[b]
        own_logits, _, own_weights = model.decoder(row.target_in, None, None, alone)
        close(memory.summary[b], alone.summary[0], atol)
        close(logits[b, written], own_logits[0], atol)
        assert bool((memory.values[b, ~real] == 0).all())
        if weights is not None:
            assert bool((weights[b][:, ~real] == 0).all())  # exactly
            close(weights[b].sum(-1), torch.full_like(weights[b, :, 0], float(real.any())), 1e-6)
        if real.any():
            close(memory.keys[b, real], alone.keys[0], atol)
            close(memory.values[b, real], alone.values[0], atol)
        if real.any() and weights is not None:
            close(weights[b][written][:, real], own_weights[0], atol)
        mean, number = token_loss(own_logits, row.target_out)
        total = total + mean * number
    assert count == int(batch.target_mask.sum())
    close(loss, total / count, atol)


@both_precisions
@every_kind
def test_more_padding_changes_nothing(kind: Kind, dtype: torch.dtype) -> None:
    model, atol = model_of(kind, dtype=dtype), TOLERANCE[dtype]
    for seed in seeds(kind, dtype):
        batch = ragged(seed)
        wide = more_padding(batch, seed)
        memory, wide_memory = remembered(model, batch), remembered(model, wide)
        close(wide_memory.summary, memory.summary, atol)
        logits, _ = model(batch.target_in, None, batch.target_mask, memory=memory)
        wide_logits, _, weights = model.decoder(wide.target_in, None, wide.target_mask, wide_memory)
        real = batch.target_mask
        close(wide_logits[:, : real.size(1)][real], logits[real], atol)
        assert weights is None or bool((weights * ~wide.source_mask[:, None] == 0).all())
        close(pair_loss(model, wide)[0], pair_loss(model, batch)[0], atol)


@every_kind
def test_the_gradient_of_a_batch_is_that_of_its_rows(kind: Kind) -> None:
    model = model_of(kind)
    for seed in seeds(kind)[:2]:
        batch = ragged(seed)
        loss, count, _ = pair_loss(model, batch)
        found = gradients(model, loss)
        parts = [pair_loss(model, row)[:2] for row in rows(batch)]
        expected = gradients(model, sum(mean * n for mean, n in parts) / count)
        assert finite(*found.values())
        close(found, expected)


def up_to_eos(row: list[int]) -> list[int]:
    """The tokens of a text up to its end."""
    return row[: row.index(EOS) + 1] if EOS in row else row


@both_precisions
@every_kind
def test_greedy_and_beam_write_the_same_for_a_batch_and_for_each_row(
    kind: Kind, dtype: torch.dtype
) -> None:
    model, texts = lively(model_of(kind, dtype=dtype)), set()
    for seed in seeds(kind, dtype):
        batch = ragged(seed)
        memory, prompt = remembered(model, batch), torch.full((len(batch.source), 1), BOS)
        common = {"stop_id": EOS, "memory": memory}
        greedy = generate(model, prompt, 7, greedy=True, **common)
        beams = beam_search(model, prompt, 7, 3, length_penalty=0.6, **common)
        for b, row in enumerate(rows(batch)):
            alone = {"stop_id": EOS, "memory": remembered(model, row)}
            own = generate(model, prompt[:1], 7, greedy=True, **alone)
            assert up_to_eos(greedy[b].tolist()) == up_to_eos(own[0].tolist())
            found = beam_search(model, prompt[:1], 7, 3, length_penalty=0.6, **alone)
            close(beams.normalised[b], found.normalised[0], TOLERANCE[dtype])
            for one, other in zip(beams.tokens[b].tolist(), found.tokens[0].tolist(), strict=True):
                assert up_to_eos(one) == up_to_eos(other)
            texts.add(tuple(up_to_eos(greedy[b].tolist())))
    assert len(texts) > (2 if dtype == torch.float64 else 1)  # they do depend on the source
