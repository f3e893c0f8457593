"""The trained writers: each loads, writes, and costs what its card says; and making one again."""

import dataclasses
import hashlib
import json
import re
import shlex
from pathlib import Path

import pytest
import torch

from minidistill import cli, writers
from minidistill.checkpoints import CheckpointError, load_model, load_tensors
from minidistill.corpus import Corpus
from minidistill.generation import temperature, write
from minidistill.lstm import LSTM
from minidistill.novels import load_novel
from minidistill.paths import data_folder
from minidistill.quantisation import dequantise
from minidistill.training import Recipe
from minidistill.vocabulary import LOST, BytePairVocabulary, CharacterVocabulary
from minidistill.writers import PLANS, Plan, bits_of, load_writer, texts_of, train_writer
from tests.test_download import serving_folder
from tests.test_novels import SHARED
from tests.training_parts import Broken, breaking_at, same_weights

SHIPPED = ["house_en", "house_zh", "pride_and_prejudice", "teacher_en", "xiyouji"]
FILES = ["card.json", "model.safetensors", "vocabulary.json"]
SENTENCE = "The old man went down to the sea, and the sea came up to the old man.\n\n"
HAN = "老人走到海边，海也来到老人身边。“你是谁？”老人问。\n\n"


def card_of(folder: Path) -> dict:
    return json.loads((folder / "card.json").read_text(encoding="utf-8"))


def shipped(name: str) -> Path:
    return data_folder() / "models" / name


@pytest.fixture(scope="module")
def novels(tmp_path_factory: pytest.TempPathFactory):
    """A function that loads a writer's novels, or skips where their texts are not at hand."""
    cache = tmp_path_factory.mktemp("cache")

    def load(plan: Plan) -> Corpus:
        if plan.novel == "house":
            return texts_of(plan)
        if not (SHARED / "facts.json").is_file():
            pytest.skip("the raw novels are not beside the repository (../shared/novels)")
        with pytest.MonkeyPatch.context() as patched, serving_folder(SHARED) as host:
            patched.setenv("MINIDISTILL_MIRROR", host)
            patched.setenv("NO_PROXY", "127.0.0.1")
            patched.setenv("MINIDISTILL_CACHE", str(cache))
            return texts_of(plan)

    return load


# The writers in data/models.


def test_these_writers_come_with_the_package() -> None:
    assert writers.writers() == sorted([*SHIPPED, *writers.STUDENTS])
    assert set(SHIPPED) == set(PLANS)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_writer_s_folder_holds_a_writer_and_nothing_else(name: str) -> None:
    files = sorted(shipped(name).iterdir())
    assert [file.name for file in files] == FILES
    assert sum(file.stat().st_size for file in files) < 6_000_000
    tensors, about = load_tensors(shipped(name) / "model.safetensors")
    kinds = {tensor.dtype for tensor in tensors.values()}
    if PLANS[name].stored == "float16":
        assert kinds == {torch.float16}
    else:
        assert kinds == {torch.int8, torch.float32}
        assert {t.dtype for t in tensors.values() if t.dim() > 1} == {torch.int8}
    assert "readout.weight" not in tensors and about["config"]["tied"]


@pytest.mark.parametrize("name", SHIPPED)
def test_a_card_says_how_its_writer_was_made(name: str) -> None:
    card, (model, vocabulary) = card_of(shipped(name)), load_writer(name)
    assert card["name"] == name
    assert card["plan"] == json.loads(json.dumps(dataclasses.asdict(PLANS[name])))
    assert card["stored_as"] == PLANS[name].stored
    assert card["vocabulary"] == {"kind": vocabulary.kind, "size": len(vocabulary)}
    assert card["parameters"] == sum(p.numel() for p in model.parameters())
    assert isinstance(model.recurrent, LSTM) and model.recurrent.engine == "scratch"
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    chosen = cli.make_parser().parse_args(shlex.split(card["command"])[1:])
    assert (chosen.writer, chosen.out) == (name, Path(name))
    assert set(card["bits_per_character"]) == {"validation", "test"}
    assert 0 < card["best_step"] <= card["steps"] == PLANS[name].recipe.steps
    assert {"seconds", "device", "torch", "seed", "stored_as"} <= set(card)


@pytest.mark.slow
@pytest.mark.parametrize("name", SHIPPED)
def test_a_card_s_figures_are_found_again(name: str, novels) -> None:
    card, (model, vocabulary) = card_of(shipped(name)), load_writer(name)
    split = novels(PLANS[name]).split
    for part, bits in card["bits_per_character"].items():
        found = bits_of(model, vocabulary, getattr(split, part).text)
        assert found == pytest.approx(bits, rel=0.01), part


