"""Vocabularies: values by hand, round trips as laws, and files that are not what they claim."""

import json
import os
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minidistill.vocabulary import (
    BOS,
    EOS,
    LOST,
    PAD,
    UNKNOWN,
    BytePairVocabulary,
    CharacterVocabulary,
    SpacedWordVocabulary,
    Vocabulary,
    WordVocabulary,
    split_spaced,
    split_words,
)
from tests.texts import SPECIALS, STORY, some_texts

ROOT = Path(__file__).parents[1]
untimed = settings(deadline=None)  # other work on the machine is no fault of a test


@pytest.fixture(scope="module")
def pairs() -> BytePairVocabulary:
    return BytePairVocabulary.train(STORY, 307, SPECIALS)


def all_kinds(text: str) -> list[Vocabulary]:
    return [
        CharacterVocabulary.build(text, specials=SPECIALS),
        WordVocabulary.build(text, specials=SPECIALS),
        BytePairVocabulary.train(text, 293, SPECIALS),
    ]


def same(one: Vocabulary, two: Vocabulary) -> bool:
    return vars(one).keys() == vars(two).keys() and all(
        value == vars(two)[name] for name, value in vars(one).items() if name != "_tokenizer"
    )


# ---- characters ---------------------------------------------------------------------------


def test_characters_by_hand() -> None:
    vocabulary = CharacterVocabulary.build("cabbage", specials=(PAD, BOS))
    # a and b stand twice and a came first; c, g and e stand once, in order of appearance.
    assert vocabulary.tokens == ["<unk>", "<pad>", "<bos>", "a", "b", "c", "g", "e"]
    assert vocabulary.counts == [0, 0, 0, 2, 2, 1, 1, 1]
    assert vocabulary.encode("bad") == [4, 3, 0]
    assert vocabulary.decode([4, 3, 0, 2, 1, 7]) == f"ba{LOST}e"
    assert vocabulary.decode(torch.tensor([5, 3])) == "ca"
    assert vocabulary.unknown_id == 0 and len(vocabulary) == 8
    assert vocabulary.token_to_id[BOS] == 2


def test_size_counts_the_special_tokens_and_the_rest_is_unknown() -> None:
    vocabulary = CharacterVocabulary.build("cabbage", size=4, specials=(PAD,))
    assert vocabulary.tokens == ["<unk>", "<pad>", "a", "b"]
    assert vocabulary.counts == [3, 0, 2, 2]
    assert vocabulary.coverage("cabbage") == pytest.approx(4 / 7)
    assert vocabulary.decode(vocabulary.encode("cabbage")) == "□abba□□"


@untimed
@given(some_texts)
def test_characters_come_back_exactly(text: str) -> None:
    vocabulary = CharacterVocabulary.build(text, specials=SPECIALS)
    assert vocabulary.decode(vocabulary.encode(text)) == text
    assert vocabulary.coverage(text) == 1.0
    assert sum(vocabulary.counts) == len(text)


# ---- all kinds ----------------------------------------------------------------------------


@given(some_texts)
@settings(max_examples=30, deadline=None)
def test_laws_of_every_kind(text: str) -> None:
    for vocabulary in all_kinds(text):
        ids = vocabulary.encode(text)
        assert all(0 <= i < len(vocabulary) for i in ids)
        assert sum(vocabulary.counts) == len(ids)
        assert vocabulary.decode(torch.tensor(ids)) == vocabulary.decode(ids)
        assert vocabulary.coverage(text) == 1.0
        assert vocabulary.encode("") == [] and vocabulary.decode([]) == ""


def test_text_that_names_a_special_token_does_not_become_it() -> None:
    text = "a <pad> b <bos><eos> <unk> <pad>" * 5
    for vocabulary in all_kinds(text):
        reserved = {vocabulary.token_to_id[name] for name in SPECIALS}
        assert not reserved & set(vocabulary.encode(text))
        assert 0 not in vocabulary.encode(text)  # nor the unknown token
        assert vocabulary.encode("<pad>") != [vocabulary.token_to_id[PAD]]
        assert "".join(vocabulary.decode(vocabulary.encode(text)).split()) == text.replace(" ", "")


def test_special_tokens_stand_right_after_the_unknown_and_are_no_text() -> None:
    characters, words, pairs = all_kinds(STORY)
    for vocabulary in (characters, words):
        assert vocabulary.tokens[:4] == [UNKNOWN, PAD, BOS, EOS]
        assert vocabulary.decode([2, *vocabulary.encode("lamp"), 3, 1]) == "lamp"
    assert pairs.tokens[:3] == [PAD, BOS, EOS]
    assert pairs.decode([1, *pairs.encode("lamp"), 2, 0]) == "lamp"


