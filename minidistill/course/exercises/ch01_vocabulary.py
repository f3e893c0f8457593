"""Chapter 01: the cases of build_vocabulary."""

from __future__ import annotations

import random
import string
from collections import Counter
from itertools import pairwise
from typing import Any

import torch

from minidistill.course.answer import Answer
from minidistill.course.diagnosis import compare, expect_no_memory
from minidistill.course.exercises.ch01_answers import UNKNOWN, build_vocabulary


def long_tail(rng: torch.Generator, count: int, kinds: int) -> list[str]:
    """Random tokens with a long tail, in shuffled spelling order."""
    chance = random.Random(int(torch.randint(1 << 30, (1,), generator=rng)))
    names = [f"{chance.choice('zyxwvabcdu')}{i}" for i in range(kinds)]
    return [names[min(int(chance.expovariate(0.35)), kinds - 1)] for _ in range(count)]


def _ranked(tokens: list[str]) -> list[str]:
    return [token for token, _ in Counter(tokens).most_common()]


def _by(tokens: list[str], size: int, key: Any) -> list[str]:
    """A vocabulary whose tokens are sorted by `key(token, count, place of first appearance)`."""
    counts = Counter(tokens)
    rank = sorted(counts, key=lambda t: key(t, counts[t], tokens.index(t)))
    return [UNKNOWN, *rank[: size - 1]]


def _taking_one_away(tokens: list[str], size: int) -> list[str]:
    rest, vocabulary = list(tokens), [UNKNOWN]
    while rest and len(vocabulary) < size:
        vocabulary.append(max(rest, key=rest.count))
        rest.remove(vocabulary[-1])
    return vocabulary


def _inverted(word: str) -> list[int]:
    return [-ord(letter) for letter in word]


_TIES = ": of two tokens seen equally often the one that appears first in the text comes first"
_FILLED = "a short vocabulary is filled up: a text with few words gives a shorter list"
_SPELLED = "the unknown token is spelled '<unk>', with its brackets and in small letters"
_NO_UNKNOWN = "the unknown token is missing: '<unk>' comes first, with id 0 (and size counts it)"
_CASE = "capitals are changed: 'River' and 'river' are different tokens here"
_STRING = "this is one string: the vocabulary is a list of tokens"
_DICTIONARY = (
    "this is a dictionary: the vocabulary is a list, and a token's place in it is the token's id"
)

