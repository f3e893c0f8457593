"""Words: splitting and joining by hand, and the law that one undoes the other."""

from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidistill.novels import load_novel
from minidistill.vocabulary import WordVocabulary, join_words, split_spaced, split_words
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


# ---- words with their spaces ------------------------------------------------------------------

# Characters that all versions of Unicode agree on: letters of several scripts, digits and other
# numbers, marks and accents, white space, and control characters that are none.
LETTERS, NUMBERS = "abstdlmvreéßжא你好々あ", "017٣½²Ⅷ〇一"
MARKS, SPACES = "'’.,-_“—!。\u0301\u200b🦊\x1c\x1f", "  \n\r\t\u3000\xa0\x85\u2028"


def borders_of(words: list[str]) -> set[int]:
    return set(accumulate((len(word) for word in words[:-1]), initial=0))


def borders_of_byte_pairs(text: str) -> set[int]:
    tokenizers = pytest.importorskip("tokenizers")
    split = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    return {start for _, (start, _) in split.pre_tokenize_str(text)}


def is_han(character: str) -> bool:
    return "\u4e00" <= character <= "\u9fff" or character in "々〇"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The cat, don't!", ["The", " cat", ",", " don", "'t", "!"]),
        ("we'll they've 'sir", ["we", "'ll", " they", "'ve", " '", "sir"]),
        ("a  b\n\n c \n", ["a", " ", " b", "\n\n", " c", " \n"]),
        ("他说 好。 ok他a", ["他", "说", " ", "好", "。", " ok", "他", "a"]),
        ("in 1984, 3½ or a²", ["in", " 1984", ",", " 3½", " or", " a", "²"]),
        ("_so_ “x”--y", ["_", "so", "_", " “", "x", "”--", "y"]),
        ("", []),
    ],
)
def test_split_spaced(text: str, words: list[str]) -> None:
    assert split_spaced(text) == words


@given(texts)
@settings(max_examples=300, deadline=None)
def test_spaced_words_joined_are_the_text(text: str) -> None:
    words = split_spaced(text)
    assert "".join(words) == text and all(words)


@given(st.text(LETTERS + NUMBERS + MARKS + SPACES, max_size=17))
@settings(max_examples=700, deadline=None)
def test_no_border_of_byte_pairs_is_lost_and_none_made_but_beside_chinese(text: str) -> None:
    words = split_spaced(text)
    assert "".join(words) == text
    if not text:
        return
    mine, theirs = borders_of(words), borders_of_byte_pairs(text)
    assert theirs <= mine
    assert all(is_han(text[at - 1]) or is_han(text[at]) for at in mine - theirs)
    for word in words:  # so no word is cut, and each is cut alike wherever it stands
        assert borders_of_byte_pairs(word) == {0}


@given(st.text("a3²他〇々 \n", max_size=17))
@settings(max_examples=200, deadline=None)
def test_every_chinese_character_stands_alone(text: str) -> None:
    assert all(len(word) == 1 for word in split_spaced(text) if any(map(is_han, word)))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_borders_of_a_novel(language: str) -> None:
    text = load_novel(language=language).text
    words = split_spaced(text)
    mine, theirs = borders_of(words), borders_of_byte_pairs(text)
    assert "".join(words) == text and theirs <= mine
    assert all(is_han(text[at - 1]) or is_han(text[at]) for at in mine - theirs)
    assert (mine == theirs) == (language == "en")
