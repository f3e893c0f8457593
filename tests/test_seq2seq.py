"""Encoder and decoder together: both orders of the decoder, parts of one's own, what cannot be."""

import pytest
import torch
from torch import Tensor, nn

from minidistill.attention import AdditiveAttention, GeneralAttention
from minidistill.batches import PairBatches, Pairs
from minidistill.device import seeded
from minidistill.generation import generate
from minidistill.recurrent import GRU, LSTM, RNN
from minidistill.seq2seq import Decoder, Memory, Seq2Seq
from minidistill.teacher_forcing import pair_loss
from tests.pair_models import (
    BOS,
    EOS,
    KINDS,
    LAYERS,
    SOURCE_SIZE,
    SPECIAL,
    TARGET_SIZE,
    E,
    H,
    Kind,
    OwnAttention,
    OwnLSTM,
    close,
    finite,
    gradients,
    model_of,
    name_of,
    ragged,
    remembered,
)

every_kind = pytest.mark.parametrize("kind", KINDS, ids=name_of)
SIZES = (SOURCE_SIZE, TARGET_SIZE, E, H)


# ---- the decoder's two orders -------------------------------------------------------------


@every_kind
@pytest.mark.parametrize("masked", [True, False])
def test_all_at_once_is_token_by_token(kind: Kind, masked: bool) -> None:
    model, batch = model_of(kind), ragged(7)
    memory, mask = remembered(model, batch), batch.target_mask if masked else None
    logits, state = model(batch.target_in, None, mask, memory=memory)
    weights = model.look(batch.target_in, memory, mask)
    steps, looks, carried = [], [], None
    for t in range(batch.target_in.size(1)):
        now = None if mask is None else mask[:, t : t + 1]
        said, carried, looked = model.decoder(batch.target_in[:, t : t + 1], carried, now, memory)
        steps.append(said)
        looks.append(looked)
    close(torch.cat(steps, dim=1), logits)
    assert (weights is None) == (kind.attention is None)
    if weights is not None:
        close(torch.cat(looks, dim=1), weights)
    assert _flat(state) and len(_flat(carried)) == len(_flat(state))
    for one, other in zip(_flat(carried), _flat(state), strict=True):
        close(one, other)
        assert one.size(1) == len(batch.source)  # the protocol: dimension 1 is the batch


def _flat(state: object) -> list[Tensor]:
    if state is None:
        return []
    return [state] if isinstance(state, Tensor) else [t for part in state for t in _flat(part)]


@every_kind
def test_no_token_sees_the_ones_after_it(kind: Kind) -> None:
    model, batch = model_of(kind), ragged(7)
    memory = remembered(model, batch)
    tokens = torch.arange(7 * len(batch.source)).view(-1, 7) % TARGET_SIZE
    changed = tokens.clone()
    changed[:, 3:] = (changed[:, 3:] + 1) % TARGET_SIZE
    before, after = (model(t, memory=memory)[0] for t in (tokens, changed))
    close(after[:, :3], before[:, :3])
    assert not torch.allclose(after[:, 3:], before[:, 3:])


