"""The trained sequence-to-sequence models: each loads and writes; and making one again."""

import dataclasses
import json
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from minidistill import seq2seq_writers
from minidistill.attention import ATTENTIONS, AdditiveAttention
from minidistill.batches import Pairs
from minidistill.checkpoints import CheckpointError, load_tensors
from minidistill.continuation import write_on
from minidistill.device import seeded
from minidistill.novels import load_novel
from minidistill.pair_training import (
    HiddenSources,
    batches,
    perplexity_of,
    shuffled_sources,
)
from minidistill.pairs import SPECIALS, special_ids
from minidistill.paths import data_folder
from minidistill.recurrent import GRU, LSTM, RNN
from minidistill.rules import temperature
from minidistill.seq2seq import Seq2Seq
from minidistill.seq2seq_checkpoints import Trained, load_seq2seq_model, save_seq2seq_model
from minidistill.seq2seq_writers import (
    PLANS,
    load_seq2seq,
    prepare,
    train_seq2seq,
)
from minidistill.teacher_forcing import pair_loss
from minidistill.training import Recipe
from minidistill.transduction import transduce
from minidistill.vocabulary import LOST, CharacterVocabulary
from tests.training_parts import same_weights

SHIPPED = ["next_en", "next_zh", "en_to_zh"]
SOURCE = CharacterVocabulary.build("abcdefg", specials=SPECIALS)
TARGET = CharacterVocabulary.build("hijklmnopqr", specials=SPECIALS)


def shipped(name: str) -> Path:
    return data_folder() / "models" / name


def card_of(folder: Path) -> dict:
    return json.loads((folder / "card.json").read_text(encoding="utf-8"))


def tiny(layer: type[nn.Module] = GRU, attention: object = None, **options: object) -> Trained:
    source = TARGET if options.get("shared") else SOURCE
    with seeded(3):
        model = Seq2Seq(len(source), len(TARGET), 5, 7, layer, attention, **options)
    return Trained(model.eval(), source, TARGET)


# Saving and loading.

MODELS = {
    "plain": {},
    "tied": {"tied": True},
    "shared": {"shared": True, "tied": True},
    "shared, not tied": {"shared": True},
    "additive": {"attention": partial(AdditiveAttention, hidden_size=3), "values": "embeddings"},
    "general": {"attention": ATTENTIONS["general"], "layer": LSTM, "dropout": 0.3},
    "paper": {"attention": AdditiveAttention, "reader": False, "layer": RNN},
    "one way": {"bidirectional": False, "attention": ATTENTIONS["dot"]},
    "deep": {"layer": partial(GRU, num_layers=2, dropout=0.2, engine="torch")},
}


@pytest.mark.parametrize("kind", MODELS)
def test_what_is_saved_comes_back(kind: str, tmp_path: Path) -> None:
    trained = tiny(**MODELS[kind])
    save_seq2seq_model(tmp_path, trained, {"name": kind})
    loaded = load_seq2seq_model(tmp_path)
    assert not loaded.model.training and same_weights(trained.model, loaded.model)
    assert loaded.vocabulary.tokens == trained.vocabulary.tokens
    assert loaded.source_vocabulary.tokens == trained.source_vocabulary.tokens
    assert (tmp_path / "source_vocabulary.json").exists() != trained.model.shared
    assert card_of(tmp_path) == {"name": kind}
    tokens, source = torch.tensor([[4, 5, 6]]), torch.tensor([[4, 7, 5, 4, 6]])
    with torch.no_grad():
        ours, theirs = (
            model(tokens, memory=model.encode(source))[0] for model in (trained.model, loaded.model)
        )
    assert torch.equal(ours, theirs)
    assert loaded.model.decoder.dropout.p == trained.model.decoder.dropout.p
    ours, theirs = (one.model.encoder.recurrent for one in (trained, loaded))
    assert getattr(ours, "engine", None) == getattr(theirs, "engine", None)


def test_tables_used_twice_stay_one_and_are_written_once(tmp_path: Path) -> None:
    save_seq2seq_model(tmp_path, tiny(shared=True, tied=True), {})
    names = load_tensors(tmp_path / "model.safetensors")[0]
    assert [name for name in names if "embedding" in name] == ["decoder.embedding.weight"]
    assert "decoder.readout.weight" not in names
    model = load_seq2seq_model(tmp_path).model
    assert model.encoder.embedding is model.decoder.embedding
    assert model.decoder.readout.weight is model.decoder.embedding.weight