VOCABULARY_MISTAKES = (
    (_NO_UNKNOWN, lambda t, n: _ranked(t)[:n]),
    (_NO_UNKNOWN, lambda t, n: _ranked(t)[: n - 1]),
    (
        "size is ignored: keep only the most frequent",
        lambda t, n: [UNKNOWN, *_ranked(t)],
    ),
    (
        "the list is one too long: size counts '<unk>' as well",
        lambda t, n: [UNKNOWN, *_ranked(t)[:n]],
    ),
    (
        "the list is one too short: beside '<unk>' there is room for size - 1 tokens",
        lambda t, n: [UNKNOWN, *_ranked(t)[: n - 2]],
    ),
    (
        "'<unk>' stands last: it must come first, so that its id is 0 for every size",
        lambda t, n: [*_ranked(t)[: n - 1], UNKNOWN],
    ),
    (
        "'<unk>' is counted like a word and placed by its count: it comes first in every text",
        lambda t, n: _ranked([UNKNOWN, *t])[:n],
    ),
    (
        "ties are broken by spelling" + _TIES,
        lambda t, n: _by(t, n, lambda word, count, place: (-count, word)),
    ),
    (
        "ties are broken by spelling" + _TIES,
        lambda t, n: _by(t, n, lambda word, count, place: (-count, _inverted(word))),
    ),
    (
        "ties are in reverse order" + _TIES,
        lambda t, n: _by(t, n, lambda word, count, place: (-count, -place)),
    ),
    (
        "these are the rarest tokens: sort by falling counts",
        lambda t, n: _by(t, n, lambda word, count, place: (count, place)),
    ),
    (
        "the counts rise, so that the most frequent stand last: sort by falling counts",
        lambda t, n: [UNKNOWN, *_ranked(t)[: n - 1][::-1]],
    ),
    (
        "the counts rise, so that the most frequent stand last: sort by falling counts",
        lambda t, n: [UNKNOWN, *sorted(Counter(t), key=Counter(t).get)[1 - n :]],
    ),
    (
        "letters inside longer tokens are counted, too: count whole tokens, not in a string",
        lambda t, n: _by(t, n, lambda word, count, place: (-" ".join(t).count(word), place)),
    ),
    (
        "these are the first tokens of the text, not the most frequent: count them",
        lambda t, n: [UNKNOWN, *list(dict.fromkeys(t))[: n - 1]],
    ),
    (
        "these are the first tokens of the text, repetitions and all: count them, and take each "
        "once",
        lambda t, n: [UNKNOWN, *t[: n - 1]],
    ),
    (
        "a token stands in the list more than once: sort the different tokens (the keys of the "
        "counts), not the text",
        lambda t, n: [UNKNOWN, *sorted(t, key=lambda word: -t.count(word))[: n - 1]],
    ),
    (
        "tokens are in the order of spelling: sort by falling counts",
        lambda t, n: [UNKNOWN, *sorted(set(t))[: n - 1]],
    ),
    (
        "the right tokens, but then sorted by spelling: leave them in the order of their counts",
        lambda t, n: [UNKNOWN, *sorted(_ranked(t)[: n - 1])],
    ),
    (
        "tokens seen only once are left out: they belong there as long as there is room",
        lambda t, n: [UNKNOWN, *[w for w in _ranked(t) if t.count(w) > 1][: n - 1]],
    ),
    (
        "size is used as the smallest count: it is the length of the whole list",
        lambda t, n: [UNKNOWN, *[w for w in _ranked(t) if t.count(w) >= n]],
    ),
    (
        "a word is lost although there is room for it: cut the words to size - 1 first, then put "
        "'<unk>' before them",
        lambda t, n: [UNKNOWN, *_ranked(t)[:n]][:-1],
    ),
    (
        "this gives (token, count) pairs: the list holds the tokens alone",
        lambda t, n: [UNKNOWN, *Counter(t).most_common(n - 1)],
    ),
    (
        "these are the counts: the list holds the tokens themselves",
        lambda t, n: [UNKNOWN, *[count for _, count in Counter(t).most_common(n - 1)]],
    ),
    (_DICTIONARY, lambda t, n: {w: i for i, w in enumerate(build_vocabulary(t, n))}),
    (_DICTIONARY, lambda t, n: dict(enumerate(build_vocabulary(t, n)))),
    (_DICTIONARY, lambda t, n: dict(Counter(t).most_common(n - 1))),
    (
        "these are characters: count whole tokens, without joining them",
        lambda t, n: build_vocabulary(list("".join(t)), n),
    ),
    (_CASE, lambda t, n: build_vocabulary([w.lower() for w in t], n)),
    (
        "punctuation and numbers are left out: they are tokens like any other",
        lambda t, n: build_vocabulary([w for w in t if w.isalpha()], n),
    ),
    (
        "'<unk>' stands second: it must come first, with id 0",
        lambda t, n: [*_ranked(t)[:1], UNKNOWN, *_ranked(t)[1 : n - 1]],
    ),
    (
        "'<unk>' is there twice: once, at the front, is enough",
        lambda t, n: [UNKNOWN, *_ranked(t)[: n - 2], UNKNOWN],
    ),
    (
        "'<unk>' is there only where words were cut off: it comes first in every vocabulary",
        lambda t, n: _ranked(t) if len(set(t)) <= n else build_vocabulary(t, n),
    ),
    (
        "'<unk>' is missing for an empty text: it comes first in every vocabulary",
        lambda t, n: build_vocabulary(t, n) if t else [],
    ),
    (
        "the most frequent token is left out: frequent tokens are what a model sees most",
        lambda t, n: [UNKNOWN, *_ranked(t)[1:n]],
    ),
    (
        "tokens are sorted by their length: sort by falling counts",
        lambda t, n: _by(t, n, lambda word, count, place: len(word)),
    ),
    (
        "the right tokens, but then sorted by their length: leave them in the order of the counts",
        lambda t, n: [UNKNOWN, *sorted(_ranked(t)[: n - 1], key=len)],
    ),
    (
        "a token that was taken still counts: list.remove takes away one of its occurrences only",
        _taking_one_away,
    ),
    (
        "the last token of the text is not counted: the loop ends one too early",
        lambda t, n: build_vocabulary(t[:-1], n),
    ),
    (
        "pairs of neighbours are counted: count single tokens",
        lambda t, n: build_vocabulary([f"{a} {b}" for a, b in pairwise(t)], n),
    ),
    (
        "punctuation is stripped from the tokens: take them as they are",
        lambda t, n: build_vocabulary([w.strip(string.punctuation) for w in t], n),
    ),
    *(
        (_STRING, lambda t, n, between=between: between.join(build_vocabulary(t, n)))
        for between in (" ", "", "\n", ",", ", ")
    ),
    *(
        (_SPELLED, lambda t, n, name=name: [name, *_ranked(t)[: n - 1]])
        for name in ("<UNK>", "UNK", "[UNK]", "unk", "<unknown>", "")
    ),
    *(
        (
            _FILLED,
            lambda t, n, filling=filling: (build_vocabulary(t, n) + [filling] * n)[:n],
        )
        for filling in ("<pad>", UNKNOWN, "", None)
    ),
)
"""What a known mistake is called, and an answer that makes it."""


