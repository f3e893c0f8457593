"""Chapter 01: the cases of pad_batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from minidistill.course.answer import Answer
from minidistill.course.diagnosis import compare, expect_no_memory
from minidistill.course.exercises.ch01_answers import pad_batch

Rows = list[list[int]]


def _as(change: Callable[[Tensor, Tensor], Any]) -> Callable[..., Any]:
    """Right but for what is made of tokens and mask."""
    return lambda rows, p: change(*pad_batch(rows, p))


def _of(change: Callable[[Rows, int], Rows]) -> Callable[..., Any]:
    """Right but for what is padded."""
    return lambda rows, p: pad_batch(change(rows, p), p)


def _mask_by(test: Callable[[Tensor, int], Tensor]) -> Callable[..., Any]:
    """Right but for a mask that comes from the ids."""

    def answer(rows: Rows, p: int) -> tuple[Tensor, Tensor]:
        tokens, _ = pad_batch(rows, p)
        return tokens, test(tokens, p)

    return answer


def _mask_off_by(shift: int) -> Callable[..., Any]:
    def change(tokens: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        return tokens, torch.arange(mask.size(1)) < mask.sum(1, keepdim=True) + shift

    return _as(change)


def _in_front(tokens: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    moved = [t.roll(int((~m).sum())) for t, m in zip(tokens, mask, strict=True)]
    return torch.stack(moved), mask.flip(1)


def _filled_with_zeros(rows: Rows, p: int) -> tuple[Tensor, Tensor]:
    return pad_batch(rows, 0)


def _up_to_the_last_real(tokens: Tensor, p: int) -> Tensor:
    return (tokens != p).flip(1).cumsum(1).flip(1) > 0


def _cut_at_the_end(row: list[int], p: int) -> list[int]:
    real = [i for i, token in enumerate(row) if token != p]
    return row[: real[-1] + 1] if real else []


def _centred(rows: Rows, p: int) -> tuple[Tensor, Tensor]:
    tokens, mask = pad_batch(rows, p)
    shift = (~mask).sum(1) // 2
    turned = [
        torch.stack([r.roll(int(s)) for r, s in zip(x, shift, strict=True)]) for x in (tokens, mask)
    ]
    return turned[0], turned[1]


def _zipped(rows: Rows, p: int) -> tuple[Tensor, Tensor]:
    tokens = torch.tensor(list(zip(*rows, strict=False)))
    return tokens, torch.ones_like(tokens, dtype=torch.bool)


def _width(choose: Callable[[list[int]], int]) -> Callable[..., Any]:
    """Right but for the number of columns."""

    def answer(rows: Rows, p: int) -> tuple[Tensor, Tensor]:
        width = choose([len(row) for row in rows])
        tokens, mask = pad_batch([*rows, [p] * max(map(len, rows)) + [p] * width], p)
        return tokens[:-1, :width], mask[:-1, :width]

    return answer


_FRONT = "padding stands in front: fill rows up at the end"
_BY_ID = (
    "the mask is made by comparing with the padding's id: a real token may have that id too, so "
    "make it from the lengths"
)
_STRIPPED = (
    "real tokens at the end of a row that have the padding's id are taken for padding: make the "
    "mask from the lengths"
)
_ZERO = "rows are filled up with 0: use padding_id"
_NOT_WIDEST = (
    "the tensor is as wide as the {} row: it must hold the longest, so that nothing is lost"
)
_RAGGED = "the rows still differ in length: fill the shorter ones up with padding_id"
_ONE_ROW = "the dimension of the rows is lost: one sequence still has shape (1, T)"

MISTAKES = (
    ("the mask is inverted: True marks a real token", _as(lambda t, m: (t, ~m))),
    (
        "all of the mask is True: it must be False at the padding (were the lengths taken after "
        "filling up?)",
        _as(lambda t, m: (t, torch.ones_like(m))),
    ),
    (_BY_ID, _mask_by(lambda t, p: t != p)),
    (
        "the mask is made by comparing the ids with 0: 0 is an id like any other, so make it from "
        "the lengths",
        _mask_by(lambda t, p: t != 0),
    ),
    (_STRIPPED, _mask_by(_up_to_the_last_real)),
    (_STRIPPED, _of(lambda rows, p: [_cut_at_the_end(row, p) for row in rows])),
    ("the mask marks one token too few in each row", _mask_off_by(-1)),
    ("the mask marks one token too many in each row: use <, not <=", _mask_off_by(1)),
    (_FRONT, _as(_in_front)),
    (_FRONT, _as(lambda t, m: (_in_front(t, m)[0], m))),
    (_ZERO, _filled_with_zeros),
    (_ZERO, lambda rows, p: _mask_by(lambda t, _: t != 0)(rows, 0)),
    (
        "rows are filled up with their last token: use padding_id",
        lambda rows, p: (
            pad_batch([r + r[-1:] * (max(map(len, rows)) - len(r)) for r in rows], p)[0],
            pad_batch(rows, p)[1],
        ),
    ),
    (_NOT_WIDEST.format("shortest"), _width(min)),
    (
        "the longest row is chosen by max(sequences), which compares ids, not lengths: take the "
        "max of the lengths",
        lambda rows, p: _width(lambda n: len(max(rows)))(rows, p),
    ),
    (
        "the tensor is as wide as there are rows: it must be as wide as the longest row",
        _width(len),
    ),
    (_NOT_WIDEST.format("first"), _width(lambda n: n[0])),
    (_NOT_WIDEST.format("last"), _width(lambda n: n[-1])),
    (
        "the rows are sorted by their length: leave them in their order",
        _of(lambda rows, p: sorted(rows, key=len)),
    ),
    (
        "the rows are sorted by their length: leave them in their order",
        _of(lambda rows, p: sorted(rows, key=len, reverse=True)),
    ),
    (
        "real tokens that have the padding's id are taken out: they are part of the text",
        _of(lambda rows, p: [[i for i in row if i != p] for row in rows]),
    ),
    (
        "empty rows are left out: such a row is nothing but padding, and its mask all False",
        _of(lambda rows, p: [row for row in rows if row]),
    ),
    (
        "of two equal rows one is left out: keep every row",
        _of(lambda rows, p: [list(row) for row in dict.fromkeys(map(tuple, rows))]),
    ),
    (
        "the rows run backwards: keep the order of their tokens",
        _of(lambda rows, p: [row[::-1] for row in rows]),
    ),
    ("padding stands on both sides: fill rows up at the end", _centred),
    (
        "zip stops at the shortest row, and turns rows into columns: fill up to the longest",
        _zipped,
    ),
    (
        "this is a dictionary: return the two tensors, tokens and mask",
        _as(lambda t, m: {"tokens": t, "mask": m}),
    ),
    (
        "the rows are strung together: return one row of the tensor for each, (B, T)",
        _as(lambda t, m: (t.flatten(), m.flatten())),
    ),
    ("tokens come out time first (T, B): rows are dimension 0", _as(lambda t, m: (t.T, m.T))),
    (_ONE_ROW, _as(lambda t, m: (t.squeeze(0), m.squeeze(0)))),
    ("this returns (mask, tokens): tokens come first", _as(lambda t, m: (m, t))),
    ("the mask is missing: return tokens and mask", _as(lambda t, m: t)),
    ("only the mask is there: return tokens and mask", _as(lambda t, m: m)),
    (
        "these are the lengths of the rows: the mask has True or False for every entry",
        _as(lambda t, m: (t, m.sum(1))),
    ),
    (_RAGGED, lambda rows, p: (rows, [[True] * len(row) for row in rows])),
    (_RAGGED, lambda rows, p: (rows, pad_batch(rows, p)[1])),
)
"""What a known mistake is called, and an answer that makes it."""


PROBES = (
    ([[4, 9, 0, 3], [8], [5, 2, 6], [9, 7]], 1),
    ([[3, 6], [2, 5, 0, 7, 4], [9, 8, 6], [8, 5, 3, 2], [4], [7, 7]], 10),
)
"""Ordinary inputs on which a mistake must show itself too before it is named."""


def _too_wide_or_filled_otherwise(got: Any, want: tuple[Tensor, Tensor]) -> str | None:
    """The sentence for tokens that are wider than need be, or for a wrong filling, or None."""
    tokens = got[0] if isinstance(got, (list, tuple)) and got else None
    rows, longest = want[0].shape
    if not isinstance(tokens, Tensor) or tokens.dim() != 2 or len(tokens) != rows:
        return None
    if tokens.size(1) > longest and torch.equal(tokens[:, :longest], want[0]):
        return f"the tokens are {tokens.size(1)} wide: the longest row has {longest}"
    if tokens.size(1) != longest or not torch.equal(tokens[want[1]], want[0][want[1]]):
        return None
    other = tokens[tokens != want[0]]
    return f"rows are filled up with {other[0]}, not with padding_id" if len(other) else None


def _pad_case(answer: Answer, sequences: Rows, padding_id: int) -> None:
    compare(
        answer,
        pad_batch,
        (sequences, padding_id),
        "(tokens, mask)",
        mistakes=MISTAKES,
        probes=PROBES,
        describe=_too_wide_or_filled_otherwise,
    )


def pad_by_hand(answer: Answer, rng: torch.Generator) -> None:
    """five rows of 2, 1, 6, 3 and 4 tokens."""
    rows = [[5, 6], [3], [7, 0, 9, 4, 2, 5], [8, 2, 6], [6, 5, 2, 3]]
    want = pad_batch(rows, 1)
    wider = ([[5, 6, 2, 3, 4, 2, 2], [3]], 1)
    expect_no_memory(answer, (rows, 1), wider, want, "(tokens, mask)")
    _pad_case(answer, rows, 1)


def pad_same_id(answer: Answer, rng: torch.Generator) -> None:
    """a real token that has the padding's id stays real."""
    _pad_case(answer, [[2, 5, 2], [7, 2], [2, 2, 2, 2, 9]], 2)


def pad_random(answer: Answer, rng: torch.Generator) -> None:
    """seven ragged rows of random ids."""
    lengths = torch.randint(1, 12, (7,), generator=rng).tolist()
    rows = [torch.randint(31, (n,), generator=rng).tolist() for n in lengths]
    _pad_case(answer, rows, 3)


def pad_edges(answer: Answer, rng: torch.Generator) -> None:
    """an empty row, equal rows, rows of equal length, and a single row."""
    _pad_case(answer, [[4, 2], [], [6, 6, 1]], 5)
    _pad_case(answer, [[4, 2], [3], [4, 2], [3]], 5)
    _pad_case(answer, [[4, 2, 8], [6, 6, 1]], 0)
    _pad_case(answer, [[4, 2, 8]], 7)
