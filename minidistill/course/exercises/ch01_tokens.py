"""Chapter 01, words: a vocabulary from counts, ids, and one merge of byte-pair encoding."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import torch

from minidistill.course.answer import Answer
from minidistill.course.exercise import expect

UNKNOWN = "<unk>"


def build_vocabulary(tokens: list[str], size: int) -> list[str]:
    """The unknown token, then the most frequent tokens, ties in order of first appearance."""
    return [UNKNOWN] + [token for token, _ in Counter(tokens).most_common(size - 1)]


def _words(rng: torch.Generator, count: int, kinds: int) -> list[str]:
    """Random tokens with a long tail, in shuffled spelling order."""
    chance = random.Random(int(torch.randint(1 << 30, (1,), generator=rng)))
    names = [f"{chance.choice('zyxwvabcdu')}{i}" for i in range(kinds)]
    return [names[min(int(chance.expovariate(0.35)), kinds - 1)] for _ in range(count)]


def _vocabulary_mistakes(tokens: list[str], size: int) -> dict[str, Any]:
    counts = Counter(tokens)
    ordered = [t for t, _ in counts.most_common()]
    by_name = sorted(counts, key=lambda t: (-counts[t], t))
    last_first = sorted(counts, key=lambda t: (-counts[t], -tokens.index(t)))
    return {
        "the unknown token is missing: '<unk>' comes first, with id 0": ordered[:size],
        "the unknown token is missing: '<unk>' comes first, with id 0 (and size counts it)": (
            ordered[: size - 1]
        ),
        "the list is one too long: size counts '<unk>' as well": [UNKNOWN, *ordered[:size]],
        "'<unk>' stands last: it must come first, so that its id is 0 for every size": [
            *ordered[: size - 1],
            UNKNOWN,
        ],
        "ties are broken by spelling: of two tokens seen equally often the one that appears "
        "first in the text comes first": [UNKNOWN, *by_name[: size - 1]],
        "ties are in reverse order: of two tokens seen equally often the one that appears first "
        "in the text comes first": [UNKNOWN, *last_first[: size - 1]],
        "these are the rarest tokens: sort by falling counts": [
            UNKNOWN,
            *sorted(counts, key=lambda t: counts[t])[: size - 1],
        ],
        "these are the first tokens of the text, not the most frequent: count them": [
            UNKNOWN,
            *list(dict.fromkeys(tokens))[: size - 1],
        ],
        "tokens are in the order of spelling: sort by falling counts": [
            UNKNOWN,
            *sorted(counts)[: size - 1],
        ],
        "a token appears more than once in the list: each belongs there once": [
            UNKNOWN,
            *tokens[: size - 1],
        ],
        "size is ignored: keep only the most frequent": [UNKNOWN, *ordered],
        "this gives (token, count) pairs: the list holds the tokens alone": [
            UNKNOWN,
            *counts.most_common(size - 1),
        ],
    }


def vocabulary_by_hand(answer: Answer, rng: torch.Generator) -> None:
    """a sentence worked by hand."""
    tokens = ["the", "boat", "and", "the", "river", "and", "the", "bell"]
    want = [UNKNOWN, "the", "and", "boat"]
    expect(answer(tokens, 4), want, "the vocabulary", _vocabulary_mistakes(tokens, 4))


def vocabulary_ties(answer: Answer, rng: torch.Generator) -> None:
    """ties go to the token that appears first."""
    tokens = ["z", "b", "y", "b", "a", "z", "c", "y", "q"]
    for size in (3, 4, 6):
        want = build_vocabulary(tokens, size)
        expect(answer(tokens, size), want, "the vocabulary", _vocabulary_mistakes(tokens, size))


def vocabulary_long_tail(answer: Answer, rng: torch.Generator) -> None:
    """211 tokens with a long tail, cut to 7."""
    tokens = _words(rng, 211, 23)
    want = build_vocabulary(tokens, 7)
    expect(answer(tokens, 7), want, "the vocabulary", _vocabulary_mistakes(tokens, 7))


def vocabulary_all(answer: Answer, rng: torch.Generator) -> None:
    """a size larger than the text needs."""
    tokens = ["river", "bell", "river"]
    want = [UNKNOWN, "river", "bell"]
    expect(answer(tokens, 11), want, "the vocabulary", _vocabulary_mistakes(tokens, 11))
    expect(answer([], 5), [UNKNOWN], "the vocabulary of an empty text")


def encode(tokens: list[str], vocabulary: list[str]) -> list[int]:
    """Each token's place in the vocabulary, 0 for a token that it does not hold."""
    ids = {token: i for i, token in enumerate(vocabulary)}
    return [ids.get(token, 0) for token in tokens]


