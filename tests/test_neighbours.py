"""Attention to neighbours as an input layer: by hand, at padding, and inside a Seq2Seq."""

import math
from functools import partial
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from minidistill.attention import AdditiveAttention
from minidistill.checkpoints import CheckpointError
from minidistill.device import seeded
from minidistill.embeddings import EqualWeights, MeanQueryAttention
from minidistill.encoder import Encoder
from minidistill.gru import GRU
from minidistill.neighbours import NeighbourAttention
from minidistill.pairs import SPECIALS
from minidistill.pointer import PointerSeq2Seq
from minidistill.seq2seq import Seq2Seq
from minidistill.seq2seq_checkpoints import Trained, load_seq2seq_model, save_seq2seq_model
from minidistill.vocabulary import CharacterVocabulary
from tests.pair_models import (
    BOS,
    EOS,
    PADDING,
    SOURCE_SIZE,
    TARGET_SIZE,
    E,
    H,
    close,
    finite,
    ragged,
    rows,
)
from tests.training_parts import same_weights

WINDOW = 2


def lively(window: int = WINDOW, seed: int = 3, gate: bool = True) -> NeighbourAttention:
    """One that has learned something, in float64."""
    layer = NeighbourAttention(E, window).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_(generator=torch.Generator().manual_seed(seed))
        layer.gate.mul_(gate)
    return layer


def batch_of(seed: int = 0, batch: int = 5, time: int = 7) -> tuple[Tensor, Tensor]:
    """Vectors (B, T, E) and a mask with holes; the last row is all padding."""
    g = torch.Generator().manual_seed(seed)
    mask = torch.rand(batch, time, generator=g) < 0.7
    mask[0], mask[-1] = True, batch == 1
    return torch.randn(batch, time, E, generator=g, dtype=torch.float64), mask


def by_loop(layer: NeighbourAttention, vectors: Tensor, mask: Tensor) -> Tensor:
    """The formula, one token at a time."""
    found, window, attention = torch.zeros_like(vectors), layer.window, layer.attention
    offsets = [o for o in range(-window, window + 1) if o]
    for b, t in mask.nonzero().tolist():
        near = [(c, t + o) for c, o in enumerate(offsets) if 0 <= t + o < mask.size(1)]
        near = [(c, i) for c, i in near if mask[b, i]]
        own = [(attention.query[c] @ vectors[b, i] + attention.bias[c]).exp() for c, i in near]
        said = sum(
            (z / sum(own) * vectors[b, i] for z, (_, i) in zip(own, near, strict=True)),
            torch.zeros(E, dtype=torch.float64),
        )
        found[b, t] = vectors[b, t] + layer.gate * said
    return found.detach()


# ---- the layer -------------------------------------------------------------------------------


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 7), st.integers(1, 5))
def test_it_is_the_formula(seed: int, batch: int, time: int, window: int) -> None:
    layer, (vectors, mask) = lively(window, seed), batch_of(seed, batch, time)
    close(layer(vectors, mask), by_loop(layer, vectors, mask))
    close(layer(vectors), by_loop(layer, vectors, torch.ones_like(mask)))


def test_a_case_by_hand() -> None:
    # One number a token, window 1: scores are ln 2 for the left and 0 for the right neighbour.
    layer = NeighbourAttention(1, 1)
    with torch.no_grad():
        layer.gate.fill_(10.0)
        layer.attention.bias[0] = math.log(2)
    vectors = torch.tensor([[[3.0], [6.0], [9.0], [5.0]]])
    mask = torch.tensor([[True, True, True, False]])
    expected = [3 + 10 * 6, 6 + 10 * (2 / 3 * 3 + 1 / 3 * 9), 9 + 10 * 6, 0]
    assert layer(vectors, mask).flatten().tolist() == pytest.approx(expected, rel=1e-5)
    alpha = [[0, 1], [2 / 3, 1 / 3], [1, 0]]
    torch.testing.assert_close(layer.weights(vectors, mask)[0, :3], torch.tensor(alpha))
    assert layer(vectors[:, :1]).tolist() == [[[3.0]]]  # no neighbour


def test_at_the_start_it_changes_nothing_but_learns() -> None:
    (vectors, mask), layer = batch_of(), NeighbourAttention(E, WINDOW).double()
    found = layer(vectors, mask)
    assert torch.equal(found, vectors.masked_fill(~mask[:, :, None], 0.0))
    found.square().sum().backward()
    assert bool(layer.gate.grad.all()) and finite(*(p.grad for p in layer.parameters()))


