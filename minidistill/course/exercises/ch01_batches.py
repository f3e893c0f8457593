"""Chapter 01, batches: a long text as rows that go on, and ragged rows with a mask."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from minidistill.course.answer import Answer
from minidistill.course.exercise import expect


def continuous_batches(ids: Tensor, batch_size: int, length: int) -> list[tuple[Tensor, Tensor]]:
    """Rows that go on from batch to batch, with the next token as the target of each."""
    width = (len(ids) - 1) // batch_size
    inputs = ids[: batch_size * width].view(batch_size, width)  # (B, width)
    targets = ids[1 : batch_size * width + 1].view(batch_size, width)
    starts = range(0, width, length)
    return [(inputs[:, s : s + length], targets[:, s : s + length]) for s in starts]


def _batch_mistakes(ids: Tensor, B: int, T: int) -> dict[str, Any]:
    right = continuous_batches(ids, B, T)
    width = (len(ids) - 1) // B
    used = ids[: B * width]
    rows, after = used.view(B, width), ids[1 : B * width + 1].view(B, width)
    columns = [used.view(width, B).T, ids[1 : B * width + 1].view(width, B).T]
    cut = range(0, width, T)
    chunks = [ids[i : i + B * T + 1] for i in range(0, len(ids) - B * T, B * T)]
    rolled = torch.roll(rows, -1, dims=1)
    two = torch.cat([after[:, 1:], after[:, :1]], dim=1)
    return {
        "targets equal the inputs: the target of a token is the token after it": [
            (x, x) for x, _ in right
        ],
        "inputs and targets are swapped: the model reads the earlier token": [
            (y, x) for x, y in right
        ],
        "targets are wrapped round inside a row: the last target of a row is the next token of "
        "the text, not the row's first": [(rows[:, s : s + T], rolled[:, s : s + T]) for s in cut],
        "targets are wrapped round inside a batch: shift the text before cutting it": [
            (x, torch.roll(x, -1, dims=1)) for x, _ in right
        ],
        "targets are two tokens ahead: one is enough": [
            (rows[:, s : s + T], two[:, s : s + T]) for s in cut
        ],
        "rows are interleaved: row 0 must be the first stretch of the text (view(B, width)), "
        "not every B-th token": [(columns[0][:, s : s + T], columns[1][:, s : s + T]) for s in cut],
        "a row does not go on in the next batch: row b of every batch must continue row b of "
        "the one before": [(c[:-1].view(B, T), c[1:].view(B, T)) for c in chunks],
        "the last, shorter batch is missing: its tokens would never be learned": [
            (x, y) for x, y in right if x.size(1) == T
        ],
        "only the first batch is there: go on to the end of the rows": right[:1],
        "batches come out time first (T, B): rows are dimension 0": [(x.T, y.T) for x, y in right],
        "batches overlap: start each one `length` columns after the last": [
            (rows[:, s : s + T], after[:, s : s + T]) for s in range(0, max(1, width - T + 1))
        ],
    }


def _batch_case(answer: Answer, ids: Tensor, B: int, T: int) -> None:
    want = continuous_batches(ids, B, T)
    expect(answer(ids, B, T), want, "the batches", _batch_mistakes(ids, B, T))


def batches_by_hand(answer: Answer, rng: torch.Generator) -> None:
    """13 tokens in 2 rows, 4 at a time."""
    _batch_case(answer, torch.arange(13), 2, 4)


def batches_uneven(answer: Answer, rng: torch.Generator) -> None:
    """101 tokens in 3 rows, 7 at a time, nothing divides."""
    _batch_case(answer, torch.randint(97, (101,), generator=rng), 3, 7)


def batches_exact(answer: Answer, rng: torch.Generator) -> None:
    """every token but the first is a target when nothing is left over."""
    ids = torch.randperm(31, generator=rng)
    want = continuous_batches(ids, 5, 3)
    one_less = continuous_batches(ids[: (len(ids) - 2) // 5 * 5 + 1], 5, 3)
    short = {"rows are shorter than need be: (len(ids) - 1) // batch_size tokens fit": one_less}
    expect(answer(ids, 5, 3), want, "the batches", {**short, **_batch_mistakes(ids, 5, 3)})


def batches_one_row(answer: Answer, rng: torch.Generator) -> None:
    """one row, and a length longer than the row."""
    ids = torch.randint(50, (17,), generator=rng)
    _batch_case(answer, ids, 1, 5)
    _batch_case(answer, ids, 4, 100)


def pad_batch(sequences: list[list[int]], padding_id: int) -> tuple[Tensor, Tensor]:
    """Ragged lists as one tensor (B, T), filled up at the end, and the mask of real tokens."""
    longest = max(len(s) for s in sequences)
    tokens = torch.tensor([s + [padding_id] * (longest - len(s)) for s in sequences])
    lengths = torch.tensor([len(s) for s in sequences])
    return tokens.long().view(len(sequences), longest), torch.arange(longest) < lengths[:, None]


def _pad_mistakes(sequences: list[list[int]], padding_id: int) -> dict[str, Any]:
    tokens, mask = pad_batch(sequences, padding_id)
    shortest = min(len(s) for s in sequences)
    left = torch.stack([t.roll(int((~m).sum())) for t, m in zip(tokens, mask, strict=True)])
    left_mask = torch.stack([m.roll(int((~m).sum())) for m in mask])
    zeros = tokens.masked_fill(~mask, 0)
    twist = "the mask is inverted: True marks a real token"
    by_id = (
        "the mask is made by comparing with the padding's id: a real token may have that id too, "
        "so make it from the lengths"
    )
    return {
        twist: (tokens, ~mask),
        by_id: (tokens, tokens != padding_id),
        "padding stands in front: fill rows up at the end": (left, left_mask),
        "padding stands in front: fill rows up at the end ": (left, mask),
        "rows are filled up with 0: use padding_id": (zeros, mask),
        "rows are filled up with 0: use padding_id ": (zeros, zeros != 0),
        "rows are cut to the shortest: fill up to the longest, so that nothing is lost": (
            tokens[:, :shortest],
            mask[:, :shortest],
        ),
        "all of the mask is True: it must be False at the padding": (
            tokens,
            torch.ones_like(mask),
        ),
        "this returns (mask, tokens): tokens come first": (mask, tokens),
        "the mask is missing: return tokens and mask": tokens,
        "the mask marks one token too few in each row": (
            tokens,
            torch.arange(tokens.size(1)) < mask.sum(1, keepdim=True) - 1,
        ),
        "the mask marks one token too many in each row: use <, not <=": (
            tokens,
            torch.arange(tokens.size(1)) <= mask.sum(1, keepdim=True),
        ),
    }


def _pad_case(answer: Answer, sequences: list[list[int]], padding_id: int) -> None:
    got, want = answer(sequences, padding_id), pad_batch(sequences, padding_id)
    expect(got, want, "(tokens, mask)", _pad_mistakes(sequences, padding_id))


def pad_by_hand(answer: Answer, rng: torch.Generator) -> None:
    """three rows of 2, 4 and 1 tokens."""
    _pad_case(answer, [[5, 6], [7, 8, 9, 4], [3]], 1)


def pad_same_id(answer: Answer, rng: torch.Generator) -> None:
    """a real token that has the padding's id stays real."""
    _pad_case(answer, [[2, 5, 2], [7, 2], [2, 2, 2, 2, 9]], 2)


def pad_random(answer: Answer, rng: torch.Generator) -> None:
    """seven ragged rows of random ids."""
    lengths = torch.randint(1, 12, (7,), generator=rng).tolist()
    rows = [torch.randint(31, (n,), generator=rng).tolist() for n in lengths]
    _pad_case(answer, rows, 3)


def pad_edges(answer: Answer, rng: torch.Generator) -> None:
    """an empty row, and rows of equal length."""
    _pad_case(answer, [[4, 2], [], [6, 6, 1]], 5)
    _pad_case(answer, [[4, 2, 8], [6, 6, 1]], 0)
