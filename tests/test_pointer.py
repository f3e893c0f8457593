"""A model that copies: by hand, ragged, fed its own ids, trained, searched, refused."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from minidistill.attention import ATTENTIONS, AdditiveAttention
from minidistill.batches import IGNORE, PairBatches, Pairs
from minidistill.checkpoints import CheckpointError
from minidistill.device import seeded
from minidistill.distilling import distill
from minidistill.generation import generate
from minidistill.pair_training import HiddenSources
from minidistill.pointer import PointerSeq2Seq
from minidistill.recurrent import GRU, LSTM
from minidistill.search import beam_search, exhaustive_search
from minidistill.seq2seq import Memory, Seq2Seq
from minidistill.seq2seq_checkpoints import Trained, load_seq2seq_model, save_seq2seq_model
from minidistill.teacher_forcing import ScheduledSampling, pair_loss
from minidistill.training import Recipe, evaluate, fit
from minidistill.transduction import transduce
from minidistill.vocabulary import WordVocabulary
from tests.pair_models import (
    EOS,
    KINDS,
    LAYERS,
    SOURCE_SIZE,
    SPECIAL,
    Kind,
    OwnAttention,
    OwnLSTM,
    close,
    finite,
    gradients,
    lively,
    more_padding,
    name_of,
    ragged,
    remembered,
    rows,
)
from tests.pair_models import TARGET_SIZE as V
from tests.pointer_parts import loop_mixture

E, H = 5, 7
PLACES = SOURCE_SIZE - V  # so that the ids of `ragged` sources are extended ids
every_kind = pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if kind.attention], ids=name_of
)


# ---- the model ----------------------------------------------------------------------------


def pointer_of(kind: Kind, seed: int = 5, dtype: torch.dtype = torch.float64) -> PointerSeq2Seq:
    """A model with random weights, in eval mode."""
    with seeded(seed):
        model = PointerSeq2Seq(
            V, E, H, LAYERS[kind.layer], ATTENTIONS[kind.attention], places=PLACES, **kind.options
        )
    return model.to(dtype).eval()


def copyable(seed: int, empty: bool = True) -> Pairs:
    """A ragged batch in which some target words are temporary ids."""
    batch = ragged(seed, empty)
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(V, V + PLACES, batch.target_in.shape, generator=generator)
    new = torch.rand(ids.shape, generator=generator) < 0.3
    new = new & batch.target_mask & (batch.target_out != EOS) & (batch.target_out != IGNORE)
    target_out = torch.where(new, ids, batch.target_out)
    target_in = torch.cat([batch.target_in[:, :1], target_out[:, :-1]], dim=1)
    target_in = torch.where(batch.target_mask, target_in, batch.target_in)
    return batch._replace(target_in=target_in, target_out=target_out)


@every_kind
def test_the_model_by_hand(kind: Kind) -> None:
    """Its parts give states, contexts and weights; gate and mixture are written out here."""
    model, batch = pointer_of(kind), copyable(7)
    memory, d = remembered(model, batch), model.decoder
    read = batch.target_in.masked_fill(batch.target_in >= V, 0)
    y = d.embedding.weight[read]
    inside = Memory(*memory[:-1])
    steps = d._one_by_one if d.reader is None else d._all_at_once
    said, contexts, weights, _ = steps(y, None, batch.target_mask, inside)
    w = model.gate.weight[0]
    w_s, w_c, w_y = w[:H], w[H : H + contexts.size(-1)], w[H + contexts.size(-1) :]
    gate = torch.sigmoid(contexts @ w_c + said @ w_s + y @ w_y + model.gate.bias)
    logits, _, _ = d(read, None, batch.target_mask, inside)
    expected = loop_mixture(logits, weights, gate, batch.source, V + PLACES, batch.source_mask)
    found, _ = model(batch.target_in, None, batch.target_mask, memory=memory)
    close(found.exp(), expected, atol=1e-12)
    close(model.look(batch.target_in, memory, batch.target_mask), weights)
    close(model.copied(batch.target_in, memory, batch.target_mask), 1 - gate)
    assert model.vocab_size == V + PLACES == found.size(-1)


@every_kind
def test_a_batch_is_its_rows_one_by_one(kind: Kind) -> None:
    model = pointer_of(kind)
    for seed in range(5):
        batch = copyable(seed)
        padded = more_padding(batch, seed)
        total, every = 0.0, []
        for row in rows(batch):
            loss, count, _ = pair_loss(model, row)
            total += loss * count
            scores, _ = model(row.target_in, None, row.target_mask, memory=remembered(model, row))
            every.append(scores[0])
        for one in (batch, padded):
            loss, count, _ = pair_loss(model, one)
            close(loss * count, total, atol=1e-9)
            memory = remembered(model, one)
            scores, _ = model(one.target_in, None, one.target_mask, memory=memory)
            close(scores[one.target_mask], torch.cat(every), atol=1e-9)
            assert finite(*gradients(model, loss).values())
        both = [gradients(model, pair_loss(model, one)[0]) for one in (batch, padded)]
        close(*both, atol=1e-9)


@every_kind
def test_all_at_once_is_token_by_token(kind: Kind) -> None:
    model, batch = pointer_of(kind), copyable(7)
    memory = remembered(model, batch)
    every, state = [], None
    for t in range(batch.target_in.size(1)):
        place = slice(t, t + 1)
        scores, state = model(
            batch.target_in[:, place], state, batch.target_mask[:, place], memory=memory
        )
        every.append(scores)
    close(torch.cat(every, 1), model(batch.target_in, None, batch.target_mask, memory=memory)[0])


def test_a_temporary_id_is_read_as_unknown() -> None:
    with seeded(1):
        model = PointerSeq2Seq(V, E, H, GRU, places=PLACES, unknown_id=4).eval()
    source = torch.tensor([[V, 3, V + 2, V]])
    one, other = model.encode(source), model.encode(torch.tensor([[4, 3, 4, 4]]))
    close(one[:4], other[:4])
    assert torch.equal(one.source, source)
    fed = torch.tensor([[1, V + 1, 5, V]])
    close(model(fed, memory=one)[0], model(torch.tensor([[1, 4, 5, 4]]), memory=one)[0])
    # And what is read decides nothing about which of the unknown words is written.
    p = model(fed, memory=one)[0].exp()
    assert bool((p[..., V] > 0).all()) and bool((p[..., V + 1] < 1e-30).all())
    share = model.copied(fed, one)
    close(p[..., V:].sum(-1), share * model.look(fed, one)[..., [0, 2, 3]].sum(-1), atol=1e-6)


def test_a_gate_that_is_open_is_the_model_without_copying() -> None:
    kind = Kind("LSTM", "additive", {"tied": True})
    model, batch = pointer_of(kind), ragged(3)
    with seeded(0):
        plain = Seq2Seq(V, V, E, H, LSTM, AdditiveAttention, tied=True, shared=True).double()
    weights = {k: v for k, v in model.state_dict().items() if not k.startswith("gate")}
    plain.load_state_dict(weights)
    with torch.no_grad():
        model.gate.bias.fill_(700.0)
    read = batch._replace(source=batch.source.masked_fill(batch.source >= V, 0))
    one = model(batch.target_in, memory=remembered(model, batch))[0]
    other = plain.eval()(read.target_in, memory=remembered(plain, read))[0]
    close(one[..., :V], other.log_softmax(-1))
    close(pair_loss(model, batch)[0], pair_loss(plain, read)[0])


def test_ones_own_layer_and_attention() -> None:
    with seeded(4):
        own = PointerSeq2Seq(V, E, H, OwnLSTM, OwnAttention, places=PLACES).double().eval()
    package = PointerSeq2Seq(V, E, H, LSTM, places=PLACES).double().eval()
    package.load_state_dict(own.state_dict())
    batch = copyable(2)
    close(pair_loss(own, batch)[0], pair_loss(package, batch)[0])


def test_a_source_without_a_token_leaves_the_vocabulary() -> None:
    model = pointer_of(Kind("GRU", "additive", {}))
    mask = torch.tensor([[True, True, False], [False, False, False]])
    memory = model.encode(torch.tensor([[V, 3, V + 1], [V, V, V]]), mask)
    p = model(torch.ones(2, 5, dtype=torch.long), memory=memory)[0].exp()
    close(p.sum(-1), torch.ones(2, 5, dtype=torch.float64))
    assert bool((p[0, :, V] > 0).all())
    close(p[0, :, V + 1], torch.zeros(5, dtype=torch.float64))
    close(p[1, :, V:], torch.zeros(5, PLACES, dtype=torch.float64))


def test_half_precision_while_training() -> None:
    model, batch = pointer_of(Kind("GRU", "additive", {}), dtype=torch.float32), copyable(2)
    exact = pair_loss(model, batch)[0]
    with torch.autocast("cpu", torch.bfloat16):
        half = pair_loss(model, batch)[0]
    close(half, exact, atol=0.03)
    assert finite(*gradients(model, half).values())


def test_half_precision_does_not_close_the_gate() -> None:
    model, batch = pointer_of(Kind("GRU", "additive", {}), dtype=torch.float32), copyable(2, False)
    with torch.no_grad():
        model.gate.weight.zero_()
        model.gate.bias.fill_(8.0)
    with torch.autocast("cpu", torch.bfloat16):
        copied = model.copied(batch.target_in, remembered(model, batch))
    close(copied, torch.full_like(copied, 1 / (1 + math.exp(8))), atol=1e-6)


# ---- training, writing, distilling: nothing there knows of copying -----------------------------


def test_every_way_to_train_takes_it() -> None:
    pairs = [([V + i % 3, 3, V + (i + 1) % 3, 4], [V + (i + 1) % 3, 5]) for i in range(23)]
    batches = PairBatches(pairs, 5, **SPECIAL)
    model = pointer_of(Kind("GRU", "additive", {}), dtype=torch.float32)
    before = evaluate(model, batches, pair_loss)
    hidden = HiddenSources(0.5, batches)  # the word to be copied may be hidden: still finite
    for loss in (pair_loss, ScheduledSampling(lambda step: 0.5), hidden):
        history = fit(model, batches, Recipe(steps=7), loss=loss, progress=False)
        assert all(map(math.isfinite, history.losses))
    assert evaluate(model, batches, pair_loss) < before
    student = pointer_of(Kind("RNN", "additive", {}), seed=3, dtype=torch.float32)
    history = distill(model, student, batches, Recipe(steps=3), alone=99.0, progress=False)
    assert all(map(math.isfinite, history.losses))


@pytest.mark.parametrize("width", [1, 3])
def test_what_is_written_does_not_depend_on_the_batch(width: int) -> None:
    model = lively(pointer_of(Kind("GRU", "additive", {}), seed=8))
    generator = torch.Generator().manual_seed(0)
    sources = [
        torch.randint(3, V + PLACES, (n,), generator=generator).tolist()
        for n in (1, 7, 3, 5, 5, 2, 11, 3)
    ]
    ids = {"bos_id": 1, "eos_id": 2, "padding_id": 0}
    alone, *others = (
        transduce(model, sources, 6, width=width, batch_size=size, **ids) for size in (1, 3, 64)
    )
    assert all(other == alone for other in others)
    for source, written in zip(sources, alone, strict=True):
        assert {i for i in written if i >= V} <= set(source)
    assert any(i >= V for row in alone for i in row)
    drawn = transduce(model, sources, 6, generator=torch.Generator().manual_seed(1), **ids)
    for source, written in zip(sources, drawn, strict=True):
        assert {i for i in written if i >= V} <= set(source)


def test_a_beam_that_is_wide_enough_finds_the_best() -> None:
    with seeded(2):
        model = lively(PointerSeq2Seq(3, E, H, GRU, places=2).double().eval())
    memory = model.encode(torch.tensor([[3, 1, 4], [2, 3, 0]]), torch.tensor([[True] * 3] * 2))
    start = torch.ones(2, 1, dtype=torch.long)
    wide = beam_search(model, start, 3, 25, memory=memory)
    best = exhaustive_search(model, start, 3, memory=memory)
    assert torch.equal(wide.tokens[:, :1], best.tokens)
    close(wide.scores[:, :1], best.scores)
    greedy = generate(model, start, 3, greedy=True, memory=memory)
    narrow = beam_search(model, start, 3, 1, memory=memory)
    assert torch.equal(narrow.tokens[:, 0], greedy)


# ---- what cannot be -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "call"),
    [
        ("needs an attention", lambda: PointerSeq2Seq(V, E, H, GRU, None)),
        ("at least 1, got 0", lambda: PointerSeq2Seq(V, E, H, GRU, places=0)),
        ("unknown_id is 13", lambda: PointerSeq2Seq(V, E, H, GRU, unknown_id=V)),
        ("reads a source first", lambda: _small()(_ones())),
        ("does not hold the source's ids", lambda: _small()(_ones(), memory=_memory()[:-1])),
        ("one row of tokens", lambda: _small()(_ones(3), memory=_memory())),
        ("target ids reach 17", lambda: _small()(_ones() * (V + PLACES), memory=_memory())),
        ("source ids reach 17", lambda: _small().encode(_ones() * (V + PLACES))),
    ],
)
def test_refused(message: str, call: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def _small() -> PointerSeq2Seq:
    with seeded(0):
        return PointerSeq2Seq(V, E, H, GRU, places=PLACES)


def _ones(rows: int = 2) -> Tensor:
    return torch.ones(rows, 3, dtype=torch.long)


def _memory() -> tuple:
    return _small().encode(_ones())


def test_saved_and_loaded_it_copies_the_same(tmp_path: Path) -> None:
    vocabulary = WordVocabulary.build("a b c d e f g")
    with seeded(3):
        model = PointerSeq2Seq(len(vocabulary), 5, 7, GRU, places=3, tied=True).eval()
    save_seq2seq_model(tmp_path, Trained(model, vocabulary, vocabulary), {"name": "test"})
    loaded = load_seq2seq_model(tmp_path).model
    source, tokens = torch.tensor([[1, len(vocabulary) + 1, 2]]), torch.tensor([[3, 4]])
    want = model(tokens, memory=model.encode(source))[0]
    assert torch.equal(loaded(tokens, memory=loaded.encode(source))[0], want)

    class Own(PointerSeq2Seq):
        """A class of one's own cannot be built again by its name."""

    own = Own(len(vocabulary), 5, 7, GRU, places=3)
    with pytest.raises(CheckpointError, match="one of your own, 'Own'"):
        save_seq2seq_model(tmp_path, Trained(own, vocabulary, vocabulary), {})
