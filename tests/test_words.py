"""Words: splitting and joining by hand, and the law that one undoes the other."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidistill.vocabulary import WordVocabulary, join_words, split_words
from tests.texts import texts


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Don't!  It’s ill-bred.", ["Don't", "!", "It’s", "ill-bred", "."]),
        ("a--b — c- -d", ["a", "--", "b", "—", "c", "-", "-", "d"]),
        ("1,000.50 or 3, 4.", ["1,000.50", "or", "3", ",", "4", "."]),
        ("我有3本book。", ["我", "有", "3", "本", "book", "。"]),
        ("_so_ A\r\n\r\n \nnext\nline", ["_", "so", "_", "A", "\n", "next", "\n", "line"]),
        ("cafe\u0301 naïve", ["cafe\u0301", "naïve"]),
        ("'tis the dogs' own", ["'", "tis", "the", "dogs", "'", "own"]),
        ("𠮷野 々〇", ["𠮷", "野", "々", "〇"]),
        ("", []),
    ],
)
def test_split_words(text: str, tokens: list[str]) -> None:
    assert split_words(text) == tokens


@pytest.mark.parametrize(
    "text",
    [
        "“Well,” she said, “it's 3,000 (or more)!”—no; ill-bred.\nNext: yes?",
        'He said "I know" and "so what?" to _her_.',
        "他说：“灯呢？”灯灭了，book3本。",
        "what's this--a dash--and that",
    ],
)
def test_joined_words_read_like_the_text(text: str) -> None:
    assert join_words(split_words(text)) == text


@given(texts)
@settings(max_examples=300, deadline=None)
def test_splitting_joined_words_gives_the_same_words(text: str) -> None:
    tokens = split_words(text)
    assert split_words(join_words(tokens)) == tokens


@given(st.text("a1-.,'’\"_“—中。Ａ１\n \u0301", max_size=17))
@settings(max_examples=500, deadline=None)
def test_splitting_joined_marks_gives_the_same_marks(text: str) -> None:
    tokens = split_words(text)
    assert split_words(join_words(tokens)) == tokens


def test_words_by_hand() -> None:
    vocabulary = WordVocabulary.build("the cat, the dog", size=3)
    assert vocabulary.tokens == ["<unk>", "the", "cat"]
    assert vocabulary.counts == [2, 2, 1]
    assert vocabulary.encode("the cat saw the dog") == [1, 2, 0, 1, 0]
    assert vocabulary.decode([1, 2, 0]) == "the cat □"
    assert vocabulary.coverage("the cat saw the dog") == pytest.approx(3 / 5)
