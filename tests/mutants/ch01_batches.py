"""Answers to 01.4 continuous_batches and 01.5 pad_batch as students write them."""

from __future__ import annotations

import random
from itertools import zip_longest

import torch
from torch.nn.functional import pad
from torch.nn.utils.rnn import pad_sequence

from tests.mutants import right, wrong


def _sheet(ids, batch_size):
    width = (len(ids) - 1) // batch_size
    rows = ids[: batch_size * width].view(batch_size, width)
    return rows, ids[1 : batch_size * width + 1].view(batch_size, width)


def _cut(rows, after, length):
    starts = range(0, rows.shape[1], length)
    return [(rows[:, s : s + length], after[:, s : s + length]) for s in starts]


@wrong("01.4", "how many are to be used")
def forgets_the_successor(ids, batch_size, length):
    width = len(ids) // batch_size
    rows = ids[: batch_size * width].view(batch_size, width)
    return _cut(rows, ids[1 : batch_size * width + 1].view(batch_size, width), length)


@wrong("01.4", "targets equal the inputs")
def no_shift(ids, batch_size, length):
    rows, _ = _sheet(ids, batch_size)
    return _cut(rows, rows, length)


@wrong("01.4", "wrapped round inside a row")
def rolls_the_rows(ids, batch_size, length):
    rows, _ = _sheet(ids, batch_size)
    return _cut(rows, rows.roll(-1, dims=1), length)


@wrong("01.4", "wrapped round inside a batch")
def rolls_each_batch(ids, batch_size, length):
    rows, after = _sheet(ids, batch_size)
    return [(x, x.roll(-1, dims=1)) for x, _ in _cut(rows, after, length)]


@wrong("01.4", "the very last target is the first token")
def rolls_the_text(ids, batch_size, length):
    width = len(ids) // batch_size
    after = ids.roll(-1)[: batch_size * width].view(batch_size, width)
    return _cut(ids[: batch_size * width].view(batch_size, width), after, length)


@wrong("01.4", "cut into rows first and shifted inside them")
def shifts_in_the_sheet(ids, batch_size, length):
    width = len(ids) // batch_size
    rows = ids[: batch_size * width].view(batch_size, width)
    return _cut(rows[:, :-1], rows[:, 1:], length)


@wrong("01.4", "rows are interleaved")
def interleaved(ids, batch_size, length):
    width = (len(ids) - 1) // batch_size
    rows = ids[: batch_size * width].view(width, batch_size).t()
    return _cut(rows, ids[1 : batch_size * width + 1].view(width, batch_size).t(), length)


@wrong("01.4", "a row does not go on in the next batch")
def batch_after_batch(ids, batch_size, length):
    size, batches = batch_size * length, []
    for start in range(0, len(ids) - size, size):
        chunk = ids[start : start + size + 1]
        batches.append((chunk[:-1].view(batch_size, -1), chunk[1:].view(batch_size, -1)))
    return batches


@wrong("01.4", "the last, shorter batch is missing")
def drops_the_last(ids, batch_size, length):
    batches = _cut(*_sheet(ids, batch_size), length)
    return [(x, y) for x, y in batches if x.shape[1] == length]


@wrong("01.4", "only one column")
def misses_one_column(ids, batch_size, length):
    rows, after = _sheet(ids, batch_size)
    starts = range(0, rows.shape[1] - 1, length)
    return [(rows[:, s : s + length], after[:, s : s + length]) for s in starts]


@wrong("01.4", "time first")
def time_first(ids, batch_size, length):
    return [(x.t(), y.t()) for x, y in _cut(*_sheet(ids, batch_size), length)]


@wrong("01.4", "cannot be stacked")
def stacks(ids, batch_size, length):
    batches = _cut(*_sheet(ids, batch_size), length)
    return torch.stack([x for x, _ in batches]), torch.stack([y for _, y in batches])


@wrong("01.4", "in another order")
def shuffles(ids, batch_size, length):
    batches = _cut(*_sheet(ids, batch_size), length)
    random.Random(1).shuffle(batches)
    return batches


@wrong("01.4", "one row still has shape (1, T)")
def squeezes(ids, batch_size, length):
    return [(x.squeeze(0), y.squeeze(0)) for x, y in _cut(*_sheet(ids, batch_size), length)]


@wrong("01.4", "split(length) makes pieces")
def chunk_for_split(ids, batch_size, length):
    rows, after = _sheet(ids, batch_size)
    return list(zip(rows.chunk(length, 1), after.chunk(length, 1), strict=True))


@wrong("01.4", "the whole next batch")
def predicts_the_next_batch(ids, batch_size, length):
    rows, _ = _sheet(ids, batch_size)
    pieces = rows.split(length, dim=1)
    return [(pieces[i], pieces[i + 1]) for i in range(len(pieces) - 1)]


@right("01.4")
def splits(ids, batch_size, length):
    rows, after = _sheet(ids, batch_size)
    return list(zip(rows.split(length, 1), after.split(length, 1), strict=True))


@right("01.4")
def indexes(ids, batch_size, length):
    width = (len(ids) - 1) // batch_size
    starts = torch.arange(batch_size)[:, None] * width
    for s in range(0, width, length):
        places = starts + torch.arange(s, min(s + length, width))
        yield ids[places], ids[places + 1]


@right("01.4")
def loops_over_lists(ids, batch_size, length):
    text, batches = ids.tolist(), []
    width = (len(text) - 1) // batch_size
    for s in range(0, width, length):
        stop = min(s + length, width)
        x = [text[b * width + s : b * width + stop] for b in range(batch_size)]
        y = [text[b * width + s + 1 : b * width + stop + 1] for b in range(batch_size)]
        batches.append([torch.tensor(x), torch.tensor(y)])
    return tuple(batches)


