"""Windows over a text against loops; thinning by its three ways; streams of words."""

from collections import Counter
from math import sqrt

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from minidistill.vocabulary import PlainWordVocabulary, WordVocabulary
from minidistill.windows import (
    WindowBatch,
    Windows,
    WordStream,
    context_windows,
    cut_windows,
    keep_probability,
    word_stream,
)

V = 13
Middle = tuple[int, tuple[int | None, ...]]


def stream_of(lengths: list[int], seed: int = 0) -> WordStream:
    """Paragraphs of these lengths; words by chance. Numbers of paragraphs have gaps."""
    g = torch.Generator().manual_seed(seed)
    number = [3 * i + 1 for i, length in enumerate(lengths) for _ in range(length)]
    return WordStream(torch.randint(V, (sum(lengths),), generator=g), torch.tensor(number))


def in_order(stream: WordStream) -> WordStream:
    """The same with each word's place as its id: so one sees which word stands where."""
    return WordStream(torch.arange(len(stream.ids)), stream.paragraph)


def by_loop(stream: WordStream, window: int) -> list[Middle]:
    """Every middle with its neighbours from the left to the right, None where there is none."""
    ids, paragraph = stream.ids.tolist(), stream.paragraph.tolist()
    found = []
    for t in range(len(ids)):
        around: list[int | None] = []
        for o in [*range(-window, 0), *range(1, window + 1)]:
            inside = 0 <= t + o < len(ids) and paragraph[t + o] == paragraph[t]
            around.append(ids[t + o] if inside else None)
        if any(word is not None for word in around):
            found.append((ids[t], tuple(around)))
    return found


def read(batch: WindowBatch) -> list[Middle]:
    """A batch as `by_loop` gives it; what is masked must be a place in the stretch all the same."""
    assert batch.places.shape == batch.mask.shape and len(batch.middles) == len(batch.mask)
    assert batch.mask.dtype == torch.bool and bool(batch.mask.any(1).all())
    assert int(batch.places.min()) >= 0 and int(batch.places.max()) < len(batch.words)
    rows = zip(batch.targets.tolist(), batch.contexts.tolist(), batch.mask.tolist(), strict=True)
    return [
        (middle, tuple(w if m else None for w, m in zip(words, mask, strict=True)))
        for middle, words, mask in rows
    ]


def all_of(windows: Windows, number: int = 0) -> list[Middle]:
    return [middle for batch in windows.epoch(number) for middle in read(batch)]


def pairs(middles: list[Middle]) -> list[tuple[int, int]]:
    return [(middle, w) for middle, around in middles for w in around if w is not None]


ragged = st.lists(st.integers(1, 7), min_size=1, max_size=6)

# ---- the windows -------------------------------------------------------------------------------


