"""Chapter 07: the cases of context_windows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from minidistill.course.answer import Answer
from minidistill.course.diagnosis import Mistake, compare, expect_no_memory
from minidistill.course.exercise import Wrong, expect
from minidistill.course.exercises.ch07_windows_mistakes import MISTAKES, PAIRS, seen
from minidistill.windows import context_windows

_WHAT = "(the mask, the context)"


def inputs(rng: torch.Generator, N: int, window: int) -> tuple[Any, ...]:
    """A text in which words repeat, often within a window, and the id 0 is a word like others."""
    words = torch.randint(0, max(3, N // 3), (N,), generator=rng) * 7
    words[torch.randint(N, (1,), generator=rng)] = 0
    return words, window


_RNG = torch.Generator().manual_seed(7)
PROBES = (inputs(_RNG, 13, 2), inputs(_RNG, 11, 3), inputs(_RNG, 17, 4), inputs(_RNG, 5, 5))
"""Ordinary inputs on which a mistake must show itself too before it is named."""


def _seen(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda words, window: seen(function(words, window), words, window)


_SINGLE = tuple((sentence, _seen(mistaken)) for sentence, mistaken in MISTAKES)
_KNOWN = (*_SINGLE, *((sentence, _seen(mistaken)) for sentence, mistaken in PAIRS))


def _case(answer: Answer, words: Tensor, window: int, known: Sequence[Mistake] = _KNOWN) -> None:
    given: list[Any] = []

    def once(*args: Any) -> Any:
        given.append(answer(*args))
        return seen(given[-1], *args)

    compare(
        once,
        _seen(context_windows),
        (words, window),
        _WHAT,
        mistakes=known,
        probes=PROBES,
    )
    for value, name in zip(given[0], ("the context", "the mask"), strict=True):
        if not isinstance(value, Tensor):
            raise Wrong(f"{name} is right, but it is a {type(value).__name__}: make a tensor of it")
    _can_be_looked_up(given[0][0], words)


def _can_be_looked_up(context: Tensor, words: Tensor) -> None:
    """Wrong where an id at a masked place has no row in a table of embeddings."""
    if context.dtype != torch.int64:
        raise Wrong(f"the context holds {context.dtype}, ids are torch.int64 as in `words`")
    for strange in (int(context.min()), int(context.max())):
        if not 0 <= strange <= max(int(words.max()), 0):
            raise Wrong(
                f"where the mask is False stands {strange}, which is no id of this text: an "
                "embedding is looked up there too and left out afterwards, so put any word's id "
                "there"
            )


def by_hand(answer: Answer, rng: torch.Generator) -> None:
    """the words 5 3 8 5 2 with a window of 2: the 8 has 5, 3 on its left, 5, 2 on its right."""
    args = torch.tensor([5, 3, 8, 5, 2]), 2
    rows = [[0, 0, 3, 8], [0, 5, 8, 5], [5, 3, 5, 2], [3, 8, 2, 0], [8, 5, 0, 0]]
    context = torch.tensor(rows)
    want = [context > 0, context]
    expect(list(_seen(context_windows)(*args)), want, "the reference")
    expect_no_memory(_seen(answer), args, (torch.tensor([9, 8, 1, 4, 7]), 2), want, _WHAT)
    _case(answer, *args)


def ordinary(answer: Answer, rng: torch.Generator) -> None:
    """N = 23 with a window of 2, N = 31 with one of 3."""
    _case(answer, *inputs(rng, 23, 2))
    _case(answer, *inputs(rng, 31, 3))


def narrow(answer: Answer, rng: torch.Generator) -> None:
    """a window of 1: the words right beside."""
    _case(answer, *inputs(rng, 11, 1))


def square(answer: Answer, rng: torch.Generator) -> None:
    """N = 2 window, where mixed-up dimensions raise no error."""
    _case(answer, *inputs(rng, 6, 3))


def repeated(answer: Answer, rng: torch.Generator) -> None:
    """words that stand twice in a window, and a text of the same word throughout."""
    _case(answer, torch.tensor([4, 4, 4, 2, 4, 2, 2, 2]), 2)
    _case(answer, torch.full((7,), 3), 2)


def zero_is_a_word(answer: Answer, rng: torch.Generator) -> None:
    """the id 0 is a word like others, even if there is no other."""
    _case(answer, torch.tensor([0, 2, 0, 0, 1, 2, 0]), 2)
    _case(answer, torch.zeros(5, dtype=torch.int64), 2)


def short(answer: Answer, rng: torch.Generator) -> None:
    """texts shorter than the window: N = 3 with a window of 5, N = 2 with one of 7."""
    for N, window in ((3, 5), (2, 7), (5, 4)):
        try:
            _case(answer, *inputs(rng, N, window))
        except Wrong as wrong:
            raise Wrong(_short_text(str(wrong), N, window)) from None


def single(answer: Answer, rng: torch.Generator) -> None:
    """a single word, which has no neighbour at all: (1, 2 window), all False."""
    for window in (1, 3):
        try:
            _case(answer, torch.tensor([6]), window)
        except Wrong as wrong:
            raise Wrong(_short_text(str(wrong), 1, window)) from None


def _short_text(text: str, N: int, window: int) -> str:
    """Say with an error, or a missing column, that the text is short here."""
    if text.endswith(f"expected ({N}, {2 * window})"):
        return f"{text}: a short text has as many columns as a long one, and more of them masked"
    if not text.startswith("your code raised"):
        return text
    words = "one word" if N == 1 else f"{N} words"
    return f"a text of {words} has fewer than a window of {window} asks for, and must run ({text})"


def long(answer: Answer, rng: torch.Generator) -> None:
    """N = 1,009 with a window of 5."""
    # Two mistakes at once would take seconds here, and show in the smaller cases as well.
    _case(answer, *inputs(rng, 1009, 5), known=_SINGLE)
