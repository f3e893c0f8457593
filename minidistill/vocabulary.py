"""Vocabularies: a text becomes a list of numbers, and a list of numbers becomes a text again.

By what one token is: a character, a word (with or without the space before it), or a piece of
a word that byte-pair encoding found. Taught in solutions/01_text_as_data.ipynb.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Self

from minidistill.byte_pairs import BytePairVocabulary
from minidistill.vocabulary_base import (
    BOS,
    EOS,
    LOST,
    PAD,
    UNKNOWN,
    VERSION,
    Vocabulary,
    check_size,
    check_specials,
    check_text,
)
from minidistill.words import (
    PARAGRAPH,
    join_words,
    split_chinese,
    split_plain,
    split_plain_chinese,
    split_spaced,
    split_words,
)

__all__ = [
    "BOS",
    "EOS",
    "LOST",
    "PAD",
    "PARAGRAPH",
    "UNKNOWN",
    "VERSION",
    "BytePairVocabulary",
    "CharacterVocabulary",
    "ChineseWordVocabulary",
    "PlainChineseVocabulary",
    "PlainWordVocabulary",
    "SpacedWordVocabulary",
    "Vocabulary",
    "WordVocabulary",
    "join_words",
    "split_chinese",
    "split_plain",
    "split_plain_chinese",
    "split_spaced",
    "split_words",
]


class _MostFrequent(Vocabulary):
    """What characters and words share: the tokens that stand most often in a text are kept."""

    @classmethod
    def build(cls, text: str, size: int | None = None, specials: Iterable[str] = ()) -> Self:
        """Return the vocabulary of a text: most frequent first, ties by first appearance.

        size: how many tokens at most, special ones counted; None keeps all. The unknown
        token has id 0 and the special tokens come next.

        Raises ValueError: a text without tokens, a size with no room for any of them, a
        special token not written like `<name>`. Taught in solutions/01_text_as_data.ipynb.
        """
        check_text(text)
        reserved = cls._reserved(check_specials(specials))
        if size is not None:
            check_size(size, len(reserved))
        # A Counter keeps first appearance, and most_common sorts stably.
        counted = Counter(cls._split(text)).most_common()
        if not counted:
            raise ValueError("the text holds no tokens: there is nothing to build from")
        tokens = reserved + [token for token, _ in counted]
        counts = [0] * len(reserved) + [count for _, count in counted]
        whole = cls(tokens, reserved[1:], counts)
        return whole if size is None else whole.cut(size)


class CharacterVocabulary(_MostFrequent):
    """A vocabulary whose tokens are single characters (Unicode code points).

    `decode(encode(text)) == text` for every text of known characters.
    Taught in solutions/01_text_as_data.ipynb.
    """

    kind = "characters"

    @staticmethod
    def _split(text: str) -> Iterable[str]:
        return text


class WordVocabulary(_MostFrequent):
    """A vocabulary whose tokens are words, punctuation marks and single Chinese characters.

    `split_words` says what a token is. White space is lost, so `decode` sets spaces by rule:
    the text comes back as people write it, not exactly as it was. But splitting it again
    gives the same tokens. Taught in solutions/01_text_as_data.ipynb.
    """

    kind = "words"

    @staticmethod
    def _split(text: str) -> Iterable[str]:
        return split_words(text)

    def _join(self, tokens: list[str]) -> str:
        return join_words(tokens)


class ChineseWordVocabulary(_MostFrequent):
    """A vocabulary of the words of a Chinese text, as `split_chinese` finds them.

    `decode(encode(text)) == text` for every text of known words. Ten times as many tokens as
    there are characters, each rarer; needs jieba (`pip install "minidistill[chinese]"`).
    Taught in solutions/08_sampled_softmax.ipynb.
    """

    kind = "chinese words"

    @staticmethod
    def _split(text: str) -> Iterable[str]:
        return split_chinese(text)


class SpacedWordVocabulary(_MostFrequent):
    """A vocabulary of words that keep the space before them, and of single Chinese characters.

    `split_spaced` says what a token is. Nothing is lost: `decode(encode(text)) == text` for every
    text of known words. Each word is spelled in pieces in one way wherever it stands, which a
    teacher needs whose words are carried over to a student's pieces; `WordVocabulary` does not
    know where spaces stand. Taught in solutions/10_vocabulary_distillation.ipynb.
    """

    kind = "spaced words"

    @staticmethod
    def _split(text: str) -> Iterable[str]:
        return split_spaced(text)


class PlainWordVocabulary(_MostFrequent):
    """A vocabulary of words in small letters, without marks; of Chinese, single characters.

    For word embeddings, not for writing: `decode` sets a space between words. See `split_plain`.
    Taught in solutions/07_word_embeddings.ipynb.
    """

    kind = "plain words"

    @staticmethod
    def _split(text: str) -> Iterable[str]:
        return split_plain(text)

    def _join(self, tokens: list[str]) -> str:
        return " ".join(tokens)


class PlainChineseVocabulary(_MostFrequent):
    """A vocabulary of the words of a Chinese text, without marks, as `split_plain_chinese` does.

    Needs jieba (`pip install "minidistill[chinese]"`).
    Taught in solutions/07_word_embeddings.ipynb.
    """

    kind = "plain chinese words"

    @staticmethod
    def _split(text: str) -> Iterable[str]:
        return split_plain_chinese(text)