@untimed
@given(some_texts, st.integers(1, 13))
def test_cut_keeps_order_and_sends_the_rest_to_unknown(text: str, extra: int) -> None:
    for kind in (CharacterVocabulary, WordVocabulary):
        whole = kind.build(text, specials=SPECIALS)
        cut = whole.cut(4 + extra)
        assert cut.tokens == whole.tokens[: 4 + extra]
        assert sum(cut.counts) == sum(whole.counts)
        assert same(cut, kind.build(text, size=4 + extra, specials=SPECIALS))
        ids = cut.encode(text)
        assert ids == [i if i < len(cut) else 0 for i in whole.encode(text)]
        assert ids.count(0) == cut.counts[0]
        assert cut.coverage(text) == pytest.approx(1 - ids.count(0) / len(ids))


def test_cutting_twice_counts_the_unknown_of_both_cuts() -> None:
    whole = CharacterVocabulary.build("aaaaabbbbcccdde")
    assert whole.cut(4).cut(3).counts == whole.cut(3).counts == [6, 5, 4]


@given(some_texts)
@settings(max_examples=30, deadline=None)
def test_saved_and_loaded_is_the_same(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.mktemp("saved")
    for vocabulary in all_kinds(text):
        path = folder / "deeper" / "vocabulary.json"
        vocabulary.save(path)
        loaded = Vocabulary.load(path)
        assert type(loaded) is type(vocabulary) and same(loaded, vocabulary)
        assert loaded.encode(text + STORY) == vocabulary.encode(text + STORY)
        assert [file.name for file in path.parent.iterdir()] == ["vocabulary.json"]


def test_the_file_can_be_read_by_people(tmp_path: Path) -> None:
    path = tmp_path / "vocabulary.json"
    BytePairVocabulary.train("灯 灯 the the", 300).save(path)
    lines = path.read_text(encoding="utf-8").split("\n")
    assert lines[1:3] == [' "kind": "byte pairs",', ' "version": 1,']
    assert '  ["t", "he"],' in lines or '  ["th", "e"],' in lines
    assert '  "灯"' in lines or '  "灯",' in lines
    fields = json.loads(path.read_text(encoding="utf-8"))
    assert list(fields) == ["kind", "version", "specials", "tokens", "counts", "merges"]


def test_counts_are_optional(tmp_path: Path) -> None:
    vocabulary = WordVocabulary([UNKNOWN, "the", "cat"])
    assert vocabulary.counts is None and vocabulary.cut(2).counts is None
    vocabulary.save(tmp_path / "words.json")
    assert Vocabulary.load(tmp_path / "words.json").counts is None


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "vocabulary.json"
    CharacterVocabulary.build("old").save(path)
    before = path.read_bytes()

    def refuse(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="disk full"):
        CharacterVocabulary.build("new").save(path)
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


# ---- errors -------------------------------------------------------------------------------

GOOD = {"kind": "characters", "version": 1, "specials": [], "tokens": ["<unk>", "a"]}
PAIRS = {**GOOD, "kind": "byte pairs", "tokens": [], "merges": []}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"once upon a time", "not a JSON file"),
        (b"\xff\xfe{}", "not a JSON file"),
        (b"[" * 100_000, "not a JSON file"),
        (["<unk>"], "no field 'kind'"),
        ({"version": 1}, "no field 'kind'"),
        (
            {**GOOD, "kind": "syllables"},
            "'syllables' is none of byte pairs, characters, chinese words, plain chinese words, ",
        ),
        ({**GOOD, "kind": ["words"]}, "is none of"),
        ({**GOOD, "version": 2}, "newer minidistill"),
        ({**GOOD, "version": "1"}, "version is '1'"),
        ({"kind": "words", "version": 1}, "'tokens' is missing"),
        ({**GOOD, "tokens": ["<unk>", 3]}, "'tokens' is missing, or is not a list of str"),
        ({**GOOD, "specials": "<pad>"}, "'specials' is missing"),
        ({**GOOD, "tokens": ["<unk>", "a", "a"]}, "'a' stands twice"),
        ({**GOOD, "tokens": ["a", "<unk>"]}, "must begin with"),
        ({**GOOD, "specials": ["<pad>"]}, "must begin with"),
        ({**GOOD, "counts": [1]}, "2 tokens but 1 counts"),
        ({**GOOD, "counts": [1, True]}, "'counts'"),
        (PAIRS, "256 bytes"),
        ({**GOOD, "kind": "byte pairs"}, "'merges' is missing"),
        ({**PAIRS, "merges": [["a"]]}, "two tokens"),
        ({**PAIRS, "merges": [["a", "bc"]]}, "not made before"),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, content: object, message: str) -> None:
    path = tmp_path / "vocabulary.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    with pytest.raises(ValueError, match=message):
        Vocabulary.load(path)


def test_loading_from_another_class_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "vocabulary.json"
    CharacterVocabulary.build("abc").save(path)
    assert CharacterVocabulary.load(path).tokens == ["<unk>", "a", "b", "c"]
    with pytest.raises(ValueError, match="of characters, not of words"):
        WordVocabulary.load(path)


