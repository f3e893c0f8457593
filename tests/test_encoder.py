"""The encoder: what it leaves of a source, by hand, one by one, and at padding."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from minidistill.device import seeded
from minidistill.encoder import Encoder, summarise
from minidistill.recurrent import GRU, LSTM, RNN
from tests.pair_models import LAYERS, SOURCE_SIZE, E, H, OwnLSTM, close, finite, gradients

untimed = settings(deadline=None)  # other work on the machine is no fault of a test
every_layer = pytest.mark.parametrize("layer", LAYERS)
both = pytest.mark.parametrize("bidirectional", [True, False])


def encoder_of(layer: str, bidirectional: bool = True, dropout: float = 0.0) -> Encoder:
    with seeded(7):
        options = {"bidirectional": True} if bidirectional else {}
        return Encoder(SOURCE_SIZE, E, LAYERS[layer](E, H, **options), dropout).double()


# ---- the summary --------------------------------------------------------------------------


def test_summarise_by_hand() -> None:
    states = torch.arange(24.0).view(2, 3, 4)  # token s of row b: 12 b + 4 s + (0, 1, 2, 3)
    mask = torch.tensor([[True, True, False], [False, True, True]])
    # Forwards at the last real token, backwards at the first.
    assert summarise(states, mask, True).tolist() == [[4, 5, 2, 3], [20, 21, 18, 19]]
    assert summarise(states, mask, False).tolist() == [[4, 5, 6, 7], [20, 21, 22, 23]]
    mask = torch.tensor([[False, True, False], [False, False, False]])
    assert summarise(states, mask, True).tolist() == [[4, 5, 6, 7], [0, 0, 0, 0]]
    assert summarise(states, mask, False).tolist() == [[4, 5, 6, 7], [0, 0, 0, 0]]


@untimed
@given(st.integers(0, 10**6), st.booleans())
def test_summarise_takes_from_the_ends_of_what_is_real(seed: int, bidirectional: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    states = torch.randn(5, 7, 6, generator=generator)
    mask = torch.rand(5, 7, generator=generator) < 0.4
    found = summarise(states, mask, bidirectional)
    for row, real, summary in zip(states, mask, found, strict=True):
        expected = torch.zeros(6)
        if real.any():
            kept = row[real]
            expected = torch.cat([kept[-1, :3], kept[0 if bidirectional else -1, 3:]])
        assert torch.equal(summary, expected)


@every_layer
@both
def test_the_summary_is_the_layers_own_last_state(layer: str, bidirectional: bool) -> None:
    encoder = encoder_of(layer, bidirectional)
    tokens = torch.arange(15).view(3, 5)
    _, vectors, summary = encoder(tokens)
    _, last = encoder.recurrent(vectors)
    h = last[0] if isinstance(last, tuple) else last  # (D, B, H)
    close(summary, h.transpose(0, 1).flatten(1))


# ---- padding ------------------------------------------------------------------------------


@every_layer
@pytest.mark.parametrize("at_padding", [math.nan, math.inf])
def test_what_stands_at_padding_is_never_read(layer: str, at_padding: float) -> None:
    """Not even the vector of the padding token, whatever has become of it."""
    clean, dirty = encoder_of(layer), encoder_of(layer)
    with torch.no_grad():
        dirty.embedding.weight[0] = at_padding
    tokens = torch.tensor([[3, 0, 5, 0, 0], [0, 0, 7, 11, 13], [0, 0, 0, 0, 0]])
    found = []
    for encoder in (clean, dirty):
        results = encoder(tokens, tokens != 0)
        weight = sum((part * torch.arange(part.numel()).view_as(part)).sum() for part in results)
        found.append((results, gradients(encoder, weight)))
    assert finite(*found[1][0], *found[1][1].values())
    close(found[1], found[0])
    states, vectors, summary = found[1][0]
    padding = tokens == 0
    assert bool((states[padding] == 0).all() and (vectors[padding] == 0).all())
    assert bool((summary[2] == 0).all())  # a source without a real token
    assert bool((found[1][1]["embedding.weight"][0] == 0).all())


@every_layer
@both
def test_a_source_of_one_token(layer: str, bidirectional: bool) -> None:
    encoder = encoder_of(layer, bidirectional)
    states, vectors, summary = encoder(torch.tensor([[11]]))
    close(vectors[0, 0], encoder.embedding.weight[11])
    close(states[0, 0], summary[0])
    alone = encoder(torch.tensor([[0, 11, 0]]), torch.tensor([[False, True, False]]))
    close(alone[2], summary)


@every_layer
def test_a_batch_of_empty_sources(layer: str) -> None:
    encoder = encoder_of(layer)
    results = encoder(torch.ones(3, 2, dtype=torch.long), torch.zeros(3, 2, dtype=torch.bool))
    assert all(bool((part == 0).all()) for part in results)
    found = gradients(encoder, sum(part.sum() for part in results))
    assert all(bool((grad == 0).all()) for grad in found.values())


def test_no_mask_is_a_mask_of_real_tokens() -> None:
    encoder, tokens = encoder_of("GRU"), torch.arange(15).view(3, 5)
    close(encoder(tokens), encoder(tokens, torch.ones(3, 5, dtype=torch.bool)))


def test_dropout_is_of_what_the_layer_reads_and_not_of_what_is_looked_up() -> None:
    encoder, tokens = encoder_of("GRU", dropout=0.6), torch.arange(15).view(3, 5)
    with seeded(1):
        states, vectors, _ = encoder(tokens)
    close(vectors, encoder.embedding(tokens))
    assert not torch.allclose(states, encoder.eval()(tokens)[0])


def test_a_layer_of_ones_own() -> None:
    with seeded(3):
        own = Encoder(SOURCE_SIZE, E, OwnLSTM(E, H, bidirectional=True)).double()
    package = Encoder(SOURCE_SIZE, E, LSTM(E, H, bidirectional=True)).double()
    package.load_state_dict(own.state_dict())
    tokens = torch.tensor([[3, 0, 5, 2, 0], [0, 0, 7, 11, 13], [0, 0, 0, 0, 0]])
    close(own(tokens, tokens != 0), package(tokens, tokens != 0))
    assert own.output_size == package.output_size == 2 * H


# ---- what cannot be -----------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [SOURCE_SIZE, -1])
def test_ids_outside_the_vocabulary(wrong: int) -> None:
    tokens = torch.tensor([[3, 5], [wrong, 2]])
    with pytest.raises(ValueError, match=f"source ids reach .* this model knows {SOURCE_SIZE}"):
        encoder_of("RNN")(tokens)


@pytest.mark.parametrize("shape", [(3, 0), (5,), (2, 3, 5)])
def test_a_batch_without_tokens_or_of_another_shape(shape: tuple) -> None:
    with pytest.raises(ValueError, match=r"source tokens have shape .* at least one step"):
        encoder_of("RNN")(torch.zeros(shape, dtype=torch.long))


@pytest.mark.parametrize(
    "mask",
    [
        torch.ones(3, 4, dtype=torch.bool),
        torch.ones(1, 5, dtype=torch.bool),
        torch.ones(3, 1, dtype=torch.bool),
        torch.ones(3, 5),
        torch.ones(3, 5, dtype=torch.long),
    ],
    ids=lambda mask: f"{tuple(mask.shape)}-{mask.dtype}",
)
@pytest.mark.parametrize("layer", ["RNN", "GRU, torch"])
def test_masks_that_do_not_fit(layer: str, mask: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="one True or False per token"):
        encoder_of(layer)(torch.zeros(3, 5, dtype=torch.long), mask)


def test_a_layer_that_reads_another_size() -> None:
    with pytest.raises(ValueError, match="reads vectors of size 7 but will be given 5"):
        Encoder(SOURCE_SIZE, 5, GRU(7, H))


def test_a_layer_that_does_not_say_whether_it_is_bidirectional_is_not() -> None:
    class Bare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.input_size, self.hidden_size, self.layer = E, H, RNN(E, H)

        def forward(self, *given: object) -> tuple:
            return self.layer(*given)

    encoder = Encoder(SOURCE_SIZE, E, Bare())
    assert encoder.output_size == H
    assert encoder(torch.zeros(3, 5, dtype=torch.long))[2].shape == (3, H)
