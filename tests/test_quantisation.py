"""int8 weights: rows by value and by law, models that keep the protocol, files, two writers."""

import copy
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from minidistill import quantisation
from minidistill.checkpoints import (
    CheckpointError,
    load_model,
    load_tensors,
    save_model,
    save_tensors,
)
from minidistill.convolution import CausalConvolution
from minidistill.device import seeded
from minidistill.generation import generate, write
from minidistill.int8_engine import int8_linear, to_int8
from minidistill.language_model import LanguageModel
from minidistill.lstm import lstm_step
from minidistill.novels import load_novel
from minidistill.quantisation import (
    QuantisedModel,
    dequantise,
    dequantise_rows,
    int8_available,
    load_quantised,
    quantise,
    quantise_rows,
    save_quantised,
)
from minidistill.recurrent import GRU, LSTM, RNN, rnn_step
from minidistill.vocabulary import CharacterVocabulary
from minidistill.writers import load_writer
from tests.training_parts import Means

VOCAB = 13
WEIGHTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
needs_int8 = pytest.mark.skipif(
    not int8_available(), reason="this processor does not multiply int8 numbers without errors"
)
ENGINES = ["float", pytest.param("int8", marks=needs_int8)]
STORY = "The lamp was lit, and the long road went down to the sea."


def model_of(
    kind: type = LSTM, layers: int = 2, tied: bool = False, seed: int = 0
) -> LanguageModel:
    """A model whose weights are large enough for its states to differ from token to token."""
    with seeded(seed):
        layer = kind(7, 7 if tied else 11, layers, dropout=0.3 if layers > 1 else 0.0)
        model = LanguageModel(VOCAB, 7, layer, dropout=0.2, tied=tied)
        for weight in model.parameters():
            nn.init.normal_(weight, std=0.5)
    return model


def tokens_of(*sizes: int, seed: int = 0) -> Tensor:
    return torch.randint(VOCAB, sizes, generator=torch.Generator().manual_seed(seed))


# ---- rows -----------------------------------------------------------------------------------


def test_rows_by_value() -> None:
    weight = torch.tensor(
        [[2.54, -1.0, 0.03, 0.0], [0.0, 0.0, 0.0, 0.0], [-6.35, 6.35, 0.024, 1.0]]
    )
    q, scale = quantise_rows(weight)
    assert q.dtype == torch.int8 and scale.dtype == torch.float32
    torch.testing.assert_close(scale, torch.tensor([0.02, 0.0, 0.05]))
    assert q.tolist() == [[127, -50, 2, 0], [0, 0, 0, 0], [-127, 127, 0, 20]]
    again = torch.tensor([[2.54, -1.0, 0.04, 0.0], [0.0, 0.0, 0.0, 0.0], [-6.35, 6.35, 0.0, 1.0]])
    torch.testing.assert_close(dequantise_rows(q, scale), again)


