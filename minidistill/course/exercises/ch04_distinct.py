"""Chapter 04: the cases of distinct, and what known wrong answers return."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import chain

import torch

from minidistill.course.answer import Answer
from minidistill.course.diagnosis import compare, expect_no_memory
from minidistill.metrics import distinct

_Texts = Sequence[Sequence[int]]


def _grams(text: Sequence[int], n: int) -> list[tuple[int, ...]]:
    return [tuple(text[i : i + n]) for i in range(len(text) - n + 1)]


def _all(texts: _Texts, n: int) -> list[tuple[int, ...]]:
    return list(chain.from_iterable(_grams(text, n) for text in texts))


def _share(found: Sequence) -> float:
    return len(set(found)) / len(found)


def _of(grams: Callable[[_Texts, int], Sequence]) -> Callable[[_Texts, int], float]:
    """A wrong answer from wrong n-grams, whose share is right."""
    return lambda texts, n: _share(grams(texts, n))


def _joined(texts: _Texts, n: int) -> list:
    return _grams(list(chain.from_iterable(texts)), n)


def _spelt(texts: _Texts, n: int) -> list[str]:
    return ["".join(map(str, gram)) for gram in _all(texts, n)]


def _with_tails(texts: _Texts, n: int) -> list:
    return [tuple(text[i : i + n]) for text in texts for i in range(len(text))]


def _up_to(texts: _Texts, n: int) -> list:
    return [gram for size in range(1, n + 1) for gram in _all(texts, size)]


def _side_by_side(texts: _Texts, n: int) -> list:
    return [tuple(t[i : i + n]) for t in texts for i in range(0, len(t) - n + 1, n)]


def _each(texts: _Texts, n: int) -> list[list]:
    return [grams for text in texts if (grams := _grams(text, n))]


def _hapax(texts: _Texts, n: int) -> float:
    found = _all(texts, n)
    return sum(count == 1 for count in Counter(found).values()) / len(found)


def _repeated_once(texts: _Texts, n: int) -> float:
    """Tokens in distinct n-grams, by tokens."""
    return len(set(_all(texts, n))) / sum(map(len, texts))


MISTAKES = (
    (
        "this is how many different n-grams there are: divide by how many there are in all",
        lambda s, n: len(set(_all(s, n))),
    ),
    ("this is how many n-grams there are in all", lambda s, n: len(_all(s, n))),
    (
        "this is the share of n-grams that occur only once: an n-gram that occurs three times "
        "counts as one different n-gram",
        _hapax,
    ),
    ("this is the share of repetitions, 1 - distinct", lambda s, n: 1 - _share(_all(s, n))),
    ("the fraction is upside down", lambda s, n: 1 / _share(_all(s, n))),
    (
        "n-grams run over the border between two texts: take them from each text alone",
        _of(_joined),
    ),
    (
        "this is the mean of each text's own share: what two texts have in common counts once, "
        "so put the n-grams of all texts together",
        lambda s, n: sum(map(_share, _each(s, n))) / len(_each(s, n)),
    ),
    (
        "this is the mean of each text's own share: what two texts have in common counts once, "
        "so put the n-grams of all texts together",
        lambda s, n: sum(map(_share, _each(s, n))) / len(s),
    ),
    (
        "an n-gram that stands in two texts is counted twice as different: one set for all texts",
        lambda s, n: sum(len(set(grams)) for grams in _each(s, n)) / len(_all(s, n)),
    ),
    (
        "only the first text is counted: a `return` inside the loop ends it at once",
        lambda s, n: _share(_grams(s[0], n)),
    ),
    (
        "only the last text is counted: begin the collection before the loop",
        lambda s, n: _share(_grams(s[-1], n)),
    ),
    (
        "it is divided by the number of tokens: divide by the number of n-grams, of which a text "
        "of T tokens has T - n + 1",
        _repeated_once,
    ),
    (
        "a text shorter than n counts as a negative number of n-grams: max(0, T - n + 1)",
        lambda s, n: len(set(_all(s, n))) / sum(len(t) - n + 1 for t in s),
    ),
    (
        "it is divided by T - n instead of T - n + 1 n-grams a text",
        lambda s, n: len(set(_all(s, n))) / sum(max(len(t) - n, 0) for t in s),
    ),
    (
        "the last n-gram of every text is missing: there are T - n + 1 (range(len(text) - n + 1))",
        _of(lambda s, n: [gram for text in s for gram in _grams(text, n)[:-1]]),
    ),
    (
        "the first n-gram of every text is missing: begin at 0",
        _of(lambda s, n: [gram for text in s for gram in _grams(text, n)[1:]]),
    ),
    (
        "shorter pieces at the end of a text are counted: an n-gram has n tokens",
        _of(_with_tails),
    ),
    ("single tokens are counted: n-grams are n tokens in a row", _of(lambda s, n: _all(s, 1))),
    ("the pieces are one token too long: text[i : i + n]", _of(lambda s, n: _all(s, n + 1))),
    (
        "the pieces are one token too short: text[i : i + n]",
        _of(lambda s, n: _all(s, n - 1)),
    ),
    ("all sizes from 1 to n are counted: only n", _of(_up_to)),
    (
        "only every n-th place is looked at: n-grams overlap, so begin at every place",
        _of(_side_by_side),
    ),
    (
        "the order inside an n-gram is lost: a tuple keeps it, a set or a sorted list does not",
        _of(lambda s, n: [tuple(sorted(gram)) for gram in _all(s, n)]),
    ),
    (
        "the order inside an n-gram is lost: a tuple keeps it, a set or a sorted list does not",
        _of(lambda s, n: [frozenset(gram) for gram in _all(s, n)]),
    ),
    (
        "the ids of an n-gram are added up: different n-grams have the same sum, so keep tuples",
        _of(lambda s, n: [sum(gram) for gram in _all(s, n)]),
    ),
    (
        "the ids are written one after the other: 1, 12 and 11, 2 look alike then, so keep tuples",
        _of(_spelt),
    ),
    (
        "the n-gram's first and last token alone are compared: all n count",
        _of(lambda s, n: [(gram[0], gram[-1]) for gram in _all(s, n)]),
    ),
    (
        "only an n-gram equal to the one just before counts as a repetition: compare with all",
        lambda s, n: (
            sum(1 for g in _each(s, n) for i in range(len(g)) if i == 0 or g[i] != g[i - 1])
            / len(_all(s, n))
        ),
    ),
    ("this is a percentage: a share lies between 0 and 1", lambda s, n: 100 * _share(_all(s, n))),
    (
        "this is rounded to a whole number: divide with /, not with //",
        lambda s, n: len(set(_all(s, n))) // len(_all(s, n)),
    ),
    (
        "this is the share of the vocabulary: divide by the number of n-grams",
        lambda s, n: len(set(_all(s, n))) / len({token for text in s for token in text}),
    ),
)

_RNG = torch.Generator().manual_seed(9)


def _texts(rng: torch.Generator, lengths: Sequence[int], vocabulary: int) -> list[list[int]]:
    return [torch.randint(vocabulary, (length,), generator=rng).tolist() for length in lengths]


PROBES = ((_texts(_RNG, (29, 17, 23), 4), 3), (_texts(_RNG, (19, 31), 13), 2))
"""Ordinary inputs on which a mistake must show itself too before it is named."""


def _case(answer: Answer, texts: list[list[int]], n: int) -> None:
    compare(answer, distinct, (texts, n), "the share", mistakes=MISTAKES, probes=PROBES)


def by_hand(answer: Answer, rng: torch.Generator) -> None:
    """[1, 2, 1, 2, 3] has three different pairs among four."""
    other = ([[1, 1, 1, 1, 1]], 2)
    expect_no_memory(answer, ([[1, 2, 1, 2, 3]], 2), other, 0.75, "the share")
    _case(answer, [[1, 2, 1, 2, 3]], 2)


def shared(answer: Answer, rng: torch.Generator) -> None:
    """two texts: what they share counts once, and nothing runs over the border."""
    _case(answer, [[1, 2, 3, 4], [2, 3, 4, 1, 2]], 2)
    _case(answer, [[5, 6, 5], [5, 6, 5], [6, 5, 5]], 2)
    _case(answer, [[0, 1, 2], [0, 1, 2, 3, 4, 5, 6, 7]], 3)


def sizes(answer: Answer, rng: torch.Generator) -> None:
    """n from 1 to 4 on texts of different lengths."""
    texts = _texts(rng, (23, 37, 11), 3)
    for n in (1, 2, 3, 4):
        _case(answer, texts, n)


def large_ids(answer: Answer, rng: torch.Generator) -> None:
    """ids of one and two digits: 1, 12 is not 11, 2."""
    _case(answer, [[1, 12, 30, 11, 2], [2, 11], [21, 1]], 2)
    _case(answer, _texts(rng, (41, 29), 23), 2)


def short(answer: Answer, rng: torch.Generator) -> None:
    """a text shorter than n has no n-gram, and adds none."""
    _case(answer, [[1], [1, 2, 3, 1, 2, 3], [2, 3]], 3)
    _case(answer, [[4, 4, 4], [7, 7]], 3)


def all_different(answer: Answer, rng: torch.Generator) -> None:
    """1 where all differ, little where one token repeats."""
    _case(answer, [list(range(13))], 2)
    _case(answer, [[5] * 17], 2)
