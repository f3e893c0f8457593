"""From a text to embeddings in one call: every kind, an attention of one's own, broken runs."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from minidistill.embedding_plans import KINDS, EmbeddingPlan, prepare_embeddings, train_embeddings
from minidistill.embeddings import MeanQueryAttention, PositionAttention
from minidistill.novels import load_novel
from minidistill.vocabulary import PlainChineseVocabulary, PlainWordVocabulary
from minidistill.word_likeness import likeness, read_pairs

LINES = (
    "the old man rows the boat over the cold river",
    "the old woman rows the boat over the wide river",
    "a young man eats the warm bread in the dark house",
    "a young woman eats the warm soup in the small house",
    "the red horse and the grey horse stand by the cold river",
)
TEXT = "\n".join(LINES * 12)
SMALL = {"size": 8, "window": 2, "epochs": 6, "least": 1, "key_size": 3, "threshold": None}


def learn(kind: str = "cbow", **more: object) -> object:
    plan = EmbeddingPlan(kind, **{**SMALL, **more.pop("plan", {})})
    return train_embeddings(TEXT, plan, device="cpu", progress=False, **more)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_learns_and_gives_vectors(kind: str) -> None:
    made = learn(kind)
    losses = made.history.losses
    assert sum(losses[-4:]) < sum(losses[:4])
    assert len(made.vectors()) == len(made.vocabulary) - 1
    if kind != "skip-gram":
        assert made.cost(TEXT) < math.log(len(made.vocabulary))


@pytest.mark.parametrize("kind", ["cbow", "attention"])
def test_the_same_seed_gives_the_same_vectors_and_another_gives_others(kind: str) -> None:
    one, two, other = learn(kind), learn(kind), learn(kind, plan={"seed": 1})
    assert torch.equal(one.vectors().vectors, two.vectors().vectors)
    assert not torch.equal(one.vectors().vectors, other.vectors().vectors)


class Killed(RuntimeError):
    """What stands in for a kill."""


def test_a_broken_run_goes_on_to_the_same_vectors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, path = learn("attention"), tmp_path / "run.safetensors"
    from minidistill import training

    real, calls = training._update, []

    def dies(*args: object) -> None:
        calls.append(1)
        if len(calls) > len(whole.history.losses) * 2 // 3:
            raise Killed
        real(*args)

    monkeypatch.setattr(training, "_update", dies)
    with pytest.raises(Killed):
        learn("attention", checkpoint=path)
    monkeypatch.setattr(training, "_update", real)
    again = learn("attention", checkpoint=path)
    assert torch.equal(again.vectors().vectors, whole.vectors().vectors)
    assert again.history.losses == whole.history.losses


def test_an_attention_of_ones_own_takes_the_packages_place() -> None:
    sizes = []

    class Mine(nn.Module):
        def __init__(self, key_size: int, window: int) -> None:
            super().__init__()
            sizes.append((key_size, window))
            self.real = PositionAttention(key_size, window)

        def forward(self, keys: Tensor, mask: Tensor) -> Tensor:
            return self.real(keys, mask)

    mine, ours = learn("attention", context=Mine), learn("attention")
    assert sizes == [(3, 2)]
    assert torch.equal(mine.vectors().vectors, ours.vectors().vectors)
    formula = learn("formula", context=lambda key_size, window: MeanQueryAttention())
    assert torch.equal(formula.vectors().vectors, learn("formula").vectors().vectors)


def test_who_knows_the_place_keeps_the_places() -> None:
    for kind in KINDS:
        windows = prepare_embeddings(TEXT, EmbeddingPlan(kind, **SMALL)).windows
        placed = kind in ("places", "attention")
        assert (windows.thin == "places") == placed
        assert windows.shrink != placed


def test_the_formula_has_one_table_and_keys_that_learn_as_fast() -> None:
    run = prepare_embeddings(TEXT, EmbeddingPlan("formula", **SMALL))
    assert run.model.readout.weight is run.model.embedding.weight
    assert run.model.keys.embedding_dim == 8
    groups = run.loss.optimizer(run.model, 0.1, 0.0).param_groups
    assert len({group["factor"] for group in groups}) == 1
    run = prepare_embeddings(TEXT, EmbeddingPlan("attention", **SMALL))
    factors = [g["factor"] for g in run.loss.optimizer(run.model, 0.1, 0.0).param_groups[:2]]
    assert factors[1] == pytest.approx(0.01 * factors[0])


def test_short_texts_get_smaller_batches() -> None:
    run = prepare_embeddings(TEXT, EmbeddingPlan("cbow", **SMALL))
    assert run.windows.batch_size == 64
    assert run.recipe.steps == 6 * len(run.windows)


def test_attention_beats_the_mean_where_the_place_decides() -> None:
    chance = torch.Generator().manual_seed(0)
    lines = []
    for _ in range(400):  # the word after x names the digit that stands two places before x
        digit, other = (int(i) for i in torch.randint(5, (2,), generator=chance))
        lines.append(f"d{digit} x n{digit} y d{other} z")
    text, more = "\n".join(lines), {"window": 2, "size": 16, "epochs": 15, "least": 1}
    costs = {}
    for kind in ("cbow", "places"):
        plan = EmbeddingPlan(kind, **more, threshold=None, learning_rate=0.02)
        costs[kind] = train_embeddings(text, plan, device="cpu", progress=False).cost(text)
    assert costs["places"] < costs["cbow"] - 0.05


def test_bad_input_says_what_to_do() -> None:
    with pytest.raises(ValueError, match="kind is one of skip-gram, cbow"):
        EmbeddingPlan("glove")
    with pytest.raises(ValueError, match="must be at least 1"):
        EmbeddingPlan(window=0)
    with pytest.raises(ValueError, match="a skip-gram reads one word"):
        learn("skip-gram", context=PositionAttention)
    with pytest.raises(ValueError, match="no counts"):
        learn(vocabulary=PlainWordVocabulary(["<unk>", "the"]))
    with pytest.raises(ValueError, match="no token stands 5000 times"):
        learn(plan={"least": 5000})
    with pytest.raises(ValueError, match="no word that the vocabulary knows"):
        learn(vocabulary=PlainWordVocabulary.build("quite other words"))


@pytest.mark.slow
def test_the_house_novel_in_both_languages() -> None:
    english = load_novel().split()
    plan = {"size": 32, "epochs": 8, "least": 3, "learning_rate": 5e-3}
    costs = {
        kind: train_embeddings(
            english.train.text, EmbeddingPlan(kind, **plan), device="cpu", progress=False
        ).cost(english.validation.text)
        for kind in ("cbow", "attention")
    }
    assert costs["attention"] < costs["cbow"] - 0.15
    pytest.importorskip("jieba", reason="words of Chinese are found by jieba")
    chinese = load_novel(language="zh").split().train.text
    vocabulary = PlainChineseVocabulary.build(chinese).without_rare(5)
    made = train_embeddings(
        chinese, EmbeddingPlan(epochs=1), vocabulary=vocabulary, device="cpu", progress=False
    )
    assert "小豆" in made.vectors()


def test_pairs_that_gensim_carries_can_be_read() -> None:
    gensim = pytest.importorskip("gensim", reason="the lists of pairs come with gensim")
    folder = Path(gensim.__file__).parent / "test" / "test_data"
    wordsim = read_pairs(folder / "wordsim353.tsv")
    simlex = read_pairs(folder / "simlex999.txt")
    assert (len(wordsim), len(simlex)) == (353, 999)
    from minidistill.paths import data_folder
    from minidistill.word_vectors import WordVectors

    vectors = WordVectors.load(data_folder() / "vectors" / "novels_en.safetensors")
    found = likeness(vectors, wordsim, least=5)
    assert found.pairs == 91
    assert found.correlation > 0.2
