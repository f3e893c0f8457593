"""Chapter 04: which tokens wrong versions of `block_repeats` find in one row."""

from __future__ import annotations

from collections.abc import Iterator

from minidistill.course.exercises.ch04_pairs import Fault


def context(text: list[int], size: int) -> list[int]:
    """The last `size` tokens, also for size 0."""
    return text[len(text) - size :]


def followers(text: list[int], size: int, ahead: int = 0) -> Iterator[int]:
    """What stood after earlier copies of the last `size` tokens, `ahead` places further on."""
    for start in range(len(text) - size - ahead):
        if text[start : start + size] == context(text, size):
            yield text[start + size + ahead]


def _among(text: list[int], n: int, starts: range) -> Iterator[int]:
    """The right question, asked at some places only."""
    for start in starts:
        if text[start : start + n - 1] == context(text, n - 1):
            yield text[start + n - 1]


def _last_only_from_n(text: list[int], n: int) -> Iterator[int]:
    """The last token alone is compared, in a loop over n-grams."""
    for start in range(len(text) - n + 1):
        if n == 1 or text[start + n - 2] == text[-1]:
            yield text[start + n - 1]


def _one_token_agrees(text: list[int], n: int) -> Iterator[int]:
    for start in range(len(text) - n + 1):
        agree = [a == b for a, b in zip(text[start:], context(text, n - 1), strict=False)]
        if any(agree) or not agree:
            yield text[start + n - 1]


def _the_context(text: list[int], n: int) -> Iterator[int]:
    if list(followers(text, n - 1)):
        yield from context(text, n - 1)


def _end_of_context(text: list[int], n: int) -> Iterator[int]:
    """text[start + n - 2]: the last of the n - 1 tokens, for n = 1 the token before."""
    for start in range(len(text) - n + 1):
        if text[start : start + n - 1] == context(text, n - 1):
            yield text[start + n - 2]


def _first_of_gram(text: list[int], n: int) -> Iterator[int]:
    for start in range(len(text) - n + 1):
        if text[start : start + n - 1] == context(text, n - 1):
            yield text[start]


def _in_any_order(text: list[int], n: int) -> Iterator[int]:
    for start in range(len(text) - n + 1):
        if sorted(text[start : start + n - 1]) == sorted(context(text, n - 1)):
            yield text[start + n - 1]


def _turned_round(text: list[int], n: int) -> Iterator[int]:
    for start in range(len(text) - n + 1):
        if text[start : start + n - 1] == context(text, n - 1)[::-1]:
            yield text[start + n - 1]


def _whole_gram(text: list[int], n: int) -> Iterator[int]:
    for start in range(len(text) - n + 1):
        if text[start : start + n - 1] == context(text, n - 1):
            yield from text[start : start + n]


def _whole_text(text: list[int], n: int) -> Iterator[int]:
    """text[-0:] is the whole text: n = 1 then blocks nothing."""
    if n > 1:
        yield from followers(text, n - 1)


def _context_at_start(text: list[int], n: int) -> Iterator[int]:
    for start in range(len(text) - n + 1):
        if text[start : start + n - 1] == text[: n - 1]:
            yield text[start + n - 1]


def _once_is_allowed(text: list[int], n: int) -> Iterator[int]:
    found = list(followers(text, n - 1))
    yield from (token for token in found if found.count(token) > 1)


def _cut_short(text: list[int], n: int) -> Iterator[int]:
    """The last copy is the end of the text itself, which nothing follows."""
    for start in range(len(text)):
        if text[start : start + n - 1] == (text[-(n - 1) :] if n > 1 else []):
            yield text[min(start + n - 1, len(text) - 1)]


def _last_write_counts(text: list[int], n: int) -> Iterator[int]:
    """A token is blocked or not by the last n-gram that ends in it."""
    verdict: dict[int, bool] = {}
    for start in range(len(text) - n + 1):
        verdict[text[start + n - 1]] = text[start : start + n - 1] == context(text, n - 1)
    yield from (token for token, repeats in verdict.items() if repeats)


