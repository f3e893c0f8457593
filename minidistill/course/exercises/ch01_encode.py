"""Chapter 01: the cases of encode."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from minidistill.course.answer import Answer
from minidistill.course.diagnosis import compare, expect_no_memory
from minidistill.course.exercise import Wrong
from minidistill.course.exercises.ch01_answers import UNKNOWN, build_vocabulary, encode
from minidistill.course.exercises.ch01_vocabulary import long_tail


def _with_unknown_as(unknown: Any) -> Any:
    return lambda t, v: [v.index(w) if w in v else unknown for w in t]


def _new_ids(tokens: list[str], vocabulary: list[str]) -> list[int]:
    ids = {token: i for i, token in enumerate(vocabulary)}
    return [ids.setdefault(token, len(ids)) for token in tokens]


def _by_appearance(start: int) -> Any:
    def encode_it(tokens: list[str], vocabulary: list[str]) -> list[int]:
        ids: dict[str, int] = {}
        return [ids.setdefault(token, len(ids) + start) for token in tokens]

    return encode_it


def _as_the_one_before(tokens: list[str], vocabulary: list[str]) -> list[int]:
    ids = [0]
    for token in tokens:
        ids.append(vocabulary.index(token) if token in vocabulary else ids[-1])
    return ids[1:]


def _until_unknown(tokens: list[str], vocabulary: list[str]) -> list[int]:
    stop = next((i for i, w in enumerate(tokens) if w not in vocabulary), len(tokens))
    return encode(tokens[:stop], vocabulary)


def _matching(match: Any) -> Any:
    return lambda t, v: [next((i for i, w in enumerate(v) if match(w, token)), 0) for token in t]


_FROM_ONE = "ids are counted from 1: the first token of the vocabulary has id 0"
_LATER = "it is id 0, the place of '<unk>'"
_INSIDE = (
    "a token is matched with a part of another: 'river' is not 'rivers', so compare whole tokens "
    "(==, or look it up in a dictionary)"
)
_CASE = "capitals are changed: 'A' and 'a' are different tokens here"
_STRINGS = "ids are numbers, not strings"
_APPEARANCE = (
    "ids are handed out as tokens appear in the text: an id is the token's place in the vocabulary"
)

ENCODE_MISTAKES = (
    (
        "unknown tokens are left out: each becomes id 0, so that the text keeps its length",
        lambda t, v: [v.index(w) for w in t if w in v],
    ),
    (
        "an unknown token gets an id beyond the vocabulary: " + _LATER,
        lambda t, v: _with_unknown_as(len(v))(t, v),
    ),
    ("an unknown token gets a new id: " + _LATER, _new_ids),
    ("an unknown token gets -1: " + _LATER, _with_unknown_as(-1)),
    ("an unknown token gets None: " + _LATER, _with_unknown_as(None)),
    ("an unknown token gets the word '<unk>': " + _LATER, _with_unknown_as(UNKNOWN)),
    ("an unknown token gets id 1: " + _LATER, _with_unknown_as(1)),
    (
        "an unknown token gets the last id: " + _LATER,
        lambda t, v: _with_unknown_as(len(v) - 1)(t, v),
    ),
    ("an unknown token gets the id of the token before it: " + _LATER, _as_the_one_before),
    (
        "the whole text is given up where one token is unknown: that token alone is id 0",
        lambda t, v: encode(t, v) if set(t) <= set(v) else [],
    ),
    (
        "'<unk>' has no id of its own: it is id 0, so the word behind it in the vocabulary is 1",
        lambda t, v: encode(t, v[1:]),
    ),
    (
        "ids are in the text's reverse order: keep its order",
        lambda t, v: encode(t[::-1], v),
    ),
    (
        "these are (token, id) pairs: give the ids alone",
        lambda t, v: list(zip(t, encode(t, v), strict=True)),
    ),
    (
        "every id stands in a list of its own: append the number itself",
        lambda t, v: [[i] for i in encode(t, v)],
    ),
    (
        "this counts how often each word of the vocabulary occurs: give one id for every token",
        lambda t, v: [t.count(w) for w in v],
    ),
    (
        "the loop goes through the vocabulary: go through the text, one id for every token",
        lambda t, v: [i for i, w in enumerate(v) if w in t],
    ),
    (
        "these are places in the text: an id is the token's place in the vocabulary",
        lambda t, v: [t.index(w) if w in v else 0 for w in t],
    ),
    (
        "the vocabulary is turned round: an id is the place in the list as it was given",
        lambda t, v: [v[::-1].index(w) if w in v else 0 for w in t],
    ),
    ("the text stops at the first unknown token: that one is id 0, then go on", _until_unknown),
    (_FROM_ONE, lambda t, v: [i + 1 for i in encode(t, v)]),
    (_FROM_ONE, lambda t, v: [v.index(w) + 1 if w in v else 0 for w in t]),
    (
        "every token is taken once only: a text keeps its repetitions",
        lambda t, v: encode(list(dict.fromkeys(t)), v),
    ),
    (
        "ids are in sorted order: they stand in the order of the text",
        lambda t, v: sorted(encode(t, v)),
    ),
    (
        "the vocabulary is sorted first: an id is the place in the list as it was given",
        lambda t, v: encode(t, sorted(v)),
    ),
    (
        "the vocabulary is sorted first: an id is the place in the list as it was given",
        lambda t, v: [sorted(v).index(w) if w in v else 0 for w in t],
    ),
    (_APPEARANCE, _by_appearance(0)),
    (_APPEARANCE, _by_appearance(1)),
    ("the last token is lost: the loop ends one too early", lambda t, v: encode(t[:-1], v)),
    (
        "only the first token is encoded: a `return` inside the loop ends it at once",
        lambda t, v: encode(t[:1], v),
    ),
    (
        "these are the tokens, not their ids",
        lambda t, v: [w if w in v else UNKNOWN for w in t],
    ),
    (
        "this says whether a token is known: give its id",
        lambda t, v: [w in v for w in t],
    ),
    (
        "this is one-hot: give the place of the 1 alone",
        lambda t, v: [[int(w == word) for word in v] for w in t],
    ),
    (
        "the tokens are taken apart into characters: look whole tokens up",
        lambda t, v: encode(list("".join(t)), v),
    ),
    (
        "this is a dictionary: the result is a list with one id for every token of the text",
        lambda t, v: dict(zip(t, encode(t, v), strict=True)),
    ),
    (_STRINGS, lambda t, v: [str(i) for i in encode(t, v)]),
    (_STRINGS, lambda t, v: " ".join(str(i) for i in encode(t, v))),
    (_CASE, lambda t, v: encode([w.lower() for w in t], [w.lower() for w in v])),
    (_CASE, lambda t, v: encode([w.lower() for w in t], v)),
    (_CASE, lambda t, v: encode([w if w in v else w.lower() for w in t], v)),
    (_INSIDE, _matching(lambda word, token: token in word)),
    (_INSIDE, _matching(lambda word, token: word in token)),
    (_INSIDE, _matching(lambda word, token: word.startswith(token))),
    (_INSIDE, _matching(lambda word, token: token.startswith(word))),
)
"""What a known mistake is called, and an answer that makes it."""


PROBES = (
    (["oh", "no", "ah", "so", "no", "well"], [UNKNOWN, "no", "yes", "oh", "well"]),
    (["d", "c", "a", "e", "b", "c", "x"], [UNKNOWN, "c", "b", "a", "d"]),
)
"""Ordinary inputs on which a mistake must show itself too before it is named."""


def _encode_case(answer: Answer, tokens: list[str], vocabulary: list[str]) -> None:
    args = (tokens, vocabulary)
    got = compare(answer, encode, args, "the ids", mistakes=ENCODE_MISTAKES, probes=PROBES)
    if any(isinstance(i, float) for i in (got.tolist() if isinstance(got, Tensor) else got)):
        raise Wrong("the ids are floating point numbers: a place in a list is a whole number")


def encode_by_hand(answer: Answer, rng: torch.Generator) -> None:
    """a sentence with two unknown words."""
    vocabulary = [UNKNOWN, "the", "river", "bell"]
    tokens = ["the", "bell", "and", "the", "river", "sea"]
    other = (tokens, [UNKNOWN, "bell", "the", "river"])
    expect_no_memory(answer, (tokens, vocabulary), other, [1, 3, 0, 1, 2, 0], "the ids")
    _encode_case(answer, tokens, vocabulary)


def encode_whole_tokens(answer: Answer, rng: torch.Generator) -> None:
    """a token inside a longer one, and capitals."""
    vocabulary = [UNKNOWN, "rivers", "river", "A", "man"]
    _encode_case(
        answer, ["river", "riv", "s", "rivers", "human", "mane", "a", "A", "River"], vocabulary
    )


def encode_many(answer: Answer, rng: torch.Generator) -> None:
    """103 tokens, several unknown, repetitions kept."""
    tokens = long_tail(rng, 101, 19)
    _encode_case(answer, [*tokens, "never", "seen"], build_vocabulary(tokens, 8))


def encode_edges(answer: Answer, rng: torch.Generator) -> None:
    """an empty text, and one that holds the word '<unk>'."""
    _encode_case(answer, [], [UNKNOWN, "a"])
    _encode_case(answer, [UNKNOWN, "a", "c"], [UNKNOWN, "b", "a"])