def test_the_writer_of_a_real_novel_is_good_enough() -> None:
    assert card_of(shipped("pride_and_prejudice"))["bits_per_character"]["validation"] <= 1.80


@pytest.mark.parametrize("name", SHIPPED)
def test_a_writer_writes_what_can_be_read(name: str, novels) -> None:
    plan, (model, vocabulary) = PLANS[name], load_writer(name)
    page = write(model, vocabulary, plan.prompt, 300, rules=[temperature(0.7)], seed=3)
    assert page == write(model, vocabulary, plan.prompt, 300, rules=[temperature(0.7)], seed=3)
    assert page.startswith(plan.prompt) and LOST not in page and len(set(page)) > 20
    known = "".join(novel.text for novel in novels(plan).novels)
    if plan.language == "zh":  # two characters side by side that stand so in the novel
        parts = re.findall(r"(?=([\u4e00-\u9fff]{2}))", page)
        share = sum(part in known for part in parts) / len(parts)
        assert share > 0.7
    else:
        words, ours = (re.findall(r"[a-z]+", text.lower()) for text in (known, page))
        share = sum(word in set(words) for word in ours) / len(ours)
        assert share > 0.9


def test_names_that_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CheckpointError, match=r"'hose_en': there are house_en, house_zh, pride"):
        load_writer("hose_en")
    monkeypatch.setitem(PLANS, "planned", PLANS["house_en"])
    with pytest.raises(CheckpointError, match="make it with `minidistill train planned --out"):
        load_writer("planned")
    with pytest.raises(ValueError, match=r"'hose_en': there are house_en, house_zh, pride.*xiyou"):
        train_writer("hose_en", "nowhere")
    assert not Path("nowhere").exists()


# Making one again.


def tiny(tmp_path: Path, units: str = "byte pairs", **changes) -> Plan:
    text = HAN if units == "characters" else SENTENCE
    path = tmp_path / "book.txt"
    path.write_text(text * 60, encoding="utf-8")
    plan = Plan(
        novel=str(path),
        language="en",
        units=units,
        vocab_size=None if units == "characters" else 277,
        size=7,
        layers=2,
        dropout=0.3,
        batch_size=3,
        length=11,
        recipe=Recipe(steps=13, learning_rate=0.02, validate_every=5, checkpoint_every=3),
        prompt="The",
    )
    return dataclasses.replace(plan, **changes)


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    plan = tiny(tmp_path)
    monkeypatch.setitem(PLANS, "tiny", plan)
    return plan


@pytest.mark.parametrize(
    ("units", "kind", "stored"),
    [
        ("byte pairs", BytePairVocabulary, "float16"),
        ("characters", CharacterVocabulary, "float16"),
        ("characters", CharacterVocabulary, "int8"),
    ],
)
def test_a_writer_is_made_measured_and_saved(
    tmp_path, monkeypatch, capsys, units, kind, stored
) -> None:
    monkeypatch.setitem(PLANS, "tiny", tiny(tmp_path, units, stored=stored))
    folder = tmp_path / "tiny"
    card = train_writer("tiny", folder, device="cpu", progress=False)
    assert capsys.readouterr().out == ""
    assert sorted(file.name for file in folder.iterdir()) == FILES
    assert card_of(folder) == json.loads(json.dumps(card))
    model, vocabulary = load_model(folder)
    assert type(vocabulary) is kind
    if stored == "int8":
        model = dequantise(model)
    assert model.recurrent.engine == "scratch"
    novel = load_novel(PLANS["tiny"].novel)
    assert card["novel"]["sha256"] == hashlib.sha256(novel.text.encode()).hexdigest()
    for part, bits in card["bits_per_character"].items():
        found = bits_of(model, vocabulary, getattr(novel.split(), part).text)
        assert found == pytest.approx(bits, abs=6e-5)  # rounded to four digits, no more
        assert found < bits_of(fresh(vocabulary), vocabulary, getattr(novel.split(), part).text)


def fresh(vocabulary) -> torch.nn.Module:
    return writers.build(PLANS["tiny"], len(vocabulary))


