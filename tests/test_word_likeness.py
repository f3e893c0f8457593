"""Rank correlation by hand and against scipy; pairs that people judged, from a file."""

import math
from pathlib import Path

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from minidistill.word_likeness import Likeness, likeness, read_pairs, spearman
from minidistill.word_vectors import WordVectors

# ---- the correlation -------------------------------------------------------------------------


def test_spearman_by_hand() -> None:
    assert spearman([1, 2, 3, 4], [10, 200, 3000, 40000]) == pytest.approx(1)
    assert spearman([1, 2, 3, 4], [9, 7, -5, -6]) == pytest.approx(-1)
    # Ranks 1 2 3 4 5 and 2 1 4 3 5: 1 - 6 * 4 / (5 * 24).
    assert spearman([1, 2, 3, 4, 5], [20, 10, 40, 30, 50]) == pytest.approx(0.8)


def test_ties_share_the_mean_of_their_ranks() -> None:
    # Ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4: 4.5 / sqrt(4.5 * 5).
    assert spearman([0, 7, 7, 9], [1, 2, 3, 4]) == pytest.approx(math.sqrt(0.9))
    # Ranks 2, 2, 2, 4 against 1.5, 1.5, 3, 4, less their means of 2.5:
    # (0.5 + 0.5 - 0.25 + 2.25) / sqrt(3 * 4.5).
    assert spearman([5, 5, 5, 6], [1, 1, 2, 3]) == pytest.approx(3 / math.sqrt(13.5))


rows = st.lists(st.tuples(st.integers(-4, 4), st.floats(-3, 3)), min_size=2, max_size=30)


@settings(deadline=None, max_examples=100)
@given(rows)
def test_spearman_is_scipys(pairs: list[tuple[int, float]]) -> None:
    stats = pytest.importorskip("scipy.stats", reason="scipy is not installed")
    one, other = zip(*pairs, strict=True)
    assume(len(set(one)) > 1 and len(set(other)) > 1)
    found = spearman(torch.tensor(one), list(other))
    assert found == pytest.approx(float(stats.spearmanr(one, other)[0]), abs=1e-9)
    assert found == pytest.approx(spearman(other, one))
    assert found == pytest.approx(spearman([x**3 for x in one], other))  # only the order counts


def test_rows_without_an_order_are_refused() -> None:
    with pytest.raises(ValueError, match="3 and 2 numbers: give two rows of one length"):
        spearman([1, 2, 3], [1, 2])
    for row in ([5, 5, 5], [], [3]):
        for pair in ((row, list(range(len(row)))), (list(range(len(row))), row)):
            with pytest.raises(ValueError, match="the same all over: it has no order"):
                spearman(*pair)


# ---- pairs -----------------------------------------------------------------------------------

FILE = """# Two words and a judgement
Word 1\tWord 2\tHuman (mean)
Tiger\tcat\t7.35
#tiger\ttiger\t10.00
book\tPaper\t-7e-1

one\ttwo
stock\tjaguar\t0.92\tmore
three\tfour\tmany
"""
PAIRS = [("tiger", "cat", 7.35), ("book", "paper", -0.7), ("stock", "jaguar", 0.92)]


def test_read_pairs(tmp_path: Path) -> None:
    path = tmp_path / "pairs.tsv"
    path.write_text(FILE, encoding="utf-8")
    assert read_pairs(path) == read_pairs(str(path)) == PAIRS
    path.write_text("Café\t中文\t3\r\n", encoding="utf-8", newline="")
    assert read_pairs(path) == [("café", "中文", 3.0)]


@pytest.mark.parametrize("text", ["", "# a\tb\t3\n", "word\tword\tscore\n", "a b 3\n"])
def test_a_file_without_pairs_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "pairs.tsv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="holds no line of two words and a number"):
        read_pairs(path)


# ---- likeness --------------------------------------------------------------------------------


def vectors(counts: list[int] | None = None) -> WordVectors:
    """Angles of 0, 10, 30, 60 and 100 degrees."""
    radians = torch.tensor([0, 10, 30, 60, 100]) * math.pi / 180
    return WordVectors(list("abcde"), torch.stack([radians.cos(), radians.sin()], 1) * 3, counts)


JUDGED = [("a", "b", 9.0), ("a", "c", 7.0), ("c", "e", 8.0), ("a", "e", 1.0), ("a", "z", 5.0)]


def test_likeness_by_hand() -> None:
    # Cosines fall as ab, ac, ce, ae; people have ce before ac: 1 - 6 * 2 / (4 * 15).
    found = likeness(vectors(), iter(JUDGED))
    assert found == Likeness(pytest.approx(0.8), pytest.approx(1 / math.sqrt(3)), 4)


def test_rare_words_are_left_out() -> None:
    counted = vectors([9, 7, 5, 1, 2])
    assert likeness(counted, JUDGED, least=2).pairs == 4
    more = [*JUDGED, ("b", "c", 2.0)]
    # Of ab, ac and bc at angles of 10, 30 and 20 degrees: people have 9, 7, 2.
    found = likeness(counted, more, least=3)
    assert found == Likeness(pytest.approx(0.5), pytest.approx(1 / math.sqrt(2)), 3)
    assert likeness(counted, more, least=5) == found
    assert likeness(vectors(), more, least=99).pairs == 5  # without counts nothing is rare


def test_too_few_pairs_are_refused() -> None:
    for pairs, known in ((JUDGED[:2], 2), ([], 0), (JUDGED[-1:] * 5, 0)):
        with pytest.raises(ValueError, match=rf"know only {known} of the pairs: at least 3"):
            likeness(vectors(), pairs)
    with pytest.raises(ValueError, match="know only 1 of the pairs"):
        likeness(vectors([9, 7, 5, 1, 2]), JUDGED, least=7)