def test_weights_add_up_to_one_where_there_is_a_neighbour() -> None:
    (vectors, mask), layer = batch_of(), lively()
    weights = layer.weights(vectors, mask)
    assert weights.shape == (5, 7, 2 * WINDOW)
    some = torch.zeros_like(mask)
    for o in (-2, -1, 1, 2):
        for t in range(7):
            some[:, t] |= mask[:, t + o] if 0 <= t + o < 7 else False
    close(weights.sum(-1), some.double())


def test_what_stands_at_padding_is_never_read() -> None:
    vectors, mask = batch_of()
    expected: list[Tensor] = []
    for what in (0.0, math.nan, math.inf, 1e30):
        layer = lively()
        dirty = vectors.masked_fill(~mask[:, :, None], what).requires_grad_()
        found = layer(dirty, mask)
        found.square().sum().backward()
        formula = NeighbourAttention(E, WINDOW, MeanQueryAttention())
        parts = [found, layer.weights(dirty, mask), formula.weights(dirty, mask), dirty.grad]
        parts += [p.grad for p in layer.parameters()]
        assert finite(*parts) and not bool(found[~mask].any()) and not bool(dirty.grad[~mask].any())
        expected = expected or parts
        close(parts, expected)


def test_batched_is_one_by_one() -> None:
    g, layer = torch.Generator().manual_seed(1), lively()
    texts = [torch.randn(n, E, generator=g, dtype=torch.float64) for n in (7, 1, 3, 5)]
    padded = nn.utils.rnn.pad_sequence(texts, batch_first=True)
    mask = torch.arange(7) < torch.tensor([7, 1, 3, 5])[:, None]
    for row, text in zip(layer(padded, mask), texts, strict=True):
        close(row[: len(text)], layer(text[None])[0])
        assert not bool(row[len(text) :].any())