def test_a_broken_run_goes_on_and_ends_as_an_unbroken_one(tmp_path, monkeypatch, made) -> None:
    def breaks(*arguments, **options):
        return fit(*arguments, loss=breaking_at(8), **options)

    fit = writers.fit
    unbroken = train_writer("tiny", tmp_path / "one", progress=False)
    with monkeypatch.context() as patched, pytest.raises(Broken):
        patched.setattr(writers, "fit", breaks)
        train_writer("tiny", tmp_path / "two", progress=False)
    assert [file.name for file in (tmp_path / "two").iterdir()] == [writers.CHECKPOINT]
    assert load_tensors(tmp_path / "two" / writers.CHECKPOINT)[1]["step"] == 6
    resumed = train_writer("tiny", tmp_path / "two", progress=False)
    one, two = load_model(tmp_path / "one")[0], load_model(tmp_path / "two")[0]
    assert same_weights(one, two)
    assert {**resumed, "seconds": 0} == {**unbroken, "seconds": 0}
    assert sorted(file.name for file in (tmp_path / "two").iterdir()) == FILES


def test_the_folder_of_another_run_is_left_alone(tmp_path, monkeypatch, made) -> None:
    def breaks(*arguments, **options):
        return fit(*arguments, loss=breaking_at(8), **options)

    fit = writers.fit
    with monkeypatch.context() as patched, pytest.raises(Broken):
        patched.setattr(writers, "fit", breaks)
        train_writer("tiny", tmp_path / "run", progress=False)
    recipe = dataclasses.replace(made.recipe, seed=5)
    monkeypatch.setitem(PLANS, "tiny", dataclasses.replace(made, recipe=recipe))
    with pytest.raises(CheckpointError, match=r"checkpoint of another run .*seed=0, now 5"):
        train_writer("tiny", tmp_path / "run", progress=False)


def test_chance_is_left_as_it_was(tmp_path, made) -> None:
    state, precision = torch.get_rng_state(), torch.get_float32_matmul_precision()
    train_writer("tiny", tmp_path / "run", progress=False)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_float32_matmul_precision() == precision


def test_several_novels_are_one_text(tmp_path, monkeypatch) -> None:
    one = tiny(tmp_path)
    other = tmp_path / "other.txt"
    other.write_text("A second book says something else altogether. " * 60, encoding="utf-8")
    plan = dataclasses.replace(one, novel=(one.novel, str(other)))
    monkeypatch.setitem(PLANS, "tiny", plan)
    card = train_writer("tiny", tmp_path / "run", progress=False)
    assert [about["name"] for about in card["novels"]] == ["book", "other"]
    assert "novel" not in card
    assert card["plan"]["novel"] == (one.novel, str(other))


@pytest.mark.parametrize("changes", [{"stored": "int4"}])
def test_ways_of_storing_that_are_none(tmp_path, monkeypatch, changes) -> None:
    monkeypatch.setitem(PLANS, "tiny", tiny(tmp_path, **changes))
    with pytest.raises(ValueError, match="'float16' or 'int8', not 'int4'"):
        train_writer("tiny", tmp_path / "run", progress=False)


def test_units_that_are_none(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(PLANS, "tiny", tiny(tmp_path, units="letters"))
    with pytest.raises(ValueError, match="'byte pairs' or 'characters', not 'letters'"):
        train_writer("tiny", tmp_path / "run", progress=False)


# What a text costs.


class Even(torch.nn.Module):
    """A model to which all tokens are equally likely."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.vocab_size = vocab_size
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, tokens, state=None, mask=None):
        return torch.zeros(*tokens.shape, self.vocab_size), None


def test_each_character_is_paid_for_and_an_unknown_one_more() -> None:
    vocabulary = CharacterVocabulary.build("abc\n\n\n ")  # with <unk>, six tokens
    six, spelled = 2.584962500721156, 14.357552004618084  # log2 6, log2 20992
    model = Even(len(vocabulary))
    assert bits_of(model, vocabulary, "abcab") == pytest.approx(six)
    assert bits_of(model, vocabulary, "ab水a月") == pytest.approx(six + 2 * spelled / 5)
    assert bits_of(model, vocabulary, "水") == pytest.approx(six + spelled)


def test_byte_pairs_pay_per_character_too() -> None:
    vocabulary = BytePairVocabulary.train("水月水月水月", 257)  # two of three bytes are one token
    tokens = len(vocabulary.encode("水月"))
    assert tokens > 2
    bits = bits_of(Even(257), vocabulary, "水月")
    assert bits == pytest.approx(8.005624549193878 * tokens / 2)  # log2 257