def _needs_more_than_n(text: list[int], n: int) -> Iterator[int]:
    if len(text) > n:
        yield from followers(text, n - 1)


_LAST = "only the last token is compared: the last n - 1 must agree"
_ITSELF = "the n - 1 tokens themselves are blocked: block the one that followed them"

FINDS: tuple[Fault, ...] = (
    (
        "for n = 1 nothing is blocked: text[-0:] is the whole text, not its empty end; count from "
        "the front, text[len(text) - (n - 1):]",
        {"find": _whole_text},
    ),
    (
        "the last n tokens are compared: the n-gram is n - 1 tokens that are written and one that "
        "is about to be",
        {"find": lambda text, n: followers(text, n)},
    ),
    (
        "too few tokens are compared: the last n - 1 must agree",
        {"find": lambda text, n: followers(text, max(n - 2, 0))},
    ),
    (_LAST, {"find": lambda text, n: followers(text, min(n - 1, 1))}),
    (_LAST, {"find": _last_only_from_n}),
    (
        "one token that agrees is taken for all: the n - 1 tokens must all agree (all, not any)",
        {"find": _one_token_agrees},
    ),
    (
        "only the latest place where these n - 1 tokens stood is used: block what followed at all "
        "of them",
        {"find": lambda text, n: list(followers(text, n - 1))[-1:]},
    ),
    (
        "only the first place where these n - 1 tokens stood is used: block what followed at all "
        "of them",
        {"find": lambda text, n: list(followers(text, n - 1))[:1]},
    ),
    (
        "every token of the text is blocked: only those that would complete an n-gram again",
        {"find": lambda text, n: text},
    ),
    (_ITSELF, {"find": _the_context}),
    (
        "the last of the n - 1 tokens is blocked: block the one that followed, text[i + n - 1]",
        {"find": _end_of_context},
    ),
    (
        "the first token of the n-gram is blocked: block its last, the one that followed",
        {"find": _first_of_gram},
    ),
    (
        "the n - 1 tokens are compared in any order: a sequence is repeated in its order",
        {"find": _in_any_order},
    ),
    (
        "the end of the text is compared backwards: its last n - 1 tokens in their order",
        {"find": _turned_round},
    ),
    (
        "all tokens of the n-gram are blocked: block its last alone, the one that followed",
        {"find": _whole_gram},
    ),
    (
        "only every n-th place is looked at: n-grams overlap, so begin at every place",
        {"find": lambda text, n: _among(text, n, range(0, len(text) - n + 1, n))},
    ),
    (
        "a text of exactly n tokens is passed over: it holds one n-gram already (shorter is t < n)",
        {"find": _needs_more_than_n},
    ),
    (
        "the last n-gram of the text is not looked at: the loop ends one too early",
        {"find": lambda text, n: _among(text, n, range(len(text) - n))},
    ),
    (
        "the first n-gram of the text is not looked at: the loop begins at 0",
        {"find": lambda text, n: _among(text, n, range(1, len(text) - n + 1))},
    ),
    (
        "n-grams that share tokens with the end of the text are not looked at: they count too, "
        "as 3 3 in 3 3 3",
        {"find": lambda text, n: _among(text, n, range(len(text) - 2 * (n - 1)))},
    ),
    (
        "the end of the text is found as a copy of itself, and what stands there is blocked: stop "
        "where something still follows (range(len(text) - n + 1))",
        {"find": _cut_short},
    ),
    (
        "a place that is no repeat takes back what another place has blocked: write -inf only "
        "where the tokens agree (scatter keeps only one of several values for a token)",
        {"find": _last_write_counts},
    ),
    (
        "the first n - 1 tokens of the text are compared: it is the last n - 1 that go on now",
        {"find": _context_at_start},
    ),
    (
        "an n-gram is blocked only after it stood twice: once is enough",
        {"find": _once_is_allowed},
    ),
    (
        "the token after the next one is blocked: block what followed the n - 1 tokens at once",
        {"find": lambda text, n: followers(text, n - 1, ahead=1)},
    ),
)
"""Mistakes about one row: `find` gets its text and n, and gives the tokens to block."""