def test_the_papers_order_by_hand() -> None:
    """reader=False: look with the writer's last state, write with [E y_t; c_t]."""
    model, batch = model_of(Kind("RNN", "general", {"reader": False})), ragged(7)
    memory, d = remembered(model, batch), model.decoder
    W_ih, W_hh, b_ih, b_hh = (
        getattr(d.writer, f"{name}_l0") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    h, expected = torch.zeros(len(batch.source), H, dtype=torch.float64), []
    for t in range(batch.target_in.size(1)):
        scores = (memory.keys @ h[:, :, None])[:, :, 0].masked_fill(~memory.mask, -1e300)
        context = (scores.softmax(-1)[:, :, None] * memory.values).sum(1)
        context = context * memory.mask.any(1)[:, None]
        x = torch.cat([d.embedding.weight[batch.target_in[:, t]], context], dim=1)
        h = torch.tanh(x @ W_ih.T + b_ih + h @ W_hh.T + b_hh)
        expected.append(d.readout(d.project(torch.cat([h, context], dim=1))))
    close(model(batch.target_in, memory=memory)[0], torch.stack(expected, dim=1))


def test_without_attention_the_summary_stands_beside_every_step() -> None:
    model, batch = model_of(Kind("GRU", None, {})), ragged(7)
    memory = remembered(model, batch)
    only = Memory(memory.summary, *(torch.full_like(t, 5) for t in memory[1:3]), memory.mask)
    close(model(batch.target_in, memory=only)[0], model(batch.target_in, memory=memory)[0])
    other = memory._replace(summary=memory.summary + 1)
    difference = model(batch.target_in, memory=other)[0] - model(batch.target_in, memory=memory)[0]
    assert bool((difference.abs().amax(-1) > 1e-4).all())
    assert model.look(batch.target_in, memory) is None


def test_values_are_states_or_the_tokens_vectors() -> None:
    batch = ragged(7)
    real = batch.source_mask
    for values in ("states", "embeddings"):
        model = model_of(Kind("GRU", "additive", {"values": values}))
        states, vectors, summary = model.encoder(batch.source, real)
        memory = remembered(model, batch)
        close(memory.values, states if values == "states" else vectors)
        close((memory.summary, memory.keys), (summary, model.decoder.attention.U(states)))
        assert torch.equal(memory.mask, real)


# ---- options ------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"tied": True}, {"shared": True}, {"tied": True, "shared": 1}])
def test_tied_and_shared_tables_are_one_table(options: dict) -> None:
    with seeded(3):
        model = Seq2Seq(13, 13, E, H, GRU, AdditiveAttention, **options)
    plain = Seq2Seq(13, 13, E, H, GRU, AdditiveAttention)
    saved = sum(p.numel() for p in plain.parameters()) - sum(p.numel() for p in model.parameters())
    assert saved == 13 * E * len(options)
    table = model.decoder.embedding.weight
    assert (model.decoder.readout.weight is table) == ("tied" in options)
    assert (model.encoder.embedding.weight is table) == ("shared" in options)
    if "tied" in options:
        assert float(table.detach().std()) == pytest.approx(E**-0.5, rel=0.35)
    batch = ragged(7)._replace(source=ragged(7).source % 13)
    loss, _, _ = pair_loss(model, batch)
    loss.backward()
    assert finite(table.grad) and bool((table.grad != 0).any())


def test_dropout_is_on_only_while_training() -> None:
    model, batch = model_of(Kind("GRU", "additive", {"dropout": 0.3})), ragged(7)
    still = [pair_loss(model, batch)[0] for _ in range(2)]
    model.train()
    shaken = [pair_loss(model, batch)[0] for _ in range(2)]
    assert still[0] == still[1] and shaken[0] != shaken[1] and still[0] not in shaken


# ---- parts of one's own -------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"values": "embeddings"}, {"reader": False}])
def test_ones_own_layer_and_attention_give_the_same(options: dict) -> None:
    """Logits, loss, gradients and the written text, with the same weights."""
    with seeded(4):
        own = Seq2Seq(*SIZES, OwnLSTM, OwnAttention, **options).double().eval()
    package = Seq2Seq(*SIZES, LSTM, AdditiveAttention, **options).double().eval()
    package.load_state_dict(own.state_dict())
    for seed in range(3):
        batch = ragged(seed)
        memories = [remembered(model, batch) for model in (own, package)]
        both = list(zip((own, package), memories, strict=True))
        real = batch.target_mask
        logits = [model(batch.target_in, None, real, memory=m)[0][real] for model, m in both]
        close(*logits)
        close(*[model.look(batch.target_in, m, real)[real] for model, m in both])
        losses = [pair_loss(model, batch)[0] for model, _ in both]
        close(*losses)
        close(*[gradients(model, loss) for (model, _), loss in zip(both, losses, strict=True)])
        start = torch.full((len(batch.source), 1), BOS)
        texts = [generate(model, start, 5, greedy=True, stop_id=EOS, memory=m) for model, m in both]
        assert torch.equal(*texts)


# ---- what cannot be, and sources that are hardly there ---------------------------------------


@every_kind
def test_empty_sources_and_sources_of_one_token(kind: Kind) -> None:
    model = model_of(kind)
    source = torch.tensor([[3, 5, 7], [11, 0, 0], [0, 0, 0]])
    mask = torch.tensor([[True, True, True], [True, False, False], [False, False, False]])
    target_in = torch.tensor([[BOS, 3, 4], [BOS, 5, 6], [BOS, 7, 8]])
    batch = Pairs(source, mask, target_in, target_in.roll(-1, 1), torch.ones_like(mask))
    loss, _, _ = pair_loss(model, batch)
    assert finite(loss, *gradients(model, loss).values())
    weights = model.look(target_in, remembered(model, batch))
    if weights is not None:
        close(weights[1, :, 0], torch.ones(3, dtype=torch.float64))
        assert bool((weights[2] == 0).all())


@every_kind
def test_a_batch_of_nothing_but_empty_sources(kind: Kind) -> None:
    model, batch = model_of(kind), ragged(7)
    batch = batch._replace(source_mask=torch.zeros_like(batch.source_mask))
    loss, _, _ = pair_loss(model, batch)
    assert finite(loss, *gradients(model, loss).values())


@pytest.mark.parametrize("layer", LAYERS)
def test_ids_outside_either_vocabulary(layer: str) -> None:
    model = model_of(Kind(layer, "additive", {}))
    with pytest.raises(ValueError, match=f"source ids reach {SOURCE_SIZE} .* {SOURCE_SIZE} tokens"):
        model.encode(torch.tensor([[3, SOURCE_SIZE]]))
    memory = model.encode(torch.tensor([[3, 5]]))
    for wrong, reach in [(TARGET_SIZE, TARGET_SIZE), (-1, 2)]:
        with pytest.raises(ValueError, match=f"target ids reach {reach} .* {TARGET_SIZE} tokens"):
            model(torch.tensor([[2, wrong]]), memory=memory)


def test_batches_without_tokens() -> None:
    model = model_of(Kind("GRU", "additive", {}))
    with pytest.raises(ValueError, match=r"source tokens have shape .* at least one step"):
        model.encode(torch.zeros(3, 0, dtype=torch.long))
    memory = model.encode(torch.zeros(3, 5, dtype=torch.long))
    with pytest.raises(ValueError, match=r"target tokens have shape .* at least one step"):
        model(torch.zeros(3, 0, dtype=torch.long), memory=memory)
    with pytest.raises(ValueError, match="target of 4 tokens but max_length is 3"):
        PairBatches([([5], [3, 4, 5, 6])], 1, max_length=3, **SPECIAL)


@pytest.mark.parametrize("call", ["forward", "look"])
def test_a_missing_memory_or_one_of_another_batch(call: str) -> None:
    model, tokens = model_of(Kind("GRU", "additive", {})), torch.zeros(3, 5, dtype=torch.long)
    run = model if call == "forward" else model.look
    with pytest.raises(ValueError, match=r"memory = model.encode\(source, mask\)"):
        run(tokens, memory=None)
    for memory in (model.encode(tokens[:2]), model.encode(tokens[:1])):
        with pytest.raises(ValueError, match="one row of tokens for each source"):
            run(tokens, memory=memory)
    with pytest.raises(ValueError, match="one row of tokens for each source"):
        run(tokens[0], memory=model.encode(tokens))


@pytest.mark.parametrize("options", [{}, {"reader": False}])
def test_a_mask_of_another_shape(options: dict) -> None:
    model, batch = model_of(Kind("GRU", "additive", options)), ragged(7)
    memory = remembered(model, batch)
    for wrong in (batch.target_mask[:, 1:], batch.target_mask[1:], batch.target_mask.double()):
        with pytest.raises(ValueError, match="one True or False per token"):
            model(batch.target_in, None, wrong, memory=memory)


def test_parts_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="'states' or 'embeddings', not 'keys'"):
        Seq2Seq(*SIZES, GRU, AdditiveAttention, values="keys")
    with pytest.raises(ValueError, match="source_size is 17 and target_size 13"):
        Seq2Seq(*SIZES, GRU, shared=True)
    with pytest.raises(ValueError, match="the decoder's writer reads vectors of size 5"):
        Decoder(TARGET_SIZE, E, RNN(5, H), H, RNN(E, H))
    with pytest.raises(ValueError, match="the decoder's reader reads vectors of size 3"):
        Decoder(TARGET_SIZE, E, RNN(2 * H, H), H, RNN(3, H))
    with pytest.raises(ValueError, match="must not be bidirectional"):
        Decoder(TARGET_SIZE, E, RNN(2 * H, H), H, RNN(E, H, bidirectional=True))


def test_an_attention_made_by_a_function() -> None:
    """What is given for a layer or an attention may be any callable."""

    def small(query_size: int, key_size: int) -> nn.Module:
        return AdditiveAttention(query_size, key_size, 3)

    model = Seq2Seq(*SIZES, lambda i, h, **options: GRU(i, h, num_layers=2, **options), small)
    assert model.decoder.attention.v.shape == (3,) and model.encoder.recurrent.num_layers == 2
    batch = ragged(7)
    assert finite(pair_loss(model, batch)[0])
    assert isinstance(Seq2Seq(*SIZES, RNN, GeneralAttention).decoder.attention, GeneralAttention)