def test_half_precision_is_half_the_bytes(tmp_path: Path) -> None:
    trained = tiny()
    save_seq2seq_model(tmp_path, trained, {}, torch.float16)
    assert {t.dtype for t in load_tensors(tmp_path / "model.safetensors")[0].values()} == {
        torch.float16
    }
    loaded = load_seq2seq_model(tmp_path).model
    for ours, theirs in zip(trained.model.parameters(), loaded.parameters(), strict=True):
        assert theirs.dtype == torch.float32
        assert torch.equal(ours.half().float(), theirs)


class MyAttention(AdditiveAttention):
    """An attention of one's own."""


def test_what_could_not_be_built_again_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="your own, 'MyAttention'"):
        save_seq2seq_model(tmp_path, tiny(attention=MyAttention), {})
    trained = tiny()
    trained.model.decoder.writer = GRU(21, 7, num_layers=2)
    with pytest.raises(CheckpointError, match="not made by one layer"):
        save_seq2seq_model(tmp_path, trained, {})
    assert list(tmp_path.iterdir()) == []


class MyGRU(GRU):
    """A layer of one's own."""


def test_a_layer_of_one_s_own_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="MyGRU"):
        save_seq2seq_model(tmp_path, tiny(layer=MyGRU), {})


@pytest.mark.parametrize("missing", ["vocabulary.json", "source_vocabulary.json"])
def test_a_folder_with_a_part_missing_is_refused(missing: str, tmp_path: Path) -> None:
    save_seq2seq_model(tmp_path, tiny(), {})
    (tmp_path / missing).unlink()
    with pytest.raises(CheckpointError, match="missing or damaged"):
        load_seq2seq_model(tmp_path)


def test_a_language_model_s_folder_is_refused() -> None:
    with pytest.raises(CheckpointError, match="holds no model that save_seq2seq_model wrote"):
        load_seq2seq_model(shipped("house_en"))


# Making one again.


