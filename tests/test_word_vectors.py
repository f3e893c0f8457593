"""Vectors in the plane, by hand: what is near, what is like what, files, and maps."""

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from minidistill.checkpoints import CheckpointError, save_tensors
from minidistill.device import seeded
from minidistill.embeddings import CBOW, SkipGram
from minidistill.vocabulary import PlainWordVocabulary
from minidistill.word_vectors import Near, WordVectors, principal_components

# Angles of 0, 30, 90, 120 and 180 degrees, of different lengths.
WORDS = ["east", "low", "north", "high", "west"]
ANGLES = [0, 30, 90, 120, 180]
COUNTS = [50, 7, 5, 3, 1]


def plane(counts: list[int] | None = None) -> WordVectors:
    radians = torch.tensor(ANGLES).double() * math.pi / 180
    lengths = torch.tensor([1, 3, 0.5, 7, 2.0])[:, None]
    return WordVectors(WORDS, torch.stack([radians.cos(), radians.sin()], 1) * lengths, counts)


def check(found: list[Near], expected: list[tuple[str, float]]) -> None:
    """Words, and the angles in degrees."""
    assert [near.word for near in found] == [word for word, _ in expected]
    cosines = [math.cos(math.radians(angle)) for _, angle in expected]
    assert [near.cosine for near in found] == pytest.approx(cosines, abs=1e-6)


# ---- what is near ----------------------------------------------------------------------------


def test_similarity_by_hand() -> None:
    vectors = plane()
    assert vectors.similarity("east", "low") == pytest.approx(math.sqrt(3) / 2)
    assert vectors.similarity("north", "west") == pytest.approx(0, abs=1e-6)
    assert vectors.similarity("west", "east") == pytest.approx(-1)
    assert vectors.similarity("high", "high") == pytest.approx(1)


def test_nearest_by_hand() -> None:
    check(plane().nearest("north", 2), [("high", 30), ("low", 60)])
    assert {near.word for near in plane().nearest("north")} == {*WORDS} - {"north"}
    check(plane().nearest("west", 2), [("high", 60), ("north", 90)])
    check(plane().nearest("low", 1), [("east", 30)])
    # Of a vector, nothing is left out, and its length does not matter.
    vector = torch.tensor([0.0, 40.0], dtype=torch.float64)
    check(plane().nearest(vector, 3), [("north", 0), ("high", 30), ("low", 60)])


def test_rare_words_are_left_out_where_one_asks_for_it() -> None:
    vectors = plane(COUNTS)
    check(vectors.nearest("north", least=5), [("low", 60), ("east", 90)])
    check(vectors.nearest("high", 2, least=7), [("low", 90), ("east", 120)])
    assert len(vectors.nearest("high", least=1)) == 4
    check(vectors.nearest(torch.tensor([0.0, 1.0]), least=50), [("east", 90)])
    check(plane().nearest("north", 1, least=99), [("high", 30)])  # without counts nothing is rare


def test_analogy_by_hand() -> None:
    # north - east + west = (0, 1) - (1, 0) + (-1, 0) = (-2, 1), an angle of 153.435 degrees.
    angle = 180 - math.degrees(math.atan(0.5))
    check(plane().analogy("east", "north", "west"), [("high", angle - 120), ("low", angle - 30)])
    # Were the vectors not made one long first, west would weigh twice: (-3, 0.5).
    check(plane().analogy("east", "north", "west", 1), [("high", angle - 120)])
    check(plane(COUNTS).analogy("east", "north", "west", least=7), [("low", angle - 30)])
    # east - low + north = (1 - cos 30, 1 - 1/2): 75 degrees.
    check(plane().analogy("low", "east", "north", 9), [("high", 45), ("west", 105)])


def test_asking_changes_nothing() -> None:
    vectors = plane(COUNTS)
    before = vectors.vectors.clone()
    for _ in range(2):
        check(vectors.nearest("north", least=5), [("low", 60), ("east", 90)])
        vectors.analogy("east", "north", "west")
    assert torch.equal(vectors.vectors, before)


def test_a_word_that_is_not_there() -> None:
    vectors = plane()
    assert "east" in vectors and "East" not in vectors and len(vectors) == 5
    torch.testing.assert_close(vectors["low"], torch.tensor([3 * math.sqrt(3) / 2, 1.5]))
    assert vectors.id("north") == 2
    with pytest.raises(KeyError, match="'East' is not among the 5 words: it is there as 'east'"):
        vectors["East"]
    for ask in (vectors.id, vectors.nearest, lambda w: vectors.similarity("east", w)):
        with pytest.raises(KeyError, match=r"'South' is not among the 5 words\"$"):
            ask("South")