@pytest.mark.parametrize("kind", [CharacterVocabulary.build, WordVocabulary.build])
def test_bad_arguments_of_build(kind) -> None:
    with pytest.raises(ValueError, match="no tokens"):
        kind("")
    with pytest.raises(ValueError, match="at least 5"):
        kind("abc", size=4, specials=SPECIALS)
    for size in (0, -1, 7.0, True):
        with pytest.raises(ValueError, match="size is"):
            kind("abc", size=size)
    for name in ("pad", "p", "<PAD>", "<>", "<unk>", "<p ad>", 3):
        with pytest.raises(ValueError, match="cannot be a special token"):
            kind("abc", specials=(name,))
    with pytest.raises(ValueError, match="list of names"):
        kind("abc", specials=PAD)
    with pytest.raises(ValueError, match="stands twice"):
        kind("abc", specials=(PAD, PAD))
    with pytest.raises(ValueError, match="is a list"):
        kind(["abc"])


def test_bad_texts_and_ids(pairs: BytePairVocabulary) -> None:
    for vocabulary in (CharacterVocabulary.build("abc"), WordVocabulary.build("abc"), pairs):
        with pytest.raises(ValueError, match="character 1 of the text is half of a surrogate"):
            vocabulary.encode("a\ud800")
        with pytest.raises(ValueError, match="is a bytes"):
            vocabulary.encode(b"abc")
        with pytest.raises(ValueError, match="without tokens"):
            vocabulary.coverage("")
        for ids in ([len(vocabulary)], [-1], [1.0], [True], torch.tensor([0.5])):
            with pytest.raises(ValueError, match="is not an id"):
                vocabulary.decode(ids)
        with pytest.raises(ValueError, match=r"shape \(3, 5\)"):
            vocabulary.decode(torch.zeros(3, 5, dtype=torch.long))


def test_a_chinese_and_an_english_novel_come_back() -> None:
    folder = ROOT.parent / "shared" / "novels"
    if not folder.is_dir():
        pytest.skip("the raw novels are not beside the repository (../shared/novels)")
    for book in ("11", "23950"):
        [path] = (folder / "gutenbergbooks" / book).glob("*/*.txt")
        text = path.read_bytes().decode("utf-8")[:100_000]
        characters = CharacterVocabulary.build(text)
        assert characters.decode(characters.encode(text)) == text
        words = WordVocabulary.build(text)
        tokens = split_words(text)
        assert split_words(words.decode(words.encode(text))) == tokens


# ---- words with their spaces ----------------------------------------------------------------


def test_spaced_words_by_hand() -> None:
    vocabulary = SpacedWordVocabulary.build("the cat the cat, the", size=4, specials=(PAD,))
    # " the" and " cat" stand twice, and " cat" came first; "the" and "," once.
    assert vocabulary.tokens == ["<unk>", "<pad>", " cat", " the"]
    assert vocabulary.counts == [2, 0, 2, 2]
    assert vocabulary.encode(" the cat saw the") == [3, 2, 0, 3]
    assert vocabulary.decode([3, 1, 2, 0]) == f" the cat{LOST}"
    assert vocabulary.coverage("the cat") == pytest.approx(1 / 2)


@given(some_texts, st.integers(1, 13))
@settings(max_examples=50, deadline=None)
def test_laws_of_spaced_words(
    tmp_path_factory: pytest.TempPathFactory, text: str, extra: int
) -> None:
    whole = SpacedWordVocabulary.build(text, specials=SPECIALS)
    ids = whole.encode(text)
    assert whole.decode(ids) == text and 0 not in ids and whole.coverage(text) == 1.0
    assert sum(whole.counts) == len(ids) == len(split_spaced(text))
    assert not set(range(1 + len(SPECIALS))) & set(ids)  # no text is a special token
    path = tmp_path_factory.mktemp("saved") / "vocabulary.json"
    for vocabulary in (whole, whole.cut(4 + extra)):
        vocabulary.save(path)
        for loaded in (Vocabulary.load(path), SpacedWordVocabulary.load(path)):
            assert type(loaded) is SpacedWordVocabulary and same(loaded, vocabulary)
    assert same(vocabulary, SpacedWordVocabulary.build(text, 4 + extra, SPECIALS))
    assert vocabulary.tokens == whole.tokens[: 4 + extra]
    assert vocabulary.encode(text) == [i if i < len(vocabulary) else 0 for i in ids]
    known = [i for i in ids if i < len(vocabulary)]
    assert vocabulary.decode(known) == "".join(whole.tokens[i] for i in known)


def test_spaced_words_are_not_words(tmp_path: Path) -> None:
    path = tmp_path / "vocabulary.json"
    SpacedWordVocabulary.build("the cat").save(path)
    assert json.loads(path.read_text())["kind"] == "spaced words"
    with pytest.raises(ValueError, match="of spaced words, not of words"):
        WordVocabulary.load(path)
    WordVocabulary.build("the cat").save(path)
    with pytest.raises(ValueError, match="of words, not of spaced words"):
        SpacedWordVocabulary.load(path)


def test_bad_texts_of_spaced_words() -> None:
    with pytest.raises(ValueError, match="no tokens"):
        SpacedWordVocabulary.build("")
    with pytest.raises(ValueError, match="half of a surrogate"):
        SpacedWordVocabulary.build("abc").encode("a\ud800")
    assert SpacedWordVocabulary.build(" ").tokens == ["<unk>", " "]  # white space is text here