PROBES = (
    (["no", "yes", "no", "oh", "yes", "ah", "no", "well", "yes", "no", "so"], 5),
    (["u", "v", "u", "w", "v", "u"], 9),
    (["c", "b", "c", "b", "b", "a", "f", "a", "e", "d", "b"], 6),
)
"""Ordinary inputs on which a mistake must show itself too before it is named."""


def _vocabulary_case(answer: Answer, tokens: list[str], size: int) -> None:
    compare(
        answer,
        build_vocabulary,
        (tokens, size),
        "the vocabulary",
        mistakes=VOCABULARY_MISTAKES,
        probes=PROBES,
    )


def vocabulary_by_hand(answer: Answer, rng: torch.Generator) -> None:
    """a sentence worked by hand."""
    tokens = ["the", "old", "bell", "the", "river", "and", "the", "moon", "and", "stars"]
    want = [UNKNOWN, "the", "and", "old", "bell"]
    other = (tokens[::-1], 5)
    expect_no_memory(answer, (tokens, 5), other, want, "the vocabulary")
    _vocabulary_case(answer, tokens, 5)


def vocabulary_ties(answer: Answer, rng: torch.Generator) -> None:
    """ties go to the token that appears first."""
    tokens = ["z", "b", "y", "b", "a", "z", "c", "y", "q"]
    for size in (3, 4, 6):
        _vocabulary_case(answer, tokens, size)


def vocabulary_as_it_is(answer: Answer, rng: torch.Generator) -> None:
    """capitals, punctuation, numbers and single letters are tokens too."""
    tokens = "River , river 7 , River sea , sea 7 river river e".split()  # noqa: SIM905
    for size in (4, 8):
        _vocabulary_case(answer, tokens, size)


def vocabulary_long_tail(answer: Answer, rng: torch.Generator) -> None:
    """211 tokens with a long tail, cut to 7."""
    _vocabulary_case(answer, long_tail(rng, 211, 23), 7)


def vocabulary_all(answer: Answer, rng: torch.Generator) -> None:
    """a size larger than the text needs, and the smallest."""
    _vocabulary_case(answer, ["river", "bell", "river"], 11)
    _vocabulary_case(answer, ["river", "bell", "river"], 1)
    _vocabulary_case(answer, [], 5)