@pytest.fixture
def small_plans(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plans of the shipped kinds, small enough to train in a test."""
    recipe = Recipe(steps=6, validate_every=3, checkpoint_every=2)
    small = {
        name: dataclasses.replace(plan, size=8, attention_size=4, recipe=recipe, max_target=12)
        for name, plan in PLANS.items()
    }
    for name in ("next_en", "next_zh"):
        small[name] = dataclasses.replace(small[name], units=("characters",) * 2)
    monkeypatch.setattr(seq2seq_writers, "PLANS", small)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["next_zh", "en_to_zh"])
def test_training_saves_a_model_that_loads(name: str, small_plans: None, tmp_path: Path) -> None:
    card = train_seq2seq(name, tmp_path, device="cpu", progress=False)
    assert json.loads(json.dumps(card)) == card_of(tmp_path)
    files = sorted(file.name for file in tmp_path.iterdir())
    two = ["source_vocabulary.json"] if name == "en_to_zh" else []
    assert files == ["card.json", "model.safetensors", *two, "vocabulary.json"]
    again = tmp_path / "again"
    train_seq2seq(name, again, device="cpu", progress=False)
    assert same_weights(load_seq2seq_model(tmp_path).model, load_seq2seq_model(again).model)


def test_names_that_are_not_there() -> None:
    with pytest.raises(CheckpointError, match="next_en, next_zh, en_to_zh"):
        load_seq2seq("house_en")
    with pytest.raises(ValueError, match="no sequence-to-sequence model is called 'x'"):
        train_seq2seq("x", "nowhere")


def test_shuffled_sources_keep_every_text_and_part_every_pair() -> None:
    pairs = [([i], [i, i]) for i in range(11)]
    shuffled = shuffled_sources(pairs)
    assert sorted(source for source, _ in shuffled) == [[i] for i in range(11)]
    assert sorted(target for _, target in shuffled) == [[i, i] for i in range(11)]
    assert all(source[0] != target[0] for source, target in shuffled)
    assert shuffled == shuffled_sources(pairs) != shuffled_sources(pairs, seed=1)


def test_hidden_sources_hide_while_training_and_weigh_tokens_alike() -> None:
    trained = tiny()
    pairs = [([4, 5, 6, 7], [4] * n) for n in (1, 2, 3, 10, 11)]
    training = batches(trained, pairs, 2, shuffle=False)
    seen: list[torch.Tensor] = []

    def spy(model: nn.Module, batch: Pairs, state: object = None) -> tuple:
        seen.append(batch.source_mask)
        return pair_loss(model, batch)

    loss, all_of_it = (HiddenSources(share, training, spy) for share in (0.5, 0.0))
    first = next(iter(training))
    assert loss(trained.model, first)[0] == pair_loss(trained.model, first)[0]
    assert bool(seen[-1].all())
    trained.model.train()
    with seeded(0):
        for _ in range(200):
            loss(trained.model, first)
    share = torch.stack(seen[1:]).float().mean()
    assert 0.45 < share < 0.55
    # Five targets, their ends with them, are 32 tokens in 3 batches; the first has 2 + 3.
    value, count, state = all_of_it(trained.model, first)
    expected = pair_loss(trained.model, first)[0] * 5 / (32 / 3)
    assert (count, state) == (5, None)
    torch.testing.assert_close(value, expected)


def test_batches_meet_by_their_targets() -> None:
    trained = tiny()
    pairs = [([4] * (1 + i % 7), [4] * (1 + i % 5)) for i in range(35)]
    laid = batches(trained, pairs, 7)
    assert all(bool(batch.target_mask.all()) for batch in laid)  # seven of each length


# The models in data/models.


def test_these_models_come_with_the_package() -> None:
    assert seq2seq_writers.seq2seq_writers() == SHIPPED == list(PLANS)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_model_s_folder_is_small_and_complete(name: str) -> None:
    files = {file.name: file.stat().st_size for file in shipped(name).iterdir()}
    two = {"source_vocabulary.json"} if name == "en_to_zh" else set()
    assert set(files) == {"card.json", "model.safetensors", "vocabulary.json"} | two
    assert sum(files.values()) < 3_500_000
    tensors, _ = load_tensors(shipped(name) / "model.safetensors")
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}


@pytest.mark.parametrize("name", SHIPPED)
def test_a_card_says_how_its_model_was_made(name: str) -> None:
    card, trained = card_of(shipped(name)), load_seq2seq(name)
    plan = json.loads(json.dumps(dataclasses.asdict(PLANS[name])))
    assert card["name"] == name and card["plan"] == plan
    assert card["command"] == f"minidistill train {name} --out {name}"
    assert card["parameters"] == sum(p.numel() for p in trained.model.parameters())
    sizes = len(trained.source_vocabulary), len(trained.vocabulary)
    assert tuple(entry["size"] for entry in card["vocabularies"]) == sizes
    assert 0 < card["best_step"] <= card["steps"] == plan["recipe"]["steps"]
    assert {"seconds", "device", "torch", "seed", "stored_as", "novel", "pairs"} <= set(card)


@pytest.mark.slow
@pytest.mark.parametrize("name", SHIPPED)
def test_a_card_s_figures_are_found_again(name: str) -> None:
    card, trained = card_of(shipped(name)), load_seq2seq(name)
    _, (_, validation, test), _ = prepare(PLANS[name])
    for part, pairs in (("validation", validation), ("test", test)):
        found = perplexity_of(trained, pairs)
        assert found == pytest.approx(card["perplexity"][part], rel=0.02)
        worse = perplexity_of(trained, shuffled_sources(pairs))
        assert worse == pytest.approx(card["perplexity_with_shuffled_sources"][part], rel=0.02)
        assert worse > found


@pytest.mark.parametrize(("name", "language"), [("next_en", "en"), ("next_zh", "zh")])
def test_a_model_goes_on_with_a_novel(name: str, language: str) -> None:
    trained = load_seq2seq(name)
    beginnings = [PLANS[name].prompt, load_novel(language=language).chapters[-1].paragraphs[0]]

    def written(seed: int) -> list[str]:
        chance = torch.Generator().manual_seed(seed)
        return write_on(trained, beginnings, 4, rules=[temperature(0.8)], generator=chance)

    pages = written(1)
    assert pages == written(1) != written(2)
    assert all(len(page) > 20 and LOST not in page and "<" not in page for page in pages)
    greedy = write_on(trained, beginnings, 2)
    assert [greedy[0]] == write_on(trained, beginnings[:1], 2)  # alone or in company


def test_a_model_translates_after_a_fashion() -> None:
    model, source, target = load_seq2seq("en_to_zh")
    bos, eos, padding = special_ids(target)
    sources = [source.encode(text) for text in ("“Dou,” said Old Wen.", "Shan laughed.")]
    written = [
        target.decode(ids)
        for ids in transduce(model, sources, 40, bos_id=bos, eos_id=eos, padding_id=padding)
    ]
    assert not any(mark.isascii() for text in written for mark in text)
    assert written[0].startswith("“") and "山" in written[1]  # Shan's name


def test_beginnings_must_hold_something() -> None:
    with pytest.raises(ValueError, match="at least one"):
        write_on(tiny(shared=True), [""], 1)
