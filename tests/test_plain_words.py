"""Words without marks, in small letters: by hand, as laws, and in vocabularies and their files."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidistill.vocabulary import (
    PAD,
    CharacterVocabulary,
    PlainChineseVocabulary,
    PlainWordVocabulary,
    Vocabulary,
    WordVocabulary,
    split_plain,
    split_plain_chinese,
    split_words,
)
from tests.texts import STORY, texts

# ---- splitting -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't!  It’s ill-bred.", ["don't", "it’s", "ill-bred"]),
        ("'tis the dogs' OWN", ["tis", "the", "dogs", "own"]),
        ("a--b — c- -d…", ["a", "b", "c", "d"]),
        ("1,000.50 or 3, 4th.", ["1,000.50", "or", "3", "4th"]),
        ("_so_ (A) [b] {c} “D” $e% & f@g", ["so", "a", "b", "c", "d", "e", "f", "g"]),
        ("Next\n\nline\r\n", ["next", "line"]),
        ("ÉCOLE naïve cafe\u0301", ["école", "naïve", "cafe\u0301"]),
        ("他没有回答。她又问：“灯呢？”", list("他没有回答她又问灯呢")),
        ("我有3本Book，𠮷野。", ["我", "有", "3", "本", "book", "𠮷", "野"]),
        ("...!?--", []),
        ("", []),
    ],
)
def test_split_plain(text: str, words: list[str]) -> None:
    assert split_plain(text) == words


@given(texts)
@settings(max_examples=200, deadline=None)
def test_plain_words_are_words_in_their_order(text: str) -> None:
    plain = split_plain(text)
    assert all(word == word.lower() and word[0].isalnum() for word in plain)
    left = [word for word in split_words(text) if any(c.isalnum() for c in word)]
    assert plain == [word.lower() for word in left]


def test_split_plain_chinese() -> None:
    pytest.importorskip("jieba", reason="jieba is not installed")
    text = "他没有回答。她又问：“Tom的灯呢？”\n 3本书……"
    words = split_plain_chinese(text)
    assert "".join(words) == "他没有回答她又问tom的灯呢3本书"
    assert {"没有", "回答", "tom"} <= set(words)
    assert split_plain_chinese("。，！ \n……") == []


# ---- vocabularies ----------------------------------------------------------------------------


def test_plain_words_by_hand() -> None:
    vocabulary = PlainWordVocabulary.build("The cat, the DOG; the cat.", specials=(PAD,))
    assert vocabulary.tokens == ["<unk>", "<pad>", "the", "cat", "dog"]
    assert vocabulary.counts == [0, 0, 3, 2, 1]
    assert vocabulary.encode("The DOG -- and the: Cat") == [2, 4, 0, 2, 3]
    assert vocabulary.decode([2, 1, 4, 0, 3]) == "the dog □ cat"
    assert vocabulary.coverage("the dog and a cat!") == pytest.approx(3 / 5)


def test_the_name_of_a_special_token_is_a_word_in_a_text() -> None:
    assert PlainWordVocabulary.build("a <pad> b", specials=(PAD,)).encode("<pad> a") == [3, 2]


@given(texts.filter(split_plain))
@settings(max_examples=100, deadline=None)
def test_decoding_and_encoding_again_gives_the_same_ids(text: str) -> None:
    vocabulary = PlainWordVocabulary.build(text)
    ids = vocabulary.encode(text)
    if vocabulary.unknown_id not in ids:
        assert vocabulary.decode(ids).split(" ") == split_plain(text)


def test_chinese_words_by_hand() -> None:
    pytest.importorskip("jieba", reason="jieba is not installed")
    vocabulary = PlainChineseVocabulary.build("没有回答，没有。")
    assert vocabulary.tokens == ["<unk>", "没有", "回答"] and vocabulary.counts == [0, 2, 1]
    assert vocabulary.encode("回答：没有！灯") == [2, 1, 0]


@pytest.mark.parametrize("kind", [PlainWordVocabulary, PlainChineseVocabulary])
def test_vocabularies_are_saved_by_their_kind(kind: type[Vocabulary], tmp_path: Path) -> None:
    if kind is PlainChineseVocabulary:
        pytest.importorskip("jieba", reason="jieba is not installed")
    path = tmp_path / "vocabulary.json"
    vocabulary = kind.build(STORY, specials=(PAD,))
    vocabulary.save(path)
    for found in (Vocabulary.load(path), kind.load(path)):
        assert type(found) is kind and vars(found) == vars(vocabulary)
        assert found.encode(STORY) == vocabulary.encode(STORY)
    with pytest.raises(ValueError, match=f"holds a vocabulary of {kind.kind}, not of words"):
        WordVocabulary.load(path)


def test_a_text_of_marks_has_no_words() -> None:
    with pytest.raises(ValueError, match="holds no tokens"):
        PlainWordVocabulary.build("... -- !")


# ---- without rare words ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", [PlainWordVocabulary, WordVocabulary, CharacterVocabulary])
@pytest.mark.parametrize("specials", [(), (PAD,)])
@settings(max_examples=30, deadline=None)
@given(text=st.text("abcdef .", min_size=30, max_size=90), least=st.integers(0, 7))
def test_without_rare_is_counting(
    kind: type, specials: tuple[str, ...], text: str, least: int
) -> None:
    text += "abc"
    vocabulary = kind.build(text, specials=specials)
    counted = Counter(kind._split(text))
    kept = {token for token, count in counted.items() if count >= least}
    if not kept:
        with pytest.raises(ValueError, match=f"no token stands {least} times"):
            vocabulary.without_rare(least)
        return
    found, first = vocabulary.without_rare(least), 1 + len(specials)
    assert set(found.tokens[first:]) == kept and found.tokens == vocabulary.tokens[: len(found)]
    assert found.tokens[:first] == ["<unk>", *specials] and found.specials == specials
    assert found.counts[first:] == [counted[token] for token in found.tokens[first:]]
    assert found.counts[0] == sum(counted.values()) - sum(found.counts[first:])
    assert type(found) is kind


def test_without_counts_or_frequent_tokens_it_is_refused() -> None:
    vocabulary = PlainWordVocabulary.build("a b a")
    assert vocabulary.without_rare(2).tokens == ["<unk>", "a"]
    assert vocabulary.without_rare(1).tokens == vocabulary.tokens
    # What was cut away before stands for no token, however often it stands.
    cut = PlainWordVocabulary.build("a a a b c d e").cut(3).without_rare(2)
    assert cut.tokens == ["<unk>", "a"] and cut.counts == [4, 3]
    with pytest.raises(ValueError, match="no token stands 3 times in the text: ask for fewer"):
        vocabulary.without_rare(3)
    with pytest.raises(ValueError, match="has no counts: build it from a text"):
        PlainWordVocabulary(["<unk>", "a"]).without_rare(1)
