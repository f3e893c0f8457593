"""Chapter 01: the cases of merge_pair."""

from __future__ import annotations

import torch

from minidistill.course.answer import Answer
from minidistill.course.diagnosis import compare, expect_no_memory
from minidistill.course.exercises.ch01_answers import merge_pair
from minidistill.course.exercises.ch01_merge_mistakes import MISTAKES

PROBES = (
    (["a", "n", "n", "a", "b", "a", "n", "a", "a", "n"], ("a", "n")),
    (["o", "h", "h", "o", "s", "h", "o", "s", "h", "o"], ("h", "o")),
    (["a", "n", "b", "a", "b", "a", "n", "n", "b", "a", "n"], ("b", "a")),
    (["he", "l", "lo", "he", "l", "wo", "lo"], ("he", "l")),
)
"""Ordinary inputs on which a mistake must show itself too before it is named."""


def _merge_case(answer: Answer, tokens: list[str], pair: tuple[str, str]) -> None:
    args = (tokens, pair)
    compare(answer, merge_pair, args, "the tokens", mistakes=MISTAKES, probes=PROBES)


def merge_by_hand(answer: Answer, rng: torch.Generator) -> None:
    """'annabanaan', merging a and n: at the start, in the middle, at the end."""
    tokens = list("annabanaan")
    want = ["an", "n", "a", "b", "an", "a", "an"]
    other = (list("banana"), ("n", "a"))
    expect_no_memory(answer, (tokens, ("a", "n")), other, want, "the tokens")
    _merge_case(answer, tokens, ("a", "n"))


def merge_order(answer: Answer, rng: torch.Generator) -> None:
    """'banana' and others, merging a and n: only in this order, and not round the end."""
    for text in ("banana", "aana", "naanab", "nabana"):
        _merge_case(answer, list(text), ("a", "n"))


def merge_overlap(answer: Answer, rng: torch.Generator) -> None:
    """'aaaab' and 'aaa': no overlap, from the left."""
    for text in ("baaaabaaa", "aaa", "aa"):
        _merge_case(answer, list(text), ("a", "a"))


def merge_borders(answer: Answer, rng: torch.Generator) -> None:
    """longer tokens: a pair counts only where both are whole tokens."""
    _merge_case(answer, ["ab", "cb", "c"], ("b", "c"))
    _merge_case(answer, ["ab", "c", "b", "c", "bc", "b", "cd", "b", "d", "b", "c"], ("b", "c"))
    _merge_case(answer, ["a", "bc", "ab", "c", "abc", "cab", "c"], ("ab", "c"))
    _merge_case(answer, ["lo", "w", "er", "lo", "w"], ("lo", "w"))


def merge_random(answer: Answer, rng: torch.Generator) -> None:
    """random texts over three letters, and short ones."""
    for length in (0, 1, 2, 3, 17, 53):
        text = ["abc"[int(i)] for i in torch.randint(3, (length,), generator=rng)]
        for pair in (("a", "b"), ("c", "c"), ("a", "d")):
            _merge_case(answer, text, pair)