def _encode_mistakes(tokens: list[str], vocabulary: list[str]) -> dict[str, Any]:
    ids = {token: i for i, token in enumerate(vocabulary)}
    return {
        "unknown tokens are left out: each becomes id 0, so that the text keeps its length": [
            ids[t] for t in tokens if t in ids
        ],
        "an unknown token gets an id beyond the vocabulary: it is id 0, the place of '<unk>'": [
            ids.get(t, len(vocabulary)) for t in tokens
        ],
        "an unknown token gets -1: it is id 0, the place of '<unk>'": [
            ids.get(t, -1) for t in tokens
        ],
        "an unknown token gets None: it is id 0, the place of '<unk>'": [
            ids.get(t) for t in tokens
        ],
        "unknown tokens get the last id: it is id 0, the place of '<unk>'": [
            ids.get(t, len(vocabulary) - 1) for t in tokens
        ],
        "ids are counted from 1: the first token of the vocabulary has id 0": [
            ids.get(t, 0) + 1 for t in tokens
        ],
        "ids are counted from 1: the first token of the vocabulary has id 0 ": [
            ids[t] + 1 if t in ids else 0 for t in tokens
        ],
        "every token is taken once only: a text keeps its repetitions": [
            ids.get(t, 0) for t in dict.fromkeys(tokens)
        ],
        "ids are in sorted order: they stand in the order of the text": sorted(
            ids.get(t, 0) for t in tokens
        ),
        "an unknown token gets id 1: it is id 0, the place of '<unk>'": [
            ids.get(t, 1) for t in tokens
        ],
        "these are the tokens, not their ids": [t if t in ids else UNKNOWN for t in tokens],
    }


def encode_by_hand(answer: Answer, rng: torch.Generator) -> None:
    """a sentence with one unknown word."""
    vocabulary = [UNKNOWN, "the", "river", "bell"]
    tokens = ["the", "bell", "and", "the", "river"]
    got = answer(tokens, vocabulary)
    expect(got, [1, 3, 0, 1, 2], "the ids", _encode_mistakes(tokens, vocabulary))


def encode_many(answer: Answer, rng: torch.Generator) -> None:
    """101 tokens, several unknown, repetitions kept."""
    tokens = _words(rng, 101, 19)
    vocabulary = build_vocabulary(tokens, 8)
    text = [*tokens, "never", "seen"]
    want = encode(text, vocabulary)
    expect(answer(text, vocabulary), want, "the ids", _encode_mistakes(text, vocabulary))


def encode_edges(answer: Answer, rng: torch.Generator) -> None:
    """an empty text, and one that holds the word '<unk>'."""
    expect(answer([], [UNKNOWN, "a"]), [], "the ids of an empty text")
    vocabulary = [UNKNOWN, "b", "a"]
    expect(
        answer([UNKNOWN, "a", "A"], vocabulary),
        [0, 2, 0],
        "the ids",
        {
            "'A' and 'a' are different tokens here: do not change case": [0, 2, 2],
            **_encode_mistakes([UNKNOWN, "a", "A"], vocabulary),
        },
    )


def merge_pair(tokens: list[str], pair: tuple[str, str]) -> list[str]:
    """Join every occurrence of a pair of neighbours, from the left, without overlap."""
    merged: list[str] = []
    i = 0
    while i < len(tokens):
        if tuple(tokens[i : i + 2]) == tuple(pair):
            merged.append(tokens[i] + tokens[i + 1])
            i += 2
        else:
            merged.append(tokens[i])
            i += 1
    return merged