def test_an_attention_of_ones_own() -> None:
    layer = NeighbourAttention(E, WINDOW, EqualWeights())
    nn.init.ones_(layer.gate)
    vectors = batch_of()[0].float()
    expected = vectors[:, 3] + vectors[:, [1, 2, 4, 5]].mean(1)
    torch.testing.assert_close(layer(vectors)[:, 3], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("sizes", [(0, 1), (3, 0), (-1, 2)])
def test_sizes_below_one_are_refused(sizes: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"size \(.*\) and window \(.*\) must be at least 1"):
        NeighbourAttention(*sizes)


def test_what_does_not_fit_is_refused() -> None:
    layer = NeighbourAttention(3)
    for shape in ((2, 5, 4), (5, 3)):
        with pytest.raises(ValueError, match=r"expected \(batch, time, 3\)"):
            layer(torch.zeros(shape))
    vectors = torch.zeros(2, 5, 3)
    for mask in (torch.ones(2, 4).bool(), torch.ones(2, 5), torch.ones(2, 5, 1).bool()):
        for ask in (layer, layer.weights):
            with pytest.raises(ValueError, match="one True or False per token"):
                ask(vectors, mask)


# ---- in an encoder -----------------------------------------------------------------------------


def seq2seq(context: object = None, kind: type = Seq2Seq, **options: object) -> Seq2Seq:
    sizes = (TARGET_SIZE,) if kind is PointerSeq2Seq else (SOURCE_SIZE, TARGET_SIZE)
    with seeded(5):
        model = kind(*sizes, E, H, GRU, AdditiveAttention, context=context, **options)
    return model.eval()


def with_neighbours(**options: object) -> Seq2Seq:
    model = seq2seq(partial(NeighbourAttention, window=WINDOW), **options)
    with torch.no_grad():
        for parameter in model.encoder.context.parameters():
            parameter.normal_(generator=torch.Generator().manual_seed(1))
    return model


def test_the_encoder_reads_the_changed_vectors() -> None:
    model = with_neighbours(values="embeddings").double()
    encoder, source = model.encoder, torch.tensor([[3, 5, 4, 6, 0], [7, 3, 0, 0, 0]])
    mask = torch.arange(5) < torch.tensor([[4], [2]])
    states, vectors, _ = encoder(source, mask)
    expected = encoder.context(encoder.embedding(source), mask)
    close(vectors, expected)
    close(states, encoder.recurrent(expected, None, mask)[0].masked_fill(~mask[:, :, None], 0))
    encoder.context = None
    assert not torch.allclose(encoder(source, mask)[0], states)


@pytest.mark.parametrize("seed", range(5))
def test_a_pair_alone_and_in_a_batch(seed: int) -> None:
    model, batch = with_neighbours().double(), ragged(seed, empty=False)
    # Holes among the sources would part neighbours: padding stands behind, as in all batches.
    order = (~batch.source_mask).int().argsort(dim=1, stable=True)
    source, mask = (part.gather(1, order) for part in (batch.source, batch.source_mask))
    batch = batch._replace(source=source, source_mask=mask)

    def logits(b: object) -> Tensor:
        memory = model.encode(b.source, b.source_mask)
        return model(b.target_in, mask=b.target_mask, memory=memory)[0]

    whole = logits(batch)
    for found, real, alone in zip(whole, batch.target_mask, rows(batch), strict=True):
        close(found[real], logits(alone)[0])


def test_without_a_context_nothing_has_changed() -> None:
    plain, made = seq2seq(), seq2seq(partial(NeighbourAttention, window=WINDOW))
    assert plain.encoder.context is None
    assert set(made.state_dict()) - set(plain.state_dict()) == {
        f"encoder.context.{name}" for name in ("gate", "attention.query", "attention.bias")
    }
    made.load_state_dict(plain.state_dict(), strict=False)
    source, tokens = torch.tensor([[3, 5, 4, 6]]), torch.tensor([[4, 5, 6]])
    ours, theirs = (m(tokens, memory=m.encode(source))[0] for m in (plain, made))
    assert torch.equal(ours, theirs)  # at the gate's start the vectors are as they were
    with seeded(5):
        bare = Encoder(SOURCE_SIZE, E, GRU(E, H))
    assert bare.context is None and not any("context" in name for name in bare.state_dict())


def test_a_step_moves_the_attention() -> None:
    model = with_neighbours().train()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    step, batch = torch.optim.SGD(model.parameters(), 0.1), ragged(3, empty=False)
    memory = model.encode(batch.source, batch.source_mask)
    logits = model(batch.target_in, mask=batch.target_mask, memory=memory)[0]
    real = batch.target_mask
    nn.functional.cross_entropy(logits[real], batch.target_out[real]).backward()
    step.step()
    for name in ("gate", "attention.query", "attention.bias"):
        name = f"encoder.context.{name}"
        assert not torch.equal(model.get_parameter(name), before[name]), name


# ---- files -------------------------------------------------------------------------------------

SOURCE, TARGET = (
    CharacterVocabulary.build(
        "".join(map(chr, range(97, 97 + size - 1 - len(SPECIALS)))), None, SPECIALS
    )
    for size in (SOURCE_SIZE, TARGET_SIZE)
)


@pytest.mark.parametrize("kind", [Seq2Seq, PointerSeq2Seq])
@pytest.mark.parametrize("window", [1, 3])
def test_what_is_saved_comes_back(kind: type, window: int, tmp_path: Path) -> None:
    model = seq2seq(partial(NeighbourAttention, window=window), kind)
    nn.init.normal_(model.encoder.context.gate)
    source = TARGET if kind is PointerSeq2Seq else SOURCE
    save_seq2seq_model(tmp_path, Trained(model, source, TARGET), {})
    loaded = load_seq2seq_model(tmp_path).model
    assert type(loaded) is kind and same_weights(model, loaded)
    assert loaded.encoder.context.window == window
    source_ids, tokens = torch.tensor([[3, 5, 4, 6]]), torch.tensor([[BOS, EOS, PADDING]])
    ours, theirs = (m(tokens, memory=m.encode(source_ids))[0] for m in (model, loaded))
    assert torch.equal(ours, theirs)


class Doubled(nn.Module):
    """A context of one's own."""

    def __init__(self, size: int) -> None:
        super().__init__()

    def forward(self, vectors: Tensor, mask: Tensor) -> Tensor:
        return 2 * vectors


def test_a_context_of_ones_own_works_but_is_not_saved(tmp_path: Path) -> None:
    model, source = seq2seq(Doubled, values="embeddings"), torch.tensor([[3, 5]])
    close(model.encoder(source)[1], 2 * model.encoder.embedding(source), atol=1e-6)
    with pytest.raises(CheckpointError, match="changed by a part of your own, 'Doubled', which"):
        save_seq2seq_model(tmp_path, Trained(model, SOURCE, TARGET), {})
    assert list(tmp_path.iterdir()) == []