@pytest.mark.parametrize("window", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("batch_size", [1, 4, 7, 1000])
def test_windows_are_those_of_a_loop(window: int, batch_size: int) -> None:
    stream = stream_of([5, 1, 2, 11, 1, 1, 3])
    windows = Windows(stream, window, batch_size, shuffle=False)
    assert all_of(windows) == by_loop(stream, window)
    assert len(windows) == -(-24 // batch_size)
    shuffled = all_of(Windows(stream, window, batch_size))
    assert sorted(shuffled, key=str) == sorted(by_loop(stream, window), key=str)
    row = stream_of([11])
    ids, mask = context_windows(row.ids, window)
    expected = [[-1 if w is None else w for w in around] for _, around in by_loop(row, window)]
    assert ids.where(mask, -1).tolist() == expected


@settings(deadline=None, max_examples=60)
@given(ragged, st.integers(1, 5), st.integers(1, 9), st.integers(0, 10**6))
def test_every_pair_stands_there_exactly_once(
    lengths: list[int], window: int, batch_size: int, seed: int
) -> None:
    stream = in_order(stream_of(lengths, seed))
    found = Counter(pairs(all_of(Windows(stream, window, batch_size, seed=seed))))
    number = stream.paragraph.tolist()
    expected = {
        (t, u)
        for t in range(len(number))
        for u in range(len(number))
        if t != u and abs(t - u) <= window and number[t] == number[u]
    }
    assert set(found) == expected and set(found.values()) <= {1}


def test_a_case_by_hand() -> None:
    stream = WordStream(torch.tensor([7, 5, 5, 9]), torch.tensor([0, 0, 0, 2]))
    (batch,) = Windows(stream, 2).epoch(0)
    assert batch.words.tolist() == [7, 5, 5, 9]
    assert batch.middles.tolist() == [0, 1, 2] and batch.targets.tolist() == [7, 5, 5]
    assert batch.mask.int().tolist() == [[0, 0, 1, 1], [0, 1, 1, 0], [1, 1, 0, 0]]
    assert batch.contexts[batch.mask].tolist() == [5, 5, 7, 5, 7, 5]


def test_a_batch_holds_only_its_stretch() -> None:
    assert all(len(b.words) <= 17 + 6 for b in Windows(stream_of([1009]), 3, 17).epoch(0))


def test_batches_without_a_window_are_left_out() -> None:
    assert list(Windows(stream_of([1, 1, 1, 1]), 3, 2).epoch(0)) == []
    stream = stream_of([1, 1, 1, 1, 3])
    assert [len(batch.middles) for batch in Windows(stream, 3, 2, shuffle=False).epoch(0)] == [2, 1]


def test_cut_windows_of_some_middles_with_sizes_of_their_own() -> None:
    stream = in_order(stream_of([7]))
    batch = cut_windows(stream, torch.tensor([2, 4, 5]), torch.tensor([1, 2, 2]), 2)
    assert read(batch) == [(2, (None, 1, 3, None)), (4, (2, 3, 5, 6)), (5, (3, 4, 6, None))]
    kept = torch.tensor([True, False, True, False, True, True, True])
    batch = cut_windows(stream, torch.tensor([2, 4]), torch.tensor([1, 2]), 2, kept)
    assert read(batch) == [(4, (2, None, 5, 6))]
    empty = cut_windows(stream, torch.tensor([2]), torch.tensor([1]), 2, kept)
    assert len(empty.words) == len(empty.middles) == len(empty.places) == 0


def test_shrink_draws_sizes_from_one_to_the_window() -> None:
    stream, reach = in_order(stream_of([1009])), Counter()
    for middle, around in all_of(Windows(stream, 4, shrink=True))[4:-4]:
        near = [abs(w - middle) for w in around if w is not None]
        # The nearest ones on both sides, without a gap.
        assert sorted(near) == sorted([*range(1, max(near) + 1)] * 2)
        reach[max(near)] += 1
    assert set(reach) == {1, 2, 3, 4} and min(reach.values()) > 180


# ---- thinning ------------------------------------------------------------------------------------

LONG = stream_of([1, 401, 2, 599], seed=3)
KEEP = torch.linspace(0.2, 1, V, dtype=torch.float64)


# The second and the fourth of six words are never kept; the last is a paragraph of its own.
SIX = WordStream(torch.arange(6), torch.tensor([0, 0, 0, 0, 0, 4]))
HOLES = torch.tensor([1.0, 0.0, 1.0, 0.0, 1.0, 1.0])


def share_of(words: list[int], of: Tensor) -> Tensor:
    return torch.bincount(torch.tensor(words), minlength=V) / torch.bincount(of, minlength=V)


@pytest.mark.parametrize("thin", ["words", "places", "middles"])
def test_middles_are_kept_as_often_as_they_should_be(thin: str) -> None:
    windows = Windows(LONG, 5, 64, keep=KEEP, thin=thin)
    found = [m for number in range(20) for m, _ in all_of(windows, number)]
    assert float((share_of(found, LONG.ids) / 20 - KEEP).abs().max()) < 0.05
    expected = float(KEEP[LONG.ids].sum())
    assert windows.expected == pytest.approx(expected)
    assert len(windows) == -(-expected // 64)


def test_thinning_words_lets_their_neighbours_move_together() -> None:
    found = all_of(Windows(SIX, 1, keep=HOLES, shuffle=False))
    assert found == [(0, (None, 2)), (2, (0, 4)), (4, (2, None))]


def test_thinning_places_leaves_gaps() -> None:
    found = all_of(Windows(SIX, 2, keep=HOLES, thin="places", shuffle=False))
    no = None
    assert found == [(0, (no, no, no, 2)), (2, (0, no, no, 4)), (4, (2, no, no, no))]
    assert all_of(Windows(SIX, 1, keep=HOLES, thin="places")) == []


def test_places_are_drawn_apart_from_middles() -> None:
    # A word that is no middle may still stand in a context.
    stream, keep = in_order(stream_of([301])), torch.full((301,), 0.5)
    found = all_of(Windows(stream, 3, keep=keep, thin="places"))
    middles, around = {m for m, _ in found}, {w for _, w in pairs(found)}
    assert around - middles and middles - around
    number = [len([w for w in words if w is not None]) for _, words in found]
    assert 2.5 < sum(number) / len(number) < 3.5


def test_thinning_middles_leaves_contexts_whole() -> None:
    found = all_of(Windows(SIX, 1, keep=HOLES, thin="middles", shuffle=False))
    assert found == [(0, (None, 1)), (2, (1, 3)), (4, (3, None))]
    whole = by_loop(in_order(LONG), 3)
    thinned = Windows(in_order(LONG), 3, keep=KEEP[LONG.ids], thin="middles", shuffle=False)
    assert set(all_of(thinned)) < set(whole)


# ---- epochs and fingerprints ---------------------------------------------------------------------


@pytest.mark.parametrize("thin", ["words", "places", "middles"])
def test_an_epoch_depends_on_its_number_and_the_seed_only(thin: str) -> None:
    def windows(seed: int = 0) -> Windows:
        return Windows(LONG, 3, 16, keep=KEEP, thin=thin, shrink=True, seed=seed)

    one, expected = windows(), all_of(windows(), 1)
    assert all_of(one, 0) != all_of(one, 1) == expected
    assert all_of(windows(1), 1) != expected
    assert all_of(one, 1) == expected  # whatever came between


def test_shuffled_batches_come_in_another_order_each_epoch() -> None:
    def first(number: int, **options: bool) -> list[int]:
        stream = in_order(LONG)
        return [int(batch.targets[0]) for batch in Windows(stream, 2, 50, **options).epoch(number)]

    assert first(0) != first(1) and sorted(first(0)) == sorted(first(1))
    assert first(0, shuffle=False) == first(1, shuffle=False) == sorted(first(0))


def test_the_fingerprint_tells_texts_and_settings_apart() -> None:
    plain: dict = {"stream": LONG, "window": 3, "batch_size": 16, "keep": KEEP}
    others = [
        {"stream": WordStream(LONG.ids.flip(0), LONG.paragraph)},
        {"stream": WordStream(LONG.ids, LONG.paragraph + (LONG.paragraph > 4))},
        {"window": 4},
        {"batch_size": 17},
        {"keep": None},
        {"keep": KEEP.sqrt()},
        *({"thin": thin} for thin in ("places", "middles")),
        {"shrink": True},
        {"shuffle": False},
        {"seed": 1},
    ]
    assert Windows(**plain).fingerprint() == Windows(**plain).fingerprint()
    assert len({Windows(**(plain | other)).fingerprint() for other in [{}, *others]}) == 12


@pytest.mark.parametrize("wrong", [{"window": 0}, {"batch_size": 0}, {"window": -3}])
def test_sizes_below_one_are_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match=r"window \(.*\) and batch_size \(.*\) must be at least 1"):
        Windows(LONG, **wrong)
    with pytest.raises(ValueError, match="one of words, places, middles, not 'all'"):
        Windows(LONG, thin="all")


# ---- how likely a word is kept -------------------------------------------------------------------


def test_keep_probability_by_hand() -> None:
    # f = 0.25, 0.64, 0.01, 0.1, 0 of 100 and t = 0.01: t / f = 0.04, 1/64, 1, 0.1.
    found = keep_probability([25, 64, 1, 10, 0], 0.01)
    assert found.dtype == torch.float64
    assert found.tolist() == pytest.approx([0.24, 0.140625, 1, sqrt(0.1) + 0.1, 1])
    assert keep_probability([250, 9750])[0] == pytest.approx(0.24)  # t is 1e-3


@pytest.mark.parametrize("threshold", [0, -1e-3, float("nan")])
def test_thresholds_are_above_zero(threshold: float) -> None:
    with pytest.raises(ValueError, match="must be above 0"):
        keep_probability([1, 2], threshold)


@pytest.mark.parametrize("counts", [[], [0, 0], [3, -1], [float("nan"), 1]])
def test_counts_that_count_nothing_are_refused(counts: list[float]) -> None:
    with pytest.raises(ValueError, match="counts are numbers from 0, and not all 0"):
        keep_probability(counts)


# ---- streams of words ----------------------------------------------------------------------------


def test_a_stream_by_hand() -> None:
    vocabulary = PlainWordVocabulary.build("the cat sat the cat the")  # <unk> the cat sat
    text = "The dog sat.\n\nA cat;\n...\nThe cat"
    found = word_stream(vocabulary, text)
    assert found.ids.tolist() == [1, 3, 2, 1, 2]
    assert found.paragraph.tolist() == [0, 0, 2, 4, 4]
    kept = word_stream(vocabulary, text, unknown="keep")
    assert kept.ids.tolist() == [1, 0, 3, 0, 2, 1, 2]
    assert kept.paragraph.tolist() == [0, 0, 0, 2, 2, 4, 4]
    assert found.ids.dtype == found.paragraph.dtype == torch.int64
    assert len(word_stream(WordVocabulary.build("cat ."), "cat.\ncat .").ids) == 4  # any kind


@pytest.mark.parametrize("unknown", ["drop", "keep"])
@pytest.mark.parametrize("text", ["", "\n\n", "dog; dogs\nno cats"])
def test_a_text_without_a_known_word_is_refused(text: str, unknown: str) -> None:
    with pytest.raises(ValueError, match="no word that the vocabulary knows"):
        word_stream(PlainWordVocabulary.build("cat"), text, unknown)
    with pytest.raises(ValueError, match="'drop' or 'keep', not 'leave'"):
        word_stream(PlainWordVocabulary.build("cat"), "cat", "leave")