# ---- made of other things --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "shape", "counts", "message"),
    [
        (WORDS, (4, 2), None, r"5 words and vectors of shape \(4, 2\)"),
        (WORDS, (5,), None, "one row a word"),
        (WORDS, (5, 2), [1, 2], "5 words and 2 counts"),
        (["a", "b", "c", "b", "a"], (5, 2), None, "the word 'a' stands twice"),
    ],
)
def test_what_does_not_fit_is_refused(
    words: list[str], shape: tuple[int, ...], counts: list[int] | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        WordVectors(words, torch.zeros(shape), counts)


@pytest.mark.parametrize("what", [math.nan, math.inf])
def test_numbers_that_are_not_finite_are_refused(what: float) -> None:
    with pytest.raises(ValueError, match="not finite"):
        WordVectors(["a", "b"], torch.tensor([[1.0, what], [0.0, 1.0]]))


VOCABULARY = PlainWordVocabulary.build("c c c a a b", specials=("<pad>",))  # <unk> <pad> c a b


@pytest.mark.parametrize("kind", [CBOW, SkipGram])
@pytest.mark.parametrize("tied", [True, False])
def test_of_model(kind: type, tied: bool) -> None:
    with seeded(1):
        model = kind(5, 3, tied=tied)
        torch.nn.init.normal_(model.readout.weight)
    e, o = model.embedding.weight.detach(), model.readout.weight.detach()
    tables = {"input": e, "output": o, "sum": e if tied else e + o}
    for table, expected in tables.items():
        found = WordVectors.of_model(model, VOCABULARY, table)
        assert found.words == ["c", "a", "b"] and found.counts == [3, 2, 1]
        assert torch.equal(found.vectors, expected[2:]) and not found.vectors.requires_grad
    assert torch.equal(WordVectors.of_model(model, VOCABULARY).vectors, tables["sum"][2:])
    uncounted = PlainWordVocabulary(VOCABULARY.tokens, VOCABULARY.specials)
    assert WordVectors.of_model(model, uncounted).counts is None


def test_of_a_model_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="table is input, output or sum, not 'both'"):
        WordVectors.of_model(CBOW(5, 3), VOCABULARY, "both")
    with pytest.raises(ValueError, match="the model has 7 words but the vocabulary 5"):
        WordVectors.of_model(CBOW(7, 3), VOCABULARY)


# ---- files -----------------------------------------------------------------------------------


@pytest.mark.parametrize("counts", [None, COUNTS])
def test_what_is_saved_comes_back(tmp_path: Path, counts: list[int] | None) -> None:
    path, vectors = tmp_path / "vectors.safetensors", plane(counts)
    vectors.save(path)
    found = WordVectors.load(path)
    assert found.words == WORDS and found.counts == counts
    assert torch.equal(found.vectors, vectors.vectors)
    assert [file.name for file in tmp_path.iterdir()] == ["vectors.safetensors"]


def test_a_file_that_is_missing_or_damaged_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "vectors.safetensors"
    with pytest.raises(CheckpointError):
        WordVectors.load(path)
    plane().save(path)
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(CheckpointError):
        WordVectors.load(path)
    table = {"vectors": torch.zeros(2, 3)}
    for tensors, about in [
        ({"other": torch.zeros(2, 3)}, {"words": ["a", "b"], "counts": None}),
        (table, {"words": ["a", "b"]}),
        (table, {"words": ["a"], "counts": None}),
        (table, {"words": 3, "counts": None}),
    ]:
        save_tensors(path, tensors, about)
        with pytest.raises(CheckpointError, match="holds no word vectors"):
            WordVectors.load(path)


# ---- a map -----------------------------------------------------------------------------------


def cloud(seed: int, n: int, size: int) -> Tensor:
    """Points that differ more in some directions than in others."""
    g = torch.Generator().manual_seed(seed)
    points = torch.randn(n, size, generator=g, dtype=torch.float64)
    return points * (1 + torch.arange(size)) @ torch.randn(size, size, generator=g).double() + 7


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10**6), st.integers(2, 11), st.integers(1, 7), st.data())
def test_principal_components_are_numpys(seed: int, n: int, size: int, data: st.DataObject) -> None:
    import numpy as np

    count = data.draw(st.integers(1, min(n, size)))
    points = cloud(seed, n, size)
    found = principal_components(points, count)
    assert found.shape == (n, count) and found.dtype == points.dtype
    centred = points.numpy() - points.numpy().mean(0)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    expected = torch.from_numpy((u * s)[:, :count])
    clear = torch.from_numpy(s[:count] > 1e-6)  # a direction of no size has no sign
    torch.testing.assert_close(found.abs(), expected.abs(), rtol=0, atol=1e-8)
    for column in found[:, clear].T:
        assert float(column.max()) >= float(column.abs().max()) - 1e-8  # the largest is positive
    products = found.T @ found  # directions at right angles, of falling variance
    torch.testing.assert_close(products, torch.from_numpy(s[:count] ** 2).diag(), rtol=0, atol=1e-6)
    assert float(found.mean(0).abs().max()) < 1e-9


def test_principal_components_by_hand() -> None:
    # Along (1, 1) the places are -2, -1 and 3 times the root of 2; across it, there is nothing.
    points = torch.tensor([[-2.0, -2.0], [-1.0, -1.0], [3.0, 3.0]]) + 5
    found = principal_components(points)
    expected = torch.tensor([-2.0, -1.0, 3.0]) * math.sqrt(2)
    torch.testing.assert_close(found[:, 0], expected)
    assert float(found[:, 1].abs().max()) < 1e-6 and found.dtype == torch.float32
    mirrored = principal_components(-points)[:, 0]
    torch.testing.assert_close(mirrored, expected)


def test_distances_stay_where_all_directions_are_kept() -> None:
    points = cloud(3, 7, 4)
    found = principal_components(points, 4)
    torch.testing.assert_close(torch.cdist(found, found), torch.cdist(points, points))


def test_the_map_is_of_directions() -> None:
    words = ["west", "east", "low"]
    vectors = plane()
    directions = torch.stack([vectors[word] / vectors[word].norm() for word in words])
    torch.testing.assert_close(vectors.map(words), principal_components(directions, 2))
    assert vectors.map(iter(words)).shape == (3, 2)
    with pytest.raises(KeyError, match="South"):
        vectors.map(["east", "South"])


@pytest.mark.parametrize(
    ("shape", "count"), [((1, 3), 1), ((3,), 1), ((5, 3), 4), ((2, 7), 3), ((5, 3), 0)]
)
def test_too_few_points_or_directions_are_refused(shape: tuple[int, ...], count: int) -> None:
    with pytest.raises(ValueError, match="two points or more, and no more directions"):
        principal_components(torch.zeros(shape), count)
