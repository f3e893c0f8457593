"""Chapter 01: what goes wrong in merge_pair."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minidistill.course.exercises.ch01_answers import merge_pair

Pair = tuple[str, str]


def _marked(tokens: list[str], pair: Pair) -> list[str | None]:
    """The right answer with None where the joined pair stands."""
    text, i = [], 0
    while i < len(tokens):
        here = tuple(tokens[i : i + 2]) == pair
        text.append(None if here else tokens[i])
        i += 2 if here else 1
    return text


def _with(joined: Callable[[str, str], Any]) -> Callable[..., list]:
    """Right but for what the joined pair looks like."""
    return lambda t, p: [joined(*p) if token is None else token for token in _marked(t, p)]


def _where(
    matches: Callable[[str, str, Pair], bool], step: int = 2, start: int = 0, end: int = 1
) -> Callable[..., list[str]]:
    """Right but for what counts as the pair, or where one looks for it."""

    def answer(tokens: list[str], pair: Pair) -> list[str]:
        merged, i = list(tokens[:start]), start
        while i < len(tokens):
            if i + end < len(tokens) and matches(tokens[i], tokens[i + 1], pair):
                merged.append(tokens[i] + tokens[i + 1])
                i += step
            else:
                merged.append(tokens[i])
                i += 1
        return merged

    return answer


def _is_pair(a: str, b: str, pair: Pair) -> bool:
    return (a, b) == pair


def _first_only(tokens: list[str], pair: Pair) -> list[str]:
    for i in range(len(tokens) - 1):
        if tuple(tokens[i : i + 2]) == pair:
            return [*tokens[:i], "".join(pair), *tokens[i + 2 :]]
    return list(tokens)


def _at_the_first(tokens: list[str], pair: Pair) -> list[str]:
    i = tokens.index(pair[0]) if pair[0] in tokens else len(tokens)
    return [*tokens[:i], *merge_pair(tokens[i : i + 2], pair), *tokens[i + 2 :]]


def _overlapping(tokens: list[str], pair: Pair) -> list[str]:
    merged = []
    for i, token in enumerate(tokens):
        if tuple(tokens[i : i + 2]) == pair:
            merged.append("".join(pair))
        elif i == 0 or tuple(tokens[i - 1 : i + 1]) != pair:
            merged.append(token)
    return merged


def _second_kept(tokens: list[str], pair: Pair) -> list[str]:
    here = [tuple(tokens[i : i + 2]) == pair for i in range(len(tokens))]
    return ["".join(pair) if h else token for h, token in zip(here, tokens, strict=True)]


def _from_the_right(tokens: list[str], pair: Pair) -> list[str]:
    backwards = merge_pair(tokens[::-1], (pair[1], pair[0]))
    turned = "".join(pair[::-1])
    return ["".join(pair) if t == turned else t for t in backwards[::-1]]


def _loop_to(tokens: list[str], pair: Pair, short: int) -> list[str]:
    merged, i = [], 0
    while i < len(tokens) - short:
        here = tuple(tokens[i : i + 2]) == pair
        merged.append("".join(pair) if here else tokens[i])
        i += 2 if here else 1
    return merged


def _last_again(tokens: list[str], pair: Pair) -> list[str]:
    return [*_loop_to(tokens, pair, 1), *tokens[-1:]]


def _by_twos(tokens: list[str], pair: Pair) -> list[str]:
    twos = [tokens[i : i + 2] for i in range(0, len(tokens), 2)]
    return [token for two in twos for token in merge_pair(two, pair)]


def _round_the_end(tokens: list[str], pair: Pair) -> list[str]:
    merged, i = [], 0
    while i < len(tokens):
        here = (tokens[i], tokens[(i + 1) % len(tokens)]) == pair
        merged.append("".join(pair) if here else tokens[i])
        i += 2 if here else 1
    return merged


def _far_apart(tokens: list[str], pair: Pair) -> list[str]:
    rest, merged = list(tokens), []
    while rest:
        token = rest.pop(0)
        if token == pair[0] and pair[1] in rest:
            rest.remove(pair[1])
            token += pair[1]
        merged.append(token)
    return merged


def _joined_letters(tokens: list[str], pair: Pair) -> list[str]:
    return [x for t in _marked(tokens, pair) for x in ("".join(pair) if t is None else [t])]


def _single_letters(tokens: list[str], pair: Pair) -> list[str]:
    return [x for t in _marked(tokens, pair) for x in (["".join(pair)] if t is None else t)]


def _not_after_a_merge(tokens: list[str], pair: Pair) -> list[str]:
    merged, i = [], 0
    while i < len(tokens):
        if tuple(tokens[i : i + 2]) == pair:
            merged += ["".join(pair), *tokens[i + 2 : i + 3]]
            i += 3
        else:
            merged.append(tokens[i])
            i += 1
    return merged


def _whole_runs(tokens: list[str], pair: Pair) -> list[str]:
    merged: list[str] = []
    for i, token in enumerate(tokens):
        if i > 0 and (tokens[i - 1], token) == pair:
            merged[-1] += token
        else:
            merged.append(token)
    return merged


def _first_equal(tokens: list[str], pair: Pair) -> list[str]:
    merged, skip = [], False
    for token in tokens:
        i = tokens.index(token)
        here = not skip and tuple(tokens[i : i + 2]) == pair
        if not skip:
            merged.append("".join(pair) if here else token)
        skip = here
    return merged


def _in_a_string(tokens: list[str], pair: Pair) -> list[str]:
    return "\0".join(tokens).replace("\0".join(pair), "".join(pair)).split("\0")


def _in_letters(tokens: list[str], pair: Pair) -> list[str]:
    text, joined = "".join(tokens), "".join(pair)
    return [joined if t == "\0" else t for t in text.replace(joined, "\0")]


_LETTERS = (
    "`merged += 'an'` adds the letters one by one: merged.append('an') adds the token, and so does "
    "merged += ['an']"
)
_ONCE = "only the first occurrence is merged: go on to the end of the list"
_STRING = "this is one string: the result is a list of tokens"
_SECOND = (
    "the second token of a merged pair is still there: step over both (`i += 1` inside a `for` "
    "loop changes nothing: use `while`)"
)
_LAST = "the last token is lost: the loop ends one too early"
_BETWEEN = "something is put between the two: join them with nothing in between"
_BORDERS = (
    "joining the tokens to one string and replacing there crosses token borders: 'ab' 'c' is not "
    "the pair 'b' 'c'"
)

MISTAKES = (
    (_ONCE, _first_only),
    (_ONCE, _at_the_first),
    (_SECOND, _second_kept),
    (_SECOND, lambda t, p: _second_kept(t, p)[:-1]),
    (_LETTERS, _joined_letters),
    (_LETTERS, _single_letters),
    (
        "neighbouring pairs overlap: after a merge go on behind both tokens, so that a a a "
        "becomes aa a",
        _overlapping,
    ),
    (
        "pairs are merged from the right: start at the left, so that a a a becomes aa a",
        _from_the_right,
    ),
    (
        "nothing was merged: is the pair ever found? A slice of a list is a list and never equals "
        "a tuple",
        lambda t, p: list(t),
    ),
    (_LAST, lambda t, p: _loop_to(t, p, 1)),
    (_LAST, lambda t, p: merge_pair(t, p)[:-1]),
    ("the last tokens are lost: the loop ends too early", lambda t, p: _loop_to(t, p, 2)),
    ("the last token is there twice: append it only where it was not merged", _last_again),
    (
        "the token behind a merged pair is skipped: step over two tokens, not three",
        _where(_is_pair, step=3),
    ),
    (
        "a pair at the very start is missed: begin at i = 0",
        _where(_is_pair, start=1),
    ),
    (
        "a pair at the very end is missed: the last place a pair can stand is len(tokens) - 2",
        _where(_is_pair, end=2),
    ),
    (
        "the list is cut into twos and only these are compared: a pair may stand at odd places",
        _by_twos,
    ),
    (
        "the last token is joined with the first: % wraps round the end",
        _round_the_end,
    ),
    (
        "the pair is merged in the wrong order: first then second",
        lambda t, p: merge_pair(t, (p[1], p[0])),
    ),
    (
        "the pair is merged in both orders: only first then second counts",
        _where(lambda a, b, p: (a, b) in (p, p[::-1])),
    ),
    (
        "any two tokens of the pair are merged, in whatever order: the first must be pair[0] and "
        "the second pair[1]",
        _where(lambda a, b, p: a in p and b in p),
    ),
    (
        "only the first token of the pair is compared: the second must be right, too",
        _where(lambda a, b, p: a == p[0]),
    ),
    (
        "only the second token of the pair is compared: the first must be right, too",
        _where(lambda a, b, p: b == p[1]),
    ),
    (
        "only the joined text is compared: 'a' 'bc' and 'ab' 'c' both give 'abc', but differ",
        _where(lambda a, b, p: a + b == "".join(p)),
    ),
    (
        "the pair is ignored: the letters 'a' and 'n' are written into the code",
        lambda t, p: merge_pair(t, ("a", "n")),
    ),
    (
        "any two neighbours are joined: only those that are the pair",
        lambda t, p: ["".join(t[i : i + 2]) for i in range(0, len(t), 2)],
    ),
    (
        "pairs that follow each other directly are missed: the token behind a merged pair may "
        "begin the next",
        _not_after_a_merge,
    ),
    (
        "a whole run is merged to one token: a a a becomes aa a, so a merged token is not merged "
        "again",
        _whole_runs,
    ),
    (
        "tokens.index finds the first token of that name, not the one that you are at: keep the "
        "place i",
        _first_equal,
    ),
    (
        "a token that occurs again is left out: a text keeps its repetitions",
        lambda t, p: list(dict.fromkeys(merge_pair(t, p))),
    ),
    (
        "every pair[0] is joined and every pair[1] left out: only where they are neighbours",
        lambda t, p: ["".join(p) if x == p[0] else x for x in t if x != p[1] or x == p[0]],
    ),
    (
        "these are the places of the pair: return the tokens after the merge",
        lambda t, p: [i for i in range(len(t)) if tuple(t[i : i + 2]) == p],
    ),
    (
        "tokens that only end and begin like the pair are merged: compare whole tokens",
        _where(lambda a, b, p: a.endswith(p[0]) and b.startswith(p[1])),
    ),
    (
        "a second token that only begins like the pair's is merged: compare whole tokens",
        _where(lambda a, b, p: a == p[0] and b.startswith(p[1])),
    ),
    ("tokens that are no neighbours are joined: tokens[i] and tokens[i + 1] only", _far_apart),
    (_BORDERS, _in_a_string),
    (
        "the tokens are taken apart into characters: longer tokens must stay whole",
        _in_letters,
    ),
    (
        "the pair stands there as a tuple or a list of two: join the two strings, a + b",
        _with(lambda a, b: (a, b)),
    ),
    ("the pair is joined the wrong way round: first then second", _with(lambda a, b: b + a)),
    *(
        (_BETWEEN, _with(lambda a, b, between=between: a + between + b))
        for between in (" ", "_", "-", "+", ",", "##")
    ),
    (
        "the pair is removed rather than joined",
        lambda t, p: [token for token in _marked(t, p) if token is not None],
    ),
    (
        "only the joined pairs are there: append the other tokens as well",
        lambda t, p: ["".join(p) for token in _marked(t, p) if token is None],
    ),
    (_STRING, lambda t, p: "".join(t)),
    (_STRING, lambda t, p: " ".join(merge_pair(t, p))),
    (
        "this returns something more than the list: return the tokens alone",
        lambda t, p: (merge_pair(t, p), _marked(t, p).count(None)),
    ),
)
"""What a known mistake is called, and an answer that makes it."""
