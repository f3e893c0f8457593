"""One small vocabulary for several teachers: byte pairs that never cross a teacher's token.

Every token of every teacher can then be written as a few pieces, one after another, and what the
teachers say of their tokens can be said of the pieces (`minidistill.piece_map`).
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from minidistill.byte_pairs import BytePairVocabulary, joined, to_bytes, tokens_of_merges
from minidistill.vocabulary_base import Vocabulary, check_size, check_specials

Pair = tuple[str, str]
ALPHABET = tokens_of_merges(())  # the pieces of one byte
AHEAD = 64  # how many of a teacher's merges are weighed together


def common_pieces(
    teachers: Sequence[Vocabulary],
    texts: Sequence[str],
    size: int,
    specials: Iterable[str] = (),
) -> BytePairVocabulary:
    """Learn byte pairs from several texts, each cut into tokens by its teacher's vocabulary.

    As in byte-pair encoding, the pair of neighbours that stands most often in the texts is
    joined, again and again; but only inside a teacher's token. Of a teacher that reads byte
    pairs itself only its own merges are taken, in its order: `encode` then cuts its text exactly
    where the teacher would, and further. Two tokens of one teacher, such as two marks, may stand
    side by side in its text and be a piece of another's: there `encode` joins them, and
    `PieceMap.encode`, which spells token by token, does not.

    Args:
        teachers: vocabularies of characters, words with their spaces, or byte pairs.
        texts: one for each teacher, such as what its student will read.
        size: how many pieces at most, the 256 bytes and the special tokens counted.

    Raises:
        ValueError: no teacher, not one text for each, an empty text, a size with no room for
            the bytes; two teachers whose byte pairs differ, for a piece of one would cross
            the tokens of the other.

    Source: byte pairs: Sennrich, Haddow and Birch, Neural machine translation of rare words with
    subword units, 2016. Taught in solutions/10_vocabulary_distillation.ipynb.
    """
    names = check_specials(specials)
    check_size(size, len(names) + 255)
    if not teachers or len(teachers) != len(texts) or not all(texts):
        raise ValueError(
            f"{len(teachers)} teachers and {len(texts)} texts: give one text, not an empty one, "
            "for each teacher"
        )
    own = _own_merges(teachers)
    closed, free = _Words(), _Words()
    for teacher, text in zip(teachers, texts, strict=True):
        (closed if isinstance(teacher, BytePairVocabulary) else free).add(teacher, text)
    merges: dict[Pair, None] = {}  # in order, each once
    tokens, done = set(ALPHABET), 0
    while len(tokens) + len(names) < size:
        pair, is_theirs = _next(own, done, closed, free)
        if pair is None:
            break  # nothing stands there twice any more: a short text gives fewer pieces
        done += is_theirs
        merges.setdefault(pair)  # a second, later place would count as its only one
        tokens.add(joined(*pair))
        closed.merge(pair)
        free.merge(pair)
    found = BytePairVocabulary([*names, *tokens_of_merges(merges)], names, None, merges)
    counted = Counter(i for text in texts for i in found.encode(text))
    found.counts = [counted[i] for i in range(len(found))]
    return found


def _own_merges(teachers: Sequence[Vocabulary]) -> list[Pair]:
    """The merges of the teachers that read byte pairs: one list, or the beginning of another."""
    lists = [t.merges for t in teachers if isinstance(t, BytePairVocabulary)]
    longest = max(lists, key=len, default=[])
    for merges in lists:
        if merges != longest[: len(merges)]:
            raise ValueError(
                "two teachers have learned byte pairs from different texts: no piece could stay "
                "inside the tokens of both. Let only one of them read byte pairs"
            )
    return min(lists, key=len, default=[])


def _next(own: list[Pair], done: int, closed: _Words, free: _Words) -> tuple[Pair | None, bool]:
    """The pair to join, and whether it is the teacher's next merge or one of the other texts."""
    # A rare merge that stands before frequent ones must be taken with them: what the next merges
    # bring together, a piece.
    gained = list(itertools.accumulate(closed.counts[pair] for pair in own[done : done + AHEAD]))
    theirs = max((total / (i + 1) for i, total in enumerate(gained)), default=0)
    for pair, count in free.most_common():
        if count <= max(theirs, 1):
            break
        # What also stands in the text of byte pairs is its teacher's to join, in its order.
        if not closed.holds(pair):
            return pair, False
    if theirs > 0 or any(closed.counts[pair] > 1 for pair in own[done:]):
        return own[done], True
    return None, False


class _Words:
    """The tokens of some texts as rows of pieces, and how often each pair of neighbours stands."""

    def __init__(self) -> None:
        self.rows: list[list[str]] = []
        self.often: list[int] = []
        self.counts: Counter[Pair] = Counter()
        self.where: defaultdict[Pair, set[int]] = defaultdict(set)
        self.bytes: list[bytes] = []

    def add(self, teacher: Vocabulary, text: str) -> None:
        """Count the tokens of a text."""
        counted = Counter(teacher.encode(text))  # refuses what is no text
        self.bytes.append(text.encode("utf-8"))
        for i, count in counted.items():
            if i == teacher.unknown_id:
                continue
            token = teacher.tokens[i]
            raw = to_bytes(token) if isinstance(teacher, BytePairVocabulary) else token.encode()
            self.rows.append([ALPHABET[byte] for byte in raw])
            self.often.append(count)
            self._count(len(self.rows) - 1, 1)

    def merge(self, pair: Pair) -> None:
        """Join a pair wherever it stands, from the left."""
        made = joined(*pair)
        for at in sorted(self.where.pop(pair, ())):
            self._count(at, -1)
            old, row, i = self.rows[at], [], 0
            while i < len(old):
                if tuple(old[i : i + 2]) == pair:
                    row.append(made)
                    i += 2
                else:
                    row.append(old[i])
                    i += 1
            self.rows[at] = row
            self._count(at, 1)
        self.counts.pop(pair, None)

    def most_common(self) -> list[tuple[Pair, int]]:
        """The pairs, most frequent first, ties in the order of their letters."""
        return sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))

    def holds(self, pair: Pair) -> bool:
        """Whether the bytes of a pair stand anywhere in the texts."""
        wanted = to_bytes(joined(*pair))
        return any(wanted in text for text in self.bytes)

    def _count(self, at: int, sign: int) -> None:
        row = self.rows[at]
        for pair in itertools.pairwise(row):
            self.counts[pair] += sign * self.often[at]
            if sign > 0:
                self.where[pair].add(at)


__all__ = ["common_pieces"]