def _tokens(rows, padding_id):
    longest = max(map(len, rows))
    filled = [row + [padding_id] * (longest - len(row)) for row in rows]
    return torch.tensor(filled, dtype=torch.long)


def _mask(rows):
    longest = max(map(len, rows))
    return torch.tensor([[i < len(row) for i in range(longest)] for row in rows])


@wrong("01.5", "comparing with the padding's id")
def mask_from_ids(rows, padding_id):
    tokens = _tokens(rows, padding_id)
    return tokens, tokens != padding_id


@wrong("01.5", "comparing the ids with 0")
def mask_of_positive_ids(rows, padding_id):
    tokens = _tokens(rows, padding_id)
    return tokens, tokens > 0


@wrong("01.5", "padding stands in front")
def left_padding(rows, padding_id):
    longest = max(map(len, rows))
    filled = [[padding_id] * (longest - len(row)) + row for row in rows]
    return torch.tensor(filled), _mask(rows).flip(1)


@wrong("01.5", "the mask is inverted")
def inverted(rows, padding_id):
    return _tokens(rows, padding_id), ~_mask(rows)


@wrong("01.5", "expected True and False")
def mask_of_numbers(rows, padding_id):
    return _tokens(rows, padding_id), _mask(rows).float()


@wrong("01.5", "filled up with 0")
def fills_with_zero(rows, padding_id):
    return _tokens(rows, 0), _mask(rows)


@wrong("01.5", "were the lengths taken after filling up")
def lengths_too_late(rows, padding_id):
    rows = [list(row) for row in rows]
    longest = max(map(len, rows))
    for row in rows:
        while len(row) < longest:
            row.append(padding_id)
    return torch.tensor(rows), _mask(rows)


@wrong("01.5", "changes its argument number 1 in place")
def fills_the_callers_rows(rows, padding_id):
    mask, longest = _mask(rows), max(map(len, rows))
    for row in rows:
        row += [padding_id] * (longest - len(row))
    return torch.tensor(rows), mask


@wrong("01.5", "compares ids, not lengths")
def longest_by_max(rows, padding_id):
    longest = len(max(rows))
    filled = [(row + [padding_id] * longest)[:longest] for row in rows]
    return torch.tensor(filled), _mask(rows)[:, :longest]


@wrong("01.5", "10 wide: the longest row has 6")
def fixed_width(rows, padding_id):
    filled = [(row + [padding_id] * 10)[:10] for row in rows]
    return torch.tensor(filled), torch.tensor([[i < len(r) for i in range(10)] for r in rows])


@wrong("01.5", "torch.nn.utils.rnn.pad_sequence may not be used")
def ready_made(rows, padding_id):
    tensors = [torch.tensor(row, dtype=torch.long) for row in rows]
    return pad_sequence(tensors, batch_first=True, padding_value=padding_id), _mask(rows)


@wrong("01.5", "torch.nested")
def nested(rows, padding_id):
    ragged = torch.nested.nested_tensor([torch.tensor(row) for row in rows])
    return torch.nested.to_padded_tensor(ragged, padding_id), _mask(rows)


@wrong("01.5", "one token too many in each row")
def at_most_the_length(rows, padding_id):
    tokens, lengths = _tokens(rows, padding_id), torch.tensor([len(row) for row in rows])
    return tokens, torch.arange(tokens.shape[1]) <= lengths[:, None]


@wrong("01.5", "empty rows are left out")
def drops_empty_rows(rows, padding_id):
    rows = [row for row in rows if row]
    return _tokens(rows, padding_id), _mask(rows)


@wrong("01.5", "one sequence still has shape (1, T)")
def squeezes_one_row(rows, padding_id):
    return _tokens(rows, padding_id).squeeze(0), _mask(rows).squeeze(0)


@wrong("01.5", "something is kept between calls")
def widest_so_far(rows, padding_id, _longest=[0]):  # noqa: B006
    _longest[0] = max(_longest[0], *map(len, rows))
    filled = [row + [padding_id] * (_longest[0] - len(row)) for row in rows]
    return torch.tensor(filled), torch.tensor(filled) == torch.tensor(filled)


@wrong("01.5", "expected whole numbers")
def tensor_of_floats(rows, padding_id):
    tokens = torch.full((len(rows), max(map(len, rows))), float(padding_id))
    for tokens_row, row in zip(tokens, rows, strict=True):
        tokens_row[: len(row)] = torch.tensor(row)
    return tokens, _mask(rows)


@right("01.5")
def entry_by_entry(rows, padding_id):
    tokens = torch.full((len(rows), max(len(row) for row in rows)), padding_id)
    mask = torch.zeros_like(tokens, dtype=torch.bool)
    for i, row in enumerate(rows):
        for j, token in enumerate(row):
            tokens[i, j], mask[i, j] = token, True
    return tokens, mask


@right("01.5")
def column_by_column(rows, padding_id):
    columns = list(zip_longest(*rows))
    tokens = torch.tensor([[padding_id if t is None else t for t in c] for c in columns])
    return tokens.t(), torch.tensor([[t is not None for t in c] for c in columns]).t()


@right("01.5")
def plain_lists(rows, padding_id):
    longest = max(map(len, rows))
    filled = [[*row, *[padding_id] * (longest - len(row))] for row in rows]
    return [filled, [[True] * len(r) + [False] * (longest - len(r)) for r in rows]]


@right("01.5")
def padded_one_by_one(rows, padding_id):
    longest = max(map(len, rows))
    tensors = [torch.tensor(row, dtype=torch.long) for row in rows]
    tokens = [pad(t, (0, longest - len(t)), value=padding_id) for t in tensors]
    return torch.stack(tokens), torch.stack([torch.arange(longest) < len(t) for t in tensors])
