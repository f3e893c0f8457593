"""Chinese words: what jieba finds, joined, is the text again."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from minidistill import load_novel
from minidistill.vocabulary import ChineseWordVocabulary, Vocabulary, split_chinese

pytest.importorskip("jieba", reason="jieba is not installed")
TEXT = "老温把帽子放在桌上，看了看窗外。\n“下雨了。”他说。 42 goats! "


def test_words_joined_are_the_text() -> None:
    words = split_chinese(TEXT)
    assert "".join(words) == TEXT
    assert "帽子" in words
    assert len(words) < len(TEXT)


def test_a_vocabulary_gives_the_text_back_and_has_longer_tokens() -> None:
    text = load_novel(language="zh").split().train.text[:20_000]
    vocabulary = ChineseWordVocabulary.build(text)
    assert vocabulary.decode(vocabulary.encode(text)) == text
    assert max(map(len, vocabulary.tokens[1:])) >= 3
    assert vocabulary.counts == [0, *sorted(vocabulary.counts[1:], reverse=True)]


def test_what_was_cut_away_is_unknown(tmp_path: Path) -> None:
    vocabulary = ChineseWordVocabulary.build(TEXT * 2 + "天气", size=9, specials=["<pad>"])
    assert len(vocabulary) == 9
    assert vocabulary.encode("天气") == [0]
    vocabulary.save(tmp_path / "words.json")
    again = Vocabulary.load(tmp_path / "words.json")
    assert isinstance(again, ChineseWordVocabulary)
    assert again.tokens == vocabulary.tokens


def test_without_jieba_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jieba", None)
    with pytest.raises(ImportError, match=r'pip install "minidistill\[chinese\]"'):
        split_chinese("天气")