def _merge_mistakes(tokens: list[str], pair: tuple[str, str]) -> dict[str, Any]:
    first, second = pair
    joined = first + second
    one, overlapping, right = [], [], []
    done = False
    i = 0
    while i < len(tokens):
        if not done and tuple(tokens[i : i + 2]) == pair:
            one.append(joined)
            done, i = True, i + 2
        else:
            one.append(tokens[i])
            i += 1
    for i, token in enumerate(tokens):
        if tuple(tokens[i : i + 2]) == pair:
            overlapping.append(joined)
        elif i == 0 or tuple(tokens[i - 1 : i + 1]) != pair:
            overlapping.append(token)
    i = len(tokens)
    while i > 0:
        if i > 1 and tuple(tokens[i - 2 : i]) == pair:
            right.insert(0, joined)
            i -= 2
        else:
            right.insert(0, tokens[i - 1])
            i -= 1
    kept, i = [], 0
    while i < len(tokens):
        kept.append(joined if tuple(tokens[i : i + 2]) == pair else tokens[i])
        i += 1
    swapped = merge_pair(tokens, (second, first))
    text = "\0".join(tokens).replace(f"{first}\0{second}", joined).split("\0")
    skipping = merge_pair(merge_pair(tokens, pair), pair)
    pairs_only = [
        joined if tuple(tokens[i : i + 2]) == pair else tokens[i] for i in range(len(tokens) - 1)
    ]
    return {
        "only the first occurrence is merged: go on to the end of the list": one,
        "neighbouring pairs overlap: after a merge go on behind both tokens, so that a a a "
        "becomes aa a": overlapping,
        "the second token of a merged pair is still there: step over both": kept,
        "pairs are merged from the right: start at the left, so that a a a becomes aa a": right,
        "the pair is merged in the wrong order: first then second": swapped,
        "nothing was merged": list(tokens),
        "the last token is lost: the loop ends one too early": merge_pair(tokens, pair)[:-1],
        "the last token is lost: the loop ends one too early ": pairs_only,
        "joining the tokens to one string and replacing there crosses token borders: 'ab' 'c' "
        "is not the pair 'b' 'c'": text,
        "merging is repeated on what was just merged: one pass over the list": skipping,
        "the pair is replaced by itself as a tuple: join the two strings, a + b": [
            pair if t == joined else t for t in merge_pair(tokens, pair)
        ],
        "the pair is removed rather than joined": [
            t for t in merge_pair(tokens, pair) if t != joined
        ],
        "a space is put between the two: join them with nothing in between": [
            f"{first} {second}" if t == joined else t for t in merge_pair(tokens, pair)
        ],
    }


def _merge_case(answer: Answer, tokens: list[str], pair: tuple[str, str]) -> None:
    want = merge_pair(tokens, pair)
    expect(answer(tokens, pair), want, "the tokens", _merge_mistakes(tokens, pair))


def merge_by_hand(answer: Answer, rng: torch.Generator) -> None:
    """'banana', merging a and n."""
    _merge_case(answer, list("banana"), ("a", "n"))


def merge_overlap(answer: Answer, rng: torch.Generator) -> None:
    """'aaaab' and 'aaa': no overlap, from the left."""
    for text in ("baaaabaaa", "aaa", "aa"):
        _merge_case(answer, list(text), ("a", "a"))


def merge_borders(answer: Answer, rng: torch.Generator) -> None:
    """longer tokens: a pair counts only where both are whole tokens."""
    _merge_case(answer, ["ab", "c", "b", "c", "bc", "b", "cd", "b", "c"], ("b", "c"))
    _merge_case(answer, ["lo", "w", "er", "lo", "w"], ("lo", "w"))


def merge_random(answer: Answer, rng: torch.Generator) -> None:
    """random texts over three letters, and short ones."""
    for length in (0, 1, 2, 3, 17, 53):
        text = ["abc"[int(i)] for i in torch.randint(3, (length,), generator=rng)]
        for pair in (("a", "b"), ("c", "c"), ("a", "d")):
            _merge_case(answer, text, pair)
