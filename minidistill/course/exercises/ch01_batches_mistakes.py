"""Chapter 01: what goes wrong in continuous_batches."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise, permutations
from typing import Any

import torch
from torch import Tensor

from minidistill.course.exercise import agrees
from minidistill.course.exercises.ch01_answers import continuous_batches

Pairs = list[tuple[Tensor, Tensor]]


def _cut(rows: Tensor, after: Tensor, T: int, end: int = 0, step: int = 0) -> Pairs:
    """Batches of T columns from a sheet of inputs and one of targets."""
    starts = range(0, rows.size(1) + end, step or T)
    return [(rows[:, s : s + T], after[:, s : s + T]) for s in starts]


def _sheets(ids: Tensor, B: int, shift: int = 1, width: int | None = None) -> tuple[Tensor, Tensor]:
    """The inputs and the targets as rows, before they are cut into batches."""
    width = (len(ids) - shift) // B if width is None else width
    return ids[: B * width].view(B, width), ids[shift : B * width + shift].view(B, width)


def _each(change: Callable[[Tensor, Tensor], Any]) -> Callable[..., list]:
    """Right but for what is handed out of every batch."""
    return lambda ids, B, T: [change(x, y) for x, y in continuous_batches(ids, B, T)]


def _whole(change: Callable[[Pairs, int], Any]) -> Callable[..., Any]:
    """Right but for what becomes of the list of batches."""
    return lambda ids, B, T: change(continuous_batches(ids, B, T), T)


def _rolled_rows(ids: Tensor, B: int, T: int) -> Pairs:
    rows, _ = _sheets(ids, B)
    return _cut(rows, rows.roll(-1, 1), T)


def _rolled_text(ids: Tensor, B: int, T: int) -> Pairs:
    width = len(ids) // B
    rolled = ids.roll(-1)[: B * width].view(B, width)
    return _cut(ids[: B * width].view(B, width), rolled, T)


def _interleaved(ids: Tensor, B: int, T: int) -> Pairs:
    width = (len(ids) - 1) // B
    text, after = ids[: B * width], ids[1 : B * width + 1]
    return _cut(text.view(width, B).T, after.view(width, B).T, T)


def _batch_after_batch(ids: Tensor, B: int, T: int) -> Pairs:
    chunks = [ids[i : i + B * T + 1] for i in range(0, len(ids) - B * T, B * T)]
    return [(c[:-1].view(B, T), c[1:].view(B, T)) for c in chunks]


def _shifted_in_the_sheet(ids: Tensor, B: int, T: int, step: int = 0) -> Pairs:
    rows, _ = _sheets(ids, B, shift=0)
    return _cut(rows[:, :-1], rows[:, 1:], T, step=step)


def _shifted_in_the_batch(ids: Tensor, B: int, T: int) -> Pairs:
    return [(x[:, :-1], x[:, 1:]) for x, _ in continuous_batches(ids, B, T)]


def _filled_rows(ids: Tensor, B: int, T: int) -> Pairs:
    width = -(-(len(ids) - 1) // B)
    filled = torch.cat([ids, ids.new_zeros(B * width + 1 - len(ids))])
    return _cut(*_sheets(filled, B), T)


def _rest_dropped_in_front(ids: Tensor, B: int, T: int) -> Pairs:
    return continuous_batches(ids[(len(ids) - 1) % B :], B, T)


def _row_by_row(ids: Tensor, B: int, T: int) -> Pairs:
    rows, after = _sheets(ids, B)
    return [p for x, y in zip(rows, after, strict=True) for p in _cut(x[None], y[None], T)]


def _overlapping_rows(ids: Tensor, B: int, T: int) -> Pairs:
    width = (len(ids) - 1) // B
    starts = torch.arange(B)[:, None] * (width - 1) + torch.arange(width)
    return _cut(ids[starts], ids[starts + 1], T)


def _round_the_row(ids: Tensor, B: int, T: int) -> Pairs:
    rows, after = _sheets(ids, B)
    columns = torch.arange(-(-rows.size(1) // T) * T) % rows.size(1)
    return _cut(rows[:, columns], after[:, columns], T)


def _moved_back(ids: Tensor, B: int, T: int) -> Pairs:
    rows, after = _sheets(ids, B)
    return [*_cut(rows, after, T)[:-1], (rows[:, -T:], after[:, -T:])]


def _next_batch(ids: Tensor, B: int, T: int) -> Pairs:
    inputs = [x for x, _ in continuous_batches(ids, B, T)]
    return list(pairwise(inputs))


def _one_wider(ids: Tensor, B: int, T: int) -> Pairs:
    rows, after = _sheets(ids, B)
    wide = torch.cat([rows, after[:, -1:]], dim=1)
    return [(wide[:, s : s + T + 1], after[:, s : s + T]) for s in range(0, rows.size(1), T)]


def _filled_batch(x: Tensor, T: int) -> Tensor:
    return torch.cat([x, x.new_zeros(x.size(0), T - x.size(1))], dim=1)


_NOT_ON = (
    "a row does not go on in the next batch: row b of every batch must continue row b of the one "
    "before"
)
_MISSING_PAIR = "only the inputs are there: each batch is a pair (inputs, targets)"
_OVERLAP = "batches overlap: start each one `length` columns after the last"
_SHEET = (
    "the text is cut into rows first and shifted inside them, so that no row knows what follows "
    "its last token: the targets are the same cut of the text that starts one token later"
)
_ONE_ROW = "the dimension of the rows is lost: one row still has shape (1, T)"

MISTAKES = (
    (
        "targets equal the inputs: the target of a token is the token after it",
        _each(lambda x, y: (x, x)),
    ),
    (
        "inputs and targets are swapped: the model reads the earlier token",
        _each(lambda x, y: (y, x)),
    ),
    (
        "targets are wrapped round inside a row: the last target of a row is the next token of "
        "the text, not the row's first",
        _rolled_rows,
    ),
    (
        "targets are wrapped round inside a batch: shift the text before cutting it",
        _each(lambda x, y: (x, x.roll(-1, 1))),
    ),
    (
        "the very last target is the first token of the text: the last token has no successor, so "
        "only len(ids) - 1 tokens can be inputs",
        _rolled_text,
    ),
    (
        "targets look back: the target of a token is the token after it, not the one before",
        lambda ids, B, T: _cut(_sheets(ids, B)[0], _sheets(ids, B)[0].roll(1, 1), T),
    ),
    (
        "targets are two tokens ahead: one is enough",
        lambda ids, B, T: _cut(*_sheets(ids, B, shift=2), T),
    ),
    (_SHEET, _shifted_in_the_sheet),
    (_SHEET, _shifted_in_the_batch),
    (
        "one token is lost between two batches: the next starts `length` columns on, not "
        "length + 1",
        lambda ids, B, T: _shifted_in_the_sheet(ids, B, T, step=T + 1),
    ),
    (
        "one token is lost between two batches: the next starts `length` columns on, not "
        "length + 1",
        lambda ids, B, T: _cut(*_sheets(ids, B), T, step=T + 1),
    ),
    (
        "rows are interleaved: row 0 must be the first stretch of the text (view(B, width)), not "
        "every B-th token",
        _interleaved,
    ),
    ("only the first batch is there: go on to the end of the rows", _whole(lambda p, T: p[:1])),
    ("the first batch is missing: start at column 0", _whole(lambda p, T: p[1:])),
    (
        "the last batch is missing where it has only one column: let the starts run to the width",
        lambda ids, B, T: _cut(*_sheets(ids, B), T, end=-1),
    ),
    (
        "the last, shorter batch is missing: its tokens would never be learned",
        _whole(lambda p, T: [(x, y) for x, y in p if x.size(1) == T]),
    ),
    (
        "rows are cut to a multiple of `length`: the last batch may be shorter instead",
        lambda ids, B, T: _cut(*_sheets(ids, B, width=(len(ids) - 1) // (B * T) * T), T),
    ),
    (
        "the last batch is filled up to `length`: leave it shorter, it would train on the filling",
        _whole(lambda p, T: [(_filled_batch(x, T), _filled_batch(y, T)) for x, y in p]),
    ),
    (_NOT_ON, _batch_after_batch),
    (
        "the end of the text is filled up to full rows: drop the tokens that are left over",
        _filled_rows,
    ),
    (
        "the tokens left over are dropped at the start of the text: drop them at its end",
        _rest_dropped_in_front,
    ),
    (
        "the first token is skipped: it is the first input",
        lambda ids, B, T: continuous_batches(ids[1:], B, T),
    ),
    (
        "rows are shorter than need be: (len(ids) - 1) // batch_size tokens fit",
        lambda ids, B, T: _cut(*_sheets(ids, B, width=len(ids) // B - 1), T),
    ),
    (
        "rows are shorter than need be: (len(ids) - 1) // batch_size tokens fit",
        lambda ids, B, T: _cut(*_sheets(ids, B, width=(len(ids) - 1) // B - 1), T),
    ),
    (
        "batch_size and length are swapped: batch_size rows, `length` columns at a time",
        lambda ids, B, T: continuous_batches(ids, T, B),
    ),
    (
        "these are places in the text, not ids: look the ids up",
        lambda ids, B, T: continuous_batches(torch.arange(len(ids)), B, T),
    ),
    ("batches come out time first (T, B): rows are dimension 0", _each(lambda x, y: (x.T, y.T))),
    (_OVERLAP, lambda ids, B, T: _cut(*_sheets(ids, B), T, step=1)),
    (_OVERLAP, lambda ids, B, T: _cut(*_sheets(ids, B), T, step=1, end=1 - T)),
    (_ONE_ROW, _each(lambda x, y: (x.squeeze(0), y.squeeze(0)))),
    (
        "each row has only one target, the token behind it: every token needs its own",
        _each(lambda x, y: (x, y[:, -1])),
    ),
    (
        "each batch holds a single row: it holds all batch_size rows, a few columns of each",
        _row_by_row,
    ),
    (
        "batch_size is ignored: these are stretches of the text, not batch_size rows at a time",
        lambda ids, B, T: list(zip(ids[:-1].split(T), ids[1:].split(T), strict=True)),
    ),
    (
        "length is ignored: cut the rows into batches of `length` columns",
        lambda ids, B, T: [_sheets(ids, B)],
    ),
    (
        "chunk(length) makes `length` pieces: split(length) makes pieces of `length` columns",
        lambda ids, B, T: [
            (x, y) for x, y in zip(*(s.chunk(T, 1) for s in _sheets(ids, B)), strict=True)
        ],
    ),
    ("rows overlap: row b starts at b * width", _overlapping_rows),
    (
        "the last batch is filled up from the start of its row: leave it shorter",
        _round_the_row,
    ),
    (
        "the last batch is moved back to have full length, so that tokens come twice: leave it "
        "shorter",
        _moved_back,
    ),
    (
        "the text runs backwards: row 0 begins with its first token",
        lambda ids, B, T: continuous_batches(ids.flip(0), B, T),
    ),
    (
        "targets are the whole next batch: the target of a token is the token after it",
        _next_batch,
    ),
    (
        "inputs have one column more than targets: cut both to `length` columns",
        _one_wider,
    ),
    (
        "inputs and targets stand in one flat list: each batch is a pair of its own",
        lambda ids, B, T: [part for p in continuous_batches(ids, B, T) for part in p],
    ),
    (
        "inputs and targets are joined to one tensor: each batch is a pair of two",
        _each(lambda x, y: torch.cat([x, y], dim=1)),
    ),
    (_MISSING_PAIR, _each(lambda x, y: x)),
    (
        "this gives two lists: make one list of (inputs, targets) pairs, for example with zip",
        _whole(lambda p, T: ([x for x, _ in p], [y for _, y in p])),
    ),
    (
        "each batch is a dictionary: make it a pair (inputs, targets)",
        _each(lambda x, y: {"inputs": x, "targets": y}),
    ),
)
"""What a known mistake is called, and an answer that makes it."""


def reordered(got: Any, want: Pairs) -> str | None:
    """The sentence for right batches in another order, or None."""
    if len(want) < 5 and any(agrees(got, list(order)) for order in permutations(want)):
        return (
            "the batches are right but in another order: keep the text's, or the memory that one "
            "batch leaves does not fit the next"
        )
    return None