@given(
    st.lists(st.floats(-9, 4), min_size=1, max_size=7),
    st.sampled_from([torch.float32, torch.float16]),
    st.integers(0, 10_000),
)
@settings(max_examples=60, deadline=None)
def test_no_weight_moves_by_more_than_half_a_scale(
    sizes: list[float], dtype: torch.dtype, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(len(sizes), 5, generator=generator) * 10 ** torch.tensor(sizes)[:, None]
    q, scale = quantise_rows(weight, dtype)
    assert scale.dtype == dtype and int(q.abs().max()) <= 127
    moved = (dequantise_rows(q, scale) - weight).abs()
    assert bool((moved <= 0.5001 * scale.float()[:, None]).all())
    # A scale is not much larger than it must be, down to the smallest number of its type.
    most = weight.abs().amax(1) / 127
    assert bool((scale.float() <= most * 1.001 + torch.finfo(dtype).smallest_normal / 1000).all())
    twice, scale_twice = quantise_rows(dequantise_rows(q, scale), torch.float32)
    assert dtype == torch.float16 or torch.equal(twice, q)
    torch.testing.assert_close(dequantise_rows(twice, scale_twice), dequantise_rows(q, scale))


def test_rows_of_several_dimensions() -> None:
    weight = torch.randn(3, 5, 2, generator=torch.Generator().manual_seed(0))
    q, scale = quantise_rows(weight)
    flat, same = quantise_rows(weight.flatten(1))
    assert q.shape == weight.shape and torch.equal(q.flatten(1), flat) and torch.equal(scale, same)
    assert torch.equal(dequantise_rows(q, scale).flatten(1), dequantise_rows(flat, scale))


def test_weights_that_cannot_be_stored_are_refused() -> None:
    for wrong in (math.nan, math.inf):
        with pytest.raises(ValueError, match="not a finite number"):
            quantise_rows(torch.tensor([[1.0, wrong]]))
    with pytest.raises(ValueError, match=r"1e\+07, too large for scales of torch.float16"):
        quantise_rows(torch.tensor([[1e7]]), torch.float16)
    with pytest.raises(ValueError, match=r"torch.float32 or torch.float16, not torch.float64"):
        quantise_rows(torch.ones(1, 1), torch.float64)
    model = model_of()
    with torch.no_grad():
        model.recurrent.weight_hh_l1[3, 2] = math.nan
    with pytest.raises(ValueError, match=r"recurrent\.weight_hh_l1: a weight is not a finite"):
        quantise(model)


# ---- products of whole numbers --------------------------------------------------------------


@needs_int8
def test_a_product_by_value() -> None:
    q, scale = to_int8(torch.tensor([[1.27, -0.5], [0.0, 0.0]]))
    assert q.tolist() == [[127, -50], [0, 0]] and q.dtype == torch.int8
    weight = torch.tensor([[3, 1], [-127, 127], [0, 2]], dtype=torch.int8)
    scales, bias = torch.tensor([0.5, 0.01, 2.0]), torch.tensor([0.1, 0.2, 0.3])
    found = int8_linear(q, scale, (weight.t(), scales, bias))
    wanted = [[0.1 + 0.5 * 3.31, 0.2 + 0.01 * -224.79, 0.3 + 2 * -1.0], [0.1, 0.2, 0.3]]
    torch.testing.assert_close(found, torch.tensor(wanted))


@needs_int8
@pytest.mark.parametrize("rows", [1, 2, 33])
def test_sums_of_the_largest_numbers_are_exact(rows: int) -> None:
    q = torch.full((rows, 1031), 127, dtype=torch.int8)
    one = torch.ones(7)
    weight = torch.full((7, 1031), -127, dtype=torch.int8)
    found = int8_linear(q, torch.ones(rows, 1), (weight.t(), one, 0 * one))
    assert bool((found == -127 * 127 * 1031).all())


def test_a_vector_is_rounded_by_itself() -> None:
    x = torch.randn(5, 3, 7, generator=torch.Generator().manual_seed(1))
    x[2] *= 1e6
    q, scale = to_int8(x)
    one, scale_of_one = to_int8(x[1, 2])
    assert torch.equal(q[1, 2], one) and torch.equal(scale[1, 2], scale_of_one)
    assert bool(((q * scale - x).abs() <= 0.5001 * scale).all())


def test_a_processor_that_makes_errors_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = torch._int_mm
    monkeypatch.setattr(torch, "_int_mm", lambda a, b: exact(a, b).clamp(max=2**19))
    assert not int8_available.__wrapped__()
    monkeypatch.delattr(torch, "_int_mm")
    assert not int8_available.__wrapped__()
    monkeypatch.setattr(quantisation, "int8_available", lambda: False)
    with pytest.raises(ValueError, match="does not multiply int8 numbers without errors: use eng"):
        quantise(model_of(), engine="int8")


@needs_int8
@pytest.mark.parametrize("kind", [RNN, LSTM, GRU])
def test_a_step_of_the_int8_engine_against_the_float_step(kind: type) -> None:
    # Only vectors between matrices are rounded: with those rounded alike, all is the same.
    model = quantise(model_of(kind, layers=1), engine="int8")
    twin, tokens = dequantise(model), tokens_of(3, 1)
    h, c = torch.randn(2, 3, 11, generator=torch.Generator().manual_seed(0))
    x, rounded = twin.embedding(tokens[:, 0]), torch.mul(*to_int8(h))
    W_ih, W_hh, b_ih, b_hh = (getattr(twin.recurrent, f"{name}_l0") for name in WEIGHTS)
    if kind is GRU:  # what stays of the old state is not rounded
        (x_r, x_z, x_n), (h_r, h_z, h_n) = (
            (v @ W.T + b).chunk(3, -1) for v, W, b in ((x, W_ih, b_ih), (rounded, W_hh, b_hh))
        )
        n, z = torch.tanh(x_n + torch.sigmoid(x_r + h_r) * h_n), torch.sigmoid(x_z + h_z)
        end = ((1 - z) * n + z * h,)
    elif kind is LSTM:
        end = lstm_step(x, rounded, c, W_ih, W_hh, b_ih, b_hh)
    else:
        end = (rnn_step(x, rounded, W_ih, W_hh, b_ih, b_hh),)
    logits, state = model(tokens, (h[None], c[None]) if kind is LSTM else h[None])
    for found, wanted in zip(state if kind is LSTM else (state,), end, strict=True):
        torch.testing.assert_close(found[0], wanted)
    torch.testing.assert_close(logits[:, 0], twin.readout(torch.mul(*to_int8(end[0]))))


# ---- models ---------------------------------------------------------------------------------


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("kind", [RNN, LSTM, GRU])
@pytest.mark.parametrize("engine", ENGINES)
def test_the_protocol_is_kept(engine: str, kind: type, layers: int, tied: bool) -> None:
    model = model_of(kind, layers, tied).eval()
    small = quantise(model, engine)
    tokens = tokens_of(3, 17)
    logits, state = small(tokens)
    wanted, wanted_state = model(tokens)
    assert logits.shape == wanted.shape and logits.dtype == torch.float32
    assert type(state) is type(wanted_state) and not logits.requires_grad
    assert [part.shape for part in state] == [part.shape for part in wanted_state]
    # Near the model, and not the same.
    wanted = wanted.detach()
    assert 0 < float((logits - wanted).abs().mean()) < 0.05 * float(wanted.std())
    # In two pieces, with the state carried over.
    first, middle = small(tokens[:, :5])
    second, end = small(tokens[:, 5:], middle)
    torch.testing.assert_close(torch.cat([first, second], 1), logits)
    torch.testing.assert_close(end, state)
    # Token by token, as in writing; and each row by itself.
    with torch.no_grad():
        one, now = small(tokens[1:2, :1])
        for t in range(1, 17):
            one, now = small(tokens[1:2, t : t + 1], now)
    torch.testing.assert_close(one[0, 0], logits[1, -1])
    torch.testing.assert_close(small(tokens[2:])[0], logits[2:])


@pytest.mark.parametrize("kind", [RNN, LSTM, GRU])
@pytest.mark.parametrize("engine", ENGINES)
def test_padding_changes_nothing(engine: str, kind: type) -> None:
    small, tokens = quantise(model_of(kind), engine), tokens_of(3, 7)
    mask = torch.tensor([[1] * 7, [0, 1, 1, 0, 1, 0, 0], [0] * 7]).bool()
    logits, state = small(tokens, None, mask)
    alone, end = small(tokens[1:2][mask[1:2]][None])
    torch.testing.assert_close(logits[1:2][mask[1:2]][None], alone)
    parts, ends = (state, end) if kind is LSTM else ((state,), (end,))
    for part, last in zip(parts, ends, strict=True):
        torch.testing.assert_close(part[:, 1:2], last)
        assert not part[:, 2].any()
    torch.testing.assert_close(logits[2], small(tokens, None, mask)[0][1, :1].expand(7, -1))


def test_the_float_engine_is_the_model_of_the_rounded_weights() -> None:
    for model in (model_of(), model_of(tied=True), model_of(RNN)):
        rounded = copy.deepcopy(model).eval()
        for name, weight in rounded.named_parameters():
            if weight.dim() > 1:
                weight.data = dequantise_rows(*quantise_rows(weight))
                assert name != "readout.weight" or not model.tied
        small, tokens = quantise(model), tokens_of(3, 11)
        torch.testing.assert_close(small(tokens)[0], rounded(tokens)[0])
        twin = dequantise(small)
        torch.testing.assert_close(twin(tokens)[0], small(tokens)[0])
        assert repr(twin) == repr(model)
        assert (twin.readout.weight is twin.embedding.weight) is model.tied


def test_the_model_stays_as_it_was_and_the_copy_is_a_copy() -> None:
    model = model_of(tied=True)
    before = copy.deepcopy(model.state_dict())
    small = quantise(model)
    first = small(tokens_of(2, 5))[0]
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
    assert torch.equal(quantise(model_of(tied=True))(tokens_of(2, 5))[0], first)
    assert torch.equal(small(tokens_of(2, 5))[0], first)
    assert before.keys() == model.state_dict().keys() and model.training and not small.training


def test_a_tied_table_is_held_once_and_all_matrices_are_int8() -> None:
    for tied in (False, True):
        model = model_of(layers=2, tied=tied)
        tensors = quantise(model, dtype=torch.float16).state_dict()
        whole = {name for name, tensor in tensors.items() if tensor.dtype == torch.int8}
        assert whole == {n for n, p in model.named_parameters() if p.dim() > 1}
        assert ("readout.weight" in whole) is not tied
        rest = {name: tensor for name, tensor in tensors.items() if name not in whole}
        assert {tensor.dtype for tensor in rest.values()} == {torch.float16}
        assert quantise(model).parameter_count() == sum(p.numel() for p in model.parameters())


def test_nothing_is_trained_and_nothing_dropped() -> None:
    small = quantise(model_of()).train()
    assert torch.equal(small(tokens_of(2, 5))[0], small(tokens_of(2, 5))[0])
    assert not any(p.requires_grad for p in small.parameters())


@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_made_once_follows_the_weights(engine: str) -> None:
    small, other = quantise(model_of(), engine), quantise(model_of(seed=1), engine)
    tokens = tokens_of(2, 5)
    with torch.inference_mode():
        first = small(tokens)[0]
    assert torch.equal(copy.deepcopy(small)(tokens)[0], first)
    small.load_state_dict(other.state_dict())
    assert torch.equal(small(tokens)[0], other(tokens)[0])
    # Made in inference mode, it can still teach a student.
    student = nn.Parameter(torch.zeros(VOCAB))
    ((small(tokens)[0] - student) ** 2).sum().backward()
    assert student.grad is not None


@needs_int8
def test_an_engine_may_be_changed() -> None:
    small, tokens = quantise(model_of()), tokens_of(2, 7)
    before = small(tokens)[0]
    small.engine = "int8"
    assert 'engine="int8"' in repr(small) and not torch.equal(small(tokens)[0], before)
    small.engine = "float"
    assert torch.equal(small(tokens)[0], before)
    with pytest.raises(ValueError, match="'float' or 'int8', got 'int4'"):
        small.engine = "int4"
    assert small.engine == "float"


def test_a_convolution_is_stored_but_not_multiplied_as_int8() -> None:
    with seeded(0):
        model = LanguageModel(VOCAB, 5, CausalConvolution(5, 7, 3)).eval()
    small, tokens = quantise(model), tokens_of(2, 11)
    assert small.state_dict()["recurrent.weight_l1"].dtype == torch.int8
    assert float((small(tokens)[0] - model(tokens)[0]).detach().abs().max()) < 0.02
    with pytest.raises(ValueError, match="reads RNN, LSTM, GRU, not CausalConvolution: use 'flo"):
        quantise(model, engine="int8")


def test_models_that_are_not_quantised() -> None:
    own = Means()
    with pytest.raises(ValueError, match="not your Means: call quantise_rows on its matrices"):
        quantise(LanguageModel(VOCAB, own.input_size, own))
    for other in (nn.Linear(2, 3), quantise(model_of())):
        with pytest.raises(ValueError, match=f"a LanguageModel, not a {type(other).__name__}"):
            quantise(other)


@pytest.mark.parametrize("engine", ENGINES)
def test_bad_input_is_refused_in_words(engine: str) -> None:
    small = quantise(model_of(), engine)
    with pytest.raises(ValueError, match="expected \\(batch, time\\)"):
        small(tokens_of(5))
    for wrong in (VOCAB, -1):
        with pytest.raises(ValueError, match="this model knows 13 tokens: encode the text"):
            small(torch.tensor([[1, wrong]]))
    with pytest.raises(ValueError, match=r"this layer keeps \(2, 1, 11\)"):
        small(tokens_of(1, 3), (torch.zeros(2, 1, 5), torch.zeros(2, 1, 5)))
    with pytest.raises(ValueError, match="one True or False per token"):
        small(tokens_of(1, 3), None, torch.ones(1, 4, dtype=torch.bool))


# ---- files ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_model_comes_back_to_the_bit(tmp_path, engine: str, dtype: torch.dtype) -> None:
    vocabulary = CharacterVocabulary.build(STORY, VOCAB)
    small = quantise(model_of(GRU, tied=True), engine, dtype)
    folder = save_quantised(tmp_path / "writer", small, vocabulary, {"novel": "灯"})
    names = ["card.json", "model.safetensors", "vocabulary.json"]
    assert sorted(file.name for file in folder.iterdir()) == names
    again, words = load_quantised(str(folder), engine=engine)
    assert words.tokens == vocabulary.tokens and again.engine == engine and not again.training
    assert again.state_dict().keys() == small.state_dict().keys()
    for name, tensor in small.state_dict().items():
        found = again.state_dict()[name]
        assert found.dtype == tensor.dtype and torch.equal(found, tensor), name
    assert torch.equal(again(tokens_of(3, 7))[0], small(tokens_of(3, 7))[0])
    assert write(again, words, "The", 23) == write(small, vocabulary, "The", 23)
    by_load_model, _ = load_model(folder)
    assert isinstance(by_load_model, QuantisedModel) and by_load_model.engine == "float"


def test_a_model_is_quantised_where_it_is_not_yet(tmp_path) -> None:
    vocabulary, model = CharacterVocabulary.build(STORY, VOCAB), model_of()
    again, _ = load_model(save_quantised(tmp_path, model, vocabulary, {}))
    assert torch.equal(again(tokens_of(2, 5))[0], quantise(model)(tokens_of(2, 5))[0])


def test_folders_that_hold_no_quantised_model_are_refused(tmp_path) -> None:
    vocabulary = CharacterVocabulary.build(STORY, VOCAB)
    with pytest.raises(CheckpointError, match="there is no file"):
        load_quantised(tmp_path)
    save_model(tmp_path, model_of(), vocabulary, {})
    with pytest.raises(CheckpointError, match="is not quantised: use load_model"):
        load_quantised(tmp_path)
    path = save_quantised(tmp_path, model_of(), vocabulary, {}) / "model.safetensors"
    tensors, about = load_tensors(path)
    name = "recurrent.weight_hh_l0"
    changes = {
        name: None,
        name + "_scale": None,
        "readout.bias": torch.zeros(5),
        "embedding.weight": tensors["embedding.weight"].float(),
        "recurrent.weight_hh_l7": tensors[name],
    }
    for wrong, tensor in changes.items():
        damaged = {**tensors, wrong: tensor}
        kept = {name: tensor for name, tensor in damaged.items() if tensor is not None}
        save_tensors(path, kept, about)
        with pytest.raises(CheckpointError, match=f"missing or damaged .*{wrong}"):
            load_quantised(tmp_path)
    save_tensors(path, tensors, {"config": {"quantised": True}})
    with pytest.raises(CheckpointError, match="missing or damaged"):
        load_model(tmp_path)


# ---- two writers ----------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_trained_writer_loses_next_to_nothing(tmp_path, language: str) -> None:
    model, vocabulary = load_writer(f"house_{language}")
    text = load_novel("house", language).split().validation.text
    ids = torch.tensor(vocabulary.encode(text)[:4001]).unfold(0, 251, 250)  # (16, 251)
    small = quantise(model)
    nats = {"before": cost(model, ids), "float": cost(small, ids)}
    if int8_available():
        small.engine = "int8"
        nats["int8"] = cost(small, ids)
    for engine, after in nats.items():
        assert math.exp(after - nats["before"]) < 1.005, engine
    file = save_quantised(tmp_path, small, vocabulary, {}) / "model.safetensors"
    whole = sum(p.numel() * 4 for p in model.parameters())
    assert file.stat().st_size < 0.26 * whole
    prompts = torch.tensor([vocabulary.encode("\n")])
    assert generate(small, prompts, 5, greedy=True).shape == (1, len(prompts[0]) + 5)


@torch.no_grad()
def cost(model: nn.Module, ids: Tensor) -> float:
    """Nats a token."""
    logits, _ = model(ids[:, :-1])
    return float(nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten()))
