"""Words that no vocabulary holds get ids of their own for as long as one source is read."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from torch import Tensor

from minidistill.vocabulary import LOST, WordVocabulary, join_words, split_words
from minidistill.vocabulary_base import check_text

PLACES = 16
"""How many different unknown words of one source can be told apart, unless you say otherwise."""


class ExtendedSource(NamedTuple):
    """A source text in ids.

    ids: every unknown word is `<unk>`. extended: the first unknown word is V, the second V + 1,
    and the same word has the same id again. unknown: the words that these ids stand for here.
    """

    ids: list[int]
    extended: list[int]
    unknown: tuple[str, ...]


class ExtendedVocabulary:
    """A vocabulary of words, and after it some places that each source fills with its own words.

    id of a word = its id in the vocabulary, else V + k where it is the source's k-th unknown word
    (from 0, in order of first appearance), else `<unk>`

    A temporary id means nothing without its source: two sources of one batch use the same ids for
    different words. Unknown words beyond the last place stay `<unk>`.

    Args:
        vocabulary: a `WordVocabulary` of V words. Pieces of byte-pair encoding are never unknown.
        places: how many unknown words one source can have; the model needs the same number.

    Raises:
        ValueError: another kind of vocabulary; no places.

    Source: See, Liu and Manning, Get to the point: summarization with pointer-generator networks,
    2017. Taught in solutions/10_vocabulary_distillation.ipynb.
    """

    def __init__(self, vocabulary: WordVocabulary, places: int = PLACES) -> None:
        if not isinstance(vocabulary, WordVocabulary):
            raise ValueError(
                f"copying whole words needs a WordVocabulary, but this is a "
                f"{type(vocabulary).__name__}: make one with WordVocabulary.build(text)"
            )
        check_places(places)
        self.vocabulary, self.places = vocabulary, places

    def __len__(self) -> int:
        """V + places."""
        return len(self.vocabulary) + self.places

    def encode_source(self, text: str, hidden: Collection[str] = ()) -> ExtendedSource:
        """Return a source's ids, without and with temporary ones.

        hidden: words that are taken for unknown though the vocabulary holds them. In training
        that shows the model words it has to copy. Raises ValueError: no proper text, or one
        string where a collection of words belongs.
        """
        words, known = _words(text, hidden), self.vocabulary.token_to_id
        new = [word for word in words if word in hidden or word not in known]
        unknown = tuple(dict.fromkeys(new))[: self.places]
        extended = self._ids(words, unknown, hidden)
        ids = [self.vocabulary.unknown_id if i >= len(self.vocabulary) else i for i in extended]
        return ExtendedSource(ids, extended, unknown)

    def encode_target(
        self, text: str, unknown: Sequence[str], hidden: Collection[str] = ()
    ) -> list[int]:
        """Return a target's ids, with the source's temporary ones; other unknown words are `<unk>`.

        unknown: `ExtendedSource.unknown` of its source. hidden: as for the source.
        """
        return self._ids(_words(text, hidden, unknown), unknown, hidden)

    def encode_pair(
        self, source: str, target: str, hidden: Collection[str] = ()
    ) -> tuple[list[int], list[int]]:
        """Return (extended source ids, target ids), a pair for `PairBatches`."""
        read = self.encode_source(source, hidden)
        return read.extended, self.encode_target(target, read.unknown, hidden)

    def decode(self, ids: Sequence[int] | Tensor, unknown: Sequence[str]) -> str:
        """Return the text of ids that were written from the source with these unknown words.

        `<unk>`, and a place that this source left empty, are written "□"; the other special
        tokens are no text and are left out. Raises ValueError: an id outside of all this.
        """
        V, words = len(self.vocabulary), []
        silent = {self.vocabulary.token_to_id[name] for name in self.vocabulary.specials}
        for i in ids.tolist() if isinstance(ids, Tensor) else ids:
            if type(i) is not int or not 0 <= i < len(self):
                raise ValueError(
                    f"{i!r} is no id here: words go from 0 to {V - 1}, the words of a source from "
                    f"{V} to {len(self) - 1}"
                )
            if i >= V:
                words.append(unknown[i - V] if i - V < len(unknown) else LOST)
            elif i not in silent:
                words.append(LOST if i == self.vocabulary.unknown_id else self.vocabulary.tokens[i])
        return join_words(words)

    def _ids(
        self, words: Sequence[str], unknown: Sequence[str], hidden: Collection[str]
    ) -> list[int]:
        temporary = {word: len(self.vocabulary) + k for k, word in enumerate(unknown)}
        known, unk = self.vocabulary.token_to_id, self.vocabulary.unknown_id
        # Temporary ids first: a hidden word is in both.
        return [
            temporary.get(word, unk if word in hidden else known.get(word, unk)) for word in words
        ]


def _words(text: str, *collections: Collection[str]) -> list[str]:
    """The words of a text; ValueError for what is no text, or no collection of words."""
    check_text(text)
    for words in collections:
        if isinstance(words, str):  # `in` would find every part of it
            raise ValueError(f"give the words in a list: [{words!r}]")
    return split_words(text)


def check_places(places: int) -> None:
    """ValueError where a number of places is none."""
    if type(places) is not int or places < 1:
        raise ValueError(f"places is how many words can be copied, at least 1, got {places!r}")


__all__ = ["PLACES", "ExtendedSource", "ExtendedVocabulary", "check_places"]
