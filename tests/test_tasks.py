"""Tasks with a known alignment: examples by hand, and the laws that every row must keep."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minidistill.tasks import (
    BOS,
    EOS,
    LETTERS,
    PADDING,
    SPACE,
    TASK_VOCABULARY_SIZE,
    Aligned,
    phrase_order,
    reversal,
    spell,
    unspell,
)

untimed = settings(deadline=None)  # other work on the machine is no fault of a test
ranges = st.tuples(st.integers(1, 11), st.integers(0, 13)).map(lambda r: (r[0], r[0] + r[1]))
tasks = pytest.mark.parametrize("task", [reversal, phrase_order])


def test_the_ids_are_all_different_and_within_the_vocabulary() -> None:
    assert sorted({SPACE, PADDING, BOS, EOS}) == [26, 27, 28, 29]
    assert (len(LETTERS), LETTERS[SPACE], TASK_VOCABULARY_SIZE) == (27, " ", 30)


def test_spell_and_unspell() -> None:
    assert unspell("ab z").tolist() == [0, 1, 26, 25]
    assert spell(unspell("ab cde f")) == "ab cde f"
    assert spell([BOS, 2, EOS, PADDING]) == "^c$_"
    assert spell([]) == "" and unspell("").tolist() == []
    with pytest.raises(ValueError, match="30 is no id"):
        spell([2, 30])
    with pytest.raises(ValueError, match="'B' is neither"):
        unspell("aB")


def by_hand(task: object, source: str) -> str:
    """The target, by Python's own string methods."""
    return source[::-1] if task is reversal else " ".join(source.split(" ")[::-1])


@tasks
@untimed
@given(st.integers(1, 29), ranges, st.integers(0, 2**40))
def test_every_row_keeps_the_laws(task, count: int, lengths: tuple[int, int], seed: int) -> None:
    made = task(count, lengths, seed)
    assert len(made) == count
    for one in made:
        assert isinstance(one, Aligned)
        source, target = spell(one.source), spell(one.target)
        assert lengths[0] <= len(source) <= lengths[1]
        assert target == by_hand(task, source)
        assert torch.equal(one.source[one.alignment], one.target)
        assert sorted(one.alignment.tolist()) == list(range(len(source)))
        assert "" not in source.split(" ")  # every phrase has a letter: no space at either end
        assert task is phrase_order or " " not in source
        assert all(part.dtype == torch.int64 for part in one)


@tasks
def test_the_seed_decides(task) -> None:
    def text(made: list[Aligned]) -> list[str]:
        return [spell(one.source) for one in made]

    assert text(task(7, seed=3)) == text(task(7, seed=3)) != text(task(7, seed=5))
    torch.manual_seed(11)
    before = torch.get_rng_state()
    task(3)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_space_comes_from_the_space_between_the_same_phrases() -> None:
    found = 0
    for one in phrase_order(300, (3, 13), seed=2):
        spaces = (one.source == SPACE).nonzero().flatten().tolist()
        theirs = one.alignment[one.target == SPACE].tolist()
        # From last to first, like the phrases: the first space of the target is the source's last.
        assert theirs == spaces[::-1]
        found += len(spaces)
    assert found > 300


def test_phrase_order_by_hand() -> None:
    wanted = {"ab c": ("c ab", [3, 2, 0, 1]), "a b c": ("c b a", [4, 3, 2, 1, 0])}
    shapes = {tuple(c == " " for c in source): answer for source, answer in wanted.items()}
    seen = set()
    for one in phrase_order(500, (4, 5), seed=1):
        shape = tuple((one.source == SPACE).tolist())
        if shape in shapes:
            seen.add(shape)
            assert one.alignment.tolist() == shapes[shape][1]
    assert len(seen) == 2


@tasks
def test_lengths_and_letters_are_equally_likely(task) -> None:
    made = task(6000, (2, 7), seed=1)
    lengths = torch.bincount(torch.tensor([len(one.source) for one in made]))
    assert bool(((lengths[2:] - 1000).abs() < 5 * 1000**0.5).all())
    letters = torch.cat([one.source for one in made])
    counts = torch.bincount(letters[letters != SPACE], minlength=26).double()
    mean = counts.mean()
    assert len(counts) == 26 and bool(((counts - mean).abs() < 5 * mean.sqrt()).all())


def test_phrases_have_about_three_letters() -> None:
    text = " ".join(spell(one.source) for one in phrase_order(2000, (97, 97), seed=4))
    phrases = text.split(" ")
    assert 2.7 < sum(map(len, phrases)) / len(phrases) < 2.9


@tasks
def test_rows_share_no_memory(task) -> None:
    first, second = task(2, (5, 5), seed=1)
    kept = second.source.clone()
    first.source.fill_(SPACE)
    assert torch.equal(second.source, kept) and SPACE not in first.target


@tasks
def test_what_cannot_be_made(task) -> None:
    with pytest.raises(ValueError, match="at least 1, got 0"):
        task(0)
    for lengths in [(0, 5), (5, 3)]:
        with pytest.raises(ValueError, match="the shortest and the longest"):
            task(3, lengths)
