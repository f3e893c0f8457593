"""Byte pairs: merges by hand, every text comes back, and training is the same everywhere."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings

from minidistill.byte_pairs import BytePairVocabulary, _byte_letters
from minidistill.vocabulary import PAD, Vocabulary
from tests.texts import SPECIALS, STORY, texts

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def pairs() -> BytePairVocabulary:
    return BytePairVocabulary.train(STORY, 307, SPECIALS)


def test_byte_pairs_by_hand() -> None:
    # "ab" stands 4 times, "abab" (from "ab", "ab") twice, and then no pair stands twice.
    vocabulary = BytePairVocabulary.train("abab abab", 300, (PAD,))
    assert vocabulary.tokens[0] == PAD and vocabulary.tokens[1 + ord("a")] == "a"
    assert vocabulary.merges == [("a", "b"), ("ab", "ab")]
    assert vocabulary.tokens[257:] == ["ab", "abab"]
    assert vocabulary.encode("abab ab") == [258, 1 + ord(" "), 257]
    assert vocabulary.counts[257:] == [0, 2]
    assert vocabulary.unknown_id is None


@given(texts)
@settings(max_examples=200, deadline=None)
def test_byte_pairs_bring_back_any_text(pairs: BytePairVocabulary, text: str) -> None:
    ids = pairs.encode(text)
    assert pairs.decode(ids) == text
    assert all(len(SPECIALS) <= i < len(pairs) for i in ids)


def test_letters_of_bytes_are_those_of_the_library() -> None:
    from tokenizers.pre_tokenizers import ByteLevel

    assert sorted(_byte_letters()) == sorted(ByteLevel.alphabet())
    for text in ("A", " ", "\n", "é", "你", "\x00", "\u00ad"):
        [(letters, _)] = ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str(text)
        assert letters == "".join(_byte_letters()[byte] for byte in text.encode())


def test_tokens_show_text_or_the_bytes_of_a_part(pairs: BytePairVocabulary) -> None:
    assert " lamp" in pairs.tokens
    assert "灯" in pairs.tokens
    assert "<0xE7>" in pairs.tokens
    half = pairs.encode("你")[:1]  # never seen, so its first byte alone
    assert pairs.decode(half) == "\ufffd"


TRAIN = (
    "import sys; from minidistill.vocabulary import BytePairVocabulary as B;"
    "v = B.train(open(sys.argv[1], encoding='utf-8', newline='').read(), 311);"
    "print(v.merges, v.counts)"
)


@pytest.mark.slow  # each process loads torch
def test_training_in_two_processes_learns_the_same(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    # All of these pairs stand equally often, so that only ties decide.
    text = " ".join(a + b for a in "abcdefghij" for b in "klmnopqrst") * 3
    path.write_text(text, encoding="utf-8", newline="")
    printed = set()
    for seed, threads in (("1", "1"), ("2", "3")):
        setting = {**os.environ, "PYTHONHASHSEED": seed, "RAYON_NUM_THREADS": threads}
        command = [sys.executable, "-c", TRAIN, str(path)]
        done = subprocess.run(
            command, cwd=ROOT, env=setting, check=True, capture_output=True, text=True
        )
        printed.add(done.stdout)
    assert len(printed) == 1 and "('" in printed.pop()


@pytest.mark.parametrize("size", [259, 260, 277, 306, 307, 999])
def test_cut_byte_pairs_are_those_of_a_smaller_training(
    pairs: BytePairVocabulary, size: int
) -> None:
    cut, trained = pairs.cut(size), BytePairVocabulary.train(STORY, min(size, 307), SPECIALS)
    assert (cut.tokens, cut.merges) == (trained.tokens, trained.merges)
    assert cut.encode(STORY) == trained.encode(STORY)
    assert cut.decode(cut.encode(STORY)) == STORY


def test_without_the_library_a_sentence_says_what_to_install(
    pairs: BytePairVocabulary, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pairs.save(tmp_path / "pairs.json")
    ids = pairs.encode("lamp")
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    loaded = Vocabulary.load(tmp_path / "pairs.json")
    assert loaded.decode(ids) == "lamp"
    with pytest.raises(ImportError, match=r"pip install \"minidistill\[bpe\]\""):
        loaded.encode("lamp")
    with pytest.raises(ImportError, match="tokenizers"):
        BytePairVocabulary.train("lamp", 300)


def test_bad_arguments_of_byte_pairs(pairs: BytePairVocabulary) -> None:
    with pytest.raises(ValueError, match="at least 257"):
        BytePairVocabulary.train("abc", 256, (PAD,))
    with pytest.raises(ValueError, match="at least 259"):
        pairs.cut(258)
    with pytest.raises(ValueError, match="empty"):
        BytePairVocabulary.train("", 300)
